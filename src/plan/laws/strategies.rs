//! The laws of strategies, over every world that has a conflict: whatever the strategy
//! and whoever wins, nothing is lost, nothing is left to do, and the order of remotes
//! does not matter.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Action, Choice, SecretPlan, Side, Strategies};
use super::memory::quiet;
use super::worlds::{NAMES, Spec, World, number};
use super::{Holds, consistent, ensure, foretold, safety, same_result, short, steps};
use crate::model::{
    Change, Class, Direction, Field, RemoteName, SecretState, Strategy, Timestamp, VersionId,
};

/// The same strategy for all remotes.
fn all(strategy: Strategy) -> Strategies {
    Strategies {
        now: Timestamp::from_secs(1_000_000),
        run: Some(strategy),
        rules: Vec::new(),
        remotes: BTreeMap::new(),
        answers: BTreeMap::new(),
    }
}

/// Each remote its own, by where it stands in the spec, not by its name.
fn each(names: &[&str], of: &[Strategy]) -> Strategies {
    let remotes = names.iter().zip(of.iter().cycle());
    Strategies {
        run: None,
        remotes: remotes.map(|(n, s)| (n.parse().unwrap(), *s)).collect(),
        ..all(Strategy::Hold)
    }
}

/// Checks every strategy on a world whose plan without any has a conflict.
pub(super) fn check(spec: &Spec, held: &SecretPlan) -> Holds {
    let mixes: &[&[Strategy]] = &[
        &[Strategy::Ours],
        &[Strategy::Theirs],
        &[Strategy::Newest],
        &[Strategy::Ours, Strategy::Theirs],
        &[Strategy::Theirs, Strategy::Newest],
        &[Strategy::Hold, Strategy::Newest],
    ];
    let worth = if spec.far.len() == 1 { 3 } else { mixes.len() };
    for of in &mixes[..worth] {
        one(spec, held, of).map_err(|e| format!("strategies {of:?}: {e}\n  {spec:?}"))?;
    }
    for strategy in [Strategy::Hold, Strategy::Interactive, Strategy::Fail] {
        let mut world = World::new(spec);
        world.policy.strategies = Some(all(strategy));
        let plan = world.plan();
        ensure(
            plan.answers.is_empty() && plan.conflicts == held.conflicts,
            || format!("strategies {strategy:?} decides: {}", short(&plan)),
        )?;
    }
    Ok(())
}

fn one(spec: &Spec, held: &SecretPlan, of: &[Strategy]) -> Holds {
    let mut world = World::new(spec);
    world.policy.strategies = Some(each(&NAMES, of));
    let plan = world.plan();
    let law =
        |name: &str, holds: Holds| holds.map_err(|e| format!("{name}: {e}\n  {}", short(&plan)));
    law("same question, same answer", {
        ensure(world.plan() == plan, || "another answer".into())
    })?;
    law("order of remotes", order(spec, &world, &plan, of))?;
    if plan.answers.is_empty() {
        law("held as without", {
            ensure(
                plan.conflicts == held.conflicts && plan.actions == held.actions,
                || format!("not {}", short(held)),
            )
        })?;
        return law("held", safety::conflicted(spec, &world, &plan));
    }
    law("all or none", {
        ensure(plan.conflicts.is_empty(), || "some conflicts left".into())
    })?;
    law("newest decides what it may", newest(&plan))?;
    law("nothing is lost", nothing_lost(&world, &plan))?;
    // The rest holds of the world in which a person gave the same answers.
    let (answered, rest) = answered(&world, &plan)?;
    law("steps", steps(spec, &answered, &rest))?;
    law("foretold", foretold(spec, &answered, &rest))?;
    law("K1", safety::nothing_lost(spec, &answered, &rest))?;
    law("never blind", safety::never_blind(spec, &answered, &rest))?;
    law("parked", safety::parked(spec, &answered, &rest))?;
    law("a second plan is empty", quiet(spec, &answered, &rest))
}

/// The world once all answers are given, and what is left of the plan.
fn answered(world: &World, plan: &SecretPlan) -> Result<(World, SecretPlan), String> {
    let mut world = world.clone();
    let last = plan.answers.iter().map(|a| a.after).max().unwrap_or(0);
    for (at, action) in plan.actions[..last].iter().enumerate() {
        world.answer(plan, at)?;
        let copy = action.on == Side::Local && matches!(action.change, Change::AddVersion { .. });
        ensure(copy, || format!("`{action}` before the last answer"))?;
        world.step(action)?;
    }
    world.answer(plan, last)?;
    let rest = SecretPlan {
        actions: plan.actions[last..].to_vec(),
        answers: Vec::new(),
        ..plan.clone()
    };
    Ok((world, rest))
}

/// `newest` decides about labels only, never an alarm, and never against the later one
/// of two: the versions of these worlds were made in the order of their numbers.
fn newest(plan: &SecretPlan) -> Holds {
    for answer in plan
        .answers
        .iter()
        .filter(|a| a.strategy == Strategy::Newest)
    {
        let c = &answer.conflict;
        ensure(
            matches!(c.field, Field::Label(_)) && c.class != Class::Rewound,
            || format!("decided {answer}"),
        )?;
        let number = |id: &Option<String>| id.as_ref().map(|id| number(&id.parse().unwrap()));
        let (ours, theirs) = (number(&c.ours), number(&c.theirs));
        let right = match &answer.choice {
            Choice::Ours => ours > theirs,
            Choice::Theirs => theirs > ours || c.class == Class::RemoteRemote,
            Choice::To(id) => {
                let won = Some(number(&Some(id.as_str().to_owned())).unwrap());
                won > theirs && (won > ours || c.class == Class::RemoteRemote)
            }
        };
        ensure(right && theirs.is_some(), || format!("wrong: {answer}"))?;
    }
    Ok(())
}

/// Every version that was in the vault is in it; every version that was in question is
/// there with a value and under a label.
fn nothing_lost(world: &World, plan: &SecretPlan) -> Holds {
    let mut after = world.clone();
    after.finish(plan)?;
    let states = || [after.state(), after.aside.as_ref()].into_iter().flatten();
    let has = |id: &VersionId| states().any(|s: &SecretState| s.versions.contains_key(id));
    for id in world.state().into_iter().flat_map(|s| s.versions.keys()) {
        ensure(has(id), || format!("the vault lost {id}"))?;
    }
    let mut asked: BTreeSet<VersionId> = BTreeSet::new();
    for answer in &plan.answers {
        let c = &answer.conflict;
        match &c.field {
            Field::Label(_) => {
                let ids = c.ours.iter().chain(&c.theirs);
                asked.extend(ids.map(|id| id.parse().unwrap()));
            }
            // The secret as a whole, given up: what it had as AWSCURRENT.
            Field::Lifecycle if answer.choice == Choice::Ours => {}
            Field::Lifecycle => asked.extend(world.state().and_then(|s| s.current()).cloned()),
            Field::Description | Field::Tag(_) | Field::Own(_) => {}
        }
    }
    for id in &asked {
        let found = states().any(|s| s.labels_of(id).next().is_some());
        ensure(has(id) && found, || {
            format!("{id} cannot be found any more")
        })?;
    }
    Ok(())
}

/// Two remotes under each other's names, each with its strategy, give the same result.
fn order(spec: &Spec, world: &World, plan: &SecretPlan, of: &[Strategy]) -> Holds {
    let both_recreated = spec.far.iter().all(|far| far.recreated);
    if spec.far.len() != 2 || !consistent(spec) || both_recreated {
        return Ok(());
    }
    let names = ["b", "a"];
    let mut twin = World::named(spec, &names);
    twin.policy.strategies = Some(each(&names, of));
    let other = twin.plan();
    let lost = |w: &World, p: &SecretPlan| -> Result<BTreeSet<VersionId>, String> {
        let mut w = w.clone();
        w.finish(p)?;
        let labels = w.state().into_iter().flat_map(|s| &s.labels);
        let lost = labels.filter(|(label, _)| label.as_str().starts_with("sr/lost/"));
        Ok(lost.map(|(_, id)| id.clone()).collect())
    };
    let (one, two) = (lost(world, plan)?, lost(&twin, &other)?);
    ensure(one == two, || format!("kept {one:?}, but {two:?}"))?;
    same_result(world.clone(), twin, plan).map_err(|e| format!("{e}\n  {}", short(&other)))
}

/// An action says where it comes from; a remote that is only pushed to is read only for
/// what loses there.
#[test]
fn push_only_never_takes_theirs() {
    use super::worlds::{Far, Half, Intents};
    let spec = Spec {
        here: Some(Half::current(2)),
        parents: [0; 4],
        far: vec![Far {
            base: Some((Half::current(1), Half::current(1))),
            intents: Intents::Exact,
            there: Half::current(3),
            direction: 2,
            ..Far::default()
        }],
    };
    let plan_with = |strategy| {
        let mut world = World::new(&spec);
        world.policy.strategies = Some(all(strategy));
        let remote: RemoteName = NAMES[0].parse().unwrap();
        assert_eq!(world.policy.remotes[&remote].direction, Direction::Push);
        (world.clone(), world.plan())
    };
    for strategy in [Strategy::Theirs, Strategy::Newest] {
        let (_, plan) = plan_with(strategy);
        assert_eq!(plan.conflicts.len(), 1, "{}", short(&plan));
    }
    let (mut world, plan) = plan_with(Strategy::Ours);
    let copies = |a: &&Action| matches!(a.change, Change::AddVersion { ref labels, .. } if labels.is_empty());
    assert_eq!(plan.actions.iter().filter(copies).count(), 1);
    world.finish(&plan).unwrap();
    let state = world.state().unwrap();
    let three = super::super::tests::id(3);
    assert!(
        state
            .labels_of(&three)
            .any(|l| l.as_str().starts_with("sr/lost/"))
    );
}
