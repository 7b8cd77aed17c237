//! What a change of keys goes on from: the files that it wrote first, believed only if this
//! clone began it and trusts the keys that it comes from (book, formats/keyring).

use super::adopt::walk_back;
use super::keychain::Routes;
use super::keyring::{self, Keyring};
use super::members::MemberError;
use super::rekey::{Begun, next_age, next_list};
use super::reseal::{Kind, Turn};
use super::{Vault, VaultError, read_config};
use crate::crypto::{KeyringKeys, Member};

impl Vault {
    /// Opens what a rekey wrote first, and believes it only if the keys that this clone
    /// trusts vouch for it.
    pub(super) fn open_turn(&self, begun: &Begun, member: &dyn Member) -> Result<Turn, VaultError> {
        let vault_id = self.config().vault_id.clone();
        let name = begun.keyring.as_str();
        let identity = self.open_age(&next_age(name), member)?;
        let new = KeyringKeys::new(identity, &vault_id);
        let list = self.read_list(&next_list(name), name, &new)?;
        let forged = || self.forged_turn(name, &new);
        let last = list.past.last().ok_or_else(forged)?;
        let identity = new.identity().ok_or(MemberError::Held)?;
        // One that a bundle brought can be several epochs later; once it is pinned, all
        // that is left to do is the last step.
        let trusted = self.pinned(name).ok_or_else(forged)?;
        let until = match trusted.commitment == new.commitment() {
            true => last.commitment,
            false => trusted.commitment,
        };
        let file = |epoch| self.past_file(&list.name, epoch);
        let old = walk_back(&list, identity, &vault_id, file, &until)?;
        let (_, old) = old.ok_or_else(forged)?;
        let is_ours = begun.commitment == new.commitment().to_string();
        match is_ours {
            true => Ok(Turn {
                kind: Kind::Epoch,
                list,
                old,
                new,
                routes: Routes::default(),
                dated: None,
            }),
            false => Err(forged()),
        }
    }

    /// Opens what a new keyring began with: its own files as this clone wrote them, and
    /// the default keyring's keys, which its secrets are still under.
    pub(super) fn open_carve(
        &self,
        begun: &Begun,
        member: &dyn Member,
    ) -> Result<Turn, VaultError> {
        let name = begun.keyring.as_str();
        let identity = self.open_age(&next_age(name), member)?;
        let new = KeyringKeys::new(identity, &self.config().vault_id);
        if begun.commitment != new.commitment().to_string() {
            return Err(self.forged_turn(name, &new));
        }
        let list = self.read_list(&next_list(name), name, &new)?;
        Ok(Turn {
            kind: Kind::Carve,
            routes: routes_of(&list.prefixes, name),
            old: self.open_default(member)?,
            dated: None,
            list,
            new,
        })
    }

    /// Opens a keyring that is being taken out: its secrets go to the default one.
    pub(super) fn open_fold(&self, begun: &Begun, member: &dyn Member) -> Result<Turn, VaultError> {
        let name = begun.keyring.as_str();
        let identity = self.open_age(&Keyring::age_path(name), member)?;
        let old = KeyringKeys::new(identity, &self.config().vault_id);
        if begun.commitment != old.commitment().to_string() {
            return Err(self.forged_turn(name, &old));
        }
        let list = self.read_list(&next_list(name), name, &old)?;
        let new = self.open_default(member)?;
        // Once the settings have lost it, all is done that needs to know its names.
        let (config, _) = read_config(&self.root, Some(&new))?;
        let prefixes = config.keyrings.get(name).cloned().unwrap_or_default();
        Ok(Turn {
            kind: Kind::Fold,
            routes: routes_of(&prefixes, name),
            dated: None,
            list,
            old,
            new,
        })
    }

    /// The default keyring's keys, which must be those that this clone trusts.
    pub(super) fn open_default(&self, member: &dyn Member) -> Result<KeyringKeys, VaultError> {
        let name = keyring::DEFAULT;
        let identity = self.open_age(&Keyring::age_path(name), member)?;
        let keys = KeyringKeys::new(identity, &self.config().vault_id);
        match self.pinned(name) {
            Some(trusted) if trusted.commitment == keys.commitment() => Ok(keys),
            _ => Err(self.forged_turn(name, &keys)),
        }
    }

    fn forged_turn(&self, name: &str, found: &KeyringKeys) -> VaultError {
        let pinned = self.pinned(name);
        VaultError::OtherKeyring {
            path: self.root.full(&next_list(name)),
            pinned: pinned.map_or_else(String::new, |t| t.commitment.fingerprint()),
            found: found.commitment().fingerprint(),
        }
    }

    fn pinned(&self, name: &str) -> Option<super::state::Trusted> {
        let pin = self.state.pin().ok().flatten()?;
        pin.keyrings.get(name).cloned()
    }
}

fn routes_of(prefixes: &[String], name: &str) -> Routes {
    let pair = |prefix: &String| (prefix.clone(), name.to_owned());
    prefixes.iter().map(pair).collect()
}
