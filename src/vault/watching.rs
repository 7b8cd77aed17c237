//! Hears of changes of files that other processes make.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{CreateKind, EventKind, Flag};
use notify::{Config, ErrorKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

use super::Vault;

/// How long it takes at most until a new directory is watched.
const SETTLED: Duration = Duration::from_millis(300);

/// File systems that tell of nothing, or of what is done on this machine alone, by the
/// number that statfs(2) gives them.
const DEAF: [(u64, &str); 12] = [
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "afs"),
    (0x6b41_4653, "kafs"),
    (0x00c3_6400, "ceph"),
    (0x7375_7245, "coda"),
    (0x786f_4256, "vboxsf"),
    (0x0bd0_0bd0, "lustre"),
];

/// What was heard.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// This file or directory has changed.
    Path(&'a Path),
    /// Anything may have changed: the system's queue overflowed, or a directory is new.
    Anything,
}

/// Why files are looked at every so often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The file system does not tell of changes; its name.
    Network(&'static str),
    /// The system has no watches left for this user.
    Limit,
    /// The system's events cannot be had.
    Other(String),
}

impl std::fmt::Display for Polled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network(name) => write!(f, "the file system ({name}) tells of no changes"),
            Self::Limit => f.write_str(
                "the system has no file watches left (see the sysctl fs.inotify.max_user_watches)",
            ),
            Self::Other(why) => write!(f, "the system tells of no changes: {why}"),
        }
    }
}

/// A watch over a vault's files; it ends when this is dropped.
pub struct Watching {
    _watcher: Box<dyn Watcher + Send + Sync>,
    polled: Option<Polled>,
}

/// A directory cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be watched for changes", .path.display())]
pub struct WatchingError {
    /// The directory.
    pub path: PathBuf,
    /// What the system says.
    #[source]
    pub source: notify::Error,
}

/// Who is told.
type Tell = Arc<dyn Fn(Heard<'_>) + Send + Sync>;

impl Watching {
    /// Tells of every change from now on: of the secrets with all below them, of the
    /// settings beside them, and of what the remotes showed. git's own directory is left
    /// alone. Where the system's events cannot be had the files are looked at every
    /// `poll`.
    pub fn start(
        vault: &Vault,
        poll: Duration,
        tell: impl Fn(Heard<'_>) + Send + Sync + 'static,
    ) -> Result<Self, WatchingError> {
        let tell: Tell = Arc::new(tell);
        let polled = match deaf(vault.root()) {
            Some(name) => Polled::Network(name),
            None => match live(vault, &tell) {
                Ok(watcher) => {
                    return Ok(Self {
                        _watcher: Box::new(watcher),
                        polled: None,
                    });
                }
                Err(error) if is_limit(&error) => Polled::Limit,
                Err(error) => Polled::Other(error.to_string()),
            },
        };
        let fail = |source| WatchingError {
            path: vault.root().to_owned(),
            source,
        };
        let config = Config::default().with_poll_interval(poll);
        let mut watcher = PollWatcher::new(teller(tell), config).map_err(fail)?;
        add(&mut watcher, vault).map_err(fail)?;
        Ok(Self {
            _watcher: Box::new(watcher),
            polled: Some(polled),
        })
    }

    /// Why files are looked at every so often; `None` where the system tells of changes.
    pub fn polled(&self) -> Option<&Polled> {
        self.polled.as_ref()
    }
}

fn live(vault: &Vault, tell: &Tell) -> notify::Result<RecommendedWatcher> {
    let mut watcher = RecommendedWatcher::new(teller(Arc::clone(tell)), Config::default())?;
    add(&mut watcher, vault)?;
    Ok(watcher)
}

/// ENOSPC of inotify_add_watch(2), and EMFILE of inotify_init(2).
fn is_limit(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        ErrorKind::Io(error) => matches!(error.raw_os_error(), Some(28 | 24)),
        _ => false,
    }
}

fn deaf(dir: &Path) -> Option<&'static str> {
    let kind = rustix::fs::statfs(dir).ok()?.f_type;
    // The numbers have 32 bits, whatever the field has.
    let kind = u64::try_from(i128::from(kind) & 0xffff_ffff).ok()?;
    name_of(kind)
}

fn name_of(kind: u64) -> Option<&'static str> {
    let found = DEAF.iter().find(|(magic, _)| *magic == kind);
    found.map(|(_, name)| *name)
}

fn add(watcher: &mut dyn Watcher, vault: &Vault) -> notify::Result<()> {
    let root = vault.root();
    watcher.watch(root, RecursiveMode::NonRecursive)?;
    let secrets = root.join("secrets");
    // git keeps no empty directory, so a clone of an empty vault has none.
    std::fs::create_dir_all(&secrets).map_err(notify::Error::io)?;
    watcher.watch(&secrets, RecursiveMode::Recursive)?;
    let views = views(vault);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&views)
        .map_err(notify::Error::io)?;
    watcher.watch(&views, RecursiveMode::NonRecursive)
}

/// Where the remotes' views are kept.
fn views(vault: &Vault) -> PathBuf {
    vault.state_dir().join("views")
}

/// What came into a new directory before it was watched has no event of its own.
fn look_again(tell: &Tell) {
    let tell = Arc::downgrade(tell);
    std::thread::spawn(move || {
        std::thread::sleep(SETTLED);
        if let Some(tell) = tell.upgrade() {
            tell(Heard::Anything);
        }
    });
}

fn teller(tell: Tell) -> impl Fn(notify::Result<notify::Event>) + Send + 'static {
    move |event| match event {
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(event) if event.flag() != Some(Flag::Rescan) && !event.paths.is_empty() => {
            for path in &event.paths {
                tell(Heard::Path(path));
            }
            if matches!(
                event.kind,
                EventKind::Create(CreateKind::Folder | CreateKind::Any)
            ) {
                look_again(&tell);
            }
        }
        // The queue overflowed, or something is amiss: look at everything.
        _ => tell(Heard::Anything),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn network_file_systems_are_polled_and_a_full_table_is_told_apart() {
        assert_eq!(name_of(0x6969), Some("nfs"));
        assert_eq!(name_of(0xff53_4d42), Some("cifs"));
        // ext4, btrfs, tmpfs, overlayfs
        for local in [0xef53, 0x9123_683e, 0x0102_1994, 0x794c_7630] {
            assert_eq!(name_of(local), None);
        }
        let of = |kind: ErrorKind| is_limit(&notify::Error::new(kind));
        assert!(of(ErrorKind::MaxFilesWatch));
        assert!(of(ErrorKind::Io(std::io::Error::from_raw_os_error(28))));
        assert!(!of(ErrorKind::PathNotFound));
    }

    #[test]
    fn an_overflow_and_an_error_are_told_as_anything() {
        let (sender, receiver) = channel();
        let sender = Mutex::new(sender);
        let teller = teller(Arc::new(move |heard: Heard<'_>| {
            let text = match heard {
                Heard::Path(path) => path.display().to_string(),
                Heard::Anything => "anything".to_owned(),
            };
            sender.lock().unwrap().send(text).unwrap();
        }));
        let file = EventKind::Create(CreateKind::File);
        teller(Ok(notify::Event::new(file).add_path("/v/a".into())));
        teller(Ok(
            notify::Event::new(EventKind::Other).set_flag(Flag::Rescan)
        ));
        teller(Err(notify::Error::new(ErrorKind::PathNotFound)));
        let read = EventKind::Access(notify::event::AccessKind::Any);
        teller(Ok(notify::Event::new(read).add_path("/v/b".into())));
        drop(teller);
        let heard: Vec<String> = receiver.iter().collect();
        assert_eq!(heard, ["/v/a", "anything", "anything"]);
    }
}
