//! The agent: one process a user that holds unlocked keyrings for a while, so that
//! commands need no passphrase (design.md section 5, crypto.md section 5).
//!
//! It answers over a Unix socket in a directory that only its user can enter, and does
//! with the keys what it is asked: **keys never leave it**. They lie in memory that is
//! not swapped, and go when their time is up, when the machine was suspended, on
//! `lock` and when the process ends.
//!
//! Nothing here prints or reads the environment; the time comes from a [`Clock`] that
//! is passed in. A suspend is heard of from logind where there is one, and noticed right
//! after it, before anything is answered, by the clock that counts it and the one that
//! does not.

mod client;
mod connection;
mod error;
mod journal;
#[cfg(feature = "cli")]
mod logind;
mod memory;
mod protocol;
mod server;
mod socket;
mod table;
mod ttl;

pub use client::{Client, LockWatch};
pub use error::{BindError, ClientError, PlaceError};
pub use journal::Journal;
pub use protocol::{HeldVault, Status};
pub use server::Server;
pub use socket::Listener;
pub use ttl::{Clock, Lifetime, Moment};
