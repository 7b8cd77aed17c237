//! The offboarding ledger: what a removed member could read, until it is rotated
//! (book, formats/keyring).
//!
//! Removing somebody takes nothing back from him. Each secret of the list stays open
//! until its AWSCURRENT is a version that was made after the removal.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{Keyring, Loaded, Vault, VaultError, keyring, read_text};
use crate::config::line;
use crate::crypto::{Domain, KeyringKeys, KeysError, Mac};
use crate::model::{Lifecycle, Record, SecretName, Timestamp, VersionId};

/// The largest ledger, in bytes.
pub(super) const MAX: usize = 64 << 20;

/// What the members who were removed at one moment could read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The keyring that they were removed from.
    pub keyring: String,
    /// The epoch that began then.
    pub epoch: u32,
    /// When.
    pub removed: Timestamp,
    /// Who: the public key by name.
    pub members: BTreeMap<String, String>,
    /// Each secret that had a value, and the version that was AWSCURRENT, if any.
    pub secrets: BTreeMap<SecretName, Option<VersionId>>,
}

/// A removal, and how far what was readable has been rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offboarding {
    /// The keyring that they were removed from.
    pub keyring: String,
    /// Who was removed.
    pub members: Vec<String>,
    /// When.
    pub removed: Timestamp,
    /// The epoch that began then.
    pub epoch: u32,
    /// The secrets whose AWSCURRENT may still be what they know, with the version that
    /// was AWSCURRENT when they left.
    pub open: Vec<(SecretName, Option<VersionId>)>,
    /// How many secrets have been rotated since, or are gone.
    pub closed: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: u64,
    keyring: String,
    epoch: u32,
    removed: String,
    #[serde(default)]
    member: Vec<RawMember>,
    #[serde(default)]
    secret: Vec<RawSecret>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMember {
    name: String,
    recipient: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSecret {
    name: String,
    current: Option<String>,
}

impl Ledger {
    /// What can be read of these secrets.
    pub(super) fn of<'a>(
        list: &Keyring,
        removed: Timestamp,
        members: BTreeMap<String, String>,
        records: impl Iterator<Item = &'a Record>,
    ) -> Self {
        let readable = records.filter(|record| {
            record.state.lifecycle != Lifecycle::Tombstone
                && record.state.versions.values().any(|v| v.has_value())
        });
        let secrets = readable.map(|record| (record.name.clone(), record.state.current().cloned()));
        Self {
            keyring: list.name.clone(),
            epoch: list.epoch,
            removed,
            members,
            secrets: secrets.collect(),
        }
    }

    /// The path of the ledger of the removal that began an epoch, below the vault.
    pub fn path(keyring: &str, epoch: u32) -> String {
        format!("keys/{keyring}.{epoch}.removed.toml")
    }

    /// Writes the file, mac and all.
    pub fn seal(&self, keys: &KeyringKeys) -> Result<String, KeysError> {
        keys.seal_text(Domain::Ledger, self.emit())
    }

    /// Writes what stands before the mac.
    pub fn emit(&self) -> String {
        let mut out = String::from("format = 1\n");
        line("keyring", &self.keyring, &mut out);
        out.push_str(&format!("epoch = {}\n", self.epoch));
        line("removed", &self.removed.to_string(), &mut out);
        out.push('\n');
        for (name, recipient) in &self.members {
            out.push_str("[[member]]\n");
            line("name", name, &mut out);
            line("recipient", recipient, &mut out);
            out.push('\n');
        }
        for (name, current) in &self.secrets {
            out.push_str("[[secret]]\n");
            line("name", name.as_str(), &mut out);
            if let Some(id) = current {
                line("current", id.as_str(), &mut out);
            }
            out.push('\n');
        }
        out
    }

    /// Reads what stands before the mac; none if it is not in canonical form.
    pub fn parse(body: &str) -> Option<Self> {
        let raw: Raw = toml::from_str(body).ok()?;
        let mut secrets = BTreeMap::new();
        for secret in raw.secret {
            let current = match secret.current {
                Some(id) => Some(id.parse().ok()?),
                None => None,
            };
            secrets.insert(secret.name.parse().ok()?, current);
        }
        let members = raw.member.into_iter().map(|m| (m.name, m.recipient));
        let ledger = Self {
            keyring: raw.keyring,
            epoch: raw.epoch,
            removed: raw.removed.parse().ok()?,
            members: members.collect(),
            secrets,
        };
        (raw.format == 1 && ledger.emit() == body).then_some(ledger)
    }

    /// What is still to be rotated, by the vault as it is.
    fn state(self, loaded: &Loaded, live: &BTreeSet<&VersionId>) -> Offboarding {
        let all = self.secrets.len();
        let removed = self.removed;
        let is_open = |(name, old): &(SecretName, Option<VersionId>)| {
            let record = loaded.records.get(name);
            if loaded.closed_by(name).is_some() {
                // In a keyring since then that is not open here: not known.
                return true;
            }
            let gone = record.is_none_or(|r| r.state.lifecycle == Lifecycle::Tombstone);
            if gone {
                // What was moved to another name is not rotated by that.
                return loaded.blocked.contains_key(name.as_str())
                    || old.as_ref().is_some_and(|old| live.contains(old));
            }
            let rotated = record.is_some_and(|record| {
                let now = record.state.current();
                let meta = now.and_then(|now| record.state.versions.get(now));
                now != old.as_ref()
                    && meta
                        .is_some_and(|v| v.has_value() && v.created.is_some_and(|at| at > removed))
            });
            !rotated
        };
        let open: Vec<_> = self.secrets.into_iter().filter(is_open).collect();
        Offboarding {
            keyring: self.keyring,
            members: self.members.into_keys().collect(),
            removed,
            epoch: self.epoch,
            closed: all - open.len(),
            open,
        }
    }
}

impl Vault {
    /// Every removal of a member, oldest first, and what of it is still open. Unlocked,
    /// every file is verified; a removal without its ledger is an error.
    pub fn offboardings(&self, loaded: &Loaded) -> Result<Vec<Offboarding>, VaultError> {
        let list = match self.keys() {
            Some(keys) => self.read_keyring(keyring::DEFAULT, keys)?,
            None => match self.unverified_list(keyring::DEFAULT)? {
                Some(list) => list,
                None => return Ok(Vec::new()),
            },
        };
        let records = loaded.records.values();
        let live: BTreeSet<&VersionId> = records
            .filter(|record| record.state.lifecycle != Lifecycle::Tombstone)
            .filter_map(|record| record.state.current())
            .collect();
        let mut lists = vec![list];
        match self.keychain() {
            Some(keys) => {
                for (name, keys) in keys.others() {
                    lists.push(self.read_keyring(name, keys)?);
                }
            }
            None => {
                let pin = self.state.pin()?;
                let pinned = pin.iter().flat_map(|pin| &pin.keyrings);
                let open = pinned.filter(|(name, t)| *name != keyring::DEFAULT && t.is_open);
                lists.extend(open.filter_map(|(name, _)| self.unverified_list(name).ok()?));
            }
        }
        let mut all = Vec::new();
        for list in &lists {
            for past in list.past.iter().filter(|past| !past.removed.is_empty()) {
                let ledger = self.ledger(&list.name, past.epoch + 1)?;
                all.push(ledger.state(loaded, &live));
            }
        }
        Ok(all)
    }

    /// Reads one removal's ledger; unlocked, its mac is verified.
    fn ledger(&self, name: &str, epoch: u32) -> Result<Ledger, VaultError> {
        let path = Ledger::path(name, epoch);
        let full = self.root.full(&path);
        let bad = |reason| VaultError::Ledger {
            path: full.clone(),
            reason,
        };
        let text = match read_text(&self.root, &path, MAX) {
            Err(VaultError::Disk(error)) if error.is_not_found() => {
                return Err(bad("the list of what a removed member could read is gone"));
            }
            text => text?,
        };
        let text = match (self.hides_names(), self.keys()) {
            (false, _) => text,
            (true, Some(keys)) => {
                let text = self.reveal_text(keys, &path, text);
                text.map_err(|source| VaultError::metadata(full.clone(), source))?
            }
            (true, None) => return Err(VaultError::NamesHidden),
        };
        let body = match self.keychain().and_then(|keys| keys.named(name)) {
            Some(keys) => keys.verify_text(Domain::Ledger, &text),
            None => Mac::split_text(&text).map(|(body, _)| body),
        };
        let body = body.map_err(|source| VaultError::mac(full.clone(), source))?;
        match Ledger::parse(body) {
            Some(ledger) if ledger.epoch == epoch && ledger.keyring == name => Ok(ledger),
            _ => Err(bad("it is not in canonical form, or of another removal")),
        }
    }
}
