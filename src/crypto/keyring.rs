use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::envelope::{self, Ciphertext};
use super::error::{EncryptError, OpenError};
use super::holder::{KeyHolder, KeysError};
use super::identity::{Identity, Recipient};
use super::local::LocalKeys;
use super::mac::{Domain, Mac};
use super::member::{HasMemberKey, Member};
use crate::model::{Digest, SecretValue, Timestamp};

/// Most bytes a keyring's plain identity file may have.
pub(super) const MAX_KEYRING: usize = 4096;

/// An unlocked keyring: what can be done with its identity, and with the keys for
/// macs and digests that are derived from it (HKDF-SHA-256, RFC 5869; book,
/// formats/keyring). The keys are in this process or with another [`KeyHolder`].
///
/// ```compile_fail
/// use strongroom::crypto::{Identity, KeyringKeys};
/// fn shows<T: std::fmt::Debug>(_: T) {}
/// shows(KeyringKeys::new(Identity::generate(), "v"));
/// ```
/// ```compile_fail
/// use strongroom::crypto::{Identity, KeyringKeys};
/// fn copies<T: Clone>(_: T) {}
/// copies(KeyringKeys::new(Identity::generate(), "v"));
/// ```
pub struct KeyringKeys(Box<dyn KeyHolder>);

impl KeyringKeys {
    /// Derives the keys of one keyring in one vault, to hold them in this process;
    /// `vault_id` is the vault's UUID text.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "whoever unlocks gives the identity away, and no second copy stays"
    )]
    pub fn new(identity: Identity, vault_id: &str) -> Self {
        Self(Box::new(LocalKeys::ordinary(&identity, vault_id)))
    }

    /// The keys that somebody else holds.
    pub fn held(holder: Box<dyn KeyHolder>) -> Self {
        Self(holder)
    }

    /// The public key that values are encrypted to.
    pub fn recipient(&self) -> Recipient {
        self.0.recipient().clone()
    }

    /// The keyring's own identity, to encrypt it to a changed list of members; none
    /// if another process holds it.
    pub fn identity(&self) -> Option<Identity> {
        self.0.identity()
    }

    /// The mac of a text of the given kind.
    pub fn mac(&self, domain: Domain, body: &[u8]) -> Result<Mac, KeysError> {
        let macs = self.macs(domain, &[body])?;
        macs.into_iter().next().ok_or(KeysError::NoAnswer)
    }

    /// The macs of texts of the given kind, in their order.
    pub fn macs(&self, domain: Domain, bodies: &[&[u8]]) -> Result<Vec<Mac>, KeysError> {
        let macs = self.0.macs(domain, bodies)?;
        match macs.len() == bodies.len() {
            true => Ok(macs),
            false => Err(KeysError::NoAnswer),
        }
    }

    /// The keyed digest of a value, over its kind and content.
    pub fn digest(&self, value: &SecretValue) -> Result<Digest, KeysError> {
        self.0.digest(value)
    }

    /// What a clone pins at first use: it tells this keyring from every other and
    /// gives nothing away.
    pub fn commitment(&self) -> Commitment {
        self.0.commitment()
    }

    pub(super) fn holder(&self) -> &dyn KeyHolder {
        &*self.0
    }

    pub(super) fn decrypt(&self, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        self.0.decrypt(file)
    }
}

/// The public commitment to a keyring's key, 32 bytes, written as 64 hex digits in
/// lower case (crypto.md section 9, book formats/keyring).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commitment(pub(super) [u8; 32]);

impl Commitment {
    /// The first 20 hex digits in groups of four, for two people to compare.
    pub fn fingerprint(&self) -> String {
        grouped(&self.0)
    }
}

/// The first 20 hex digits in groups of four.
pub(super) fn grouped(hash: &[u8]) -> String {
    let hex = data_encoding::HEXLOWER.encode(hash.get(..10).unwrap_or_default());
    let mut out = String::with_capacity(24);
    for (at, c) in hex.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            out.push('-');
        }
        out.push(c);
    }
    out
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commitment({self})")
    }
}

impl FromStr for Commitment {
    type Err = CommitmentError;

    fn from_str(text: &str) -> Result<Self, CommitmentError> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| CommitmentError)?;
        Ok(Self(bytes.try_into().map_err(|_| CommitmentError)?))
    }
}

/// A text that is not 64 hex digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key commitment has 64 hex digits in lower case")]
pub struct CommitmentError;

/// Encrypts a keyring's identity to its members, as the plain identity file that
/// stock age reads (book, formats/keyring). The plugins of members who have one are run.
pub fn encrypt_keyring(
    identity: &Identity,
    created: Timestamp,
    members: &[impl HasMemberKey],
) -> Result<Ciphertext, EncryptError> {
    if created.to_string().parse() != Ok(created) {
        return Err(EncryptError::Created);
    }
    let members = super::plugin::recipients(members)?;
    let members: Vec<&dyn age::Recipient> = members.iter().map(AsRef::as_ref).collect();
    envelope::encrypt_to(&identity.to_file(created), &members)
}

/// Decrypts a keyring's file with a member's identity.
///
/// age knows no sender: that this is the keyring the clone trusts shows only when
/// its [`Commitment`] is compared with the pinned one.
pub fn open_keyring(file: &[u8], member: &dyn Member) -> Result<Identity, OpenError> {
    member.open_keyring(file)
}

#[cfg(test)]
mod tests;
