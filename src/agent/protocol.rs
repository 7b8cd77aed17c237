//! What passes between the agent and its clients: frames of a length and a body, in
//! the order question, answer. Written by hand, so that no value passes through a
//! buffer that grows and is not wiped.
//!
//! A frame is the length of what follows in 4 bytes, least significant first, at most
//! [`MAX`]; then the protocol's version in 1 byte, the kind of message in 1 byte, and
//! its fields: numbers least significant byte first, texts and bytes behind their
//! length in 4 bytes.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::ttl::Lifetime;
use crate::config::Config;
use crate::crypto::{Domain, Mac, OpenError, Placed, Revealed};
use crate::model::{Digest, Kind};

/// The longest frame without its length, in bytes (crypto.md section 5).
pub(super) const MAX: usize = 256 * 1024;
/// What a frame has besides the texts of a request for macs, at most, in bytes.
pub(super) const HEAD: usize = 128;
/// How many texts a request for macs has at most.
pub(super) const MOST: usize = 2048;
/// The longest text that is sent in parts, in bytes.
pub(super) const LONGEST: usize = 32 << 20;

const VERSION: u8 = 1;

/// What is asked of the agent.
pub(super) enum Request<'a> {
    /// Which vaults it holds.
    Status,
    /// To forget every key and end.
    Lock,
    /// The public key to hand keyrings over under.
    Introduce,
    /// To hold a keyring: an age file to the key it introduced itself with.
    Hold {
        vault: &'a str,
        lifetime: Lifetime,
        keyring: &'a [u8],
    },
    /// Whether it holds a vault, and what is public about its keyring.
    Attach { vault: &'a str },
    /// The macs of texts.
    Macs {
        vault: &'a str,
        domain: Domain,
        bodies: Vec<&'a [u8]>,
    },
    /// The mac of a text that is longer than a frame; the answer to the last part.
    Part {
        vault: &'a str,
        domain: Domain,
        is_last: bool,
        bytes: &'a [u8],
    },
    /// The keyed digest of a value.
    Digest {
        vault: &'a str,
        kind: Kind,
        content: &'a [u8],
    },
    /// To decrypt a value's file.
    Open { vault: &'a str, file: &'a [u8] },
    /// What stands for names where names are hidden.
    HideNames { vault: &'a str, names: Vec<&'a str> },
    /// To encrypt texts, each for its place.
    Hide {
        vault: &'a str,
        texts: Vec<Placed<'a>>,
    },
    /// To decrypt texts that were hidden.
    Reveal {
        vault: &'a str,
        sealed: Vec<Placed<'a>>,
    },
    /// To close this connection when the vault is locked.
    Watch { vault: &'a str },
}

/// What the agent answers.
pub(super) enum Reply {
    Done,
    /// It does not hold that vault.
    Locked,
    /// The request makes no sense, or is of another version.
    Refused {
        version: u8,
    },
    Status(Status),
    Introduced {
        recipient: String,
    },
    Attached {
        recipient: String,
        commitment: String,
    },
    Macs(Vec<Mac>),
    Digest(Digest),
    Plain(Zeroizing<Vec<u8>>),
    NotOpened(OpenError),
    /// The two parts of each name.
    HiddenNames(Vec<[Zeroizing<[u8; 32]>; 2]>),
    /// Texts, hidden or revealed; those that nobody with the keys hid are absent.
    Texts(Vec<Option<Revealed>>),
}

/// What the agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// The vaults it holds keys of.
    pub vaults: Vec<HeldVault>,
}

/// A vault whose keys the agent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldVault {
    /// The vault's id, and behind a `/` the keyring's name unless it is the default one.
    pub vault: String,
    /// The keyring's fingerprint.
    pub fingerprint: String,
    /// What is left of its time.
    pub left: Lifetime,
    /// Whether its keys stay out of the swap space.
    pub is_memory_locked: bool,
}

/// What a keyring of a vault is called between the agent and its clients: the default one
/// by the vault's id alone.
pub(super) fn seat(vault: &str, keyring: &str) -> String {
    format!("{vault}/{keyring}")
}

/// The vault's id, and the keyring's name unless it is the default one.
pub(super) fn split_seat(seat: &str) -> (&str, Option<&str>) {
    match seat.split_once('/') {
        Some((vault, keyring)) => (vault, Some(keyring)),
        None => (seat, None),
    }
}

/// Bytes that are no message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// The version that they claim.
    pub(super) version: u8,
}

impl Request<'_> {
    pub(super) fn frame(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Status => Writer::new(1, 0).0,
            Self::Lock => Writer::new(2, 0).0,
            Self::Introduce => Writer::new(3, 0).0,
            Self::Hold {
                vault,
                lifetime,
                keyring,
            } => {
                let frame = Writer::new(4, keyring.len()).text(vault);
                frame.lifetime(*lifetime).bytes(keyring).0
            }
            Self::Attach { vault } => Writer::new(5, 0).text(vault).0,
            Self::Macs {
                vault,
                domain,
                bodies,
            } => {
                let size = bodies.iter().map(|b| b.len() + 4).sum();
                let frame = Writer::new(6, size).text(vault).byte(code(*domain));
                let frame = frame.count(bodies.len());
                bodies.iter().fold(frame, |frame, b| frame.bytes(b)).0
            }
            Self::Part {
                vault,
                domain,
                is_last,
                bytes,
            } => {
                let frame = Writer::new(7, bytes.len()).text(vault).byte(code(*domain));
                frame.byte(u8::from(*is_last)).bytes(bytes).0
            }
            Self::Digest {
                vault,
                kind,
                content,
            } => {
                let kind = u8::from(*kind == Kind::Binary);
                let frame = Writer::new(8, content.len()).text(vault);
                frame.byte(kind).bytes(content).0
            }
            Self::Open { vault, file } => Writer::new(9, file.len()).text(vault).bytes(file).0,
            Self::Watch { vault } => Writer::new(10, 0).text(vault).0,
            Self::HideNames { vault, names } => {
                let size = names.iter().map(|name| name.len() + 4).sum();
                let frame = Writer::new(11, size).text(vault).count(names.len());
                names.iter().fold(frame, |frame, name| frame.text(name)).0
            }
            Self::Hide { vault, texts } => placed(12, vault, texts).0,
            Self::Reveal { vault, sealed } => placed(13, vault, sealed).0,
        }
    }
}

impl<'a> Request<'a> {
    pub(super) fn parse(frame: &'a [u8]) -> Result<Self, Malformed> {
        let version = frame.first().copied().unwrap_or_default();
        Self::read(frame).ok_or(Malformed { version })
    }

    fn read(frame: &'a [u8]) -> Option<Self> {
        let (kind, mut fields) = Reader::new(frame)?;
        let request = match kind {
            1 => Self::Status,
            2 => Self::Lock,
            3 => Self::Introduce,
            4 => Self::Hold {
                vault: fields.vault()?,
                lifetime: fields.lifetime()?,
                keyring: fields.bytes()?,
            },
            5 => Self::Attach {
                vault: fields.vault()?,
            },
            6 => {
                let (vault, domain) = (fields.vault()?, domain(fields.byte()?)?);
                let count = usize::try_from(fields.number()?).ok()?;
                if count > MOST {
                    return None;
                }
                let bodies = (0..count).map(|_| fields.bytes()).collect::<Option<_>>()?;
                Self::Macs {
                    vault,
                    domain,
                    bodies,
                }
            }
            7 => Self::Part {
                vault: fields.vault()?,
                domain: domain(fields.byte()?)?,
                is_last: fields.byte()? == 1,
                bytes: fields.bytes()?,
            },
            8 => Self::Digest {
                vault: fields.vault()?,
                kind: match fields.byte()? {
                    0 => Kind::String,
                    1 => Kind::Binary,
                    _ => return None,
                },
                content: fields.bytes()?,
            },
            9 => Self::Open {
                vault: fields.vault()?,
                file: fields.bytes()?,
            },
            10 => Self::Watch {
                vault: fields.vault()?,
            },
            11 => {
                let vault = fields.vault()?;
                let names = fields.many(Reader::text)?;
                Self::HideNames { vault, names }
            }
            12 => {
                let vault = fields.vault()?;
                let texts = fields.many(Reader::placed)?;
                Self::Hide { vault, texts }
            }
            13 => {
                let vault = fields.vault()?;
                let sealed = fields.many(Reader::placed)?;
                Self::Reveal { vault, sealed }
            }
            _ => return None,
        };
        fields.end().then_some(request)
    }
}

impl Reply {
    pub(super) fn frame(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Done => Writer::new(1, 0).0,
            Self::Locked => Writer::new(2, 0).0,
            Self::Refused { version } => Writer::new(3, 0).byte(*version).0,
            Self::Status(status) => {
                let frame = Writer::new(4, 256 * status.vaults.len());
                let frame = frame.long(u64::from(status.pid)).count(status.vaults.len());
                let vaults = status.vaults.iter();
                vaults
                    .fold(frame, |frame, held| {
                        let frame = frame.text(&held.vault).text(&held.fingerprint);
                        let frame = frame.lifetime(held.left);
                        frame.byte(u8::from(held.is_memory_locked))
                    })
                    .0
            }
            Self::Introduced { recipient } => Writer::new(5, 0).text(recipient).0,
            Self::Attached {
                recipient,
                commitment,
            } => Writer::new(6, 0).text(recipient).text(commitment).0,
            Self::Macs(macs) => {
                let frame = Writer::new(7, 32 * macs.len()).count(macs.len());
                macs.iter().fold(frame, |f, mac| f.raw(mac.as_bytes())).0
            }
            Self::Digest(digest) => Writer::new(8, 0).raw(&digest.0).0,
            Self::Plain(plain) => Writer::new(9, plain.len()).bytes(plain).0,
            Self::NotOpened(error) => {
                let (code, number) = refusal(error);
                Writer::new(10, 0).byte(code).count(number).0
            }
            Self::HiddenNames(names) => {
                let frame = Writer::new(11, 64 * names.len()).count(names.len());
                let parts = names.iter().flatten();
                parts.fold(frame, |frame, part| frame.raw(&**part)).0
            }
            Self::Texts(texts) => {
                let lengths = texts.iter().flatten().map(|text| text.len());
                let size = lengths.sum::<usize>() + 5 * texts.len();
                let frame = Writer::new(12, size).count(texts.len());
                texts
                    .iter()
                    .fold(frame, |frame, text| match text {
                        Some(text) => frame.byte(1).bytes(text),
                        None => frame.byte(0),
                    })
                    .0
            }
        }
    }

    pub(super) fn parse(frame: &[u8]) -> Result<Self, Malformed> {
        let version = frame.first().copied().unwrap_or_default();
        Self::read(frame).ok_or(Malformed { version })
    }

    fn read(frame: &[u8]) -> Option<Self> {
        let (kind, mut fields) = Reader::new(frame)?;
        let reply = match kind {
            1 => Self::Done,
            2 => Self::Locked,
            3 => Self::Refused {
                version: fields.byte()?,
            },
            4 => {
                let pid = u32::try_from(fields.long()?).ok()?;
                let count = fields.number()?;
                let held = |fields: &mut Reader<'_>| {
                    Some(HeldVault {
                        vault: fields.text()?.to_owned(),
                        fingerprint: fields.text()?.to_owned(),
                        left: fields.lifetime()?,
                        is_memory_locked: fields.byte()? == 1,
                    })
                };
                let vaults = (0..count).map(|_| held(&mut fields)).collect::<Option<_>>();
                Self::Status(Status {
                    pid,
                    vaults: vaults?,
                })
            }
            5 => Self::Introduced {
                recipient: fields.text()?.to_owned(),
            },
            6 => Self::Attached {
                recipient: fields.text()?.to_owned(),
                commitment: fields.text()?.to_owned(),
            },
            7 => {
                let count = fields.number()?;
                let mac = |_| fields.array().map(Mac::from_bytes);
                Self::Macs((0..count).map(mac).collect::<Option<_>>()?)
            }
            8 => Self::Digest(Digest(fields.array()?)),
            9 => Self::Plain(Zeroizing::new(fields.bytes()?.to_vec())),
            10 => Self::NotOpened(refused(fields.byte()?, fields.number()?)?),
            11 => {
                let part = |fields: &mut Reader<'_>| fields.array().map(Zeroizing::new);
                let name = |fields: &mut Reader<'_>| Some([part(fields)?, part(fields)?]);
                Self::HiddenNames(fields.many(name)?)
            }
            12 => {
                let text = |fields: &mut Reader<'_>| match fields.byte()? {
                    0 => Some(None),
                    1 => Some(Some(Zeroizing::new(fields.bytes()?.to_vec()))),
                    _ => None,
                };
                Self::Texts(fields.many(text)?)
            }
            _ => return None,
        };
        fields.end().then_some(reply)
    }
}

fn placed(kind: u8, vault: &str, texts: &[Placed<'_>]) -> Writer {
    let size = texts.iter().map(|t| t.place.len() + t.bytes.len() + 8);
    let frame = Writer::new(kind, size.sum()).text(vault).count(texts.len());
    let add = |frame: Writer, text: &Placed<'_>| frame.text(text.place).bytes(text.bytes);
    texts.iter().fold(frame, add)
}

fn code(domain: Domain) -> u8 {
    match domain {
        Domain::Vault => 0,
        Domain::Keyring => 1,
        Domain::Secret => 2,
        Domain::Plan => 3,
        Domain::Epoch => 4,
        Domain::Ledger => 5,
        Domain::Audit => 6,
        Domain::Bundle => 7,
        Domain::Have => 8,
    }
}

fn domain(code: u8) -> Option<Domain> {
    let all = [
        Domain::Vault,
        Domain::Keyring,
        Domain::Secret,
        Domain::Plan,
        Domain::Epoch,
        Domain::Ledger,
        Domain::Audit,
        Domain::Bundle,
        Domain::Have,
    ];
    all.get(usize::from(code)).copied()
}

/// What age files are refused for. What is inside one is not looked at by the agent.
fn refusal(error: &OpenError) -> (u8, usize) {
    match error {
        OpenError::TooLarge => (0, 0),
        OpenError::NotAge => (1, 0),
        OpenError::Armored => (2, 0),
        OpenError::PassphraseFile => (3, 0),
        OpenError::HeaderBomb => (4, 0),
        OpenError::Recipients(count) => (5, *count),
        OpenError::NoIdentityMatches => (6, 0),
        OpenError::Damaged
        | OpenError::NewerFormat
        | OpenError::BadContainer(_)
        | OpenError::WrongPlace { .. }
        | OpenError::BadKeyring(_)
        | OpenError::Plugin(_)
        | OpenError::Keys(_) => (7, 0),
    }
}

fn refused(code: u8, number: u32) -> Option<OpenError> {
    Some(match code {
        0 => OpenError::TooLarge,
        1 => OpenError::NotAge,
        2 => OpenError::Armored,
        3 => OpenError::PassphraseFile,
        4 => OpenError::HeaderBomb,
        5 => OpenError::Recipients(usize::try_from(number).ok()?),
        6 => OpenError::NoIdentityMatches,
        7 => OpenError::Damaged,
        _ => return None,
    })
}

/// Builds a frame, its length included, in a buffer that is large enough from the
/// start.
struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    fn new(kind: u8, room: usize) -> Self {
        let mut frame = Zeroizing::new(Vec::with_capacity(room + 512));
        frame.extend_from_slice(&[0, 0, 0, 0, VERSION, kind]);
        Self(frame).raw(&[])
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        let len = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        if let Some(head) = self.0.first_chunk_mut() {
            *head = len.to_le_bytes();
        }
        self
    }

    fn byte(self, byte: u8) -> Self {
        self.raw(&[byte])
    }

    fn long(self, number: u64) -> Self {
        self.raw(&number.to_le_bytes())
    }

    fn count(self, number: usize) -> Self {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.raw(&number.to_le_bytes())
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        self.count(bytes.len()).raw(bytes)
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn lifetime(self, lifetime: Lifetime) -> Self {
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        self.long(millis(lifetime.idle)).long(millis(lifetime.ttl))
    }
}

/// Reads a frame's fields, without its length.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(frame: &'a [u8]) -> Option<(u8, Self)> {
        match frame {
            [VERSION, kind, fields @ ..] => Some((*kind, Self(fields))),
            _ => None,
        }
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A vault's id: a UUID in lower case.
    /// A vault's id; behind it, after a `/`, another keyring's name than the default
    /// one's.
    fn vault(&mut self) -> Option<&'a str> {
        let is_part = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
        let text = self.text()?;
        let (vault, keyring) = split_seat(text);
        let is_right = vault.len() == 36 && vault.bytes().all(is_part);
        let is_keyring = keyring.is_none_or(Config::is_keyring_name);
        (is_right && is_keyring).then_some(text)
    }

    fn lifetime(&mut self) -> Option<Lifetime> {
        Some(Lifetime {
            idle: Duration::from_millis(self.long()?),
            ttl: Duration::from_millis(self.long()?),
        })
    }

    fn placed(&mut self) -> Option<Placed<'a>> {
        let (place, bytes) = (self.text()?, self.bytes()?);
        Some(Placed { place, bytes })
    }

    /// A number of fields, at most [`MOST`].
    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok()?;
        if count > MOST {
            return None;
        }
        (0..count).map(|_| one(self)).collect()
    }

    fn end(&self) -> bool {
        self.0.is_empty()
    }
}

/// Sends a frame.
pub(super) fn send(mut stream: &UnixStream, frame: &[u8]) -> io::Result<()> {
    stream.write_all(frame)
}

/// Receives a frame, whole within `patience`; `None` if the other end has closed.
pub(super) fn receive(
    stream: &UnixStream,
    patience: Duration,
) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let until = Instant::now() + patience;
    let mut length = [0; 4];
    if !fill(stream, &mut length, until)? {
        return Ok(None);
    }
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX {
        let error = "a message of the agent's is too long";
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    let mut frame = Zeroizing::new(vec![0; length]);
    match fill(stream, &mut frame, until)? || length == 0 {
        true => Ok(Some(frame)),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Fills a buffer; false if the other end closed before the first byte.
fn fill(mut stream: &UnixStream, buffer: &mut [u8], until: Instant) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(free) = buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(free) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled > 0)
}

#[cfg(test)]
mod tests;
