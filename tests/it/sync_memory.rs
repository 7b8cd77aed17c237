//! The sync on real vaults, against the in-memory store that is as strict as AWS.

mod conflicts;
mod faults;
mod histories;
mod lifecycle;
mod permissions;
mod pull;
mod push;
mod several;
mod watch;
mod world;
