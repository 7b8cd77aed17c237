//! UpdateSecretVersionStage (aws.md section 3).

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Code, Fault, Reply};
use super::input::{self, Checks, parse};
use super::place::Found;
use super::rotation::note_success;
use super::{Service, apply, json, no_version};
use crate::model::{Change, VersionId};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UpdateSecretVersionStage {
    secret_id: Option<String>,
    version_stage: Option<String>,
    remove_from_version_id: Option<String>,
    move_to_version_id: Option<String>,
}

/// ARN and Name: the whole answer of several operations.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Named<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
}

impl Found {
    /// An answer of ARN and Name.
    pub(super) fn named(&self) -> Result<Reply, Fault> {
        let named = Named {
            arn: &self.arn,
            name: self.name.as_str(),
        };
        Ok(json(&named, 1024)?.about(self.record.name.clone()))
    }
}

impl Service {
    pub(super) fn update_secret_version_stage(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: UpdateSecretVersionStage = parse(call.body)?;
        let mut checks = Checks::default();
        checks.required("versionStage", request.version_stage.as_ref());
        let (remove, to) = (&request.remove_from_version_id, &request.move_to_version_id);
        checks.length("removeFromVersionId", remove.as_deref(), 32..=64);
        checks.length("moveToVersionId", to.as_deref(), 32..=64);
        checks.finish()?;
        let stage = request.version_stage.as_deref().unwrap_or_default();
        let label = input::label("versionStage", stage)?;
        let found = self.find(call, request.secret_id.as_deref())?;
        let version = |text: &String| text.parse::<VersionId>().map_err(|_| no_version(text));
        let remove = remove.as_ref().map(version).transpose()?;
        let to = to.as_ref().map(version).transpose()?;
        let invalid = |text: String| Fault::new(Code::InvalidParameterException, text);
        if remove.is_none() && to.is_none() {
            return Err(invalid(
                "You must provide a RemoveFromVersionId, a MoveToVersionId, or both.".to_owned(),
            ));
        }
        self.change_live(&found, call, |_, record| {
            let holder = record.state.labels.get(&label).cloned();
            if let Some(to) = &to
                && !record.state.versions.contains_key(to)
            {
                return Err(no_version(to.as_str()));
            }
            match (&remove, &holder) {
                // Naming the holder is what makes this a compare-and-swap.
                (Some(remove), holder) if holder.as_ref() != Some(remove) => {
                    return Err(invalid(format!("The parameter RemoveFromVersionId must be set to the version that currently has the staging label {stage} attached.")));
                }
                (None, Some(holder)) if to.as_ref() != Some(holder) => {
                    let id = holder.as_str();
                    return Err(invalid(format!("The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version {id}, so you must explicitly reference that version in RemoveFromVersionId.")));
                }
                _ => {}
            }
            if holder == to {
                return Ok(());
            }
            let change = Change::MoveLabel {
                label: label.clone(),
                from: holder,
                to: to.clone(),
            };
            apply(record, &change)?;
            if let (true, Some(to)) = (label.is_current(), &to) {
                note_success(record, to, call.stamp.now);
            }
            Ok(())
        })?;
        found.named()
    }
}
