//! The keyrings beside the default one: opened where the member can, and held against
//! what this clone has seen of them (design.md section 4; book, formats/vault).

use std::collections::BTreeMap;

use super::keychain::Routes;
use super::keyring::{self, Keyring};
use super::rekey::next_list;
use super::state::{Pin, Trusted};
use super::unlock::trusted_of;
use super::{Vault, VaultError};
use crate::config::Config;
use crate::crypto::{Commitment, KeyringKeys, Member};
use crate::model::SecretName;

/// Where the keys of the other keyrings come from.
pub(super) enum Opener<'a> {
    /// Their age files, with a member's identity.
    Member(&'a dyn Member),
    /// Whoever holds them.
    Held(BTreeMap<String, KeyringKeys>),
}

/// The other keyrings as they were found.
#[derive(Default)]
pub(super) struct Others {
    pub(super) keys: BTreeMap<String, KeyringKeys>,
    /// What is to be pinned of them.
    pub(super) trusted: BTreeMap<String, Trusted>,
    /// Whether a person's word was needed for one of them.
    pub(super) is_accepted: bool,
}

/// A keyring beside the default one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringEntry {
    /// Its name.
    pub name: String,
    /// How the names of its secrets begin.
    pub prefixes: Vec<String>,
    /// Its member list, verified if [`KeyringEntry::is_open`]; none if it is not there or
    /// cannot be read.
    pub list: Option<Keyring>,
    /// Whether this member opens it.
    pub is_open: bool,
}

impl Vault {
    /// Opens the keyrings that the settings list, and holds each against what this clone
    /// has pinned of it. `accepted` is a fingerprint that a person gave: of the keyring that
    /// is found, where nothing vouches for it, or of the one that this clone trusts and that
    /// is gone or has lost names. It stands for that one keyring and for no other.
    pub(super) fn open_others(
        &self,
        config: &Config,
        pin: Option<&Pin>,
        mut opener: Opener<'_>,
        accepted: Option<&str>,
    ) -> Result<Others, VaultError> {
        let mut others = Others::default();
        let word = |of: &Commitment| accepted.is_some_and(|text| text == of.fingerprint());
        for (name, prefixes) in &config.keyrings {
            let trusted = pin.and_then(|pin| pin.keyrings.get(name));
            let list = self.root.full(&Keyring::list_path(name));
            let age = self.root.full(&Keyring::age_path(name));
            let is_there = [&list, &age].iter().all(|p| p.symlink_metadata().is_ok());
            match (is_there, trusted) {
                (true, _) => {}
                (false, Some(trusted)) if word(&trusted.commitment) => {
                    others.is_accepted = true;
                    continue;
                }
                (false, Some(_)) => return Err(self.lost(name, "its file is gone")),
                // A clone that a bundle began has never had them.
                (false, None) => continue,
            }
            let keys = match &mut opener {
                Opener::Member(member) => match self.open_age(&Keyring::age_path(name), *member) {
                    Ok(identity) => Some(KeyringKeys::new(identity, &config.vault_id)),
                    Err(VaultError::NoIdentity { .. }) => None,
                    Err(error) => return Err(error),
                },
                Opener::Held(held) => match held.remove(name) {
                    Some(keys) => Some(keys),
                    // Opened since then, or the agent was handed it before.
                    None if trusted.is_some_and(|t| t.is_open) => {
                        return Err(VaultError::NewEpoch { path: list });
                    }
                    None => None,
                },
            };
            // Before anything else: that a keyring cannot be opened any more must not be a
            // way to take its names from it.
            if let Some(trusted) = trusted
                && trusted.prefixes.iter().any(|p| !prefixes.contains(p))
            {
                if !word(&trusted.commitment) {
                    return Err(self.lost(name, "names were taken from it"));
                }
                others.is_accepted = true;
            }
            let Some(keys) = keys else {
                if let Some(trusted) = trusted {
                    let mut trusted = trusted.clone();
                    trusted.is_open = false;
                    others.trusted.insert(name.clone(), trusted);
                }
                continue;
            };
            let is_held = keys.identity().is_none();
            let found = match self.read_keyring(name, &keys) {
                Err(VaultError::Mac { .. }) if is_held => {
                    return Err(VaultError::NewEpoch { path: list });
                }
                found => found?,
            };
            if found.prefixes != *prefixes {
                let what = "the settings say other names than its own member list";
                return Err(self.lost(name, what));
            }
            if let Some(trusted) = trusted {
                match self.check_pinned(&found, &keys, trusted) {
                    Err(error @ (VaultError::Locked | VaultError::OldMembers { .. })) => {
                        return Err(error);
                    }
                    Err(_) if word(&keys.commitment()) => others.is_accepted = true,
                    Err(error) => return Err(error),
                    Ok(_) => {}
                }
            }
            others.trusted.insert(name.clone(), trusted_of(&found));
            others.keys.insert(name.clone(), keys);
        }
        let pinned = pin.into_iter().flat_map(|pin| &pin.keyrings);
        for (name, trusted) in pinned {
            if name == keyring::DEFAULT || config.keyrings.contains_key(name) {
                continue;
            }
            if word(&trusted.commitment) {
                others.is_accepted = true;
                continue;
            }
            self.check_retired(config, name, trusted, &mut opener)?;
        }
        Ok(others)
    }

    /// A keyring that this clone knows and that is in the settings no more: whoever took
    /// it out had its keys, and said so under them.
    fn check_retired(
        &self,
        config: &Config,
        name: &str,
        trusted: &Trusted,
        opener: &mut Opener<'_>,
    ) -> Result<(), VaultError> {
        let gone = || {
            let what =
                "it is in the settings no more, and nobody who holds its keys has taken it out";
            self.lost(name, what)
        };
        let list = self.root.full(&Keyring::list_path(name));
        let keys = match opener {
            Opener::Member(member) => match self.open_age(&Keyring::age_path(name), *member) {
                Ok(identity) => KeyringKeys::new(identity, &config.vault_id),
                Err(VaultError::NoIdentity { .. } | VaultError::Disk(_)) => return Err(gone()),
                Err(error) => return Err(error),
            },
            Opener::Held(_) => return Err(VaultError::NewEpoch { path: list }),
        };
        let found = self.read_keyring(name, &keys).map_err(|_| gone())?;
        self.check_pinned(&found, &keys, trusted)?;
        match found.prefixes.is_empty() {
            true => Ok(()),
            false => Err(gone()),
        }
    }

    pub(super) fn lost(&self, name: &str, what: &'static str) -> VaultError {
        let pin = self.state.pin().ok().flatten();
        let trusted = pin.as_ref().and_then(|pin| pin.keyrings.get(name));
        VaultError::KeyringLost {
            trusted: trusted.map_or_else(String::new, |trusted| {
                let fingerprint = trusted.commitment.fingerprint();
                format!("; this clone trusts it as {fingerprint}")
            }),
            path: self.root.full(&Keyring::list_path(name)),
            keyring: name.to_owned(),
            what,
        }
    }

    /// The keyring that a name belongs to, if it is another than the default one.
    pub fn keyring_apart(&self, name: &SecretName) -> Option<String> {
        let routes = Routes::of(&self.config());
        let keyring = routes.keyring_of(name);
        (keyring != keyring::DEFAULT).then(|| keyring.to_owned())
    }

    /// The keyrings beside the default one, sorted. The member list of one that is not
    /// open is as whoever wrote it says.
    pub fn other_keyrings(&self) -> Result<Vec<KeyringEntry>, VaultError> {
        let chain = self.need_keychain()?;
        let config = self.config();
        let entry = |(name, prefixes): (&String, &Vec<String>)| {
            let keys = chain.named(name);
            let list = match keys {
                Some(keys) => Some(self.read_keyring(name, keys)?),
                None => self.unverified_list(name).ok().flatten(),
            };
            Ok(KeyringEntry {
                name: name.clone(),
                prefixes: prefixes.clone(),
                list,
                is_open: keys.is_some(),
            })
        };
        config.keyrings.iter().map(entry).collect()
    }

    /// The member list of a keyring that is open, verified.
    pub fn keyring_named(&self, name: &str) -> Result<Keyring, VaultError> {
        match self.need_keychain()?.named(name) {
            Some(keys) => self.read_keyring(name, keys),
            None if self.config().keyrings.contains_key(name) => {
                Err(VaultError::KeyringClosed(name.to_owned()))
            }
            None => Err(VaultError::NoKeyring(name.to_owned())),
        }
    }

    /// Removes what is left of a change of keys that has ended.
    pub(super) fn drop_next(&self, name: &str) -> Result<(), VaultError> {
        if self.root.full(&next_list(name)).symlink_metadata().is_err() {
            self.root.remove(&super::rekey::next_age(name))?;
        }
        Ok(())
    }
}
