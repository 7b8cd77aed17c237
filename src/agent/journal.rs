use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;

use crate::model::{Escaped, Timestamp};

/// The agent's log: who asked for what kind of thing, and when. Names of secrets,
/// values and keys are never in it (crypto.md section 5).
///
/// A text file that its owner alone reads. When it is full it becomes `NAME.old` and a
/// new one begins. A log that cannot be written stops nobody from locking.
pub struct Journal(Option<Mutex<Book>>);

struct Book {
    path: PathBuf,
    file: File,
    size: u64,
}

/// How large it gets, in bytes.
const FULL: u64 = 256 * 1024;

impl Journal {
    /// Goes on with the log at `path`, or begins it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        let size = file.metadata()?.len();
        let path = path.to_owned();
        Ok(Self(Some(Mutex::new(Book { path, file, size }))))
    }

    /// One that keeps nothing.
    pub fn none() -> Self {
        Self(None)
    }

    /// Writes a line.
    pub(super) fn note(&self, at: Timestamp, text: &str) {
        let Some(book) = &self.0 else {
            return;
        };
        let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{at} {}\n", Escaped(text));
        if book.size > FULL {
            let old = book.path.with_extension("old");
            if fs::rename(&book.path, old).is_ok()
                && let Ok(file) = open(&book.path)
            {
                book.file = file;
                book.size = 0;
            }
        }
        if book.file.write_all(line.as_bytes()).is_ok() {
            book.size += u64::try_from(line.len()).unwrap_or(0);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_makes_room_and_lines_stay_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.log");
        let journal = Journal::open(&path).unwrap();
        let at = Timestamp::from_secs(0);
        journal.note(at, "a\nb");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let long = "x".repeat(1024);
        for _ in 0..300 {
            journal.note(at, &long);
        }
        let size = |path: &Path| path.metadata().unwrap().len();
        assert!(size(&path) < FULL);
        assert!(size(&path.with_extension("old")) <= FULL + 2048);
    }
}
