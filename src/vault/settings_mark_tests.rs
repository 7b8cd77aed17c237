use std::fs;

use super::super::testing::{Fixture, git};
use super::super::{Durability, Vault, VaultError};

fn configure(fixture: &Fixture, lines: &str) {
    let vault = fixture.unlocked();
    let mut config = (*vault.config()).clone();
    let text = config.emit().unwrap() + lines;
    config = crate::config::Config::parse(&text).unwrap();
    let mut tx = vault.begin("test", super::super::testing::now()).unwrap();
    tx.set_config(config);
    tx.commit("settings", Durability::Each).unwrap();
}

fn remote(name: &str) -> String {
    format!("\n[remote.{name}]\nregion = \"eu-west-1\"\n")
}

/// Settings of three states, each a commit.
fn fixture() -> Fixture {
    let fixture = Fixture::new(true);
    configure(&fixture, &remote("one"));
    configure(&fixture, &remote("two"));
    fixture
}

fn old_settings(fixture: &Fixture) -> bool {
    let error = fixture.unlocked().refuse_gone_back();
    match error {
        Ok(()) => false,
        Err(VaultError::OldSettings { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn crypto_9_older_settings_put_back_are_noticed_until_a_person_accepts_them() {
    let fixture = fixture();
    let root = fixture.root();
    assert!(!old_settings(&fixture));
    for back in ["HEAD~1", "HEAD~2"] {
        git(&root, &["checkout", "-q", back, "--", "strongroom.toml"]);
        // Locked, too; and looking does not make it right.
        assert!(fixture.reopen().settings_gone_back().unwrap(), "{back}");
        assert!(old_settings(&fixture), "{back}");
        assert!(old_settings(&fixture), "{back}");
    }
    let error = fixture.unlocked().refuse_gone_back().unwrap_err();
    assert!(error.is_integrity());
    // Nothing is built on them.
    let vault = fixture.unlocked();
    let mut tx = vault.begin("test", super::super::testing::now()).unwrap();
    let mut config = (*vault.config()).clone();
    config.git.commit = false;
    tx.set_config(config);
    let error = tx.commit("x", Durability::Each).unwrap_err();
    assert!(matches!(error, VaultError::OldSettings { .. }), "{error}");
    // Back to the newest, and all is right; then an older one on purpose.
    git(&root, &["checkout", "-q", "HEAD", "--", "strongroom.toml"]);
    assert!(!old_settings(&fixture));
    git(&root, &["revert", "--no-edit", "HEAD"]);
    assert!(old_settings(&fixture));
    assert_eq!(
        fixture.unlocked().accept_gone_back().unwrap(),
        ["strongroom.toml"]
    );
    assert!(!old_settings(&fixture));
    // What it was before that is the old one now.
    git(&root, &["revert", "--no-edit", "HEAD"]);
    assert!(old_settings(&fixture));
}

#[test]
fn what_this_clone_writes_itself_is_ahead() {
    let fixture = Fixture::new(true);
    configure(&fixture, &remote("one"));
    let vault = fixture.unlocked();
    let mut config = (*vault.config()).clone();
    config.remotes.clear();
    let mut tx = vault.begin("test", super::super::testing::now()).unwrap();
    tx.set_config(config);
    tx.commit("back", Durability::Each).unwrap();
    assert!(!old_settings(&fixture));
    git(
        &fixture.root(),
        &["checkout", "-q", "HEAD~1", "--", "strongroom.toml"],
    );
    assert!(old_settings(&fixture));
}

#[test]
fn a_teammates_settings_are_progress_and_a_damaged_mark_is_told() {
    let fixture = fixture();
    git(fixture.dir.path(), &["clone", "-q", "v", "clone"]);
    let (clone, home) = (
        fixture.dir.path().join("clone"),
        fixture.dir.path().join("state2"),
    );
    let open = || {
        let mut vault = Vault::open(&clone, &home).unwrap();
        vault.unlock(&fixture.member).unwrap();
        vault
    };
    open().refuse_gone_back().unwrap();
    configure(&fixture, &remote("three"));
    git(&clone, &["pull", "-q"]);
    open().refuse_gone_back().unwrap();
    git(&clone, &["checkout", "-q", "HEAD~1"]);
    assert!(open().settings_gone_back().unwrap());

    let mark = open().state_dir().join("settings.seen");
    for damaged in ["", "xx\n", "00"] {
        fs::write(&mark, damaged).unwrap();
        let error = open().refuse_gone_back().unwrap_err();
        assert!(
            matches!(&error, VaultError::DamagedMark { path } if *path == mark),
            "{error}"
        );
        assert!(error.is_integrity());
    }
    assert_eq!(open().accept_gone_back().unwrap(), ["strongroom.toml"]);
    open().refuse_gone_back().unwrap();
}
