//! KMS key, resource policy and replicas: changes that AWS guards by nothing, so that
//! whoever asks for one has looked right before (sync.md section 1.7).

use aws_sdk_secretsmanager::types::ReplicaRegionType;

use super::AwsStore;
use super::convert;
use super::error::Kind;
use super::quota::Operation;
use crate::model::{OwnField, SecretName, missing_replicas, replicas_of};
use crate::store::{Account as _, StoreError};

impl AwsStore {
    /// The resource policy as the service shows it. The member is absent where there is
    /// none (aws.md section 4).
    pub(super) async fn get_policy(&self, name: &SecretName) -> Result<Option<String>, StoreError> {
        let operation = Operation::GetResourcePolicy;
        let remote = self.remote_name(name, operation)?;
        let answer = self
            .caller
            .call(operation, |client| {
                client
                    .get_resource_policy()
                    .secret_id(remote.as_str())
                    .send()
            })
            .await;
        match answer {
            Ok(answer) => {
                self.guard
                    .check(answer.arn.as_deref().unwrap_or_default())?;
                Ok(answer.resource_policy.filter(|text| !text.is_empty()))
            }
            Err(failure) => Err(self.refused(name, failure).await),
        }
    }

    pub(super) async fn set_own(
        &self,
        name: &SecretName,
        field: OwnField,
        to: &str,
    ) -> Result<(), StoreError> {
        match field {
            OwnField::KmsKey => self.set_kms_key(name, to).await,
            OwnField::Policy if to.is_empty() => self.delete_policy(name).await,
            OwnField::Policy => self.set_policy(name, to).await,
            OwnField::Replicas => self.replicate(name, to).await,
            OwnField::Rotation => Err(StoreError::Refused {
                operation: "RotateSecret",
                code: "NotARemoteChange".into(),
                detail: "it would start a rotation".into(),
            }),
        }
    }

    /// An empty one goes back to the default key; labelled versions are encrypted anew
    /// (aws.md section 4).
    async fn set_kms_key(&self, name: &SecretName, key: &str) -> Result<(), StoreError> {
        let operation = Operation::UpdateSecret;
        let remote = self.remote_name(name, operation)?;
        // Going back to an old key in another run is another call.
        let run = self.now.to_string();
        let token = convert::fixed_token(&["UpdateSecret", "kms", remote.as_str(), key, &run]);
        let answer = self
            .caller
            .call(operation, |client| {
                client
                    .update_secret()
                    .secret_id(remote.as_str())
                    .client_request_token(&token)
                    .kms_key_id(key)
                    .send()
            })
            .await;
        match answer {
            Ok(answer) => self.guard.check(answer.arn.as_deref().unwrap_or_default()),
            Err(failure) => Err(self.refused(name, failure).await),
        }
    }

    async fn delete_policy(&self, name: &SecretName) -> Result<(), StoreError> {
        let operation = Operation::DeleteResourcePolicy;
        let remote = self.remote_name(name, operation)?;
        let answer = self
            .caller
            .call(operation, |client| {
                client
                    .delete_resource_policy()
                    .secret_id(remote.as_str())
                    .send()
            })
            .await;
        match answer {
            Ok(answer) => self.guard.check(answer.arn.as_deref().unwrap_or_default()),
            Err(failure) => Err(self.refused(name, failure).await),
        }
    }

    /// Never over a secret of the name that another Region has already.
    async fn replicate(&self, name: &SecretName, regions: &str) -> Result<(), StoreError> {
        let operation = Operation::ReplicateSecretToRegions;
        let remote = self.remote_name(name, operation)?;
        let wanted: Vec<ReplicaRegionType> = replicas_of(regions)
            .into_iter()
            .map(|(region, key)| {
                ReplicaRegionType::builder()
                    .region(region)
                    .set_kms_key_id(key)
                    .build()
            })
            .collect();
        let answer = self
            .caller
            .call(operation, |client| {
                client
                    .replicate_secret_to_regions()
                    .secret_id(remote.as_str())
                    .set_add_replica_regions(Some(wanted.clone()))
                    .force_overwrite_replica_secret(false)
                    .send()
            })
            .await;
        // Not every server answers with the ARN; the look that follows is checked.
        let Err(failure) = answer else {
            return Ok(());
        };
        // An earlier attempt whose answer was lost may have done it.
        if matches!(failure.kind, Kind::Exists | Kind::Request | Kind::Parameter)
            && let Some(there) = self.look_up(name).await?
            && let Some(now) = there.facts.own(OwnField::Replicas)
            && missing_replicas(regions, &now).is_empty()
        {
            return Ok(());
        }
        Err(self.refused(name, failure).await)
    }
}
