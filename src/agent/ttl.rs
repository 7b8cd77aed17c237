use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::Timestamp;

/// A moment, by three clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Since the machine started, suspended time included (CLOCK_BOOTTIME).
    pub boot: Duration,
    /// Since the machine started, suspended time excluded (CLOCK_MONOTONIC).
    pub awake: Duration,
    /// What the calendar says; for the log alone.
    pub wall: Timestamp,
}

/// What tells the time. The agent is given one; it has none of its own.
pub type Clock = Box<dyn Fn() -> Moment + Send + Sync>;

/// How long the agent holds a keyring (crypto.md section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long without being used.
    pub idle: Duration,
    /// How long whatever happens.
    pub ttl: Duration,
}

impl Default for Lifetime {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(15 * 60),
            ttl: Duration::from_secs(8 * 60 * 60),
        }
    }
}

/// The time that one keyring has, on the clock that counts suspended time.
pub(super) struct Term {
    lifetime: Lifetime,
    since: Duration,
    /// Milliseconds from `since` to the last use.
    used: AtomicU64,
}

impl Term {
    pub(super) fn new(lifetime: Lifetime, now: Moment) -> Self {
        Self {
            lifetime,
            since: now.boot,
            used: AtomicU64::new(0),
        }
    }

    /// Notes a use, which begins the idle time anew.
    pub(super) fn touch(&self, now: Moment) {
        let millis = now.boot.saturating_sub(self.since).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        self.used.fetch_max(millis, Ordering::Relaxed);
    }

    /// What is left until it is idle for too long, and in all.
    pub(super) fn left(&self, now: Moment) -> Lifetime {
        let age = now.boot.saturating_sub(self.since);
        let used = Duration::from_millis(self.used.load(Ordering::Relaxed));
        let ttl = self.lifetime.ttl.saturating_sub(age);
        let idle = (used + self.lifetime.idle).saturating_sub(age);
        Lifetime {
            idle: idle.min(ttl),
            ttl,
        }
    }

    pub(super) fn is_over(&self, now: Moment) -> bool {
        self.left(now).idle.is_zero()
    }
}

/// Notices that the machine was suspended: the clock that counts it has gained on the
/// one that does not.
pub(super) struct Sleep {
    /// The largest lead seen, in milliseconds.
    lead: AtomicU64,
}

impl Sleep {
    /// How much the clocks may drift apart without a suspend.
    const SLACK: Duration = Duration::from_secs(1);

    pub(super) fn new(now: Moment) -> Self {
        let lead = AtomicU64::new(Self::lead(now));
        Self { lead }
    }

    /// Whether the machine was suspended since this was last asked.
    pub(super) fn happened(&self, now: Moment) -> bool {
        let lead = Self::lead(now);
        let before = self.lead.fetch_max(lead, Ordering::Relaxed);
        u128::from(lead.saturating_sub(before)) > Self::SLACK.as_millis()
    }

    fn lead(now: Moment) -> u64 {
        let lead = now.boot.saturating_sub(now.awake).as_millis();
        u64::try_from(lead).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: u64, awake: u64) -> Moment {
        Moment {
            boot: Duration::from_secs(boot),
            awake: Duration::from_secs(awake),
            wall: Timestamp::from_secs(0),
        }
    }

    fn term(idle: u64, ttl: u64) -> Term {
        let lifetime = Lifetime {
            idle: Duration::from_secs(idle),
            ttl: Duration::from_secs(ttl),
        };
        Term::new(lifetime, at(100, 100))
    }

    #[test]
    fn crypto_5_idle_time_begins_anew_with_each_use() {
        let term = term(10, 100);
        assert!(!term.is_over(at(109, 109)));
        assert!(term.is_over(at(110, 110)));
        term.touch(at(109, 109));
        assert!(!term.is_over(at(118, 118)));
        assert!(term.is_over(at(119, 119)));
        // A use that is noted late does not take time away.
        term.touch(at(105, 105));
        assert!(!term.is_over(at(118, 118)));
    }

    #[test]
    fn crypto_5_no_use_goes_beyond_the_absolute_time() {
        let term = term(10, 25);
        for second in 101..125 {
            assert!(!term.is_over(at(second, second)), "{second}");
            term.touch(at(second, second));
        }
        assert_eq!(term.left(at(120, 120)).idle, Duration::from_secs(5));
        assert!(term.is_over(at(125, 125)));
    }

    #[test]
    fn crypto_5_suspended_time_counts() {
        let term = term(10, 100);
        assert!(term.is_over(at(111, 101)));
    }

    #[test]
    fn a_suspend_is_noticed_once() {
        let sleep = Sleep::new(at(100, 90));
        assert!(!sleep.happened(at(200, 190)));
        assert!(!sleep.happened(at(201, 190)));
        assert!(sleep.happened(at(263, 250)));
        assert!(!sleep.happened(at(264, 251)));
        assert!(sleep.happened(at(270, 252)));
    }

    #[test]
    fn the_defaults_are_those_of_crypto_5() {
        let lifetime = Lifetime::default();
        assert_eq!(lifetime.idle.as_secs(), 900);
        assert_eq!(lifetime.ttl.as_secs(), 28_800);
    }
}
