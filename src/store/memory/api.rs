//! The account as the engine reaches it: each method by the calls that the connection
//! to AWS makes for it, one for one, each of which may fail as a plan says.

use std::collections::BTreeMap;
use std::sync::MutexGuard;

use super::account::Effect;
use super::calls::Call;
use super::console::call_of;
use super::faults::{FaultKind, Struck};
use super::{Delayed, Inner, MemoryStore, wording};
use crate::model::{
    Attributes, Change, Invalid, OwnField, RemoteSecret, RemoteView, SecretName, SecretValue,
    Sight, StagingLabel, VersionId,
};
use crate::store::{BATCH, Progress, Retrieved, SecretStore, StoreError};

/// A call under way: the state, and what is to become of the call.
pub(super) struct Entered<'a> {
    pub(super) inner: MutexGuard<'a, Inner>,
    call: Call,
    name: Option<&'a SecretName>,
    struck: Option<Struck>,
}

impl Entered<'_> {
    pub(super) fn kind(&self) -> Option<FaultKind> {
        self.struck.as_ref().map(|s| s.kind)
    }

    pub(super) fn answer<T>(mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result {
            self.inner.refuse(self.call, self.name, error);
        }
        match (self.struck.and_then(|s| s.error), result) {
            (Some(lost), Ok(_)) => Err(lost),
            (_, result) => result,
        }
    }
}

impl MemoryStore {
    /// One call begins: it is counted and may be struck, throttled or forbidden.
    pub(super) fn enter<'a>(
        &'a self,
        call: Call,
        name: Option<&'a SecretName>,
    ) -> Result<Entered<'a>, StoreError> {
        let mut inner = self.lock();
        inner.land(false);
        inner.calls.count(call);
        let struck = inner.faults.strike(call);
        if let Some(struck) = &struck
            && let Some(error) = &struck.error
            && !matches!(struck.kind, FaultKind::LostAnswer | FaultKind::Delayed)
        {
            let error = error.clone();
            inner.refuse(call, name, &error);
            return Err(error);
        }
        let now = inner.account.now();
        if let Some(rates) = &mut inner.rates
            && !rates.admit(call, now)
        {
            let error = StoreError::Throttled {
                operation: call.name(),
            };
            inner.refuse(call, name, &error);
            return Err(error);
        }
        if let Some(name) = name
            && inner.account.forbidden.contains(&(name.clone(), call))
        {
            let error = StoreError::Denied {
                operation: call.name(),
                code: "AccessDeniedException".to_owned(),
            };
            inner.refuse(call, Some(name), &error);
            return Err(error);
        }
        Ok(Entered {
            inner,
            call,
            name,
            struck,
        })
    }

    /// One call that changes something.
    fn perform(
        &self,
        call: Call,
        name: &SecretName,
        effect: &Effect,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let mut entered = self.enter(call, Some(name))?;
        match entered.kind() {
            Some(FaultKind::Delayed) => {
                let due = entered.inner.faults.landing();
                entered.inner.delayed.push(Delayed {
                    due,
                    name: name.clone(),
                    effect: effect.clone(),
                    value: value.map(SecretValue::duplicate),
                });
                return entered.answer(Ok(()));
            }
            Some(FaultKind::Duplicate) => {
                // The answer that counts is that of the second one.
                drop(entered.inner.account.perform(name, effect, value));
            }
            _ => {}
        }
        let done = entered.inner.account.perform(name, effect, value);
        entered.answer(done)
    }

    fn look(&self, name: &SecretName) -> Result<Option<RemoteSecret>, StoreError> {
        let call = self.enter(Call::Describe, Some(name))?;
        let seen = call.inner.account.described(name);
        call.answer(Ok(seen))
    }

    /// Description and tags, each part by a call of its own, after a look since AWS
    /// compares nothing.
    fn set_attributes(
        &self,
        name: &SecretName,
        from: &Attributes,
        to: &Attributes,
    ) -> Result<(), StoreError> {
        if from == to {
            return Ok(());
        }
        let there = self.look(name)?.ok_or(StoreError::NotFound)?;
        if there.state.lifecycle.is_scheduled() {
            return Err(StoreError::Changed(Invalid::Scheduled));
        }
        if there.state.attributes == *to {
            return Ok(());
        }
        if there.state.attributes != *from {
            return Err(StoreError::Changed(Invalid::AttributesChanged));
        }
        if from.description != to.description {
            let text = to.description.clone().filter(|d| !d.is_empty());
            self.perform(Call::Update, name, &Effect::Describe(text), None)?;
        }
        let gone = from.tags.keys().filter(|k| !to.tags.contains_key(*k));
        let gone: Vec<String> = gone.cloned().collect();
        if !gone.is_empty() {
            self.perform(Call::Tag, name, &Effect::Untag(gone), None)?;
        }
        let set = to.tags.iter().filter(|(k, v)| from.tags.get(*k) != Some(v));
        let set: BTreeMap<String, String> = set.map(|(k, v)| (k.clone(), v.clone())).collect();
        if !set.is_empty() {
            self.perform(Call::Tag, name, &Effect::Tag(set), None)?;
        }
        Ok(())
    }

    /// A label move, which a look tells from one that an earlier attempt has done.
    fn move_label(
        &self,
        name: &SecretName,
        label: &StagingLabel,
        from: Option<&VersionId>,
        to: Option<&VersionId>,
    ) -> Result<(), StoreError> {
        if from.is_none() && to.is_none() {
            return Err(StoreError::Changed(Invalid::Nothing));
        }
        if label.is_current() && to.is_none() {
            return Err(StoreError::Changed(Invalid::CurrentMustStay));
        }
        let moved = |there: &RemoteSecret| {
            StoreError::Changed(if there.state.lifecycle.is_scheduled() {
                Invalid::Scheduled
            } else {
                Invalid::Changed {
                    label: label.clone(),
                    expected: from.cloned(),
                    found: there.state.labels.get(label).cloned(),
                }
            })
        };
        let is_done = |there: &RemoteSecret| {
            there.state.lifecycle.is_live() && there.state.labels.get(label) == to
        };
        if from.is_none() || from == to {
            let there = self.look(name)?.ok_or(StoreError::NotFound)?;
            if is_done(&there) {
                return Ok(());
            }
            if there.state.labels.get(label) != from {
                return Err(moved(&there));
            }
        }
        let effect = Effect::Change(Change::MoveLabel {
            label: label.clone(),
            from: from.cloned(),
            to: to.cloned(),
        });
        match self.perform(Call::Stage, name, &effect, None) {
            Err(error @ (StoreError::Changed(_) | StoreError::NotFound)) => {
                let there = self.look(name)?.ok_or(StoreError::NotFound)?;
                if is_done(&there) {
                    return Ok(());
                }
                match error {
                    StoreError::NotFound => Err(moved(&there)),
                    error => Err(error),
                }
            }
            done => done,
        }
    }

    /// A creation; one that an earlier attempt has done is known by its version, or by
    /// being bare.
    fn create(
        &self,
        name: &SecretName,
        change: &Change,
        attributes: &Attributes,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let effect = Effect::Change(change.clone());
        match self.perform(Call::Create, name, &effect, value) {
            Err(StoreError::Changed(Invalid::Exists) | StoreError::VersionMismatch(_)) => {
                let there = self.look(name)?.ok_or(StoreError::NotFound)?;
                let described = attributes.description.as_deref().filter(|d| !d.is_empty());
                if value.is_none()
                    && there.state.versions.is_empty()
                    && there.state.attributes.description.as_deref() == described
                    && there.state.attributes.tags == attributes.tags
                {
                    return Ok(());
                }
                Err(StoreError::Changed(Invalid::Exists))
            }
            done => done,
        }
    }
}

impl SecretStore for MemoryStore {
    async fn view(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> Result<RemoteView, StoreError> {
        let mut view = RemoteView::default();
        progress.begin("listing", None);
        for page in self.pages() {
            let page = self.page(page)?;
            progress.advance(page.len());
            let seen = page.into_iter().map(|(name, s)| (name, Sight::Seen(s)));
            view.secrets.extend(seen);
        }
        view.listed = view.secrets.len();
        for name in known {
            if view.secrets.contains_key(name) {
                continue;
            }
            match self.look(name) {
                Ok(Some(secret)) => view.secrets.insert(name.clone(), Sight::Seen(secret)),
                Ok(None) => None,
                // Whether it is gone cannot be told (sync.md section 1.16).
                Err(error @ StoreError::Denied { .. }) => view
                    .secrets
                    .insert(name.clone(), Sight::Blocked(error.to_string())),
                Err(error) => return Err(error),
            };
        }
        progress.finish();
        Ok(view)
    }

    async fn describe(&self, name: &SecretName) -> Result<Option<RemoteSecret>, StoreError> {
        self.look(name)
    }

    async fn policy(&self, name: &SecretName) -> Result<Option<String>, StoreError> {
        let call = self.enter(Call::GetPolicy, Some(name))?;
        let arn = call.inner.account.live_arn(name);
        let policy = arn.map(|arn| call.inner.account.kept.policies.get(&arn).cloned());
        call.answer(policy)
    }

    async fn read(&self, name: &SecretName, id: &VersionId) -> Result<Retrieved, StoreError> {
        let call = self.enter(Call::Get, Some(name))?;
        let got = call.inner.account.get(name, Some(id));
        // One code for both: no caller can tell them apart.
        let got = match got {
            Err(StoreError::NotFound) => Err(StoreError::NoValue(id.clone())),
            got => got,
        };
        call.answer(got)
    }

    async fn read_current(
        &self,
        names: &[SecretName],
    ) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
        let call = self.enter(Call::BatchGet, None)?;
        if names.len() > BATCH {
            return Err(StoreError::Refused {
                operation: Call::BatchGet.name(),
                code: "InvalidParameterException".into(),
                detail: String::new(),
            });
        }
        let account = &call.inner.account;
        let got = names.iter().map(|n| account.get(n, None)).collect();
        call.answer(Ok(got))
    }

    async fn apply(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let refused = |operation, code: &str| {
            Err(StoreError::Refused {
                operation,
                code: code.into(),
                detail: String::new(),
            })
        };
        if value.is_some_and(SecretValue::is_empty) {
            return refused(call_of(change).name(), "EmptyValue");
        }
        let effect = Effect::Change(change.clone());
        match change {
            Change::Create {
                attributes,
                version,
            } => {
                if version.is_some() != value.is_some() {
                    return refused(Call::Create.name(), "VersionWithoutValue");
                }
                self.create(name, change, attributes, value)
            }
            Change::AddVersion { labels, .. } => {
                // The rule the whole engine rests on (sync.md K2), held here so
                // that no test can pass against it.
                if labels.is_empty() || labels.iter().any(StagingLabel::is_current) {
                    return refused(Call::Put.name(), "UnconditionalPut");
                }
                if value.is_none() {
                    return refused(Call::Put.name(), "VersionWithoutValue");
                }
                if labels.iter().any(StagingLabel::is_local) {
                    return refused(Call::Put.name(), "LocalLabel");
                }
                self.perform(Call::Put, name, &effect, value)
            }
            Change::MoveLabel { label, .. } if label.is_local() => {
                refused(Call::Stage.name(), "LocalLabel")
            }
            Change::MoveLabel { label, from, to } => {
                self.move_label(name, label, from.as_ref(), to.as_ref())
            }
            Change::SetAttributes { from, to } => self.set_attributes(name, from, to),
            Change::SetOwn { field, to, .. } => {
                let is_json = serde_json::from_str::<serde_json::Value>(to).is_ok();
                match field {
                    OwnField::Rotation => refused("none", "NotARemoteChange"),
                    OwnField::Policy if !to.is_empty() && !is_json => {
                        refused(Call::PutPolicy.name(), "MalformedPolicyDocumentException")
                    }
                    _ => self.perform(call_of(change), name, &effect, None),
                }
            }
            Change::Delete { .. } => match self.perform(Call::Delete, name, &effect, None) {
                Err(StoreError::Changed(Invalid::Scheduled)) => match self.look(name)? {
                    Some(there) if there.state.lifecycle.is_scheduled() => Ok(()),
                    _ => Err(StoreError::NotFound),
                },
                done => done,
            },
            Change::Restore => self.perform(Call::Restore, name, &effect, None),
            Change::Reschedule { .. } | Change::Tombstone | Change::Archive { .. } => {
                refused("none", "NotARemoteChange")
            }
        }
    }
}

impl Inner {
    /// Keeps what AWS would have said.
    fn refuse(&mut self, call: Call, name: Option<&SecretName>, error: &StoreError) {
        let arn = name.map(|n| self.account.arn(n)).unwrap_or_default();
        self.refusal = Some(wording::refusal(call, name, &arn, error));
    }
}
