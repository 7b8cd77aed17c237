//! What is remembered once a plan is carried out: the new base, read off the copies
//! of both sides.

use std::collections::{BTreeMap, BTreeSet};

use super::attributes::Place;
use super::draft::Draft;
use super::seat::Seat;
use super::verdict::Verdict;
use super::{Note, NoteKind, SecretPlan, Side};
use crate::model::{
    Face, Lifecycle, Pair, RemoteBase, SecretState, StagingLabel, VersionId, travels,
};

impl<'a> Draft<'a> {
    /// Works out what to remember, and hands the plan over.
    pub(super) fn finish(mut self, seats: &[Seat<'a>]) -> SecretPlan {
        if let Some(reason) = self.broken.take() {
            // A step that the model refuses: states that cannot be, such as two
            // names for one thing. Nothing is done, and it is said.
            return SecretPlan {
                notes: vec![Note {
                    remote: None,
                    kind: NoteKind::Blocked(format!("no safe plan: {reason}")),
                }],
                ..SecretPlan::default()
            };
        }
        self.plan.notes.sort();
        self.plan.conflicts.sort();
        let agreed_first = |n: &Note| n.kind == NoteKind::AgreedFirst;
        if !self.plan.conflicts.is_empty() || self.plan.notes.iter().any(agreed_first) {
            return self.plan;
        }
        for seat in seats {
            if self.writes_to(seat) {
                let face = self.face_of(seat);
                self.plan.shown.insert(seat.remote.clone(), face);
            }
            if let Some(settled) = self.remember(seat) {
                self.plan.settled.insert(seat.remote.clone(), settled);
            }
        }
        self.plan
    }

    fn writes_to(&self, seat: &Seat<'a>) -> bool {
        let side = Side::Remote(seat.remote.clone());
        self.plan.actions.iter().any(|a| a.on == side)
    }

    /// A remote's side as it will be, in what is compared.
    fn face_of(&mut self, seat: &Seat<'a>) -> Face {
        let name = self.name;
        self.side(seat).get(name).map_or_else(
            || Face {
                lifecycle: Lifecycle::Tombstone,
                ..Face::default()
            },
            SecretState::face,
        )
    }

    fn remember(&mut self, seat: &Seat<'a>) -> Option<RemoteBase> {
        if matches!(
            seat.verdict,
            Verdict::Nothing
                | Verdict::ScheduledThere
                | Verdict::RestoreOnly
                | Verdict::Conflict(_)
        ) {
            return None;
        }
        // A recreated secret that could not be put aside is left as it was.
        if seat.verdict == Verdict::TakeRecreated && self.plan.actions.is_empty() {
            return None;
        }
        let old = seat.base.and_then(|b| b.pair.as_ref());
        let mut local = self.record.state.face();
        let mut remote = self.face_of(seat);
        if matches!(seat.verdict, Verdict::Agree(_)) && local.lifecycle.is_live() {
            // Deleted on both sides, and another remote brought it back to life: to
            // this one it is new.
            local.lifecycle = Lifecycle::Tombstone;
        }
        if remote.lifecycle == Lifecycle::Tombstone || local.lifecycle == Lifecycle::Tombstone {
            // What a gone secret looked like is no base for anything.
            let (l, r) = (local.lifecycle, remote.lifecycle);
            local = Face {
                lifecycle: l,
                ..Face::default()
            };
            remote = Face {
                lifecycle: r,
                ..Face::default()
            };
        }
        // Moves recorded against an earlier incarnation say nothing of this one.
        let same_one = seat.pair.is_some() || old.is_none();
        let old_intents = self
            .record
            .base
            .get(seat.remote)
            .filter(|_| same_one)
            .map(|b| &b.intents);
        let waits = |label: &StagingLabel| self.waiting.contains(&(seat.remote, label.clone()));
        let after = remote.labels.clone();
        // Not `old`: what another incarnation was agreed on says nothing of this one.
        let intents = keep_differences(&mut local, &mut remote, seat.pair, old_intents, waits);
        // Met for the first time, and not all of it is brought together: it is met for
        // the first time once more, so that nothing is taken for agreed.
        let apart = |label: &StagingLabel| {
            let here = self.record.state.labels.get(label);
            here != after.get(label) && !waits(label)
        };
        if seat.pair.is_none()
            && seat.may_pull
            && local.lifecycle.is_live()
            && remote.lifecycle.is_live()
            && self
                .record
                .state
                .labels
                .keys()
                .chain(after.keys())
                .any(|label| travels(label) && apart(label))
        {
            return None;
        }
        let wrote = self.writes_to(seat);
        let pair = Pair {
            arn: seat
                .seen
                .map(|s| s.facts.arn.clone())
                .or_else(|| old.filter(|_| !wrote).map(|p| p.arn.clone()))
                .unwrap_or_default(),
            changed: seat.seen.and_then(|s| s.facts.changed),
            local,
            remote,
        };
        let gone = |face: &Face| face.lifecycle == Lifecycle::Tombstone;
        let own = match self.own.remove(seat.remote) {
            _ if gone(&pair.local) || gone(&pair.remote) => BTreeMap::new(),
            Some(own) => own,
            None => seat
                .base
                .filter(|_| same_one)
                .map(|b| b.own.clone())
                .unwrap_or_default(),
        };
        let settled = RemoteBase {
            pair: Some(pair),
            intents,
            seen: BTreeMap::new(),
            own,
        };
        let same = seat.base.is_some_and(|base| {
            let mut base = base.clone();
            if let (Some(a), Some(b)) = (&mut base.pair, &settled.pair) {
                a.changed = b.changed;
            }
            base == settled
        });
        (!same || wrote || self.refetched).then_some(settled)
    }
}

/// What still differs after the plan was not agreed on: it may not be pushed, or is
/// not pulled. There both halves of the base stay as they were, and a move made here
/// keeps its origin, so that the next plan sees the same question again. One that waits
/// since a first meeting starts from what was found there.
fn keep_differences(
    local: &mut Face,
    remote: &mut Face,
    old: Option<&Pair>,
    old_intents: Option<&BTreeMap<StagingLabel, Option<VersionId>>>,
    waits: impl Fn(&StagingLabel) -> bool,
) -> BTreeMap<StagingLabel, Option<VersionId>> {
    for place in Place::all([&local.attributes.clone(), &remote.attributes.clone()].into_iter()) {
        if place.get(&local.attributes) != place.get(&remote.attributes) {
            let here = old.and_then(|p| place.get(&p.local.attributes));
            let there = old.and_then(|p| place.get(&p.remote.attributes));
            place.set(&mut local.attributes, here);
            place.set(&mut remote.attributes, there);
        }
    }
    let mut intents = BTreeMap::new();
    let all: BTreeSet<StagingLabel> = local
        .labels
        .keys()
        .chain(remote.labels.keys())
        .filter(|l| travels(l))
        .cloned()
        .collect();
    for label in all {
        let here = local.labels.get(&label).cloned();
        let there = remote.labels.get(&label).cloned();
        if here == there {
            continue;
        }
        if let Some(from) = old_intents.and_then(|i| i.get(&label)) {
            intents.insert(label.clone(), from.clone());
        } else if old.is_none() && waits(&label) {
            intents.insert(label.clone(), there);
        }
        put_back(local, old.map(|p| &p.local), &label);
        put_back(remote, old.map(|p| &p.remote), &label);
        if label.is_current() {
            // AWSPREVIOUS moved with it and waits with it.
            put_back(local, old.map(|p| &p.local), &StagingLabel::previous());
            put_back(remote, old.map(|p| &p.remote), &StagingLabel::previous());
        }
    }
    intents
}

fn put_back(face: &mut Face, old: Option<&Face>, label: &StagingLabel) {
    match old.and_then(|f| f.labels.get(label)) {
        Some(was) => face.labels.insert(label.clone(), was.clone()),
        None => face.labels.remove(label),
    };
}
