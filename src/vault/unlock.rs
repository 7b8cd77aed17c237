use std::collections::BTreeMap;

use super::keychain::{Keychain, Routes};
use super::keyring::{self, Keyring};
use super::keyrings::Opener;
use super::state::{Pin, Trusted};
use super::{Vault, VaultError, read_config, read_text, view};
use crate::crypto::{
    Commitment, Domain, Identity, KeyringKeys, Mac, Member, OpenError, open_keyring,
};

/// The largest keyring file, in bytes: what an age file may have (crypto.md section 2).
pub(super) const MAX_AGE: usize = 160 * 1024;

/// Reads a file of the vault by its path: of the directory, or of a commit that is not
/// checked out.
pub(super) type Tree<'t> = dyn Fn(&str) -> Result<Vec<u8>, VaultError> + 't;

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
    /// It is of a newer epoch than this clone had seen, and the keys that this clone
    /// trusted vouch for it.
    Vouched {
        /// The epoch.
        epoch: u32,
    },
    /// A person accepted it by its fingerprint.
    Accepted,
}

/// What is to be seen of a keyring before anything of it is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyringSight {
    /// The fingerprint of the keyring that the identity opens.
    pub fingerprint: String,
    /// The epoch that its member list says.
    pub epoch: u32,
    /// Its members' names.
    pub members: Vec<String>,
    /// The fingerprint and the epoch that this clone trusts, if any.
    pub pinned: Option<(String, u32)>,
    /// Whether this clone would accept it by itself.
    pub is_accepted: bool,
}

impl Vault {
    /// Opens the keyring with a member's identity and verifies what the vault rests
    /// on: the pinned commitment, the member list and the settings. Nothing is
    /// unlocked or pinned unless all of it is right. A newer epoch than the pinned one
    /// is accepted if the pinned keys vouch for it.
    pub fn unlock(&mut self, member: &dyn Member) -> Result<Trust, VaultError> {
        let keys = self.open_keys(member);
        let done = keys.and_then(|keys| self.admit(keys, Opener::Member(member), None));
        self.noted_unlock(done)
    }

    /// The same, and accepts a keyring that nothing vouches for if it has this
    /// fingerprint: a person says so, and nothing else may.
    pub fn unlock_trusting(
        &mut self,
        member: &dyn Member,
        fingerprint: &str,
    ) -> Result<Trust, VaultError> {
        let keys = self.open_keys(member);
        let opener = Opener::Member(member);
        let done = keys.and_then(|keys| self.admit(keys, opener, Some(fingerprint)));
        self.noted_unlock(done)
    }

    /// Verifies the same with keys that were opened before and are held elsewhere, by
    /// an agent. The keyring's file is not looked at: that these are its keys shows in
    /// the member list, which ends in their mac.
    pub fn unlock_with(&mut self, keys: KeyringKeys) -> Result<Trust, VaultError> {
        self.unlock_with_all(keys, BTreeMap::new())
    }

    /// The same with the keys of other keyrings, by their names.
    pub fn unlock_with_all(
        &mut self,
        keys: KeyringKeys,
        others: BTreeMap<String, KeyringKeys>,
    ) -> Result<Trust, VaultError> {
        match self.admit(keys, Opener::Held(others), None) {
            // An agent may hold the keys of another clone's keyring: nobody has tried.
            Err(error @ VaultError::OtherKeyring { .. }) => Err(error),
            done => self.noted_unlock(done),
        }
    }

    /// What a member's identity opens here, without trusting any of it.
    pub fn look_at_keyring(&self, member: &dyn Member) -> Result<KeyringSight, VaultError> {
        let keys = self.noted_unlock(self.open_keys(member))?;
        let list = self.read_keyring(keyring::DEFAULT, &keys)?;
        let pin = self.state.pin()?;
        let trusted = pin.as_ref().and_then(|p| p.keyrings.get(keyring::DEFAULT));
        Ok(KeyringSight {
            fingerprint: keys.commitment().fingerprint(),
            epoch: list.epoch,
            members: list.members.keys().cloned().collect(),
            pinned: trusted.map(|t| (t.commitment.fingerprint(), t.epoch)),
            is_accepted: match trusted {
                Some(trusted) => self.check_pinned(&list, &keys, trusted).is_ok(),
                None => false,
            },
        })
    }

    fn open_keys(&self, member: &dyn Member) -> Result<KeyringKeys, VaultError> {
        self.refuse_half_rekeyed()?;
        let identity = self.open_keyring_of(&|path: &str| self.file(path), member)?;
        Ok(KeyringKeys::new(identity, &self.config().vault_id))
    }

    /// A file of a keyring in the work tree.
    fn file(&self, path: &str) -> Result<Vec<u8>, VaultError> {
        let cap = match path.ends_with(".age") {
            true => MAX_AGE,
            false => keyring::MAX,
        };
        Ok(self.root.read(path, cap)?.0)
    }

    /// Opens the keyring's file of a tree. Says so to whoever could open it before.
    fn open_keyring_of(
        &self,
        tree: &Tree<'_>,
        member: &dyn Member,
    ) -> Result<Identity, VaultError> {
        let age = Keyring::age_path(keyring::DEFAULT);
        let opened = self.open_bytes(&age, &tree(&age)?, member);
        let Err(VaultError::NoIdentity { path }) = opened else {
            return opened;
        };
        let list = tree(&Keyring::list_path(keyring::DEFAULT));
        let list = list.ok().and_then(|text| unverified(&text));
        let pin = self.state.pin()?;
        let trusted = pin.as_ref().and_then(|p| p.keyrings.get(keyring::DEFAULT));
        let (Some(list), Some(trusted)) = (list, trusted) else {
            return Err(VaultError::NoIdentity { path });
        };
        let was_member = trusted.members.contains(&member.member_key().to_string());
        if !was_member || list.epoch <= trusted.epoch {
            return Err(VaultError::NoIdentity { path });
        }
        let mut ends = list.past.iter().filter(|past| past.epoch >= trusted.epoch);
        let removal = ends.find(|past| !past.removed.is_empty());
        let epoch = removal.map_or(list.epoch, |past| past.epoch.saturating_add(1));
        Err(VaultError::NoMemberNow { path, epoch })
    }

    /// Opens the keyring of a tree that is not in the work tree yet, and holds it against
    /// what this clone trusts, as [`Vault::unlock`] does with the one that is.
    pub(super) fn keys_of(
        &self,
        tree: &Tree<'_>,
        member: &dyn Member,
    ) -> Result<KeyringKeys, VaultError> {
        let name = keyring::DEFAULT;
        let identity = self.open_keyring_of(tree, member)?;
        let keys = KeyringKeys::new(identity, &self.config().vault_id);
        let path = Keyring::list_path(name);
        let text = tree(&path)?;
        let text = std::str::from_utf8(&text).map_err(|_| VaultError::Mac {
            path: self.root.full(&path),
            source: crate::crypto::MacError::Malformed,
        })?;
        let list = self.believe_list(text, &path, name, &keys)?;
        let pin = self.state.pin()?;
        let trusted = pin.as_ref().and_then(|pin| pin.keyrings.get(name));
        if let Some(trusted) = trusted {
            self.check_pinned_in(tree, &list, &keys, trusted)?;
        }
        Ok(keys)
    }

    /// Opens an age file that holds a keyring's identity.
    pub(super) fn open_age(&self, age: &str, member: &dyn Member) -> Result<Identity, VaultError> {
        let (file, _) = self.root.read(age, MAX_AGE)?;
        self.open_bytes(age, &file, member)
    }

    fn open_bytes(
        &self,
        age: &str,
        file: &[u8],
        member: &dyn Member,
    ) -> Result<Identity, VaultError> {
        open_keyring(file, member).map_err(|source| {
            let path = self.root.full(age);
            match source {
                OpenError::NoIdentityMatches => VaultError::NoIdentity { path },
                source => VaultError::KeyringFile { path, source },
            }
        })
    }

    fn admit(
        &mut self,
        keys: KeyringKeys,
        opener: Opener<'_>,
        accepted: Option<&str>,
    ) -> Result<Trust, VaultError> {
        self.refuse_half_rekeyed()?;
        let name = keyring::DEFAULT;
        let vault_id = self.config().vault_id.clone();
        let pin = self.state.pin()?;
        let trusted = pin.as_ref().and_then(|pin| pin.keyrings.get(name));
        let fingerprint = keys.commitment().fingerprint();
        // What a person was told, whatever this clone trusts so far. A word for another
        // keyring says nothing of the default one.
        let word = accepted.is_some_and(|text| text == fingerprint);
        let is_pinned = trusted.is_some_and(|t| t.commitment == keys.commitment());
        if accepted.is_some() && !word && !is_pinned {
            return Err(VaultError::OtherFingerprint { found: fingerprint });
        }
        if let Some(trusted) = trusted
            && trusted.commitment != keys.commitment()
            && !word
            && (keys.identity().is_none() || self.list_commitment()? != Some(keys.commitment()))
        {
            return Err(self.other_keyring(name, trusted, &fingerprint));
        }
        let keyring = match self.read_keyring(name, &keys) {
            // Keys that an agent opened before another clone replaced them.
            Err(VaultError::Mac { .. }) if keys.identity().is_none() && self.is_outdated(&keys) => {
                let path = self.root.full(&Keyring::list_path(name));
                return Err(VaultError::NewEpoch { path });
            }
            keyring => keyring?,
        };
        let checked = trusted.map(|trusted| self.check_pinned(&keyring, &keys, trusted));
        let checked = match checked.transpose() {
            Err(VaultError::Locked) => return Err(VaultError::Locked),
            // A fingerprint is of keys; it says nothing of who is on the list.
            Err(error @ VaultError::OldMembers { .. }) => return Err(error),
            Err(_) if word => None,
            Err(error) => return Err(error),
            Ok(checked) => checked,
        };
        let (config, hash) = read_config(&self.root, Some(&keys))?;
        self.see_settings(hash)?;
        let others = self.open_others(&config, pin.as_ref(), opener, accepted)?;
        if accepted.is_some() && !word && !others.is_accepted {
            return Err(VaultError::OtherFingerprint { found: fingerprint });
        }
        let trust = match checked {
            Some(None) => Trust::Pinned,
            Some(Some(epoch)) => Trust::Vouched { epoch },
            None if word => Trust::Accepted,
            None => Trust::FirstUse { fingerprint },
        };
        let is_new_epoch = trusted.is_some() && trust != Trust::Pinned;
        let mut keyrings = others.trusted;
        keyrings.insert(name.to_owned(), trusted_of(&keyring));
        let now = Pin {
            vault_id,
            config: hash,
            keyrings,
        };
        // Digests of what remotes showed are under the keys of before.
        let has_other_keys = pin.as_ref().is_some_and(|pin| {
            let keys = |pin: &Pin| -> Vec<(String, Commitment, Vec<String>)> {
                let all = pin.keyrings.iter().filter(|(_, t)| t.is_open);
                all.map(|(n, t)| (n.clone(), t.commitment, t.prefixes.clone()))
                    .collect()
            };
            keys(pin) != keys(&now)
        });
        if is_new_epoch || has_other_keys {
            view::forget_digests(&self.state)?;
        }
        if pin.as_ref() != Some(&now) {
            self.state.set_pin(&now)?;
        }
        let routes = Routes::of(&config);
        self.set_settings(config, true);
        self.keys = Some(Keychain::new(keys, others.keys, routes));
        Ok(trust)
    }

    /// Holds a verified member list against the pin. Gives the epoch if it is a new one
    /// that the pinned keys vouch for.
    pub(super) fn check_pinned(
        &self,
        list: &Keyring,
        keys: &KeyringKeys,
        trusted: &Trusted,
    ) -> Result<Option<u32>, VaultError> {
        self.check_pinned_in(&|path: &str| self.file(path), list, keys, trusted)
    }

    fn check_pinned_in(
        &self,
        tree: &Tree<'_>,
        list: &Keyring,
        keys: &KeyringKeys,
        trusted: &Trusted,
    ) -> Result<Option<u32>, VaultError> {
        let path = self.root.full(&Keyring::list_path(&list.name));
        if list.epoch < trusted.epoch {
            return Err(VaultError::OldEpoch {
                path,
                seen: trusted.epoch,
                found: list.epoch,
            });
        }
        if trusted.commitment == keys.commitment() {
            let now = keyring::seen(list);
            return match trusted.members.iter().find(|key| !now.contains(*key)) {
                Some(key) => Err(VaultError::OldMembers {
                    path,
                    missing: key.clone(),
                }),
                None => Ok(None),
            };
        }
        match self.vouched(tree, list, keys, trusted)? {
            true => Ok(Some(list.epoch)),
            false => {
                let found = keys.commitment().fingerprint();
                Err(self.other_keyring(&list.name, trusted, &found))
            }
        }
    }

    /// Whether the trusted keys vouch for these, over however many epochs: each former
    /// epoch's identity lies beside, encrypted to the next, and its mac is over what
    /// the next is.
    fn vouched(
        &self,
        tree: &Tree<'_>,
        list: &Keyring,
        keys: &KeyringKeys,
        trusted: &Trusted,
    ) -> Result<bool, VaultError> {
        let Some(mut next) = keys.identity() else {
            return Ok(false);
        };
        let (mut epoch, mut commitment) = (list.epoch, keys.commitment());
        for past in list.past.iter().rev() {
            let age = Keyring::past_path(&list.name, past.epoch);
            let opened = tree(&age).and_then(|file| self.open_bytes(&age, &file, &next));
            let identity = match opened {
                Ok(identity) => identity,
                Err(
                    VaultError::NoIdentity { .. } | VaultError::Disk(_) | VaultError::Merge { .. },
                ) => return Ok(false),
                Err(error) => return Err(error),
            };
            let text = Keyring::successor(&list.name, epoch, &next.recipient(), &commitment);
            let old = KeyringKeys::new(identity, &self.config().vault_id);
            let is_right = past.epoch + 1 == epoch
                && old.commitment() == past.commitment
                && old.mac(Domain::Epoch, text.as_bytes())? == past.vouch;
            if !is_right {
                return Ok(false);
            }
            if past.commitment == trusted.commitment {
                return Ok(past.epoch >= trusted.epoch);
            }
            let Some(identity) = old.identity() else {
                return Ok(false);
            };
            (next, epoch, commitment) = (identity, past.epoch, past.commitment);
        }
        Ok(false)
    }

    fn other_keyring(&self, name: &str, trusted: &Trusted, found: &str) -> VaultError {
        VaultError::OtherKeyring {
            path: self.root.full(&Keyring::age_path(name)),
            pinned: trusted.commitment.fingerprint(),
            found: found.to_owned(),
        }
    }

    /// The commitment that the member list says, whoever wrote it; none if it cannot be
    /// read.
    fn list_commitment(&self) -> Result<Option<Commitment>, VaultError> {
        let list = self.unverified_list(keyring::DEFAULT)?;
        Ok(list.map(|list| list.commitment))
    }

    /// A member list, whoever wrote it; none if it cannot be read.
    pub(super) fn unverified_list(&self, name: &str) -> Result<Option<Keyring>, VaultError> {
        let path = Keyring::list_path(name);
        let text = read_text(&self.root, &path, keyring::MAX)?;
        Ok(unverified(text.as_bytes()))
    }

    /// Whether the member list says that it is of other keys than these.
    pub(super) fn is_outdated(&self, keys: &KeyringKeys) -> bool {
        let listed = self.list_commitment().ok().flatten();
        listed.is_some_and(|listed| listed != keys.commitment())
    }

    /// Whether the keys of this vault were replaced while it was open, or are being
    /// replaced: what does not verify then may be right.
    pub(super) fn replaced(&self) -> Option<VaultError> {
        if let Err(error) = self.refuse_half_rekeyed() {
            return Some(error);
        }
        let keys = self.keys()?;
        let path = |name: &str| self.root.full(&Keyring::list_path(name));
        if self.is_outdated(keys) {
            let path = path(keyring::DEFAULT);
            return Some(VaultError::NewEpoch { path });
        }
        let chain = self.keychain()?;
        let is_other = |name: &str, keys: &KeyringKeys| {
            let list = self.unverified_list(name).ok().flatten();
            list.is_some_and(|list| list.commitment != keys.commitment())
        };
        if let Some((name, _)) = chain.others().find(|(name, keys)| is_other(name, keys)) {
            return Some(VaultError::NewEpoch { path: path(name) });
        }
        // Which names belong to which keyring, as the settings say it now.
        let config = match read_config(&self.root, None) {
            Ok((config, _)) => config,
            // Unknown is not unchanged.
            Err(error) => return Some(error),
        };
        (Routes::of(&config) != *chain.routes()).then(|| VaultError::NewEpoch {
            path: self.root.full(super::CONFIG),
        })
    }

    /// That error, if the reason of another one may be that the keys were replaced.
    pub(super) fn or_replaced(&self, error: VaultError) -> VaultError {
        match error.is_integrity() && self.is_unlocked() {
            true => self.replaced().unwrap_or(error),
            false => error,
        }
    }

    /// The member list of the vault's keyring, verified.
    pub fn keyring(&self) -> Result<Keyring, VaultError> {
        self.read_keyring(keyring::DEFAULT, self.need_keys()?)
    }

    /// A keyring's member list, held against what this clone trusts: an older list may
    /// have been put there since the vault was unlocked.
    pub(super) fn trusted_list(&self, name: &str) -> Result<Keyring, VaultError> {
        let keys = self.need_keychain()?.named(name);
        let keys = keys.ok_or_else(|| VaultError::KeyringClosed(name.to_owned()))?;
        let list = self.read_keyring(name, keys)?;
        let pin = self.state.pin()?;
        let trusted = pin.as_ref().and_then(|p| p.keyrings.get(name));
        if let Some(trusted) = trusted {
            self.check_pinned(&list, keys, trusted)?;
        }
        Ok(list)
    }

    pub(super) fn read_keyring(
        &self,
        name: &str,
        keys: &KeyringKeys,
    ) -> Result<Keyring, VaultError> {
        let path = Keyring::list_path(name);
        self.read_list(&path, name, keys)
    }

    /// Reads a member list of the keyring `name` that lies at `path`.
    pub(super) fn read_list(
        &self,
        path: &str,
        name: &str,
        keys: &KeyringKeys,
    ) -> Result<Keyring, VaultError> {
        let text = read_text(&self.root, path, keyring::MAX)?;
        self.believe_list(&text, path, name, keys)
    }

    fn believe_list(
        &self,
        text: &str,
        path: &str,
        name: &str,
        keys: &KeyringKeys,
    ) -> Result<Keyring, VaultError> {
        let path = self.root.full(path);
        let fail = |source| VaultError::Keyring {
            path: path.clone(),
            source,
        };
        let body = match keys.verify_text(Domain::Keyring, text) {
            Ok(body) => body,
            Err(source) => {
                // A future format ends in a mac of its own; say that instead.
                return Err(match Keyring::parse(text) {
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

/// A member list, whoever wrote it; none if it is none.
pub(super) fn unverified(text: &[u8]) -> Option<Keyring> {
    let (body, _) = Mac::split_text(std::str::from_utf8(text).ok()?).ok()?;
    Keyring::parse(body).ok()
}

/// What is pinned of a keyring.
pub(super) fn trusted_of(list: &Keyring) -> Trusted {
    Trusted {
        commitment: list.commitment,
        epoch: list.epoch,
        members: keyring::seen(list),
        prefixes: list.prefixes.clone(),
        is_open: true,
    }
}
