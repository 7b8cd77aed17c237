//! Each named bug of sync.md section 3.2 point 7 is turned on, and the checks of the
//! state machine catch it.

use super::asked_for;
use super::machine::play::check_of;
use super::machine::{Act, Step, Take, Trouble, draw, play};
use crate::model::seeded::{Bug, MARK, turn_on};
use crate::store::FaultKind;
use Act::Put;
use Step::{Again, Local, Merge, Purge, Remote, Sync, Twins};

/// Turns the bug off again, whatever becomes of the test.
struct Seeded;

impl Seeded {
    fn new(bug: Bug) -> Self {
        turn_on(Some(bug));
        Self
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        turn_on(None);
    }
}

fn sync(c: usize) -> Step {
    Sync(c, Trouble::None)
}

/// A secret on a remote, and both clones in step with it.
fn after(steps: &[Step]) -> Vec<Step> {
    let begin = [Remote(0, 0, Put), sync(0), sync(0), Merge(1, Take::Theirs)];
    [&begin[..], steps].concat()
}

/// Short histories in which a bug would show.
fn stories(bug: Bug) -> Vec<Vec<Step>> {
    let each_call = |steps: &dyn Fn(u8) -> Vec<Step>| (0..12).map(|k| after(&steps(k))).collect();
    match bug {
        Bug::DropCas => {
            each_call(&|k| vec![Local(0, 0, Put), Sync(0, Trouble::Meddle(k, 0, 0, Put))])
        }
        Bug::PushOnBase => vec![after(&[
            Local(0, 0, Put),
            Remote(0, 0, Put),
            sync(1),
            Merge(0, Take::Mixed),
            sync(0),
        ])],
        Bug::AdvanceOnSkip => each_call(&|k| {
            let fault = Trouble::Fault(0, k, FaultKind::Denied);
            vec![Local(0, 0, Put), Sync(0, fault), sync(0)]
        }),
        Bug::AbsentIsDeleted => {
            vec![after(&[Sync(
                0,
                Trouble::Fault(0, 0, FaultKind::TruncatedPage),
            )])]
        }
        Bug::SingleBase | Bug::Replay => {
            vec![after(&[Local(0, 0, Put), Local(0, 0, Put), Again(0)])]
        }
        Bug::WallClock => vec![after(&[Remote(0, 0, Put), Twins(0)])],
        Bug::ForgetTombstone => vec![after(&[Purge(0, 0), Purge(1, 0), sync(0)])],
    }
}

/// The checks that may be the first to see it.
fn seen_by(bug: Bug) -> &'static [&'static str] {
    match bug {
        Bug::DropCas => &["I9"],
        Bug::PushOnBase => &["I15"],
        Bug::AdvanceOnSkip => &["I15 here"],
        Bug::AbsentIsDeleted => &["absent"],
        Bug::SingleBase => &["I2"],
        Bug::WallClock => &["I14"],
        Bug::Replay => &["P2"],
        Bug::ForgetTombstone => &["I3"],
    }
}

fn catches(bug: Bug) {
    let stories = stories(bug);
    for story in &stories {
        let played = play(story);
        assert!(played.is_ok(), "without the bug: {played:?}\n{story:?}");
    }
    let seeded = Seeded::new(bug);
    let caught: Vec<String> = stories.iter().filter_map(|s| play(s).err()).collect();
    let by: Vec<&str> = caught.iter().map(|why| check_of(why)).collect();
    let right = by.iter().any(|check| seen_by(bug).contains(check));
    assert!(right, "{bug:?} was caught by {by:?}: {caught:#?}");
    // And by chance, as one would find it that nobody had thought of.
    let count = asked_for().unwrap_or(2);
    let by_chance: Vec<String> = (1..=count)
        .filter_map(|seed| play(&draw(seed)).err())
        .map(|why| check_of(&why).to_owned())
        .collect();
    drop(seeded);
    println!(
        "{bug:?}: {} of {} short histories ({}), {} of {count} random ones ({by_chance:?})",
        caught.len(),
        stories.len(),
        by.join(", "),
        by_chance.len()
    );
}

#[test]
fn a_label_move_without_compare_and_swap_is_caught() {
    catches(Bug::DropCas);
}

#[test]
fn a_push_that_trusts_the_base_is_caught() {
    catches(Bug::PushOnBase);
}

#[test]
fn a_base_that_advances_for_what_was_skipped_is_caught() {
    catches(Bug::AdvanceOnSkip);
}

#[test]
fn taking_what_is_absent_from_a_listing_for_deleted_is_caught() {
    catches(Bug::AbsentIsDeleted);
}

#[test]
fn a_base_of_one_value_is_caught() {
    catches(Bug::SingleBase);
}

#[test]
fn the_time_of_a_run_in_the_metadata_is_caught() {
    catches(Bug::WallClock);
}

#[test]
fn replaying_history_through_awscurrent_is_caught() {
    catches(Bug::Replay);
}

#[test]
fn a_tombstone_that_is_forgotten_is_caught() {
    catches(Bug::ForgetTombstone);
}

/// The other half is with the integration tests: the program has not got it.
#[test]
fn this_build_can_have_bugs_and_says_so() {
    let itself = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(itself.windows(MARK.len()).any(|w| w == MARK.as_bytes()));
    assert_eq!(Bug::ALL.len(), 8);
}
