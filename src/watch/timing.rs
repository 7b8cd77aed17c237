//! When things are done. Pure: the time and the dice are arguments.

use std::time::Duration;

use super::Moment;

/// How long files must be left alone before they are looked at.
const QUIET: Duration = Duration::from_millis(300);
/// How long a look waits at most, however busy the files are.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest time between two questions to a remote where nothing goes on: with the
/// jitter a quarter of an hour. Every question asks for everything, so that is also how
/// old a full view gets.
const IDLE: Duration = Duration::from_secs(750);
/// The longest time between two tries to reach a remote.
const OFFLINE: Duration = Duration::from_secs(1800);
/// The least time between two values that one secret is given: AWS advises one every
/// ten minutes, since each makes a version.
pub const SPACING: Duration = Duration::from_secs(600);
/// How far the clock that counts suspended time must gain on the other.
const SUSPENDED: Duration = Duration::from_secs(2);

/// Waits until files are left alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Debounce {
    /// The first event that was not looked at, and the last.
    since: Option<(Duration, Duration)>,
}

impl Debounce {
    /// Notes an event.
    pub fn hit(&mut self, now: Duration) {
        let first = self.since.map_or(now, |(first, _)| first);
        self.since = Some((first, now));
    }

    /// When to look; `None` if nothing happened.
    pub fn due(&self) -> Option<Duration> {
        let (first, last) = self.since?;
        Some((last + QUIET).min(first + PATIENCE))
    }

    /// Begins anew: everything was looked at.
    pub fn clear(&mut self) {
        self.since = None;
    }
}

/// What came of asking a remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Something was done, here or there.
    Changes,
    /// Both sides are as they were.
    Nothing,
    /// The remote did not answer, or refused.
    NoAnswer,
}

/// How often one remote is asked: twice as rarely each time nothing comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    every: Duration,
    step: Duration,
}

impl Pace {
    /// As often as is wished.
    pub fn new(every: Duration) -> Self {
        Self { every, step: every }
    }

    /// The pace after an answer. A wish for less than the longest pace stands.
    #[must_use]
    pub fn after(self, found: Found) -> Self {
        let most = match found {
            Found::Changes => self.every,
            Found::Nothing => IDLE.max(self.every),
            Found::NoAnswer => OFFLINE.max(self.every),
        };
        Self {
            step: (self.step * 2).min(most),
            ..self
        }
    }

    /// How long to wait until the next question: the pace and up to a fifth more or
    /// less, so that the watches of a team do not ask all at once.
    pub fn delay(self, dice: u16) -> Duration {
        let share = 0.8 + 0.4 * f64::from(dice) / f64::from(u16::MAX);
        self.step.mul_f64(share)
    }
}

/// When a secret may be given its next value, if that is not yet.
pub fn may_push_at(pushed: Option<Duration>, now: Duration) -> Option<Duration> {
    let at = pushed? + SPACING;
    (at > now).then_some(at)
}

/// Whether the machine was suspended in between.
pub fn has_slept(before: Moment, now: Moment) -> bool {
    let boot = now.boot.saturating_sub(before.boot);
    let awake = now.awake.saturating_sub(before.awake);
    boot.saturating_sub(awake) > SUSPENDED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_look_waits_for_quiet_and_two_seconds_at_most() {
        for (events, due) in [
            (vec![], None),
            (vec![1000], Some(1300)),
            (vec![1000, 1200], Some(1500)),
            (vec![1000, 1200, 1500, 1700], Some(2000)),
            ((10..40).map(|n| n * 100).collect(), Some(3000)),
        ] {
            let mut debounce = Debounce::default();
            for at in &events {
                debounce.hit(ms(*at));
            }
            assert_eq!(debounce.due(), due.map(ms), "{events:?}");
            debounce.clear();
            assert_eq!(debounce.due(), None);
        }
    }

    #[test]
    fn a_remote_is_asked_more_rarely_while_nothing_comes_of_it() {
        use Found::{Changes, NoAnswer, Nothing};
        for (found, steps) in [
            (Nothing, [120, 240, 480, 750, 750, 750]),
            (NoAnswer, [120, 240, 480, 960, 1800, 1800]),
            (Changes, [60, 60, 60, 60, 60, 60]),
        ] {
            let mut pace = Pace::new(secs(60));
            for step in steps {
                pace = pace.after(found);
                assert_eq!(pace.step, secs(step), "{found:?}");
            }
            assert_eq!(pace.after(Changes).step, secs(60));
            assert!(pace.after(Nothing).step <= secs(750));
        }
        let rare = Pace::new(secs(7200));
        assert_eq!(rare.after(Nothing).step, secs(7200));
    }

    #[test]
    fn the_jitter_is_a_fifth_either_way_and_a_full_view_is_a_quarter_of_an_hour_old() {
        let pace = Pace::new(secs(60));
        assert_eq!(pace.delay(0), secs(48));
        assert_eq!(pace.delay(u16::MAX), secs(72));
        let mut idle = pace;
        for _ in 0..20 {
            idle = idle.after(Found::Nothing);
        }
        assert_eq!(idle.delay(u16::MAX), secs(900));
    }

    #[test]
    fn a_secret_gets_one_value_in_ten_minutes() {
        for (pushed, now, at) in [
            (None, 0, None),
            (Some(100), 100, Some(700)),
            (Some(100), 699, Some(700)),
            (Some(100), 700, None),
        ] {
            let at: Option<u64> = at;
            assert_eq!(may_push_at(pushed.map(secs), secs(now)), at.map(secs));
        }
    }

    #[test]
    fn a_suspend_shows_in_the_difference_of_the_clocks() {
        let moment = |boot, awake| Moment {
            boot: secs(boot),
            awake: secs(awake),
            wall: Timestamp::from_secs(0),
        };
        for (boot, awake, slept) in [
            (0, 0, false),
            (600, 600, false),
            (3, 1, false),
            (600, 30, true),
        ] {
            assert_eq!(
                has_slept(moment(0, 0), moment(boot, awake)),
                slept,
                "{boot} {awake}"
            );
        }
    }
}
