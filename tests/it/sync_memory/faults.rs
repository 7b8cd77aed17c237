//! Every call of a run fails once, before its effect and after it; and somebody else
//! writes before every call of a run once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use strongroom::model::{
    Change, RemoteName, RemoteSecret, RemoteView, SecretName, SecretValue, VersionId,
};
use strongroom::store::{MemoryStore, Progress, Retrieved, SecretStore, StoreError};

use super::world::{Cloud, Edits, Site, id, label, name, remote, text};

/// A store that lets somebody act right before the nth call, and counts.
pub(super) struct Watched<'a> {
    store: &'a MemoryStore,
    calls: AtomicUsize,
    act: Option<(usize, &'a (dyn Fn() + Sync))>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(store: &'a MemoryStore) -> Self {
        Self {
            store,
            calls: AtomicUsize::new(0),
            act: None,
        }
    }

    fn before(store: &'a MemoryStore, at: usize, act: &'a (dyn Fn() + Sync)) -> Self {
        Self {
            act: Some((at, act)),
            ..Self::new(store)
        }
    }

    fn enter(&self) {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some((at, act)) = self.act
            && at == number
        {
            act();
        }
    }
}

impl SecretStore for Watched<'_> {
    async fn view(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> Result<RemoteView, StoreError> {
        self.enter();
        self.store.view(known, progress).await
    }

    async fn describe(&self, name: &SecretName) -> Result<Option<RemoteSecret>, StoreError> {
        self.enter();
        self.store.describe(name).await
    }

    async fn policy(&self, name: &SecretName) -> Result<Option<String>, StoreError> {
        self.enter();
        self.store.policy(name).await
    }

    async fn read(&self, name: &SecretName, id: &VersionId) -> Result<Retrieved, StoreError> {
        self.enter();
        self.store.read(name, id).await
    }

    async fn read_current(
        &self,
        names: &[SecretName],
    ) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
        self.enter();
        self.store.read_current(names).await
    }

    async fn apply(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        self.enter();
        self.store.apply(name, change, value).await
    }
}

/// A vault and an account that have a bit of everything to tell each other.
fn scenario() -> (Cloud, Site) {
    let cloud = Cloud::new();
    for (n, secret) in [
        "push", "label", "text", "delete", "back", "rollback", "pull", "gone", "both", "purged",
    ]
    .iter()
    .enumerate()
    {
        let n = u32::try_from(n).unwrap();
        cloud.put(secret, n * 2 + 1, &format!("{secret} 1"));
        cloud.put(secret, n * 2 + 2, &format!("{secret} 2"));
    }
    cloud.delete("back");
    cloud.delete("purged");
    cloud.restore("purged");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    cloud.restore("back");
    site.sync(&cloud);
    site.delete("back");
    site.sync(&cloud);

    // Here: an edit, new secrets, label moves, texts, a deletion, a restoration, a
    // rollback.
    site.put("push", 101, "push 3");
    site.put_value("push", 102, &text("push next"), &["blue"]);
    site.put("new", 103, "new 1");
    site.put("new", 104, "new 2");
    site.put_value("new", 105, &text("new next"), &["blue"]);
    site.tag("new", "team", Some("a"));
    site.move_label("label", "green", Some(3));
    site.tag("text", "team", Some("a"));
    site.describe("text", "a description");
    site.delete("delete");
    site.restore("back");
    site.move_label("rollback", "AWSCURRENT", Some(11));
    // There: an edit, a new secret, a deletion, a purge, texts.
    cloud.put("pull", 111, "pull 3");
    cloud.put_labelled("pull", 112, &text("pull next"), &["blue"]);
    cloud.tag("pull", "cost", Some("1"));
    cloud.put("fresh", 113, "fresh 1");
    cloud.put("fresh", 114, "fresh 2");
    cloud.delete("gone");
    cloud.prod().as_console_purge(&name("purged"));
    // Both.
    site.put("both", 121, "ours");
    cloud.put("both", 122, "theirs");
    cloud.prod().reset_calls();
    (cloud, site)
}

/// Runs until a run completes; never more than a few.
pub(super) fn until_complete(cloud: &Cloud, site: &Site) -> usize {
    for run in 1..=4 {
        if let Ok(report) = site.try_sync(&cloud.stores)
            && report.is_complete()
        {
            return run;
        }
    }
    panic!("it does not come to an end");
}

/// No move of AWSCURRENT since `from` took it off a version that the vault has not.
pub(super) fn assert_moves(cloud: &Cloud, site: &Site, since: usize) {
    let records = site.records();
    for (secret, from, to) in cloud.prod().current_moves().drain(..).skip(since) {
        if let Some(from) = from {
            let known = records.get(&secret).map(|r| r.state.versions.get(&from));
            assert!(
                known
                    .flatten()
                    .is_some_and(strongroom::model::VersionMeta::has_value),
                "{secret}: AWSCURRENT left {from} for {to:?} and the vault lacks its value"
            );
        }
    }
}

#[test]
fn a_run_that_fails_at_any_call_and_runs_again_ends_where_it_should() {
    let (cloud, site) = scenario();
    let since = cloud.prod().current_moves().len();
    let report = site.sync(&cloud);
    let calls = cloud.prod().total_calls();
    assert_eq!(report.conflicts.len(), 1);
    assert_moves(&cloud, &site, since);
    let moves: Vec<_> = cloud.prod().current_moves();
    let (here, there) = (site.dump(), cloud.dump());
    // Otherwise the sweep would say little.
    assert!(calls > 25, "only {calls} calls");
    assert_eq!(cloud.serves("push"), "push 3");
    assert_eq!(cloud.serves("rollback"), "rollback 1");
    assert_eq!(site.serves("fresh"), "fresh 2");

    let unreachable = StoreError::Unreachable {
        detail: "cut".into(),
    };
    let refused = StoreError::Denied {
        operation: "any",
        code: "AccessDeniedException".into(),
    };
    let mut points = 0;
    let mut runs = 0;
    for at in 0..calls {
        for (after_effect, error) in [
            (false, &unreachable),
            (true, &unreachable),
            (false, &refused),
            (true, &refused),
        ] {
            let context = format!("call {at}, after its effect: {after_effect}, {error}");
            let (cloud, mut site) = scenario();
            cloud.prod().fail_at(at, after_effect, error.clone());
            let first = site.try_sync(&cloud.stores);
            let unhurt = first
                .as_ref()
                .is_ok_and(strongroom::sync::Report::is_complete);
            site.reopen();
            runs += until_complete(&cloud, &site);
            assert_moves(&cloud, &site, since);
            // The order in which secrets are pushed may differ; each one's moves not.
            let by_secret = |all: Vec<(SecretName, _, _)>| {
                let mut all = all;
                all.sort();
                all
            };
            assert_eq!(
                by_secret(cloud.prod().current_moves()),
                by_secret(moves.clone()),
                "{context}"
            );
            assert_eq!(cloud.dump(), there, "{context}");
            assert_eq!(site.dump(), here, "{context}");
            assert!(!unhurt || *error == refused, "{context}: it went unnoticed");
            points += 1;
        }
    }
    println!("swept {points} points over {calls} calls, {runs} runs to recover");
}

#[test]
fn a_run_that_fails_twice_ends_where_it_should() {
    let (cloud, site) = scenario();
    site.sync(&cloud);
    let calls = cloud.prod().total_calls();
    let (here, there) = (site.dump(), cloud.dump());
    let error = StoreError::Throttled { operation: "any" };
    let mut points = 0;
    for first in (0..calls).step_by(3) {
        for second in (0..calls).step_by(7) {
            let (cloud, mut site) = scenario();
            for (at, after_effect) in [(first, true), (second, first % 2 == 0)] {
                cloud.prod().reset_calls();
                cloud.prod().fail_at(at, after_effect, error.clone());
                drop(site.try_sync(&cloud.stores));
                site.reopen();
            }
            // A fault that no run came to is not for the last one.
            cloud.prod().fail_at(usize::MAX / 2, false, error.clone());
            until_complete(&cloud, &site);
            assert_eq!(cloud.dump(), there, "calls {first} and {second}");
            assert_eq!(site.dump(), here, "calls {first} and {second}");
            points += 1;
        }
    }
    println!("swept {points} pairs of points");
}

/// What somebody else does in the middle of a run, and to which secret.
struct Meddling {
    what: &'static str,
    act: fn(&Cloud) -> Result<(), StoreError>,
    /// What must be true of the account in the end, whenever it happened.
    holds: fn(&Cloud) -> bool,
}

fn console_put(cloud: &Cloud, secret: &str, n: u32, labels: &[&str]) -> Result<(), StoreError> {
    let labels: Vec<_> = labels.iter().map(|l| label(l)).collect();
    let value = text(&format!("meddled {n}"));
    cloud
        .prod()
        .as_console_put(&name(secret), &id(n), value, &labels)
}

const MEDDLING: [Meddling; 7] = [
    Meddling {
        what: "a put on what is being pushed",
        act: |cloud| console_put(cloud, "push", 201, &[]),
        holds: |cloud| cloud.current("push") == Some(id(201)),
    },
    Meddling {
        what: "a put on what is being rolled back",
        act: |cloud| console_put(cloud, "rollback", 202, &[]),
        holds: |cloud| cloud.current("rollback") == Some(id(202)),
    },
    Meddling {
        what: "a put on what is being pulled",
        act: |cloud| console_put(cloud, "pull", 203, &[]),
        holds: |cloud| cloud.current("pull") == Some(id(203)),
    },
    Meddling {
        what: "a put on what is being deleted",
        act: |cloud| console_put(cloud, "delete", 204, &[]),
        holds: |cloud| {
            // Too late, or it lives on.
            let state = cloud.state("delete");
            !state.versions.contains_key(&id(204))
                || (state.lifecycle.is_live() && state.current() == Some(&id(204)))
        },
    },
    Meddling {
        what: "the label that is being moved",
        act: |cloud| console_put(cloud, "label", 205, &["green"]),
        holds: |cloud| cloud.holder("label", "green") == Some(id(205)),
    },
    Meddling {
        what: "a secret of the name that is being created",
        act: |cloud| console_put(cloud, "new", 206, &[]),
        holds: |cloud| cloud.current("new") == Some(id(206)),
    },
    Meddling {
        what: "a deletion of what is being pushed",
        act: |cloud| {
            let date = None;
            cloud
                .prod()
                .as_console(&name("push"), &Change::Delete { date })
        },
        holds: |cloud| cloud.state("push").lifecycle.is_scheduled(),
    },
];

#[test]
fn what_somebody_writes_in_the_middle_of_a_run_is_never_overwritten() {
    let mut points = 0;
    for meddling in &MEDDLING {
        let mut at = 0;
        loop {
            let (cloud, site) = scenario();
            let acted = std::sync::Mutex::new(None);
            let act = || {
                *acted.lock().unwrap() = Some((meddling.act)(&cloud));
            };
            let watched = Watched::before(cloud.prod(), at, &act);
            let stores: BTreeMap<RemoteName, Watched<'_>> =
                BTreeMap::from([(remote("prod"), watched)]);
            site.try_sync(&stores).unwrap();
            let Some(done) = acted.lock().unwrap().take() else {
                break;
            };
            let context = format!("{} before call {at} ({done:?})", meddling.what);
            let settled = until_complete(&cloud, &site);
            assert!(settled <= 2, "{context}");
            if done.is_ok() {
                assert!((meddling.holds)(&cloud), "{context}: {:?}", cloud.dump());
            }
            assert_moves(&cloud, &site, 0);
            assert_everything_is_here(&cloud, &site, &context);
            at += 1;
            points += 1;
        }
        assert!(at > 20, "{}: only {at} calls", meddling.what);
    }
    println!("swept {points} points");
}

/// Every version that the account shows of a live secret can be read here.
pub(super) fn assert_everything_is_here(cloud: &Cloud, site: &Site, context: &str) {
    let records = site.records();
    for (secret, state) in &cloud.prod().state().0 {
        if !state.lifecycle.is_live() {
            continue;
        }
        for (label, version) in &state.labels {
            if label.is_holding() || !state.versions[version].has_value() {
                continue;
            }
            let real = cloud.prod().peek(secret, version).unwrap();
            let record = records.get(secret).unwrap_or_else(|| {
                panic!("{context}: {secret} is not here");
            });
            let read = site.vault.read(record, version);
            assert!(
                read.is_ok_and(|r| r.same_as(&real)),
                "{context}: {secret}: {label} on {version} is not here"
            );
        }
    }
}
