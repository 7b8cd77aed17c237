//! Larger worlds at random: up to three remotes, any origin of moves, rotation,
//! replicas and directions mixed.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::check;
use super::enumeration::reachable;
use super::worlds::{Far, Half, Intents, Life, Spec};

fn half(life: impl Strategy<Value = Life>) -> impl Strategy<Value = Half> {
    let pend = prop_oneof![4 => Just(0u8), 1 => 1u8..5, 1 => Just(9u8)];
    let n = || prop_oneof![1 => Just(0u8), 4 => 1u8..5];
    (life, n(), n(), pend, n(), 0u8..3, 0u8..3)
        .prop_map(|(life, cur, prev, pend, x, desc, tag)| Half {
            life,
            cur,
            prev,
            pend,
            x,
            desc,
            tag,
        })
        .prop_map(|mut h| {
            if !h.can_be() {
                h.prev = 0;
                if h.cur == 0 {
                    h.x = 0;
                    h.pend = if h.pend == 9 { 9 } else { 0 };
                }
            }
            h
        })
}

fn life() -> impl Strategy<Value = Life> {
    prop_oneof![6 => Just(Life::Live), 1 => Just(Life::Scheduled), 1 => Just(Life::Gone)]
}

fn intents() -> impl Strategy<Value = Intents> {
    let from = || prop::option::of(0u8..5);
    prop_oneof![
        1 => Just(Intents::None),
        4 => Just(Intents::Exact),
        1 => (from(), from()).prop_map(|(cur, x)| Intents::Any(cur, x)),
    ]
}

fn far() -> impl Strategy<Value = Far> {
    let base = prop_oneof![
        1 => Just(None),
        4 => half(life()).prop_map(|h| Some((h, h))),
    ];
    (
        (base, intents(), half(life())),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop_oneof![4 => Just(0u8), 1 => Just(1u8), 1 => Just(2u8)],
    )
        .prop_map(
            |((base, intents, there), recreated, rotated, replica, direction)| Far {
                base,
                intents,
                there,
                recreated,
                rotated,
                replica,
                direction,
            },
        )
}

pub(super) fn spec() -> impl Strategy<Value = Spec> {
    (
        prop::option::weighted(0.9, half(life())),
        [0u8..1, 0u8..2, 0u8..3, 0u8..4],
        prop::collection::vec(far(), 1..4),
    )
        .prop_map(|(here, parents, far)| Spec { here, parents, far })
        .prop_map(|mut spec| {
            loop {
                let mended = reachable(spec.clone());
                let vanished = |far: &Far| {
                    let was = far
                        .base
                        .is_some_and(|(b, _)| b.life != Life::Gone && b.cur != 0);
                    was && spec.here.is_some_and(|here| here.cur == 0)
                };
                if spec.far.iter().any(vanished) && spec.far.len() > 1 {
                    spec.far.pop();
                    continue;
                }
                if mended == spec {
                    return spec;
                }
                // What was agreed with one remote cannot be true of all of them.
                if reachable(mended.clone()) != mended {
                    spec.far.pop();
                } else {
                    spec = mended;
                }
            }
        })
}

/// The same worlds at each run: what is red is red for everybody. A longer run, with
/// other worlds each time, by STRONGROOM_TEST_CASES.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test's length is the environment's to say"
)]
fn laws_hold_in_random_worlds() {
    let wanted = std::env::var("STRONGROOM_TEST_CASES").ok();
    let longer = wanted.map(|n| n.parse().unwrap());
    let config = Config {
        cases: longer.unwrap_or(4000),
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
    let law = |spec: Spec| check(&spec).map_err(TestCaseError::fail);
    if let Err(broken) = runner.run(&spec(), law) {
        panic!("{broken}");
    }
}

/// Worlds that once broke a law.
#[test]
fn laws_hold_where_they_once_broke() {
    let prev = |cur, prev| Half {
        prev,
        ..Half::current(cur)
    };
    let agreed = |n, there| Far {
        base: Some((Half::current(n), Half::current(n))),
        intents: Intents::Exact,
        there,
        ..Far::default()
    };
    let met = |there| Far {
        there,
        ..Far::default()
    };
    let world = |here, far| Spec {
        here: Some(here),
        parents: [0; 4],
        far,
    };
    let three = Half::current(3);
    for spec in [
        // Moved back alike here and on one remote, when another one is met.
        world(three, vec![met(prev(4, 3)), agreed(4, three)]),
        // What a remote had before is what another one has now.
        world(
            prev(1, 4),
            vec![
                agreed(1, Half::current(1)),
                agreed(1, three),
                met(prev(4, 3)),
            ],
        ),
    ] {
        check(&spec).unwrap();
    }
}
