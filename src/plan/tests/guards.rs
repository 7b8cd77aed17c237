//! What stops a plan, and what no first sync does.

use super::*;

#[test]
fn guards() {
    let mut base = Base::new();
    let mut local = LocalView::default();
    let mut view = RemoteView::default();
    let pair = |text: &str| RemoteBase {
        pair: Some(Pair {
            arn: "arn-AAAAAA".into(),
            changed: None,
            local: face(text),
            remote: face(text),
        }),
        ..RemoteBase::default()
    };
    for n in 0..100 {
        let name: SecretName = format!("f{}/s{n}", n / 10).parse().unwrap();
        base.insert(
            name.clone(),
            SecretBase::from([(remote("a"), pair("CUR=1"))]),
        );
        local
            .secrets
            .0
            .insert(name.clone(), state("CUR=1", true).unwrap());
        if n >= 11 {
            view.secrets.insert(
                name,
                Sight::Seen(RemoteSecret {
                    state: state("CUR=1", false).unwrap(),
                    facts: RemoteFacts {
                        arn: "arn-AAAAAA".into(),
                        ..RemoteFacts::default()
                    },
                }),
            );
        }
    }
    view.listed = view.secrets.len();
    let check = |view: &RemoteView, limits| {
        let remotes = BTreeMap::from([(remote("a"), view.clone())]);
        let p = plan(&base, &local, &remotes, &Policy::default());
        p.check(&base, &remotes, limits)
    };
    assert!(matches!(
        check(&view, Limits::default()),
        Err(Halt::TooManyDeletions {
            deletions: 11,
            total: 100,
            allowed: 10,
            ..
        })
    ));
    assert!(matches!(
        check(
            &view,
            Limits {
                count: 11,
                percent: 10,
                folders: true
            }
        ),
        Err(Halt::WholeFolder { count: 10, .. })
    ));
    let empty = RemoteView::default();
    assert!(matches!(
        check(
            &empty,
            Limits {
                count: 1000,
                percent: 100,
                folders: true
            }
        ),
        Err(Halt::EmptyListing { known: 100, .. })
    ));
}

#[test]
fn first_sync_never_deletes() {
    // Whatever both sides hold, a plan without a base deletes nothing (sync.md 1.11).
    for here in ["-", "CUR=1", "sched CUR=1", "tomb CUR=1", "desc=x"] {
        for there in ["-", "CUR=1", "CUR=2 PREV=1", "sched CUR=1", ""] {
            let c = case(here, &[There("none", "", "", there)]);
            let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
            assert!(
                p.actions().all(|(_, a)| !matches!(
                    a.change,
                    Change::Delete { .. } | Change::Tombstone | Change::Archive { .. }
                )),
                "{here} x {there}: {p}"
            );
        }
    }
}
