//! What the account holds, and AWS's rules for changing it (aws.md sections 3 to 9).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::calls::Call;
use super::collect::{Cleanup, collect};
use super::kept::Kept;
use super::lag::Past;
use super::quota::VERSIONS;
use crate::model::{
    Attributes, Change, Content, Digest, Invalid, Origin, OwnField, RemoteFacts, SecretName,
    SecretState, SecretValue, Snapshot, Timestamp, VersionId, VersionMeta, replicas_of,
};
use crate::store::StoreError;

/// Tells the account's time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

pub(super) struct Account {
    pub(super) id: String,
    pub(super) region: String,
    pub(super) clock: Clock,
    made: u64,
    pub(super) secrets: Snapshot,
    pub(super) facts: BTreeMap<SecretName, RemoteFacts>,
    pub(super) values: BTreeMap<(String, VersionId), SecretValue>,
    /// Where each secret has replicas.
    pub(super) replicas: BTreeMap<SecretName, BTreeSet<String>>,
    pub(super) denied: BTreeSet<SecretName>,
    pub(super) forbidden: BTreeSet<(SecretName, Call)>,
    pub(super) cleanup: Cleanup,
    pub(super) past: Past,
    pub(super) history: Vec<LabelMove>,
    pub(super) kept: Kept,
}

/// One move of AWSCURRENT, as the store saw it happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LabelMove {
    pub(super) secret: SecretName,
    pub(super) from: Option<VersionId>,
    pub(super) to: Option<VersionId>,
}

/// What one call does to one secret.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// A change that AWS guards, or that is whole in one call.
    Change(Change),
    /// UpdateSecret with a description: whatever it was.
    Describe(Option<String>),
    /// UntagResource: whatever they were.
    Untag(Vec<String>),
    /// TagResource: whatever they were.
    Tag(BTreeMap<String, String>),
}

impl Account {
    pub(super) fn new(id: &str, region: &str, clock: Clock) -> Self {
        Self {
            id: id.to_owned(),
            region: region.to_owned(),
            clock,
            made: 0,
            secrets: Snapshot::default(),
            facts: BTreeMap::new(),
            values: BTreeMap::new(),
            replicas: BTreeMap::new(),
            denied: BTreeSet::new(),
            forbidden: BTreeSet::new(),
            cleanup: Cleanup::default(),
            past: Past::default(),
            history: Vec::new(),
            kept: Kept::default(),
        }
    }

    /// The same account once more.
    pub(super) fn duplicate(&self) -> Self {
        let values = self.values.iter();
        Self {
            id: self.id.clone(),
            region: self.region.clone(),
            clock: Arc::clone(&self.clock),
            made: self.made,
            secrets: self.secrets.clone(),
            facts: self.facts.clone(),
            values: values.map(|(k, v)| (k.clone(), v.duplicate())).collect(),
            replicas: self.replicas.clone(),
            denied: self.denied.clone(),
            forbidden: self.forbidden.clone(),
            cleanup: self.cleanup,
            past: self.past.clone(),
            history: self.history.clone(),
            kept: self.kept.clone(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn arn(&self, name: &SecretName) -> String {
        self.facts
            .get(name)
            .map(|f| f.arn.clone())
            .unwrap_or_default()
    }

    pub(super) fn meta(&self, value: &SecretValue) -> VersionMeta {
        VersionMeta {
            created: Some(self.now()),
            content: Content::Value {
                kind: value.kind(),
                digest: content_digest(value),
            },
            parent: None,
            // A remote has no notion of where a version came from.
            origin: Origin::Local,
        }
    }

    /// Does what one call does, or refuses it and does nothing.
    pub(super) fn perform(
        &mut self,
        name: &SecretName,
        effect: &Effect,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let edit = |edit: &dyn Fn(&mut Attributes)| {
            let state = self.secrets.get(name).ok_or(StoreError::NotFound)?;
            let from = state.attributes.clone();
            let mut to = from.clone();
            edit(&mut to);
            Ok::<_, StoreError>(Change::SetAttributes { from, to })
        };
        let change = match effect {
            Effect::Change(change) => change.clone(),
            Effect::Describe(text) => edit(&|a| a.description.clone_from(text))?,
            Effect::Untag(keys) => edit(&|a| a.tags.retain(|key, _| !keys.contains(key)))?,
            Effect::Tag(tags) => edit(&|a| a.tags.extend(tags.clone()))?,
        };
        self.carry_out(name, &change, value)
    }

    /// Carries out a change by AWS's rules.
    pub(super) fn carry_out(
        &mut self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        self.may_change(name, change)?;
        if value.is_some_and(SecretValue::is_empty) {
            return Err(refused(
                "ValidationException",
                "Member must have length greater than or equal to 1",
            ));
        }
        let fresh = self.secrets.get(name).is_none();
        let before = self.secrets.get(name).and_then(|s| s.current()).cloned();
        let change = self.as_made_here(change, value);
        if let Change::AddVersion { id, .. } = &change {
            self.make_room(name, id)?;
        }
        if let Change::Create { attributes, .. } | Change::SetAttributes { to: attributes, .. } =
            &change
            && let Err(why) = attributes.check()
        {
            return Err(refused("InvalidParameterException", &why.to_string()));
        }
        self.secrets.apply(name, &change).map_err(invalid)?;
        if fresh {
            self.register(name);
        }
        let now = self.now();
        let facts = self.facts.entry(name.clone()).or_default();
        facts.changed = Some(now);
        if let Change::SetOwn { field, to, .. } = &change {
            let arn = facts.arn.clone();
            let set = Some(to.clone()).filter(|t| !t.is_empty());
            match (field, set) {
                (OwnField::KmsKey, set) => facts.kms_key = set,
                (OwnField::Policy, Some(policy)) => {
                    self.kept.policies.insert(arn, policy);
                }
                (OwnField::Policy, None) => {
                    self.kept.policies.remove(&arn);
                }
                (OwnField::Replicas, _) => {
                    facts.primary_region = Some(self.region.clone());
                    let of = self.replicas.entry(name.clone()).or_default();
                    of.extend(replicas_of(to).into_keys());
                }
                (OwnField::Rotation, _) => {}
            }
        }
        if let (
            Change::Create {
                version: Some((id, _)),
                ..
            }
            | Change::AddVersion { id, .. },
            Some(value),
        ) = (&change, value)
        {
            self.values
                .entry((facts.arn.clone(), id.clone()))
                .or_insert_with(|| value.duplicate());
        }
        let after = self.secrets.get(name).and_then(|s| s.current()).cloned();
        if before != after {
            self.history.push(LabelMove {
                secret: name.clone(),
                from: before,
                to: after,
            });
        }
        if self.cleanup == Cleanup::AtOnce {
            self.tend(name, 0);
        }
        self.note(name);
        Ok(())
    }

    /// Replicas are read-only, and a secret that has some cannot be deleted (aws.md
    /// sections 1, 4 and 6).
    fn may_change(&self, name: &SecretName, change: &Change) -> Result<(), StoreError> {
        if self.facts.get(name).is_some_and(|f| f.replica) {
            return Err(refused(
                "InvalidParameterException",
                "Operation not permitted on a replica secret. Call must be made in primary secret's region.",
            ));
        }
        if let (Change::Delete { .. }, Some(regions)) = (change, self.replicas.get(name)) {
            let regions: Vec<&str> = regions.iter().map(String::as_str).collect();
            let arn = self.arn(name);
            let regions = regions.join(", ");
            return Err(refused(
                "InvalidParameterException",
                &format!(
                    "You can't delete secret {arn} that still has replica regions [{regions}]."
                ),
            ));
        }
        Ok(())
    }

    /// The engine's own record of a version says more than an account would know; what
    /// counts here is the value.
    fn as_made_here(&self, change: &Change, value: Option<&SecretValue>) -> Change {
        match (change, value) {
            (
                Change::Create {
                    attributes,
                    version,
                },
                value,
            ) => Change::Create {
                attributes: Attributes {
                    // An empty description is none (aws.md section 4).
                    description: attributes.description.clone().filter(|d| !d.is_empty()),
                    tags: attributes.tags.clone(),
                },
                version: match (version, value) {
                    (Some((id, _)), Some(value)) => Some((id.clone(), self.meta(value))),
                    _ => None,
                },
            },
            (Change::AddVersion { id, labels, .. }, Some(value)) => Change::AddVersion {
                id: id.clone(),
                meta: self.meta(value),
                labels: labels.clone(),
            },
            (Change::Delete { date }, _) => Change::Delete {
                date: Some(date.unwrap_or(self.now().plus_days(30))),
            },
            (change, _) => change.clone(),
        }
    }

    fn register(&mut self, name: &SecretName) {
        self.made += 1;
        let arn = format!(
            "arn:aws:secretsmanager:{}:{}:secret:{name}-{:06}",
            self.region, self.id, self.made
        );
        let facts = RemoteFacts {
            arn,
            ..RemoteFacts::default()
        };
        self.facts.insert(name.clone(), facts);
    }

    /// Room for one more version: the collector comes first, and where it finds nothing
    /// to take the quota holds (aws.md sections 3 and 9).
    fn make_room(&mut self, name: &SecretName, id: &VersionId) -> Result<(), StoreError> {
        let known = |s: &SecretState| s.versions.contains_key(id);
        if self.secrets.get(name).is_none_or(known) {
            return Ok(());
        }
        self.tend(name, 1);
        if self
            .secrets
            .get(name)
            .is_some_and(|s| s.versions.len() >= VERSIONS)
        {
            return Err(refused(
                "LimitExceededException",
                "the secret has 100 versions",
            ));
        }
        Ok(())
    }

    /// The collector comes by one secret.
    pub(super) fn tend(&mut self, name: &SecretName, more: usize) {
        let (now, cleanup) = (self.now(), self.cleanup);
        let Some(state) = self.secrets.0.get_mut(name) else {
            return;
        };
        let gone = collect(state, cleanup, now, more);
        self.forget(name, &gone);
    }

    pub(super) fn forget(&mut self, name: &SecretName, gone: &[VersionId]) {
        let arn = self.arn(name);
        for id in gone {
            self.values.remove(&(arn.clone(), id.clone()));
        }
    }

    /// Lets listings know, with their lag, what a secret is now.
    pub(super) fn note(&mut self, name: &SecretName) {
        if self.past.lags() {
            let (now, seen) = (self.now(), self.seen(name));
            self.past.note(name, now, seen);
        }
    }
}

/// AWS refuses the request itself.
pub(super) fn refused(code: &str, detail: &str) -> StoreError {
    StoreError::Refused {
        operation: "the call",
        code: code.to_owned(),
        detail: detail.to_owned(),
    }
}

pub(super) fn invalid(error: Invalid) -> StoreError {
    match error {
        Invalid::NoSecret => StoreError::NotFound,
        Invalid::VersionExists(id) => StoreError::VersionMismatch(id),
        Invalid::TooManyLabels => refused("LimitExceededException", &error.to_string()),
        other => StoreError::Changed(other),
    }
}

/// In one process, and never written anywhere: an unkeyed digest is enough to see
/// whether a token is used twice for different content.
fn content_digest(value: &SecretValue) -> Digest {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    hasher.update(value.kind().as_str());
    hasher.update([0]);
    hasher.update(value.expose_secret());
    Digest(hasher.finalize().into())
}
