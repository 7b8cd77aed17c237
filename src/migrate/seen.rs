//! Reads secrets of the source and writes down what their copies are to be.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;

use super::item::{Item, State, Version, carried, facing, travels};
use super::rewrite::{looks_suffixed, mentions, policy};
use super::rules::{Policies, Rules, Target};
use super::saved::Side;
use super::{AT_ONCE, MigrateError};
use crate::crypto::{KeyringKeys, KeysError};
use crate::model::{
    Escaped, Lifecycle, RemoteSecret, SecretName, StagingLabel, Timestamp, VersionId,
};
use crate::store::{Account, BATCH, Inspected, Retrieved, StoreError};

/// The KMS key that needs no name.
const DEFAULT_KEY: &str = "alias/aws/secretsmanager";

/// What reading the source takes.
pub(super) struct Look<'a, S> {
    pub(super) from: &'a S,
    pub(super) keys: &'a KeyringKeys,
    pub(super) rules: &'a Rules,
    pub(super) from_side: &'a Side,
    pub(super) to_side: &'a Side,
}

/// A key that has to be named; the default one needs no name.
pub(super) fn named(key: Option<&String>) -> Option<String> {
    key.filter(|key| !["default", DEFAULT_KEY].contains(&key.as_str()))
        .cloned()
}

/// Why a look at one secret went wrong: for it alone, or for everything.
enum Stop {
    Blocked(String),
    All(MigrateError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        if error.is_fatal() {
            Self::All(MigrateError::From(error))
        } else {
            Self::Blocked(error.to_string())
        }
    }
}

impl From<KeysError> for Stop {
    fn from(error: KeysError) -> Self {
        Self::All(error.into())
    }
}

impl<S: Account> Look<'_, S> {
    /// Writes items down, for `(source, target)` names; at most [`BATCH`] are best.
    pub(super) async fn items(
        &self,
        names: &[(SecretName, SecretName)],
    ) -> Result<Vec<Item>, MigrateError> {
        let looks = names.iter().map(|(source, target)| async move {
            let mut item = blank(source, target);
            match self.outline(&mut item).await {
                Err(Stop::Blocked(reason)) => item.reasons.push(reason),
                Err(Stop::All(error)) => return Err(error),
                Ok(()) => {}
            }
            Ok(item)
        });
        let looks: Vec<_> = futures_util::stream::iter(looks)
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut items = looks.into_iter().collect::<Result<Vec<Item>, _>>()?;
        self.read(&mut items).await?;
        for item in &mut items {
            if !item.reasons.is_empty() {
                item.state = State::Blocked;
            }
        }
        Ok(items)
    }

    /// Everything but the values.
    async fn outline(&self, item: &mut Item) -> Result<(), Stop> {
        let Some(seen) = self.from.inspect(&item.source).await? else {
            return Err(Stop::Blocked("it is gone from the source".to_owned()));
        };
        let secret = &seen.secret;
        item.arn.clone_from(&secret.facts.arn);
        item.changed = secret.facts.changed;
        item.facing = facing(&secret.state.attributes);
        item.description
            .clone_from(&secret.state.attributes.description);
        item.tags = self.rules.tags_of(&secret.state.attributes.tags);
        item.reasons = blockers(&seen, self.rules);
        self.notes(&seen, item);
        match self.kms(secret) {
            Ok(key) => item.kms = key,
            Err(reason) => item.reasons.push(reason),
        }
        if let Err(error) = item.attributes().check() {
            item.reasons.push(error.to_string());
        }
        if !item.reasons.is_empty() {
            return Ok(());
        }
        item.versions = self.versions(&item.source, secret).await?;
        if self.rules.policy == Policies::Rewrite {
            self.policy(item).await?;
        }
        Ok(())
    }

    fn notes(&self, seen: &Inspected, item: &mut Item) {
        let secret = &seen.secret;
        let mut notes = Vec::new();
        if secret.facts.rotation_enabled {
            notes.push("its rotation is not carried over; set it up on the target".to_owned());
        } else if let Some(function) = &seen.more.function {
            let function = Escaped(function);
            notes.push(format!(
                "rotation by {function} is set up but off; it is not carried over"
            ));
        }
        if !seen.more.replicas.is_empty() {
            notes.push(format!(
                "replicated to {}; the copy has no replicas",
                Escaped(&seen.more.replicas.join(", "))
            ));
        }
        if secret.state.labels.keys().any(StagingLabel::is_pending) {
            notes.push("AWSPENDING is left out: a rotation is under way".to_owned());
        }
        if item.target.as_str().len() > 256 {
            notes.push("a name of over 256 characters: some of AWS's calls refuse it".to_owned());
        }
        if looks_suffixed(&item.target) {
            notes.push(
                "the name ends as an ARN's suffix does: partial ARNs of it find nothing".to_owned(),
            );
        }
        item.notes = notes;
    }

    /// The key that stands for the source's; a map of it is a must (sync.md section 6).
    fn kms(&self, secret: &RemoteSecret) -> Result<Option<String>, String> {
        let own = named(secret.facts.kms_key.as_ref());
        let mapped = self.rules.kms.get(own.as_deref().unwrap_or("default"));
        match (&own, mapped) {
            (Some(key), None) => Err(format!(
                "it is under the KMS key {}, which stays on the source; name its stand-in with --kms",
                Escaped(key)
            )),
            (_, mapped) => Ok(named(mapped)),
        }
    }

    async fn versions(
        &self,
        name: &SecretName,
        secret: &RemoteSecret,
    ) -> Result<Vec<Version>, Stop> {
        let mut versions: BTreeMap<VersionId, Version> = BTreeMap::new();
        if self.rules.history {
            for held in self.from.history(name).await? {
                let pending = secret.state.labels_of(&held.id).any(|l| !travels(l));
                if !pending {
                    let version = version(&held.id, held.created);
                    versions.insert(held.id, version);
                }
            }
        }
        for (label, id) in carried(secret) {
            let version = versions
                .entry(id.clone())
                .or_insert_with(|| version(&id, None));
            version.labels.push(label);
        }
        Ok(versions.into_values().collect())
    }

    async fn policy(&self, item: &mut Item) -> Result<(), Stop> {
        let Some(text) = self.from.policy(&item.source).await? else {
            return Ok(());
        };
        let target = |name: &SecretName| match self.rules.target(name) {
            Target::Name(name) => Some(name),
            _ => None,
        };
        let accounts = self.rules.account_rewrite;
        let rewritten = policy(&text, self.from_side, self.to_side, accounts, target);
        let Some(rewritten) = rewritten else {
            return Err(Stop::Blocked("its resource policy is no JSON".to_owned()));
        };
        if rewritten.left > 0 {
            return Err(Stop::Blocked(format!(
                "its resource policy names the source account {}; decide with --account-rewrite automatic, or leave policies behind with --policy skip",
                times(rewritten.left)
            )));
        }
        if rewritten.changed > 0 {
            item.notes.push(format!(
                "its resource policy named the source {}; it is rewritten",
                times(rewritten.changed)
            ));
        }
        item.policy = Some(rewritten.text);
        Ok(())
    }

    /// Reads every value once, in memory, for its digest and for what it mentions.
    async fn read(&self, items: &mut [Item]) -> Result<(), MigrateError> {
        let open = |item: &&mut Item| item.reasons.is_empty() && !item.versions.is_empty();
        let mut ready: Vec<&mut Item> = items.iter_mut().filter(open).collect();
        for chunk in ready.chunks_mut(BATCH) {
            let names: Vec<SecretName> = chunk.iter().map(|i| i.source.clone()).collect();
            let got = self.from.read_current(&names).await;
            let got = got.map_err(MigrateError::From)?;
            let reads = chunk.iter_mut().zip(got).map(|(item, current)| async move {
                match self.read_one(item, current).await {
                    Err(Stop::Blocked(reason)) => item.reasons.push(reason),
                    Err(Stop::All(error)) => return Err(error),
                    Ok(()) => {}
                }
                Ok(())
            });
            let reads: Vec<Result<(), MigrateError>> = futures_util::stream::iter(reads)
                .buffered(AT_ONCE)
                .collect()
                .await;
            reads.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    async fn read_one(
        &self,
        item: &mut Item,
        current: Result<Retrieved, StoreError>,
    ) -> Result<(), Stop> {
        let current = current?;
        let (mut accounts, mut regions) = (0, 0);
        let mut first = Some(current);
        for version in &mut item.versions {
            let got = match first.take() {
                Some(got) if got.id == version.id => got,
                other => {
                    first = other;
                    self.from.read(&item.source, &version.id).await?
                }
            };
            version.digest = Some(self.keys.digest(&got.value)?);
            version.kind = Some(got.value.kind());
            version.created = version.created.or(got.created);
            let bytes = got.value.expose_secret();
            accounts += mentions(bytes, self.from_side.account.as_bytes());
            regions += mentions(bytes, self.from_side.region.as_bytes());
        }
        item.account_mentions = accounts;
        item.region_mentions = regions;
        // By the source's dates; at the same moment what is current comes last.
        item.versions.sort_by_key(|v| {
            let rank = v.labels.iter().map(|l| {
                if l.is_current() {
                    3
                } else if l.is_previous() {
                    2
                } else {
                    1
                }
            });
            (v.created, rank.max().unwrap_or(0), v.id.clone())
        });
        Ok(())
    }
}

/// Why a secret of the source cannot move at all, or is not to without being asked.
pub(super) fn blockers(seen: &Inspected, rules: &Rules) -> Vec<String> {
    let (facts, state) = (&seen.secret.facts, &seen.secret.state);
    let mut reasons = Vec::new();
    if let Some(service) = &facts.owning_service {
        let service = Escaped(service);
        reasons.push(format!(
            "owned by the AWS service {service}, which must make it anew"
        ));
    }
    if let Some(partner) = &seen.more.external {
        let partner = Escaped(partner);
        reasons.push(format!(
            "held by the partner {partner}, which must make it anew"
        ));
    }
    if facts.replica {
        reasons.push("a replica of a secret in another Region; move that one".to_owned());
    }
    if facts.rotation_enabled && !rules.without_rotation {
        let by = seen.more.function.as_deref().unwrap_or("AWS itself");
        reasons.push(format!(
            "rotated by {}; switch that off, or copy it without with --rotation manual",
            Escaped(by)
        ));
    }
    match state.lifecycle {
        Lifecycle::Live => {}
        Lifecycle::Scheduled { .. } => reasons.push(
            "scheduled for deletion on the source, where its values cannot be read".to_owned(),
        ),
        Lifecycle::Tombstone => reasons.push("it is gone from the source".to_owned()),
    }
    if state.current().is_none() && !state.labels.is_empty() {
        reasons.push("it has no current version: its first rotation is not done".to_owned());
    }
    reasons
}

fn version(id: &VersionId, created: Option<Timestamp>) -> Version {
    Version {
        id: id.clone(),
        labels: Vec::new(),
        kind: None,
        digest: None,
        created,
    }
}

/// `once`, `2 times`.
fn times(n: usize) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
}

/// An item of which only the names are known.
pub(super) fn blank(source: &SecretName, target: &SecretName) -> Item {
    Item {
        source: source.clone(),
        target: target.clone(),
        arn: String::new(),
        changed: None,
        state: State::Ready,
        reasons: Vec::new(),
        notes: Vec::new(),
        versions: Vec::new(),
        description: None,
        tags: BTreeMap::new(),
        facing: String::new(),
        kms: None,
        policy: None,
        account_mentions: 0,
        region_mentions: 0,
        restore: false,
        present: false,
    }
}
