//! Listing, looking up and reading.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_sdk_secretsmanager::types::SecretValueEntry;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::AwsStore;
use super::convert::{self, Shown};
use super::error::{Failure, Kind};
use super::quota::Operation;
use crate::model::{
    Escaped, Invalid, RemoteSecret, RemoteView, SecretName, Sight, StagingLabel, Timestamp,
    VersionId,
};
use crate::store::{BATCH, Progress, Retrieved, StoreError};

/// Single look-ups under way at once; DescribeSecret and GetSecretValue allow far more
/// calls a second than one connection makes (sync.md section 2).
const AT_ONCE: usize = 32;
/// The biggest page ListSecrets gives (aws.md section 5).
const PAGE: i32 = 100;

impl AwsStore {
    pub(super) async fn list(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> Result<RemoteView, StoreError> {
        progress.begin("listing", None);
        let view = self.list_all(known, progress).await;
        progress.finish();
        view
    }

    async fn list_all(
        &self,
        known: &[SecretName],
        progress: &dyn Progress,
    ) -> Result<RemoteView, StoreError> {
        let mut view = RemoteView::default();
        // Paging is no snapshot: an entry may come on two pages, and a name under
        // two ARNs when it is made anew meanwhile (sync.md section 1.16).
        let mut arns = BTreeSet::new();
        let mut unsure = BTreeSet::new();
        let mut token: Option<String> = None;
        loop {
            let page = self
                .caller
                .call(Operation::ListSecrets, |client| {
                    client
                        .list_secrets()
                        .max_results(PAGE)
                        .include_planned_deletion(true)
                        .set_next_token(token.clone())
                        .send()
                })
                .await
                .map_err(Failure::into_error)?;
            let entries = page.secret_list.unwrap_or_default();
            progress.advance(entries.len());
            for shown in entries.into_iter().map(Shown::from) {
                self.guard.check(&shown.arn)?;
                if arns.insert(shown.arn.clone()) {
                    self.enter(shown, &mut view, &mut unsure);
                }
            }
            let next = page.next_token.filter(|t| !t.is_empty());
            match next {
                None => break,
                Some(next) if token.as_ref() == Some(&next) => {
                    return Err(StoreError::Corrupt(
                        "ListSecrets gives the same page for ever".to_owned(),
                    ));
                }
                next => token = next,
            }
        }
        view.listed = arns.len();
        let missing = known.iter().filter(|n| !view.secrets.contains_key(*n));
        let ask: BTreeSet<SecretName> = unsure.into_iter().chain(missing.cloned()).collect();
        let fresh: Vec<(SecretName, Option<Sight>)> = futures_util::stream::iter(ask)
            .map(|name| async move {
                let sight = self.sight(&name).await?;
                Ok::<_, StoreError>((name, sight))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for (name, sight) in fresh {
            match sight {
                Some(sight) => view.secrets.insert(name, sight),
                None => view.secrets.remove(&name),
            };
        }
        Ok(view)
    }

    /// Puts one entry of a listing where it belongs.
    fn enter(&self, shown: Shown, view: &mut RemoteView, unsure: &mut BTreeSet<SecretName>) {
        if let Some(reason) = shown.foreign() {
            view.foreign
                .push((Escaped(&shown.name).to_string(), reason));
            return;
        }
        let Some(name) = shown
            .name
            .parse()
            .ok()
            .and_then(|name| self.scope.to_local(&name))
        else {
            return;
        };
        let sight = match shown.into_secret(self.guard.region()) {
            Ok(secret) => Sight::Seen(secret),
            Err(reason) => Sight::Blocked(reason),
        };
        if view.secrets.insert(name.clone(), sight).is_some() {
            unsure.insert(name);
        }
    }

    /// What a look-up says of a name that the listing leaves open; `None` if the
    /// secret is gone.
    async fn sight(&self, name: &SecretName) -> Result<Option<Sight>, StoreError> {
        if !self.scope.contains(name) {
            // Out of sight is not gone (sync.md section 1.16).
            return Ok(Some(Sight::Blocked("out of the remote's scope".to_owned())));
        }
        match self.look_up(name).await {
            Ok(found) => Ok(found.map(Sight::Seen)),
            Err(StoreError::Denied { operation, code }) => Ok(Some(Sight::Blocked(format!(
                "the remote denied {operation} (code {code})"
            )))),
            Err(StoreError::Corrupt(reason)) => Ok(Some(Sight::Blocked(reason))),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn look_up(
        &self,
        name: &SecretName,
    ) -> Result<Option<RemoteSecret>, StoreError> {
        let operation = Operation::DescribeSecret;
        let remote = self.remote_name(name, operation)?;
        let answer = self
            .caller
            .call(operation, |client| {
                client.describe_secret().secret_id(remote.as_str()).send()
            })
            .await;
        let shown = match answer {
            Ok(answer) => Shown::from(answer),
            Err(failure) if failure.kind == Kind::NotFound => return Ok(None),
            Err(failure) => return Err(failure.into_error()),
        };
        self.guard.check(&shown.arn)?;
        if shown.name != remote.as_str() {
            return Err(StoreError::Corrupt(format!(
                "DescribeSecret of {remote} answered for {}",
                Escaped(&shown.name)
            )));
        }
        shown
            .into_secret(self.guard.region())
            .map(Some)
            .map_err(StoreError::Corrupt)
    }

    /// Reads by version id, or the version that bears AWSCURRENT.
    pub(super) async fn get(
        &self,
        name: &SecretName,
        id: Option<&VersionId>,
    ) -> Result<Retrieved, StoreError> {
        let operation = Operation::GetSecretValue;
        let remote = self.remote_name(name, operation)?;
        let answer = self
            .caller
            .call(operation, |client| {
                let request = client.get_secret_value().secret_id(remote.as_str());
                match id {
                    Some(id) => request.version_id(id.as_str()),
                    None => request.version_stage(StagingLabel::CURRENT),
                }
                .send()
            })
            .await;
        let answer = match (answer, id) {
            (Ok(answer), _) => answer,
            (Err(failure), Some(id)) if failure.kind == Kind::NotFound => {
                return Err(StoreError::NoValue(id.clone()));
            }
            (Err(failure), _) => return Err(self.refused(name, failure).await),
        };
        let got = self.retrieved(answer.into())?;
        match id {
            Some(id) if *id != got.id => Err(StoreError::Corrupt(format!(
                "GetSecretValue of version {id} answered with version {}",
                got.id
            ))),
            _ => Ok(got),
        }
    }

    pub(super) async fn get_batch(
        &self,
        names: &[SecretName],
    ) -> Result<Vec<Result<Retrieved, StoreError>>, StoreError> {
        let operation = Operation::BatchGetSecretValue;
        if names.len() > BATCH {
            return Err(StoreError::Refused {
                operation: operation.name(),
                code: "InvalidParameterException".to_owned(),
                detail: format!("{} names; one call takes {BATCH}", names.len()),
            });
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut remotes = Vec::with_capacity(names.len());
        for name in names {
            remotes.push(self.remote_name(name, operation)?.as_str().to_owned());
        }
        let answer = self
            .caller
            .call(operation, |client| {
                client
                    .batch_get_secret_value()
                    .set_secret_id_list(Some(remotes.clone()))
                    .send()
            })
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => match failure.kind {
                // The batch needs a permission of its own, not every endpoint has the
                // call, and some fail it whole for one secret.
                Kind::Denied | Kind::NotFound | Kind::Request | Kind::Other => {
                    return Ok(self.get_one_by_one(names).await);
                }
                _ => return Err(failure.into_error()),
            },
        };
        let mut got: BTreeMap<String, SecretValueEntry> = BTreeMap::new();
        for value in answer.secret_values.unwrap_or_default() {
            self.guard.check(value.arn.as_deref().unwrap_or_default())?;
            got.insert(value.name.clone().unwrap_or_default(), value);
        }
        let mut failed: BTreeMap<String, Failure> = BTreeMap::new();
        for error in answer.errors.unwrap_or_default() {
            failed.insert(
                error.secret_id.unwrap_or_default(),
                Failure::of_item(
                    operation,
                    &error.error_code.unwrap_or_default(),
                    &error.message.unwrap_or_default(),
                ),
            );
        }
        let mut results = Vec::with_capacity(names.len());
        for (name, remote) in names.iter().zip(&remotes) {
            let result = match (got.remove(remote), failed.remove(remote)) {
                (Some(value), _) => self.retrieved(value.into()),
                (None, Some(failure)) => match failure.kind {
                    // Alone it gets the patience that a call has.
                    Kind::Throttled | Kind::Fault => self.get(name, None).await,
                    _ => Err(self.refused(name, failure).await),
                },
                (None, None) => Err(StoreError::Corrupt(format!(
                    "BatchGetSecretValue answered nothing for {name}"
                ))),
            };
            results.push(result);
        }
        Ok(results)
    }

    async fn get_one_by_one(&self, names: &[SecretName]) -> Vec<Result<Retrieved, StoreError>> {
        let reads: Vec<_> = names.iter().map(|name| self.get(name, None)).collect();
        futures_util::future::join_all(reads).await
    }

    /// The error for a failed call; where the secret turns out to be scheduled for
    /// deletion, it says that, whatever the code was (aws.md section 6).
    pub(super) async fn refused(&self, name: &SecretName, failure: Failure) -> StoreError {
        if failure.kind == Kind::Request
            && let Ok(Some(secret)) = self.look_up(name).await
            && secret.state.lifecycle.is_scheduled()
        {
            return StoreError::Changed(Invalid::Scheduled);
        }
        failure.into_error()
    }

    fn retrieved(&self, answer: Answer) -> Result<Retrieved, StoreError> {
        self.guard.check(&answer.arn)?;
        let id: VersionId = answer
            .id
            .parse()
            .map_err(|e| StoreError::Corrupt(format!("{e}")))?;
        let value = convert::value(answer.string, answer.binary).map_err(StoreError::Corrupt)?;
        match value {
            Some(value) => Ok(Retrieved {
                id,
                value,
                created: answer.created,
            }),
            None => Err(StoreError::NoValue(id)),
        }
    }
}

/// What GetSecretValue and BatchGetSecretValue both give.
struct Answer {
    arn: String,
    id: String,
    string: Option<String>,
    binary: Option<aws_smithy_types::Blob>,
    created: Option<Timestamp>,
}

impl From<GetSecretValueOutput> for Answer {
    fn from(answer: GetSecretValueOutput) -> Self {
        Self {
            arn: answer.arn.unwrap_or_default(),
            id: answer.version_id.unwrap_or_default(),
            string: answer.secret_string,
            binary: answer.secret_binary,
            created: answer.created_date.as_ref().and_then(convert::timestamp),
        }
    }
}

impl From<SecretValueEntry> for Answer {
    fn from(answer: SecretValueEntry) -> Self {
        Self {
            arn: answer.arn.unwrap_or_default(),
            id: answer.version_id.unwrap_or_default(),
            string: answer.secret_string,
            binary: answer.secret_binary,
            created: answer.created_date.as_ref().and_then(convert::timestamp),
        }
    }
}
