//! Every world of small scope: versions 1 to 3, labels AWSCURRENT, X and AWSPENDING,
//! both halves of the base, moves on record or not. What breaks a law breaks it in a
//! small world, and here there is no luck involved (sync.md section 3.2).

use std::time::Instant;

use super::check;
use super::worlds::{Far, Half, Intents, Life, Spec};

/// Mends what cannot be: AWSCURRENT never vanishes, nothing is agreed with a vault
/// that does not know the name, and what is purged does not come back under its ARN.
pub(super) fn reachable(mut spec: Spec) -> Spec {
    let fix = |h: &mut Half, was: u8| {
        if was != 0 && h.cur == 0 {
            h.cur = was;
        }
        if h.prev == h.cur {
            h.prev = 0;
        }
    };
    for far in &mut spec.far {
        if spec.here.is_none() {
            far.base = None;
        }
        let Some((was_here, was_there)) = far.base else {
            far.recreated = false;
            far.intents = Intents::None;
            continue;
        };
        if was_there.life == Life::Gone && far.there.life != Life::Gone {
            far.recreated = true;
        }
        if far.there.life == Life::Gone {
            far.recreated = false;
        } else if was_there.life != Life::Gone && !far.recreated {
            fix(&mut far.there, was_there.cur);
        }
        if let Some(here) = &mut spec.here {
            if was_here.life != Life::Gone {
                fix(here, was_here.cur);
            }
            // What is deleted or scheduled takes no edit, and what is agreed to be gone
            // is not scheduled here.
            if was_here.life == Life::Gone && here.life == Life::Scheduled {
                here.life = Life::Gone;
            }
            if here.life == was_here.life && here.life != Life::Live {
                *here = was_here;
            }
            if here.cur == 0 && matches!(far.intents, Intents::Any(Some(_), _)) {
                far.intents = Intents::Exact;
            }
        }
        if !far.recreated && far.there.life == Life::Scheduled && was_there.life == far.there.life {
            far.there = was_there;
        }
    }
    spec
}

/// Runs the laws over worlds, remembers the first that breaks each, and counts.
#[derive(Default)]
struct Walk {
    cases: usize,
    seen: usize,
    broken: Vec<String>,
}

impl Walk {
    /// An unoptimised build looks at every 101st world only: a prime, so that it does
    /// not keep step with any of the loops.
    const STRIDE: usize = if cfg!(debug_assertions) { 101 } else { 1 };

    #[expect(
        clippy::needless_pass_by_value,
        reason = "a world is made to be visited once"
    )]
    fn visit(&mut self, spec: Spec) {
        self.seen += 1;
        let halves = |far: &Far| far.base.is_none_or(|(a, b)| a.can_be() && b.can_be());
        let can_be = spec.here.is_none_or(Half::can_be)
            && spec.far.iter().all(|f| f.there.can_be() && halves(f));
        if !can_be || !self.seen.is_multiple_of(Self::STRIDE) || reachable(spec.clone()) != spec {
            return;
        }
        self.cases += 1;
        if let Err(broken) = check(&spec) {
            self.broken.push(broken);
        }
    }

    fn end(self, what: &str, start: Instant) {
        println!("{what}: {} worlds in {:?}", self.cases, start.elapsed());
        let mut by_law = std::collections::BTreeMap::<&str, (usize, &str)>::new();
        for broken in &self.broken {
            let law = broken.split(':').next().unwrap();
            by_law.entry(law).or_insert((0, broken)).0 += 1;
        }
        let report: Vec<String> = by_law
            .values()
            .map(|(n, first)| format!("{n} worlds break it, the first:\n{first}"))
            .collect();
        assert!(report.is_empty(), "{}", report.join("\n\n"));
        assert!(self.cases > 0);
    }
}

const CHAINS: [[u8; 4]; 5] = [
    [0, 0, 0, 0],
    [0, 1, 0, 0],
    [0, 1, 2, 0],
    [0, 1, 1, 0],
    [3, 0, 0, 0],
];

const NONE_OR_EXACT: [Intents; 2] = [Intents::None, Intents::Exact];

fn one(here: Half, parents: [u8; 4], far: Far) -> Spec {
    Spec {
        here: Some(here),
        parents,
        far: vec![far],
    }
}

/// AWSCURRENT alone, with ancestry, the remote's AWSPREVIOUS and every origin.
#[test]
fn every_small_world_of_awscurrent() {
    let (start, mut walk) = (Instant::now(), Walk::default());
    for n in 0..4u32.pow(4) {
        let d = |k: u32| u8::try_from(n / 4u32.pow(k) % 4).unwrap();
        let (was, was_there, here, there) = (d(0), d(1), d(2), d(3));
        let any = (0..4).map(|from| Intents::Any(Some(from), None));
        for intents in NONE_OR_EXACT.into_iter().chain(any) {
            for parents in CHAINS {
                for prev in 0..4 {
                    walk.visit(one(
                        Half::current(here),
                        parents,
                        Far {
                            base: Some((Half::current(was), Half::current(was_there))),
                            intents,
                            there: Half {
                                prev,
                                ..Half::current(there)
                            },
                            ..Far::default()
                        },
                    ));
                }
            }
        }
    }
    walk.end("AWSCURRENT", start);
}

/// AWSCURRENT beside X: the same three versions under both.
#[test]
fn every_small_world_of_two_labels() {
    let (start, mut walk) = (Instant::now(), Walk::default());
    let halves: Vec<Half> = (0..12)
        .map(|n| Half {
            x: n / 3,
            ..Half::current(n % 3 + 1)
        })
        .collect();
    for was in &halves {
        // Versions are alike but for their numbers: start from one of them.
        if was.cur != 1 || was.x > 2 {
            continue;
        }
        for was_there in &halves {
            for here in &halves {
                for there in &halves {
                    for intents in NONE_OR_EXACT {
                        for parents in [CHAINS[0], CHAINS[2]] {
                            // What AWS would say after the move it made, and nothing.
                            let before = (there.cur != was_there.cur).then_some(was_there.cur);
                            for prev in [None, before].into_iter().take(1 + before.iter().len()) {
                                walk.visit(one(
                                    *here,
                                    parents,
                                    Far {
                                        base: Some((*was, *was_there)),
                                        intents,
                                        there: Half {
                                            prev: prev.unwrap_or(0),
                                            ..*there
                                        },
                                        ..Far::default()
                                    },
                                ));
                            }
                        }
                    }
                }
            }
        }
    }
    walk.end("AWSCURRENT and X", start);
}

/// AWSPENDING on any version or a placeholder, rotated or not.
#[test]
fn every_small_world_of_awspending() {
    let (start, mut walk) = (Instant::now(), Walk::default());
    let pend = [0, 1, 2, 9];
    for n in 0..4usize.pow(4) {
        let d = |k: u32| pend[n / 4usize.pow(k) % 4];
        for m in 0..8u8 {
            let cur = |bit: u8| 1 + (m >> bit & 1);
            let half = |cur, pend| Half {
                pend,
                ..Half::current(cur)
            };
            for rotated in [false, true] {
                for direction in 0..3 {
                    for intents in NONE_OR_EXACT {
                        walk.visit(one(
                            half(cur(0), d(0)),
                            CHAINS[1],
                            Far {
                                base: Some((half(cur(1), d(1)), half(cur(1), d(2)))),
                                intents,
                                there: half(cur(2), d(3)),
                                rotated,
                                direction,
                                ..Far::default()
                            },
                        ));
                    }
                }
            }
        }
    }
    walk.end("AWSPENDING", start);
}

/// Existence: every lifecycle on both sides and in the base, edited or not.
#[test]
fn every_small_world_of_existence() {
    let (start, mut walk) = (Instant::now(), Walk::default());
    let lives = [Life::Live, Life::Scheduled, Life::Gone];
    let agreed = |life| {
        let half = Half {
            life,
            ..Half::current(1)
        };
        Some((half, half))
    };
    let gone_scheduled = agreed(Life::Gone).map(|(l, r)| {
        let life = Life::Scheduled;
        (l, Half { life, ..r })
    });
    let bases = [
        None,
        agreed(Life::Live),
        agreed(Life::Scheduled),
        agreed(Life::Gone),
        gone_scheduled,
    ];
    let mut halves = Vec::new();
    for life in lives {
        for (cur, prev, x, desc) in [
            (0, 0, 0, 0),
            (0, 0, 0, 1),
            (1, 0, 0, 0),
            (1, 0, 0, 1),
            (2, 1, 0, 0),
            (1, 2, 0, 0),
            (1, 0, 1, 0),
            (2, 0, 1, 1),
            (3, 0, 2, 0),
        ] {
            halves.push(Half {
                life,
                prev,
                x,
                desc,
                ..Half::current(cur)
            });
        }
    }
    for base in bases {
        for here in halves.iter().copied().map(Some).chain([None]) {
            for there in &halves {
                for n in 0..20u8 {
                    // Why something may not be written or read, one at a time.
                    let kind = n / 4;
                    let far = Far {
                        base,
                        intents: NONE_OR_EXACT[usize::from(n % 2)],
                        there: *there,
                        recreated: n / 2 % 2 == 1,
                        rotated: kind == 1,
                        replica: kind == 2,
                        direction: kind.saturating_sub(2),
                    };
                    walk.visit(Spec {
                        here,
                        parents: CHAINS[2],
                        far: vec![far],
                    });
                }
            }
        }
    }
    walk.end("existence", start);
}

/// Texts: both halves of the base, each side, each direction.
#[test]
fn every_small_world_of_texts() {
    let (start, mut walk) = (Instant::now(), Walk::default());
    for n in 0..3u32.pow(8) {
        let d = |k: u32| u8::try_from(n / 3u32.pow(k) % 3).unwrap();
        let half = |k| Half {
            desc: d(k),
            tag: d(k + 4),
            ..Half::current(1)
        };
        walk.visit(one(
            half(0),
            CHAINS[0],
            Far {
                base: Some((half(1), half(2))),
                intents: Intents::Exact,
                there: half(3),
                direction: d(0),
                ..Far::default()
            },
        ));
    }
    walk.end("texts", start);
}

/// Two remotes: AWSCURRENT, existence and origins of both.
#[test]
fn every_small_world_of_two_remotes() {
    let (start, mut walk) = (Instant::now(), Walk::default());
    let mut fars = Vec::new();
    for (was, there) in (1..4).flat_map(|a| (0..5).map(move |b| (Some(a), b))) {
        for intents in NONE_OR_EXACT {
            fars.push((was, there, intents));
        }
    }
    fars.extend((0..5).map(|there| (None, there, Intents::None)));
    let far = |(was, there, intents): (Option<u8>, u8, Intents), prev: bool| {
        let base = was.map(|n| (Half::current(n), Half::current(n)));
        let mut now = match there {
            0 => Half {
                life: Life::Gone,
                ..Half::default()
            },
            4 => Half {
                life: Life::Scheduled,
                ..Half::current(was.unwrap_or(1))
            },
            n => Half::current(n),
        };
        if prev && was != Some(there) && now.life == Life::Live {
            now.prev = was.unwrap_or(0);
        }
        Far {
            base,
            intents,
            there: now,
            ..Far::default()
        }
    };
    for here in [
        Some(Half::current(1)),
        Some(Half::current(2)),
        Some(Half::current(3)),
        Some(Half {
            life: Life::Scheduled,
            ..Half::current(1)
        }),
        Some(Half {
            life: Life::Gone,
            ..Half::current(1)
        }),
        None,
    ] {
        for a in &fars {
            for b in &fars {
                for parents in [CHAINS[0], CHAINS[2]] {
                    for prev in [false, true] {
                        walk.visit(Spec {
                            here,
                            parents,
                            far: vec![far(*a, prev), far(*b, prev)],
                        });
                    }
                }
            }
        }
    }
    walk.end("two remotes", start);
}
