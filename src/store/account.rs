//! What copying whole secrets from one account to another takes beside what a sync does.

use std::future::Future;

use super::{SecretStore, StoreError};
use crate::model::{Attributes, RemoteSecret, SecretName, SecretValue, Timestamp, VersionId};

/// What DescribeSecret says of a secret beside its versions and facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Particulars {
    /// The partner that holds the secret: `Type`, for external secrets only.
    pub external: Option<String>,
    /// The ARN of the function that rotates it, whether or not rotation is on.
    pub function: Option<String>,
    /// The Regions that it is replicated to.
    pub replicas: Vec<String>,
    /// LastAccessedDate: the day of the last read, at 00:00 UTC (aws.md section 4).
    pub accessed: Option<Timestamp>,
}

/// A secret as one DescribeSecret shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspected {
    /// What a sync looks at.
    pub secret: RemoteSecret,
    /// The rest.
    pub more: Particulars,
}

/// One version that an account still holds, with or without labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its id.
    pub id: VersionId,
    /// Its CreatedDate.
    pub created: Option<Timestamp>,
}

/// A secret to be made, with all that can be said only then.
#[derive(Clone, Copy, Debug)]
pub struct NewSecret<'a> {
    /// Description and tags.
    pub attributes: &'a Attributes,
    /// The KMS key; none for the account's default key.
    pub kms_key: Option<&'a str>,
    /// The id of its first version, if it is to have one.
    pub id: Option<&'a VersionId>,
}

/// An account and Region whose secrets can be copied whole, or that copies are made in.
pub trait Account: SecretStore {
    /// Looks up one secret afresh; `None` if there is none. One DescribeSecret.
    fn inspect(
        &self,
        name: &SecretName,
    ) -> impl Future<Output = Result<Option<Inspected>, StoreError>> + Send;

    /// Lists every version the account still holds, those without labels too
    /// (ListSecretVersionIds with IncludeDeprecated).
    fn history(
        &self,
        name: &SecretName,
    ) -> impl Future<Output = Result<Vec<Held>, StoreError>> + Send;

    /// Attaches a resource policy. One that opens the secret to everybody is refused
    /// (BlockPublicPolicy).
    fn set_policy(
        &self,
        name: &SecretName,
        policy: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes a secret under the KMS key given. Safe to repeat after a lost answer.
    fn create_secret(
        &self,
        name: &SecretName,
        secret: NewSecret<'_>,
        value: Option<&SecretValue>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
