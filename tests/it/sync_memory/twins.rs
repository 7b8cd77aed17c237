//! One version id with two contents: the alarm, the first meeting, and both answers.

use std::collections::BTreeMap;

use strongroom::model::{Class, Conflict, Direction, StagingLabel, VersionId};
use strongroom::plan::{Choice, RemotePolicy};
use strongroom::store::{Call, FaultKind, FaultPlan, MemoryStore};
use strongroom::sync::Outcome;

use super::world::{Cloud, Edits, Site, git, id, name, put, text, undone};

/// The id that the External Secrets Operator stamps on every secret it makes.
fn stamped() -> VersionId {
    "00000000-0000-0000-0000-000000000001".parse().unwrap()
}

fn stamp(cloud: &Cloud, account: &str, secret: &str, value: &str) {
    let store = cloud.account(account);
    store.set_now(cloud.clock.tick());
    store
        .as_console_put(&name(secret), &stamped(), text(value), &[])
        .unwrap();
}

fn alarm(site: &Site, secret: &str) -> Conflict {
    let record = site.record(secret);
    assert_eq!(record.conflicts.len(), 1, "{:?}", record.conflicts);
    record.conflicts[0].clone()
}

fn theirs(conflict: &Conflict) -> VersionId {
    conflict.theirs.as_ref().unwrap().parse().unwrap()
}

/// What the vault made and put out, under the same id in an account that was never met.
fn met_with_other_content() -> (Cloud, Site) {
    let cloud = Cloud::new();
    let site = Site::new(&cloud);
    site.put("db", 1, "mine");
    site.put("ok", 2, "fine");
    cloud.put("db", 1, "other");
    cloud.put("ok", 2, "fine");
    (cloud, site)
}

#[test]
fn an_id_of_our_own_with_other_content_is_an_alarm_at_the_first_meeting() {
    let (cloud, site) = met_with_other_content();
    let before = cloud.dump();
    let report = site.sync(&cloud);
    let found = alarm(&site, "db");
    assert_eq!(report.conflicts, [(name("db"), found.clone())]);
    assert_eq!(found.class, Class::Integrity);
    assert_eq!(found.ours.as_deref(), Some(id(1).as_str()));
    assert_eq!(site.bytes("db", &id(1)), b"mine");
    assert_eq!(site.bytes("db", &theirs(&found)), b"other");
    assert_eq!(cloud.dump(), before);
    // The same id with the same content is the same version.
    assert!(site.record("ok").base.values().all(|b| b.pair.is_some()));

    // It stands, whatever is done here, and nothing goes out.
    site.put("db", 3, "newer");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, [(name("db"), found)]);
    assert_eq!(cloud.dump(), before);
}

#[test]
fn an_alarm_stops_the_writes_to_the_other_remotes() {
    let cloud = Cloud::with(&["backup", "prod"]);
    let site = Site::new(&cloud);
    site.put("db", 1, "mine");
    let only = |name: &str| {
        let stores = cloud.stores.iter().filter(|(r, _)| r.as_str() == name);
        stores.map(|(r, s)| (r.clone(), s.fork())).collect()
    };
    cloud.put("db", 1, "other");
    let prod: BTreeMap<_, MemoryStore> = only("prod");
    site.try_sync(&prod).unwrap();
    assert_eq!(alarm(&site, "db").class, Class::Integrity);
    site.put("db", 2, "newer");
    // The other account was not even part of the run that found it.
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1);
    assert!(cloud.account("backup").state().0.is_empty());
    assert_eq!(cloud.serves("db"), "other");
    let backup: BTreeMap<_, MemoryStore> = only("backup");
    let report = site.try_sync(&backup).unwrap();
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(alarm(&site, "db").remote.as_str(), "prod");
    assert!(backup.values().all(|s| s.state().0.is_empty()));
}

#[test]
fn ours_goes_on_under_an_id_of_its_own_on_both_sides() {
    let (cloud, site) = met_with_other_content();
    site.sync(&cloud);
    let found = alarm(&site, "db");
    site.resolve("db", &Choice::Ours);
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(
        (cloud.serves("db"), site.serves("db")),
        ("mine".into(), "mine".into())
    );
    assert_eq!(cloud.current("db"), site.current("db"));
    assert_ne!(cloud.current("db"), Some(id(1)));
    assert_eq!(site.lost("db"), [theirs(&found)]);
    assert_eq!(site.bytes("db", &theirs(&found)), b"other");
    site.assert_quiet(&cloud);
    // And life goes on.
    site.put("db", 5, "next");
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "next");
    cloud.put("db", 6, "over");
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "over");
    site.assert_quiet(&cloud);
}

#[test]
fn theirs_goes_on_under_an_id_of_its_own_on_both_sides() {
    let (cloud, site) = met_with_other_content();
    site.sync(&cloud);
    let found = alarm(&site, "db");
    site.resolve("db", &Choice::Theirs);
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(
        (cloud.serves("db"), site.serves("db")),
        ("other".into(), "other".into())
    );
    assert_eq!(site.current("db"), Some(theirs(&found)));
    assert_eq!(cloud.current("db"), site.current("db"));
    assert_eq!(site.lost("db"), [id(1)]);
    assert_eq!(site.bytes("db", &id(1)), b"mine");
    site.assert_quiet(&cloud);
    site.put("db", 5, "next");
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "next");
    site.assert_quiet(&cloud);
}

#[test]
fn a_label_moved_onto_a_known_id_with_other_content_is_an_alarm() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "base");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    site.put_value("db", 7, &text("parked"), &["sr/parked"]);
    cloud.put("db", 7, "other");
    let report = site.sync(&cloud);
    let found = alarm(&site, "db");
    assert_eq!(report.conflicts, [(name("db"), found.clone())]);
    assert_eq!(site.serves("db"), "base");
    assert_eq!(site.bytes("db", &theirs(&found)), b"other");
    // The remote has it already: nothing is written there.
    let before = cloud.dump();
    site.resolve("db", &Choice::Theirs);
    let report = site.sync(&cloud);
    assert_eq!((report.conflicts.len(), report.there), (0, 0));
    assert_eq!(cloud.dump(), before);
    assert_eq!(site.serves("db"), "other");
    // What follows it there is pulled, and what follows it here is pushed.
    cloud.put("db", 8, "next");
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "next");
    site.put("db", 9, "last");
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "last");
    site.assert_quiet(&cloud);
    // Somebody goes back to the id with two contents: it is asked about again, and
    // neither is taken for the other.
    cloud.move_label("db", "AWSCURRENT", Some(7));
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1, "{report:?}");
    assert_eq!(site.serves("db"), "last");
    site.resolve("db", &Choice::Theirs);
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "other");
    site.assert_quiet(&cloud);
}

#[test]
fn an_edit_after_theirs_is_pushed_over_the_id_with_two_contents() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "base");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    site.put_value("db", 7, &text("parked"), &["sr/parked"]);
    cloud.put("db", 7, "other");
    site.sync(&cloud);
    site.resolve("db", &Choice::Theirs);
    site.put("db", 8, "mine");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(cloud.serves("db"), "mine");
    site.assert_quiet(&cloud);
}

/// The remote refuses the id: what it has under it is read and kept.
fn refused_at_put() -> (Cloud, Site, Conflict) {
    let cloud = Cloud::new();
    cloud.put("db", 1, "base");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    site.put("db", 9, "mine");
    // Put and demoted before this side looks: no listing shows it.
    cloud.put_labelled("db", 9, &text("other"), &["blue"]);
    cloud.move_label("db", "blue", Some(1));
    let report = site.try_sync(&cloud.stores).unwrap();
    assert!(matches!(&undone(&report)[..], [(_, Outcome::Integrity(_))]));
    let found = alarm(&site, "db");
    assert_eq!(report.conflicts, [(name("db"), found.clone())]);
    assert_eq!(found.class, Class::Integrity);
    assert_eq!(cloud.serves("db"), "base");
    assert_eq!(site.bytes("db", &theirs(&found)), b"other");
    (cloud, site, found)
}

#[test]
fn a_refused_put_keeps_the_other_content_and_stops_the_secret() {
    let (cloud, site, found) = refused_at_put();
    let before = cloud.dump();
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, [(name("db"), found)]);
    assert_eq!(cloud.dump(), before);
}

#[test]
fn after_a_refused_put_either_content_can_win() {
    let (cloud, site, _) = refused_at_put();
    site.resolve("db", &Choice::Ours);
    site.sync(&cloud);
    assert_eq!(
        (cloud.serves("db"), site.serves("db")),
        ("mine".into(), "mine".into())
    );
    site.assert_quiet(&cloud);

    let (cloud, site, _) = refused_at_put();
    site.resolve("db", &Choice::Theirs);
    site.sync(&cloud);
    assert_eq!(
        (cloud.serves("db"), site.serves("db")),
        ("other".into(), "other".into())
    );
    assert_eq!(site.lost("db"), [id(9)]);
    site.assert_quiet(&cloud);
}

#[test]
fn deleted_and_created_anew_under_the_same_id_is_another_secret() {
    let cloud = Cloud::new();
    cloud.put("other", 1, "there is always something");
    stamp(&cloud, "prod", "db", "first");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "first");

    // Seen at once: the old one is put aside.
    cloud.prod().as_console_purge(&name("db"));
    stamp(&cloud, "prod", "db", "second");
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "second");

    // Its deletion seen first: a tombstone with the very id is in the way.
    cloud.prod().as_console_purge(&name("db"));
    site.sync(&cloud);
    stamp(&cloud, "prod", "db", "third");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(site.serves("db"), "third");
    assert_eq!(cloud.serves("db"), "third");
    site.assert_quiet(&cloud);
    let aside: Vec<Vec<u8>> = site
        .records()
        .into_keys()
        .filter(|n| n.as_str().starts_with("db@"))
        .map(|n| site.bytes(n.as_str(), &stamped()))
        .collect();
    assert_eq!(aside.len(), 2, "{aside:?}");
    assert!(aside.contains(&b"first".to_vec()) && aside.contains(&b"second".to_vec()));
}

/// Two accounts, each with a secret of the name that an operator made there.
fn stamped_twice() -> (Cloud, Site) {
    let cloud = Cloud::with(&["backup", "prod"]);
    stamp(&cloud, "backup", "db", "backup's");
    stamp(&cloud, "prod", "db", "prod's");
    let site = Site::new(&cloud);
    (cloud, site)
}

fn serves(cloud: &Cloud, account: &str) -> String {
    super::world::serves(cloud.account(account), "db")
}

#[test]
fn the_same_stamped_id_in_two_accounts_is_two_secrets_of_one_name() {
    let (cloud, site) = stamped_twice();
    let before = cloud.dump();
    let report = site.sync(&cloud);
    assert_eq!(cloud.dump(), before);
    assert_eq!(site.serves("db"), "backup's");
    let found = alarm(&site, "db");
    assert_eq!(report.conflicts, [(name("db"), found.clone())]);
    assert_eq!(found.class, Class::CreateCreate);
    assert_eq!(found.remote.as_str(), "prod");
    assert_eq!(site.bytes("db", &theirs(&found)), b"prod's");
    assert_eq!(
        site.holder(
            "db",
            StagingLabel::alias(&stamped(), &theirs(&found)).as_str()
        ),
        Some(theirs(&found))
    );

    // It stays one conflict and costs no write.
    let report = site.sync(&cloud);
    assert_eq!((report.written, report.conflicts.len()), (0, 1));
}

#[test]
fn either_of_two_stamped_secrets_can_win_everywhere() {
    for (choice, value, lost) in [
        (Choice::Ours, "backup's", "prod's"),
        (Choice::Theirs, "prod's", "backup's"),
    ] {
        let (cloud, site) = stamped_twice();
        site.sync(&cloud);
        site.resolve("db", &choice);
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts, [], "{choice:?}");
        assert_eq!(serves(&cloud, "backup"), value);
        assert_eq!(serves(&cloud, "prod"), value);
        assert_eq!(site.serves("db"), value);
        let kept = site.lost("db");
        assert_eq!(site.bytes("db", &kept[0]), lost.as_bytes());
        site.assert_quiet(&cloud);
        for account in ["backup", "prod"] {
            put(
                cloud.account(account),
                &cloud.clock,
                "db",
                3,
                &text("next"),
                &[],
            );
            site.sync(&cloud);
        }
        assert_eq!(site.serves("db"), "next");
        site.assert_quiet(&cloud);
    }
}

#[test]
fn one_remote_that_is_only_pulled_does_not_ask_again() {
    let (cloud, mut site) = stamped_twice();
    site.allow(
        "prod",
        RemotePolicy {
            direction: Direction::Pull,
            ..Default::default()
        },
    );
    site.sync(&cloud);
    site.resolve("db", &Choice::Theirs);
    let before = cloud.account("prod").state();
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(serves(&cloud, "backup"), "prod's");
    assert_eq!(cloud.account("prod").state(), before);
    let report = site.sync(&cloud);
    assert_eq!(
        (report.conflicts.len(), report.there, report.written),
        (0, 0, 0)
    );
}

#[test]
fn a_second_clone_finds_the_identical_alarm() {
    let cloud = Cloud::new();
    let site = Site::with_git(&cloud);
    site.put("db", 1, "mine");
    let other = site.clone_with_git();
    cloud.put("db", 1, "other");
    site.sync(&cloud);
    cloud.clock.pass(1000);
    other.sync(&cloud);
    assert_eq!(alarm(&site, "db"), alarm(&other, "db"));
    assert_eq!(site.record("db"), other.record("db"));
    // Git finds nothing to merge in the metadata.
    let status = |site: &Site| {
        let listed = git(site.root(), &["ls-tree", "-r", "HEAD", "secrets"]);
        let meta = listed
            .lines()
            .find(|l| l.ends_with(".toml"))
            .map(str::to_owned);
        meta.expect("a metadata file")
    };
    assert_eq!(status(&site), status(&other));

    // Both decide the same: the same once more, with no clock in it.
    site.resolve("db", &Choice::Ours);
    cloud.clock.pass(1000);
    other.resolve("db", &Choice::Ours);
    assert_eq!(site.record("db"), other.record("db"));
}

#[test]
fn a_meeting_that_could_not_be_compared_agrees_on_nothing() {
    let (cloud, site) = met_with_other_content();
    let prod = cloud.prod();
    prod.set_faults(FaultPlan::new().nth(Call::BatchGet, 0, FaultKind::Before));
    let report = site.try_sync(&cloud.stores).unwrap();
    assert_eq!(report.notes.len(), 2, "{report:?}");
    for secret in ["db", "ok"] {
        assert!(site.record(secret).base.is_empty(), "{secret}");
    }
    // Once it can be, it is.
    site.sync(&cloud);
    assert_eq!(alarm(&site, "db").class, Class::Integrity);
    assert!(!site.record("ok").base.is_empty());
}
