//! Where a backend does something else than AWS.

use super::backends::On;

/// One step whose answer is not AWS's.
pub(super) struct Difference {
    /// The scenario's name.
    pub(super) scenario: &'static str,
    /// Who differs.
    pub(super) on: On,
    /// The line of the scenario, `step -> AWS's answer`.
    pub(super) line: &'static str,
    /// The answer that comes instead.
    pub(super) instead: &'static str,
    /// What that means.
    pub(super) why: &'static str,
}

pub(super) const DIFFERENCES: &[Difference] = &[];
