//! The high-water mark: what this clone has seen of each secret, so that an older state
//! that is put back is noticed (design.md section 4, "Rollback"; crypto.md section 9,
//! first row). Local, and raised by verified metadata alone.
//!
//! A secret has gone back if its file is, byte for byte, one that this clone has seen
//! and seen replaced, or if a version that bore a label when it was last seen is gone
//! and none has come that this clone did not know and that is not older, or if all of it
//! is gone. Versions without a label may go (`gc`), and those that lost theirs to newer ones; a tombstone
//! may lose its versions; and whatever this clone writes itself is ahead.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cache::Entry;
use super::disk::{Durable, Existing};
use super::{Vault, VaultError};
use crate::model::{Lifecycle, Record, SecretName};

const FILE: &str = "highwater";
/// What was written here since, to be folded in.
const LOG: &str = "highwater.log";
const MAGIC: &str = "strongroom-highwater/1";
/// The largest mark that is read, in bytes.
const MAX: usize = 1 << 31;
/// The longest log that is not folded in by the next writer, in bytes.
const LONG: usize = 1 << 22;
/// The longest note of the log, in bytes.
const MAX_NOTE: usize = 1 << 20;
/// How many former states of a secret are remembered.
const DEPTH: usize = 64;

type State = [u8; 16];

/// What was seen of one secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// The latest state: the first half of its file's SHA-256.
    latest: State,
    /// Those before it, oldest first.
    past: Vec<State>,
    /// The versions that bore a label in the latest state, and those that were lost
    /// before it and not accepted.
    held: BTreeSet<String>,
    /// Every version that was ever seen.
    known: BTreeSet<String>,
    /// When the versions in `held` were made, in milliseconds, where that is known. It
    /// lies behind the rest in the file.
    #[serde(skip)]
    dates: Dates,
}

type Dates = BTreeMap<String, i64>;

#[derive(Debug, Serialize, Deserialize)]
struct Marks {
    magic: String,
    secrets: BTreeMap<String, Seen>,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            magic: MAGIC.to_owned(),
            secrets: BTreeMap::new(),
        }
    }
}

fn short(hash: &[u8; 32]) -> State {
    let mut state = State::default();
    state.copy_from_slice(&hash[..16]);
    state
}

fn held(record: &Record) -> BTreeSet<String> {
    let labelled = record.state.labels.values();
    labelled.map(|id| id.as_str().to_owned()).collect()
}

fn ids(record: &Record) -> BTreeSet<String> {
    let versions = record.state.versions.keys();
    versions.map(|id| id.as_str().to_owned()).collect()
}

fn dates(record: &Record) -> Dates {
    let versions = record.state.labels.values().filter_map(|id| {
        let created = record.state.versions.get(id)?.created?;
        Some((id.as_str().to_owned(), created.millis()))
    });
    versions.collect()
}

impl Seen {
    fn first(state: State, record: &Record) -> Self {
        Self {
            latest: state,
            past: Vec::new(),
            held: held(record),
            known: ids(record),
            dates: dates(record),
        }
    }

    fn is_back(&self, state: State, record: &Record) -> bool {
        let has_lost = record.state.lifecycle != Lifecycle::Tombstone
            && !self.held.is_subset(&ids(record))
            && !self.is_progress(record);
        has_lost || (state != self.latest && self.past.contains(&state))
    }

    /// Whether a version has come that may be why others went. One that was made before
    /// those is of a state that this clone jumped over.
    fn is_progress(&self, record: &Record) -> bool {
        let versions = &record.state.versions;
        let is_lost = |id: &&String| !versions.keys().any(|there| there.as_str() == *id);
        let lost = self.held.iter().filter(is_lost);
        let newest = lost.filter_map(|id| self.dates.get(id)).max();
        versions.iter().any(|(id, meta)| {
            let is_older = match (meta.created, newest) {
                (Some(created), Some(newest)) => created.millis() < *newest,
                _ => false,
            };
            !is_older && !self.known.contains(id.as_str())
        })
    }

    fn advance(&mut self, state: State) {
        self.past.retain(|past| *past != state);
        if self.latest != state {
            self.past.push(std::mem::replace(&mut self.latest, state));
        }
        let over = self.past.len().saturating_sub(DEPTH);
        self.past.drain(..over);
    }
}

impl Marks {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut marks, rest): (Self, _) = postcard::take_from_bytes(bytes).ok()?;
        let dates: BTreeMap<String, Dates> = behind(rest)?;
        for (name, dates) in dates {
            marks.secrets.entry(name).and_modify(|s| s.dates = dates);
        }
        (marks.magic == MAGIC).then_some(marks)
    }

    fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let dated = self.secrets.iter().filter(|(_, s)| !s.dates.is_empty());
        let dates: BTreeMap<&str, &Dates> = dated.map(|(n, s)| (n.as_str(), &s.dates)).collect();
        postcard::to_extend(&dates, postcard::to_stdvec(self)?)
    }

    /// Folds in what was written here since; what was lost before stays lost. `None` if
    /// the log is damaged. A last note that was cut off is one that a crash kept from
    /// being written.
    fn fold(&mut self, log: &[u8]) -> Option<()> {
        for note in Notes(log) {
            let (note, rest): (Note, _) = postcard::take_from_bytes(note.ok()?).ok()?;
            let dates: Dates = behind(rest)?;
            let Some(held) = note.held else {
                self.secrets.remove(&note.name);
                continue;
            };
            let seen = self.secrets.entry(note.name).or_insert_with(|| Seen {
                latest: note.state,
                ..Seen::default()
            });
            let lost = |id: &String| note.before.as_ref().is_some_and(|ids| !ids.contains(id));
            let lost: Vec<String> = seen.held.iter().filter(|id| lost(id)).cloned().collect();
            seen.advance(note.state);
            seen.held = held;
            seen.held.extend(lost);
            seen.known.extend(note.known);
            seen.dates.extend(dates);
            seen.dates.retain(|id, _| seen.held.contains(id));
        }
        Some(())
    }
}

/// What stands behind what earlier versions wrote; they wrote nothing there.
fn behind<T: Default + serde::de::DeserializeOwned>(rest: &[u8]) -> Option<T> {
    match rest {
        [] => Some(T::default()),
        rest => postcard::from_bytes(rest).ok(),
    }
}

/// The notes of a log as they lie there, each behind its length; an error for a length
/// that no note has. It ends before a note that was cut off.
struct Notes<'l>(&'l [u8]);

impl<'l> Iterator for Notes<'l> {
    type Item = Result<&'l [u8], ()>;

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.0.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
        if len > MAX_NOTE {
            self.0 = &[];
            return Some(Err(()));
        }
        let (note, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some(Ok(note))
    }
}

/// How much of a log is whole notes, in bytes.
fn whole(log: &[u8]) -> usize {
    Notes(log)
        .map_while(Result::ok)
        .map(|note| note.len() + 4)
        .sum()
}

/// One note of the log.
#[derive(Serialize, Deserialize)]
struct Note {
    name: String,
    state: State,
    /// The versions that the file had before it was written.
    before: Option<BTreeSet<String>>,
    /// The versions with a label; none for a secret that was removed.
    held: Option<BTreeSet<String>>,
    /// The versions that it has now.
    known: BTreeSet<String>,
}

/// What a transaction wrote of one secret; no record for one that it removed.
pub(super) struct Written {
    pub(super) name: SecretName,
    pub(super) hash: [u8; 32],
    pub(super) before: Option<Record>,
    pub(super) record: Option<Record>,
}

impl Vault {
    /// The secrets that are older than this clone has seen them, sorted. No key is
    /// needed, and only files that changed are read.
    pub fn gone_back(&self) -> Result<Vec<String>, VaultError> {
        let loaded = self.load()?;
        // Else one process could fold the log in between the two files' readings. Where
        // the state cannot be written to, nobody does.
        let lock = self.lock_marks().ok();
        let marks = self.marks()?;
        drop(lock);
        if marks.secrets.is_empty() {
            return Ok(Vec::new());
        }
        let entries = self.cached_entries();
        let mut back = BTreeSet::new();
        let mut there: HashSet<&str> = HashSet::with_capacity(entries.len());
        for entry in &entries {
            if loaded.closed_by(&entry.record.name).is_some() {
                continue;
            }
            let name = entry.record.name.as_str();
            there.insert(name);
            let seen = marks.secrets.get(name);
            if seen.is_some_and(|seen| seen.is_back(short(&entry.hash), &entry.record)) {
                back.insert(name.to_owned());
            }
        }
        for name in marks.secrets.keys() {
            // What is blocked is reported as that.
            let is_closed = || {
                let name = name.parse::<SecretName>();
                name.is_ok_and(|name| loaded.closed_by(&name).is_some())
            };
            if !there.contains(name.as_str()) && !loaded.blocked.contains_key(name) && !is_closed()
            {
                back.insert(name.clone());
            }
        }
        Ok(back.into_iter().collect())
    }

    /// Refuses while the settings or secrets have gone back in time.
    pub fn refuse_gone_back(&self) -> Result<(), VaultError> {
        self.refuse_old_settings()?;
        let names = self.gone_back()?;
        match names.is_empty() {
            true => Ok(()),
            false => Err(VaultError::GoneBack { names }),
        }
    }

    /// Takes the vault as it is now for the newest state: a person decided so. Gives
    /// the secrets that had gone back, and before them the settings' file if it had.
    pub fn accept_gone_back(&self) -> Result<Vec<String>, VaultError> {
        let settings = self.accept_old_settings()?;
        let mut back = self.accept_secrets()?;
        if settings {
            back.insert(0, super::CONFIG.to_owned());
        }
        Ok(back)
    }

    fn accept_secrets(&self) -> Result<Vec<String>, VaultError> {
        let back = match self.gone_back() {
            Err(VaultError::DamagedMark { path }) => return self.begin_anew(&path),
            back => back?,
        };
        if back.is_empty() {
            return Ok(back);
        }
        let _lock = self.lock_marks()?;
        let mut marks = self.marks()?;
        let entries = self.cached_entries();
        let now: BTreeMap<&str, &Entry> = entries
            .iter()
            .map(|entry| (entry.record.name.as_str(), entry))
            .collect();
        for name in &back {
            match now.get(name.as_str()) {
                Some(entry) => {
                    let seen = Seen::first(short(&entry.hash), &entry.record);
                    marks.secrets.insert(name.clone(), seen);
                }
                None => {
                    marks.secrets.remove(name);
                }
            }
        }
        self.write_marks(&marks, Durable::Now)?;
        Ok(back)
    }

    /// Replaces a damaged mark by one of the vault as it is. Gives the damaged file.
    fn begin_anew(&self, damaged: &Path) -> Result<Vec<String>, VaultError> {
        let mut marks = Marks::default();
        for entry in self.cached_entries().iter().filter(|entry| entry.verified) {
            let seen = Seen::first(short(&entry.hash), &entry.record);
            let name = entry.record.name.as_str().to_owned();
            marks.secrets.insert(name, seen);
        }
        let _lock = self.lock_marks()?;
        self.write_marks(&marks, Durable::Now)?;
        Ok(vec![damaged.display().to_string()])
    }

    /// Raises the mark over what was read and verified. What went back leaves it where
    /// it is, and so does a damaged mark: a person begins it anew.
    pub(super) fn raise_mark(&self, entries: &[Entry]) {
        let Ok(_lock) = self.lock_marks() else {
            return;
        };
        let Ok(mut marks) = self.marks() else {
            return;
        };
        let mut news = false;
        for entry in entries.iter().filter(|entry| entry.verified) {
            let state = short(&entry.hash);
            match marks.secrets.get_mut(entry.record.name.as_str()) {
                None => {
                    let name = entry.record.name.as_str().to_owned();
                    marks
                        .secrets
                        .insert(name, Seen::first(state, &entry.record));
                    news = true;
                }
                Some(seen) if seen.latest == state => {}
                Some(seen) if seen.is_back(state, &entry.record) => {}
                Some(seen) => {
                    seen.advance(state);
                    seen.held = held(&entry.record);
                    seen.dates = dates(&entry.record);
                    seen.known.extend(ids(&entry.record));
                    news = true;
                }
            }
        }
        if news {
            // A mark that is not written costs one notice, and is raised at the next
            // reading that finds a change.
            drop(self.write_marks(&marks, Durable::Later));
        }
    }

    /// Notes what this clone wrote itself, which is ahead of whatever it was. It costs
    /// an append, whatever the vault's size; the next reading folds it in.
    pub(super) fn mark_written(&self, written: &[Written]) {
        let mut bytes = Vec::new();
        for one in written {
            let note = Note {
                name: one.name.as_str().to_owned(),
                state: short(&one.hash),
                before: one.before.as_ref().map(ids),
                held: one.record.as_ref().map(held),
                known: one.record.as_ref().map(ids).unwrap_or_default(),
            };
            let dates = one.record.as_ref().map(dates).unwrap_or_default();
            let note = postcard::to_stdvec(&note);
            let Ok(note) = note.and_then(|note| postcard::to_extend(&dates, note)) else {
                return;
            };
            let len = u32::try_from(note.len()).unwrap_or(u32::MAX);
            bytes.extend(len.to_le_bytes());
            bytes.extend(note);
        }
        if bytes.is_empty() {
            return;
        }
        let Ok(_lock) = self.lock_marks() else {
            return;
        };
        // A note that is not written costs one notice.
        let len = self.append(&bytes).unwrap_or_default();
        if len > LONG
            && let Ok(marks) = self.marks()
        {
            drop(self.write_marks(&marks, Durable::Later));
        }
    }

    /// Appends notes behind the last whole one, all of them or none. Gives the log's
    /// length.
    fn append(&self, notes: &[u8]) -> std::io::Result<usize> {
        let path = self.state.root().full(LOG);
        let mut options = std::fs::OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(path)?;
        let mut log = Vec::new();
        file.read_to_end(&mut log)?;
        let end = whole(&log);
        // A damaged log stays as it is, to be told.
        let is_cut = end < log.len() && Notes(&log).all(|note| note.is_ok());
        let keep = if is_cut { end } else { log.len() };
        if is_cut {
            file.set_len(keep as u64)?;
        }
        if let Err(error) = file.write_all(notes) {
            file.set_len(keep as u64)?;
            return Err(error);
        }
        Ok(keep + notes.len())
    }

    /// The marks with what was written here since. Whoever is to write them holds their
    /// lock.
    fn marks(&self) -> Result<Marks, VaultError> {
        let root = self.state.root();
        let read = |file| match root.read(file, MAX) {
            Ok((bytes, _)) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        };
        let damaged = |file| VaultError::DamagedMark {
            path: root.full(file),
        };
        let mut marks = match read(FILE)? {
            Some(bytes) => Marks::decode(&bytes).ok_or_else(|| damaged(FILE))?,
            None => Marks::default(),
        };
        let log = read(LOG)?.unwrap_or_default();
        marks.fold(&log).ok_or_else(|| damaged(LOG))?;
        Ok(marks)
    }

    fn write_marks(&self, marks: &Marks, durable: Durable) -> Result<(), VaultError> {
        let damaged = |_| self.state.damaged(FILE);
        let bytes = marks.encode().map_err(damaged)?;
        let root = self.state.root();
        root.write(FILE, &bytes, Existing::Replace, durable)?;
        root.remove(LOG)?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "highwater_tests.rs"]
mod tests;
