use std::collections::{BTreeMap, HashMap, HashSet};

use rustix::fs::{self, AtFlags, FileType, Stat};
use sha2::{Digest, Sha256};

use super::cache::{Cache, Entry, Folder, Mark};
use super::disk::{DiskError, Durable, Existing, is_leftover, split};
use super::keychain::Routes;
use super::state::INDEX;
use super::{SECRETS, Vault, VaultError, keyring, layout, merge, meta};
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
    /// The secrets of keyrings that are not open, and whose they are: nothing of them is
    /// known but their names, which anyone can have written.
    pub closed: BTreeMap<SecretName, String>,
    /// How the names begin that belong to keyrings which are not open.
    pub shut: Routes,
    /// Whether the mac of every record was verified, now or when this clone was last
    /// unlocked and saw the same bytes.
    pub verified: bool,
}

impl Loaded {
    /// The keyring that a name belongs to if that is not open, whether or not there is
    /// such a secret.
    pub fn closed_by(&self, name: &SecretName) -> Option<&str> {
        match self.shut.keyring_of(name) {
            keyring::DEFAULT => None,
            other => Some(other),
        }
    }
}

/// How many files are read before their macs are asked for, all at once.
const AT_ONCE: usize = 256;

/// What became of a file that the cache could not answer for.
enum Read {
    /// It is not there any more.
    Gone,
    /// It has the bytes that the cache knows.
    Known(Box<Entry>),
    /// Its mac is still to be verified, and its text to be read.
    New(NewFile),
}

struct NewFile {
    path: String,
    bytes: Vec<u8>,
    mark: Mark,
    hash: [u8; 32],
    settled: bool,
}

impl NewFile {
    fn entry(&self, record: Record, verified: bool) -> Entry {
        Entry {
            path: self.path.clone(),
            mark: self.mark,
            hash: self.hash,
            verified,
            settled: self.settled,
            record,
        }
    }
}

/// How sure a reading of the index wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    /// Every file is looked at.
    Files,
    /// Only folders are.
    Folders,
}

/// What a scan of the directories finds.
#[derive(Default)]
struct Scan {
    /// Metadata files, by path below `secrets/`.
    files: HashMap<String, Mark>,
    /// The folders that were listed.
    folders: Vec<Folder>,
    /// Things that have a metadata file's name and are none, and why.
    strange: Vec<(String, String)>,
}

impl Vault {
    /// Reads every secret's metadata, from the index cache where the file is
    /// unchanged. While locked, records whose mac nobody has verified are loaded too,
    /// and `verified` is false.
    pub fn load(&self) -> Result<Loaded, VaultError> {
        self.load_with(Care::Files)
    }

    /// The same for showing alone, and faster: only folders are looked at. Whatever
    /// was written by strongroom or git is noticed, since they replace files; an edit
    /// in place, as some editors do, shows at the next [`Vault::load`].
    pub fn glance(&self) -> Result<Loaded, VaultError> {
        self.load_with(Care::Folders)
    }

    fn load_with(&self, care: Care) -> Result<Loaded, VaultError> {
        let (now, cache, scan, unchanged) = match care {
            Care::Files => std::thread::scope(|scope| {
                let cache = scope.spawn(|| self.read_cache());
                let now = self.tick();
                let scan = self.scan(&[], &HashSet::new());
                (now, cache.join().unwrap_or_default(), scan, HashSet::new())
            }),
            Care::Folders => {
                let cache = self.read_cache();
                let (changed, unchanged) = self.compare(&cache.folders);
                let now = match changed.is_empty() {
                    true => i64::MIN,
                    false => self.tick(),
                };
                let known = cache.folders.iter().map(|f| f.path.clone()).collect();
                let scan = self.scan(&changed, &known);
                (now, cache, scan, unchanged)
            }
        };
        let mut scan = scan?;
        let keys = self.trusted_keys()?.unwrap_or_default();
        let same_keys = !keys.is_empty() && keys == cache.keys;
        let believe = |entry: &Entry| entry.verified || !self.is_unlocked();

        let old_folders = cache.folders;
        let mut fresh = Vec::with_capacity(cache.entries.len().max(scan.files.len()));
        let mut known: HashMap<String, Entry> = HashMap::new();
        let mut news = false;
        for mut entry in cache.entries {
            entry.verified &= same_keys;
            let untouched = unchanged.contains(split(&entry.path).0);
            let mark = scan.files.get(&entry.path);
            if entry.settled && believe(&entry) && (untouched || mark == Some(&entry.mark)) {
                scan.files.remove(&entry.path);
                fresh.push(entry);
                continue;
            }
            news = true;
            if untouched {
                scan.files.insert(entry.path.clone(), entry.mark);
            }
            known.insert(entry.path.clone(), entry);
        }
        let mut blocked: BTreeMap<String, String> = BTreeMap::new();
        let mut unsound: HashSet<String> = HashSet::new();
        let mut closed = BTreeMap::new();
        let mut block = |path: &str, why: String| {
            unsound.insert(split(path).0.to_owned());
            blocked.insert(title(path), why);
        };
        for (path, why) in scan.strange {
            block(&path, why);
        }
        let mut shut_paths = Vec::new();
        let mut rest: Vec<String> = scan.files.into_keys().collect();
        rest.sort();
        for paths in rest.chunks(AT_ONCE) {
            let mut unknown = Vec::with_capacity(paths.len());
            for path in paths {
                match self.read_file(path, known.remove(path), now) {
                    Ok(Read::Known(entry)) => {
                        news = true;
                        fresh.push(*entry);
                    }
                    Ok(Read::New(file)) => unknown.push(file),
                    Ok(Read::Gone) => {}
                    Err(why) => block(path, why),
                }
            }
            let files = unknown
                .iter()
                .map(|f| (f.bytes.as_slice(), f.path.as_str()));
            let records = self.read_all_metadata(&files.collect::<Vec<_>>())?;
            for (file, record) in unknown.into_iter().zip(records) {
                match record {
                    Ok(record) => {
                        news = true;
                        fresh.push(file.entry(record, self.is_unlocked()));
                    }
                    Err(meta::MetaError::Closed { name, keyring }) => {
                        shut_paths.push(file.path);
                        closed.insert(name, keyring);
                    }
                    Err(error) => block(&file.path, chain(&error)),
                }
            }
        }
        if !blocked.is_empty()
            && self.is_unlocked()
            && let Some(error) = self.replaced()
        {
            return Err(error);
        }
        // They are no entries, so that their folders are looked into each time.
        unsound.extend(shut_paths.iter().map(|path| split(path).0.to_owned()));
        let is_blind = self.hides_names() && !self.is_unlocked();
        if is_blind && fresh.is_empty() && !blocked.is_empty() {
            return Err(VaultError::NamesHidden);
        }
        fresh.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        let unmerged = merge::unmerged(&self.root);
        for path in unmerged.iter().filter(|path| path.ends_with(".toml")) {
            if let Some(path) = path.strip_prefix(SECRETS).and_then(|p| p.strip_prefix('/')) {
                let why = || meta::MetaError::Unmerged.to_string();
                blocked.entry(title(path)).or_insert_with(why);
            }
        }
        let mut folders: Vec<Folder> = old_folders
            .iter()
            .filter(|folder| unchanged.contains(&folder.path))
            .cloned()
            .collect();
        folders.extend(scan.folders.into_iter().map(|mut folder| {
            let is_old = folder.mark.mtime < now && folder.mark.ctime < now;
            folder.settled = is_old && !unsound.contains(&folder.path);
            folder
        }));
        folders.sort_by(|a, b| a.path.cmp(&b.path));
        let cache = Cache {
            keys,
            folders,
            entries: fresh,
        };
        if news || cache.folders != old_folders {
            self.write_cache(&cache);
        }
        if news && self.is_unlocked() {
            self.raise_mark(&cache.entries);
        }
        let fresh = cache.entries;
        let verified = fresh.iter().all(|entry| entry.verified);
        let is_merged = |e: &Entry| !unmerged.contains(&format!("{SECRETS}/{}", e.path));
        let fresh = fresh.into_iter();
        let records = fresh
            .filter(|e| unmerged.is_empty() || is_merged(e))
            .map(|e| (e.record.name.clone(), e.record));
        let mut records: BTreeMap<SecretName, Record> = records.collect();
        let shut = self.shut()?;
        // Of a locked vault whatever has the right form was read.
        if !shut.is_empty() {
            records.retain(|name, _| match shut.keyring_of(name) {
                keyring::DEFAULT => true,
                keyring => {
                    closed.insert(name.clone(), keyring.to_owned());
                    false
                }
            });
        }
        Ok(Loaded {
            records,
            closed,
            shut,
            blocked,
            verified,
        })
    }

    /// Which of the folders the cache knows have changed, and which have not. A
    /// folder that is gone is neither.
    fn compare(&self, folders: &[Folder]) -> (Vec<String>, HashSet<String>) {
        let mut changed = Vec::new();
        let mut unchanged = HashSet::with_capacity(folders.len());
        for folder in folders {
            let stat = self.root.open_dir(&below(&folder.path));
            match stat.ok().and_then(|dir| fs::fstat(&dir).ok()) {
                Some(stat) if folder.settled && Mark::of(&stat) == folder.mark => {
                    unchanged.insert(folder.path.clone());
                }
                Some(_) => changed.push(folder.path.clone()),
                None => {}
            }
        }
        if folders.is_empty() {
            changed.push(String::new());
        }
        (changed, unchanged)
    }

    /// The commitment of the keys that verify, or verified, this vault's macs.
    fn trusted_keys(&self) -> Result<Option<String>, VaultError> {
        if let Some(keys) = self.keychain() {
            return Ok(Some(keys.mark()));
        }
        let Some(mut pin) = self.state.pin()? else {
            return Ok(None);
        };
        let default = pin.keyrings.remove(keyring::DEFAULT);
        let open = pin.keyrings.iter().filter(|(_, t)| t.is_open);
        let open = open.map(|(name, trusted)| (name.as_str(), trusted.commitment));
        let routes = Routes::of(&self.config());
        Ok(default.map(|default| routes.mark(&default.commitment, open)))
    }

    /// Refuses a name of which nothing can be read.
    pub(super) fn refuse_shut(&self, name: &SecretName) -> Result<(), VaultError> {
        match self.shut()?.keyring_of(name) {
            keyring::DEFAULT => Ok(()),
            keyring => Err(VaultError::NoAccess {
                name: name.clone(),
                keyring: keyring.to_owned(),
            }),
        }
    }

    /// How the names begin of which nothing can be read: as this clone's member could
    /// when it was last unlocked.
    fn shut(&self) -> Result<Routes, VaultError> {
        if let Some(keys) = self.keychain() {
            return Ok(keys
                .routes()
                .closed(|keyring| keys.named(keyring).is_some()));
        }
        let routes = Routes::of(&self.config());
        if routes.is_empty() {
            return Ok(routes);
        }
        Ok(match self.state.pin()? {
            Some(pin) => {
                routes.closed(|keyring| pin.keyrings.get(keyring).is_some_and(|t| t.is_open))
            }
            None => Routes::default(),
        })
    }

    /// Reads a file that the cache cannot answer for by its stamps alone.
    fn read_file(&self, path: &str, known: Option<Entry>, now: i64) -> Result<Read, String> {
        let full = format!("{SECRETS}/{path}");
        let (bytes, stat) = match self.root.read(&full, meta::MAX) {
            Ok(read) => read,
            Err(error) if error.is_not_found() => return Ok(Read::Gone),
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
            return Ok(Read::Known(Box::new(Entry {
                mark,
                settled,
                ..entry
            })));
        }
        Ok(Read::New(NewFile {
            path: path.to_owned(),
            bytes,
            mark,
            hash,
            settled,
        }))
    }

    /// Every record as it was last read, with the hash of its file.
    pub(super) fn cached_entries(&self) -> Vec<Entry> {
        self.read_cache().entries
    }

    fn read_cache(&self) -> Cache {
        let bytes = self.state.root().read(INDEX, MAX);
        let cache = bytes.ok().and_then(|(bytes, _)| Cache::decode(&bytes));
        cache.unwrap_or_default()
    }

    /// A cache that cannot be written costs time, nothing else.
    fn write_cache(&self, cache: &Cache) {
        if let Some(bytes) = cache.encode() {
            let root = self.state.root();
            drop(root.write(INDEX, &bytes, Existing::Replace, Durable::Later));
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

    /// Lists the folders, and those in them that are not known; all without any.
    fn scan(&self, folders: &[String], known: &HashSet<String>) -> Result<Scan, VaultError> {
        let mut scan = Scan::default();
        if known.is_empty() {
            self.scan_dir("", known, &mut scan)?;
            return Ok(scan);
        }
        for folder in folders {
            self.scan_dir(folder, known, &mut scan)?;
        }
        Ok(scan)
    }

    fn scan_dir(
        &self,
        folder: &str,
        known: &HashSet<String>,
        scan: &mut Scan,
    ) -> Result<(), VaultError> {
        let full = below(folder);
        let dir = match self.root.open_dir(&full) {
            // git keeps no empty directory, so a clone of an empty vault has none.
            Err(error) if error.is_not_found() => return Ok(()),
            dir => dir?,
        };
        // Before the listing: what changes later is to show.
        let fail = |e| DiskError::io(self.root.full(&full), "list", e);
        scan.folders.push(Folder {
            path: folder.to_owned(),
            mark: Mark::of(&fs::fstat(&dir).map_err(fail)?),
            settled: false,
        });
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
                // Listed by itself, if it has changed.
                (FileType::Directory, _) if known.contains(&path) => {}
                (FileType::Directory, _) if !is_metadata => self.scan_dir(&path, known, scan)?,
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
    pub(super) fn of(stat: &Stat) -> Self {
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

/// A folder's path below the vault.
fn below(folder: &str) -> String {
    match folder {
        "" => SECRETS.to_owned(),
        folder => format!("{SECRETS}/{folder}"),
    }
}

/// The secret's name where the path says one, else the path.
pub(super) fn title(path: &str) -> String {
    match layout::name_of_path(path, None) {
        Ok(name) => name.to_string(),
        Err(_) => Escaped(path).to_string(),
    }
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
