//! The nouns of strongroom, and the rules AWS has for them.
//!
//! Nothing here does I/O, asks the time or makes an id: both come in as a
//! [`Stamp`]. A secret's value appears only as [`SecretValue`], which the rest of
//! the model never looks into; `members` alone merges two of them.

mod audit;
mod base;
mod change;
mod conflict;
mod details;
mod escape;
mod json;
mod label;
mod members;
mod name;
mod own;
mod record;
#[cfg(test)]
mod record_tests;
mod remote;
mod scope;
mod secret;
#[cfg(test)]
pub(crate) mod seeded;
mod selector;
mod snapshot;
#[cfg(test)]
mod snapshot_tests;
mod stamp;
mod strategy;
mod time;
mod value;
mod version;

pub use audit::{Asker, AuditEntry, AuditEvent, Deed, Door};
pub use base::{Base, Pair, RemoteBase, SecretBase};
pub use change::{Change, Invalid};
pub use conflict::{Class, Conflict, Field};
pub use details::{Details, Rotation};
pub use escape::Escaped;
pub use json::canonical_json;
pub use label::{LabelError, StagingLabel};
pub use members::{KeyPath, KeyPathError, MergeError, Merged, Pick, merge_members, same_json};
pub use name::{NameError, RemoteName, RemoteNameError, SecretName};
pub use own::{Extras, Halves, OwnField, missing_replicas, replicas_of, replicas_text};
pub(crate) use record::travels;
pub use record::{Author, Record};
pub use remote::{LocalView, RemoteFacts, RemoteSecret, RemoteView, Sight};
pub use scope::{Direction, Scope};
pub use secret::{AttributeError, Attributes, Face, Lifecycle, SecretState, is_reserved_tag};
pub use selector::{SelectError, Selector, SelectorError, Which, find_prefix, name_of_arn};
pub use snapshot::Snapshot;
pub use stamp::Stamp;
pub use strategy::{FieldKind, Rule, Strategy};
pub use time::{Timestamp, TimestampError};
pub use value::{Digest, Kind, SecretValue, ValueError};
pub use version::{Content, Origin, VersionId, VersionIdError, VersionMeta};
