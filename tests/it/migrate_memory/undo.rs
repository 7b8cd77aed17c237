use strongroom::migrate::{Findings, MigrateError, Outcome, Retire, Rules};
use strongroom::model::{Attributes, Change};
use strongroom::store::StoreError;

use super::house::{House, everything, label, name, outcome, put, rules, start, vid};

fn broken() -> StoreError {
    StoreError::Unreachable {
        detail: "cut".into(),
    }
}

#[test]
fn a_roll_back_takes_away_what_was_made_and_can_be_taken_back() {
    let house = House::furnished();
    put(&house.to, "other", 60, "theirs", &[]);
    let plan = house.moved();
    let source = everything(&house.from);
    let report = house.rollback(&plan);
    assert!(report.is_complete());
    assert_eq!(report.count(|o| *o == Outcome::Done), 3);
    let there = house.to.state();
    for target in ["live/db", "live/one", "live/api"] {
        let state = there.get(&name(target)).expect("a window, never at once");
        match state.lifecycle {
            strongroom::model::Lifecycle::Scheduled { date } => {
                assert_eq!(date, Some(start().plus_days(7)));
            }
            other => panic!("{target}: {other:?}"),
        }
    }
    assert!(there.get(&name("other")).unwrap().lifecycle.is_live());
    assert_eq!(everything(&house.from), source);
    // Again, and nothing happens; a new copy needs the names back.
    assert_eq!(house.rollback(&plan).count(|o| *o == Outcome::Same), 3);
    let report = house.apply(&plan, false);
    assert_eq!(report.count(|o| matches!(o, Outcome::Skipped(_))), 3);
    // A new plan has a journal of its own.
    std::fs::remove_file(house.journal_file()).unwrap();
    let plan = house.plan_with(Rules {
        restore: true,
        ..rules()
    });
    assert!(house.apply(&plan, false).is_complete());
    assert!(house.verify(&plan).is_clean());
}

#[test]
fn a_roll_back_leaves_alone_what_it_did_not_make_or_others_have_changed() {
    let house = House::furnished();
    // There before, with the same content.
    put(&house.to, "live/one", 11, "only", &[]);
    let plan = house.plan();
    assert!(house.apply(&plan, false).is_complete());
    put(&house.to, "live/db", 70, "theirs", &[]);
    let change = Change::MoveLabel {
        label: label("AWSPREVIOUS"),
        from: Some(vid(22)),
        to: None,
    };
    house.to.as_console(&name("live/api"), &change).unwrap();
    let report = house.rollback(&plan);
    assert_eq!(
        report.count(|o| matches!(o, Outcome::Skipped(_))),
        3,
        "{report:?}"
    );
    let there = house.to.state();
    assert!(there.0.values().all(|s| s.lifecycle.is_live()));
}

#[test]
fn a_roll_back_without_a_journal_deletes_nothing() {
    let house = House::furnished();
    let plan = house.moved();
    std::fs::remove_file(house.journal_file()).unwrap();
    let report = house.rollback(&plan);
    assert_eq!(report.count(|o| matches!(o, Outcome::Skipped(_))), 3);
    assert!(house.to.state().0.values().all(|s| s.lifecycle.is_live()));
}

#[test]
fn half_a_copy_is_rolled_back_after_a_cut_at_any_call() {
    let calls = {
        let house = House::furnished();
        let plan = house.plan();
        house.to.reset_calls();
        assert!(house.apply(&plan, false).is_complete());
        house.to.total_calls()
    };
    for at in 0..calls {
        let house = House::furnished();
        put(&house.to, "other", 60, "theirs", &[]);
        let plan = house.plan();
        house.to.fail_at(at, true, broken());
        assert!(house.apply(&plan, false).stopped.is_some(), "{at}");
        let report = house.rollback(&plan);
        let there = house.to.state();
        for (target, state) in &there.0 {
            let is_ours = target.as_str().starts_with("live/");
            assert_eq!(
                state.lifecycle.is_live(),
                !is_ours,
                "{at} {target}: {report:?}"
            );
        }
    }
}

#[test]
fn a_bare_secret_that_somebody_made_meanwhile_is_not_taken_for_ours() {
    let house = House::furnished();
    let plan = house.plan();
    // The intent is written down, and then the first call fails.
    house.to.fail_at(4, false, broken());
    assert!(house.apply(&plan, false).stopped.is_some());
    let create = Change::Create {
        attributes: Attributes::default(),
        version: None,
    };
    let free: Vec<_> = ["live/db", "live/one", "live/api"]
        .into_iter()
        .filter(|n| house.to.state().get(&name(n)).is_none())
        .collect();
    assert!(!free.is_empty());
    for target in &free {
        house.to.as_console(&name(target), &create).unwrap();
    }
    house.rollback(&plan);
    for target in free {
        let there = house.to.state();
        assert!(
            there.get(&name(target)).unwrap().lifecycle.is_live(),
            "{target}"
        );
    }
}

/// A house whose secrets were copied three days ago and read by nobody since.
fn settled() -> (House, strongroom::migrate::Migration) {
    let mut house = House::furnished();
    let plan = house.moved();
    for source in ["prod/db", "prod/one", "prod/api"] {
        house
            .from
            .edit_particulars(&name(source), |p| p.accessed = Some(start()));
    }
    house.now = start().plus_days(3);
    house.from.set_now(house.now);
    (house, plan)
}

fn is_live(house: &House, source: &str) -> bool {
    let state = house.from.state();
    state.get(&name(source)).unwrap().lifecycle.is_live()
}

#[test]
fn a_verified_and_quiet_source_is_retired_for_thirty_days() {
    let (house, plan) = settled();
    let trial = Retire {
        dry_run: true,
        ..Retire::default()
    };
    let report = house.retire(&plan, trial).unwrap();
    assert_eq!(report.count(|o| *o == Outcome::Done), 3);
    assert!(is_live(&house, "prod/db"));
    let report = house.retire(&plan, Retire::default()).unwrap();
    assert_eq!(report.count(|o| *o == Outcome::Done), 3);
    let state = house.from.state();
    for source in ["prod/db", "prod/one", "prod/api"] {
        match state.get(&name(source)).unwrap().lifecycle {
            strongroom::model::Lifecycle::Scheduled { date } => {
                assert_eq!(date, Some(house.now.plus_days(30)));
            }
            other => panic!("{source}: {other:?}"),
        }
    }
    assert_eq!(
        house
            .retire(&plan, Retire::default())
            .unwrap()
            .count(|o| *o == Outcome::Same),
        3
    );
    let again = house.apply(&plan, true);
    assert_eq!(again.count(|o| *o == Outcome::Same), 3, "{again:?}");
    // The copies are all there is now: they are not rolled back.
    let report = house.rollback(&plan);
    assert_eq!(report.count(|o| matches!(o, Outcome::Skipped(_))), 3);
    let found: Findings = house.verify(&plan);
    assert!(found.is_clean(), "{found:?}");
}

#[test]
fn nothing_is_retired_unless_all_is_verified_and_unchanged() {
    type Spoil = (&'static str, fn(&House));
    let table: Vec<Spoil> = vec![
        ("not verified", |h| {
            std::fs::remove_file(h.journal_file()).unwrap();
        }),
        ("source changed", |h| h.put("prod/one", 12, "newer", &[])),
        ("copy gone", |h| h.to.as_console_purge(&name("live/one"))),
        ("copy changed", |h| {
            put(&h.to, "live/one", 70, "theirs", &[]);
        }),
        ("copy on its way out", |h| {
            h.to.as_console(&name("live/one"), &Change::Delete { date: None })
                .unwrap();
        }),
    ];
    for (what, spoil) in table {
        let (house, plan) = settled();
        spoil(&house);
        let how = Retire {
            even_if_read: true,
            ..Retire::default()
        };
        match house.retire(&plan, how) {
            Err(MigrateError::NotQuiet(names)) => assert!(names.contains(&name("prod/one"))),
            other => panic!("{what}: {other:?}"),
        }
        for source in ["prod/db", "prod/one", "prod/api"] {
            assert!(is_live(&house, source), "{what}: {source}");
        }
    }
}

#[test]
fn a_source_that_is_still_read_stays() {
    let (house, plan) = settled();
    let one = name("prod/one");
    let read = |days: i64| {
        house
            .from
            .edit_particulars(&one, |p| p.accessed = Some(start().plus_days(days)));
    };
    read(1);
    let report = house.retire(&plan, Retire::default()).unwrap();
    assert!(
        matches!(outcome(&report, "prod/one"), Outcome::Skipped(why) if why.contains("2026-11-21"))
    );
    assert_eq!(*outcome(&report, "prod/db"), Outcome::Done);
    assert!(is_live(&house, "prod/one"));
    // Read before a later cut-over, it may go; told so, it may go in any case.
    let later = Retire {
        cut_over: Some(start().plus_days(2)),
        dry_run: true,
        ..Retire::default()
    };
    let report = house.retire(&plan, later).unwrap();
    assert_eq!(*outcome(&report, "prod/one"), Outcome::Done);
    let anyway = Retire {
        even_if_read: true,
        ..Retire::default()
    };
    let report = house.retire(&plan, anyway).unwrap();
    assert_eq!(*outcome(&report, "prod/one"), Outcome::Done);
    assert!(!is_live(&house, "prod/one"));
}

#[test]
fn aws_4_on_the_day_of_the_copy_nobody_knows_who_read() {
    let (mut house, plan) = settled();
    house.now = start();
    let report = house.retire(&plan, Retire::default()).unwrap();
    assert_eq!(report.count(|o| matches!(o, Outcome::Skipped(_))), 3);
    assert!(is_live(&house, "prod/db"));
}
