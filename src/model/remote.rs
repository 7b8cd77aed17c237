use std::collections::BTreeMap;

use super::{SecretName, SecretState, Timestamp};

/// What only a remote knows of a secret. It never crosses to another remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteFacts {
    /// The full ARN; its suffix changes when a name is created anew.
    pub arn: String,
    /// The KMS key, absent for the default key.
    pub kms_key: Option<String>,
    /// LastChangedDate.
    pub changed: Option<Timestamp>,
    /// Whether rotation is switched on.
    pub rotation_enabled: bool,
    /// The AWS service that owns the secret, if one does.
    pub owning_service: Option<String>,
    /// Whether this is a replica of a secret in another Region.
    pub replica: bool,
}

/// One secret as a remote shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteSecret {
    /// Labels, versions, attributes, lifecycle.
    pub state: SecretState,
    /// The remote's own facts.
    pub facts: RemoteFacts,
}

/// What a remote answered for one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The secret.
    Seen(RemoteSecret),
    /// It may be there, but it cannot be told how; nothing is done with it.
    Blocked(String),
}

/// A remote's secrets, by the vault's names for them, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteView {
    /// What was seen. A name that the vault has synced before and that is not here
    /// is gone: whoever builds a view has confirmed it with DescribeSecret.
    pub secrets: BTreeMap<SecretName, Sight>,
    /// Entries that no name of this vault can stand for, with the reason; shown,
    /// never touched.
    pub foreign: Vec<(String, String)>,
    /// How many entries the remote listed, before any filter.
    pub listed: usize,
}

/// The vault's own secrets, and those it cannot vouch for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalView {
    /// Every secret whose metadata is sound.
    pub secrets: super::Snapshot,
    /// Secrets whose metadata is not (conflict markers, a bad mac), with the
    /// reason. They are reported, never read, never synced.
    pub blocked: BTreeMap<SecretName, String>,
}
