use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{geteuid, umask};

use super::error::{BindError, PlaceError};

/// The longest path of a socket, in bytes (unix(7), sun_path).
const LONGEST: usize = 107;

/// A socket that the agent listens on, and the lock that makes it the only one.
pub struct Listener {
    pub(super) socket: UnixListener,
    pub(super) spot: Spot,
}

/// The path of a listening socket, which is removed once, by whoever ends first.
pub(super) struct Spot {
    path: PathBuf,
    is_gone: AtomicBool,
    /// Locked as long as the agent listens, so a dead one's socket is known as stale.
    lock: Mutex<Option<File>>,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) pid: i32,
    pub(super) uid: u32,
}

impl Listener {
    /// Begins to listen at `path`. Its directory is made if need be and must be one
    /// that only we can enter; the socket of an agent that was killed is replaced.
    ///
    /// To be called before the process has a second thread: the file mode mask is
    /// 0177 for a moment, so that the socket never is anybody else's to connect to.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let dir = directory(path)?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| PlaceError::Io {
            path: dir.to_owned(),
            source,
        })?;
        check(dir)?;
        let lock = lock(path)?;
        let fail = |source| BindError::Io {
            path: path.to_owned(),
            source,
        };
        match path.symlink_metadata() {
            Ok(old) if old.file_type().is_socket() && old.uid() == geteuid().as_raw() => {
                fs::remove_file(path).map_err(fail)?;
            }
            Ok(_) => {
                let path = path.to_owned();
                return Err(BindError::InTheWay { path });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fail(error)),
        }
        let before = umask(Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        umask(before);
        let socket = bound.map_err(fail)?;
        Ok(Self {
            socket,
            spot: Spot {
                path: path.to_owned(),
                is_gone: AtomicBool::new(false),
                lock: Mutex::new(Some(lock)),
            },
        })
    }
}

#[cfg(test)]
impl Listener {
    /// One without a lock. The mask of the whole process stays as it is.
    pub(super) fn plain(path: &Path) -> Self {
        Self {
            socket: UnixListener::bind(path).unwrap(),
            spot: Spot {
                path: path.to_owned(),
                is_gone: AtomicBool::new(false),
                lock: Mutex::new(None),
            },
        }
    }
}

impl Spot {
    /// Removes the socket at the first call, and says whether this was it: later
    /// another agent's may be there.
    pub(super) fn clear(&self) -> bool {
        let is_first = !self.is_gone.swap(true, Ordering::SeqCst);
        if is_first {
            drop(fs::remove_file(&self.path));
            let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            drop(lock.take());
        }
        is_first
    }
}

impl Drop for Spot {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> io::Result<Self> {
        let who = socket_peercred(stream)?;
        Ok(Self {
            pid: who.pid.as_raw_nonzero().get(),
            uid: who.uid.as_raw(),
        })
    }

    pub(super) fn is_us(self) -> bool {
        self.uid == geteuid().as_raw()
    }

    /// What its program is called, as far as the system tells.
    pub(super) fn program(self) -> String {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.pid));
        name.map_or_else(|_| "unknown".to_owned(), |n| n.trim_end().to_owned())
    }
}

/// The directory of a socket's path.
pub(super) fn directory(path: &Path) -> Result<&Path, PlaceError> {
    if path.as_os_str().len() > LONGEST {
        let path = path.to_owned();
        return Err(PlaceError::TooLong { path });
    }
    let dir = path.parent().filter(|_| path.is_absolute());
    dir.ok_or_else(|| PlaceError::NotAbsolute {
        path: path.to_owned(),
    })
}

/// Whether a directory is ours, no link, and closed to others. False if there is none.
pub(super) fn check(dir: &Path) -> Result<bool, PlaceError> {
    let path = || dir.to_owned();
    let meta = match dir.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => {
            let path = path();
            return Err(PlaceError::Io { path, source });
        }
    };
    if !meta.file_type().is_dir() {
        return Err(PlaceError::NotADirectory { path: path() });
    }
    if meta.uid() != geteuid().as_raw() {
        let (path, owner) = (path(), meta.uid());
        return Err(PlaceError::Foreign { path, owner });
    }
    let mode = meta.mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path();
        return Err(PlaceError::Open { path, mode });
    }
    Ok(true)
}

/// Locks the file beside the socket, for as long as it stays open.
fn lock(socket: &Path) -> Result<File, BindError> {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let fail = |source| BindError::Io {
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default())
        .open(&path)
        .map_err(fail)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            drop(file.take(16).read_to_string(&mut pid));
            return Err(BindError::AlreadyRunning {
                path: socket.to_owned(),
                pid: pid.trim().parse().ok(),
            });
        }
        Err(error) => return Err(fail(error.into())),
    }
    let written = file.set_len(0);
    written
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(fail)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn place(mode: u32) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("agent");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(mode)).unwrap();
        (dir, inner)
    }

    #[test]
    fn crypto_5_a_directory_that_others_can_enter_is_refused() {
        for mode in [0o755, 0o710, 0o701, 0o770] {
            let (_dir, inner) = place(mode);
            let error = check(&inner).unwrap_err();
            assert!(matches!(error, PlaceError::Open { mode: m, .. } if m == mode));
        }
        let (_dir, inner) = place(0o700);
        assert!(check(&inner).unwrap());
        assert!(!check(&inner.join("none")).unwrap());
    }

    #[test]
    fn crypto_5_a_link_or_a_file_is_no_directory() {
        let (dir, inner) = place(0o700);
        let link = dir.path().join("link");
        symlink(&inner, &link).unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        for name in ["link", "file"] {
            let error = check(&dir.path().join(name)).unwrap_err();
            assert!(matches!(error, PlaceError::NotADirectory { .. }));
        }
    }

    #[test]
    fn a_path_that_is_no_address_is_refused() {
        let long = format!("/{}", "x".repeat(LONGEST));
        let error = directory(Path::new(&long)).unwrap_err();
        assert!(matches!(error, PlaceError::TooLong { .. }));
        let error = directory(Path::new("agent.sock")).unwrap_err();
        assert!(matches!(error, PlaceError::NotAbsolute { .. }));
    }
}
