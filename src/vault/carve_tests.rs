//! Keyrings beside the default one: who reads what, what is refused, what no forger can
//! do, and that a death at any step leaves a vault that is whole or says what to do.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::testing::{Fixture, edit, git, id, name, now, put, text, value_of};
use super::super::{Durability, Rekey, Trust, read_config};
use super::*;
use crate::crypto::{Domain, HasMemberKey as _};
use crate::model::seeded::{Died, die_at};

/// Ann, who makes the keyring prod, and Bob, who is not in it.
struct Team {
    fixture: Fixture,
    bob: Identity,
}

impl Team {
    fn new(git: bool) -> Self {
        let fixture = Fixture::new(git);
        fixture.put("dev/a", 1, "one");
        fixture.put("prod/db", 2, "two");
        fixture.put("prod/db", 3, "three");
        let bob = Identity::generate();
        let key = bob.member_key();
        fixture.vault.add_member("bob", &key, now(), true).unwrap();
        Self { fixture, bob }
    }

    fn root(&self) -> PathBuf {
        self.fixture.root()
    }

    /// Bob's own state of the same directory.
    fn bobs(&self) -> Vault {
        Vault::open(&self.root(), &self.fixture.dir.path().join("bob")).unwrap()
    }

    fn bob(&self) -> Vault {
        let mut vault = self.bobs();
        vault.unlock(&self.bob).unwrap();
        vault
    }

    fn carve(&self, vault: &mut Vault, members: &[&str]) -> Result<Rekeyed, VaultError> {
        carve(vault, &self.fixture.member, "prod", &["prod/"], members)
    }
}

fn carve(
    vault: &mut Vault,
    member: &Identity,
    name: &str,
    prefixes: &[&str],
    members: &[&str],
) -> Result<Rekeyed, VaultError> {
    let new = NewKeyring {
        name,
        prefixes: prefixes.iter().map(|p| (*p).to_owned()).collect(),
        members: &members.iter().map(|m| (*m).to_owned()).collect(),
        keyring: Identity::generate(),
        now: now(),
        git: true,
    };
    vault.add_keyring(member, new)
}

/// All three values are there, and each file once.
fn assert_whole(vault: &Vault) {
    let loaded = vault.load().unwrap();
    assert!(loaded.blocked.is_empty(), "{:?}", loaded.blocked);
    assert!(loaded.verified);
    assert_eq!(loaded.records.len(), 2);
    for (secret, version, value) in [
        ("dev/a", 1, "one"),
        ("prod/db", 2, "two"),
        ("prod/db", 3, "three"),
    ] {
        let found = value_of(vault, secret, version).unwrap();
        assert!(found.same_as(&text(value)), "{secret}");
    }
    let files = vault.files().unwrap();
    assert_eq!(files.values, 3);
    assert!(files.duplicates.is_empty() && files.missing.is_empty());
    assert!(files.orphans.is_empty(), "{files:?}");
    assert!(vault.gone_back().unwrap().is_empty());
}

fn is_no_access(error: &VaultError) -> bool {
    matches!(error, VaultError::NoAccess { keyring, .. } if keyring == "prod")
}

#[test]
fn who_is_not_in_a_keyring_reads_the_rest_and_is_told_no_access() {
    let team = Team::new(true);
    // Bob has seen all of it before.
    assert_whole(&team.bob());
    let mut ann = team.fixture.unlocked();
    let done = team.carve(&mut ann, &["ann"]).unwrap();
    assert_eq!((done.secrets, done.values), (1, 2));
    assert_whole(&ann);
    assert_whole(&team.fixture.unlocked());
    assert_eq!(git(&team.root(), &["status", "--porcelain"]), "");

    let bob = team.bob();
    let loaded = bob.load().unwrap();
    assert_eq!(loaded.records.keys().collect::<Vec<_>>(), [&name("dev/a")]);
    assert_eq!(loaded.closed.get(&name("prod/db")).unwrap(), "prod");
    assert!(loaded.blocked.is_empty(), "{:?}", loaded.blocked);
    assert_eq!(loaded.closed_by(&name("prod/not/there")), Some("prod"));
    assert!(bob.gone_back().unwrap().is_empty(), "closed is not gone");
    for secret in ["prod/db", "prod/not/there"] {
        assert!(is_no_access(&bob.record(&name(secret)).unwrap_err()));
    }
    let mut tx = bob.begin("test", now()).unwrap();
    let value = text("x");
    let refused = tx.add_value(&name("prod/new"), &id(9), &value, None);
    assert!(is_no_access(&refused.unwrap_err()));
    put(&mut tx, "dev/b", 4, "four");
    tx.commit("put", Durability::Each).unwrap();
    let files = bob.files().unwrap();
    assert_eq!(files.values, 4, "those of prod are counted");
    assert!(files.orphans.is_empty() && files.missing.is_empty());
    // Where the host has taken the metadata away, its values are no garbage to Bob.
    let metadata = team.root().join("secrets/prod/db.toml");
    let there = fs::read(&metadata).unwrap();
    fs::remove_file(&metadata).unwrap();
    let files = bob.files().unwrap();
    assert!(files.orphans.is_empty(), "{files:?}");
    fs::write(&metadata, there).unwrap();
    drop(bob);
    // Locked it shows what Bob last could.
    let locked = team.bobs().load().unwrap();
    assert!(locked.closed.contains_key(&name("prod/db")));
    assert!(!locked.records.contains_key(&name("prod/db")));
    // Ann's next look finds Bob's.
    assert_eq!(team.fixture.unlocked().load().unwrap().records.len(), 3);
}

#[test]
fn values_under_another_keyring_do_not_open_with_the_default_keys() {
    let team = Team::new(false);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    let record = ann.record(&name("prod/db")).unwrap().unwrap();
    let default = ann.keys().unwrap();
    let place = ann.place(&record.name).unwrap();
    assert!(ann.read_under(default, &place, &record, &id(2)).is_err());
    let path = team.root().join("secrets/prod/db.toml");
    let bytes = fs::read(path).unwrap();
    assert!(super::super::meta::read(&bytes, "prod/db.toml", Some(default)).is_err());
}

#[test]
fn a_member_is_let_in_and_taken_out_of_one_keyring() {
    let team = Team::new(true);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    let key = team.bob.member_key();
    let stranger = Identity::generate().member_key();
    let refused = ann.add_member_to("prod", "eve", &stranger, now(), true);
    assert!(matches!(
        refused,
        Err(VaultError::Member(MemberError::NotAMember(_)))
    ));
    ann.add_member_to("prod", "bob", &key, now(), true).unwrap();
    assert_whole(&team.bob());

    let rekey = Rekey {
        keyring: Identity::generate(),
        remove: &BTreeSet::from(["bob".to_owned()]),
        now: now(),
        git: true,
    };
    let done = ann.rekey_of("prod", &team.fixture.member, rekey).unwrap();
    assert_eq!((done.epoch, done.secrets, done.values), (2, 1, 2));
    assert_eq!(ann.keyring().unwrap().epoch, 1, "the default one stays");
    assert_whole(&ann);
    assert_whole(&team.fixture.unlocked());
    let loaded = ann.load().unwrap();
    let open = ann.offboardings(&loaded).unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].keyring, "prod");
    assert_eq!(open[0].open.len(), 1, "prod/db, and not dev/a");
    // A cache that was verified under keys that Bob has no more proves nothing.
    let loaded = team.bob().load().unwrap();
    assert!(loaded.closed.contains_key(&name("prod/db")));
    assert_eq!(loaded.records.len(), 1);
}

#[test]
fn new_keys_of_the_default_keyring_leave_the_others_alone() {
    let team = Team::new(true);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    drop(ann);
    let prod = fs::read(team.root().join("secrets/prod/db.toml")).unwrap();
    let mut bob = team.bob();
    let rekey = Rekey {
        keyring: Identity::generate(),
        remove: &BTreeSet::new(),
        now: now(),
        git: true,
    };
    let done = bob.rekey(&team.bob, rekey).unwrap();
    assert_eq!((done.epoch, done.secrets), (2, 1));
    assert_eq!(
        fs::read(team.root().join("secrets/prod/db.toml")).unwrap(),
        prod
    );
    let mut ann = team.fixture.reopen();
    let trust = ann.unlock(&team.fixture.member).unwrap();
    assert_eq!(trust, Trust::Vouched { epoch: 2 });
    assert_whole(&ann);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    let team = Team::new(true);
    let mut ann = team.fixture.unlocked();
    let me = &team.fixture.member;
    let head = git(&team.root(), &["rev-parse", "HEAD"]);
    let mut refused = |name, prefixes: &[&str], members: &[&str]| {
        carve(&mut ann, me, name, prefixes, members).unwrap_err()
    };
    assert!(matches!(
        refused("prod", &["prod"], &["ann"]),
        VaultError::Setting(_)
    ));
    assert!(matches!(
        refused("default", &["prod/"], &["ann"]),
        VaultError::KeyringTaken(_)
    ));
    assert!(matches!(
        refused("prod", &["prod/"], &["eve"]),
        VaultError::Member(MemberError::NotAMember(_))
    ));
    assert!(matches!(
        refused("prod", &["prod/"], &["bob"]),
        VaultError::Member(MemberError::NotYours)
    ));
    assert_eq!(git(&team.root(), &["rev-parse", "HEAD"]), head);
    assert_eq!(git(&team.root(), &["status", "--porcelain"]), "");
    team.carve(&mut ann, &["ann"]).unwrap();
    let error = carve(&mut ann, me, "eu", &["prod/eu/"], &["ann"]).unwrap_err();
    assert!(matches!(error, VaultError::Setting(_)), "{error}");
    let error = carve(&mut ann, me, "prod", &["x/"], &["ann"]).unwrap_err();
    assert!(matches!(error, VaultError::KeyringTaken(_)), "{error}");
}

/// Bob, who has the default keys, writes the settings anew.
fn forge_settings(team: &Team, change: impl FnOnce(&mut crate::config::Config)) {
    let bob = team.bob();
    let keys = bob.keys().unwrap();
    let (mut config, _) = read_config(&bob.root, Some(keys)).unwrap();
    change(&mut config);
    let text = keys
        .seal_text(Domain::Vault, config.emit().unwrap())
        .unwrap();
    fs::write(team.root().join("strongroom.toml"), text).unwrap();
}

#[track_caller]
fn assert_lost(team: &Team, said: &str) {
    let error = team.fixture.reopen().unlock(&team.fixture.member);
    let error = error.unwrap_err();
    assert!(matches!(error, VaultError::KeyringLost { .. }), "{error}");
    assert!(error.is_integrity());
    assert!(error.to_string().contains(said), "{error}");
}

#[test]
fn crypto_9_a_default_member_cannot_route_a_keyrings_names_to_the_default_keys() {
    let team = Team::new(false);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    drop(ann);
    forge_settings(&team, |config| config.keyrings.clear());
    assert_lost(&team, "in the settings no more");
}

#[test]
fn crypto_9_a_default_member_cannot_give_a_keyring_other_names() {
    let team = Team::new(false);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    drop(ann);
    forge_settings(&team, |config| {
        let other = vec!["prod/".to_owned(), "staging/".to_owned()];
        config.keyrings.insert("prod".to_owned(), other);
    });
    assert_lost(&team, "other names than its own member list");
}

#[test]
fn crypto_9_a_keyring_whose_files_are_gone_is_not_taken_for_closed() {
    let team = Team::new(false);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    drop(ann);
    for file in ["keys/prod.age", "keys/prod.toml"] {
        let path = team.root().join(file);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_lost(&team, "its file is gone");
        fs::write(&path, bytes).unwrap();
    }
    assert_whole(&team.fixture.unlocked());
}

#[test]
fn crypto_9_another_keyring_in_the_place_of_a_known_one_is_noticed() {
    let team = Team::new(false);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    drop(ann);
    // With Ann in it.
    forge_keyring(&team, &[team.fixture.member.member_key()]);
    let error = team.fixture.reopen().unlock(&team.fixture.member);
    let error = error.unwrap_err();
    assert!(matches!(error, VaultError::OtherKeyring { .. }), "{error}");
}

/// Bob makes a keyring of his own, for these members, and puts it in prod's place. Gives
/// its fingerprint.
fn forge_keyring(team: &Team, to: &[MemberKey]) -> String {
    let keys = KeyringKeys::new(Identity::generate(), super::super::testing::ID);
    let path = team.root().join("keys/prod.toml");
    let there = fs::read_to_string(&path).unwrap();
    let (body, _) = crate::crypto::Mac::split_text(&there).unwrap();
    let mut list = Keyring::parse(body).unwrap();
    list.recipient = keys.recipient();
    list.commitment = keys.commitment();
    let age = encrypt_keyring(&keys.identity().unwrap(), now(), to).unwrap();
    fs::write(&path, list.seal(&keys).unwrap()).unwrap();
    fs::write(team.root().join("keys/prod.age"), age.as_bytes()).unwrap();
    keys.commitment().fingerprint()
}

#[test]
fn crypto_9_a_keyring_that_does_not_open_any_more_keeps_its_names() {
    let team = Team::new(false);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    drop(ann);
    forge_keyring(&team, &[Identity::generate().member_key()]);
    // No access alone is no loss: nothing new under its names is written.
    let mut ann = team.fixture.reopen();
    ann.unlock(&team.fixture.member).unwrap();
    let error = ann.keys_for(&name("prod/new")).err().unwrap();
    assert!(matches!(error, VaultError::NoAccess { .. }), "{error}");
    drop(ann);
    forge_settings(&team, |config| {
        config
            .keyrings
            .insert("prod".to_owned(), vec!["zzz/".to_owned()]);
    });
    assert_lost(&team, "names were taken from it");
}

#[test]
fn crypto_9_a_word_for_one_keyring_is_none_for_another() {
    let team = Team::new(false);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    let default = ann.keys().unwrap().commitment().fingerprint();
    drop(ann);
    let me = &team.fixture.member;
    let found = forge_keyring(&team, &[me.member_key()]);
    let said = |text: &str| team.fixture.reopen().unlock_trusting(me, text);
    let error = said(&default).unwrap_err();
    assert!(matches!(error, VaultError::OtherKeyring { .. }), "{error}");
    let error = said("0000-0000-0000-0000-0000").unwrap_err();
    assert!(error.is_integrity(), "{error}");
    // A person's word for this very one.
    said(&found).unwrap();
    team.fixture.unlocked();
}

#[test]
fn a_keyring_that_is_gone_is_accepted_by_the_fingerprint_it_had() {
    let team = Team::new(false);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    let default = ann.keys().unwrap().commitment().fingerprint();
    let had = ann.keychain().unwrap().named("prod").unwrap().commitment();
    drop(ann);
    forge_settings(&team, |config| config.keyrings.clear());
    assert_lost(&team, &had.fingerprint());
    let me = &team.fixture.member;
    let error = team.fixture.reopen().unlock_trusting(me, &default);
    assert!(matches!(error, Err(VaultError::KeyringLost { .. })));
    let mut ann = team.fixture.reopen();
    ann.unlock_trusting(me, &had.fingerprint()).unwrap();
    drop(ann);
    team.fixture.unlocked();
}

#[test]
fn crypto_9_metadata_under_the_default_keys_is_not_believed_under_prod() {
    let team = Team::new(false);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann"]).unwrap();
    let record = ann.record(&name("prod/db")).unwrap().unwrap();
    let forged = super::super::meta::emit(&record).unwrap();
    let text = ann.keys().unwrap().seal_text(Domain::Secret, forged);
    fs::write(team.root().join("secrets/prod/db.toml"), text.unwrap()).unwrap();
    let loaded = ann.load().unwrap();
    assert!(loaded.blocked.contains_key("prod/db"), "{loaded:?}");
    let error = ann.record(&name("prod/db")).unwrap_err();
    assert!(error.is_integrity(), "{error}");
    // Nor does a name inside that says dev help.
    edit(
        &team.root().join("secrets/prod/db.toml"),
        "name = \"prod/db\"",
        "name = \"dev/db\"",
    );
    assert!(team.fixture.unlocked().load().unwrap().blocked.len() == 1);
}

#[test]
fn a_keyring_that_a_holder_took_out_is_accepted_and_everybody_reads_it() {
    let team = Team::new(true);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann", "bob"]).unwrap();
    // Bob's clone knows the keyring.
    assert_whole(&team.bob());
    let me = &team.fixture.member;
    let done = ann.remove_keyring("prod", me, now(), true).unwrap();
    assert_eq!((done.secrets, done.values), (1, 2));
    assert_whole(&ann);
    assert!(ann.config().keyrings.is_empty());
    assert_whole(&team.fixture.unlocked());
    assert_whole(&team.bob());
    assert_eq!(git(&team.root(), &["status", "--porcelain"]), "");
}

fn restore(from: &Path, to: &Path) {
    drop(fs::remove_dir_all(to));
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.unwrap().success());
}

/// Dies at every step of a change of keyrings, and goes on from there.
fn die_everywhere(run: impl Fn(&Team, &mut Vault) -> Result<Rekeyed, VaultError>, team: &Team) {
    let fixture = &team.fixture;
    let saved = fixture.dir.path().join("saved");
    let saved_state = fixture.dir.path().join("saved-state");
    restore(&fixture.root(), &saved);
    restore(&fixture.state_home(), &saved_state);
    let (mut whole, mut half) = (0, 0);
    for step in 0.. {
        restore(&saved, &fixture.root());
        restore(&saved_state, &fixture.state_home());
        let mut vault = fixture.unlocked();
        let before = vault.config().keyrings.clone();
        die_at(Some(step));
        let result = catch_unwind(AssertUnwindSafe(|| run(team, &mut vault)));
        die_at(None);
        drop(vault);
        let ended = match result {
            Ok(result) => {
                result.unwrap();
                true
            }
            Err(panic) => {
                assert!(panic.is::<Died>(), "step {step}");
                false
            }
        };
        let mut vault = fixture.reopen();
        if vault.is_half_rekeyed() {
            half += 1;
            let error = vault.unlock(&fixture.member).unwrap_err();
            assert!(matches!(error, VaultError::RekeyUnderWay { .. }), "{error}");
            let finished = vault.finish_rekey(&fixture.member, now(), true).unwrap();
            assert!(finished.resumed);
        } else {
            vault.unlock(&fixture.member).unwrap();
            if vault.config().keyrings == before {
                whole += 1;
                assert_whole(&vault);
                run(team, &mut vault).unwrap();
            }
        }
        assert_ne!(vault.config().keyrings, before, "step {step}");
        assert_whole(&vault);
        assert_whole(&fixture.unlocked());
        drop(vault.begin("test", now()).unwrap());
        for entry in fs::read_dir(fixture.root().join("keys")).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().contains(".next."), "step {step}");
        }
        if ended {
            break;
        }
    }
    assert!(whole > 2 && half > 5, "{whole} {half}");
}

#[test]
fn a_death_at_any_step_of_a_new_keyring_can_be_gone_on_from() {
    let team = Team::new(false);
    die_everywhere(|team, vault| team.carve(vault, &["ann"]), &team);
}

#[test]
fn a_death_at_any_step_of_a_keyrings_end_can_be_gone_on_from() {
    let team = Team::new(false);
    let mut ann = team.fixture.unlocked();
    team.carve(&mut ann, &["ann", "bob"]).unwrap();
    assert_whole(&ann);
    drop(ann);
    let run = |team: &Team, vault: &mut Vault| {
        vault.remove_keyring("prod", &team.fixture.member, now(), true)
    };
    die_everywhere(run, &team);
}
