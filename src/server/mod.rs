//! The local Secrets Manager endpoint (design.md section 7, aws.md).
//!
//! [`service`] answers the operations of API 2017-10-17 from a vault and knows no
//! sockets; [`protocol`] is what passes between it and a front door. Nothing here
//! prints, asks the time or reads the environment: the moment and fresh ids come with
//! each [`Call`].

pub mod protocol;
pub mod service;

pub use protocol::{Answer, Call, Caller, Code, Fault, Grant, Reply};
pub use service::Service;
