//! PutSecretValue and UpdateSecret (aws.md sections 3 and 4).

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Code, Fault, Reply};
use super::describe::stages_of;
use super::input::{self, Checks, SecretText, parse};
use super::{Service, apply, json, vault_fault};
use crate::model::{
    Attributes, Change, Content, Digest, Origin, OwnField, Record, SecretName, SecretValue,
    StagingLabel, VersionId, VersionMeta,
};
use crate::vault::Transaction;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutSecretValue {
    secret_id: Option<String>,
    client_request_token: Option<String>,
    secret_string: Option<SecretText>,
    secret_binary: Option<SecretText>,
    version_stages: Option<Vec<String>>,
    /// Tells AWS that a role assumed by a rotation puts the value. It is checked for
    /// its form; who may put here is the key's grant.
    rotation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateSecret {
    secret_id: Option<String>,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<SecretText>,
    secret_binary: Option<SecretText>,
    #[serde(rename = "Type")]
    kind: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Stored<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_stages: Option<Vec<&'a str>>,
}

/// A version on its way into a record.
pub(super) struct NewVersion<'a> {
    pub(super) id: &'a VersionId,
    pub(super) value: &'a SecretValue,
    pub(super) labels: Vec<StagingLabel>,
    /// The secret's full ARN, for the fault.
    pub(super) arn: &'a str,
}

impl Service {
    /// Adds a version; a token that is already in use by the same content changes
    /// nothing, by other content is refused (aws.md section 3, idempotency).
    pub(super) fn add_version(
        &self,
        call: &Call<'_>,
        tx: &mut Transaction<'_>,
        record: &mut Record,
        new: NewVersion<'_>,
    ) -> Result<(), Fault> {
        if let Some(content) = record.state.versions.get(new.id).map(|v| v.content)
            && let Content::Value { digest, .. } = content
        {
            return match self.digest(&record.name, new.value)? == digest {
                true => Ok(()),
                false => Err(token_in_use(new.id, new.arn)),
            };
        }
        let now = call.stamp.now;
        let digest = tx
            .add_value(&record.name, new.id, new.value, Some(now))
            .map_err(|e| vault_fault(&e))?;
        let meta = VersionMeta {
            created: Some(now),
            content: Content::Value {
                kind: new.value.kind(),
                digest,
            },
            parent: record.state.current().cloned(),
            origin: Origin::Local,
        };
        let change = Change::AddVersion {
            id: new.id.clone(),
            meta,
            labels: new.labels,
        };
        apply(record, &change)
    }

    /// The keyed digest of a secret's value.
    pub(super) fn digest(&self, name: &SecretName, value: &SecretValue) -> Result<Digest, Fault> {
        let keys = self.vault.keys_for(name).map_err(|e| vault_fault(&e))?;
        keys.digest(value).map_err(|e| vault_fault(&e.into()))
    }

    pub(super) fn put_secret_value(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: PutSecretValue = parse(call.body)?;
        let mut checks = Checks::default();
        let stages = request.version_stages.as_ref();
        checks.count("versionStages", stages.map(Vec::len), 1..=20);
        let rotation = request.rotation_token.as_deref();
        checks.length("rotationToken", rotation, 36..=256);
        if rotation.is_some_and(|t| !t.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')) {
            checks.fail("Value at 'rotationToken' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9\\-]+$".to_owned());
        }
        checks.finish()?;
        let labels = match stages {
            None => vec![StagingLabel::current()],
            Some(stages) => stages
                .iter()
                .map(|stage| input::label("versionStages", stage))
                .collect::<Result<_, _>>()?,
        };
        let found = self.find(call, request.secret_id.as_deref())?;
        let id = input::token(request.client_request_token.as_deref())?;
        let value = input::value(
            request.secret_string.as_ref(),
            request.secret_binary.as_ref(),
        )?;
        let value = value.ok_or_else(|| {
            Fault::new(
                Code::InvalidRequestException,
                "You must provide either SecretString or SecretBinary.",
            )
        })?;
        let record = self.change_live(&found, call, |tx, record| {
            let new = NewVersion {
                id: &id,
                value: &value,
                labels,
                arn: &found.arn,
            };
            self.add_version(call, tx, record, new)?;
            Ok(record.clone())
        })?;
        Ok(json(
            &Stored {
                arn: &found.arn,
                name: found.name.as_str(),
                version_id: Some(id.as_str()),
                version_stages: Some(stages_of(&record.state, &id)),
            },
            1024,
        )?
        .about(record.name))
    }

    pub(super) fn update_secret(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: UpdateSecret = parse(call.body)?;
        let mut checks = Checks::default();
        checks.length("description", request.description.as_deref(), 0..=2048);
        checks.length("kmsKeyId", request.kms_key_id.as_deref(), 0..=2048);
        checks.finish()?;
        let found = self.find(call, request.secret_id.as_deref())?;
        let id = input::token(request.client_request_token.as_deref())?;
        if request.kind.is_some() {
            return Err(no_external());
        }
        let value = input::value(
            request.secret_string.as_ref(),
            request.secret_binary.as_ref(),
        )?;
        self.change_live(&found, call, |tx, record| {
            if let Some(value) = &value {
                let new = NewVersion {
                    id: &id,
                    value,
                    labels: vec![StagingLabel::current()],
                    arn: &found.arn,
                };
                self.add_version(call, tx, record, new)?;
            }
            if let Some(text) = request.description {
                let from = record.state.attributes.clone();
                let to = Attributes {
                    // An empty description is none (aws.md section 4).
                    description: Some(text).filter(|t| !t.is_empty()),
                    ..from.clone()
                };
                if from != to {
                    apply(record, &Change::SetAttributes { from, to })?;
                }
            }
            if let Some(key) = request.kms_key_id {
                // An empty one goes back to the default key.
                let key = Some(key).filter(|k| !k.is_empty());
                found.set_own(record, OwnField::KmsKey, key);
            }
            Ok(())
        })?;
        Ok(json(
            &Stored {
                arn: &found.arn,
                name: found.name.as_str(),
                version_id: value.is_some().then_some(id.as_str()),
                version_stages: None,
            },
            1024,
        )?
        .about(found.record.name.clone()))
    }
}

/// The fault for a token that is the id of a version with other content.
pub(super) fn token_in_use(id: &VersionId, arn: &str) -> Fault {
    let id = id.as_str();
    Fault::new(
        Code::ResourceExistsException,
        format!(
            "You can't use ClientRequestToken {id} because that value is already in use for a version of secret {arn}."
        ),
    )
}

/// The fault for a secret that a partner of AWS holds.
pub(super) fn no_external() -> Fault {
    Fault::new(
        Code::InvalidParameterException,
        "A vault holds no external secrets: leave Type out.",
    )
}
