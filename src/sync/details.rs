//! What no listing says: replicas and resource policies.
//!
//! Each takes a call of its own for each secret, so that is asked for only where the
//! remote is set to, and then only of what changed since: a sync of nothing stays at its
//! listing (sync.md section 2).

use futures_util::StreamExt as _;

use super::is_local;
use crate::model::{
    Extras, OwnField, RemoteFacts, RemoteName, RemoteView, SecretName, Sight, canonical_json,
};
use crate::store::{Progress, SecretStore, StoreError};
use crate::vault::Loaded;

/// How many look-ups are under way at once.
const AT_ONCE: usize = 16;

/// Of which secrets replicas and policies are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Details {
    /// Of those that changed since, if the remote is set to.
    AsSet,
    /// Of all.
    All,
}

/// Keeps what the last view knew and a listing does not tell.
pub(super) fn recall(view: &mut RemoteView, earlier: &RemoteView) {
    for (name, sight) in &mut view.secrets {
        if let (Sight::Seen(seen), Some(Sight::Seen(was))) = (sight, earlier.secrets.get(name)) {
            seen.facts.recall(&was.facts);
        }
    }
}

/// Whether something set here waits to be pushed that a listing says nothing of: what is
/// there must be known first.
pub(super) fn waits(
    loaded: &Loaded,
    remote: &RemoteName,
    name: &SecretName,
    extras: Extras,
) -> bool {
    let Some(record) = loaded.records.get(name) else {
        return false;
    };
    let base = record.base.get(remote);
    [OwnField::Policy, OwnField::Replicas]
        .into_iter()
        .any(|field| {
            let wanted = match base.and_then(|b| b.own.get(&field)) {
                Some(entry) => entry.here.is_some(),
                None => record.details.own(field).is_some(),
            };
            wanted && extras.refuses(field).is_none()
        })
}

/// Asks for replicas and policies of every secret that `of` lets through.
pub(super) async fn look<S: SecretStore>(
    store: &S,
    view: &mut RemoteView,
    of: impl Fn(&SecretName, &RemoteFacts) -> bool,
    progress: &dyn Progress,
) -> Result<(), StoreError> {
    let wanted: Vec<SecretName> = view
        .secrets
        .iter()
        .filter(|(name, sight)| {
            matches!(sight, Sight::Seen(seen)
                if seen.state.lifecycle.is_live() && of(name, &seen.facts))
        })
        .map(|(name, _)| name.clone())
        .collect();
    if wanted.is_empty() {
        return Ok(());
    }
    progress.begin("looking at replicas and policies", Some(wanted.len()));
    let mut answers = futures_util::stream::iter(wanted)
        .map(|name| async move {
            let described = store.describe(&name).await;
            let policy = match &described {
                Ok(Some(_)) => Some(store.policy(&name).await),
                _ => None,
            };
            (name, described, policy)
        })
        .buffered(AT_ONCE);
    while let Some((name, described, policy)) = answers.next().await {
        progress.advance(1);
        let Some(Sight::Seen(seen)) = view.secrets.get_mut(&name) else {
            continue;
        };
        match described {
            // It changed meanwhile: what was listed is the plan's, the rest is for the
            // next time.
            Ok(Some(now)) if now.facts.arn == seen.facts.arn => {
                seen.facts.looked = now.facts.changed == seen.facts.changed;
                seen.facts.replicas = now.facts.replicas;
            }
            Ok(_) => continue,
            Err(error) if is_local(&error) => continue,
            Err(error) => return Err(error),
        }
        match policy {
            Some(Ok(None)) => seen.facts.policy = Some(String::new()),
            Some(Ok(Some(text))) => seen.facts.policy = canonical_json(&text),
            // Not known, and not asked for again until it changes.
            Some(Err(error)) if is_local(&error) => seen.facts.policy = None,
            Some(Err(error)) => return Err(error),
            None => {}
        }
    }
    progress.finish();
    Ok(())
}
