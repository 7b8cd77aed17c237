use std::fmt;
use std::str::FromStr;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

use super::envelope::{self, Ciphertext, Readers};
use super::error::{EncryptError, OpenError};
use super::identity::{Identity, Recipient};
use super::mac::{Domain, Mac};
use crate::model::{Digest, Kind, SecretValue, Timestamp};

/// Most bytes a keyring's plain identity file may have.
const MAX_KEYRING: usize = 4096;

/// An unlocked keyring: its identity, and the keys for macs and digests that are
/// derived from it (HKDF-SHA-256, RFC 5869; book, formats/keyring).
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
pub struct KeyringKeys {
    identity: Identity,
    mac: SecretBox<[u8; 32]>,
    digest: SecretBox<[u8; 32]>,
    commitment: Commitment,
}

impl KeyringKeys {
    /// Derives the keys of one keyring in one vault; `vault_id` is its UUID text.
    pub fn new(identity: Identity, vault_id: &str) -> Self {
        let mac = derive(&identity, "mac", vault_id);
        let digest = derive(&identity, "digest", vault_id);
        let commitment = Commitment(*derive(&identity, "commitment", vault_id).expose_secret());
        Self {
            identity,
            mac,
            digest,
            commitment,
        }
    }

    /// The public key that values are encrypted to.
    pub fn recipient(&self) -> Recipient {
        self.identity.recipient()
    }

    /// The keyring's own identity, to encrypt it to a changed list of members.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The mac of a text of the given kind.
    pub fn mac(&self, domain: Domain, body: &[u8]) -> Mac {
        let domain = domain.as_str().as_bytes();
        Mac(hmac(&self.mac, &[b"strongroom/v1/", domain, b"\0", body]))
    }

    /// The keyed digest of a value, over its kind and content.
    pub fn digest(&self, value: &SecretValue) -> Digest {
        self.digest_of(value.kind(), value.expose_secret())
    }

    /// What a clone pins at first use: it tells this keyring from every other and
    /// gives nothing away.
    pub fn commitment(&self) -> Commitment {
        self.commitment
    }

    fn digest_of(&self, kind: Kind, content: &[u8]) -> Digest {
        let kind = kind.as_str().as_bytes();
        Digest(hmac(&self.digest, &[kind, b"\0", content]))
    }
}

/// The public commitment to a keyring's key, 32 bytes, written as 64 hex digits in
/// lower case (crypto.md section 9, book formats/keyring).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commitment([u8; 32]);

impl Commitment {
    /// The first 20 hex digits in groups of four, for two people to compare.
    pub fn fingerprint(&self) -> String {
        let hex = data_encoding::HEXLOWER.encode(self.0.get(..10).unwrap_or_default());
        let mut out = String::with_capacity(24);
        for (at, c) in hex.chars().enumerate() {
            if at > 0 && at % 4 == 0 {
                out.push('-');
            }
            out.push(c);
        }
        out
    }
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
/// stock age reads (book, formats/keyring).
pub fn encrypt_keyring(
    identity: &Identity,
    created: Timestamp,
    members: &[Recipient],
) -> Result<Ciphertext, EncryptError> {
    if created.to_string().parse() != Ok(created) {
        return Err(EncryptError::Created);
    }
    envelope::encrypt(&identity.to_file(created), members)
}

/// Decrypts a keyring's file with a member's identity.
///
/// age knows no sender: that this is the keyring the clone trusts shows only when
/// its [`Commitment`] is compared with the pinned one.
pub fn open_keyring(file: &[u8], member: &Identity) -> Result<Identity, OpenError> {
    let plain = envelope::decrypt(file, member, Readers::Many, MAX_KEYRING)?;
    Identity::from_file(&plain).map_err(OpenError::BadKeyring)
}

#[expect(
    clippy::expect_used,
    reason = "HKDF-SHA-256 gives up to 8160 bytes (RFC 5869 section 2.3); this asks for 32"
)]
fn derive(identity: &Identity, purpose: &str, vault_id: &str) -> SecretBox<[u8; 32]> {
    let text = identity.canonical();
    let hkdf = Hkdf::<Sha256>::new(Some(b"strongroom/v1"), text.expose_secret().as_bytes());
    let info = [purpose.as_bytes(), b"\0", vault_id.as_bytes()].concat();
    SecretBox::init_with_mut(|key: &mut [u8; 32]| {
        hkdf.expand(&info, key)
            .expect("32 bytes are fewer than 8160");
    })
}

#[expect(
    clippy::expect_used,
    reason = "HMAC takes a key of any length (RFC 2104 section 2)"
)]
fn hmac(key: &SecretBox<[u8; 32]>, parts: &[&[u8]]) -> [u8; 32] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key.expose_secret())
        .expect("HMAC takes a key of any length");
    for part in parts {
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
