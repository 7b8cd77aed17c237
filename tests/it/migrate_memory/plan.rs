use std::collections::BTreeMap;

use strongroom::crypto::{Identity, KeyringKeys, MacError};
use strongroom::migrate::{
    MigrateError, Migration, PlanError, Policies, Rules, Survey, markdown, survey,
};
use strongroom::model::Change;
use strongroom::store::{Call, Silent};

use super::house::{CANARY, FROM, House, VAULT, item, label, name, put, rules, run, vid};

#[test]
fn a_plan_says_what_moves_and_holds_no_value() {
    let house = House::furnished();
    let plan = house.plan();
    assert_eq!(plan.items.len(), 3);
    assert_eq!(plan.ready().count(), 3);
    let db = item(&plan, "prod/db");
    assert_eq!(db.target, name("live/db"));
    let versions: Vec<_> = db
        .versions
        .iter()
        .map(|v| (v.id.clone(), v.labels.clone()))
        .collect();
    // Oldest first.
    assert_eq!(
        versions,
        [
            (vid(1), vec![label("AWSPREVIOUS")]),
            (vid(2), vec![label("AWSCURRENT")]),
            (vid(3), vec![label("blue"), label("green")]),
        ]
    );
    assert!(db.policy.is_some());
    let sealed = plan.seal(&house.keys).unwrap();
    for text in [&sealed, &markdown(&plan), &format!("{plan:?}")] {
        assert!(!text.contains(CANARY));
        assert!(text.contains("live/db"));
    }
    assert_eq!(Migration::open(&sealed, VAULT, &house.keys).unwrap(), plan);
    // Nothing was written anywhere.
    for store in [&house.from, &house.to] {
        assert!(store.calls().keys().all(|call| !call.is_write()));
    }
}

#[test]
fn an_altered_plan_or_one_of_another_vault_is_refused() {
    let house = House::furnished();
    let sealed = house.plan().seal(&house.keys).unwrap();
    let altered = sealed.replacen("live/db", "live/xx", 1);
    assert_ne!(altered, sealed);
    let open = |text: &str, vault: &str, keys: &KeyringKeys| Migration::open(text, vault, keys);
    assert!(matches!(
        open(&altered, VAULT, &house.keys),
        Err(PlanError::Mac(MacError::Mismatch))
    ));
    let other = KeyringKeys::new(Identity::generate(), VAULT);
    assert!(matches!(
        open(&sealed, VAULT, &other),
        Err(PlanError::Mac(MacError::Mismatch))
    ));
    assert!(matches!(
        open(&sealed, "other", &house.keys),
        Err(PlanError::OtherVault)
    ));
    let domain = strongroom::crypto::Domain::Plan;
    let sync = house
        .keys
        .seal_text(domain, "{\"format\":1}".into())
        .unwrap();
    assert!(matches!(
        open(&sync, VAULT, &house.keys),
        Err(PlanError::Malformed(_))
    ));
    let newer = "{\"format\":2,\"kind\":\"migration\"}".to_owned();
    let newer = house.keys.seal_text(domain, newer).unwrap();
    assert!(matches!(
        open(&newer, VAULT, &house.keys),
        Err(PlanError::NewerFormat(2))
    ));
}

#[test]
fn source_and_target_must_be_two_places() {
    let house = House::furnished();
    let mut head = house.head();
    head.to = head.from.clone();
    head.to.remote = "other".into();
    let same = Survey {
        from: &house.from,
        to: &house.from,
        keys: &house.keys,
        rules: Rules::default(),
        progress: &Silent,
    };
    assert!(matches!(
        run(survey(head, same)),
        Err(MigrateError::SamePlace)
    ));
}

/// Something that keeps a secret from moving, and a word of the reason.
type Obstacle = (&'static str, fn(&House), Rules);

#[test]
fn sync_6_what_cannot_move_says_why() {
    let obstacles: Vec<Obstacle> = vec![
        (
            "owned by the AWS service rds",
            |h| {
                h.from
                    .edit_facts(&name("prod/one"), |f| f.owning_service = Some("rds".into()));
            },
            rules(),
        ),
        (
            "replica",
            |h| {
                h.from.edit_facts(&name("prod/one"), |f| f.replica = true);
            },
            rules(),
        ),
        (
            "partner",
            |h| {
                h.from
                    .edit_particulars(&name("prod/one"), |p| p.external = Some("Acme".into()));
            },
            rules(),
        ),
        (
            "rotated by arn:fn",
            |h| {
                h.from
                    .edit_facts(&name("prod/one"), |f| f.rotation_enabled = true);
                h.from
                    .edit_particulars(&name("prod/one"), |p| p.function = Some("arn:fn".into()));
            },
            rules(),
        ),
        (
            "scheduled for deletion on the source",
            |h| {
                h.from
                    .as_console(&name("prod/one"), &Change::Delete { date: None })
                    .unwrap();
            },
            rules(),
        ),
        (
            "--kms",
            |h| {
                h.from
                    .edit_facts(&name("prod/one"), |f| f.kms_key = Some("alias/own".into()));
            },
            rules(),
        ),
        (
            "--account-rewrite",
            |h| {
                let text = format!("{{\"Principal\":\"arn:aws:iam::{FROM}:role/x\"}}");
                h.from.as_console_policy(&name("prod/one"), Some(&text));
            },
            rules(),
        ),
        ("denied", |h| h.from.deny(&name("prod/one"), true), rules()),
        (
            "taken: version",
            |h| put(&h.to, "live/one", 99, "other", &[]),
            rules(),
        ),
        (
            "has another value",
            |h| put(&h.to, "live/one", 11, "other", &[]),
            rules(),
        ),
        (
            "without a version",
            |h| {
                let create = Change::Create {
                    attributes: strongroom::model::Attributes::default(),
                    version: None,
                };
                h.to.as_console(&name("live/one"), &create).unwrap();
            },
            rules(),
        ),
        (
            "with other content",
            |h| {
                put(&h.to, "live/one", 99, "other", &[]);
                h.to.as_console(&name("live/one"), &Change::Delete { date: None })
                    .unwrap();
            },
            rules(),
        ),
        (
            "--restore",
            |h| {
                put(&h.to, "live/one", 11, "only", &[]);
                h.to.as_console(&name("live/one"), &Change::Delete { date: None })
                    .unwrap();
            },
            rules(),
        ),
        (
            "prod/one and prod/api would both become x",
            |_| {},
            Rules {
                map: vec!["prod/one=x".parse().unwrap(), "prod/api=x".parse().unwrap()],
                ..Rules::default()
            },
        ),
        (
            "differ in case",
            |_| {},
            Rules {
                map: vec!["prod/one=x".parse().unwrap(), "prod/api=X".parse().unwrap()],
                ..Rules::default()
            },
        ),
        (
            "at most 512",
            |_| {},
            Rules {
                map: vec![format!("prod/one={}", "x".repeat(513)).parse().unwrap()],
                ..Rules::default()
            },
        ),
        (
            "invalid name",
            |_| {},
            Rules {
                map: vec!["prod/one=a b".parse().unwrap()],
                ..Rules::default()
            },
        ),
        (
            "at most 50 tags",
            |_| {},
            Rules {
                tags: (0..51).map(|n| (n.to_string(), String::new())).collect(),
                ..rules()
            },
        ),
    ];
    for (word, make, rules) in obstacles {
        let house = House::furnished();
        make(&house);
        let plan = house.plan_with(rules);
        let item = item(&plan, "prod/one");
        assert!(!item.is_ready(), "{word}");
        let why = item.reasons.join("; ");
        assert!(why.contains(word), "{word}: {why}");
        assert!(markdown(&plan).contains("Cannot be copied"));
        // It is left alone, whatever else goes on.
        let before = house.to.state().get(&name("live/one")).cloned();
        house.apply(&plan, true);
        assert_eq!(
            house.to.state().get(&name("live/one")).cloned(),
            before,
            "{word}"
        );
    }
}

#[test]
fn what_may_move_all_the_same_moves_when_asked() {
    let house = House::furnished();
    let one = name("prod/one");
    house.from.edit_facts(&one, |f| {
        f.rotation_enabled = true;
        f.kms_key = Some("alias/own".into());
    });
    let text = format!("{{\"Principal\":\"arn:aws:iam::{FROM}:role/x\"}}");
    house.from.as_console_policy(&one, Some(&text));
    put(&house.from, "prod/one", 12, "rotating", &["AWSPENDING"]);
    put(&house.to, "live/one", 11, "only", &[]);
    house
        .to
        .as_console(&name("live/one"), &Change::Delete { date: None })
        .unwrap();
    let plan = house.plan_with(Rules {
        kms: BTreeMap::from([("alias/own".into(), "alias/theirs".into())]),
        account_rewrite: true,
        without_rotation: true,
        restore: true,
        drop_tags: vec!["old".into()],
        tags: BTreeMap::from([("moved".into(), "yes".into())]),
        ..rules()
    });
    let moved = item(&plan, "prod/one");
    assert!(moved.is_ready(), "{:?}", moved.reasons);
    assert_eq!(
        moved.versions.len(),
        1,
        "AWSPENDING belongs to the rotation"
    );
    assert!(moved.restore);
    assert!(!moved.policy.as_ref().unwrap().contains(FROM));
    assert!(house.apply(&plan, false).is_complete());
    let there = house.to.state();
    let there = there.get(&name("live/one")).unwrap();
    assert!(there.lifecycle.is_live());
    assert_eq!(there.labels.len(), 1);
    let db = house.to.state();
    let db = db.get(&name("live/db")).unwrap();
    assert_eq!(
        db.attributes.tags.get("moved").map(String::as_str),
        Some("yes")
    );
    assert!(!db.attributes.tags.contains_key("old"));
}

#[test]
fn skipped_policies_are_not_even_read() {
    let house = House::furnished();
    let plan = house.plan_with(Rules {
        policy: Policies::Skip,
        ..rules()
    });
    assert!(item(&plan, "prod/db").policy.is_none());
    assert!(!house.from.calls().contains_key(&Call::GetPolicy));
}

#[test]
fn mentions_of_the_source_in_values_are_counted_and_never_changed() {
    let house = House::new();
    let value = format!("arn:aws:sqs:eu-west-1:{FROM}:queue of {FROM}");
    house.put("prod/url", 1, &value, &[]);
    let plan = house.plan();
    let url = item(&plan, "prod/url");
    assert_eq!((url.account_mentions, url.region_mentions), (2, 1));
    assert!(!markdown(&plan).contains("sqs"));
    assert!(house.apply(&plan, false).is_complete());
    let copy = house.to.peek(&name("live/url"), &vid(1)).unwrap();
    assert_eq!(copy.expose_secret(), value.as_bytes());
}

#[test]
fn names_that_confuse_are_noted() {
    let house = House::new();
    house.put("prod/x", 1, "x", &[]);
    put(&house.to, "LIVE/X", 5, "x", &[]);
    let long = "y".repeat(300);
    for (map, word) in [
        ("prod/x=live/x-a1b2c3".to_owned(), "suffix"),
        (format!("prod/x={long}"), "256"),
        ("prod/x=live/x".to_owned(), "differs in case only"),
    ] {
        let plan = house.plan_with(Rules {
            map: vec![map.parse().unwrap()],
            ..Rules::default()
        });
        let notes = item(&plan, "prod/x").notes.join("; ");
        assert!(notes.contains(word), "{map}: {notes}");
        assert!(item(&plan, "prod/x").is_ready());
    }
}

#[test]
fn sync_2_calls_and_money_are_estimated_and_about_right() {
    let house = House::furnished();
    let plan = house.plan();
    house.from.reset_calls();
    house.to.reset_calls();
    assert!(house.apply(&plan, false).is_complete());
    assert!(house.verify(&plan).is_clean());
    let estimate = &plan.estimate;
    let made = house.from.total_calls() + house.to.total_calls();
    let share = estimate.total_calls as f64 / made as f64;
    assert!(
        (0.8..1.25).contains(&share),
        "{} for {made}: {:?} {:?} {:?}",
        estimate.total_calls,
        estimate.calls,
        house.from.calls(),
        house.to.calls()
    );
    assert_eq!(estimate.microdollars, 5 * estimate.total_calls);
    assert_eq!(estimate.cost_a_month(), "US$ 1.20");
}

#[test]
fn left_out_is_told_from_not_asked_for() {
    let house = House::furnished();
    house.put("dev/x", 90, "x", &[]);
    let plan = house.plan_with(Rules {
        only: vec!["prod/".into()],
        map: vec![strongroom::migrate::Rule::drop("prod/o*").unwrap()],
        ..Rules::default()
    });
    assert_eq!(plan.items.len(), 2);
    assert_eq!(
        plan.left_out,
        [("prod/one".to_owned(), "left out by a rule".to_owned())]
    );
}
