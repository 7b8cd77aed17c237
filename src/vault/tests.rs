use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::testing::{
    Fixture, ID, age_files, edit, git, id, listing, name, now, put, text, value_of,
};
use super::*;
use crate::crypto::Identity;
use crate::model::SecretValue;

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
        "*.png binary\n/strongroom.toml -text\n/keys/** -text\n/secrets/** -text\n/strongroom.toml merge=strongroom\n/keys/*.toml merge=strongroom\n/keys/*.age -merge\n/secrets/**/*.toml merge=strongroom\n"
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
fn a_value_file_is_found_however_soon_after_a_listing_of_its_folder_it_came() {
    let fixture = Fixture::new(false);
    for n in 1..30 {
        fixture.put(&format!("n{n}"), n, "x");
        for m in 1..=n {
            assert!(value_of(&fixture.vault, &format!("n{m}"), m).is_ok());
        }
    }
    // And one that went is missed.
    for file in age_files(&fixture) {
        fs::remove_file(fixture.root().join(file)).unwrap();
    }
    let gone = value_of(&fixture.vault, "n1", 1);
    assert!(matches!(gone, Err(VaultError::ValueMissing { .. })));
}

#[test]
fn a_change_of_all_or_none_is_taken_back_where_a_part_cannot_be_written() {
    let fixture = Fixture::new(false);
    fixture.put("a", 1, "one");
    let bytes = || -> Vec<(String, Vec<u8>)> {
        let files = listing(&fixture.root()).into_iter();
        let read = |path: String| (path.clone(), fs::read(fixture.root().join(path)).unwrap());
        files.map(read).collect()
    };
    let before = bytes();
    let attempt = |whole: bool| {
        let mut tx = fixture.begin();
        put(&mut tx, "a", 2, "two");
        put(&mut tx, "b", 3, "new");
        put(&mut tx, "c", 4, "never");
        // Not to be written: a label on a version that is not there.
        let mut record = tx.record(&name("c")).unwrap().unwrap();
        record.state.labels.insert("x".parse().unwrap(), id(9));
        tx.put(record);
        if whole {
            tx.all_or_none();
        }
        tx.commit("bundle", Durability::Each).unwrap_err()
    };
    assert!(matches!(attempt(true), VaultError::Record { .. }));
    assert_eq!(bytes(), before);
    assert!(value_of(&fixture.vault, "a", 1).is_ok());
    // Without it, each secret is as it was or as it was to become.
    assert!(matches!(attempt(false), VaultError::Record { .. }));
    assert_ne!(bytes(), before);
    assert!(value_of(&fixture.vault, "b", 3).is_ok());
}
