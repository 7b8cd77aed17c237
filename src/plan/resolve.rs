//! A person's answer to a conflict, as an edit of the vault alone. The next plan then
//! finds a clean push or a clean pull; resolving needs no network.

use super::twins::{resolve_twins, two_contents};
use crate::model::{
    Attributes, Author, Change, Conflict, Field, Halves, Invalid, Lifecycle, OwnField, Record,
    SecretState, StagingLabel, VersionId, travels,
};

/// What a person chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The vault's side; the remote's is overwritten, and kept here.
    Ours,
    /// The remote's side; the vault's is kept under an `sr/lost/` label.
    Theirs,
    /// Another version altogether. For label conflicts only.
    To(VersionId),
}

/// What a resolution did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Labels under which the versions that lost can be found.
    pub kept: Vec<(StagingLabel, VersionId)>,
}

/// Why a conflict cannot be resolved so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The secret has changed since the conflict was recorded.
    #[error("the secret has changed since this conflict was found")]
    Stale,
    /// The remote's version has not been copied into the vault yet.
    #[error("version {0} of the remote is not in the vault yet")]
    NotFetched(VersionId),
    /// `--to` for something that is no label.
    #[error("a version can only answer a conflict about a label, not about {0}")]
    NoLabel(Field),
    /// The vault's side of AWSCURRENT is that there is none: two remotes have made the
    /// name, and a live secret needs one.
    #[error("the vault has no current version of its own to keep")]
    NoneHere,
    /// One id with two contents is a choice between these two.
    #[error("one version id with two contents can only be answered with one of the two")]
    Integrity,
    /// What is here goes on under an id of its own, and is not there under it yet.
    #[error("the content of version {0} has no copy under an id of its own yet")]
    NoCopy(VersionId),
    /// The model refuses the result.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

/// Applies a choice to a record. The caller drops the conflict from the record, and
/// all others of the same remote with it: the next plan finds again what is left.
pub fn resolve(
    record: &mut Record,
    conflict: &Conflict,
    choice: &Choice,
) -> Result<Resolution, ResolveError> {
    if let Some((doubtful, label)) = two_contents(&record.state, conflict) {
        return resolve_twins(record, conflict, &doubtful, label, choice);
    }
    if conflict.is_alarm() {
        return Err(ResolveError::Stale);
    }
    if conflict.is_between_clones() {
        return resolve_clones(record, conflict, choice);
    }
    match &conflict.field {
        Field::Label(label) => resolve_label(record, conflict, label, choice),
        Field::Description | Field::Tag(_) => resolve_text(record, conflict, choice),
        Field::Lifecycle => resolve_lifecycle(record, conflict, choice),
        Field::Own(field) => resolve_own(record, conflict, *field, choice),
    }
}

fn resolve_label(
    record: &mut Record,
    conflict: &Conflict,
    label: &StagingLabel,
    choice: &Choice,
) -> Result<Resolution, ResolveError> {
    let ours = record.state.labels.get(label).cloned();
    if ours.as_ref().map(VersionId::as_str) != conflict.ours.as_deref() {
        return Err(ResolveError::Stale);
    }
    let theirs: Option<VersionId> = match &conflict.theirs {
        Some(id) => Some(id.parse().map_err(|_| ResolveError::Stale)?),
        None => None,
    };
    if let Some(theirs) = &theirs
        && !record.state.versions.contains_key(theirs)
    {
        return Err(ResolveError::NotFetched(theirs.clone()));
    }
    let (to, author) = match choice {
        Choice::Ours => (ours.clone(), Author::Here),
        Choice::Theirs => (theirs.clone(), Author::From(&conflict.remote)),
        Choice::To(id) => (Some(id.clone()), Author::Here),
    };
    if to.is_none() && label.is_current() {
        return Err(ResolveError::NoneHere);
    }
    let mut next = record.clone();
    bring_back(&mut next, conflict)?;
    if to != ours {
        let change = Change::MoveLabel {
            label: label.clone(),
            from: ours.clone(),
            to: to.clone(),
        };
        next.apply(&change, author)?;
    }
    let base = next.base.entry(conflict.remote.clone()).or_default();
    if to == theirs && base.pair.is_some() {
        base.intents.remove(label);
    } else {
        // The person has seen what is there: a push starts from that, even one of what
        // another remote has, chosen later. (Where there is a pair such a choice puts it
        // on record by itself.)
        base.intents.insert(label.clone(), theirs.clone());
    }
    let mut done = Resolution::default();
    for lost in [ours, theirs].into_iter().flatten() {
        if to.as_ref() != Some(&lost) {
            done.kept.extend(keep(&mut next, &lost)?);
        }
    }
    *record = next;
    Ok(done)
}

fn resolve_text(
    record: &mut Record,
    conflict: &Conflict,
    choice: &Choice,
) -> Result<Resolution, ResolveError> {
    let from = record.state.attributes.clone();
    let ours = match &conflict.field {
        Field::Tag(key) => from.tags.get(key),
        Field::Description => from.description.as_ref(),
        Field::Label(_) | Field::Lifecycle | Field::Own(_) => return Err(ResolveError::Stale),
    };
    if ours != conflict.ours.as_ref() {
        return Err(ResolveError::Stale);
    }
    let mut next = record.clone();
    bring_back(&mut next, conflict)?;
    match choice {
        Choice::To(_) => return Err(ResolveError::NoLabel(conflict.field.clone())),
        Choice::Ours => {}
        Choice::Theirs => {
            let mut to = from.clone();
            match (&conflict.field, &conflict.theirs) {
                (Field::Tag(key), Some(text)) => {
                    to.tags.insert(key.clone(), text.clone());
                }
                (Field::Tag(key), None) => {
                    to.tags.remove(key);
                }
                (Field::Description, text) => to.description.clone_from(text),
                (field @ (Field::Label(_) | Field::Lifecycle | Field::Own(_)), _) => {
                    return Err(ResolveError::NoLabel(field.clone()));
                }
            }
            next.apply(
                &Change::SetAttributes { from, to },
                Author::From(&conflict.remote),
            )?;
        }
    }
    // Seen either way: should another remote's text be chosen over this one later, it
    // may go there.
    let base = next.base.entry(conflict.remote.clone()).or_default();
    base.seen
        .insert(conflict.field.clone(), conflict.theirs.clone());
    *record = next;
    Ok(Resolution::default())
}

/// Ours is pushed if the remote still has what the person has seen; theirs ends the wish.
fn resolve_own(
    record: &mut Record,
    conflict: &Conflict,
    field: OwnField,
    choice: &Choice,
) -> Result<Resolution, ResolveError> {
    let entry = record
        .base
        .get(&conflict.remote)
        .and_then(|b| b.own.get(&field));
    let set = record.details.own(field);
    let wanted = match entry {
        Some(entry) => entry.here.as_deref(),
        None => set.as_deref(),
    };
    let (Some(ours), Some(theirs)) = (&conflict.ours, &conflict.theirs) else {
        return Err(ResolveError::Stale);
    };
    if wanted != Some(ours.as_str()) {
        return Err(ResolveError::Stale);
    }
    let here = match choice {
        Choice::To(_) => return Err(ResolveError::NoLabel(conflict.field.clone())),
        Choice::Ours => Some(ours.clone()),
        Choice::Theirs => None,
    };
    let there = theirs.clone();
    let base = record.base.entry(conflict.remote.clone()).or_default();
    base.own.insert(field, Halves { here, there });
    Ok(Resolution::default())
}

/// A conflict about a field of a secret that is deleted or scheduled here is about one
/// that lives over there and is to live here again: only then can it be changed.
pub(super) fn bring_back(record: &mut Record, conflict: &Conflict) -> Result<(), Invalid> {
    if record.state.lifecycle.is_live() {
        return Ok(());
    }
    let change = if record.is_blank() {
        Change::Create {
            attributes: Attributes::default(),
            version: None,
        }
    } else {
        Change::Restore
    };
    record.apply(&change, Author::From(&conflict.remote))
}

fn resolve_lifecycle(
    record: &mut Record,
    conflict: &Conflict,
    choice: &Choice,
) -> Result<Resolution, ResolveError> {
    use crate::model::Class;
    if conflict.ours.as_deref() != Some(record.state.lifecycle.as_str()) {
        return Err(ResolveError::Stale);
    }
    let mut done = Resolution::default();
    let mut next = record.clone();
    let remote = &conflict.remote;
    match choice {
        Choice::To(_) => return Err(ResolveError::NoLabel(conflict.field.clone())),
        Choice::Ours => {
            let base = next.base.entry(remote.clone()).or_default();
            base.seen.insert(Field::Lifecycle, conflict.theirs.clone());
        }
        Choice::Theirs => {
            if let Some(current) = next.state.current().cloned() {
                done.kept.extend(keep(&mut next, &current)?);
            }
            match conflict.class {
                Class::ScheduleEdit => next.apply(&Change::Restore, Author::From(remote))?,
                Class::EditRecreate => undo_edits(&mut next, conflict)?,
                _ if conflict.theirs.as_deref() == Some("scheduled") => {
                    next.apply(&Change::Delete { date: None }, Author::From(remote))?;
                }
                _ => next.apply(&Change::Tombstone, Author::From(remote))?,
            }
            if conflict.class == Class::RemoteRemote {
                // The person has seen that it lives elsewhere, with news, and decided
                // against it: the deletion goes on to there.
                let others = next.base.iter_mut().filter(|(other, _)| *other != remote);
                for (_, base) in others {
                    if base
                        .pair
                        .as_ref()
                        .is_some_and(|p| p.remote.lifecycle.is_live())
                    {
                        let live = Lifecycle::Live.as_str().to_owned();
                        base.seen.insert(Field::Lifecycle, Some(live));
                    }
                }
            }
        }
    }
    *record = next;
    Ok(done)
}

/// Answers what two clones disagree on: a change made here like any other, and news for
/// every remote. Ours is what the vault has now, whatever it was when they met.
fn resolve_clones(
    record: &mut Record,
    conflict: &Conflict,
    choice: &Choice,
) -> Result<Resolution, ResolveError> {
    let mut next = record.clone();
    let mut done = Resolution::default();
    match (&conflict.field, choice) {
        (Field::Label(label), choice) => {
            let ours = next.state.labels.get(label).cloned();
            let theirs = match &conflict.theirs {
                Some(id) => Some(id.parse::<VersionId>().map_err(|_| ResolveError::Stale)?),
                None => None,
            };
            let to = match choice {
                Choice::Ours => ours.clone(),
                Choice::Theirs => theirs.clone(),
                Choice::To(id) => Some(id.clone()),
            };
            if to.is_none() && label.is_current() {
                return Err(ResolveError::NoneHere);
            }
            if to != ours {
                let (label, from) = (label.clone(), ours.clone());
                let to = to.clone();
                next.apply(&Change::MoveLabel { label, from, to }, Author::Here)?;
            }
            for id in [ours, theirs].into_iter().flatten() {
                if to.as_ref() != Some(&id) {
                    done.kept.extend(keep(&mut next, &id)?);
                // It has lost nothing after all.
                } else if let Some(label) = lost_label(&next.state, &id)
                    && next.state.labels.get(&label) == Some(&id)
                {
                    next.state.labels.remove(&label);
                }
            }
        }
        (field, Choice::To(_)) => return Err(ResolveError::NoLabel(field.clone())),
        (_, Choice::Ours) => {}
        (Field::Lifecycle, Choice::Theirs) => {
            let change = match conflict.theirs.as_deref() {
                Some("live") => Change::Restore,
                Some("scheduled") => Change::Delete { date: None },
                _ => Change::Tombstone,
            };
            if conflict.theirs.as_deref() != Some(next.state.lifecycle.as_str()) {
                next.apply(&change, Author::Here)?;
            }
        }
        (field, Choice::Theirs) => {
            let from = next.state.attributes.clone();
            let mut to = from.clone();
            match (field, &conflict.theirs) {
                (Field::Tag(key), Some(text)) => {
                    to.tags.insert(key.clone(), text.clone());
                }
                (Field::Tag(key), None) => {
                    to.tags.remove(key);
                }
                (Field::Description, text) => to.description.clone_from(text),
                (field @ (Field::Label(_) | Field::Lifecycle | Field::Own(_)), _) => {
                    return Err(ResolveError::NoLabel(field.clone()));
                }
            }
            next.apply(&Change::SetAttributes { from, to }, Author::Here)?;
        }
    }
    *record = next;
    Ok(done)
}

/// Puts labels and attributes back to what was last agreed with the remote, so that
/// the next plan can put the old incarnation aside.
fn undo_edits(record: &mut Record, conflict: &Conflict) -> Result<(), ResolveError> {
    let author = Author::From(&conflict.remote);
    let Some(pair) = record
        .base
        .get(&conflict.remote)
        .and_then(|b| b.pair.clone())
    else {
        return Err(ResolveError::Stale);
    };
    let labels: std::collections::BTreeSet<StagingLabel> = pair
        .local
        .labels
        .keys()
        .chain(record.state.labels.keys())
        .filter(|l| travels(l))
        .cloned()
        .collect();
    for label in labels {
        let from = record.state.labels.get(&label).cloned();
        let to = pair.local.labels.get(&label).cloned();
        if from != to {
            record.apply(&Change::MoveLabel { label, from, to }, author)?;
        }
    }
    let from = record.state.attributes.clone();
    let to = pair.local.attributes.clone();
    if from != to {
        record.apply(&Change::SetAttributes { from, to }, author)?;
    }
    // After a restore here, the base's lifecycle is still the scheduled one.
    if pair.local.lifecycle != Lifecycle::Live && record.state.lifecycle.is_live() {
        record.apply(&Change::Delete { date: None }, author)?;
    }
    if let Some(base) = record.base.get_mut(&conflict.remote) {
        base.intents.clear();
    }
    Ok(())
}

/// The label under which a version that lost in a conflict is found again:
/// `sr/lost/<day>-<id8>`, the day being that of its making, so that two clones write
/// the same (sync.md section 1.8).
pub(super) fn lost_label(state: &SecretState, lost: &VersionId) -> Option<StagingLabel> {
    let day = state
        .versions
        .get(lost)
        .and_then(|v| v.created)
        .map_or_else(|| "undated".to_owned(), crate::model::Timestamp::day);
    let id8: String = lost.as_str().chars().take(8).collect();
    format!("sr/lost/{day}-{id8}").parse().ok()
}

/// Gives a version that lost such a label.
pub(super) fn keep(
    record: &mut Record,
    lost: &VersionId,
) -> Result<Option<(StagingLabel, VersionId)>, ResolveError> {
    let Some(label) = lost_label(&record.state, lost) else {
        return Ok(None);
    };
    let from = record.state.labels.get(&label).cloned();
    if from.as_ref() != Some(lost) {
        record.apply(
            &Change::MoveLabel {
                label: label.clone(),
                from,
                to: Some(lost.clone()),
            },
            Author::Here,
        )?;
    }
    Ok(Some((label, lost.clone())))
}
