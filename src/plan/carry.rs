//! Carries a merged result: versions first into the vault, then labels and texts
//! here and there, in the order of sync.md section 1.14.

use std::collections::BTreeMap;

use super::NoteKind;
use super::attributes::Place;
use super::draft::Draft;
use super::labels::LabelMerge;
use super::merge::Text;
use super::resolve::lost_label;
use super::seat::Seat;
use super::verdict::Verdict;
use crate::model::{
    Attributes, Change, Content, Lifecycle, Origin, RemoteName, StagingLabel, VersionId,
    VersionMeta, travels,
};

impl<'a> Draft<'a> {
    /// Copies every labelled version that the vault lacks, so that no label ever
    /// leaves a version whose value is not safe here (sync.md K1).
    pub(super) fn gather(&mut self, seat: &Seat<'a>) {
        let Some(seen) = seat.seen.filter(|s| s.state.lifecycle.is_live()) else {
            return;
        };
        let state = &seen.state;
        // A placeholder may have got its value if anything was written, or its own
        // labels moved, since it was last looked at.
        let fresh = |id: &VersionId| {
            seat.pair.is_none_or(|pair| {
                let then = |label| pair.remote.labels.get(label) == Some(id);
                let now = |label| state.labels.get(label) == Some(id);
                pair.changed != seen.facts.changed
                    || pair
                        .remote
                        .labels
                        .keys()
                        .chain(state.labels.keys())
                        .any(|label| then(label) != now(label))
            })
        };
        let mut ids: Vec<&VersionId> = Vec::new();
        for (label, id) in order(&state.labels) {
            if !label.is_holding() && !ids.contains(&id) {
                ids.push(id);
            }
        }
        for id in ids {
            let known = self.record.state.versions.get(id).map(|v| v.content);
            let wanted = match known {
                None => true,
                Some(Content::Placeholder) => fresh(id),
                Some(Content::Value { .. } | Content::Unread) => false,
            };
            if !wanted {
                continue;
            }
            self.refetched |= known.is_some();
            let mut meta = VersionMeta::unread(Origin::Remote(seat.remote.clone()));
            if state.current() == Some(id) {
                let previous = state.labels.get(&StagingLabel::previous());
                meta.parent = previous.filter(|p| *p != id).cloned();
            }
            self.here(
                seat.remote,
                Change::AddVersion {
                    id: id.clone(),
                    meta,
                    labels: Vec::new(),
                },
            );
        }
    }

    /// What a conflict leaves to do: the versions it is about come into the vault,
    /// so that it can be looked at and resolved offline. Nothing else moves.
    pub(super) fn gather_only(&mut self, seats: &[Seat<'a>]) {
        self.plan.actions.clear();
        for seat in seats.iter().filter(|s| s.may_pull) {
            self.gather(seat);
        }
    }

    pub(super) fn move_here(
        &mut self,
        source: &RemoteName,
        label: &StagingLabel,
        to: Option<&VersionId>,
    ) {
        let from = self.record.state.labels.get(label).cloned();
        if from.as_ref() == to || label.is_holding() || (label.is_current() && to.is_none()) {
            return;
        }
        self.here(
            source,
            Change::MoveLabel {
                label: label.clone(),
                from: from.clone(),
                to: to.cloned(),
            },
        );
        // A version that loses its last label stays findable.
        if let (None, Some(left)) = (to, from)
            && self.record.state.labels_of(&left).next().is_none()
            && let Ok(was) = format!("sr/was/{}", label.as_str()).parse::<StagingLabel>()
        {
            self.move_here(source, &was, Some(&left));
        }
    }

    /// Brings the merged result into the vault.
    pub(super) fn carry_here(
        &mut self,
        merging: &[&Seat<'a>],
        texts: &BTreeMap<Place, Text>,
        labels: &[(StagingLabel, LabelMerge<'a>)],
    ) {
        let Some(first) = merging.iter().find(|s| s.may_pull) else {
            // Nothing is pulled, but what a push takes a label off is kept (K1).
            self.gather_all(merging, labels);
            return;
        };
        let mut attributes = Attributes::default();
        for (place, text) in texts {
            place.set(&mut attributes, text.text.as_deref());
        }
        match self.local.map(|s| s.lifecycle) {
            None => {
                self.here(
                    first.remote,
                    Change::Create {
                        attributes: attributes.clone(),
                        version: None,
                    },
                );
            }
            Some(Lifecycle::Live) => {}
            // The versions stay as history, but no label comes back to life with them,
            // nor would one if this stops half-way.
            Some(_) if self.anew => {
                self.here(
                    first.remote,
                    Change::Create {
                        attributes: attributes.clone(),
                        version: None,
                    },
                );
            }
            Some(_) => self.here(first.remote, Change::Restore),
        }
        for seat in merging {
            if seat.verdict == Verdict::Revive {
                self.note(seat.remote, NoteKind::Revived);
            }
        }
        if self.record.state.attributes != attributes {
            let from = self.record.state.attributes.clone();
            self.here(
                first.remote,
                Change::SetAttributes {
                    from,
                    to: attributes,
                },
            );
        }
        self.gather_all(merging, labels);
        for (label, merge) in labels {
            if let LabelMerge::Take {
                to,
                from: Some(from),
                ..
            } = merge
            {
                self.move_here(from, label, *to);
            }
        }
        self.follow_pending(merging);
        self.follow_previous(merging, labels);
        self.keep_lost(merging);
    }

    /// A move made here that never got out, on a secret that was deleted here and lives
    /// again as the remote has it: its version stays findable (sync.md section 1.8).
    fn keep_lost(&mut self, merging: &[&Seat<'a>]) {
        let Some(local) = self.local.filter(|s| !s.lifecycle.is_live()) else {
            return;
        };
        for seat in merging.iter().filter(|s| s.verdict == Verdict::Revive) {
            for label in seat.base.into_iter().flat_map(|b| b.intents.keys()) {
                if let Some(lost) = local.labels.get(label)
                    && self.record.state.labels_of(lost).next().is_none()
                    && let Some(kept) = lost_label(&self.record.state, lost)
                {
                    self.move_here(seat.remote, &kept, Some(lost));
                }
            }
        }
    }

    /// Copies what is news, and what a push is about to take a label off.
    fn gather_all(&mut self, merging: &[&Seat<'a>], labels: &[(StagingLabel, LabelMerge<'a>)]) {
        for seat in merging {
            let pushes = labels.iter().any(|(_, merge)| {
                matches!(merge, LabelMerge::Take { push, .. } if push.contains(&seat.remote))
            });
            if seat.may_pull || pushes {
                self.gather(seat);
            }
        }
    }

    /// AWSPENDING belongs to the remote's rotation: the vault mirrors it.
    fn follow_pending(&mut self, merging: &[&Seat<'a>]) {
        let pending = StagingLabel::pending();
        for seat in merging.iter().filter(|s| s.may_pull) {
            let there = seat.label(&pending);
            let pair = seat.pair.filter(|_| !self.anew);
            let before = pair.map(|p| p.remote.labels.get(&pending));
            let news = match before {
                Some(before) => there != before,
                None => there.is_some(),
            };
            if news {
                self.move_here(seat.remote, &pending, there);
                return;
            }
        }
    }

    /// AWSPREVIOUS never conflicts: after AWSCURRENT came from a remote it is what
    /// that remote says; moved by hand over there, it is taken over (sync.md P1, P5).
    fn follow_previous(
        &mut self,
        merging: &[&Seat<'a>],
        labels: &[(StagingLabel, LabelMerge<'a>)],
    ) {
        let previous = StagingLabel::previous();
        let source = labels.iter().find_map(|(label, merge)| match merge {
            LabelMerge::Take { from, .. } if label.is_current() => *from,
            _ => None,
        });
        if let Some(source) = source {
            let seat = merging.iter().find(|s| s.remote == source);
            if let Some(there) = seat.and_then(|s| s.label(&previous)) {
                self.move_here(source, &previous, Some(there));
            }
            return;
        }
        for seat in merging.iter().filter(|s| s.may_pull) {
            let there = seat.label(&previous);
            let same_current =
                seat.seen.and_then(|s| s.state.current()) == self.record.state.current();
            let news = match seat.pair.filter(|_| !self.anew) {
                Some(pair) => there != pair.remote.labels.get(&previous),
                None => !self.record.state.labels.contains_key(&previous),
            };
            if same_current && news && there.is_some() {
                self.move_here(seat.remote, &previous, there);
                return;
            }
        }
    }

    /// Brings the merged result to one remote.
    pub(super) fn carry_there(
        &mut self,
        seat: &Seat<'a>,
        texts: &BTreeMap<Place, Text>,
        labels: &[(StagingLabel, LabelMerge<'a>)],
    ) {
        let mut moves: Vec<(&StagingLabel, Option<&'a VersionId>)> = Vec::new();
        let mut held = false;
        for (label, merge) in labels {
            if let LabelMerge::Take {
                to, push, held: h, ..
            } = merge
            {
                if push.contains(&seat.remote) {
                    moves.push((label, *to));
                } else if h.contains(&seat.remote) {
                    held = true;
                    self.waiting.insert((seat.remote, label.clone()));
                }
            }
        }
        let wanted: Vec<VersionId> = moves.iter().filter_map(|(_, to)| to.cloned()).collect();
        if !self.put_there(seat, &wanted) {
            for (label, _) in moves.drain(..) {
                self.waiting.insert((seat.remote, label.clone()));
            }
        }
        for (label, to) in moves {
            self.move_there(seat, label, to);
        }
        let mut to = seat
            .seen
            .map(|s| s.state.attributes.clone())
            .unwrap_or_default();
        let from = to.clone();
        for (place, text) in texts {
            if text.push.contains(seat.remote) {
                place.set(&mut to, text.text.as_deref());
            } else {
                held |= text.held.contains(seat.remote);
            }
        }
        if from != to {
            self.there(seat, Change::SetAttributes { from, to });
        }
        if let (true, Some(reason)) = (held, seat.held) {
            self.note(seat.remote, NoteKind::NotPushed(reason.to_owned()));
        }
    }

    /// Puts the versions that a remote lacks, oldest first, under the holding label.
    /// Where nothing has a value yet the first one is AWSCURRENT at once, so there the
    /// one that shall be comes first and no other is ever live.
    /// False if one of them has no value to put.
    fn put_there(&mut self, seat: &Seat<'a>, wanted: &[VersionId]) -> bool {
        let mut history: Vec<VersionId> =
            self.record.state.history().into_iter().cloned().collect();
        let name = self.name;
        if self
            .side(seat)
            .get(name)
            .is_some_and(|s| s.current().is_none())
        {
            let current = self.record.state.current().cloned();
            history.sort_by_key(|id| Some(id) != current.as_ref());
        }
        for id in history.iter().filter(|id| wanted.contains(id)) {
            let there = self.side(seat).get(name);
            if there.is_some_and(|s| s.versions.contains_key(id)) {
                continue;
            }
            let Some(meta) = self.record.state.versions.get(id).cloned() else {
                continue;
            };
            if meta.content == Content::Placeholder {
                self.note(
                    seat.remote,
                    NoteKind::NotPushed(format!("version {} has no value", id.short())),
                );
                return false;
            }
            self.there(
                seat,
                Change::AddVersion {
                    id: id.clone(),
                    meta,
                    labels: vec![StagingLabel::holding()],
                },
            );
        }
        true
    }

    fn move_there(&mut self, seat: &Seat<'a>, label: &StagingLabel, to: Option<&VersionId>) {
        let name = self.name;
        let mut from = self
            .side(seat)
            .get(name)
            .and_then(|s| s.labels.get(label))
            .cloned();
        if seeded!(Replay)
            && label.is_current()
            && let Some(between) =
                to.and_then(|to| self.record.state.versions.get(to)?.parent.clone())
            && from.as_ref() != Some(&between)
            && let Some(meta) = self.record.state.versions.get(&between).cloned()
        {
            let there = self.side(seat).get(name);
            if !there.is_some_and(|s| s.versions.contains_key(&between)) {
                let (id, labels) = (between.clone(), vec![StagingLabel::holding()]);
                self.there(seat, Change::AddVersion { id, meta, labels });
            }
            let (label, to) = (label.clone(), Some(between.clone()));
            let from = from.replace(between);
            self.there(seat, Change::MoveLabel { label, from, to });
        }
        // The first value of an empty secret got AWSCURRENT by itself.
        if from.as_ref() != to {
            self.there(
                seat,
                Change::MoveLabel {
                    label: label.clone(),
                    from,
                    to: to.cloned(),
                },
            );
        }
    }

    /// Makes the secret on a remote that has none: first what was current before,
    /// so that AWSPREVIOUS comes out right by AWS's own rule, then the rest.
    pub(super) fn create_there(&mut self, seat: &Seat<'a>) {
        let state = self.record.state.clone();
        let has_value = |id: &&VersionId| {
            state
                .versions
                .get(*id)
                .is_some_and(|v| v.content != Content::Placeholder)
        };
        let current = state.current().filter(has_value);
        // Only what was current in the vault before this plan, or comes as new as all of it:
        // if it stops half-way, the next one knows that version for an older one.
        let ours = |id: &&VersionId| {
            self.local.is_none_or(|s| {
                s.labels.is_empty()
                    || s.current() == Some(*id)
                    || s.labels.get(&StagingLabel::previous()) == Some(*id)
            })
        };
        let previous = state
            .labels
            .get(&StagingLabel::previous())
            .filter(|id| has_value(id) && ours(id));
        let first = match current {
            Some(current) => previous.or(Some(current)),
            None => None,
        };
        let version = first.and_then(|id| {
            let meta = state.versions.get(id)?;
            Some((id.clone(), meta.clone()))
        });
        self.there(
            seat,
            Change::Create {
                attributes: state.attributes.clone(),
                version,
            },
        );
        let labels: Vec<(&StagingLabel, &VersionId)> = order(&state.labels)
            .filter(|(label, id)| travels(label) && has_value(id))
            .collect();
        let wanted: Vec<VersionId> = labels.iter().map(|(_, id)| (*id).clone()).collect();
        self.put_there(seat, &wanted);
        for (label, id) in labels {
            self.move_there(seat, label, Some(id));
        }
    }
}

/// Labels with AWSCURRENT first, then by name.
pub(super) fn order(
    labels: &BTreeMap<StagingLabel, VersionId>,
) -> impl Iterator<Item = (&StagingLabel, &VersionId)> {
    let mut all: Vec<_> = labels.iter().collect();
    all.sort_by_key(|(label, _)| !label.is_current());
    all.into_iter()
}
