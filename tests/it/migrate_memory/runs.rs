use strongroom::migrate::{Made, Outcome, Rules, Stage, apply};
use strongroom::model::Change;
use strongroom::store::{Call, StoreError};

use super::house::{CANARY, House, item, label, name, outcome, put, rules, run, vid};

fn broken() -> StoreError {
    StoreError::Unreachable {
        detail: "cut".into(),
    }
}

#[test]
fn everything_arrives_under_the_same_ids_and_a_second_run_does_nothing() {
    let house = House::furnished();
    let before = super::house::everything(&house.from);
    let plan = house.plan();
    let report = house.apply(&plan, false);
    assert!(report.is_complete());
    assert_eq!(report.count(|o| *o == Outcome::Done), 3);
    for (source, target) in [
        ("prod/db", "live/db"),
        ("prod/one", "live/one"),
        ("prod/api", "live/api"),
    ] {
        let (a, b) = (house.from.state(), house.to.state());
        let (a, b) = (a.get(&name(source)).unwrap(), b.get(&name(target)).unwrap());
        assert_eq!(a.labels, b.labels, "{source}");
        assert_eq!(a.attributes, b.attributes);
        for id in a.labels.values() {
            let (x, y) = (
                house.from.peek(&name(source), id).unwrap(),
                house.to.peek(&name(target), id).unwrap(),
            );
            assert!(x.same_as(&y), "{source} {id}");
        }
    }
    // prod/api's first version had lost its labels.
    assert!(house.to.peek(&name("live/api"), &vid(21)).is_none());
    // AWSCURRENT was right from the first moment on.
    assert_eq!(house.to.current_moves().len(), 3);
    assert_eq!(super::house::everything(&house.from), before);

    let there = house.target();
    house.to.reset_calls();
    house.from.reset_calls();
    let again = house.apply(&plan, false);
    assert_eq!(again.count(|o| *o == Outcome::Same), 3);
    assert_eq!(house.to.total_calls(), 0);
    assert_eq!(house.from.total_calls(), 1);

    // Without the journal it costs calls, and nothing else.
    std::fs::remove_file(house.journal_file()).unwrap();
    let again = house.apply(&plan, false);
    assert_eq!(again.count(|o| *o == Outcome::Same), 3, "{again:?}");
    assert!(
        house.to.calls().keys().all(|c| !c.is_write()),
        "{:?}",
        house.to.calls()
    );
    assert_eq!(house.target(), there);
    assert!(house.verify(&plan).is_clean());
    assert!(house.blind(&rules()).is_clean());
}

#[test]
fn history_comes_too_when_asked_and_leaves_no_scaffolding() {
    let house = House::furnished();
    let plan = house.plan_with(Rules {
        history: true,
        ..rules()
    });
    assert_eq!(item(&plan, "prod/api").versions.len(), 3);
    assert!(house.apply(&plan, false).is_complete());
    let api = name("live/api");
    let value = house.to.peek(&api, &vid(21)).unwrap();
    assert_eq!(value.expose_secret(), [0, 255, 7]);
    let labels = house.to.state().get(&api).unwrap().labels.clone();
    assert_eq!(
        labels,
        house.from.state().get(&name("prod/api")).unwrap().labels
    );
    assert!(house.verify(&plan).is_clean());
    // A second run, journal lost, finds the unlabelled one there.
    std::fs::remove_file(house.journal_file()).unwrap();
    house.to.reset_calls();
    assert!(house.apply(&plan, false).is_complete());
    assert!(!house.to.calls().contains_key(&Call::Put));
}

#[test]
fn cut_off_after_any_call_a_second_run_ends_the_same() {
    let whole = House::furnished();
    let plan = whole.plan_with(Rules {
        history: true,
        ..rules()
    });
    whole.from.reset_calls();
    whole.to.reset_calls();
    assert!(whole.apply(&plan, false).is_complete());
    let wanted = whole.target();
    let (reads, writes) = (whole.from.total_calls(), whole.to.total_calls());
    assert!(reads >= 8 && writes >= 12, "{reads} {writes}");
    let mut points = 0;
    for after_effect in [false, true] {
        for lose_journal in [false, true] {
            for (on_target, calls) in [(true, writes), (false, reads)] {
                for at in 0..calls {
                    let house = House::furnished();
                    let plan = house.plan_with(Rules {
                        history: true,
                        ..rules()
                    });
                    let store = if on_target { &house.to } else { &house.from };
                    store.fail_at(at, after_effect, broken());
                    let first = house.apply(&plan, false);
                    let point = format!("{on_target} {at} {after_effect} {lose_journal}");
                    assert!(first.stopped.is_some(), "{point}");
                    if lose_journal {
                        std::fs::remove_file(house.journal_file()).unwrap();
                    }
                    let second = house.apply(&plan, false);
                    assert!(second.is_complete(), "{point}: {second:?}");
                    assert_eq!(house.target(), wanted, "{point}");
                    for (secret, from, to) in house.to.current_moves() {
                        assert_eq!(from, None, "{point}: {secret} {to:?}");
                    }
                    assert!(house.verify(&plan).is_clean(), "{point}");
                    points += 1;
                }
            }
        }
    }
    assert_eq!(points, 4 * (reads + writes));
}

#[test]
fn a_changed_source_waits_for_a_delta_and_the_delta_runs_until_quiet() {
    let house = House::furnished();
    let plan = house.plan();
    house.put("prod/one", 12, "newer", &[]);
    let report = house.apply(&plan, false);
    assert_eq!(*outcome(&report, "prod/one"), Outcome::Changed);
    assert_eq!(*outcome(&report, "prod/db"), Outcome::Done);
    assert!(house.to.state().get(&name("live/one")).is_none());

    let report = house.apply(&plan, true);
    assert!(report.is_complete() && report.quiet, "{report:?}");
    assert_eq!(*outcome(&report, "prod/one"), Outcome::Done);
    // Everything that can change, changes after it was copied.
    house.put("prod/one", 13, "newest", &[]);
    house.describe("prod/one", "told", &[("a", "b")]);
    let change = Change::MoveLabel {
        label: label("blue"),
        from: Some(vid(3)),
        to: Some(vid(2)),
    };
    house.from.as_console(&name("prod/db"), &change).unwrap();
    let change = Change::MoveLabel {
        label: label("green"),
        from: Some(vid(3)),
        to: None,
    };
    house.from.as_console(&name("prod/db"), &change).unwrap();
    house.put("prod/new", 50, "fresh", &[]);

    let stale = house.verify(&plan).stale;
    assert_eq!(stale, [name("prod/db"), name("prod/one")]);
    let report = house.apply(&plan, true);
    assert!(report.is_complete() && report.quiet, "{report:?}");
    assert_eq!(report.passes, 2);
    assert_eq!(report.fresh, [name("prod/new")]);
    for (source, target) in [("prod/db", "live/db"), ("prod/one", "live/one")] {
        let (a, b) = (house.from.state(), house.to.state());
        let (a, b) = (a.get(&name(source)).unwrap(), b.get(&name(target)).unwrap());
        assert_eq!(
            (&a.labels, &a.attributes),
            (&b.labels, &b.attributes),
            "{source}"
        );
    }
    assert!(house.verify(&plan).is_clean());
    assert!(house.apply(&plan, true).quiet);
    // AWSCURRENT never went back.
    let one: Vec<_> = house
        .to
        .current_moves()
        .into_iter()
        .filter(|(n, ..)| *n == name("live/one"))
        .map(|(_, _, to)| to)
        .collect();
    assert_eq!(one, [Some(vid(12)), Some(vid(13))]);
}

#[test]
fn a_writer_in_the_middle_is_caught_up_with() {
    let house = House::furnished();
    let plan = house.plan();
    // The source changes after the first copy, before the rest: the store is written
    // to as soon as a call fails, and the run is taken up again.
    house.to.fail_at(5, true, broken());
    assert!(house.apply(&plan, true).stopped.is_some());
    house.put("prod/db", 4, "in the middle", &[]);
    house.put("prod/one", 12, "in the middle", &[]);
    house.put("prod/api", 24, "in the middle", &[]);
    let report = house.apply(&plan, true);
    assert!(report.is_complete() && report.quiet, "{report:?}");
    assert!(house.verify(&plan).is_clean());
    assert!(
        house.blind(&rules()).is_clean(),
        "{:?}",
        house.blind(&rules())
    );
}

#[test]
fn somebody_else_on_the_target_is_left_alone() {
    let house = House::furnished();
    let plan = house.plan();
    // The name is taken between plan and apply.
    put(&house.to, "live/one", 77, "theirs", &[]);
    let report = house.apply(&plan, false);
    assert!(matches!(outcome(&report, "prod/one"), Outcome::Skipped(why) if why.contains("taken")));
    assert_eq!(*outcome(&report, "prod/db"), Outcome::Done);
    // Somebody writes to a copy.
    put(&house.to, "live/db", 78, "theirs", &[]);
    house.put("prod/db", 5, "ours", &[]);
    let report = house.apply(&plan, true);
    assert!(
        matches!(outcome(&report, "prod/db"), Outcome::Skipped(_)),
        "{report:?}"
    );
    assert_eq!(
        house.to.state().get(&name("live/db")).unwrap().current(),
        Some(&vid(78))
    );
    let found = house.verify(&plan);
    assert!(found.differ.contains_key(&name("prod/db")), "{found:?}");
}

#[test]
fn parts_share_the_work_and_leave_nothing_out() {
    let house = House::new();
    for n in 0..40 {
        house.put(&format!("prod/s{n}"), n, &n.to_string(), &[]);
    }
    let plan = house.plan();
    let mut done = 0;
    for k in 1..=4 {
        let journal = house.journal();
        let mut part = house.with(&journal);
        part.part = Some((k, 4));
        let report = run(apply(&plan, &part, false)).unwrap();
        assert!(report.is_complete());
        assert!(report.outcomes.len() < 40 && !report.outcomes.is_empty());
        done += report.outcomes.len();
    }
    assert_eq!(done, 40);
    assert_eq!(house.verify(&plan).ok.len(), 40);
}

#[test]
fn verification_sees_each_kind_of_difference() {
    let differs = |spoil: fn(&House)| -> (String, String) {
        let house = House::furnished();
        let plan = house.moved();
        spoil(&house);
        let text = |found: &strongroom::migrate::Findings| {
            let missing = if found.missing.is_empty() {
                ""
            } else {
                "missing"
            };
            format!("{:?} {missing}", found.differ.values().collect::<Vec<_>>())
        };
        (text(&house.verify(&plan)), text(&house.blind(&rules())))
    };
    type Spoil = (&'static str, bool, fn(&House));
    let table: Vec<Spoil> = vec![
        ("labels", true, |h| {
            let change = Change::MoveLabel {
                label: label("blue"),
                from: Some(vid(3)),
                to: Some(vid(1)),
            };
            h.to.as_console(&name("live/db"), &change).unwrap();
        }),
        ("description", true, |h| {
            let from =
                h.to.state()
                    .get(&name("live/db"))
                    .unwrap()
                    .attributes
                    .clone();
            let mut to = from.clone();
            to.description = None;
            h.to.as_console(&name("live/db"), &Change::SetAttributes { from, to })
                .unwrap();
        }),
        ("tags", true, |h| {
            let from =
                h.to.state()
                    .get(&name("live/db"))
                    .unwrap()
                    .attributes
                    .clone();
            let mut to = from.clone();
            to.tags.clear();
            h.to.as_console(&name("live/db"), &Change::SetAttributes { from, to })
                .unwrap();
        }),
        ("KMS key", true, |h| {
            h.to.edit_facts(&name("live/db"), |f| f.kms_key = Some("k".into()));
        }),
        ("resource policy", true, |h| {
            h.to.as_console_policy(&name("live/db"), None);
        }),
        ("resource policy", true, |h| {
            let other = r#"{"Version":"2012-10-17","Statement":[{"Sid":"x"}]}"#;
            h.to.as_console_policy(&name("live/one"), Some(other));
        }),
        // What was promised: a copy has none, whatever the source has.
        ("replicas", true, |h| {
            h.to.edit_particulars(&name("live/db"), |p| {
                p.replicas = vec!["eu-north-1".to_owned()];
            });
        }),
        ("missing", true, |h| h.to.as_console_purge(&name("live/db"))),
        ("scheduled", true, |h| {
            h.to.as_console(&name("live/db"), &Change::Delete { date: None })
                .unwrap();
        }),
        ("value of version", true, |h| {
            // Made anew with other values under the same ids.
            h.to.as_console_purge(&name("live/one"));
            put(&h.to, "live/one", 11, "forged", &[]);
        }),
    ];
    // The same key by its other name is no difference.
    assert_eq!(
        differs(|h| {
            h.to.edit_facts(&name("live/db"), |f| {
                f.kms_key = Some("alias/aws/secretsmanager".into());
            });
        })
        .0,
        "[] "
    );
    for (word, blind_too, spoil) in table {
        let (seen, blind) = differs(spoil);
        assert!(seen.contains(word), "{word}: {seen}");
        assert!(!blind_too || blind.contains(word), "{word}: {blind}");
    }
}

#[test]
fn the_journal_knows_each_stage_and_holds_no_value() {
    let house = House::furnished();
    let plan = house.moved();
    let journal = house.journal();
    for item in plan.ready() {
        assert_eq!(
            journal.stage(&item.source),
            (Stage::Verified, Made::Created)
        );
    }
    let text = std::fs::read_to_string(house.journal_file()).unwrap();
    for word in [
        "planned", "created", "versions", "labels", "meta", "verified",
    ] {
        assert!(text.contains(&format!("\"stage\":\"{word}\"")), "{word}");
    }
    assert!(!text.contains(CANARY));
    assert!(!text.contains(&data_encoding::BASE64.encode(CANARY.as_bytes())));
}
