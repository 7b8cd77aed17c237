//! The audit log: who read and wrote which version, through which door, and what came
//! of it (book, audit). Never a value, nor a digest of one.
//!
//! It belongs to one clone, lies in its local state and is in no git. Each line is
//! chained to the one before; who is asked for keys anyway seals the chain with them
//! from time to time. The clock, the ids and the asker come from whoever opens the
//! vault for somebody.

mod chain;
mod line;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::disk::DiskError;
use super::{Vault, VaultError};
use crate::config::AuditRule;
use crate::crypto::KeyringKeys;
use crate::model::{Asker, AuditEntry, AuditEvent, Record, Timestamp, VersionId};

use chain::Chain;
pub use verify::{Audited, Broken};

/// How long an event of a busy door may wait for its line, at most.
const DELAY: Duration = Duration::from_millis(200);
/// How many events may wait.
const CROWD: usize = 512;

/// Why the audit log was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file of it.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Its last line is not one of ours, so nothing can be chained to it.
    #[error("{}: the audit log's last line is damaged", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// Another process keeps its lock.
    #[error("{}: the audit log is in use", .path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
}

/// How events get into the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Each before its value is given out: for commands.
    AtOnce,
    /// Together with others, at most a fifth of a second later: for an endpoint. Where
    /// the log is [`AuditRule::Required`], at once all the same.
    Gathered,
}

/// What an auditor needs of the outer world.
pub struct AuditSetup {
    /// What becomes of what cannot be logged.
    pub rule: AuditRule,
    /// Who asks, unless a call says otherwise.
    pub asker: Asker,
    /// How fast.
    pub pace: Pace,
    /// Says what time it is.
    pub clock: fn() -> Timestamp,
    /// Makes an event's id.
    pub id: fn() -> String,
    /// Hears of the first failure that stops nothing.
    pub complain: Box<dyn Fn(&AuditError) + Send + Sync>,
}

/// Notes what is done with one vault. Dropped, it has written everything.
pub struct Auditor {
    inner: Arc<Inner>,
    writer: Option<JoinHandle<()>>,
}

struct Inner {
    chain: Chain,
    setup: AuditSetup,
    asker: Arc<Asker>,
    has_complained: AtomicBool,
    wants_seal: AtomicBool,
    queue: Mutex<Queue>,
    bell: Condvar,
}

#[derive(Default)]
struct Queue {
    events: Vec<AuditEvent>,
    is_closing: bool,
}

impl Auditor {
    fn new(chain: Chain, setup: AuditSetup) -> Self {
        let gathers = setup.pace == Pace::Gathered && setup.rule == AuditRule::On;
        let inner = Arc::new(Inner {
            chain,
            asker: Arc::new(setup.asker.clone()),
            setup,
            has_complained: AtomicBool::new(false),
            wants_seal: AtomicBool::new(false),
            queue: Mutex::default(),
            bell: Condvar::new(),
        });
        let writer = gathers.then(|| {
            let inner = Arc::clone(&inner);
            std::thread::spawn(move || inner.write_until_closed())
        });
        Self { inner, writer }
    }

    /// Notes entries, all at this moment. It fails only where the log is required.
    fn note(
        &self,
        keys: Option<&KeyringKeys>,
        asker: Option<&Arc<Asker>>,
        entries: Vec<AuditEntry>,
    ) -> Result<(), AuditError> {
        let inner = &*self.inner;
        if entries.is_empty() || inner.setup.rule == AuditRule::Off {
            return Ok(());
        }
        let at = (inner.setup.clock)();
        let events = entries.into_iter().map(|entry| AuditEvent {
            at,
            id: (inner.setup.id)(),
            asker: asker.cloned(),
            entry,
        });
        if self.writer.is_none() {
            return inner.write(keys, &events.collect::<Vec<_>>());
        }
        let mut queue = inner.queue();
        queue.events.extend(events);
        let many = queue.events.len() >= CROWD;
        let waiting = (many || (inner.wants_seal.load(Ordering::Acquire) && keys.is_some()))
            .then(|| std::mem::take(&mut queue.events));
        drop(queue);
        match waiting {
            // Whoever has the keys seals for the writer, which has none.
            Some(events) => inner.write(keys, &events),
            None => {
                inner.bell.notify_one();
                Ok(())
            }
        }
    }

    /// Whether a change may begin: where the log is required, it must be writable.
    fn check(&self) -> Result<(), AuditError> {
        match self.inner.setup.rule {
            AuditRule::Required => self.inner.chain.probe(),
            AuditRule::On | AuditRule::Off => Ok(()),
        }
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else {
            return;
        };
        self.inner.queue().is_closing = true;
        self.inner.bell.notify_one();
        drop(writer.join());
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends events; what cannot be is told once, or refused where it is required.
    fn write(&self, keys: Option<&KeyringKeys>, events: &[AuditEvent]) -> Result<(), AuditError> {
        match self.chain.append(keys, &self.asker, events) {
            Ok(wants_seal) => {
                self.wants_seal.store(wants_seal, Ordering::Release);
                Ok(())
            }
            Err(error) if self.setup.rule == AuditRule::Required => Err(error),
            Err(error) => {
                if !self.has_complained.swap(true, Ordering::AcqRel) {
                    (self.setup.complain)(&error);
                }
                Ok(())
            }
        }
    }

    fn write_until_closed(&self) {
        loop {
            let mut queue = self.queue();
            while queue.events.is_empty() && !queue.is_closing {
                queue = (self.bell.wait(queue)).unwrap_or_else(PoisonError::into_inner);
            }
            if !queue.is_closing {
                // Others may come meanwhile; together they cost one append.
                let open = |queue: &mut Queue| !queue.is_closing;
                queue = (self.bell.wait_timeout_while(queue, DELAY, open))
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
            }
            let events = std::mem::take(&mut queue.events);
            let closing = queue.is_closing;
            drop(queue);
            if !events.is_empty() {
                // Gathering is for logs that are not required, so this does not fail.
                drop(self.write(None, &events));
            }
            if closing {
                return;
            }
        }
    }
}

impl Vault {
    /// From now on notes what is read and written, for whoever the setup says.
    pub fn audit_with(&mut self, setup: AuditSetup) {
        self.audit = Some(Auditor::new(self.chain(), setup));
    }

    /// Reads and checks the whole audit log of this clone, each event in its order;
    /// unlocked, its seals are checked too.
    pub fn audited(
        &self,
        each: &mut dyn FnMut(&str, &serde_json::Value),
    ) -> Result<Audited, AuditError> {
        self.chain().verify(self.keys(), each)
    }

    /// Where the audit log lies.
    pub fn audit_dir(&self) -> PathBuf {
        self.state_dir().join(chain::DIR)
    }

    fn chain(&self) -> Chain {
        let clone = self.state_dir().file_name();
        let clone = clone.map(|c| c.to_string_lossy().into_owned());
        Chain::new(
            self.audit_dir(),
            &self.config().vault_id,
            clone.as_deref().unwrap_or_default(),
        )
    }

    /// Notes that a version was read, or was not; gives the result back.
    pub(super) fn noted<T>(
        &self,
        record: &Record,
        id: &VersionId,
        read: Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        if self.audit.is_none() {
            return read;
        }
        let entry = AuditEntry::of_version(crate::model::Deed::Read, record, id);
        match read {
            Ok(value) => {
                self.note(None, vec![entry])?;
                Ok(value)
            }
            Err(error) => {
                // What failed is said; that it was not logged is the lesser news.
                drop(self.note(None, vec![entry.failed(error.audit_code())]));
                Err(error)
            }
        }
    }

    /// Notes that the vault was not unlocked; gives the result back. That an agent has
    /// locked, or the keys are being replaced, is nobody's try.
    pub(super) fn noted_unlock<T>(&self, done: Result<T, VaultError>) -> Result<T, VaultError> {
        if let Err(error) = &done
            && (error.is_integrity()
                || matches!(
                    error,
                    VaultError::NoIdentity { .. } | VaultError::NoMemberNow { .. }
                ))
        {
            let entry = AuditEntry::of_failed_unlock(error.audit_code());
            // What failed is said; that it was not logged is the lesser news.
            drop(self.note(None, vec![entry]));
        }
        done
    }

    /// Notes what was done for somebody. It fails where the audit log is required and
    /// cannot be written.
    pub fn note(
        &self,
        asker: Option<&Arc<Asker>>,
        entries: Vec<AuditEntry>,
    ) -> Result<(), VaultError> {
        match &self.audit {
            Some(auditor) => Ok(auditor.note(self.keys(), asker, entries)?),
            None => Ok(()),
        }
    }

    /// Whether anybody notes what is done.
    pub fn is_audited(&self) -> bool {
        let rule = |a: &Auditor| a.inner.setup.rule;
        self.audit.as_ref().map(rule).unwrap_or(AuditRule::Off) != AuditRule::Off
    }

    /// Who asks by a request to the endpoint, on behalf of whom the vault was opened for.
    pub(crate) fn asker_at_endpoint(
        &self,
        operation: &str,
        access_key: &str,
        region: &str,
    ) -> Option<Arc<Asker>> {
        let own = &self.audit.as_ref()?.inner.asker;
        Some(Arc::new(Asker {
            door: crate::model::Door::Endpoint,
            verb: operation.to_owned(),
            uid: own.uid,
            program: None,
            access_key: Some(access_key.to_owned()),
            region: Some(region.to_owned()),
        }))
    }

    /// Refuses a change that the audit log, being required, could not tell of.
    pub(super) fn check_audit(&self) -> Result<(), VaultError> {
        match &self.audit {
            Some(auditor) => Ok(auditor.check()?),
            None => Ok(()),
        }
    }

    /// Writes what is waiting and forgets who asked.
    #[cfg(test)]
    pub(crate) fn end_audit(&mut self) {
        self.audit = None;
    }
}

impl VaultError {
    /// The code of a failure in the audit log, by AWS's names where they fit.
    pub(crate) fn audit_code(&self) -> &'static str {
        match self {
            Self::NoValue { .. } => "ResourceNotFoundException",
            Self::Locked => "VaultLocked",
            Self::NoIdentity { .. } | Self::NoMemberNow { .. } => "IncorrectKeyException",
            Self::Value { .. } | Self::OtherValue { .. } | Self::ValueMissing { .. } => {
                "DecryptionFailure"
            }
            error if error.is_busy() => "VaultBusy",
            error if error.is_integrity() => "IntegrityFailure",
            _ => "InternalServiceError",
        }
    }
}

/// The log's directory below a clone's state.
fn dir_error(path: &Path, operation: &'static str, source: std::io::Error) -> AuditError {
    DiskError::Io {
        path: path.to_owned(),
        operation,
        source,
    }
    .into()
}

#[cfg(test)]
mod tests;
