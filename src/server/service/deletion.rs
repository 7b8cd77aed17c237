//! DeleteSecret and RestoreSecret (aws.md section 6).

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Code, Fault, Reply};
use super::input::parse;
use super::{Service, apply, is_gone, json, not_found, seconds};
use crate::model::{Change, SecretName, Timestamp};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteSecret {
    secret_id: Option<String>,
    recovery_window_in_days: Option<i64>,
    force_delete_without_recovery: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RestoreSecret {
    secret_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Deleted<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
    deletion_date: f64,
}

impl Service {
    pub(super) fn delete_secret(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: DeleteSecret = parse(call.body)?;
        let force = request.force_delete_without_recovery.unwrap_or_default();
        let invalid = |text: &str| Err(Fault::new(Code::InvalidParameterException, text));
        let window = match request.recovery_window_in_days {
            Some(_) if force => {
                return invalid(
                    "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
                );
            }
            Some(days) if !(7..=30).contains(&days) => {
                return invalid(
                    "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
                );
            }
            Some(days) => days,
            None => 30,
        };
        let found = match self.find(call, request.secret_id.as_deref()) {
            Err(fault) if force && fault == not_found() => {
                return self.delete_nothing(call, request.secret_id.as_deref(), fault);
            }
            found => found?,
        };
        found.must_be_primary()?;
        let now = call.stamp.now;
        let date = match force {
            true => now,
            false => now.plus_days(window),
        };
        self.change(&found.record.name, call, |_, record| {
            if is_gone(record.state.lifecycle, now) {
                return Err(not_found());
            }
            let replicas = found.all_replicas();
            if !replicas.is_empty() {
                let regions: Vec<String> = replicas.into_keys().collect();
                return Err(Fault::new(
                    Code::InvalidParameterException,
                    format!(
                        "You can't delete secret {} that still has replica regions [{}].",
                        found.arn,
                        regions.join(", ")
                    ),
                ));
            }
            if force {
                // The vault keeps the versions; to the world the secret is gone.
                return apply(record, &Change::Tombstone);
            }
            if record.state.lifecycle.is_scheduled() {
                return Err(Fault::new(
                    Code::InvalidRequestException,
                    "You can't perform this operation on the secret because it was already scheduled for deletion.",
                ));
            }
            record.details.deleted = Some(now);
            apply(record, &Change::Delete { date: Some(date) })
        })?;
        deleted(&found.arn, &found.name, date, Some(&found.record.name))
    }

    /// A forced deletion of a secret that is not there succeeds (aws.md section 6).
    fn delete_nothing(
        &self,
        call: &Call<'_>,
        id: Option<&str>,
        fault: Fault,
    ) -> Result<Reply, Fault> {
        let Some(Ok(name)) = id.map(str::parse::<SecretName>) else {
            return Err(fault);
        };
        let arn = self.invented_arn(call, &name);
        deleted(&arn, &name, call.stamp.now, None)
    }

    pub(super) fn restore_secret(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: RestoreSecret = parse(call.body)?;
        let found = self.find(call, request.secret_id.as_deref())?;
        found.must_be_primary()?;
        self.change(&found.record.name, call, |_, record| {
            if is_gone(record.state.lifecycle, call.stamp.now) {
                return Err(not_found());
            }
            match record.state.lifecycle.is_scheduled() {
                true => apply(record, &Change::Restore),
                false => Ok(()),
            }
        })?;
        found.named()
    }
}

fn deleted(
    arn: &str,
    name: &SecretName,
    date: Timestamp,
    local: Option<&SecretName>,
) -> Result<Reply, Fault> {
    let answer = Deleted {
        arn,
        name: name.as_str(),
        deletion_date: seconds(date),
    };
    Ok(json(&answer, 1024)?.about(local.cloned()))
}
