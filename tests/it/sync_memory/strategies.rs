//! What both sides changed, decided by strategy in the same run: each strategy from end
//! to end, which one counts, and what none of them may do.

use std::collections::BTreeMap;

use strongroom::model::{Direction, FieldKind, Rule, Strategy};
use strongroom::plan::{Choice, Halt, Limits, NoteKind, RemotePolicy, Waits};
use strongroom::store::StoreError;
use strongroom::sync::{Report, SyncError};

use super::world::{Cloud, Edits, Site, id, name, put, remote, run, serves, text, undone};

/// One secret, version 1 on both sides; then 2 here and, so many seconds later, 3 there.
fn both_edited(seconds: i64) -> (Cloud, Site) {
    let cloud = Cloud::new();
    cloud.put("db", 1, "base");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    site.put("db", 2, "ours");
    cloud.clock.pass(seconds - 1);
    cloud.put("db", 3, "theirs");
    (cloud, site)
}

/// The same, first there and then here.
fn both_edited_ours_last(seconds: i64) -> (Cloud, Site) {
    let cloud = Cloud::new();
    cloud.put("db", 1, "base");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    cloud.put("db", 3, "theirs");
    cloud.clock.pass(seconds - 1);
    site.put("db", 2, "ours");
    (cloud, site)
}

/// Why each conflict that has a strategy waits.
fn waits(report: &Report) -> Vec<Waits> {
    let of = |kind: &NoteKind| match kind {
        NoteKind::Waits { why, .. } => Some(why.clone()),
        _ => None,
    };
    report
        .notes
        .iter()
        .filter_map(|(_, n)| of(&n.kind))
        .collect()
}

/// Every id that was ever AWSCURRENT anywhere is in the vault, readable, and under a
/// label.
#[track_caller]
fn nothing_lost(site: &Site, secret: &str, ids: &[u32]) {
    let state = site.state(secret);
    for n in ids {
        assert!(!site.bytes(secret, &id(*n)).is_empty());
        let labels: Vec<_> = state.labels_of(&id(*n)).collect();
        assert!(!labels.is_empty(), "version {n} cannot be found");
    }
}

#[test]
fn ours_wins_in_the_same_run_and_theirs_is_kept() {
    let (cloud, mut site) = both_edited(1);
    site.on_conflict(Strategy::Ours);
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(report.answers.len(), 1);
    assert_eq!(report.answers[0].1.choice, Choice::Ours);
    assert_eq!(report.copied, 1);
    assert_eq!(cloud.serves("db"), "ours");
    assert_eq!(site.serves("db"), "ours");
    assert_eq!(cloud.holder("db", "AWSPREVIOUS"), Some(id(3)));
    assert_eq!(site.lost("db"), [id(3)]);
    assert_eq!(site.bytes("db", &id(3)), b"theirs");
    assert_eq!(site.record("db").conflicts, []);
    site.assert_quiet(&cloud);
}

#[test]
fn theirs_wins_in_the_same_run_and_ours_is_kept() {
    let (cloud, mut site) = both_edited(1);
    let before = cloud.dump();
    site.on_conflict(Strategy::Theirs);
    let report = site.sync(&cloud);
    assert_eq!((report.conflicts.len(), report.there), (0, 0));
    assert_eq!(cloud.dump(), before);
    assert_eq!(site.serves("db"), "theirs");
    assert_eq!(site.lost("db"), [id(2)]);
    nothing_lost(&site, "db", &[1, 2, 3]);
    site.assert_quiet(&cloud);
}

#[test]
fn a_strategy_leaves_the_vault_and_the_account_as_resolve_does() {
    for (strategy, choice) in [
        (Strategy::Ours, Choice::Ours),
        (Strategy::Theirs, Choice::Theirs),
    ] {
        let scene = || {
            let (cloud, site) = both_edited(1);
            cloud.describe("db", "theirs");
            site.describe("db", "ours");
            cloud.tag("db", "team", Some("theirs"));
            (cloud, site)
        };
        let (cloud, mut site) = scene();
        site.on_conflict(strategy);
        site.sync(&cloud);
        let (by_hand, person) = scene();
        person.sync(&by_hand);
        person.resolve("db", &choice);
        person.sync(&by_hand);
        assert_eq!(site.dump(), person.dump(), "{strategy:?}");
        let there = |c: &Cloud| (c.state("db").labels, c.state("db").attributes);
        assert_eq!(there(&cloud), there(&by_hand), "{strategy:?}");
    }
}

#[test]
fn newest_takes_the_version_made_last_on_either_side() {
    let (cloud, mut site) = both_edited(3600);
    site.on_conflict(Strategy::Newest);
    site.sync(&cloud);
    assert_eq!(
        (site.serves("db"), cloud.serves("db")),
        ("theirs".into(), "theirs".into())
    );
    assert_eq!(site.lost("db"), [id(2)]);
    site.assert_quiet(&cloud);

    let (cloud, mut site) = both_edited_ours_last(3600);
    site.on_conflict(Strategy::Newest);
    site.sync(&cloud);
    assert_eq!(
        (site.serves("db"), cloud.serves("db")),
        ("ours".into(), "ours".into())
    );
    assert_eq!(site.lost("db"), [id(3)]);
    nothing_lost(&site, "db", &[1, 2, 3]);
    site.assert_quiet(&cloud);
}

#[test]
fn newest_does_not_trust_two_clocks_within_five_minutes() {
    for scene in [both_edited, both_edited_ours_last] {
        for (seconds, decides) in [(299, false), (300, true), (301, true)] {
            let (cloud, mut site) = scene(seconds);
            let before = cloud.dump();
            site.on_conflict(Strategy::Newest);
            let report = site.sync(&cloud);
            assert_eq!(report.conflicts.is_empty(), decides, "{seconds}");
            if !decides {
                assert_eq!(waits(&report), [Waits::TooClose]);
                assert_eq!(cloud.dump(), before);
                assert_eq!(site.serves("db"), "ours");
                assert_eq!(site.record("db").conflicts.len(), 1);
            }
        }
    }
}

#[test]
fn newest_believes_no_date_in_the_future() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "base");
    let mut site = Site::new(&cloud);
    site.sync(&cloud);
    site.put("db", 2, "ours");
    let now = cloud.clock.now();
    let late = strongroom::model::Timestamp::from_millis(now.millis() + 3_600_000);
    cloud.prod().set_now(late);
    let value = text("theirs");
    cloud
        .prod()
        .as_console_put(&name("db"), &id(3), value, &[])
        .unwrap();
    site.on_conflict(Strategy::Newest);
    let report = site.sync(&cloud);
    assert_eq!(waits(&report), [Waits::Future]);
    assert_eq!(report.conflicts.len(), 1);
    // An hour later it is no longer in the future.
    cloud.clock.pass(3600);
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(site.serves("db"), "theirs");
    site.assert_quiet(&cloud);
}

#[test]
fn newest_leaves_texts_and_deletions_and_what_was_rewound_to_a_person() {
    // A text has no date; the label beside it waits with it.
    let (cloud, mut site) = both_edited(3600);
    site.describe("db", "ours");
    cloud.describe("db", "theirs");
    let before = cloud.dump();
    site.on_conflict(Strategy::Newest);
    let report = site.sync(&cloud);
    assert_eq!(waits(&report), [Waits::Others, Waits::NoDates]);
    assert_eq!(report.conflicts.len(), 2);
    assert_eq!(cloud.dump(), before);

    // Edited here, deleted there long after; and the other way round.
    let (cloud, mut site) = in_step();
    site.put("db", 2, "ours");
    cloud.clock.pass(3600);
    cloud.delete("db");
    site.on_conflict(Strategy::Newest);
    assert_eq!(waits(&site.sync(&cloud)), [Waits::Deletion]);
    let (cloud, mut site) = in_step();
    cloud.put("db", 3, "theirs");
    cloud.clock.pass(3600);
    site.delete("db");
    site.on_conflict(Strategy::Newest);
    assert_eq!(waits(&site.sync(&cloud)), [Waits::Deletion]);
    assert_eq!(cloud.serves("db"), "theirs");
}

fn in_step() -> (Cloud, Site) {
    let cloud = Cloud::new();
    cloud.put("db", 1, "base");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    (cloud, site)
}

#[test]
fn hold_and_interactive_wait_and_write_no_more_than_without() {
    let (cloud, site) = both_edited(3600);
    site.sync(&cloud);
    let plain = site.dump();
    for strategy in [Strategy::Hold, Strategy::Interactive] {
        let (cloud, mut site) = both_edited(3600);
        let before = cloud.dump();
        site.on_conflict(strategy);
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts.len(), 1);
        assert_eq!(
            waits(&report).len(),
            usize::from(strategy == Strategy::Interactive)
        );
        assert_eq!(cloud.dump(), before);
        assert_eq!(site.dump(), plain);
    }
}

#[test]
fn what_a_person_answers_goes_before_everything_else() {
    let (cloud, mut site) = both_edited(3600);
    site.on_conflict(Strategy::Interactive);
    let report = site.sync(&cloud);
    let (secret, conflict) = &report.conflicts[0];
    let id = conflict.id(secret);
    site.strategies().answers.insert(id, Strategy::Ours);
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(cloud.serves("db"), "ours");
    site.assert_quiet(&cloud);
}

#[test]
fn fail_stops_before_anything_is_written() {
    let (cloud, mut site) = both_edited(1);
    site.put("other", 11, "x");
    site.on_conflict(Strategy::Fail);
    let (files, before) = (site.files(), cloud.dump());
    match site.try_sync(&cloud.stores) {
        Err(SyncError::Halted(Halt::Conflicted { count: 1, first })) => {
            assert_eq!(first, name("db"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(cloud.dump(), before);
    let secrets = |f: &BTreeMap<std::path::PathBuf, _>| {
        f.keys()
            .filter(|p| !p.components().any(|c| c.as_os_str() == ".strongroom"))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(secrets(&site.files()), secrets(&files));
    assert_eq!(site.record("db").conflicts, []);
    // Without a conflict it stops nothing.
    site.strategies().run = Some(Strategy::Theirs);
    site.sync(&cloud);
    site.put("db", 12, "y");
    site.on_conflict(Strategy::Fail);
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "y");
}

#[test]
fn the_run_goes_before_the_rules_and_the_rules_before_the_remote() {
    let rule = |path: &str, remote: Option<&str>, field, on_conflict| Rule {
        path: path.into(),
        remote: remote.map(|r| r.parse().unwrap()),
        field,
        on_conflict,
    };
    type Set<'a> = (Option<Strategy>, &'a [Rule], Option<Strategy>);
    let for_db = [rule("d", None, None, Strategy::Theirs)];
    let particular = [
        rule("d", None, None, Strategy::Theirs),
        rule("d", Some("prod"), Some(FieldKind::Current), Strategy::Ours),
    ];
    let elsewhere = [
        rule("e", None, None, Strategy::Theirs),
        rule("d", Some("other"), None, Strategy::Theirs),
        rule("d", None, Some(FieldKind::Tag), Strategy::Theirs),
    ];
    let cases: &[(Set<'_>, Option<&str>)] = &[
        ((None, &[], None), None),
        ((None, &[], Some(Strategy::Ours)), Some("ours")),
        ((None, &for_db, Some(Strategy::Ours)), Some("theirs")),
        (
            (Some(Strategy::Ours), &for_db, Some(Strategy::Theirs)),
            Some("ours"),
        ),
        ((Some(Strategy::Hold), &for_db, Some(Strategy::Ours)), None),
        ((None, &particular, None), Some("ours")),
        ((None, &elsewhere, Some(Strategy::Ours)), Some("ours")),
        ((None, &elsewhere, None), None),
    ];
    for (n, ((of_run, rules, of_remote), winner)) in cases.iter().enumerate() {
        let (cloud, mut site) = both_edited(1);
        let strategies = site.strategies();
        strategies.run = *of_run;
        strategies.rules = rules.to_vec();
        strategies
            .remotes
            .extend(of_remote.map(|s| (remote("prod"), s)));
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts.is_empty(), winner.is_some(), "case {n}");
        if let Some(winner) = winner {
            assert_eq!(cloud.serves("db"), *winner, "case {n}");
            assert_eq!(site.serves("db"), *winner, "case {n}");
        }
    }
}

#[test]
fn equal_values_of_a_first_meeting_are_no_conflict_whatever_the_strategy() {
    for strategy in [
        Strategy::Ours,
        Strategy::Theirs,
        Strategy::Newest,
        Strategy::Fail,
    ] {
        let cloud = Cloud::new();
        cloud.put("db", 1, "same");
        let mut site = Site::new(&cloud);
        site.put("db", 2, "same");
        site.on_conflict(strategy);
        let report = site.sync(&cloud);
        assert_eq!(report.answers, [], "{strategy:?}");
        assert_eq!(cloud.current("db"), Some(id(1)));
        assert_eq!(site.current("db"), Some(id(1)));
        site.assert_quiet(&cloud);
    }
}

#[test]
fn what_cannot_be_read_cannot_lose() {
    for strategy in [Strategy::Ours, Strategy::Newest] {
        let (cloud, mut site) = both_edited_ours_last(3600);
        let before = cloud.dump();
        cloud.prod().deny(&name("db"), true);
        site.on_conflict(strategy);
        site.try_sync(&cloud.stores).unwrap();
        assert_eq!(cloud.dump(), before, "{strategy:?}");
        assert_eq!(site.serves("db"), "ours");
        cloud.prod().deny(&name("db"), false);
        site.sync(&cloud);
        assert_eq!(cloud.serves("db"), "ours");
        assert_eq!(site.bytes("db", &id(3)), b"theirs");
        site.assert_quiet(&cloud);
    }
}

#[test]
fn cut_off_at_any_call_the_loser_is_safe_and_the_next_run_ends_it() {
    let mut cuts = 0;
    for strategy in [Strategy::Ours, Strategy::Theirs, Strategy::Newest] {
        for after_effect in [false, true] {
            for at in 0.. {
                let (cloud, mut site) = both_edited_ours_last(3600);
                site.describe("db", "ours");
                site.on_conflict(strategy);
                cloud.prod().reset_calls();
                cloud.prod().fail_at(
                    at,
                    after_effect,
                    StoreError::Unreachable {
                        detail: "cut".into(),
                    },
                );
                let run = site.try_sync(&cloud.stores);
                if cloud.prod().total_calls() <= at {
                    assert!(run.unwrap().is_complete());
                    break;
                }
                cuts += 1;
                // Whatever moved over there, what it was on is here, under a label.
                if cloud.current("db") != Some(id(3)) {
                    assert_eq!(site.bytes("db", &id(3)), b"theirs");
                    assert_eq!(site.lost("db"), [id(3)], "{strategy:?} {at}");
                }
                site.sync(&cloud);
                let winner = if strategy == Strategy::Theirs {
                    "theirs"
                } else {
                    "ours"
                };
                assert_eq!(cloud.serves("db"), winner, "{strategy:?} {at}");
                assert_eq!(site.serves("db"), winner, "{strategy:?} {at}");
                nothing_lost(&site, "db", &[2, 3]);
                site.assert_quiet(&cloud);
                assert!(at < 100, "it never gets through");
            }
        }
    }
    assert!(cuts > 12, "{cuts} cuts");
}

/// Two accounts in step with a vault, then each edited an hour after the other.
fn two_accounts(first: &str, second: &str) -> (Cloud, Site) {
    let cloud = Cloud::with(&["a", "b"]);
    put(
        cloud.account("a"),
        &cloud.clock,
        "db",
        1,
        &text("base"),
        &[],
    );
    let site = Site::new(&cloud);
    site.sync(&cloud);
    for (account, n) in [(first, 2), (second, 3)] {
        cloud.clock.pass(3600);
        let value = text(&format!("value {n}"));
        put(cloud.account(account), &cloud.clock, "db", n, &value, &[]);
    }
    (cloud, site)
}

/// No rule decides where several remotes have a say: the random worlds of plan's laws
/// found answers that depended on the order of the remotes.
#[test]
fn between_two_remotes_a_person_decides_whatever_the_strategy() {
    for (first, second) in [("a", "b"), ("b", "a")] {
        let (cloud, mut site) = two_accounts(first, second);
        let before = cloud.dump();
        for strategy in [Strategy::Ours, Strategy::Theirs, Strategy::Newest] {
            site.on_conflict(strategy);
            let report = site.sync(&cloud);
            assert_eq!(waits(&report), [Waits::SeveralRemotes]);
            assert_eq!(cloud.dump(), before);
        }
        site.on_conflict(Strategy::Hold);
        site.resolve("db", &Choice::Ours);
        while !site.sync(&cloud).conflicts.is_empty() {
            site.resolve("db", &Choice::Ours);
        }
        for account in ["a", "b"] {
            assert_eq!(serves(cloud.account(account), "db"), "base");
        }
        nothing_lost(&site, "db", &[1, 2, 3]);
        site.assert_quiet(&cloud);
    }
}

#[test]
fn deletions_by_strategy_count_for_the_guard() {
    let scene = |strategy| {
        let cloud = Cloud::new();
        for n in 0..12 {
            cloud.put(&format!("s{n}"), n + 1, "old");
        }
        let mut site = Site::new(&cloud);
        site.sync(&cloud);
        site.on_conflict(strategy);
        (cloud, site)
    };
    let halted = |site: &Site, cloud: &Cloud| {
        let before = (site.dump(), cloud.dump());
        match site.try_sync(&cloud.stores) {
            Err(SyncError::Halted(Halt::TooManyDeletions { deletions: 11, .. })) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!((site.dump(), cloud.dump()), before);
    };
    // Deleted there, edited here: theirs deletes in the vault.
    let (cloud, mut site) = scene(Strategy::Theirs);
    for n in 0..11 {
        site.put(&format!("s{n}"), 100 + n, "edit");
        cloud.delete(&format!("s{n}"));
    }
    halted(&site, &cloud);
    site.limits = Limits {
        count: 11,
        ..Limits::default()
    };
    site.sync(&cloud);
    assert!(!site.state("s0").lifecycle.is_live());
    nothing_lost(&site, "s0", &[1, 100]);
    site.assert_quiet(&cloud);

    // Deleted here, edited there: ours deletes in the account.
    let (cloud, site) = scene(Strategy::Ours);
    for n in 0..11 {
        cloud.put(&format!("s{n}"), 100 + n, "edit");
        site.delete(&format!("s{n}"));
    }
    halted(&site, &cloud);
}

#[test]
fn ours_brings_back_what_was_deleted_there_and_theirs_gives_up_the_deletion_here() {
    let (cloud, mut site) = in_step();
    site.put("db", 2, "ours");
    cloud.delete("db");
    site.on_conflict(Strategy::Ours);
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "ours");
    site.assert_quiet(&cloud);

    cloud.put("db", 3, "theirs");
    site.delete("db");
    site.on_conflict(Strategy::Theirs);
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "theirs");
    nothing_lost(&site, "db", &[2, 3]);
    site.assert_quiet(&cloud);
}

#[test]
fn what_was_made_anew_there_is_taken_or_overwritten_and_nothing_is_lost() {
    for strategy in [Strategy::Ours, Strategy::Theirs] {
        let (cloud, mut site) = in_step();
        site.put("db", 2, "ours");
        cloud.prod().as_console_purge(&name("db"));
        cloud.put("db", 3, "anew");
        // The new one has an id of the old one for another value.
        cloud.put_labelled("db", 1, &text("another base"), &["X"]);
        site.on_conflict(strategy);
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts, [], "{strategy:?}");
        if strategy == Strategy::Ours {
            assert_eq!(cloud.serves("db"), "ours");
            nothing_lost(&site, "db", &[2, 3]);
        } else {
            assert_eq!(site.serves("db"), "anew");
            let aside = site.records().into_keys().find(|n| *n != name("db"));
            let aside = aside.expect("the old one is put aside");
            assert_eq!(site.bytes(aside.as_str(), &id(2)), b"ours");
            assert_eq!(site.bytes(aside.as_str(), &id(1)), b"base");
            assert_eq!(site.lost(aside.as_str()), [id(2)]);
        }
        site.assert_quiet(&cloud);
    }
}

#[test]
fn a_name_that_is_scheduled_there_is_brought_back_and_met_in_the_same_run() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "theirs");
    cloud.delete("db");
    let mut site = Site::new(&cloud);
    site.put("db", 2, "ours");
    site.on_conflict(Strategy::Ours);
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, [], "{report:?}");
    assert_eq!(cloud.serves("db"), "ours");
    assert_eq!(site.bytes("db", &id(1)), b"theirs");
    assert_eq!(site.lost("db"), [id(1)]);
    site.assert_quiet(&cloud);
}

/// The modes of sync.md section 1.8 that are a direction and a strategy.
#[test]
fn one_way_modes_keep_their_direction_whoever_is_to_win() {
    let one_way = |direction| RemotePolicy {
        direction,
        ..RemotePolicy::default()
    };
    // Only pulled: what is here cannot win, and is not taken for an answer.
    let (cloud, mut site) = both_edited(3600);
    site.allow("prod", one_way(Direction::Pull));
    let before = cloud.dump();
    site.on_conflict(Strategy::Ours);
    let report = site.sync(&cloud);
    assert!(
        matches!(waits(&report)[..], [Waits::NotPushed(_)]),
        "{report:?}"
    );
    site.on_conflict(Strategy::Theirs);
    site.sync(&cloud);
    assert_eq!(cloud.dump(), before);
    assert_eq!(site.serves("db"), "theirs");
    nothing_lost(&site, "db", &[2, 3]);
    site.assert_quiet(&cloud);

    // Only pushed: what is there cannot win, and is kept when it loses.
    let (cloud, mut site) = both_edited(3600);
    site.allow("prod", one_way(Direction::Push));
    for strategy in [Strategy::Theirs, Strategy::Newest] {
        site.on_conflict(strategy);
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts.len(), 1);
        assert_eq!(waits(&report), [Waits::NotPulled]);
    }
    site.on_conflict(Strategy::Ours);
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "ours");
    assert_eq!(site.bytes("db", &id(3)), b"theirs");
    assert_eq!(site.lost("db"), [id(3)]);
    site.assert_quiet(&cloud);
}

#[test]
fn a_rotated_secret_is_not_overwritten_by_a_strategy() {
    let (cloud, mut site) = both_edited(3600);
    cloud
        .prod()
        .edit_facts(&name("db"), |f| f.rotation_enabled = true);
    site.on_conflict(Strategy::Ours);
    let report = site.sync(&cloud);
    assert!(
        matches!(waits(&report)[..], [Waits::NotPushed(_)]),
        "{report:?}"
    );
    assert_eq!(cloud.serves("db"), "theirs");
    site.on_conflict(Strategy::Newest);
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "theirs");
}

#[test]
fn what_changes_between_plan_and_push_is_left_for_the_next_run() {
    let (cloud, mut site) = both_edited(3600);
    site.on_conflict(Strategy::Ours);
    let options = site.options();
    let stores = &cloud.stores;
    let progress = &strongroom::store::Silent;
    let report = run(async {
        let mut views = BTreeMap::new();
        for (remote, store) in stores {
            let view = strongroom::sync::fetch(&site.vault, remote, store, options.now, progress);
            views.insert(remote.clone(), view.await.unwrap());
        }
        let prepared = strongroom::sync::prepare(&site.vault, views, &options.policy).unwrap();
        assert_eq!(prepared.plan.answers().count(), 1);
        cloud.put("db", 4, "newer");
        strongroom::sync::apply_plan(&site.vault, stores, prepared, &options, progress).await
    });
    assert_eq!(undone(&report.unwrap()).len(), 1);
    assert_eq!(cloud.serves("db"), "newer");
    assert_eq!(site.serves("db"), "ours");
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "ours");
    nothing_lost(&site, "db", &[2, 3, 4]);
    site.assert_quiet(&cloud);
}

#[test]
fn two_clones_with_the_same_strategy_write_the_same_bytes() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "base");
    let mut ann = Site::with_git(&cloud);
    ann.sync(&cloud);
    ann.put("db", 2, "ours");
    let mut bob = ann.clone_with_git();
    cloud.clock.pass(3600);
    cloud.put("db", 3, "theirs");
    for site in [&mut ann, &mut bob] {
        cloud.clock.pass(60);
        site.on_conflict(Strategy::Newest);
        site.sync(&cloud);
    }
    let file = |site: &Site| std::fs::read(site.root().join("secrets/db.toml")).unwrap();
    assert_eq!(file(&ann), file(&bob));
    assert_eq!(bob.serves("db"), "theirs");
}
