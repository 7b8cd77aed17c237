//! A store that dies or is meddled with at a call.

use super::expected::{Expected, moved_otherwise};
use super::*;

/// A store that dies, or lets somebody act, right before a call; and that looks at every
/// account before every call.
pub(super) struct Actor<'a> {
    store: &'a MemoryStore,
    shared: &'a Stage<'a>,
    /// What the sync may expect there.
    expected: Mutex<Expected>,
}

pub(super) struct Stage<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) calls: AtomicUsize,
    pub(super) crash: Option<(usize, bool)>,
    pub(super) meddle: Option<(usize, &'a (dyn Fn() + Sync))>,
    pub(super) dead: tokio::sync::Notify,
    pub(super) wrong: Mutex<Option<String>>,
}

impl Actor<'_> {
    /// Whether the process dies after this call.
    async fn enter(&self) -> bool {
        let stage = self.shared;
        let number = stage.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(wrong) = no_current(stage.cloud) {
            stage.complain(wrong);
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

    /// A call whose mark on the account's history is looked at.
    async fn store_apply(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let before = self.store.current_moves().len();
        let answer = self.store.apply(name, change, value).await;
        let moves = self.store.current_moves();
        if let Some(wrong) = moved_otherwise(name, change, &moves[before..]) {
            self.shared.complain(wrong);
        }
        answer
    }

    fn expected(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn die(&self) {
        self.shared.dead.notify_one();
        std::future::pending::<()>().await;
    }
}

/// A live secret somewhere with values and no AWSCURRENT (I5).
pub(super) fn no_current(cloud: &Cloud) -> Option<String> {
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
        let view = through!(self, self.store.view(known, progress));
        if let Ok(view) = &view {
            self.expected().listed(view);
        }
        view
    }

    async fn describe(&self, name: &SecretName) -> Result<Option<RemoteSecret>, StoreError> {
        let seen = through!(self, self.store.describe(name));
        if let Ok(seen) = &seen {
            self.expected().described(name, seen.as_ref());
        }
        seen
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
        if let Some(wrong) = self.expected().wrong(name, change) {
            self.shared.complain(wrong);
        }
        let answer = through!(self, self.store_apply(name, change, value));
        self.expected().called(name, change, answer.is_ok());
        answer
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
    /// Keeps the first thing that was wrong.
    fn complain(&self, wrong: String) {
        let mut first = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(wrong);
    }

    /// Nothing if the process died.
    pub(super) fn sync(&self, site: &Site) -> Option<Result<Report, SyncError>> {
        let stores: BTreeMap<RemoteName, Actor<'_>> = self
            .cloud
            .stores
            .iter()
            .map(|(remote, store)| {
                let shared = self;
                let actor = Actor {
                    store,
                    shared,
                    expected: Mutex::default(),
                };
                (remote.clone(), actor)
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
