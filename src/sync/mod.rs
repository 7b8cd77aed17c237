//! Carries out plans: fetches views, copies values into the vault, moves labels on
//! the remotes by compare-and-swap, and remembers what was agreed.
//!
//! The order is what makes it safe (sync.md sections 1.14 and 1.15): values are
//! durable in the vault before anything moves on a remote, and what was agreed is
//! written only after the remote has been looked at again. Every step can be
//! repeated, so a run that was cut off is resumed by running again.
//!
//! No lock of the vault is held while a remote is waited for.

mod compare;
mod cost;
mod details;
mod execute;
mod gather;
mod lag;
mod own;
#[cfg(test)]
mod proof_tests;
mod push;
mod report;
mod round;
mod settle;

use std::collections::{BTreeMap, BTreeSet};

pub use compare::compare;
pub use cost::{Cost, MICRODOLLARS_A_CALL};
pub use details::Details;
pub use execute::{apply_plan, apply_reviewed, sync};
pub use report::{Outcome, Report, SyncError};

use crate::model::{
    Base, Conflict, Lifecycle, LocalView, RemoteFacts, RemoteName, RemoteView, SecretName, Sight,
    Timestamp,
};
use crate::plan::{Limits, Plan, Policy, RemotePolicy, Strategies, divided, plan};
use crate::store::{Progress, SecretStore, StoreError};
use crate::vault::{Fetched, Loaded, Vault, VaultError};

/// How one run goes about it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Now; it dates views and git commits and nothing else.
    pub now: Timestamp,
    /// How many deletions are carried out unasked.
    pub limits: Limits,
    /// What may be done with which remote.
    pub policy: Policy,
    /// Whether to leave the change to git uncommitted.
    pub no_git: bool,
}

/// A plan, and what it was made from.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The vault as it was read.
    pub loaded: Loaded,
    /// What was last agreed.
    pub base: Base,
    /// What the remotes showed.
    pub views: BTreeMap<RemoteName, RemoteView>,
    /// The plan.
    pub plan: Plan,
}

impl Prepared {
    /// Leaves some secrets only. Of the others nothing is carried out, and no conflict
    /// on record is taken for one that went away.
    pub fn narrow(&mut self, keep: impl Fn(&SecretName) -> bool) {
        self.plan.secrets.retain(|name, _| keep(name));
        self.loaded.records.retain(|name, _| keep(name));
    }
}

/// The policy that the vault's settings give to the chosen remotes. `now` is what the
/// dates of versions are held against.
pub fn policy_of(vault: &Vault, only: Option<String>, now: Timestamp) -> Policy {
    let config = vault.config();
    let remotes = config.remotes.iter().map(|(name, remote)| {
        let policy = RemotePolicy {
            scope: remote.scope.clone(),
            direction: remote.direction,
            extras: remote.extras,
        };
        (name.clone(), policy)
    });
    let set = config.remotes.iter();
    Policy {
        remotes: remotes.collect(),
        only,
        strategies: Some(Strategies {
            now,
            run: None,
            rules: config.policies.clone(),
            remotes: set.map(|(n, r)| (n.clone(), r.on_conflict)).collect(),
            answers: BTreeMap::new(),
        }),
    }
}

/// Asks one remote what it has, and keeps the answer for offline use.
pub async fn fetch<S: SecretStore>(
    vault: &Vault,
    remote: &RemoteName,
    store: &S,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<RemoteView, SyncError> {
    fetch_with(vault, remote, store, Details::AsSet, now, progress).await
}

/// The same, and says of which secrets replicas and resource policies are asked for.
pub async fn fetch_with<S: SecretStore>(
    vault: &Vault,
    remote: &RemoteName,
    store: &S,
    details: Details,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<RemoteView, SyncError> {
    let loaded = vault.load()?;
    fetch_for(vault, &loaded, remote, store, details, now, progress).await
}

async fn fetch_for<S: SecretStore>(
    vault: &Vault,
    loaded: &Loaded,
    remote: &RemoteName,
    store: &S,
    details: Details,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<RemoteView, SyncError> {
    let failed = |source| SyncError::Remote {
        remote: remote.clone(),
        source,
    };
    let mut view = store
        .view(&known_on(loaded, remote), progress)
        .await
        .map_err(failed)?;
    lag::confirm(loaded, remote, store, &mut view)
        .await
        .map_err(failed)?;
    // One that cannot be read is as good as none.
    if let Ok(Some(earlier)) = vault.load_view(remote) {
        details::recall(&mut view, &earlier.view);
    }
    let config = vault.config();
    let extras = config
        .remotes
        .get(remote)
        .map(|r| r.extras)
        .unwrap_or_default();
    let of = |name: &SecretName, facts: &RemoteFacts| match details {
        // What is to be replaced is looked at each time.
        Details::AsSet => {
            (extras.details && !facts.looked) || details::waits(loaded, remote, name, extras)
        }
        Details::All => true,
    };
    details::look(store, &mut view, of, progress)
        .await
        .map_err(failed)?;
    vault.save_view(
        remote,
        &Fetched {
            at: now,
            view: view.clone(),
        },
    )?;
    Ok(view)
}

/// The names that a remote had when it was last agreed with: if a listing lacks one,
/// it must be looked up by itself before it counts as gone.
fn known_on(loaded: &Loaded, remote: &RemoteName) -> Vec<SecretName> {
    loaded
        .records
        .iter()
        .filter(|(_, record)| {
            !seeded!(AbsentIsDeleted)
                && record
                    .base
                    .get(remote)
                    .and_then(|b| b.pair.as_ref())
                    .is_some_and(|p| p.remote.lifecycle != Lifecycle::Tombstone)
        })
        .map(|(name, _)| name.clone())
        .collect()
}

/// Plans over the vault as it is now and the views given. Needs no key.
pub fn prepare(
    vault: &Vault,
    views: BTreeMap<RemoteName, RemoteView>,
    policy: &Policy,
) -> Result<Prepared, VaultError> {
    Ok(prepare_from(vault.load()?, views, policy))
}

/// Plans once more over the same vault and views, under another policy.
pub fn replan(prepared: Prepared, policy: &Policy) -> Prepared {
    prepare_from(prepared.loaded, prepared.views, policy)
}

fn prepare_from(
    loaded: Loaded,
    views: BTreeMap<RemoteName, RemoteView>,
    policy: &Policy,
) -> Prepared {
    let base: Base = loaded
        .records
        .iter()
        .filter(|(_, r)| !r.base.is_empty())
        .map(|(name, r)| (name.clone(), r.base.clone()))
        .collect();
    let local = local_view(&loaded);
    let plan = match loaded.shut.is_empty() {
        true => plan(&base, &local, &views, policy),
        false => plan(&base, &local, &open_views(&loaded, &views), policy),
    };
    let mut prepared = Prepared {
        loaded,
        base,
        views,
        plan,
    };
    if let Some(only) = &policy.only {
        prepared.narrow(|name| name.as_str().starts_with(only.as_str()));
    }
    prepared
}

/// What remotes have, without the names that belong to keyrings which are not open: nothing
/// is known of these here, so they take no part on either side.
fn open_views(
    loaded: &Loaded,
    views: &BTreeMap<RemoteName, RemoteView>,
) -> BTreeMap<RemoteName, RemoteView> {
    let mut open = views.clone();
    for view in open.values_mut() {
        view.secrets
            .retain(|name, _| loaded.closed_by(name).is_none());
    }
    open
}

/// The vault as a plan sees it.
pub fn local_view(loaded: &Loaded) -> LocalView {
    let mut local = LocalView::default();
    for (name, record) in &loaded.records {
        local.secrets.0.insert(name.clone(), record.state.clone());
        if !record.details.is_empty() {
            local.details.insert(name.clone(), record.details.clone());
        }
        let alarms = record.conflicts.iter().filter(|c| c.is_alarm());
        let alarms: Vec<Conflict> = alarms.cloned().collect();
        if !alarms.is_empty() {
            local.alarms.insert(name.clone(), alarms);
        }
        // What stands here meanwhile is nobody's decision, and no remote's business.
        if let Some(conflict) = divided(record).next() {
            let why = format!(
                "two clones disagree on its {}; decide with: strongroom resolve {name}",
                conflict.field
            );
            local.blocked.insert(name.clone(), why);
        }
    }
    for (title, reason) in &loaded.blocked {
        // What has no name cannot be a secret's either.
        if let Ok(name) = title.parse::<SecretName>()
            && loaded.closed_by(&name).is_none()
        {
            local.blocked.insert(name, reason.clone());
        }
    }
    local
}

/// Asks several remotes at once.
async fn fetch_all<S: SecretStore>(
    vault: &Vault,
    stores: &BTreeMap<RemoteName, S>,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<(Loaded, BTreeMap<RemoteName, RemoteView>), SyncError> {
    let loaded = vault.load()?;
    let fetches = stores.iter().map(|(remote, store)| {
        let loaded = &loaded;
        async move {
            let view =
                fetch_for(vault, loaded, remote, store, Details::AsSet, now, progress).await?;
            Ok::<_, SyncError>((remote.clone(), view))
        }
    });
    let views = futures_util::future::try_join_all(fetches).await?;
    Ok((loaded, views.into_iter().collect()))
}

/// Looks some names up afresh on every remote, for a second round over them.
async fn refresh<S: SecretStore>(
    stores: &BTreeMap<RemoteName, S>,
    views: &mut BTreeMap<RemoteName, RemoteView>,
    names: &BTreeSet<SecretName>,
    policy: &Policy,
) -> Result<(), SyncError> {
    for (remote, store) in stores {
        let Some(view) = views.get_mut(remote) else {
            continue;
        };
        for name in names {
            let scope = policy.remotes.get(remote).map(|p| &p.scope);
            if scope.is_some_and(|s| !s.contains(name)) {
                continue;
            }
            let seen = store.describe(name).await;
            match seen {
                Ok(Some(mut secret)) => {
                    if let Some(Sight::Seen(was)) = view.secrets.get(name) {
                        secret.facts.recall(&was.facts);
                    }
                    view.secrets.insert(name.clone(), Sight::Seen(secret));
                }
                Ok(None) => {
                    view.secrets.remove(name);
                }
                Err(source) if source.is_fatal() => {
                    return Err(SyncError::Remote {
                        remote: remote.clone(),
                        source,
                    });
                }
                Err(source) => {
                    let why = Sight::Blocked(source.to_string());
                    view.secrets.insert(name.clone(), why);
                }
            }
        }
    }
    Ok(())
}

/// Whether an error concerns the secret alone, so that the others go on.
fn is_local(error: &StoreError) -> bool {
    !error.is_fatal()
}
