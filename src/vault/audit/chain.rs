//! The files of the log: appending under its own lock, turning over by size.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::line::{self, Link};
use super::{AuditError, dir_error};
use crate::crypto::{Domain, KeyringKeys};
use crate::model::{Asker, AuditEvent};

/// Its directory, below the clone's state.
pub(super) const DIR: &str = "audit";
/// The file that is written to.
pub(super) const CURRENT: &str = "log.jsonl";
const LOCK: &str = "log.lock";
/// From which size on a new file is begun, in bytes.
#[cfg(not(test))]
const FULL: u64 = 8 << 20;
#[cfg(test)]
const FULL: u64 = 16 << 10;
/// The longest line, in bytes: a name of 512, and 20 labels of 256 six times escaped.
pub(super) const LONGEST: u64 = 64 << 10;
/// How many events a seal may be late, where the keys are at hand.
const EVERY: u64 = 64;
/// How long another process may keep the lock.
const PATIENCE: u32 = 2000;

/// The log of one clone.
pub(super) struct Chain {
    dir: PathBuf,
    /// What its first line and its seals are bound to: the vault and the clone.
    pub(super) origin: String,
}

/// The chain's end.
#[derive(Clone)]
pub(super) struct End {
    pub(super) sequence: u64,
    pub(super) sealed: u64,
    /// SHA-256 of the last line, in hex.
    pub(super) hash: String,
}

impl Chain {
    pub(super) fn new(dir: PathBuf, vault: &str, clone: &str) -> Self {
        let origin = format!("strongroom/v1/audit\n{vault}\n{clone}\n");
        Self { dir, origin }
    }

    /// The end of a log without lines.
    pub(super) fn genesis(&self) -> End {
        End {
            sequence: 0,
            sealed: 0,
            hash: hash(self.origin.as_bytes()),
        }
    }

    /// What a seal's mac is over: everything before it, by the hash that it follows.
    pub(super) fn sealed_text(&self, sequence: u64, previous: &str) -> String {
        format!("{}{sequence}\n{previous}\n", self.origin)
    }

    /// Its files in their order, the current one last.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, AuditError> {
        let entries = match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| dir_error(&self.dir, "list", e))?,
        };
        let mut old = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| dir_error(&self.dir, "list", e))?;
            let name = entry.file_name();
            let first = name.to_str().and_then(|n| n.strip_prefix("log."));
            let first = first.and_then(|n| n.strip_suffix(".jsonl"));
            if let Some(first) = first.and_then(|n| n.parse::<u64>().ok()) {
                old.push((first, entry.path()));
            }
        }
        old.sort_unstable();
        let mut files: Vec<PathBuf> = old.into_iter().map(|(_, path)| path).collect();
        let current = self.dir.join(CURRENT);
        if current.symlink_metadata().is_ok() {
            files.push(current);
        }
        Ok(files)
    }

    /// Whether it can be written to.
    pub(super) fn probe(&self) -> Result<(), AuditError> {
        let _held = self.hold()?;
        let (mut file, path) = self.open()?;
        self.end(&mut file, &path).map(drop)
    }

    /// Appends events, and a seal where one is due and there are keys for it. Says
    /// whether one is due still.
    pub(super) fn append(
        &self,
        keys: Option<&KeyringKeys>,
        asker: &Asker,
        events: &[AuditEvent],
    ) -> Result<bool, AuditError> {
        let _held = self.hold()?;
        let (mut file, path) = self.open()?;
        let (mut end, mut size, mut cut) = self.end(&mut file, &path)?;
        let first = end.sequence + 1;
        let mut text = Vec::new();
        for event in events {
            let link = Link {
                previous: end.hash.clone(),
                sealed: end.sealed,
                sequence: end.sequence + 1,
            };
            let line = line::event(event, asker, &link, std::mem::take(&mut cut));
            end = push(&mut text, &line, &link);
            if end.sequence - end.sealed >= EVERY
                && let Some(line) = keys.and_then(|keys| self.seal(keys, &end, event, asker))
            {
                let sequence = end.sequence + 1;
                let link = Link {
                    previous: end.hash.clone(),
                    sealed: sequence,
                    sequence,
                };
                end = push(&mut text, &line, &link);
            }
        }
        let long = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if size > 0 && size.saturating_add(long) > FULL {
            // The name of a full file is its first line's number.
            let start = first_of(&path).unwrap_or(first.saturating_sub(1));
            let full = self.dir.join(format!("log.{start:012}.jsonl"));
            file.sync_data().map_err(|e| dir_error(&path, "write", e))?;
            fs::rename(&path, &full).map_err(|e| dir_error(&path, "rename", e))?;
            file = self.open()?.0;
            size = 0;
        }
        if let Err(error) = file.write_all(&text) {
            // A full disk must not leave half a line.
            drop(file.set_len(size));
            return Err(dir_error(&path, "write", error));
        }
        Ok(end.sequence - end.sealed >= EVERY)
    }

    fn seal(
        &self,
        keys: &KeyringKeys,
        end: &End,
        event: &AuditEvent,
        asker: &Asker,
    ) -> Option<String> {
        let sequence = end.sequence + 1;
        let text = self.sealed_text(sequence, &end.hash);
        // A holder of keys that is gone or older seals nothing; the next one will.
        let mac = keys.mac(Domain::Audit, text.as_bytes()).ok()?;
        let link = Link {
            previous: end.hash.clone(),
            sealed: sequence,
            sequence,
        };
        let keyring = keys.commitment().to_string();
        Some(line::seal(event, asker, &link, &keyring, &mac.to_string()))
    }

    /// The chain's end, the current file's size, and how many bytes of half a line were
    /// cut off, where the system had stopped in the middle of one.
    fn end(&self, file: &mut File, path: &Path) -> Result<(End, u64, u64), AuditError> {
        let fail = |e| dir_error(path, "read", e);
        let size = file.metadata().map_err(fail)?.len();
        let (last, whole) = last_line(file, size).map_err(fail)?;
        if whole < size {
            file.set_len(whole).map_err(fail)?;
        }
        let cut = size - whole;
        if let Some(last) = last {
            return Ok((parse_end(&last, path)?, whole, cut));
        }
        let Some(before) = self.files()?.into_iter().rfind(|f| f != path) else {
            return Ok((self.genesis(), whole, cut));
        };
        let fail = |e| dir_error(&before, "read", e);
        let mut old = File::open(&before).map_err(fail)?;
        let size = old.metadata().map_err(fail)?.len();
        let (last, _) = last_line(&mut old, size).map_err(fail)?;
        match last {
            Some(last) => Ok((parse_end(&last, &before)?, whole, cut)),
            None => Err(AuditError::Damaged { path: before }),
        }
    }

    fn open(&self) -> Result<(File, PathBuf), AuditError> {
        let path = self.dir.join(CURRENT);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags())
            .open(&path)
            .map_err(|e| dir_error(&path, "open", e))?;
        let kind = file.metadata().map_err(|e| dir_error(&path, "read", e))?;
        match kind.is_file() {
            true => Ok((file, path)),
            false => Err(super::DiskError::NotAFile { path }.into()),
        }
    }

    /// The log's lock: its own, since a value is read without the vault's.
    fn hold(&self) -> Result<File, AuditError> {
        let path = self.dir.join(LOCK);
        let open = || {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(flags())
                .open(&path)
        };
        let file = match open() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let made = fs::DirBuilder::new().mode(0o700).create(&self.dir);
                match made {
                    Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                        return Err(dir_error(&self.dir, "make", e));
                    }
                    _ => open(),
                }
            }
            file => file,
        };
        let file = file.map_err(|e| dir_error(&path, "open", e))?;
        for _ in 0..PATIENCE {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(e) => return Err(dir_error(&path, "lock", e.into())),
            }
        }
        Err(AuditError::Busy { path })
    }
}

fn flags() -> i32 {
    i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default()
}

fn push(text: &mut Vec<u8>, line: &str, link: &Link) -> End {
    text.extend_from_slice(line.as_bytes());
    text.push(b'\n');
    End {
        sequence: link.sequence,
        sealed: link.sealed,
        hash: hash(line.as_bytes()),
    }
}

/// SHA-256 in hex.
pub(super) fn hash(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The last whole line of a file, and where it ends.
fn last_line(file: &mut File, size: u64) -> std::io::Result<(Option<Vec<u8>>, u64)> {
    let mut reach = 4096;
    loop {
        let from = size.saturating_sub(reach);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(size - from).read_to_end(&mut bytes)?;
        let end = bytes.iter().rposition(|b| *b == b'\n');
        let start = end.map(|end| bytes.iter().take(end).rposition(|b| *b == b'\n'));
        let line = |start: usize, end: usize| bytes.get(start..end).map(<[u8]>::to_vec);
        let at = |end: usize| from + u64::try_from(end + 1).unwrap_or(0);
        match (start, end) {
            (Some(Some(start)), Some(end)) => return Ok((line(start + 1, end), at(end))),
            (Some(None), Some(end)) if from == 0 => return Ok((line(0, end), at(end))),
            (None, None) if from == 0 => return Ok((None, 0)),
            // Longer than any of ours: it is judged by its last piece, and refused.
            (_, Some(end)) if reach > 2 * LONGEST => return Ok((line(0, end), at(end))),
            (_, None) if reach > 2 * LONGEST => return Ok((Some(Vec::new()), size)),
            _ => reach *= 4,
        }
    }
}

fn parse_end(line: &[u8], path: &Path) -> Result<End, AuditError> {
    let value: Option<Value> = serde_json::from_slice(line).ok();
    let link = value.as_ref().and_then(Link::of);
    let link = link.ok_or_else(|| AuditError::Damaged {
        path: path.to_owned(),
    })?;
    Ok(End {
        sequence: link.sequence,
        sealed: link.sealed,
        hash: hash(line),
    })
}

/// The number of a file's first line.
fn first_of(path: &Path) -> Option<u64> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    let line = bytes.split(|b| *b == b'\n').next()?;
    let value: Value = serde_json::from_slice(line).ok()?;
    Link::of(&value).map(|link| link.sequence)
}
