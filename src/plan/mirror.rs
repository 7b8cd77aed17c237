//! Remotes that are mirrored (sync.md section 1.8): one side is made like the other,
//! whatever either has become since they last agreed.
//!
//! A mirror is a merge over a base of its own. For a mirror out, what the remote shows is
//! taken for what was agreed, so that all that differs is an edit made here; for a mirror
//! in, what the vault has is, so that all that differs is news from there. The rules of
//! the merge hold unchanged: values are copied before anything moves (K1), labels move by
//! compare-and-swap, and what rotation or AWS owns is left alone (K3, K4).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::decide::{self, View};
use super::resolve::lost_label;
use super::seat::{rotated, sealed};
use super::{Action, Note, NoteKind, RemotePolicy, SecretPlan, Side, Strategies, secret};
use crate::model::{
    Change, Class, Conflict, Details, Direction, Face, Field, Halves, Lifecycle, OwnField, Pair,
    RemoteBase, RemoteName, RemoteSecret, SecretBase, SecretName, SecretState, Sight, Snapshot,
    StagingLabel, travels,
};

/// Reconciles one secret. What comes in by a mirror comes first, then what all others
/// have to say to each other; what goes out by a mirror goes last, once the vault stays
/// as it is.
pub(super) fn reconcile(
    name: &SecretName,
    local: Option<&SecretState>,
    details: Option<&Details>,
    base: &SecretBase,
    views: &[View<'_>],
    all: &Snapshot,
    strategies: Option<&Strategies>,
) -> SecretPlan {
    let of = |way: Direction| views.iter().filter(move |(.., p)| p.direction == way);
    let mut whole = SecretPlan::default();
    for view in of(Direction::MirrorIn) {
        let one = mirror_in(name, local, details, base, view, all);
        let moves = !one.actions.is_empty() || !one.conflicts.is_empty();
        whole.join(one);
        if moves {
            whole.again |= views.len() > 1 && whole.conflicts.is_empty();
            return whole;
        }
    }
    let others: Vec<View<'_>> = views
        .iter()
        .filter(|(.., p)| !p.direction.is_mirror())
        .copied()
        .collect();
    let mut merged = decide::reconcile(name, local, details, base, &others, all, strategies);
    if of(Direction::MirrorIn).any(|(_, sight, _)| is_gone(*sight)) {
        deleted_for_good(&mut merged, local, base);
    }
    let waits = !merged.conflicts.is_empty()
        || !merged.answers.is_empty()
        || merged.looks_again()
        || merged.actions.iter().any(|a| a.on == Side::Local);
    whole.join(merged);
    let mut outs = of(Direction::MirrorOut).peekable();
    if waits {
        whole.again |= outs.peek().is_some() && whole.conflicts.is_empty();
        return whole;
    }
    for view in outs {
        let mut one = mirror_out(name, local, details, base, view, all);
        if one.conflicts.is_empty() {
            keep_each(&mut one, &whole.actions, view.0);
            whole.join(one);
        } else {
            // The alarm: nothing goes anywhere.
            return one;
        }
    }
    copies_first(&mut whole.actions);
    whole
}

fn is_gone(sight: Option<&Sight>) -> bool {
    match sight {
        Some(Sight::Seen(seen)) => !seen.state.lifecycle.is_live(),
        Some(Sight::Blocked(_)) => false,
        None => true,
    }
}

/// The original has it no more, and another remote's edit would bring it back, and so on
/// for ever: a person decides.
fn deleted_for_good(merged: &mut SecretPlan, local: Option<&SecretState>, base: &SecretBase) {
    let revived = merged.notes.iter().filter(|n| n.kind == NoteKind::Revived);
    let remotes: Vec<RemoteName> = revived.filter_map(|n| n.remote.clone()).collect();
    if remotes.is_empty() {
        return;
    }
    let word = |lifecycle: Lifecycle| Some(lifecycle.as_str().to_owned());
    let conflict = |remote: RemoteName| {
        let pair = base.get(&remote).and_then(|b| b.pair.as_ref());
        Conflict {
            field: Field::Lifecycle,
            class: Class::ScheduleEdit,
            base: pair.and_then(|p| word(p.remote.lifecycle)),
            ours: local.and_then(|s| word(s.lifecycle)),
            theirs: word(Lifecycle::Live),
            remote,
        }
    };
    *merged = SecretPlan {
        conflicts: remotes.into_iter().map(conflict).collect(),
        ..SecretPlan::default()
    };
}

/// What one remote's plan copies and keeps goes before what another's writes: no label
/// moves anywhere before every value is here (sync.md K1). Stable, so each remote's own
/// order stays.
fn copies_first(actions: &mut [Action]) {
    actions.sort_by_key(|a| a.on != Side::Local);
}

/// The remote is made like the vault.
fn mirror_out(
    name: &SecretName,
    local: Option<&SecretState>,
    details: Option<&Details>,
    base: &SecretBase,
    (remote, sight, policy): &View<'_>,
    all: &Snapshot,
) -> SecretPlan {
    let one_way = RemotePolicy {
        scope: policy.scope.clone(),
        direction: Direction::Push,
        extras: policy.extras,
    };
    let mut own = base.clone();
    let mut its = own.remove(*remote).map(|b| b.own).unwrap_or_default();
    let gone;
    let mut local = local;
    if let Some(Sight::Seen(seen)) = sight {
        if local.is_none() {
            // What the vault never had is one it has no more.
            gone = SecretState {
                lifecycle: Lifecycle::Tombstone,
                ..SecretState::default()
            };
            local = Some(&gone);
        }
        let here = local.map(SecretState::face).unwrap_or_default();
        let there = seen.state.face();
        if let Some(reason) = sealed(Some(seen), &one_way).or(rotated(Some(seen))) {
            let mut plan = SecretPlan::default();
            if set_here_goes_out(&mut its, details, seen, policy) || differs(&here, &there) {
                let kind = NoteKind::NotPushed(reason.to_owned());
                plan.notes.push(note(remote, kind));
            }
            return plan;
        }
        set_here_goes_out(&mut its, details, seen, policy);
        let edited = as_edited_here(&here, there, seen);
        let edited = RemoteBase { own: its, ..edited };
        own.insert((*remote).clone(), edited);
    }
    let views = vec![(*remote, *sight, &one_way)];
    let mut plan = secret::reconcile(name, local, details, &own, views, all);
    keep_findable(&mut plan, local, remote, *sight);
    if plan.actions.is_empty() && plan.settled.get(*remote) == base.get(*remote) {
        plan.settled.remove(*remote);
    }
    plan
}

/// What was set here for a remote alone goes there whatever has become of it there, where
/// it may be pushed at all; the push must still find what was looked at. What nobody set
/// here stays the remote's own. True if anything is to go.
fn set_here_goes_out(
    its: &mut BTreeMap<OwnField, Halves>,
    details: Option<&Details>,
    seen: &RemoteSecret,
    policy: &RemotePolicy,
) -> bool {
    let mut goes = false;
    for field in OwnField::ALL {
        if policy.extras.refuses(field).is_some() {
            continue;
        }
        let wanted = match its.get(&field) {
            Some(halves) => halves.here.clone(),
            None => details.and_then(|d| d.own(field)).map(Cow::into_owned),
        };
        if let (Some(wanted), Some(now)) = (wanted, seen.facts.own(field)) {
            goes |= !field.is_met(&wanted, &now);
            let halves = Halves {
                here: Some(wanted),
                there: now.into_owned(),
            };
            its.insert(field, halves);
        }
    }
    goes
}

/// What a remote shows, as if it had been agreed on; and every label that is elsewhere
/// here as moved from there.
fn as_edited_here(here: &Face, there: Face, seen: &RemoteSecret) -> RemoteBase {
    let mut one = RemoteBase::default();
    if here.lifecycle != Lifecycle::Tombstone || !there.lifecycle.is_scheduled() {
        for label in here.labels.keys().chain(there.labels.keys()) {
            let from = there.labels.get(label);
            if travels(label) && here.labels.get(label) != from {
                one.intents.insert(label.clone(), from.cloned());
            }
        }
    }
    one.pair = Some(Pair {
        arn: seen.facts.arn.clone(),
        changed: seen.facts.changed,
        local: there.clone(),
        remote: there,
    });
    one
}

/// What is deleted there and was never here is kept: under a label, so that it is found.
fn keep_findable(
    plan: &mut SecretPlan,
    local: Option<&SecretState>,
    remote: &RemoteName,
    sight: Option<&Sight>,
) {
    let Some(Sight::Seen(seen)) = sight else {
        return;
    };
    let deletes = |a: &Action| matches!(a.change, Change::Delete { .. });
    let Some(at) = plan.actions.iter().position(deletes) else {
        return;
    };
    let copied = plan.actions.iter().find_map(|a| match &a.change {
        Change::AddVersion { id, .. } if a.on == Side::Local => {
            (seen.state.current() == Some(id)).then(|| id.clone())
        }
        _ => None,
    });
    if let (Some(id), Ok(label)) = (copied, "sr/was/AWSCURRENT".parse::<StagingLabel>()) {
        let from = local.and_then(|s| s.labels.get(&label)).cloned();
        let to = Some(id);
        let change = Change::MoveLabel { label, from, to };
        let keep = Action {
            on: Side::Local,
            change,
            source: Some(remote.clone()),
        };
        plan.actions.insert(at, keep);
    }
}

/// Where two mirrors delete what the vault never had, each one's version is kept: under a
/// label of the remote's own where the first has taken the usual one.
fn keep_each(plan: &mut SecretPlan, before: &[Action], remote: &RemoteName) {
    let taken = |action: &Action| {
        let Change::MoveLabel { label, to, .. } = &action.change else {
            return None;
        };
        let same = before.iter().find_map(|a| match &a.change {
            Change::MoveLabel {
                label: l, to: t, ..
            } if a.on == Side::Local && l == label => Some(t == to),
            _ => None,
        });
        same.filter(|_| action.on == Side::Local)
    };
    plan.actions.retain(|a| taken(a) != Some(true));
    let own = format!("sr/was/{remote}/AWSCURRENT").parse::<StagingLabel>();
    for action in &mut plan.actions {
        if taken(action) == Some(false)
            && let Change::MoveLabel { label, .. } = &mut action.change
            && let Ok(own) = &own
        {
            label.clone_from(own);
        }
    }
}

/// The vault follows the remote.
fn mirror_in(
    name: &SecretName,
    local: Option<&SecretState>,
    details: Option<&Details>,
    base: &SecretBase,
    (remote, sight, policy): &View<'_>,
    all: &Snapshot,
) -> SecretPlan {
    let one_way = RemotePolicy {
        scope: policy.scope.clone(),
        direction: Direction::Pull,
        extras: policy.extras,
    };
    let seen = match sight {
        Some(Sight::Seen(seen)) => Some(seen),
        _ => None,
    };
    let mut own = base.clone();
    let (its, real) = match own.remove(*remote) {
        Some(base) => (base.own, base.pair),
        None => Default::default(),
    };
    // A placeholder is asked for its value only if something has changed since.
    let changed = real.as_ref().and_then(|p| p.changed);
    let known = real.map(|p| p.arn).filter(|arn| !arn.is_empty());
    if let Some(here) = local.filter(|s| s.lifecycle != Lifecycle::Tombstone) {
        let arn = known.or_else(|| seen.map(|s| s.facts.arn.clone()));
        let pair = Pair {
            arn: arn.unwrap_or_default(),
            changed,
            local: here.face(),
            remote: here.face(),
        };
        let one = RemoteBase {
            pair: Some(pair),
            own: its,
            ..RemoteBase::default()
        };
        own.insert((*remote).clone(), one);
    }
    let views = vec![(*remote, *sight, &one_way)];
    let mut plan = secret::reconcile(name, local, details, &own, views, all);
    if let Some(here) = local {
        put_aside(&mut plan, here, remote, seen);
    }
    if plan.actions.is_empty() && plan.settled.get(*remote) == base.get(*remote) {
        plan.settled.remove(*remote);
    }
    plan
}

/// A version that only the vault has, and that a label is taken off: found again under
/// `sr/lost/...`.
fn put_aside(
    plan: &mut SecretPlan,
    here: &SecretState,
    remote: &RemoteName,
    seen: Option<&RemoteSecret>,
) {
    // A secret put aside as a whole keeps its labels.
    let whole = |a: &Action| matches!(a.change, Change::Archive { .. } | Change::Create { .. });
    if plan.actions.iter().any(whole) {
        return;
    }
    let there = |id| seen.is_some_and(|s| s.state.versions.contains_key(id));
    let mut keep = Vec::new();
    for action in &plan.actions {
        let Change::MoveLabel {
            label,
            from: Some(lost),
            ..
        } = &action.change
        else {
            continue;
        };
        if !travels(label) || there(lost) {
            continue;
        }
        let Some(kept) = lost_label(here, lost) else {
            continue;
        };
        let from = here.labels.get(&kept).cloned();
        let change = Change::MoveLabel {
            label: kept,
            from: from.clone(),
            to: Some(lost.clone()),
        };
        if from.as_ref() != Some(lost) && !keep.iter().any(|a: &Action| a.change == change) {
            keep.push(Action {
                on: Side::Local,
                change,
                source: Some(remote.clone()),
            });
        }
    }
    plan.actions.extend(keep);
}

fn differs(here: &Face, there: &Face) -> bool {
    let labels = |f: &Face| -> Vec<_> {
        let labels = f.labels.clone().into_iter();
        labels.filter(|(l, _)| travels(l)).collect()
    };
    here.lifecycle.as_str() != there.lifecycle.as_str()
        || here.attributes != there.attributes
        || labels(here) != labels(there)
}

fn note(remote: &RemoteName, kind: NoteKind) -> Note {
    Note {
        remote: Some(remote.clone()),
        kind,
    }
}

impl SecretPlan {
    fn join(&mut self, mut other: Self) {
        self.actions.append(&mut other.actions);
        self.settled.append(&mut other.settled);
        self.shown.append(&mut other.shown);
        self.conflicts.append(&mut other.conflicts);
        self.answers.append(&mut other.answers);
        self.notes.append(&mut other.notes);
        self.notes.sort();
        self.aliases.append(&mut other.aliases);
        self.again |= other.again;
    }
}
