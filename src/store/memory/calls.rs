//! The calls that the store in memory was asked for, and the failure of one of them.

use std::collections::BTreeMap;

use crate::store::StoreError;

/// The API operations the store counts, one for one with AWS's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// ListSecrets, one for each page of 100.
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
}

impl Call {
    /// Whether the operation changes anything.
    pub fn is_write(self) -> bool {
        !matches!(
            self,
            Self::List | Self::Describe | Self::Get | Self::BatchGet
        )
    }
}

/// The calls so far, and one that is to fail.
#[derive(Default)]
pub(super) struct Calls {
    counts: BTreeMap<Call, usize>,
    total: usize,
    fault: Option<Fault>,
}

/// A planned failure of one call.
struct Fault {
    at: usize,
    after_effect: bool,
    error: StoreError,
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

    /// Lets the call number `at` from now fail.
    pub(super) fn fail_at(&mut self, at: usize, after_effect: bool, error: StoreError) {
        self.fault = Some(Fault {
            at: self.total + at,
            after_effect,
            error,
        });
    }

    /// Counts a call. Fails if it is to fail before it does anything; else gives the
    /// error that will stand in for its answer, if one is to.
    pub(super) fn count(&mut self, call: Call) -> Result<Option<StoreError>, StoreError> {
        *self.counts.entry(call).or_default() += 1;
        let number = self.total;
        self.total += 1;
        match self.fault.take() {
            Some(fault) if fault.at == number && fault.after_effect => Ok(Some(fault.error)),
            Some(fault) if fault.at == number => Err(fault.error),
            later => {
                self.fault = later;
                Ok(None)
            }
        }
    }
}
