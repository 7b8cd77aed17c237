//! A keyring's member list, `keys/<name>.toml` (book, formats/vault). Pure.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

use crate::config::{line, quote};
use crate::crypto::{
    Commitment, Domain, HasMemberKey, KeyringKeys, KeysError, Mac, MemberKey, Recipient,
};
use crate::model::Escaped;

/// The keyring that every vault has.
pub(super) const DEFAULT: &str = "default";

/// The public keys of a list's members, as text.
pub(super) fn seen(list: &Keyring) -> BTreeSet<String> {
    list.members.values().map(ToString::to_string).collect()
}

/// The largest member list, in bytes.
pub(super) const MAX: usize = 1 << 20;

/// Who can open a keyring, and which secrets it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    /// What its files are called.
    pub name: String,
    /// Counts up with every new identity of the keyring, from 1.
    pub epoch: u32,
    /// The public key that values are encrypted to.
    pub recipient: Recipient,
    /// The commitment to its keys.
    pub commitment: Commitment,
    /// The beginnings of the names of its secrets; the empty one is of all.
    pub prefixes: Vec<String>,
    /// Who the keyring's own identity is encrypted to, by name.
    pub members: BTreeMap<String, MemberKey>,
    /// The epochs before this one, oldest first and without a gap.
    pub past: Vec<Past>,
}

/// An epoch of a keyring that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Its number.
    pub epoch: u32,
    /// The commitment to its keys.
    pub commitment: Commitment,
    /// The members who were removed at its end, sorted.
    pub removed: Vec<String>,
    /// The mac under its key over what the next epoch's keyring is
    /// ([`Keyring::successor`]): with it the old keys vouch for the new ones.
    pub vouch: Mac,
}

/// Why a member list is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// A format of the future.
    #[error("format {0} needs a newer strongroom")]
    NewerFormat(u64),
    /// Not the TOML of a keyring.
    #[error("line {line}: {message}")]
    Syntax {
        /// Where, counted from 1.
        line: usize,
        /// What the parser says, escaped, without the source line.
        message: String,
    },
    /// A text that is not what its key holds.
    #[error("{key} is malformed")]
    Malformed {
        /// The key.
        key: &'static str,
    },
    /// It says a keyring, in another spelling than the canonical one.
    #[error("the text is not in canonical form")]
    NotCanonical,
    /// It describes another keyring than the one its age file holds.
    #[error("it describes another keyring than the one beside it")]
    OtherKeyring,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: u64,
    name: String,
    epoch: u32,
    recipient: String,
    commitment: String,
    prefixes: Vec<String>,
    #[serde(default)]
    member: Vec<RawMember>,
    #[serde(default)]
    past: Vec<RawPast>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPast {
    epoch: u32,
    commitment: String,
    #[serde(default)]
    removed: Vec<String>,
    vouch: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMember {
    name: String,
    recipient: String,
}

/// Just the format, to know a future one whatever else it says.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

impl Keyring {
    /// The first epoch of a vault's keyring, with one member.
    pub fn new(keys: &KeyringKeys, member: &str, recipient: &dyn HasMemberKey) -> Self {
        Self {
            name: DEFAULT.to_owned(),
            epoch: 1,
            recipient: keys.recipient(),
            commitment: keys.commitment(),
            prefixes: vec![String::new()],
            members: BTreeMap::from([(member.to_owned(), recipient.member_key())]),
            past: Vec::new(),
        }
    }

    /// The path of the member list of a keyring of that name, below the vault.
    pub fn list_path(name: &str) -> String {
        format!("keys/{name}.toml")
    }

    /// The path of the keyring's encrypted identity, below the vault.
    pub fn age_path(name: &str) -> String {
        format!("keys/{name}.age")
    }

    /// The path of a former epoch's encrypted identity, below the vault.
    pub fn past_path(name: &str, epoch: u32) -> String {
        format!("keys/{name}.{epoch}.age")
    }

    /// What the keys of an epoch sign to vouch for those of the next: a text that says
    /// which keyring that is, under [`Domain::Epoch`].
    pub fn successor(
        name: &str,
        epoch: u32,
        recipient: &Recipient,
        commitment: &Commitment,
    ) -> String {
        let mut out = String::new();
        line("name", name, &mut out);
        out.push_str(&format!("epoch = {epoch}\n"));
        line("recipient", &recipient.to_string(), &mut out);
        line("commitment", &commitment.to_string(), &mut out);
        out
    }

    /// Writes the file, mac and all.
    pub fn seal(&self, keys: &KeyringKeys) -> Result<String, KeysError> {
        keys.seal_text(Domain::Keyring, self.emit())
    }

    /// Writes what stands before the mac.
    pub fn emit(&self) -> String {
        let mut out = String::from("format = 1\n");
        line("name", &self.name, &mut out);
        out.push_str(&format!("epoch = {}\n", self.epoch));
        line("recipient", &self.recipient.to_string(), &mut out);
        line("commitment", &self.commitment.to_string(), &mut out);
        out.push_str("prefixes = ");
        list(&self.prefixes, &mut out);
        out.push_str("\n\n");
        for (name, recipient) in &self.members {
            out.push_str("[[member]]\n");
            line("name", name, &mut out);
            line("recipient", &recipient.to_string(), &mut out);
            out.push('\n');
        }
        for past in &self.past {
            out.push_str("[[past]]\n");
            out.push_str(&format!("epoch = {}\n", past.epoch));
            line("commitment", &past.commitment.to_string(), &mut out);
            if !past.removed.is_empty() {
                out.push_str("removed = ");
                list(&past.removed, &mut out);
                out.push('\n');
            }
            line("vouch", &past.vouch.to_string(), &mut out);
            out.push('\n');
        }
        out
    }

    /// Reads what stands before the mac.
    pub fn parse(body: &str) -> Result<Self, KeyringError> {
        let syntax = |error: toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start);
            let before = body.get(..offset).unwrap_or_default();
            KeyringError::Syntax {
                line: before.bytes().filter(|b| *b == b'\n').count() + 1,
                message: Escaped(error.message()).to_string(),
            }
        };
        let format: Format = toml::from_str(body).map_err(syntax)?;
        if format.format != 1 {
            return Err(KeyringError::NewerFormat(format.format));
        }
        let raw: Raw = toml::from_str(body).map_err(syntax)?;
        let malformed = |key| KeyringError::Malformed { key };
        let mut members = BTreeMap::new();
        for member in raw.member {
            let recipient = member.recipient.parse();
            let recipient = recipient.map_err(|_| malformed("member.recipient"))?;
            members.insert(member.name, recipient);
        }
        let mut past = Vec::new();
        for raw in raw.past {
            past.push(Past {
                epoch: raw.epoch,
                commitment: raw
                    .commitment
                    .parse()
                    .map_err(|_| malformed("past.commitment"))?,
                removed: raw.removed,
                vouch: raw.vouch.parse().map_err(|_| malformed("past.vouch"))?,
            });
        }
        // Every epoch before this one, or none at all: the chain has no gap.
        let expected = 1..raw.epoch;
        if !past.is_empty() && !past.iter().map(|p| p.epoch).eq(expected) {
            return Err(malformed("past.epoch"));
        }
        let keyring = Self {
            name: raw.name,
            epoch: raw.epoch,
            recipient: raw.recipient.parse().map_err(|_| malformed("recipient"))?,
            commitment: raw
                .commitment
                .parse()
                .map_err(|_| malformed("commitment"))?,
            prefixes: raw.prefixes,
            members,
            past,
        };
        if raw.format == 1 && keyring.emit() == body {
            Ok(keyring)
        } else {
            Err(KeyringError::NotCanonical)
        }
    }

    /// Whether the list belongs to these keys and lies where it says.
    pub fn check(&self, name: &str, keys: &KeyringKeys) -> Result<(), KeyringError> {
        if self.name == name
            && self.recipient == keys.recipient()
            && self.commitment == keys.commitment()
        {
            Ok(())
        } else {
            Err(KeyringError::OtherKeyring)
        }
    }
}

/// A TOML array of texts on one line.
fn list(texts: &[String], out: &mut String) {
    out.push('[');
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        quote(text, out);
    }
    out.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Identity;

    #[test]
    fn a_member_list_comes_back_and_has_one_spelling() {
        let keys = KeyringKeys::new(Identity::generate(), "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90");
        let ann = Identity::generate().recipient();
        let mut keyring = Keyring::new(&keys, "ann \"x\"", &ann);
        keyring
            .members
            .insert("bob".into(), Identity::generate().recipient().into());
        keyring.prefixes.push("prod/".into());
        let body = keyring.emit();
        assert_eq!(Keyring::parse(&body), Ok(keyring.clone()));
        assert_eq!(keyring.check(DEFAULT, &keys), Ok(()));
        assert_eq!(
            keyring.check("other", &keys),
            Err(KeyringError::OtherKeyring)
        );

        let spaced = body.replacen("epoch = 1", "epoch  = 1", 1);
        assert_eq!(Keyring::parse(&spaced), Err(KeyringError::NotCanonical));
        let newer = body.replacen("format = 1", "format = 7\nnew = true", 1);
        assert_eq!(Keyring::parse(&newer), Err(KeyringError::NewerFormat(7)));
        let bad = body.replacen("commitment = \"", "commitment = \"x", 1);
        assert_eq!(
            Keyring::parse(&bad),
            Err(KeyringError::Malformed { key: "commitment" })
        );
        let unknown = body.replacen("epoch = 1", "epoch = 1\nextra = 1", 1);
        assert!(matches!(
            Keyring::parse(&unknown),
            Err(KeyringError::Syntax { .. })
        ));
    }
}
