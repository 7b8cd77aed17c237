//! The nouns of strongroom, and the rules AWS has for them.
//!
//! Nothing here does I/O, asks the time or makes an id: both come in as a
//! [`Stamp`]. A secret's value appears only as [`SecretValue`], which the rest of
//! the model never looks into.

mod escape;
mod label;
mod name;
mod time;
mod value;
mod version;

pub use escape::Escaped;
pub use label::{LabelError, StagingLabel};
pub use name::{NameError, RemoteName, RemoteNameError, SecretName};
pub use time::{Timestamp, TimestampError};
pub use value::{Digest, Kind, SecretValue, ValueError};
pub use version::{Content, Origin, VersionId, VersionIdError, VersionMeta};
