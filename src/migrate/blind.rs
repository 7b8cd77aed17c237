//! A second verification that knows neither plan nor journal nor key: it reads both
//! accounts and compares them in memory.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;

use super::item::carried;
use super::outcome::Findings;
use super::rewrite::{policy, same_policy};
use super::rules::{Policies, Rules, Target};
use super::saved::Side;
use super::seen::{blockers, named};
use super::verify::is_key;
use super::{AT_ONCE, MigrateError};
use crate::model::{Attributes, SecretName, SecretValue, Sight, VersionId};
use crate::store::{Account, BATCH, Inspected, Progress, Retrieved, StoreError};

/// Compares every secret of one account with what the rules make of it in another.
/// `sides` are which accounts the two are: the rules for policies speak of them.
pub async fn blind<S: Account>(
    from: &S,
    to: &S,
    sides: (&Side, &Side),
    rules: &Rules,
    progress: &dyn Progress,
) -> Result<Findings, MigrateError> {
    let view = from.view(&[], progress).await.map_err(MigrateError::From)?;
    let mut findings = Findings::default();
    let mut pairs = Vec::new();
    for (name, sight) in &view.secrets {
        match (rules.target(name), sight) {
            (Target::Name(target), Sight::Seen(_)) => pairs.push((name.clone(), target)),
            (Target::Name(_), Sight::Blocked(why)) => {
                findings.unmoved.insert(name.clone(), why.clone());
            }
            (Target::Invalid(to, error), _) => {
                let why = format!("it would become {to:?}: {error}");
                findings.unmoved.insert(name.clone(), why);
            }
            (Target::Dropped | Target::Outside, _) => {}
        }
    }
    progress.begin("comparing", Some(pairs.len()));
    for chunk in pairs.chunks(BATCH) {
        compare_chunk(from, to, sides, rules, chunk, &mut findings).await?;
        progress.advance(chunk.len());
    }
    progress.finish();
    Ok(findings)
}

async fn inspect_all<S: Account>(
    store: &S,
    names: Vec<&SecretName>,
) -> Vec<Result<Option<Inspected>, StoreError>> {
    let looks = names.into_iter().map(|name| store.inspect(name));
    futures_util::stream::iter(looks)
        .buffered(AT_ONCE)
        .collect()
        .await
}

async fn compare_chunk<S: Account>(
    from: &S,
    to: &S,
    sides: (&Side, &Side),
    rules: &Rules,
    pairs: &[(SecretName, SecretName)],
    findings: &mut Findings,
) -> Result<(), MigrateError> {
    let ours = inspect_all(from, pairs.iter().map(|(a, _)| a).collect()).await;
    let theirs = inspect_all(to, pairs.iter().map(|(_, b)| b).collect()).await;
    let mut live = Vec::new();
    for ((pair, a), b) in pairs.iter().zip(ours).zip(theirs) {
        let name = pair.0.clone();
        let a = match a {
            Ok(Some(a)) => a,
            // Gone between the listing and the look.
            Ok(None) => continue,
            Err(error) if error.is_fatal() => return Err(MigrateError::From(error)),
            Err(error) => {
                findings.unmoved.insert(name, error.to_string());
                continue;
            }
        };
        let reasons = blockers(&a, rules);
        match b {
            Err(error) if error.is_fatal() => return Err(MigrateError::To(error)),
            Err(error) => {
                findings.differ.insert(name, vec![error.to_string()]);
            }
            _ if !reasons.is_empty() => {
                findings.unmoved.insert(name, reasons.join("; "));
            }
            Ok(None) => findings.missing.push(name),
            Ok(Some(b)) if !b.secret.state.lifecycle.is_live() => {
                let why = "the copy is scheduled for deletion".to_owned();
                findings.differ.insert(name, vec![why]);
            }
            Ok(Some(b)) => live.push((pair, a, b)),
        }
    }
    let names = |pick: fn(&(SecretName, SecretName)) -> &SecretName| -> Vec<SecretName> {
        live.iter().map(|(pair, _, _)| pick(pair).clone()).collect()
    };
    let here = from.read_current(&names(|p| &p.0)).await;
    let here = here.map_err(MigrateError::From)?;
    let there = to.read_current(&names(|p| &p.1)).await;
    let there = there.map_err(MigrateError::To)?;
    let checks = live
        .iter()
        .zip(here)
        .zip(there)
        .map(|(((pair, a, b), here), there)| async move {
            let mut differ = facts(rules, a, b);
            let left = values(from, &pair.0, a, here, MigrateError::From).await?;
            let right = values(to, &pair.1, a, there, MigrateError::To).await?;
            for (id, value) in &left {
                match right.get(id) {
                    Some(other) if other.same_as(value) => {}
                    Some(_) => differ.push(format!("the value of version {}", id.short())),
                    None => differ.push(format!("version {} is missing", id.short())),
                }
            }
            if left.len() < carried_ids(a).len() {
                differ.push("a version of the source cannot be read".to_owned());
            }
            if rules.policy == Policies::Rewrite {
                differ.extend(policies(from, to, sides, rules, pair).await?);
            }
            Ok::<_, MigrateError>((pair.0.clone(), differ))
        });
    let checks: Vec<_> = futures_util::stream::iter(checks)
        .buffered(AT_ONCE)
        .collect()
        .await;
    for check in checks {
        let (name, differ) = check?;
        if differ.is_empty() {
            findings.ok.push(name);
        } else {
            findings.differ.insert(name, differ);
        }
    }
    Ok(())
}

fn carried_ids(seen: &Inspected) -> std::collections::BTreeSet<VersionId> {
    carried(&seen.secret).into_values().collect()
}

/// The values that the source's labels point to, read on one side.
async fn values<S: Account>(
    store: &S,
    name: &SecretName,
    source: &Inspected,
    current: Result<Retrieved, StoreError>,
    wrap: fn(StoreError) -> MigrateError,
) -> Result<BTreeMap<VersionId, SecretValue>, MigrateError> {
    let mut values = BTreeMap::new();
    let wanted = carried_ids(source);
    if let Ok(got) = current
        && wanted.contains(&got.id)
    {
        values.insert(got.id, got.value);
    }
    for id in wanted {
        if values.contains_key(&id) {
            continue;
        }
        match store.read(name, &id).await {
            Ok(got) => {
                values.insert(id, got.value);
            }
            Err(error) if error.is_fatal() => return Err(wrap(error)),
            // A missing one is told by its absence.
            Err(_) => {}
        }
    }
    Ok(values)
}

/// What differs in the resource policies.
async fn policies<S: Account>(
    from: &S,
    to: &S,
    sides: (&Side, &Side),
    rules: &Rules,
    (source, target): &(SecretName, SecretName),
) -> Result<Option<String>, MigrateError> {
    let (ours, theirs) = (from.policy(source).await, to.policy(target).await);
    let (ours, theirs) = match (ours, theirs) {
        (Err(error), _) if error.is_fatal() => return Err(MigrateError::From(error)),
        (_, Err(error)) if error.is_fatal() => return Err(MigrateError::To(error)),
        (Err(error), _) => return Ok(Some(format!("the source's resource policy ({error})"))),
        (_, Err(error)) => return Ok(Some(format!("the resource policy ({error})"))),
        (Ok(ours), Ok(theirs)) => (ours, theirs),
    };
    let rewritten = ours.as_deref().map(|text| {
        let target = |name: &SecretName| match rules.target(name) {
            Target::Name(name) => Some(name),
            _ => None,
        };
        policy(text, sides.0, sides.1, rules.account_rewrite, target)
    });
    let same = match (&rewritten, &theirs) {
        (None, None) => true,
        // What names the source account was not to move.
        (Some(Some(wanted)), Some(has)) => wanted.left == 0 && same_policy(&wanted.text, has),
        _ => false,
    };
    Ok((!same).then(|| "the resource policy".to_owned()))
}

fn facts(rules: &Rules, a: &Inspected, b: &Inspected) -> Vec<String> {
    let mut differ = Vec::new();
    if carried(&a.secret) != carried(&b.secret) {
        differ.push("the labels".to_owned());
    }
    let (from, to): (&Attributes, &Attributes) =
        (&a.secret.state.attributes, &b.secret.state.attributes);
    if from.description != to.description {
        differ.push("the description".to_owned());
    }
    if rules.tags_of(&from.tags) != to.tags {
        differ.push("the tags".to_owned());
    }
    let key = named(a.secret.facts.kms_key.as_ref());
    let mapped = rules.kms.get(key.as_deref().unwrap_or("default"));
    if !is_key(&b.secret, named(mapped).as_deref()) {
        differ.push("the KMS key".to_owned());
    }
    if !b.more.replicas.is_empty() {
        differ.push("the replicas: a copy has none".to_owned());
    }
    differ
}
