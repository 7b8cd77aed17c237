use std::collections::BTreeMap;

use crate::model::{Conflict, RemoteName, SecretName};
use crate::plan::{Answer, Halt, Note};
use crate::store::StoreError;
use crate::vault::VaultError;

/// Why a run ended before it was through.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A remote, before anything was done.
    #[error("remote {remote}")]
    Remote {
        /// Which.
        remote: RemoteName,
        /// What it said.
        source: StoreError,
    },
    /// A guard.
    #[error(transparent)]
    Halted(#[from] Halt),
}

/// How it went with one secret that a plan had something to do for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was done and verified.
    Done,
    /// Somebody changed it in the meantime; the next run plans it anew.
    Superseded(String),
    /// It needs another round: what was just restored could not be read before.
    Again,
    /// The remote allowed some of it only.
    Failed {
        /// The remote.
        remote: RemoteName,
        /// What it said.
        error: StoreError,
    },
    /// A value of the vault could not be read: the disk, not what is on it.
    Unreadable(String),
    /// One version id with two contents, or a value that is not what the vault's
    /// metadata says.
    Integrity(String),
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Report {
    /// Per secret that the plan had actions for.
    pub outcomes: BTreeMap<SecretName, Outcome>,
    /// Versions copied into the vault.
    pub copied: usize,
    /// Steps taken in the vault beside that.
    pub here: usize,
    /// Steps taken on remotes.
    pub there: usize,
    /// Metadata files written.
    pub written: usize,
    /// Conflicts that wait for a person, by secret.
    pub conflicts: Vec<(SecretName, Conflict)>,
    /// What strategies decided, by secret. It counts where the secret's outcome is
    /// [`Outcome::Done`].
    pub answers: Vec<(SecretName, Answer)>,
    /// What the plan had to say.
    pub notes: Vec<(SecretName, Note)>,
    /// Set if a remote failed so that nothing more could be asked of it.
    pub stopped: Option<(RemoteName, StoreError)>,
    /// Why the vault's git history lacks this run, if it does.
    pub uncommitted: Option<String>,
}

impl Report {
    /// Whether everything the plan wanted was done.
    pub fn is_complete(&self) -> bool {
        self.stopped.is_none() && self.outcomes.values().all(|o| *o == Outcome::Done)
    }

    /// Whether nothing had to be done.
    pub fn is_quiet(&self) -> bool {
        self.outcomes.is_empty() && self.written == 0 && self.conflicts.is_empty()
    }
}
