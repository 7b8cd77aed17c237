use super::{Attributes, OwnField, SecretName, StagingLabel, Timestamp, VersionId, VersionMeta};

/// One step that a side can take with one secret: the single vocabulary that the
/// vault, plans, the in-memory store and the tests share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Make the secret. With a version, that version gets AWSCURRENT in the same
    /// step, as CreateSecret does.
    Create {
        /// Description and tags.
        attributes: Attributes,
        /// The first version.
        version: Option<(VersionId, VersionMeta)>,
    },
    /// Add a version under the labels named. No label at all is for a vault only,
    /// which may hold history that AWS has long collected.
    AddVersion {
        /// The new version's id: the ClientRequestToken of the call.
        id: VersionId,
        /// What is known of it.
        meta: VersionMeta,
        /// The labels it takes, from whichever version holds them.
        labels: Vec<StagingLabel>,
    },
    /// Move a label by compare-and-swap: it fails unless `from` holds it now.
    MoveLabel {
        /// The label.
        label: StagingLabel,
        /// Its expected holder; `None` expects it to be on no version.
        from: Option<VersionId>,
        /// Its new holder; `None` takes the label away.
        to: Option<VersionId>,
    },
    /// Replace description and tags.
    SetAttributes {
        /// What they are expected to be.
        from: Attributes,
        /// What they become.
        to: Attributes,
    },
    /// Replace what a remote has of its own; an empty text for nothing. A remote only.
    SetOwn {
        /// What it is.
        field: OwnField,
        /// What it is expected to be.
        from: String,
        /// What it becomes. Of replicas: those to add.
        to: String,
    },
    /// Schedule the deletion.
    Delete {
        /// When it will be carried out. A remote answers with its own date.
        date: Option<Timestamp>,
    },
    /// Take over another date for a deletion that is already scheduled. A vault
    /// only: AWS has no such call.
    Reschedule {
        /// The date.
        date: Option<Timestamp>,
    },
    /// Bring a scheduled secret back; in a vault a tombstone too.
    Restore,
    /// Record that the secret is gone. A vault only: versions and labels stay.
    Tombstone,
    /// Put the whole secret aside under another name, as a tombstone. A vault
    /// only: it makes room for a new incarnation of the name.
    Archive {
        /// The name it keeps its history under.
        to: SecretName,
    },
}

/// Why a change does not fit the state it was applied to. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// No secret of that name.
    #[error("no such secret")]
    NoSecret,
    /// A live secret has the name.
    #[error("a secret with this name already exists")]
    Exists,
    /// The secret is scheduled for deletion.
    #[error("the secret is scheduled for deletion")]
    Scheduled,
    /// The secret is a tombstone.
    #[error("the secret was deleted")]
    Deleted,
    /// The label is not where the change expects it.
    #[error("label {label} is on {}, not on {}", or_none(.found.as_ref()), or_none(.expected.as_ref()))]
    Changed {
        /// The label.
        label: StagingLabel,
        /// The holder that the change named.
        expected: Option<VersionId>,
        /// The real holder.
        found: Option<VersionId>,
    },
    /// Description or tags are not what the change expects.
    #[error("description or tags have changed")]
    AttributesChanged,
    /// No version of that id.
    #[error("no version {0}")]
    NoVersion(VersionId),
    /// The version is a placeholder without a value.
    #[error("version {0} has no value")]
    NoValue(VersionId),
    /// The id is taken by other content.
    #[error("version {0} exists with other content")]
    VersionExists(VersionId),
    /// AWSCURRENT can move, but not vanish (aws.md section 3).
    #[error("AWSCURRENT can only be moved to another version")]
    CurrentMustStay,
    /// More labels than AWS keeps.
    #[error("a secret has at most 20 staging labels over all its versions")]
    TooManyLabels,
    /// A change that names nothing to do.
    #[error("the change names neither a holder nor a target")]
    Nothing,
}

fn or_none(id: Option<&VersionId>) -> String {
    id.map_or_else(|| "no version".to_owned(), ToString::to_string)
}
