use std::path::PathBuf;

use super::audit::AuditError;
use super::disk::DiskError;
use super::keyring::KeyringError;
use super::lock::LockError;
use super::members::MemberError;
use super::meta::{MetaError, RecordError};
use super::state::StateError;
use crate::config::{BadValue, ConfigError};
use crate::crypto::{EncryptError, KeysError, MacError, OpenError, PluginError};
use crate::model::{SecretName, VersionId};

/// Why a vault did not do what it was asked. No value is ever part of one, and
/// whatever is about a file has its path.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// No `strongroom.toml` there.
    #[error("{}: not a vault (no strongroom.toml)", .path.display())]
    NotAVault {
        /// The directory.
        path: PathBuf,
    },
    /// `init` found a vault.
    #[error("{}: is a vault already", .path.display())]
    AlreadyAVault {
        /// The directory.
        path: PathBuf,
    },
    /// A directory on the way is writable by everybody.
    #[error("{}: writable by everybody; no place for a vault", .path.display())]
    Exposed {
        /// The directory that is writable.
        path: PathBuf,
    },
    /// git could not be set up for a new vault.
    #[error("{}: cannot make a git repository: {reason}", .path.display())]
    Git {
        /// The vault.
        path: PathBuf,
        /// What git says.
        reason: String,
    },
    /// git cannot say what is to be merged, or the result cannot be given to it.
    #[error("{}: cannot merge: {reason}", .path.display())]
    Merge {
        /// The vault.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The local state could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// `strongroom.toml` or a keyring's file has git's conflict markers.
    #[error("{}: line {line}: the file has git's conflict markers", .path.display())]
    ConflictMarkers {
        /// The file.
        path: PathBuf,
        /// The first marker, counted from 1.
        line: usize,
    },
    /// `strongroom.toml` is not what it should be.
    #[error("{}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: ConfigError,
    },
    /// Settings that cannot be written.
    #[error("the settings cannot be written: {0}")]
    Setting(#[from] BadValue),
    /// A file whose mac is absent or wrong.
    #[error("{}", .path.display())]
    Mac {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: MacError,
    },
    /// A keyring's member list is not what it should be.
    #[error("{}", .path.display())]
    Keyring {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: KeyringError,
    },
    /// The identity is not a member's.
    #[error("{}: not encrypted to this identity", .path.display())]
    NoIdentity {
        /// The keyring's file.
        path: PathBuf,
    },
    /// The identity was a member's when this clone last opened the vault, and the keyring
    /// that is there now does not open to it.
    #[error("{}: your key opens this vault no more, since epoch {epoch}", .path.display())]
    NoMemberNow {
        /// The keyring's file.
        path: PathBuf,
        /// The epoch at whose beginning members were removed, by the word of the list.
        epoch: u32,
    },
    /// The keyring's file does not open, for another reason.
    #[error("{}", .path.display())]
    KeyringFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: OpenError,
    },
    /// Another keyring than the one this clone trusts.
    #[error("{}: keyring {found} is not the one this clone trusts, {pinned}", .path.display())]
    OtherKeyring {
        /// The keyring's file.
        path: PathBuf,
        /// The trusted keyring's fingerprint.
        pinned: String,
        /// The fingerprint of the one that is there.
        found: String,
    },
    /// An older epoch of the keyring than this clone has seen.
    #[error("{}: the keyring is of epoch {found}, this clone has seen {seen}", .path.display())]
    OldEpoch {
        /// The keyring's file.
        path: PathBuf,
        /// The newest epoch seen.
        seen: u32,
        /// The epoch that is there.
        found: u32,
    },
    /// A member list of the trusted epoch that lacks a member whom this clone has seen
    /// in it: an older list was put back.
    #[error(
        "{}: an old member list was put back: it lacks {missing}, which this clone has seen in it",
        .path.display()
    )]
    OldMembers {
        /// The member list.
        path: PathBuf,
        /// The public key that it lacks.
        missing: String,
    },
    /// A keyring has another fingerprint than the one a person typed.
    #[error("the keyring's fingerprint is {found}, not the one given")]
    OtherFingerprint {
        /// The fingerprint of the keyring that is there.
        found: String,
    },
    /// The keys are being replaced, or were and the process died.
    #[error("{}: a rekey is under way", .path.display())]
    RekeyUnderWay {
        /// The file that says so.
        path: PathBuf,
    },
    /// The keys were replaced while the vault was open, or those that an agent holds
    /// are of an earlier epoch.
    #[error("{}: the vault's keys have been replaced", .path.display())]
    NewEpoch {
        /// The member list.
        path: PathBuf,
    },
    /// Secrets that are not as they should be, which stops what concerns all of them.
    #[error("{} cannot be read: {}", super::members::counted(.names.len()), .names.join(", "))]
    Unsound {
        /// Their names, or their paths.
        names: Vec<String>,
    },
    /// Secrets that are older than this clone has seen them.
    #[error("{} went back in time: {}", super::members::counted(.names.len()), .names.join(", "))]
    GoneBack {
        /// Their names, sorted.
        names: Vec<String>,
    },
    /// Settings that this clone has seen replaced.
    #[error("{}: the settings went back in time: this clone has seen newer ones", .path.display())]
    OldSettings {
        /// The settings.
        path: PathBuf,
    },
    /// What this clone has seen so far is not known any more, so nothing tells whether
    /// something went back.
    #[error("{}: damaged; what this clone has seen of the vault is not known", .path.display())]
    DamagedMark {
        /// The mark, in the clone's own state.
        path: PathBuf,
    },
    /// git is in the middle of something.
    #[error("git is in the middle of {0}")]
    GitBusy(&'static str),
    /// A change of the members that cannot be made.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// The list of what a removed member could read is not what it should be.
    #[error("{}: {reason}", .path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// Another vault lies where this clone's vault was.
    #[error(
        "{}: holds vault {found}, but vault {pinned} was here; if that is right, remove {}",
        .path.display(), .record.display()
    )]
    OtherVault {
        /// The directory.
        path: PathBuf,
        /// The id of the vault that was here.
        pinned: String,
        /// The id of the one that is here now.
        found: String,
        /// The local file that remembers.
        record: PathBuf,
    },
    /// The secret is in a keyring that the identity does not open.
    #[error("{name}: no access: it is in keyring {keyring}")]
    NoAccess {
        /// The secret.
        name: SecretName,
        /// The keyring.
        keyring: String,
    },
    /// A keyring that this member does not open.
    #[error("no access to keyring {0}")]
    KeyringClosed(String),
    /// The settings list no such keyring.
    #[error("no keyring named {0}")]
    NoKeyring(String),
    /// A keyring has that name, or had.
    #[error("there is or was a keyring named {0}")]
    KeyringTaken(String),
    /// A keyring is not what the settings, or this clone, know of it.
    #[error("{}: keyring {keyring}: {what}{trusted}", .path.display())]
    KeyringLost {
        /// Its member list.
        path: PathBuf,
        /// The keyring.
        keyring: String,
        /// What is wrong.
        what: &'static str,
        /// The fingerprint by which this clone trusts it, in words; empty without one.
        trusted: String,
    },
    /// The vault is locked, and this needs its keys.
    #[error("the vault is locked")]
    Locked,
    /// The vault is locked, and its names are hidden without the keys.
    #[error("the vault is locked, and its names are hidden")]
    NamesHidden,
    /// Whoever holds the vault's keys did not use them; nothing is known about what
    /// they were needed for.
    #[error("the vault's keys could not be used")]
    Keys(#[source] KeysError),
    /// Another process is writing, or the lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A secret's metadata is not believed.
    #[error("{}", .path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: MetaError,
    },
    /// A secret cannot be recorded.
    #[error("{name} cannot be recorded")]
    Record {
        /// The secret.
        name: SecretName,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// The record knows no such version, or knows it as one without a value.
    #[error("{name}: version {version} has no value in this vault")]
    NoValue {
        /// The secret.
        name: SecretName,
        /// The version.
        version: VersionId,
    },
    /// The metadata lists a version whose file is gone.
    #[error("{}: no file holds version {version} of {name}", .path.display())]
    ValueMissing {
        /// The secret.
        name: SecretName,
        /// The version.
        version: VersionId,
        /// What the file's path begins with.
        path: PathBuf,
    },
    /// A version's file does not open.
    #[error("{}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: OpenError,
    },
    /// A version's file opens to another value than the metadata vouches for.
    #[error("{}: holds another value than its metadata says", .path.display())]
    OtherValue {
        /// The file.
        path: PathBuf,
    },
    /// A value could not be encrypted.
    #[error("cannot encrypt")]
    Encrypt(#[from] EncryptError),
    /// The audit log is required here and was not written.
    #[error("the audit log is required here, and cannot be written")]
    Audit(#[from] AuditError),
}

impl From<KeysError> for VaultError {
    /// A holder that is gone has taken the keys with it: the vault is locked.
    fn from(error: KeysError) -> Self {
        match error {
            KeysError::Locked | KeysError::Gone => Self::Locked,
            error => Self::Keys(error),
        }
    }
}

impl VaultError {
    /// Whether something was found that nobody with the vault's key wrote there, or
    /// that was damaged: exit code 7 of the book.
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::KeyringFile {
                source: OpenError::Plugin(_),
                ..
            } => false,
            Self::Mac { .. }
            | Self::Keyring { .. }
            | Self::KeyringFile { .. }
            | Self::OtherKeyring { .. }
            | Self::OldEpoch { .. }
            | Self::OldMembers { .. }
            | Self::OtherFingerprint { .. }
            | Self::KeyringLost { .. }
            | Self::Unsound { .. }
            | Self::GoneBack { .. }
            | Self::OldSettings { .. }
            | Self::DamagedMark { .. }
            | Self::Ledger { .. }
            | Self::OtherVault { .. }
            | Self::Metadata { .. }
            | Self::ConflictMarkers { .. }
            | Self::ValueMissing { .. }
            | Self::Value { .. }
            | Self::OtherValue { .. } => !self.is_newer(),
            Self::Disk(error) => matches!(
                error,
                DiskError::Symlink { .. } | DiskError::NotAFile { .. } | DiskError::TooLarge { .. }
            ),
            Self::NotAVault { .. }
            | Self::AlreadyAVault { .. }
            | Self::Exposed { .. }
            | Self::Git { .. }
            | Self::Merge { .. }
            | Self::State(_)
            | Self::Config { .. }
            | Self::Setting(_)
            | Self::NoIdentity { .. }
            | Self::NoMemberNow { .. }
            | Self::RekeyUnderWay { .. }
            | Self::NewEpoch { .. }
            | Self::GitBusy(_)
            | Self::Member(_)
            | Self::NoAccess { .. }
            | Self::KeyringClosed(_)
            | Self::NoKeyring(_)
            | Self::KeyringTaken(_)
            | Self::Locked
            | Self::NamesHidden
            | Self::Keys(_)
            | Self::Lock(_)
            | Self::Record { .. }
            | Self::NoValue { .. }
            | Self::Encrypt(_)
            | Self::Audit(_) => false,
        }
    }

    /// Whether a newer strongroom wrote it: exit code 16 of the book.
    pub fn is_newer(&self) -> bool {
        matches!(
            self,
            Self::Config {
                source: ConfigError::NewerFormat(_),
                ..
            } | Self::Metadata {
                source: MetaError::NewerFormat(_),
                ..
            } | Self::Keyring {
                source: KeyringError::NewerFormat(_),
                ..
            } | Self::Value {
                source: OpenError::NewerFormat,
                ..
            }
        )
    }

    /// A text whose mac is absent or wrong, or could not be asked for.
    pub(super) fn mac(path: PathBuf, source: MacError) -> Self {
        match source {
            MacError::Keys(error) => error.into(),
            source => Self::Mac { path, source },
        }
    }

    /// Metadata that is not believed, or could not be checked.
    pub(super) fn metadata(path: PathBuf, source: MetaError) -> Self {
        match source {
            MetaError::Mac(MacError::Keys(error)) => error.into(),
            source => Self::Metadata { path, source },
        }
    }

    /// Whether the keys are not at hand any more: exit code 5 of the book.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Locked | Self::NamesHidden)
    }

    /// What an age plugin did not do, if that is all that was in the way.
    pub fn plugin(&self) -> Option<&PluginError> {
        match self {
            Self::Encrypt(EncryptError::Plugin(error))
            | Self::KeyringFile {
                source: OpenError::Plugin(error),
                ..
            } => Some(error),
            _ => None,
        }
    }

    /// Whether another process has the vault: exit code 13 of the book.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Lock(LockError::Busy { .. }))
    }
}
