//! A keyring of its own for the secrets under some prefixes, and its end (design.md
//! section 4; book, formats/vault). The work is a rekey's: values and metadata of these
//! secrets alone come under other keys.

use std::collections::{BTreeMap, BTreeSet};

use super::keychain::Routes;
use super::keyring::{self, Keyring};
use super::lock::Lock;
use super::members::MemberError;
use super::rekey::{next_age, next_list};
use super::reseal::Kind;
use super::transaction::WAIT;
use super::{Rekeyed, Vault, VaultError};
use crate::crypto::{Identity, KeyringKeys, Member, MemberKey, encrypt_keyring, open_keyring};
use crate::model::{Lifecycle, SecretName, Timestamp};

/// What a new keyring is made from.
pub struct NewKeyring<'a> {
    /// What it is called.
    pub name: &'a str,
    /// How the names of its secrets begin; each ends in `/`.
    pub prefixes: Vec<String>,
    /// Who opens it, by the names they have in the default keyring.
    pub members: &'a BTreeSet<String>,
    /// Its own identity, freshly generated.
    pub keyring: Identity,
    /// Now.
    pub now: Timestamp,
    /// Whether the change is committed to git, where the settings say so too.
    pub git: bool,
}

impl Vault {
    /// Makes a keyring and takes the secrets under its prefixes into it. `member` must be
    /// one of its members: what dies half way is finished with it
    /// ([`Vault::finish_rekey`]).
    ///
    /// Refused unless each of these secrets can be read.
    pub fn add_keyring(
        &mut self,
        member: &dyn Member,
        new: NewKeyring<'_>,
    ) -> Result<Rekeyed, VaultError> {
        let _lock = Lock::acquire(&self.state.lock_path(), "keyring add", WAIT)?;
        self.refuse_busy()?;
        let name = new.name;
        let mut config = (*self.config()).clone();
        let is_known = |path: String| self.root.full(&path).symlink_metadata().is_ok();
        if config.keyrings.contains_key(name)
            || is_known(Keyring::list_path(name))
            || is_known(Keyring::age_path(name))
        {
            return Err(VaultError::KeyringTaken(name.to_owned()));
        }
        let mut prefixes = new.prefixes;
        prefixes.sort();
        prefixes.dedup();
        config.keyrings.insert(name.to_owned(), prefixes.clone());
        config.check()?;
        let members = self.listed(new.members)?;
        self.refuse_gone_back()?;
        let routes = Routes::of(&config);
        self.check_all(|secret| routes.keyring_of(secret) == name)?;

        let keys = KeyringKeys::new(new.keyring, &config.vault_id);
        let identity = keys.identity().ok_or(MemberError::Held)?;
        let list = Keyring {
            name: name.to_owned(),
            epoch: 1,
            recipient: keys.recipient(),
            commitment: keys.commitment(),
            prefixes,
            members,
            past: Vec::new(),
        };
        let age = encrypt_keyring(&identity, new.now, &self.hosted(&list))?;
        // Else nobody here could go on with what dies half way.
        if open_keyring(age.as_bytes(), member).is_err() {
            return Err(MemberError::NotYours.into());
        }
        let text = list.seal(&keys)?;
        let (age_path, list_path) = (next_age(name), next_list(name));
        let files = [
            (age_path.as_str(), age.as_bytes()),
            (list_path.as_str(), text.as_bytes()),
        ];
        self.begin_turn(Kind::Carve, &list, &keys, &files)?;
        self.turn(member, new.now, new.git, false)
    }

    /// Takes a keyring out: its secrets go to the default keyring, where every member
    /// reads them. Its member list stays and says so under its keys, so that who holds
    /// them can tell this from a forged settings file.
    pub fn remove_keyring(
        &mut self,
        name: &str,
        member: &dyn Member,
        now: Timestamp,
        git: bool,
    ) -> Result<Rekeyed, VaultError> {
        let _lock = Lock::acquire(&self.state.lock_path(), "keyring rm", WAIT)?;
        self.refuse_busy()?;
        if name == keyring::DEFAULT {
            return Err(VaultError::NoKeyring(name.to_owned()));
        }
        let mut list = self.keyring_named(name)?;
        let keys = self.need_keychain()?.named(name);
        let keys = keys.ok_or_else(|| VaultError::KeyringClosed(name.to_owned()))?;
        let is_held = keys.identity().is_none();
        if is_held {
            return Err(MemberError::Held.into());
        }
        self.refuse_gone_back()?;
        let routes = Routes::of(&self.config());
        self.check_all(|secret| routes.keyring_of(secret) == name)?;
        list.prefixes.clear();
        let text = list.seal(keys)?;
        let path = next_list(name);
        self.begin_turn(Kind::Fold, &list, keys, &[(path.as_str(), text.as_bytes())])?;
        self.turn(member, now, git, false)
    }

    fn refuse_busy(&self) -> Result<(), VaultError> {
        if let Some(error) = self.replaced() {
            return Err(error);
        }
        match self.git_under_way() {
            Some(what) => Err(VaultError::GitBusy(what)),
            None => Ok(()),
        }
    }

    /// These members of the default keyring with their keys.
    fn listed(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, MemberKey>, VaultError> {
        let all = self.keyring()?.members;
        let one = |name: &String| match all.get(name) {
            Some(key) => Ok((name.clone(), key.clone())),
            None => Err(MemberError::NotAMember(name.clone()).into()),
        };
        names.iter().map(one).collect()
    }

    /// The secrets of a keyring that have a value: what members of the default keyring
    /// could read before it was made, and what git's history still shows them.
    pub fn readable_before(&self, keyring: &str) -> Result<Vec<SecretName>, VaultError> {
        let routes = Routes::of(&self.config());
        let loaded = self.load()?;
        let records = loaded.records.into_values();
        let meant = records.filter(|record| {
            routes.keyring_of(&record.name) == keyring
                && record.state.lifecycle != Lifecycle::Tombstone
                && record.state.versions.values().any(|v| v.has_value())
        });
        Ok(meant.map(|record| record.name).collect())
    }
}

#[cfg(test)]
#[path = "carve_tests.rs"]
mod tests;
