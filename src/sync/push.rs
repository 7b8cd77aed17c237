//! The remote half of a secret's plan: each step by compare-and-swap where AWS has
//! one, between two looks where it has none.

use std::collections::BTreeMap;
use std::time::Duration;

use super::own;
use super::report::Outcome;
use crate::model::{
    AuditEntry, Change, Face, Invalid, Lifecycle, Record, RemoteName, RemoteSecret, RemoteView,
    SecretName, Sight, VersionId, travels,
};
use crate::plan::{SecretPlan, Side};
use crate::store::{Retrieved, SecretStore, StoreError};
use crate::vault::Vault;

/// How often a remote is looked at until it shows what was just written. All of its
/// operations are eventually consistent (sync.md section 9, m).
const LOOKS: u32 = 5;

/// What came of a secret's remote half.
pub(super) struct Pushed {
    pub(super) outcome: Outcome,
    /// Each remote that was written to, as it shows itself afterwards.
    pub(super) seen: BTreeMap<RemoteName, Option<RemoteSecret>>,
    /// How many steps were taken.
    pub(super) steps: usize,
    /// Another content than the vault's under one of its ids.
    pub(super) other: Option<Other>,
}

/// What a remote has under an id that it refused to take from the vault.
pub(super) struct Other {
    pub(super) remote: RemoteName,
    pub(super) id: VersionId,
    pub(super) found: Retrieved,
}

/// Carries out every remote action of one secret. `record` already holds every
/// version the actions are about.
pub(super) async fn push<S: SecretStore>(
    vault: &Vault,
    record: &Record,
    plan: &SecretPlan,
    views: &BTreeMap<RemoteName, RemoteView>,
    stores: &BTreeMap<RemoteName, S>,
) -> Pushed {
    let mut pushed = Pushed {
        outcome: Outcome::Done,
        seen: BTreeMap::new(),
        steps: 0,
        other: None,
    };
    let mut remotes: Vec<&RemoteName> = Vec::new();
    for action in &plan.actions {
        if let Side::Remote(remote) = &action.on
            && !remotes.contains(&remote)
        {
            remotes.push(remote);
        }
    }
    for remote in remotes {
        let Some(store) = stores.get(remote) else {
            continue;
        };
        let changes: Vec<&Change> = plan
            .actions
            .iter()
            .filter(|a| a.on == Side::Remote(remote.clone()))
            .map(|a| &a.change)
            .collect();
        let expected = match views.get(remote).and_then(|v| v.secrets.get(&record.name)) {
            Some(Sight::Seen(seen)) => Some(seen),
            _ => None,
        };
        let one = One {
            vault,
            record,
            remote,
            store,
            expected,
            target: plan.shown.get(remote),
        };
        match one.run(&changes, &mut pushed.steps).await {
            Ok(seen) => {
                pushed.seen.insert(remote.clone(), seen);
            }
            Err(Stop::Superseded(why)) => {
                pushed.outcome = Outcome::Superseded(why);
                break;
            }
            Err(Stop::Integrity(why)) => {
                pushed.outcome = Outcome::Integrity(why);
                break;
            }
            Err(Stop::Here(why)) => {
                pushed.outcome = Outcome::Unreadable(why);
                break;
            }
            Err(Stop::Taken(id)) => {
                pushed.outcome = Outcome::Integrity(format!(
                    "version {id} exists on {remote} with other content"
                ));
                // Not readable: then the refusal is all there is to say.
                if let Ok(found) = store.read(&record.name, &id).await {
                    let remote = remote.clone();
                    pushed.other = Some(Other { remote, id, found });
                }
                break;
            }
            Err(Stop::Store(error)) => {
                pushed.outcome = Outcome::Failed {
                    remote: remote.clone(),
                    error,
                };
                break;
            }
        }
    }
    pushed
}

enum Stop {
    Superseded(String),
    Integrity(String),
    /// The vault's value cannot be read now.
    Here(String),
    /// The id has another content there.
    Taken(VersionId),
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Changed(why) => Self::Superseded(why.to_string()),
            StoreError::VersionMismatch(id) => Self::Taken(id),
            error => Self::Store(error),
        }
    }
}

/// One secret on one remote.
struct One<'a, S> {
    vault: &'a Vault,
    record: &'a Record,
    remote: &'a RemoteName,
    store: &'a S,
    /// As the plan saw it.
    expected: Option<&'a RemoteSecret>,
    /// As it will show itself afterwards.
    target: Option<&'a Face>,
}

impl<S: SecretStore> One<'_, S> {
    async fn run(
        &self,
        changes: &[&Change],
        steps: &mut usize,
    ) -> Result<Option<RemoteSecret>, Stop> {
        let name = &self.record.name;
        if changes.iter().any(|c| is_unguarded(c)) {
            let now = self.store.describe(name).await?;
            if !same(now.as_ref(), self.expected) {
                return Err(Stop::Superseded(
                    "it changed on the remote since".to_owned(),
                ));
            }
            if !own::is_as_planned(self.store, name, changes, now.as_ref()).await? {
                return Err(Stop::Superseded(
                    "what the remote has of its own changed since".to_owned(),
                ));
            }
        }
        for change in changes {
            let value =
                match new_version(change) {
                    Some(id) => {
                        Some(self.vault.read(self.record, id).map_err(
                            |e| match e.is_integrity() {
                                true => Stop::Integrity(e.to_string()),
                                false => Stop::Here(e.to_string()),
                            },
                        )?)
                    }
                    None => None,
                };
            let blind;
            let mut change: &Change = change;
            if seeded!(DropCas)
                && let Change::MoveLabel { label, to, .. } = change
                && let Some(now) = self.store.describe(name).await?
            {
                let from = now.state.labels.get(label).cloned();
                let (label, to) = (label.clone(), to.clone());
                blind = Change::MoveLabel { label, from, to };
                change = &blind;
            }
            let applied = self.store.apply(name, change, value.as_ref()).await;
            self.note(change, applied.is_ok());
            applied?;
            *steps += 1;
        }
        let mut seen = self.look(name).await?;
        let deleted = changes.iter().any(|c| matches!(c, Change::Delete { .. }));
        let labels = |s: &RemoteSecret| s.state.face().labels;
        if deleted
            && seen
                .as_ref()
                .is_some_and(|s| s.state.lifecycle.is_scheduled())
            && seen.as_ref().map(labels) != self.expected.map(labels)
        {
            // Somebody wrote between the look and the deletion: undo it.
            self.store.apply(name, &Change::Restore, None).await?;
            return Err(Stop::Superseded(
                "it changed on the remote while it was being deleted".to_owned(),
            ));
        }
        if let Some(target) = self.target
            && !reached(seen.as_ref(), target)
        {
            return Err(Stop::Superseded(
                "the remote does not show what was written".to_owned(),
            ));
        }
        if !own::look(self.store, name, changes, &mut seen).await? {
            return Err(Stop::Superseded(
                "the remote does not show what was written of its own".to_owned(),
            ));
        }
        Ok(seen)
    }

    /// Tells the audit log of a step. The step is taken: a log that cannot be written
    /// does not undo it, and has stopped the reading of its value before.
    fn note(&self, change: &Change, is_done: bool) {
        let entry = AuditEntry::of_remote(change, self.record, self.remote);
        let entry = entry.map(|entry| match is_done {
            true => entry,
            false => entry.failed("RemoteRefused"),
        });
        drop(self.vault.note(None, entry.into_iter().collect()));
    }

    /// Looks until the remote shows the target, a few times at most.
    async fn look(&self, name: &SecretName) -> Result<Option<RemoteSecret>, Stop> {
        let mut pause = Duration::from_millis(100);
        for _ in 1..LOOKS {
            let seen = self.store.describe(name).await?;
            if self.target.is_none_or(|t| reached(seen.as_ref(), t)) {
                return Ok(seen);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Ok(self.store.describe(name).await?)
    }
}

/// Whether AWS compares nothing before it makes the change. Creation and label moves are
/// checked by the remote itself; the rest is not, so it is looked at right before.
pub(super) fn is_unguarded(change: &Change) -> bool {
    matches!(
        change,
        Change::SetAttributes { .. }
            | Change::SetOwn { .. }
            | Change::Delete { .. }
            | Change::Restore
    )
}

/// The version a change brings, whose value must go with it.
fn new_version(change: &Change) -> Option<&VersionId> {
    match change {
        Change::Create {
            version: Some((id, _)),
            ..
        }
        | Change::AddVersion { id, .. } => Some(id),
        _ => None,
    }
}

/// Whether a remote still is as a plan saw it, in what plans look at.
fn same(now: Option<&RemoteSecret>, then: Option<&RemoteSecret>) -> bool {
    match (now, then) {
        (None, None) => true,
        (Some(now), Some(then)) => {
            now.facts.arn == then.facts.arn
                && now.state.lifecycle.as_str() == then.state.lifecycle.as_str()
                && now.state.attributes == then.state.attributes
                && now.state.face().labels == then.state.face().labels
        }
        _ => false,
    }
}

/// Whether a remote shows what a plan made of it, in what travels.
fn reached(seen: Option<&RemoteSecret>, target: &Face) -> bool {
    let Some(seen) = seen else {
        return target.lifecycle == Lifecycle::Tombstone;
    };
    let face = seen.state.face();
    if face.lifecycle.as_str() != target.lifecycle.as_str() {
        return false;
    }
    if !target.lifecycle.is_live() {
        return true;
    }
    let labels = |f: &Face| -> Vec<(String, String)> {
        f.labels
            .iter()
            .filter(|(l, _)| travels(l))
            .map(|(l, v)| (l.as_str().to_owned(), v.as_str().to_owned()))
            .collect()
    };
    labels(&face) == labels(target) && face.attributes == target.attributes
}

/// The outcome for a step that no longer fits the vault's own record.
pub(super) fn superseded_here(error: &Invalid) -> Outcome {
    Outcome::Superseded(format!("it changed in the vault: {error}"))
}
