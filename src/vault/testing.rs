//! What the tests of this room share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{InitOptions, Transaction, Vault, VaultError};
use crate::crypto::Identity;
use crate::model::{
    Attributes, Author, Change, Content, Origin, Record, SecretName, SecretValue, StagingLabel,
    Timestamp, VersionId, VersionMeta,
};

pub(super) const ID: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";

/// A fresh vault, its member, and the directories it lives in.
pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
    pub(super) member: Identity,
    pub(super) vault: Vault,
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_secs(1_795_395_723)
}

pub(super) fn id(n: u32) -> VersionId {
    format!("{n:08}-0000-4000-8000-000000000000")
        .parse()
        .unwrap()
}

pub(super) fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

pub(super) fn text(text: &str) -> SecretValue {
    SecretValue::string(text.as_bytes().to_vec()).unwrap()
}

impl Fixture {
    pub(super) fn new(git: bool) -> Self {
        Self::made(git, Vault::init)
    }

    /// One whose names are hidden.
    pub(super) fn hidden(git: bool) -> Self {
        Self::made(git, Vault::init_hidden)
    }

    fn made(
        git: bool,
        init: impl FnOnce(
            &Path,
            &Path,
            InitOptions<'_>,
        ) -> Result<(Vault, super::Committed), VaultError>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let member = Identity::generate();
        let options = InitOptions {
            vault_id: ID,
            keyring: Identity::generate(),
            member_name: "ann",
            member: &member.recipient(),
            now: now(),
            git,
        };
        let (vault, _) = init(&dir.path().join("v"), &dir.path().join("state"), options).unwrap();
        Self { dir, member, vault }
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("v")
    }

    pub(super) fn state_home(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(super) fn reopen(&self) -> Vault {
        Vault::open(&self.root(), &self.state_home()).unwrap()
    }

    pub(super) fn unlocked(&self) -> Vault {
        let mut vault = self.reopen();
        vault.unlock(&self.member).unwrap();
        vault
    }

    pub(super) fn begin(&self) -> Transaction<'_> {
        self.vault.begin("test", now()).unwrap()
    }

    /// Puts a value, as a command would.
    pub(super) fn put(&self, secret: &str, version: u32, value: &str) {
        let mut tx = self.begin();
        put(&mut tx, secret, version, value);
        tx.commit("put", super::Durability::Each).unwrap();
    }
}

/// Adds a version with its value, and makes the secret if need be.
pub(super) fn put(tx: &mut Transaction<'_>, secret: &str, version: u32, value: &str) {
    let name = name(secret);
    let (id, value) = (id(version), text(value));
    let digest = tx.add_value(&name, &id, &value, Some(now())).unwrap();
    let meta = VersionMeta {
        created: Some(now()),
        content: Content::Value {
            kind: value.kind(),
            digest,
        },
        parent: None,
        origin: Origin::Local,
    };
    let old = tx.record(&name).unwrap();
    let change = match old {
        None => Change::Create {
            attributes: Attributes::default(),
            version: Some((id, meta)),
        },
        Some(_) => Change::AddVersion {
            id,
            meta,
            labels: vec![StagingLabel::current()],
        },
    };
    let mut record = old.unwrap_or_else(|| Record::new(name));
    record.apply(&change, Author::Here).unwrap();
    tx.put(record);
}

pub(super) fn git(dir: &Path, args: &[&str]) -> String {
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
pub(super) fn listing(root: &Path) -> Vec<String> {
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

pub(super) fn age_files(fixture: &Fixture) -> Vec<String> {
    let mut all = listing(&fixture.root());
    all.retain(|p| p.starts_with("./secrets/") && p.ends_with(".age"));
    all
}

pub(super) fn value_of(
    vault: &Vault,
    secret: &str,
    version: u32,
) -> Result<SecretValue, VaultError> {
    let record = vault.record(&name(secret))?.unwrap();
    vault.read(&record, &id(version))
}

pub(super) fn edit(path: &Path, from: &str, to: &str) {
    let before = fs::read_to_string(path).unwrap();
    assert!(before.contains(from), "{from}");
    fs::write(path, before.replacen(from, to, 1)).unwrap();
}

/// Puts a directory in the place of another.
pub(super) fn restore(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
}
