use std::collections::{BTreeMap, HashMap};

use rustix::fs::{self, AtFlags, FileType, Stat};
use sha2::{Digest, Sha256};

use super::cache::{self, Entry, Mark};
use super::disk::{DiskError, Durable, Existing, is_leftover};
use super::state::INDEX;
use super::{SECRETS, Vault, VaultError, keyring, layout, meta};
use crate::model::{Escaped, Record, SecretName};

/// The largest index cache that is read, in bytes.
const MAX: usize = 1 << 31;

/// Every secret of a vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The secrets whose metadata is sound.
    pub records: BTreeMap<SecretName, Record>,
    /// What is not: by the secret's name, or by its path where that names none
    /// (escaped), the reason. Blocked secrets are reported, never read, never synced.
    pub blocked: BTreeMap<String, String>,
    /// Whether the mac of every record was verified, now or when this clone was last
    /// unlocked and saw the same bytes.
    pub verified: bool,
}

/// What a scan of the directories finds.
#[derive(Default)]
struct Scan {
    /// Metadata files, by path below `secrets/`.
    files: HashMap<String, Mark>,
    /// Things that have a metadata file's name and are none, and why.
    strange: Vec<(String, String)>,
}

impl Vault {
    /// Reads every secret's metadata, from the index cache where the file is
    /// unchanged. While locked, records whose mac nobody has verified are loaded too,
    /// and `verified` is false.
    pub fn load(&self) -> Result<Loaded, VaultError> {
        let (scan, cached) = std::thread::scope(|scope| {
            let cached = scope.spawn(|| self.read_cache());
            let scan = self.scan();
            (scan, cached.join().unwrap_or_default())
        });
        let (mut scan, cached) = (scan?, cached);
        let keys = self.trusted_keys()?;
        let (cached_keys, entries) = cached.unwrap_or_default();
        let same_keys = keys.as_ref().is_some_and(|keys| *keys == cached_keys);

        let mut fresh = Vec::with_capacity(scan.files.len());
        let mut by_path: HashMap<String, Entry> = HashMap::new();
        let mut stale = entries.len();
        for mut entry in entries {
            entry.verified &= same_keys;
            let mark = scan.files.get(&entry.path);
            let good = mark == Some(&entry.mark)
                && entry.settled
                && (entry.verified || !self.is_unlocked());
            if good {
                scan.files.remove(&entry.path);
                fresh.push(entry);
                stale -= 1;
            } else if mark.is_some() {
                by_path.insert(entry.path.clone(), entry);
            }
        }
        let mut blocked: BTreeMap<String, String> = BTreeMap::new();
        for (path, why) in scan.strange {
            blocked.insert(title(&path), why);
        }
        let has_news = stale > 0 || !scan.files.is_empty();
        let now = if has_news { self.tick() } else { i64::MIN };
        let mut rest: Vec<String> = scan.files.into_keys().collect();
        rest.sort();
        let mut read_any = stale > 0;
        for path in rest {
            match self.read_entry(&path, by_path.remove(&path), now) {
                Ok(Some(entry)) => {
                    read_any = true;
                    fresh.push(entry);
                }
                Ok(None) => {}
                Err(why) => {
                    blocked.insert(title(&path), why);
                }
            }
        }
        fresh.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        if read_any {
            // A cache that cannot be written costs time, nothing else.
            self.write_cache(keys.as_deref().unwrap_or_default(), &fresh);
        }
        let verified = fresh.iter().all(|entry| entry.verified);
        let records = fresh.into_iter().map(|e| (e.record.name.clone(), e.record));
        Ok(Loaded {
            records: records.collect(),
            blocked,
            verified,
        })
    }

    /// The commitment of the keys that verify, or verified, this vault's macs.
    fn trusted_keys(&self) -> Result<Option<String>, VaultError> {
        if let Some(keys) = self.keys() {
            return Ok(Some(keys.commitment().to_string()));
        }
        let pin = self.state.pin()?;
        let trusted = pin.and_then(|mut pin| pin.keyrings.remove(keyring::DEFAULT));
        Ok(trusted.map(|trusted| trusted.commitment.to_string()))
    }

    /// Reads a file that the cache cannot answer for; `None` if it is gone by now.
    fn read_entry(
        &self,
        path: &str,
        known: Option<Entry>,
        now: i64,
    ) -> Result<Option<Entry>, String> {
        let full = format!("{SECRETS}/{path}");
        let (bytes, stat) = match self.root.read(&full, meta::MAX) {
            Ok(read) => read,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(DiskError::TooLarge { .. }) => return Err(meta::MetaError::TooLarge.to_string()),
            Err(DiskError::Symlink { .. }) => return Err("it is a symbolic link".to_owned()),
            Err(error) => return Err(chain(&error)),
        };
        let mark = Mark::of(&stat);
        let hash: [u8; 32] = Sha256::digest(&bytes).into();
        let settled = mark.mtime < now && mark.ctime < now;
        if let Some(entry) = known
            && entry.hash == hash
            && (entry.verified || !self.is_unlocked())
        {
            return Ok(Some(Entry {
                mark,
                settled,
                ..entry
            }));
        }
        let record = meta::read(&bytes, path, self.keys()).map_err(|e| chain(&e))?;
        Ok(Some(Entry {
            path: path.to_owned(),
            mark,
            hash,
            verified: self.is_unlocked(),
            settled,
            record,
        }))
    }

    fn read_cache(&self) -> Option<(String, Vec<Entry>)> {
        let (bytes, _) = self.state.root().read(INDEX, MAX).ok()?;
        cache::decode(&bytes)
    }

    fn write_cache(&self, keys: &str, entries: &[Entry]) {
        if let Some(bytes) = cache::encode(keys, entries) {
            let later = Durable::Later;
            drop(
                self.state
                    .root()
                    .write(INDEX, &bytes, Existing::Replace, later),
            );
        }
    }

    /// The file system's idea of now: what it stamps a file with that is written
    /// before the reading begins. A file with an older stamp cannot change any more
    /// without getting this one or a later.
    fn tick(&self) -> i64 {
        let root = self.state.root();
        let path = "tick";
        let written = root.write(path, b"", Existing::Replace, Durable::Later);
        match written.and_then(|()| root.read(path, 0)) {
            Ok((_, stat)) => Mark::of(&stat).mtime,
            Err(_) => i64::MIN,
        }
    }

    fn scan(&self) -> Result<Scan, VaultError> {
        let mut scan = Scan::default();
        self.scan_dir("", &mut scan)?;
        Ok(scan)
    }

    fn scan_dir(&self, folder: &str, scan: &mut Scan) -> Result<(), VaultError> {
        let full = match folder {
            "" => SECRETS.to_owned(),
            folder => format!("{SECRETS}/{folder}"),
        };
        let dir = match self.root.open_dir(&full) {
            // git keeps no empty directory, so a clone of an empty vault has none.
            Err(error) if error.is_not_found() => return Ok(()),
            dir => dir?,
        };
        let fail = |e| DiskError::io(self.root.full(&full), "list", e);
        for entry in fs::Dir::read_from(&dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let raw = entry.file_name();
            let name = raw.to_bytes();
            if matches!(name, b"." | b"..") || name.ends_with(b".age") {
                continue;
            }
            let mut kind = entry.file_type();
            let is_metadata = name.ends_with(b".toml");
            let mut mark = None;
            if is_metadata || kind == FileType::Unknown {
                match fs::statat(&dir, raw, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => {
                        kind = FileType::from_raw_mode(stat.st_mode);
                        mark = Some(Mark::of(&stat));
                    }
                    Err(_) => continue,
                }
            }
            let name = raw.to_string_lossy();
            if is_leftover(&name) {
                continue;
            }
            let path = match folder {
                "" => name.into_owned(),
                folder => format!("{folder}/{name}"),
            };
            match (kind, mark) {
                (FileType::RegularFile, Some(mark)) if is_metadata => {
                    scan.files.insert(path, mark);
                }
                (FileType::Directory, _) if !is_metadata => self.scan_dir(&path, scan)?,
                (FileType::Symlink, _) => {
                    scan.strange
                        .push((path, "it is a symbolic link".to_owned()));
                }
                (_, _) if is_metadata => {
                    scan.strange
                        .push((path, "it is not a regular file".to_owned()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Mark {
    fn of(stat: &Stat) -> Self {
        let nanos =
            |secs: i64, nanos: i64| secs.saturating_mul(1_000_000_000).saturating_add(nanos);
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(u64::MAX),
            mtime: nanos(
                stat.st_mtime,
                i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ),
            ctime: nanos(
                stat.st_ctime,
                i64::try_from(stat.st_ctime_nsec).unwrap_or(0),
            ),
            inode: stat.st_ino,
        }
    }
}

/// The secret's name where the path says one, else the path.
fn title(path: &str) -> String {
    match layout::name_of_path(path, None) {
        Ok(name) => name.to_string(),
        Err(_) => Escaped(path).to_string(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
