use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::header::{HeaderError, Lines, Seen, check_seen, hash, hex, name, number, time, uuid};
use crate::crypto::{Commitment, Domain, KeyringKeys, KeysError, MacError};
use crate::model::{Digest, SecretName, Timestamp, VersionId};

const FIRST: &str = "strongroom-have/1";
const FAMILY: &str = "strongroom-have/";
const COLUMNS: usize = 64;
const MARK: usize = 8;
/// The largest file that is looked at, in bytes: some two million versions.
pub const MAX_HAVE: usize = 24 << 20;

/// The beginning of a SHA-256 that stands for one text or value that a clone holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark([u8; MARK]);

impl Mark {
    /// That of a secret's metadata file, mac and all.
    pub fn of_metadata(text: &[u8]) -> Self {
        Self::of(&[b"metadata\0", text])
    }

    /// That of a version's value, by its keyed digest.
    pub fn of_value(name: &SecretName, id: &VersionId, digest: &Digest) -> Self {
        let (name, id) = (name.as_str().as_bytes(), id.as_str().as_bytes());
        Self::of(&[b"value\0", name, b"\0", id, b"\0", &digest.0])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        Self([a, b, c, d, e, f, g, h])
    }
}

/// What a clone holds, so that another can send it the rest; and which bundles it has
/// applied, so that it is a receipt too (book, formats/bundle).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Have {
    /// The vault.
    pub vault: String,
    /// The clone that says so.
    pub clone: String,
    /// What it is called, for people.
    pub name: String,
    /// When it said so.
    pub created: Timestamp,
    /// The commitment to its keyring's key.
    pub keyring: Commitment,
    /// Its state, as a bundle's header has one.
    pub state: [u8; 32],
    /// The newest bundle of each sender that it has applied, sorted by sender.
    pub seen: Vec<Seen>,
    /// The metadata it holds.
    pub metadata: BTreeSet<Mark>,
    /// The values it holds.
    pub values: BTreeSet<Mark>,
}

/// Why a file is not taken for what a clone holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HaveError {
    /// Longer than any.
    #[error("the file is larger than any strongroom writes")]
    TooLarge,
    /// Not text.
    #[error("the file is not UTF-8 text")]
    NotText,
    /// Not this format.
    #[error("not a have file")]
    Format(#[from] HeaderError),
    /// Of this vault, made under the keys of another epoch.
    #[error("the have file is under keyring {found}; this clone's is {here}")]
    OtherKeyring {
        /// Its keyring's fingerprint.
        found: String,
        /// The fingerprint here.
        here: String,
    },
    /// What follows the header is not what it says.
    #[error("the have file's body is malformed")]
    Body,
    /// Altered, or made by someone without the vault's key.
    #[error(transparent)]
    Mac(#[from] MacError),
}

/// What a text that does not verify says its keys are, if it says others.
fn other_keyring(text: &str, keys: &KeyringKeys) -> Option<HaveError> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("keyring: "))?;
    let found: Commitment = line.parse().ok()?;
    let here = keys.commitment();
    (found != here).then(|| HaveError::OtherKeyring {
        found: found.fingerprint(),
        here: here.fingerprint(),
    })
}

impl Have {
    /// Writes it, mac and all.
    pub fn seal(&self, keys: &KeyringKeys) -> Result<String, KeysError> {
        keys.seal_text(Domain::Have, self.emit())
    }

    fn emit(&self) -> String {
        let mut out = format!(
            "{FIRST}\nvault: {}\nclone: {}\nname: {}\ncreated: {}\nkeyring: {}\nstate: {}\n",
            self.vault,
            self.clone,
            super::header::json_string(&self.name),
            self.created,
            self.keyring,
            hex(&self.state),
        );
        for seen in &self.seen {
            out.push_str(&seen.line());
        }
        out.push_str(&format!(
            "metadata: {}\nvalues: {}\n---\n",
            self.metadata.len(),
            self.values.len()
        ));
        let marks = self.metadata.iter().chain(&self.values);
        let bytes: Vec<u8> = marks.flat_map(|mark| mark.0).collect();
        let text = data_encoding::BASE64.encode(&bytes);
        for (at, c) in text.chars().enumerate() {
            out.push(c);
            if at % COLUMNS == COLUMNS - 1 || at + 1 == text.len() {
                out.push('\n');
            }
        }
        out
    }

    /// Reads it and verifies its mac.
    pub fn open(bytes: &[u8], keys: &KeyringKeys) -> Result<Self, HaveError> {
        if bytes.len() > MAX_HAVE {
            return Err(HaveError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| HaveError::NotText)?;
        // The format first: "no mac" would hide the more telling answer.
        Lines::new(text).first(FIRST, FAMILY)?;
        match keys.verify_text(Domain::Have, text) {
            Ok(body) => Self::parse(body),
            Err(error) => Err(other_keyring(text, keys).unwrap_or_else(|| error.into())),
        }
    }

    fn parse(body: &str) -> Result<Self, HaveError> {
        let mut lines = Lines::new(body);
        lines.first(FIRST, FAMILY)?;
        let vault = lines.need("vault", uuid)?;
        let clone = lines.need("clone", uuid)?;
        let name = lines.need("name", name)?;
        let created = lines.need("created", time)?;
        let keyring = lines.need("keyring", |text| text.parse().ok())?;
        let state = lines.need("state", hash)?;
        let seen = lines.many("seen", Seen::parse)?;
        check_seen(&seen)?;
        let metadata = lines.need("metadata", number)?;
        let values = lines.need("values", number)?;
        if lines.next() != Some("---") {
            return Err(HaveError::Body);
        }
        let joined: String = lines.rest().split('\n').collect();
        let bytes = data_encoding::BASE64.decode(joined.as_bytes());
        let bytes = bytes.map_err(|_| HaveError::Body)?;
        let (marks, rest) = bytes.as_chunks::<MARK>();
        let count = |n: u64| usize::try_from(n).map_err(|_| HaveError::Body);
        let (metadata, values) = (count(metadata)?, count(values)?);
        let total = metadata.checked_add(values);
        if !rest.is_empty() || total != Some(marks.len()) {
            return Err(HaveError::Body);
        }
        let (first, second) = marks.split_at(metadata);
        let have = Self {
            vault,
            clone,
            name,
            created,
            keyring,
            state,
            seen,
            metadata: first.iter().copied().map(Mark).collect(),
            values: second.iter().copied().map(Mark).collect(),
        };
        match have.emit() == body {
            true => Ok(have),
            false => Err(HaveError::Body),
        }
    }
}
