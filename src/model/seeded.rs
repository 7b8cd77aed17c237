//! Bugs that tests turn on, to see that the checks catch them (sync.md section 3.2 point
//! 7), and the moments at which a test lets the process die. Only the unit tests' build
//! has this module: `seeded!` and `step!` are nothing in every other.

use std::cell::Cell;

/// In every binary that has this module, and in no other.
pub(crate) const MARK: &str = "strongroom was built with bugs that tests can turn on";

/// The named bugs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A label is moved from wherever it is now.
    DropCas,
    /// What differs here is pushed where the remote is as it was agreed, whatever the
    /// move started from.
    PushOnBase,
    /// What was skipped counts as agreed.
    AdvanceOnSkip,
    /// What a listing lacks is gone.
    AbsentIsDeleted,
    /// One value stands for both halves of what was agreed.
    SingleBase,
    /// The time of the run goes into the metadata.
    WallClock,
    /// Versions that were current here go live on the remote one after the other.
    Replay,
    /// A secret that is gone is not remembered.
    ForgetTombstone,
}

impl Bug {
    /// Every one of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::DropCas,
        Self::PushOnBase,
        Self::AdvanceOnSkip,
        Self::AbsentIsDeleted,
        Self::SingleBase,
        Self::WallClock,
        Self::Replay,
        Self::ForgetTombstone,
    ];
}

thread_local! {
    static ON: Cell<Option<Bug>> = const { Cell::new(None) };
    static STEPS: Cell<usize> = const { Cell::new(0) };
    static DIES_AT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Whether this thread's test has turned a bug on.
pub(crate) fn is_on(bug: Bug) -> bool {
    ON.get() == Some(bug)
}

/// Turns one bug on for this thread, or all off.
pub(crate) fn turn_on(bug: Option<Bug>) {
    assert!(!MARK.is_empty());
    ON.set(bug);
}

/// Counts this thread's steps from 0 again, and says how many there were; the step with
/// this number is the last one that its process takes.
pub(crate) fn die_at(step: Option<usize>) -> usize {
    DIES_AT.set(step);
    STEPS.replace(0)
}

/// What the death of the process is, in a test.
#[derive(Debug)]
pub(crate) struct Died;

/// One step of writing the vault is about to be taken.
pub(crate) fn step() {
    let number = STEPS.get();
    STEPS.set(number + 1);
    if DIES_AT.get() == Some(number) {
        DIES_AT.set(None);
        std::panic::resume_unwind(Box::new(Died));
    }
}
