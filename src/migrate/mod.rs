//! Copies secrets from one account and Region to another, under the same version ids.
//!
//! A plan is made first: value-free, for review. Values go from store to store in
//! memory only; the vault lends its key, so that digests in the plan prove equal
//! values without showing them, and its state directory for the journal. The vault's
//! own secrets are neither read nor written (sync.md section 6).
//!
//! Nothing on the source changes before [`retire`]. On the target a secret is changed
//! only where it holds nothing but the source's versions, and deleted only where this
//! migration made it.

mod apply;
mod blind;
mod copy;
mod estimate;
mod item;
mod journal;
mod outcome;
mod report;
mod retire;
mod rewrite;
mod rollback;
mod rules;
mod saved;
mod seen;
mod survey;
mod verify;

pub use apply::{Run, apply};
pub use blind::blind;
pub use estimate::Estimate;
pub use item::{Item, State, Version};
pub use journal::{Journal, JournalError, Made, Stage};
pub use outcome::{Findings, MigrateError, Outcome, Report};
pub use report::markdown;
pub use retire::{Retire, retire};
pub use rollback::rollback;
pub use rules::{Policies, Rule, RuleError, Rules, Target};
pub use saved::{Head, Migration, PlanError, Side};
pub use survey::{Survey, survey};
pub use verify::verify;

/// How many secrets are worked on at once; the stores' own buckets hold the rates.
const AT_ONCE: usize = 16;
