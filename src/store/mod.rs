//! What every place that keeps secrets can do for the sync.
//!
//! [`SecretStore`] is the remote side: an AWS account and Region, or the in-memory
//! store that is as strict as AWS. It speaks the vault's names; mapping them to the
//! remote's is the store's own business. Nothing here knows of plans or files.

mod account;
mod error;
mod memory;

use std::future::Future;

pub use account::{Account, Held, Inspected, NewSecret, Particulars};
pub use error::StoreError;
pub use memory::{
    Call, Cleanup, Clock, FaultKind, FaultPlan, Hit, LONGEST_LAG, ListLag, MemoryStore, Rates,
    Refusal,
};

use crate::model::{
    Change, RemoteSecret, RemoteView, SecretName, SecretValue, Timestamp, VersionId,
};

/// A value as a store hands it out.
pub struct Retrieved {
    /// The version it belongs to.
    pub id: VersionId,
    /// The value.
    pub value: SecretValue,
    /// The version's CreatedDate.
    pub created: Option<Timestamp>,
}

/// Hears how far a long call has come. The command line draws it; nothing below
/// does.
pub trait Progress: Send + Sync {
    /// A phase begins; `total` units are expected, if that is known.
    fn begin(&self, what: &str, total: Option<usize>);
    /// `n` more units are done.
    fn advance(&self, n: usize);
    /// The phase is over.
    fn finish(&self);
}

/// Says nothing: for tests and for servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: Option<usize>) {}
    fn advance(&self, _: usize) {}
    fn finish(&self) {}
}

/// A place that keeps secrets with versions and staging labels.
pub trait SecretStore: Sync {
    /// Lists everything. A name in `known` that the listing lacks is looked up by
    /// itself, since a listing may lag by minutes and a filter may hide: only a
    /// confirmed absence is left out of the view (sync.md section 1.16).
    fn view(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> impl Future<Output = Result<RemoteView, StoreError>> + Send;

    /// Looks up one secret afresh; `None` if there is none.
    fn describe(
        &self,
        name: &SecretName,
    ) -> impl Future<Output = Result<Option<RemoteSecret>, StoreError>> + Send;

    /// The resource policy, as JSON text; `None` if there is none.
    fn policy(
        &self,
        name: &SecretName,
    ) -> impl Future<Output = Result<Option<String>, StoreError>> + Send;

    /// Reads one version by its id.
    fn read(
        &self,
        name: &SecretName,
        id: &VersionId,
    ) -> impl Future<Output = Result<Retrieved, StoreError>> + Send;

    /// Reads the AWSCURRENT versions of up to [`BATCH`] secrets in one call; the
    /// answers come in the order of `names`.
    fn read_current(
        &self,
        names: &[SecretName],
    ) -> impl Future<Output = Result<Vec<Result<Retrieved, StoreError>>, StoreError>> + Send;

    /// Carries out one change. `value` is the value of the version that `change`
    /// brings, if it brings one. Every change is safe to repeat after a lost answer.
    fn apply(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Most secrets one BatchGetSecretValue call takes (aws.md section 4).
pub const BATCH: usize = 20;
