//! Random histories (sync.md section 3.2 point 4), and those that taught something.

use std::collections::BTreeMap;

use super::asked_for;
use super::machine::play::shrink;
use super::machine::{Act, Step, Take, Tally, Trouble, draw, play};

fn add(into: &mut BTreeMap<String, usize>, from: &BTreeMap<String, usize>) {
    for (key, n) in from {
        *into.entry(key.clone()).or_default() += n;
    }
}

#[test]
fn no_history_of_two_clones_and_two_accounts_loses_anything() {
    let first = match asked_for() {
        // A longer run draws anew, from a place that no other run is likely to take.
        Some(_) => u64::from(std::process::id()) << 24,
        None => 1,
    };
    let count = asked_for().unwrap_or(24);
    let mut all = Tally::default();
    for seed in first..first + count {
        let steps = draw(seed);
        match play(&steps) {
            Ok(tally) => {
                add(&mut all.steps, &tally.steps);
                add(&mut all.faults, &tally.faults);
                all.moves += tally.moves;
                all.twins += tally.twins;
                all.conflicts += tally.conflicts;
                all.git_conflicts += tally.git_conflicts;
            }
            Err(why) => {
                let (steps, why) = shrink(&steps, &why, 150);
                panic!("{why}\nseed {seed}, shrunk; replay it with\nreplay(&{steps:?})");
            }
        }
    }
    println!("{count} histories: {all:#?}");
    assert!(
        all.moves > 0 && all.git_conflicts > 0 && all.conflicts > 0,
        "{all:?}"
    );
}

/// Plays a history that a failure printed.
fn replay(steps: &[Step]) {
    if let Err(why) = play(steps) {
        panic!("{why}");
    }
}

/// The unit tests' build has bugs to turn on, and says so in its own executable
/// (`sync::proof_tests`); the program has not got them.
#[test]
fn the_program_has_no_bugs_to_turn_on() {
    let mark = b"strongroom was built with bugs that tests can turn on";
    let program = std::fs::read(env!("CARGO_BIN_EXE_strongroom")).unwrap();
    assert!(!program.windows(mark.len()).any(|w| w == mark));
}

/// After a chain of edits the two sides' AWSPREVIOUS differ, and that is no news.
#[test]
fn a_second_sync_has_nothing_to_do() {
    use Step::{Again, Local, Remote};
    replay(&[
        Remote(0, 0, Act::Put),
        // What comes from the one remote goes to the other with the next.
        Step::Sync(0, Trouble::None),
        Again(0),
        Local(0, 0, Act::Put),
        Local(0, 0, Act::Put),
        Again(0),
    ]);
}

/// What is new on one remote and goes on to another is nobody's live secret meanwhile;
/// nor can what was only copied be restored.
#[test]
fn a_secret_is_whole_or_not_there() {
    use Step::{Local, Recreate, Remote, Sync};
    replay(&[Sync(1, Trouble::Crash(7, true))]);
    replay(&[
        Recreate(1, 0),
        Remote(0, 0, Act::Put),
        Sync(1, Trouble::Meddle(0, 1, 1, Act::Put)),
        Local(1, 0, Act::Restore),
    ]);
}

/// What was rolled back before it was ever seen here has the younger version as AWSPREVIOUS.
#[test]
fn a_rolled_back_secret_is_met() {
    use Step::{Recreate, Remote, Sync};
    let rolled_back = [
        Recreate(0, 0),
        Remote(0, 0, Act::Put),
        Remote(0, 0, Act::Current(1)),
    ];
    replay(&rolled_back);
    for call in 2..10 {
        let cut_off = [Sync(0, Trouble::Crash(call, false))];
        replay(&[&rolled_back[..], &cut_off].concat());
    }
}

/// What goes from account to account gets its label here last, so a run that is cut off
/// before that leaves a version live that is not yet AWSCURRENT here (sync.md section 1.15).
#[test]
fn a_run_is_cut_off_between_two_accounts() {
    use Step::{Remote, Sync};
    for call in 2..8 {
        replay(&[
            Remote(0, 1, Act::Put),
            Sync(1, Trouble::None),
            Remote(1, 0, Act::Put),
            Remote(1, 1, Act::Put),
            Sync(1, Trouble::Crash(call, false)),
        ]);
    }
}

/// A conflict with a remote that an edit has left behind, and one between the clones that
/// stops the sync: the first can be answered no more, and is not to hold up the second.
#[test]
fn an_outdated_conflict_does_not_hold_up_a_merge() {
    use Step::{Local, Merge, Remote, Sync};
    for take in [Take::Ours, Take::Mixed] {
        replay(&[
            Local(0, 2, Act::Put),
            Remote(1, 2, Act::Put),
            Merge(1, Take::Mixed),
            Sync(1, Trouble::None),
            Local(1, 2, Act::Put),
            Local(0, 2, Act::Put),
            Merge(1, Take::Mixed),
            Merge(0, take),
        ]);
    }
}

/// The worked merges of sync.md section 1.12.
#[test]
fn the_worked_merges() {
    use Act::Put;
    use Step::{Local, Merge, Remote, Sync};
    let sync = |c| Sync(c, Trouble::None);
    // A secret on a remote, and both clones in step with it.
    let begin = [Remote(0, 0, Put), sync(0), Merge(1, Take::Theirs)];
    for take in [Take::Ours, Take::Theirs, Take::Mixed] {
        let stories: [&[Step]; 6] = [
            // M1: both pulled the same.
            &[
                Remote(0, 0, Put),
                sync(0),
                sync(1),
                Merge(0, take),
                Merge(1, take),
            ],
            // M2: the one pulled later.
            &[
                Remote(0, 0, Put),
                sync(0),
                Remote(0, 0, Put),
                sync(1),
                Merge(0, take),
            ],
            // M3: an edit made in ignorance of what the other has pulled.
            &[
                Remote(0, 0, Put),
                sync(0),
                Local(0, 0, Put),
                Remote(0, 0, Put),
                sync(1),
                Merge(0, take),
                sync(0),
            ],
            // M4: the one pushed, the other edited.
            &[
                Local(0, 0, Put),
                sync(0),
                Local(1, 0, Put),
                Merge(1, take),
                sync(1),
            ],
            // M5: the one deleted, the other edited a tag.
            &[
                Local(0, 0, Act::Delete),
                sync(0),
                Local(1, 0, Act::Tag(1)),
                Merge(1, take),
                sync(1),
            ],
            // M6: both pushed before they met.
            &[
                Local(0, 0, Put),
                Local(1, 0, Put),
                sync(0),
                sync(1),
                Merge(0, take),
                sync(0),
            ],
        ];
        for story in stories {
            replay(&[&begin[..], story].concat());
        }
    }
}

/// Both accounts make a secret that the vault has never had.
#[test]
fn two_accounts_create_the_same_name() {
    replay(&[Step::Recreate(0, 0), Step::Remote(1, 0, Act::Put)]);
}
