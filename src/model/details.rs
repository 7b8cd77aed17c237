use std::collections::BTreeMap;

use super::Timestamp;

/// What AWS keeps of a secret beside its versions, labels, description and tags.
///
/// The local endpoint answers from it and changes it. It is the vault's own: nothing of
/// it is ever pulled, since most of it means nothing in another account. What a remote
/// has is in [`RemoteFacts`](super::RemoteFacts) and [`RemoteBase`](super::RemoteBase),
/// and counts before this for a secret that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// CreatedDate of a secret that was made here.
    pub created: Option<Timestamp>,
    /// When somebody here changed the secret last: its LastChangedDate, as far as
    /// this vault knows.
    pub changed: Option<Timestamp>,
    /// When its deletion was asked for, while that is scheduled.
    pub deleted: Option<Timestamp>,
    /// The KMS key as it was given; none for the default key (aws.md section 8).
    pub kms_key: Option<String>,
    /// The resource policy, as JSON text without white space.
    pub policy: Option<String>,
    /// Whether it had tags once and has none now: AWS shows an empty list then, and
    /// none before (aws.md section 4).
    pub untagged: bool,
    /// Rotation, once it was set up.
    pub rotation: Option<Rotation>,
    /// The Regions the secret is replicated to, each with its KMS key.
    pub replicas: BTreeMap<String, Option<String>>,
}

/// A secret's rotation, as RotateSecret sets it up (aws.md section 7).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Whether the schedule is on; CancelRotateSecret turns it off and keeps the rest.
    pub enabled: bool,
    /// The ARN of the function that rotates.
    pub function: Option<String>,
    /// AutomaticallyAfterDays, 1 to 1000.
    pub after_days: Option<u16>,
    /// ScheduleExpression, `rate(...)` or `cron(...)`.
    pub schedule: Option<String>,
    /// Duration, `1h` to `24h`.
    pub duration: Option<String>,
    /// LastRotatedDate.
    pub rotated: Option<Timestamp>,
}

impl Details {
    /// The details of a secret that is made now.
    pub fn created(now: Timestamp) -> Self {
        Self {
            created: Some(now),
            changed: Some(now),
            ..Self::default()
        }
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
