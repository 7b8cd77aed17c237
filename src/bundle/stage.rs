use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::BundleError;
use super::read::Span;

const PREFIX: &str = "bundle-";
const FILE: &str = "frames";

/// A private directory for what was decrypted and is not believed yet. What lies in it
/// is as encrypted as in a vault: values are age files still. It goes when this is
/// dropped.
pub struct Stage {
    dir: PathBuf,
    file: File,
    length: u64,
}

impl Stage {
    /// Makes one below `parent`, which is made too, and removes those of processes that
    /// died.
    pub fn create(parent: &Path) -> Result<Self, BundleError> {
        let fail = |source| BundleError::Io {
            path: parent.to_owned(),
            operation: "make the staging directory",
            source,
        };
        let mut builder = DirBuilder::new();
        builder.mode(0o700);
        builder.recursive(true).create(parent).map_err(fail)?;
        sweep(parent);
        builder.recursive(false);
        let pid = std::process::id();
        for n in 0..10_000 {
            let dir = parent.join(format!("{PREFIX}{pid}-{n}"));
            match builder.create(&dir) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(fail(error)),
            }
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(dir.join(FILE));
            let file = file.inspect_err(|_| drop(std::fs::remove_dir(&dir)));
            return Ok(Self {
                file: file.map_err(fail)?,
                dir,
                length: 0,
            });
        }
        Err(fail(io::ErrorKind::AlreadyExists.into()))
    }

    /// Adds bytes at the end.
    pub fn add(&mut self, bytes: &[u8]) -> Result<Span, BundleError> {
        let at = self.length;
        let written = self.file.write_all(bytes);
        written.map_err(|e| self.failed("write", e))?;
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(Span {
            at,
            length: bytes.len(),
        })
    }

    /// Reads a piece of it back.
    pub fn get(&self, span: Span) -> Result<Vec<u8>, BundleError> {
        let mut bytes = vec![0; span.length];
        let read = self.file.read_exact_at(&mut bytes, span.at);
        read.map_err(|e| self.failed("read", e))?;
        Ok(bytes)
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> BundleError {
        BundleError::Io {
            path: self.dir.join(FILE),
            operation,
            source,
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(std::fs::remove_file(self.dir.join(FILE)));
        drop(std::fs::remove_dir(&self.dir));
    }
}

/// Removes what processes that are no more have left. What cannot be removed stays until
/// the next time.
fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let pid = pid.and_then(|rest| rest.split_once('-')?.0.parse().ok());
        let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else {
            continue;
        };
        if rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            drop(std::fs::remove_file(entry.path().join(FILE)));
            drop(std::fs::remove_dir(entry.path()));
        }
    }
}
