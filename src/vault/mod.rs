//! The directory on disk, and its git history.

mod disk;
mod git;
pub mod layout;
mod lock;
pub mod meta;
mod raw;

/// The largest file that a vault can have, in bytes: a metadata file.
const LARGEST_FILE: usize = meta::MAX;
