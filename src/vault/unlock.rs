use std::collections::BTreeMap;

use super::keyring::{self, Keyring};
use super::state::{Pin, Trusted};
use super::{Vault, VaultError, read_config, read_text};
use crate::crypto::{Domain, Identity, KeyringKeys, OpenError, open_keyring};

/// The largest keyring file, in bytes: what an age file may have (crypto.md section 2).
const MAX_AGE: usize = 160 * 1024;

/// How a vault's keyring came to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// This clone unlocked the vault for the first time and will accept no other
    /// keyring from now on. The fingerprint is for a person to compare.
    FirstUse {
        /// The keyring's fingerprint.
        fingerprint: String,
    },
    /// It is the keyring that this clone has trusted before.
    Pinned,
}

impl Vault {
    /// Opens the keyring with a member's identity and verifies what the vault rests
    /// on: the pinned commitment, the member list and the settings. Nothing is
    /// unlocked or pinned unless all of it is right.
    pub fn unlock(&mut self, member: &Identity) -> Result<Trust, VaultError> {
        let name = keyring::DEFAULT;
        let age = Keyring::age_path(name);
        let (file, _) = self.root.read(&age, MAX_AGE)?;
        let identity = open_keyring(&file, member).map_err(|source| {
            let path = self.root.full(&age);
            match source {
                OpenError::NoIdentityMatches => VaultError::NoIdentity { path },
                source => VaultError::KeyringFile { path, source },
            }
        })?;
        let keys = KeyringKeys::new(identity, &self.config().vault_id);
        self.unlock_with(keys)
    }

    /// Verifies the same with keys that were opened before and are held elsewhere, by
    /// an agent. The keyring's file is not looked at: that these are its keys shows in
    /// the member list, which ends in their mac.
    pub fn unlock_with(&mut self, keys: KeyringKeys) -> Result<Trust, VaultError> {
        let name = keyring::DEFAULT;
        let age = Keyring::age_path(name);
        let vault_id = self.config().vault_id.clone();
        let pin = self.state.pin()?;
        let trusted = pin.as_ref().and_then(|pin| pin.keyrings.get(name));
        if let Some(trusted) = trusted
            && trusted.commitment != keys.commitment()
        {
            return Err(VaultError::OtherKeyring {
                path: self.root.full(&age),
                pinned: trusted.commitment.fingerprint(),
                found: keys.commitment().fingerprint(),
            });
        }
        let keyring = self.read_keyring(name, &keys)?;
        if let Some(trusted) = trusted
            && keyring.epoch < trusted.epoch
        {
            return Err(VaultError::OldEpoch {
                path: self.root.full(&Keyring::list_path(name)),
                seen: trusted.epoch,
                found: keyring.epoch,
            });
        }
        let (config, hash) = read_config(&self.root, Some(&keys))?;
        let trust = match trusted {
            Some(_) => Trust::Pinned,
            None => Trust::FirstUse {
                fingerprint: keys.commitment().fingerprint(),
            },
        };
        let trusted = Trusted {
            commitment: keys.commitment(),
            epoch: keyring.epoch,
        };
        let now = Pin {
            vault_id,
            config: hash,
            keyrings: BTreeMap::from([(name.to_owned(), trusted)]),
        };
        if pin.as_ref() != Some(&now) {
            self.state.set_pin(&now)?;
        }
        self.set_settings(config, true);
        self.keys = Some(keys);
        Ok(trust)
    }

    /// The member list of the vault's keyring, verified.
    pub fn keyring(&self) -> Result<Keyring, VaultError> {
        self.read_keyring(keyring::DEFAULT, self.need_keys()?)
    }

    fn read_keyring(&self, name: &str, keys: &KeyringKeys) -> Result<Keyring, VaultError> {
        let path = Keyring::list_path(name);
        let text = read_text(&self.root, &path, keyring::MAX)?;
        let path = self.root.full(&path);
        let fail = |source| VaultError::Keyring {
            path: path.clone(),
            source,
        };
        let body = match keys.verify_text(Domain::Keyring, &text) {
            Ok(body) => body,
            Err(source) => {
                // A future format ends in a mac of its own; say that instead.
                return Err(match Keyring::parse(&text) {
                    Err(newer @ super::KeyringError::NewerFormat(_)) => fail(newer),
                    _ => VaultError::mac(path.clone(), source),
                });
            }
        };
        let keyring = Keyring::parse(body).map_err(fail)?;
        keyring.check(name, keys).map_err(fail)?;
        Ok(keyring)
    }
}
