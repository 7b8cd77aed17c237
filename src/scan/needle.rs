use std::collections::BTreeSet;

use serde_json::Value;
use zeroize::Zeroizing;

use super::Owner;
use super::search::Table;
use crate::model::{Kind, SecretValue};

/// Members of a JSON value that are no secrets by themselves: the names that AWS gives
/// them in the secrets of its databases (Secrets Manager user guide, JSON structure).
pub const SKIPPED: [&str; 9] = [
    "dbClusterIdentifier",
    "dbInstanceIdentifier",
    "dbname",
    "engine",
    "host",
    "masterarn",
    "port",
    "user",
    "username",
];

/// What is too weak to be looked for: it would be found everywhere.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The fewest bytes.
    pub min_length: usize,
    /// The least entropy, in bits: Shannon's over the text's own bytes, times its length.
    pub min_entropy: f64,
    /// Members that are not looked for, by their names in any case.
    pub skip: BTreeSet<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            min_length: 8,
            min_entropy: 20.0,
            skip: SKIPPED.iter().map(|s| s.to_ascii_lowercase()).collect(),
        }
    }
}

impl Rules {
    /// Whether a text is worth looking for.
    fn take(&self, text: &[u8]) -> bool {
        text.len() >= self.min_length && entropy(text) >= self.min_entropy
    }
}

/// How many bits a text has, by how often each byte is in it.
fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a value has at most 65,536 bytes"
    )]
    let len = text.len() as f64;
    let bits = counts.iter().filter(|n| **n > 0).map(|n| {
        let n = f64::from(*n);
        -n * (n / len).log2()
    });
    bits.sum()
}

/// How a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// As it is.
    Plain,
    /// Inside a text in JSON's quotes.
    Json,
    /// Percent-encoded.
    Url,
    /// In base64 of either alphabet, by itself or inside something longer.
    Base64,
}

impl Form {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Json => "json",
            Self::Url => "url",
            Self::Base64 => "base64",
        }
    }
}

/// One text to look for.
pub(super) struct Needle {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) form: Form,
    pub(super) owners: Vec<Owner>,
}

/// What is looked for.
#[derive(Default)]
pub struct Needles {
    all: Vec<Needle>,
    weak: usize,
}

impl Needles {
    /// Looks for a value, whole and by its members.
    pub fn add(&mut self, owner: &Owner, value: &SecretValue, rules: &Rules) {
        let bytes = value.expose_secret();
        if value.kind() == Kind::String
            && let Ok(json) = serde_json::from_slice::<Value>(bytes)
            && (json.is_object() || json.is_array())
        {
            self.members(owner, &json, "", rules);
        }
        // Files end in a line break where values do not, and the other way round.
        self.text(owner, None, bytes.trim_ascii(), rules);
    }

    fn members(&mut self, owner: &Owner, json: &Value, path: &str, rules: &Rules) {
        match json {
            Value::Object(object) => {
                for (key, value) in object {
                    if rules.skip.contains(&key.to_ascii_lowercase()) {
                        continue;
                    }
                    let below = match path {
                        "" => key.clone(),
                        path => format!("{path}.{key}"),
                    };
                    self.members(owner, value, &below, rules);
                }
            }
            Value::Array(items) => {
                for (at, value) in items.iter().enumerate() {
                    self.members(owner, value, &format!("{path}[{at}]"), rules);
                }
            }
            Value::String(text) => self.text(owner, Some(path), text.trim().as_bytes(), rules),
            Value::Number(number) => {
                self.text(owner, Some(path), number.to_string().as_bytes(), rules);
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn text(&mut self, owner: &Owner, field: Option<&str>, text: &[u8], rules: &Rules) {
        if !rules.take(text) {
            self.weak += 1;
            return;
        }
        let owner = Owner {
            field: field.map(ToOwned::to_owned),
            ..owner.clone()
        };
        let mut push = |form, bytes: Vec<u8>| {
            self.all.push(Needle {
                bytes: Zeroizing::new(bytes),
                form,
                owners: vec![owner.clone()],
            });
        };
        push(Form::Plain, text.to_vec());
        if let Some(json) = in_quotes(text) {
            push(Form::Json, json);
        }
        for also in [&b"-_.~"[..], b"-_.~!*'()"] {
            push(Form::Url, percent(text, also));
        }
        for offset in 0..3 {
            for spec in [&data_encoding::BASE64, &data_encoding::BASE64URL] {
                push(Form::Base64, within_base64(spec, text, offset));
            }
        }
    }

    /// How many texts were too weak to be looked for.
    pub fn weak(&self) -> usize {
        self.weak
    }

    /// Makes them ready for the search. Equal texts become one, with several owners.
    pub fn table(mut self) -> Table {
        self.all
            .sort_by(|a, b| (&*a.bytes, a.form).cmp(&(&*b.bytes, b.form)));
        let mut merged: Vec<Needle> = Vec::new();
        for needle in self.all {
            match merged.last_mut() {
                Some(last) if last.bytes == needle.bytes => {
                    for owner in needle.owners {
                        if !last.owners.contains(&owner) {
                            last.owners.push(owner);
                        }
                    }
                }
                _ => merged.push(needle),
            }
        }
        Table::new(merged)
    }
}

/// A text as JSON writes it between quotes, where that is another one.
fn in_quotes(text: &[u8]) -> Option<Vec<u8>> {
    let quoted = serde_json::to_string(std::str::from_utf8(text).ok()?).ok()?;
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    (inner.as_bytes() != text).then(|| inner.as_bytes().to_vec())
}

/// Percent-encoded (RFC 3986 section 2.1), with these bytes as they are besides letters
/// and digits.
fn percent(text: &[u8], also: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() * 3);
    for byte in text {
        if byte.is_ascii_alphanumeric() || also.contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

/// What of the base64 of something longer, in which `text` begins `offset` bytes after
/// a multiple of three, depends on `text` alone.
fn within_base64(spec: &data_encoding::Encoding, text: &[u8], offset: usize) -> Vec<u8> {
    let mut padded = Zeroizing::new(vec![0; offset]);
    padded.extend_from_slice(text);
    let mut whole = spec.encode(&padded).into_bytes();
    whole.truncate(padded.len() * 8 / 6);
    whole.drain(..(offset * 8).div_ceil(6));
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_texts_are_not_looked_for() {
        let rules = Rules::default();
        for weak in ["", "true", "short", "aaaaaaaaaaaaaaaa", "abababababab"] {
            assert!(!rules.take(weak.as_bytes()), "{weak}");
        }
        for strong in ["hunter2-!", "correct horse", "0123456789abcdef"] {
            assert!(rules.take(strong.as_bytes()), "{strong}");
        }
        assert!((entropy(b"abcd") - 8.0).abs() < 1e-9);
    }

    #[test]
    fn what_base64_says_of_a_text_alone_is_in_the_base64_of_whatever_holds_it() {
        let text = b"s3cret-value";
        for before in 0..9 {
            for after in 0..4 {
                let mut whole = vec![b'x'; before];
                whole.extend_from_slice(text);
                whole.extend(vec![b'y'; after]);
                let whole = data_encoding::BASE64.encode(&whole);
                let part = within_base64(&data_encoding::BASE64, text, before % 3);
                let part = String::from_utf8(part).unwrap();
                assert!(whole.contains(&part), "{before} {after}: {part} in {whole}");
                assert!(part.len() >= 14);
            }
        }
    }
}
