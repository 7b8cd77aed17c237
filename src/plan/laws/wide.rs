//! Wider worlds than `random` draws, with seeds of their own: mirrors among several
//! remotes, what each remote has of its own, and alarms that stand.

use std::borrow::Cow;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::super::tests::remote;
use super::super::{NoteKind, SecretPlan, Side};
use super::worlds::{NAMES, Spec, World, travelling};
use super::{Holds, ensure, excused, foretold, random, safety, short, sorted, steps};
use crate::model::{
    Change, Class, Conflict, Direction, Extras, Field, Halves, Lifecycle, OwnField, Pair,
    RemoteName, SecretState, StagingLabel, missing_replicas, replicas_of, replicas_text,
};

/// The fields that may be set here.
const FIELDS: [OwnField; 3] = [OwnField::KmsKey, OwnField::Policy, OwnField::Replicas];

/// One field of one remote: by numbers, 0 for none.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// What is on record: what was set here and is not there yet, what was there.
    entry: Option<(Option<u8>, u8)>,
    /// What is there; none if it is not known, as it may be but for a key.
    now: Option<u8>,
}

/// A world of `worlds`, and the rest of it.
#[derive(Clone, Debug)]
struct Wide {
    spec: Spec,
    /// Per remote, per field.
    own: Vec<[Own; 3]>,
    /// Per field, what was set before any remote was met.
    set: [u8; 3],
    /// Per remote, which of them are pushed: bits.
    pushed: Vec<u8>,
    alarm: bool,
}

/// A field's text, told apart by whose it is.
fn text(field: OwnField, whose: &str, n: u8) -> String {
    match (field, n) {
        (_, 0) => String::new(),
        (OwnField::Replicas, n) => {
            let both = ["eu-1", "us-1"].iter().enumerate();
            let some: Vec<&str> = both
                .filter(|(k, _)| n & (1 << k) != 0)
                .map(|b| *b.1)
                .collect();
            some.join(" ")
        }
        (field, n) => format!("{}-{whose}-{n}", field.as_str()),
    }
}

fn extras(bits: u8) -> Extras {
    Extras {
        details: true,
        push_kms: bits & 1 != 0,
        push_policy: bits & 2 != 0,
        push_replicas: bits & 4 != 0,
    }
}

impl Wide {
    fn world(&self) -> World {
        let mut world = World::new(&self.spec);
        for ((word, own), bits) in NAMES.iter().zip(&self.own).zip(&self.pushed) {
            let remote = remote(word);
            if let Some(policy) = world.policy.remotes.get_mut(&remote) {
                policy.extras = extras(*bits);
            }
            for (field, own) in FIELDS.into_iter().zip(own) {
                if let Some(Some(secret)) = world.far.get_mut(&remote) {
                    let now = own.now.map(|n| text(field, word, n));
                    match field {
                        OwnField::Policy => secret.facts.policy = now,
                        OwnField::Replicas => {
                            secret.facts.replicas = now.map(|t| replicas_of(&t));
                        }
                        // A listing always tells.
                        _ => secret.facts.kms_key = now.filter(|t| !t.is_empty()),
                    }
                }
                let base = world.record.as_mut().and_then(|r| r.base.get_mut(&remote));
                // Of what is gone nothing is on record.
                let is_there = |p: &Pair| {
                    let gone = Lifecycle::Tombstone;
                    p.local.lifecycle != gone && p.remote.lifecycle != gone
                };
                if let (Some(base), Some((here, there))) = (base, own.entry)
                    && base.pair.as_ref().is_some_and(is_there)
                {
                    let halves = Halves {
                        here: here.map(|n| text(field, word, n)),
                        there: text(field, word, there),
                    };
                    base.own.insert(field, halves);
                }
            }
        }
        if let Some(record) = &mut world.record {
            let set = |n: usize| Some(text(FIELDS[n], "v", self.set[n])).filter(|t| !t.is_empty());
            record.details.kms_key = set(0);
            record.details.policy = set(1);
            record.details.replicas = replicas_of(&set(2).unwrap_or_default());
            if self.alarm && !record.is_blank() {
                record.conflicts.push(Conflict {
                    remote: remote("a"),
                    field: Field::Label(StagingLabel::current()),
                    class: Class::Integrity,
                    base: None,
                    ours: None,
                    theirs: None,
                });
            }
        }
        world
    }
}

/// What was set here for a remote and is to be there.
fn wanted(world: &World, remote: &RemoteName, field: OwnField) -> Option<String> {
    let record = world.record.as_ref()?;
    let base = record.base.get(remote);
    // What is made anew gets what was set before any remote was met.
    let pair = base.and_then(|b| b.pair.as_ref());
    let secret = world.far.get(remote)?.as_ref();
    let anew = match (pair, secret) {
        (Some(pair), Some(secret)) => {
            pair.arn != secret.facts.arn && way(world, remote) != Direction::MirrorOut
        }
        (_, None) => true,
        (None, _) => false,
    };
    let entry = base.filter(|_| !anew).and_then(|b| b.own.get(&field));
    match entry {
        Some(halves) => halves.here.clone(),
        None => record.details.own(field).map(Cow::into_owned),
    }
}

fn there(world: &World, remote: &RemoteName, field: OwnField) -> Option<String> {
    match world.far.get(remote)? {
        Some(secret) => secret.facts.own(field).map(Cow::into_owned),
        None => Some(String::new()),
    }
}

fn way(world: &World, remote: &RemoteName) -> Direction {
    world.policy.remotes[remote].direction
}

/// What a remote has of its own is written only where it may be, only from what is
/// there, and only to what somebody here set for it (sync.md section 1.7).
fn own_goes_where_it_was_set(world: &World, plan: &SecretPlan) -> Holds {
    let mut after = world.clone();
    for action in &plan.actions {
        if let (Side::Remote(remote), Change::SetOwn { field, from, to }) =
            (&action.on, &action.change)
        {
            let fail = |why: &str| Err(format!("`{action}` of {remote}: {why}"));
            let policy = &world.policy.remotes[remote];
            if policy.extras.refuses(*field).is_some() {
                return fail("switched off");
            }
            if there(&after, remote, *field).as_ref() != Some(from) {
                return fail("not from what is there");
            }
            let Some(wanted) = wanted(world, remote, *field) else {
                return fail("nobody set it");
            };
            let meant = match field {
                OwnField::Replicas => replicas_text(&missing_replicas(&wanted, from)),
                _ => wanted,
            };
            if meant != *to {
                return fail("something else was set");
            }
            let entry = world.record.as_ref().and_then(|r| r.base.get(remote));
            let pair = entry.is_some_and(|b| b.pair.is_some());
            let was = entry
                .and_then(|b| b.own.get(field))
                .map(|h| h.there.clone());
            let agreed = was.unwrap_or_default() == *from || !pair;
            if *field != OwnField::Replicas && !agreed && way(world, remote) != Direction::MirrorOut
            {
                return fail("over what changed there");
            }
        }
        after.step(action)?;
    }
    for conflict in &plan.conflicts {
        let own = matches!(conflict.field, Field::Own(_));
        ensure(!own || !way(world, &conflict.remote).is_mirror(), || {
            format!("a mirror waits: {conflict:?}")
        })?;
    }
    Ok(())
}

/// While an alarm stands nothing is done anywhere (sync.md section 1.9).
fn alarm_stops_all(world: &World, plan: &SecretPlan) -> Holds {
    let standing = world.record.iter().flat_map(|r| &r.conflicts).count();
    let idle = plan.actions.is_empty() && plan.settled.is_empty() && plan.answers.is_empty();
    ensure(
        standing == 0 || (idle && plan.conflicts.len() == standing),
        || "an alarm stands".into(),
    )
}

/// A remote that is not written to by its direction is not.
fn directions(world: &World, plan: &SecretPlan) -> Holds {
    for action in &plan.actions {
        if let Side::Remote(remote) = &action.on {
            let reads_only = matches!(way(world, remote), Direction::Pull | Direction::MirrorIn);
            ensure(!reads_only, || format!("`{action}` on {remote}"))?;
        }
    }
    Ok(())
}

fn check(wide: &Wide) -> Holds {
    let spec = &wide.spec;
    let mut world = wide.world();
    world.collect();
    let mut notes = Vec::new();
    for round in 0..10 {
        let plan = world.plan();
        let laws = || -> Holds {
            steps_and_safety(spec, &world, &plan)?;
            own_goes_where_it_was_set(&world, &plan)?;
            alarm_stops_all(&world, &plan)?;
            directions(&world, &plan)
        };
        laws().map_err(|e| format!("round {round}: {e}: {}", short(&plan)))?;
        notes.clone_from(&plan.notes);
        let copies = plan
            .actions
            .iter()
            .all(|a| a.on == Side::Local && matches!(&a.change, Change::AddVersion { .. }));
        if plan.settled.is_empty() && (plan.actions.is_empty() || (round > 2 && copies)) {
            let plan = SecretPlan { notes, ..plan };
            return at_rest(&world, &plan).map_err(|e| format!("{e}: {}", short(&plan)));
        }
        world
            .finish(&plan)
            .map_err(|e| format!("round {round}: {e}: {}", short(&plan)))?;
        world.collect();
    }
    Err(format!("never quiet: {}", short(&world.plan())))
}

fn steps_and_safety(spec: &Spec, world: &World, plan: &SecretPlan) -> Holds {
    // With mirrors in two directions what the one brings is what the other takes away,
    // and giving up is right; it is said.
    let gave_up =
        |kind: &NoteKind| matches!(kind, NoteKind::Blocked(r) if r.starts_with("no safe plan"));
    if !plan.notes.iter().any(|n| gave_up(&n.kind)) {
        steps(spec, world, plan)?;
    }
    safety::nothing_lost(spec, world, plan)?;
    safety::parked(spec, world, plan)?;
    foretold(spec, world, plan)?;
    sorted(spec, world, plan)
}

/// Nothing is left to do: a mirror shows what the vault has, with what was set here for
/// it.
fn at_rest(world: &World, plan: &SecretPlan) -> Holds {
    if !plan.conflicts.is_empty() {
        return Ok(());
    }
    let live = |s: Option<&SecretState>| s.is_some_and(|s| s.lifecycle.is_live());
    for (remote, policy) in &world.policy.remotes {
        let (here, far) = (world.state(), world.there(remote));
        if policy.direction != Direction::MirrorOut || excused_but_own(plan, remote) {
            continue;
        }
        ensure(live(here) == live(far), || {
            format!("{remote}: one side lives")
        })?;
        if !live(here) || here.is_some_and(|s| s.current().is_none()) {
            continue;
        }
        let attributes = |s: Option<&SecretState>| s.map(|s| s.attributes.clone());
        ensure(travelling(here) == travelling(far), || {
            format!("{remote}: labels differ")
        })?;
        ensure(attributes(here) == attributes(far), || {
            format!("{remote}: texts differ")
        })?;
        for field in FIELDS {
            let (Some(wanted), Some(has)) =
                (wanted(world, remote, field), there(world, remote, field))
            else {
                continue;
            };
            let met = field.is_met(&wanted, &has) || policy.extras.refuses(field).is_some();
            ensure(met, || {
                format!("{remote}: {field:?} is {has}, not {wanted}")
            })?;
        }
    }
    Ok(())
}

/// Whether a remote may rightly differ in more than what it has of its own.
fn excused_but_own(plan: &SecretPlan, remote: &RemoteName) -> bool {
    let of_own = |reason: &str| FIELDS.iter().any(|f| reason.starts_with(f.title()));
    let notes = plan
        .notes
        .iter()
        .filter(|n| !matches!(&n.kind, NoteKind::NotPushed(reason) if of_own(reason)));
    let others = SecretPlan {
        notes: notes.cloned().collect(),
        ..SecretPlan::default()
    };
    excused(&others, remote)
}

fn own(field: OwnField) -> impl Strategy<Value = Own> {
    let most = if field == OwnField::Replicas { 4u8 } else { 3 };
    (
        prop::option::of((prop::option::of(0..most), 0..most)),
        prop::option::weighted(0.8, 0..most),
    )
        .prop_map(|(entry, now)| Own { entry, now })
}

fn wide() -> impl Strategy<Value = Wide> {
    let of_one = || {
        (
            (own(FIELDS[0]), own(FIELDS[1]), own(FIELDS[2])).prop_map(|(a, b, c)| [a, b, c]),
            0u8..8,
            prop_oneof![3 => Just(None), 2 => Just(Some(3u8)), 1 => Just(Some(4u8))],
        )
    };
    (
        random::spec(),
        [of_one(), of_one(), of_one()],
        [0u8..3, 0u8..3, 0u8..4],
        prop::bool::weighted(0.05),
    )
        .prop_map(|(mut spec, remotes, set, alarm)| {
            let (mut all, mut pushed) = (Vec::new(), Vec::new());
            let mut original = false;
            for (far, (own, bits, mirror)) in spec.far.iter_mut().zip(remotes) {
                // Only one remote of a run can be the original.
                far.direction = match mirror {
                    Some(4) if original => 3,
                    Some(way) => way,
                    None => far.direction,
                };
                original |= far.direction == 4;
                all.push(own);
                pushed.push(bits);
            }
            Wide {
                spec,
                own: all,
                set,
                pushed,
                alarm,
            }
        })
}

/// The same worlds at each run; longer and anew each time by STRONGROOM_TEST_CASES.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test's length is the environment's to say"
)]
fn laws_hold_among_mirrors_own_fields_and_alarms() {
    let wanted = std::env::var("STRONGROOM_TEST_CASES").ok();
    let longer: Option<u32> = wanted.map(|n| n.parse().unwrap());
    let config = Config {
        cases: longer.unwrap_or(2000),
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = match longer {
        Some(_) => TestRunner::new(config),
        None => {
            let dice = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
            TestRunner::new_with_rng(config, dice)
        }
    };
    let law =
        |wide: Wide| check(&wide).map_err(|e| TestCaseError::fail(format!("{e}\n  {wide:?}")));
    if let Err(broken) = runner.run(&wide(), law) {
        panic!("{broken}");
    }
}
