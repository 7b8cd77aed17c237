//! Plays a history, and makes one that fails shorter.

use super::*;

/// Why a history failed: `NAME: what was found`, or a panic of something else.
pub(crate) fn play(steps: &[Step]) -> Result<Tally, String> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut machine = Machine::new();
        for step in steps {
            machine.happen(*step);
        }
        machine.settle();
        assert!(machine.root().exists());
        machine.tally
    }));
    played.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
        text.unwrap_or_else(|| "a panic without a text".to_owned())
    })
}

/// The name of the check in a failure.
pub(crate) fn check_of(failure: &str) -> &str {
    failure.split(':').next().unwrap_or_default()
}

/// Drops steps for as long as the same check fails.
pub(crate) fn shrink(steps: &[Step], failure: &str, mut budget: usize) -> (Vec<Step>, String) {
    let (mut best, mut why) = (steps.to_vec(), failure.to_owned());
    let mut size = best.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < best.len() && budget > 0 {
            let mut fewer = best.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            budget -= 1;
            match play(&fewer) {
                Err(found) if check_of(&found) == check_of(failure) => {
                    best = fewer;
                    why = found;
                }
                _ => at += size,
            }
        }
        size /= 2;
    }
    (best, why)
}
