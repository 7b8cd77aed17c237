//! A vault whose names the git host cannot read (book, "Hidden names"; formats/hidden).
//!
//! Each metadata file is what it would be otherwise, mac and all, encrypted for the path
//! it lies at, which is a keyed hash of the secret's name. Nothing above this room knows:
//! everything goes through [`Vault::place`] and the functions here, which in other vaults
//! do nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64;

use super::layout::{self, PathError};
use super::meta::{self, MetaError, Under};
use super::place::Place;
use super::{RecordError, SECRETS, Vault, VaultError};
use crate::crypto::{
    Commitment, HiddenName, KeyringKeys, KeysError, MAX_HIDDEN, MacError, Placed, Revealed,
};
use crate::model::{Record, SecretName};

const HEAD: &str = "format = 1\nhidden = [\n";
const TAIL: &str = "]\n";
const INDENT: &str = "    \"";
const END: &str = "\",";

/// What stands for names, once it was asked for: whoever holds the keys may be another
/// process.
#[derive(Default)]
pub(super) struct Names(Mutex<Known>);

#[derive(Default)]
struct Known {
    of: Option<Commitment>,
    names: HashMap<SecretName, Arc<HiddenName>>,
}

/// The text of a file that holds these pieces.
fn fold(pieces: &[Vec<u8>]) -> String {
    let mut out = String::from(HEAD);
    for piece in pieces {
        out.push_str(INDENT);
        BASE64.encode_append(piece, &mut out);
        out.push_str(END);
        out.push('\n');
    }
    out.push_str(TAIL);
    out
}

/// The pieces of a file: exact order, exact spelling.
fn unfold(text: &str) -> Option<Vec<Vec<u8>>> {
    let body = text.strip_prefix(HEAD)?.strip_suffix(TAIL)?;
    let piece = |line: &str| {
        let piece = line.strip_suffix('\n')?.strip_prefix(INDENT)?;
        BASE64.decode(piece.strip_suffix(END)?.as_bytes()).ok()
    };
    let pieces: Vec<Vec<u8>> = body
        .split_inclusive('\n')
        .map(piece)
        .collect::<Option<_>>()?;
    (!pieces.is_empty()).then_some(pieces)
}

/// What each piece of a file is bound to.
fn places(path: &str, pieces: usize) -> Vec<String> {
    match pieces {
        1 => vec![path.to_owned()],
        _ => (1..=pieces)
            .map(|n| format!("{path} {n}/{pieces}"))
            .collect(),
    }
}

/// Hides a text for the path it is to lie at, below the vault.
fn hide(keys: &KeyringKeys, path: &str, text: &str) -> Result<String, KeysError> {
    let mut pieces: Vec<&[u8]> = text.as_bytes().chunks(MAX_HIDDEN).collect();
    if pieces.is_empty() {
        pieces.push(b"");
    }
    let places = places(path, pieces.len());
    let placed = places.iter().zip(&pieces);
    let placed: Vec<Placed<'_>> = placed
        .map(|(place, bytes)| Placed { place, bytes })
        .collect();
    Ok(fold(&keys.hide(&placed)?))
}

/// A file's pieces, each with what it is bound to.
type Pieces = Vec<(String, Vec<u8>)>;

/// Takes the text of a file apart. `path` is below the vault.
fn split(text: &str, path: &str) -> Result<Pieces, MetaError> {
    let pieces = unfold(text).ok_or(MetaError::NotHidden)?;
    let places = places(path, pieces.len());
    Ok(places.into_iter().zip(pieces).collect())
}

/// Reveals the texts of files that were taken apart.
fn reveal(
    keys: &KeyringKeys,
    split: &[Result<Pieces, MetaError>],
) -> Result<Vec<Result<Revealed, MetaError>>, KeysError> {
    let pieces = split.iter().flatten().flatten();
    let placed: Vec<Placed<'_>> = pieces
        .map(|(place, bytes)| Placed { place, bytes })
        .collect();
    let mut revealed = keys.reveal(&placed)?.into_iter();
    let mut join = |pieces: &Pieces| {
        let mut whole = Revealed::default();
        let mut is_sound = true;
        for n in 0..pieces.len() {
            match revealed.next().flatten() {
                // Every piece but the last is as long as one can be.
                Some(piece) => {
                    is_sound &= n + 1 == pieces.len() || piece.len() == MAX_HIDDEN;
                    whole.extend_from_slice(&piece);
                }
                None => is_sound = false,
            }
        }
        is_sound.then_some(whole).ok_or(MetaError::Hidden)
    };
    let files = split.iter().map(|file| match file {
        Ok(pieces) => join(pieces),
        Err(error) => Err(error.clone()),
    });
    Ok(files.collect())
}

/// Reads metadata files, each with its path below `secrets/`, that are hidden and under a
/// mac that `under` says.
fn read_hidden(
    keys: &KeyringKeys,
    under: Under<'_>,
    files: &[(&[u8], &str)],
    stems: impl Fn(&[&SecretName]) -> Result<Vec<Arc<HiddenName>>, KeysError>,
) -> Result<Vec<Result<Record, MetaError>>, KeysError> {
    let apart =
        |(bytes, path): &(&[u8], &str)| split(meta::screen(bytes)?, &format!("{SECRETS}/{path}"));
    let apart: Vec<Result<Pieces, MetaError>> = files.iter().map(apart).collect();
    let texts = reveal(keys, &apart)?;
    let sound = texts.iter().flatten();
    let sound = sound.map(|text| (text.as_slice(), meta::ANYWHERE));
    let mut read = meta::read_many(sound, under)?.into_iter();
    let each = texts.iter().zip(files).map(|(text, (_, path))| {
        if let Err(error) = text {
            let is_placed = layout::is_hidden_metadata(path);
            return Err(match error {
                MetaError::NotHidden if !is_placed => PathError::NotHidden.into(),
                error => error.clone(),
            });
        }
        read.next().unwrap_or(Err(MetaError::Hidden))
    });
    let mut all: Vec<Result<Record, MetaError>> = each.collect();
    let names: Vec<&SecretName> = all.iter().flatten().map(|record| &record.name).collect();
    let mut hidden = stems(&names)?.into_iter();
    for (record, (_, path)) in all.iter_mut().zip(files) {
        if record.is_err() {
            continue;
        }
        let place = hidden.next().map(|name| Place::hidden(name).metadata());
        if place.as_deref() != Some(path) {
            *record = Err(PathError::OtherName.into());
        }
    }
    Ok(all)
}

impl Vault {
    /// Whether names, tags and descriptions are hidden from whoever has no key.
    pub fn hides_names(&self) -> bool {
        self.config().hidden_names
    }

    /// Where a secret's files lie. Needs the keys where names are hidden.
    pub(super) fn place(&self, name: &SecretName) -> Result<Place, VaultError> {
        match (self.hides_names(), self.keys()) {
            (false, _) => Ok(Place::plain(name)),
            (true, Some(keys)) => self.place_under(keys, name),
            (true, None) => Err(VaultError::NamesHidden),
        }
    }

    /// The same for many, in their order.
    pub(super) fn places(&self, names: &[&SecretName]) -> Result<Vec<Place>, VaultError> {
        if !self.hides_names() {
            return Ok(names.iter().map(|name| Place::plain(name)).collect());
        }
        let keys = self.keys().ok_or(VaultError::NamesHidden)?;
        let hidden = self.hidden_names(keys, names)?;
        Ok(hidden.into_iter().map(Place::hidden).collect())
    }

    /// The same under keys of the caller's.
    pub(super) fn place_under(
        &self,
        keys: &KeyringKeys,
        name: &SecretName,
    ) -> Result<Place, VaultError> {
        if !self.hides_names() {
            return Ok(Place::plain(name));
        }
        let hidden = self.hidden_names(keys, &[name])?;
        let one = hidden.into_iter().next().ok_or(KeysError::NoAnswer)?;
        Ok(Place::hidden(one))
    }

    fn hidden_names(
        &self,
        keys: &KeyringKeys,
        names: &[&SecretName],
    ) -> Result<Vec<Arc<HiddenName>>, KeysError> {
        let of = Some(keys.commitment());
        if self.keys().map(KeyringKeys::commitment) != of {
            return keys.hide_names(names);
        }
        let known = || self.names.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Option<Arc<HiddenName>>> = {
            let mut known = known();
            if known.of != of {
                *known = Known {
                    of,
                    names: HashMap::new(),
                };
            }
            names.iter().map(|n| known.names.get(*n).cloned()).collect()
        };
        let unknown = names
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none());
        let unknown: Vec<&SecretName> = unknown.map(|(name, _)| *name).collect();
        let mut asked = keys.hide_names(&unknown)?.into_iter();
        let mut known = known();
        for (name, place) in names.iter().zip(&mut found) {
            if place.is_none() {
                *place = asked.next();
                if let (Some(hidden), true) = (&*place, known.of == of) {
                    known.names.insert((*name).clone(), Arc::clone(hidden));
                }
            }
        }
        let found: Option<Vec<Arc<HiddenName>>> = found.into_iter().collect();
        found.ok_or(KeysError::NoAnswer)
    }

    /// Reads a metadata file found at `path` below `secrets/`. Unlocked, its mac is
    /// verified.
    pub(super) fn read_metadata(&self, bytes: &[u8], path: &str) -> Result<Record, MetaError> {
        one(self.read_all_metadata(&[(bytes, path)]))
    }

    /// The same for many, in their order.
    pub(super) fn read_all_metadata(
        &self,
        files: &[(&[u8], &str)],
    ) -> Result<Vec<Result<Record, MetaError>>, KeysError> {
        match (self.hides_names(), self.keys()) {
            (false, _) => meta::read_many(files.iter().copied(), self.under()),
            (true, Some(keys)) => read_hidden(keys, self.under(), files, |names| {
                self.hidden_names(keys, names)
            }),
            (true, None) => Ok(files.iter().map(|_| Err(MetaError::Locked)).collect()),
        }
    }

    /// The same under keys of the caller's.
    pub(super) fn read_metadata_under(
        &self,
        keys: &KeyringKeys,
        bytes: &[u8],
        path: &str,
    ) -> Result<Record, MetaError> {
        match self.hides_names() {
            false => meta::read(bytes, path, Some(keys)),
            true => one(read_hidden(
                keys,
                Under::One(keys),
                &[(bytes, path)],
                |names| keys.hide_names(names),
            )),
        }
    }

    /// The bytes of a metadata file, from its text with the mac. `path` is below
    /// `secrets/`.
    pub(super) fn metadata_bytes(
        &self,
        keys: &KeyringKeys,
        name: &SecretName,
        path: &str,
        text: String,
    ) -> Result<Vec<u8>, VaultError> {
        let bytes = self.hide_text(keys, &format!("{SECRETS}/{path}"), text)?;
        match bytes.len() > meta::MAX {
            true => Err(VaultError::Record {
                name: name.clone(),
                source: RecordError::TooLarge,
            }),
            false => Ok(bytes.into_bytes()),
        }
    }

    /// What a text that says names is written as, at a path below the vault.
    pub(super) fn hide_text(
        &self,
        keys: &KeyringKeys,
        path: &str,
        text: String,
    ) -> Result<String, KeysError> {
        match self.hides_names() {
            false => Ok(text),
            true => hide(keys, path, &text),
        }
    }

    /// What such a text says.
    pub(super) fn reveal_text(
        &self,
        keys: &KeyringKeys,
        path: &str,
        text: String,
    ) -> Result<String, MetaError> {
        if !self.hides_names() {
            return Ok(text);
        }
        let revealed = reveal(keys, &[split(&text, path)]).map_err(MacError::from)?;
        let whole = revealed.into_iter().next().ok_or(MetaError::Hidden)??;
        String::from_utf8(whole.to_vec()).map_err(|_| MetaError::NotText)
    }

    /// A commit's message, which goes to whoever has the repository: where names are
    /// hidden, the verb and a number.
    pub(super) fn message(&self, message: &str, changes: usize) -> String {
        if !self.hides_names() {
            return message.to_owned();
        }
        let verb: String = message
            .chars()
            .take_while(char::is_ascii_alphabetic)
            .collect();
        let plural = if changes == 1 { "" } else { "s" };
        format!("{verb}: {changes} change{plural}")
    }
}

fn one(read: Result<Vec<Result<Record, MetaError>>, KeysError>) -> Result<Record, MetaError> {
    let mut all = read.map_err(MacError::from)?;
    all.pop().unwrap_or(Err(MetaError::Hidden))
}

#[cfg(test)]
#[path = "hidden_tests.rs"]
mod tests;
