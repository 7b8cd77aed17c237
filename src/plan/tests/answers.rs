//! Ways out of conflicts: sync.md section 1.8.

use super::*;

/// Every conflict, each way out: the next plan after the answer has no conflict.
#[test]
fn every_resolution_leads_out() {
    let v1 = "CUR=1";
    let cases: &[(&str, There<'_>, &str, &str)] = &[
        (
            "CUR=2 PREV=1 2<1 v4",
            There(v1, v1, "CUR<1", "CUR=4 PREV=1"),
            "a: add version 2; a: move CUR from 4 to 2; =",
            "v: move PREV from 2 to 1; =",
        ),
        (
            "CUR=1 v2",
            There("none", "", "", "CUR=2"),
            "a: add version 1; a: move CUR from 2 to 1; =",
            "=",
        ),
        (
            "CUR=1 v2",
            There("CUR=2", "CUR=2", "", "CUR=2"),
            "a: add version 1; a: move CUR from 2 to 1; =",
            "=",
        ),
        (
            "CUR=1 X=2 v3",
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", "CUR=1 X=3"),
            "a: add version 2; a: move X from 3 to 2; =",
            "=",
        ),
        (
            "CUR=1 X=2",
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", v1),
            "a: add version 2; a: put X on 2; =",
            "=",
        ),
        (
            "CUR=1 desc=x",
            There(v1, v1, "", "CUR=1 desc=y"),
            "a: set the description; =",
            "=",
        ),
        (
            "CUR=1 desc=x",
            There("none", "", "", "CUR=1 desc=y"),
            "a: set the description; =",
            "=",
        ),
        (
            "CUR=1",
            There("CUR=1 tag.a=1", "CUR=1 tag.a=1", "", "CUR=1 tag.a=2"),
            "a: remove tag a; =",
            "=",
        ),
        (
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", "-"),
            "a: create with version 1; a: add version 2; a: move CUR from 1 to 2; =",
            "=",
        ),
        (
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", "sched CUR=1"),
            "a: restore; a: add version 2; a: move CUR from 1 to 2; =",
            "v: take over the deletion date D; =",
        ),
        (
            "sched CUR=1 v2",
            There(v1, v1, "", "CUR=2 PREV=1"),
            "a: schedule deletion for D; =",
            "v: move CUR from 1 to 2; =",
        ),
        (
            "CUR=1",
            There("sched CUR=1", "sched CUR=1", "", "-"),
            "a: create with version 1; =",
            "=",
        ),
        (
            "CUR=2 PREV=1 v3",
            There(v1, v1, "CUR<1", "arn2 CUR=3"),
            "CONFLICT a label AWSCURRENT create/create; (a: create/create, may be the same value; a sync compares them)",
            "v: put the old one aside as s@AAAAAA; v: create; v: copy version 3; v: put CUR on 3; (a: deleted and created anew there; the old one is kept as s@AAAAAA); =",
        ),
        (
            "sched CUR=1",
            There("tomb", "tomb", "", "arn2 CUR=1"),
            "a: schedule deletion for D; =",
            "=",
        ),
        (
            "sched CUR=2 PREV=1 v3",
            There("sched CUR=1", "sched CUR=1", "CUR<1", "CUR=3 PREV=1"),
            "a: add version 2; a: move CUR from 3 to 2; =",
            "v: move PREV from 2 to 1; =",
        ),
        (
            "sched desc=x",
            There("sched", "sched", "", "desc=y"),
            "a: set the description; =",
            "=",
        ),
        (
            v1,
            There("none", "", "", "sched CUR=2"),
            "a: restore",
            "(a: scheduled for deletion there; its values cannot be read)",
        ),
    ];
    for (here, There(a, b, c, d), after_ours, after_theirs) in cases {
        for (choice, expected) in [(Choice::Ours, after_ours), (Choice::Theirs, after_theirs)] {
            let mut c = case(here, &[There(a, b, c, d)]);
            let found = plan(&c.base, &c.local, &c.remotes, &c.policy);
            let (_, conflict) = found.conflicts().next().unwrap_or_else(|| panic!("{here}"));
            let mut record = crate::model::Record {
                state: c.local.secrets.0[&name()].clone(),
                base: c.base[&name()].clone(),
                ..crate::model::Record::new(name())
            };
            resolve(&mut record, conflict, &choice).unwrap();
            c.local.secrets.0.insert(name(), record.state);
            c.base.insert(name(), record.base);
            let next = plan(&c.base, &c.local, &c.remotes, &c.policy);
            let rendered = render(&next);
            if *expected == "(a: scheduled for deletion there; its values cannot be read)" {
                assert!(next.is_quiet(), "{here} {choice:?}: {rendered}");
            } else {
                assert_eq!(&rendered, expected, "{here} | {d} {choice:?}");
            }
        }
    }
}

/// Remotes against each other, each way out.
#[test]
fn what_two_remotes_disagree_on_leads_out() {
    let v1 = "CUR=1";
    let moved = |to: &'static str| There("CUR=1", "CUR=1", "", to);
    let cases: &[(&str, &str, [There<'_>; 2], &str, &str)] = &[
        (
            "gone on one, edited on the other",
            v1,
            [moved("-"), moved("CUR=2 PREV=1")],
            "v: move CUR from 1 to 2; a: create with version 1; a: add version 2; a: move CUR from 1 to 2; =",
            "b: schedule deletion; =",
        ),
        (
            "the same, the other way round",
            v1,
            [moved("CUR=1 desc=x"), moved("-")],
            "v: set the description; b: create with version 1; =",
            "a: schedule deletion; =",
        ),
        (
            "scheduled on one, edited on the other",
            v1,
            [moved("sched CUR=1"), moved("CUR=2 PREV=1")],
            "a: restore; v: move CUR from 1 to 2; a: add version 2; a: move CUR from 1 to 2; =",
            "v: take over the deletion date D; b: schedule deletion; =",
        ),
        (
            "made anew on one, gone on the other: what was never met is not deleted",
            v1,
            [There("tomb", "tomb", "", "arn2 CUR=1 desc=x"), moved("-")],
            "v: set the description; b: create with version 1; =",
            "v: create; v: put CUR on 1; =",
        ),
        (
            "a label, moved on both",
            v1,
            [moved("CUR=2 PREV=1"), moved("CUR=3 PREV=1")],
            "a: move CUR from 2 to 1; b: move CUR from 3 to 1; =",
            "v: move PREV from 3 to 1; b: add version 2; b: move CUR from 3 to 2; =",
        ),
        (
            "a text, changed on both",
            "desc=x",
            [
                There("desc=x", "desc=x", "", "desc=y"),
                There("desc=x", "desc=x", "", "desc=z"),
            ],
            "a: set the description; b: set the description; =",
            "b: set the description; =",
        ),
        (
            "a label, new on both",
            "tomb CUR=3",
            [There("none", "", "", v1), There("none", "", "", "CUR=2")],
            "a: add version 3; a: move CUR from 1 to 3; b: add version 3; b: move CUR from 2 to 3; =",
            "b: add version 1; b: move CUR from 2 to 1; =",
        ),
        (
            "deleted here, moved on both",
            "tomb CUR=1",
            [moved("CUR=2 PREV=1"), moved("CUR=3 PREV=1")],
            "a: move CUR from 2 to 1; b: move CUR from 3 to 1; =",
            "v: move PREV from 3 to 1; b: add version 2; b: move CUR from 3 to 2; =",
        ),
        (
            "texts and a label, new on both and here",
            "CUR=3 X=3 desc=x",
            [
                There("none", "", "", "CUR=3 X=1 desc=y"),
                There("none", "", "", "CUR=3 X=2 desc=z"),
            ],
            "a: move X from 1 to 3; a: set the description; b: move X from 2 to 3; b: set the description; =",
            "a: set the description; b: add version 1; b: move X from 2 to 1; =",
        ),
    ];
    let mut wrong = Vec::new();
    for (row, here, theres, after_ours, after_theirs) in cases {
        for (choice, expected) in [(Choice::Ours, after_ours), (Choice::Theirs, after_theirs)] {
            let mut c = case(here, theres);
            let mut at = String::new();
            // A label that two remotes moved may be asked about once for each.
            for _ in 0..3 {
                let found = plan(&c.base, &c.local, &c.remotes, &c.policy);
                at = render(&found);
                let conflicts: Vec<_> = found.conflicts().map(|(_, x)| x.clone()).collect();
                if conflicts.is_empty() {
                    break;
                }
                let mut record = crate::model::Record {
                    state: c.local.secrets.0[&name()].clone(),
                    base: c.base[&name()].clone(),
                    ..crate::model::Record::new(name())
                };
                // What the plan copies is here by then.
                for (_, action) in found.actions() {
                    record.apply(&action.change, Author::Here).unwrap();
                }
                for conflict in &conflicts {
                    resolve(&mut record, conflict, &choice).unwrap();
                }
                c.local.secrets.0.insert(name(), record.state);
                c.base.insert(name(), record.base);
            }
            if at != *expected {
                wrong.push(format!("{row} {choice:?}: {at}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn resolving_keeps_the_loser_under_a_label_and_refuses_what_is_not_here() {
    let c = case(
        "CUR=2 PREV=1 2<1 v4",
        &[There("CUR=1", "CUR=1", "CUR<1", "CUR=4 PREV=1")],
    );
    let found = plan(&c.base, &c.local, &c.remotes, &c.policy);
    let (_, conflict) = found.conflicts().next().unwrap();
    let record = crate::model::Record {
        state: c.local.secrets.0[&name()].clone(),
        base: c.base[&name()].clone(),
        ..crate::model::Record::new(name())
    };
    for (choice, lost) in [
        (Choice::Ours, vec![4]),
        (Choice::Theirs, vec![2]),
        (Choice::To(id(1)), vec![2, 4]),
    ] {
        let mut r = record.clone();
        let done = resolve(&mut r, conflict, &choice).unwrap();
        let kept: Vec<VersionId> = done.kept.iter().map(|(_, v)| v.clone()).collect();
        assert_eq!(kept, lost.iter().map(|n| id(*n)).collect::<Vec<_>>());
        for (label, v) in done.kept {
            assert_eq!(r.state.labels.get(&label), Some(&v));
            assert!(label.as_str().starts_with("sr/lost/19700101-"), "{label}");
        }
    }
    let mut without = record.clone();
    without.state.versions.remove(&id(4));
    assert_eq!(
        resolve(&mut without, conflict, &Choice::Ours),
        Err(ResolveError::NotFetched(id(4)))
    );
    let mut moved = record;
    moved.state.labels.insert(StagingLabel::current(), id(1));
    assert_eq!(
        resolve(&mut moved, conflict, &Choice::Ours),
        Err(ResolveError::Stale)
    );
}
