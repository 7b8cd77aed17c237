//! Puts the merges of one secret's texts and labels together, over all remotes at
//! once; if one of them has no answer, none is carried anywhere.

use std::collections::{BTreeMap, BTreeSet};

use super::NoteKind;
use super::attributes::{Place, TextMerge, TextSide, merge_text};
use super::draft::Draft;
use super::labels::{LabelMerge, LabelSide, merge_label};
use super::seat::Seat;
use super::twins::may_adopt;
use super::verdict::Verdict;
use crate::model::{
    Attributes, Change, Class, Content, Field, Lifecycle, RemoteName, SecretState, StagingLabel,
    VersionId, travels,
};

/// A text's outcome, owned.
pub(super) struct Text {
    pub(super) text: Option<String>,
    pub(super) push: BTreeSet<RemoteName>,
    pub(super) held: BTreeSet<RemoteName>,
}

impl<'a> Draft<'a> {
    pub(super) fn merge(&mut self, seats: &[Seat<'a>]) {
        let merging: Vec<&Seat<'a>> = seats.iter().filter(|s| s.merges()).collect();
        let creating: Vec<&Seat<'a>> = seats
            .iter()
            .filter(|s| s.verdict == Verdict::PushCreate)
            .collect();
        if merging.is_empty() && creating.is_empty() {
            return;
        }
        let tombstone = self
            .local
            .is_some_and(|s| s.lifecycle == Lifecycle::Tombstone);
        // What was deleted here has no say in what it becomes: another secret of the name
        // is made anew, and over an edit there the remote wins (sync.md section 1.4,
        // D x C and D x R).
        self.anew = tombstone;
        let alive = self.local.is_some() && !tombstone;

        let texts = self.merge_texts(&merging, alive);
        let labels = self.merge_labels(&merging, alive);
        let merged = merging.iter().chain(&creating);
        let own: Vec<Vec<Change>> = merged.map(|seat| self.merge_own(seat, alive)).collect();
        if !self.plan.conflicts.is_empty() {
            self.gather_only(seats);
            return;
        }
        if self.agree_first(&merging, &labels) {
            self.gather_only(seats);
            return;
        }

        for seat in &merging {
            if seat.verdict == Verdict::RestoreRemote
                && seat.seen.is_some_and(|s| s.state.lifecycle.is_scheduled())
            {
                self.there(seat, Change::Restore);
            }
        }
        self.carry_here(&merging, &texts, &labels);
        for seat in &merging {
            self.carry_there(seat, &texts, &labels);
        }
        for seat in &creating {
            self.create_there(seat);
        }
        for (seat, changes) in merging.iter().chain(&creating).zip(own) {
            for change in changes {
                self.there(seat, change);
            }
        }
    }

    /// A move made here that a remote has made as well is agreed on, and is remembered
    /// before that remote gets what another one has: cut off in between, the move would
    /// look as if it had been made against just that. The rest is for the next look.
    fn agree_first(
        &mut self,
        merging: &[&Seat<'a>],
        labels: &[(StagingLabel, LabelMerge<'a>)],
    ) -> bool {
        for seat in merging {
            let Some(base) = seat.base.filter(|_| seat.pair.is_some()) else {
                continue;
            };
            let mut agreed = base.clone();
            for (label, merge) in labels {
                let here = self.local.and_then(|s| s.labels.get(label));
                let pushed =
                    matches!(merge, LabelMerge::Take { push, .. } if push.contains(&seat.remote));
                if !pushed || seat.label(label) != here || agreed.intents.remove(label).is_none() {
                    continue;
                }
                let Some(pair) = &mut agreed.pair else {
                    continue;
                };
                let previous = label.is_current().then(StagingLabel::previous);
                for label in [Some(label.clone()), previous].into_iter().flatten() {
                    let here = self.local.and_then(|s| s.labels.get(&label));
                    put(&mut pair.local.labels, &label, here);
                    put(&mut pair.remote.labels, &label, seat.label(&label));
                }
            }
            if agreed != *base {
                self.note(seat.remote, NoteKind::AgreedFirst);
                self.plan.settled.insert(seat.remote.clone(), agreed);
            }
        }
        !self.plan.settled.is_empty()
    }

    fn merge_texts(&mut self, merging: &[&Seat<'a>], alive: bool) -> BTreeMap<Place, Text> {
        let empty = Attributes::default();
        let ours = match self.local {
            Some(state) if !self.anew => &state.attributes,
            _ => &empty,
        };
        let mut sources = vec![ours];
        for seat in merging {
            sources.extend(seat.seen.map(|s| &s.state.attributes));
            sources.extend(seat.pair.map(|p| &p.remote.attributes));
            sources.extend(seat.pair.map(|p| &p.local.attributes));
        }
        let mut texts = BTreeMap::new();
        for place in Place::all(sources.into_iter()) {
            let sides: Vec<TextSide<'_>> = merging
                .iter()
                .map(|seat| TextSide {
                    remote: seat.remote,
                    base: seat.pair.filter(|_| alive).map(|p| {
                        (
                            place.get(&p.local.attributes),
                            place.get(&p.remote.attributes),
                        )
                    }),
                    seen: seat
                        .base
                        .filter(|_| alive)
                        .and_then(|b| b.seen.get(&place.field()))
                        .map(Option::as_deref),
                    there: seat.seen.and_then(|s| place.get(&s.state.attributes)),
                    may_push: seat.sealed.is_none() && !revives(seat),
                    may_pull: seat.may_pull,
                })
                .collect();
            match merge_text(place.get(ours), alive, &sides) {
                TextMerge::Take { text, push, held } => {
                    let text = Text {
                        text: text.map(str::to_owned),
                        push: push.into_iter().cloned().collect(),
                        held: held.into_iter().cloned().collect(),
                    };
                    texts.insert(place, text);
                }
                TextMerge::Conflict { with, class } => {
                    let field = place.field();
                    if let Some(seat) = merging.iter().find(|s| s.remote == with) {
                        self.conflict(seat, field, class);
                    }
                }
            }
        }
        texts
    }

    fn merge_labels(
        &mut self,
        merging: &[&Seat<'a>],
        alive: bool,
    ) -> Vec<(StagingLabel, LabelMerge<'a>)> {
        let ours: &'a SecretState = match self.local {
            Some(state) => state,
            None => &NO_STATE,
        };
        let labels = if self.anew {
            &NO_STATE.labels
        } else {
            &ours.labels
        };
        let mut universe: BTreeSet<&StagingLabel> = labels.keys().collect();
        for seat in merging {
            universe.extend(seat.labels().into_iter().flat_map(BTreeMap::keys));
            universe.extend(seat.pair.into_iter().flat_map(|p| p.remote.labels.keys()));
            universe.extend(seat.base.into_iter().flat_map(|b| b.intents.keys()));
        }
        // AWSCURRENT first: the others may sit on the version it brings.
        let mut universe: Vec<&StagingLabel> =
            universe.into_iter().filter(|l| travels(l)).collect();
        universe.sort_by_key(|l| !l.is_current());
        let mut merged = Vec::new();
        for label in universe {
            let sides: Vec<LabelSide<'a>> = merging
                .iter()
                .map(|seat| LabelSide {
                    remote: seat.remote,
                    base: seat
                        .pair
                        .filter(|_| alive)
                        .map(|p| (p.local.labels.get(label), p.remote.labels.get(label))),
                    intent: seat
                        .base
                        .filter(|_| alive)
                        .and_then(|b| b.intents.get(label))
                        .map(Option::as_ref),
                    there: seat.label(label),
                    previous: seat.label(&StagingLabel::previous()),
                    same_value: label.is_current()
                        && may_adopt(ours, seat)
                        && matches!(
                            contents(ours, labels.get(label), seat),
                            (Some(a @ Content::Value { .. }), Some(b)) if a == b
                        ),
                    may_push: seat.held.is_none() && !revives(seat),
                    may_pull: seat.may_pull,
                })
                .collect();
            match merge_label(label, ours, labels.get(label), alive, &sides) {
                LabelMerge::Conflict { with, class } => {
                    if let Some(seat) = merging.iter().find(|s| s.remote == with) {
                        if class == Class::CreateCreate
                            && label.is_current()
                            && let (Some(Content::Value { .. }), Some(Content::Unread)) =
                                contents(ours, labels.get(label), seat)
                        {
                            self.note(seat.remote, NoteKind::MayBeSame);
                        }
                        self.conflict(seat, Field::Label(label.clone()), class);
                    }
                }
                take @ LabelMerge::Take { .. } => merged.push((label.clone(), take)),
            }
        }
        merged
    }
}

fn put(
    labels: &mut BTreeMap<StagingLabel, VersionId>,
    label: &StagingLabel,
    to: Option<&VersionId>,
) {
    match to {
        Some(id) => labels.insert(label.clone(), id.clone()),
        None => labels.remove(label),
    };
}

/// What is known of the contents of AWSCURRENT here and on a remote.
fn contents(
    ours: &SecretState,
    here: Option<&VersionId>,
    seat: &Seat<'_>,
) -> (Option<Content>, Option<Content>) {
    let here = here.and_then(|id| ours.versions.get(id));
    let there = seat
        .seen
        .and_then(|s| s.state.versions.get(s.state.current()?));
    (here.map(|v| v.content), there.map(|v| v.content))
}

/// What a remote shows that brings a deleted secret back to life is taken as it is;
/// what others have for it is for the next plan, which then has a common state again.
fn revives(seat: &Seat<'_>) -> bool {
    seat.verdict == Verdict::Revive
}

static NO_STATE: SecretState = SecretState {
    attributes: Attributes {
        description: None,
        tags: BTreeMap::new(),
    },
    versions: BTreeMap::new(),
    labels: BTreeMap::new(),
    lifecycle: Lifecycle::Live,
};
