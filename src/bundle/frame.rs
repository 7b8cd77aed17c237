use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

/// The largest bundle, in bytes, inside and outside (crypto.md section 7).
pub const MAX_BYTES: u64 = 4 << 30;
/// The largest frame's payload, in bytes.
pub const MAX_FRAME: usize = 256 * 1024;
/// The most frames between header and trailer.
pub const MAX_FRAMES: u64 = 1_000_000;
/// What stands before a payload: its kind and its length, in bytes.
pub(super) const PREFIX: usize = 5;
/// The trailer's payload: a hash and a mac.
pub(super) const TRAILER: usize = 64;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The header, first.
    Header,
    /// `strongroom.toml`.
    Settings,
    /// The keyring's member list.
    Members,
    /// The keyring's age file.
    Keyring,
    /// A former epoch's age file, the first epoch's first.
    Epoch,
    /// A piece of an offboarding ledger.
    Ledger,
    /// The bundle's own key, for newcomers.
    Key,
    /// One secret's metadata.
    Metadata,
    /// One version's value, of the secret before it.
    Value,
    /// The trailer, last.
    Trailer,
}

impl Kind {
    const ALL: [(Self, u8, &'static str); 10] = [
        (Self::Header, b'H', "header"),
        (Self::Settings, b'S', "settings"),
        (Self::Members, b'L', "members"),
        (Self::Keyring, b'A', "keyring"),
        (Self::Epoch, b'E', "epoch"),
        (Self::Ledger, b'R', "ledger"),
        (Self::Key, b'K', "key"),
        (Self::Metadata, b'M', "metadata"),
        (Self::Value, b'V', "value"),
        (Self::Trailer, b'T', "trailer"),
    ];

    pub(super) fn byte(self) -> u8 {
        self.row().1
    }

    pub(super) fn word(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> (Self, u8, &'static str) {
        let row = Self::ALL.into_iter().find(|(kind, ..)| *kind == self);
        row.unwrap_or((self, 0, ""))
    }

    pub(super) fn of(byte: u8) -> Option<Self> {
        let row = Self::ALL.into_iter().find(|(_, b, _)| *b == byte);
        row.map(|(kind, ..)| kind)
    }
}

/// Everything that passes is hashed.
pub(super) struct Hashing<T> {
    pub(super) inner: T,
    hash: Sha256,
}

impl<T> Hashing<T> {
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
        }
    }

    /// The hash of all that has passed so far.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }
}

impl<W: Write> Hashing<W> {
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<R: Read> Hashing<R> {
    /// Fills the buffer; `false` at the end of everything, before its first byte.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        let mut filled = 0;
        while let Some(free) = bytes.get_mut(filled..).filter(|f| !f.is_empty()) {
            match self.inner.read(free) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.hash.update(bytes);
        Ok(true)
    }
}
