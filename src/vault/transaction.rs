//! Changes to a vault: gathered under the lock, written in an order that a crash
//! cannot turn into loss, committed to git (design.md section 4, sync.md section 4).
//!
//! The values' files come first, the metadata last: metadata is the commit point, and
//! what a crash leaves behind is at worst a file that nothing refers to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::disk::{Durable, Existing, is_running, split};
use super::git::{self, Committed};
use super::highwater::Written;
use super::keychain::Keychain;
use super::lock::Lock;
use super::{CONFIG, SECRETS, Vault, VaultError, meta};
use crate::config::Config;
use crate::crypto::{Binding, Ciphertext, Ct8, Domain, seal_value};
use crate::model::{
    Asker, AuditEntry, Content, Deed, Digest, Lifecycle, Record, SecretName, SecretValue,
    Timestamp, VersionId,
};

/// How long a second writer waits for the first.
pub(super) const WAIT: Duration = Duration::from_secs(10);
/// From how many values on two threads encrypt.
const MANY: usize = 16;
/// How many bytes of values may wait in memory before they are encrypted and written.
const HEAVY: usize = 16 << 20;

/// How the writes of a transaction reach the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every file and directory by itself: right for a few secrets.
    Each,
    /// All value files, one wait for the whole file system, all metadata, one more
    /// wait: right for many.
    Bulk,
}

impl Durability {
    fn of_a_file(self) -> Durable {
        match self {
            Self::Each => Durable::Now,
            Self::Bulk => Durable::Later,
        }
    }
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// How many metadata files, and settings, were written or removed.
    pub changed: usize,
    /// What became of the git commit.
    pub git: Committed,
}

/// A value that waits to be encrypted.
struct Plain {
    name: SecretName,
    id: VersionId,
    value: SecretValue,
    created: Option<Timestamp>,
}

/// Changes to a vault under its lock. Dropped without [`Transaction::commit`] or
/// [`Transaction::checkpoint`], it leaves the vault as it was. After an error drop it:
/// each secret is then as it was, or as it was to become.
///
/// Never hold one across a network call.
pub struct Transaction<'v> {
    vault: &'v Vault,
    keys: &'v Keychain,
    _lock: Lock,
    now: Timestamp,
    records: BTreeMap<SecretName, Record>,
    removed: BTreeSet<SecretName>,
    collected: BTreeSet<String>,
    config: Option<Config>,
    waiting: Vec<Plain>,
    /// Value files as another clone made them, by path.
    ready: Vec<(SecretName, String, Vec<u8>)>,
    weight: usize,
    added: BTreeSet<(SecretName, VersionId)>,
    /// Value files on disk that no written metadata vouches for yet.
    loose: BTreeMap<SecretName, Vec<String>>,
    /// Everything written or removed, for git.
    touched: BTreeSet<String>,
    /// Folders that were looked through for what others left.
    tidied: BTreeSet<String>,
    /// What was written of which secret, for the high-water mark.
    written: Vec<Written>,
    changed: usize,
    use_git: bool,
    /// For whom, where it is not whom the vault was opened for.
    asker: Option<Arc<Asker>>,
    /// What was written and the audit log has not heard of yet.
    deeds: Vec<AuditEntry>,
    /// Whether all of it is taken back if a part cannot be written.
    whole: bool,
    /// Value files that metadata written by this transaction vouches for.
    vouched: BTreeMap<SecretName, Vec<String>>,
}

impl Vault {
    /// Begins a change. Waits up to ten seconds for another writer; `operation` is
    /// what that writer's waiters are told. `now` is the time of the git commit.
    pub fn begin(&self, operation: &str, now: Timestamp) -> Result<Transaction<'_>, VaultError> {
        self.begin_within(operation, now, WAIT)
    }

    pub(super) fn begin_within(
        &self,
        operation: &str,
        now: Timestamp,
        wait: Duration,
    ) -> Result<Transaction<'_>, VaultError> {
        let keys = self.need_keychain()?;
        self.check_audit()?;
        let lock = Lock::acquire(&self.state.lock_path(), operation, wait)?;
        // Under the lock nobody replaces them.
        if let Some(error) = self.replaced() {
            return Err(error);
        }
        // The last thing that a rekey removes.
        self.drop_next(super::keyring::DEFAULT)?;
        for name in self.config().keyrings.keys() {
            self.drop_next(name)?;
        }
        // The clone's own state is written without the lock, too.
        for folder in ["", "views"] {
            self.state.root().sweep(folder, is_running);
        }
        Ok(Transaction {
            keys,
            _lock: lock,
            vault: self,
            now,
            records: BTreeMap::new(),
            removed: BTreeSet::new(),
            collected: BTreeSet::new(),
            config: None,
            waiting: Vec::new(),
            ready: Vec::new(),
            weight: 0,
            added: BTreeSet::new(),
            loose: BTreeMap::new(),
            touched: BTreeSet::new(),
            tidied: BTreeSet::new(),
            written: Vec::new(),
            changed: 0,
            use_git: self.config().git.commit,
            asker: None,
            deeds: Vec::new(),
            whole: false,
            vouched: BTreeMap::new(),
        })
    }
}

impl Transaction<'_> {
    /// A secret's record as it is under the lock, changes of this transaction
    /// included.
    pub fn record(&self, name: &SecretName) -> Result<Option<Record>, VaultError> {
        if let Some(record) = self.records.get(name) {
            return Ok(Some(record.clone()));
        }
        if self.removed.contains(name) {
            return Ok(None);
        }
        self.vault.record(name)
    }

    /// Makes this the secret's record. A record equal to the one on disk is not
    /// written.
    pub fn put(&mut self, record: Record) {
        self.removed.remove(&record.name);
        self.records.insert(record.name.clone(), record);
    }

    /// Takes a secret's record and values out of the vault, as when all of it was put
    /// under another name. History in git remains.
    pub fn remove(&mut self, name: &SecretName) {
        self.records.remove(name);
        self.removed.insert(name.clone());
    }

    /// Removes a file that [`Vault::files`] reported as not needed: a path relative to
    /// the vault.
    pub fn collect(&mut self, path: &str) {
        self.collected.insert(path.to_owned());
    }

    /// Adds the value of a version, and says its digest, which belongs into the
    /// record. `created` is what the value's file says of its making.
    pub fn add_value(
        &mut self,
        name: &SecretName,
        id: &VersionId,
        value: &SecretValue,
        created: Option<Timestamp>,
    ) -> Result<Digest, VaultError> {
        let digest = self.digest(name, value)?;
        self.weight += value.len() + 1024;
        self.waiting.push(Plain {
            name: name.clone(),
            id: id.clone(),
            value: value.duplicate(),
            created,
        });
        self.added.insert((name.clone(), id.clone()));
        if self.weight > HEAVY {
            // Many values at once are a bulk change; the barrier comes at its end.
            self.write_values(Durable::Later)?;
        }
        Ok(digest)
    }

    /// The keyed digest of a secret's value, without adding it.
    pub fn digest(&self, name: &SecretName, value: &SecretValue) -> Result<Digest, VaultError> {
        Ok(self.keys.for_secret(name)?.digest(value)?)
    }

    /// Adds a version's value as the file that another clone made of it. The caller has
    /// verified it ([`Vault::check_value`]).
    pub fn add_file(
        &mut self,
        name: &SecretName,
        id: &VersionId,
        file: Vec<u8>,
    ) -> Result<(), VaultError> {
        let path = self.vault.place(name)?.value(id, Ct8::of(&file));
        self.weight += file.len();
        self.ready
            .push((name.clone(), format!("{SECRETS}/{path}"), file));
        self.added.insert((name.clone(), id.clone()));
        if self.weight > HEAVY {
            self.write_values(Durable::Later)?;
        }
        Ok(())
    }

    /// Notes `now` as the time of the change in every record gathered that differs
    /// from the one on disk. For what a person does here; a sync must not, since what
    /// it writes depends on nothing but the remotes.
    pub fn date_changes(&mut self) -> Result<(), VaultError> {
        for record in self.records.values_mut() {
            let there = self.vault.record(&record.name)?;
            if there.as_ref() == Some(record) {
                continue;
            }
            let gone = |r: &Record| r.state.lifecycle == Lifecycle::Tombstone;
            if !gone(record) && there.as_ref().is_none_or(gone) {
                record.details.created.get_or_insert(self.now);
            }
            record.details.changed = Some(self.now);
            if record.state.lifecycle.is_scheduled() {
                record.details.deleted.get_or_insert(self.now);
            }
        }
        Ok(())
    }

    /// When it was begun, for the bug of writing that down.
    #[cfg(test)]
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Leaves the change to git uncommitted, whatever the settings say.
    pub fn without_git(&mut self) {
        self.use_git = false;
    }

    /// Replaces the settings.
    pub fn set_config(&mut self, config: Config) {
        self.config = Some(config);
    }

    /// Writes everything gathered so far and waits until it is on disk, without a git
    /// commit: that comes with [`Transaction::commit`]. Gives back how many metadata
    /// files, and settings, were written or removed since the beginning.
    pub fn checkpoint(&mut self, durability: Durability) -> Result<usize, VaultError> {
        let written = self.write_all(durability);
        let mut deeds = std::mem::take(&mut self.deeds);
        match written {
            Ok(changed) => {
                self.vault.note(self.asker.as_ref(), deeds)?;
                Ok(changed)
            }
            Err(error) => {
                // The last one is what was being written.
                if let Some(last) = deeds.last_mut() {
                    last.error = Some(error.audit_code());
                }
                drop(self.vault.note(self.asker.as_ref(), deeds));
                Err(error)
            }
        }
    }

    /// Says for whom the change is made, where that is not whom the vault was opened
    /// for.
    pub(crate) fn asked_by(&mut self, asker: Arc<Asker>) {
        self.asker = Some(asker);
    }

    fn write_all(&mut self, durability: Durability) -> Result<usize, VaultError> {
        let early = !self.loose.is_empty();
        self.write_values(durability.of_a_file())?;
        if !self.loose.is_empty() && (early || durability == Durability::Bulk) {
            self.vault.root.sync()?;
        }
        let before = self.changed;
        let durable = durability.of_a_file();
        let mut written = Vec::new();
        for (name, record) in std::mem::take(&mut self.records) {
            let there = match self.whole {
                true => self.vault.metadata_file(&name)?,
                false => None,
            };
            if let Err(error) = self.write_record(&name, &record, durable) {
                self.take_back(written);
                return Err(error);
            }
            if self.whole {
                written.push((name, there));
            }
        }
        for name in std::mem::take(&mut self.removed) {
            self.remove_record(&name)?;
        }
        for path in std::mem::take(&mut self.collected) {
            self.vault.root.remove(&path)?;
            self.touched.insert(path);
        }
        if let Some(config) = self.config.take() {
            self.write_config(config)?;
        }
        self.loose.clear();
        self.vault.mark_written(&std::mem::take(&mut self.written));
        if self.changed > before && durability == Durability::Bulk {
            self.vault.root.sync()?;
        }
        Ok(self.changed)
    }

    /// Writes everything, waits until it is on disk, and commits exactly the paths
    /// that changed. A git commit that cannot be made is reported, not an error.
    pub fn commit(mut self, message: &str, durability: Durability) -> Result<Commit, VaultError> {
        let changed = self.checkpoint(durability)?;
        if self.vault.hides_names() {
            // Else this clone would not know the name of what it wrote once it is locked.
            drop(self.vault.glance());
        }
        let git = if !self.use_git {
            Committed::Off
        } else if self.touched.is_empty() {
            Committed::Nothing
        } else {
            let paths: Vec<String> = self.touched.iter().cloned().collect();
            let message = self.vault.message(message, changed);
            git::commit(&self.vault.root, &paths, &message, self.now, git::PATIENCE)
        };
        Ok(Commit { changed, git })
    }

    /// Makes an error while metadata is written take back what was written before it, so
    /// that the vault is as it was: all secrets change, or none.
    pub fn all_or_none(&mut self) {
        self.whole = true;
    }

    /// Puts metadata back as it was. What cannot be put back stays as it was to become,
    /// and so do its values.
    fn take_back(&mut self, written: Vec<(SecretName, Option<Vec<u8>>)>) {
        for (name, there) in written {
            let Ok(place) = self.vault.place(&name) else {
                continue;
            };
            let path = format!("{SECRETS}/{}", place.metadata());
            let root = &self.vault.root;
            let done = match there {
                Some(bytes) => root.write(&path, &bytes, Existing::Replace, Durable::Now),
                None => root.remove(&path),
            };
            if done.is_ok() {
                let values = self.vouched.remove(&name).unwrap_or_default();
                self.loose.entry(name).or_default().extend(values);
            }
        }
    }

    /// Removes what processes that died left beside a file that is about to be written.
    /// Whoever writes to the vault holds its lock, so it is nobody's.
    fn tidy(&mut self, path: &str) {
        let folder = split(path).0;
        if self.tidied.insert(folder.to_owned()) {
            self.vault.root.sweep(folder, |_| false);
        }
    }

    fn write_values(&mut self, durable: Durable) -> Result<(), VaultError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.weight = 0;
        let config = self.vault.config();
        let sealed = seal_all(&waiting, &config.vault_id, self.keys)?;
        for (plain, sealed) in waiting.iter().zip(sealed) {
            let place = self.vault.place(&plain.name)?;
            let path = place.value(&plain.id, sealed.ct8());
            let path = format!("{SECRETS}/{path}");
            self.write_value(&plain.name, path, sealed.as_bytes(), durable)?;
        }
        for (name, path, file) in std::mem::take(&mut self.ready) {
            if !self.vault.root.has(&path) {
                self.write_value(&name, path, &file, durable)?;
            }
        }
        Ok(())
    }

    fn write_value(
        &mut self,
        name: &SecretName,
        path: String,
        file: &[u8],
        durable: Durable,
    ) -> Result<(), VaultError> {
        self.tidy(&path);
        self.vault
            .root
            .write(&path, file, Existing::Keep, durable)?;
        let loose = self.loose.entry(name.clone()).or_default();
        loose.push(path.clone());
        self.touched.insert(path);
        Ok(())
    }

    fn write_record(
        &mut self,
        name: &SecretName,
        record: &Record,
        durable: Durable,
    ) -> Result<(), VaultError> {
        let body = meta::emit(record).map_err(|source| VaultError::Record {
            name: name.clone(),
            source,
        })?;
        let keys = self.keys.for_secret(name)?;
        let text = keys.seal_text(Domain::Secret, body)?;
        let relative = self.vault.place(name)?.metadata();
        let cover = self.keys.default_keys();
        let bytes = self.vault.metadata_bytes(cover, name, &relative, text)?;
        let path = format!("{SECRETS}/{relative}");
        let there = match self.vault.root.read(&path, meta::MAX) {
            Ok((bytes, _)) => Some(bytes),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        if there.as_deref() != Some(bytes.as_slice()) {
            // Never over a file that is not believed: what it holds is not known.
            let old = there.map(|bytes| self.vault.read_metadata(&bytes, &relative));
            let old = old
                .transpose()
                .map_err(|source| VaultError::metadata(self.vault.root.full(&path), source))?;
            if self.vault.is_audited() {
                self.deeds
                    .extend(AuditEntry::of_change(old.as_ref(), record));
            }
            self.check_values(old.as_ref(), record)?;
            self.tidy(&path);
            let root = &self.vault.root;
            if let Err(error) = root.write(&path, &bytes, Existing::Replace, durable) {
                // It may be in place already, and only its way to the disk have failed.
                // Then it vouches for its values, and they must stay.
                let untouched = match root.read(&path, meta::MAX) {
                    Ok((there, _)) => there != bytes,
                    Err(error) => error.is_not_found(),
                };
                if !untouched {
                    self.loose.remove(name);
                }
                return Err(error.into());
            }
            self.touched.insert(path);
            self.changed += 1;
            self.written.push(Written {
                name: name.clone(),
                hash: Sha256::digest(&bytes).into(),
                before: old,
                record: Some(record.clone()),
            });
        }
        if let Some(values) = self.loose.remove(name) {
            self.vouched.insert(name.clone(), values);
        }
        Ok(())
    }

    /// A version must never be listed without its file.
    fn check_values(&self, old: Option<&Record>, new: &Record) -> Result<(), VaultError> {
        for (id, meta) in &new.state.versions {
            let known = old.and_then(|old| old.state.versions.get(id));
            let has_file = !meta.has_value()
                || known.is_some_and(|known| known.has_value())
                || self.added.contains(&(new.name.clone(), id.clone()))
                || !self.vault.value_paths(&new.name, id)?.is_empty();
            if !has_file {
                return Err(VaultError::NoValue {
                    name: new.name.clone(),
                    version: id.clone(),
                });
            }
        }
        Ok(())
    }

    fn remove_record(&mut self, name: &SecretName) -> Result<(), VaultError> {
        let Some(record) = self.vault.record(name)? else {
            return Ok(());
        };
        if self.vault.is_audited() {
            self.deeds.push(AuditEntry::of(Deed::Delete, name));
        }
        let path = format!("{SECRETS}/{}", self.vault.place(name)?.metadata());
        self.vault.root.remove(&path)?;
        // Else a crash could keep the metadata and lose the values.
        self.vault.root.sync_dir(split(&path).0)?;
        self.written.push(Written {
            name: name.clone(),
            hash: [0; 32],
            before: None,
            record: None,
        });
        self.touched.insert(path);
        self.changed += 1;
        for (id, meta) in &record.state.versions {
            if matches!(meta.content, Content::Placeholder) {
                continue;
            }
            for path in self.vault.value_paths(name, id)? {
                self.vault.root.remove(&path)?;
                self.touched.insert(path);
            }
        }
        Ok(())
    }

    fn write_config(&mut self, config: Config) -> Result<(), VaultError> {
        let keys = self.keys.default_keys();
        let text = keys.seal_text(Domain::Vault, config.emit()?)?;
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let root = &self.vault.root;
        if *self.vault.config() != config {
            self.vault.refuse_old_settings()?;
            if self.vault.is_audited() {
                self.deeds.push(AuditEntry {
                    deed: Deed::Settings,
                    secret: None,
                    version: None,
                    labels: Vec::new(),
                    remote: None,
                    error: None,
                });
            }
            root.write(CONFIG, text.as_bytes(), Existing::Replace, Durable::Now)?;
            self.touched.insert(CONFIG.to_owned());
            self.changed += 1;
        }
        if let Some(mut pin) = self.vault.state.pin()?
            && pin.config != hash
        {
            pin.config = hash;
            self.vault.wrote_settings(hash)?;
            self.vault.state.set_pin(&pin)?;
        }
        self.vault.set_settings(config, true);
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // A process that dies removes nothing, in tests either.
        if cfg!(test) && std::thread::panicking() {
            return;
        }
        for path in self.loose.values().flatten() {
            // Nothing is lost if one stays: `fsck` lists it and `gc` removes it.
            drop(self.vault.root.remove(path));
        }
    }
}

/// Encrypts all values, many of them on two threads.
fn seal_all(
    plain: &[Plain],
    vault_id: &str,
    keys: &Keychain,
) -> Result<Vec<Ciphertext>, VaultError> {
    let seal = |plain: &[Plain]| -> Result<Vec<Ciphertext>, VaultError> {
        plain
            .iter()
            .map(|p| {
                let binding = Binding {
                    vault: vault_id,
                    name: &p.name,
                    version: &p.id,
                };
                let to = keys.for_secret(&p.name)?.recipient();
                Ok(seal_value(&p.value, &binding, p.created, &to)?)
            })
            .collect()
    };
    if plain.len() < MANY {
        return seal(plain);
    }
    let (first, second) = plain.split_at(plain.len() / 2);
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| seal(first));
        let second = seal(second);
        // A panic there would be one here.
        let first = other
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (first, second)
    });
    let mut all = first?;
    all.extend(second?);
    Ok(all)
}
