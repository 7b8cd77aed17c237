use super::container::BadContainer;
use super::holder::KeysError;
use super::identity::IdentityFileError;
use super::plugin::PluginError;
use super::random::RandomError;
use super::value::BoundField;

/// Why nothing was encrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// Nobody to encrypt to.
    #[error("there is no recipient to encrypt to")]
    NoRecipients,
    /// More recipients than the reader's limit on stanzas allows.
    #[error("a file is encrypted to at most 255 recipients, not {0}")]
    TooManyRecipients(usize),
    /// More recipients than a bundle's header has room for.
    #[error("a bundle is encrypted to at most 64 recipients, not {0}")]
    TooManyReaders(usize),
    /// A vault id that is not a UUID in lower case.
    #[error("the vault id is not a UUID in lower case")]
    VaultId,
    /// A time outside the years RFC 3339 can write.
    #[error("the time of creation cannot be written as RFC 3339")]
    Created,
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// An age plugin was needed and did not do it.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A plugin's recipient that may not share a file with the others, such as a
    /// post-quantum one.
    #[error("the recipients may not be mixed in one file: an age plugin says so")]
    Mixed,
    /// A plugin made more of a header than any reader accepts.
    #[error("the age header became larger than any strongroom reads")]
    TooLarge,
    /// The age library refused; it has no reason to with X25519 recipients.
    #[error("the age library refused to encrypt")]
    Refused,
}

/// Why an age file of the vault was not opened.
///
/// Everything git carries is hostile until verified, so each answer is a reason to
/// stop and never to try something weaker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Over 160 KiB, or more plaintext than its kind of file can hold.
    #[error("the file is larger than any strongroom writes")]
    TooLarge,
    /// Not a binary age v1 file.
    #[error("not an age v1 file")]
    NotAge,
    /// An armored age file; in a vault they are binary.
    #[error("an armored age file; the vault's are binary")]
    Armored,
    /// An age file under a passphrase; in a vault they are not.
    #[error("an age file under a passphrase; the vault's are encrypted to keys")]
    PassphraseFile,
    /// A header over 64 KiB or with more than 256 stanzas, made to waste time.
    #[error("the age header is larger than any strongroom writes")]
    HeaderBomb,
    /// A value's file that is encrypted to more than the keyring.
    #[error("the file is encrypted to {0} recipients; a value's goes to the keyring alone")]
    Recipients(usize),
    /// Encrypted to other keys, or its recipient stanza is damaged: age cannot tell
    /// one from the other.
    #[error("the file is not encrypted to this key")]
    NoIdentityMatches,
    /// Cut short, lengthened or altered.
    #[error("the file is damaged: cut short or altered")]
    Damaged,
    /// A value's file in a newer format.
    #[error("the value needs a newer strongroom")]
    NewerFormat,
    /// It decrypts, and what is inside is no container (book, formats/value-file).
    #[error("the decrypted file is not a strongroom value")]
    BadContainer(#[source] BadContainer),
    /// It decrypts, and it belongs to another vault, secret or version: a swap.
    #[error("the file belongs to another {field}")]
    WrongPlace {
        /// The first part of its address that differs.
        field: BoundField,
    },
    /// A keyring's file that decrypts, and holds no plain identity file.
    #[error("the decrypted keyring is not an identity file")]
    BadKeyring(#[source] IdentityFileError),
    /// An age plugin was needed and did not do it. Nothing is known about the file then.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// Whoever holds the keys did not use them. Nothing is known about the file then.
    #[error(transparent)]
    Keys(#[from] KeysError),
}
