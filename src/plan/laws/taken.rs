//! Steps as a real vault and real accounts take them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::tests::name;
use super::super::{Action, SecretPlan, Side, resolve};
use super::worlds::{World, meta, number};
use crate::model::{
    Author, Change, Content, Invalid, Lifecycle, OwnField, Record, RemoteFacts, RemoteName,
    RemoteSecret, Snapshot, Timestamp, VersionId, VersionMeta, replicas_of,
};

impl World {
    /// Takes one step as a real vault and a real account would: a copy must be
    /// readable at its source, a push must have a value to send.
    pub(super) fn step(&mut self, action: &Action) -> Result<(), String> {
        match &action.on {
            Side::Local => self.step_here(action),
            Side::Remote(remote) => self.step_there(remote, &action.change),
        }
    }

    fn step_here(&mut self, action: &Action) -> Result<(), String> {
        let source = action.source.as_ref().ok_or("a local step has no source")?;
        let record = self.record.get_or_insert_with(|| Record::new(name()));
        match &action.change {
            Change::Archive { .. } => {
                let mut base = std::mem::take(&mut record.base);
                base.remove(source);
                let mut old = std::mem::replace(record, Record::new(name()));
                record.base = base;
                old.state.lifecycle = Lifecycle::Tombstone;
                self.aside = Some(old.state);
                Ok(())
            }
            Change::AddVersion {
                id,
                meta: planned,
                labels,
            } => {
                let there = self.far[source].as_ref().ok_or("its source is gone")?;
                if !there.state.lifecycle.is_live() || !there.state.versions.contains_key(id) {
                    return Err(format!("version {id} cannot be read on {source}"));
                }
                let change = Change::AddVersion {
                    id: id.clone(),
                    meta: VersionMeta {
                        // After a rollback AWSPREVIOUS is the younger one: no parent.
                        parent: planned.parent.clone().filter(|p| number(p) < number(id)),
                        origin: planned.origin.clone(),
                        ..meta(number(id))
                    },
                    labels: labels.clone(),
                };
                record.apply(&change, Author::From(source))
            }
            .map_err(|e| e.to_string()),
            change => record
                .apply(change, Author::From(source))
                .map_err(|e| e.to_string()),
        }
    }

    fn step_there(&mut self, remote: &RemoteName, change: &Change) -> Result<(), String> {
        let value = match change {
            Change::AddVersion { id, .. }
            | Change::Create {
                version: Some((id, _)),
                ..
            } => Some(id),
            _ => None,
        };
        if let Some(id) = value {
            let known = self.state().and_then(|s| s.versions.get(id));
            if !known.is_some_and(VersionMeta::has_value) {
                return Err(format!("version {id} has no value here to send"));
            }
        }
        let far = self.far.get_mut(remote).ok_or("no such remote")?;
        let mut side = Snapshot::default();
        if let Some(secret) = far.as_ref() {
            side.0.insert(name(), secret.state.clone());
        }
        side.apply(&name(), change)
            .map_err(|e: Invalid| e.to_string())?;
        let mut state = side.0.remove(&name()).ok_or("a remote kept nothing")?;
        for meta in state.versions.values_mut() {
            meta.content = Content::Unread;
            meta.parent = None;
        }
        if let Lifecycle::Scheduled { date } = &mut state.lifecycle {
            date.get_or_insert(Timestamp::from_secs(3000));
        }
        if let (Change::SetOwn { field, to, .. }, Some(secret)) = (change, far.as_mut()) {
            set_own(&mut secret.facts, *field, to);
        }
        match far {
            Some(secret) => secret.state = state,
            None => {
                self.made += 1;
                *far = Some(RemoteSecret {
                    state,
                    facts: RemoteFacts {
                        arn: format!("arn-NEW{:03}", self.made),
                        // Whoever made it knows that there is none.
                        policy: Some(String::new()),
                        replicas: Some(BTreeMap::new()),
                        ..RemoteFacts::default()
                    },
                });
            }
        }
        Ok(())
    }

    /// A listing shows only labelled versions, and AWS may collect the others.
    pub(super) fn collect(&mut self) {
        for secret in self.far.values_mut().flatten() {
            let state = &mut secret.state;
            let labelled: BTreeSet<VersionId> = state.labels.values().cloned().collect();
            state.versions.retain(|id, _| labelled.contains(id));
        }
    }

    /// Takes over what a plan says is to be remembered. What only the remote can say
    /// (its ARN, its date) is filled in, as `sync` does.
    pub(super) fn settle(&mut self, plan: &SecretPlan) {
        for (remote, settled) in &plan.settled {
            let mut settled = settled.clone();
            if let (Some(pair), Some(Some(secret))) = (&mut settled.pair, self.far.get(remote)) {
                pair.arn.clone_from(&secret.facts.arn);
                if pair.remote.lifecycle.is_scheduled() {
                    pair.remote.lifecycle = secret.state.lifecycle;
                }
            }
            let record = self.record.get_or_insert_with(|| Record::new(name()));
            record.base.insert(remote.clone(), settled);
        }
    }

    /// Plans and carries out again, for what reaches another remote a plan later.
    pub(super) fn run_on(&mut self, rounds: usize) -> Result<(), String> {
        for _ in 0..rounds * 2 {
            self.collect();
            let plan = self.plan();
            if plan.actions.is_empty() && plan.settled.is_empty() {
                break;
            }
            self.finish(&plan)?;
        }
        Ok(())
    }

    /// Carries a whole plan out.
    pub(super) fn finish(&mut self, plan: &SecretPlan) -> Result<(), String> {
        for (at, action) in plan.actions.iter().enumerate() {
            self.answer(plan, at)?;
            self.step(action)
                .map_err(|e| format!("step `{action}`: {e}"))?;
        }
        self.answer(plan, plan.actions.len())?;
        self.settle(plan);
        Ok(())
    }

    /// Takes the answers that come after so many steps.
    pub(super) fn answer(&mut self, plan: &SecretPlan, after: usize) -> Result<(), String> {
        for answer in plan.answers.iter().filter(|a| a.after == after) {
            let record = self.record.get_or_insert_with(|| Record::new(name()));
            resolve(record, &answer.conflict, &answer.choice)
                .map_err(|e| format!("answer `{answer}`: {e}"))?;
        }
        Ok(())
    }
}

/// Sets one of a remote's own fields: replicas are added to, an empty text takes away.
fn set_own(facts: &mut RemoteFacts, field: OwnField, to: &str) {
    match field {
        OwnField::KmsKey => facts.kms_key = Some(to.to_owned()).filter(|t| !t.is_empty()),
        OwnField::Policy => facts.policy = Some(to.to_owned()),
        OwnField::Replicas => {
            let all = facts.replicas.get_or_insert_default();
            all.extend(replicas_of(to));
        }
        OwnField::Rotation => {}
    }
}
