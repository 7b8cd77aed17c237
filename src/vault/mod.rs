//! The directory on disk.

pub mod layout;
