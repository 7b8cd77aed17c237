//! AWS Secrets Manager as a [`SecretStore`]: one account and Region.
//!
//! The only room that may name an AWS type. It knows how AWS is called and what its
//! answers mean (aws.md), and nothing of vaults, plans or keys. It reads no
//! environment variable itself; the SDK's standard credential chain does.

mod account;
mod attributes;
mod connect;
mod convert;
mod error;
mod itself;
mod own;
mod quota;
mod read;
mod retry;
pub mod signature;
mod write;

pub use connect::{AccessKeys, Identity, Options};

use self::connect::Guard;
use self::quota::Operation;
use self::retry::Caller;
use crate::config::RemoteConfig;
use crate::model::{
    Change, RemoteSecret, RemoteView, Scope, SecretName, SecretValue, Timestamp, VersionId,
};
use crate::store::{Progress, Retrieved, SecretStore, StoreError};

/// A connection to the Secrets Manager of one account and Region.
///
/// Its methods may be called concurrently: they share one token bucket for each of
/// AWS's quotas, so the rates hold whatever the caller's concurrency is.
pub struct AwsStore {
    caller: Caller,
    guard: Guard,
    scope: Scope,
    now: Timestamp,
}

impl AwsStore {
    /// Connects by the SDK's standard credential chain, or by the keys in `options`.
    ///
    /// Where the configuration pins an account, STS is asked whose credentials these
    /// are, and another account is [`StoreError::WrongAccount`]. An STS that does not
    /// answer is put up with: the ARN of every item is checked as well. `now` is what
    /// a deletion's recovery window counts from.
    pub async fn connect(
        config: &RemoteConfig,
        now: Timestamp,
        options: &Options,
    ) -> Result<Self, StoreError> {
        let sdk = Box::pin(connect::load(config, options)).await;
        let store = Self {
            caller: Caller::new(sdk),
            guard: Guard::new(config),
            scope: config.scope.clone(),
            now,
        };
        if config.account.is_some() {
            store.ask_sts().await?;
        }
        Ok(store)
    }

    /// Whose account this is: what STS says, else what the items seen so far say.
    /// Both are missing where STS is silent and nothing was listed yet.
    pub async fn identity(&self) -> Result<Identity, StoreError> {
        if self.guard.seen().caller.is_none() {
            self.ask_sts().await?;
        }
        Ok(self.guard.seen())
    }

    async fn ask_sts(&self) -> Result<(), StoreError> {
        match Box::pin(connect::ask_sts(self.caller.sdk())).await {
            Some(identity) => self.guard.met(identity),
            None => Ok(()),
        }
    }

    /// The remote's name for a vault's; a name out of scope is never sent.
    fn remote_name(
        &self,
        name: &SecretName,
        operation: Operation,
    ) -> Result<SecretName, StoreError> {
        self.scope
            .to_remote(name)
            .ok_or_else(|| StoreError::Refused {
                operation: operation.name(),
                code: "OutOfScope".to_owned(),
                detail: format!("{name} is out of the remote's scope"),
            })
    }
}

impl SecretStore for AwsStore {
    async fn view(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> Result<RemoteView, StoreError> {
        self.list(known, progress).await
    }

    async fn describe(&self, name: &SecretName) -> Result<Option<RemoteSecret>, StoreError> {
        self.look_up(name).await
    }

    async fn policy(&self, name: &SecretName) -> Result<Option<String>, StoreError> {
        self.get_policy(name).await
    }

    async fn read(&self, name: &SecretName, id: &VersionId) -> Result<Retrieved, StoreError> {
        self.get(name, Some(id)).await
    }

    /// An id other than the one a listing showed under AWSCURRENT means that the label
    /// has moved since, or an endpoint that answers by something else than the label
    /// (aws.md section 13): the caller compares.
    async fn read_current(
        &self,
        names: &[SecretName],
    ) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
        self.get_batch(names).await
    }

    async fn apply(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        self.carry_out(name, change, value).await
    }
}
