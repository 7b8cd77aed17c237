//! Reads values where ids alone cannot tell: at a first meeting, whether they are the
//! same (sync.md section 1.11); where the newest version is to win, when they were made.

use std::collections::{BTreeMap, BTreeSet};

use super::{Prepared, is_local, prepare_from};
use crate::model::{Class, Content, Field, RemoteName, SecretName, Sight, VersionId};
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
/// conflict.
pub async fn compare<S: SecretStore>(
    vault: &Vault,
    stores: &BTreeMap<RemoteName, S>,
    mut prepared: Prepared,
    policy: &Policy,
    progress: &dyn Progress,
) -> Prepared {
    let keys = vault.keys();
    let unknown = unknown(&prepared, keys.is_some());
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
        for (some, current) in batches {
            let values = if current {
                read(store, some).await
            } else {
                read_singly(store, some).await
            };
            let Ok(values) = values else {
                // The run itself meets the same error, and reports it.
                break;
            };
            for ((name, id), value) in some.iter().zip(values) {
                let seen = match view.secrets.get_mut(name) {
                    Some(Sight::Seen(seen)) => seen.state.versions.get_mut(id),
                    _ => None,
                };
                if let (Some(seen), Ok(got)) = (seen, value)
                    && got.id == *id
                {
                    seen.created = got.created;
                    if let Some(Ok(digest)) = keys.map(|keys| keys.digest(&got.value)) {
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
