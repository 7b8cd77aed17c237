//! age v1 files (C2SP age), written to X25519 recipients and read with bounds.
//!
//! Must never happen: age's parser sees a header that was not scanned first (it is
//! quadratic), or plaintext lands in a buffer that grows (crypto.md section 2).

use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::error::{EncryptError, OpenError};
use super::identity::{Identity, Recipient};
use super::plugin::PluginError;

/// The largest file that is looked at, in bytes.
pub(super) const MAX_FILE: usize = 160 * 1024;
/// The largest header, with its last line, in bytes.
pub(super) const MAX_HEADER: usize = 64 * 1024;
/// The largest header of a value's file. Its one recipient and age's grease take
/// some 400 bytes; 64 KiB would still cost age's parser a tenth of a second, for
/// each of the many values a vault has.
const MAX_VALUE_HEADER: usize = 4 * 1024;
/// The most stanzas in a header.
pub(super) const MAX_STANZAS: usize = 256;
/// The most recipients: one stanza is left for age's grease.
const MAX_RECIPIENTS: usize = MAX_STANZAS - 1;

const MAGIC: &[u8] = b"age-encryption.org/v1\n";
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// The bytes of an age file, ready to be written to disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext(Vec<u8>);

impl Ciphertext {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, taken out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The short hash that its file name carries.
    pub fn ct8(&self) -> Ct8 {
        Ct8::of(&self.0)
    }
}

/// The first 8 hex digits of a file's SHA-256, lower case (FIPS 180-4).
///
/// It stands in the name of a value's file so that two encryptions of one version,
/// made on two laptops, are two files (crypto.md section 4). It addresses; it
/// proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ct8([u8; 4]);

/// A text that is not 8 hex digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 8 hex digits in lower case")]
pub struct Ct8Error;

impl Ct8 {
    /// The short hash of a whole file.
    pub fn of(file: &[u8]) -> Self {
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(file));
        Self([a, b, c, d])
    }
}

impl fmt::Display for Ct8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl FromStr for Ct8 {
    type Err = Ct8Error;

    fn from_str(text: &str) -> Result<Self, Ct8Error> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| Ct8Error)?;
        Ok(Self(bytes.try_into().map_err(|_| Ct8Error)?))
    }
}

/// How many stanzas of keys a file may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// A value: the keyring alone.
    One,
    /// A keyring: its members.
    Many,
}

/// Encrypts to every recipient.
pub(super) fn encrypt(plain: &[u8], to: &[Recipient]) -> Result<Ciphertext, EncryptError> {
    let to: Vec<&dyn age::Recipient> = to.iter().map(|r| r.as_age() as _).collect();
    encrypt_to(plain, &to)
}

/// Encrypts to every recipient, of whatever kind.
pub(super) fn encrypt_to(
    plain: &[u8],
    to: &[&dyn age::Recipient],
) -> Result<Ciphertext, EncryptError> {
    if to.is_empty() {
        return Err(EncryptError::NoRecipients);
    }
    if to.len() > MAX_RECIPIENTS {
        return Err(EncryptError::TooManyRecipients(to.len()));
    }
    let to = to.iter().copied();
    let encryptor = age::Encryptor::with_recipients(to).map_err(|e| refused(&e))?;
    // A stanza takes 98 bytes, grease up to 210, a chunk's tag 16.
    let mut file = Vec::with_capacity(plain.len() + 1024);
    let mut writer = encryptor
        .wrap_output(&mut file)
        .map_err(|_| EncryptError::Refused)?;
    writer.write_all(plain).map_err(|_| EncryptError::Refused)?;
    writer.finish().map_err(|_| EncryptError::Refused)?;
    // A plugin's stanzas have the length it gave them.
    scan(&file, Readers::Many).map_err(|_| EncryptError::TooLarge)?;
    Ok(Ciphertext(file))
}

pub(super) fn refused(error: &age::EncryptError) -> EncryptError {
    match error {
        age::EncryptError::Io(error) => match PluginError::of(error) {
            Some(error) => EncryptError::Plugin(error),
            None => EncryptError::Refused,
        },
        age::EncryptError::IncompatibleRecipients { .. } => EncryptError::Mixed,
        _ => EncryptError::Refused,
    }
}

/// Decrypts a whole file of at most `cap` bytes of plaintext.
pub(super) fn decrypt(
    file: &[u8],
    identity: &Identity,
    readers: Readers,
    cap: usize,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    decrypt_by(file, identity.as_age(), readers, cap)
}

/// Decrypts such a file with a key of whatever kind.
pub(super) fn decrypt_by(
    file: &[u8],
    identity: &dyn age::Identity,
    readers: Readers,
    cap: usize,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    match (readers, scan(file, readers)?) {
        (Readers::One, count @ 2..) => return Err(OpenError::Recipients(count)),
        (Readers::One | Readers::Many, _) => {}
    }
    let decryptor = age::Decryptor::new_buffered(file).map_err(|e| refusal(&e))?;
    let keys = std::iter::once(identity);
    let mut reader = decryptor.decrypt(keys).map_err(|e| refusal(&e))?;

    // Plaintext is shorter than its file, so an honest one never fills the buffer;
    // one that does has a byte over the cap.
    let mut plain = Zeroizing::new(vec![0; file.len().min(cap + 1)]);
    let mut filled = 0;
    loop {
        let Some(free) = plain.get_mut(filled..).filter(|f| !f.is_empty()) else {
            return Err(OpenError::TooLarge);
        };
        match reader.read(free) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(_) => return Err(OpenError::Damaged),
        }
    }
    plain.truncate(filled);
    Ok(plain)
}

pub(super) fn refusal(error: &age::DecryptError) -> OpenError {
    match error {
        age::DecryptError::NoMatchingKeys => OpenError::NoIdentityMatches,
        age::DecryptError::UnknownFormat => OpenError::NotAge,
        age::DecryptError::Io(error) => match PluginError::of(error) {
            Some(error) => OpenError::Plugin(error),
            None => OpenError::Damaged,
        },
        _ => OpenError::Damaged,
    }
}

/// Scans the beginning of a file of any length, of which the header must be a part.
/// `goes_on` says whether the file has more than these bytes.
pub(super) fn scan_head(head: &[u8], goes_on: bool) -> Result<usize, OpenError> {
    begins(head)?;
    walk(head, goes_on)
}

fn begins(file: &[u8]) -> Result<(), OpenError> {
    if file.starts_with(ARMOR) {
        return Err(OpenError::Armored);
    }
    if file.starts_with(MAGIC) {
        return Ok(());
    }
    let cut = !file.is_empty() && MAGIC.starts_with(file);
    Err(if cut {
        OpenError::Damaged
    } else {
        OpenError::NotAge
    })
}

/// Walks the header once, line by line, and counts the stanzas of keys that a member
/// can have.
fn scan(file: &[u8], readers: Readers) -> Result<usize, OpenError> {
    if file.len() > MAX_FILE {
        return Err(OpenError::TooLarge);
    }
    begins(file)?;
    let limit = match readers {
        Readers::One => MAX_VALUE_HEADER,
        Readers::Many => MAX_HEADER,
    };
    let header = file.get(..limit).unwrap_or(file);
    walk(header, header.len() < file.len())
}

/// Walks a header that begins with the magic line; `goes_on` says whether the file has
/// more than these bytes.
fn walk(header: &[u8], goes_on: bool) -> Result<usize, OpenError> {
    let mut stanzas = 0;
    let mut found = 0;
    let mut rest = header.get(MAGIC.len()..).unwrap_or_default();
    loop {
        let Some(end) = rest.iter().position(|b| *b == b'\n') else {
            return Err(if goes_on {
                OpenError::HeaderBomb
            } else {
                OpenError::Damaged
            });
        };
        let (line, tail) = rest.split_at(end);
        rest = tail.get(1..).unwrap_or_default();
        if line.starts_with(b"--- ") {
            return Ok(found);
        }
        if let Some(stanza) = line.strip_prefix(b"-> ") {
            stanzas += 1;
            if stanzas > MAX_STANZAS {
                return Err(OpenError::HeaderBomb);
            }
            match stanza.split(|b| *b == b' ').next() {
                Some(b"X25519" | b"ssh-ed25519") => found += 1,
                Some(b"scrypt") => return Err(OpenError::PassphraseFile),
                _ => {}
            }
        } else if line.len() > 64 || !line.iter().all(is_base64) {
            return Err(OpenError::Damaged);
        }
    }
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

#[cfg(test)]
mod kit_tests;
#[cfg(test)]
mod tests;
