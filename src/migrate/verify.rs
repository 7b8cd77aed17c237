//! Reads copies back and compares them with what they were to be, without showing a
//! value.

use futures_util::StreamExt as _;

use super::apply::{Run, describe_all};
use super::item::{Item, carried};
use super::journal::Stage;
use super::outcome::Findings;
use super::rewrite::same_policy;
use super::rules::Policies;
use super::saved::Migration;
use super::seen::named;
use super::{AT_ONCE, MigrateError};
use crate::model::{OwnField, RemoteSecret, SecretName};
use crate::store::{Account, BATCH, Retrieved, StoreError};

/// Compares every copy of a plan with the plan, or with what a delta made of it, and
/// asks the source whether it has changed since.
///
/// By DescribeSecret and reads, never by listings, which lag (sync.md section 6).
pub async fn verify<S: Account>(
    plan: &Migration,
    run: &Run<'_, S>,
) -> Result<Findings, MigrateError> {
    let mut findings = Findings::default();
    let specs: Vec<Item> = plan
        .ready()
        .filter(|item| run.takes(&item.source))
        .map(|item| run.journal.spec(item))
        .collect();
    run.progress.begin("verifying", Some(specs.len()));
    for chunk in specs.chunks(BATCH) {
        verify_chunk(plan, run, chunk, &mut findings).await?;
        run.progress.advance(chunk.len());
    }
    run.progress.finish();
    run.journal.sync()?;
    Ok(findings)
}

async fn verify_chunk<S: Account>(
    plan: &Migration,
    run: &Run<'_, S>,
    specs: &[Item],
    findings: &mut Findings,
) -> Result<(), MigrateError> {
    let sources: Vec<SecretName> = specs.iter().map(|s| s.source.clone()).collect();
    let targets: Vec<SecretName> = specs.iter().map(|s| s.target.clone()).collect();
    let before = describe_all(run.from, &sources, MigrateError::From).await?;
    let there = describe_all(run.to, &targets, MigrateError::To).await?;
    let mut live = Vec::new();
    for ((spec, source), copy) in specs.iter().zip(before).zip(there) {
        // A source that was retired is as it was, but for that.
        let retired = run.journal.entry(&spec.source).stage == Stage::Retired;
        let fresh = matches!(&source, Ok(Some(source)) if spec.is_of(source));
        if !fresh && !retired {
            findings.stale.push(spec.source.clone());
        }
        match copy {
            Ok(Some(copy)) if copy.state.lifecycle.is_live() => live.push((spec, copy)),
            Ok(None) => findings.missing.push(spec.source.clone()),
            Ok(Some(_)) => {
                let why = "the copy is scheduled for deletion".to_owned();
                findings.differ.insert(spec.source.clone(), vec![why]);
            }
            Err(why) => {
                findings.differ.insert(spec.source.clone(), vec![why]);
            }
        }
    }
    let names: Vec<SecretName> = live.iter().map(|(spec, _)| spec.target.clone()).collect();
    let values = run.to.read_current(&names).await;
    let values = values.map_err(MigrateError::To)?;
    let checks = live
        .into_iter()
        .zip(values)
        .map(|((spec, copy), current)| async move {
            let differ = compare(plan, run, spec, &copy, current).await?;
            Ok::<_, MigrateError>((spec, differ))
        });
    let checks: Vec<_> = futures_util::stream::iter(checks)
        .buffered(AT_ONCE)
        .collect()
        .await;
    for check in checks {
        let (spec, differ) = check?;
        let name = spec.source.clone();
        if !differ.is_empty() {
            findings.differ.insert(name, differ);
            continue;
        }
        if !findings.stale.contains(&name) && run.journal.entry(&name).stage != Stage::Retired {
            // The journal may be a new one: then this is what it knows.
            run.journal.verified(&name, run.now)?;
        }
        findings.ok.push(name);
    }
    Ok(())
}

/// What of a copy is not as it was to be.
async fn compare<S: Account>(
    plan: &Migration,
    run: &Run<'_, S>,
    spec: &Item,
    copy: &RemoteSecret,
    current: Result<Retrieved, StoreError>,
) -> Result<Vec<String>, MigrateError> {
    let mut differ = facts(spec, copy);
    let mut current = current.ok();
    for version in &spec.versions {
        let got = match current.take() {
            Some(got) if got.id == version.id => Ok(got),
            other => {
                current = other;
                run.to.read(&spec.target, &version.id).await
            }
        };
        match got {
            Ok(got) if version.digest == Some(run.keys.digest(&got.value)?) => {}
            Ok(_) => differ.push(format!("the value of version {}", version.id.short())),
            Err(error) if error.is_fatal() => return Err(MigrateError::To(error)),
            Err(_) => differ.push(format!("version {} is missing", version.id.short())),
        }
    }
    if plan.rules.policy == Policies::Rewrite {
        let same = |has: &Option<String>| match (has, &spec.policy) {
            (Some(has), Some(wanted)) => same_policy(has, wanted),
            (has, wanted) => has.is_none() && wanted.is_none(),
        };
        match run.to.policy(&spec.target).await {
            Ok(has) if same(&has) => {}
            Ok(_) => differ.push("the resource policy".to_owned()),
            Err(error) if error.is_fatal() => return Err(MigrateError::To(error)),
            Err(error) => differ.push(format!("the resource policy ({error})")),
        }
    }
    Ok(differ)
}

/// Whether a secret is under a key, however AWS spells it; none is the default key.
pub(super) fn is_key(secret: &RemoteSecret, key: Option<&str>) -> bool {
    let has = named(secret.facts.kms_key.as_ref()).unwrap_or_default();
    OwnField::KmsKey.is_met(key.unwrap_or_default(), &has)
}

/// Whether a secret has replicas.
pub(super) fn is_replicated(secret: &RemoteSecret) -> bool {
    let replicas = secret.facts.replicas.as_ref();
    replicas.is_some_and(|regions| !regions.is_empty())
}

/// What a description of the copy alone tells.
pub(super) fn facts(spec: &Item, copy: &RemoteSecret) -> Vec<String> {
    let mut differ = Vec::new();
    if carried(copy) != spec.labels() {
        differ.push("the labels".to_owned());
    }
    if copy.state.attributes.description != spec.description {
        differ.push("the description".to_owned());
    }
    if copy.state.attributes.tags != spec.tags {
        differ.push("the tags".to_owned());
    }
    if !is_key(copy, spec.kms.as_deref()) {
        differ.push("the KMS key".to_owned());
    }
    // One that was there before may be replicated; a copy is not.
    if !spec.present && is_replicated(copy) {
        differ.push("the replicas: a copy has none".to_owned());
    }
    differ
}
