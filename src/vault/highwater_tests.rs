use std::fs;

use super::super::testing::{Fixture, git, id, name, now};
use super::super::{Durability, Vault, VaultError};
use crate::model::{StagingLabel, Timestamp};

fn fixture() -> Fixture {
    let fixture = Fixture::new(true);
    fixture.put("a", 1, "one");
    fixture.put("b", 1, "one");
    fixture.put("a", 2, "two");
    fixture
}

fn back(vault: &Vault) -> Vec<String> {
    vault.gone_back().unwrap()
}

#[test]
fn an_old_tree_is_noticed_and_coming_back_is_fine() {
    let fixture = fixture();
    let root = fixture.root();
    assert!(back(&fixture.unlocked()).is_empty());
    git(&root, &["checkout", "-q", "HEAD~1"]);
    assert_eq!(back(&fixture.unlocked()), ["a"]);
    // Locked, too; and it is not forgotten by looking.
    assert_eq!(back(&fixture.reopen()), ["a"]);
    assert_eq!(back(&fixture.unlocked()), ["a"]);
    let error = fixture.unlocked().refuse_gone_back().unwrap_err();
    assert!(error.is_integrity());
    assert_eq!(error.to_string(), "1 secret went back in time: a");
    git(&root, &["checkout", "-q", "HEAD~1"]);
    assert_eq!(back(&fixture.unlocked()), ["a", "b"]);
    git(&root, &["checkout", "-q", "master"]);
    assert!(back(&fixture.unlocked()).is_empty());
}

#[test]
fn a_revert_is_noticed_until_a_person_accepts_it() {
    let fixture = fixture();
    let root = fixture.root();
    git(&root, &["revert", "--no-edit", "HEAD"]);
    let vault = fixture.unlocked();
    assert_eq!(back(&vault), ["a"]);
    let mut again = fixture.unlocked();
    let rekey = super::super::Rekey {
        keyring: crate::crypto::Identity::generate(),
        remove: &std::collections::BTreeSet::new(),
        now: now(),
        git: true,
    };
    let error = again.rekey(&fixture.member, rekey).unwrap_err();
    assert!(matches!(error, VaultError::GoneBack { .. }), "{error}");
    assert_eq!(vault.accept_gone_back().unwrap(), ["a"]);
    assert!(back(&fixture.unlocked()).is_empty());
    // And what is put back after that is noticed again.
    fixture.put("a", 3, "three");
    git(&root, &["revert", "--no-edit", "HEAD"]);
    assert_eq!(back(&fixture.unlocked()), ["a"]);
}

#[test]
fn a_label_moved_back_by_an_old_file_is_noticed() {
    let fixture = fixture();
    let file = fixture.root().join("secrets/a.toml");
    let mut tx = fixture.begin();
    let mut record = tx.record(&name("a")).unwrap().unwrap();
    record.state.labels.insert(StagingLabel::current(), id(1));
    tx.put(record.clone());
    tx.commit("back", Durability::Each).unwrap();
    fixture.unlocked().load().unwrap();
    let older = fs::read(&file).unwrap();
    let mut tx = fixture.begin();
    record.state.labels.insert(StagingLabel::current(), id(2));
    record.state.labels.remove(&"AWSPREVIOUS".parse().unwrap());
    tx.put(record);
    tx.commit("forth", Durability::Each).unwrap();
    assert!(back(&fixture.unlocked()).is_empty());
    fs::write(&file, older).unwrap();
    assert_eq!(back(&fixture.unlocked()), ["a"]);
}

#[test]
fn what_goes_forward_is_no_roll_back() {
    let fixture = fixture();
    let root = fixture.root();
    let home = fixture.dir.path().join("state2");
    git(fixture.dir.path(), &["clone", "-q", "v", "clone"]);
    let clone = fixture.dir.path().join("clone");
    let open = || {
        let mut vault = Vault::open(&clone, &home).unwrap();
        vault.unlock(&fixture.member).unwrap();
        vault
    };
    assert!(back(&open()).is_empty());
    // A version without a label goes, as gc lets it.
    fixture.put("a", 3, "three");
    let mut tx = fixture.begin();
    let mut record = tx.record(&name("a")).unwrap().unwrap();
    record.state.versions.remove(&id(1));
    tx.put(record);
    tx.commit("gc", Durability::Each).unwrap();
    assert!(back(&fixture.unlocked()).is_empty());
    git(&clone, &["pull", "-q"]);
    assert!(back(&open()).is_empty());
    // A deletion, and all of it gone by this clone's own hand.
    let mut tx = fixture.begin();
    tx.remove(&name("b"));
    tx.commit("gone", Durability::Each).unwrap();
    assert!(back(&fixture.unlocked()).is_empty());
    // For the other clone it is just gone.
    git(&clone, &["pull", "-q"]);
    assert_eq!(back(&open()), ["b"]);
    open().accept_gone_back().unwrap();
    // Both go on, and git merges them.
    fixture.put("c", 1, "x");
    let mut vault = open();
    let mut tx = vault.begin("test", now()).unwrap();
    super::super::testing::put(&mut tx, "d", 1, "y");
    tx.commit("d", Durability::Each).unwrap();
    git(&clone, &["pull", "-q", "--no-rebase", "--no-edit"]);
    vault = open();
    assert!(back(&vault).is_empty());
    git(&root, &["pull", "-q", "../clone", "master"]);
    assert!(back(&fixture.unlocked()).is_empty());
}

#[test]
fn a_file_that_git_lost_is_noticed() {
    let fixture = fixture();
    fs::remove_file(fixture.root().join("secrets/b.toml")).unwrap();
    assert_eq!(back(&fixture.unlocked()), ["b"]);
}

#[test]
fn a_damaged_mark_is_told_until_a_person_begins_it_anew() {
    let fixture = fixture();
    fixture.unlocked().load().unwrap();
    for file in ["highwater", "highwater.log"] {
        let path = fixture.vault.state_dir().join(file);
        for damaged in [&b"x"[..], &[0; 4096], &[255; 64]] {
            // Few bytes at the log's end are what a crash cut off.
            if file == "highwater.log" && damaged == b"x" {
                continue;
            }
            fs::write(&path, damaged).unwrap();
            let error = fixture.unlocked().gone_back().unwrap_err();
            assert!(
                matches!(&error, VaultError::DamagedMark { path: p } if *p == path),
                "{error}"
            );
            // Neither reading nor writing makes a new one of it.
            fixture.put("c", u32::from(damaged[0]) + 7, "x");
            let error = fixture.unlocked().refuse_gone_back().unwrap_err();
            assert!(error.is_integrity(), "{error}");
            let accepted = fixture.unlocked().accept_gone_back().unwrap();
            assert_eq!(accepted, [path.display().to_string()]);
            assert!(back(&fixture.unlocked()).is_empty());
            let mut tx = fixture.begin();
            tx.remove(&name("c"));
            tx.commit("gone", Durability::Each).unwrap();
        }
    }
    // The new one holds.
    git(
        &fixture.root(),
        &["checkout", "-q", ":/put", "--", "secrets"],
    );
    fs::remove_file(fixture.root().join("secrets/b.toml")).unwrap();
    assert_eq!(back(&fixture.unlocked()), ["b"]);
}

#[test]
fn a_note_that_a_crash_cut_off_harms_no_other() {
    let fixture = fixture();
    fixture.unlocked().load().unwrap();
    let log = fixture.vault.state_dir().join("highwater.log");
    fixture.put("a", 3, "three");
    let bytes = fs::read(&log).unwrap();
    let mark = fixture.vault.state_dir().join("highwater");
    let forget = || drop(fs::remove_file(&mark));
    for cut in [1, bytes.len() / 2, bytes.len() - 1] {
        forget();
        fs::write(&log, &bytes[..cut]).unwrap();
        assert!(back(&fixture.unlocked()).is_empty(), "{cut}");
    }
    forget();
    fs::write(&log, [bytes.as_slice(), &bytes[..9]].concat()).unwrap();
    let mut tx = fixture.begin();
    tx.remove(&name("b"));
    tx.commit("gone", Durability::Each).unwrap();
    assert!(back(&fixture.unlocked()).is_empty());
}

/// Puts a version that was made some seconds after the first moment.
fn put_at(fixture: &Fixture, version: u32, seconds: i64) {
    let mut tx = fixture.begin();
    super::super::testing::put(&mut tx, "a", version, &format!("v{version}"));
    let mut record = tx.record(&name("a")).unwrap().unwrap();
    let meta = record.state.versions.get_mut(&id(version)).unwrap();
    meta.created = Some(Timestamp::from_secs(now().millis() / 1000 + seconds));
    tx.put(record);
    tx.commit("put", Durability::Each).unwrap();
}

fn collect(fixture: &Fixture, versions: &[u32]) {
    let mut tx = fixture.begin();
    let mut record = tx.record(&name("a")).unwrap().unwrap();
    for version in versions {
        record.state.versions.remove(&id(*version));
    }
    tx.put(record);
    tx.commit("gc", Durability::Each).unwrap();
}

#[test]
fn crypto_9_a_state_that_was_jumped_over_is_old_by_its_versions_dates() {
    let fixture = Fixture::new(true);
    put_at(&fixture, 1, 0);
    let home = fixture.dir.path().join("state2");
    git(fixture.dir.path(), &["clone", "-q", "v", "clone"]);
    let clone = fixture.dir.path().join("clone");
    let open = || {
        let mut vault = Vault::open(&clone, &home).unwrap();
        vault.unlock(&fixture.member).unwrap();
        vault
    };
    assert!(back(&open()).is_empty());
    // The clone sees version 1, and then 4 and 5; never 2 and 3.
    put_at(&fixture, 2, 20);
    put_at(&fixture, 3, 30);
    git(&fixture.root(), &["tag", "between"]);
    put_at(&fixture, 4, 40);
    put_at(&fixture, 5, 50);
    collect(&fixture, &[1, 2, 3]);
    git(&clone, &["pull", "-q", "--tags"]);
    assert!(back(&open()).is_empty());
    git(&clone, &["checkout", "-q", "between"]);
    assert_eq!(back(&open()), ["a"]);
    assert_eq!(back(&open()), ["a"]);
    git(&clone, &["checkout", "-q", "-"]);
    assert!(back(&open()).is_empty());
    // All that had labels is gone for newer versions: that is progress.
    put_at(&fixture, 6, 60);
    put_at(&fixture, 7, 60);
    collect(&fixture, &[4, 5]);
    git(&clone, &["pull", "-q"]);
    assert!(back(&open()).is_empty());
}

#[test]
fn a_mark_of_before_the_dates_still_counts() {
    let fixture = fixture();
    fixture.unlocked().load().unwrap();
    let marks = fixture.vault.marks().unwrap();
    assert!(!marks.secrets["a"].dates.is_empty());
    let bytes = postcard::to_stdvec(&marks).unwrap();
    fs::write(fixture.vault.state_dir().join("highwater"), bytes).unwrap();
    git(&fixture.root(), &["checkout", "-q", "HEAD~1"]);
    assert_eq!(back(&fixture.unlocked()), ["a"]);
}
