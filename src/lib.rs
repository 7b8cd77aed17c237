//! AWS Secrets Manager, offline.
//!
//! One directory holds secrets as age-encrypted files, one per version, beside
//! readable metadata; a two-way sync reconciles it with AWS accounts by version id.
//!
//! The rooms, from the inside out; imports run towards the lower number only and
//! rooms of one layer do not import each other, except that `watch` is built on `sync`
//! (`tests/it/layers.rs` holds that):
//!
//! | layer | room | its job |
//! |---|---|---|
//! | 0 | [`model`] | the nouns: names, versions, labels, changes, snapshots. No I/O, clock or randomness |
//! | 1 | [`plan`] | the reconcile: base, local and remote states in, a plan out. Sees no value and no key |
//! | 1 | [`crypto`] | bytes to bytes: keys, age envelopes, the sealed identity, macs and digests |
//! | 1 | [`store`] | what every place that keeps secrets can do, and the strict in-memory one |
//! | 1 | [`config`] | `strongroom.toml`, text to settings |
//! | 2 | [`vault`] | the directory on disk, and its git history |
//! | 2 | `aws` | the only room that names an AWS type |
//! | 2 | [`bundle`] | the file that crosses an air gap: frames, envelope, trailer |
//! | 3 | [`sync`] | carries out plans |
//! | 3 | [`migrate`] | copies secrets from one account to another |
//! | 3 | [`server`] | the local Secrets Manager endpoint: operations, front doors |
//! | 3 | [`scan`] | finds values in files and in git's history |
//! | 3 | [`watch`] | keeps vault and remotes in step while nobody looks |
//! | 3 | [`agent`] | holds unlocked keyrings for a while, and never gives them away |
//! | 3 | [`exchange`] | makes bundles of a vault and applies them to one |
//! | 4 | `cli` | the only room that prints, prompts, reads the environment or asks the time |
#![forbid(unsafe_code)]

// The tests of the sync are shared with the integration tests, which know the crate by
// its name.
#[cfg(test)]
extern crate self as strongroom;

/// Whether a test has turned a bug on. Only the unit tests' build has bugs to turn on.
#[cfg(test)]
macro_rules! seeded {
    ($bug:ident) => {
        crate::model::seeded::is_on(crate::model::seeded::Bug::$bug)
    };
}
#[cfg(not(test))]
macro_rules! seeded {
    ($bug:ident) => {
        false
    };
}

/// A moment at which a test may let the process die.
#[cfg(test)]
macro_rules! step {
    () => {
        crate::model::seeded::step()
    };
}
#[cfg(not(test))]
macro_rules! step {
    () => {};
}

pub mod agent;
#[cfg(feature = "aws")]
pub mod aws;
pub mod bundle;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod crypto;
pub mod exchange;
pub mod migrate;
pub mod model;
pub mod plan;
pub mod scan;
pub mod server;
pub mod store;
pub mod sync;
pub mod vault;
pub mod watch;
