//! One secret against every remote: the verdicts, what follows from them for its
//! existence, then the merge of its fields. What is to be remembered afterwards is
//! read off the draft's copies of both sides.

use super::carry::order;
use super::draft::Draft;
use super::seat::Seat;
use super::verdict::Verdict;
use super::{NoteKind, RemotePolicy, SecretPlan};
use crate::model::{
    Change, Class, Details, Field, Lifecycle, RemoteBase, RemoteName, SecretBase, SecretName,
    SecretState, Sight, Snapshot,
};

pub(super) fn reconcile(
    name: &SecretName,
    local: Option<&SecretState>,
    details: Option<&Details>,
    base: &SecretBase,
    views: Vec<(&RemoteName, Option<&Sight>, &RemotePolicy)>,
    all: &Snapshot,
) -> SecretPlan {
    let mut draft = Draft::new(name, local, details, base);
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

impl<'a> Draft<'a> {
    fn decide(&mut self, seats: &mut [Seat<'a>], all: &Snapshot) {
        self.refuse_what_may_not_be(seats);
        if self.find_twins(seats) {
            return;
        }
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
        let taken = seats
            .iter()
            .position(|s| s.verdict == Verdict::TakeRecreated);
        if let Some(taken) = taken {
            self.take_recreated(&seats[taken], all);
            let done = !self.plan.actions.is_empty();
            // What the others make of it is for the next plan. One that was created
            // anew as well is met there for the first time: what was agreed with it
            // was about the secret put aside.
            for (n, seat) in seats.iter_mut().enumerate() {
                if n == taken {
                    continue;
                }
                if done && seat.verdict == Verdict::TakeRecreated {
                    let forget = RemoteBase::default();
                    self.plan.settled.insert(seat.remote.clone(), forget);
                }
                seat.verdict = Verdict::Nothing;
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
        let lives = |v: Verdict| {
            matches!(
                v,
                Verdict::Revive | Verdict::PullCreate | Verdict::RestoreLocal
            )
        };
        if seats.iter().any(|s| lives(s.verdict)) {
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
        self.pass_on(seats);
        self.merge(seats);
    }

    /// What is new to the vault is new to the remotes that never had it, in one plan
    /// (sync.md section 1.13).
    fn pass_on(&self, seats: &mut [Seat<'a>]) {
        let comes = seats.iter().any(|s| s.verdict == Verdict::PullCreate);
        // A run that was cut off leaves copies of versions, and no more.
        let known = |s: &SecretState| s.lifecycle != Lifecycle::Tombstone || !s.labels.is_empty();
        if !comes || self.local.is_some_and(known) {
            return;
        }
        for seat in seats {
            let never = seat.seen.is_none() && seat.pair.is_none();
            if never && seat.verdict == Verdict::Nothing && seat.sealed.is_none() {
                seat.verdict = Verdict::PushCreate;
            }
        }
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
            .map_or("deleted", |(_, s)| s);
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
}
