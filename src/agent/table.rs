use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError, RwLock};

use super::memory::KeyMemory;
use super::protocol::{HeldVault, Reply, split_seat};
use super::ttl::{Lifetime, Moment, Sleep, Term};
use crate::crypto::{Identity, LocalKeys};
use crate::model::Escaped;

/// How many connections may wait for a lock.
const WATCHERS: usize = 16;

/// The keyrings that the agent holds, by their vaults' ids, and who waits for them to
/// be locked.
pub(super) struct Table {
    keyrings: RwLock<BTreeMap<String, Held>>,
    /// Changed only while `keyrings` is locked, so that no lock passes unnoticed.
    watchers: Mutex<Vec<(String, UnixStream)>>,
    sleep: Sleep,
}

struct Held {
    keys: LocalKeys<KeyMemory>,
    term: Term,
    is_memory_locked: bool,
}

/// Why keys went away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    Asked,
    Expired,
    Slept,
    #[cfg(feature = "cli")]
    SessionLocked,
    Ended,
}

impl Gone {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "as asked",
            Self::Expired => "its time is up",
            Self::Slept => "the machine was suspended",
            #[cfg(feature = "cli")]
            Self::SessionLocked => "the session was locked",
            Self::Ended => "the agent ends",
        }
    }
}

impl Table {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            keyrings: RwLock::default(),
            watchers: Mutex::default(),
            sleep: Sleep::new(now),
        }
    }

    /// Takes a keyring in, in the place of what it held of that vault before.
    pub(super) fn hold(
        &self,
        vault: &str,
        keyring: &Identity,
        lifetime: Lifetime,
        now: Moment,
    ) -> io::Result<()> {
        let memory = KeyMemory::new(LocalKeys::<KeyMemory>::SIZE)?;
        let is_memory_locked = memory.is_locked();
        let (id, _) = split_seat(vault);
        let keys = LocalKeys::new(keyring, id, memory)
            .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let held = Held {
            keys,
            term: Term::new(lifetime, now),
            is_memory_locked,
        };
        let mut keyrings = self
            .keyrings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        keyrings.insert(vault.to_owned(), held);
        Ok(())
    }

    /// Uses a vault's keys; `None` if they are not held.
    pub(super) fn with<T>(
        &self,
        vault: &str,
        now: Moment,
        act: impl FnOnce(&LocalKeys<KeyMemory>) -> T,
    ) -> Option<T> {
        let keyrings = self.keyrings.read().unwrap_or_else(PoisonError::into_inner);
        let held = keyrings.get(vault).filter(|held| !held.term.is_over(now))?;
        // A vault's keyrings are held and forgotten together.
        let (id, _) = split_seat(vault);
        for (_, held) in keyrings.iter().filter(|(seat, _)| split_seat(seat).0 == id) {
            held.term.touch(now);
        }
        Some(act(&held.keys))
    }

    /// Closes `stream` when the vault is locked. Says what to answer: that it is locked
    /// already, or that too many wait.
    pub(super) fn watch(&self, vault: &str, stream: UnixStream, now: Moment) -> Reply {
        let keyrings = self.keyrings.read().unwrap_or_else(PoisonError::into_inner);
        if keyrings
            .get(vault)
            .is_none_or(|held| held.term.is_over(now))
        {
            return Reply::Locked;
        }
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|(_, stream)| is_open(stream));
        if watchers.len() >= WATCHERS {
            return Reply::Refused { version: 1 };
        }
        watchers.push((vault.to_owned(), stream));
        Reply::Done
    }

    /// Forgets every key.
    pub(super) fn clear(&self) {
        let mut keyrings = self
            .keyrings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        keyrings.clear();
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.clear();
    }

    /// Forgets the keys whose time is up, and all after a suspend. Says which, and why.
    pub(super) fn sweep(&self, now: Moment) -> Vec<(String, Gone)> {
        if self.sleep.happened(now) {
            let all = self.vaults();
            self.clear();
            return all.into_iter().map(|v| (v, Gone::Slept)).collect();
        }
        let is_over = |(_, held): &(&String, &Held)| held.term.is_over(now);
        let keyrings = self.keyrings.read().unwrap_or_else(PoisonError::into_inner);
        let over: Vec<String> = keyrings
            .iter()
            .filter(is_over)
            .map(|(vault, _)| vault.clone())
            .collect();
        drop(keyrings);
        if over.is_empty() {
            return Vec::new();
        }
        let mut keyrings = self
            .keyrings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        keyrings.retain(|_, held| !held.term.is_over(now));
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|(vault, _)| keyrings.contains_key(vault));
        over.into_iter().map(|v| (v, Gone::Expired)).collect()
    }

    fn vaults(&self) -> Vec<String> {
        let keyrings = self.keyrings.read().unwrap_or_else(PoisonError::into_inner);
        keyrings.keys().cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        let keyrings = self.keyrings.read().unwrap_or_else(PoisonError::into_inner);
        keyrings.is_empty()
    }

    /// What is held, for people.
    pub(super) fn list(&self, now: Moment) -> Vec<HeldVault> {
        use crate::crypto::KeyHolder as _;
        let keyrings = self.keyrings.read().unwrap_or_else(PoisonError::into_inner);
        let list = keyrings.iter().map(|(vault, held)| HeldVault {
            vault: Escaped(vault).to_string(),
            fingerprint: held.keys.commitment().fingerprint(),
            left: held.term.left(now),
            is_memory_locked: held.is_memory_locked,
        });
        list.collect()
    }
}

/// Whether the other end still listens. It has nothing to say.
fn is_open(mut stream: &UnixStream) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    match stream.read(&mut [0]) {
        Ok(n) => n > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}
