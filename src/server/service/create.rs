//! CreateSecret (aws.md sections 3 and 4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Code, Fault, Reply};
use super::describe::Replica;
use super::input::{self, Checks, SecretText, parse};
use super::put::{NewVersion, no_external, token_in_use};
use super::{Service, apply, is_gone, json};
use crate::model::{
    Attributes, Change, Content, Details, Lifecycle, Record, SecretName, SecretValue, StagingLabel,
    VersionId,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateSecret {
    name: Option<String>,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<SecretText>,
    secret_binary: Option<SecretText>,
    tags: Option<Vec<input::Tag>>,
    add_replica_regions: Option<Vec<input::ReplicaRegion>>,
    #[serde(rename = "Type")]
    kind: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Created<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replication_status: Vec<Replica>,
}

impl Service {
    pub(super) fn create_secret(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: CreateSecret = parse(call.body)?;
        let mut checks = Checks::default();
        checks.required("name", request.name.as_ref());
        checks.length("name", request.name.as_deref(), 1..=SecretName::MAX);
        checks.length("description", request.description.as_deref(), 0..=2048);
        checks.length("kmsKeyId", request.kms_key_id.as_deref(), 0..=2048);
        input::check_replicas(&mut checks, request.add_replica_regions.as_deref());
        checks.finish()?;
        let name = self.new_name(call, request.name.as_deref().unwrap_or_default())?;
        let id = input::token(request.client_request_token.as_deref())?;
        if request.kind.is_some() {
            return Err(no_external());
        }
        let value = input::value(
            request.secret_string.as_ref(),
            request.secret_binary.as_ref(),
        )?;
        let attributes = Attributes {
            // An empty description is stored as none (aws.md section 4).
            description: request.description.filter(|t| !t.is_empty()),
            tags: input::tags(request.tags.unwrap_or_default(), &BTreeMap::new())?,
        };
        let regions = request.add_replica_regions.unwrap_or_default();
        let replicas = input::replicas(regions, &call.caller.region)?;
        let details = Details {
            kms_key: request.kms_key_id.filter(|k| !k.is_empty()),
            replicas,
            ..Details::created(call.stamp.now)
        };
        self.change(&name, call, |tx, record| {
            let arn = self.arn_of(call, record)?;
            if !is_gone(record.state.lifecycle, call.stamp.now) {
                return self.again(record, &id, value.as_ref(), &arn);
            }
            if record.state.lifecycle.is_scheduled() {
                // Past its window: gone at AWS, history here.
                apply(record, &Change::Tombstone)?;
            }
            let version = None;
            apply(
                record,
                &Change::Create {
                    attributes,
                    version,
                },
            )?;
            record.details = details;
            let Some(value) = &value else { return Ok(()) };
            let new = NewVersion {
                id: &id,
                value,
                labels: vec![StagingLabel::current()],
                arn: &arn,
            };
            self.add_version(call, tx, record, new)?;
            if record.state.current().is_none() {
                // The id is one of an earlier life of the name, with the same content.
                let change = Change::MoveLabel {
                    label: StagingLabel::current(),
                    from: None,
                    to: Some(id.clone()),
                };
                apply(record, &change)?;
            }
            Ok(())
        })?;
        let found = self.shown(call, &name)?;
        Ok(json(
            &Created {
                arn: &found.arn,
                name: found.name.as_str(),
                version_id: value.is_some().then_some(id.as_str()),
                replication_status: found.replicas(),
            },
            1024,
        )?
        .about(name))
    }

    /// What a CreateSecret for a name that is taken comes to: nothing to do for the
    /// same call again, else a fault.
    fn again(
        &self,
        record: &Record,
        id: &VersionId,
        value: Option<&SecretValue>,
        arn: &str,
    ) -> Result<(), Fault> {
        if record.state.lifecycle != Lifecycle::Live {
            return Err(Fault::new(
                Code::InvalidRequestException,
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            ));
        }
        let known = record.state.versions.get(id).map(|v| v.content);
        match (known, value) {
            (Some(Content::Value { digest, .. }), Some(value)) => {
                match self.digest(&record.name, value)? == digest {
                    true => Ok(()),
                    false => Err(token_in_use(id, arn)),
                }
            }
            _ => Err(Fault::new(
                Code::ResourceExistsException,
                format!(
                    "The operation failed because the secret {} already exists.",
                    record.name
                ),
            )),
        }
    }
}
