//! New epochs: who accepts them, what a removed member is left with, and that a death
//! at any step leaves a vault that is whole or says what to do.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::ledger::Ledger;
use super::super::testing::{
    Fixture, age_files, edit, git, name, now, put, restore, text, value_of,
};
use super::super::{Loaded, Trust};
use super::*;
use crate::crypto::HasMemberKey as _;
use crate::model::seeded::{Died, die_at};

fn rekey(vault: &mut Vault, member: &Identity, remove: &[&str]) -> Result<Rekeyed, VaultError> {
    let remove: BTreeSet<String> = remove.iter().map(|&n| n.to_owned()).collect();
    let rekey = Rekey {
        keyring: Identity::generate(),
        remove: &remove,
        now: now(),
        git: true,
    };
    vault.rekey(member, rekey)
}

/// Two secrets with three values, and a second member.
fn team(git: bool) -> (Fixture, Identity) {
    staffed(Fixture::new(git))
}

fn staffed(fixture: Fixture) -> (Fixture, Identity) {
    fixture.put("a", 1, "one");
    fixture.put("a", 2, "two");
    fixture.put("dir/b", 3, "three");
    let bob = Identity::generate();
    let key = bob.member_key();
    fixture.vault.add_member("bob", &key, now(), true).unwrap();
    (fixture, bob)
}

fn assert_whole(vault: &Vault, epoch: u32) {
    assert_eq!(vault.keyring().unwrap().epoch, epoch);
    let Loaded {
        records, blocked, ..
    } = vault.load().unwrap();
    assert!(blocked.is_empty(), "{blocked:?}");
    assert_eq!(records.len(), 2);
    for (secret, version, value) in [("a", 1, "one"), ("a", 2, "two"), ("dir/b", 3, "three")] {
        assert!(
            value_of(vault, secret, version)
                .unwrap()
                .same_as(&text(value))
        );
    }
    let files = vault.files().unwrap();
    assert_eq!(files.values, 3);
    assert!(files.duplicates.is_empty(), "{files:?}");
    assert!(files.missing.is_empty(), "{files:?}");
}

#[test]
fn a_member_is_added_without_touching_a_secret() {
    let (fixture, bob) = team(true);
    let before = git(&fixture.root(), &["rev-parse", "HEAD~1:secrets"]);
    assert_eq!(before, git(&fixture.root(), &["rev-parse", "HEAD:secrets"]));
    assert_eq!(git(&fixture.root(), &["status", "--porcelain"]), "");
    let mut vault = fixture.reopen();
    assert_eq!(vault.unlock(&bob).unwrap(), Trust::Pinned);
    assert_whole(&vault, 1);
    let add = |name: &str, key| {
        let done = vault.add_member(name, &key, now(), true);
        let Err(VaultError::Member(error)) = done else {
            panic!("{done:?}");
        };
        error
    };
    let other = Identity::generate().member_key();
    assert_eq!(
        add("bob", other.clone()),
        MemberError::NameTaken("bob".into())
    );
    assert_eq!(
        add("rob", bob.member_key()),
        MemberError::KeyTaken("bob".into())
    );
    for bad in ["", " x", "a\nb", &"x".repeat(65)] {
        assert_eq!(add(bad, other.clone()), MemberError::Name, "{bad:?}");
    }
}

#[test]
fn a_removed_member_opens_nothing_that_is_encrypted_afterwards() {
    let (fixture, bob) = team(true);
    let old_files = age_files(&fixture);
    let old_digests = fixture.vault.load().unwrap().records;
    let mut vault = fixture.unlocked();
    let before = vault.keys().unwrap().commitment();
    let done = rekey(&mut vault, &fixture.member, &["bob"]).unwrap();
    assert_eq!((done.epoch, done.secrets, done.values), (2, 2, 3));
    assert_eq!(done.removed, ["bob"]);
    assert!(matches!(done.git, Committed::Yes(_)), "{done:?}");
    assert_eq!(git(&fixture.root(), &["status", "--porcelain"]), "");
    assert_whole(&vault, 2);
    assert_ne!(vault.keys().unwrap().commitment(), before);
    for file in age_files(&fixture) {
        assert!(!old_files.contains(&file), "{file} is the old epoch's");
    }
    for (secret, record) in vault.load().unwrap().records {
        for (id, meta) in &record.state.versions {
            let old = &old_digests[&secret].state.versions[id];
            assert_ne!(
                meta.content, old.content,
                "{secret}: the digest is the old key's"
            );
            assert_eq!(meta.created, old.created);
        }
    }
    let mut his = fixture.reopen();
    assert!(matches!(
        his.unlock(&bob),
        Err(VaultError::NoIdentity { .. })
    ));
    // Whoever had it open learns that it has other keys now.
    let error = fixture.vault.load().err().unwrap();
    assert!(matches!(error, VaultError::NewEpoch { .. }), "{error}");
    let error = value_of(&fixture.vault, "a", 1).err().unwrap();
    assert!(matches!(error, VaultError::NewEpoch { .. }), "{error}");
    let error = fixture.vault.begin("test", now()).err().unwrap();
    assert!(matches!(error, VaultError::NewEpoch { .. }), "{error}");
}

#[test]
fn a_clone_follows_the_chain_of_epochs_that_vouch_for_each_other() {
    let (fixture, _) = team(true);
    let home = fixture.dir.path().join("state2");
    git(fixture.dir.path(), &["clone", "-q", "v", "clone"]);
    let clone = fixture.dir.path().join("clone");
    let open = || Vault::open(&clone, &home).unwrap();
    let mut second = open();
    second.unlock(&fixture.member).unwrap();
    let mut vault = fixture.unlocked();
    for _ in 0..3 {
        rekey(&mut vault, &fixture.member, &[]).unwrap();
    }
    git(&clone, &["pull", "-q"]);
    let mut second = open();
    let trust = second.unlock(&fixture.member).unwrap();
    assert_eq!(trust, Trust::Vouched { epoch: 4 });
    assert_whole(&second, 4);
    assert_eq!(open().unlock(&fixture.member).unwrap(), Trust::Pinned);

    // Back to an old commit: noticed, whoever vouched for what.
    git(&clone, &["checkout", "-q", "HEAD~2"]);
    let error = open().unlock(&fixture.member).unwrap_err();
    assert!(
        matches!(
            error,
            VaultError::OldEpoch {
                seen: 4,
                found: 2,
                ..
            }
        ),
        "{error}"
    );
    git(&clone, &["checkout", "-q", "-"]);

    // A chain with a link cut out, and one with a link of another keyring's.
    let link = clone.join("keys/default.2.age");
    let bytes = fs::read(&link).unwrap();
    let pin_home = fixture.dir.path().join("state3");
    git(&clone, &["checkout", "-q", "HEAD~3"]);
    let old = || Vault::open(&clone, &pin_home).unwrap();
    old().unlock(&fixture.member).unwrap();
    git(&clone, &["checkout", "-q", "-"]);
    fs::remove_file(&link).unwrap();
    let error = old().unlock(&fixture.member).unwrap_err();
    assert!(matches!(error, VaultError::OtherKeyring { .. }), "{error}");
    let stranger = Identity::generate();
    let to = second.keys().unwrap().recipient();
    let swapped = encrypt_keyring(&stranger, now(), &[to]).unwrap();
    fs::write(&link, swapped.as_bytes()).unwrap();
    let error = old().unlock(&fixture.member).unwrap_err();
    assert!(matches!(error, VaultError::OtherKeyring { .. }), "{error}");
    fs::write(&link, bytes).unwrap();
    assert_eq!(
        old().unlock(&fixture.member).unwrap(),
        Trust::Vouched { epoch: 4 }
    );
}

#[test]
fn what_nothing_vouches_for_is_accepted_by_its_fingerprint_alone() {
    let (fixture, _) = team(false);
    // Somebody with push rights and no key makes a keyring of his own, members and all.
    let keyring = Identity::generate();
    let age = encrypt_keyring(&keyring, now(), &[fixture.member.recipient()]).unwrap();
    let config = fixture.vault.config();
    let keys = KeyringKeys::new(keyring, &config.vault_id);
    let mut list = Keyring::new(&keys, "ann", &fixture.member.recipient());
    list.epoch = 2;
    list.past = vec![Past {
        epoch: 1,
        commitment: fixture.vault.keys().unwrap().commitment(),
        removed: Vec::new(),
        vouch: keys.mac(Domain::Epoch, b"x").unwrap(),
    }];
    let root = fixture.root();
    fs::write(root.join("keys/default.age"), age.as_bytes()).unwrap();
    fs::write(root.join("keys/default.toml"), list.seal(&keys).unwrap()).unwrap();
    let body = config.emit().unwrap();
    let sealed = keys.seal_text(Domain::Vault, body).unwrap();
    fs::write(root.join("strongroom.toml"), sealed).unwrap();

    let error = fixture.reopen().unlock(&fixture.member).unwrap_err();
    assert!(matches!(error, VaultError::OtherKeyring { .. }), "{error}");
    let fingerprint = keys.commitment().fingerprint();
    let sight = fixture.reopen().look_at_keyring(&fixture.member).unwrap();
    assert_eq!(sight.fingerprint, fingerprint);
    assert!(!sight.is_accepted);
    let wrong = fixture.vault.keys().unwrap().commitment().fingerprint();
    let error = fixture.reopen().unlock_trusting(&fixture.member, &wrong);
    assert!(error.is_err_and(|e| e.is_integrity()));
    let trust = fixture
        .reopen()
        .unlock_trusting(&fixture.member, &fingerprint);
    assert_eq!(trust.unwrap(), Trust::Accepted);
    let mut vault = fixture.reopen();
    assert_eq!(vault.unlock(&fixture.member).unwrap(), Trust::Pinned);
    // The secrets are under the old keys, and stay blocked.
    let loaded = vault.load().unwrap();
    assert_eq!((loaded.records.len(), loaded.blocked.len()), (0, 2));
}

#[test]
fn an_old_member_list_put_back_is_noticed() {
    let (fixture, _) = team(true);
    let root = fixture.root();
    let eve = Identity::generate().member_key();
    fixture.vault.add_member("eve", &eve, now(), true).unwrap();
    git(&root, &["checkout", "-q", "HEAD~1", "--", "keys"]);
    let error = fixture.reopen().unlock(&fixture.member).unwrap_err();
    assert!(
        matches!(&error, VaultError::OldMembers { missing, .. } if *missing == eve.to_string()),
        "{error}"
    );
    assert!(error.is_integrity());
    git(&root, &["checkout", "-q", "HEAD", "--", "keys"]);
    fixture.unlocked();
}

#[test]
fn a_member_list_put_back_after_the_unlocking_is_noticed_by_a_change_of_it() {
    let (fixture, _) = team(true);
    let eve = Identity::generate().member_key();
    let mut vault = fixture.unlocked();
    fixture.vault.add_member("eve", &eve, now(), true).unwrap();
    // As while a person is asked.
    git(&fixture.root(), &["checkout", "-q", "HEAD~1", "--", "keys"]);
    let before = fs::read(fixture.root().join("keys/default.toml")).unwrap();
    let joe = Identity::generate().member_key();
    let error = vault.add_member("joe", &joe, now(), true).unwrap_err();
    assert!(matches!(error, VaultError::OldMembers { .. }), "{error}");
    let error = rekey(&mut vault, &fixture.member, &[]).unwrap_err();
    assert!(matches!(error, VaultError::OldMembers { .. }), "{error}");
    let after = fs::read(fixture.root().join("keys/default.toml")).unwrap();
    assert_eq!(after, before);
}

#[test]
fn a_removed_member_is_told_since_which_epoch() {
    let (fixture, bob) = team(true);
    let home = fixture.dir.path().join("state2");
    git(fixture.dir.path(), &["clone", "-q", "v", "clone"]);
    let clone = fixture.dir.path().join("clone");
    let open = || Vault::open(&clone, &home).unwrap();
    open().unlock(&bob).unwrap();
    let mut vault = fixture.unlocked();
    rekey(&mut vault, &fixture.member, &[]).unwrap();
    rekey(&mut vault, &fixture.member, &["bob"]).unwrap();
    rekey(&mut vault, &fixture.member, &[]).unwrap();
    git(&clone, &["pull", "-q"]);
    let error = open().unlock(&bob).unwrap_err();
    assert!(
        matches!(error, VaultError::NoMemberNow { epoch: 3, .. }),
        "{error}"
    );
    // Who never was one is no member, as before.
    let error = open().unlock(&Identity::generate()).unwrap_err();
    assert!(matches!(error, VaultError::NoIdentity { .. }), "{error}");
}

#[test]
fn whoever_rekeys_stays_a_member() {
    let (fixture, bob) = team(false);
    let mut vault = fixture.unlocked();
    for (who, remove) in [(&fixture.member, "ann"), (&bob, "bob")] {
        let error = rekey(&mut vault, who, &[remove]).unwrap_err();
        assert!(
            matches!(error, VaultError::Member(MemberError::LocksOut)),
            "{error}"
        );
    }
    // Who can open the keyring and is not listed is none either.
    let stranger = Identity::generate();
    let error = rekey(&mut vault, &stranger, &[]).unwrap_err();
    assert!(matches!(error, VaultError::Member(MemberError::LocksOut)));
    assert!(!vault.is_half_rekeyed());
    assert_whole(&fixture.unlocked(), 1);
}

#[test]
fn a_death_while_somebody_is_added_lets_nobody_in_who_is_not_listed() {
    let fixture = Fixture::new(true);
    let root = fixture.root();
    let saved = fixture.dir.path().join("saved");
    let saved_state = fixture.dir.path().join("saved-state");
    restore(&root, &saved);
    restore(&fixture.state_home(), &saved_state);
    let bob = Identity::generate();
    let (mut step, mut ended, mut half) = (0, false, 0);
    while !ended {
        restore(&saved, &root);
        restore(&saved_state, &fixture.state_home());
        let vault = fixture.unlocked();
        die_at(Some(step));
        let run = || vault.add_member("bob", &bob.member_key(), now(), true);
        let result = catch_unwind(AssertUnwindSafe(run));
        die_at(None);
        drop(vault);
        ended = result.is_ok();
        let vault = fixture.unlocked();
        let listed = vault.keyring().unwrap().members.contains_key("bob");
        let opens = fixture.reopen().open_age("keys/default.age", &bob).is_ok();
        assert!(listed || !opens, "step {step}");
        let unfinished = vault.half_added().unwrap();
        if listed && !opens {
            half += 1;
            let unfinished = unfinished.as_ref().map(|(name, _)| name.as_str());
            assert_eq!(unfinished, Some("bob"), "step {step}");
            let other = Identity::generate().member_key();
            let error = vault.add_member("bob", &other, now(), true).unwrap_err();
            assert!(matches!(
                error,
                VaultError::Member(MemberError::NameTaken(_))
            ));
        }
        if !listed || unfinished.is_some() {
            let key = bob.member_key();
            vault.add_member("bob", &key, now(), true).unwrap();
        }
        assert_eq!(vault.half_added().unwrap(), None, "step {step}");
        fixture.reopen().unlock(&bob).unwrap();
        let tracked = git(&root, &["status", "--porcelain", "--untracked-files=no"]);
        assert_eq!(tracked, "", "step {step}");
        step += 1;
    }
    assert!(half > 2, "{half}");
}

#[test]
fn a_rekey_begun_by_somebody_without_the_keys_is_none() {
    let (fixture, _) = team(false);
    let keyring = Identity::generate();
    let age = encrypt_keyring(&keyring, now(), &[fixture.member.recipient()]).unwrap();
    let past = encrypt_keyring(&Identity::generate(), now(), &[keyring.recipient()]).unwrap();
    let keys = KeyringKeys::new(keyring, &fixture.vault.config().vault_id);
    let mut list = Keyring::new(&keys, "ann", &fixture.member.recipient());
    list.epoch = 2;
    list.past = vec![Past {
        epoch: 1,
        commitment: fixture.vault.keys().unwrap().commitment(),
        removed: Vec::new(),
        vouch: keys.mac(Domain::Epoch, b"x").unwrap(),
    }];
    let root = fixture.root();
    fs::write(root.join(next_age("default")), age.as_bytes()).unwrap();
    fs::write(root.join("keys/default.1.age"), past.as_bytes()).unwrap();
    fs::write(root.join(next_list("default")), list.seal(&keys).unwrap()).unwrap();
    // This clone has begun none, so there is none.
    fixture.reopen().unlock(&fixture.member).unwrap();
    let before = age_files(&fixture);
    let error = fixture
        .reopen()
        .finish_rekey(&fixture.member, now(), true)
        .unwrap_err();
    assert!(matches!(error, VaultError::OtherKeyring { .. }), "{error}");
    fs::remove_file(root.join(next_list("default"))).unwrap();
    assert_eq!(age_files(&fixture), before);
    assert_whole(&fixture.unlocked(), 1);
}

#[test]
fn what_cannot_be_read_stops_a_rekey_before_it_begins() {
    let (fixture, _) = team(false);
    let file = age_files(&fixture).pop().unwrap();
    let path = fixture.root().join(file);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut vault = fixture.unlocked();
    let error = rekey(&mut vault, &fixture.member, &[]).unwrap_err();
    assert!(
        matches!(&error, VaultError::Unsound { names } if *names == ["dir/b"]),
        "{error}"
    );
    assert!(!vault.is_half_rekeyed());
    let error = rekey(&mut vault, &fixture.member, &["ann", "bob"]).unwrap_err();
    assert!(matches!(error, VaultError::Member(MemberError::Last)));
    let error = rekey(&mut vault, &fixture.member, &["eve"]).unwrap_err();
    assert!(matches!(
        error,
        VaultError::Member(MemberError::NotAMember(_))
    ));
}

#[test]
fn a_removal_leaves_a_ledger_that_closes_with_each_rotation() {
    let (fixture, _) = team(true);
    let mut vault = fixture.unlocked();
    rekey(&mut vault, &fixture.member, &["bob"]).unwrap();
    let look = |vault: &Vault| vault.offboardings(&vault.load().unwrap());
    let found = look(&vault).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].members, ["bob"]);
    let open: Vec<String> = found[0].open.iter().map(|(n, _)| n.to_string()).collect();
    assert_eq!(open, ["a", "dir/b"]);

    // An older version put forward again is none that was made since.
    let mut tx = vault.begin("test", now()).unwrap();
    let mut record = tx.record(&name("a")).unwrap().unwrap();
    let label = crate::model::StagingLabel::current();
    record
        .state
        .labels
        .insert(label, super::super::testing::id(1));
    tx.put(record);
    tx.commit("back", super::super::Durability::Each).unwrap();
    assert_eq!(look(&vault).unwrap()[0].open.len(), 2);

    let mut tx = vault.begin("test", now()).unwrap();
    put(&mut tx, "a", 9, "new");
    let mut record = tx.record(&name("a")).unwrap().unwrap();
    let fresh = record.state.versions.get_mut(&super::super::testing::id(9));
    fresh.unwrap().created = Some(Timestamp::from_millis(now().millis() + 1));
    tx.put(record);
    tx.commit("rotate", super::super::Durability::Each).unwrap();
    let found = look(&vault).unwrap();
    assert_eq!((found[0].open.len(), found[0].closed), (1, 1));

    // It survives the next epoch, and its loss is noticed.
    rekey(&mut vault, &fixture.member, &[]).unwrap();
    assert_eq!(look(&vault).unwrap(), found);
    let ledger = fixture.root().join(Ledger::path("default", 2));
    edit(&ledger, "name = \"dir/b\"", "name = \"dir/c\"");
    assert!(matches!(look(&vault), Err(VaultError::Mac { .. })));
    fs::remove_file(ledger).unwrap();
    assert!(matches!(look(&vault), Err(VaultError::Ledger { .. })));
}

#[test]
fn a_death_at_any_step_of_a_removal_is_finished_by_the_next_run() {
    for (use_git, hidden) in [(false, false), (true, false), (false, true), (true, true)] {
        let (fixture, bob) = match hidden {
            true => staffed(Fixture::hidden(use_git)),
            false => team(use_git),
        };
        let saved = fixture.dir.path().join("saved");
        let saved_state = fixture.dir.path().join("saved-state");
        restore(&fixture.root(), &saved);
        restore(&fixture.state_home(), &saved_state);
        let old_files = age_files(&fixture);
        let mut ended = false;
        let mut step = 0;
        let (mut whole, mut half, mut done) = (0, 0, 0);
        while !ended {
            restore(&saved, &fixture.root());
            restore(&saved_state, &fixture.state_home());
            let mut vault = fixture.unlocked();
            die_at(Some(step));
            let run = || rekey(&mut vault, &fixture.member, &["bob"]);
            let result = catch_unwind(AssertUnwindSafe(run));
            die_at(None);
            drop(vault);
            match result {
                Ok(result) => {
                    result.unwrap();
                    ended = true;
                }
                Err(panic) => assert!(panic.is::<Died>(), "step {step}"),
            }
            let mut vault = fixture.reopen();
            let list = fs::read(fixture.root().join("keys/default.toml")).unwrap();
            if list == fs::read(saved.join("keys/default.toml")).unwrap() {
                // The old keys still are the vault's, and have all that they opened.
                for file in &old_files {
                    assert!(fixture.root().join(file).exists(), "step {step}: {file}");
                }
            }
            if vault.is_half_rekeyed() {
                half += 1;
                let error = vault.unlock(&fixture.member).unwrap_err();
                assert!(matches!(error, VaultError::RekeyUnderWay { .. }), "{error}");
                let finished = vault.finish_rekey(&fixture.member, now(), true).unwrap();
                assert!(finished.resumed);
            } else {
                vault.unlock(&fixture.member).unwrap();
                if vault.keyring().unwrap().epoch == 1 {
                    whole += 1;
                    assert_whole(&vault, 1);
                    rekey(&mut vault, &fixture.member, &["bob"]).unwrap();
                } else {
                    done += 1;
                }
            }
            assert_whole(&vault, 2);
            assert_whole(&fixture.unlocked(), 2);
            let error = fixture.reopen().unlock(&bob).unwrap_err();
            assert!(
                matches!(error, VaultError::NoIdentity { .. }),
                "step {step}"
            );
            let loaded = vault.load().unwrap();
            let ledger = vault.offboardings(&loaded).unwrap();
            assert_eq!(ledger[0].open.len(), 2, "step {step}");
            assert!(vault.gone_back().unwrap().is_empty(), "step {step}");
            drop(vault.begin("test", now()).unwrap());
            if use_git {
                let status = git(&fixture.root(), &["status", "--porcelain"]);
                assert_eq!(status, "", "step {step}");
            }
            // Every step of the small one, each seventh with git.
            step += if use_git { 7 } else { 1 };
        }
        assert!(whole > 2 && half > 5 && done > 0, "{whole} {half} {done}");
    }
}

#[test]
fn a_git_clean_after_a_death_leads_back_to_a_vault_that_is_whole() {
    let (fixture, _) = team(true);
    let root = fixture.root();
    let saved = fixture.dir.path().join("saved");
    let saved_state = fixture.dir.path().join("saved-state");
    restore(&root, &saved);
    restore(&fixture.state_home(), &saved_state);
    let (mut step, mut ended, mut back) = (0, false, 0);
    while !ended {
        restore(&saved, &root);
        restore(&saved_state, &fixture.state_home());
        let mut vault = fixture.unlocked();
        die_at(Some(step));
        let run = || rekey(&mut vault, &fixture.member, &["bob"]);
        let result = catch_unwind(AssertUnwindSafe(run));
        die_at(None);
        drop(vault);
        ended = result.is_ok();
        git(&root, &["clean", "-fdq"]);
        git(&root, &["checkout", "-q", "--", "."]);
        let mut vault = fixture.reopen();
        vault
            .unlock(&fixture.member)
            .unwrap_or_else(|e| panic!("step {step}: {e}"));
        let epoch = vault.keyring().unwrap().epoch;
        assert_whole(&vault, epoch);
        if epoch == 1 {
            back += 1;
            vault.refuse_gone_back().unwrap();
            rekey(&mut vault, &fixture.member, &["bob"]).unwrap();
            assert_whole(&fixture.unlocked(), 2);
        }
        step += 5;
    }
    assert!(back > 5, "{back}");
}
