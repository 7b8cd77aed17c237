//! The laws of what is remembered: it is honest, and with it there is nothing left to do.

use std::collections::BTreeSet;

use super::super::{Action, SecretPlan, Side};
use super::worlds::{Far, Life, Spec, World};
use super::{Holds, consistent, ensure, short};
use crate::model::{Change, RemoteBase, SecretState, StagingLabel, VersionId};

/// With what is to be remembered remembered, a second plan is empty; a conflict is
/// found again, the same, and asks for nothing more.
pub(super) fn quiet(spec: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    let mut after = world.clone();
    after.finish(plan)?;
    // A deletion, and what was copied to decide a conflict, reach the other remotes
    // one plan later.
    let more = if spec.far.len() > 1 {
        3
    } else {
        usize::from(looks_again(plan))
    };
    for round in 0..=more {
        after.collect();
        let next = after.plan();
        // While something is in conflict nothing is remembered, so a placeholder is
        // asked for its value again each time.
        let asks = !next.conflicts.is_empty() && next.actions.iter().all(asks_again);
        if (next.actions.is_empty() || asks) && next.settled.is_empty() {
            return ensure(more > 0 || next.conflicts == plan.conflicts, || {
                format!("conflicts became {:?}", next.conflicts)
            });
        }
        if round == more {
            return Err(format!("a second plan is {}", short(&next)));
        }
        after.finish(&next)?;
    }
    Ok(())
}

/// A restore on a remote that has to be looked at before anything else: only then can
/// its values be read.
pub(super) fn looks_again(plan: &SecretPlan) -> bool {
    matches!(
        plan.actions.as_slice(),
        [action] if action.on != Side::Local && action.change == Change::Restore
    ) && plan.settled.is_empty()
}

/// A placeholder may have got its value, so it is copied again.
fn asks_again(action: &Action) -> bool {
    matches!(&action.change, Change::AddVersion { id, .. } if *id == super::super::tests::id(9))
}

/// If both sides are the same, at most the memory of it is written.
pub(super) fn agreement(spec: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    let Some(here) = spec.here else {
        return Ok(());
    };
    let same = spec.far.iter().all(|far| far.there == here);
    let known = spec.far.iter().all(|far| {
        let known = |n: &VersionId| world.state().is_some_and(|s| s.versions.contains_key(n));
        !far.recreated && far.there.labels().values().all(known)
    });
    if same && known && here.life == Life::Live {
        // A tombstone that is listed again under its own ARN is a listing's lag.
        let lag = |far: &Far| far.base.is_some_and(|(_, there)| there.life == Life::Gone);
        if spec.far.iter().any(lag) {
            return Ok(());
        }
        let nothing = plan.actions.iter().all(asks_again) && plan.conflicts.is_empty();
        return ensure(nothing, || "something to do".into());
    }
    Ok(())
}

/// What is remembered of a remote is what is there, or what was remembered before:
/// a field that was neither brought over nor agreed on never enters the base.
pub(super) fn honest(spec: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    let mut after = world.clone();
    after.finish(plan)?;
    for (remote, settled) in &plan.settled {
        let Some(pair) = &settled.pair else {
            // Forgotten, so that it is met for the first time.
            ensure(settled.is_empty(), || "settled without a pair".into())?;
            continue;
        };
        if !pair.local.lifecycle.is_live() || !pair.remote.lifecycle.is_live() {
            continue;
        }
        let old = world.record.as_ref().and_then(|r| r.base.get(remote));
        honest_side(
            "here",
            &pair.local.labels,
            after.state(),
            old.and_then(|b| b.pair.as_ref()).map(|p| &p.local.labels),
        )?;
        honest_side(
            "there",
            &pair.remote.labels,
            after.there(remote),
            old.and_then(|b| b.pair.as_ref()).map(|p| &p.remote.labels),
        )?;
        if consistent(spec) {
            intents_cover(settled, after.state())?;
        }
    }
    Ok(())
}

type Labels = std::collections::BTreeMap<StagingLabel, VersionId>;

fn honest_side(
    side: &str,
    remembered: &Labels,
    now: Option<&SecretState>,
    old: Option<&Labels>,
) -> Holds {
    let Some(now) = now else {
        return Err(format!("remembered {side}, but gone"));
    };
    let all: BTreeSet<&StagingLabel> = remembered.keys().chain(now.labels.keys()).collect();
    for label in all.into_iter().filter(|l| !l.is_reserved()) {
        let said = remembered.get(label);
        let is = now.labels.get(label);
        let was = old.and_then(|o| o.get(label));
        ensure(said == is || said == was, || {
            format!("{label} {side} is on {is:?}, remembered on {said:?}, before {was:?}")
        })?;
    }
    Ok(())
}

/// A label that waits to be pushed keeps its origin.
fn intents_cover(settled: &RemoteBase, here: Option<&SecretState>) -> Holds {
    for (label, from) in &settled.intents {
        let is = here.and_then(|s| s.labels.get(label));
        ensure(is != from.as_ref(), || {
            format!("{label} is remembered as moved from where it is")
        })?;
    }
    Ok(())
}
