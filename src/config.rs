//! `strongroom.toml`: text to settings and back.
//!
//! Pure. The mac that ends the file, and the file itself, are the vault's business.

use crate::model::{Direction, RemoteName, Scope};

/// One AWS account and Region that a vault is synced with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteConfig {
    /// What the vault calls it.
    pub name: RemoteName,
    /// The AWS Region.
    pub region: String,
    /// The 12-digit account id, pinned.
    pub account: Option<String>,
    /// The profile of the AWS configuration files to use.
    pub profile: Option<String>,
    /// A role to assume.
    pub role_arn: Option<String>,
    /// Another endpoint than AWS's own.
    pub endpoint: Option<String>,
    /// Which secrets take part, and under which names there.
    pub scope: Scope,
    /// Which way changes may travel.
    pub direction: Direction,
}
