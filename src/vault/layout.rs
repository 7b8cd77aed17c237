//! Where a secret lies: names to paths and back (crypto.md section 1; book,
//! formats/names). Pure; every path is relative to the vault's `secrets/` and joined
//! with `/`.
//!
//! The codec is a bijection whose output has no upper case, so two names never meet
//! on a file system that ignores case. A comma, which no AWS name has, escapes:
//! `,1` an empty segment, `,2` a dot, `,3` a Windows device name, `,4` the folder
//! of long names, `,5` the folder of hidden ones, `,a` to `,z` an upper-case letter.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::crypto::{Ct8, Ct8Error};
use crate::model::{SecretName, VersionId};

const METADATA: &str = ".toml";
const VALUE: &str = ".age";
/// The longest component of a path that is written out, in bytes.
const MAX_COMPONENT: usize = 100;
/// The longest path that is written out, in bytes.
const MAX_PATH: usize = 150;
const LONG: &str = ",4/";
const HIDDEN: &str = ",5/";
/// The length of 32 bytes in base32.
const HASH: usize = 52;

/// Why a path names no secret. The path is hostile until decoded, so it is not in
/// the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No `.toml` at the end.
    #[error("the path does not end in .toml")]
    NotMetadata,
    /// A part that no name is written as.
    #[error("the path is not an encoded secret name")]
    Malformed,
    /// It decodes to a name, and that name lies elsewhere.
    #[error("the path is not the one its secret name has")]
    NotCanonical,
    /// A long name's path, which only the file itself can answer for.
    #[error("the path is a long name's; its name is in the file")]
    NameNeeded,
    /// A name that anybody can read, where all are hidden.
    #[error("the path says a name, and names are hidden in this vault")]
    NotHidden,
    /// The file says another name than its path.
    #[error("the file names another secret than its path does")]
    OtherName,
}

/// The path of a secret's metadata, below `secrets/`.
pub fn metadata_path(name: &SecretName) -> String {
    let mut path = stem(name);
    path.push_str(METADATA);
    path
}

/// The path of one version's value, below `secrets/`; it lies beside the metadata.
pub fn value_path(name: &SecretName, version: &VersionId, ct8: Ct8) -> String {
    let key = VersionKey::of(version);
    format!("{}.{key}.{ct8}{VALUE}", stem(name))
}

/// The last component of [`value_path`].
pub fn value_file_name(name: &SecretName, version: &VersionId, ct8: Ct8) -> String {
    let path = value_path(name, version, ct8);
    match path.rsplit_once('/') {
        Some((_, file)) => file.to_owned(),
        None => path,
    }
}

/// Reads the name out of a metadata path below `secrets/`.
///
/// `name_in_file` is what the file itself says, where it was read already. Where it
/// is given it must agree; a long name's path cannot be read without it. Whatever
/// comes back has exactly this path.
pub fn name_of_path(
    path: &str,
    name_in_file: Option<&SecretName>,
) -> Result<SecretName, PathError> {
    let encoded = path.strip_suffix(METADATA).ok_or(PathError::NotMetadata)?;
    if path.starts_with(LONG) {
        let name = name_in_file.ok_or(PathError::NameNeeded)?;
        return if metadata_path(name) == path {
            Ok(name.clone())
        } else {
            Err(PathError::OtherName)
        };
    }
    let mut text = String::with_capacity(encoded.len());
    for (at, segment) in encoded.split('/').enumerate() {
        if at > 0 {
            text.push('/');
        }
        decode_segment(segment, &mut text).ok_or(PathError::Malformed)?;
    }
    let name: SecretName = text.parse().map_err(|_| PathError::Malformed)?;
    if metadata_path(&name) != path {
        return Err(PathError::NotCanonical);
    }
    if name_in_file.is_some_and(|in_file| *in_file != name) {
        return Err(PathError::OtherName);
    }
    Ok(name)
}

/// How a version id is written in a file's name: itself where it is 32 to 64 of
/// `a-z0-9-`, else `x` and the base32 of its SHA-256 in 52 lower-case characters.
///
/// It finds a file; it does not identify a version, since a hostile id may be chosen
/// to look like another's hash. The container inside the file says which version it
/// is ([`crate::crypto::open_value`]).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionKey(String);

impl VersionKey {
    /// The key of a version id.
    pub fn of(version: &VersionId) -> Self {
        let id = version.as_str();
        if is_version_key(id) {
            Self(id.to_owned())
        } else {
            Self(format!("x{}", base32_sha256(&[id.as_bytes()])))
        }
    }

    /// The key of a version id where names are hidden, from its keyed hash.
    pub fn hidden(hash: &[u8; 32]) -> Self {
        Self(format!("x{}", base32(hash)))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The path of a hidden name's files without their endings, below `secrets/`, from its
/// keyed hash.
pub(super) fn hidden_stem(hash: &[u8; 32]) -> String {
    let hash = base32(hash);
    let (folder, file) = hash.split_at(2);
    format!("{HIDDEN}{folder}/{file}")
}

/// Whether a path below `secrets/` has the form of a hidden secret's metadata.
pub(super) fn is_hidden_metadata(path: &str) -> bool {
    path.strip_suffix(METADATA).is_some_and(is_hidden_stem)
}

/// Whether a path below `secrets/` has the form of a hidden secret's value.
pub(super) fn is_hidden_value(path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else {
        return false;
    };
    parse_value_file(file).is_ok_and(|file| {
        let key = file.key.as_str().strip_prefix('x');
        is_hidden_stem(&format!("{folder}/{}", file.stem))
            && key.is_some_and(|key| key.len() == HASH && key.bytes().all(is_base32))
    })
}

fn is_hidden_stem(stem: &str) -> bool {
    let hash = stem
        .strip_prefix(HIDDEN)
        .and_then(|hash| hash.split_once('/'));
    hash.is_some_and(|(folder, file)| {
        folder.len() == 2
            && file.len() == HASH - 2
            && folder.bytes().chain(file.bytes()).all(is_base32)
    })
}

fn is_base32(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'2'..=b'7')
}

impl fmt::Display for VersionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for VersionKey {
    type Err = ValueFileError;

    fn from_str(text: &str) -> Result<Self, ValueFileError> {
        if is_version_key(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ValueFileError::Key)
        }
    }
}

/// The parts of a value file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueFile {
    /// What it shares with its metadata's file name, which is this and `.toml`.
    pub stem: String,
    /// Which version, as far as a file name can say.
    pub key: VersionKey,
    /// Which encryption of that version.
    pub ct8: Ct8,
}

/// Why a file's name is not a value's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueFileError {
    /// Not `STEM.KEY.CT8.age`, or a stem with characters no path here has.
    #[error("not a value's file name (STEM.VERSION.HASH.age)")]
    Shape,
    /// The version part is not 32 to 64 of `a-z0-9-`.
    #[error("the version in the file name is malformed")]
    Key,
    /// The hash part is not 8 hex digits.
    #[error("the hash in the file name is malformed")]
    Hash(#[from] Ct8Error),
}

/// Reads a value file's name, without its directory.
pub fn parse_value_file(file_name: &str) -> Result<ValueFile, ValueFileError> {
    let shape = ValueFileError::Shape;
    let rest = file_name.strip_suffix(VALUE).ok_or(shape)?;
    let (rest, ct8) = rest.rsplit_once('.').ok_or(shape)?;
    let (stem, key) = rest.rsplit_once('.').ok_or(shape)?;
    if stem.is_empty() || !stem.bytes().all(|b| b == b',' || is_plain(b) || b == b'.') {
        return Err(shape);
    }
    Ok(ValueFile {
        stem: stem.to_owned(),
        key: key.parse()?,
        ct8: ct8.parse()?,
    })
}

/// The path of a name without its ending.
pub(super) fn stem(name: &SecretName) -> String {
    let text = name.as_str();
    let mut out = String::with_capacity(text.len() + 16);
    let mut fits = true;
    let mut segments = text.split('/').peekable();
    while let Some(segment) = segments.next() {
        let start = out.len();
        let is_file = segments.peek().is_none();
        encode_segment(segment, is_file, &mut out);
        let ending = if is_file { METADATA.len() } else { 0 };
        fits &= out.len() - start + ending <= MAX_COMPONENT;
        if !is_file {
            out.push('/');
        }
    }
    if fits && out.len() + METADATA.len() <= MAX_PATH {
        return out;
    }
    let hash = base32_sha256(&[b"strongroom/v1/name\0", text.as_bytes()]);
    let (folder, file) = hash.split_at(2);
    format!("{LONG}{folder}/{file}")
}

fn encode_segment(segment: &str, is_file: bool, out: &mut String) {
    if segment.is_empty() {
        out.push_str(",1");
        return;
    }
    if is_device(segment) {
        out.push_str(",3");
    }
    let last = segment.len() - 1;
    // A directory never ends as a file does, so `a.toml/` never meets `a.toml`.
    let ending = if is_file {
        None
    } else {
        [METADATA, VALUE]
            .iter()
            .find(|ending| segment.ends_with(**ending))
            .map(|ending| segment.len() - ending.len())
    };
    for (at, c) in segment.char_indices() {
        match c {
            '.' if at == 0 || at == last || Some(at) == ending => out.push_str(",2"),
            'A'..='Z' => {
                out.push(',');
                out.push(c.to_ascii_lowercase());
            }
            _ => out.push(c),
        }
    }
}

/// Strict as to characters; that each escape stands where it must is for the caller's
/// comparison with the encoding.
fn decode_segment(segment: &str, out: &mut String) -> Option<()> {
    if segment == ",1" {
        return Some(());
    }
    if segment.is_empty() {
        return None;
    }
    let mut bytes = segment.strip_prefix(",3").unwrap_or(segment).bytes();
    while let Some(byte) = bytes.next() {
        let plain = match byte {
            b',' => match bytes.next()? {
                b'2' => b'.',
                letter @ b'a'..=b'z' => letter.to_ascii_uppercase(),
                _ => return None,
            },
            b'.' => byte,
            _ if is_plain(byte) => byte,
            _ => return None,
        };
        out.push(char::from(plain));
    }
    Some(())
}

/// A byte that stands for itself everywhere.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'+' | b'=' | b'@' | b'-')
}

/// Whether Windows would take the segment for a device, whatever its ending.
fn is_device(segment: &str) -> bool {
    let base = segment.split('.').next().unwrap_or_default();
    let base = base.to_ascii_lowercase();
    match base.as_bytes() {
        b"con" | b"prn" | b"aux" | b"nul" => true,
        [b'c', b'o', b'm', digit] | [b'l', b'p', b't', digit] => digit.is_ascii_digit(),
        _ => false,
    }
}

fn is_version_key(text: &str) -> bool {
    (32..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// The SHA-256 of the parts as 52 characters of base32 (RFC 4648), lower case and
/// without padding.
fn base32_sha256(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    base32(&hash.finalize())
}

fn base32(bytes: &[u8]) -> String {
    let mut text = data_encoding::BASE32_NOPAD.encode(bytes);
    text.make_ascii_lowercase();
    text
}

#[cfg(test)]
mod tests;
