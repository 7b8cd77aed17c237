//! One version id with two contents (sync.md section 1.9).
//!
//! An id says which version it is only within one incarnation of a secret, and only as
//! long as nobody lies. So wherever a remote's content is known, it is held against the
//! vault's. What is found under an id that is another content's here is kept as a
//! version of its own, its twin, under an id made from both; no content ever replaces
//! another. In one incarnation that is an alarm. At a first meeting of two, it is what
//! any two secrets of one name are.

use std::collections::BTreeMap;

use super::carry::order;
use super::draft::Draft;
use super::resolve::{Choice, Resolution, ResolveError, bring_back, keep};
use super::seat::Seat;
use super::verdict::Verdict;
use crate::model::{
    Author, Change, Class, Conflict, Content, Field, Origin, Pair, Record, SecretState,
    StagingLabel, VersionId, VersionMeta, travels,
};

/// A label that sits on an id with another content than the vault has under that id.
struct Clash {
    label: StagingLabel,
    id: VersionId,
    twin: VersionId,
    meta: VersionMeta,
}

impl<'a> Draft<'a> {
    /// Looks for ids with two contents. True if one stops the secret.
    pub(super) fn find_twins(&mut self, seats: &mut [Seat<'a>]) -> bool {
        self.one_at_a_time(seats);
        let Some(local) = self.local else {
            return false;
        };
        let mut found = Vec::new();
        for seat in seats.iter_mut().filter(|s| s.merges()) {
            let clashes = clashes(local, seat);
            if clashes.is_empty() {
                continue;
            }
            // What was deleted here makes room for the new incarnation as a whole.
            if seat.verdict == Verdict::PullCreate {
                seat.verdict = Verdict::TakeRecreated;
                continue;
            }
            found.extend(clashes.into_iter().map(|clash| (&*seat, clash)));
        }
        let mut copies = Vec::new();
        for (seat, clash) in found {
            let known = seat.base.and_then(|b| b.pair.as_ref()).is_some();
            let minted_here = local
                .versions
                .get(&clash.id)
                .is_some_and(|v| v.origin == Origin::Local);
            // Nobody else makes the ids that this vault makes.
            let class = match known && seat.pair.is_some() || minted_here {
                true => Class::Integrity,
                false => Class::CreateCreate,
            };
            self.plan.conflicts.push(Conflict {
                remote: seat.remote.clone(),
                field: Field::Label(clash.label.clone()),
                class,
                base: Some(clash.id.as_str().to_owned()),
                ours: local
                    .labels
                    .get(&clash.label)
                    .map(|v| v.as_str().to_owned()),
                theirs: Some(clash.twin.as_str().to_owned()),
            });
            self.plan
                .aliases
                .insert(clash.twin.clone(), clash.id.clone());
            copies.push((seat.remote, clash));
        }
        if copies.is_empty() {
            return false;
        }
        self.gather_only(seats);
        for (remote, clash) in copies {
            let Clash { id, twin, meta, .. } = clash;
            let alias = StagingLabel::alias(&id, &twin);
            if !self.record.state.versions.contains_key(&twin) {
                let change = Change::AddVersion {
                    id: twin.clone(),
                    meta,
                    labels: Vec::new(),
                };
                self.here(remote, change);
            }
            self.move_here(remote, &alias, Some(&twin));
        }
        true
    }

    /// Two remotes that are met at once and have one id for two contents: the first by
    /// name comes in, the other one is met after it.
    fn one_at_a_time(&mut self, seats: &mut [Seat<'a>]) {
        let mut contents: BTreeMap<VersionId, Content> = BTreeMap::new();
        for seat in seats.iter_mut() {
            if seat.verdict != Verdict::PullCreate {
                continue;
            }
            let Some(seen) = seat.seen else {
                continue;
            };
            let values: Vec<(&VersionId, Content)> = seen
                .state
                .versions
                .iter()
                .filter(|(_, v)| v.has_value())
                .map(|(id, v)| (id, v.content))
                .collect();
            let differs = |(id, content): &(&VersionId, Content)| {
                contents.get(*id).is_some_and(|known| known != content)
            };
            if values.iter().any(differs) {
                seat.verdict = Verdict::Nothing;
                self.plan.again = true;
                continue;
            }
            contents.extend(values.into_iter().map(|(id, c)| (id.clone(), c)));
        }
    }
}

fn clashes(local: &SecretState, seat: &Seat<'_>) -> Vec<Clash> {
    let Some(seen) = seat.seen.filter(|s| s.state.lifecycle.is_live()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (label, id) in order(&seen.state.labels) {
        let here = local.versions.get(id).map(|v| v.content);
        let (true, Some(here @ Content::Value { .. })) = (travels(label), here) else {
            continue;
        };
        let shown = seen.state.versions.get(id);
        let twin = match shown.map(|v| v.content) {
            Some(Content::Value { digest, kind }) if here != (Content::Value { kind, digest }) => {
                local.twin_of(id, kind, digest)
            }
            // Not read this time. Nothing is agreed yet, and it was found to differ.
            Some(Content::Unread) if seat.pair.is_none() => match met_before(local, seat, id) {
                Some(twin) => twin,
                None => continue,
            },
            _ => continue,
        };
        if is_decided(local, seat, label, id, &twin) {
            continue;
        }
        found.push(Clash {
            label: label.clone(),
            id: id.clone(),
            twin,
            meta: VersionMeta {
                created: None,
                content: Content::Unread,
                // Whatever is made on top of it is made in the knowledge of what the
                // remote has under that id.
                parent: Some(id.clone()),
                origin: Origin::Remote(seat.remote.clone()),
            },
        });
    }
    found
}

fn met_before(local: &SecretState, seat: &Seat<'_>, id: &VersionId) -> Option<VersionId> {
    let mut twins = local.labels.iter().filter(|(label, twin)| {
        let origin = local.versions.get(*twin).map(|v| &v.origin);
        label.aliased().as_ref() == Some(id)
            && matches!(origin, Some(Origin::Remote(remote)) if remote == seat.remote)
    });
    twins.next().map(|(_, twin)| twin.clone())
}

/// Whether a person has seen both contents, and what was decided is on record: as a
/// move that starts from this id there, or as agreed although the ids differ.
fn is_decided(
    local: &SecretState,
    seat: &Seat<'_>,
    label: &StagingLabel,
    id: &VersionId,
    twin: &VersionId,
) -> bool {
    let moves = seat.base.and_then(|b| b.intents.get(label));
    let moved = moves == Some(&Some(id.clone())) && local.labels.get(label) != Some(id);
    let agreed = |pair: &Pair| {
        pair.remote.labels.get(label) == Some(id) && pair.local.labels.get(label) == Some(twin)
    };
    local.versions.contains_key(twin) && (moved || seat.pair.is_some_and(agreed))
}

/// Whether a remote's current version can be taken over under its own id: not where
/// another content has that id here.
pub(super) fn may_adopt(local: &SecretState, seat: &Seat<'_>) -> bool {
    let seen = seat.seen.and_then(|s| {
        let id = s.state.current()?;
        Some((id, s.state.versions.get(id)?.content))
    });
    seen.is_none_or(|(id, there)| match local.versions.get(id) {
        Some(here) => here.content == there,
        None => true,
    })
}

/// The version that `ours` of a conflict about two contents needs first: a copy of what
/// has the doubtful id here, under an id of its own. The first is copied, the second is
/// the copy's id.
pub fn own_twin(record: &Record, conflict: &Conflict) -> Option<(VersionId, VersionId)> {
    let (doubtful, label) = two_contents(&record.state, conflict)?;
    if record.state.labels.get(label) != Some(&doubtful) {
        return None;
    }
    match record.state.versions.get(&doubtful)?.content {
        Content::Value { digest, .. } => {
            let twin = doubtful.twin(&digest);
            Some((doubtful, twin))
        }
        Content::Placeholder | Content::Unread => None,
    }
}

/// The id with two contents that a conflict is about, if it is one of those, and the
/// label.
pub fn two_contents<'c>(
    state: &SecretState,
    conflict: &'c Conflict,
) -> Option<(VersionId, &'c StagingLabel)> {
    let Field::Label(label) = &conflict.field else {
        return None;
    };
    let theirs: VersionId = conflict.theirs.as_ref()?.parse().ok()?;
    let doubtful = state.alias_of(&theirs)?;
    // A twin that won is a version like any other from then on.
    let met = conflict.class == Class::CreateCreate
        && conflict.base.as_deref() == Some(doubtful.as_str());
    (conflict.is_alarm() || met).then_some((doubtful, label))
}

/// Decides between two contents of one id. Whichever wins goes on under an id of its
/// own; the doubtful one is never moved to again.
pub(super) fn resolve_twins(
    record: &mut Record,
    conflict: &Conflict,
    doubtful: &VersionId,
    label: &StagingLabel,
    choice: &Choice,
) -> Result<Resolution, ResolveError> {
    let here = record.state.labels.get(label).cloned();
    let parse = |id: &Option<String>| -> Result<Option<VersionId>, ResolveError> {
        let id = id.as_ref().map(|id| id.parse());
        id.transpose().map_err(|_| ResolveError::Stale)
    };
    let (ours, theirs) = (parse(&conflict.ours)?, parse(&conflict.theirs)?);
    let shown = parse(&conflict.base)?;
    let Some(theirs) = theirs else {
        return Err(ResolveError::Stale);
    };
    let copy = match record.state.versions.get(doubtful).map(|v| v.content) {
        Some(Content::Value { digest, .. }) => Some(doubtful.twin(&digest)),
        _ => None,
    };
    // With a second remote of the same kind, the first answer has moved it already.
    if here != ours && (here.is_none() || here != copy) {
        return Err(ResolveError::Stale);
    }
    if !record.state.versions.contains_key(&theirs) {
        return Err(ResolveError::NotFetched(theirs));
    }
    let to = match choice {
        Choice::To(_) => return Err(ResolveError::Integrity),
        Choice::Theirs => theirs.clone(),
        Choice::Ours => match &here {
            None => return Err(ResolveError::NoneHere),
            Some(here) if here == doubtful => match copy {
                Some(copy) if record.state.versions.contains_key(&copy) => copy,
                _ => return Err(ResolveError::NoCopy(doubtful.clone())),
            },
            Some(here) => here.clone(),
        },
    };
    let mut next = record.clone();
    bring_back(&mut next, conflict)?;
    if here.as_ref() != Some(&to) {
        let change = Change::MoveLabel {
            label: label.clone(),
            from: here.clone(),
            to: Some(to.clone()),
        };
        next.apply(&change, Author::Here)?;
    }
    let base = next.base.entry(conflict.remote.clone()).or_default();
    match &mut base.pair {
        // The remote has it already, under its own id: the two correspond from now on.
        Some(pair) if to == theirs && shown.as_ref() == Some(doubtful) => {
            pair.local.labels.insert(label.clone(), to);
            pair.remote.labels.insert(label.clone(), doubtful.clone());
            base.intents.remove(label);
        }
        _ => {
            base.intents.insert(label.clone(), shown);
        }
    }
    let mut done = Resolution::default();
    // What goes on as a copy is not lost.
    let lost = match choice {
        Choice::Ours => Some(theirs),
        _ => here,
    };
    if let Some(lost) = lost {
        done.kept.extend(keep(&mut next, &lost)?);
    }
    *record = next;
    Ok(done)
}
