use super::{Timestamp, VersionId};

/// The moment and the fresh id of one change. Both are made in `cli/context.rs`
/// and fixed in tests; nothing below asks the clock or rolls dice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Now.
    pub now: Timestamp,
    /// A new version id: a random UUID.
    pub id: VersionId,
}
