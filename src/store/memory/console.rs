//! The other people in the account, who may do all that AWS allows; and AWS itself.

use super::MemoryStore;
use super::account::{Effect, refused};
use super::calls::Call;
use super::wording::{self, Refusal};
use crate::model::{
    Attributes, Change, Content, Origin, OwnField, RemoteFacts, SecretName, SecretValue,
    StagingLabel, VersionId, VersionMeta,
};
use crate::store::StoreError;

impl MemoryStore {
    /// Somebody in the account creates a secret or puts a value; without labels it
    /// is a plain put, which moves AWSCURRENT.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever puts a value has no more use for it"
    )]
    pub fn as_console_put(
        &self,
        name: &SecretName,
        id: &VersionId,
        value: SecretValue,
        labels: &[StagingLabel],
    ) -> Result<(), StoreError> {
        let change = if self.lock().account.secrets.get(name).is_none() {
            Change::Create {
                attributes: Attributes::default(),
                version: Some((id.clone(), VersionMeta::unread(Origin::Local))),
            }
        } else {
            let current = [StagingLabel::current()];
            Change::AddVersion {
                id: id.clone(),
                meta: VersionMeta::unread(Origin::Local),
                labels: if labels.is_empty() { &current } else { labels }.to_vec(),
            }
        };
        self.as_console_with(name, &change, Some(&value))
    }

    /// Somebody in the account does anything else that AWS allows.
    pub fn as_console(&self, name: &SecretName, change: &Change) -> Result<(), StoreError> {
        self.as_console_with(name, change, None)
    }

    /// The same with a value, for changes that bring a version. What AWS would have
    /// said to a refused call is [`MemoryStore::last_refusal`].
    pub fn as_console_with(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let effect = Effect::Change(change.clone());
        let done = inner.account.perform(name, &effect, value);
        if let Err(error) = &done {
            let arn = inner.account.arn(name);
            let refusal = wording::refusal(call_of(change), Some(name), &arn, error);
            inner.refusal = Some(refusal);
        }
        done
    }

    /// What AWS would have answered to the last call that was refused, whoever made
    /// it.
    pub fn last_refusal(&self) -> Option<Refusal> {
        self.lock().refusal.clone()
    }

    /// The recovery window is over, or somebody deleted without one.
    pub fn as_console_purge(&self, name: &SecretName) {
        let mut inner = self.lock();
        let account = &mut inner.account;
        account.secrets.0.remove(name);
        account.replicas.remove(name);
        if let Some(facts) = account.facts.remove(name) {
            account.values.retain(|(arn, _), _| *arn != facts.arn);
        }
        account.note(name);
    }

    /// AWS's collector at its strictest: every version without a label vanishes.
    pub fn as_aws_collect(&self) {
        use super::collect::{Cleanup, collect};
        let mut inner = self.lock();
        let account = &mut inner.account;
        let now = account.now();
        let names: Vec<SecretName> = account.secrets.0.keys().cloned().collect();
        for name in names {
            if let Some(state) = account.secrets.0.get_mut(&name) {
                let gone = collect(state, Cleanup::AtOnce, now, 0);
                account.forget(&name, &gone);
            }
        }
    }

    /// Somebody starts a rotation: a version under AWSPENDING without a value, which
    /// the rotation function fills by a put of the same id. Refused while another
    /// rotation is under way (aws.md section 7).
    pub fn as_console_rotate(&self, name: &SecretName, id: &VersionId) -> Result<(), StoreError> {
        let pending = {
            let inner = self.lock();
            let of = |label| inner.account.holder(name, &label);
            (of(StagingLabel::pending()), of(StagingLabel::current()))
        };
        if let (Some(pending), current) = pending
            && Some(&pending) != current.as_ref()
        {
            let error = refused(
                "InvalidRequestException",
                "A previous rotation isn't complete. That rotation will be reattempted.",
            );
            let mut inner = self.lock();
            let refusal = wording::refusal(Call::Put, Some(name), "", &error);
            inner.refusal = Some(refusal);
            return Err(error);
        }
        let change = Change::AddVersion {
            id: id.clone(),
            meta: VersionMeta {
                content: Content::Placeholder,
                ..VersionMeta::unread(Origin::Local)
            },
            labels: vec![StagingLabel::pending()],
        };
        self.as_console(name, &change)?;
        self.edit_facts(name, |facts| facts.rotation_enabled = true);
        Ok(())
    }

    /// Replicates a secret to another Region, or brings its replica up to date: the
    /// same name, suffix, versions and labels, read-only there (aws.md section 4).
    pub fn as_console_replicate(&self, name: &SecretName, to: &Self) -> Result<(), StoreError> {
        let region = to.lock().account.region.clone();
        let (state, facts, values) = {
            let mut inner = self.lock();
            let account = &mut inner.account;
            if account.region == region {
                return Err(refused(
                    "InvalidParameterException",
                    "Invalid replica region.",
                ));
            }
            let state = account.secrets.get(name).ok_or(StoreError::NotFound)?;
            let state = state.clone();
            let mut facts = account.facts.get(name).cloned().unwrap_or_default();
            facts.primary_region = Some(account.region.clone());
            let of = account.replicas.entry(name.clone()).or_default();
            of.insert(region.clone());
            if let Some(facts) = account.facts.get_mut(name) {
                facts.primary_region = Some(account.region.clone());
            }
            let values: Vec<(VersionId, SecretValue)> = account
                .values
                .iter()
                .filter(|((arn, _), _)| *arn == facts.arn)
                .map(|((_, id), value)| (id.clone(), value.duplicate()))
                .collect();
            (state, facts, values)
        };
        let mut inner = to.lock();
        let account = &mut inner.account;
        let mut parts: Vec<&str> = facts.arn.splitn(5, ':').collect();
        if let Some(there) = parts.get_mut(3) {
            *there = &region;
        }
        let facts = RemoteFacts {
            arn: parts.join(":"),
            replica: true,
            ..facts.clone()
        };
        for (id, value) in values {
            account.values.insert((facts.arn.clone(), id), value);
        }
        account.secrets.0.insert(name.clone(), state);
        account.facts.insert(name.clone(), facts);
        account.note(name);
        Ok(())
    }

    /// Removes a replica, which is gone at once.
    pub fn as_console_unreplicate(&self, name: &SecretName, from: &Self) {
        let region = from.lock().account.region.clone();
        {
            let mut inner = self.lock();
            let of = inner.account.replicas.entry(name.clone()).or_default();
            of.remove(&region);
            if of.is_empty() {
                inner.account.replicas.remove(name);
                if let Some(facts) = inner.account.facts.get_mut(name) {
                    facts.primary_region = None;
                }
            }
        }
        from.as_console_purge(name);
    }
}

/// The call that a change is.
pub(super) fn call_of(change: &Change) -> Call {
    match change {
        Change::Create { .. } => Call::Create,
        Change::AddVersion { .. } => Call::Put,
        Change::MoveLabel { .. } => Call::Stage,
        Change::SetAttributes { from, to } if from.tags == to.tags => Call::Update,
        Change::SetAttributes { .. } => Call::Tag,
        Change::SetOwn { field, to, .. } => match field {
            OwnField::Policy if to.is_empty() => Call::DeletePolicy,
            OwnField::Policy => Call::PutPolicy,
            OwnField::Replicas => Call::Replicate,
            OwnField::KmsKey | OwnField::Rotation => Call::Update,
        },
        Change::Restore => Call::Restore,
        Change::Delete { .. }
        | Change::Reschedule { .. }
        | Change::Tombstone
        | Change::Archive { .. } => Call::Delete,
    }
}
