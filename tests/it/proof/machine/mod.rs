//! Two clones of one vault, two accounts, git between the clones, and an onlooker who
//! knows who had seen what (sync.md sections 1.12, 3.1 and 3.2 point 4).
//!
//! The clones are real directories with real git; the accounts are the strict model. A
//! history is a list of steps; targets are taken modulo what there is, so that every
//! list is a history, and one that fails can lose steps and fail still.
//!
//! `step` is what can happen, `people` and `clones` do it, `syncs` runs a sync through
//! `actor`, `expected`, `moves`, `onlooker` and `rest` hold the checks, `play` is the whole.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom::model::{
    Change, Conflict, Field, Lifecycle, Record, RemoteName, RemoteSecret, RemoteView, SecretName,
    SecretState, SecretValue, Sight, StagingLabel, VersionId, VersionMeta,
};
use strongroom::plan::{Choice, Limits};
use strongroom::store::{
    FaultPlan, ListLag, MemoryStore, Progress, Retrieved, SecretStore, Silent, StoreError,
};
use strongroom::sync::{Report, SyncError, sync};

use super::world::{
    Cloud, Edits as _, Site, git, id, label, name, put, remote, run, text, try_git,
};

/// A check that did not hold: its name, then what was found.
macro_rules! check {
    ($holds:expr, $name:literal, $($why:tt)*) => {
        assert!($holds, "{}: {}", $name, format_args!($($why)*))
    };
}

pub(crate) mod actor;
mod clones;
mod expected;
mod moves;
mod onlooker;
mod people;
pub(crate) mod play;
mod rest;
pub(crate) mod step;
mod syncs;

use actor::{Stage, no_current};
use people::{blue, console};

pub(crate) use play::play;
pub(crate) use step::{Act, Step, Take, Trouble, draw};

const SECRETS: [&str; 3] = ["a", "dir/b", "c"];
const REMOTES: [&str; 2] = ["one", "two"];

/// What was seen while histories ran.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: BTreeMap<String, usize>,
    pub(crate) faults: BTreeMap<String, usize>,
    pub(crate) moves: usize,
    pub(crate) twins: usize,
    pub(crate) conflicts: usize,
    pub(crate) git_conflicts: usize,
}

type Records = BTreeMap<SecretName, Record>;
type Key = (SecretName, VersionId);

/// A history under way, and what an omniscient onlooker notes of it.
pub(crate) struct Machine {
    cloud: Cloud,
    sites: [Site; 2],
    made: u32,
    /// What every id was made with.
    values: BTreeMap<VersionId, String>,
    /// The versions that each was made on top of.
    parents: BTreeMap<VersionId, BTreeSet<VersionId>>,
    /// What each clone has had as AWSCURRENT, or had a person decide about.
    seen: [BTreeSet<Key>; 2],
    /// What those who made a version AWSCURRENT in a clone had seen.
    authored: BTreeMap<Key, BTreeSet<VersionId>>,
    /// The moves of AWSCURRENT that people made in an account: from where, and to where.
    went_back: BTreeSet<(SecretName, VersionId, VersionId)>,
    /// What was AWSCURRENT on a remote at some time.
    published: BTreeSet<Key>,
    /// What a person let go of: by a merge that took the other side, or a revert.
    let_go: BTreeSet<Key>,
    /// How versions were recorded.
    metas: BTreeMap<Key, VersionMeta>,
    /// Secrets that a remote rotates.
    rotating: BTreeSet<SecretName>,
    /// How many moves of AWSCURRENT of each remote have been looked at.
    looked: [usize; 2],
    pub(crate) tally: Tally,
}

/// Whether there is a base to delete by, or a person who has decided.
fn met(base: &strongroom::model::RemoteBase) -> bool {
    base.pair.is_some() || !base.seen.is_empty() || !base.intents.is_empty()
}

fn of_name(record: &SecretName, secret: &SecretName) -> bool {
    record == secret || record.as_str().starts_with(&format!("{secret}@"))
}

impl Machine {
    pub(crate) fn new() -> Self {
        let cloud = Cloud::with(&REMOTES);
        // Its listing is never empty, so that no guard stops a history.
        for (n, store) in cloud.stores.values().enumerate() {
            let n = u32::try_from(n).unwrap() + 1;
            put(
                store,
                &cloud.clock,
                &format!("anchor{n}"),
                n,
                &text("anchor"),
                &[],
            );
        }
        let mut first = Site::with_git(&cloud);
        first.limits = Limits {
            count: 1000,
            percent: 100,
            folders: false,
        };
        let second = first.clone_with_git();
        let anchor = || "anchor".to_owned();
        let mut machine = Self {
            cloud,
            sites: [first, second],
            made: 2,
            values: BTreeMap::from([(id(1), anchor()), (id(2), anchor())]),
            parents: BTreeMap::new(),
            seen: Default::default(),
            authored: BTreeMap::new(),
            went_back: BTreeSet::new(),
            published: BTreeSet::new(),
            let_go: BTreeSet::new(),
            metas: BTreeMap::new(),
            rotating: BTreeSet::new(),
            looked: [0; 2],
            tally: Tally::default(),
        };
        machine.console_moved();
        machine
    }

    fn store(&self, r: usize) -> &MemoryStore {
        self.cloud.account(REMOTES[r])
    }

    fn next(&mut self) -> (u32, String) {
        self.made += 1;
        let value = format!("value {}", self.made);
        self.values.insert(id(self.made), value.clone());
        (self.made, value)
    }

    pub(crate) fn happen(&mut self, step: Step) {
        let word = format!("{step:?}");
        let word = word.split('(').next().unwrap_or_default().to_owned();
        *self.tally.steps.entry(word).or_default() += 1;
        let before = [self.sites[0].records(), self.sites[1].records()];
        match step {
            Step::Local(c, s, act) => self.local(c, s, act),
            Step::Forget(c, s) => {
                let state = before[c].get(&name(SECRETS[s])).map(|r| &r.state);
                if state.is_some_and(|s| s.lifecycle != Lifecycle::Tombstone) {
                    self.sites[c].change(SECRETS[s], &Change::Tombstone);
                }
            }
            Step::Remote(r, s, act) => self.console(r, s, act),
            Step::Purge(r, s) => {
                self.rotating.remove(&name(SECRETS[s]));
                self.store(r).as_console_purge(&name(SECRETS[s]));
            }
            Step::Recreate(r, s) => {
                self.store(r).as_console_purge(&name(SECRETS[s]));
                self.console(r, s, Act::Put);
            }
            Step::Rotate(r, s) => self.rotate(r, s),
            Step::Sync(c, trouble) => drop(self.sync(c, trouble)),
            Step::Twins(c) => self.twins(c),
            Step::Again(c) => {
                let first = self.sync(c, Trouble::None);
                let second = self.sync(c, Trouble::None);
                if let (Some(first), Some(second)) = (first, second)
                    && first.is_complete()
                {
                    let quiet = second.outcomes.is_empty() && second.written == 0;
                    check!(quiet, "I2", "a second sync has something to do: {second:?}");
                }
            }
            Step::Merge(c, take) => self.merge(c, take),
            Step::Revert(c) => self.revert(c),
            Step::Resolve(c, s, ours) => self.resolve(c, &name(SECRETS[s]), ours),
            Step::Collect(r) => self.store(r).as_aws_collect(),
            Step::Lag(r, on) => {
                let seed = u64::from(self.made);
                let lag = if on {
                    ListLag::Each(seed)
                } else {
                    ListLag::None
                };
                self.store(r).set_lag(lag);
            }
            Step::Tick(seconds) => {
                self.cloud.clock.pass(i64::from(seconds));
                for store in self.cloud.stores.values() {
                    store.set_now(self.cloud.clock.now());
                    store.keep_listing();
                }
            }
        }
        self.console_moved();
        let by_git = matches!(step, Step::Merge(..) | Step::Revert(_));
        self.observe(&before, by_git);
    }

    /// Where the first clone lies.
    pub(crate) fn root(&self) -> &Path {
        self.sites[0].root()
    }
}
