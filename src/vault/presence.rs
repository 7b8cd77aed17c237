//! A process that watches a clone for as long as it runs: there is one at most, and
//! others can read what it says of itself.

use std::time::Duration;

use super::disk::{Durable, Existing};
use super::lock::{Lock, LockError};
use super::state::StateError;
use super::{Vault, VaultError};

const LOCK: &str = "watch.lock";
const SAID: &str = "watch.json";
/// The longest text that is read.
const MAX: usize = 1 << 20;
/// Whoever asks for what is said holds the lock for a moment.
const WAIT: Duration = Duration::from_millis(200);

/// The one watch of a clone. The kernel ends it with its process; what it said goes
/// with it when it is dropped.
pub struct Presence<'v> {
    vault: &'v Vault,
    _lock: Lock,
}

impl Vault {
    /// Becomes the one watch of this clone; [`LockError::Busy`] if there is one.
    pub fn watch_alone(&self) -> Result<Presence<'_>, VaultError> {
        let path = self.state_dir().join(LOCK);
        let lock = Lock::acquire(&path, "watch", WAIT)?;
        // One that was killed left its text, which is not ours.
        self.state.root().remove(SAID).map_err(StateError::from)?;
        Ok(Presence {
            vault: self,
            _lock: lock,
        })
    }

    /// What the watch of this clone says of itself; `None` if there is none, even where
    /// one was killed and left its text.
    pub fn watch_said(&self) -> Result<Option<String>, VaultError> {
        let lock = self.state_dir().join(LOCK);
        if !lock.exists() {
            return Ok(None);
        }
        match Lock::is_held(&lock) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        match self.state.root().read(SAID, MAX) {
            Ok((bytes, _)) => Ok(String::from_utf8(bytes).ok()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(StateError::from(error).into()),
        }
    }
}

impl Presence<'_> {
    /// Says something of itself, in place of what it said before.
    pub fn say(&self, text: &str) -> Result<(), VaultError> {
        // It is of no use after a power cut.
        let later = Durable::Later;
        let root = self.vault.state.root();
        root.write(SAID, text.as_bytes(), Existing::Replace, later)
            .map_err(StateError::from)?;
        Ok(())
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        drop(self.vault.state.root().remove(SAID));
    }
}

impl Lock {
    /// Whether somebody holds the lock of an existing file.
    fn is_held(path: &std::path::Path) -> Result<bool, LockError> {
        use rustix::fs::{FlockOperation, flock};
        use rustix::io::Errno;
        let fail = |source| LockError::Io {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::File::open(path).map_err(fail)?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            // Let go with the file.
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(e) => Err(fail(e.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn there_is_one_at_most_and_what_a_dead_one_said_is_not_believed() {
        let fixture = testing::Fixture::new(false);
        let vault = &fixture.vault;
        assert_eq!(vault.watch_said().unwrap(), None);
        let presence = vault.watch_alone().unwrap();
        presence.say("{}").unwrap();
        assert_eq!(vault.watch_said().unwrap().as_deref(), Some("{}"));
        let second = vault.watch_alone().err().unwrap();
        assert!(second.is_busy(), "{second}");
        drop(presence);
        assert!(!vault.state_dir().join(SAID).exists());
        std::fs::write(vault.state_dir().join(SAID), "{}").unwrap();
        assert_eq!(vault.watch_said().unwrap(), None);
        let _next = vault.watch_alone().unwrap();
        assert_eq!(vault.watch_said().unwrap(), None, "it has said nothing yet");
    }
}
