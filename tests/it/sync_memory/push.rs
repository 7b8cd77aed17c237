//! Edits made here on their way to the account.

use std::collections::BTreeMap;
use std::time::Duration;

use strongroom::model::{Direction, SecretValue};
use strongroom::plan::RemotePolicy;
use strongroom::store::{Call, Silent};
use strongroom::sync::sync;

use super::world::{Cloud, Edits, Site, id, name, run, text};

fn in_step(secrets: u32) -> (Cloud, Site) {
    let cloud = Cloud::new();
    for n in 0..secrets {
        cloud.put(&format!("s{n}"), n + 1, &format!("old {n}"));
    }
    let site = Site::new(&cloud);
    site.sync(&cloud);
    (cloud, site)
}

#[test]
fn a_push_of_k_edits_is_2k_writes_and_k_looks() {
    let (cloud, site) = in_step(30);
    for n in 0..12 {
        site.put(&format!("s{n}"), n + 101, &format!("new {n}"));
    }
    cloud.prod().reset_calls();
    let report = site.sync(&cloud);
    assert_eq!((report.there, report.here, report.copied), (24, 0, 0));
    let calls = BTreeMap::from([
        (Call::List, 1),
        (Call::Put, 12),
        (Call::Stage, 12),
        (Call::Describe, 12),
    ]);
    assert_eq!(cloud.prod().calls(), calls);
    for n in 0..12 {
        let secret = format!("s{n}");
        assert_eq!(cloud.serves(&secret), format!("new {n}"));
        assert_eq!(cloud.holder(&secret, "AWSPREVIOUS"), Some(id(n + 1)));
    }
    site.assert_quiet(&cloud);
}

#[test]
fn what_was_stored_in_several_steps_goes_live_in_one() {
    let (cloud, site) = in_step(1);
    site.put("s0", 2, "two");
    site.put("s0", 3, "three");
    let moves = cloud.prod().current_moves().len();
    site.sync(&cloud);
    // Version 2 never was live over there, so AWSPREVIOUS is what production ran.
    let all = cloud.prod().current_moves();
    assert_eq!(all[moves..], [(name("s0"), Some(id(1)), Some(id(3)))]);
    assert_eq!(cloud.holder("s0", "AWSPREVIOUS"), Some(id(1)));
    assert_eq!(site.holder("s0", "AWSPREVIOUS"), Some(id(2)));
    assert!(!cloud.state("s0").versions.contains_key(&id(2)));
    site.assert_quiet(&cloud);
}

#[test]
fn new_secrets_arrive_whole() {
    let (cloud, site) = in_step(1);
    let binary = SecretValue::binary(vec![0xc3, 0x28, 0]).unwrap();
    site.put_value("new/one", 11, &binary, &[]);
    site.put("new/one", 12, "second");
    site.put_value("new/one", 13, &text("third"), &["blue"]);
    site.describe("new/one", "a description");
    site.tag("new/one", "team", Some("a"));
    site.put("new/two", 21, "only");
    site.sync(&cloud);

    let there = cloud.state("new/one");
    assert_eq!(there.attributes, site.state("new/one").attributes);
    assert_eq!(cloud.serves("new/one"), "second");
    assert_eq!(cloud.holder("new/one", "AWSPREVIOUS"), Some(id(11)));
    assert_eq!(cloud.holder("new/one", "blue"), Some(id(13)));
    let first = cloud.prod().peek(&name("new/one"), &id(11)).unwrap();
    assert!(first.same_as(&binary));
    assert_eq!(cloud.serves("new/two"), "only");
    site.assert_quiet(&cloud);
}

#[test]
fn labels_tags_and_descriptions_travel() {
    let (cloud, site) = in_step(1);
    site.put_value("s0", 2, &text("candidate"), &["blue"]);
    site.tag("s0", "team", Some("a"));
    site.describe("s0", "text");
    site.sync(&cloud);
    assert_eq!(cloud.holder("s0", "blue"), Some(id(2)));
    assert_eq!(cloud.current("s0"), Some(id(1)));
    assert_eq!(cloud.state("s0").attributes, site.state("s0").attributes);

    site.move_label("s0", "blue", Some(1));
    site.tag("s0", "team", None);
    site.tag("s0", "env", Some("prod"));
    site.sync(&cloud);
    assert_eq!(cloud.holder("s0", "blue"), Some(id(1)));
    assert_eq!(cloud.state("s0").attributes, site.state("s0").attributes);

    site.move_label("s0", "blue", None);
    site.sync(&cloud);
    assert_eq!(cloud.holder("s0", "blue"), None);
    site.assert_quiet(&cloud);
}

#[test]
fn a_rollback_moves_the_label_and_copies_nothing() {
    let (cloud, site) = in_step(1);
    site.put("s0", 2, "bad");
    site.sync(&cloud);
    site.move_label("s0", "AWSCURRENT", Some(1));
    cloud.prod().reset_calls();
    site.sync(&cloud);
    assert_eq!(cloud.serves("s0"), "old 0");
    assert_eq!(cloud.holder("s0", "AWSPREVIOUS"), Some(id(2)));
    assert_eq!(cloud.prod().calls().get(&Call::Put), None);
    assert_eq!(cloud.prod().calls()[&Call::Stage], 1);
    site.assert_quiet(&cloud);
}

#[test]
fn a_rollback_to_a_version_that_aws_collected_brings_it_back() {
    let (cloud, site) = in_step(1);
    for n in 2..=3 {
        site.put("s0", n, &format!("v{n}"));
        site.sync(&cloud);
    }
    // SRPUSH and AWSCURRENT are on 3, AWSPREVIOUS on 2: nothing keeps 1.
    cloud.prod().as_aws_collect();
    assert!(!cloud.state("s0").versions.contains_key(&id(1)));
    site.move_label("s0", "AWSCURRENT", Some(1));
    site.sync(&cloud);
    assert_eq!(cloud.serves("s0"), "old 0");
    assert_eq!(cloud.current("s0"), Some(id(1)));
    site.assert_quiet(&cloud);
}

#[test]
fn a_rollback_over_there_comes_here() {
    let (cloud, site) = in_step(1);
    site.put("s0", 2, "bad");
    site.sync(&cloud);
    cloud.move_label("s0", "AWSCURRENT", Some(1));
    let report = site.sync(&cloud);
    assert_eq!(report.there, 0);
    assert_eq!(site.serves("s0"), "old 0");
    assert_eq!(site.holder("s0", "AWSPREVIOUS"), Some(id(2)));
    site.assert_quiet(&cloud);
}

#[test]
fn the_same_edit_on_both_sides_is_no_conflict() {
    let (cloud, site) = in_step(1);
    site.put("s0", 2, "same");
    cloud.put("s0", 2, "same");
    site.tag("s0", "k", Some("v"));
    cloud.tag("s0", "k", Some("v"));
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(report.there, 0);
    site.assert_quiet(&cloud);
}

#[test]
fn different_tags_and_labels_of_one_secret_merge() {
    let (cloud, site) = in_step(1);
    site.tag("s0", "here", Some("1"));
    site.put("s0", 2, "mine");
    cloud.tag("s0", "there", Some("2"));
    cloud.put_labelled("s0", 3, &text("theirs"), &["blue"]);
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(cloud.state("s0").attributes, site.state("s0").attributes);
    assert_eq!(site.state("s0").attributes.tags.len(), 2);
    assert_eq!(cloud.current("s0"), Some(id(2)));
    assert_eq!(site.holder("s0", "blue"), Some(id(3)));
    assert_eq!(site.bytes("s0", &id(3)), b"theirs");
    site.assert_quiet(&cloud);
}

#[test]
fn one_id_with_two_contents_stops_the_secret_and_no_other() {
    let (cloud, site) = in_step(2);
    site.put("s0", 9, "mine");
    site.put("s1", 10, "fine");
    // The other one is put and demoted before this side looks, so it has no label and
    // no listing shows it.
    cloud.put_labelled("s0", 9, &text("theirs"), &["blue"]);
    cloud.move_label("s0", "blue", Some(1));
    let report = site.try_sync(&cloud.stores).unwrap();
    assert_eq!(super::world::undone(&report).len(), 1, "{report:?}");
    assert!(matches!(
        report.outcomes[&name("s0")],
        strongroom::sync::Outcome::Integrity(_)
    ));
    assert_eq!(cloud.serves("s0"), "old 0");
    assert_eq!(cloud.serves("s1"), "fine");
    assert_eq!(site.bytes("s0", &id(9)), b"mine");
}

/// What differs on a remote without being agreed on is no sign of a lost write.
#[test]
fn a_push_beside_what_stays_different_is_done_at_once() {
    let one_way = RemotePolicy {
        direction: Direction::Push,
        ..RemotePolicy::default()
    };
    let (cloud, mut site) = in_step(3);
    // Nothing of theirs comes here, and nothing of it is overwritten.
    cloud.tag("s0", "team", Some("x"));
    cloud.put_labelled("s1", 11, &text("blue"), &["blue"]);
    // Moved by hand: it says nothing about what was written.
    cloud.put("s2", 12, "new");
    site.sync(&cloud);
    site.allow("prod", one_way);
    cloud.move_label("s2", "AWSPREVIOUS", Some(12));
    for secret in ["s0", "s1", "s2"] {
        site.describe(secret, "ours");
    }
    cloud.tag("s0", "team", Some("y"));
    cloud.move_label("s1", "blue", Some(2));
    let (report, waited) = run(async {
        let start = tokio::time::Instant::now();
        let report = sync(&site.vault, &cloud.stores, &site.options(), &Silent).await;
        (report.unwrap(), start.elapsed())
    });
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.there, report.conflicts.len()), (3, 0));
    assert_eq!(waited, Duration::ZERO);
    for secret in ["s0", "s1", "s2"] {
        let there = cloud.state(secret).attributes;
        assert_eq!(there.description.as_deref(), Some("ours"));
    }
    assert_eq!(cloud.state("s0").attributes.tags["team"], "y");
    assert_eq!(cloud.holder("s1", "blue"), Some(id(2)));
    site.assert_quiet(&cloud);
}

/// A rotation owns the labels there; what waits for it does not hold up the rest.
#[test]
fn a_push_beside_a_move_that_waits_is_done_at_once() {
    let (cloud, site) = in_step(1);
    cloud
        .prod()
        .edit_facts(&name("s0"), |facts| facts.rotation_enabled = true);
    site.put_value("s0", 11, &text("blue"), &["blue"]);
    site.describe("s0", "ours");
    let (report, waited) = run(async {
        let start = tokio::time::Instant::now();
        let report = sync(&site.vault, &cloud.stores, &site.options(), &Silent).await;
        (report.unwrap(), start.elapsed())
    });
    assert!(report.is_complete(), "{report:?}");
    assert_eq!((report.there, waited), (1, Duration::ZERO));
    assert_eq!(cloud.holder("s0", "blue"), None);
    site.assert_quiet(&cloud);
}
