use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, RenameFlags, fadvise};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::error::BundleError;

/// A file that is made for another machine: complete under its name or not there, never
/// over another, and read back before it counts as written (crypto.md section 7).
pub struct Target {
    path: PathBuf,
    part: PathBuf,
    file: Option<File>,
    hash: Sha256,
}

impl Target {
    /// Begins the file under a name of its own. Refuses if there is one already.
    pub fn create(path: &Path) -> Result<Self, BundleError> {
        let exists = |path: &Path| BundleError::Exists {
            path: path.to_owned(),
        };
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part);
        let file = file.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => exists(&part),
            _ => failed(path, "make the file", source),
        })?;
        Ok(Self {
            path: path.to_owned(),
            part,
            file: Some(file),
            hash: Sha256::new(),
        })
    }

    /// Where it will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until it is on the medium, reads it back from there as far as the system
    /// lets one, compares, and gives it its name.
    pub fn settle(mut self) -> Result<(), BundleError> {
        let fail = |operation| {
            let path = self.path.clone();
            move |source| failed(&path, operation, source)
        };
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        file.sync_all().map_err(fail("write"))?;
        // Else the comparison is with memory.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        drop(file);
        let mut again = File::open(&self.part).map_err(fail("read back"))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match again.read(&mut buffer).map_err(fail("read back"))? {
                0 => break,
                n => hash.update(buffer.get(..n).unwrap_or_default()),
            }
        }
        if hash.finalize() != self.hash.clone().finalize() {
            return Err(BundleError::Unreliable {
                path: self.path.clone(),
            });
        }
        rename(&self.part, &self.path)?;
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        // Some sticks' file systems cannot; the file itself is safe.
        drop(File::open(folder).and_then(|dir| dir.sync_all()));
        Ok(())
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let n = file.write(bytes)?;
        self.hash.update(bytes.get(..n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Gone already once it has its name.
        drop(std::fs::remove_file(&self.part));
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), BundleError> {
    use rustix::fs::{CWD, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(BundleError::Exists {
            path: to.to_owned(),
        }),
        // FAT on some kernels: without the guard against a file that came meanwhile.
        Err(Errno::INVAL | Errno::NOSYS) if to.symlink_metadata().is_err() => {
            std::fs::rename(from, to).map_err(|e| failed(to, "write", e))
        }
        Err(error) => Err(failed(to, "write", error.into())),
    }
}

fn failed(path: &Path, operation: &'static str, source: io::Error) -> BundleError {
    BundleError::Io {
        path: path.to_owned(),
        operation,
        source,
    }
}
