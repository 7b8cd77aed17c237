//! The laws about what must never happen.

use std::collections::BTreeSet;

use super::worlds::{Spec, World, travelling};
use super::{Holds, consistent, ensure, life_there};
use crate::model::{
    Attributes, Change, Lifecycle, RemoteName, SecretState, StagingLabel, VersionId, travels,
};
use crate::plan::attributes::Place;
use crate::plan::{Action, NoteKind, SecretPlan, Side};

/// Where there is something to decide, versions are copied into the vault and that is
/// all; nothing is remembered as agreed.
pub(super) fn conflicted(_: &Spec, _: &World, plan: &SecretPlan) -> Holds {
    if plan.conflicts.is_empty() {
        return Ok(());
    }
    ensure(plan.settled.is_empty(), || "settled".into())?;
    for action in &plan.actions {
        let copy = matches!(&action.change, Change::AddVersion { labels, .. } if labels.is_empty());
        ensure(action.on == Side::Local && copy, || action.to_string())?;
    }
    Ok(())
}

/// Every version that bears a label on a remote is in the vault before any step there
/// takes a label off it or deletes it (sync.md K1), and the vault loses none.
pub(super) fn nothing_lost(_: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    let mut after = world.clone();
    for action in &plan.actions {
        if let Side::Remote(remote) = &action.on {
            let before = after.there(remote).cloned();
            let step = after.clone();
            after.step(action)?;
            let deletes = matches!(action.change, Change::Delete { .. });
            for (label, id) in before.iter().flat_map(|s| &s.labels) {
                let still = after.there(remote).and_then(|s| s.labels.get(label));
                if (still == Some(id) && !deletes) || label.is_holding() {
                    continue;
                }
                let safe = step.state().is_some_and(|s| s.versions.contains_key(id));
                ensure(safe, || {
                    format!("`{action}` takes {label} off {id}, which is not here")
                })?;
            }
        } else {
            after.step(action)?;
        }
    }
    let here = |id: &VersionId| {
        let has = |s: Option<&SecretState>| s.is_some_and(|s| s.versions.contains_key(id));
        has(after.state()) || has(after.aside.as_ref())
    };
    for id in world.state().into_iter().flat_map(|s| s.versions.keys()) {
        ensure(here(id), || format!("the vault lost {id}"))?;
    }
    // What both sides have live is here afterwards, whatever became of it; but a
    // remote that is only pushed to, and may not be, is not even read.
    for (remote, policy) in &world.policy.remotes {
        let live = world.state().is_some_and(|s| s.lifecycle.is_live())
            && life_there(world, remote).is_live();
        let both_ways = policy.direction == crate::model::Direction::TwoWay;
        let left = plan.actions.is_empty() && plan.settled.is_empty();
        if !live || !both_ways || left {
            continue;
        }
        let touched = plan.settled.contains_key(remote)
            || plan
                .actions
                .iter()
                .any(|a| a.on == Side::Remote(remote.clone()));
        for (label, id) in world.there(remote).into_iter().flat_map(|s| &s.labels) {
            ensure(!touched || label.is_holding() || here(id), || {
                format!("{id} of {remote} was not copied")
            })?;
        }
    }
    Ok(())
}

/// Each move on a remote starts from what is there, and from what somebody here has
/// seen there as the label's holder: as the recorded origin of a move, as the vault's
/// own holder before, or, for AWSCURRENT, as an ancestor of that or of what replaces
/// it (sync.md I9, I15).
pub(super) fn never_blind(_: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    let mut after = world.clone();
    let mut created = BTreeSet::new();
    let ours = world.state().and_then(SecretState::current);
    for action in &plan.actions {
        if let Side::Remote(remote) = &action.on {
            match &action.change {
                Change::Create { .. } => {
                    created.insert(remote.clone());
                }
                Change::MoveLabel { label, from, to } => {
                    let holder = after.there(remote).and_then(|s| s.labels.get(label));
                    ensure(holder == from.as_ref(), || {
                        format!("`{action}` expects what is not there")
                    })?;
                    let known = created.contains(remote)
                        || seen_before(world, remote, label, from.as_ref())
                        || (label.is_current()
                            && [to.as_ref(), ours]
                                .iter()
                                .any(|newer| made_on(world, &after, from.as_ref(), *newer)));
                    ensure(known, || format!("`{action}` over what nobody here saw"))?;
                }
                Change::SetAttributes { to, .. } => {
                    texts_seen(world, remote, to)?;
                }
                _ => {}
            }
        }
        after.step(action)?;
    }
    Ok(())
}

/// A text is replaced on a remote only if it is what was agreed there.
fn texts_seen(world: &World, remote: &RemoteName, to: &Attributes) -> Holds {
    let Some(there) = world.there(remote).map(|s| &s.attributes) else {
        return Ok(());
    };
    let base = world.record.as_ref().and_then(|r| r.base.get(remote));
    let pair = base.and_then(|b| b.pair.as_ref());
    for place in Place::all([there, to].into_iter()) {
        let now = place.get(there);
        let agreed = pair.is_some_and(|p| place.get(&p.remote.attributes) == now);
        let here = world.state().and_then(|s| place.get(&s.attributes));
        // What a person saw when deciding against it is not unseen.
        let seen = base
            .and_then(|b| b.seen.get(&place.field()))
            .is_some_and(|saw| saw.as_deref() == now);
        ensure(
            now == place.get(to) || now.is_none() || now == here || agreed || seen,
            || format!("{place:?} of {remote} replaced unseen"),
        )?;
    }
    Ok(())
}

fn seen_before(
    world: &World,
    remote: &RemoteName,
    label: &StagingLabel,
    from: Option<&VersionId>,
) -> bool {
    let Some(record) = &world.record else {
        return from.is_none();
    };
    let base = record.base.get(remote);
    let intent = base.and_then(|b| b.intents.get(label));
    // At a first meeting only what is nowhere may be filled.
    let meets = base.and_then(|b| b.pair.as_ref()).is_none_or(|pair| {
        let arn = world.far[remote].as_ref().map(|s| &s.facts.arn);
        arn != Some(&pair.arn) || pair.local.lifecycle == Lifecycle::Tombstone
    });
    let previous = record.state.labels.get(&StagingLabel::previous());
    intent.map(Option::as_ref) == Some(from)
        || (meets && label.is_current() && previous == from)
        || record.state.labels.get(label) == from
        || (meets && from.is_none())
}

/// Whether `from` is an ancestor of `to`: by recorded parents, and by what remotes
/// showed as the one before.
fn made_on(world: &World, after: &World, from: Option<&VersionId>, to: Option<&VersionId>) -> bool {
    let (Some(from), Some(to)) = (from, to) else {
        return false;
    };
    let mut known = BTreeSet::from([to.clone()]);
    loop {
        let mut more = known.clone();
        for id in &known {
            let versions = after.state().map(|s| &s.versions);
            more.extend(versions.and_then(|v| v.get(id)?.parent.clone()));
            for secret in world.far.values().flatten() {
                if secret.state.current() == Some(id) {
                    let before = secret.state.labels.get(&StagingLabel::previous());
                    more.extend(before.cloned());
                }
            }
        }
        if more == known {
            return known.contains(from);
        }
        known = more;
    }
}

/// A version reaches an existing secret under the holding label alone (sync.md K2),
/// and labels move there by compare-and-swap.
pub(super) fn parked(_: &Spec, _: &World, plan: &SecretPlan) -> Holds {
    for action in &plan.actions {
        if let (Side::Remote(_), Change::AddVersion { labels, .. }) = (&action.on, &action.change) {
            ensure(*labels == [StagingLabel::holding()], || action.to_string())?;
        }
        if let (Side::Remote(_), Change::MoveLabel { label, to, .. }) = (&action.on, &action.change)
        {
            ensure(travels(label), || format!("{action}: does not travel"))?;
            ensure(!label.is_current() || to.is_some(), || action.to_string())?;
        }
    }
    Ok(())
}

/// Without anything agreed before, nothing is deleted on any side (sync.md I11).
pub(super) fn first_sync(spec: &Spec, _: &World, plan: &SecretPlan) -> Holds {
    if spec.far.iter().any(|far| far.base.is_some()) {
        return Ok(());
    }
    for action in &plan.actions {
        let deletes = matches!(
            action.change,
            Change::Delete { .. } | Change::Tombstone | Change::Archive { .. }
        );
        ensure(!deletes, || action.to_string())?;
    }
    Ok(())
}

/// Stop after any step, forget nothing and remember nothing: the next plan finds no
/// conflict that was not there before, and ends where the first would have.
pub(super) fn interruption(spec: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    // AWSPENDING stays behind when AWSCURRENT leaves its version, and then looks like
    // a rotation under way: what was not pushed yet waits (sync.md K3).
    let left_behind = |far: &super::Far| far.there.pend != 0 && far.there.pend == far.there.cur;
    if spec.far.iter().any(left_behind) {
        return Ok(());
    }
    // A remote that is only pushed to keeps what is its own, which looks different at
    // a first meeting once another remote's news are half here.
    let both_ways = spec.far.iter().all(|far| far.direction == 0);
    if spec.far.len() > 1 && !(consistent(spec) && both_ways) {
        return Ok(());
    }
    let mut whole = world.clone();
    whole.finish(plan)?;
    whole.run_on(spec.far.len() - 1)?;
    // The vault writes all of a secret at once (sync.md section 4), so a cut between
    // its own steps is worse than what can be. With one remote it is harmless all the
    // same; with several a half-moved vault may look moved by hand to the second. And a
    // secret that lives again gives up what was moved here before it was deleted:
    // restored and no more, it would look as if a person had brought those moves back.
    let revived = plan.notes.iter().any(|n| n.kind == NoteKind::Revived);
    let any_order = spec.far.len() == 1 && !revived;
    for stop in 0..plan.actions.len() * usize::from(any_order) {
        let mut cut = world.clone();
        for action in &plan.actions[..stop] {
            cut.step(action)?;
        }
        resume(cut, &whole, plan).map_err(|e| format!("after {stop} steps: {e}"))?;
    }
    // The order of `sync`: copies, then the remotes, then the vault's labels.
    let (copies, rest): (Vec<_>, Vec<_>) = plan
        .actions
        .iter()
        .partition(|a| matches!((&a.on, &a.change), (Side::Local, Change::AddVersion { .. })));
    let there: Vec<_> = rest.iter().filter(|a| a.on != Side::Local).collect();
    if rest.iter().any(|a| a.on == Side::Local && changes_life(a))
        || there.len() == plan.actions.len()
    {
        return Ok(());
    }
    for stop in 0..=there.len() {
        let mut cut = world.clone();
        for action in copies.iter().chain(there[..stop].iter().copied()) {
            cut.step(action)?;
        }
        resume(cut, &whole, plan).map_err(|e| format!("after copies and {stop} there: {e}"))?;
    }
    Ok(())
}

fn changes_life(action: &Action) -> bool {
    matches!(
        action.change,
        Change::Create { .. } | Change::Restore | Change::Archive { .. }
    )
}

fn resume(mut cut: World, whole: &World, plan: &SecretPlan) -> Holds {
    cut.collect();
    // One plan must do, unless a person has to look now, or would have had to then.
    let next = cut.plan();
    let then = if whole.far.len() > 1 {
        whole.plan().conflicts
    } else {
        Vec::new()
    };
    for conflict in &next.conflicts {
        let known = plan
            .conflicts
            .iter()
            .chain(&then)
            .any(|c| (&c.remote, &c.field) == (&conflict.remote, &conflict.field));
        ensure(known, || format!("new conflict {conflict:?}"))?;
    }
    if !then.is_empty() && !next.conflicts.is_empty() {
        return Ok(());
    }
    cut.finish(&next)?;
    cut.run_on(whole.far.len() - 1)?;
    let same = |what: &str, a: Option<&SecretState>, b: Option<&SecretState>| {
        let life = |s: Option<&SecretState>| s.is_some_and(|s| s.lifecycle.is_live());
        ensure(travelling(a) == travelling(b) && life(a) == life(b), || {
            format!("{what}: {:?} instead of {:?}", travelling(a), travelling(b))
        })
    };
    same("the vault", cut.state(), whole.state())?;
    for remote in cut.far.keys() {
        same(remote.as_str(), cut.there(remote), whole.there(remote))?;
    }
    Ok(())
}
