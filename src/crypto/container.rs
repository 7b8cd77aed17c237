//! The plaintext of a value's file (book, formats/value-file): a text header, the
//! payload, zeros up to a length that tells little (Padme, PURBs, section 4).

use zeroize::Zeroizing;

use crate::model::{Kind, SecretName, SecretValue, Timestamp, VersionId};

const FIRST: &str = "strongroom-value/1";
const FAMILY: &str = "strongroom-value/";
/// The shortest container, in bytes.
const FLOOR: usize = 512;
/// The longest container, in bytes: the largest value and 4 KiB of header, padded.
pub(super) const MAX_CONTAINER: usize = padded(SecretValue::MAX + 4096);

/// What the header of a value's file says: which version this is, and how its
/// payload is to be read (book, formats/value-file).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerHeader {
    /// The vault's id, a UUID in lower case.
    pub vault: String,
    /// The secret.
    pub name: SecretName,
    /// The version.
    pub version: VersionId,
    /// String or binary.
    pub kind: Kind,
    /// When the version was made, if that is known.
    pub created: Option<Timestamp>,
    /// Random bytes that make two encryptions of one version differ inside.
    pub salt: [u8; 16],
    /// The payload's length in bytes.
    pub size: usize,
}

/// The rule of the container format that a decrypted file breaks
/// (book, formats/value-file). It repeats nothing of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadContainer {
    /// The first line is not `strongroom-value/1`.
    #[error("it does not begin with strongroom-value/1")]
    NotContainer,
    /// The first line names another format version.
    #[error("it has a newer format")]
    NewerFormat,
    /// A header line is absent, out of order or not spelt as the format says.
    #[error("its header line `{0}` is absent or malformed")]
    Line(&'static str),
    /// No empty line after the header.
    #[error("its header does not end in an empty line")]
    HeaderEnd,
    /// The stated size does not fit what is there.
    #[error("its size does not fit its length")]
    Size,
    /// Padding of another length, or not of zeros.
    #[error("its padding is not the zeros that belong there")]
    Padding,
    /// A value of kind string that is not UTF-8.
    #[error("it is of kind string and not UTF-8")]
    NotText,
}

impl ContainerHeader {
    fn text(&self) -> String {
        let created = match self.created {
            Some(time) => time.to_string(),
            None => "-".to_owned(),
        };
        format!(
            "{FIRST}\nvault: {}\nname: {}\nversion: {}\nkind: {}\ncreated: {created}\nsalt: {}\nsize: {}\n\n",
            self.vault,
            self.name,
            json_string(self.version.as_str()),
            self.kind.as_str(),
            data_encoding::BASE64.encode(&self.salt),
            self.size,
        )
    }
}

/// The length a container of `len` bytes of header and payload is padded to.
///
/// Padme rounds up so that at most the `log2(log2 len) + 1` top bits are free, which
/// costs under 12 % and leaks O(log log) bits of the length.
pub(super) const fn padded(len: usize) -> usize {
    if len <= FLOOR {
        return FLOOR;
    }
    let exponent = len.ilog2();
    let mantissa = exponent.ilog2() + 1;
    let mask = (1 << (exponent - mantissa)) - 1;
    (len + mask) & !mask
}

/// Writes a container. The header's `size` is the payload's length.
pub(super) fn pack(header: &ContainerHeader, payload: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = header.text();
    let length = padded(text.len() + payload.len());
    let mut out = Zeroizing::new(Vec::with_capacity(length));
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(payload);
    out.resize(length, 0);
    out
}

/// Reads a container: exact order, exact spelling, exact padding.
pub(super) fn unpack(bytes: &[u8]) -> Result<(ContainerHeader, &[u8]), BadContainer> {
    let mut lines = Lines(bytes);
    match lines.next() {
        Some(FIRST) => {}
        Some(line) if is_other_version(line) => return Err(BadContainer::NewerFormat),
        _ => return Err(BadContainer::NotContainer),
    }
    let vault = lines.field("vault", |text| is_vault_id(text).then(|| text.to_owned()))?;
    let name = lines.field("name", |text| text.parse().ok())?;
    let version = lines.field("version", |text| {
        let id: String = serde_json::from_str(text).ok()?;
        (json_string(&id) == text).then_some(())?;
        id.parse().ok()
    })?;
    let kind = lines.field("kind", |text| match text {
        "string" => Some(Kind::String),
        "binary" => Some(Kind::Binary),
        _ => None,
    })?;
    let created = lines.field("created", |text| {
        if text == "-" {
            return Some(None);
        }
        let time: Timestamp = text.parse().ok()?;
        (time.to_string() == text).then_some(Some(time))
    })?;
    let salt = lines.field("salt", |text| {
        let salt = data_encoding::BASE64.decode(text.as_bytes()).ok()?;
        salt.try_into().ok()
    })?;
    let size = lines.field("size", |text| {
        let size: usize = text.parse().ok()?;
        (size.to_string() == text).then_some(size)
    })?;
    if lines.next() != Some("") {
        return Err(BadContainer::HeaderEnd);
    }
    let rest = lines.0;
    if size > SecretValue::MAX {
        return Err(BadContainer::Size);
    }
    let (payload, padding) = rest.split_at_checked(size).ok_or(BadContainer::Size)?;
    let used = bytes.len() - padding.len();
    if bytes.len() != padded(used) || padding.iter().any(|b| *b != 0) {
        return Err(BadContainer::Padding);
    }
    let header = ContainerHeader {
        vault,
        name,
        version,
        kind,
        created,
        salt,
        size,
    };
    Ok((header, payload))
}

/// Whether a text is a vault id: a UUID (RFC 9562) in lower case with hyphens.
pub(super) fn is_vault_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// A JSON string literal (RFC 8259 section 7), in one spelling: `"` `\` and the
/// characters below U+0020 escaped, the short escapes where JSON has them, `\u00xx`
/// in lower case elsewhere, all else as it is.
fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn is_other_version(line: &str) -> bool {
    line.strip_prefix(FAMILY)
        .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The header's lines, from the front.
struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|b| *b == b'\n')?;
        let (line, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        std::str::from_utf8(line).ok()
    }

    fn field<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, BadContainer> {
        self.next()
            .and_then(|line| line.strip_prefix(key)?.strip_prefix(": "))
            .and_then(read)
            .ok_or(BadContainer::Line(key))
    }
}

#[cfg(test)]
mod tests;
