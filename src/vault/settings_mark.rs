//! The high-water mark of the settings: which `strongroom.toml` this clone has verified,
//! so that a genuine older one that is put back is noticed (crypto.md section 9, first
//! row). Local, one hash on each line, the latest last.
//!
//! The settings have gone back if they are, byte for byte, ones that this clone has seen
//! replaced. Whatever this clone writes itself is ahead.

use super::disk::{Durable, Existing};
use super::lock::Lock;
use super::transaction::WAIT;
use super::{CONFIG, Vault, VaultError, read_config};

const FILE: &str = "settings.seen";
/// The lock of every high-water mark, held while one is read and written.
const LOCK: &str = "highwater.lock";
/// How many settings are remembered.
const DEPTH: usize = 1024;
/// The largest file that is read, in bytes.
const MAX: usize = 1 << 20;

type Hash = [u8; 32];

/// Every verified settings file, each once, the latest last.
struct Seen(Vec<Hash>);

impl Seen {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let hash = |line: &str| {
            let bytes = data_encoding::HEXLOWER.decode(line.as_bytes()).ok()?;
            Hash::try_from(bytes).ok()
        };
        text.lines().map(hash).collect::<Option<_>>().map(Self)
    }

    fn emit(&self) -> String {
        let line = |hash: &Hash| data_encoding::HEXLOWER.encode(hash) + "\n";
        self.0.iter().map(line).collect()
    }

    fn is_back(&self, hash: &Hash) -> bool {
        self.0.last() != Some(hash) && self.0.contains(hash)
    }

    fn advance(&mut self, hash: Hash) {
        self.0.retain(|seen| *seen != hash);
        self.0.push(hash);
        let over = self.0.len().saturating_sub(DEPTH);
        self.0.drain(..over);
    }
}

impl Vault {
    /// Whether `strongroom.toml` is one that this clone has seen replaced. No key is
    /// needed.
    pub fn settings_gone_back(&self) -> Result<bool, VaultError> {
        let (_, hash) = read_config(&self.root, None)?;
        Ok(self.seen_settings()?.is_back(&hash))
    }

    /// Refuses while the settings have gone back in time.
    pub fn refuse_old_settings(&self) -> Result<(), VaultError> {
        match self.settings_gone_back()? {
            false => Ok(()),
            true => Err(VaultError::OldSettings {
                path: self.root.full(CONFIG),
            }),
        }
    }

    /// Notes settings that were verified. Those that went back leave the mark where it
    /// is, and so does a damaged mark.
    pub(super) fn see_settings(&self, hash: Hash) -> Result<(), VaultError> {
        let news = |seen: &Seen| seen.0.last() != Some(&hash) && !seen.is_back(&hash);
        match self.seen_settings() {
            Ok(seen) if news(&seen) => {}
            Ok(_) | Err(VaultError::DamagedMark { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        let _lock = self.lock_marks()?;
        let mut seen = self.seen_settings()?;
        if news(&seen) {
            seen.advance(hash);
            self.write_seen(&seen)?;
        }
        Ok(())
    }

    /// Notes settings that this clone wrote itself.
    pub(super) fn wrote_settings(&self, hash: Hash) -> Result<(), VaultError> {
        let _lock = self.lock_marks()?;
        match self.seen_settings() {
            Ok(mut seen) => {
                seen.advance(hash);
                self.write_seen(&seen)
            }
            Err(VaultError::DamagedMark { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes the settings as they are for the newest: a person decided so. Says whether
    /// they had gone back, or the mark was damaged.
    pub(super) fn accept_old_settings(&self) -> Result<bool, VaultError> {
        let (_, hash) = read_config(&self.root, Some(self.need_keys()?))?;
        let _lock = self.lock_marks()?;
        let mut seen = match self.seen_settings() {
            Ok(seen) if !seen.is_back(&hash) => return Ok(false),
            Ok(seen) => seen,
            Err(VaultError::DamagedMark { .. }) => Seen(Vec::new()),
            Err(error) => return Err(error),
        };
        seen.advance(hash);
        self.write_seen(&seen)?;
        Ok(true)
    }

    /// Takes the lock of the high-water marks. It is held for moments only, and may be
    /// taken by who holds the vault's.
    pub(super) fn lock_marks(&self) -> Result<Lock, VaultError> {
        let path = self.state.root().full(LOCK);
        Ok(Lock::acquire(&path, "high-water mark", WAIT)?)
    }

    fn seen_settings(&self) -> Result<Seen, VaultError> {
        match self.state.root().read(FILE, MAX) {
            Ok((bytes, _)) => Seen::parse(&bytes).ok_or_else(|| VaultError::DamagedMark {
                path: self.state.root().full(FILE),
            }),
            // What was verified last, before there was this file.
            Err(error) if error.is_not_found() => {
                let pin = self.state.pin()?;
                Ok(Seen(pin.into_iter().map(|pin| pin.config).collect()))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn write_seen(&self, seen: &Seen) -> Result<(), VaultError> {
        let root = self.state.root();
        let (bytes, replace) = (seen.emit(), Existing::Replace);
        Ok(root.write(FILE, bytes.as_bytes(), replace, Durable::Now)?)
    }
}

#[cfg(test)]
#[path = "settings_mark_tests.rs"]
mod tests;
