//! Vaults that meet by bundles alone (crypto.md section 7): what a bundle is made of,
//! what it means for a vault, and what a clone remembers of the others.
//!
//! Every record is merged by the rules of `plan`; here is decided what its base is.
//! Nothing here asks the time or makes ids.

mod apply;
mod create;
mod epoch;
mod error;
mod memory;
mod newcomer;
mod weigh;

pub use apply::{Applied, apply};
pub use create::{Made, Order, create, have};
pub use epoch::{OtherEpoch, Proved, adopt, rests};
pub use error::ExchangeError;
pub use memory::{Memory, Peer};
pub use newcomer::{Settler, hand_over, settle};
pub use weigh::{Differs, Outcome, Standing, Weighed, open, prove, standing, weigh};
