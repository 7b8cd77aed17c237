use std::fs;
use std::path::{Path, PathBuf};

use super::super::testing::{Fixture, age_files, git, id, listing, name, now, put, text, value_of};
use super::super::{Durability, Loaded, Merged, Rekey};
use super::*;
use crate::crypto::Identity;
use crate::model::{Attributes, Author, Change};

const CANARY: &str = "canary-team/canary-db";

/// A hidden vault with one secret that has everything to hide.
fn vault(use_git: bool) -> Fixture {
    let fixture = Fixture::hidden(use_git);
    fixture.put(CANARY, 1, "one");
    let mut tx = fixture.begin();
    put(&mut tx, CANARY, 2, "two");
    let mut record = tx.record(&name(CANARY)).unwrap().unwrap();
    let from = record.state.attributes.clone();
    let to = Attributes {
        description: Some("canary description".into()),
        tags: [("canary-tag".into(), "canary-owner".into())].into(),
    };
    let change = Change::SetAttributes { from, to };
    record.apply(&change, Author::Here).unwrap();
    tx.put(record);
    tx.commit(&format!("put {CANARY}: a version"), Durability::Each)
        .unwrap();
    fixture
}

fn metadata(root: &Path) -> Vec<PathBuf> {
    let mut files = listing(root);
    files.retain(|path| path.starts_with("./secrets/") && path.ends_with(".toml"));
    files.iter().map(|path| root.join(path)).collect()
}

/// Everything that a git host has of a repository, inflated, with paths and messages.
fn everything(root: &Path) -> String {
    let output = std::process::Command::new("git")
        .args(["cat-file", "--batch-all-objects", "--batch"])
        .current_dir(root)
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn everything_is_there_with_the_keys_and_nothing_for_the_host() {
    let fixture = vault(true);
    let vault = fixture.unlocked();
    let record = vault.record(&name(CANARY)).unwrap().unwrap();
    let tags = &record.state.attributes.tags;
    assert_eq!(tags["canary-tag"], "canary-owner");
    assert!(value_of(&vault, CANARY, 1).unwrap().same_as(&text("one")));
    assert!(value_of(&vault, CANARY, 2).unwrap().same_as(&text("two")));
    let Loaded {
        records, blocked, ..
    } = vault.load().unwrap();
    assert_eq!(records.into_values().collect::<Vec<_>>(), [record]);
    assert!(blocked.is_empty(), "{blocked:?}");
    let files = vault.files().unwrap();
    assert_eq!(files.values, 2);
    assert!(
        files.orphans.is_empty() && files.missing.is_empty(),
        "{files:?}"
    );

    git(&fixture.root(), &["gc", "-q"]);
    let all = everything(&fixture.root());
    assert!(all.contains("hidden = ["), "the host's view is read");
    for word in ["canary", &id(1).to_string(), "AWSCURRENT"] {
        assert!(!all.contains(word), "{word} is in the repository");
    }
    assert_eq!(
        git(&fixture.root(), &["log", "-1", "--format=%B"]).trim(),
        "put: 1 change"
    );
    for path in listing(&fixture.root()) {
        assert!(!path.contains("canary"), "{path}");
    }
}

#[test]
fn equal_records_are_equal_bytes_and_an_unchanged_one_is_not_written() {
    let fixture = vault(false);
    let vault = fixture.unlocked();
    let file = &metadata(&fixture.root())[0];
    let before = fs::read(file).unwrap();
    let mut tx = vault.begin("test", now()).unwrap();
    tx.put(vault.record(&name(CANARY)).unwrap().unwrap());
    let done = tx.commit("put", Durability::Each).unwrap();
    assert_eq!(done.changed, 0);
    let record = vault.record(&name(CANARY)).unwrap().unwrap();
    let text = vault.texts(&[&record]).unwrap().remove(0);
    let text = String::from_utf8(text).unwrap();
    let path = vault.place(&record.name).unwrap().metadata();
    let keys = vault.keys().unwrap();
    let bytes = vault.metadata_bytes(keys, &record.name, &path, text);
    assert_eq!(bytes.unwrap(), before);
}

#[test]
fn a_large_record_is_hidden_in_pieces_that_cannot_be_shuffled_or_dropped() {
    let fixture = Fixture::hidden(false);
    let keys = fixture.vault.keys().unwrap();
    let long: String = (0..40_000).map(|n| format!("{n:06}\n")).collect();
    let hidden = hide(keys, "p", &long).unwrap();
    let reveal = |text: &str| fixture.vault.reveal_text(keys, "p", text.to_owned());
    assert_eq!(reveal(&hidden).unwrap(), long);
    let pieces = unfold(&hidden).unwrap();
    assert_eq!(pieces.len(), 3);
    let refused = |order: &[usize]| {
        let some: Vec<Vec<u8>> = order.iter().map(|n| pieces[*n].clone()).collect();
        assert_eq!(reveal(&fold(&some)), Err(MetaError::Hidden), "{order:?}");
    };
    refused(&[1, 0, 2]);
    refused(&[0, 1]);
    refused(&[0]);
    refused(&[0, 1, 2, 2]);
    for bad in [
        hidden.replace("    \"", "\t\""),
        hidden.replace("format = 1", "format =  1"),
        hidden.replace("]\n", "]\n\n"),
        hidden.replacen("\",\n", "\",\r\n", 1),
        "format = 1\nhidden = [\n]\n".to_owned(),
        String::new(),
    ] {
        assert_eq!(reveal(&bad), Err(MetaError::NotHidden));
    }
}

#[test]
fn a_hidden_file_that_is_moved_altered_or_in_the_open_is_refused() {
    let fixture = vault(false);
    fixture.put("other", 3, "three");
    let root = fixture.root();
    let files = metadata(&root);
    let [first, second] = files.as_slice() else {
        panic!("{files:?}");
    };
    let good = fs::read(first).unwrap();
    let blocked = || {
        let mut blocked = fixture.unlocked().load().unwrap().blocked;
        assert_eq!(blocked.len(), 1, "{blocked:?}");
        blocked.pop_first().unwrap()
    };
    // The host swaps two secrets.
    fs::copy(second, first).unwrap();
    let (path, why) = blocked();
    assert!(path.starts_with(",5/"), "{path}");
    assert!(why.contains("altered, moved, or written"), "{why}");
    // It flips a character.
    let mut bad = good.clone();
    bad[200] = if bad[200] == b'A' { b'B' } else { b'A' };
    fs::write(first, &bad).unwrap();
    assert!(blocked().1.contains("altered, moved, or written"));
    // A text that anybody can read, with a right mac, where all are hidden: it may be of
    // a vault from before, and its name is not for the host.
    let vault = fixture.unlocked();
    fs::write(first, &good).unwrap();
    let record = vault.load().unwrap().records.into_values().next().unwrap();
    let open = vault.texts(&[&record]).unwrap().remove(0);
    fs::write(first, &open).unwrap();
    assert!(blocked().1.contains("it is not hidden"));
    fs::write(first, &good).unwrap();
    let stray = root.join("secrets/stray.toml");
    fs::write(&stray, &open).unwrap();
    let (path, why) = blocked();
    assert_eq!(path, "stray");
    assert!(why.contains("names are hidden in this vault"), "{why}");
    fs::remove_file(stray).unwrap();
    assert!(fixture.unlocked().load().unwrap().blocked.is_empty());
}

#[test]
fn a_text_of_one_secret_at_the_path_of_another_is_refused_even_from_a_member() {
    let fixture = vault(false);
    let vault = fixture.unlocked();
    let record = vault.record(&name(CANARY)).unwrap().unwrap();
    let text = vault.texts(&[&record]).unwrap().remove(0);
    let text = String::from_utf8(text).unwrap();
    let keys = vault.keys().unwrap();
    let other = vault.place(&name("other")).unwrap().metadata();
    let bytes = vault
        .metadata_bytes(keys, &record.name, &other, text)
        .unwrap();
    let error = vault.read_metadata(&bytes, &other);
    assert_eq!(error, Err(MetaError::Path(PathError::OtherName)));
}

#[test]
fn a_hidden_file_is_nothing_in_a_vault_with_open_names() {
    let hidden = vault(false);
    let open = Fixture::new(false);
    let from = &metadata(&hidden.root())[0];
    let path = from.strip_prefix(hidden.root()).unwrap();
    let to = open.root().join(path);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
    let loaded = open.unlocked().load().unwrap();
    assert!(loaded.records.is_empty());
    assert_eq!(loaded.blocked.len(), 1);
}

#[test]
fn locked_the_clone_knows_what_it_has_seen_and_says_so_of_the_rest() {
    let fixture = vault(true);
    fixture.unlocked().load().unwrap();
    let locked = fixture.reopen();
    let seen = locked.glance().unwrap();
    assert!(seen.records.contains_key(&name(CANARY)));
    assert!(locked.record(&name(CANARY)).unwrap().is_some());
    assert!(locked.record(&name("none")).unwrap().is_none());
    // What it has not seen has no name.
    fixture.put("other", 3, "three");
    let locked = fixture.reopen();
    let loaded = locked.load().unwrap();
    assert_eq!(loaded.records.len() + loaded.blocked.len(), 2);
    // A clone that has seen nothing says that it must be unlocked.
    let home = fixture.dir.path().join("state2");
    git(fixture.dir.path(), &["clone", "-q", "v", "clone"]);
    let clone = fixture.dir.path().join("clone");
    let locked = Vault::open(&clone, &home).unwrap();
    let error = locked.load().unwrap_err();
    assert!(matches!(error, VaultError::NamesHidden) && error.is_locked());
    let error = locked.record(&name(CANARY)).unwrap_err();
    assert!(error.is_locked(), "{error}");
}

#[test]
fn two_clones_that_rotated_the_same_hidden_secret_are_merged() {
    let fixture = vault(true);
    let home = fixture.dir.path().join("state2");
    git(fixture.dir.path(), &["clone", "-q", "v", "clone"]);
    let clone = fixture.dir.path().join("clone");
    let mut other = Vault::open(&clone, &home).unwrap();
    other.unlock(&fixture.member).unwrap();
    for (vault, version, value) in [(&fixture.vault, 3, "here"), (&other, 4, "there")] {
        let mut tx = vault.begin("test", now()).unwrap();
        put(&mut tx, CANARY, version, value);
        tx.commit("put", Durability::Each).unwrap();
    }
    let pulled = std::process::Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(["pull", "-q", "--no-rebase", "--no-edit"])
        .current_dir(&clone)
        .output()
        .unwrap();
    assert!(
        !pulled.status.success(),
        "git cannot merge what it cannot read"
    );
    let report = other.merge_git(now(), None).unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert!(matches!(&report.secrets[&name(CANARY)], Merged::United(_)));
    let record = other.record(&name(CANARY)).unwrap().unwrap();
    assert!(record.state.versions.contains_key(&id(3)));
    assert!(record.state.versions.contains_key(&id(4)));
    for (version, value) in [(3, "here"), (4, "there")] {
        assert!(
            value_of(&other, CANARY, version)
                .unwrap()
                .same_as(&text(value))
        );
    }
    other.finish_merge("Merge", now()).unwrap();
    assert!(!everything(&clone).contains("canary"));
}

#[test]
fn what_comes_in_must_be_hidden() {
    let fixture = vault(true);
    let root = fixture.root();
    let vault = fixture.unlocked();
    let head = || git(&root, &["rev-parse", "HEAD"]).trim().to_owned();
    let before = head();
    fixture.put("more", 3, "three");
    let good = head();
    git(&root, &["reset", "-q", "--hard", &before]);
    assert!(vault.check_incoming(&good, None).unwrap().is_empty());
    let record = vault.record(&name(CANARY)).unwrap().unwrap();
    let open = vault.texts(&[&record]).unwrap().remove(0);
    fs::write(root.join("secrets/canary.toml"), &open).unwrap();
    let hidden = metadata(&root);
    let hidden = hidden.iter().find(|p| p.to_str().unwrap().contains(",5/"));
    fs::write(hidden.unwrap(), &open).unwrap();
    let value = age_files(&fixture)[0].clone();
    fs::copy(
        root.join(&value),
        root.join("secrets/x.00000001-0000-4000-8000-000000000000.0123abcd.age"),
    )
    .unwrap();
    git(&root, &["add", "."]);
    git(&root, &["commit", "-qm", "bad"]);
    let bad = head();
    git(&root, &["reset", "-q", "--hard", &before]);
    let refused = vault.check_incoming(&bad, None).unwrap();
    assert_eq!(refused.len(), 3, "{refused:?}");
}

fn rekeyed(vault: &mut Vault, member: &Identity, remove: &[&str]) {
    let remove = remove.iter().map(|&n| n.to_owned()).collect();
    let rekey = Rekey {
        keyring: Identity::generate(),
        remove: &remove,
        now: now(),
        git: true,
    };
    vault.rekey(member, rekey).unwrap();
}

#[test]
fn a_rekey_gives_every_hidden_name_another_place_and_leaves_nothing_at_the_old_one() {
    let fixture = vault(true);
    fixture.put("other", 3, "three");
    let bob = Identity::generate();
    let key = crate::crypto::HasMemberKey::member_key(&bob);
    fixture.vault.add_member("bob", &key, now(), true).unwrap();
    let before = listing(&fixture.root());
    let mut vault = fixture.unlocked();
    rekeyed(&mut vault, &fixture.member, &["bob"]);
    let in_secrets = |all: &[String]| -> Vec<String> {
        let all = all.iter().filter(|path| path.starts_with("./secrets/"));
        all.cloned().collect()
    };
    let after = listing(&fixture.root());
    assert_eq!(in_secrets(&before).len(), in_secrets(&after).len());
    for path in in_secrets(&after) {
        assert!(!before.contains(&path), "{path} is where it was");
    }
    assert_eq!(git(&fixture.root(), &["status", "--porcelain"]), "");
    let vault = fixture.unlocked();
    let loaded = vault.load().unwrap();
    assert_eq!(loaded.records.len(), 2);
    assert!(loaded.blocked.is_empty(), "{:?}", loaded.blocked);
    for (secret, version, value) in [
        (CANARY, 1, "one"),
        (CANARY, 2, "two"),
        ("other", 3, "three"),
    ] {
        assert!(
            value_of(&vault, secret, version)
                .unwrap()
                .same_as(&text(value))
        );
    }
    let files = vault.files().unwrap();
    assert_eq!(files.values, 3);
    assert!(
        files.orphans.is_empty() && files.duplicates.is_empty(),
        "{files:?}"
    );
    assert!(vault.gone_back().unwrap().is_empty());
    // What bob could read is named to members alone, over the next rekey, too.
    let open = vault.offboardings(&loaded).unwrap().remove(0).open;
    assert_eq!(open.len(), 2);
    let mut vault = vault;
    rekeyed(&mut vault, &fixture.member, &[]);
    let loaded = vault.load().unwrap();
    assert_eq!(vault.offboardings(&loaded).unwrap().remove(0).open, open);
    assert!(!everything(&fixture.root()).contains("canary"));
    let locked = fixture.reopen();
    let error = locked.offboardings(&loaded).unwrap_err();
    assert!(error.is_locked(), "{error}");
}

#[test]
fn a_message_says_the_verb_and_a_number_where_names_are_hidden() {
    let hidden = Fixture::hidden(false).vault;
    for (message, said) in [
        ("put a/b: version 1", "put: 1 change"),
        (
            "PutSecretValue a/b through the endpoint",
            "PutSecretValue: 1 change",
        ),
        ("sync prod: 3 secrets\n\na\nb\n", "sync: 1 change"),
        ("fsck: remove what a crash left", "fsck: 1 change"),
    ] {
        assert_eq!(hidden.message(message, 1), said);
        assert_eq!(Fixture::new(false).vault.message(message, 1), message);
    }
    assert_eq!(hidden.message("rm a", 2), "rm: 2 changes");
}
