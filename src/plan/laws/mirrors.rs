//! The laws of mirrors, in the random worlds of all others: nothing is lost, one side
//! becomes like the other, and the other is not touched.

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::worlds::{Spec, World, travelling};
use super::{Holds, ensure, random, safety, short};
use crate::model::{Lifecycle, RemoteName, SecretState, StagingLabel, travels};
use crate::plan::Side;

const OUT: u8 = 3;
const IN: u8 = 4;

/// Plans and carries out until nothing is left to do, and checks each plan.
fn settled(spec: &Spec, world: &World) -> Result<World, String> {
    let mut world = world.clone();
    for _ in 0..5 {
        let plan = world.plan();
        ensure(plan.conflicts.is_empty(), || short(&plan))?;
        if plan.actions.is_empty() && plan.settled.is_empty() {
            return Ok(world);
        }
        let gave_up = plan.notes.iter().any(|n| n.to_string().contains("no safe"));
        ensure(!gave_up, || short(&plan))?;
        safety::nothing_lost(spec, &world, &plan).map_err(|e| format!("{e}: {}", short(&plan)))?;
        safety::parked(spec, &world, &plan).map_err(|e| format!("{e}: {}", short(&plan)))?;
        world
            .finish(&plan)
            .map_err(|e| format!("{e}: {}", short(&plan)))?;
        world.collect();
    }
    Err(format!("never quiet: {}", short(&world.plan())))
}

fn live(state: Option<&SecretState>) -> bool {
    state.is_some_and(|s| s.lifecycle.is_live())
}

fn out(spec: &Spec) -> Holds {
    let remote: RemoteName = "a".parse().unwrap();
    let mut before = World::new(spec);
    before.collect();
    let after = settled(spec, &before)?;
    let (here, there) = (before.state(), after.there(&remote));
    // The vault gets versions, and labels of its own, and nothing else.
    ensure(travelling(here) == travelling(after.state()), || {
        "the vault's labels moved".into()
    })?;
    ensure(live(here) == live(after.state()), || {
        "the vault's secret changed its life".into()
    })?;
    let far = &spec.far[0];
    let pending = before.there(&remote).is_some_and(|s| {
        let pending = s.labels.get(&StagingLabel::pending());
        pending.is_some() && pending != s.current()
    });
    let is_there = before.there(&remote).is_some();
    if is_there && (far.rotated || far.replica || pending) {
        // Rotation owns it, or it is no secret of its own: not a step goes there.
        ensure(before.far == after.far, || "written to".into())?;
        return Ok(());
    }
    if !live(here) {
        return ensure(!live(there), || "it lives there".into());
    }
    ensure(live(there), || "it does not live there".into())?;
    // AWSCURRENT cannot vanish.
    if here.is_some_and(|s| s.current().is_none()) {
        return Ok(());
    }
    ensure(travelling(here) == travelling(there), || {
        "labels differ".into()
    })?;
    let attributes = |s: Option<&SecretState>| s.map(|s| s.attributes.clone());
    ensure(attributes(here) == attributes(there), || {
        "texts differ".into()
    })
}

fn into(spec: &Spec) -> Holds {
    let remote: RemoteName = "a".parse().unwrap();
    let mut before = World::new(spec);
    before.collect();
    let after = settled(spec, &before)?;
    ensure(before.far == after.far, || {
        "the remote was written to".into()
    })?;
    let first = before.plan();
    ensure(first.actions.iter().all(|a| a.on == Side::Local), || {
        short(&first)
    })?;
    let (here, there) = (after.state(), before.there(&remote));
    if !live(there) {
        // What is scheduled there, and was never here, cannot be read.
        return ensure(!live(here), || "it lives here".into());
    }
    ensure(live(here), || "it does not live here".into())?;
    // What had a label here and is not there can still be found.
    let old = before.state().into_iter().flat_map(|s| &s.labels);
    for (label, id) in old.filter(|(l, _)| travels(l)) {
        let known = there.is_some_and(|s| s.versions.contains_key(id));
        let found = here.is_some_and(|s| s.labels_of(id).next().is_some());
        let was = before.state().map(|s| s.lifecycle);
        let aside = after.aside.is_some() || was == Some(Lifecycle::Tombstone);
        ensure(known || found || aside, || {
            format!("{id} cannot be found any more, it was under {label}")
        })?;
    }
    if there.is_some_and(|s| s.current().is_none()) {
        return Ok(());
    }
    ensure(travelling(here) == travelling(there), || {
        "labels differ".into()
    })?;
    let attributes = |s: Option<&SecretState>| s.map(|s| s.attributes.clone());
    ensure(attributes(here) == attributes(there), || {
        "texts differ".into()
    })
}

fn holds(direction: u8, law: fn(&Spec) -> Holds) {
    let config = Config {
        cases: 4000,
        failure_persistence: None,
        ..Config::default()
    };
    let dice = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, dice);
    let checked = |mut spec: Spec| {
        spec.far.truncate(1);
        spec.far[0].direction = direction;
        law(&spec).map_err(|e| TestCaseError::fail(format!("{e}\n  {spec:?}")))
    };
    if let Err(broken) = runner.run(&random::spec(), checked) {
        panic!("{broken}");
    }
}

#[test]
fn a_mirror_out_loses_nothing_and_makes_the_remote_like_the_vault() {
    holds(OUT, out);
}

#[test]
fn a_mirror_in_loses_nothing_and_makes_the_vault_like_the_remote() {
    holds(IN, into);
}
