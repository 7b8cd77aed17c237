//! A newer epoch that did not come by git: a death at any step of taking it over.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::Rekey;
use super::super::testing::{Fixture, now, restore, text, value_of};
use super::*;
use crate::model::seeded::{Died, die_at};

fn rekey(vault: &mut Vault, member: &Identity, remove: &[&str]) {
    let remove: BTreeSet<String> = remove.iter().map(|&n| n.to_owned()).collect();
    let rekey = Rekey {
        keyring: Identity::generate(),
        remove: &remove,
        now: now(),
        git: false,
    };
    vault.rekey(member, rekey).unwrap();
}

/// What a clone that is two epochs on rests on; the fixture is left behind.
fn ahead(fixture: &Fixture) -> Rests {
    let dir = fixture.dir.path();
    let rests = fixture.vault.rests().unwrap();
    let mut other = Vault::plant(&dir.join("other"), &dir.join("other-state"), &rests).unwrap();
    other.unlock(&fixture.member).unwrap();
    rekey(&mut other, &fixture.member, &["bob"]);
    rekey(&mut other, &fixture.member, &[]);
    other.rests().unwrap()
}

fn behind() -> Fixture {
    use crate::crypto::HasMemberKey as _;
    let fixture = Fixture::new(false);
    fixture.put("a", 1, "one");
    fixture.put("dir/b", 2, "two");
    let bob = Identity::generate().member_key();
    fixture.vault.add_member("bob", &bob, now(), false).unwrap();
    fixture
}

fn assert_taken(vault: &Vault) {
    assert_eq!(vault.keyring().unwrap().epoch, 3);
    for (secret, version, value) in [("a", 1, "one"), ("dir/b", 2, "two")] {
        let found = value_of(vault, secret, version).unwrap();
        assert!(found.same_as(&text(value)));
    }
    let files = vault.files().unwrap();
    assert_eq!((files.values, files.duplicates.len()), (2, 0));
    let loaded = vault.load().unwrap();
    let left = vault.offboardings(&loaded).unwrap();
    assert_eq!(left.len(), 1);
    // The clone that began the epoch had neither.
    assert_eq!(left.first().unwrap().open.len(), 2);
    let first = vault.keyring().unwrap().past.first().unwrap().commitment;
    assert!(vault.former_epoch(&first).unwrap().is_some());
}

#[test]
fn two_epochs_are_taken_over_whatever_step_is_the_last() {
    let fixture = behind();
    let rests = ahead(&fixture);
    let saved = fixture.dir.path().join("saved");
    let saved_state = fixture.dir.path().join("saved-state");
    restore(&fixture.root(), &saved);
    restore(&fixture.state_home(), &saved_state);
    let (mut step, mut half, mut ended) = (0, 0, false);
    while !ended {
        restore(&saved, &fixture.root());
        restore(&saved_state, &fixture.state_home());
        let mut vault = fixture.unlocked();
        let newer = vault.newer_epoch(&rests, &fixture.member).unwrap();
        assert_eq!(
            (newer.epoch, newer.removed.clone()),
            (3, vec!["bob".to_owned()])
        );
        die_at(Some(step));
        let run = || vault.adopt_epoch(&newer, &fixture.member, now(), false);
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
        if vault.is_half_rekeyed() {
            half += 1;
            vault.finish_rekey(&fixture.member, now(), false).unwrap();
        } else {
            vault.unlock(&fixture.member).unwrap();
            if vault.keyring().unwrap().epoch == 1 {
                let newer = vault.newer_epoch(&rests, &fixture.member).unwrap();
                let done = vault.adopt_epoch(&newer, &fixture.member, now(), false);
                done.unwrap();
            }
        }
        assert_taken(&vault);
        assert_taken(&fixture.unlocked());
        step += 1;
    }
    assert!(half > 5, "{half} of {step} steps were half way");
}

#[test]
fn a_newer_epoch_is_refused_unless_every_one_on_the_way_vouches() {
    let fixture = behind();
    let rests = ahead(&fixture);
    let vault = fixture.unlocked();
    let refused = |rests: &Rests| match vault.newer_epoch(rests, &fixture.member) {
        Ok(_) => panic!("it is believed"),
        Err(error) => error,
    };
    let mut fewer = rests.clone();
    fewer.past.remove(0);
    assert!(matches!(refused(&fewer), EpochError::Unvouched { .. }));
    let mut swapped = rests.clone();
    swapped.past.swap(0, 1);
    assert!(matches!(refused(&swapped), EpochError::Unvouched { .. }));
    // Another vault's epoch, to the same member.
    let stranger = behind();
    let mut other = ahead(&stranger);
    assert!(matches!(refused(&other), EpochError::NotAMember));
    other.keyring.clone_from(&rests.keyring);
    assert!(matches!(refused(&other), EpochError::List));
    let mut edited = rests.clone();
    let list = String::from_utf8(edited.members).unwrap();
    edited.members = list.replacen("epoch = 3", "epoch = 4", 1).into_bytes();
    assert!(matches!(refused(&edited), EpochError::List));
    // The right files, and a vouch that is another's: by one who has all of the keys.
    let keys = vault.newer_epoch(&rests, &fixture.member).unwrap().keys;
    let text = String::from_utf8(rests.members.clone()).unwrap();
    let (body, _) = crate::crypto::Mac::split_text(&text).unwrap();
    let mut list = Keyring::parse(body).unwrap();
    let wrong = list.past[0].vouch;
    list.past[1].vouch = wrong;
    let mut unvouched = rests.clone();
    unvouched.members = list.seal(&keys).unwrap().into_bytes();
    assert!(matches!(refused(&unvouched), EpochError::Unvouched { .. }));
    // An earlier one is no newer one.
    let older = vault.rests().unwrap();
    assert!(matches!(refused(&older), EpochError::Unvouched { .. }));
    // A ledger that does not belong to it stops the whole.
    let mut wrong = rests.clone();
    for text in wrong.ledgers.values_mut() {
        text.extend_from_slice(b"\n");
    }
    let mut vault = fixture.unlocked();
    let newer = vault.newer_epoch(&wrong, &fixture.member).unwrap();
    let done = vault.adopt_epoch(&newer, &fixture.member, now(), false);
    assert!(matches!(done, Err(VaultError::Ledger { .. })), "{done:?}");
    assert_eq!(vault.keyring().unwrap().epoch, 1);
}
