//! The calls that the store in memory was asked for.

use std::collections::BTreeMap;

/// The API operations the store counts, one for one with AWS's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// ListSecrets, one for each page.
    List,
    /// DescribeSecret.
    Describe,
    /// GetSecretValue.
    Get,
    /// BatchGetSecretValue.
    BatchGet,
    /// CreateSecret.
    Create,
    /// PutSecretValue.
    Put,
    /// UpdateSecretVersionStage.
    Stage,
    /// UpdateSecret.
    Update,
    /// TagResource or UntagResource.
    Tag,
    /// DeleteSecret.
    Delete,
    /// RestoreSecret.
    Restore,
    /// ListSecretVersionIds.
    ListVersions,
    /// GetResourcePolicy.
    GetPolicy,
    /// PutResourcePolicy.
    PutPolicy,
    /// DeleteResourcePolicy.
    DeletePolicy,
    /// ReplicateSecretToRegions.
    Replicate,
}

impl Call {
    /// Every operation that a sync uses.
    pub const ALL: [Self; 11] = [
        Self::List,
        Self::Describe,
        Self::Get,
        Self::BatchGet,
        Self::Create,
        Self::Put,
        Self::Stage,
        Self::Update,
        Self::Tag,
        Self::Delete,
        Self::Restore,
    ];

    /// Whether the operation changes anything.
    pub fn is_write(self) -> bool {
        !matches!(
            self,
            Self::List
                | Self::Describe
                | Self::Get
                | Self::BatchGet
                | Self::ListVersions
                | Self::GetPolicy
        )
    }

    /// AWS's name for it; that of TagResource for both tag operations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::List => "ListSecrets",
            Self::Describe => "DescribeSecret",
            Self::Get => "GetSecretValue",
            Self::BatchGet => "BatchGetSecretValue",
            Self::Create => "CreateSecret",
            Self::Put => "PutSecretValue",
            Self::Stage => "UpdateSecretVersionStage",
            Self::Update => "UpdateSecret",
            Self::Tag => "TagResource",
            Self::Delete => "DeleteSecret",
            Self::Restore => "RestoreSecret",
            Self::ListVersions => "ListSecretVersionIds",
            Self::GetPolicy => "GetResourcePolicy",
            Self::PutPolicy => "PutResourcePolicy",
            Self::DeletePolicy => "DeleteResourcePolicy",
            Self::Replicate => "ReplicateSecretToRegions",
        }
    }
}

/// The calls so far.
#[derive(Default)]
pub(super) struct Calls {
    counts: BTreeMap<Call, usize>,
    total: usize,
}

impl Calls {
    pub(super) fn counts(&self) -> &BTreeMap<Call, usize> {
        &self.counts
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn reset(&mut self) {
        self.counts.clear();
        self.total = 0;
    }

    pub(super) fn count(&mut self, call: Call) {
        *self.counts.entry(call).or_default() += 1;
        self.total += 1;
    }
}
