use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use secrecy::{ExposeSecret, SecretBox};
use zeroize::Zeroizing;

use super::random::{self, RandomError};

const TAG: usize = 16;

/// A key that lives and dies with this process, for values that wait in memory: what
/// is swapped out or dumped is ciphertext (design.md section 8).
///
/// ```compile_fail
/// fn shows<T: std::fmt::Debug>(_: T) {}
/// shows(strongroom::crypto::Ephemeral::new().unwrap());
/// ```
pub struct Ephemeral {
    key: SecretBox<[u8; 32]>,
    /// The next nonce. A counter never repeats under one key (RFC 8439 section 2.8).
    next: u64,
}

/// Bytes under an [`Ephemeral`] key.
pub struct Sealed {
    nonce: u64,
    /// Ciphertext and tag.
    bytes: Box<[u8]>,
}

impl Sealed {
    /// Size of what is sealed, in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(TAG)
    }

    /// Whether nothing is sealed in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Ephemeral {
    /// Draws a key from the operating system.
    pub fn new() -> Result<Self, RandomError> {
        let drawn = Zeroizing::new(random::bytes::<32>()?);
        Ok(Self {
            key: SecretBox::init_with_mut(|key: &mut [u8; 32]| key.copy_from_slice(&*drawn)),
            next: 0,
        })
    }

    /// Seals bytes; `None` once the nonces are used up, after 2^64 - 1 of them.
    pub fn seal(&mut self, plain: &[u8]) -> Option<Sealed> {
        let nonce = self.next;
        self.next = nonce.checked_add(1)?;
        let mut bytes = Vec::with_capacity(plain.len() + TAG);
        bytes.extend_from_slice(plain);
        let tag = self
            .cipher()
            .encrypt_inout_detached(&wide(nonce).into(), b"", bytes.as_mut_slice().into())
            .ok()?;
        bytes.extend_from_slice(&tag);
        Some(Sealed {
            nonce,
            bytes: bytes.into_boxed_slice(),
        })
    }

    /// Opens what this key sealed; `None` for anything else.
    pub fn open(&self, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let (ciphertext, tag) = sealed.bytes.split_last_chunk::<TAG>()?;
        let mut bytes = Zeroizing::new(ciphertext.to_vec());
        self.cipher()
            .decrypt_inout_detached(
                &wide(sealed.nonce).into(),
                b"",
                bytes.as_mut_slice().into(),
                tag.into(),
            )
            .ok()?;
        Some(bytes)
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(self.key.expose_secret().into())
    }
}

fn wide(nonce: u64) -> [u8; 12] {
    let mut wide = [0; 12];
    if let Some(low) = wide.get_mut(4..) {
        low.copy_from_slice(&nonce.to_be_bytes());
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_key_seals_only_it_opens() {
        let (mut one, other) = (Ephemeral::new().unwrap(), Ephemeral::new().unwrap());
        let (a, b) = (one.seal(b"secret").unwrap(), one.seal(b"secret").unwrap());
        assert_ne!(a.bytes, b.bytes, "a nonce of its own");
        assert_eq!(**one.open(&a).unwrap(), *b"secret");
        assert!(other.open(&a).is_none());
        let mut broken = one.seal(b"secret").unwrap();
        broken.bytes[0] ^= 1;
        assert!(one.open(&broken).is_none());
        assert!(one.seal(b"").unwrap().is_empty());
    }
}
