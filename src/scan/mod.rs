//! Finds a vault's values where they should not be: in files and in git's history.
//!
//! [`Needles`] are the values and the members of those that are JSON, each in the forms
//! it may have been written in. What is found is told by place and by name; nothing here
//! gives a value out, or knows of vaults.

mod needle;
mod places;
mod search;

use crate::model::{SecretName, StagingLabel, VersionId};

pub use needle::{Form, Needles, Rules, SKIPPED};
pub use places::{Found, ScanError, Scanned, files, history, staged};
pub use search::{Hit, Table};

/// Whose value it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The secret.
    pub name: SecretName,
    /// The version.
    pub version: VersionId,
    /// The labels that the version has.
    pub labels: Vec<StagingLabel>,
    /// The member of a JSON value, as in `db.password` or `keys[0]`; `None` for all of it.
    pub field: Option<String>,
}
