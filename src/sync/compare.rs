//! Reads values where ids alone cannot tell: at a first meeting, whether they are the
//! same (sync.md section 1.11), under two ids or under one; where a remote's label comes
//! to be on an id that is here already, whether that is the same version (section 1.9);
//! where the newest version is to win, when they were made.

use std::collections::{BTreeMap, BTreeSet};

use super::{Prepared, is_local, prepare_from};
use crate::model::{
    Class, Content, Field, RemoteName, RemoteSecret, SecretName, Sight, StagingLabel, VersionId,
    travels,
};
use crate::plan::{NoteKind, Policy, Waits};
use crate::store::{BATCH, Progress, Retrieved, SecretStore, StoreError};
use crate::vault::Vault;

/// One version to read.
type Wanted = (SecretName, VersionId);

/// Plans once more with the digests of what the vault and a remote have as AWSCURRENT
/// under different ids at their first meeting: equal values are no conflict, the
/// remote's ids are adopted. And with the dates of versions, where a strategy asks for
/// them. The values are read by twenties and dropped at once.
///
/// Digests need the key; a locked vault, or a value that cannot be read, leaves the
/// conflict, and one id is taken for one version. A secret that could not be compared
/// since the remote answers no more is blocked.
pub async fn compare<S: SecretStore>(
    vault: &Vault,
    stores: &BTreeMap<RemoteName, S>,
    mut prepared: Prepared,
    policy: &Policy,
    progress: &dyn Progress,
) -> Prepared {
    let keys = vault.keys();
    let mut unknown = unknown(&prepared, keys.is_some());
    let doubted = match keys {
        Some(_) => doubted(&prepared),
        None => BTreeMap::new(),
    };
    for (remote, wanted) in &doubted {
        let of = unknown.entry(remote.clone()).or_default();
        of.extend(wanted.iter().cloned());
    }
    let total = unknown.values().map(BTreeSet::len).sum();
    if total == 0 {
        return prepared;
    }
    progress.begin("comparing values", Some(total));
    for (remote, wanted) in unknown {
        let (Some(store), Some(view)) = (stores.get(&remote), prepared.views.get_mut(&remote))
        else {
            continue;
        };
        let is_current = |(name, id): &Wanted| match view.secrets.get(name) {
            Some(Sight::Seen(seen)) => seen.state.current() == Some(id),
            _ => false,
        };
        let (current, others): (Vec<Wanted>, Vec<Wanted>) =
            wanted.into_iter().partition(is_current);
        let batches = current
            .chunks(BATCH)
            .map(|some| (some, true))
            .chain(others.chunks(BATCH).map(|some| (some, false)));
        let mut open = doubted.get(&remote).cloned().unwrap_or_default();
        for (some, current) in batches {
            let values = if current {
                read(store, some).await
            } else {
                read_singly(store, some).await
            };
            let values = match values {
                Ok(values) => values,
                // The run itself meets the same error, and reports it; where it has no
                // value to read it must not go on as if it had compared.
                Err(error) => {
                    for (name, _) in std::mem::take(&mut open) {
                        view.secrets.insert(name, Sight::Blocked(error.to_string()));
                    }
                    break;
                }
            };
            for wanted in some {
                open.remove(wanted);
            }
            for ((name, id), value) in some.iter().zip(values) {
                let seen = match view.secrets.get_mut(name) {
                    Some(Sight::Seen(seen)) => seen.state.versions.get_mut(id),
                    _ => None,
                };
                if let (Some(seen), Ok(got)) = (seen, value)
                    && got.id == *id
                {
                    seen.created = got.created;
                    if let Ok(keys) = vault.keys_for(name)
                        && let Ok(digest) = keys.digest(&got.value)
                    {
                        seen.content = Content::Value {
                            kind: got.value.kind(),
                            digest,
                        };
                    }
                }
            }
            progress.advance(some.len());
        }
    }
    progress.finish();
    prepare_from(prepared.loaded, prepared.views, policy)
}

/// The remotes' current versions that a conflict of a first meeting is about, and the
/// versions whose date is wanted.
fn unknown(prepared: &Prepared, digests: bool) -> BTreeMap<RemoteName, BTreeSet<Wanted>> {
    let mut unknown: BTreeMap<RemoteName, BTreeSet<Wanted>> = BTreeMap::new();
    let plan = &prepared.plan;
    // One that a strategy answered may be none, too.
    let answered = plan.answers().map(|(name, a)| (name, &a.conflict));
    for (name, conflict) in plan.conflicts().chain(answered).filter(|_| digests) {
        if conflict.class == Class::CreateCreate
            && matches!(&conflict.field, Field::Label(label) if label.is_current())
            && let Some(Ok(id)) = conflict.theirs.as_ref().map(|id| id.parse())
        {
            let of = unknown.entry(conflict.remote.clone()).or_default();
            of.insert((name.clone(), id));
        }
    }
    for (name, note) in plan.notes() {
        if let NoteKind::Waits {
            why: Waits::Undated(versions),
            ..
        } = &note.kind
        {
            for (remote, id) in versions {
                let of = unknown.entry(remote.clone()).or_default();
                of.insert((name.clone(), id.clone()));
            }
        }
    }
    unknown
}

/// What a remote has under ids that are somebody else's already: the vault's, or another
/// remote's that is met at the same time. Only what is new since the last agreement is
/// looked at, so that it is read once.
fn doubted(prepared: &Prepared) -> BTreeMap<RemoteName, BTreeSet<Wanted>> {
    let mut doubted: BTreeMap<RemoteName, BTreeSet<Wanted>> = BTreeMap::new();
    let mut met: BTreeMap<Wanted, BTreeSet<RemoteName>> = BTreeMap::new();
    for (remote, view) in &prepared.views {
        for (name, sight) in &view.secrets {
            let Sight::Seen(seen) = sight else {
                continue;
            };
            let record = prepared.loaded.records.get(name);
            if record.is_none() && !prepared.plan.secrets.contains_key(name) {
                continue;
            }
            if record.is_some_and(|r| r.conflicts.iter().any(crate::model::Conflict::is_alarm)) {
                continue;
            }
            let base = record.and_then(|r| r.base.get(remote)?.pair.as_ref());
            let base = base.filter(|p| p.arn == seen.facts.arn);
            for (label, id) in new_labels(seen, base.map(|p| &p.remote.labels)) {
                // What was seen of it there is what is there, unless there are two.
                let seen_then = base.is_some_and(|p| p.remote.labels.values().any(|v| v == id));
                let is_doubtful = |l: &StagingLabel| l.aliased().as_ref() == Some(id);
                let two = record.is_some_and(|r| r.state.labels.keys().any(is_doubtful));
                if seen_then && !two {
                    continue;
                }
                let here = record.and_then(|r| r.state.versions.get(id));
                let wanted = (name.clone(), id.clone());
                if here.is_some_and(crate::model::VersionMeta::has_value) {
                    doubted.entry(remote.clone()).or_default().insert(wanted);
                } else if base.is_none() && label.is_current() {
                    met.entry(wanted).or_default().insert(remote.clone());
                }
            }
        }
    }
    for (wanted, remotes) in met.into_iter().filter(|(_, remotes)| remotes.len() > 1) {
        for remote in remotes {
            doubted.entry(remote).or_default().insert(wanted.clone());
        }
    }
    doubted
}

/// The labels that are on another version than was agreed, and that version not read yet;
/// where nothing was, AWSCURRENT alone, which can be read by twenties.
fn new_labels<'s>(
    seen: &'s RemoteSecret,
    agreed: Option<&'s BTreeMap<StagingLabel, VersionId>>,
) -> impl Iterator<Item = (&'s StagingLabel, &'s VersionId)> {
    let state = &seen.state;
    let live = state.lifecycle.is_live();
    state.labels.iter().filter(move |(label, id)| {
        let unread = state
            .versions
            .get(*id)
            .is_some_and(|v| v.content == Content::Unread);
        let new = match agreed {
            None => label.is_current(),
            Some(agreed) => travels(label) && agreed.get(*label) != Some(*id),
        };
        live && unread && new
    })
}

/// Reads current versions in one call, or one by one where that call is not allowed.
async fn read<S: SecretStore>(
    store: &S,
    wanted: &[Wanted],
) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
    let names: Vec<SecretName> = wanted.iter().map(|(name, _)| name.clone()).collect();
    match store.read_current(&names).await {
        Err(error) if is_local(&error) => read_singly(store, wanted).await,
        values => values,
    }
}

async fn read_singly<S: SecretStore>(
    store: &S,
    wanted: &[Wanted],
) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
    let mut values = Vec::new();
    for (name, id) in wanted {
        match store.read(name, id).await {
            Err(error) if !is_local(&error) => return Err(error),
            value => values.push(value),
        }
    }
    Ok(values)
}
