//! AWS's rates, kept to before AWS has to say so.
//!
//! One token bucket for each quota group of a connection (aws.md section 9, sync.md
//! section 2): 0.6 of the quota, because the console and rotation share it, with a
//! burst of one second. A throttle halves a bucket's rate; it grows back by 5 % of
//! the full rate each second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The API operations this room calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    ListSecrets,
    BatchGetSecretValue,
    DescribeSecret,
    GetSecretValue,
    CreateSecret,
    PutSecretValue,
    UpdateSecret,
    UpdateSecretVersionStage,
    TagResource,
    UntagResource,
    DeleteSecret,
    RestoreSecret,
    ListSecretVersionIds,
    GetResourcePolicy,
    PutResourcePolicy,
    DeleteResourcePolicy,
    ReplicateSecretToRegions,
}

impl Operation {
    /// The name AWS gives it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ListSecrets => "ListSecrets",
            Self::BatchGetSecretValue => "BatchGetSecretValue",
            Self::DescribeSecret => "DescribeSecret",
            Self::GetSecretValue => "GetSecretValue",
            Self::CreateSecret => "CreateSecret",
            Self::PutSecretValue => "PutSecretValue",
            Self::UpdateSecret => "UpdateSecret",
            Self::UpdateSecretVersionStage => "UpdateSecretVersionStage",
            Self::TagResource => "TagResource",
            Self::UntagResource => "UntagResource",
            Self::DeleteSecret => "DeleteSecret",
            Self::RestoreSecret => "RestoreSecret",
            Self::ListSecretVersionIds => "ListSecretVersionIds",
            Self::GetResourcePolicy => "GetResourcePolicy",
            Self::PutResourcePolicy => "PutResourcePolicy",
            Self::DeleteResourcePolicy => "DeleteResourcePolicy",
            Self::ReplicateSecretToRegions => "ReplicateSecretToRegions",
        }
    }

    /// The quota it counts against.
    const fn group(self) -> Group {
        match self {
            Self::ListSecrets => Group::List,
            Self::BatchGetSecretValue => Group::Batch,
            Self::DescribeSecret | Self::GetSecretValue => Group::Read,
            Self::CreateSecret => Group::Create,
            // Replication counts with the writes (sync.md section 2).
            Self::PutSecretValue
            | Self::UpdateSecret
            | Self::UpdateSecretVersionStage
            | Self::ReplicateSecretToRegions => Group::Write,
            Self::TagResource | Self::UntagResource => Group::Tag,
            Self::DeleteSecret => Group::Delete,
            Self::RestoreSecret => Group::Restore,
            Self::ListSecretVersionIds => Group::Versions,
            Self::GetResourcePolicy | Self::PutResourcePolicy | Self::DeleteResourcePolicy => {
                Group::Policy
            }
        }
    }
}

/// Operations that AWS counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    List,
    Batch,
    Read,
    Create,
    Write,
    Tag,
    Delete,
    Restore,
    Versions,
    Policy,
}

impl Group {
    const ALL: [Self; 10] = [
        Self::List,
        Self::Batch,
        Self::Read,
        Self::Create,
        Self::Write,
        Self::Tag,
        Self::Delete,
        Self::Restore,
        Self::Versions,
        Self::Policy,
    ];

    /// Calls a second for one account and Region (aws.md section 9).
    const fn quota(self) -> f64 {
        match self {
            Self::List | Self::Batch => 100.0,
            Self::Read => 10_000.0,
            Self::Create
            | Self::Write
            | Self::Tag
            | Self::Delete
            | Self::Restore
            | Self::Versions
            | Self::Policy => 50.0,
        }
    }
}

/// The part of a quota that this program takes.
const SHARE: f64 = 0.6;
/// What comes back each second after a throttle, as a part of the full rate.
const RECOVERY: f64 = 0.05;
/// The slowest a bucket gets, in calls a second.
const FLOOR: f64 = 1.0;

/// The buckets of one connection.
pub(super) struct Quota {
    buckets: Vec<Bucket>,
}

impl Quota {
    /// Full buckets.
    pub(super) fn new() -> Self {
        Self {
            buckets: Group::ALL
                .into_iter()
                .map(|group| Bucket::new(group.quota() * SHARE))
                .collect(),
        }
    }

    /// Waits until one more call of this kind fits.
    pub(super) async fn admit(&self, operation: Operation) {
        if let Some(bucket) = self.bucket(operation) {
            let wait = bucket.take(Instant::now());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// AWS throttled a call of this kind.
    pub(super) fn throttled(&self, operation: Operation) {
        if let Some(bucket) = self.bucket(operation) {
            bucket.slow_down(Instant::now());
        }
    }

    fn bucket(&self, operation: Operation) -> Option<&Bucket> {
        let group = operation.group();
        let at = Group::ALL.iter().position(|g| *g == group)?;
        self.buckets.get(at)
    }
}

/// A token bucket that lends: a caller takes its token at once and waits for as long
/// as the debt lasts, so callers are served in the order they came.
struct Bucket {
    full_rate: f64,
    level: Mutex<Level>,
}

struct Level {
    rate: f64,
    tokens: f64,
    at: Option<Instant>,
    slowed: Option<Instant>,
}

impl Bucket {
    fn new(full_rate: f64) -> Self {
        Self {
            full_rate,
            level: Mutex::new(Level {
                rate: full_rate,
                tokens: full_rate,
                at: None,
                slowed: None,
            }),
        }
    }

    /// Takes a token and says how long to wait before using it.
    fn take(&self, now: Instant) -> Duration {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        self.refill(&mut level, now);
        level.tokens -= 1.0;
        if level.tokens >= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(-level.tokens / level.rate)
        }
    }

    fn slow_down(&self, now: Instant) {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        self.refill(&mut level, now);
        // Calls in flight together are throttled together: one excess, one halving.
        let same = level
            .slowed
            .is_some_and(|at| now.duration_since(at) < Duration::from_secs(1));
        if !same {
            level.rate = (level.rate / 2.0).max(FLOOR);
            level.tokens = level.tokens.min(0.0);
            level.slowed = Some(now);
        }
    }

    fn refill(&self, level: &mut Level, now: Instant) {
        let passed = level
            .at
            .map_or(0.0, |at| now.duration_since(at).as_secs_f64());
        level.at = Some(now);
        level.rate = (level.rate + self.full_rate * RECOVERY * passed).min(self.full_rate);
        // The burst is what one second brings.
        level.tokens = (level.tokens + level.rate * passed).min(level.rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::store::{Call, Rates};

    #[tokio::test(start_paused = true)]
    async fn sync_2_writes_share_one_bucket_of_thirty_a_second() {
        let quota = Quota::new();
        let start = Instant::now();
        for n in 0..90 {
            let operation = match n % 3 {
                0 => Operation::PutSecretValue,
                1 => Operation::UpdateSecret,
                _ => Operation::UpdateSecretVersionStage,
            };
            quota.admit(operation).await;
        }
        // 30 at once, then 30 a second.
        let took = start.elapsed().as_secs_f64();
        assert!((1.9..2.1).contains(&took), "{took}");
        // Another group is not held up.
        let start = Instant::now();
        quota.admit(Operation::CreateSecret).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn sync_2_a_throttle_halves_the_rate_once_and_it_grows_back() {
        let bucket = Bucket::new(60.0);
        bucket.slow_down(Instant::now());
        bucket.slow_down(Instant::now());
        let rate = |b: &Bucket| {
            let mut level = b.level.lock().unwrap();
            b.refill(&mut level, Instant::now());
            level.rate
        };
        assert!((rate(&bucket) - 30.0).abs() < 0.01);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!((rate(&bucket) - 36.0).abs() < 0.01);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!((rate(&bucket) - 60.0).abs() < 0.01);
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(1500)).await;
            bucket.slow_down(Instant::now());
        }
        assert!(rate(&bucket) >= FLOOR);
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_are_served_in_order_and_never_faster_than_the_rate() {
        let bucket = Bucket::new(10.0);
        let waits: Vec<_> = (0..30).map(|_| bucket.take(Instant::now())).collect();
        assert!(waits.windows(2).all(|w| w[0] <= w[1]));
        assert_eq!(waits[9], Duration::ZERO);
        assert!((waits[29].as_secs_f64() - 2.0).abs() < 0.01);
    }

    /// One connection's writes for two minutes against what others leave of AWS's rate:
    /// how many went through in the second minute, and how many were throttled.
    async fn two_minutes(left_by_others: f64) -> (u32, u32) {
        let (quota, mut aws) = (Quota::new(), Rates::share(left_by_others));
        let start = Instant::now();
        let (mut through, mut throttled) = (0, 0);
        loop {
            quota.admit(Operation::PutSecretValue).await;
            let millis = i64::try_from(start.elapsed().as_millis()).unwrap();
            if millis >= 120_000 {
                return (through, throttled);
            }
            let counts = millis >= 60_000;
            if aws.admit(Call::Put, Timestamp::from_millis(millis)) {
                through += u32::from(counts);
            } else {
                throttled += u32::from(counts);
                quota.throttled(Operation::PutSecretValue);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sync_2_the_rate_settles_on_what_others_leave_and_wastes_few_calls() {
        for (left, least, most) in [
            // 50 a second: 30 are ours, and nothing is throttled.
            (1.0, 1795, 1805),
            (0.6, 1790, 1805),
            // 25, 10 and 5 a second: the saw's teeth cost at most four tenths.
            (0.5, 900, 1500),
            (0.2, 360, 600),
            (0.1, 150, 300),
        ] {
            let (through, throttled) = two_minutes(left).await;
            let context = format!("{left}: {through} through, {throttled} throttled");
            assert!((least..=most).contains(&through), "{context}");
            let wasted = f64::from(throttled) / f64::from(through);
            let allowed = if left >= 0.6 { 0.01 } else { 0.25 };
            assert!(wasted < allowed, "{context}");
        }
    }

    #[test]
    fn aws_9_groups_and_quotas() {
        for (operation, quota) in [
            (Operation::ListSecrets, 100.0),
            (Operation::BatchGetSecretValue, 100.0),
            (Operation::DescribeSecret, 10_000.0),
            (Operation::GetSecretValue, 10_000.0),
            (Operation::CreateSecret, 50.0),
            (Operation::PutSecretValue, 50.0),
            (Operation::TagResource, 50.0),
            (Operation::DeleteSecret, 50.0),
            (Operation::RestoreSecret, 50.0),
            (Operation::ListSecretVersionIds, 50.0),
            (Operation::GetResourcePolicy, 50.0),
        ] {
            assert!(
                (operation.group().quota() - quota).abs() < 0.1,
                "{operation:?}"
            );
        }
        assert_eq!(
            Operation::TagResource.group(),
            Operation::UntagResource.group()
        );
    }
}
