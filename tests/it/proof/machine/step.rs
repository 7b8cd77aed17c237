//! What can happen in a history, and how one is drawn.

use strongroom::store::FaultKind;

/// What somebody does to one secret, on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Put,
    PutBlue,
    Current(u8),
    Blue(u8),
    Unblue,
    Tag(u8),
    Delete,
    Restore,
}

/// What goes wrong during one sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// A call with this number, on one remote, meets a fault.
    Fault(usize, u8, FaultKind),
    /// The process dies at this call, before it or after its effect.
    Crash(u8, bool),
    /// Somebody in an account acts right before this call.
    Meddle(u8, usize, usize, Act),
    /// No deletion is allowed.
    Guarded,
}

/// How somebody decides what git cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// The file of this clone, whole.
    Ours,
    /// The file of the other clone, whole.
    Theirs,
    /// Neither: strongroom merges them.
    Mixed,
}

/// One step of a history: clones and remotes are 0 and 1, secrets 0 to 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Local(usize, usize, Act),
    Forget(usize, usize),
    Remote(usize, usize, Act),
    Purge(usize, usize),
    Recreate(usize, usize),
    Rotate(usize, usize),
    Sync(usize, Trouble),
    Twins(usize),
    /// Two syncs in a row.
    Again(usize),
    Merge(usize, Take),
    Revert(usize),
    Resolve(usize, usize, bool),
    Collect(usize),
    Lag(usize, bool),
    Tick(u16),
}

/// SplitMix64: the same numbers for the same seed on every machine.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }

    fn byte(&mut self, limit: usize) -> u8 {
        u8::try_from(self.below(limit)).unwrap()
    }
}

/// Draws a history.
pub(crate) fn draw(seed: u64) -> Vec<Step> {
    let mut d = Dice(seed);
    let rotations = d.below(5) == 0;
    let length = 8 + d.below(30);
    (0..length).map(|_| step(&mut d, rotations)).collect()
}

fn act(d: &mut Dice) -> Act {
    match d.below(15) {
        0..=4 => Act::Put,
        5 => Act::PutBlue,
        6 | 7 => Act::Current(d.byte(8)),
        8 => Act::Blue(d.byte(8)),
        9 => Act::Unblue,
        10 | 11 => Act::Tag(d.byte(3)),
        12 => Act::Delete,
        _ => Act::Restore,
    }
}

fn trouble(d: &mut Dice) -> Trouble {
    match d.below(12) {
        0..=4 => Trouble::None,
        5 | 6 => {
            let kind = FaultKind::ALL[d.below(FaultKind::ALL.len())];
            Trouble::Fault(d.below(2), d.byte(24), kind)
        }
        7 | 8 => Trouble::Crash(d.byte(24), d.below(2) == 0),
        9 | 10 => Trouble::Meddle(d.byte(24), d.below(2), d.below(3), act(d)),
        _ => Trouble::Guarded,
    }
}

fn step(d: &mut Dice, rotations: bool) -> Step {
    let (two, three) = (d.below(2), d.below(3));
    match d.below(48) {
        0..=10 => Step::Local(two, three, act(d)),
        11..=20 => Step::Remote(two, three, act(d)),
        21..=31 => Step::Sync(two, trouble(d)),
        32..=36 => {
            let take = [Take::Ours, Take::Theirs, Take::Mixed][d.below(3)];
            Step::Merge(two, take)
        }
        37 | 38 => Step::Resolve(two, three, d.below(2) == 0),
        39 => Step::Forget(two, three),
        40 => Step::Purge(two, three),
        41 => Step::Recreate(two, three),
        42 if rotations => Step::Rotate(two, three),
        42 | 43 => Step::Twins(two),
        44 => Step::Revert(two),
        45 => Step::Collect(two),
        46 => Step::Lag(two, d.below(2) == 0),
        _ => Step::Tick(u16::try_from(d.below(900)).unwrap()),
    }
}
