//! Makes a plan: looks at both sides and changes neither.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;

use super::item::{Item, State};
use super::rules::{Rules, Target, collisions};
use super::saved::{Head, Migration, Side};
use super::seen::{Look, blank};
use super::{AT_ONCE, MigrateError};
use crate::crypto::KeyringKeys;
use crate::model::{Lifecycle, SecretName, StagingLabel, VersionId};
use crate::store::{Account, BATCH, Inspected, Progress};

/// What making a plan takes.
pub struct Survey<'a, S> {
    /// The account that secrets come from. Names are the account's own.
    pub from: &'a S,
    /// The account they go to.
    pub to: &'a S,
    /// The vault's keys, for digests.
    pub keys: &'a KeyringKeys,
    /// What is asked for.
    pub rules: Rules,
    /// Hears how far it has come.
    pub progress: &'a dyn Progress,
}

/// Looks at both sides and plans.
pub async fn survey<S: Account>(
    head: Head,
    survey: Survey<'_, S>,
) -> Result<Migration, MigrateError> {
    if head.from.is_same_place(&head.to) {
        return Err(MigrateError::SamePlace);
    }
    let Survey {
        from,
        to,
        keys,
        rules,
        progress,
    } = survey;
    let there = from.view(&[], progress).await.map_err(MigrateError::From)?;
    let mut left_out = there.foreign.clone();
    let mut pairs: Vec<(SecretName, SecretName)> = Vec::new();
    let mut items = Vec::new();
    for name in there.secrets.keys() {
        match rules.target(name) {
            Target::Name(target) => pairs.push((name.clone(), target)),
            Target::Outside => {}
            Target::Dropped => {
                left_out.push((name.to_string(), "left out by a rule".to_owned()));
            }
            Target::Invalid(to, error) => {
                let mut item = blank(name, name);
                item.reasons
                    .push(format!("it would become {to:?}: {error}"));
                item.state = State::Blocked;
                items.push(item);
            }
        }
    }
    let broken = collisions(&pairs);
    progress.begin("reading the source", Some(pairs.len()));
    let look = Look {
        from,
        keys,
        rules: &rules,
        from_side: &head.from,
        to_side: &head.to,
    };
    for chunk in pairs.chunks(BATCH) {
        items.extend(look.items(chunk).await?);
        progress.advance(chunk.len());
    }
    progress.finish();
    for item in &mut items {
        if let Some(why) = broken.get(&item.source) {
            item.reasons.push(why.clone());
        }
    }
    check_target(to, keys, &rules, &mut items, progress).await?;
    for item in &mut items {
        if !item.reasons.is_empty() {
            item.state = State::Blocked;
        }
    }
    items.sort_by(|a, b| a.source.cmp(&b.source));
    Ok(Migration::new(head, rules, items, left_out))
}

/// Marks what is on the target already.
async fn check_target<S: Account>(
    to: &S,
    keys: &KeyringKeys,
    rules: &Rules,
    items: &mut [Item],
    progress: &dyn Progress,
) -> Result<(), MigrateError> {
    let there = to.view(&[], progress).await.map_err(MigrateError::To)?;
    let mut folded: BTreeMap<String, SecretName> = BTreeMap::new();
    for name in there.secrets.keys() {
        folded.insert(name.as_str().to_ascii_lowercase(), name.clone());
    }
    let ready: Vec<&mut Item> = items
        .iter_mut()
        .filter(|item| item.reasons.is_empty())
        .collect();
    let folded = &folded;
    let checks = ready.into_iter().map(|item| async move {
        let like = folded.get(&item.target.as_str().to_ascii_lowercase());
        match like {
            Some(name) if *name != item.target => item
                .notes
                .push(format!("the target has {name}, which differs in case only")),
            _ => {}
        }
        if there_is(like, &item.target) {
            check_one(to, keys, rules, item).await?;
        }
        Ok::<_, MigrateError>(())
    });
    let checks: Vec<Result<(), MigrateError>> = futures_util::stream::iter(checks)
        .buffered(AT_ONCE)
        .collect()
        .await;
    checks.into_iter().collect()
}

fn there_is(like: Option<&SecretName>, name: &SecretName) -> bool {
    like.is_some_and(|like| like.as_str().eq_ignore_ascii_case(name.as_str()))
}

async fn check_one<S: Account>(
    to: &S,
    keys: &KeyringKeys,
    rules: &Rules,
    item: &mut Item,
) -> Result<(), MigrateError> {
    let seen = match to.inspect(&item.target).await {
        Ok(None) => return Ok(()),
        Ok(Some(seen)) => seen,
        Err(error) if error.is_fatal() => return Err(MigrateError::To(error)),
        Err(error) => {
            item.reasons.push(format!("the target name: {error}"));
            return Ok(());
        }
    };
    match seen.secret.state.lifecycle {
        Lifecycle::Scheduled { date } => scheduled(item, rules, &seen, date.map(|d| d.to_string())),
        _ => match taken(to, keys, item, &seen).await? {
            Some(why) => item
                .reasons
                .push(format!("the target name is taken: {why}")),
            None => {
                item.present = true;
                item.notes
                    .push("the target has it already, with the same content".to_owned());
            }
        },
    }
    Ok(())
}

/// A name that is on its way out over there cannot be made anew: it is brought back or
/// waited for.
fn scheduled(item: &mut Item, rules: &Rules, seen: &Inspected, date: Option<String>) {
    let date = date.map_or_else(String::new, |date| format!(" ({date})"));
    match stranger(item, seen) {
        Some(id) => item.reasons.push(format!(
            "the target name is scheduled for deletion{date} with other content (version {}); wait until it is gone, or map to another name",
            id.short()
        )),
        None if rules.restore => {
            item.restore = true;
            item.notes.push("the target is brought back from its scheduled deletion".to_owned());
        }
        None => item.reasons.push(format!(
            "the target name is scheduled for deletion{date}; wait until it is gone, or bring it back with --restore"
        )),
    }
}

/// A version over there that is not the source's.
fn stranger(item: &Item, seen: &Inspected) -> Option<VersionId> {
    let labels = seen.secret.state.labels.iter();
    let mut ids = labels
        .filter(|(label, _)| !StagingLabel::is_holding(label))
        .map(|(_, id)| id);
    ids.find(|id| item.version(id).is_none()).cloned()
}

/// Why the secret over there is another one; `None` if all it holds is the source's.
pub(super) async fn taken<S: Account>(
    to: &S,
    keys: &KeyringKeys,
    item: &Item,
    seen: &Inspected,
) -> Result<Option<String>, MigrateError> {
    if let Some(service) = &seen.secret.facts.owning_service {
        return Ok(Some(format!("owned by the AWS service {service}")));
    }
    if seen.secret.facts.replica {
        return Ok(Some("a replica".to_owned()));
    }
    if seen.secret.state.versions.is_empty() && !item.versions.is_empty() {
        return Ok(Some("a secret without a version".to_owned()));
    }
    if let Some(id) = stranger(item, seen) {
        return Ok(Some(format!("version {} is not the source's", id.short())));
    }
    for id in seen.secret.state.versions.keys() {
        let Some(digest) = item.version(id).and_then(|v| v.digest) else {
            continue;
        };
        match to.read(&item.target, id).await {
            Ok(got) if keys.digest(&got.value)? == digest => {}
            Ok(_) => {
                return Ok(Some(format!("version {} has another value", id.short())));
            }
            Err(error) if error.is_fatal() => return Err(MigrateError::To(error)),
            Err(error) => return Ok(Some(error.to_string())),
        }
    }
    Ok(None)
}

impl Side {
    /// `ACCOUNT/REGION`, for people.
    pub fn place(&self) -> String {
        format!("{}/{}", self.account, self.region)
    }
}
