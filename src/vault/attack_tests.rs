//! What a git host, a pusher without the key, or a failing disk can do to a vault.

use std::fs;
use std::os::unix::fs::symlink;

use super::testing::{Fixture, ID, age_files, edit, git, id, name, now, text, value_of};
use super::*;
use crate::crypto::{Binding, Identity, MacError, OpenError, seal_value};

#[test]
fn a_second_clone_trusts_once_and_only_that() {
    let fixture = Fixture::new(true);
    fixture.put("a", 1, "x");
    let clone = fixture.dir.path().join("clone");
    git(fixture.dir.path(), &["clone", "-q", "v", "clone"]);
    let home = fixture.dir.path().join("state2");
    let mut vault = Vault::open(&clone, &home).unwrap();
    assert!(!vault.config_is_verified());
    let stranger = Identity::generate();
    assert!(matches!(
        vault.unlock(&stranger),
        Err(VaultError::NoIdentity { .. })
    ));
    assert!(!vault.is_unlocked());
    let trust = vault.unlock(&fixture.member).unwrap();
    let fingerprint = fixture.vault.keys().unwrap().commitment().fingerprint();
    assert_eq!(trust, Trust::FirstUse { fingerprint });
    let mut again = Vault::open(&clone, &home).unwrap();
    assert!(again.config_is_verified());
    assert_eq!(again.unlock(&fixture.member).unwrap(), Trust::Pinned);
    assert!(value_of(&again, "a", 1).unwrap().same_as(&text("x")));

    // Another vault in its place, made for the same member.
    let other = Fixture::new(false);
    for file in ["keys/default.age", "keys/default.toml", "strongroom.toml"] {
        fs::copy(other.root().join(file), clone.join(file)).unwrap();
    }
    let error = Vault::open(&clone, &home)
        .unwrap()
        .unlock(&other.member)
        .unwrap_err();
    assert!(matches!(error, VaultError::OtherKeyring { .. }), "{error}");
    assert!(error.is_integrity());
    let id = "00000000-0000-4000-8000-000000000000";
    edit(&clone.join("strongroom.toml"), ID, id);
    let error = Vault::open(&clone, &home).err().unwrap();
    assert!(
        matches!(&error, VaultError::OtherVault { found, .. } if found == id),
        "{error}"
    );
}

#[test]
fn edited_settings_and_member_lists_are_not_believed() {
    let fixture = Fixture::new(false);
    let root = fixture.root();
    let unlock = || fixture.reopen().unlock(&fixture.member).unwrap_err();
    edit(
        &root.join("strongroom.toml"),
        "recovery_window = 30",
        "recovery_window = 7",
    );
    assert!(!fixture.reopen().config_is_verified());
    let error = unlock();
    let is_mac = |e: &VaultError, file: &str| matches!(e, VaultError::Mac { path, source: MacError::Mismatch } if path.ends_with(file));
    assert!(is_mac(&error, "strongroom.toml"), "{error}");
    edit(
        &root.join("strongroom.toml"),
        "recovery_window = 7",
        "recovery_window = 30",
    );

    let list = root.join("keys/default.toml");
    let before = fs::read_to_string(&list).unwrap();
    edit(&list, "name = \"ann\"", "name = \"eve\"");
    assert!(is_mac(&unlock(), "keys/default.toml"));
    fs::write(&list, format!("<<<<<<< ours\n{before}")).unwrap();
    assert!(matches!(
        unlock(),
        VaultError::ConflictMarkers { line: 1, .. }
    ));
    fs::write(&list, before.replacen("format = 1", "format = 2", 1)).unwrap();
    assert!(unlock().is_newer());
    fs::write(&list, before).unwrap();

    // A newer epoch is remembered; going back is noticed.
    let keys = fixture.vault.keys().unwrap();
    let mut keyring = fixture.vault.keyring().unwrap();
    let old = keyring.seal(keys).unwrap();
    keyring.epoch = 2;
    fs::write(&list, keyring.seal(keys).unwrap()).unwrap();
    fixture.unlocked();
    fs::write(&list, old).unwrap();
    assert!(matches!(
        unlock(),
        VaultError::OldEpoch {
            seen: 2,
            found: 1,
            ..
        }
    ));

    edit(&root.join("strongroom.toml"), "format = 1", "format = 9");
    assert!(
        Vault::open(&root, &fixture.state_home())
            .err()
            .unwrap()
            .is_newer()
    );
    fs::write(root.join("strongroom.toml"), "=======\n").unwrap();
    let error = Vault::open(&root, &fixture.state_home()).err().unwrap();
    assert!(
        matches!(error, VaultError::ConflictMarkers { .. }),
        "{error}"
    );
    let error = Vault::open(fixture.dir.path(), &fixture.state_home())
        .err()
        .unwrap();
    assert!(matches!(error, VaultError::NotAVault { .. }), "{error}");
}

#[test]
fn metadata_that_is_not_sound_is_blocked_with_its_reason_and_never_overwritten() {
    let fixture = Fixture::new(false);
    for secret in [
        "label", "marker", "link", "newer", "moved", "folder", "good",
    ] {
        fixture.put(secret, 1, "x");
        fixture.put(secret, 2, "y");
    }
    let at = |file: &str| fixture.root().join("secrets").join(file);
    let two = format!("\"AWSCURRENT\" = \"{}\"", id(2));
    edit(
        &at("label.toml"),
        &two,
        &two.replace("00000002", "00000001"),
    );
    edit(&at("marker.toml"), "[labels]\n", "<<<<<<< HEAD\n[labels]\n");
    fs::rename(at("link.toml"), fixture.dir.path().join("real")).unwrap();
    symlink(fixture.dir.path().join("real"), at("link.toml")).unwrap();
    edit(&at("newer.toml"), "format = 1", "format = 2");
    fs::rename(at("moved.toml"), at("elsewhere.toml")).unwrap();
    fs::remove_file(at("folder.toml")).unwrap();
    fs::create_dir(at("folder.toml")).unwrap();
    fs::write(at("UPPER.toml"), "").unwrap();
    let vault = fixture.unlocked();
    let loaded = vault.load().unwrap();
    assert!(loaded.verified);
    assert_eq!(loaded.records.keys().collect::<Vec<_>>(), [&name("good")]);
    let reasons: Vec<(&str, &str)> = loaded
        .blocked
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("UPPER.toml", "there is no [mac] at the end"),
            (
                "elsewhere",
                "the file names another secret than its path does"
            ),
            ("folder", "it is not a regular file"),
            (
                "label",
                "the mac does not match: the text was altered, or written without the keyring's key"
            ),
            ("link", "it is a symbolic link"),
            ("marker", "line 5: the file has git's conflict markers"),
            ("newer", "format 2 needs a newer strongroom"),
        ]
    );
    for secret in ["label", "marker", "newer"] {
        let error = vault.record(&name(secret)).unwrap_err();
        assert!(matches!(error, VaultError::Metadata { .. }), "{error}");
        // Not even a change that was made without looking goes over it.
        let before = fs::read(at(&format!("{secret}.toml"))).unwrap();
        let mut tx = vault.begin("put", now()).unwrap();
        tx.put(Record::new(name(secret)));
        assert!(tx.commit("m", Durability::Each).is_err());
        assert_eq!(fs::read(at(&format!("{secret}.toml"))).unwrap(), before);
    }
    assert!(matches!(
        vault.record(&name("link")),
        Err(VaultError::Disk(DiskError::Symlink { .. }))
    ));
    assert_eq!(loaded, vault.load().unwrap());
    assert_eq!(loaded, vault.glance().unwrap());
    // Nothing of theirs is garbage, but for the value of a file that was moved away.
    let orphans = vault.files().unwrap().orphans;
    assert_eq!(orphans.len(), 2);
    assert!(
        orphans.iter().all(|p| p.starts_with("secrets/moved.")),
        "{orphans:?}"
    );
}

#[test]
fn a_value_file_that_is_not_right_says_how() {
    let fixture = Fixture::new(false);
    let at = |secret: &str| {
        let found = age_files(&fixture)
            .into_iter()
            .find(|p| p.starts_with(&format!("./secrets/{secret}.")));
        fixture.root().join(found.unwrap())
    };
    for secret in ["cut", "gone", "a", "b", "forged"] {
        fixture.put(secret, 1, secret);
    }
    let vault = fixture.unlocked();
    let error = |secret: &str| value_of(&vault, secret, 1).err().unwrap();

    let cut = at("cut");
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() - 1]).unwrap();
    assert!(
        matches!(error("cut"), VaultError::Value { path, source: OpenError::Damaged } if path.ends_with(cut.file_name().unwrap()))
    );
    fs::write(&cut, vec![0; value::MAX + 1]).unwrap();
    assert!(matches!(
        error("cut"),
        VaultError::Value {
            source: OpenError::TooLarge,
            ..
        }
    ));

    fs::remove_file(at("gone")).unwrap();
    assert!(matches!(error("gone"), VaultError::ValueMissing { .. }));

    fs::copy(at("a"), at("b")).unwrap();
    assert!(matches!(
        error("b"),
        VaultError::Value {
            source: OpenError::WrongPlace { .. },
            ..
        }
    ));

    // An outsider who knows the public key makes a file that opens.
    let keys = vault.keys().unwrap();
    let forged = name("forged");
    let binding = Binding {
        vault: ID,
        name: &forged,
        version: &id(1),
    };
    let file = seal_value(&text("evil"), &binding, None, &keys.recipient()).unwrap();
    let honest = fs::read(at("forged")).unwrap();
    fs::remove_file(at("forged")).unwrap();
    let path = layout::value_path(&forged, &id(1), file.ct8());
    fs::write(fixture.root().join("secrets").join(path), file.as_bytes()).unwrap();
    assert!(matches!(error("forged"), VaultError::OtherValue { .. }));
    // Beside the right one it does not matter, whichever comes first.
    for ct8 in ["00000000", "ffffffff"] {
        let path = layout::value_path(&forged, &id(1), ct8.parse().unwrap());
        let path = fixture.root().join("secrets").join(path);
        fs::write(&path, &honest).unwrap();
        assert!(
            value_of(&vault, "forged", 1)
                .unwrap()
                .same_as(&text("forged"))
        );
        fs::remove_file(path).unwrap();
    }
    for found in ["cut", "gone", "b", "forged"] {
        assert!(error(found).is_integrity());
    }
    let record = vault.record(&name("a")).unwrap().unwrap();
    assert!(matches!(
        vault.read(&record, &id(9)),
        Err(VaultError::NoValue { .. })
    ));
}
