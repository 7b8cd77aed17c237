//! Two clones of one vault, two accounts, git between the clones, and an onlooker who
//! knows who had seen what (sync.md sections 1.12, 3.1 and 3.2 point 4).
//!
//! The clones are real directories with real git; the accounts are the strict model. A
//! history is a list of steps; targets are taken modulo what there is, so that every
//! list is a history, and one that fails can lose steps and fail still.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use strongroom::model::{
    Change, Conflict, Field, Lifecycle, Record, RemoteName, RemoteSecret, RemoteView, SecretName,
    SecretState, SecretValue, StagingLabel, VersionId, VersionMeta,
};
use strongroom::plan::{Choice, Limits};
use strongroom::store::{
    FaultKind, FaultPlan, ListLag, MemoryStore, Progress, Retrieved, SecretStore, Silent,
    StoreError,
};
use strongroom::sync::{Report, SyncError, sync};

use super::world::{
    Cloud, Edits as _, Site, git, id, label, name, put, remote, run, text, try_git,
};

const SECRETS: [&str; 3] = ["a", "dir/b", "c"];
const REMOTES: [&str; 2] = ["one", "two"];

/// What somebody does to one secret, on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Put,
    PutBlue,
    Current(u8),
    Blue(u8),
    Unblue,
    Tag(u8),
    Delete,
    Restore,
}

/// What goes wrong during one sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// A call with this number, on one remote, meets a fault.
    Fault(usize, u8, FaultKind),
    /// The process dies at this call, before it or after its effect.
    Crash(u8, bool),
    /// Somebody in an account acts right before this call.
    Meddle(u8, usize, usize, Act),
    /// No deletion is allowed.
    Guarded,
}

/// How somebody decides what git cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// The file of this clone, whole.
    Ours,
    /// The file of the other clone, whole.
    Theirs,
    /// Neither: strongroom merges them.
    Mixed,
}

/// One step of a history: clones and remotes are 0 and 1, secrets 0 to 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Local(usize, usize, Act),
    Forget(usize, usize),
    Remote(usize, usize, Act),
    Purge(usize, usize),
    Recreate(usize, usize),
    Rotate(usize, usize),
    Sync(usize, Trouble),
    Twins(usize),
    /// Two syncs in a row.
    Again(usize),
    Merge(usize, Take),
    Revert(usize),
    Resolve(usize, usize, bool),
    Collect(usize),
    Lag(usize, bool),
    Tick(u16),
}

/// SplitMix64: the same numbers for the same seed on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    fn byte(&mut self, limit: usize) -> u8 {
        u8::try_from(self.below(limit)).unwrap()
    }
}

/// Draws a history.
pub(crate) fn draw(seed: u64) -> Vec<Step> {
    let mut d = Dice(seed);
    let rotations = d.below(5) == 0;
    let length = 8 + d.below(30);
    (0..length).map(|_| step(&mut d, rotations)).collect()
}

fn act(d: &mut Dice) -> Act {
    match d.below(15) {
        0..=4 => Act::Put,
        5 => Act::PutBlue,
        6 | 7 => Act::Current(d.byte(8)),
        8 => Act::Blue(d.byte(8)),
        9 => Act::Unblue,
        10 | 11 => Act::Tag(d.byte(3)),
        12 => Act::Delete,
        _ => Act::Restore,
    }
}

fn trouble(d: &mut Dice) -> Trouble {
    match d.below(12) {
        0..=4 => Trouble::None,
        5 | 6 => {
            let kind = FaultKind::ALL[d.below(FaultKind::ALL.len())];
            Trouble::Fault(d.below(2), d.byte(24), kind)
        }
        7 | 8 => Trouble::Crash(d.byte(24), d.below(2) == 0),
        9 | 10 => Trouble::Meddle(d.byte(24), d.below(2), d.below(3), act(d)),
        _ => Trouble::Guarded,
    }
}

fn step(d: &mut Dice, rotations: bool) -> Step {
    let (two, three) = (d.below(2), d.below(3));
    match d.below(48) {
        0..=10 => Step::Local(two, three, act(d)),
        11..=20 => Step::Remote(two, three, act(d)),
        21..=31 => Step::Sync(two, trouble(d)),
        32..=36 => {
            let take = [Take::Ours, Take::Theirs, Take::Mixed][d.below(3)];
            Step::Merge(two, take)
        }
        37 | 38 => Step::Resolve(two, three, d.below(2) == 0),
        39 => Step::Forget(two, three),
        40 => Step::Purge(two, three),
        41 => Step::Recreate(two, three),
        42 if rotations => Step::Rotate(two, three),
        42 | 43 => Step::Twins(two),
        44 => Step::Revert(two),
        45 => Step::Collect(two),
        46 => Step::Lag(two, d.below(2) == 0),
        _ => Step::Tick(u16::try_from(d.below(900)).unwrap()),
    }
}

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

/// A store that dies, or lets somebody act, right before a call; and that looks at every
/// account before every call.
struct Actor<'a> {
    store: &'a MemoryStore,
    shared: &'a Stage<'a>,
}

struct Stage<'a> {
    cloud: &'a Cloud,
    calls: AtomicUsize,
    crash: Option<(usize, bool)>,
    meddle: Option<(usize, &'a (dyn Fn() + Sync))>,
    dead: tokio::sync::Notify,
    wrong: Mutex<Option<String>>,
}

impl Actor<'_> {
    /// Whether the process dies after this call.
    async fn enter(&self) -> bool {
        let stage = self.shared;
        let number = stage.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(wrong) = no_current(stage.cloud) {
            let mut first = stage.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert(wrong);
        }
        if let Some((at, act)) = stage.meddle
            && at == number
        {
            act();
        }
        match stage.crash {
            Some((at, false)) if at == number => {
                self.die().await;
                false
            }
            Some((at, true)) => at == number,
            _ => false,
        }
    }

    async fn die(&self) {
        self.shared.dead.notify_one();
        std::future::pending::<()>().await;
    }
}

/// A live secret somewhere with values and no AWSCURRENT (I5).
fn no_current(cloud: &Cloud) -> Option<String> {
    for (remote, store) in &cloud.stores {
        for (name, state) in &store.state().0 {
            let valued = state.versions.values().any(VersionMeta::has_value);
            if state.lifecycle.is_live() && valued && state.current().is_none() {
                return Some(format!("I5: {remote}: {name} has no AWSCURRENT"));
            }
        }
    }
    None
}

macro_rules! through {
    ($self:ident, $call:expr) => {{
        let dies = $self.enter().await;
        let answer = $call.await;
        if dies {
            $self.die().await;
        }
        answer
    }};
}

impl SecretStore for Actor<'_> {
    async fn view(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> Result<RemoteView, StoreError> {
        through!(self, self.store.view(known, progress))
    }

    async fn describe(&self, name: &SecretName) -> Result<Option<RemoteSecret>, StoreError> {
        through!(self, self.store.describe(name))
    }

    async fn policy(&self, name: &SecretName) -> Result<Option<String>, StoreError> {
        through!(self, self.store.policy(name))
    }

    async fn read(&self, name: &SecretName, id: &VersionId) -> Result<Retrieved, StoreError> {
        through!(self, self.store.read(name, id))
    }

    async fn read_current(
        &self,
        names: &[SecretName],
    ) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
        through!(self, self.store.read_current(names))
    }

    async fn apply(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        through!(self, self.store.apply(name, change, value))
    }
}

/// One sync whose process dies at a call, before it or after its effect; and how many
/// calls there were.
pub(crate) fn sync_until(
    cloud: &Cloud,
    site: &Site,
    crash: Option<(usize, bool)>,
) -> (Option<Result<Report, SyncError>>, usize) {
    let stage = Stage {
        cloud,
        calls: AtomicUsize::new(0),
        crash,
        meddle: None,
        dead: tokio::sync::Notify::new(),
        wrong: Mutex::new(None),
    };
    let report = stage.sync(site);
    assert_eq!(*stage.wrong.lock().unwrap(), None);
    (report, stage.calls.into_inner())
}

impl Stage<'_> {
    /// Nothing if the process died.
    fn sync(&self, site: &Site) -> Option<Result<Report, SyncError>> {
        let stores: BTreeMap<RemoteName, Actor<'_>> = self
            .cloud
            .stores
            .iter()
            .map(|(remote, store)| {
                let shared = self;
                (remote.clone(), Actor { store, shared })
            })
            .collect();
        let options = site.options();
        run(async {
            tokio::select! {
                biased;
                () = self.dead.notified() => None,
                report = sync(&site.vault, &stores, &options, &Silent) => Some(report),
            }
        })
    }
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

/// A check that did not hold: its name, then what was found.
macro_rules! check {
    ($holds:expr, $name:literal, $($why:tt)*) => {
        assert!($holds, "{}: {}", $name, format_args!($($why)*))
    };
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

    // --- what people do ---

    fn local(&mut self, c: usize, s: usize, act: Act) {
        let secret = name(SECRETS[s]);
        let records = self.sites[c].records();
        let state = records.get(&secret).map(|r| &r.state);
        let live = state.is_some_and(|s| s.lifecycle.is_live());
        let before = state.and_then(|s| s.current()).cloned();
        match act {
            Act::Put => {
                // `put` refuses a secret that is scheduled for deletion.
                if state.is_some_and(|s| s.lifecycle.is_scheduled()) {
                    return;
                }
                let (n, value) = self.next();
                if live {
                    self.parents
                        .entry(id(n))
                        .or_default()
                        .extend(before.clone());
                }
                self.sites[c].put(SECRETS[s], n, &value);
            }
            Act::PutBlue if live => {
                let (n, value) = self.next();
                self.parents
                    .entry(id(n))
                    .or_default()
                    .extend(before.clone());
                self.sites[c].put_value(SECRETS[s], n, &text(&value), &["blue"]);
            }
            Act::Current(to) | Act::Blue(to) if live => {
                let valued: Vec<_> = state
                    .into_iter()
                    .flat_map(|s| &s.versions)
                    .filter(|(_, v)| v.has_value())
                    .collect();
                let to = valued.get(usize::from(to) % valued.len().max(1));
                let label = label_of(act);
                let from = state.and_then(|s| s.labels.get(&label)).cloned();
                let to = to.map(|(id, _)| (*id).clone());
                if to.is_some() && from != to {
                    let change = Change::MoveLabel { label, from, to };
                    self.sites[c].change(SECRETS[s], &change);
                }
            }
            _ => alike(&self.sites[c], SECRETS[s], state, act),
        }
        // Whoever moves AWSCURRENT here knows what this clone had seen.
        if let Some(now) = self.sites[c].records().get(&secret)
            && let Some(current) = now.state.current()
            && Some(current) != before.as_ref()
        {
            self.author(c, &secret, current);
        }
    }

    /// Somebody at a clone makes a version AWSCURRENT.
    fn author(&mut self, c: usize, secret: &SecretName, version: &VersionId) {
        let known = self.seen[c].iter().filter(|(s, _)| s == secret);
        let known: BTreeSet<VersionId> = known.map(|(_, v)| v.clone()).collect();
        let of = self.authored.entry((secret.clone(), version.clone()));
        of.or_default().extend(known);
    }

    fn console(&mut self, r: usize, s: usize, act: Act) {
        let (n, value) = match act {
            Act::Put | Act::PutBlue => self.next(),
            _ => (0, String::new()),
        };
        let before = self.store(r).state();
        let before = before.get(&name(SECRETS[s])).and_then(|s| s.current());
        if act == Act::Put {
            self.parents
                .entry(id(n))
                .or_default()
                .extend(before.cloned());
        }
        console(&self.cloud, r, s, act, n, &value);
    }

    fn rotate(&mut self, r: usize, s: usize) {
        let secret = name(SECRETS[s]);
        let state = self.store(r).state();
        let Some(state) = state.get(&secret).filter(|s| s.lifecycle.is_live()) else {
            return;
        };
        if state.current().is_none() {
            return;
        }
        let pending = StagingLabel::pending();
        let under_way = state.labels.get(&pending).cloned();
        self.store(r).set_now(self.cloud.clock.tick());
        match under_way.filter(|p| Some(p) != state.current()) {
            None => {
                let (n, _) = self.next();
                drop(self.store(r).as_console_rotate(&secret, &id(n)));
                self.rotating.insert(secret);
            }
            Some(p) if state.versions.get(&p).is_some_and(VersionMeta::has_value) => {
                let from = state.current().cloned();
                self.parents
                    .entry(p.clone())
                    .or_default()
                    .extend(from.clone());
                let change = Change::MoveLabel {
                    label: StagingLabel::current(),
                    from,
                    to: Some(p),
                };
                drop(self.store(r).as_console(&secret, &change));
            }
            Some(p) => {
                let value = self.values[&p].clone();
                let labels = [pending];
                let done = self
                    .store(r)
                    .as_console_put(&secret, &p, text(&value), &labels);
                drop(done);
            }
        }
    }

    fn resolve(&mut self, c: usize, secret: &SecretName, ours: bool) {
        let Some(record) = self.sites[c].records().remove(secret) else {
            return;
        };
        if record.conflicts.is_empty() {
            return;
        }
        // Nobody decides for what is not there.
        let nothing = |c: &Conflict| c.ours.is_none() && matches!(c.field, Field::Label(_));
        let ours = ours && !record.conflicts.iter().any(nothing);
        let choice = if ours { Choice::Ours } else { Choice::Theirs };
        // As with the command: what changed since the conflict was found is found anew
        // first.
        let mut copy = record.clone();
        for conflict in &record.conflicts {
            if strongroom::plan::resolve(&mut copy, conflict, &choice).is_err() {
                return;
            }
        }
        let current = StagingLabel::current();
        let about = |c: &&Conflict| c.field == Field::Label(current.clone());
        for conflict in record.conflicts.iter().filter(about) {
            for version in [&conflict.theirs, &conflict.ours].into_iter().flatten() {
                let version: VersionId = version.parse().unwrap();
                self.seen[c].insert((secret.clone(), version.clone()));
                // What loses was looked at: a person decided.
                self.published.insert((secret.clone(), version));
            }
        }
        self.sites[c].resolve(secret.as_str(), &choice);
        if let Some(now) = self.sites[c].state(secret.as_str()).current() {
            self.author(c, secret, now);
        }
    }

    // --- git ---

    /// The other clone's history comes into this one, as by `git pull`.
    fn merge(&mut self, c: usize, take: Take) {
        let (here, there) = (self.sites[c].root(), self.sites[1 - c].root());
        git(here, &["fetch", "-q", there.to_str().unwrap(), "HEAD"]);
        let args = ["merge", "--no-commit", "--no-ff", "-q", "FETCH_HEAD"];
        let clean = try_git(here, &args).status.success();
        if !here.join(".git/MERGE_HEAD").exists() {
            assert!(clean, "git merge did nothing, and not for being up to date");
            return;
        }
        let unmerged = git(here, &["diff", "--name-only", "--diff-filter=U"]);
        let unmerged: Vec<&str> = unmerged.lines().collect();
        self.tally.git_conflicts += unmerged.len();
        for path in &unmerged {
            let (side, other) = match take {
                Take::Mixed => continue,
                Take::Ours => ("--ours", "--theirs"),
                Take::Theirs => ("--theirs", "--ours"),
            };
            // Deleted on the one side: then it is that of the other.
            if !try_git(here, &["checkout", side, "--", path])
                .status
                .success()
            {
                git(here, &["checkout", other, "--", path]);
            }
            git(here, &["add", "--", path]);
        }
        // Also where a side was taken whole: git drops value files that it still lists.
        let site = &self.sites[c];
        let report = site.vault.merge_git(site.options().now, None).unwrap();
        assert!(report.is_whole(), "{report:?}");
        git(here, &["commit", "-q", "--no-edit", "-m", "merge"]);
        self.sites[c].reopen();
        // Whoever reverts, or takes a side, means it.
        self.sites[c].vault.accept_gone_back().unwrap();
    }

    fn revert(&mut self, c: usize) {
        let here = self.sites[c].root();
        let parents = git(here, &["rev-list", "--parents", "-n", "1", "HEAD"]);
        let count = git(here, &["rev-list", "--count", "HEAD"]);
        // Not a merge, and not the vault's first commit.
        if parents.split_whitespace().count() != 2 || count.trim().parse::<usize>().unwrap() < 3 {
            return;
        }
        if !try_git(here, &["revert", "--no-edit", "HEAD"])
            .status
            .success()
        {
            git(here, &["revert", "--abort"]);
        }
        self.sites[c].reopen();
        // Whoever reverts, or takes a side, means it.
        self.sites[c].vault.accept_gone_back().unwrap();
    }

    // --- the sync, and all that no sync may do ---

    fn sync(&mut self, c: usize, trouble: Trouble) -> Option<Report> {
        let before = self.sites[c].records();
        let shown: Vec<_> = (0..2).map(|r| self.store(r).state()).collect();
        if let Trouble::Fault(r, at, kind) = trouble {
            let plan = FaultPlan::new().at(usize::from(at), kind).landing_after(4);
            self.store(r).set_faults(plan);
        }
        let (n, value) = match trouble {
            Trouble::Meddle(_, _, _, Act::Put | Act::PutBlue) => self.next(),
            _ => (0, String::new()),
        };
        let kept = self.sites[c].limits;
        if trouble == Trouble::Guarded {
            self.sites[c].limits = Limits {
                count: 0,
                percent: 0,
                folders: false,
            };
        }
        // The moves that somebody else makes in the middle of it.
        let meddled: Mutex<Option<(usize, usize, Option<VersionId>)>> = Mutex::new(None);
        let act = || {
            if let Trouble::Meddle(_, r, s, act) = trouble {
                let store = self.cloud.account(REMOTES[r]);
                let from = store.current_moves().len();
                let was = store.state();
                let was = was
                    .get(&name(SECRETS[s]))
                    .and_then(|s| s.current())
                    .cloned();
                console(&self.cloud, r, s, act, n, &value);
                *meddled.lock().unwrap() = Some((from, store.current_moves().len(), was));
            }
        };
        let stage = Stage {
            cloud: &self.cloud,
            calls: AtomicUsize::new(0),
            crash: match trouble {
                Trouble::Crash(at, after) => Some((usize::from(at), after)),
                _ => None,
            },
            meddle: match trouble {
                Trouble::Meddle(at, ..) => Some((usize::from(at), &act)),
                _ => None,
            },
            dead: tokio::sync::Notify::new(),
            wrong: Mutex::new(None),
        };
        let report = stage.sync(&self.sites[c]);
        let wrong = stage.wrong.lock().unwrap().take();
        if let Some(wrong) = wrong {
            panic!("{wrong}");
        }
        if let Some(wrong) = no_current(&self.cloud) {
            panic!("{wrong}");
        }
        self.sites[c].limits = kept;
        self.sites[c].reopen();
        if let Trouble::Fault(r, ..) = trouble {
            for hit in self.store(r).hits() {
                let what = format!("{:?} of {:?}", hit.kind, hit.call);
                *self.tally.faults.entry(what).or_default() += 1;
            }
            self.store(r).set_faults(FaultPlan::new());
        }
        match trouble {
            Trouble::Crash(..) if report.is_none() => {
                *self.tally.faults.entry("Crash".to_owned()).or_default() += 1;
            }
            Trouble::Meddle(..) if meddled.lock().unwrap().is_some() => {
                *self.tally.faults.entry("Meddle".to_owned()).or_default() += 1;
            }
            _ => {}
        }
        let theirs = match (trouble, meddled.into_inner().unwrap()) {
            (Trouble::Meddle(_, r, s, act), Some((from, to, was))) => {
                if act == Act::Put {
                    self.parents.entry(id(n)).or_default().extend(was);
                }
                Some((r, from..to, s))
            }
            _ => None,
        };
        self.our_moves(
            c,
            theirs
                .as_ref()
                .map(|(r, range, _)| (*r, range.clone()))
                .as_ref(),
            &before,
        );
        let meddled_with = theirs.map(|(_, _, s)| name(SECRETS[s]));
        self.after_sync(c, &before, &shown, meddled_with.as_ref(), trouble);
        match report {
            Some(Ok(report)) => {
                self.tally.conflicts += report.conflicts.len();
                Some(report)
            }
            _ => None,
        }
    }

    /// Every move of AWSCURRENT that a sync made: what it left is safe (K1), and whoever
    /// made what it went to knew it (I15).
    fn our_moves(
        &mut self,
        c: usize,
        theirs: Option<&(usize, std::ops::Range<usize>)>,
        before: &Records,
    ) {
        let after = self.sites[c].records();
        for r in 0..2 {
            let moves = self.store(r).current_moves();
            for (n, (secret, from, to)) in moves.iter().enumerate().skip(self.looked[r]) {
                if let Some(to) = to {
                    self.published.insert((secret.clone(), to.clone()));
                }
                let by_others = theirs.is_some_and(|(of, range)| *of == r && range.contains(&n));
                let (Some(from), Some(to)) = (from, to) else {
                    continue;
                };
                if by_others {
                    continue;
                }
                self.tally.moves += 1;
                let kept = (0..2).any(|c| self.can_read(c, secret, from));
                check!(
                    kept,
                    "K1",
                    "{secret}: {}'s AWSCURRENT left {from} unread",
                    REMOTES[r]
                );
                let known = self.knew(c, secret, from, to);
                check!(
                    known,
                    "I15",
                    "{secret}: on {} {to} went over {from}, which its author had not seen",
                    REMOTES[r]
                );
                let current = |records: &Records| {
                    records.get(secret).and_then(|r| r.state.current()) == Some(to)
                };
                let created = moves[self.looked[r]..n]
                    .iter()
                    .rev()
                    .find(|(s, ..)| s == secret);
                let of_creation = created.is_some_and(|(_, from, _)| from.is_none());
                check!(
                    current(before) || current(&after) || of_creation || theirs.is_some(),
                    "P2",
                    "{secret}: {to} went live on {}, and was AWSCURRENT in no vault",
                    REMOTES[r]
                );
            }
            self.looked[r] = moves.len();
        }
    }

    /// A version and all that it was made on top of.
    fn ancestry(&self, of: &VersionId) -> BTreeSet<VersionId> {
        let mut all = BTreeSet::from([of.clone()]);
        let mut next = vec![of.clone()];
        while let Some(version) = next.pop() {
            for parent in self.parents.get(&version).into_iter().flatten() {
                if all.insert(parent.clone()) {
                    next.push(parent.clone());
                }
            }
        }
        all
    }

    /// Whether whoever made `to` AWSCURRENT, or what it is built on, had seen `from`.
    fn knew(&self, c: usize, secret: &SecretName, from: &VersionId, to: &VersionId) -> bool {
        let all = self.ancestry(to);
        let by_author = |v: &VersionId| {
            let known = self.authored.get(&(secret.clone(), v.clone()));
            known.is_some_and(|known| known.contains(from))
        };
        // What came from an account goes where the vault had what is there.
        let from_there = !self.authored.contains_key(&(secret.clone(), to.clone()));
        all.contains(from)
            || all.iter().any(by_author)
            || (from_there && self.seen[c].contains(&(secret.clone(), from.clone())))
    }

    fn can_read(&self, c: usize, secret: &SecretName, version: &VersionId) -> bool {
        let records = self.sites[c].records();
        let mut of = records.iter().filter(|(n, _)| of_name(n, secret));
        of.any(|(_, record)| self.reads(c, record, version))
            || self
                .metas
                .get(&(secret.clone(), version.clone()))
                .is_some_and(|meta| {
                    // Its metadata was let go of; the file is what counts.
                    let mut record = Record::new(secret.clone());
                    record.state.versions.insert(version.clone(), meta.clone());
                    self.reads(c, &record, version)
                })
    }

    fn reads(&self, c: usize, record: &Record, version: &VersionId) -> bool {
        let read = self.sites[c].vault.read(record, version);
        read.is_ok_and(|v| v.expose_secret() == self.values[version].as_bytes())
    }

    fn after_sync(
        &mut self,
        c: usize,
        before: &Records,
        shown: &[strongroom::model::Snapshot],
        meddled: Option<&SecretName>,
        trouble: Trouble,
    ) {
        let after = self.sites[c].records();
        for (secret, was) in before.iter().filter(|(n, _)| Some(*n) != meddled) {
            let Some(now) = after.get(secret) else {
                continue;
            };
            // Absent from a list is not gone (sync.md section 1.10).
            let died = was.state.lifecycle.is_live() && !now.state.lifecycle.is_live();
            if died {
                let gone = shown
                    .iter()
                    .any(|remote| remote.get(secret).is_none_or(|s| !s.lifecycle.is_live()));
                check!(
                    gone,
                    "absent",
                    "{secret}: deleted here, and live on every remote"
                );
                let agreed = was.base.values().any(met);
                check!(
                    agreed,
                    "I11",
                    "{secret}: deleted here, and never met before"
                );
                check!(
                    trouble != Trouble::Guarded,
                    "I12",
                    "{secret}: deleted here under a guard"
                );
            }
            // The mirror of I15: an edit made here goes under nothing that did not know it.
            if let (Some(x), Some(y)) = (was.state.current(), now.state.current())
                && x != y
                && now.state.lifecycle.is_live()
                && was.state.lifecycle.is_live()
            {
                let same_one = now.state.versions.contains_key(x);
                let known = self.published.contains(&(secret.clone(), x.clone()))
                    || self.ancestry(y).contains(x)
                    || now
                        .state
                        .labels
                        .iter()
                        .any(|(l, v)| v == x && l.as_str().starts_with("sr/lost"));
                check!(
                    known || !same_one,
                    "I15 here",
                    "{secret}: {y} went over the edit {x}"
                );
            }
        }
        for (r, was) in shown.iter().enumerate() {
            let now = self.store(r).state();
            for (secret, was) in was.0.iter().filter(|(n, _)| Some(*n) != meddled) {
                let died = was.lifecycle.is_live()
                    && now.get(secret).is_none_or(|s| !s.lifecycle.is_live());
                if died {
                    let base = before
                        .get(secret)
                        .and_then(|b| b.base.get(&remote(REMOTES[r])));
                    let agreed = base.is_some_and(met);
                    check!(
                        agreed,
                        "I11",
                        "{secret}: deleted on {}, never met",
                        REMOTES[r]
                    );
                    check!(
                        trouble != Trouble::Guarded,
                        "I12",
                        "{secret}: deleted under a guard"
                    );
                }
            }
        }
    }

    /// Two copies of a clone, by different clocks, make the same of the same remotes (K5).
    fn twins(&mut self, c: usize) {
        let mut files = Vec::new();
        for late in [0, 1000] {
            let cloud = self.cloud.fork();
            let site = self.sites[c].fork(&cloud);
            cloud.clock.pass(late);
            if site.try_sync(&cloud.stores).is_err() {
                return;
            }
            let texts = site.files().into_iter().filter_map(|(path, (bytes, _))| {
                let path = path.strip_prefix(site.root()).ok()?.to_owned();
                let is_meta = path.starts_with("secrets") && path.extension()? == "toml";
                is_meta.then_some((path, bytes))
            });
            files.push(texts.collect::<BTreeMap<_, _>>());
        }
        self.tally.twins += 1;
        for (path, bytes) in &files[0] {
            check!(
                files[1].get(path) == Some(bytes),
                "I14",
                "{}: two clones write it differently:\n{}",
                path.display(),
                String::from_utf8_lossy(bytes)
            );
        }
        check!(
            files[0].len() == files[1].len(),
            "I14",
            "two clones write different files"
        );
    }

    /// Moves that somebody in an account made are nobody's to check.
    fn console_moved(&mut self) {
        for r in 0..2 {
            let moves = self.store(r).current_moves();
            for (secret, _, to) in moves.iter().skip(self.looked[r]) {
                if let Some(to) = to {
                    self.published.insert((secret.clone(), to.clone()));
                }
            }
            self.looked[r] = moves.len();
        }
    }

    /// What holds after every step.
    fn observe(&mut self, before: &[Records; 2], by_git: bool) {
        for (c, before) in before.iter().enumerate() {
            let records = self.sites[c].records();
            for (secret, record) in &records {
                let state = &record.state;
                if let Some(current) = state.current() {
                    self.seen[c].insert((secret.clone(), current.clone()));
                }
                for (version, meta) in &state.versions {
                    if meta.has_value() {
                        let key = (secret.clone(), version.clone());
                        self.metas.insert(key, meta.clone());
                    }
                }
                for (label, version) in &state.labels {
                    let there = state.versions.get(version);
                    let is_there = there
                        .is_some_and(|v| v.has_value() || label.as_str().ends_with("AWSPENDING"));
                    check!(
                        is_there,
                        "I4",
                        "{secret}: {label} is on {version}, which has no value"
                    );
                }
                let valued = state.versions.values().any(VersionMeta::has_value);
                let holds = !state.lifecycle.is_live() || !valued || state.current().is_some();
                check!(
                    holds,
                    "I5",
                    "{secret}: no AWSCURRENT in the vault: {record:?}"
                );
            }
            for (secret, was) in before {
                for (version, meta) in &was.state.versions {
                    if !meta.has_value() {
                        continue;
                    }
                    let mut of = records.iter().filter(|(n, _)| of_name(n, secret));
                    let kept = of.any(|(_, r)| {
                        r.state
                            .versions
                            .get(version)
                            .is_some_and(VersionMeta::has_value)
                    });
                    let key = (secret.clone(), version.clone());
                    if !kept && by_git {
                        self.let_go.insert(key);
                    } else {
                        check!(
                            kept || self.let_go.contains(&key),
                            "I3",
                            "{secret}: {version} is lost"
                        );
                    }
                }
            }
        }
        // What neither clone's merge took: its metadata is in git's history only.
        if by_git {
            for key in self.metas.keys() {
                let has = |c: usize| {
                    let records = self.sites[c].records();
                    records
                        .iter()
                        .any(|(n, r)| of_name(n, &key.0) && r.state.versions.contains_key(&key.1))
                };
                if !has(0) || !has(1) {
                    self.let_go.insert(key.clone());
                }
            }
        }
    }

    /// Everything that was ever recorded can be read: in the vault, or, where a person
    /// let go of it, in git's history.
    fn nothing_is_lost(&self) {
        let mut named: BTreeMap<VersionId, bool> = BTreeMap::new();
        for c in 0..2 {
            let all = git(
                self.sites[c].root(),
                &["log", "--all", "--format=", "--name-only"],
            );
            for (_, version) in self.metas.keys() {
                let found = all.contains(version.as_str());
                *named.entry(version.clone()).or_default() |= found;
            }
        }
        for (secret, version) in self.metas.keys() {
            let here = self.can_read(0, secret, version) || self.can_read(1, secret, version);
            let let_go = self.let_go.contains(&(secret.clone(), version.clone()));
            check!(
                here || (let_go && named[version]),
                "I3",
                "{secret}: {version} cannot be read anywhere"
            );
        }
        for c in 0..2 {
            for (_, record) in self.sites[c].records() {
                for (version, meta) in &record.state.versions {
                    let reads = !meta.has_value() || self.reads(c, &record, version);
                    check!(reads, "I3", "{}: {version} cannot be read", record.name);
                }
            }
        }
    }

    /// Nobody does anything any more: every clone syncs, decides and merges until there
    /// is nothing left (I1, I2, I6).
    pub(crate) fn settle(&mut self) {
        for store in self.cloud.stores.values() {
            store.set_lag(ListLag::None);
            store.land_delayed();
        }
        self.happen(Step::Tick(900));
        let mut quiet = 0;
        for round in 0..24 {
            let c = round % 2;
            let still = self.come_to_rest(c);
            let head = |m: &Self| {
                m.sites
                    .each_ref()
                    .map(|s| git(s.root(), &["rev-parse", "HEAD^{tree}"]))
            };
            let before = head(self);
            self.happen(Step::Merge(1 - c, Take::Theirs));
            quiet = if still && head(self) == before {
                quiet + 1
            } else {
                0
            };
            if quiet >= 3 {
                break;
            }
        }
        check!(quiet >= 3, "I6", "it does not come to rest");
        self.in_step();
        self.nothing_is_lost();
    }

    /// Syncs and decides until there is nothing to do; says if there was nothing at all.
    fn come_to_rest(&mut self, c: usize) -> bool {
        for round in 0..10 {
            let before = self.sites[c].records();
            self.happen(Step::Sync(c, Trouble::None));
            let open: Vec<SecretName> = self.sites[c]
                .records()
                .into_iter()
                .filter(|(_, r)| !r.conflicts.is_empty())
                .map(|(n, _)| n)
                .collect();
            if open.is_empty() && self.sites[c].records() == before {
                return round == 0;
            }
            for secret in open {
                let records = [self.sites[0].records(), self.sites[1].records()];
                let ours = !self.rotating.contains(&secret);
                self.resolve(c, &secret, ours);
                self.observe(&records, false);
            }
        }
        let open: Vec<_> = self.sites[c]
            .records()
            .into_values()
            .filter(|r| !r.conflicts.is_empty())
            .collect();
        panic!("I1: a clone does not come to rest: {open:?}");
    }

    /// Clones are equal, and equal to the remotes; another sync does nothing.
    fn in_step(&mut self) {
        let logical = |site: &Site| {
            let records = site.records().into_iter();
            records
                .map(|(n, r)| {
                    (
                        n,
                        (
                            r.state.lifecycle.as_str(),
                            r.state.attributes,
                            r.state.labels,
                        ),
                    )
                })
                .collect::<BTreeMap<_, _>>()
        };
        let (one, other) = (logical(&self.sites[0]), logical(&self.sites[1]));
        for (secret, state) in &one {
            check!(
                Some(state) == other.get(secret),
                "I6",
                "{secret}: {state:?} and {:?}",
                other.get(secret)
            );
        }
        check!(one.len() == other.len(), "I6", "one clone has more secrets");
        for c in 0..2 {
            let (files, there) = (self.sites[c].files(), self.cloud.dump());
            let report = self.sites[c].try_sync(&self.cloud.stores).unwrap();
            let quiet = report.outcomes.is_empty() && report.written == 0 && report.there == 0;
            check!(
                quiet,
                "I2",
                "a sync after the last has something to do: {report:?}"
            );
            let same = self.sites[c].files().keys().eq(files.keys());
            check!(
                same && self.cloud.dump() == there,
                "I2",
                "a sync after the last changed something"
            );
        }
        let records = self.sites[0].records();
        for (r, remote) in REMOTES.iter().enumerate() {
            for (secret, there) in &self.store(r).state().0 {
                if self.rotating.contains(secret) {
                    continue;
                }
                let Some(here) = records.get(secret).map(|r| &r.state) else {
                    // Deleted over there before it was ever seen.
                    check!(there.lifecycle.is_scheduled(), "I1", "{secret} is not here");
                    continue;
                };
                let live = (here.lifecycle.is_live(), there.lifecycle.is_live());
                check!(
                    live.0 == live.1,
                    "I1",
                    "{secret}: live here and on {}: {live:?}",
                    remote
                );
                if live.1 {
                    for l in [StagingLabel::current(), blue()] {
                        let (h, t) = (here.labels.get(&l), there.labels.get(&l));
                        check!(
                            h == t,
                            "I1",
                            "{secret}: {l} is on {h:?}, on {} on {t:?}",
                            remote
                        );
                    }
                    check!(
                        here.attributes == there.attributes,
                        "I1",
                        "{secret}: texts differ"
                    );
                }
            }
        }
    }

    /// Where the first clone lies.
    pub(crate) fn root(&self) -> &Path {
        self.sites[0].root()
    }
}

fn blue() -> StagingLabel {
    label("blue")
}

fn label_of(act: Act) -> StagingLabel {
    match act {
        Act::Blue(_) => blue(),
        _ => StagingLabel::current(),
    }
}

/// Somebody in an account acts; what AWS refuses has no effect.
fn console(cloud: &Cloud, r: usize, s: usize, act: Act, n: u32, value: &str) {
    let store = cloud.account(REMOTES[r]);
    let secret = name(SECRETS[s]);
    let account = store.state();
    let state = account.get(&secret);
    let live = state.is_some_and(|s| s.lifecycle.is_live());
    store.set_now(cloud.clock.tick());
    match act {
        Act::Put if live || state.is_none() => {
            drop(store.as_console_put(&secret, &id(n), text(value), &[]));
        }
        Act::PutBlue if live && state.is_some_and(|s| s.current().is_some()) => {
            drop(store.as_console_put(&secret, &id(n), text(value), &[blue()]));
        }
        Act::Current(to) | Act::Blue(to) if live => {
            let valued: Vec<_> = state
                .into_iter()
                .flat_map(|s| &s.versions)
                .filter(|(_, v)| v.has_value())
                .map(|(id, _)| id.clone())
                .collect();
            let label = label_of(act);
            let from = state.and_then(|s| s.labels.get(&label)).cloned();
            let to = valued.get(usize::from(to) % valued.len().max(1)).cloned();
            if to.is_some() && from != to {
                let change = Change::MoveLabel { label, from, to };
                drop(store.as_console(&secret, &change));
            }
        }
        Act::Unblue if live => {
            if let Some(from) = state.and_then(|s| s.labels.get(&blue())).cloned() {
                let change = Change::MoveLabel {
                    label: blue(),
                    from: Some(from),
                    to: None,
                };
                drop(store.as_console(&secret, &change));
            }
        }
        Act::Tag(value) if live => {
            let from = state.map(|s| s.attributes.clone()).unwrap_or_default();
            let mut to = from.clone();
            match value {
                0 => to.tags.remove("k"),
                value => to.tags.insert("k".to_owned(), value.to_string()),
            };
            drop(store.as_console(&secret, &Change::SetAttributes { from, to }));
        }
        Act::Delete if live => {
            let date = Some(cloud.clock.now().plus_days(30));
            drop(store.as_console(&secret, &Change::Delete { date }));
        }
        Act::Restore if state.is_some_and(|s| s.lifecycle.is_scheduled()) => {
            drop(store.as_console(&secret, &Change::Restore));
        }
        _ => {}
    }
}

/// A step that is the same here as in an account.
fn alike(site: &Site, secret: &str, state: Option<&SecretState>, act: Act) {
    use super::world::Edits as _;
    let Some(state) = state else {
        return;
    };
    match (state.lifecycle.is_live(), act) {
        (true, Act::Unblue) if state.labels.contains_key(&blue()) => {
            site.move_label(secret, "blue", None);
        }
        (true, Act::Tag(value)) => {
            let value = (value > 0).then(|| value.to_string());
            site.tag(secret, "k", value.as_deref());
        }
        (true, Act::Delete) => site.delete(secret),
        (false, Act::Restore) if site.records()[&name(secret)].was_a_secret() => {
            site.restore(secret);
        }
        _ => {}
    }
}

/// Why a history failed: `NAME: what was found`, or a panic of something else.
pub(crate) fn play(steps: &[Step]) -> Result<Tally, String> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut machine = Machine::new();
        for step in steps {
            machine.happen(*step);
        }
        machine.settle();
        assert!(machine.root().exists());
        machine.tally
    }));
    played.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
        text.unwrap_or_else(|| "a panic without a text".to_owned())
    })
}

/// The name of the check in a failure.
pub(crate) fn check_of(failure: &str) -> &str {
    failure.split(':').next().unwrap_or_default()
}

/// Drops steps for as long as the same check fails.
pub(crate) fn shrink(steps: &[Step], failure: &str, mut budget: usize) -> (Vec<Step>, String) {
    let (mut best, mut why) = (steps.to_vec(), failure.to_owned());
    let mut size = best.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < best.len() && budget > 0 {
            let mut fewer = best.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            budget -= 1;
            match play(&fewer) {
                Err(found) if check_of(&found) == check_of(failure) => {
                    best = fewer;
                    why = found;
                }
                _ => at += size,
            }
        }
        size /= 2;
    }
    (best, why)
}
