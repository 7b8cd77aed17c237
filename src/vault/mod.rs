//! The directory on disk, and its git history.

pub mod layout;
pub mod meta;
mod raw;
mod disk;
mod lock;
