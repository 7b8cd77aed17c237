use std::collections::BTreeMap;

use super::{Details, Rotation, SecretName, SecretState, Timestamp};

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
    /// How it is rotated, once that was set up, and when it was last.
    pub rotation: Option<Rotation>,
    /// NextRotationDate.
    pub next_rotation: Option<Timestamp>,
    /// The AWS service that owns the secret, if one does.
    pub owning_service: Option<String>,
    /// Whether this is a replica of a secret in another Region.
    pub replica: bool,
    /// PrimaryRegion, of a secret that has replicas or is one.
    pub primary_region: Option<String>,
    /// The Regions it is replicated to, each with its KMS key. A listing does not say:
    /// `None` where DescribeSecret was never asked.
    pub replicas: Option<BTreeMap<String, Option<String>>>,
    /// The resource policy as canonical JSON, empty where it has none; `None` where
    /// GetResourcePolicy was never asked, or denied.
    pub policy: Option<String>,
    /// Whether replicas and policy were asked for since it changed last.
    pub looked: bool,
}

impl RemoteFacts {
    /// Keeps what an earlier sight knew and this one was not told: a listing says
    /// nothing of replicas and policy. Of another incarnation nothing is kept.
    pub fn recall(&mut self, earlier: &Self) {
        if self.looked || self.arn != earlier.arn {
            return;
        }
        if self.replicas.is_none() {
            self.replicas.clone_from(&earlier.replicas);
        }
        if self.policy.is_none() {
            self.policy.clone_from(&earlier.policy);
        }
        self.looked = earlier.looked && self.changed == earlier.changed;
    }
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
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every sight is of a secret; a box would be one more allocation for each"
)]
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
    /// What AWS keeps of them besides, where anything was set here.
    pub details: BTreeMap<SecretName, Details>,
    /// Secrets whose metadata is not (conflict markers, a bad mac), with the
    /// reason. They are reported, never read, never synced.
    pub blocked: BTreeMap<SecretName, String>,
    /// The alarms on record, with whichever remote: while one stands, nothing is written
    /// to its secret anywhere (sync.md section 1.9).
    pub alarms: BTreeMap<SecretName, Vec<super::Conflict>>,
}
