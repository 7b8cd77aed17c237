use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{
    Change, Content, Invalid, Lifecycle, SecretName, SecretState, StagingLabel, VersionId,
    VersionMeta,
};

/// Every secret of one side, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(pub BTreeMap<SecretName, SecretState>);

impl Snapshot {
    /// The state of one secret.
    pub fn get(&self, name: &SecretName) -> Option<&SecretState> {
        self.0.get(name)
    }

    /// Applies one change by AWS's rules (aws.md section 3), or says why it does not
    /// fit and changes nothing. The vault, the base, the in-memory store and the
    /// tests all go through here, so there is one truth about labels.
    pub fn apply(&mut self, name: &SecretName, change: &Change) -> Result<(), Invalid> {
        match change {
            Change::Create {
                attributes,
                version,
            } => {
                let mut state = match self.0.entry(name.clone()) {
                    Entry::Vacant(_) => SecretState::default(),
                    Entry::Occupied(there) => match there.get().lifecycle {
                        Lifecycle::Live => {
                            return match version {
                                Some((id, meta)) => there.get().accepts_again(id, meta),
                                None => Err(Invalid::Exists),
                            };
                        }
                        Lifecycle::Scheduled { .. } => return Err(Invalid::Scheduled),
                        // A name can live again. The old versions stay as history, and
                        // what was lost in a conflict stays findable.
                        Lifecycle::Tombstone => SecretState {
                            versions: there.get().versions.clone(),
                            labels: there
                                .get()
                                .labels
                                .iter()
                                .filter(|(label, _)| label.is_local())
                                .map(|(label, id)| (label.clone(), id.clone()))
                                .collect(),
                            ..SecretState::default()
                        },
                    },
                };
                state.attributes = attributes.clone();
                if let Some((id, meta)) = version {
                    if state.versions.contains_key(id) {
                        return Err(Invalid::VersionExists(id.clone()));
                    }
                    state.versions.insert(id.clone(), meta.clone());
                    state.labels.insert(StagingLabel::current(), id.clone());
                }
                self.0.insert(name.clone(), state);
                Ok(())
            }
            Change::Archive { to } => {
                if self.0.contains_key(to) {
                    return Err(Invalid::Exists);
                }
                let mut state = self.0.remove(name).ok_or(Invalid::NoSecret)?;
                state.lifecycle = Lifecycle::Tombstone;
                self.0.insert(to.clone(), state);
                Ok(())
            }
            change => self.0.get_mut(name).ok_or(Invalid::NoSecret)?.apply(change),
        }
    }
}

impl SecretState {
    /// Applies a change to one existing secret; `Create` and `Archive`, which are
    /// about names, belong to [`Snapshot::apply`].
    fn apply(&mut self, change: &Change) -> Result<(), Invalid> {
        match change {
            Change::Create { .. } | Change::Archive { .. } => Err(Invalid::Exists),
            Change::AddVersion { id, meta, labels } => self.add_version(id, meta, labels),
            Change::MoveLabel { label, from, to } => {
                self.move_label(label, from.as_ref(), to.as_ref())
            }
            Change::SetAttributes { from, to } => {
                self.must_be_live()?;
                if self.attributes != *from {
                    return Err(Invalid::AttributesChanged);
                }
                self.attributes = to.clone();
                Ok(())
            }
            // No part of what is kept here.
            Change::SetOwn { .. } => self.must_be_live(),
            Change::Delete { date } => {
                self.must_be_live()?;
                self.lifecycle = Lifecycle::Scheduled { date: *date };
                Ok(())
            }
            Change::Reschedule { date } => {
                if !self.lifecycle.is_scheduled() {
                    return Err(Invalid::NoSecret);
                }
                self.lifecycle = Lifecycle::Scheduled { date: *date };
                Ok(())
            }
            Change::Restore => {
                self.lifecycle = Lifecycle::Live;
                Ok(())
            }
            Change::Tombstone => {
                self.lifecycle = Lifecycle::Tombstone;
                Ok(())
            }
        }
    }

    fn must_be_live(&self) -> Result<(), Invalid> {
        match self.lifecycle {
            Lifecycle::Live => Ok(()),
            Lifecycle::Scheduled { .. } => Err(Invalid::Scheduled),
            Lifecycle::Tombstone => Err(Invalid::Deleted),
        }
    }

    /// A token that is already in use: the same content is a repeated call and
    /// changes nothing, other content is refused (aws.md section 3, idempotency).
    fn accepts_again(&self, id: &VersionId, meta: &VersionMeta) -> Result<(), Invalid> {
        match self.versions.get(id) {
            None => Err(Invalid::Exists),
            Some(known) => match (known.content, meta.content) {
                (Content::Value { digest: a, .. }, Content::Value { digest: b, .. }) if a != b => {
                    Err(Invalid::VersionExists(id.clone()))
                }
                _ => Ok(()),
            },
        }
    }

    fn add_version(
        &mut self,
        id: &VersionId,
        meta: &VersionMeta,
        labels: &[StagingLabel],
    ) -> Result<(), Invalid> {
        if !labels.is_empty() {
            self.must_be_live()?;
        }
        if let Some(known) = self.versions.get(id)
            && known.content != Content::Placeholder
        {
            return self.accepts_again(id, meta);
        }
        let mut next = self.labels.clone();
        // The first value of a secret gets AWSCURRENT whatever labels were named.
        let first = !labels.is_empty()
            && meta.content != Content::Placeholder
            && !next.contains_key(&StagingLabel::current());
        if first || labels.iter().any(StagingLabel::is_current) {
            let pending = StagingLabel::pending();
            if next.contains_key(&pending) && next.get(&pending) == self.current() {
                next.remove(&pending);
            }
            move_current(&mut next, id);
        }
        for label in labels.iter().filter(|l| !l.is_current()) {
            next.insert(label.clone(), id.clone());
        }
        if !labels.is_empty() {
            check_label_count(&next)?;
        }
        self.labels = next;
        self.versions.insert(id.clone(), meta.clone());
        Ok(())
    }

    fn move_label(
        &mut self,
        label: &StagingLabel,
        from: Option<&VersionId>,
        to: Option<&VersionId>,
    ) -> Result<(), Invalid> {
        if !label.is_local() {
            self.must_be_live()?;
        }
        if from.is_none() && to.is_none() {
            return Err(Invalid::Nothing);
        }
        let found = self.labels.get(label);
        if found != from {
            return Err(Invalid::Changed {
                label: label.clone(),
                expected: from.cloned(),
                found: found.cloned(),
            });
        }
        let Some(to) = to else {
            if label.is_current() {
                return Err(Invalid::CurrentMustStay);
            }
            self.labels.remove(label);
            return Ok(());
        };
        let Some(version) = self.versions.get(to) else {
            return Err(Invalid::NoVersion(to.clone()));
        };
        if label.is_current() && version.content == Content::Placeholder {
            return Err(Invalid::NoValue(to.clone()));
        }
        let mut next = self.labels.clone();
        if label.is_current() {
            move_current(&mut next, to);
        } else {
            next.insert(label.clone(), to.clone());
        }
        check_label_count(&next)?;
        self.labels = next;
        Ok(())
    }
}

/// Moves AWSCURRENT and drags AWSPREVIOUS behind it; every other label stays where
/// it is (aws.md section 3, rules 1 to 4).
fn move_current(labels: &mut BTreeMap<StagingLabel, VersionId>, to: &VersionId) {
    let holder = labels.insert(StagingLabel::current(), to.clone());
    if let Some(holder) = holder
        && holder != *to
    {
        labels.insert(StagingLabel::previous(), holder);
    }
}

fn check_label_count(labels: &BTreeMap<StagingLabel, VersionId>) -> Result<(), Invalid> {
    // Labels of the vault alone do not count: AWS never sees them.
    if labels.keys().filter(|l| !l.is_local()).count() > StagingLabel::MAX_PER_SECRET {
        return Err(Invalid::TooManyLabels);
    }
    Ok(())
}
