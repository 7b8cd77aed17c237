use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use secrecy::ExposeSecret;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::container::MAX_CONTAINER;
use super::envelope::{self, Readers};
use super::error::OpenError;
use super::hidden::{self, HiddenName, Placed};
use super::holder::{KeyHolder, KeysError, Revealed};
use super::identity::{Identity, Recipient};
use super::keyring::Commitment;
use super::mac::{Domain, Mac};
use crate::model::{Digest, Kind, SecretName, SecretValue};

const KEY: usize = 32;
/// What the keys are for, in the order in which they lie there.
const PURPOSES: [&str; 5] = ["mac", "digest", "names", "hide", "hide-nonce"];
const KEYS: usize = PURPOSES.len() * KEY;

/// The keys of one keyring in memory of this process: the mac key, the digest key, the
/// three keys of what is hidden, and the identity, side by side in one place that the caller provides.
///
/// Nothing secret is kept outside that place; an operation makes copies that are
/// wiped when it ends. So an agent can hold keys in memory that is never swapped.
///
/// ```compile_fail
/// use strongroom::crypto::{Identity, LocalKeys};
/// use zeroize::Zeroizing;
/// fn shows<T: std::fmt::Debug>(_: T) {}
/// shows(LocalKeys::new(&Identity::generate(), "v", Zeroizing::new(vec![0u8; 234])));
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
        let memory = Zeroizing::new(vec![0; KEYS + identity.canonical().expose_secret().len()]);
        Self::place(identity, vault_id, memory)
    }
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> LocalKeys<M> {
    /// How much memory the keys take, in bytes. An age X25519 identity has 74.
    pub const SIZE: usize = KEYS + 74;

    /// Derives the keys of one keyring in one vault into `memory`, which wipes itself
    /// when dropped; `vault_id` is the vault's UUID text. Memory with fewer than
    /// [`Self::SIZE`] bytes is no place for them.
    pub fn new(identity: &Identity, vault_id: &str, memory: M) -> Option<Self> {
        (memory.as_ref().len() >= Self::SIZE).then(|| Self::place(identity, vault_id, memory))
    }

    fn place(identity: &Identity, vault_id: &str, mut memory: M) -> Self {
        let text = identity.canonical();
        let text = text.expose_secret().as_bytes();
        let (keys, rest) = memory.as_mut().split_at_mut(KEYS);
        for (purpose, key) in PURPOSES.iter().zip(keys.chunks_exact_mut(KEY)) {
            derive(text, purpose, vault_id, key);
        }
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

    /// The key of the purpose with this number.
    fn key(&self, purpose: usize) -> &[u8] {
        self.part(purpose * KEY, KEY)
    }

    fn mac(&self, domain: Domain, body: &[u8]) -> Mac {
        let domain = domain.as_str().as_bytes();
        let parts = [b"strongroom/v1/".as_slice(), domain, b"\0", body];
        Mac(hmac(self.key(0), &parts))
    }

    pub(super) fn digest_of(&self, kind: Kind, content: &[u8]) -> Digest {
        let kind = kind.as_str().as_bytes();
        Digest(hmac(self.key(1), &[kind, b"\0", content]))
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

    fn hide_names(&self, names: &[&SecretName]) -> Result<Vec<HiddenName>, KeysError> {
        let hide = |name: &&SecretName| hidden::hide_name(self.key(2), name);
        Ok(names.iter().map(hide).collect())
    }

    fn hide(&self, texts: &[Placed<'_>]) -> Result<Vec<Vec<u8>>, KeysError> {
        let hide = |text: &Placed<'_>| {
            let hidden = hidden::hide(self.key(3), self.key(4), *text);
            hidden.ok_or(KeysError::TooLarge(text.bytes.len()))
        };
        texts.iter().map(hide).collect()
    }

    fn reveal(&self, sealed: &[Placed<'_>]) -> Result<Vec<Option<Revealed>>, KeysError> {
        let reveal = |sealed: &Placed<'_>| hidden::reveal(self.key(3), self.key(4), *sealed);
        Ok(sealed.iter().map(reveal).collect())
    }

    fn identity(&self) -> Option<Identity> {
        let text = std::str::from_utf8(self.part(KEYS, self.text)).ok()?;
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
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        hmac.update(part);
    }
    hmac.finalize().into_bytes().into()
}
