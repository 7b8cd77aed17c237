//! Epochs that come another way than by git: the keys of a former one, for what was made
//! under them, and a newer one that a bundle brings (book, formats/keyring and bundle).
//!
//! Nothing here is believed but what the keys that this clone trusts vouch for.

use super::keychain::Routes;
use super::keyring::Keyring;
use super::ledger::{self, Ledger};
use super::lock::Lock;
use super::rekey::{next_age, next_list};
use super::reseal::Kind;
use super::transaction::WAIT;
use super::unlock::MAX_AGE;
use super::{Rekeyed, Rests, Vault, VaultError, keyring};
use crate::crypto::{Commitment, Domain, Identity, KeyringKeys, Member, OpenError, open_keyring};
use crate::model::{Lifecycle, Record, Timestamp};

/// The keys of an epoch of this vault's keyring that has ended.
pub struct FormerEpoch {
    /// The keys.
    pub keys: KeyringKeys,
    /// Its number.
    pub epoch: u32,
    /// The number of the present one.
    pub present: u32,
    /// Who has been removed since its beginning, and still has its keys. Sorted.
    pub removed: Vec<String>,
}

/// A newer epoch of this vault's keyring, brought from elsewhere and vouched for by the
/// keys that this clone trusts. Nothing of the vault is under it yet.
pub struct NewerEpoch {
    /// Its keys.
    pub keys: KeyringKeys,
    /// Its number.
    pub epoch: u32,
    /// Who has been removed on the way there. Sorted.
    pub removed: Vec<String>,
    /// Who is a member in this clone's list, is not in the new one and was not removed:
    /// whoever began the epoch did not know of them. Sorted.
    pub unknown: Vec<String>,
    list: Keyring,
    rests: Rests,
}

/// Why a keyring that was brought from elsewhere is not taken for the next one.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// This identity is not among the members of the epoch.
    #[error("the keyring has new keys, and this identity is not among their members")]
    NotAMember,
    /// The file is no keyring.
    #[error("the keyring that it brings cannot be opened")]
    File(#[source] OpenError),
    /// The member list does not belong to the keys or is malformed.
    #[error("the member list that it brings is not believed")]
    List,
    /// The keys that this clone trusts do not vouch for it.
    #[error("it is under keyring {found}, and the keys trusted here, {here}, do not vouch for it")]
    Unvouched {
        /// Its keyring's fingerprint.
        found: String,
        /// The fingerprint here.
        here: String,
    },
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Goes back from an epoch's keys to those of an earlier one, over the identities that
/// each is encrypted to the next; none if it does not come there, or if an epoch on the
/// way does not vouch for the one after it. Gives the earlier one's number too.
pub(super) fn walk_back(
    list: &Keyring,
    identity: Identity,
    vault_id: &str,
    file: impl Fn(u32) -> Result<Option<Vec<u8>>, VaultError>,
    until: &Commitment,
) -> Result<Option<(u32, KeyringKeys)>, VaultError> {
    let (mut epoch, mut commitment, mut next) = (list.epoch, list.commitment, identity);
    for past in list.past.iter().rev() {
        let Some(bytes) = file(past.epoch)? else {
            return Ok(None);
        };
        let Ok(identity) = open_keyring(&bytes, &next) else {
            return Ok(None);
        };
        let text = Keyring::successor(&list.name, epoch, &next.recipient(), &commitment);
        let old = KeyringKeys::new(identity, vault_id);
        let is_right = past.epoch + 1 == epoch
            && old.commitment() == past.commitment
            && old.mac(Domain::Epoch, text.as_bytes())? == past.vouch;
        if !is_right {
            return Ok(None);
        }
        if past.commitment == *until {
            return Ok(Some((past.epoch, old)));
        }
        let Some(identity) = old.identity() else {
            return Ok(None);
        };
        (next, epoch, commitment) = (identity, past.epoch, past.commitment);
    }
    Ok(None)
}

/// Who was removed at the end of an epoch or of a later one.
fn removed_since(list: &Keyring, epoch: u32) -> Vec<String> {
    let since = list.past.iter().filter(|past| past.epoch >= epoch);
    let mut names: Vec<String> = since.flat_map(|past| past.removed.clone()).collect();
    names.sort();
    names.dedup();
    names
}

impl Vault {
    /// The keys of the former epoch with this commitment; none if the keyring never had
    /// it. Needs the keyring's own key in this process.
    pub fn former_epoch(&self, commitment: &Commitment) -> Result<Option<FormerEpoch>, VaultError> {
        let list = self.keyring()?;
        if !list.past.iter().any(|past| past.commitment == *commitment) {
            return Ok(None);
        }
        let identity = self.need_keys()?.identity();
        let identity = identity.ok_or(super::MemberError::Held)?;
        let file = |epoch| self.past_file(&list.name, epoch);
        let found = walk_back(&list, identity, &self.config().vault_id, file, commitment)?;
        Ok(found.map(|(epoch, keys)| FormerEpoch {
            keys,
            epoch,
            present: list.epoch,
            removed: removed_since(&list, epoch),
        }))
    }

    pub(super) fn past_file(&self, name: &str, epoch: u32) -> Result<Option<Vec<u8>>, VaultError> {
        match self.root.read(&Keyring::past_path(name, epoch), MAX_AGE) {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens the keyring that another clone's vault rests on, and believes it only if
    /// this clone's keys vouch for it, over however many epochs.
    pub fn newer_epoch(
        &self,
        rests: &Rests,
        member: &dyn Member,
    ) -> Result<NewerEpoch, EpochError> {
        let vault_id = self.config().vault_id.clone();
        let trusted = self.need_keys()?.commitment();
        let here = self.keyring()?;
        let identity = open_keyring(&rests.keyring, member).map_err(|error| match error {
            OpenError::NoIdentityMatches => EpochError::NotAMember,
            error => EpochError::File(error),
        })?;
        let recipient = identity.recipient();
        let keys = KeyringKeys::new(identity, &vault_id);
        let text = std::str::from_utf8(&rests.members).map_err(|_| EpochError::List)?;
        let body = keys.verify_text(Domain::Keyring, text);
        let list = body.ok().and_then(|body| Keyring::parse(body).ok());
        let list = list.filter(|list| list.check(keyring::DEFAULT, &keys).is_ok());
        let list = list.filter(|list| list.recipient == recipient);
        let list = list.ok_or(EpochError::List)?;
        let unvouched = || EpochError::Unvouched {
            found: keys.commitment().fingerprint(),
            here: trusted.fingerprint(),
        };
        let identity = keys.identity().ok_or(super::MemberError::Held);
        let identity = identity.map_err(VaultError::from)?;
        let file = |epoch: u32| {
            let at = usize::try_from(epoch).ok().and_then(|n| n.checked_sub(1));
            Ok(at.and_then(|at| rests.past.get(at)).cloned())
        };
        let came = walk_back(&list, identity, &vault_id, file, &trusted)?;
        let came = came.filter(|(epoch, _)| *epoch == here.epoch);
        let (from, _) = came.ok_or_else(unvouched)?;
        let removed = removed_since(&list, from);
        let unknown = here.members.keys();
        let unknown = unknown.filter(|n| !list.members.contains_key(*n) && !removed.contains(*n));
        Ok(NewerEpoch {
            keys,
            epoch: list.epoch,
            unknown: unknown.cloned().collect(),
            removed,
            list,
            rests: rests.clone(),
        })
    }

    /// Takes the vault to a newer epoch: everything is encrypted anew, as a rekey does,
    /// and a run that is cut off is finished the same way. The settings stay; the member
    /// list is the one of whoever began the epoch.
    pub fn adopt_epoch(
        &mut self,
        newer: &NewerEpoch,
        member: &dyn Member,
        now: Timestamp,
        git: bool,
    ) -> Result<Rekeyed, VaultError> {
        let _lock = Lock::acquire(&self.state.lock_path(), "bundle apply", WAIT)?;
        if let Some(error) = self.replaced() {
            return Err(error);
        }
        if let Some(what) = self.git_under_way() {
            return Err(VaultError::GitBusy(what));
        }
        self.refuse_gone_back()?;
        let routes = Routes::of(&self.config());
        self.check_all(|secret| routes.keyring_of(secret) == keyring::DEFAULT)?;
        let epoch = self.keyring()?.epoch;
        let ledgers = self.joined_ledgers(newer, epoch)?;
        let name = &newer.list.name;
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for (n, bytes) in (1..).zip(&newer.rests.past) {
            if n >= epoch {
                files.push((Keyring::past_path(name, n), bytes.clone()));
            }
        }
        files.extend(ledgers);
        files.push((next_age(name), newer.rests.keyring.clone()));
        // The list last: while it is there, a rekey is under way.
        files.push((next_list(name), newer.rests.members.clone()));
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(p, b)| (p.as_str(), b.as_slice()))
            .collect();
        self.begin_turn(Kind::Epoch, &newer.list, &newer.keys, &files)?;
        self.turn(member, now, git, false)
    }

    /// The ledgers of the removals between this epoch and the newer one, with what
    /// this clone has beside: whoever was removed could read that, too.
    fn joined_ledgers(
        &self,
        newer: &NewerEpoch,
        from: u32,
    ) -> Result<Vec<(String, Vec<u8>)>, VaultError> {
        let loaded = self.load()?;
        let mut files = Vec::new();
        let ended = newer.list.past.iter().filter(|past| past.epoch >= from);
        for past in ended.filter(|past| !past.removed.is_empty()) {
            let epoch = past.epoch.saturating_add(1);
            let path = Ledger::path(&newer.list.name, epoch);
            let bad = || VaultError::Ledger {
                path: self.root.full(&path),
                reason: "the one that is brought is not believed",
            };
            let text = newer.rests.ledgers.get(&epoch).ok_or_else(bad)?;
            let text = std::str::from_utf8(text).map_err(|_| bad())?;
            let text = self.reveal_text(&newer.keys, &path, text.to_owned());
            let text = text.map_err(|_| bad())?;
            let body = newer.keys.verify_text(Domain::Ledger, &text);
            let ledger = body.ok().and_then(Ledger::parse).ok_or_else(bad);
            let mut ledger = ledger?;
            if ledger.epoch != epoch || ledger.keyring != newer.list.name {
                return Err(bad());
            }
            let readable = |record: &&Record| {
                record.state.lifecycle != Lifecycle::Tombstone
                    && record.state.versions.values().any(|v| v.has_value())
            };
            // Another keyring's secrets are in a ledger of its own.
            let routes = Routes::of(&self.config());
            let records = loaded.records.values().filter(readable);
            for record in records.filter(|record| routes.is_default(&record.name)) {
                let current = record.state.current().cloned();
                ledger.secrets.entry(record.name.clone()).or_insert(current);
            }
            let text = self.hide_text(&newer.keys, &path, ledger.seal(&newer.keys)?)?;
            if text.len() > ledger::MAX {
                return Err(bad());
            }
            files.push((path, text.into_bytes()));
        }
        Ok(files)
    }

    /// Reads metadata that came from elsewhere under other keys than the vault's.
    pub fn read_texts_under(
        &self,
        keys: &KeyringKeys,
        texts: &[Vec<u8>],
    ) -> Result<Vec<Result<Record, super::MetaError>>, VaultError> {
        let files = texts
            .iter()
            .map(|text| (text.as_slice(), super::meta::ANYWHERE));
        Ok(super::meta::read_many(
            files,
            super::meta::Under::One(keys),
        )?)
    }

    /// Reads metadata that this clone noted before the keyring had new keys; none for each
    /// that no former epoch's keys vouch for. Where the keys are held elsewhere, or the
    /// former ones cannot be opened, that is all of them.
    pub fn read_former_texts(&self, texts: &[Vec<u8>]) -> Result<Vec<Option<Record>>, VaultError> {
        let mut all: Vec<Option<Record>> = texts.iter().map(|_| None).collect();
        let is_ours = self.need_keys()?.identity().is_some();
        if texts.is_empty() || !is_ours {
            return Ok(all);
        }
        for past in self.keyring()?.past.iter().rev() {
            let Some(former) = self.former_epoch(&past.commitment)? else {
                break;
            };
            let read = self.read_texts_under(&former.keys, texts)?;
            for (place, record) in all.iter_mut().zip(read) {
                if place.is_none() {
                    *place = record.ok();
                }
            }
        }
        Ok(all)
    }

    /// Whether a text under a mac says the same as one of the vault's, whatever keys the
    /// macs are of.
    pub fn says_the_same(ours: &[u8], theirs: &[u8]) -> bool {
        let body = |text: &[u8]| -> Option<String> {
            let text = std::str::from_utf8(text).ok()?;
            Some(crate::crypto::Mac::split_text(text).ok()?.0.to_owned())
        };
        ours == theirs || (body(ours).is_some() && body(ours) == body(theirs))
    }
}

#[cfg(test)]
#[path = "adopt_tests.rs"]
mod tests;
