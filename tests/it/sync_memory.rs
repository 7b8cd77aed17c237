//! The sync on real vaults, against the in-memory store that is as strict as AWS.

mod calls;
mod conflicts;
mod cost;
mod coverage;
mod faults;
mod histories;
mod lifecycle;
mod limits;
mod mirror;
mod own;
mod permissions;
mod pull;
mod push;
mod several;
mod strategies;
mod twins;
mod watch;
pub(crate) mod world;
