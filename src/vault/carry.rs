//! What crosses an air gap: texts and value files as they are, verified on both sides,
//! and what a clone remembers of its exchanges.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::disk::{DiskError, Durable, Existing, Root, exposed};
use super::keyring::{self, Keyring};
use super::state::StateError;
use super::{CONFIG, Ledger, SECRETS, Vault, VaultError, init, ledger, meta, value};
use crate::crypto::{Binding, KeyringKeys, OpenError, open_value};
use crate::model::{Content, Record, SecretName, VersionId};

/// The largest keyring file, in bytes (crypto.md section 2).
const MAX_AGE: usize = 160 * 1024;

/// The files that a vault rests on, as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rests {
    /// `strongroom.toml`.
    pub settings: Vec<u8>,
    /// The keyring's member list.
    pub members: Vec<u8>,
    /// The keyring's own identity, encrypted to the members.
    pub keyring: Vec<u8>,
    /// The identities of the epochs before, each encrypted to the next, the first first.
    pub past: Vec<Vec<u8>>,
    /// The offboarding ledgers, by the epoch that began.
    pub ledgers: BTreeMap<u32, Vec<u8>>,
}

/// A value file that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldValue {
    path: String,
    hash: [u8; 32],
    /// Its length in bytes.
    pub length: usize,
}

impl Rests {
    /// The files of former epochs, by path below the vault.
    pub(super) fn former(&self) -> impl Iterator<Item = (String, &[u8])> {
        let past = (1..).zip(&self.past);
        let past = past.map(|(epoch, file)| {
            let path = Keyring::past_path(keyring::DEFAULT, epoch);
            (path, file.as_slice())
        });
        let ledgers = self.ledgers.iter().map(|(epoch, text)| {
            let path = Ledger::path(keyring::DEFAULT, *epoch);
            (path, text.as_slice())
        });
        past.chain(ledgers)
    }
}

impl Vault {
    /// The metadata files of these records, byte for byte: equal records are equal bytes.
    pub fn texts(&self, records: &[&Record]) -> Result<Vec<Vec<u8>>, VaultError> {
        let keys = self.need_keychain()?;
        let emit = |record: &&Record| {
            meta::emit(record).map_err(|source| VaultError::Record {
                name: record.name.clone(),
                source,
            })
        };
        let bodies = records.iter().map(emit);
        let bodies: Vec<String> = bodies.collect::<Result<_, _>>()?;
        let bytes: Vec<&[u8]> = bodies.iter().map(String::as_bytes).collect();
        let under = records.iter().map(|record| keys.for_secret(&record.name));
        let under: Vec<&KeyringKeys> = under.collect::<Result<_, _>>()?;
        let macs = meta::macs(&under, &bytes)?;
        let join = |(body, mac): (&String, crate::crypto::Mac)| mac.end_text(body).into_bytes();
        Ok(bodies.iter().zip(macs).map(join).collect())
    }

    /// Reads metadata that came from elsewhere and verifies each mac.
    pub fn read_texts(
        &self,
        texts: &[Vec<u8>],
    ) -> Result<Vec<Result<Record, meta::MetaError>>, VaultError> {
        self.need_keys()?;
        let files = texts.iter().map(|text| (text.as_slice(), meta::ANYWHERE));
        Ok(meta::read_many(files, self.under())?)
    }

    /// The bytes of a secret's metadata file, if there is one.
    pub(super) fn metadata_file(&self, name: &SecretName) -> Result<Option<Vec<u8>>, VaultError> {
        let path = format!("{SECRETS}/{}", self.place(name)?.metadata());
        match self.root.read(&path, meta::MAX) {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Finds one version's value file, the first that is right.
    pub fn find_value(&self, record: &Record, id: &VersionId) -> Result<HeldValue, VaultError> {
        let name = &record.name;
        let place = self.place(name)?;
        let mut failed = None;
        for path in self.value_paths(name, id)? {
            let full = self.root.full(&path);
            let file = match self.root.read(&path, value::MAX) {
                Ok((file, _)) => file,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            match self.check_value(record, id, &file) {
                Ok(true) => {
                    return Ok(HeldValue {
                        path,
                        length: file.len(),
                        hash: Sha256::digest(&file).into(),
                    });
                }
                Ok(false) => failed = Some(VaultError::OtherValue { path: full }),
                Err(OpenError::Keys(error)) => return Err(error.into()),
                Err(source) => failed = Some(VaultError::Value { path: full, source }),
            }
        }
        Err(failed.unwrap_or_else(|| VaultError::ValueMissing {
            name: name.clone(),
            version: id.clone(),
            path: self.root.full(&format!("{SECRETS}/{}", place.metadata())),
        }))
    }

    /// The bytes of a value file that was found, if they are still the same.
    pub fn fetch_value(&self, held: &HeldValue) -> Result<Vec<u8>, VaultError> {
        let (file, _) = self.root.read(&held.path, value::MAX)?;
        match <[u8; 32]>::from(Sha256::digest(&file)) == held.hash {
            true => Ok(file),
            false => Err(VaultError::OtherValue {
                path: self.root.full(&held.path),
            }),
        }
    }

    /// Whether an age file holds the very value that the record vouches for.
    pub fn check_value(
        &self,
        record: &Record,
        id: &VersionId,
        file: &[u8],
    ) -> Result<bool, OpenError> {
        let Ok(keys) = self.keys_for(&record.name) else {
            return Err(crate::crypto::KeysError::Locked.into());
        };
        let config = self.config();
        let binding = Binding {
            vault: &config.vault_id,
            name: &record.name,
            version: id,
        };
        let value = open_value(file, &binding, keys)?.value;
        let content = record.state.versions.get(id).map(|meta| meta.content);
        Ok(match content {
            Some(Content::Value { kind, digest }) => {
                value.kind() == kind && keys.digest(&value)? == digest
            }
            _ => false,
        })
    }

    /// What the vault rests on, for a bundle to its members.
    pub fn rests(&self) -> Result<Rests, VaultError> {
        let read = |path: &str, cap| self.root.read(path, cap).map(|(bytes, _)| bytes);
        let (mut past, mut ledgers) = (Vec::new(), BTreeMap::new());
        for ended in self.keyring()?.past {
            past.push(read(
                &Keyring::past_path(keyring::DEFAULT, ended.epoch),
                MAX_AGE,
            )?);
            if !ended.removed.is_empty() {
                let epoch = ended.epoch.saturating_add(1);
                let path = Ledger::path(keyring::DEFAULT, epoch);
                ledgers.insert(epoch, read(&path, ledger::MAX)?);
            }
        }
        Ok(Rests {
            settings: read(CONFIG, meta::MAX)?,
            members: read(&Keyring::list_path(keyring::DEFAULT), keyring::MAX)?,
            keyring: read(&Keyring::age_path(keyring::DEFAULT), MAX_AGE)?,
            past,
            ledgers,
        })
    }

    /// Makes the beginnings of a clone in an empty or new directory from what another
    /// clone's vault rests on. Nothing is verified here: unlocking it does that.
    pub fn plant(dir: &Path, state_home: &Path, rests: &Rests) -> Result<Self, VaultError> {
        let root = open_made(dir)?;
        if root.full(CONFIG).symlink_metadata().is_ok() {
            return Err(VaultError::AlreadyAVault {
                path: root.path().to_owned(),
            });
        }
        if let Some(path) = exposed(root.path()) {
            return Err(VaultError::Exposed { path });
        }
        super::git::init(&root).map_err(|reason| VaultError::Git {
            path: root.path().to_owned(),
            reason,
        })?;
        if let Some(text) = init::attributes(&root)? {
            let bytes = text.as_bytes();
            root.write(init::ATTRIBUTES, bytes, Existing::Replace, Durable::Now)?;
        }
        let list = Keyring::list_path(keyring::DEFAULT);
        let age = Keyring::age_path(keyring::DEFAULT);
        for (path, bytes) in rests.former() {
            root.write(&path, bytes, Existing::Replace, Durable::Now)?;
        }
        // The settings last, so what a crash leaves is no vault.
        for (path, bytes) in [
            (age.as_str(), &rests.keyring),
            (&list, &rests.members),
            (CONFIG, &rests.settings),
        ] {
            root.write(path, bytes, Existing::Replace, Durable::Now)?;
        }
        Self::open(root.path(), state_home)
    }

    /// Commits everything that [`Vault::plant`] wrote.
    pub fn commit_planted(&self, rests: &Rests, now: crate::model::Timestamp) -> super::Committed {
        let mut paths = vec![
            init::ATTRIBUTES.to_owned(),
            Keyring::age_path(keyring::DEFAULT),
            Keyring::list_path(keyring::DEFAULT),
            CONFIG.to_owned(),
        ];
        paths.extend(rests.former().map(|(path, _)| path));
        let message = "bundle: a new clone of the vault";
        super::git::commit(&self.root, &paths, message, now, super::git::PATIENCE)
    }

    /// Keeps a file in this clone's own state, below the folder `bundles`.
    pub fn keep_exchanged(&self, name: &str, bytes: &[u8]) -> Result<(), VaultError> {
        let path = format!("bundles/{name}");
        let (root, now) = (self.state.root(), Durable::Now);
        Ok(root.write(&path, bytes, Existing::Replace, now)?)
    }

    /// A file of that folder, of at most `cap` bytes.
    pub fn exchanged(&self, name: &str, cap: usize) -> Result<Option<Vec<u8>>, VaultError> {
        match self.state.root().read(&format!("bundles/{name}"), cap) {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets a file of that folder.
    pub fn forget_exchanged(&self, name: &str) -> Result<(), VaultError> {
        Ok(self.state.root().remove(&format!("bundles/{name}"))?)
    }

    /// A file of this clone's own state is damaged.
    pub fn damaged_exchange(&self, name: &str) -> VaultError {
        StateError::Damaged {
            path: self.state.path().join("bundles").join(name),
        }
        .into()
    }
}

/// Opens a directory for a new vault, making it if need be.
fn open_made(dir: &Path) -> Result<Root, DiskError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = |source| DiskError::Io {
        path: dir.to_owned(),
        operation: "make the directory",
        source,
    };
    if !dir.exists() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(dir).map_err(made)?;
    }
    Root::open(&dir.canonicalize().map_err(made)?)
}
