use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::testing::{Fixture, ID, id, name, now, put, text};
use super::*;
use crate::crypto::{Binding, Identity, MacError, OpenError, seal_value};
use crate::model::SecretValue;

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The files under a directory of the vault, without git's own.
fn listing(root: &Path) -> Vec<String> {
    let output = Command::new("find")
        .args([".", "-name", ".git", "-prune", "-o", "-type", "f", "-print"])
        .current_dir(root)
        .output()
        .unwrap();
    let mut lines: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    lines.sort();
    lines
}

fn age_files(fixture: &Fixture) -> Vec<String> {
    let mut all = listing(&fixture.root());
    all.retain(|p| p.starts_with("./secrets/") && p.ends_with(".age"));
    all
}

fn value_of(vault: &Vault, secret: &str, version: u32) -> Result<SecretValue, VaultError> {
    let record = vault.record(&name(secret))?.unwrap();
    vault.read(&record, &id(version))
}

fn edit(path: &Path, from: &str, to: &str) {
    let before = fs::read_to_string(path).unwrap();
    assert!(before.contains(from), "{from}");
    fs::write(path, before.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_value_comes_back_after_unlocking_and_git_has_exactly_our_files() {
    let fixture = Fixture::new(true);
    fixture.put("prod/db", 1, "hunter2");
    let files = listing(&fixture.root());
    let age = age_files(&fixture);
    assert_eq!(
        files,
        [
            "./.gitattributes",
            "./keys/default.age",
            "./keys/default.toml",
            age[0].as_str(),
            "./secrets/prod/db.toml",
            "./strongroom.toml",
        ]
    );
    assert_eq!(git(&fixture.root(), &["status", "--porcelain"]), "");
    assert_eq!(
        git(&fixture.root(), &["log", "--format=%s"]),
        "put\ninit: a new vault\n"
    );
    for file in files {
        let mode = fixture
            .root()
            .join(&file)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600, "{file}");
        let bytes = fs::read(fixture.root().join(&file)).unwrap();
        assert!(!bytes.windows(7).any(|w| w == b"hunter2"), "{file}");
    }
    let vault = fixture.unlocked();
    let value = value_of(&vault, "prod/db", 1).unwrap();
    assert!(value.same_as(&text("hunter2")));
    assert!(vault.record(&name("none")).unwrap().is_none());
    assert_eq!(
        Vault::find(&fixture.root().join("secrets/prod")),
        Some(fixture.root())
    );
    assert_eq!(Vault::find(fixture.dir.path()), None);
}

#[test]
fn locked_one_can_look_and_neither_read_nor_write() {
    let fixture = Fixture::new(false);
    fixture.put("a", 1, "x");
    let vault = fixture.reopen();
    assert!(!vault.is_unlocked());
    assert!(vault.config_is_verified());
    let loaded = vault.load().unwrap();
    assert!(!loaded.verified);
    assert_eq!(loaded.records.len(), 1);
    assert!(matches!(value_of(&vault, "a", 1), Err(VaultError::Locked)));
    assert!(matches!(vault.begin("put", now()), Err(VaultError::Locked)));
    // What was verified once counts while the bytes are the same.
    assert!(fixture.unlocked().load().unwrap().verified);
    assert!(fixture.reopen().load().unwrap().verified);
    let path = fixture.root().join("secrets/a.toml");
    edit(&path, "live", "tombstone");
    let loaded = fixture.reopen().load().unwrap();
    assert!(!loaded.verified);
    assert!(loaded.blocked.is_empty());
    let loaded = fixture.unlocked().load().unwrap();
    assert!(
        loaded.blocked["a"].contains("mac does not match"),
        "{:?}",
        loaded.blocked
    );
}

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
    let old = keyring.seal(keys);
    keyring.epoch = 2;
    fs::write(&list, keyring.seal(keys)).unwrap();
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

#[test]
fn what_is_equal_is_not_written_and_not_committed() {
    let fixture = Fixture::new(true);
    fixture.put("a", 1, "x");
    let path = fixture.root().join("secrets/a.toml");
    let before = path.metadata().unwrap().modified().unwrap();
    let head = git(&fixture.root(), &["rev-parse", "HEAD"]);
    let mut tx = fixture.begin();
    let record = tx.record(&name("a")).unwrap().unwrap();
    tx.put(record);
    tx.set_config((*fixture.vault.config()).clone());
    let commit = tx.commit("again", Durability::Each).unwrap();
    assert_eq!(
        commit,
        Commit {
            changed: 0,
            git: Committed::Nothing
        }
    );
    assert_eq!(path.metadata().unwrap().modified().unwrap(), before);
    assert_eq!(git(&fixture.root(), &["rev-parse", "HEAD"]), head);
}

#[test]
fn a_change_that_is_dropped_or_refused_leaves_no_trace() {
    let fixture = Fixture::new(false);
    fixture.put("a", 1, "x");
    let before = listing(&fixture.root());
    let mut tx = fixture.begin();
    for n in 0..20 {
        // More than may wait in memory, so files are written early.
        let value = SecretValue::binary(vec![0; SecretValue::MAX]).unwrap();
        for m in 0..14 {
            tx.add_value(&name("big"), &id(100 * n + m), &value, None)
                .unwrap();
        }
    }
    assert!(listing(&fixture.root()).len() > before.len());
    drop(tx);
    assert_eq!(listing(&fixture.root()), before);

    // A version without its file, beside one with.
    let mut tx = fixture.begin();
    put(&mut tx, "b", 1, "x");
    let mut record = tx.record(&name("b")).unwrap().unwrap();
    let meta = record.state.versions[&id(1)].clone();
    record.state.versions.insert(id(2), meta);
    tx.put(record);
    let error = tx.commit("m", Durability::Each).unwrap_err();
    assert!(matches!(error, VaultError::NoValue { .. }), "{error}");
    assert_eq!(listing(&fixture.root()), before);
}

#[test]
fn values_are_durable_at_a_checkpoint_and_committed_later() {
    let fixture = Fixture::new(true);
    let mut tx = fixture.begin();
    for n in 0..40 {
        put(&mut tx, &format!("s/{n}"), n, &format!("value {n}"));
    }
    assert_eq!(tx.checkpoint(Durability::Bulk).unwrap(), 40);
    assert_eq!(age_files(&fixture).len(), 40);
    assert!(git(&fixture.root(), &["status", "--porcelain"]).contains("?? secrets/"));
    put(&mut tx, "t", 1, "later");
    let commit = tx.commit("pull: 41 secrets", Durability::Bulk).unwrap();
    assert_eq!(commit.changed, 41);
    assert!(matches!(commit.git, Committed::Yes(_)));
    assert_eq!(git(&fixture.root(), &["status", "--porcelain"]), "");
    let vault = fixture.unlocked();
    for n in 0..40 {
        let value = value_of(&vault, &format!("s/{n}"), n).unwrap();
        assert!(value.same_as(&text(&format!("value {n}"))));
    }
}

#[test]
fn one_writer_at_a_time_and_the_second_is_told() {
    let fixture = Fixture::new(false);
    let second = fixture.unlocked();
    let tx = fixture.begin();
    let error = second
        .begin_within("sync", now(), Duration::ZERO)
        .err()
        .unwrap();
    assert!(error.is_busy());
    assert!(error.to_string().contains("(test)"), "{error}");
    drop(tx);
    assert!(second.begin_within("sync", now(), Duration::ZERO).is_ok());
}

#[test]
fn settings_change_for_this_vault_and_the_next_to_open_it() {
    let fixture = Fixture::new(true);
    let mut config = (*fixture.vault.config()).clone();
    config.recovery_window = 7;
    let mut tx = fixture.begin();
    tx.set_config(config.clone());
    let commit = tx.commit("remote add", Durability::Each).unwrap();
    assert_eq!(commit.changed, 1);
    assert_eq!(*fixture.vault.config(), config);
    let vault = fixture.reopen();
    assert_eq!(*vault.config(), config);
    assert!(vault.config_is_verified());
    fixture.unlocked();
    config.recovery_window = 99;
    let mut tx = fixture.begin();
    tx.set_config(config);
    assert!(matches!(
        tx.commit("m", Durability::Each),
        Err(VaultError::Setting(_))
    ));
}

#[test]
fn a_removed_secret_takes_its_values_along() {
    let fixture = Fixture::new(true);
    fixture.put("a", 1, "x");
    fixture.put("a", 2, "y");
    fixture.put("a.b", 1, "z");
    let mut tx = fixture.begin();
    tx.remove(&name("a"));
    assert!(tx.record(&name("a")).unwrap().is_none());
    tx.commit("mv", Durability::Each).unwrap();
    let left: Vec<String> = listing(&fixture.root())
        .into_iter()
        .filter(|p| p.starts_with("./secrets/"))
        .collect();
    assert_eq!(left.len(), 2);
    assert!(
        left.iter().all(|p| p.starts_with("./secrets/a.b.")),
        "{left:?}"
    );
    assert_eq!(git(&fixture.root(), &["status", "--porcelain"]), "");
}

#[test]
fn what_a_crash_leaves_is_listed_and_can_be_collected() {
    let fixture = Fixture::new(true);
    for secret in ["a", "b", "long/gone"] {
        fixture.put(secret, 1, "x");
    }
    let vault = &fixture.vault;
    let sound = FileReport {
        values: 3,
        ..FileReport::default()
    };
    assert_eq!(vault.files().unwrap(), sound);

    let root = fixture.root();
    let at = |secret: &str| {
        let found = age_files(&fixture)
            .into_iter()
            .find(|p| p.starts_with(&format!("./secrets/{secret}.")));
        found.unwrap()[2..].to_owned()
    };
    // The value was written, then the power went: no metadata.
    let orphan = at("long/gone");
    fs::remove_file(root.join("secrets/long/gone.toml")).unwrap();
    // Another clone's encryption of the same version.
    let first = at("a");
    let (head, _) = first
        .rsplit_once(".age")
        .unwrap()
        .0
        .rsplit_once('.')
        .unwrap();
    let copies = [
        format!("{head}.00000000.age"),
        format!("{head}.ffffffff.age"),
    ];
    for copy in &copies {
        fs::copy(root.join(&first), root.join(copy)).unwrap();
    }
    fs::remove_file(root.join(at("b"))).unwrap();
    for leftover in [
        ".strongroom-1-1.tmp",
        "keys/.strongroom-1-2.tmp",
        "secrets/.strongroom-1-3.tmp",
    ] {
        fs::write(root.join(leftover), "").unwrap();
    }
    fs::write(root.join("secrets/notes.txt"), "").unwrap();
    let report = vault.files().unwrap();
    assert_eq!(
        report,
        FileReport {
            values: 1,
            orphans: vec![orphan.clone()],
            missing: vec![(name("b"), id(1))],
            duplicates: vec![first.clone(), copies[1].clone()],
            leftovers: vec![
                ".strongroom-1-1.tmp".into(),
                "keys/.strongroom-1-2.tmp".into(),
                "secrets/.strongroom-1-3.tmp".into()
            ],
            strangers: vec!["secrets/notes.txt".into()],
        }
    );
    let mut tx = fixture.begin();
    for path in report
        .orphans
        .iter()
        .chain(&report.duplicates)
        .chain(&report.leftovers)
    {
        tx.collect(path);
    }
    tx.commit("gc", Durability::Each).unwrap();
    assert!(!root.join(orphan).exists());
    let report = vault.files().unwrap();
    assert!(
        report.orphans.is_empty() && report.duplicates.is_empty() && report.leftovers.is_empty()
    );
    assert!(value_of(vault, "a", 1).unwrap().same_as(&text("x")));
    // The values of a secret whose metadata is blocked are not garbage.
    edit(&root.join("secrets/a.toml"), "live", "tombstone");
    let report = fixture.unlocked().files().unwrap();
    assert_eq!((report.values, report.orphans.len()), (1, 0));
}

#[test]
fn the_index_never_shows_an_old_state() {
    let fixture = Fixture::new(false);
    let read = |vault: &Vault, n: u32| {
        let loaded = vault.load().unwrap();
        assert!(loaded.verified);
        assert_eq!(loaded.records.len(), 2);
        assert_eq!(vault.glance().unwrap(), loaded);
        let record = &loaded.records[&name("a")];
        assert_eq!(record, &vault.record(&name("a")).unwrap().unwrap());
        assert_eq!(record.state.current(), Some(&id(n)), "{n}");
    };
    fixture.put("a", 1, "x");
    fixture.put("b", 1, "x");
    // Within a tick of the clock, and every file of the same size.
    for n in 1..40 {
        fixture.put("a", n, "x");
        read(&fixture.vault, n);
        read(&fixture.vault, n);
        if n % 10 == 0 {
            read(&fixture.unlocked(), n);
        }
    }
    let index = fixture.vault.state_dir().join("index");
    assert!(index.metadata().unwrap().len() > 100);
    fs::write(&index, "garbage").unwrap();
    read(&fixture.vault, 39);
    fs::remove_file(fixture.root().join("secrets/b.toml")).unwrap();
    assert_eq!(fixture.vault.load().unwrap().records.len(), 1);
    assert_eq!(fixture.reopen().load().unwrap().records.len(), 1);
}

#[test]
fn a_glance_sees_what_a_load_sees_whatever_was_replaced() {
    let fixture = Fixture::new(true);
    let vault = &fixture.vault;
    assert_eq!(vault.glance().unwrap().records.len(), 0);
    let check = |what: &str, count: usize| {
        let seen = vault.glance().unwrap();
        assert_eq!(seen, vault.load().unwrap(), "{what}");
        assert_eq!(seen, vault.glance().unwrap(), "{what}");
        assert_eq!(seen.records.len() + seen.blocked.len(), count, "{what}");
    };
    for n in 0..12_usize {
        let secret = format!("{}/x/{n}", ["a", "b", "c"][n % 3]);
        fixture.put(&secret, 1, "x");
        assert_eq!(vault.glance().unwrap().records.len(), n + 1);
        check(&secret, n + 1);
    }
    fixture.put("b/x/1", 2, "y");
    let current = vault.glance().unwrap().records[&name("b/x/1")]
        .state
        .current()
        .cloned();
    assert_eq!(current, Some(id(2)));
    let branch = git(&fixture.root(), &["symbolic-ref", "--short", "HEAD"]);
    git(&fixture.root(), &["checkout", "-q", "HEAD~1"]);
    let current = vault.glance().unwrap().records[&name("b/x/1")]
        .state
        .current()
        .cloned();
    assert_eq!(current, Some(id(1)));
    git(&fixture.root(), &["checkout", "-q", "HEAD~6"]);
    check("checkout", 6);
    git(&fixture.root(), &["checkout", "-q", branch.trim_end()]);
    check("checkout back", 12);
    fs::remove_dir_all(fixture.root().join("secrets/a")).unwrap();
    check("folder removed", 8);
    fs::rename(
        fixture.root().join("secrets/b"),
        fixture.root().join("secrets/moved"),
    )
    .unwrap();
    check("folder renamed", 8);
    assert_eq!(vault.glance().unwrap().blocked.len(), 4);
    fs::rename(
        fixture.root().join("secrets/moved"),
        fixture.root().join("secrets/b"),
    )
    .unwrap();
    check("folder back", 8);
    // In place: a load shows it, and so does the glance after it.
    edit(
        &fixture.root().join("secrets/c/x/2.toml"),
        "live",
        "tombstone",
    );
    assert_eq!(vault.load().unwrap().blocked.len(), 1);
    assert_eq!(vault.glance().unwrap().blocked.len(), 1);
}

#[test]
fn the_cache_of_other_keys_vouches_for_nothing() {
    let fixture = Fixture::new(false);
    fixture.put("a", 1, "x");
    assert!(fixture.vault.load().unwrap().verified);
    // The same vault, as a clone that never unlocked it.
    let pin = fixture.vault.state_dir().join("pin.toml");
    fs::remove_file(pin).unwrap();
    assert!(!fixture.reopen().load().unwrap().verified);
}

#[test]
fn a_vault_is_made_only_where_it_is_safe_and_new() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("state");
    let member = Identity::generate().recipient();
    let make = |path: &Path| {
        let options = InitOptions {
            vault_id: ID,
            keyring: Identity::generate(),
            member_name: "ann",
            member: &member,
            now: now(),
            git: true,
        };
        Vault::init(path, &home, options)
    };
    let open = dir.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    for path in [&open, &open.join("deep/er")] {
        assert!(matches!(make(path), Err(VaultError::Exposed { .. })));
        assert_eq!(listing(&open), [""; 0]);
    }

    // In a folder of a repository that has attributes of its own.
    let repo = dir.path().join("repo");
    let inner = repo.join("inner");
    fs::create_dir_all(&inner).unwrap();
    git(&repo, &["init", "-q", "-b", "main", "."]);
    fs::write(inner.join(".gitattributes"), "*.png binary").unwrap();
    fs::write(repo.join("readme"), "x").unwrap();
    let (vault, committed) = make(&inner).unwrap();
    assert!(matches!(committed, Committed::Yes(_)));
    assert!(vault.is_unlocked());
    assert!(!inner.join(".git").exists());
    assert_eq!(
        fs::read_to_string(inner.join(".gitattributes")).unwrap(),
        "*.png binary\n/strongroom.toml -text\n/keys/** -text\n/secrets/** -text\n"
    );
    assert_eq!(git(&repo, &["status", "--porcelain"]), "?? readme\n");
    assert!(matches!(
        make(&inner),
        Err(VaultError::AlreadyAVault { .. })
    ));
}

#[test]
fn a_read_only_vault_can_be_read_and_a_write_says_why_not() {
    use std::os::unix::process::CommandExt;
    // Root may write anywhere, so an unprivileged child does the work in its
    // working directory.
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "vault::tests::read_only_child", "--ignored"])
        .current_dir(dir.path());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(dir.path(), Some(65_534), Some(65_534)).unwrap();
        child.uid(65_534).gid(65_534);
    }
    match child.output() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            println!("skipped: the test binary is not readable for others");
        }
        output => {
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && said.contains("1 passed"),
                "{said}"
            );
        }
    }
}

#[test]
#[ignore = "run by a_read_only_vault_can_be_read_and_a_write_says_why_not"]
fn read_only_child() {
    let here = std::env::current_dir().unwrap();
    let member = Identity::generate();
    let options = InitOptions {
        vault_id: ID,
        keyring: Identity::generate(),
        member_name: "ann",
        member: &member.recipient(),
        now: now(),
        git: false,
    };
    let (vault, _) = Vault::init(&here.join("v"), &here.join("state"), options).unwrap();
    let mut tx = vault.begin("put", now()).unwrap();
    put(&mut tx, "a", 1, "x");
    tx.commit("m", Durability::Each).unwrap();
    let secrets = here.join("v/secrets");
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o500)).unwrap();
    let before = listing(&secrets);
    let mut tx = vault.begin("put", now()).unwrap();
    put(&mut tx, "a", 2, "y");
    let error = tx.commit("m", Durability::Each).unwrap_err();
    assert!(
        matches!(&error, VaultError::Disk(DiskError::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied),
        "{error:?}"
    );
    assert!(error.to_string().contains("v/secrets/a."), "{error}");
    assert_eq!(listing(&secrets), before);
    assert!(value_of(&vault, "a", 1).unwrap().same_as(&text("x")));
    assert_eq!(vault.load().unwrap().records.len(), 1);
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn two_clones_merge_as_git_merges_files() {
    let fixture = Fixture::new(true);
    fixture.put("a", 1, "x");
    let clone = fixture.dir.path().join("clone");
    git(fixture.dir.path(), &["clone", "-q", "v", "clone"]);
    let home = fixture.dir.path().join("state2");
    let mut other = Vault::open(&clone, &home).unwrap();
    other.unlock(&fixture.member).unwrap();
    // Both pull the same version, each encrypting it anew, and one more each.
    for (vault, extra) in [(&fixture.vault, "mine"), (&other, "theirs")] {
        let mut tx = vault.begin("pull", now()).unwrap();
        put(&mut tx, "b", 7, "same");
        put(&mut tx, extra, 1, "x");
        let commit = tx.commit("pull", Durability::Each).unwrap();
        assert!(matches!(commit.git, Committed::Yes(_)));
    }
    git(
        &fixture.root(),
        &["pull", "-q", "--no-rebase", "--no-edit", "../clone", "HEAD"],
    );
    let loaded = fixture.vault.load().unwrap();
    assert!(loaded.verified && loaded.blocked.is_empty());
    assert_eq!(loaded.records.len(), 4);
    assert_eq!(fixture.vault.files().unwrap().duplicates.len(), 1);
    assert!(
        value_of(&fixture.vault, "b", 7)
            .unwrap()
            .same_as(&text("same"))
    );
    // Both edit one secret: git leaves markers, and the secret is blocked.
    for (vault, version) in [(&fixture.vault, 8), (&other, 9)] {
        let mut tx = vault.begin("put", now()).unwrap();
        put(&mut tx, "a", version, "new");
        tx.commit("put", Durability::Each).unwrap();
    }
    let pull = Command::new("git")
        .args([
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@b",
            "pull",
            "-q",
            "--no-rebase",
            "../clone",
            "HEAD",
        ])
        .current_dir(fixture.root())
        .output()
        .unwrap();
    assert!(!pull.status.success());
    let loaded = fixture.vault.load().unwrap();
    assert!(
        loaded.blocked["a"].contains("conflict markers"),
        "{:?}",
        loaded.blocked
    );
    assert_eq!(loaded.records.len(), 3);
    // In the middle of the merge changes are written, and left for the user to commit.
    let mut tx = fixture.begin();
    put(&mut tx, "c", 1, "x");
    let commit = tx.commit("put", Durability::Each).unwrap();
    assert!(matches!(commit.git, Committed::Left(_)), "{commit:?}");
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure_vault"]
fn measure_vault() {
    use std::time::Instant;
    for count in [10_000_u32, 100_000] {
        let fixture = Fixture::new(true);
        let start = Instant::now();
        let mut tx = fixture.begin();
        for n in 0..count {
            put(
                &mut tx,
                &format!("team-{}/service/secret-{n}", n % 50),
                n,
                &"x".repeat(200),
            );
        }
        println!("{count}: queued {:?}", start.elapsed());
        tx.checkpoint(Durability::Bulk).unwrap();
        println!("{count}: durable {:?}", start.elapsed());
        let commit = tx.commit("pull", Durability::Bulk).unwrap();
        println!("{count}: committed {:?} {:?}", start.elapsed(), commit.git);
        for what in ["cold", "racy", "warm", "warm", "warm"] {
            let vault = fixture.unlocked();
            let start = Instant::now();
            let loaded = vault.load().unwrap();
            println!(
                "{count}: load {what} {:?} ({})",
                start.elapsed(),
                loaded.records.len()
            );
        }
        for what in ["warm", "warm"] {
            let vault = fixture.unlocked();
            let start = Instant::now();
            let loaded = vault.glance().unwrap();
            println!(
                "{count}: glance {what} {:?} ({})",
                start.elapsed(),
                loaded.records.len()
            );
        }
        let cache = fs::metadata(fixture.vault.state_dir().join("index"))
            .unwrap()
            .len();
        println!("{count}: cache {cache} bytes");
        for _ in 0..3 {
            let start = Instant::now();
            fixture.put("team-1/new", 1, "value");
            println!("{count}: put {:?}", start.elapsed());
            let start = Instant::now();
            let loaded = fixture.vault.glance().unwrap();
            println!(
                "{count}: glance after put {:?} ({})",
                start.elapsed(),
                loaded.records.len()
            );
        }
        let vault = fixture.unlocked();
        let record = vault
            .record(&name("team-7/service/secret-7"))
            .unwrap()
            .unwrap();
        let start = Instant::now();
        vault.read(&record, &id(7)).unwrap();
        println!("{count}: read one {:?}", start.elapsed());
    }
}
