//! The operations of API 2017-10-17, answered from a vault (aws.md sections 1-8).
//!
//! No sockets here: a [`Call`] in, a [`Reply`] out. Every secret's metadata is in
//! memory and read anew when it changed on disk; values stay in memory only sealed.
//! A write is an ordinary change of the vault: under its lock, durable, committed.

mod audit;
mod catalog;
mod create;
mod deletion;
mod describe;
mod filter;
mod freshness;
mod input;
mod list;
mod own;
mod page;
mod place;
mod policy;
mod policy_text;
mod put;
mod random;
mod replicas;
mod rotation;
mod rotator;
mod schedule;
mod stage;
mod tags;
#[cfg(test)]
mod testing;
mod value;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::protocol::{Answer, Call, Code, Fault, Reply};
use crate::model::{Author, Change, Invalid, Lifecycle, Record, SecretName, Timestamp, VersionId};
use crate::vault::{Durability, Transaction, Vault, VaultError, layout};

use catalog::Catalog;
use place::Found;
use values::Values;

pub use rotator::{NoRotator, RotationJob, RotationSteps, Rotator};

/// What the service does beside answering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Leave changes to git uncommitted.
    pub no_commit: bool,
    /// Refuse every operation that changes something, whatever a key's grant says.
    pub read_only: bool,
}

/// Answers from one unlocked vault.
pub struct Service {
    vault: Vault,
    options: Options,
    catalog: RwLock<Catalog>,
    /// What of the catalog the files may be newer than, and whether there is any: the
    /// flag spares most calls the lock.
    stale: Mutex<Stale>,
    is_stale: AtomicBool,
    /// Whether a remote was asked since its view was read.
    has_new_views: AtomicBool,
    locked: AtomicBool,
    values: Values,
    accessed: Mutex<BTreeMap<SecretName, Accessed>>,
    rotator: Box<dyn Rotator>,
}

/// What has changed on disk since the catalog was read.
enum Stale {
    Names(BTreeSet<SecretName>),
    All,
}

impl Default for Stale {
    fn default() -> Self {
        Self::Names(BTreeSet::new())
    }
}

impl Stale {
    /// More single names than this are better read as a whole.
    const MANY: usize = 64;

    fn add(&mut self, name: SecretName) {
        if let Self::Names(names) = self {
            names.insert(name);
            if names.len() > Self::MANY {
                *self = Self::All;
            }
        }
    }
}

/// The days of the last reads of one secret: LastAccessedDate has no finer
/// resolution (aws.md section 1). They are kept while the service runs.
#[derive(Default)]
struct Accessed {
    secret: Option<Timestamp>,
    versions: BTreeMap<VersionId, Timestamp>,
}

impl Service {
    /// Serves an unlocked vault. Reads all its metadata.
    pub fn new(vault: Vault, options: Options) -> Result<Self, VaultError> {
        let catalog = Catalog::read(&vault)?;
        Ok(Self {
            vault,
            options,
            catalog: RwLock::new(catalog),
            stale: Mutex::default(),
            is_stale: AtomicBool::new(false),
            has_new_views: AtomicBool::new(false),
            locked: AtomicBool::new(false),
            values: Values::default(),
            accessed: Mutex::default(),
            rotator: Box::new(NoRotator),
        })
    }

    /// The same service, with somebody who runs rotation functions.
    #[must_use]
    pub fn with_rotator(mut self, rotator: Box<dyn Rotator>) -> Self {
        self.rotator = rotator;
        self
    }

    /// The vault it serves.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// Says that any file of the vault may have changed: the next call looks.
    pub fn mark_stale(&self) {
        *self.stale() = Stale::All;
        self.is_stale.store(true, Ordering::Release);
    }

    /// Says that this file of the vault, or of what the remotes showed, has changed. A
    /// metadata file is one secret to
    /// read anew, a value's file nothing at all: metadata is the commit point.
    pub fn mark_changed(&self, path: &Path) {
        if path.starts_with(self.vault.state_dir()) {
            self.has_new_views.store(true, Ordering::Release);
            return;
        }
        let below = path
            .strip_prefix(self.vault.root())
            .ok()
            .and_then(Path::to_str);
        match below.and_then(|p| p.strip_prefix("secrets/")) {
            Some(path) if path.ends_with(".age") => return,
            Some(path) if path.ends_with(".toml") => match layout::name_of_path(path, None) {
                Ok(name) => self.stale().add(name),
                // A name that only its file tells.
                Err(_) => *self.stale() = Stale::All,
            },
            // A temporary file of ours, which a name comes after.
            Some(path) if path.rsplit('/').next().is_some_and(|f| f.starts_with('.')) => return,
            _ => *self.stale() = Stale::All,
        }
        self.is_stale.store(true, Ordering::Release);
    }

    fn stale(&self) -> MutexGuard<'_, Stale> {
        self.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses every call from now on and forgets every value: the agent that holds
    /// the keys was locked.
    pub fn lock(&self) {
        self.locked.store(true, Ordering::Release);
        self.values.forget();
    }

    /// Answers again.
    pub fn unlock(&self) {
        self.locked.store(false, Ordering::Release);
        self.mark_stale();
    }

    fn dispatch(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let operation = self.operation(call.operation)?;
        if self.locked.load(Ordering::Acquire) {
            return Err(locked());
        }
        if operation.writes && (self.options.read_only || call.caller.grant.read_only) {
            return Err(Fault::new(
                Code::AccessDeniedException,
                format!(
                    "This endpoint is read-only: secretsmanager:{} is not allowed.",
                    call.operation
                ),
            ));
        }
        if self.is_stale.swap(false, Ordering::AcqRel) {
            self.refresh()?;
        }
        if self.has_new_views.swap(false, Ordering::AcqRel) {
            let catalog = self.catalog.write();
            let mut catalog = catalog.unwrap_or_else(PoisonError::into_inner);
            catalog.see(&self.vault);
        }
        (operation.run)(self, call)
    }

    fn operation(&self, name: &str) -> Result<&'static Operation, Fault> {
        OPERATIONS
            .binary_search_by(|o| o.name.cmp(name))
            .ok()
            .and_then(|at| OPERATIONS.get(at))
            .ok_or_else(|| Fault::new(Code::UnknownOperationException, "Unknown operation."))
    }

    /// Reads anew what has changed.
    fn refresh(&self) -> Result<(), Fault> {
        let stale = std::mem::take(&mut *self.stale());
        self.reread(&stale).map_err(|error| {
            self.mark_stale();
            vault_fault(&error)
        })
    }

    fn reread(&self, stale: &Stale) -> Result<(), VaultError> {
        let catalog = || self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        match stale {
            Stale::Names(names) => {
                for name in names {
                    catalog().reread(&self.vault, name)?;
                }
            }
            Stale::All => {
                self.vault.reread_settings()?;
                let fresh = Catalog::read(&self.vault)?;
                *catalog() = fresh;
            }
        }
        Ok(())
    }

    /// Changes one secret under the vault's lock. `edit` gets the record as it is now;
    /// a record that it leaves as it was is not written. The catalog has it afterwards.
    fn change<T>(
        &self,
        name: &SecretName,
        call: &Call<'_>,
        edit: impl FnOnce(&mut Transaction<'_>, &mut Record) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let fault = |e: VaultError| vault_fault(&e);
        let mut tx = self.vault.begin("serve", call.stamp.now).map_err(fault)?;
        if let Some(asker) = self.asker(call) {
            tx.asked_by(asker);
        }
        if self.options.no_commit {
            tx.without_git();
        }
        let before = tx.record(name).map_err(fault)?;
        let mut record = before.clone().unwrap_or_else(|| Record::new(name.clone()));
        let answer = edit(&mut tx, &mut record)?;
        let mut kept = before;
        if kept.as_ref().is_none_or(|before| *before != record) {
            tx.put(record);
            tx.date_changes().map_err(fault)?;
            kept = tx.record(name).map_err(fault)?;
            let message = format!("{} {name} through the endpoint", call.operation);
            tx.commit(&message, Durability::Each).map_err(fault)?;
        }
        if let Some(record) = kept {
            let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
            catalog.put(record);
        }
        Ok(answer)
    }

    /// Changes one secret that exists and is in use.
    fn change_live<T>(
        &self,
        found: &Found,
        call: &Call<'_>,
        edit: impl FnOnce(&mut Transaction<'_>, &mut Record) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        found.must_be_primary()?;
        self.change(&found.record.name, call, |tx, record| {
            must_be_live(record, call.stamp.now)?;
            edit(tx, record)
        })
    }

    fn accessed(&self) -> MutexGuard<'_, BTreeMap<SecretName, Accessed>> {
        self.accessed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a read: LastAccessedDate is its day at midnight UTC (aws.md section 1).
    fn note_read(&self, name: &SecretName, id: &VersionId, now: Timestamp) {
        const DAY: i64 = 86_400_000;
        let day = Timestamp::from_millis(now.millis() - now.millis().rem_euclid(DAY));
        let mut all = self.accessed();
        if !all.contains_key(name) {
            all.insert(name.clone(), Accessed::default());
        }
        let Some(one) = all.get_mut(name) else { return };
        one.secret = Some(day);
        if one.versions.get(id) != Some(&day) {
            one.versions.insert(id.clone(), day);
        }
    }
}

impl Answer for Service {
    fn answer(&self, call: &Call<'_>) -> Reply {
        self.dispatch(call).unwrap_or_else(|fault| {
            self.note_refusal(call, &fault);
            Reply::from(&fault)
        })
    }
}

/// One operation.
struct Operation {
    name: &'static str,
    /// Whether it changes something.
    writes: bool,
    run: fn(&Service, &Call<'_>) -> Result<Reply, Fault>,
}

const fn reads(
    name: &'static str,
    run: fn(&Service, &Call<'_>) -> Result<Reply, Fault>,
) -> Operation {
    let writes = false;
    Operation { name, writes, run }
}

const fn writes(
    name: &'static str,
    run: fn(&Service, &Call<'_>) -> Result<Reply, Fault>,
) -> Operation {
    let writes = true;
    Operation { name, writes, run }
}

/// Every operation, sorted by name.
const OPERATIONS: &[Operation] = &[
    reads("BatchGetSecretValue", Service::batch_get_secret_value),
    writes("CancelRotateSecret", Service::cancel_rotate_secret),
    writes("CreateSecret", Service::create_secret),
    writes("DeleteResourcePolicy", Service::delete_resource_policy),
    writes("DeleteSecret", Service::delete_secret),
    reads("DescribeSecret", Service::describe_secret),
    reads("GetRandomPassword", Service::get_random_password),
    reads("GetResourcePolicy", Service::get_resource_policy),
    reads("GetSecretValue", Service::get_secret_value),
    reads("ListSecretVersionIds", Service::list_secret_version_ids),
    reads("ListSecrets", Service::list_secrets),
    writes("PutResourcePolicy", Service::put_resource_policy),
    writes("PutSecretValue", Service::put_secret_value),
    writes(
        "RemoveRegionsFromReplication",
        Service::remove_regions_from_replication,
    ),
    writes(
        "ReplicateSecretToRegions",
        Service::replicate_secret_to_regions,
    ),
    writes("RestoreSecret", Service::restore_secret),
    writes("RotateSecret", Service::rotate_secret),
    writes(
        "StopReplicationToReplica",
        Service::stop_replication_to_replica,
    ),
    writes("TagResource", Service::tag_resource),
    writes("UntagResource", Service::untag_resource),
    writes("UpdateSecret", Service::update_secret),
    writes(
        "UpdateSecretVersionStage",
        Service::update_secret_version_stage,
    ),
    reads("ValidateResourcePolicy", Service::validate_resource_policy),
];

/// Applies a change to a record for a person's sake.
fn apply(record: &mut Record, change: &Change) -> Result<(), Fault> {
    record
        .apply(change, Author::Here)
        .map_err(|invalid| invalid_fault(&invalid))
}

/// Whether a secret is past its recovery window: AWS has removed it by then (aws.md
/// section 6). The vault keeps its versions.
fn is_gone(lifecycle: Lifecycle, now: Timestamp) -> bool {
    match lifecycle {
        Lifecycle::Live => false,
        Lifecycle::Scheduled { date } => date.is_some_and(|date| date <= now),
        Lifecycle::Tombstone => true,
    }
}

/// Refuses what AWS refuses for a secret that is scheduled for deletion (aws.md
/// section 6).
fn must_be_live(record: &Record, now: Timestamp) -> Result<(), Fault> {
    let lifecycle = record.state.lifecycle;
    if is_gone(lifecycle, now) {
        Err(not_found())
    } else if lifecycle.is_scheduled() {
        Err(marked_for_deletion())
    } else {
        Ok(())
    }
}

fn not_found() -> Fault {
    Fault::new(
        Code::ResourceNotFoundException,
        "Secrets Manager can't find the specified secret.",
    )
}

fn marked_for_deletion() -> Fault {
    Fault::new(
        Code::InvalidRequestException,
        "You can't perform this operation on the secret because it was marked for deletion.",
    )
}

fn locked() -> Fault {
    Fault::new(
        Code::AccessDeniedException,
        "The vault is locked. Unlock it with: strongroom unlock",
    )
}

/// A vault's error in AWS's shape. Busy is throttling, so that SDKs try again; a file
/// that is not believed cannot be decrypted, and trying again would not help.
fn vault_fault(error: &VaultError) -> Fault {
    if matches!(error, VaultError::Locked) {
        return locked();
    }
    let code = if matches!(error, VaultError::NoAccess { .. }) {
        Code::AccessDeniedException
    } else if error.is_busy() {
        Code::ThrottlingException
    } else if error.is_integrity() || error.is_newer() {
        Code::DecryptionFailure
    } else {
        Code::InternalServiceError
    };
    Fault::new(code, format!("strongroom: {}", chain(error)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// What the model refuses, in AWS's words.
fn invalid_fault(invalid: &Invalid) -> Fault {
    match invalid {
        Invalid::NoSecret | Invalid::Deleted => not_found(),
        Invalid::Scheduled => marked_for_deletion(),
        Invalid::NoVersion(id) | Invalid::NoValue(id) => no_version(id.as_str()),
        Invalid::TooManyLabels => Fault::new(
            Code::LimitExceededException,
            "You can't attach more than 20 staging labels to the versions of a secret.",
        ),
        Invalid::CurrentMustStay => Fault::new(
            Code::InvalidParameterException,
            "You can't remove the staging label AWSCURRENT. Move it to another version instead.",
        ),
        Invalid::Exists
        | Invalid::Changed { .. }
        | Invalid::AttributesChanged
        | Invalid::VersionExists(_)
        | Invalid::Nothing => Fault::new(Code::InvalidRequestException, invalid.to_string()),
    }
}

fn no_version(id: &str) -> Fault {
    Fault::new(
        Code::ResourceNotFoundException,
        format!("Secrets Manager can't find the specified secret value for VersionId: {id}"),
    )
}

/// Writes an answer. The buffer is wiped; `room` is how many bytes it may need, so
/// that it does not grow and leave copies behind.
fn json(answer: &impl serde::Serialize, room: usize) -> Result<Reply, Fault> {
    let mut body = zeroize::Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *body, answer)
        .map_err(|e| Fault::new(Code::InternalServiceError, e.to_string()))?;
    Ok(Reply::json(body))
}

/// A moment as AWS sends it: seconds since the epoch with a fraction (aws.md section
/// 1).
#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53 milliseconds, some 285,000 years"
)]
fn seconds(at: Timestamp) -> f64 {
    at.millis() as f64 / 1000.0
}

type Shared<T> = Arc<T>;
