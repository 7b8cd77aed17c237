//! One writer at a time: an flock on a file that is never removed (sync.md section 4).
//!
//! The kernel drops the lock when its holder dies, so there is no stale lock to judge.
//! What stands in the file is for messages only.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// How long one waits between two tries.
const STEP: Duration = Duration::from_millis(50);

/// The lock. Dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("in use by {holder}")]
    Busy {
        /// Who has it, as far as it said so: process id and operation, escaped.
        holder: String,
    },
    /// The lock file cannot be used.
    #[error("{}: cannot lock", .path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

impl Lock {
    /// Takes the lock, trying again until `wait` has passed in naps. `operation` is
    /// what a second process is told.
    pub(super) fn acquire(path: &Path, operation: &str, wait: Duration) -> Result<Self, LockError> {
        let fail = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(fail)?;
        let mut left = wait;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK | Errno::INTR) if !left.is_zero() => {
                    let nap = left.min(STEP);
                    std::thread::sleep(nap);
                    left -= nap;
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    return Err(LockError::Busy {
                        holder: holder(&mut file),
                    });
                }
                Err(e) => return Err(fail(e.into())),
            }
        }
        let said = format!("process {} ({operation})\n", std::process::id());
        let write = |file: &mut File| -> std::io::Result<()> {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(said.as_bytes())
        };
        write(&mut file).map_err(fail)?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut said = [0; 200];
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.read(&mut said));
    let said = said.get(..read.unwrap_or(0)).unwrap_or_default();
    let said = String::from_utf8_lossy(said);
    match said.trim() {
        "" => "another process".to_owned(),
        said => crate::model::Escaped(said).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_second_is_told_who_has_it_and_gets_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::acquire(&path, "put", Duration::ZERO).unwrap();
        let busy = Lock::acquire(&path, "sync", Duration::from_millis(120)).unwrap_err();
        let expected = format!("in use by process {} (put)", std::process::id());
        assert_eq!(busy.to_string(), expected);
        drop(first);
        drop(Lock::acquire(&path, "sync", Duration::ZERO).unwrap());
        assert!(path.exists());
    }

    #[test]
    fn another_process_holds_it_and_its_death_frees_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        // flock(1) says when it has the lock, and keeps it until it is killed.
        let mut other = Command::new("flock")
            .arg(&path)
            .args(["sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        other
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        let busy = Lock::acquire(&path, "put", Duration::ZERO).unwrap_err();
        assert_eq!(busy.to_string(), "in use by another process");
        drop(other.stdin.take());
        assert!(other.wait().unwrap().success());
        assert!(Lock::acquire(&path, "put", Duration::from_secs(5)).is_ok());
    }
}
