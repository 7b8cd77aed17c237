//! Keeps a vault and its remotes in step while nobody looks (sync.md section 5).
//!
//! Events are hints; the truth is a scan. What is done unattended is what cannot be
//! regretted: pulls and fast-forward pushes. Nothing is deleted on any side, no conflict
//! is decided, no remote is met for the first time, and a guard stops everything.
//! `timing` and `permit` decide, purely; `run` is the loop around them. The clocks and
//! the connections come from a [`Host`].

mod event;
mod permit;
mod run;
mod status;
mod timing;

use std::future::Future;
use std::time::Duration;

pub use event::{Event, Pause};
pub use permit::{Held, Permitted, Pushed, permit};
pub use run::run;
pub use status::{RemoteStatus, Status};
pub use timing::{Debounce, Found, Pace, SPACING, has_slept, may_push_at};

use crate::config::RemoteConfig;
use crate::model::Timestamp;
use crate::store::{SecretStore, StoreError};

/// A moment, by three clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Since the machine started, suspended time included (CLOCK_BOOTTIME).
    pub boot: Duration,
    /// Since the machine started, suspended time excluded (CLOCK_MONOTONIC).
    pub awake: Duration,
    /// What the calendar says.
    pub wall: Timestamp,
}

/// What a watch has of the world around it.
pub trait Host {
    /// How a remote is reached.
    type Store: SecretStore;

    /// Now.
    fn moment(&self) -> Moment;

    /// A throw of the dice: any number as likely as any other.
    fn dice(&self) -> u16;

    /// Whether somebody else holds the vault's keys and has locked it.
    fn is_locked(&self) -> bool;

    /// Connects to a remote.
    fn connect(
        &self,
        remote: &RemoteConfig,
    ) -> impl Future<Output = Result<Self::Store, StoreError>>;

    /// Hears what happens, as it happens.
    fn say(&self, event: &Event);
}

/// How a watch goes about it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The remotes to watch; all of the settings if there are none here.
    pub remotes: Vec<crate::model::RemoteName>,
    /// How often a remote is asked where something goes on.
    pub every: Duration,
    /// Whether to leave changes to git uncommitted.
    pub no_git: bool,
    /// Why files are looked at every so often, if the system does not tell of changes.
    pub polled: Option<String>,
}

/// How often a remote is asked, unless somebody says otherwise.
pub const EVERY: Duration = Duration::from_secs(60);
