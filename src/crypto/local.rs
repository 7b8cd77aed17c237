use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use secrecy::ExposeSecret;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::container::MAX_CONTAINER;
use super::envelope::{self, Readers};
use super::error::OpenError;
use super::holder::{KeyHolder, KeysError};
use super::identity::{Identity, Recipient};
use super::keyring::Commitment;
use super::mac::{Domain, Mac};
use crate::model::{Digest, Kind, SecretValue};

const KEY: usize = 32;

/// The keys of one keyring in memory of this process: the mac key, the digest key and
/// the identity, side by side in one place that the caller provides.
///
/// Nothing secret is kept outside that place; an operation makes copies that are
/// wiped when it ends. So an agent can hold keys in memory that is never swapped.
///
/// ```compile_fail
/// use strongroom::crypto::{Identity, LocalKeys};
/// use zeroize::Zeroizing;
/// fn shows<T: std::fmt::Debug>(_: T) {}
/// shows(LocalKeys::new(&Identity::generate(), "v", Zeroizing::new(vec![0u8; 138])));
/// ```
pub struct LocalKeys<M> {
    memory: M,
    /// How long the identity's text is.
    text: usize,
    recipient: Recipient,
    commitment: Commitment,
}

impl LocalKeys<Zeroizing<Vec<u8>>> {
    /// Derives the keys into ordinary memory, which is wiped when they go.
    pub(super) fn ordinary(identity: &Identity, vault_id: &str) -> Self {
        let memory = Zeroizing::new(vec![
            0;
            2 * KEY + identity.canonical().expose_secret().len()
        ]);
        Self::place(identity, vault_id, memory)
    }
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> LocalKeys<M> {
    /// How much memory the keys take, in bytes. An age X25519 identity has 74.
    pub const SIZE: usize = 2 * KEY + 74;

    /// Derives the keys of one keyring in one vault into `memory`, which wipes itself
    /// when dropped; `vault_id` is the vault's UUID text. Memory with fewer than
    /// [`Self::SIZE`] bytes is no place for them.
    pub fn new(identity: &Identity, vault_id: &str, memory: M) -> Option<Self> {
        (memory.as_ref().len() >= Self::SIZE).then(|| Self::place(identity, vault_id, memory))
    }

    fn place(identity: &Identity, vault_id: &str, mut memory: M) -> Self {
        let text = identity.canonical();
        let text = text.expose_secret().as_bytes();
        let (mac, rest) = memory.as_mut().split_at_mut(KEY);
        let (digest, rest) = rest.split_at_mut(KEY);
        derive(text, "mac", vault_id, mac);
        derive(text, "digest", vault_id, digest);
        rest[..text.len()].copy_from_slice(text);
        let mut commitment = [0; KEY];
        derive(text, "commitment", vault_id, &mut commitment);
        Self {
            memory,
            text: text.len(),
            recipient: identity.recipient(),
            commitment: Commitment(commitment),
        }
    }

    fn part(&self, from: usize, len: usize) -> &[u8] {
        let part = self.memory.as_ref().get(from..from + len);
        part.unwrap_or_default()
    }

    fn mac(&self, domain: Domain, body: &[u8]) -> Mac {
        let domain = domain.as_str().as_bytes();
        let parts = [b"strongroom/v1/".as_slice(), domain, b"\0", body];
        Mac(hmac(self.part(0, KEY), &parts))
    }

    pub(super) fn digest_of(&self, kind: Kind, content: &[u8]) -> Digest {
        let kind = kind.as_str().as_bytes();
        Digest(hmac(self.part(KEY, KEY), &[kind, b"\0", content]))
    }
}

impl<M: AsRef<[u8]> + AsMut<[u8]> + Send + Sync> KeyHolder for LocalKeys<M> {
    fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    fn commitment(&self) -> Commitment {
        self.commitment
    }

    fn macs(&self, domain: Domain, bodies: &[&[u8]]) -> Result<Vec<Mac>, KeysError> {
        Ok(bodies.iter().map(|body| self.mac(domain, body)).collect())
    }

    fn digest(&self, value: &SecretValue) -> Result<Digest, KeysError> {
        Ok(self.digest_of(value.kind(), value.expose_secret()))
    }

    fn decrypt(&self, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let identity = self.identity().ok_or(OpenError::NoIdentityMatches)?;
        envelope::decrypt(file, &identity, Readers::One, MAX_CONTAINER)
    }

    fn identity(&self) -> Option<Identity> {
        let text = std::str::from_utf8(self.part(2 * KEY, self.text)).ok()?;
        Identity::from_trusted(text)
    }
}

#[expect(
    clippy::expect_used,
    reason = "HKDF-SHA-256 gives up to 8160 bytes (RFC 5869 section 2.3); this asks for 32"
)]
fn derive(identity: &[u8], purpose: &str, vault_id: &str, key: &mut [u8]) {
    let hkdf = Hkdf::<Sha256>::new(Some(b"strongroom/v1"), identity);
    let info = [purpose.as_bytes(), b"\0", vault_id.as_bytes()].concat();
    hkdf.expand(&info, key)
        .expect("32 bytes are fewer than 8160");
}

#[expect(
    clippy::expect_used,
    reason = "HMAC takes a key of any length (RFC 2104 section 2)"
)]
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}
