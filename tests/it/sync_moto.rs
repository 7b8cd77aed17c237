//! The program itself against a real moto over loopback, with boto3 as the other
//! people in the account.

pub(crate) mod desk;
mod errors;
mod killed;
mod merged;
mod migrate;
mod own;
mod refused;
mod reviewed;
mod story;
mod strategies;
mod twins;
mod watch;
