//! What both sides changed: found, kept on both sides, and decided by a person.

use strongroom::model::{Class, Field, SecretValue};
use strongroom::plan::Choice;

use super::world::{Cloud, Edits, Site, id, label, name, text};

/// One secret, version 1 on both sides; then 2 here and 3 there.
fn both_edited() -> (Cloud, Site) {
    let cloud = Cloud::new();
    cloud.put("db", 1, "base");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    site.put("db", 2, "ours");
    cloud.put("db", 3, "theirs");
    (cloud, site)
}

#[test]
fn both_edited_is_a_conflict_and_nothing_moves_on_either_side() {
    let (cloud, site) = both_edited();
    let before = cloud.dump();
    let report = site.sync(&cloud);
    let (secret, conflict) = &report.conflicts[0];
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(*secret, name("db"));
    assert_eq!(conflict.class, Class::Edit);
    assert_eq!(conflict.field, Field::Label(label("AWSCURRENT")));
    assert_eq!(conflict.base.as_deref(), Some(id(1).as_str()));
    assert_eq!(conflict.ours.as_deref(), Some(id(2).as_str()));
    assert_eq!(conflict.theirs.as_deref(), Some(id(3).as_str()));
    assert_eq!(cloud.dump(), before);
    assert_eq!(site.current("db"), Some(id(2)));
    // Both can be read here, to be compared without a network.
    assert_eq!(site.bytes("db", &id(2)), b"ours");
    assert_eq!(site.bytes("db", &id(3)), b"theirs");
    assert_eq!(site.record("db").conflicts.len(), 1);

    // It stays one conflict, and costs nothing until somebody decides.
    let files = site.files();
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!((report.written, report.copied, report.there), (0, 0, 0));
    assert_eq!(site.files(), files);
    assert_eq!(cloud.dump(), before);
}

#[test]
fn ours_wins_on_both_sides_and_theirs_is_kept() {
    let (cloud, site) = both_edited();
    site.sync(&cloud);
    site.resolve("db", &Choice::Ours);
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(cloud.serves("db"), "ours");
    assert_eq!(site.serves("db"), "ours");
    assert_eq!(cloud.holder("db", "AWSPREVIOUS"), Some(id(3)));
    assert_eq!(site.lost("db"), [id(3)]);
    assert_eq!(site.bytes("db", &id(3)), b"theirs");
    site.assert_quiet(&cloud);
}

#[test]
fn theirs_wins_on_both_sides_and_ours_is_kept() {
    let (cloud, site) = both_edited();
    site.sync(&cloud);
    site.resolve("db", &Choice::Theirs);
    let report = site.sync(&cloud);
    assert_eq!((report.conflicts.len(), report.there), (0, 0));
    assert_eq!(cloud.serves("db"), "theirs");
    assert_eq!(site.serves("db"), "theirs");
    assert_eq!(cloud.holder("db", "AWSPREVIOUS"), Some(id(1)));
    assert_eq!(site.lost("db"), [id(2)]);
    assert_eq!(site.bytes("db", &id(2)), b"ours");
    assert!(!cloud.state("db").versions.contains_key(&id(2)));
    site.assert_quiet(&cloud);
}

#[test]
fn a_third_version_can_win_and_both_others_are_kept() {
    let (cloud, site) = both_edited();
    site.sync(&cloud);
    site.resolve("db", &Choice::To(id(1)));
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "base");
    assert_eq!(site.serves("db"), "base");
    assert_eq!(cloud.holder("db", "AWSPREVIOUS"), Some(id(3)));
    let mut lost = site.lost("db");
    lost.sort();
    let mut both = vec![id(2), id(3)];
    both.sort();
    assert_eq!(lost, both);
    site.assert_quiet(&cloud);
}

#[test]
fn a_decision_holds_only_while_the_remote_is_as_it_was_seen() {
    let (cloud, site) = both_edited();
    site.sync(&cloud);
    site.resolve("db", &Choice::Ours);
    cloud.put("db", 4, "newer theirs");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1, "{report:?}");
    assert_eq!(cloud.serves("db"), "newer theirs");
    assert_eq!(site.serves("db"), "ours");
    site.resolve("db", &Choice::Ours);
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "ours");
    assert_eq!(site.bytes("db", &id(4)), b"newer theirs");
    site.assert_quiet(&cloud);
}

#[test]
fn a_conflict_that_goes_away_by_itself_is_forgotten() {
    let (cloud, site) = both_edited();
    site.sync(&cloud);
    cloud.move_label("db", "AWSCURRENT", Some(1));
    // Rolled back over there; what is here was made on top of that.
    cloud.put("db", 2, "ours");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(site.record("db").conflicts, []);
    site.assert_quiet(&cloud);
}

#[test]
fn other_secrets_go_on() {
    let (cloud, site) = both_edited();
    cloud.put("in", 11, "in");
    site.put("out", 12, "out");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(site.serves("in"), "in");
    assert_eq!(cloud.serves("out"), "out");
}

#[test]
fn a_run_about_other_secrets_forgets_no_conflict() {
    let (cloud, mut site) = both_edited();
    site.sync(&cloud);
    let conflicts = site.record("db").conflicts;
    assert_eq!(conflicts.len(), 1);
    site.put("other", 11, "x");
    site.policy.only = Some("oth".into());
    site.sync(&cloud);
    assert_eq!(site.record("db").conflicts, conflicts);
    assert_eq!(cloud.serves("other"), "x");
    site.policy.only = None;

    // Nor does a second round within one run, here about a secret that is restored.
    site.change("other", &strongroom::model::Change::Tombstone);
    site.sync(&cloud);
    site.put("other", 12, "y");
    let report = site.sync(&cloud);
    assert_eq!(cloud.serves("other"), "y");
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(site.record("db").conflicts, conflicts);
}

#[test]
fn a_conflicted_secret_stays_whole_even_where_only_one_side_moved() {
    let (cloud, site) = both_edited();
    cloud.tag("db", "team", Some("there"));
    site.describe("db", "from here");
    let before = cloud.dump();
    site.sync(&cloud);
    assert_eq!(cloud.dump(), before);
    assert!(site.state("db").attributes.tags.is_empty());
    site.resolve("db", &Choice::Theirs);
    site.sync(&cloud);
    assert_eq!(cloud.state("db").attributes, site.state("db").attributes);
    assert_eq!(site.state("db").attributes.tags["team"], "there");
    assert_eq!(
        site.state("db").attributes.description.as_deref(),
        Some("from here")
    );
    site.assert_quiet(&cloud);
}

#[test]
fn texts_conflict_field_by_field() {
    for choice in [Choice::Ours, Choice::Theirs] {
        let cloud = Cloud::new();
        cloud.put("db", 1, "base");
        let site = Site::new(&cloud);
        site.sync(&cloud);
        site.describe("db", "ours");
        site.tag("db", "team", Some("ours"));
        cloud.describe("db", "theirs");
        cloud.tag("db", "team", Some("theirs"));
        let before = cloud.dump();
        let report = site.sync(&cloud);
        let fields: Vec<&Field> = report.conflicts.iter().map(|(_, c)| &c.field).collect();
        assert_eq!(fields, [&Field::Description, &Field::Tag("team".into())]);
        assert_eq!(cloud.dump(), before);
        site.resolve("db", &choice);
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts, [], "{choice:?}");
        let winner = if choice == Choice::Ours {
            "ours"
        } else {
            "theirs"
        };
        let attributes = site.state("db").attributes;
        assert_eq!(attributes.description.as_deref(), Some(winner));
        assert_eq!(attributes.tags["team"], winner);
        assert_eq!(cloud.state("db").attributes, attributes);
        site.assert_quiet(&cloud);
    }
}

#[test]
fn custom_labels_have_no_ancestry() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "one");
    cloud.put("db", 2, "two");
    cloud.put_labelled("db", 3, &text("three"), &["blue"]);
    let site = Site::new(&cloud);
    site.sync(&cloud);
    site.move_label("db", "blue", Some(2));
    cloud.move_label("db", "blue", Some(1));
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(report.conflicts[0].1.field, Field::Label(label("blue")));
    site.resolve("db", &Choice::Ours);
    site.sync(&cloud);
    assert_eq!(cloud.holder("db", "blue"), Some(id(2)));
    assert_eq!(cloud.current("db"), Some(id(2)));
    site.assert_quiet(&cloud);
}

#[test]
fn a_first_meeting_with_different_contents_asks() {
    for choice in [Choice::Ours, Choice::Theirs] {
        let cloud = Cloud::new();
        cloud.put("db", 3, "theirs");
        let site = Site::new(&cloud);
        site.put("db", 2, "ours");
        let before = cloud.dump();
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts[0].1.class, Class::CreateCreate);
        assert_eq!(cloud.dump(), before);
        assert_eq!(site.serves("db"), "ours");
        site.resolve("db", &choice);
        site.sync(&cloud);
        let winner = if choice == Choice::Ours {
            "ours"
        } else {
            "theirs"
        };
        assert_eq!(site.serves("db"), winner);
        assert_eq!(cloud.serves("db"), winner);
        assert_eq!(site.bytes("db", &id(2)), b"ours");
        assert_eq!(site.bytes("db", &id(3)), b"theirs");
        site.assert_quiet(&cloud);
    }
}

#[test]
fn what_was_made_on_top_of_the_remote_is_a_push_even_without_a_base() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "base");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    site.put("db", 2, "mine");
    site.sync(&cloud);
    // One write over there on top of ours, and none here: nobody is asked.
    cloud.put("db", 3, "next");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(site.serves("db"), "next");
    site.assert_quiet(&cloud);
}

#[test]
fn an_older_state_of_the_vault_is_never_pushed() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "one");
    let mut site = Site::with_git(&cloud);
    site.sync(&cloud);
    cloud.put("db", 2, "two");
    site.sync(&cloud);
    // Somebody reverts the commit that brought version 2.
    super::world::git(site.root(), &["revert", "--no-edit", "HEAD"]);
    site.reopen();
    assert_eq!(site.current("db"), Some(id(1)));
    let moves = cloud.prod().current_moves().len();
    // Nothing is synced before a person says that it is meant so, and then nothing moves
    // back either.
    let refused = site.vault.refuse_gone_back().unwrap_err();
    assert_eq!(refused.to_string(), "1 secret went back in time: db");
    assert!(site.try_sync(&cloud.stores).is_err());
    assert_eq!(site.vault.accept_gone_back().unwrap(), ["db"]);
    let report = site.sync(&cloud);
    assert_eq!(cloud.prod().current_moves().len(), moves, "{report:?}");
    assert_eq!(cloud.serves("db"), "two");
    assert_eq!(site.serves("db"), "two", "{report:?}");
    site.assert_quiet(&cloud);
}

#[test]
fn the_same_value_under_two_ids_is_adopted_at_a_first_meeting() {
    let cloud = Cloud::new();
    let site = Site::new(&cloud);
    let secrets: Vec<String> = (0..25).map(|n| format!("s{n}")).collect();
    for (n, secret) in (1..).zip(&secrets) {
        cloud.put(secret, n, "equal");
        site.put(secret, n + 100, "equal");
    }
    cloud.put("other", 50, "theirs");
    site.put("other", 150, "ours");
    // The same bytes, but an application that asks for a string gets none.
    let bytes = SecretValue::binary(b"equal".to_vec()).unwrap();
    cloud.put_labelled("binary", 51, &bytes, &[]);
    site.put("binary", 151, "equal");
    let before = cloud.dump();
    let report = site.sync(&cloud);
    assert_eq!(cloud.dump(), before);
    let open: Vec<&str> = report.conflicts.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(open, ["binary", "other"]);
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    for (n, secret) in (1..).zip(&secrets) {
        assert_eq!(site.current(secret), Some(id(n)));
        assert_eq!(site.serves(secret), "equal");
        assert_eq!(site.bytes(secret, &id(n + 100)), b"equal");
        assert_eq!(site.record(secret).conflicts, []);
    }
    for secret in ["other", "binary"] {
        site.resolve(secret, &Choice::Theirs);
    }
    site.sync(&cloud);
    site.assert_quiet(&cloud);
}
