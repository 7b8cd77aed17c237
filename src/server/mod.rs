//! The local Secrets Manager endpoint (design.md section 7, aws.md).
//!
//! [`service`] answers the operations of API 2017-10-17 from a vault and knows no
//! sockets; [`protocol`] is what passes between it and a front door. Nothing here
//! prints, asks the time or reads the environment: the moment and fresh ids come with
//! each [`Call`].

#[cfg(feature = "endpoint")]
mod access;
#[cfg(feature = "endpoint")]
mod changes;
#[cfg(feature = "endpoint")]
mod hosts;
#[cfg(feature = "endpoint")]
pub mod http;
#[cfg(feature = "endpoint")]
mod keys;
#[cfg(feature = "endpoint")]
mod limits;
#[cfg(feature = "endpoint")]
mod listener;
pub mod protocol;
#[cfg(feature = "endpoint")]
pub mod proxy2773;
#[cfg(feature = "endpoint")]
pub mod query;
pub mod service;
#[cfg(feature = "endpoint")]
mod tls;

#[cfg(feature = "endpoint")]
pub use access::AccessLog;
#[cfg(feature = "endpoint")]
pub use changes::Changes;
#[cfg(feature = "endpoint")]
pub use hosts::Hosts;
#[cfg(feature = "endpoint")]
pub use keys::{Key, KeyPair, Keys};
#[cfg(feature = "endpoint")]
pub use limits::Limits;
#[cfg(feature = "endpoint")]
pub use listener::{Stop, Stopper};
#[cfg(feature = "endpoint")]
pub use tls::{Tls, TlsError};

pub use protocol::{Answer, Call, Caller, Code, Fault, Grant, Reply, Standing};
pub use service::Service;

/// Where a door gets the moment and a fresh id for each request: nothing below the
/// command line asks for them itself.
#[cfg(feature = "endpoint")]
pub type Clock = std::sync::Arc<dyn Fn() -> crate::model::Stamp + Send + Sync>;
