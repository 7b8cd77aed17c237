//! New keys for a vault, with or without some of its members (design.md section 4,
//! "Keyring"; book, formats/keyring).
//!
//! Everything is encrypted anew: every value of every version, and every file that
//! ends in a mac. What is on disk while that happens says so, in a file that is written
//! first and removed at the end, and holds all that is needed to finish: whoever dies on the
//! way, the next run goes on from what is there. Until the member list is replaced, every
//! value file of the old epoch stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::adopt::walk_back;
use super::disk::{Durable, Existing, split};
use super::git::{self, Committed};
use super::keyring::{self, Keyring, Past};
use super::lock::Lock;
use super::members::MemberError;
use super::reseal::Turn;
use super::state::Pin;
use super::transaction::WAIT;
use super::unlock::trusted_of;
use super::{CONFIG, SECRETS, Vault, VaultError, read_config, read_text, view};
use crate::crypto::{Domain, Identity, KeyringKeys, Member, encrypt_keyring};
use crate::model::{Record, Timestamp, VersionId};

/// The member list of the epoch that is about to begin: while it is there, a rekey is
/// under way.
pub(super) const NEXT_LIST: &str = "keys/default.next.toml";
/// That epoch's identity, encrypted to its members.
pub(super) const NEXT_AGE: &str = "keys/default.next.age";

/// In the clone's own state: the commitment of the epoch that this clone has begun. What
/// git brings under the names of the files above is nobody's rekey.
pub(super) const BEGUN: &str = "rekey";

/// What new keys are made for.
pub struct Rekey<'a> {
    /// The new keyring's own identity, freshly generated.
    pub keyring: Identity,
    /// Who is not to open it any more, by name.
    pub remove: &'a BTreeSet<String>,
    /// Now.
    pub now: Timestamp,
    /// Whether the change is committed to git, where the settings say so too.
    pub git: bool,
}

/// What a rekey did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rekeyed {
    /// The epoch that began.
    pub epoch: u32,
    /// Who was removed.
    pub removed: Vec<String>,
    /// How many secrets and how many versions' values this run wrote anew.
    pub secrets: usize,
    /// The values.
    pub values: usize,
    /// Whether it went on from where an earlier run had ended.
    pub resumed: bool,
    /// What became of the git commit.
    pub git: Committed,
}

impl Vault {
    /// Whether a rekey was begun and not finished.
    pub fn is_half_rekeyed(&self) -> bool {
        self.refuse_half_rekeyed().is_err()
    }

    pub(super) fn refuse_half_rekeyed(&self) -> Result<(), VaultError> {
        let path = self.root.full(NEXT_LIST);
        match path.symlink_metadata() {
            Ok(_) if self.begun().is_some() => Err(VaultError::RekeyUnderWay { path }),
            _ => Ok(()),
        }
    }

    fn begun(&self) -> Option<String> {
        let (bytes, _) = self.state.root().read(BEGUN, 256).ok()?;
        String::from_utf8(bytes).ok()
    }

    /// Gives an unlocked vault a new epoch. Needs the keyring's own key in this process,
    /// and an identity of a member who stays.
    ///
    /// Refused unless every secret can be read: what could not be encrypted anew would
    /// be lost.
    pub fn rekey(&mut self, member: &dyn Member, rekey: Rekey<'_>) -> Result<Rekeyed, VaultError> {
        let _lock = Lock::acquire(&self.state.lock_path(), "rekey", WAIT)?;
        if let Some(error) = self.replaced() {
            return Err(error);
        }
        if let Some(what) = self.git_under_way() {
            return Err(VaultError::GitBusy(what));
        }
        let keys = self.need_keys()?;
        let old = keys.identity().ok_or(MemberError::Held)?;
        let list = self.trusted_list()?;
        let mut members = list.members.clone();
        for name in rekey.remove {
            if members.remove(name).is_none() {
                return Err(MemberError::NotAMember(name.clone()).into());
            }
        }
        if members.is_empty() {
            return Err(MemberError::Last.into());
        }
        let own = member.member_key();
        if !members.values().any(|key| *key == own) {
            return Err(MemberError::LocksOut.into());
        }
        self.refuse_gone_back()?;
        self.check_all()?;

        let new = KeyringKeys::new(rekey.keyring, &self.config().vault_id);
        let identity = new.identity().ok_or(MemberError::Held)?;
        let successor = Keyring::successor(
            &list.name,
            list.epoch.saturating_add(1),
            &new.recipient(),
            &new.commitment(),
        );
        let mut past = list.past;
        past.push(Past {
            epoch: list.epoch,
            commitment: list.commitment,
            removed: rekey.remove.iter().cloned().collect(),
            vouch: keys.mac(Domain::Epoch, successor.as_bytes())?,
        });
        let next = Keyring {
            name: list.name,
            epoch: list.epoch.saturating_add(1),
            recipient: new.recipient(),
            commitment: new.commitment(),
            prefixes: list.prefixes,
            members,
            past,
        };
        let next_age = encrypt_keyring(&identity, rekey.now, &self.hosted(&next))?;
        let past_age = encrypt_keyring(&old, rekey.now, &[identity.recipient()])?;
        let past_path = Keyring::past_path(&next.name, list.epoch);
        let text = next.seal(&new)?;
        let mark = new.commitment().to_string();
        let state = self.state.root();
        state.write(BEGUN, mark.as_bytes(), Existing::Replace, Durable::Now)?;
        for (path, bytes) in [
            (past_path.as_str(), past_age.as_bytes()),
            (NEXT_AGE, next_age.as_bytes()),
            (NEXT_LIST, text.as_bytes()),
        ] {
            self.root
                .write(path, bytes, Existing::Replace, Durable::Now)?;
        }
        self.turn(member, rekey.now, rekey.git, false)
    }

    /// Finishes a rekey that was begun. The vault need not be unlocked, and cannot be;
    /// it is afterwards.
    pub fn finish_rekey(
        &mut self,
        member: &dyn Member,
        now: Timestamp,
        use_git: bool,
    ) -> Result<Rekeyed, VaultError> {
        let _lock = Lock::acquire(&self.state.lock_path(), "rekey", WAIT)?;
        self.turn(member, now, use_git, true)
    }

    /// Takes every file from the old keys to the new ones, in an order in which each
    /// step can be the last of this process.
    pub(super) fn turn(
        &mut self,
        member: &dyn Member,
        now: Timestamp,
        use_git: bool,
        resumed: bool,
    ) -> Result<Rekeyed, VaultError> {
        let turn = self.open_turn(member)?;
        self.sweep_all()?;
        let listed = self.reseal_config(&turn)?;
        self.reseal_ledgers(&turn)?;
        let removed = turn.list.past.last().map(|p| p.removed.clone());
        let removed = removed.unwrap_or_default();
        self.write_ledger(&turn, &removed, listed.as_ref(), now)?;
        let (secrets, values, fresh) = self.reseal_secrets(&turn)?;
        self.root.sync()?;

        // From here on the new epoch is the vault's.
        let (age, _) = self.root.read(NEXT_AGE, super::unlock::MAX_AGE)?;
        let list = read_text(&self.root, NEXT_LIST, keyring::MAX)?;
        let name = &turn.list.name;
        for (path, bytes) in [
            (Keyring::age_path(name), age.as_slice()),
            (Keyring::list_path(name), list.as_bytes()),
        ] {
            self.root
                .write(&path, bytes, Existing::Replace, Durable::Now)?;
        }
        let (config, hash) = read_config(&self.root, Some(&turn.new))?;
        // Not before the keys that open the new ones are in place.
        self.drop_old_values(&turn, &fresh)?;
        let git = if use_git && config.git.commit {
            let paths = git::changed(&self.root, &["keys", SECRETS, CONFIG], |path| {
                !path.ends_with(NEXT_AGE) && !path.ends_with(NEXT_LIST)
            });
            let message = match removed.is_empty() {
                true => format!("rekey: epoch {}", turn.list.epoch),
                false => format!(
                    "members: remove {}; epoch {}",
                    removed.join(", "),
                    turn.list.epoch
                ),
            };
            match paths {
                Ok(paths) => git::commit(&self.root, &paths, &message, now, git::PATIENCE),
                Err(reason) => Committed::Left(reason),
            }
        } else {
            Committed::Off
        };
        // Until here `git clean` and `git checkout` lead back to the old epoch, which is
        // the trusted one.
        view::forget_digests(&self.state)?;
        self.wrote_settings(hash)?;
        self.state.set_pin(&Pin {
            vault_id: config.vault_id.clone(),
            config: hash,
            keyrings: BTreeMap::from([(name.clone(), trusted_of(&turn.list))]),
        })?;
        self.root.remove(NEXT_LIST)?;
        self.root.sync_dir("keys")?;
        self.root.remove(NEXT_AGE)?;
        self.state.root().remove(BEGUN)?;
        self.set_settings(config, true);
        let epoch = turn.list.epoch;
        self.keys = Some(turn.new);
        Ok(Rekeyed {
            epoch,
            removed,
            secrets,
            values,
            resumed,
            git,
        })
    }

    /// Removes what processes that died left. Under the lock it is nobody's.
    fn sweep_all(&self) -> Result<(), VaultError> {
        let mut folders = BTreeSet::from([String::new(), "keys".to_owned(), SECRETS.to_owned()]);
        self.walk("", &mut |path, _| {
            let (folder, _) = split(path);
            if !folder.is_empty() {
                folders.insert(format!("{SECRETS}/{folder}"));
            }
        })?;
        for folder in folders {
            self.root.sweep(&folder, |_| false);
        }
        Ok(())
    }

    /// Opens what a rekey wrote first, and believes it only if the keys that this clone
    /// trusts vouch for it.
    fn open_turn(&self, member: &dyn Member) -> Result<Turn, VaultError> {
        let vault_id = self.config().vault_id.clone();
        let identity = self.open_age(NEXT_AGE, member)?;
        let new = KeyringKeys::new(identity, &vault_id);
        let list = self.read_list(NEXT_LIST, keyring::DEFAULT, &new)?;
        let forged = || VaultError::OtherKeyring {
            path: self.root.full(NEXT_LIST),
            pinned: self
                .pinned()
                .map_or_else(String::new, |t| t.commitment.fingerprint()),
            found: new.commitment().fingerprint(),
        };
        let last = list.past.last().ok_or_else(forged)?;
        let identity = new.identity().ok_or(MemberError::Held)?;
        // One that a bundle brought can be several epochs later; once it is pinned, all
        // that is left to do is the last step.
        let trusted = self.pinned().ok_or_else(forged)?;
        let until = match trusted.commitment == new.commitment() {
            true => last.commitment,
            false => trusted.commitment,
        };
        let file = |epoch| self.past_file(&list.name, epoch);
        let old = walk_back(&list, identity, &vault_id, file, &until)?;
        let (_, old) = old.ok_or_else(forged)?;
        match self.begun() == Some(new.commitment().to_string()) {
            true => Ok(Turn { list, old, new }),
            false => Err(forged()),
        }
    }

    fn pinned(&self) -> Option<super::state::Trusted> {
        let pin = self.state.pin().ok().flatten()?;
        pin.keyrings.get(keyring::DEFAULT).cloned()
    }

    /// Reads every value, so that nothing is found to be unreadable half way.
    pub(super) fn check_all(&self) -> Result<(), VaultError> {
        let loaded = self.load()?;
        let mut names: Vec<String> = loaded.blocked.into_keys().collect();
        let work: Vec<(&Record, &VersionId)> = loaded
            .records
            .values()
            .flat_map(|record| {
                let versions = record.state.versions.iter();
                let valued = versions.filter(|(_, meta)| meta.has_value());
                valued.map(move |(id, _)| (record, id))
            })
            .collect();
        let failed = Mutex::new(BTreeSet::new());
        let next = AtomicUsize::new(0);
        let worker = || {
            while let Some((record, id)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.read(record, id).is_err() {
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.insert(record.name.to_string());
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(worker);
            worker();
        });
        names.extend(failed.into_inner().unwrap_or_else(PoisonError::into_inner));
        names.sort();
        match names.is_empty() {
            true => Ok(()),
            false => Err(VaultError::Unsound { names }),
        }
    }
}

#[cfg(test)]
#[path = "rekey_tests.rs"]
mod tests;
