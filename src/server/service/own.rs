//! What each remote has of its own, as the endpoint shows and changes it: KMS key,
//! resource policy, replicas. What is set on a secret that a remote has is for that
//! remote alone.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::place::Found;
use crate::model::{OwnField, Record, RemoteBase, RemoteName, canonical_json, replicas_of};

impl Found {
    /// The remote that gave the secret the ARN it is shown by.
    fn bound<'r>(&self, record: &'r Record) -> Option<(&'r RemoteName, &'r RemoteBase)> {
        let of = |base: &RemoteBase| base.pair.as_ref().is_some_and(|p| p.arn == self.arn);
        record.base.iter().find(|(_, base)| of(base))
    }

    /// What is shown: an edit made here that the remote does not have yet, else what the
    /// remote was last seen to have. None where there is none.
    pub(super) fn own_text(&self, field: OwnField) -> Option<Cow<'_, str>> {
        let entry = self.bound(&self.record).map(|(_, b)| b.own.get(&field));
        let text = match entry {
            // Of no remote.
            None => self.record.details.own(field),
            Some(entry) => {
                let here = match entry {
                    Some(entry) => entry.here.as_deref().map(Cow::Borrowed),
                    None => self.record.details.own(field),
                };
                let there = || self.facts.as_ref().and_then(|f| f.own(field));
                let agreed = || entry.map(|e| Cow::Borrowed(e.there.as_str()));
                here.or_else(there).or_else(agreed)
            }
        };
        text.filter(|text| !text.is_empty())
    }

    /// Sets it, for the remote that has the secret if one has it; none for nothing.
    pub(super) fn set_own(&self, record: &mut Record, field: OwnField, text: Option<String>) {
        let Some(remote) = self.bound(record).map(|(remote, _)| remote.clone()) else {
            match field {
                OwnField::KmsKey => record.details.kms_key = text,
                OwnField::Policy => record.details.policy = text,
                OwnField::Replicas => {
                    record.details.replicas = replicas_of(&text.unwrap_or_default());
                }
                OwnField::Rotation => {}
            }
            return;
        };
        let text = text.unwrap_or_default();
        let text = match field {
            OwnField::Policy => canonical_json(&text).unwrap_or(text),
            _ => text,
        };
        let seen = self.facts.as_ref().and_then(|f| f.own(field));
        let set_before = record.details.own(field).is_some();
        let Some(base) = record.base.get_mut(&remote) else {
            return;
        };
        let entry = base.own.entry(field).or_default();
        // The first edit since starts from what whoever makes it was shown.
        if let (None, Some(seen)) = (&entry.here, seen) {
            entry.there = seen.into_owned();
        }
        // Of replicas it is those to add.
        let back = match field {
            OwnField::Replicas => text.is_empty(),
            _ => text == entry.there,
        };
        entry.here = (!back).then_some(text);
        if entry.here.is_none() && entry.there.is_empty() && !set_before {
            base.own.remove(&field);
        }
    }

    /// The replicas that were added here and no remote has yet.
    pub(super) fn added_replicas(&self, record: &Record) -> BTreeMap<String, Option<String>> {
        let entry = self
            .bound(record)
            .map(|(_, b)| b.own.get(&OwnField::Replicas));
        match entry.flatten() {
            Some(entry) => replicas_of(entry.here.as_deref().unwrap_or_default()),
            None => record.details.replicas.clone(),
        }
    }

    /// The replicas that the remote was last seen to have.
    pub(super) fn remote_replicas(&self) -> BTreeMap<String, Option<String>> {
        if let Some(seen) = self.facts.as_ref().and_then(|f| f.replicas.clone()) {
            return seen;
        }
        let entry = self
            .bound(&self.record)
            .map(|(_, b)| b.own.get(&OwnField::Replicas));
        entry
            .flatten()
            .map(|e| replicas_of(&e.there))
            .unwrap_or_default()
    }

    /// Both.
    pub(super) fn all_replicas(&self) -> BTreeMap<String, Option<String>> {
        let mut all = self.added_replicas(&self.record);
        all.extend(self.remote_replicas());
        all
    }
}
