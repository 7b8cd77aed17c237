//! How often the account may be called, in virtual time (aws.md section 9).

use std::collections::BTreeMap;

use super::calls::Call;
use crate::model::Timestamp;

/// Versions a secret holds at most (aws.md section 9).
pub(super) const VERSIONS: usize = 100;

/// The call rates of one account and Region. A group has a bucket of one second's
/// calls that fills at its rate; a call that finds it empty is throttled.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Multiplies every quota: a part of it is what others leave.
    share: f64,
    buckets: BTreeMap<&'static str, (f64, Timestamp)>,
}

/// The quota group of an operation and its calls a second.
const fn group(call: Call) -> (&'static str, f64) {
    match call {
        Call::List => ("list", 100.0),
        Call::BatchGet => ("batch", 100.0),
        Call::Describe => ("describe", 40_000.0),
        Call::Get => ("get", 10_000.0),
        Call::Create => ("create", 50.0),
        Call::Delete => ("delete", 50.0),
        Call::Put | Call::Update | Call::Stage | Call::Replicate => ("write", 50.0),
        Call::Tag => ("tag", 50.0),
        Call::Restore => ("restore", 50.0),
        Call::ListVersions => ("versions", 50.0),
        Call::GetPolicy | Call::PutPolicy | Call::DeletePolicy => ("policy", 50.0),
    }
}

impl Rates {
    /// AWS's, all for one caller.
    pub fn aws() -> Self {
        Self::share(1.0)
    }

    /// A part of AWS's rates: what other callers of the account leave.
    pub fn share(share: f64) -> Self {
        Self {
            share,
            buckets: BTreeMap::new(),
        }
    }

    /// Whether a call at this moment goes through; if so it is counted.
    pub fn admit(&mut self, call: Call, now: Timestamp) -> bool {
        let (group, quota) = group(call);
        let rate = quota * self.share;
        let (level, at) = self.buckets.entry(group).or_insert((rate, now));
        let passed = now.millis().saturating_sub(at.millis()).max(0);
        // No test's clock moves by more than a float holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a test")]
        let seconds = passed as f64 / 1000.0;
        *level = (*level + rate * seconds).min(rate);
        *at = now.max(*at);
        if *level < 1.0 {
            return false;
        }
        *level -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(rates: &mut Rates, call: Call, tries: usize, at: i64) -> usize {
        let now = Timestamp::from_millis(at);
        (0..tries).filter(|_| rates.admit(call, now)).count()
    }

    #[test]
    fn aws_9_rates_of_the_groups_in_virtual_time() {
        for (call, a_second) in [
            (Call::List, 100),
            (Call::BatchGet, 100),
            (Call::Get, 10_000),
            (Call::Describe, 40_000),
            (Call::Create, 50),
            (Call::Put, 50),
            (Call::Tag, 50),
            (Call::Delete, 50),
            (Call::Restore, 50),
        ] {
            let mut rates = Rates::aws();
            assert_eq!(admitted(&mut rates, call, 50_000, 0), a_second, "{call:?}");
            assert_eq!(admitted(&mut rates, call, 50_000, 500), a_second / 2);
            // A burst is never more than a second's worth.
            assert_eq!(admitted(&mut rates, call, 50_000, 3_600_000), a_second);
        }
    }

    #[test]
    fn aws_9_put_update_and_stage_are_counted_together() {
        let mut rates = Rates::aws();
        assert_eq!(admitted(&mut rates, Call::Put, 20, 0), 20);
        assert_eq!(admitted(&mut rates, Call::Update, 20, 0), 20);
        assert_eq!(admitted(&mut rates, Call::Stage, 20, 0), 10);
        assert_eq!(admitted(&mut rates, Call::Create, 20, 0), 20);
    }

    #[test]
    fn a_share_is_a_part_of_it_and_a_clock_that_goes_back_brings_nothing() {
        let mut rates = Rates::share(0.2);
        assert_eq!(admitted(&mut rates, Call::Put, 50, 10_000), 10);
        assert_eq!(admitted(&mut rates, Call::Put, 50, 0), 0);
        assert_eq!(admitted(&mut rates, Call::Put, 50, 10_100), 1);
    }
}
