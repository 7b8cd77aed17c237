//! Compares values where ids alone cannot tell: at a first meeting (sync.md section
//! 1.11).

use std::collections::BTreeMap;

use super::{Prepared, is_local, prepare_from};
use crate::model::{Class, Content, Field, RemoteName, SecretName, Sight, VersionId};
use crate::plan::Policy;
use crate::store::{BATCH, Progress, Retrieved, SecretStore, StoreError};
use crate::vault::Vault;

/// Plans once more with the digests of what the vault and a remote have as AWSCURRENT
/// under different ids at their first meeting: equal values are no conflict, the
/// remote's ids are adopted. The values are read by twenties and dropped at once.
///
/// Needs the key; a locked vault, or a value that cannot be read, leaves the conflict.
pub async fn compare<S: SecretStore>(
    vault: &Vault,
    stores: &BTreeMap<RemoteName, S>,
    mut prepared: Prepared,
    policy: &Policy,
    progress: &dyn Progress,
) -> Prepared {
    let Some(keys) = vault.keys() else {
        return prepared;
    };
    let unknown = unknown(&prepared);
    let total = unknown.values().map(Vec::len).sum();
    if total == 0 {
        return prepared;
    }
    progress.begin("comparing values", Some(total));
    for (remote, wanted) in unknown {
        let (Some(store), Some(view)) = (stores.get(&remote), prepared.views.get_mut(&remote))
        else {
            continue;
        };
        for some in wanted.chunks(BATCH) {
            let Ok(values) = read(store, some).await else {
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
                    && let Ok(digest) = keys.digest(&got.value)
                {
                    seen.content = Content::Value {
                        kind: got.value.kind(),
                        digest,
                    };
                }
            }
            progress.advance(some.len());
        }
    }
    progress.finish();
    prepare_from(prepared.loaded, prepared.views, policy)
}

/// The remote's current versions that a conflict of a first meeting is about.
fn unknown(prepared: &Prepared) -> BTreeMap<RemoteName, Vec<(SecretName, VersionId)>> {
    let mut unknown: BTreeMap<RemoteName, Vec<(SecretName, VersionId)>> = BTreeMap::new();
    for (name, conflict) in prepared.plan.conflicts() {
        if conflict.class == Class::CreateCreate
            && matches!(&conflict.field, Field::Label(label) if label.is_current())
            && let Some(Ok(id)) = conflict.theirs.as_ref().map(|id| id.parse())
        {
            let of = unknown.entry(conflict.remote.clone()).or_default();
            of.push((name.clone(), id));
        }
    }
    unknown
}

/// Reads current versions in one call, or one by one where that call is not allowed.
async fn read<S: SecretStore>(
    store: &S,
    wanted: &[(SecretName, VersionId)],
) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
    let names: Vec<SecretName> = wanted.iter().map(|(name, _)| name.clone()).collect();
    match store.read_current(&names).await {
        Err(error) if is_local(&error) => {
            let mut values = Vec::new();
            for (name, id) in wanted {
                match store.read(name, id).await {
                    Err(error) if !is_local(&error) => return Err(error),
                    value => values.push(value),
                }
            }
            Ok(values)
        }
        values => values,
    }
}
