use crate::bundle::{BundleError, HaveError};
use crate::crypto::{EncryptError, KeysError, OpenError};
use crate::model::{SecretName, ValueError, VersionId};
use crate::vault::{EpochError, MetaError, RecordError, VaultError};

/// Why nothing was exchanged. The vault is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The file.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The file that says what the receiver holds.
    #[error(transparent)]
    Have(#[from] HaveError),
    /// Of another vault.
    #[error("the {what} is of another vault, {found}; this one is {here}")]
    OtherVault {
        /// `bundle` or `have file`.
        what: &'static str,
        /// Its vault id.
        found: String,
        /// This vault's id.
        here: String,
    },
    /// Of this vault, under another key of its keyring.
    #[error("the {what} is under keyring {found}; this clone's is {here}")]
    OtherKeyring {
        /// `bundle` or `have file`.
        what: &'static str,
        /// Its keyring's fingerprint.
        found: String,
        /// The fingerprint here.
        here: String,
    },
    /// Of another epoch of the vault's keyring, and not believed.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// Of an epoch that has ended: others than the members of today have its keys.
    #[error("the bundle is under the keys of epoch {epoch}, and this vault is at epoch {here}")]
    FormerEpoch {
        /// Its epoch.
        epoch: u32,
        /// The vault's.
        here: u32,
    },
    /// Of a newer epoch that the vault was not taken to.
    #[error("the bundle is of epoch {epoch}, which this vault is not at")]
    NewerEpoch {
        /// Its epoch.
        epoch: u32,
    },
    /// Not the bundle whose fingerprint was read out.
    #[error("the bundle's fingerprint is {found}, which is not the one that was given")]
    OtherFingerprint {
        /// Its fingerprint.
        found: String,
    },
    /// For a newcomer, and applied to a vault.
    #[error("the bundle is for somebody without this vault's key")]
    ForNewcomer,
    /// For members, where one for a newcomer is needed.
    #[error("the bundle is for members of its vault")]
    ForMembers,
    /// This very clone made it.
    #[error("this clone made the bundle itself (number {sequence})")]
    OwnBundle {
        /// Its number.
        sequence: u64,
    },
    /// A newer one of the same sender was applied already.
    #[error(
        "bundle {sequence} of {name} is older than number {applied}, which was applied already"
    )]
    OldBundle {
        /// What the sender is called.
        name: String,
        /// Its number.
        sequence: u64,
        /// The newest number applied.
        applied: u64,
    },
    /// Another one of the same sender with the same number.
    #[error("another bundle of {name} with number {sequence} was applied already")]
    TwoBundles {
        /// What the sender is called.
        name: String,
        /// The number.
        sequence: u64,
    },
    /// A secret twice.
    #[error("the bundle has {name} twice")]
    DuplicateSecret {
        /// The secret.
        name: SecretName,
    },
    /// A secret's metadata that is not believed.
    #[error("metadata {at} of the bundle is not believed")]
    Metadata {
        /// Which one, counted from 1.
        at: usize,
        /// Why.
        #[source]
        source: MetaError,
    },
    /// A value that is not the one its metadata vouches for.
    #[error("the bundle's value of version {version} of {name} is not believed")]
    Value {
        /// The secret.
        name: SecretName,
        /// The version.
        version: VersionId,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// A value that opens and is another than the metadata says.
    #[error("the bundle's value of version {version} of {name} is another than its metadata says")]
    OtherValue {
        /// The secret.
        name: SecretName,
        /// The version.
        version: VersionId,
    },
    /// A value of a version that the metadata before it does not list.
    #[error("the bundle has a value of version {version}, which {name} lacks")]
    StrayValue {
        /// The secret.
        name: SecretName,
        /// The version.
        version: VersionId,
    },
    /// A version that is neither in the bundle nor here: it was made for somebody else.
    #[error("the bundle takes version {version} of {name} for known, and it is not here")]
    Lacking {
        /// The secret.
        name: SecretName,
        /// The version.
        version: VersionId,
    },
    /// A secret that is not believed here, and so not sent.
    #[error("{title} is blocked: {reason}")]
    Blocked {
        /// Its name, or its path; escaped.
        title: String,
        /// Why; escaped.
        reason: String,
    },
    /// Nothing to carry.
    #[error("no secret's name begins so")]
    Nothing,
    /// The new vault's place is taken.
    #[error("{}: is not empty", .0.display())]
    NotEmpty(std::path::PathBuf),
    /// Whoever holds the keys did not use them.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A value could not be encrypted anew.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// A record that cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A value that is none.
    #[error(transparent)]
    NoValue(#[from] ValueError),
}

impl ExchangeError {
    /// Whether something that was carried here is not what it should be.
    pub fn is_integrity(&self) -> bool {
        match self {
            Self::Vault(error) => error.is_integrity(),
            Self::Bundle(error) => error.is_integrity(),
            Self::Epoch(error) => match error {
                EpochError::Vault(error) => error.is_integrity(),
                EpochError::NotAMember => false,
                EpochError::File(_) | EpochError::List | EpochError::Unvouched { .. } => true,
            },
            Self::Have(_)
            | Self::FormerEpoch { .. }
            | Self::NewerEpoch { .. }
            | Self::OtherFingerprint { .. }
            | Self::OtherVault { .. }
            | Self::OtherKeyring { .. }
            | Self::OwnBundle { .. }
            | Self::OldBundle { .. }
            | Self::TwoBundles { .. }
            | Self::DuplicateSecret { .. }
            | Self::Metadata { .. }
            | Self::Value { .. }
            | Self::OtherValue { .. }
            | Self::StrayValue { .. }
            | Self::Lacking { .. }
            | Self::Blocked { .. } => true,
            Self::ForNewcomer
            | Self::ForMembers
            | Self::Nothing
            | Self::NotEmpty(_)
            | Self::Keys(_)
            | Self::Encrypt(_)
            | Self::Record(_)
            | Self::NoValue(_) => false,
        }
    }
}
