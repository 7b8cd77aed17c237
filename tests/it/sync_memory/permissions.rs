//! What may not be touched, what may not be read, and what stops a run.

use std::collections::BTreeMap;

use strongroom::model::{Change, Direction, Scope};
use strongroom::model::{Content, Origin, VersionMeta};
use strongroom::plan::{Halt, Limits, NoteKind, RemotePolicy};
use strongroom::store::{Call, StoreError};
use strongroom::sync::{Outcome, SyncError};

use super::world::{Cloud, Edits, Site, id, name, put, remote, serves, text, undone};

fn in_step(secrets: u32) -> (Cloud, Site) {
    let cloud = Cloud::new();
    for n in 0..secrets {
        cloud.put(&format!("s{n}"), n + 1, &format!("old {n}"));
    }
    let site = Site::new(&cloud);
    site.sync(&cloud);
    (cloud, site)
}

fn not_pushed(report: &strongroom::sync::Report, secret: &str) -> bool {
    let notes = report.notes.iter().filter(|(n, _)| *n == name(secret));
    notes
        .into_iter()
        .any(|(_, n)| matches!(n.kind, NoteKind::NotPushed(_)))
}

#[test]
fn a_rotated_secret_is_pulled_and_never_pushed() {
    let (cloud, site) = in_step(1);
    cloud
        .prod()
        .edit_facts(&name("s0"), |f| f.rotation_enabled = true);
    site.put("s0", 2, "mine");
    site.tag("s0", "k", Some("v"));
    let moves = cloud.prod().current_moves().len();
    let report = site.sync(&cloud);
    assert!(not_pushed(&report, "s0"), "{report:?}");
    assert_eq!(cloud.prod().current_moves().len(), moves);
    assert_eq!(cloud.serves("s0"), "old 0");
    // A tag breaks no login.
    assert_eq!(cloud.state("s0").attributes.tags["k"], "v");
    assert_eq!(site.serves("s0"), "mine");
    // It is said at every sync, and costs no write.
    let files = site.files();
    let report = site.sync(&cloud);
    assert!(not_pushed(&report, "s0") && report.written == 0);
    assert_eq!(site.files(), files);

    // Rotation goes on, and asks no one; here somebody has to decide.
    cloud.put("s0", 3, "rotated");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1);
    site.resolve("s0", &strongroom::plan::Choice::Theirs);
    site.sync(&cloud);
    assert_eq!(site.serves("s0"), "rotated");
    site.assert_quiet(&cloud);

    // Without rotation it is like any other again.
    site.put("s0", 4, "mine again");
    cloud
        .prod()
        .edit_facts(&name("s0"), |f| f.rotation_enabled = false);
    site.sync(&cloud);
    assert_eq!(cloud.serves("s0"), "mine again");
}

#[test]
fn a_rotation_under_way_is_not_disturbed() {
    let (cloud, site) = in_step(1);
    cloud.put_labelled("s0", 2, &text("next"), &["AWSPENDING"]);
    site.put("s0", 3, "mine");
    let report = site.sync(&cloud);
    assert!(not_pushed(&report, "s0"));
    assert_eq!(cloud.serves("s0"), "old 0");
    assert_eq!(site.holder("s0", "AWSPENDING"), Some(id(2)));
    assert_eq!(site.bytes("s0", &id(2)), b"next");
}

#[test]
fn replicas_and_owned_secrets_are_read_only() {
    for owned in [false, true] {
        let (cloud, site) = in_step(3);
        for n in 0..3 {
            cloud.prod().edit_facts(&name(&format!("s{n}")), |f| {
                if owned {
                    f.owning_service = Some("rds".into());
                } else {
                    f.replica = true;
                }
            });
        }
        site.put("s0", 11, "mine");
        site.tag("s0", "k", Some("v"));
        site.delete("s1");
        if owned {
            cloud.put("s2", 12, "news");
        } else {
            // By way of its primary: nobody can put it here.
            let news = text("news");
            let replica = cloud.prod().as_console_put(&name("s2"), &id(12), news, &[]);
            assert!(replica.is_err());
            let facts = |replica| {
                let edit = |f: &mut strongroom::model::RemoteFacts| f.replica = replica;
                cloud.prod().edit_facts(&name("s2"), edit);
            };
            facts(false);
            cloud.put("s2", 12, "news");
            facts(true);
        }
        let before = cloud.dump();
        let report = site.sync(&cloud);
        assert_eq!(cloud.dump(), before, "owned: {owned}");
        assert!(not_pushed(&report, "s0") && not_pushed(&report, "s1"));
        assert_eq!(site.serves("s2"), "news");
        let report = site.sync(&cloud);
        assert_eq!((report.written, report.there), (0, 0));
    }
}

#[test]
fn a_denied_secret_is_skipped_and_picked_up_when_permission_returns() {
    let cloud = Cloud::new();
    for n in 0..50 {
        cloud.put(&format!("s{n}"), n + 1, &format!("v{n}"));
    }
    cloud.prod().deny(&name("s7"), true);
    cloud.prod().deny(&name("s33"), true);
    let site = Site::new(&cloud);
    let report = site.try_sync(&cloud.stores).unwrap();
    let undone = undone(&report);
    assert_eq!(undone.len(), 2, "{undone:?}");
    for (secret, outcome) in undone {
        assert!(secret == "s7" || secret == "s33");
        assert!(
            matches!(
                outcome,
                Outcome::Failed {
                    error: StoreError::Denied { .. },
                    ..
                }
            ),
            "{outcome:?}"
        );
    }
    assert!(report.stopped.is_none());
    assert_eq!(site.records().len(), 48);

    // Edits of the others go through meanwhile, and it is tried again each time.
    site.put("s1", 101, "mine");
    let report = site.try_sync(&cloud.stores).unwrap();
    assert_eq!(super::world::undone(&report).len(), 2);
    assert_eq!(cloud.serves("s1"), "mine");

    cloud.prod().deny(&name("s7"), false);
    cloud.prod().deny(&name("s33"), false);
    site.sync(&cloud);
    assert_eq!(site.serves("s7"), "v7");
    assert_eq!(site.serves("s33"), "v33");
    site.assert_quiet(&cloud);
}

#[test]
fn what_cannot_be_read_is_not_written_over() {
    let (cloud, site) = in_step(1);
    cloud.put("s0", 2, "theirs");
    cloud.prod().deny(&name("s0"), true);
    site.put("s0", 3, "mine");
    let before = cloud.dump();
    let report = site.try_sync(&cloud.stores).unwrap();
    assert_eq!(undone(&report).len(), 1, "{report:?}");
    assert_eq!(cloud.dump(), before);
    assert_eq!(site.serves("s0"), "mine");

    cloud.prod().deny(&name("s0"), false);
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1);
}

#[test]
fn a_run_that_is_cut_off_says_so_and_the_next_one_completes_it() {
    let errors = [
        StoreError::Throttled { operation: "any" },
        StoreError::Unreachable {
            detail: "gone".into(),
        },
        StoreError::Credentials {
            code: "ExpiredTokenException".into(),
        },
    ];
    for error in errors {
        for at in 0.. {
            let cloud = Cloud::new();
            for n in 0..45 {
                cloud.put(&format!("s{n}"), n + 1, &format!("v{n}"));
            }
            let site = Site::new(&cloud);
            site.put("mine", 101, "mine");
            site.put("mine-too", 102, "mine");
            cloud.prod().fail_at(at, false, error.clone());
            match site.try_sync(&cloud.stores) {
                Ok(report) if report.is_complete() => {
                    // Through before it came to that call.
                    assert_eq!(at, cloud.prod().total_calls());
                    assert_eq!(at, 1 + 3 + 2 + 2);
                    break;
                }
                Ok(report) => {
                    let (stopped, why) = report.stopped.expect("it was cut off");
                    assert_eq!((stopped, &why), (remote("prod"), &error));
                }
                Err(SyncError::Remote { source, .. }) => {
                    assert_eq!((source, at), (error.clone(), 0));
                    assert_eq!(site.records().len(), 2);
                }
                Err(other) => panic!("{other}"),
            }
            site.sync(&cloud);
            assert_eq!(site.records().len(), 47);
            assert_eq!(cloud.serves("mine"), "mine");
            site.assert_quiet(&cloud);
        }
    }
}

#[test]
fn an_empty_listing_stops_everything() {
    let (cloud, site) = in_step(3);
    for n in 0..3 {
        cloud.prod().as_console_purge(&name(&format!("s{n}")));
    }
    let files = site.files();
    let halted = site.try_sync(&cloud.stores).unwrap_err();
    assert!(
        matches!(
            &halted,
            SyncError::Halted(Halt::EmptyListing { known: 3, .. })
        ),
        "{halted}"
    );
    assert_eq!(site.files(), files);
}

#[test]
fn more_deletions_than_allowed_stop_everything_on_either_side() {
    for here in [false, true] {
        let (cloud, mut site) = in_step(30);
        for n in 0..11 {
            if here {
                site.delete(&format!("s{n}"));
            } else {
                cloud.delete(&format!("s{n}"));
            }
        }
        site.put("s20", 99, "an edit that has to wait too");
        let (files, account) = (site.files(), cloud.dump());
        let halted = site.try_sync(&cloud.stores).unwrap_err();
        assert!(
            matches!(
                &halted,
                SyncError::Halted(Halt::TooManyDeletions {
                    deletions: 11,
                    allowed: 10,
                    ..
                })
            ),
            "{halted}"
        );
        assert_eq!(site.files(), files);
        assert_eq!(cloud.dump(), account);

        site.limits = Limits {
            count: 11,
            percent: 0,
            folders: false,
        };
        site.sync(&cloud);
        let live = |n| site.state(&format!("s{n}")).lifecycle.is_live();
        assert_eq!((0..30).filter(|n| live(*n)).count(), 19);
        assert!(cloud.state("s3").lifecycle.is_scheduled());
        site.assert_quiet(&cloud);
    }
}

#[test]
fn ten_deletions_are_allowed_and_a_whole_folder_is_not() {
    let cloud = Cloud::new();
    for n in 0..30 {
        cloud.put(&format!("a/s{n}"), n + 1, "x");
    }
    for n in 0..4 {
        cloud.put(&format!("b/s{n}"), n + 101, "x");
    }
    let site = Site::new(&cloud);
    site.sync(&cloud);
    for n in 0..10 {
        cloud.delete(&format!("a/s{n}"));
    }
    site.sync(&cloud);
    for n in 0..4 {
        cloud.delete(&format!("b/s{n}"));
    }
    let halted = site.try_sync(&cloud.stores).unwrap_err();
    assert!(
        matches!(
            &halted,
            SyncError::Halted(Halt::WholeFolder { count: 4, .. })
        ),
        "{halted}"
    );
}

#[test]
fn the_first_sync_never_deletes() {
    // The account knows nothing of this vault, and the vault nothing of the account.
    let cloud = Cloud::new();
    cloud.put("theirs", 1, "x");
    cloud.put("both", 2, "x");

    let site = Site::new(&cloud);
    site.put("ours", 4, "x");
    site.put("both", 2, "x");
    site.put("marked", 5, "x");
    site.delete("marked");
    cloud.put("marked", 6, "y");
    let report = site.try_sync(&cloud.stores).unwrap();
    for (secret, outcome) in &report.outcomes {
        assert_eq!(*outcome, Outcome::Done, "{secret}");
    }
    for (_, state) in cloud.prod().state().0 {
        assert!(state.lifecycle.is_live());
    }
    assert_eq!(cloud.prod().calls().get(&Call::Delete), None);
    assert_eq!(site.serves("theirs"), "x");
    assert_eq!(cloud.serves("ours"), "x");
}

#[test]
fn absence_from_a_listing_is_no_deletion_until_a_look_confirms_it() {
    let (cloud, site) = in_step(3);
    cloud.prod().as_console_purge(&name("s1"));
    cloud.prod().reset_calls();
    site.sync(&cloud);
    assert_eq!(
        cloud.prod().calls(),
        BTreeMap::from([(Call::List, 1), (Call::Describe, 1)])
    );
    assert!(!site.state("s1").lifecycle.is_live());
    assert_eq!(site.bytes("s1", &id(2)), b"old 1");
    site.assert_quiet(&cloud);
}

#[test]
fn directions_hold() {
    let (cloud, mut site) = in_step(2);
    let one_way = |direction| RemotePolicy {
        direction,
        ..RemotePolicy::default()
    };
    site.allow("prod", one_way(Direction::Pull));
    site.put("s0", 11, "mine");
    site.put("new", 12, "mine");
    cloud.put("s1", 13, "theirs");
    let before = cloud.dump();
    let report = site.sync(&cloud);
    assert_eq!(cloud.dump(), before);
    assert!(not_pushed(&report, "s0") && not_pushed(&report, "new"));
    assert_eq!(site.serves("s1"), "theirs");

    site.allow("prod", one_way(Direction::Push));
    cloud.put("s1", 14, "theirs again");
    cloud.put("unseen", 15, "x");
    site.sync(&cloud);
    assert_eq!(cloud.serves("s0"), "mine");
    assert_eq!(cloud.serves("new"), "mine");
    assert_eq!(site.serves("s1"), "theirs");
    assert!(!site.records().contains_key(&name("unseen")));

    site.allow("prod", one_way(Direction::TwoWay));
    site.sync(&cloud);
    assert_eq!(site.serves("s1"), "theirs again");
    assert_eq!(site.serves("unseen"), "x");
    site.assert_quiet(&cloud);
}

#[test]
fn what_is_out_of_scope_is_neither_changed_nor_deleted() {
    let cloud = Cloud::new();
    cloud.put("in/a", 1, "x");
    cloud.put("out/a", 2, "x");
    let mut site = Site::new(&cloud);
    site.sync(&cloud);
    let scope = Scope {
        include: vec!["in/".into()],
        ..Scope::default()
    };
    site.allow(
        "prod",
        RemotePolicy {
            scope,
            ..RemotePolicy::default()
        },
    );
    site.put("out/a", 12, "mine");
    site.put("out/b", 13, "mine");
    site.put("in/b", 14, "mine");
    cloud.put("out/c", 15, "theirs");
    site.sync(&cloud);
    assert_eq!(cloud.serves("out/a"), "x");
    assert!(cloud.prod().state().get(&name("out/b")).is_none());
    assert!(!site.records().contains_key(&name("out/c")));
    assert_eq!(cloud.serves("in/b"), "mine");
    assert!(site.state("out/a").lifecycle.is_live());
    site.assert_quiet(&cloud);
}

#[test]
fn a_prefix_limits_a_run_to_some_secrets() {
    let (cloud, mut site) = in_step(1);
    site.put("a/x", 11, "x");
    site.put("b/x", 12, "x");
    site.policy.only = Some("a/".into());
    site.sync(&cloud);
    assert_eq!(cloud.serves("a/x"), "x");
    assert!(cloud.prod().state().get(&name("b/x")).is_none());
    site.policy.only = None;
    site.sync(&cloud);
    assert_eq!(cloud.serves("b/x"), "x");
}

#[test]
fn a_secret_without_any_value_comes_and_fills() {
    let (cloud, site) = in_step(1);
    cloud.change(
        "empty",
        &Change::Create {
            attributes: strongroom::model::Attributes::default(),
            version: None,
        },
    );
    site.sync(&cloud);
    assert_eq!(site.current("empty"), None);
    site.assert_quiet(&cloud);
    site.put("empty", 11, "first");
    site.sync(&cloud);
    assert_eq!(cloud.serves("empty"), "first");
    site.assert_quiet(&cloud);
    let store = cloud.prod();
    put(store, &cloud.clock, "empty", 12, &text("second"), &[]);
    site.sync(&cloud);
    assert_eq!(serves(store, "empty"), "second");
    assert_eq!(site.serves("empty"), "second");
}

#[test]
fn a_placeholder_is_never_pushed_as_a_value() {
    let (cloud, site) = in_step(1);
    let meta = VersionMeta {
        content: Content::Placeholder,
        ..VersionMeta::unread(Origin::Local)
    };
    site.change(
        "s0",
        &Change::AddVersion {
            id: id(2),
            meta,
            labels: vec![super::world::label("blue")],
        },
    );
    let before = cloud.dump();
    let report = site.sync(&cloud);
    assert!(not_pushed(&report, "s0"), "{report:?}");
    assert_eq!(cloud.dump(), before);
}
