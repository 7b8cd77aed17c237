use std::borrow::Cow;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::BundleError;
use super::frame::{Hashing, Kind, MAX_BYTES, MAX_FRAME, MAX_FRAMES, PREFIX};
use super::header::{Counts, Header};
use super::outer::{self, Lock};
use super::read::{Foundation, fingerprint};
use crate::crypto::{Domain, KeyringKeys, SealStream};
use crate::model::VersionId;

/// How many bytes stand before a value's file in its frame, beside the version id.
const ID_PREFIX: usize = 2;
/// The same before a piece of a ledger: the epoch.
const EPOCH_PREFIX: usize = 4;

impl Foundation {
    /// Its frames, in their order.
    fn frames(&self) -> impl Iterator<Item = (Kind, Cow<'_, [u8]>)> {
        let files = [
            (Kind::Settings, &self.settings),
            (Kind::Members, &self.members),
            (Kind::Keyring, &self.keyring),
        ];
        let past = self.past.iter().map(|file| (Kind::Epoch, file));
        let files = files.into_iter().chain(past);
        let files = files.map(|(kind, file)| (kind, Cow::from(file.as_slice())));
        let ledgers = self.ledgers.iter().flat_map(|(epoch, text)| {
            let pieces = text.chunks(MAX_FRAME - EPOCH_PREFIX);
            pieces.map(|piece| {
                let payload = [epoch.to_be_bytes().as_slice(), piece].concat();
                (Kind::Ledger, Cow::from(payload))
            })
        });
        files.chain(ledgers)
    }
}

impl Counts {
    /// Counts what a member's vault rests on.
    pub fn add_foundation(&mut self, foundation: &Foundation) {
        for (_, payload) in foundation.frames() {
            self.add(payload.len());
        }
    }

    /// Counts a frame that is neither metadata nor a value.
    pub fn add(&mut self, payload: usize) {
        self.frames += 1;
        self.bytes += u64::try_from(PREFIX + payload).unwrap_or(u64::MAX);
    }

    /// Counts one secret's metadata.
    pub fn add_metadata(&mut self, text: usize) {
        self.secrets += 1;
        self.add(text);
    }

    /// Counts one version's value.
    pub fn add_value(&mut self, id: &VersionId, file: usize) {
        self.values += 1;
        self.add(ID_PREFIX + id.as_str().len() + file);
    }
}

/// Writes a bundle: the header first, then what the header says will follow. The file is
/// no bundle before [`Writer::finish`].
pub struct Writer<W: Write> {
    out: Hashing<SealStream<W>>,
    path: PathBuf,
    promised: Counts,
    done: Counts,
}

impl<W: Write> Writer<W> {
    /// Begins one. `path` is for errors.
    pub fn begin(
        lock: &Lock<'_>,
        header: &Header,
        out: W,
        path: &Path,
    ) -> Result<Self, BundleError> {
        let promised = header.counts;
        if promised.bytes > MAX_BYTES {
            return Err(BundleError::TooLarge(promised.bytes));
        }
        if promised.frames > MAX_FRAMES {
            return Err(BundleError::WrongTotals {
                what: "more than 1000000 frames",
            });
        }
        let mut writer = Self {
            out: Hashing::new(outer::seal(lock, out, path)?),
            path: path.to_owned(),
            promised,
            done: Counts::default(),
        };
        writer.frame(Kind::Header, &[header.emit().as_bytes()])?;
        Ok(writer)
    }

    /// Adds what a member's vault rests on.
    pub fn foundation(&mut self, foundation: &Foundation) -> Result<(), BundleError> {
        for (kind, payload) in foundation.frames() {
            self.done.add(payload.len());
            self.frame(kind, &[&payload])?;
        }
        Ok(())
    }

    /// Adds the bundle's own key, as a plain identity file.
    pub fn key(&mut self, key: &[u8]) -> Result<(), BundleError> {
        self.done.add(key.len());
        self.frame(Kind::Key, &[key])
    }

    /// Adds one secret's metadata, mac and all. Its values follow.
    pub fn metadata(&mut self, text: &[u8]) -> Result<(), BundleError> {
        self.done.add_metadata(text.len());
        self.frame(Kind::Metadata, &[text])
    }

    /// Adds the value of a version of the secret whose metadata was added last.
    pub fn value(&mut self, id: &VersionId, file: &[u8]) -> Result<(), BundleError> {
        self.done.add_value(id, file.len());
        let id = id.as_str().as_bytes();
        let length = u16::try_from(id.len()).unwrap_or(u16::MAX).to_be_bytes();
        self.frame(Kind::Value, &[&length, id, file])
    }

    fn frame(&mut self, kind: Kind, parts: &[&[u8]]) -> Result<(), BundleError> {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let short = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME);
        let Some(short) = short else {
            return Err(BundleError::Oversize {
                at: self.done.frames,
                length: u64::try_from(length).unwrap_or(u64::MAX),
            });
        };
        let mut all = vec![kind.byte()];
        all.extend_from_slice(&short.to_be_bytes());
        let parts = std::iter::once(all.as_slice()).chain(parts.iter().copied());
        for part in parts {
            self.out.put(part).map_err(|source| BundleError::Io {
                path: self.path.clone(),
                operation: "write",
                source,
            })?;
        }
        Ok(())
    }

    /// Adds the trailer with the mac of these keys. Gives back where it was written, and
    /// the bundle's fingerprint.
    pub fn finish(mut self, keys: &KeyringKeys) -> Result<(W, String), BundleError> {
        if self.done != self.promised {
            return Err(BundleError::WrongTotals {
                what: "the content changed while it was written",
            });
        }
        let hash = self.out.hash();
        let mac = keys.mac(Domain::Bundle, &hash)?;
        self.frame(Kind::Trailer, &[&hash, mac.as_bytes()])?;
        let path = self.path;
        let end = self.out.inner.finish();
        let out = end.map_err(|source| BundleError::Io {
            path,
            operation: "write",
            source,
        })?;
        Ok((out, fingerprint(&hash)))
    }

    /// The frames as they are, without any order or promise: what a hostile writer
    /// can do.
    #[cfg(test)]
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.put(bytes).unwrap();
    }

    /// The hash so far.
    #[cfg(test)]
    pub(super) fn hash(&self) -> [u8; 32] {
        self.out.hash()
    }

    /// Ends the envelope without a trailer.
    #[cfg(test)]
    pub(super) fn abandon(self) -> W {
        self.out.inner.finish().unwrap()
    }
}
