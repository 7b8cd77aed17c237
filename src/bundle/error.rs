use std::io;
use std::path::PathBuf;

use super::header::HeaderError;
use crate::crypto::{
    EncryptError, KeysError, OpenError, PluginError, RandomError, SealError, SealedIdentityError,
    UnsealError,
};

/// Why a bundle was not written, or not believed. Nothing of one is used then.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Over 4 GiB.
    #[error("the bundle has {0} bytes; none has more than 4 GiB")]
    TooLarge(u64),
    /// It ends before its trailer.
    #[error("the bundle is cut short")]
    Truncated,
    /// Bytes of it were changed, or it ends in the middle of a chunk.
    #[error("the bundle is damaged: altered or cut short")]
    Damaged,
    /// Encrypted to other keys.
    #[error("the bundle is for someone else: it is not encrypted to this identity")]
    ForSomeoneElse,
    /// Not a file of age's, or one that no strongroom writes.
    #[error("not a bundle")]
    NotABundle(#[source] OpenError),
    /// The age header is made to waste time.
    #[error("not a bundle: the age header is larger than any strongroom writes")]
    HeaderBomb,
    /// An age file, with something else inside.
    #[error("not a bundle: it does not begin with a bundle's header")]
    NoHeader,
    /// A format of the future.
    #[error("the bundle's format {0} needs a newer strongroom")]
    NewerFormat(String),
    /// A header that no strongroom writes.
    #[error("the bundle's header is malformed")]
    Header(#[from] HeaderError),
    /// The sealed key of a bundle under a passphrase is malformed, or its cost out of
    /// bounds.
    #[error("the bundle's passphrase header is refused")]
    Sealed(#[from] SealedIdentityError),
    /// The passphrase does not open it.
    #[error("the bundle does not open with this passphrase")]
    Unseal(#[from] UnsealError),
    /// A frame of a kind that this format does not have.
    #[error("frame {at} is of unknown kind {kind:#04x}")]
    UnknownFrame {
        /// Which frame, counted from 1.
        at: u64,
        /// Its kind.
        kind: u8,
    },
    /// A frame where its kind may not stand, or a second one of a kind that is there
    /// once.
    #[error("frame {at} ({kind}) may not stand there")]
    Misplaced {
        /// Which frame, counted from 1.
        at: u64,
        /// Its kind, in a word.
        kind: &'static str,
    },
    /// A frame over 256 KiB.
    #[error("frame {at} has {length} bytes; none has more than 262144")]
    Oversize {
        /// Which frame, counted from 1.
        at: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// More frames, secrets, values or bytes than the header says, or fewer.
    #[error("the bundle does not hold what its header says: {what}")]
    WrongTotals {
        /// What does not fit.
        what: &'static str,
    },
    /// One version of one secret twice.
    #[error("frame {at} repeats a version")]
    Duplicate {
        /// Which frame, counted from 1.
        at: u64,
    },
    /// A value's frame that does not begin with a version id.
    #[error("frame {at} is no value")]
    BadValue {
        /// Which frame, counted from 1.
        at: u64,
    },
    /// Something follows the trailer.
    #[error("something follows the bundle's trailer")]
    Trailing,
    /// The hash in the trailer is another than that of what stands before it.
    #[error("the bundle's trailer does not fit its content")]
    WrongHash,
    /// The trailer was not made with the vault's key.
    #[error("the bundle was not made by a member of this vault: its mac is wrong")]
    WrongMac,
    /// The key that a bundle for newcomers carries is none.
    #[error("the bundle's own key is malformed")]
    BadKey,
    /// Whoever holds the keys did not use them.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Nothing was encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// An age plugin was needed and did not do it.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// No key was made for the passphrase.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// There is a file of that name already.
    #[error("{}: is there already, and is not overwritten", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// What was written is not what can be read.
    #[error("{}: what was written reads back differently; the medium is not to be trusted", .path.display())]
    Unreliable {
        /// The file.
        path: PathBuf,
    },
    /// A directory, a device, a pipe.
    #[error("{}: not a regular file", .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{}: cannot {operation}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, as a verb.
        operation: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl BundleError {
    /// Whether the file is not what it should be, whoever made it so.
    pub fn is_integrity(&self) -> bool {
        !matches!(
            self,
            Self::ForSomeoneElse
                | Self::NewerFormat(_)
                | Self::Unseal(UnsealError::WrongPassphrase | UnsealError::Memory(_))
                | Self::Sealed(SealedIdentityError::NewerFormat)
                | Self::Keys(_)
                | Self::Encrypt(_)
                | Self::Plugin(_)
                | Self::Seal(_)
                | Self::Random(_)
                | Self::Exists { .. }
                | Self::Unreliable { .. }
                | Self::NotAFile { .. }
                | Self::Io { .. }
        )
    }

    /// Whether a newer strongroom is needed.
    pub fn is_newer(&self) -> bool {
        matches!(
            self,
            Self::NewerFormat(_) | Self::Sealed(SealedIdentityError::NewerFormat)
        )
    }
}

/// An error of reading the bundle itself: what age's stream says by its kind.
pub(super) fn reading(path: &std::path::Path, error: io::Error) -> BundleError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BundleError::Truncated,
        io::ErrorKind::InvalidData => BundleError::Damaged,
        _ => BundleError::Io {
            path: path.to_owned(),
            operation: "read",
            source: error,
        },
    }
}
