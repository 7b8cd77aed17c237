//! What a remote has of its own, right before and right after it is written: AWS compares
//! nothing there (sync.md section 1.7).

use std::time::Duration;

use crate::model::{Change, OwnField, RemoteSecret, SecretName, canonical_json};
use crate::store::{SecretStore, StoreError};

/// How often it is looked at until it shows what was written.
const LOOKS: u32 = 5;

/// What the remote has now. A policy has a call of its own.
async fn now_of<S: SecretStore>(
    store: &S,
    name: &SecretName,
    field: OwnField,
    described: &RemoteSecret,
) -> Result<Option<String>, StoreError> {
    if field == OwnField::Policy {
        let policy = store.policy(name).await?;
        return Ok(policy.map_or_else(|| Some(String::new()), |text| canonical_json(&text)));
    }
    let now = described.facts.own(field);
    Ok(now.map(std::borrow::Cow::into_owned))
}

/// Whether the remote still has what the changes are to replace.
pub(super) async fn is_as_planned<S: SecretStore>(
    store: &S,
    name: &SecretName,
    changes: &[&Change],
    described: Option<&RemoteSecret>,
) -> Result<bool, StoreError> {
    // It is about to be made, and has nothing yet.
    let Some(described) = described else {
        return Ok(true);
    };
    for change in changes {
        if let Change::SetOwn { field, from, .. } = change
            && now_of(store, name, *field, described).await?.as_ref() != Some(from)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Looks until the remote shows something else than was replaced, and puts down what:
/// the service may have its own spelling. False if it never does.
pub(super) async fn look<S: SecretStore>(
    store: &S,
    name: &SecretName,
    changes: &[&Change],
    seen: &mut Option<RemoteSecret>,
) -> Result<bool, StoreError> {
    for change in changes {
        let Change::SetOwn { field, from, to } = change else {
            continue;
        };
        let mut pause = Duration::from_millis(100);
        let mut looks = 1;
        loop {
            let Some(described) = seen.as_mut() else {
                return Ok(false);
            };
            let now = now_of(store, name, *field, described).await?;
            let shown = now.as_ref().is_some_and(|now| match field {
                OwnField::Replicas => field.is_met(to, now),
                _ => now != from,
            });
            if *field == OwnField::Policy {
                described.facts.policy = now;
            }
            if shown {
                break;
            }
            if looks == LOOKS {
                return Ok(false);
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            looks += 1;
            let policy = described.facts.policy.take();
            *seen = store.describe(name).await?;
            if let (Some(seen), Some(_)) = (seen.as_mut(), &policy) {
                seen.facts.policy = policy;
            }
        }
    }
    Ok(true)
}
