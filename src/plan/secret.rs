//! One secret against every remote: the verdicts, then the merge of its fields, then
//! the steps in a safe order. Each step is tried on copies of both sides as it is
//! planned, so a plan never holds a step that the model would refuse, and what is
//! to be remembered afterwards is read off the copies.

use std::collections::{BTreeMap, BTreeSet};

use super::attributes::{Place, TextMerge, TextSide, merge_text};
use super::labels::{LabelMerge, LabelSide, merge_label};
use super::verdict::{Verdict, local_moved, ours, remote_moved, verdict};
use super::{Action, Note, NoteKind, RemotePolicy, SecretPlan, Side};
use crate::model::{
    Attributes, Author, Change, Class, Conflict, Content, Direction, Face, Field, Lifecycle,
    Origin, Pair, Record, RemoteBase, RemoteName, RemoteSecret, SecretBase, SecretName,
    SecretState, Sight, Snapshot, StagingLabel, VersionId, VersionMeta, travels,
};

/// One remote as it takes part in the merge of one secret.
struct Seat<'a> {
    remote: &'a RemoteName,
    base: Option<&'a RemoteBase>,
    /// The accepted pair, if it still is about this incarnation.
    pair: Option<&'a Pair>,
    seen: Option<&'a RemoteSecret>,
    may_pull: bool,
    /// Why description, tags, creation and deletion may not be pushed.
    sealed: Option<&'static str>,
    /// Why values and labels may not be pushed.
    held: Option<&'static str>,
    verdict: Verdict,
}

pub(super) fn reconcile(
    name: &SecretName,
    local: Option<&SecretState>,
    base: &SecretBase,
    views: Vec<(&RemoteName, Option<&Sight>, &RemotePolicy)>,
    all: &Snapshot,
) -> SecretPlan {
    let mut draft = Draft::new(name, local, base);
    let mut seats = Vec::new();
    for (remote, sight, policy) in views {
        match sight {
            Some(Sight::Blocked(reason)) => {
                draft.note(remote, NoteKind::Blocked(reason.clone()));
            }
            Some(Sight::Seen(seen)) => {
                seats.push(Seat::new(
                    remote,
                    Some(seen),
                    local,
                    base.get(remote),
                    policy,
                ));
            }
            None => seats.push(Seat::new(remote, None, local, base.get(remote), policy)),
        }
    }
    draft.decide(&mut seats, all);
    draft.finish(&seats)
}

impl<'a> Seat<'a> {
    fn new(
        remote: &'a RemoteName,
        seen: Option<&'a RemoteSecret>,
        local: Option<&SecretState>,
        base: Option<&'a RemoteBase>,
        policy: &RemotePolicy,
    ) -> Self {
        let pair = base.and_then(|b| b.pair.as_ref());
        let here = local_moved(
            pair,
            local,
            local.zip(pair).is_some_and(|(local, pair)| {
                let face = local.face();
                base.is_some_and(|b| !b.intents.is_empty())
                    || face.attributes != pair.local.attributes
                    || !same_travelling(&face, &pair.local)
            }),
        );
        let there = remote_moved(
            pair,
            seen,
            seen.zip(pair).is_some_and(|(seen, pair)| {
                let face = seen.state.face();
                face.attributes != pair.remote.attributes || face.labels != pair.remote.labels
            }),
        );
        let verdict = verdict(
            here,
            there,
            local.map(|s| s.lifecycle),
            seen.map(|s| s.state.lifecycle),
            pair.is_some(),
        );
        // A person has seen what is there and decided for what is here.
        let word = seen.map(|s| s.state.lifecycle.as_str().to_owned());
        let decided = base
            .and_then(|b| b.seen.get(&Field::Lifecycle))
            .is_some_and(|saw| saw.as_deref() == Some(word.as_deref().unwrap_or(GONE)));
        let verdict = match verdict {
            Verdict::Conflict(class) if decided => ours(class, local.map(|s| s.lifecycle)),
            Verdict::Tombstone if decided => Verdict::PushCreate,
            Verdict::MarkScheduled(_) if decided => Verdict::RestoreRemote,
            verdict => verdict,
        };
        let is_scheduled = |l: Option<Lifecycle>| l.is_some_and(Lifecycle::is_scheduled);
        let verdict = match verdict {
            // What was put there before it was deleted can only be read once it is back.
            Verdict::RestoreRemote if has_unread_versions(local, seen) => Verdict::RestoreOnly,
            // The vault deleted it for good and has it again, while the account's
            // window is still open.
            Verdict::PushCreate
                if is_scheduled(pair.map(|p| p.remote.lifecycle))
                    && is_scheduled(seen.map(|s| s.state.lifecycle)) =>
            {
                Verdict::RestoreOnly
            }
            verdict => verdict,
        };
        // A meeting, and an incarnation that is not the base's, start from nothing.
        let pair = match verdict {
            Verdict::Meet | Verdict::PullCreate | Verdict::PushCreate | Verdict::TakeRecreated => {
                None
            }
            Verdict::Revive if seen.zip(pair).is_some_and(|(s, p)| s.facts.arn != p.arn) => None,
            _ => pair,
        };
        let facts = seen.map(|s| &s.facts);
        let sealed = if policy.direction == Direction::Pull {
            Some("the remote's direction is pull")
        } else if facts.is_some_and(|f| f.replica) {
            Some("it is a replica there; change it in its primary Region")
        } else if facts.is_some_and(|f| f.owning_service.is_some()) {
            Some("an AWS service owns it there")
        } else {
            None
        };
        let rotating = seen.is_some_and(|s| {
            let labels = &s.state.labels;
            let pending = labels.get(&StagingLabel::pending());
            s.facts.rotation_enabled || (pending.is_some() && pending != s.state.current())
        });
        Self {
            remote,
            base,
            pair,
            seen,
            may_pull: policy.direction != Direction::Push,
            sealed,
            held: sealed.or(rotating.then_some("it is rotated there; rotation owns its values")),
            verdict,
        }
    }

    fn labels(&self) -> Option<&'a BTreeMap<StagingLabel, VersionId>> {
        self.seen.map(|s| &s.state.labels)
    }

    fn label(&self, label: &StagingLabel) -> Option<&'a VersionId> {
        self.labels().and_then(|l| l.get(label))
    }

    /// Whether the fields of both sides are merged.
    fn merges(&self) -> bool {
        matches!(
            self.verdict,
            Verdict::Merge
                | Verdict::Meet
                | Verdict::PullCreate
                | Verdict::RestoreLocal
                | Verdict::RestoreRemote
                | Verdict::Revive
        )
    }
}

/// Whether a scheduled remote has versions under labels that the vault lacks.
fn has_unread_versions(local: Option<&SecretState>, seen: Option<&RemoteSecret>) -> bool {
    seen.is_some_and(|seen| {
        seen.state.lifecycle.is_scheduled()
            && seen.state.labels.iter().any(|(label, id)| {
                !label.is_holding() && !local.is_some_and(|l| l.versions.contains_key(id))
            })
    })
}

fn same_travelling(a: &Face, b: &Face) -> bool {
    let of = |f: &'_ Face| -> Vec<(StagingLabel, VersionId)> {
        f.labels
            .iter()
            .filter(|(label, _)| travels(label))
            .map(|(l, v)| (l.clone(), v.clone()))
            .collect()
    };
    of(a) == of(b)
}

/// A plan in the making, with the sides as they will be.
struct Draft<'a> {
    name: &'a SecretName,
    local: Option<&'a SecretState>,
    record: Record,
    remotes: BTreeMap<&'a RemoteName, Snapshot>,
    plan: SecretPlan,
    refetched: bool,
    broken: Option<String>,
}

impl<'a> Draft<'a> {
    fn new(name: &'a SecretName, local: Option<&'a SecretState>, base: &SecretBase) -> Self {
        let mut record = Record::new(name.clone());
        if let Some(local) = local {
            record.state = local.clone();
        }
        record.base = base.clone();
        Self {
            name,
            local,
            record,
            remotes: BTreeMap::new(),
            plan: SecretPlan::default(),
            refetched: false,
            broken: None,
        }
    }

    fn note(&mut self, remote: &RemoteName, kind: NoteKind) {
        self.plan.notes.push(Note {
            remote: Some(remote.clone()),
            kind,
        });
    }

    /// Adds a step to the vault that carries over what `source` has.
    fn here(&mut self, source: &RemoteName, change: Change) {
        let done = match &change {
            Change::Archive { .. } => {
                let base = std::mem::take(&mut self.record.base);
                self.record = Record::new(self.name.clone());
                self.record.base = base;
                Ok(())
            }
            change => self.record.apply(change, Author::From(source)),
        };
        if let Err(error) = done {
            self.broken.get_or_insert(error.to_string());
        }
        self.plan.actions.push(Action {
            on: Side::Local,
            change,
            source: Some(source.clone()),
        });
    }

    /// Adds a step to a remote.
    fn there(&mut self, seat: &Seat<'a>, change: Change) {
        let name = self.name;
        if let Err(error) = self.side(seat).apply(name, &change) {
            self.broken.get_or_insert(error.to_string());
        }
        self.plan.actions.push(Action {
            on: Side::Remote(seat.remote.clone()),
            change,
            source: None,
        });
    }

    /// A remote's side as it will be.
    fn side(&mut self, seat: &Seat<'a>) -> &mut Snapshot {
        self.remotes.entry(seat.remote).or_insert_with(|| {
            let mut side = Snapshot::default();
            if let Some(seen) = seat.seen {
                side.0.insert(self.name.clone(), seen.state.clone());
            }
            side
        })
    }

    fn conflict(&mut self, seat: &Seat<'_>, field: Field, class: Class) {
        let pair = seat.base.and_then(|b| b.pair.as_ref());
        let text = |face: Option<&Face>| -> Option<String> {
            let face = face?;
            match &field {
                Field::Label(label) => face.labels.get(label).map(|v| v.as_str().to_owned()),
                Field::Description => face.attributes.description.clone(),
                Field::Tag(key) => face.attributes.tags.get(key).cloned(),
                Field::Lifecycle => Some(face.lifecycle.as_str().to_owned()),
            }
        };
        let gone = || Some(GONE.to_owned());
        let local = self.local.map(SecretState::face);
        let seen = seat.seen.map(|s| s.state.face());
        let (mut ours, mut theirs) = (text(local.as_ref()), text(seen.as_ref()));
        if field == Field::Lifecycle {
            ours = ours.or_else(gone);
            theirs = theirs.or_else(gone);
        }
        // The remote half: what the remote is compared with.
        let base = match class {
            Class::Rewound => text(pair.map(|p| &p.local)),
            _ => text(pair.map(|p| &p.remote)),
        };
        self.plan.conflicts.push(Conflict {
            remote: seat.remote.clone(),
            field,
            class,
            base,
            ours,
            theirs,
        });
    }

    fn decide(&mut self, seats: &mut [Seat<'a>], all: &Snapshot) {
        self.refuse_what_may_not_be(seats);
        for seat in seats.iter() {
            if let Verdict::Conflict(class) = seat.verdict {
                self.conflict(seat, Field::Lifecycle, class);
            }
        }
        if self.plan.conflicts.is_empty() {
            self.clash_of_remotes(seats);
        }
        if !self.plan.conflicts.is_empty() {
            self.gather_only(seats);
            return;
        }
        if let Some(seat) = seats.iter().find(|s| s.verdict == Verdict::TakeRecreated) {
            self.take_recreated(seat, all);
            // What the others make of it is for the next plan.
            for seat in seats.iter_mut() {
                if seat.verdict != Verdict::TakeRecreated {
                    seat.verdict = Verdict::Nothing;
                }
            }
            return;
        }
        if self.take_deletion(seats) {
            return;
        }
        for seat in seats.iter() {
            match seat.verdict {
                Verdict::Agree(date) => {
                    if let Some(SecretState {
                        lifecycle: Lifecycle::Scheduled { date: ours },
                        ..
                    }) = self.local
                        && date.is_some()
                        && *ours != date
                    {
                        self.here(seat.remote, Change::Reschedule { date });
                    }
                }
                Verdict::ScheduledThere => self.note(seat.remote, NoteKind::ScheduledThere),
                Verdict::RestoreOnly => self.there(seat, Change::Restore),
                _ => {}
            }
        }
        // A secret that lives again somewhere is deleted nowhere.
        if seats.iter().any(|s| s.verdict == Verdict::Revive) {
            for seat in seats.iter_mut() {
                if matches!(seat.verdict, Verdict::DeleteRemote(_)) {
                    seat.verdict = Verdict::Nothing;
                }
            }
        }
        for seat in seats.iter() {
            if let Verdict::DeleteRemote(date) = seat.verdict {
                self.gather(seat);
                self.there(seat, Change::Delete { date });
            }
        }
        self.merge(seats);
    }

    /// Directions, replicas and owned secrets: a verdict that would write where
    /// nothing may be written becomes a note.
    fn refuse_what_may_not_be(&mut self, seats: &mut [Seat<'a>]) {
        for seat in seats {
            let pushes = matches!(
                seat.verdict,
                Verdict::PushCreate
                    | Verdict::DeleteRemote(_)
                    | Verdict::RestoreRemote
                    | Verdict::RestoreOnly
            );
            let pulls = matches!(
                seat.verdict,
                Verdict::PullCreate
                    | Verdict::Tombstone
                    | Verdict::MarkScheduled(_)
                    | Verdict::Agree(_)
                    | Verdict::RestoreLocal
                    | Verdict::Revive
                    | Verdict::TakeRecreated
            );
            if let (true, Some(reason)) = (pushes, seat.sealed) {
                self.note(seat.remote, NoteKind::NotPushed(reason.to_owned()));
                seat.verdict = Verdict::Nothing;
            } else if pulls && !seat.may_pull {
                if !matches!(seat.verdict, Verdict::PullCreate | Verdict::Agree(_)) {
                    self.note(seat.remote, NoteKind::NotPulled);
                }
                seat.verdict = Verdict::Nothing;
            }
        }
    }

    /// One remote deleted it and another one has news of it.
    fn clash_of_remotes(&mut self, seats: &[Seat<'a>]) {
        let deleted =
            |s: &&Seat<'_>| matches!(s.verdict, Verdict::Tombstone | Verdict::MarkScheduled(_));
        let Some(gone) = seats.iter().find(deleted) else {
            return;
        };
        let quiet = |s: &Seat<'_>| match s.verdict {
            Verdict::Merge => s.seen.zip(s.pair).is_some_and(|(seen, pair)| {
                let face = seen.state.face();
                face.labels == pair.remote.labels && face.attributes == pair.remote.attributes
            }),
            Verdict::Nothing
            | Verdict::ScheduledThere
            | Verdict::Agree(_)
            | Verdict::Tombstone
            | Verdict::MarkScheduled(_) => true,
            _ => false,
        };
        if seats.iter().any(|s| !quiet(s)) {
            self.conflict(gone, Field::Lifecycle, Class::RemoteRemote);
        }
    }

    /// A deletion seen on a remote. Other remotes get it with the next plan, under
    /// their own guard.
    fn take_deletion(&mut self, seats: &mut [Seat<'a>]) -> bool {
        let Some(state) = self.local else {
            return false;
        };
        let mut taken = false;
        for seat in seats.iter() {
            match seat.verdict {
                Verdict::Tombstone => {
                    if self.record.state.lifecycle != Lifecycle::Tombstone {
                        self.here(seat.remote, Change::Tombstone);
                    }
                    taken = true;
                }
                Verdict::MarkScheduled(date) => {
                    if state.lifecycle.is_live() && self.record.state.lifecycle.is_live() {
                        self.here(seat.remote, Change::Delete { date });
                    }
                    taken = true;
                }
                _ => {}
            }
        }
        if taken {
            for seat in seats.iter_mut() {
                if !matches!(seat.verdict, Verdict::Tombstone | Verdict::MarkScheduled(_)) {
                    seat.verdict = Verdict::Nothing;
                }
            }
        }
        taken
    }

    fn take_recreated(&mut self, seat: &Seat<'a>, all: &Snapshot) {
        let old = seat.base.and_then(|b| b.pair.as_ref()).map(|p| &p.arn);
        let suffix = old
            .and_then(|arn| arn.rsplit_once('-'))
            .map_or("", |(_, s)| s);
        let to = format!("{}@{suffix}", self.name).parse::<SecretName>();
        let Ok(to) = to else {
            self.note(
                seat.remote,
                NoteKind::Blocked(
                    "created anew there, and the name is too long to put the old one aside".into(),
                ),
            );
            return;
        };
        if all.get(&to).is_some() {
            self.note(
                seat.remote,
                NoteKind::Blocked(format!(
                    "created anew there, and {to} is already taken here"
                )),
            );
            return;
        }
        let Some(seen) = seat.seen else {
            return;
        };
        self.here(seat.remote, Change::Archive { to: to.clone() });
        self.record.base.remove(seat.remote);
        self.here(
            seat.remote,
            Change::Create {
                attributes: seen.state.attributes.clone(),
                version: None,
            },
        );
        self.gather(seat);
        for (label, id) in order(&seen.state.labels) {
            self.move_here(seat.remote, label, Some(id));
        }
        self.note(seat.remote, NoteKind::Recreated(to));
    }

    /// Copies every labelled version that the vault lacks, so that no label ever
    /// leaves a version whose value is not safe here (sync.md K1).
    fn gather(&mut self, seat: &Seat<'a>) {
        let Some(seen) = seat.seen.filter(|s| s.state.lifecycle.is_live()) else {
            return;
        };
        let state = &seen.state;
        let fresh = seat.pair.is_none_or(|pair| {
            pair.changed != seen.facts.changed || pair.remote.labels != state.face().labels
        });
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
                Some(Content::Placeholder) => fresh,
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
    fn gather_only(&mut self, seats: &[Seat<'a>]) {
        self.plan.actions.clear();
        if self.local.is_some() {
            for seat in seats.iter().filter(|s| s.may_pull) {
                self.gather(seat);
            }
        }
    }

    fn move_here(&mut self, source: &RemoteName, label: &StagingLabel, to: Option<&VersionId>) {
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

    fn merge(&mut self, seats: &[Seat<'a>]) {
        let merging: Vec<&Seat<'a>> = seats.iter().filter(|s| s.merges()).collect();
        let creating: Vec<&Seat<'a>> = seats
            .iter()
            .filter(|s| s.verdict == Verdict::PushCreate)
            .collect();
        if merging.is_empty() && creating.is_empty() {
            return;
        }
        // A deleted secret that makes room for another incarnation has no say.
        let revived = |same: bool| {
            merging
                .iter()
                .any(|s| s.verdict == Verdict::Revive && s.pair.is_some() == same)
        };
        let alive = !revived(false)
            && (self
                .local
                .is_some_and(|s| s.lifecycle != Lifecycle::Tombstone)
                || revived(true));

        let texts = self.merge_texts(&merging, alive);
        let labels = self.merge_labels(&merging, alive);
        if !self.plan.conflicts.is_empty() {
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
    }

    fn merge_texts(&mut self, merging: &[&Seat<'a>], alive: bool) -> BTreeMap<Place, Text> {
        let empty = Attributes::default();
        let ours = self.local.map_or(&empty, |s| &s.attributes);
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
                    base: seat.pair.map(|p| {
                        (
                            place.get(&p.local.attributes),
                            place.get(&p.remote.attributes),
                        )
                    }),
                    seen: seat
                        .base
                        .and_then(|b| b.seen.get(&place.field()))
                        .map(Option::as_deref),
                    there: seat.seen.and_then(|s| place.get(&s.state.attributes)),
                    may_push: seat.sealed.is_none(),
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
        let mut universe: BTreeSet<&StagingLabel> = ours.labels.keys().collect();
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
                        .map(|p| (p.local.labels.get(label), p.remote.labels.get(label))),
                    intent: seat
                        .base
                        .and_then(|b| b.intents.get(label))
                        .map(Option::as_ref),
                    there: seat.label(label),
                    previous: seat.label(&StagingLabel::previous()),
                    may_push: seat.held.is_none(),
                    may_pull: seat.may_pull,
                })
                .collect();
            match merge_label(label, ours, ours.labels.get(label), alive, &sides) {
                LabelMerge::Conflict { with, class } => {
                    if let Some(seat) = merging.iter().find(|s| s.remote == with) {
                        self.conflict(seat, Field::Label(label.clone()), class);
                    }
                }
                take @ LabelMerge::Take { .. } => merged.push((label.clone(), take)),
            }
        }
        merged
    }

    /// Brings the merged result into the vault.
    fn carry_here(
        &mut self,
        merging: &[&Seat<'a>],
        texts: &BTreeMap<Place, Text>,
        labels: &[(StagingLabel, LabelMerge<'a>)],
    ) {
        let Some(first) = merging.iter().find(|s| s.may_pull) else {
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
            Some(_) => {
                self.here(first.remote, Change::Restore);
                for seat in merging {
                    if seat.verdict == Verdict::Revive {
                        self.note(seat.remote, NoteKind::Revived);
                    }
                }
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
        for seat in merging {
            if seat.may_pull || seat.held.is_none() {
                self.gather(seat);
            }
        }
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
    }

    /// AWSPENDING belongs to the remote's rotation: the vault mirrors it.
    fn follow_pending(&mut self, merging: &[&Seat<'a>]) {
        let pending = StagingLabel::pending();
        for seat in merging.iter().filter(|s| s.may_pull) {
            let there = seat.label(&pending);
            let before = seat.pair.map(|p| p.remote.labels.get(&pending));
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
            let news = match seat.pair {
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
    fn carry_there(
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
                } else {
                    held |= h.contains(&seat.remote);
                }
            }
        }
        let wanted: Vec<VersionId> = moves.iter().filter_map(|(_, to)| to.cloned()).collect();
        if !self.put_there(seat, &wanted) {
            moves.clear();
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
    /// False if one of them has no value to put.
    fn put_there(&mut self, seat: &Seat<'a>, wanted: &[VersionId]) -> bool {
        let history: Vec<VersionId> = self.record.state.history().into_iter().cloned().collect();
        for id in history.iter().filter(|id| wanted.contains(id)) {
            let name = self.name;
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
        let from = self
            .side(seat)
            .get(name)
            .and_then(|s| s.labels.get(label))
            .cloned();
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
    fn create_there(&mut self, seat: &Seat<'a>) {
        let state = self.record.state.clone();
        let has_value = |id: &&VersionId| {
            state
                .versions
                .get(*id)
                .is_some_and(|v| v.content != Content::Placeholder)
        };
        let current = state.current().filter(has_value);
        let previous = state
            .labels
            .get(&StagingLabel::previous())
            .filter(has_value);
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

    /// Works out what to remember, and hands the plan over.
    fn finish(mut self, seats: &[Seat<'a>]) -> SecretPlan {
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
        if !self.plan.conflicts.is_empty() {
            return self.plan;
        }
        for seat in seats {
            if let Some(settled) = self.remember(seat) {
                self.plan.settled.insert(seat.remote.clone(), settled);
            }
        }
        self.plan
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
        let name = self.name;
        let old = seat.base.and_then(|b| b.pair.as_ref());
        let mut local = self.record.state.face();
        let mut remote = self.side(seat).get(name).map_or_else(
            || Face {
                lifecycle: Lifecycle::Tombstone,
                ..Face::default()
            },
            SecretState::face,
        );
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
        let old_intents = self.record.base.get(seat.remote).map(|b| &b.intents);
        let intents = keep_differences(&mut local, &mut remote, old, old_intents);
        let wrote = self
            .plan
            .actions
            .iter()
            .any(|a| a.on == Side::Remote(seat.remote.clone()));
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
        let settled = RemoteBase {
            pair: Some(pair),
            intents,
            seen: BTreeMap::new(),
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

/// A text's outcome, owned.
struct Text {
    text: Option<String>,
    push: BTreeSet<RemoteName>,
    held: BTreeSet<RemoteName>,
}

/// What still differs after the plan was not agreed on: it may not be pushed, or is
/// not pulled. There both halves of the base stay as they were, and a move made here
/// keeps its origin, so that the next plan sees the same question again.
fn keep_differences(
    local: &mut Face,
    remote: &mut Face,
    old: Option<&Pair>,
    old_intents: Option<&BTreeMap<StagingLabel, Option<VersionId>>>,
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
        } else if old.is_none() && here.is_some() {
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

/// Labels with AWSCURRENT first, then by name.
fn order(
    labels: &BTreeMap<StagingLabel, VersionId>,
) -> impl Iterator<Item = (&StagingLabel, &VersionId)> {
    let mut all: Vec<_> = labels.iter().collect();
    all.sort_by_key(|(label, _)| !label.is_current());
    all.into_iter()
}

/// How a conflict spells that a secret is not there.
const GONE: &str = "gone";

static NO_STATE: SecretState = SecretState {
    attributes: Attributes {
        description: None,
        tags: BTreeMap::new(),
    },
    versions: BTreeMap::new(),
    labels: BTreeMap::new(),
    lifecycle: Lifecycle::Live,
};
