//! The work of a rekey: every file that is under the old keys comes under the new ones
//! (book, formats/keyring).

use std::collections::{BTreeMap, HashSet};

use super::disk::{Durable, Existing, split};
use super::keychain::Routes;
use super::keyring::Keyring;
use super::ledger::Ledger;
use super::{CONFIG, SECRETS, Vault, VaultError, layout, ledger, meta, read_text, value};
use crate::config::Config;
use crate::crypto::{Binding, Ciphertext, Domain, KeyringKeys, open_value, seal_value};
use crate::model::{Content, Digest, Record, Timestamp, VersionId};

/// How many secrets are written between two waits for the disk.
const BATCH: usize = 256;

/// What is done to a keyring whose secrets come under other keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It gets new keys.
    Epoch,
    /// It is new, and takes secrets from the default keyring.
    Carve,
    /// It is taken out, and its secrets go to the default keyring.
    Fold,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Carve => "add",
            Self::Fold => "remove",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Epoch, Self::Carve, Self::Fold];
        all.into_iter().find(|kind| kind.word() == word)
    }
}

/// Both keyrings' or epochs' keys and the new list, while secrets go from one to the
/// other.
pub(super) struct Turn {
    pub(super) kind: Kind,
    pub(super) list: Keyring,
    pub(super) old: KeyringKeys,
    pub(super) new: KeyringKeys,
    /// Which names belong to which keyring; of a new keyring or one that is taken out its
    /// own names alone.
    pub(super) routes: Routes,
    /// The time of change that each secret is to have. Without one, what comes back under
    /// keys that it was under before would be the very bytes of then, and look as if it
    /// had gone back in time.
    pub(super) dated: Option<Timestamp>,
}

impl Turn {
    /// Whether a metadata file is one of those that are to come under the new keys.
    fn covers(&self, path: &str, bytes: &[u8]) -> bool {
        if self.kind == Kind::Epoch && self.routes.is_empty() {
            return true;
        }
        // By its path, as everybody else goes by. What says no name at all is the default
        // keyring's to complain of.
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let name = layout::name_of_path(path, None).ok();
        let name = name.or_else(|| meta::said_name(text));
        let of = name.as_ref().map(|name| self.routes.keyring_of(name));
        of.unwrap_or(super::keyring::DEFAULT) == self.list.name
    }
}

/// One version that is encrypted anew.
struct Anew {
    id: VersionId,
    digest: Digest,
    file: Ciphertext,
}

impl Vault {
    /// Puts the settings, which the default keyring's keys are for, under the new mac, and gives the old epoch's member list while
    /// it is there.
    pub(super) fn reseal_config(
        &self,
        turn: &Turn,
        is_default: bool,
    ) -> Result<Option<Keyring>, VaultError> {
        if is_default {
            self.reseal(CONFIG, Domain::Vault, turn)?;
        }
        match self.read_keyring(&turn.list.name, &turn.old) {
            Ok(list) => Ok(Some(list)),
            // It is the new one already.
            Err(VaultError::Mac { .. }) => {
                self.read_keyring(&turn.list.name, &turn.new)?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts one text under the new keys' mac.
    fn reseal(&self, path: &str, domain: Domain, turn: &Turn) -> Result<(), VaultError> {
        let text = read_text(&self.root, path, ledger::MAX)?;
        if turn.new.verify_text(domain, &text).is_ok() {
            return Ok(());
        }
        let body = turn.old.verify_text(domain, &text);
        let body = body.map_err(|source| VaultError::mac(self.root.full(path), source))?;
        let text = turn.new.seal_text(domain, body.to_owned())?;
        let bytes = text.as_bytes();
        Ok(self
            .root
            .write(path, bytes, Existing::Replace, Durable::Now)?)
    }

    /// Enters a new keyring into the settings, or takes one out.
    pub(super) fn register(&self, turn: &Turn, mut config: Config) -> Result<Config, VaultError> {
        let name = turn.list.name.clone();
        let keys = match turn.kind {
            Kind::Epoch => return Ok(config),
            Kind::Carve => {
                config.keyrings.insert(name, turn.list.prefixes.clone());
                &turn.old
            }
            Kind::Fold => {
                config.keyrings.remove(&name);
                &turn.new
            }
        };
        let text = keys.seal_text(Domain::Vault, config.emit()?)?;
        let bytes = text.as_bytes();
        self.root
            .write(CONFIG, bytes, Existing::Replace, Durable::Now)?;
        Ok(config)
    }

    pub(super) fn reseal_ledgers(&self, turn: &Turn) -> Result<(), VaultError> {
        let ended = turn.list.past.split_last().map(|(_, rest)| rest);
        for past in ended.unwrap_or_default() {
            if !past.removed.is_empty() {
                let path = Ledger::path(&turn.list.name, past.epoch + 1);
                self.reseal_ledger(&path, turn)?;
            }
        }
        Ok(())
    }

    /// The same for a text that names secrets.
    fn reseal_ledger(&self, path: &str, turn: &Turn) -> Result<(), VaultError> {
        let text = read_text(&self.root, path, ledger::MAX)?;
        let is_new = self.reveal_text(&turn.new, path, text.clone());
        if is_new.is_ok_and(|text| turn.new.verify_text(Domain::Ledger, &text).is_ok()) {
            return Ok(());
        }
        let full = || self.root.full(path);
        let text = self.reveal_text(&turn.old, path, text);
        let text = text.map_err(|source| VaultError::metadata(full(), source))?;
        let body = turn.old.verify_text(Domain::Ledger, &text);
        let body = body.map_err(|source| VaultError::mac(full(), source))?;
        let text = turn.new.seal_text(Domain::Ledger, body.to_owned())?;
        let text = self.hide_text(&turn.new, path, text)?;
        let bytes = text.as_bytes();
        Ok(self
            .root
            .write(path, bytes, Existing::Replace, Durable::Now)?)
    }

    /// Writes down what those who are removed could read. Once it is there it stays:
    /// what a second run would write is not what they could read when they left.
    pub(super) fn write_ledger(
        &self,
        turn: &Turn,
        removed: &[String],
        old: Option<&Keyring>,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let path = Ledger::path(&turn.list.name, turn.list.epoch);
        let Some(old) = old.filter(|_| !removed.is_empty()) else {
            return Ok(());
        };
        let there = read_text(&self.root, &path, ledger::MAX);
        let is_there = there.is_ok_and(|text| {
            let text = self.reveal_text(&turn.new, &path, text);
            text.is_ok_and(|text| turn.new.verify_text(Domain::Ledger, &text).is_ok())
        });
        if is_there {
            return Ok(());
        }
        let key = |name: &String| Some((name.clone(), old.members.get(name)?.to_string()));
        let members = removed.iter().filter_map(key).collect();
        let mut records = Vec::new();
        for path in self.metadata_paths(turn)? {
            records.push(self.either(&path, turn)?.0);
        }
        let ledger = Ledger::of(&turn.list, now, members, records.iter());
        let text = self.hide_text(&turn.new, &path, ledger.seal(&turn.new)?)?;
        let bytes = text.as_bytes();
        Ok(self
            .root
            .write(&path, bytes, Existing::Replace, Durable::Now)?)
    }

    /// The metadata files that the turn is about.
    fn metadata_paths(&self, turn: &Turn) -> Result<Vec<String>, VaultError> {
        let mut paths = Vec::new();
        self.walk("", &mut |path, kind| {
            let (_, name) = split(path);
            let is_file = kind == rustix::fs::FileType::RegularFile;
            if is_file && name.ends_with(".toml") && !super::disk::is_leftover(name) {
                paths.push(path.to_owned());
            }
        })?;
        paths.sort();
        if turn.kind == Kind::Epoch && turn.routes.is_empty() {
            return Ok(paths);
        }
        let mut meant = Vec::new();
        for path in paths {
            let (bytes, _) = self.root.read(&format!("{SECRETS}/{path}"), meta::MAX)?;
            if turn.covers(&path, &bytes) {
                meant.push(path);
            }
        }
        Ok(meant)
    }

    /// Reads metadata that is under either mac, and says whether that is the new one.
    fn either(&self, path: &str, turn: &Turn) -> Result<(Record, bool), VaultError> {
        let full = format!("{SECRETS}/{path}");
        let (bytes, _) = self.root.read(&full, meta::MAX)?;
        if let Ok(record) = self.read_metadata_under(&turn.new, &bytes, path) {
            return Ok((record, true));
        }
        match self.read_metadata_under(&turn.old, &bytes, path) {
            Ok(record) => Ok((record, false)),
            Err(source) => Err(VaultError::metadata(self.root.full(&full), source)),
        }
    }

    /// Encrypts every secret anew that is not yet: its values first, then its metadata
    /// with their new digests and mac. The old files stay beside. Gives how many secrets
    /// and values, and the new files.
    pub(super) fn reseal_secrets(
        &self,
        turn: &Turn,
    ) -> Result<(usize, usize, HashSet<String>), VaultError> {
        let mut fresh = HashSet::new();
        let (mut secrets, mut values) = (0, 0);
        for paths in self.metadata_paths(turn)?.chunks(BATCH) {
            let mut records = Vec::with_capacity(paths.len());
            let mut were = Vec::with_capacity(paths.len());
            for path in paths {
                let (record, is_new) = self.either(path, turn)?;
                if !is_new {
                    records.push(record);
                    were.push(path);
                }
            }
            if records.is_empty() {
                continue;
            }
            let anew = self.encrypt_anew(&records, turn)?;
            for (record, anew) in records.iter_mut().zip(anew) {
                let place = self.place_under(&turn.new, &record.name)?;
                for one in anew {
                    let path = place.value(&one.id, one.file.ct8());
                    let path = format!("{SECRETS}/{path}");
                    let bytes = one.file.as_bytes();
                    self.root
                        .write(&path, bytes, Existing::Keep, Durable::Later)?;
                    fresh.insert(path);
                    values += 1;
                    if let Some(meta) = record.state.versions.get_mut(&one.id)
                        && let Content::Value { digest, .. } = &mut meta.content
                    {
                        *digest = one.digest;
                    }
                }
            }
            self.root.sync()?;
            let mut moved = Vec::new();
            for (record, was) in records.iter_mut().zip(were) {
                if turn.dated.is_some() {
                    record.details.changed = turn.dated;
                }
                let name = &record.name;
                let body = meta::emit(record).map_err(|source| VaultError::Record {
                    name: name.clone(),
                    source,
                })?;
                let text = turn.new.seal_text(Domain::Secret, body)?;
                let path = self.place_under(&turn.new, name)?.metadata();
                let bytes = self.metadata_bytes(&turn.new, name, &path, text)?;
                if path != *was {
                    moved.push(format!("{SECRETS}/{was}"));
                }
                let path = format!("{SECRETS}/{path}");
                self.root
                    .write(&path, &bytes, Existing::Replace, Durable::Later)?;
                secrets += 1;
            }
            self.root.sync()?;
            // Where names are hidden the new keys give them new places.
            for path in moved {
                self.root.remove(&path)?;
            }
        }
        Ok((secrets, values, fresh))
    }

    /// Decrypts and encrypts the values of these records, on two threads.
    fn encrypt_anew(&self, records: &[Record], turn: &Turn) -> Result<Vec<Vec<Anew>>, VaultError> {
        let to = turn.new.recipient();
        let vault_id = self.config().vault_id.clone();
        let one = |record: &Record| -> Result<Vec<Anew>, VaultError> {
            let mut all = Vec::new();
            let place = self.place_under(&turn.old, &record.name)?;
            for (id, meta) in &record.state.versions {
                if !meta.has_value() {
                    continue;
                }
                let value = self.read_under(&turn.old, &place, record, id)?;
                let binding = Binding {
                    vault: &vault_id,
                    name: &record.name,
                    version: id,
                };
                all.push(Anew {
                    id: id.clone(),
                    digest: turn.new.digest(&value)?,
                    file: seal_value(&value, &binding, meta.created, &to)?,
                });
            }
            Ok(all)
        };
        let many = |records: &[Record]| -> Result<Vec<Vec<Anew>>, VaultError> {
            records.iter().map(one).collect()
        };
        let (first, second) = records.split_at(records.len() / 2);
        let (first, second) = std::thread::scope(|scope| {
            let other = scope.spawn(|| many(first));
            let second = many(second);
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

    /// Removes every file of a version that has one under the new keys. A version's
    /// files from an earlier run are told apart by opening them.
    pub(super) fn drop_old_values(
        &self,
        turn: &Turn,
        fresh: &HashSet<String>,
    ) -> Result<(), VaultError> {
        let mut groups: BTreeMap<(String, layout::VersionKey), Vec<String>> = BTreeMap::new();
        self.walk("", &mut |path, _| {
            let (folder, name) = split(path);
            if let Ok(file) = layout::parse_value_file(name) {
                let stem = match folder {
                    "" => file.stem,
                    folder => format!("{folder}/{}", file.stem),
                };
                let group = groups.entry((stem, file.key)).or_default();
                group.push(format!("{SECRETS}/{path}"));
            }
        })?;
        for path in self.metadata_paths(turn)? {
            let (record, _) = self.either(&path, turn)?;
            let stem = path.strip_suffix(".toml").unwrap_or(&path);
            let place = self.place_under(&turn.new, &record.name)?;
            let before = self.place_under(&turn.old, &record.name)?;
            for (id, meta) in &record.state.versions {
                if before.stem() != stem {
                    let old = groups.remove(&(before.stem().to_owned(), before.key(id)));
                    for path in old.into_iter().flatten() {
                        self.root.remove(&path)?;
                    }
                }
                let key = (stem.to_owned(), place.key(id));
                let Some(files) = groups.remove(&key).filter(|_| meta.has_value()) else {
                    continue;
                };
                if files.len() < 2 {
                    continue;
                }
                let mut keep = files.iter().find(|path| fresh.contains(*path));
                if keep.is_none() {
                    keep = files
                        .iter()
                        .find(|path| self.opens(path, &record, id, turn));
                }
                for path in files.iter().filter(|path| Some(*path) != keep) {
                    // One that is right under no key stays for fsck to name.
                    if keep.is_some() {
                        self.root.remove(path)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn opens(&self, path: &str, record: &Record, id: &VersionId, turn: &Turn) -> bool {
        let config = self.config();
        let binding = Binding {
            vault: &config.vault_id,
            name: &record.name,
            version: id,
        };
        let Ok((bytes, _)) = self.root.read(path, value::MAX) else {
            return false;
        };
        // Anyone can encrypt to the vault: it must be the very value, too.
        let content = record.state.versions.get(id).map(|meta| meta.content);
        let (Ok(opened), Some(Content::Value { kind, digest })) =
            (open_value(&bytes, &binding, &turn.new), content)
        else {
            return false;
        };
        let found = turn.new.digest(&opened.value);
        opened.value.kind() == kind && found.is_ok_and(|found| found == digest)
    }
}
