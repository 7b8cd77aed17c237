//! Who can open a keyring: age X25519 keys, ssh-ed25519 keys (C2SP age, "The
//! ssh-ed25519 recipient type"), and keys of age plugins.
//!
//! Must never happen: a keyring is encrypted to an ssh-rsa key (age's support rests on
//! an implementation with a known timing leak), or the rounds of an encrypted ssh key
//! are run before they were bounded.

use std::fmt;
use std::str::FromStr;

use age::secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::envelope::{self, Readers};
use super::error::OpenError;
use super::identity::{Identity, Recipient};
use super::keyring::MAX_KEYRING;
use super::passphrase::Passphrase;
use super::plugin::{NoPlugins, PluginHost, PluginRecipient};

const ED25519: &str = "ssh-ed25519";
const SSH_BEGIN: &[u8] = b"-----BEGIN ";
const OPENSSH_BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const OPENSSH_END: &str = "-----END OPENSSH PRIVATE KEY-----";
/// The most rounds of bcrypt that an encrypted ssh key may ask for. ssh-keygen writes
/// 16 to 24; one round takes some 5 ms.
const MAX_ROUNDS: u32 = 1024;
/// The largest ssh key file, in bytes.
const MAX_SSH: usize = 16 * 1024;

/// A text that is no public key of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberKeyError {
    /// Neither `age1...` nor `ssh-ed25519 ...`.
    #[error("neither an age recipient (age1...) nor an ssh-ed25519 public key")]
    Unknown,
    /// An RSA key.
    #[error("an ssh-rsa key; use an ssh-ed25519 or an age key")]
    Rsa,
    /// A recipient of an age plugin that is not well formed.
    #[error(
        "looks like a recipient of an age plugin (age1NAME1...), and its name or checksum is wrong"
    )]
    Plugin,
    /// A point of small order: anyone could read what is encrypted to it.
    #[error("a public key of small order; nothing may be encrypted to it")]
    SmallOrder,
}

/// The public key of a member, which a keyring is encrypted to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum MemberKey {
    /// An age X25519 recipient, `age1...`.
    X25519(Recipient),
    /// An ssh-ed25519 public key.
    Ssh(SshRecipient),
    /// A recipient of an age plugin, `age1<name>1...`.
    Plugin(PluginRecipient),
}

/// An ssh-ed25519 public key in its canonical form: kind and key, no comment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SshRecipient(String);

impl SshRecipient {
    fn parse(text: &str) -> Result<age::ssh::Recipient, MemberKeyError> {
        let key: age::ssh::Recipient = text.parse().map_err(|_| MemberKeyError::Unknown)?;
        match &key {
            age::ssh::Recipient::SshRsa(..) => Err(MemberKeyError::Rsa),
            age::ssh::Recipient::SshEd25519(_, point) if point.is_small_order() => {
                Err(MemberKeyError::SmallOrder)
            }
            age::ssh::Recipient::SshEd25519(..) if key.to_string() == text => Ok(key),
            age::ssh::Recipient::SshEd25519(..) => Err(MemberKeyError::Unknown),
        }
    }
}

impl MemberKey {
    /// Reads a public key as a person gives it: of an ssh key a comment at the end is
    /// left out.
    pub fn from_person(text: &str) -> Result<Self, MemberKeyError> {
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some(kind), Some(key)) if kind.starts_with("ssh-") => format!("{kind} {key}").parse(),
            (Some(kind), Some(_)) if kind.starts_with("sk-ssh-") || kind.starts_with("ecdsa-") => {
                Err(MemberKeyError::Unknown)
            }
            (Some(key), None) => key.parse(),
            _ => Err(MemberKeyError::Unknown),
        }
    }

    /// The first 20 hex digits of the SHA-256 of its text, in groups of four, for two
    /// people to compare.
    pub fn fingerprint(&self) -> String {
        let hash = Sha256::digest(self.to_string().as_bytes());
        super::keyring::grouped(&hash)
    }

    /// The key as age's own; none for a plugin's, which needs its plugin.
    pub(super) fn to_age(&self) -> Option<Box<dyn age::Recipient>> {
        match self {
            Self::X25519(key) => Some(Box::new(key.as_age().clone())),
            Self::Ssh(key) => {
                let key = SshRecipient::parse(&key.0).ok()?;
                Some(Box::new(key))
            }
            Self::Plugin(_) => None,
        }
    }
}

impl From<Recipient> for MemberKey {
    fn from(key: Recipient) -> Self {
        Self::X25519(key)
    }
}

impl FromStr for MemberKey {
    type Err = MemberKeyError;

    /// Reads the canonical form alone.
    fn from_str(text: &str) -> Result<Self, MemberKeyError> {
        if text.starts_with("ssh-rsa") {
            return Err(MemberKeyError::Rsa);
        }
        if text.starts_with(ED25519) {
            SshRecipient::parse(text)?;
            return Ok(Self::Ssh(SshRecipient(text.to_owned())));
        }
        match text.parse() {
            Ok(key) => Ok(Self::X25519(key)),
            Err(super::KeyError::SmallOrder) => Err(MemberKeyError::SmallOrder),
            // An X25519 recipient has 58 characters behind `age1`, and no second `1`.
            Err(_) if text.strip_prefix("age1").is_some_and(|t| t.contains('1')) => {
                let key = text.parse().map_err(|_| MemberKeyError::Plugin)?;
                Ok(Self::Plugin(key))
            }
            Err(_) => Err(MemberKeyError::Unknown),
        }
    }
}

impl fmt::Display for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X25519(key) => key.fmt(f),
            Self::Ssh(key) => f.write_str(&key.0),
            Self::Plugin(key) => key.fmt(f),
        }
    }
}

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberKey({self})")
    }
}

/// Whatever has a member's public key.
pub trait HasMemberKey {
    /// The key that a keyring is encrypted to.
    fn member_key(&self) -> MemberKey;

    /// What runs the key's plugin, if it is a plugin's.
    fn plugins(&self) -> &dyn PluginHost {
        &NoPlugins
    }
}

impl<M: HasMemberKey + ?Sized> HasMemberKey for &M {
    fn member_key(&self) -> MemberKey {
        (**self).member_key()
    }

    fn plugins(&self) -> &dyn PluginHost {
        (**self).plugins()
    }
}

impl HasMemberKey for MemberKey {
    fn member_key(&self) -> MemberKey {
        self.clone()
    }
}

impl HasMemberKey for Recipient {
    fn member_key(&self) -> MemberKey {
        self.clone().into()
    }
}

/// A member's private key: whatever opens a keyring's file.
pub trait Member: HasMemberKey {
    /// Decrypts a keyring's file.
    ///
    /// age knows no sender: that this is the keyring the clone trusts shows only when
    /// its [`super::Commitment`] is compared with the pinned one.
    fn open_keyring(&self, file: &[u8]) -> Result<Identity, OpenError>;

    /// The key as age's own.
    #[doc(hidden)]
    fn as_age_identity(&self) -> &dyn age::Identity;
}

impl<M: Member + ?Sized> HasMemberKey for std::sync::Arc<M> {
    fn member_key(&self) -> MemberKey {
        self.as_ref().member_key()
    }

    fn plugins(&self) -> &dyn PluginHost {
        self.as_ref().plugins()
    }
}

impl<M: Member + ?Sized> Member for std::sync::Arc<M> {
    fn open_keyring(&self, file: &[u8]) -> Result<Identity, OpenError> {
        self.as_ref().open_keyring(file)
    }

    fn as_age_identity(&self) -> &dyn age::Identity {
        self.as_ref().as_age_identity()
    }
}

impl HasMemberKey for Identity {
    fn member_key(&self) -> MemberKey {
        self.recipient().into()
    }
}

impl Member for Identity {
    fn open_keyring(&self, file: &[u8]) -> Result<Identity, OpenError> {
        open(file, self.as_age())
    }

    fn as_age_identity(&self) -> &dyn age::Identity {
        self.as_age()
    }
}

pub(super) fn open(file: &[u8], key: &dyn age::Identity) -> Result<Identity, OpenError> {
    let plain = envelope::decrypt_by(file, key, Readers::Many, MAX_KEYRING)?;
    Identity::from_file(&plain).map_err(OpenError::BadKeyring)
}

/// Why an ssh private key was not read. Nothing of the key is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshKeyError {
    /// Not an OpenSSH private key file.
    #[error("not an OpenSSH private key that can be read")]
    Malformed,
    /// Another kind of key.
    #[error("an ssh key of kind {0}; strongroom opens vaults with ssh-ed25519 keys alone")]
    Kind(&'static str),
    /// More rounds of bcrypt than any ssh-keygen writes.
    #[error("the key's passphrase hashing asks for {0} rounds; 1024 are the most")]
    Rounds(u32),
    /// The passphrase does not open the key.
    #[error("wrong passphrase")]
    WrongPassphrase,
}

/// An OpenSSH private key file, as read: its passphrase may still be needed.
pub struct SshKeyFile(age::ssh::Identity);

/// A member's ssh-ed25519 private key.
///
/// ```compile_fail
/// fn shows<T: std::fmt::Debug>(_: T) {}
/// fn some() -> strongroom::crypto::SshIdentity { unimplemented!() }
/// shows(some());
/// ```
pub struct SshIdentity {
    key: age::ssh::Identity,
    public: SshRecipient,
}

impl SshKeyFile {
    /// Whether the bytes are a private key in PEM's armor, which ssh's are.
    pub fn is_ssh(bytes: &[u8]) -> bool {
        bytes.trim_ascii_start().starts_with(SSH_BEGIN)
    }

    /// Reads the file. The bound on its rounds of bcrypt is held before any is run.
    pub fn parse(bytes: &[u8]) -> Result<Self, SshKeyError> {
        if bytes.len() > MAX_SSH {
            return Err(SshKeyError::Malformed);
        }
        let text = std::str::from_utf8(bytes.trim_ascii()).map_err(|_| SshKeyError::Malformed)?;
        if text.starts_with("-----BEGIN RSA") {
            return Err(SshKeyError::Kind("ssh-rsa"));
        }
        if let Some(rounds) = rounds(text).ok_or(SshKeyError::Malformed)?
            && rounds > MAX_ROUNDS
        {
            return Err(SshKeyError::Rounds(rounds));
        }
        // Grown, it would leave a copy behind that nobody wipes.
        let mut whole = zeroize::Zeroizing::new(String::with_capacity(text.len() + 1));
        whole.push_str(text);
        whole.push('\n');
        let key = age::ssh::Identity::from_buffer(whole.as_bytes(), None);
        match key.map_err(|_| SshKeyError::Malformed)? {
            age::ssh::Identity::Unsupported(_) => Err(SshKeyError::Kind("other than ed25519")),
            key => Ok(Self(key)),
        }
    }

    /// Whether a passphrase is needed.
    pub fn is_sealed(&self) -> bool {
        matches!(self.0, age::ssh::Identity::Encrypted(_))
    }

    /// Opens the key; without a passphrase, one that has none.
    pub fn open(self, passphrase: Option<&Passphrase>) -> Result<SshIdentity, SshKeyError> {
        let key = match (self.0, passphrase) {
            (age::ssh::Identity::Encrypted(key), Some(passphrase)) => {
                let text = std::str::from_utf8(passphrase.expose_secret());
                let text = text.map_err(|_| SshKeyError::WrongPassphrase)?;
                let passphrase = SecretString::from(text.to_owned());
                let key = key.decrypt(passphrase);
                age::ssh::Identity::Unencrypted(key.map_err(|_| SshKeyError::WrongPassphrase)?)
            }
            (age::ssh::Identity::Encrypted(_), None) => return Err(SshKeyError::WrongPassphrase),
            (key, _) => key,
        };
        let public = age::ssh::Recipient::try_from(key.clone());
        let public = public.map_err(|_| SshKeyError::Malformed)?.to_string();
        match public.parse() {
            Ok(MemberKey::Ssh(public)) => Ok(SshIdentity { key, public }),
            Err(MemberKeyError::Rsa) => Err(SshKeyError::Kind("ssh-rsa")),
            _ => Err(SshKeyError::Malformed),
        }
    }
}

impl HasMemberKey for SshIdentity {
    fn member_key(&self) -> MemberKey {
        MemberKey::Ssh(self.public.clone())
    }
}

impl Member for SshIdentity {
    fn open_keyring(&self, file: &[u8]) -> Result<Identity, OpenError> {
        open(file, &self.key)
    }

    fn as_age_identity(&self) -> &dyn age::Identity {
        &self.key
    }
}

/// The rounds of bcrypt that an OpenSSH private key asks for; the inner `None` is a key
/// without a passphrase, the outer one a file that is none (OpenSSH, PROTOCOL.key).
fn rounds(text: &str) -> Option<Option<u32>> {
    let body = text
        .strip_prefix(OPENSSH_BEGIN)?
        .strip_suffix(OPENSSH_END)?;
    let body: zeroize::Zeroizing<Vec<u8>> =
        zeroize::Zeroizing::new(body.bytes().filter(|b| !b.is_ascii_whitespace()).collect());
    let bytes = data_encoding::BASE64.decode(&body).ok()?;
    let bytes = zeroize::Zeroizing::new(bytes);
    let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let _cipher = field(&mut rest)?;
    let kdf = field(&mut rest)?;
    let mut options = field(&mut rest)?;
    match kdf {
        b"none" => Some(None),
        b"bcrypt" => {
            let _salt = field(&mut options)?;
            let rounds: [u8; 4] = options.try_into().ok()?;
            Some(Some(u32::from_be_bytes(rounds)))
        }
        _ => None,
    }
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, after) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (field, after) = after.split_at_checked(len)?;
    *rest = after;
    Some(field)
}

#[cfg(test)]
mod tests;
