//! What a migration asks of the store in memory.

use std::collections::BTreeMap;

use super::account::{Account, Effect, invalid};
use super::{Call, MemoryStore};
use crate::model::{Change, Invalid, SecretName, SecretValue, VersionMeta};
use crate::store::{self, Held, Inspected, NewSecret, Particulars, StoreError};

/// What the account keeps of a secret that no plan of a sync looks at, by ARN: a name
/// that is made anew has none of it.
#[derive(Clone, Default)]
pub(super) struct Kept {
    pub(super) policies: BTreeMap<String, String>,
    pub(super) particulars: BTreeMap<String, Particulars>,
}

impl Account {
    fn known_arn(&self, name: &SecretName) -> Result<String, StoreError> {
        let facts = self.facts.get(name).ok_or(StoreError::NotFound)?;
        Ok(facts.arn.clone())
    }

    /// The ARN of a secret that is not on its way out.
    pub(super) fn live_arn(&self, name: &SecretName) -> Result<String, StoreError> {
        let arn = self.known_arn(name)?;
        match self.secrets.get(name) {
            Some(state) if state.lifecycle.is_live() => Ok(arn),
            _ => Err(StoreError::Changed(Invalid::Scheduled)),
        }
    }
}

impl MemoryStore {
    /// Changes what a migration looks at beside a sync's facts: rotation, replicas,
    /// the day of the last read.
    pub fn edit_particulars(&self, name: &SecretName, edit: impl FnOnce(&mut Particulars)) {
        let mut inner = self.lock();
        if let Ok(arn) = inner.account.known_arn(name) {
            edit(inner.account.kept.particulars.entry(arn).or_default());
        }
    }

    /// Somebody in the account attaches a resource policy, or takes it away.
    pub fn as_console_policy(&self, name: &SecretName, policy: Option<&str>) {
        let mut inner = self.lock();
        if let Ok(arn) = inner.account.known_arn(name) {
            match policy {
                Some(text) => inner.account.kept.policies.insert(arn, text.to_owned()),
                None => inner.account.kept.policies.remove(&arn),
            };
        }
    }
}

impl store::Account for MemoryStore {
    async fn inspect(&self, name: &SecretName) -> Result<Option<Inspected>, StoreError> {
        let call = self.enter(Call::Describe, Some(name))?;
        let seen = call.inner.account.seen(name).map(|secret| {
            let more = call
                .inner
                .account
                .kept
                .particulars
                .get(&secret.facts.arn)
                .cloned();
            Inspected {
                secret,
                more: more.unwrap_or_default(),
            }
        });
        call.answer(Ok(seen))
    }

    async fn history(&self, name: &SecretName) -> Result<Vec<Held>, StoreError> {
        let call = self.enter(Call::ListVersions, Some(name))?;
        let held = call.inner.account.secrets.get(name).map(|state| {
            let versions = state.versions.iter();
            versions
                .map(|(id, meta): (_, &VersionMeta)| Held {
                    id: id.clone(),
                    created: meta.created,
                })
                .collect()
        });
        call.answer(held.ok_or(StoreError::NotFound))
    }

    async fn set_policy(&self, name: &SecretName, policy: &str) -> Result<(), StoreError> {
        let mut call = self.enter(Call::PutPolicy, Some(name))?;
        let is_json = serde_json::from_str::<serde_json::Value>(policy).is_ok();
        let done = match call.inner.account.live_arn(name) {
            Ok(_) if !is_json => Err(StoreError::Refused {
                operation: "PutResourcePolicy",
                code: "MalformedPolicyDocumentException".into(),
                detail: String::new(),
            }),
            Ok(arn) => {
                call.inner
                    .account
                    .kept
                    .policies
                    .insert(arn, policy.to_owned());
                Ok(())
            }
            Err(error) => Err(error),
        };
        call.answer(done)
    }

    async fn create_secret(
        &self,
        name: &SecretName,
        secret: NewSecret<'_>,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let mut call = self.enter(Call::Create, Some(name))?;
        if secret.id.is_some() != value.is_some() {
            let error = invalid(Invalid::Nothing);
            return call.answer(Err(error));
        }
        let version = secret
            .id
            .zip(value)
            .map(|(id, value)| (id.clone(), call.inner.account.meta(value)));
        let change = Change::Create {
            attributes: secret.attributes.clone(),
            version,
        };
        let fresh = call.inner.account.secrets.get(name).is_none();
        let done = call
            .inner
            .account
            .perform(name, &Effect::Change(change), value);
        if done.is_ok()
            && fresh
            && let Some(facts) = call.inner.account.facts.get_mut(name)
        {
            facts.kms_key = secret.kms_key.map(str::to_owned);
        }
        call.answer(done)
    }
}
