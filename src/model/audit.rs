use super::{Change, Record, RemoteName, SecretName, StagingLabel, Timestamp, VersionId};

/// Through which door somebody asks for a secret (book, audit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// A command that a person or a script runs.
    Cli,
    /// The local endpoint, by either of its protocols.
    Endpoint,
    /// A sync with remotes.
    Sync,
    /// A sync that nobody asked for at that moment.
    Watch,
    /// A migration from one account to another.
    Migrate,
}

impl Door {
    /// Its word in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Endpoint => "endpoint",
            Self::Sync => "sync",
            Self::Watch => "watch",
            Self::Migrate => "migrate",
        }
    }
}

/// Who asks, as far as the platform tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The door.
    pub door: Door,
    /// What is run: a command's verb, or an operation of the endpoint.
    pub verb: String,
    /// The user's number.
    pub uid: u32,
    /// The program that started the command.
    pub program: Option<String>,
    /// The access key id of a request to the endpoint.
    pub access_key: Option<String>,
    /// The Region of such a request.
    pub region: Option<String>,
}

/// What was done, by the name of the API's operation that does the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A value was decrypted, or was to be.
    Read,
    /// A secret was made.
    Create,
    /// A version was added.
    Put,
    /// A label was moved, set or taken away.
    MoveLabel {
        /// Which.
        label: StagingLabel,
        /// The version that had it.
        from: Option<VersionId>,
    },
    /// A secret was scheduled for deletion, deleted, or taken out of the vault.
    Delete,
    /// A deletion was taken back.
    Restore,
    /// The description or tags were changed.
    Update,
    /// The vault's settings were written.
    Settings,
    /// The vault was to be unlocked.
    Unlock,
    /// An operation of the endpoint that would have changed something was refused.
    Refused(&'static str),
}

impl Deed {
    /// The event's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Read => "GetSecretValue",
            Self::Create => "CreateSecret",
            Self::Put => "PutSecretValue",
            Self::MoveLabel { .. } => "UpdateSecretVersionStage",
            Self::Delete => "DeleteSecret",
            Self::Restore => "RestoreSecret",
            Self::Update => "UpdateSecret",
            Self::Settings => "UpdateVaultSettings",
            Self::Unlock => "UnlockVault",
            Self::Refused(operation) => operation,
        }
    }

    /// Whether nothing was changed.
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::Read | Self::Unlock)
    }
}

/// One thing that was asked for, and what came of it. There is no place in it for a
/// value, nor for a digest of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// What.
    pub deed: Deed,
    /// Of which secret: its name, or what was asked for where there is none of that name.
    pub secret: Option<String>,
    /// Which version.
    pub version: Option<VersionId>,
    /// The labels that the version had, or has now.
    pub labels: Vec<StagingLabel>,
    /// The remote it was done on; `None` is the vault.
    pub remote: Option<RemoteName>,
    /// Why it failed, in a code.
    pub error: Option<&'static str>,
}

impl AuditEntry {
    /// A deed about a secret as a whole.
    pub fn of(deed: Deed, name: &SecretName) -> Self {
        Self {
            deed,
            secret: Some(name.as_str().to_owned()),
            version: None,
            labels: Vec::new(),
            remote: None,
            error: None,
        }
    }

    /// A vault that was not unlocked, and why, in a code.
    pub fn of_failed_unlock(error: &'static str) -> Self {
        Self {
            deed: Deed::Unlock,
            secret: None,
            version: None,
            labels: Vec::new(),
            remote: None,
            error: Some(error),
        }
    }

    /// A step that was taken on a remote; `None` for one that only a vault can take.
    pub fn of_remote(change: &Change, record: &Record, remote: &RemoteName) -> Option<Self> {
        let (deed, version) = match change {
            Change::Create { version, .. } => {
                (Deed::Create, version.as_ref().map(|(id, _)| id.clone()))
            }
            Change::AddVersion { id, .. } => (Deed::Put, Some(id.clone())),
            Change::MoveLabel { label, from, to } => {
                let (label, from) = (label.clone(), from.clone());
                (Deed::MoveLabel { label, from }, to.clone())
            }
            Change::SetAttributes { .. } => (Deed::Update, None),
            Change::Delete { .. } => (Deed::Delete, None),
            Change::Restore => (Deed::Restore, None),
            _ => return None,
        };
        let labels = match change {
            Change::AddVersion { labels, .. } => labels.clone(),
            _ => Vec::new(),
        };
        Some(Self {
            version,
            labels,
            remote: Some(remote.clone()),
            ..Self::of(deed, &record.name)
        })
    }

    /// A deed about one of a secret's versions, with the labels that the record gives it.
    pub fn of_version(deed: Deed, record: &Record, id: &VersionId) -> Self {
        Self {
            version: Some(id.clone()),
            labels: record.state.labels_of(id).cloned().collect(),
            ..Self::of(deed, &record.name)
        }
    }

    /// What changing a secret's record from `old` to `new` did. What a record keeps for
    /// the sync alone is no event.
    pub fn of_change(old: Option<&Record>, new: &Record) -> Vec<Self> {
        let Some(old) = old else {
            let mut made = Self::of(Deed::Create, &new.name);
            if let Some(id) = new.state.current() {
                made = Self::of_version(Deed::Create, new, id);
            }
            let others = new.state.versions.iter();
            let others = others.filter(|(id, v)| v.has_value() && Some(*id) != new.state.current());
            let others = others.map(|(id, _)| Self::of_version(Deed::Put, new, id));
            return std::iter::once(made).chain(others).collect();
        };
        let mut all = Vec::new();
        let was = old.state.lifecycle.is_live();
        match (was, new.state.lifecycle.is_live()) {
            (true, false) => all.push(Self::of(Deed::Delete, &new.name)),
            (false, true) => all.push(Self::of(Deed::Restore, &new.name)),
            (true, true) | (false, false) => {}
        }
        let had = |id: &VersionId| old.state.versions.get(id).is_some_and(|v| v.has_value());
        for (id, meta) in &new.state.versions {
            if meta.has_value() && !had(id) {
                all.push(Self::of_version(Deed::Put, new, id));
            }
        }
        let labels = old.state.labels.keys().chain(new.state.labels.keys());
        let labels: std::collections::BTreeSet<&StagingLabel> = labels.collect();
        for label in labels {
            let (from, to) = (old.state.labels.get(label), new.state.labels.get(label));
            // A version that comes says itself which labels it has.
            if from == to || to.is_some_and(|to| !had(to)) {
                continue;
            }
            let deed = Deed::MoveLabel {
                label: label.clone(),
                from: from.cloned(),
            };
            all.push(Self {
                version: to.cloned(),
                ..Self::of(deed, &new.name)
            });
        }
        if old.state.attributes != new.state.attributes {
            all.push(Self::of(Deed::Update, &new.name));
        }
        all
    }

    /// The same, failed.
    #[must_use]
    pub fn failed(mut self, error: &'static str) -> Self {
        self.error = Some(error);
        self
    }
}

/// An entry with its moment and who asked, on its way into the log.
#[derive(Clone, Debug)]
pub struct AuditEvent {
    /// When.
    pub at: Timestamp,
    /// A fresh id.
    pub id: String,
    /// Who; `None` is whoever the vault was opened for.
    pub asker: Option<std::sync::Arc<Asker>>,
    /// What.
    pub entry: AuditEntry,
}
