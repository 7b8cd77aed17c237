use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::error::{BundleError, reading};
use super::frame::{Hashing, Kind, MAX_BYTES, MAX_FRAME, MAX_FRAMES, PREFIX, TRAILER};
use super::header::{Counts, Header, HeaderError, Holder};
use super::outer::{self, Key};
use super::stage::Stage;
use crate::crypto::{Domain, Identity, KeyringKeys, Mac};
use crate::model::VersionId;

/// A piece of what was staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub(super) at: u64,
    pub(super) length: usize,
}

/// What a vault rests on, as the sender has it: the files as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foundation {
    /// `strongroom.toml`.
    pub settings: Vec<u8>,
    /// The keyring's member list.
    pub members: Vec<u8>,
    /// The keyring's own identity, encrypted to the members.
    pub keyring: Vec<u8>,
    /// The identities of the epochs before, each encrypted to the next, the first first.
    pub past: Vec<Vec<u8>>,
    /// The offboarding ledgers, by the epoch that began.
    pub ledgers: BTreeMap<u32, Vec<u8>>,
}

/// One secret of a bundle.
struct Carried {
    metadata: Span,
    values: Vec<(VersionId, Span)>,
}

/// A bundle that was read to its end and keeps its format's rules. Who made it is not
/// known yet, so it gives nothing out but its header.
pub struct Unproved {
    header: Header,
    foundation: Option<Foundation>,
    key: Option<Zeroizing<Vec<u8>>>,
    secrets: Vec<Carried>,
    stage: Stage,
    hash: [u8; 32],
    mac: [u8; 32],
}

/// A bundle whose trailer was proved: whoever made it had the key.
pub struct Bundle {
    header: Header,
    foundation: Option<Foundation>,
    secrets: Vec<Carried>,
    stage: Stage,
    hash: [u8; 32],
}

/// Reads a bundle, decrypting it into a private directory below `staging`. The file is
/// read once, as a stream, and every bound is checked before what it bounds is read.
pub fn read(path: &Path, key: &Key<'_>, staging: &Path) -> Result<Unproved, BundleError> {
    let file = open(path)?;
    let plain = outer::open(file, key, path)?;
    let mut frames = Frames {
        input: Hashing::new(plain),
        path,
        at: 0,
    };
    let header = frames.header()?;
    let promised = header.counts;
    if promised.bytes > MAX_BYTES {
        return Err(BundleError::TooLarge(promised.bytes));
    }
    if promised.frames > MAX_FRAMES {
        return Err(BundleError::WrongTotals { what: "frames" });
    }
    let mut unproved = Unproved {
        header,
        foundation: None,
        key: None,
        secrets: Vec::new(),
        stage: Stage::create(staging)?,
        hash: [0; 32],
        mac: [0; 32],
    };
    let mut done = Counts::default();
    let mut versions = BTreeSet::new();
    loop {
        let hash = frames.input.hash();
        let (kind, length) = frames.prefix()?;
        if kind == Kind::Trailer {
            let payload = frames.payload(length, TRAILER)?;
            check_totals(done, promised)?;
            let (found, mac) = payload.split_at(32);
            if found != hash {
                return Err(BundleError::WrongHash);
            }
            unproved.hash = hash;
            unproved.mac.copy_from_slice(mac);
            break;
        }
        let room = promised.bytes.saturating_sub(done.bytes);
        let whole = u64::try_from(PREFIX + length).unwrap_or(u64::MAX);
        if done.frames == promised.frames || whole > room {
            return Err(BundleError::WrongTotals {
                what: "more than it says",
            });
        }
        unproved.expects(kind, done.frames, frames.at)?;
        let payload = frames.payload(length, length)?;
        done.frames += 1;
        done.bytes += whole;
        let at = frames.at;
        match kind {
            Kind::Settings => unproved.base().settings = payload.to_vec(),
            Kind::Members => unproved.base().members = payload.to_vec(),
            Kind::Keyring => unproved.base().keyring = payload.to_vec(),
            Kind::Epoch => unproved.base().past.push(payload.to_vec()),
            Kind::Ledger => unproved.ledger(&payload, at)?,
            Kind::Key => unproved.key = Some(payload),
            Kind::Metadata => {
                done.secrets += 1;
                versions.clear();
                let metadata = unproved.stage.add(&payload)?;
                unproved.secrets.push(Carried {
                    metadata,
                    values: Vec::new(),
                });
            }
            Kind::Value => {
                done.values += 1;
                let (id, file) = value(&payload).ok_or(BundleError::BadValue { at })?;
                if !versions.insert(id.clone()) {
                    return Err(BundleError::Duplicate { at });
                }
                let span = unproved.stage.add(file)?;
                if let Some(secret) = unproved.secrets.last_mut() {
                    secret.values.push((id, span));
                }
            }
            Kind::Header | Kind::Trailer => {}
        }
    }
    frames.end()?;
    Ok(unproved)
}

fn open(path: &Path) -> Result<File, BundleError> {
    let fail = |source| BundleError::Io {
        path: path.to_owned(),
        operation: "read",
        source,
    };
    // Without NONBLOCK, opening a named pipe would wait for a writer.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .custom_flags(flags)
        .open(path)
        .map_err(fail)?;
    let meta = file.metadata().map_err(fail)?;
    if !meta.is_file() {
        return Err(BundleError::NotAFile {
            path: path.to_owned(),
        });
    }
    if meta.len() > MAX_BYTES {
        return Err(BundleError::TooLarge(meta.len()));
    }
    file.rewind().map_err(fail)?;
    Ok(file)
}

fn check_totals(done: Counts, promised: Counts) -> Result<(), BundleError> {
    let what = if done.frames != promised.frames {
        "frames"
    } else if done.secrets != promised.secrets {
        "secrets"
    } else if done.values != promised.values {
        "values"
    } else if done.bytes != promised.bytes {
        "bytes"
    } else {
        return Ok(());
    };
    Err(BundleError::WrongTotals { what })
}

/// The version id and the age file of a value's frame.
fn value(payload: &[u8]) -> Option<(VersionId, &[u8])> {
    let (length, rest) = payload.split_at_checked(2)?;
    let length = usize::from(u16::from_be_bytes(length.try_into().ok()?));
    let (id, file) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(id).ok()?.parse().ok()?, file))
}

/// The frames of a stream, one after the other.
struct Frames<'a, R: Read> {
    input: Hashing<R>,
    path: &'a Path,
    /// Which frame is being read, counted from 1; the header is 0.
    at: u64,
}

impl<R: Read> Frames<'_, R> {
    fn header(&mut self) -> Result<Header, BundleError> {
        let mut prefix = [0; PREFIX];
        let kind = self.input.fill(&mut prefix);
        if !kind.map_err(|e| reading(self.path, e))? || prefix[0] != Kind::Header.byte() {
            return Err(BundleError::NoHeader);
        }
        let length = self.length(prefix)?;
        let text = self.payload(length, length)?;
        let text = std::str::from_utf8(&text).map_err(|_| BundleError::NoHeader)?;
        Header::parse(text).map_err(|error| match error {
            HeaderError::Newer(format) => BundleError::NewerFormat(format),
            HeaderError::First => BundleError::NoHeader,
            error => error.into(),
        })
    }

    fn prefix(&mut self) -> Result<(Kind, usize), BundleError> {
        self.at += 1;
        let mut prefix = [0; PREFIX];
        let there = self.input.fill(&mut prefix);
        if !there.map_err(|e| reading(self.path, e))? {
            return Err(BundleError::Truncated);
        }
        let [kind, ..] = prefix;
        let known = Kind::of(kind).ok_or(BundleError::UnknownFrame { at: self.at, kind })?;
        Ok((known, self.length(prefix)?))
    }

    fn length(&self, [_, a, b, c, d]: [u8; PREFIX]) -> Result<usize, BundleError> {
        let length = u32::from_be_bytes([a, b, c, d]);
        match usize::try_from(length) {
            Ok(fits) if fits <= MAX_FRAME => Ok(fits),
            _ => Err(BundleError::Oversize {
                at: self.at,
                length: length.into(),
            }),
        }
    }

    fn payload(&mut self, length: usize, must: usize) -> Result<Zeroizing<Vec<u8>>, BundleError> {
        if length != must {
            return Err(BundleError::Misplaced {
                at: self.at,
                kind: Kind::Trailer.word(),
            });
        }
        let mut payload = Zeroizing::new(vec![0; length]);
        if length == 0 {
            return Ok(payload);
        }
        match self.input.fill(&mut payload) {
            Ok(true) => Ok(payload),
            Ok(false) => Err(BundleError::Truncated),
            Err(error) => Err(reading(self.path, error)),
        }
    }

    /// Nothing may follow, and age must have seen its last chunk.
    fn end(&mut self) -> Result<(), BundleError> {
        match self.input.fill(&mut [0]) {
            Ok(false) => Ok(()),
            Ok(true) => Err(BundleError::Trailing),
            Err(error) => Err(reading(self.path, error)),
        }
    }
}

impl Unproved {
    fn base(&mut self) -> &mut Foundation {
        self.foundation.get_or_insert_default()
    }

    /// Whether a frame of this kind may come after `before` others.
    fn expects(&self, kind: Kind, before: u64, at: u64) -> Result<(), BundleError> {
        const VAULT: [Kind; 3] = [Kind::Settings, Kind::Members, Kind::Keyring];
        const OWN: [Kind; 1] = [Kind::Key];
        let first: &[Kind] = match self.header.holder {
            Holder::Vault => &VAULT,
            Holder::Bundle => &OWN,
        };
        let place = usize::try_from(before).unwrap_or(usize::MAX);
        let right = match first.get(place) {
            Some(wanted) => *wanted == kind,
            None => match kind {
                Kind::Metadata => true,
                Kind::Value => !self.secrets.is_empty(),
                Kind::Epoch => self.may_have_past(|f| f.ledgers.is_empty()),
                Kind::Ledger => self.may_have_past(|_| true),
                _ => false,
            },
        };
        match right {
            true => Ok(()),
            false => Err(BundleError::Misplaced {
                at,
                kind: kind.word(),
            }),
        }
    }

    /// Whether what belongs to former epochs may still come.
    fn may_have_past(&self, is_place: impl Fn(&Foundation) -> bool) -> bool {
        self.secrets.is_empty() && self.foundation.as_ref().is_some_and(is_place)
    }

    /// Joins a piece of a ledger to what is there of it: one can be longer than a frame.
    fn ledger(&mut self, payload: &[u8], at: u64) -> Result<(), BundleError> {
        let misplaced = BundleError::Misplaced {
            at,
            kind: Kind::Ledger.word(),
        };
        let Some((epoch, piece)) = payload.split_first_chunk() else {
            return Err(misplaced);
        };
        let epoch = u32::from_be_bytes(*epoch);
        let ledgers = &mut self.base().ledgers;
        if ledgers
            .last_key_value()
            .is_some_and(|(last, _)| *last > epoch)
        {
            return Err(misplaced);
        }
        ledgers.entry(epoch).or_default().extend_from_slice(piece);
        Ok(())
    }

    /// What it says of itself. Nobody vouches for it yet.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The keys that the bundle carries for a newcomer. Whoever could write to the
    /// receiver can have made them, so a person compares [`Bundle::fingerprint`].
    pub fn own_keys(&self) -> Result<KeyringKeys, BundleError> {
        let key = self.key.as_ref().ok_or(BundleError::BadKey)?;
        let identity = Identity::from_file(key).map_err(|_| BundleError::BadKey)?;
        let keys = KeyringKeys::new(identity, &self.header.vault);
        match keys.commitment() == self.header.keyring {
            true => Ok(keys),
            false => Err(BundleError::BadKey),
        }
    }

    /// What the sender's vault rests on, before anybody vouches for it: a vault that is
    /// made of it verifies every part itself when it is unlocked.
    pub fn foundation(&self) -> Option<&Foundation> {
        self.foundation.as_ref()
    }

    /// Verifies the trailer's mac and gives nothing out.
    pub fn check(&self, keys: &KeyringKeys) -> Result<(), BundleError> {
        let mac = keys.mac(Domain::Bundle, &self.hash)?;
        match bool::from(Mac::as_bytes(&mac).ct_eq(&self.mac)) {
            true => Ok(()),
            false => Err(BundleError::WrongMac),
        }
    }

    /// Verifies the trailer's mac.
    pub fn prove(self, keys: &KeyringKeys) -> Result<Bundle, BundleError> {
        self.check(keys)?;
        Ok(Bundle {
            header: self.header,
            foundation: self.foundation,
            secrets: self.secrets,
            stage: self.stage,
            hash: self.hash,
        })
    }
}

impl Bundle {
    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the sender's vault rests on, if it is for members.
    pub fn foundation(&self) -> Option<&Foundation> {
        self.foundation.as_ref()
    }

    /// How many secrets there are.
    pub fn len(&self) -> usize {
        self.secrets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The metadata of secret number `n`, from 0; empty beyond the last.
    pub fn metadata(&self, n: usize) -> Result<Vec<u8>, BundleError> {
        match self.secrets.get(n) {
            Some(secret) => self.stage.get(secret.metadata),
            None => Ok(Vec::new()),
        }
    }

    /// The versions of secret number `n` that the bundle has values of.
    pub fn values(&self, n: usize) -> &[(VersionId, Span)] {
        let secret = self.secrets.get(n);
        secret.map(|s| s.values.as_slice()).unwrap_or_default()
    }

    /// A value's age file.
    pub fn value(&self, span: Span) -> Result<Vec<u8>, BundleError> {
        self.stage.get(span)
    }

    /// The first 20 hex digits of the hash of its content in groups of four, for two
    /// people to compare.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.hash)
    }
}

/// 80 bits of a hash, for people.
pub(super) fn fingerprint(hash: &[u8; 32]) -> String {
    let hex = super::header::hex(hash.get(..10).unwrap_or_default());
    let groups: Vec<&str> = (0..5).filter_map(|n| hex.get(n * 4..n * 4 + 4)).collect();
    groups.join("-")
}
