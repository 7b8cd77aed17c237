use crate::model::{Invalid, VersionId};

/// Why a store did not do what it was asked. Told apart by AWS's error codes, never
/// by their texts; no value is ever part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No such secret (ResourceNotFoundException).
    #[error("the remote has no such secret")]
    NotFound,
    /// The version is there without a value, or not at all.
    #[error("the remote has no value for version {0}")]
    NoValue(VersionId),
    /// The state is not what the change expects: a label moved, the secret is
    /// scheduled for deletion, the name is taken.
    #[error("the remote has changed: {0}")]
    Changed(Invalid),
    /// The id is taken by other content (ResourceExistsException on a put).
    #[error("version {0} exists on the remote with other content")]
    VersionMismatch(VersionId),
    /// No permission. `what` is the operation.
    #[error("the remote denied {operation} (code {code})")]
    Denied {
        /// The API operation.
        operation: &'static str,
        /// AWS's error code.
        code: String,
    },
    /// The credentials have expired or were refused altogether.
    #[error("the credentials were refused: {code}")]
    Credentials {
        /// AWS's error code, or where no credentials were found.
        code: String,
    },
    /// Still throttled after all retries.
    #[error("the remote throttled {operation} and did not relent")]
    Throttled {
        /// The API operation.
        operation: &'static str,
    },
    /// No answer: no network, no such host, a time-out.
    #[error("the remote cannot be reached: {detail}")]
    Unreachable {
        /// What the transport said.
        detail: String,
    },
    /// AWS refuses the request itself: a limit, an invalid parameter.
    #[error("the remote refused {operation}: {code}{}", detail_suffix(.detail))]
    Refused {
        /// The API operation.
        operation: &'static str,
        /// AWS's error code.
        code: String,
        /// AWS's own message, escaped; never holds a value.
        detail: String,
    },
    /// The account or Region is not the one that was pinned.
    #[error("wrong account or Region: expected {expected}, found {found}")]
    WrongAccount {
        /// What the configuration pins.
        expected: String,
        /// What the remote showed.
        found: String,
    },
    /// The endpoint is a strongroom: a vault would be synced with itself.
    #[error("the endpoint is strongroom itself")]
    Itself,
    /// An answer that cannot be right, such as a label on an unknown version.
    #[error("the remote's answer makes no sense: {0}")]
    Corrupt(String),
}

fn detail_suffix(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(": {detail}")
    }
}

impl StoreError {
    /// Whether the whole run must stop, because every further call would fail alike.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Credentials { .. }
                | Self::Throttled { .. }
                | Self::Unreachable { .. }
                | Self::WrongAccount { .. }
                | Self::Itself
        )
    }
}
