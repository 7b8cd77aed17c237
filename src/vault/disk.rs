//! Files below one directory, read with suspicion and written whole or not at all
//! (crypto.md sections 4 and 6, sync.md section 4).
//!
//! git may have put anything where a file of ours belongs, so no component below the
//! root may be a symbolic link and every read has a bound. Directories are made with
//! mode 0700 and files with 0600, whatever the umask.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// How names of files begin that a crash may leave behind. No encoded name begins
/// with a dot.
const TEMP_PREFIX: &str = ".strongroom-";
const TEMP_SUFFIX: &str = ".tmp";

/// Why a file was not read or written. Every variant carries the path.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Nothing there.
    #[error("{}: no such file", .path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// A component of the path is a symbolic link, or leads out of the vault.
    #[error("{}: a symbolic link; nothing in a vault may be one", .path.display())]
    Symlink {
        /// The file.
        path: PathBuf,
    },
    /// A directory, a device, a pipe.
    #[error("{}: not a regular file", .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Larger than a file of its kind can be.
    #[error("{}: larger than {cap} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most bytes such a file can have.
        cap: usize,
    },
    /// An immutable file is there already, with other content.
    #[error("{}: exists with other content", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: cannot {operation}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, as a verb.
        operation: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl DiskError {
    /// The file it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::NotFound { path }
            | Self::Symlink { path }
            | Self::NotAFile { path }
            | Self::TooLarge { path, .. }
            | Self::Exists { path }
            | Self::Io { path, .. } => path,
        }
    }

    /// Whether the file is just not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// An error of the operating system, with its path.
    pub(super) fn io(path: impl Into<PathBuf>, operation: &'static str, errno: Errno) -> Self {
        let path = path.into();
        match errno {
            Errno::NOENT => Self::NotFound { path },
            Errno::LOOP | Errno::XDEV => Self::Symlink { path },
            // A FIFO without a writer, a socket.
            Errno::NXIO => Self::NotAFile { path },
            errno => Self::Io {
                path,
                operation,
                source: errno.into(),
            },
        }
    }
}

/// When a written file has reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durable {
    /// Before the call returns: fdatasync of the file, fsync of its directory.
    Now,
    /// After the next [`Root::sync`].
    Later,
}

/// What happens to a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It is replaced, atomically.
    Replace,
    /// It stays; that is an error unless it has the same content.
    Keep,
}

/// One entry of a directory.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: FileType,
}

/// An open directory that everything else is relative to. Paths are relative, joined
/// with `/`.
pub(super) struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Opens the directory. The path to it may contain symbolic links; it is the
    /// user's, not git's.
    pub(super) fn open(path: &Path) -> Result<Self, DiskError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty())
            .map_err(|e| DiskError::io(path, "open the directory", e))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// The directory's path, as it was given.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A relative path in full, for messages.
    pub(super) fn full(&self, relative: &str) -> PathBuf {
        self.path.join(relative)
    }

    /// Reads a whole file of at most `cap` bytes, and what it was at that moment.
    pub(super) fn read(&self, relative: &str, cap: usize) -> Result<(Vec<u8>, Stat), DiskError> {
        // Without NONBLOCK, opening a named pipe would wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = self.open_beneath(relative, flags)?;
        let fail = |operation, e| DiskError::io(self.full(relative), operation, e);
        let stat = fs::fstat(&fd).map_err(|e| fail("read", e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(DiskError::NotAFile {
                path: self.full(relative),
            });
        }
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        let too_large = || DiskError::TooLarge {
            path: self.full(relative),
            cap,
        };
        if size > cap {
            return Err(too_large());
        }
        // One byte over shows a file that grew meanwhile.
        let mut bytes = vec![0; size + 1];
        let mut filled = 0;
        while let Some(free) = bytes.get_mut(filled..).filter(|f| !f.is_empty()) {
            match rustix::io::read(&fd, free) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(fail("read", e)),
            }
            if filled == bytes.len() {
                if filled > cap {
                    return Err(too_large());
                }
                bytes.resize(bytes.len() + 4096, 0);
            }
        }
        bytes.truncate(filled);
        Ok((bytes, stat))
    }

    /// Whether there is something of that name.
    pub(super) fn has(&self, relative: &str) -> bool {
        let (folder, name) = split(relative);
        self.open_dir(folder)
            .is_ok_and(|dir| fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok())
    }

    /// Writes a whole file, or nothing: a temporary file beside it, then a rename.
    /// Directories on the way are made. Gives back what the file is on disk.
    pub(super) fn write(
        &self,
        relative: &str,
        bytes: &[u8],
        existing: Existing,
        durable: Durable,
    ) -> Result<(), DiskError> {
        let (folder, name) = split(relative);
        step!();
        let dir = self.make_dir(folder, durable)?;
        let fail = |operation, e| DiskError::io(self.full(relative), operation, e);
        let (temp, fd) = Temp::create(dir.as_fd()).map_err(|e| fail("write", e))?;
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(&fd, rest) {
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(e) => return Err(fail("write", e)),
            }
        }
        step!();
        if durable == Durable::Now {
            fs::fdatasync(&fd).map_err(|e| fail("write", e))?;
        }
        drop(fd);
        match existing {
            Existing::Replace => temp.replace(name).map_err(|e| fail("write", e))?,
            Existing::Keep => match temp.settle(name) {
                Ok(()) => {}
                Err(Errno::EXIST) => {
                    return match self.read(relative, bytes.len()) {
                        Ok((found, _)) if found == bytes => Ok(()),
                        Ok(_) | Err(DiskError::TooLarge { .. }) => Err(DiskError::Exists {
                            path: self.full(relative),
                        }),
                        Err(error) => Err(error),
                    };
                }
                Err(e) => return Err(fail("write", e)),
            },
        }
        step!();
        if durable == Durable::Now {
            fs::fsync(&dir).map_err(|e| fail("write", e))?;
        }
        Ok(())
    }

    /// Removes a file; that it is gone already is no error.
    pub(super) fn remove(&self, relative: &str) -> Result<(), DiskError> {
        let (folder, name) = split(relative);
        let dir = match self.open_dir(folder) {
            Err(error) if error.is_not_found() => return Ok(()),
            dir => dir?,
        };
        step!();
        match fs::unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(DiskError::io(self.full(relative), "remove", e)),
        }
    }

    /// Removes the temporary files that processes left in a directory when they died.
    /// `alive` says of a process id whether its files may be in use. What cannot be
    /// removed stays: nothing is lost, and `fsck` lists it.
    pub(super) fn sweep(&self, folder: &str, alive: impl Fn(u32) -> bool) {
        let Ok(entries) = self.list(folder) else {
            return;
        };
        let Ok(dir) = self.open_dir(folder) else {
            return;
        };
        for entry in entries {
            if entry.kind == FileType::RegularFile
                && let Some(pid) = left_by(&entry.name)
                && !alive(pid)
            {
                let _ = fs::unlinkat(&dir, entry.name.as_str(), AtFlags::empty());
            }
        }
    }

    /// Waits until everything written on the root's file system is on disk.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        fs::syncfs(&self.fd).map_err(|e| DiskError::io(&self.path, "write", e))
    }

    /// Waits until what was renamed or removed in a directory is on disk.
    pub(super) fn sync_dir(&self, relative: &str) -> Result<(), DiskError> {
        let dir = self.open_dir(relative)?;
        fs::fsync(&dir).map_err(|e| DiskError::io(self.full(relative), "write", e))
    }

    /// Lists a directory, unsorted. Names that are not UTF-8 are none of ours and
    /// come with their bad bytes replaced.
    pub(super) fn list(&self, relative: &str) -> Result<Vec<Entry>, DiskError> {
        let dir = self.open_dir(relative)?;
        let fail = |e| DiskError::io(self.full(relative), "list", e);
        let mut entries = Vec::new();
        for entry in fs::Dir::read_from(&dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let raw = entry.file_name();
            if matches!(raw.to_bytes(), b"." | b"..") {
                continue;
            }
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                let stat = fs::statat(&dir, raw, AtFlags::SYMLINK_NOFOLLOW);
                kind = stat.map_or(FileType::Unknown, |s| FileType::from_raw_mode(s.st_mode));
            }
            entries.push(Entry {
                name: raw.to_string_lossy().into_owned(),
                kind,
            });
        }
        Ok(entries)
    }

    /// Opens a directory below the root; the empty path is the root itself.
    pub(super) fn open_dir(&self, relative: &str) -> Result<OwnedFd, DiskError> {
        let relative = if relative.is_empty() { "." } else { relative };
        self.open_beneath(relative, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn open_beneath(&self, relative: &str, flags: OFlags) -> Result<OwnedFd, DiskError> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let opened = match fs::openat2(&self.fd, relative, flags, Mode::empty(), resolve) {
            // Kernels before 5.6, and sandboxes that do not know the call.
            Err(Errno::NOSYS | Errno::PERM) => self.open_by_component(relative, flags),
            opened => opened,
        };
        opened.map_err(|e| match e {
            Errno::NOTDIR => self.explain_not_dir(relative),
            e => DiskError::io(self.full(relative), "open", e),
        })
    }

    /// The same as openat2 does, one component at a time.
    fn open_by_component(&self, relative: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let (folder, name) = split(relative);
        let mut at: Option<OwnedFd> = None;
        let step = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for part in folder.split('/').filter(|p| !p.is_empty()) {
            if part == ".." {
                return Err(Errno::XDEV);
            }
            let from = at.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
            at = Some(fs::openat(from, part, step, Mode::empty())?);
        }
        let from = at.as_ref().map_or(self.fd.as_fd(), AsFd::as_fd);
        fs::openat(from, name, flags, Mode::empty())
    }

    /// O_DIRECTORY and O_NOFOLLOW together say ENOTDIR of a symbolic link too.
    fn explain_not_dir(&self, relative: &str) -> DiskError {
        let path = self.full(relative);
        let mut at = self.path.clone();
        for part in relative.split('/') {
            at.push(part);
            if at.symlink_metadata().is_ok_and(|m| m.is_symlink()) {
                return DiskError::Symlink { path };
            }
        }
        DiskError::Io {
            path,
            operation: "open",
            source: Errno::NOTDIR.into(),
        }
    }

    pub(super) fn make_dir(&self, folder: &str, durable: Durable) -> Result<OwnedFd, DiskError> {
        match self.open_dir(folder) {
            Err(error) if error.is_not_found() => {}
            opened => return opened,
        }
        let fail = |e| DiskError::io(self.full(folder), "make the directory", e);
        let mut made = String::new();
        let mut parent = self.open_dir("")?;
        for part in folder.split('/') {
            if !made.is_empty() {
                made.push('/');
            }
            made.push_str(part);
            let fresh = match fs::mkdirat(&parent, part, Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(e) => return Err(fail(e)),
            };
            let dir = self.open_dir(&made)?;
            if fresh {
                // mkdir takes the umask's bits away.
                fs::fchmod(&dir, Mode::RWXU).map_err(fail)?;
                if durable == Durable::Now {
                    fs::fsync(&parent).map_err(fail)?;
                }
            }
            parent = dir;
        }
        Ok(parent)
    }
}

/// A temporary file that is removed unless it becomes the real one.
struct Temp<'d> {
    dir: BorrowedFd<'d>,
    name: Option<String>,
}

impl<'d> Temp<'d> {
    fn create(dir: BorrowedFd<'d>) -> Result<(Self, OwnedFd), Errno> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let pid = rustix::process::getpid().as_raw_nonzero();
        // A name is taken only where a crash left it and the pid came round again.
        for _ in 0..10_000 {
            let n = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{TEMP_PREFIX}{pid}-{n}{TEMP_SUFFIX}");
            match fs::openat(dir, name.as_str(), flags, mode) {
                Ok(fd) => {
                    let name = Some(name);
                    let temp = Self { dir, name };
                    fs::fchmod(&fd, mode)?;
                    return Ok((temp, fd));
                }
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e),
            }
        }
        Err(Errno::EXIST)
    }

    /// Takes the place of whatever has the name.
    fn replace(mut self, to: &str) -> Result<(), Errno> {
        if let Some(name) = &self.name {
            fs::renameat(self.dir, name.as_str(), self.dir, to)?;
        }
        self.name = None;
        Ok(())
    }

    /// Takes the name if it is free.
    fn settle(mut self, to: &str) -> Result<(), Errno> {
        let Some(name) = &self.name else {
            return Ok(());
        };
        let name = name.as_str();
        match fs::renameat_with(self.dir, name, self.dir, to, RenameFlags::NOREPLACE) {
            Ok(()) => self.name = None,
            // The file system cannot. A second link cannot replace anything either.
            Err(Errno::INVAL | Errno::NOSYS) => {
                fs::linkat(self.dir, name, self.dir, to, AtFlags::empty())?;
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        // A process that dies removes nothing, in tests either.
        if cfg!(test) && std::thread::panicking() {
            return;
        }
        if let Some(name) = &self.name {
            // Nothing is lost if it stays: `fsck` lists it.
            let _ = fs::unlinkat(self.dir, name.as_str(), AtFlags::empty());
        }
    }
}

/// Whether a file name is that of a temporary file which a crash left.
pub(super) fn is_leftover(name: &str) -> bool {
    name.starts_with(TEMP_PREFIX) && name.ends_with(TEMP_SUFFIX)
}

/// The id of the process whose temporary file this is.
fn left_by(name: &str) -> Option<u32> {
    let name = name.strip_prefix(TEMP_PREFIX)?.strip_suffix(TEMP_SUFFIX)?;
    name.split_once('-')?.0.parse().ok()
}

/// Whether there is a process of this id, as far as can be told.
pub(super) fn is_running(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok();
    let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    rustix::process::test_kill_process(pid) != Err(Errno::SRCH)
}

/// The directory and the name of a relative path.
pub(super) fn split(relative: &str) -> (&str, &str) {
    relative.rsplit_once('/').unwrap_or(("", relative))
}

/// The first directory on the way to `path` (itself included) in which strangers may
/// replace what they like: writable by all and, above `path`, not sticky
/// (crypto.md section 6). A path that cannot be looked at counts as safe; using it
/// will fail by itself.
pub fn exposed(path: &Path) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let real = path.canonicalize().ok()?;
    real.ancestors()
        .find(|dir| {
            let Ok(meta) = dir.metadata() else {
                return false;
            };
            let mode = meta.permissions().mode();
            let open_to_all = mode & 0o002 != 0;
            let sticky = mode & 0o1000 != 0;
            open_to_all && (*dir == real || !sticky)
        })
        .map(Path::to_owned)
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
