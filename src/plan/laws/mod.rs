//! The laws of `plan` (style.md section 3.5, sync.md section 3.1), each a function
//! from a small world to "holds" or what broke.
//!
//! `worlds` describes and moves the worlds, `enumeration` walks through every small
//! one, `random` through larger ones, `wide` through mirrors, what remotes have of their
//! own, and alarms. A plan is judged by what it does to copies of both sides, never by how
//! it was found.

mod enumeration;
mod memory;
mod mirrors;
mod random;
mod safety;
mod strategies;
mod taken;
mod wide;
mod worlds;

use std::collections::BTreeSet;

use super::attributes::Place;
use super::{NoteKind, SecretPlan, Side};
use crate::model::{
    Change, Class, Field, Lifecycle, RemoteName, SecretState, StagingLabel, travels,
};
use worlds::{Far, Half, Intents, Life, Spec, World, travelling};

type Holds = Result<(), String>;

/// A law over one world and its plan.
type Law = fn(&Spec, &World, &SecretPlan) -> Holds;

/// Every law, by name.
const LAWS: &[(&str, Law)] = &[
    ("every step can be taken", steps),
    ("converges", converges),
    ("quiet", memory::quiet),
    ("mirror", mirror),
    ("a one-sided change never conflicts", one_sided),
    ("agreement only settles", memory::agreement),
    (
        "a conflicted secret is touched on neither side",
        safety::conflicted,
    ),
    ("no labelled version is lost", safety::nothing_lost),
    ("never a blind overwrite", safety::never_blind),
    (
        "AWSCURRENT is never put on an existing secret",
        safety::parked,
    ),
    ("first sync never deletes", safety::first_sync),
    ("interruption is harmless", safety::interruption),
    ("memory is honest", memory::honest),
    ("what a remote will show is foretold", foretold),
    ("the order of remotes does not matter", order_of_remotes),
    ("output is sorted", sorted),
];

/// Checks every law on one world.
fn check(spec: &Spec) -> Holds {
    let world = World::new(spec);
    let plan = world.plan();
    for (name, law) in LAWS {
        law(spec, &world, &plan)
            .map_err(|e| format!("{name}: {e}\n  {spec:?}\n  {}", short(&plan)))?;
    }
    if plan.conflicts.is_empty() {
        Ok(())
    } else {
        strategies::check(spec, &plan)
    }
}

/// A plan in a line.
fn short(plan: &SecretPlan) -> String {
    let mut out = plan.steps();
    for c in &plan.conflicts {
        out.push(format!("CONFLICT {} {} {}", c.remote, c.field, c.class));
    }
    out.extend(plan.notes.iter().map(|n| format!("({n})")));
    out.push(format!("= {:?}", plan.settled.keys().collect::<Vec<_>>()));
    out.join("; ")
}

/// Whether moves are on record just as the vault's own clone would have recorded
/// them. A git merge leaves other records; with those only safety is promised, not
/// that one plan is enough.
fn consistent(spec: &Spec) -> bool {
    spec.far.iter().all(|far| {
        let same = |here: Half, was: Half| here.cur == was.cur && here.x == was.x;
        let unmoved = |was: Half| spec.here.is_some_and(|here| same(here, was));
        match far.intents {
            Intents::Exact => true,
            Intents::None => far.base.is_none_or(|(was, _)| unmoved(was)),
            Intents::Any(..) => far.base.is_none(),
        }
    })
}

fn ensure(holds: bool, or: impl FnOnce() -> String) -> Holds {
    if holds { Ok(()) } else { Err(or()) }
}

/// Why a remote may rightly stay different: somebody said so.
fn excused(plan: &SecretPlan, remote: &RemoteName) -> bool {
    plan.notes.iter().any(|note| {
        note.remote.as_ref().is_none_or(|r| r == remote)
            && matches!(
                note.kind,
                NoteKind::NotPushed(_)
                    | NoteKind::NotPulled
                    | NoteKind::Blocked(_)
                    | NoteKind::ScheduledThere
            )
    })
}

/// No step is refused by the model, and no plan gives up.
fn steps(_: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    let mut after = world.clone();
    after.finish(plan)?;
    // With one remote gone and another in the way, giving up is right; with one it
    // never is.
    let gave_up =
        |kind: &NoteKind| matches!(kind, NoteKind::Blocked(r) if r.starts_with("no safe plan"));
    ensure(!plan.notes.iter().any(|n| gave_up(&n.kind)), || {
        "no safe plan".into()
    })
}

/// Apply all actions, and both sides agree on what travels: labels, texts, existence.
/// With several remotes a deletion reaches the others one plan later, under their
/// own guard, and a restore over there is one more.
fn converges(spec: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    if !plan.conflicts.is_empty() || (spec.far.len() > 1 && !consistent(spec)) {
        return Ok(());
    }
    let mut world = world.clone();
    world.finish(plan)?;
    let mut plan = plan.clone();
    let rounds = match spec.far.len() {
        1 => usize::from(memory::looks_again(&plan)),
        many => many * 2,
    };
    for _ in 0..rounds {
        let next = world.plan();
        if !next.conflicts.is_empty() {
            // What one remote has may rightly be news that another one contradicts.
            let news =
                |far: &&Far| far.recreated || far.base.is_none_or(|(_, was)| was != far.there);
            let rivals = spec.far.iter().filter(news).count()
                + usize::from(spec.here.is_some_and(|h| h.life != Life::Live));
            return ensure(rivals > 1, || {
                format!("a second plan conflicts: {}", short(&next))
            });
        }
        world.finish(&next)?;
        plan.notes.extend(next.notes);
    }
    for (far, word) in spec.far.iter().zip(worlds::NAMES) {
        let remote: RemoteName = word.parse().unwrap();
        if !excused(&plan, &remote) && far.direction == 0 {
            agree(far, world.state(), world.there(&remote))
                .map_err(|e| format!("{remote}: {e}"))?;
        }
    }
    Ok(())
}

/// A push is done when the remote shows what the plan says it will.
fn foretold(_: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    let mut after = world.clone();
    after.finish(plan)?;
    let written: BTreeSet<&RemoteName> = plan
        .actions
        .iter()
        .filter_map(|a| match &a.on {
            Side::Remote(remote) => Some(remote),
            Side::Local => None,
        })
        .collect();
    ensure(
        plan.shown.keys().collect::<BTreeSet<_>>() == written,
        || "of other remotes than are written to".into(),
    )?;
    for (remote, face) in &plan.shown {
        let mut there = after.there(remote).map(SecretState::face);
        // When it will be gone, only the remote can say.
        if let Some(there) = &mut there
            && there.lifecycle.is_scheduled()
            && face.lifecycle.is_scheduled()
        {
            there.lifecycle = face.lifecycle;
        }
        ensure(there.as_ref() == Some(face), || {
            format!("{remote}: {face:?}, but it shows {there:?}")
        })?;
    }
    Ok(())
}

fn agree(far: &Far, here: Option<&SecretState>, there: Option<&SecretState>) -> Holds {
    let live = |s: Option<&SecretState>| s.is_some_and(|s| s.lifecycle.is_live());
    ensure(live(here) == live(there), || {
        "one side lives, the other does not".into()
    })?;
    let (Some(a), Some(b)) = (here.filter(|s| s.lifecycle.is_live()), there) else {
        return Ok(());
    };
    // What was accepted to differ may go on differing.
    let (was_here, was_there) = far.base.unwrap_or_default();
    let labels: BTreeSet<&StagingLabel> = a.labels.keys().chain(b.labels.keys()).collect();
    for label in labels.into_iter().filter(|l| travels(l)) {
        let accepted = was_here.labels().get(label) != was_there.labels().get(label);
        ensure(
            accepted || a.labels.get(label) == b.labels.get(label),
            || {
                format!(
                    "{label} is on {:?} here, on {:?} there",
                    a.labels.get(label),
                    b.labels.get(label)
                )
            },
        )?;
    }
    for place in Place::all([&a.attributes, &b.attributes].into_iter()) {
        let accepted = match place {
            Place::Description => was_here.desc != was_there.desc,
            Place::Tag(_) => was_here.tag != was_there.tag,
        };
        let same = place.get(&a.attributes) == place.get(&b.attributes);
        ensure(accepted || same, || format!("{place:?} differs"))?;
    }
    Ok(())
}

/// Swap the sides, and the sides of every change swap. For one live remote, labels
/// and texts; without ancestry, rotation and AWSPREVIOUS, which belong to one side.
fn mirror(spec: &Spec, _: &World, _: &SecretPlan) -> Holds {
    let ([far], Some(here)) = (spec.far.as_slice(), spec.here) else {
        return Ok(());
    };
    let plain = |h: Half| Half {
        prev: 0,
        pend: 0,
        ..h
    };
    let Some((was, was_there)) = far.base else {
        return Ok(());
    };
    if was != was_there || was.life != Life::Live {
        return Ok(());
    }
    if here.life != Life::Live || far.there.life != Life::Live || far.recreated {
        return Ok(());
    }
    let swapped = |here: Half, there: Half| Spec {
        here: Some(plain(here)),
        parents: [0; 4],
        far: vec![Far {
            base: Some((plain(was), plain(was))),
            intents: Intents::Exact,
            there: plain(there),
            ..Far::default()
        }],
    };
    let mut one = World::new(&swapped(here, far.there));
    let mut other = World::new(&swapped(far.there, here));
    let (a, b) = (one.plan(), other.plan());
    let fields = |p: &SecretPlan| -> Vec<(Field, Class)> {
        p.conflicts
            .iter()
            .map(|c| (c.field.clone(), c.class))
            .collect()
    };
    ensure(fields(&a) == fields(&b), || "conflicts differ".to_owned())?;
    one.finish(&a)?;
    other.finish(&b)?;
    let remote: RemoteName = worlds::NAMES[0].parse().unwrap();
    for (x, y) in [
        (one.state(), other.there(&remote)),
        (one.there(&remote), other.state()),
    ] {
        let attributes = |s: Option<&SecretState>| s.map(|s| s.attributes.clone());
        let same = travelling(x) == travelling(y) && attributes(x) == attributes(y);
        ensure(same, || format!("{}\n  mirrored {}", short(&a), short(&b)))?;
    }
    Ok(())
}

/// If one side is as it was agreed to be, nothing is in conflict.
fn one_sided(spec: &Spec, _: &World, plan: &SecretPlan) -> Holds {
    let ([far], Some(here)) = (spec.far.as_slice(), spec.here) else {
        return Ok(());
    };
    let Some((was_here, was_there)) = far.base else {
        return Ok(());
    };
    // A tombstone keeps its labels; they are nobody's change.
    let same =
        |now: Half, was: Half| now == was || (now.life, was.life) == (Life::Gone, Life::Gone);
    let unchanged_here =
        same(here, was_here) && matches!(far.intents, Intents::None | Intents::Exact);
    // A move made here is clean only from where the remote has the label, so halves
    // that differ are not "one-sided" for it.
    let unchanged_there = same(far.there, was_there)
        && !far.recreated
        && was_here.cur == was_there.cur
        && was_here.x == was_there.x
        && far.intents == Intents::Exact;
    if unchanged_here || unchanged_there {
        return ensure(plan.conflicts.is_empty(), || {
            format!("conflict on {}", plan.conflicts[0].field)
        });
    }
    Ok(())
}

/// Two remotes under each other's names give the same result.
fn order_of_remotes(spec: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    // Of two that were created anew one is taken first; the other is then met, and
    // what differs is a conflict.
    let both_recreated = spec.far.iter().all(|far| far.recreated);
    if spec.far.len() != 2 || !consistent(spec) || both_recreated {
        return Ok(());
    }
    same_result(world.clone(), World::named(spec, &["b", "a"]), plan)
}

/// Carries out both, and compares what became of them.
fn same_result(mut world: World, mut twin: World, plan: &SecretPlan) -> Holds {
    let other = twin.plan();
    world.finish(plan)?;
    twin.finish(&other)?;
    ensure(
        plan.conflicts.is_empty() == other.conflicts.is_empty(),
        || "only one order conflicts".into(),
    )?;
    let life = |s: Option<&SecretState>| s.map(|s| (s.lifecycle.is_live(), s.attributes.clone()));
    let same = |what: &str, a: Option<&SecretState>, b: Option<&SecretState>| {
        ensure(travelling(a) == travelling(b) && life(a) == life(b), || {
            format!("{what} differs: {}", short(&other))
        })
    };
    same("the vault", world.state(), twin.state())?;
    for (one, two) in [("a", "b"), ("b", "a")] {
        let (one, two) = (one.parse().unwrap(), two.parse().unwrap());
        same("a remote", world.there(&one), twin.there(&two))?;
    }
    Ok(())
}

/// The same question gives the same answer, and lists are in order.
fn sorted(_: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    ensure(world.plan() == *plan, || "another answer".into())?;
    ensure(plan.conflicts.is_sorted() && plan.notes.is_sorted(), || {
        "not sorted".into()
    })?;
    // Within a run of copies or of label moves on one side nothing depends on the
    // order, so all that is asked is that a deletion comes last and that versions
    // come before the labels that name them; the model has checked the second.
    let deletion = plan
        .actions
        .iter()
        .position(|a| a.on != Side::Local && matches!(a.change, Change::Delete { .. }));
    ensure(
        deletion.is_none_or(|at| {
            plan.actions[at..]
                .iter()
                .all(|a| matches!(a.change, Change::Delete { .. } | Change::AddVersion { .. }))
        }),
        || "something comes after a deletion".into(),
    )
}

/// The lifecycle of a remote that may be absent.
fn life_there(world: &World, remote: &RemoteName) -> Lifecycle {
    world
        .there(remote)
        .map_or(Lifecycle::Tombstone, |s| s.lifecycle)
}
