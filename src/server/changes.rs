//! Notices changes of the vault's files by other processes.

use std::sync::Arc;
use std::time::Duration;

use super::Service;
use crate::vault::{Heard, Watching, WatchingError};

/// How often files are looked at where the system does not tell of changes.
const POLL: Duration = Duration::from_secs(2);

/// A watch over a vault's directory; it ends when this is dropped.
pub struct Changes(Watching);

impl Changes {
    /// Tells the service of every change from now on. Where the system's own events
    /// cannot be had (too many watches, network file systems) the files are looked at
    /// every two seconds.
    pub fn watch(service: &Arc<Service>) -> Result<Self, WatchingError> {
        let weak = Arc::downgrade(service);
        let tell = move |heard: Heard<'_>| {
            let Some(service) = weak.upgrade() else {
                return;
            };
            match heard {
                Heard::Path(path) => service.mark_changed(path),
                Heard::Anything => service.mark_stale(),
            }
        };
        let watching = Watching::start(service.vault(), POLL, tell)?;
        service.mark_stale();
        Ok(Self(watching))
    }

    /// Whether the system tells of changes; else they are looked for every two seconds.
    pub fn is_live(&self) -> bool {
        self.0.polled().is_none()
    }
}
