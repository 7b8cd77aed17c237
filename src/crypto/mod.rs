//! Bytes to bytes: keys, age envelopes, the value container, the sealed identity,
//! macs and digests; and random passwords.
//!
//! The formats are those of the book's pages `formats/*` (format 1). Nothing here
//! opens a file, asks the time or reads the environment; randomness comes from the
//! operating system alone. A secret never reaches an error, and the types that
//! carry one have no `Debug`, `Display`, `Clone` or `Serialize`.
//!
//! What cannot be wiped from here, because a package keeps its own copy: the
//! 64 KiB chunk of age's `StreamWriter` while a value is encrypted, and the hash
//! states of HMAC and HKDF.

mod container;
mod cost;
mod envelope;
mod ephemeral;
mod error;
mod hidden;
mod holder;
mod identity;
mod keyring;
mod local;
mod mac;
mod member;
mod passphrase;
mod password;
mod plugin;
mod random;
mod sealed;
mod stream;
mod value;

pub use container::{BadContainer, ContainerHeader};
pub use cost::{Argon2Cost, CostError};
pub use envelope::{Ciphertext, Ct8, Ct8Error};
pub use ephemeral::{Ephemeral, Sealed};
pub use error::{EncryptError, OpenError};
pub use hidden::{HiddenName, MAX_HIDDEN, Placed};
pub use holder::{KeyHolder, KeysError, Revealed};
pub use identity::{Identity, IdentityFileError, KeyError, Recipient};
pub use keyring::{Commitment, CommitmentError, KeyringKeys, encrypt_keyring, open_keyring};
pub use local::LocalKeys;
pub use mac::{Domain, Mac, MacError};
pub use member::{
    HasMemberKey, Member, MemberKey, MemberKeyError, SshIdentity, SshKeyError, SshKeyFile,
    SshRecipient,
};
pub use passphrase::Passphrase;
pub use password::{PasswordError, PasswordRules};
pub use plugin::{
    Hosted, Machine, NoPlugins, PluginError, PluginFileError, PluginHost, PluginIdentity,
    PluginKeyFile, PluginName, PluginNameError, PluginPipe, PluginRecipient,
};
pub use random::RandomError;
pub use sealed::{SealError, SealedIdentity, SealedIdentityError, UnsealError};
pub use stream::{MAX_READERS, OpenStream, SealStream, StreamError, open_stream, seal_stream};
pub use value::{Binding, BoundField, Opened, open_value, seal_value};
