use crate::crypto::Commitment;
use crate::model::Timestamp;

const FIRST: &str = "strongroom-bundle/1";
const FAMILY: &str = "strongroom-bundle/";
/// The most senders that a header can say something of.
const MAX_SEEN: usize = 256;
/// The longest name of a sender, in characters.
const MAX_NAME: usize = 128;

/// Whose key the metadata and values of a bundle are under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The vault's keyring: for its members.
    Vault,
    /// A key of the bundle's own, which it carries: for a newcomer.
    Bundle,
}

/// The newest bundle of one sender that somebody has applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The sender: the id of a vault's clone.
    pub sender: String,
    /// The bundle's number.
    pub sequence: u64,
    /// The bundle's id.
    pub bundle: String,
}

/// How much a bundle holds between header and trailer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Metadata frames.
    pub secrets: u64,
    /// Value frames.
    pub values: u64,
    /// All frames.
    pub frames: u64,
    /// All frames with their prefixes, in bytes.
    pub bytes: u64,
}

/// What a bundle says of itself before anything else (book, formats/bundle).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The vault it is of.
    pub vault: String,
    /// Its own id, a random UUID.
    pub bundle: String,
    /// The clone that made it.
    pub sender: String,
    /// What the sender is called, for people.
    pub name: String,
    /// Counts the sender's bundles, from 1.
    pub sequence: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Whose key its content is under.
    pub holder: Holder,
    /// The commitment to that key.
    pub keyring: Commitment,
    /// The beginnings of the names it is about, sorted; none for all.
    pub prefixes: Vec<String>,
    /// The state that the receiver was taken to have; none for a whole bundle.
    pub base: Option<[u8; 32]>,
    /// The sender's state.
    pub head: [u8; 32],
    /// What the sender had applied of others, sorted by sender.
    pub seen: Vec<Seen>,
    /// How much follows.
    pub counts: Counts,
}

/// The rule that a header breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The first line is another.
    #[error("it does not begin with strongroom-bundle/1")]
    First,
    /// A format of the future.
    #[error("it is of format {0}")]
    Newer(String),
    /// A line is absent, out of order or not spelt as the format says.
    #[error("its line `{0}` is absent or malformed")]
    Line(&'static str),
    /// Something follows its empty line, or there is none.
    #[error("it does not end in an empty line")]
    End,
}

impl Header {
    /// Writes it.
    pub fn emit(&self) -> String {
        let holder = match self.holder {
            Holder::Vault => "vault",
            Holder::Bundle => "bundle",
        };
        let mut out = format!(
            "{FIRST}\nvault: {}\nbundle: {}\nsender: {}\nname: {}\nsequence: {}\ncreated: {}\nkeys: {holder}\nkeyring: {}\n",
            self.vault,
            self.bundle,
            self.sender,
            json_string(&self.name),
            self.sequence,
            self.created,
            self.keyring,
        );
        for prefix in &self.prefixes {
            out.push_str(&format!("prefix: {}\n", json_string(prefix)));
        }
        let base = match &self.base {
            Some(base) => hex(base),
            None => "-".to_owned(),
        };
        out.push_str(&format!("base: {base}\nhead: {}\n", hex(&self.head)));
        for seen in &self.seen {
            out.push_str(&seen.line());
        }
        let counts = self.counts;
        out.push_str(&format!(
            "secrets: {}\nvalues: {}\nframes: {}\nbytes: {}\n\n",
            counts.secrets, counts.values, counts.frames, counts.bytes
        ));
        out
    }

    /// Reads it: exact order, exact spelling.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let mut lines = Lines::new(text);
        lines.first(FIRST, FAMILY)?;
        let vault = lines.need("vault", uuid)?;
        let bundle = lines.need("bundle", uuid)?;
        let sender = lines.need("sender", uuid)?;
        let name = lines.need("name", name)?;
        let sequence = lines.need("sequence", |t| number(t).filter(|n| *n > 0))?;
        let created = lines.need("created", time)?;
        let holder = lines.need("keys", |text| match text {
            "vault" => Some(Holder::Vault),
            "bundle" => Some(Holder::Bundle),
            _ => None,
        })?;
        let keyring = lines.need("keyring", |text| text.parse().ok())?;
        let prefixes = lines.many("prefix", json_text)?;
        let base = lines.need("base", |text| match text {
            "-" => Some(None),
            text => Some(Some(hash(text)?)),
        })?;
        let head = lines.need("head", hash)?;
        let seen = lines.many("seen", Seen::parse)?;
        let counts = Counts {
            secrets: lines.need("secrets", number)?,
            values: lines.need("values", number)?,
            frames: lines.need("frames", number)?,
            bytes: lines.need("bytes", number)?,
        };
        lines.end()?;
        check_seen(&seen)?;
        if !prefixes.is_sorted_by(|a, b| a < b) {
            return Err(HeaderError::Line("prefix"));
        }
        Ok(Self {
            vault,
            bundle,
            sender,
            name,
            sequence,
            created,
            holder,
            keyring,
            prefixes,
            base,
            head,
            seen,
            counts,
        })
    }
}

pub(super) fn check_seen(seen: &[Seen]) -> Result<(), HeaderError> {
    let sorted = seen.is_sorted_by(|a, b| a.sender < b.sender);
    match sorted && seen.len() <= MAX_SEEN {
        true => Ok(()),
        false => Err(HeaderError::Line("seen")),
    }
}

impl Seen {
    pub(super) fn line(&self) -> String {
        format!("seen: {} {} {}\n", self.sender, self.sequence, self.bundle)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (sender, rest) = text.split_once(' ')?;
        let (sequence, bundle) = rest.split_once(' ')?;
        Some(Self {
            sender: uuid(sender)?,
            sequence: number(sequence).filter(|n| *n > 0)?,
            bundle: uuid(bundle)?,
        })
    }
}

/// Lines of `key: text`, from the front.
pub(super) struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self(text)
    }

    fn peek(&self) -> Option<&'a str> {
        self.0.split_once('\n').map(|(line, _)| line)
    }

    pub(super) fn next(&mut self) -> Option<&'a str> {
        let (line, rest) = self.0.split_once('\n')?;
        self.0 = rest;
        Some(line)
    }

    pub(super) fn rest(&self) -> &'a str {
        self.0
    }

    pub(super) fn first(&mut self, ours: &str, family: &str) -> Result<(), HeaderError> {
        match self.next() {
            Some(line) if line == ours => Ok(()),
            Some(line) => match line.strip_prefix(family) {
                Some(n) if !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) => {
                    Err(HeaderError::Newer(n.chars().take(20).collect()))
                }
                _ => Err(HeaderError::First),
            },
            None => Err(HeaderError::First),
        }
    }

    pub(super) fn need<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, HeaderError> {
        self.next()
            .and_then(|line| line.strip_prefix(key)?.strip_prefix(": "))
            .and_then(read)
            .ok_or(HeaderError::Line(key))
    }

    pub(super) fn many<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, HeaderError> {
        let mut all = Vec::new();
        let is_one = |line: &str| {
            let rest = line.strip_prefix(key);
            rest.is_some_and(|rest| rest.starts_with(": "))
        };
        while self.peek().is_some_and(is_one) {
            all.push(self.need(key, &read)?);
        }
        Ok(all)
    }

    fn end(&mut self) -> Result<(), HeaderError> {
        match (self.next(), self.0) {
            (Some(""), "") => Ok(()),
            _ => Err(HeaderError::End),
        }
    }
}

/// A UUID (RFC 9562) in lower case with hyphens.
pub(super) fn uuid(text: &str) -> Option<String> {
    let right = text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        });
    right.then(|| text.to_owned())
}

pub(super) fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

pub(super) fn time(text: &str) -> Option<Timestamp> {
    let time: Timestamp = text.parse().ok()?;
    (time.to_string() == text).then_some(time)
}

pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
    bytes.try_into().ok()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn json_text(text: &str) -> Option<String> {
    let plain: String = serde_json::from_str(text).ok()?;
    (json_string(&plain) == text).then_some(plain)
}

pub(super) fn name(text: &str) -> Option<String> {
    json_text(text).filter(|name| (1..=MAX_NAME).contains(&name.chars().count()))
}

/// A JSON string literal (RFC 8259 section 7) in one spelling, as in a value's container.
pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
