//! What the tests of the sync share: a clock, remotes in memory with other people in
//! them, and vaults on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use strongroom::crypto::Identity;
use strongroom::model::{
    Attributes, Author, Change, Conflict, Content, Lifecycle, Origin, Record, RemoteName,
    SecretName, SecretState, SecretValue, StagingLabel, Strategy, Timestamp, VersionId,
    VersionMeta,
};
use strongroom::plan::{Choice, Limits, Policy, RemotePolicy, Strategies, own_twin, resolve};
use strongroom::store::{MemoryStore, SecretStore, Silent};
use strongroom::sync::{Options, Outcome, Report, SyncError, sync};
use strongroom::vault::{Durability, InitOptions, Transaction, Vault};
use tempfile::TempDir;

/// Vault id of every vault here.
const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";

/// The tests' clock: it moves when somebody does something, never by itself.
#[derive(Clone)]
pub(crate) struct Clock(Arc<AtomicI64>);

impl Clock {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.0.load(Ordering::SeqCst))
    }

    /// Lets so many seconds go by.
    pub(crate) fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(crate) fn tick(&self) -> Timestamp {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.now()
    }
}

/// The nth version id. Not in the order of n, so that nothing can rest on ids being
/// sorted by age.
pub(crate) fn id(n: u32) -> VersionId {
    let mixed = n.wrapping_mul(0x9e37_79b1);
    format!("{mixed:08x}-0000-4000-8000-{n:012}")
        .parse()
        .unwrap()
}

pub(crate) fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

pub(crate) fn label(text: &str) -> StagingLabel {
    text.parse().unwrap()
}

pub(crate) fn remote(text: &str) -> RemoteName {
    text.parse().unwrap()
}

pub(crate) fn text(text: &str) -> SecretValue {
    SecretValue::string(text.as_bytes().to_vec()).unwrap()
}

/// Runs a future to its end. Waiting costs no time: what the engine sleeps is skipped.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

/// The accounts, by the name that vaults know them under.
pub(crate) struct Cloud {
    pub(crate) stores: BTreeMap<RemoteName, MemoryStore>,
    pub(crate) clock: Clock,
}

impl Cloud {
    /// One account named `prod`.
    pub(crate) fn new() -> Self {
        Self::with(&["prod"])
    }

    pub(crate) fn with(names: &[&str]) -> Self {
        let clock = Clock(Arc::new(AtomicI64::new(1_795_395_723)));
        let stores = names.iter().enumerate().map(|(n, name)| {
            let account = format!("{:012}", 111_111_111_111_u64 * (n as u64 + 1));
            let store = MemoryStore::new(&account, "eu-west-1", clock.now());
            (remote(name), store)
        });
        Self {
            stores: stores.collect(),
            clock,
        }
    }

    /// The same accounts once more, which go their own way from here.
    pub(crate) fn fork(&self) -> Self {
        let clock = Clock(Arc::new(AtomicI64::new(
            self.clock.0.load(Ordering::SeqCst),
        )));
        let stores = self.stores.iter().map(|(n, s)| (n.clone(), s.fork()));
        Self {
            stores: stores.collect(),
            clock,
        }
    }

    /// The account named `prod`.
    pub(crate) fn prod(&self) -> &MemoryStore {
        self.account("prod")
    }

    pub(crate) fn account(&self, name: &str) -> &MemoryStore {
        &self.stores[&remote(name)]
    }

    /// Somebody in the account puts a value as the console does: it becomes AWSCURRENT.
    pub(crate) fn put(&self, secret: &str, n: u32, value: &str) {
        put(self.prod(), &self.clock, secret, n, &text(value), &[]);
    }

    /// Somebody in the account puts a value under labels of their choice.
    pub(crate) fn put_labelled(&self, secret: &str, n: u32, value: &SecretValue, labels: &[&str]) {
        put(self.prod(), &self.clock, secret, n, value, labels);
    }

    pub(crate) fn current(&self, secret: &str) -> Option<VersionId> {
        self.state(secret).current().cloned()
    }

    pub(crate) fn holder(&self, secret: &str, of: &str) -> Option<VersionId> {
        self.state(secret).labels.get(&label(of)).cloned()
    }

    /// What an application gets that asks for a secret now.
    pub(crate) fn serves(&self, secret: &str) -> String {
        serves(self.prod(), secret)
    }

    /// What of every account anybody can see: without what the engine parks under a
    /// label of its own, and without versions that no label keeps.
    pub(crate) fn face(&self) -> BTreeMap<String, String> {
        let mut dump = BTreeMap::new();
        for (remote, store) in &self.stores {
            for (name, state) in &store.state().0 {
                let labels = state.labels.iter().filter(|(l, _)| !l.is_holding());
                let labels: Vec<String> = labels
                    .map(|(label, id)| {
                        let value = store.peek(name, id).map(|v| v.expose_secret().to_vec());
                        format!("{label}={id} {value:?}")
                    })
                    .collect();
                let rest = (&state.attributes, state.lifecycle);
                dump.insert(format!("{remote} {name}"), format!("{labels:?} {rest:?}"));
            }
        }
        dump
    }

    /// Everything in every account, values and all, and no date that only says when
    /// something was looked at.
    pub(crate) fn dump(&self) -> BTreeMap<String, String> {
        let mut dump = BTreeMap::new();
        for (remote, store) in &self.stores {
            for (name, state) in &store.state().0 {
                let values: Vec<_> = state
                    .versions
                    .keys()
                    .map(|id| store.peek(name, id).map(|v| v.expose_secret().to_vec()))
                    .collect();
                dump.insert(format!("{remote} {name}"), format!("{state:?} {values:?}"));
            }
        }
        dump
    }
}

pub(crate) fn put(
    store: &MemoryStore,
    clock: &Clock,
    secret: &str,
    n: u32,
    value: &SecretValue,
    labels: &[&str],
) {
    store.set_now(clock.tick());
    let labels: Vec<StagingLabel> = labels.iter().map(|l| label(l)).collect();
    store
        .as_console_put(&name(secret), &id(n), value.duplicate(), &labels)
        .unwrap();
}

pub(crate) fn serves(store: &MemoryStore, secret: &str) -> String {
    let name = name(secret);
    let state = store.state();
    let state = state.get(&name).expect("it is there");
    assert!(state.lifecycle.is_live(), "{name} cannot be read");
    let current = state.current().expect("a current version");
    let value = store.peek(&name, current).expect("a value");
    String::from_utf8_lossy(value.expose_secret()).into_owned()
}

/// What a person can do to a secret that is there, on either side.
pub(crate) trait Edits {
    fn clock(&self) -> &Clock;

    /// The secret as this side has it.
    fn state(&self, secret: &str) -> SecretState;

    /// Anything at all.
    fn change(&self, secret: &str, change: &Change);

    fn move_label(&self, secret: &str, to_move: &str, to: Option<u32>) {
        let label = label(to_move);
        let from = self.state(secret).labels.get(&label).cloned();
        let to = to.map(id);
        self.change(secret, &Change::MoveLabel { label, from, to });
    }

    fn describe(&self, secret: &str, description: &str) {
        let from = self.state(secret).attributes;
        let mut to = from.clone();
        to.description = Some(description.to_owned());
        self.change(secret, &Change::SetAttributes { from, to });
    }

    fn tag(&self, secret: &str, key: &str, value: Option<&str>) {
        let from = self.state(secret).attributes;
        let mut to = from.clone();
        match value {
            Some(value) => to.tags.insert(key.to_owned(), value.to_owned()),
            None => to.tags.remove(key),
        };
        self.change(secret, &Change::SetAttributes { from, to });
    }

    fn delete(&self, secret: &str) {
        let date = Some(self.clock().now().plus_days(30));
        self.change(secret, &Change::Delete { date });
    }

    fn restore(&self, secret: &str) {
        self.change(secret, &Change::Restore);
    }
}

impl Edits for Cloud {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A secret of `prod` as the account has it.
    fn state(&self, secret: &str) -> SecretState {
        let state = self.prod().state();
        state.get(&name(secret)).expect("it is there").clone()
    }

    /// Somebody in the account does anything else.
    fn change(&self, secret: &str, change: &Change) {
        self.prod().set_now(self.clock.tick());
        self.prod().as_console(&name(secret), change).unwrap();
    }
}

impl Edits for Site {
    fn clock(&self) -> &Clock {
        &self.clock
    }

    fn state(&self, secret: &str) -> SecretState {
        self.record(secret).state
    }

    /// Somebody at this vault changes a secret that is there.
    fn change(&self, secret: &str, change: &Change) {
        self.transact(|tx| {
            let mut record = tx.record(&name(secret)).unwrap().unwrap();
            record.apply(change, Author::Here).unwrap();
            tx.put(record);
        });
    }
}

/// One clone of a vault, unlocked.
pub(crate) struct Site {
    dir: Arc<TempDir>,
    root: PathBuf,
    state_home: PathBuf,
    member: Arc<Identity>,
    clock: Clock,
    pub(crate) vault: Vault,
    pub(crate) policy: Policy,
    pub(crate) limits: Limits,
}

impl Site {
    /// A new vault that leaves git alone.
    pub(crate) fn new(cloud: &Cloud) -> Self {
        Self::init(cloud, false)
    }

    /// A new vault that commits to git.
    pub(crate) fn with_git(cloud: &Cloud) -> Self {
        Self::init(cloud, true)
    }

    fn init(cloud: &Cloud, git: bool) -> Self {
        let dir = Arc::new(in_memory());
        let member = Arc::new(Identity::generate());
        let options = InitOptions {
            vault_id: VAULT,
            keyring: Identity::generate(),
            member_name: "ann",
            member: &member.recipient(),
            now: cloud.clock.now(),
            git,
        };
        let (root, state_home) = (dir.path().join("v"), dir.path().join("state"));
        let (vault, _) = Vault::init(&root, &state_home, options).unwrap();
        Self {
            dir,
            root,
            state_home,
            member,
            clock: cloud.clock.clone(),
            vault,
            policy: Policy::default(),
            limits: Limits::default(),
        }
    }

    /// A second laptop: `git clone`, and the same person's identity.
    pub(crate) fn clone_with_git(&self) -> Self {
        let root = self.dir.path().join("w");
        let state_home = self.dir.path().join("state2");
        git(
            self.dir.path(),
            &["clone", "-q", path(&self.root), path(&root)],
        );
        let mut vault = Vault::open(&root, &state_home).unwrap();
        vault.unlock(&self.member).unwrap();
        Self {
            dir: Arc::clone(&self.dir),
            root,
            state_home,
            member: Arc::clone(&self.member),
            clock: self.clock.clone(),
            vault,
            policy: self.policy.clone(),
            limits: self.limits,
        }
    }

    /// A copy of every file of a vault that leaves git alone, by the accounts' clock.
    pub(crate) fn fork(&self, cloud: &Cloud) -> Self {
        let dir = Arc::new(in_memory());
        let (root, state_home) = (dir.path().join("v"), dir.path().join("state"));
        copy(&self.root, &root);
        copy(&self.state_home, &state_home);
        let mut vault = Vault::open(&root, &state_home).unwrap();
        vault.unlock(&self.member).unwrap();
        Self {
            dir,
            root,
            state_home,
            member: Arc::clone(&self.member),
            clock: cloud.clock.clone(),
            vault,
            policy: self.policy.clone(),
            limits: self.limits,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Opens the vault anew, as the next command would.
    pub(crate) fn reopen(&mut self) {
        let mut vault = Vault::open(&self.root, &self.state_home).unwrap();
        vault.unlock(&self.member).unwrap();
        self.vault = vault;
    }

    pub(crate) fn allow(&mut self, account: &str, policy: RemotePolicy) {
        self.policy.remotes.insert(remote(account), policy);
    }

    /// What becomes of conflicts in every run from now on, unless a test says more.
    pub(crate) fn on_conflict(&mut self, strategy: Strategy) {
        self.strategies().run = Some(strategy);
    }

    pub(crate) fn strategies(&mut self) -> &mut Strategies {
        let now = self.clock.now();
        self.policy.strategies.get_or_insert_with(|| Strategies {
            now,
            run: None,
            rules: Vec::new(),
            remotes: BTreeMap::new(),
            answers: BTreeMap::new(),
        })
    }

    pub(crate) fn options(&self) -> Options {
        let mut policy = self.policy.clone();
        if let Some(strategies) = &mut policy.strategies {
            strategies.now = self.clock.now();
        }
        Options {
            now: self.clock.now(),
            limits: self.limits,
            policy,
            no_git: false,
        }
    }

    /// One run against every account.
    pub(crate) fn try_sync<S: SecretStore>(
        &self,
        stores: &BTreeMap<RemoteName, S>,
    ) -> Result<Report, SyncError> {
        run(sync(&self.vault, stores, &self.options(), &Silent))
    }

    /// One run that nothing stops. There may be conflicts.
    pub(crate) fn sync(&self, cloud: &Cloud) -> Report {
        let report = self.try_sync(&cloud.stores).unwrap();
        assert!(report.is_complete(), "{report:?}");
        report
    }

    /// A run with nothing to do.
    pub(crate) fn is_quiet(&self, cloud: &Cloud) -> bool {
        self.sync(cloud).is_quiet()
    }

    /// A run with nothing to do, which also leaves every account as it is.
    pub(crate) fn assert_quiet(&self, cloud: &Cloud) {
        let before = cloud.dump();
        let report = self.sync(cloud);
        assert!(report.is_quiet(), "{report:?}");
        assert_eq!(cloud.dump(), before);
    }

    fn transact(&self, act: impl FnOnce(&mut Transaction<'_>)) {
        let mut tx = self.vault.begin("test", self.clock.tick()).unwrap();
        act(&mut tx);
        tx.commit("test", Durability::Each).unwrap();
    }

    /// Stores a value as `put` does.
    pub(crate) fn put(&self, secret: &str, n: u32, value: &str) {
        self.put_value(secret, n, &text(value), &[]);
    }

    pub(crate) fn put_value(&self, secret: &str, n: u32, value: &SecretValue, labels: &[&str]) {
        self.transact(|tx| {
            let (name, id, now) = (name(secret), id(n), self.clock.now());
            let mut record = tx
                .record(&name)
                .unwrap()
                .unwrap_or_else(|| Record::new(name.clone()));
            let is_new = record.state.lifecycle == Lifecycle::Tombstone;
            let digest = tx.add_value(&name, &id, value, Some(now)).unwrap();
            let meta = VersionMeta {
                created: Some(now),
                content: Content::Value {
                    kind: value.kind(),
                    digest,
                },
                parent: record.state.current().filter(|_| !is_new).cloned(),
                origin: Origin::Local,
            };
            if is_new {
                let create = Change::Create {
                    attributes: Attributes::default(),
                    version: None,
                };
                record.apply(&create, Author::Here).unwrap();
            }
            let labels: Vec<StagingLabel> = match labels {
                [] => vec![StagingLabel::current()],
                labels => labels.iter().map(|l| label(l)).collect(),
            };
            let change = Change::AddVersion { id, meta, labels };
            record.apply(&change, Author::Here).unwrap();
            tx.put(record);
        });
    }

    /// Decides every conflict of a secret, as `resolve` does.
    pub(crate) fn resolve(&self, secret: &str, choice: &Choice) {
        self.transact(|tx| {
            let mut record = tx.record(&name(secret)).unwrap().unwrap();
            let conflicts: Vec<Conflict> = std::mem::take(&mut record.conflicts);
            assert!(!conflicts.is_empty(), "{secret} has no conflict");
            for conflict in conflicts {
                if let (Choice::Ours, Some((of, copy))) = (choice, own_twin(&record, &conflict)) {
                    self.copy(tx, &mut record, of, copy);
                }
                resolve(&mut record, &conflict, choice).unwrap();
            }
            tx.put(record);
        });
    }

    fn copy(&self, tx: &mut Transaction<'_>, record: &mut Record, of: VersionId, copy: VersionId) {
        if record.state.versions.contains_key(&copy) {
            return;
        }
        let value = self.vault.read(record, &of).unwrap();
        let created = record.state.versions[&of].created;
        let digest = tx.add_value(&record.name, &copy, &value, created).unwrap();
        let kind = value.kind();
        let meta = VersionMeta {
            created,
            content: Content::Value { kind, digest },
            parent: Some(of),
            origin: Origin::Local,
        };
        let (id, labels) = (copy, Vec::new());
        let change = Change::AddVersion { id, meta, labels };
        record.apply(&change, Author::Here).unwrap();
    }

    pub(crate) fn records(&self) -> BTreeMap<SecretName, Record> {
        let loaded = self.vault.load().unwrap();
        assert!(loaded.blocked.is_empty(), "{:?}", loaded.blocked);
        loaded.records
    }

    pub(crate) fn record(&self, secret: &str) -> Record {
        self.vault.record(&name(secret)).unwrap().unwrap()
    }

    pub(crate) fn current(&self, secret: &str) -> Option<VersionId> {
        self.state(secret).current().cloned()
    }

    pub(crate) fn holder(&self, secret: &str, of: &str) -> Option<VersionId> {
        self.state(secret).labels.get(&label(of)).cloned()
    }

    /// The bytes of a version, decrypted.
    pub(crate) fn bytes(&self, secret: &str, id: &VersionId) -> Vec<u8> {
        let record = self.record(secret);
        let value = self.vault.read(&record, id).unwrap();
        value.expose_secret().to_vec()
    }

    /// What `get` prints.
    pub(crate) fn serves(&self, secret: &str) -> String {
        let current = self.current(secret).expect("a current version");
        String::from_utf8(self.bytes(secret, &current)).unwrap()
    }

    /// The versions that can be found under an `sr/lost/` label.
    pub(crate) fn lost(&self, secret: &str) -> Vec<VersionId> {
        let state = self.state(secret);
        let lost = state
            .labels
            .iter()
            .filter(|(l, _)| l.as_str().starts_with("sr/lost/"));
        lost.map(|(_, id)| id.clone()).collect()
    }

    /// Every secret of the vault with its values, without what two runs may rightly
    /// have different: ARNs, which an account makes up as it goes, and its dates.
    pub(crate) fn dump(&self) -> BTreeMap<String, String> {
        let mut dump = BTreeMap::new();
        for (name, mut record) in self.records() {
            for pair in record.base.values_mut().filter_map(|b| b.pair.as_mut()) {
                pair.arn = if pair.arn.is_empty() { "none" } else { "some" }.to_owned();
                pair.changed = None;
            }
            let values: Vec<_> = record
                .state
                .versions
                .iter()
                .filter(|(_, v)| v.has_value())
                .map(|(id, _)| self.bytes(name.as_str(), id))
                .collect();
            // Digests are keyed by a fresh key in every vault.
            for version in record.state.versions.values_mut() {
                if let Content::Value { kind, .. } = version.content {
                    version.content = Content::Value {
                        kind,
                        digest: strongroom::model::Digest([0; 32]),
                    };
                }
            }
            dump.insert(name.to_string(), format!("{record:?} {values:?}"));
        }
        dump
    }

    /// Every file under the vault's directory, `.git` included: content and date.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        let mut files = BTreeMap::new();
        collect(&self.root, &mut files);
        files
    }

    /// How many commits there are.
    pub(crate) fn commits(&self) -> usize {
        git(&self.root, &["rev-list", "--count", "HEAD"])
            .trim()
            .parse()
            .unwrap()
    }
}

/// A directory in memory where the system has a place for that: whether a disk keeps
/// its word is not what these tests ask, and they write far more than any vault.
fn in_memory() -> TempDir {
    let place = Path::new("/dev/shm");
    let dir = tempfile::Builder::new().prefix("sr").tempdir_in(place);
    dir.unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mode = std::fs::metadata(from).unwrap().permissions();
    std::fs::set_permissions(to, mode).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.metadata().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn collect(dir: &Path, files: &mut BTreeMap<PathBuf, (Vec<u8>, SystemTime)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            collect(&entry.path(), files);
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            files.insert(entry.path(), (bytes, meta.modified().unwrap()));
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs the real git, apart from anybody's settings.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = try_git(dir, args);
    assert!(
        output.status.success(),
        "git {args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn try_git(dir: &Path, args: &[&str]) -> std::process::Output {
    std::process::Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .unwrap()
}

/// The outcomes that are not [`Outcome::Done`].
pub(crate) fn undone(report: &Report) -> Vec<(String, Outcome)> {
    let undone = report.outcomes.iter().filter(|(_, o)| **o != Outcome::Done);
    undone.map(|(n, o)| (n.to_string(), o.clone())).collect()
}
