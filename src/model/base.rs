use std::collections::BTreeMap;

use super::{
    Face, Field, Halves, OwnField, RemoteName, SecretName, StagingLabel, Timestamp, VersionId,
};

/// What was last accepted as corresponding on both sides of one remote.
///
/// A pair, because the two halves may rightly differ after a good sync: after an
/// offline chain v1, v2, v3 the vault's AWSPREVIOUS is v2 while AWS, which never
/// saw v2 go live, says v1 (sync.md sections 1.2 and 1.6, P2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The remote secret's ARN: its incarnation.
    pub arn: String,
    /// LastChangedDate of the remote when it was accepted.
    pub changed: Option<Timestamp>,
    /// The vault's side.
    pub local: Face,
    /// The remote's side.
    pub remote: Face,
}

/// What a vault remembers of one secret on one remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteBase {
    /// The accepted pair; none before the first sync.
    pub pair: Option<Pair>,
    /// For each label moved here and not yet pushed, the holder at the time of the
    /// first such move. A move is a clean push only while the remote still has that
    /// holder: the base alone is not safe once git merges it (sync.md section 1.12).
    pub intents: BTreeMap<StagingLabel, Option<VersionId>>,
    /// What a person saw on the remote when deciding a conflict for this vault's
    /// side. Ours is pushed only while the remote still shows exactly that. (For
    /// labels the intent says it.)
    pub seen: BTreeMap<Field, Option<String>>,
    /// What this remote has of its own, where that is known and is anything.
    pub own: BTreeMap<OwnField, Halves>,
}

impl RemoteBase {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.pair.is_none()
            && self.intents.is_empty()
            && self.seen.is_empty()
            && self.own.is_empty()
    }
}

/// What a vault remembers of one secret, per remote.
pub type SecretBase = BTreeMap<RemoteName, RemoteBase>;

/// The last common state of every secret with every remote.
pub type Base = BTreeMap<SecretName, SecretBase>;
