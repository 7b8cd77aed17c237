//! Notices changes of the vault's files by other processes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{CreateKind, EventKind, Flag};
use notify::{Config, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

use super::Service;

/// How often files are looked at where the system does not tell of changes.
const POLL: Duration = Duration::from_secs(2);
/// How long it takes at most until a new directory is watched.
const SETTLED: Duration = Duration::from_millis(300);

/// A watch over a vault's directory; it ends when this is dropped.
pub struct Changes {
    _watcher: Box<dyn Watcher + Send + Sync>,
    /// Whether the system tells of changes, so that they are served at once.
    is_live: bool,
}

/// A directory cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be watched for changes", .path.display())]
pub struct WatchError {
    /// The directory.
    pub path: PathBuf,
    /// What the system says.
    #[source]
    pub source: notify::Error,
}

impl Changes {
    /// Tells the service of every change from now on. Where the system's own events
    /// cannot be had (too many watches, some network file systems) the files are
    /// looked at every two seconds.
    pub fn watch(service: &Arc<Service>) -> Result<Self, WatchError> {
        let root = service.vault().root().to_owned();
        let live = RecommendedWatcher::new(teller(service), Config::default());
        if let Ok(mut watcher) = live
            && add(&mut watcher, &root).is_ok()
        {
            service.mark_stale();
            return Ok(Self {
                _watcher: Box::new(watcher),
                is_live: true,
            });
        }
        let fail = |source| WatchError {
            path: root.clone(),
            source,
        };
        let config = Config::default().with_poll_interval(POLL);
        let mut watcher = PollWatcher::new(teller(service), config).map_err(fail)?;
        add(&mut watcher, &root).map_err(fail)?;
        service.mark_stale();
        Ok(Self {
            _watcher: Box::new(watcher),
            is_live: false,
        })
    }

    /// Whether the system tells of changes; else they are looked for every two seconds.
    pub fn is_live(&self) -> bool {
        self.is_live
    }
}

/// The secrets with all below them, and the settings beside them. git's own directory
/// is left alone: it changes with every commit, and none of it is served.
fn add(watcher: &mut dyn Watcher, root: &Path) -> notify::Result<()> {
    watcher.watch(root, RecursiveMode::NonRecursive)?;
    let secrets = root.join("secrets");
    // git keeps no empty directory, so a clone of an empty vault has none.
    std::fs::create_dir_all(&secrets).map_err(notify::Error::io)?;
    watcher.watch(&secrets, RecursiveMode::Recursive)
}

/// What came into a new directory before it was watched has no event of its own.
fn look_again(service: &Arc<Service>) {
    let service = Arc::downgrade(service);
    std::thread::spawn(move || {
        std::thread::sleep(SETTLED);
        if let Some(service) = service.upgrade() {
            service.mark_stale();
        }
    });
}

fn teller(service: &Arc<Service>) -> impl Fn(notify::Result<notify::Event>) + Send + 'static {
    let service = Arc::downgrade(service);
    move |event| {
        let Some(service) = service.upgrade() else {
            return;
        };
        match event {
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
            Ok(event) if event.flag() != Some(Flag::Rescan) && !event.paths.is_empty() => {
                for path in &event.paths {
                    service.mark_changed(path);
                }
                if matches!(
                    event.kind,
                    EventKind::Create(CreateKind::Folder | CreateKind::Any)
                ) {
                    look_again(&service);
                }
            }
            // The queue overflowed, or something is amiss: look at everything.
            _ => service.mark_stale(),
        }
    }
}
