//! Entries of a listing that are older than what is known already.
//!
//! ListSecrets may miss the last five minutes, our own writes among them. An entry that
//! says something else than was last agreed and is not younger than that is no news
//! until a look of its own confirms it; taken at its word it would undo what was just
//! pushed (sync.md section 1.16 b to d).

use futures_util::StreamExt as _;

use super::is_local;
use crate::model::{RemoteName, RemoteView, SecretName, Sight};
use crate::store::{SecretStore, StoreError};
use crate::vault::Loaded;

/// How many look-ups are under way at once.
const AT_ONCE: usize = 16;

/// Looks up every secret whose entry may be out of date, and puts what it shows in the
/// entry's place.
pub(super) async fn confirm<S: SecretStore>(
    loaded: &Loaded,
    remote: &RemoteName,
    store: &S,
    view: &mut RemoteView,
) -> Result<(), StoreError> {
    let doubtful: Vec<SecretName> = view
        .secrets
        .iter()
        .filter(|(name, sight)| is_doubtful(loaded, remote, name, sight))
        .map(|(name, _)| name.clone())
        .collect();
    let mut looks = futures_util::stream::iter(doubtful)
        .map(|name| async move {
            let found = store.describe(&name).await;
            (name, found)
        })
        .buffered(AT_ONCE);
    while let Some((name, found)) = looks.next().await {
        match found {
            Ok(Some(secret)) => view.secrets.insert(name, Sight::Seen(secret)),
            Ok(None) => view.secrets.remove(&name),
            Err(error) if is_local(&error) => {
                view.secrets.insert(name, Sight::Blocked(error.to_string()))
            }
            Err(error) => return Err(error),
        };
    }
    Ok(())
}

fn is_doubtful(loaded: &Loaded, remote: &RemoteName, name: &SecretName, sight: &Sight) -> bool {
    let Sight::Seen(seen) = sight else {
        return false;
    };
    let record = loaded.records.get(name);
    let Some(pair) = record
        .and_then(|r| r.base.get(remote))
        .and_then(|b| b.pair.as_ref())
    else {
        return false;
    };
    let (Some(shown), Some(agreed)) = (seen.facts.changed, pair.changed) else {
        return false;
    };
    shown <= agreed && (seen.facts.arn != pair.arn || seen.state.face() != pair.remote)
}
