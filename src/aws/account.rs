//! What a migration asks of an account beside what a sync does.

use super::AwsStore;
use super::convert::{self, Shown};
use super::error::{Failure, Kind};
use super::quota::Operation;
use crate::model::{Escaped, SecretName, SecretValue};
use crate::store::{Account, Held, Inspected, NewSecret, Particulars, StoreError};

/// The biggest page ListSecretVersionIds gives (aws.md section 4).
const PAGE: i32 = 100;

impl Account for AwsStore {
    async fn inspect(&self, name: &SecretName) -> Result<Option<Inspected>, StoreError> {
        let operation = Operation::DescribeSecret;
        let remote = self.remote_name(name, operation)?;
        let answer = self
            .caller
            .call(operation, |client| {
                client.describe_secret().secret_id(remote.as_str()).send()
            })
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) if failure.kind == Kind::NotFound => return Ok(None),
            Err(failure) => return Err(failure.into_error()),
        };
        let text = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(str::to_owned);
        let more = Particulars {
            external: text(answer.r#type()),
            function: text(answer.rotation_lambda_arn()),
            replicas: answer
                .replication_status()
                .iter()
                .filter_map(|status| status.region.clone())
                .collect(),
            accessed: answer.last_accessed_date().and_then(convert::timestamp),
        };
        let shown = Shown::from(answer);
        self.guard.check(&shown.arn)?;
        if shown.name != remote.as_str() {
            return Err(StoreError::Corrupt(format!(
                "DescribeSecret of {remote} answered for {}",
                Escaped(&shown.name)
            )));
        }
        let secret = shown
            .into_secret(self.guard.region())
            .map_err(StoreError::Corrupt)?;
        Ok(Some(Inspected { secret, more }))
    }

    async fn history(&self, name: &SecretName) -> Result<Vec<Held>, StoreError> {
        let operation = Operation::ListSecretVersionIds;
        let remote = self.remote_name(name, operation)?;
        let mut held = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self
                .caller
                .call(operation, |client| {
                    client
                        .list_secret_version_ids()
                        .secret_id(remote.as_str())
                        .max_results(PAGE)
                        .include_deprecated(true)
                        .set_next_token(token.clone())
                        .send()
                })
                .await
                .map_err(Failure::into_error)?;
            // AWS gives the ARN here, an emulator the name (aws.md section 4): what is
            // no ARN at all tells nothing of the account.
            if let Some(arn) = page.arn.filter(|arn| arn.starts_with("arn:")) {
                self.guard.check(&arn)?;
            }
            for entry in page.versions.unwrap_or_default() {
                let text = entry.version_id.unwrap_or_default();
                let id = text
                    .parse()
                    .map_err(|e| StoreError::Corrupt(format!("version {}: {e}", Escaped(&text))))?;
                held.push(Held {
                    id,
                    created: entry.created_date.as_ref().and_then(convert::timestamp),
                });
            }
            let next = page.next_token.filter(|t| !t.is_empty());
            match next {
                None => return Ok(held),
                Some(next) if token.as_ref() == Some(&next) => {
                    return Err(StoreError::Corrupt(
                        "ListSecretVersionIds gives the same page for ever".to_owned(),
                    ));
                }
                next => token = next,
            }
        }
    }

    async fn set_policy(&self, name: &SecretName, policy: &str) -> Result<(), StoreError> {
        let operation = Operation::PutResourcePolicy;
        let remote = self.remote_name(name, operation)?;
        let answer = self
            .caller
            .call(operation, |client| {
                client
                    .put_resource_policy()
                    .secret_id(remote.as_str())
                    .resource_policy(policy)
                    .block_public_policy(true)
                    .send()
            })
            .await;
        match answer {
            Ok(answer) => self.guard.check(answer.arn.as_deref().unwrap_or_default()),
            Err(failure) => Err(self.refused(name, failure).await),
        }
    }

    async fn create_secret(
        &self,
        name: &SecretName,
        secret: NewSecret<'_>,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        self.create(name, secret.attributes, secret.kms_key, secret.id, value)
            .await
    }
}
