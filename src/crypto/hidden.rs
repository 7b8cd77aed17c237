//! Names and metadata that the git host cannot read (book, formats/hidden): a keyed hash
//! in the place of each name, and a deterministic encryption of texts, so that equal
//! texts stay equal bytes and two clones that record the same thing write the same file.
//!
//! The encryption is a synthetic initialization vector in the sense of RFC 5297
//! (SIV): the nonce of XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) is a MAC over
//! place and text under a key of its own, and is computed again on opening.
//!
//! Must never happen: a nonce from anywhere else, one key for both purposes, or a text
//! that is believed at another place than the one it was hidden for.

use std::sync::Arc;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::container::padded;
use super::holder::{KeysError, Revealed};
use super::keyring::KeyringKeys;
use super::local::hmac;
use crate::model::{SecretName, VersionId};

const NONCE: usize = 24;
const TAG: usize = 16;
/// What ends a text before the zeros that pad it (ISO/IEC 7816-4).
const END: u8 = 0x80;
/// The longest text that is hidden as one piece, in bytes.
pub const MAX_HIDDEN: usize = 96 * 1024;
/// The longest piece that is opened, in bytes: the longest text, padded.
const MAX_SEALED: usize = NONCE + padded(MAX_HIDDEN + 1) + TAG;

/// What stands for one secret's name where names are hidden: the hash that its files'
/// paths are made of, and a key that stands for its versions' ids.
pub struct HiddenName {
    place: [u8; 32],
    versions: Zeroizing<[u8; 32]>,
}

impl HiddenName {
    /// The two parts as another holder of the keys made them.
    pub fn from_parts(place: [u8; 32], versions: Zeroizing<[u8; 32]>) -> Self {
        Self { place, versions }
    }

    /// The hash of the name, to which nobody without the keys finds a name.
    pub fn place(&self) -> &[u8; 32] {
        &self.place
    }

    /// The key of the secret's version ids, for the agent's answer.
    pub fn version_key(&self) -> &[u8; 32] {
        &self.versions
    }

    /// The hash of one of the secret's version ids.
    pub fn version(&self, id: &VersionId) -> [u8; 32] {
        hmac(&*self.versions, &[id.as_str().as_bytes()])
    }
}

/// A text at its place: what is hidden is bound to where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed<'a> {
    /// Where: a path below the vault, and which piece of the file.
    pub place: &'a str,
    /// The text, or what it is hidden as.
    pub bytes: &'a [u8],
}

/// The names key turns a name into what stands for it.
pub(super) fn hide_name(names: &[u8], name: &SecretName) -> HiddenName {
    let part = |purpose: &[u8]| hmac(names, &[purpose, name.as_str().as_bytes()]);
    HiddenName {
        place: part(b"strongroom/v1/name\0"),
        versions: Zeroizing::new(part(b"strongroom/v1/versions\0")),
    }
}

fn nonce(key: &[u8], place: &str, padded: &[u8]) -> [u8; NONCE] {
    let parts: [&[u8]; 4] = [b"strongroom/v1/hide\0", place.as_bytes(), b"\0", padded];
    let mac = hmac(key, &parts);
    let mut nonce = [0; NONCE];
    nonce.copy_from_slice(&mac[..NONCE]);
    nonce
}

fn cipher(key: &[u8]) -> Option<XChaCha20Poly1305> {
    XChaCha20Poly1305::new_from_slice(key).ok()
}

/// Encrypts a text of at most [`MAX_HIDDEN`] bytes: nonce, ciphertext, tag.
pub(super) fn hide(key: &[u8], nonces: &[u8], text: Placed<'_>) -> Option<Vec<u8>> {
    if text.bytes.len() > MAX_HIDDEN {
        return None;
    }
    let length = padded(text.bytes.len() + 1);
    let mut plain = Zeroizing::new(Vec::with_capacity(length));
    plain.extend_from_slice(text.bytes);
    plain.push(END);
    plain.resize(length, 0);
    let nonce = nonce(nonces, text.place, &plain);
    let aad = text.place.as_bytes();
    let buffer = plain.as_mut_slice();
    let tag = cipher(key)?.encrypt_inout_detached(&nonce.into(), aad, buffer.into());
    let mut out = Vec::with_capacity(NONCE + length + TAG);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(&plain);
    out.extend_from_slice(&tag.ok()?);
    Some(out)
}

/// Decrypts what [`hide`] made for this place; `None` for everything else.
pub(super) fn reveal(key: &[u8], nonces: &[u8], sealed: Placed<'_>) -> Option<Revealed> {
    if sealed.bytes.len() > MAX_SEALED {
        return None;
    }
    let (head, rest) = sealed.bytes.split_first_chunk::<NONCE>()?;
    let (body, tag) = rest.split_last_chunk::<TAG>()?;
    let mut plain = Zeroizing::new(body.to_vec());
    let aad = sealed.place.as_bytes();
    let buffer = plain.as_mut_slice();
    let tag = (*tag).into();
    let opened = cipher(key)?.decrypt_inout_detached(&(*head).into(), aad, buffer.into(), &tag);
    opened.ok()?;
    let again = nonce(nonces, sealed.place, &plain);
    if !bool::from(again.as_slice().ct_eq(head)) {
        return None;
    }
    let end = plain.iter().rposition(|byte| *byte != 0)?;
    if plain.get(end) != Some(&END) || plain.len() != padded(end + 1) {
        return None;
    }
    plain.truncate(end);
    Some(plain)
}

impl KeyringKeys {
    /// What stands for a secret's name where names are hidden.
    pub fn hide_name(&self, name: &SecretName) -> Result<Arc<HiddenName>, KeysError> {
        let hidden = self.hide_names(&[name])?;
        hidden.into_iter().next().ok_or(KeysError::NoAnswer)
    }

    /// The same for many names, in their order.
    pub fn hide_names(&self, names: &[&SecretName]) -> Result<Vec<Arc<HiddenName>>, KeysError> {
        let hidden = self.holder().hide_names(names)?;
        match hidden.len() == names.len() {
            true => Ok(hidden.into_iter().map(Arc::new).collect()),
            false => Err(KeysError::NoAnswer),
        }
    }

    /// Encrypts texts of at most [`MAX_HIDDEN`] bytes, each for its place. Equal texts at
    /// one place are equal bytes.
    pub fn hide(&self, texts: &[Placed<'_>]) -> Result<Vec<Vec<u8>>, KeysError> {
        if let Some(long) = texts.iter().find(|text| text.bytes.len() > MAX_HIDDEN) {
            return Err(KeysError::TooLarge(long.bytes.len()));
        }
        let hidden = self.holder().hide(texts)?;
        match hidden.len() == texts.len() {
            true => Ok(hidden),
            false => Err(KeysError::NoAnswer),
        }
    }

    /// Decrypts what [`Self::hide`] made; `None` for what was made by nobody with the
    /// keys, altered, or made for another place.
    pub fn reveal(&self, sealed: &[Placed<'_>]) -> Result<Vec<Option<Revealed>>, KeysError> {
        // Longer ones are nobody's, and a holder elsewhere need not see them.
        let fits = |sealed: &&Placed<'_>| sealed.bytes.len() <= MAX_SEALED;
        let asked: Vec<Placed<'_>> = sealed.iter().filter(fits).copied().collect();
        let answers = self.holder().reveal(&asked)?;
        if answers.len() != asked.len() {
            return Err(KeysError::NoAnswer);
        }
        let mut answers = answers.into_iter();
        let each = sealed.iter().map(|sealed| match fits(&sealed) {
            true => answers.next().flatten(),
            false => None,
        });
        Ok(each.collect())
    }
}

#[cfg(test)]
mod tests;
