//! Copies one secret, by calls of which each can be repeated.
//!
//! The version that is current on the source makes the secret on the target, so
//! AWSCURRENT is right from the first moment and is moved only where the source has
//! moved it; the others follow, oldest first, under labels that are free over there.

use std::collections::BTreeMap;

use super::MigrateError;
use super::item::{Item, Version, carried};
use super::journal::{Entry, Journal, JournalError, Made, Stage};
use super::outcome::Outcome;
use super::rewrite::same_policy;
use super::survey::taken;
use crate::crypto::{KeyringKeys, KeysError};
use crate::model::{
    Change, Lifecycle, Origin, OwnField, SecretValue, StagingLabel, VersionId, VersionMeta,
};
use crate::store::{Account, Inspected, NewSecret, StoreError};

/// What copying takes.
pub(super) struct Copier<'a, S> {
    pub(super) from: &'a S,
    pub(super) to: &'a S,
    pub(super) keys: &'a KeyringKeys,
    pub(super) journal: &'a Journal,
}

/// Why copying one secret ended early.
enum Stop {
    /// It concerns this one alone.
    This(Outcome),
    All(MigrateError),
}

impl From<JournalError> for Stop {
    fn from(error: JournalError) -> Self {
        Self::All(error.into())
    }
}

impl From<KeysError> for Stop {
    fn from(error: KeysError) -> Self {
        Self::All(error.into())
    }
}

impl From<MigrateError> for Stop {
    fn from(error: MigrateError) -> Self {
        Self::All(error)
    }
}

fn failed(text: impl Into<String>) -> Stop {
    Stop::This(Outcome::Failed(text.into()))
}

fn at_target(error: StoreError) -> Stop {
    if error.is_fatal() {
        Stop::All(MigrateError::To(error))
    } else {
        failed(format!("on the target: {error}"))
    }
}

fn at_source(error: StoreError) -> Stop {
    if error.is_fatal() {
        Stop::All(MigrateError::From(error))
    } else {
        failed(format!("on the source: {error}"))
    }
}

type Labels = BTreeMap<StagingLabel, VersionId>;

impl<S: Account> Copier<'_, S> {
    /// Makes the target's secret what the item says. `seen` is how the target was a
    /// moment ago.
    pub(super) async fn copy(
        &self,
        item: &Item,
        seen: Option<Inspected>,
    ) -> Result<Outcome, MigrateError> {
        let entry = self.journal.entry(&item.source);
        match self.try_copy(item, &entry, seen).await {
            Ok(outcome) => Ok(outcome),
            Err(Stop::This(outcome)) => Ok(outcome),
            Err(Stop::All(error)) => Err(error),
        }
    }

    async fn try_copy(
        &self,
        item: &Item,
        entry: &Entry,
        seen: Option<Inspected>,
    ) -> Result<Outcome, Stop> {
        let mut changed = false;
        let seen = match seen {
            Some(seen) => self.there(item, entry, seen).await?,
            None => {
                self.create(item).await?;
                changed = true;
                None
            }
        };
        let mut labels = match &seen {
            Some(seen) => seen.secret.state.labels.clone(),
            None => item
                .current()
                .map(|v| (StagingLabel::current(), v.id.clone()))
                .into_iter()
                .collect(),
        };
        changed |= self.put_versions(item, seen.as_ref(), &mut labels).await?;
        self.journal.reached(&item.source, Stage::Versions)?;
        let moved = self.move_labels(item, entry, &mut labels).await?;
        self.journal.reached(&item.source, Stage::Labels)?;
        changed |= moved | self.describe(item, seen.as_ref()).await?;
        changed |= self.attach_policy(item, entry, seen.as_ref()).await?;
        if moved || seen.is_some() {
            self.look_again(item).await?;
        }
        self.journal.reached(&item.source, Stage::Meta)?;
        Ok(if changed {
            Outcome::Done
        } else {
            Outcome::Same
        })
    }

    async fn create(&self, item: &Item) -> Result<(), Stop> {
        let value = match item.current() {
            Some(version) => Some(self.value(item, version).await?),
            None => None,
        };
        let attributes = item.attributes();
        let secret = NewSecret {
            attributes: &attributes,
            kms_key: item.kms.as_deref(),
            id: item.current().map(|v| &v.id),
        };
        let made = self.to.create_secret(&item.target, secret, value.as_ref());
        made.await.map_err(at_target)?;
        let source = &item.source;
        self.journal.made(source, Stage::Created, Made::Created)?;
        Ok(())
    }

    /// The target has a secret of that name: goes on with it if it is a copy, else
    /// leaves it alone.
    async fn there(
        &self,
        item: &Item,
        entry: &Entry,
        mut seen: Inspected,
    ) -> Result<Option<Inspected>, Stop> {
        let skip = |why: String| Stop::This(Outcome::Skipped(why));
        if let Lifecycle::Scheduled { .. } = seen.secret.state.lifecycle {
            if !item.restore {
                return Err(skip(
                    "the target name is scheduled for deletion; wait, or plan with --restore"
                        .to_owned(),
                ));
            }
            let restored = self.to.apply(&item.target, &Change::Restore, None).await;
            restored.map_err(at_target)?;
            self.journal
                .made(&item.source, Stage::Planned, Made::Restored)?;
            let again = self.to.inspect(&item.target).await.map_err(at_target)?;
            seen = again.ok_or_else(|| failed("it is gone from the target"))?;
        }
        // Versions that this migration has put there, whatever the source did since.
        let mut known = item.clone();
        for id in &entry.ids {
            if known.version(id).is_none() {
                known.versions.push(unlabelled(id));
            }
        }
        if entry.made == Made::Created {
            let ids = seen.secret.state.labels.iter();
            let foreign = ids
                .filter(|(label, _)| !label.is_holding())
                .find(|(_, id)| known.version(id).is_none());
            if let Some((_, id)) = foreign {
                return Err(skip(format!(
                    "somebody wrote version {} to the target",
                    id.short()
                )));
            }
        } else if let Some(why) = taken(self.to, self.keys, &known, &seen).await? {
            return Err(skip(format!("the target name is taken: {why}")));
        }
        if entry.made == Made::Intended {
            // The answer to the call that made it was lost.
            let source = &item.source;
            self.journal.made(source, Stage::Created, Made::Created)?;
        }
        Ok(Some(seen))
    }

    /// A value of the source, and none but the one that was planned.
    async fn value(&self, item: &Item, version: &Version) -> Result<SecretValue, Stop> {
        let got = self.from.read(&item.source, &version.id).await;
        let value = got.map_err(at_source)?.value;
        if version.digest == Some(self.keys.digest(&value)?) {
            Ok(value)
        } else {
            Err(failed(format!(
                "version {} of the source has another value than when it was planned",
                version.id.short()
            )))
        }
    }

    async fn put_versions(
        &self,
        item: &Item,
        seen: Option<&Inspected>,
        labels: &mut Labels,
    ) -> Result<bool, Stop> {
        let mut held: Vec<VersionId> = match seen {
            Some(seen) => seen.secret.state.versions.keys().cloned().collect(),
            None => labels.values().cloned().collect(),
        };
        if seen.is_some() && item.versions.iter().any(|v| v.labels.is_empty()) {
            let history = self.to.history(&item.target).await.map_err(at_target)?;
            held.extend(history.into_iter().map(|h| h.id));
        }
        let mut missing: Vec<&Version> = item
            .versions
            .iter()
            .filter(|v| !held.contains(&v.id))
            .collect();
        if !labels.contains_key(&StagingLabel::current()) {
            // The first value gets AWSCURRENT whatever its labels (aws.md section 3).
            missing.sort_by_key(|v| !v.labels.iter().any(StagingLabel::is_current));
        }
        for version in &missing {
            let value = self.value(item, version).await?;
            let free = version.labels.iter().filter(|l| !l.is_current());
            let mut words: Vec<StagingLabel> =
                free.filter(|l| !labels.contains_key(*l)).cloned().collect();
            if words.is_empty() {
                words.push(StagingLabel::holding());
            }
            let change = Change::AddVersion {
                id: version.id.clone(),
                meta: VersionMeta::unread(Origin::Local),
                labels: words.clone(),
            };
            let put = self.to.apply(&item.target, &change, Some(&value)).await;
            put.map_err(at_target)?;
            labels
                .entry(StagingLabel::current())
                .or_insert_with(|| version.id.clone());
            labels.extend(words.into_iter().map(|word| (word, version.id.clone())));
        }
        Ok(!missing.is_empty())
    }

    async fn move_labels(
        &self,
        item: &Item,
        entry: &Entry,
        labels: &mut Labels,
    ) -> Result<bool, Stop> {
        let wanted = item.labels();
        let mut moved = false;
        // AWSCURRENT first: it drags AWSPREVIOUS behind it.
        let current = StagingLabel::current();
        let rest = wanted.keys().filter(|l| !l.is_current()).cloned();
        let order = wanted.contains_key(&current).then(|| current.clone());
        for label in order.into_iter().chain(rest.collect::<Vec<_>>()) {
            let to = wanted.get(&label).cloned();
            if labels.get(&label) != to.as_ref() {
                self.move_label(item, &label, to, labels).await?;
                moved = true;
            }
        }
        let extra: Vec<StagingLabel> = labels
            .keys()
            .filter(|l| !wanted.contains_key(*l))
            .filter(|l| l.is_holding() || entry.labels.contains(*l) || l.is_previous())
            .cloned()
            .collect();
        for label in extra {
            self.move_label(item, &label, None, labels).await?;
            moved = true;
        }
        Ok(moved)
    }

    async fn move_label(
        &self,
        item: &Item,
        label: &StagingLabel,
        to: Option<VersionId>,
        labels: &mut Labels,
    ) -> Result<(), Stop> {
        let from = labels.get(label).cloned();
        let change = Change::MoveLabel {
            label: label.clone(),
            from: from.clone(),
            to: to.clone(),
        };
        let done = self.to.apply(&item.target, &change, None).await;
        done.map_err(at_target)?;
        if label.is_current()
            && let Some(from) = from
        {
            labels.insert(StagingLabel::previous(), from);
        }
        match to {
            Some(to) => labels.insert(label.clone(), to),
            None => labels.remove(label),
        };
        Ok(())
    }

    /// Description and tags.
    async fn describe(&self, item: &Item, seen: Option<&Inspected>) -> Result<bool, Stop> {
        let mut changed = false;
        if let Some(seen) = seen {
            let (from, to) = (&seen.secret.state.attributes, item.attributes());
            if *from != to {
                let from = from.clone();
                let change = Change::SetAttributes { from, to };
                let set = self.to.apply(&item.target, &change, None).await;
                set.map_err(at_target)?;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// The resource policy: one that was taken off the source is taken off the copy, if
    /// it still is one that this migration meant it to have.
    async fn attach_policy(
        &self,
        item: &Item,
        entry: &Entry,
        seen: Option<&Inspected>,
    ) -> Result<bool, Stop> {
        if seen.is_none() && item.policy.is_none() {
            return Ok(false);
        }
        if item.policy.is_none() && entry.policies.is_empty() {
            return Ok(false);
        }
        let has = match seen {
            Some(_) => self.to.policy(&item.target).await.map_err(at_target)?,
            None => None,
        };
        match (&item.policy, has) {
            (Some(policy), Some(has)) if same_policy(&has, policy) => return Ok(false),
            (Some(policy), _) => {
                let set = self.to.set_policy(&item.target, policy).await;
                set.map_err(at_target)?;
            }
            (None, None) => return Ok(false),
            (None, Some(has)) => {
                if !entry.policies.iter().any(|put| same_policy(&has, put)) {
                    return Err(Stop::This(Outcome::Skipped(
                        "its resource policy is gone from the source, but somebody changed the \
                         copy's: take it off by hand"
                            .to_owned(),
                    )));
                }
                let change = Change::SetOwn {
                    field: OwnField::Policy,
                    from: has,
                    to: String::new(),
                };
                let taken = self.to.apply(&item.target, &change, None).await;
                taken.map_err(at_target)?;
            }
        }
        Ok(true)
    }

    async fn look_again(&self, item: &Item) -> Result<(), Stop> {
        let seen = self.to.describe(&item.target).await.map_err(at_target)?;
        let Some(seen) = seen else {
            return Err(failed("it is gone from the target"));
        };
        if carried(&seen) == item.labels() {
            Ok(())
        } else {
            Err(failed(
                "the target does not show the labels that were written",
            ))
        }
    }
}

fn unlabelled(id: &VersionId) -> Version {
    Version {
        id: id.clone(),
        labels: Vec::new(),
        kind: None,
        digest: None,
        created: None,
    }
}
