//! RotateSecret and CancelRotateSecret (aws.md section 7): the state of rotation. What
//! runs the function is a [`Rotator`](super::Rotator); without one for the function,
//! RotateSecret is refused as AWS refuses a function that it cannot invoke.

use serde::{Deserialize, Serialize};

use super::super::protocol::{Call, Code, Fault, Reply};
use super::input::{self, Checks, parse};
use super::place::Found;
use super::rotator::{RotationJob, RotationSteps};
use super::schedule::{RulesInput, Schedule};
use super::{Service, apply, json};
use crate::model::{
    Change, Content, Origin, Record, Rotation, StagingLabel, Timestamp, VersionId, VersionMeta,
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RotateSecret {
    secret_id: Option<String>,
    client_request_token: Option<String>,
    #[serde(rename = "RotationLambdaARN")]
    rotation_lambda_arn: Option<String>,
    rotation_rules: Option<RulesInput>,
    rotate_immediately: Option<bool>,
    external_secret_rotation_metadata: Option<serde_json::Value>,
    external_secret_rotation_role_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CancelRotateSecret {
    secret_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Rotated<'a> {
    #[serde(rename = "ARN")]
    arn: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
}

/// The dates of a rotation that is on.
pub(super) struct Dates {
    /// AutomaticallyAfterDays, computed from the schedule.
    pub(super) days: Option<i64>,
    /// NextRotationDate; none while rotation is off.
    pub(super) next: Option<Timestamp>,
}

impl Service {
    pub(super) fn rotate_secret(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: RotateSecret = parse(call.body)?;
        let function = request.rotation_lambda_arn.filter(|f| !f.is_empty());
        let mut checks = Checks::default();
        checks.length("rotationLambdaARN", function.as_deref(), 0..=2048);
        check_rules(&mut checks, request.rotation_rules.as_ref());
        checks.finish()?;
        let Some(token) = request.client_request_token.as_deref() else {
            // Of this operation alone the code is this one (aws.md section 1).
            return Err(input::no_token(Code::InvalidParameterException));
        };
        let token = input::token(Some(token))?;
        if request.external_secret_rotation_metadata.is_some()
            || request.external_secret_rotation_role_arn.is_some()
        {
            return Err(super::put::no_external());
        }
        let rules = request.rotation_rules;
        if let Some(rules) = &rules {
            Schedule::parse(rules)
                .map_err(|e| Fault::new(Code::InvalidParameterException, e.to_string()))?;
        }
        let steps = match request.rotate_immediately {
            Some(false) => RotationSteps::Test,
            Some(true) | None => RotationSteps::All,
        };
        let found = self.find(call, request.secret_id.as_deref())?;
        let begun = self.change_live(&found, call, |_, record| {
            let kept = record.details.rotation.as_ref().or(found.rotation());
            let kept = kept.cloned().unwrap_or_default();
            let function = function.or_else(|| kept.function.clone());
            if function.is_none() && found.owning_service().is_none() {
                return Err(no_function());
            }
            let job = |token: &VersionId, steps| RotationJob {
                secret: record.name.clone(),
                arn: found.arn.clone(),
                function: function.clone(),
                token: token.clone(),
                steps,
            };
            if let Some(pending) = unfinished(record)
                && *pending != token
            {
                return Ok(Begun::Blocked(job(pending, RotationSteps::All)));
            }
            if !self.rotator.serves(function.as_deref()) {
                return Err(Fault::new(
                    Code::AccessDeniedException,
                    "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.",
                ));
            }
            let known = record.state.versions.get(&token).map(|v| v.content);
            let job = match known {
                // The same call again, after its rotation was done.
                Some(Content::Value { .. } | Content::Unread) => None,
                Some(Content::Placeholder) | None => Some(job(&token, steps)),
            };
            let mut rotation = Rotation {
                enabled: true,
                function,
                ..kept
            };
            if let Some(rules) = &rules {
                let days = rules.automatically_after_days;
                rotation.after_days = days.and_then(|n| u16::try_from(n).ok());
                rotation.schedule.clone_from(&rules.schedule_expression);
                rotation.duration.clone_from(&rules.duration);
            }
            record.details.rotation = Some(rotation);
            if known.is_none() && steps == RotationSteps::All {
                add_placeholder(record, &token, call.stamp.now)?;
            }
            Ok(Begun::Started(job))
        })?;
        match begun {
            Begun::Blocked(job) => {
                // What the text says, where somebody can do it.
                if self.rotator.serves(job.function.as_deref()) {
                    self.rotator.start(job);
                }
                return Err(Fault::new(
                    Code::InvalidRequestException,
                    "A previous rotation isn't complete. That rotation will be reattempted.",
                ));
            }
            Begun::Started(Some(job)) => self.rotator.start(job),
            Begun::Started(None) => {}
        }
        found.rotated(Some(&token))
    }

    /// Turns the schedule off and keeps function and rules; AWSPENDING stays where it
    /// is (aws.md section 4).
    pub(super) fn cancel_rotate_secret(&self, call: &Call<'_>) -> Result<Reply, Fault> {
        let request: CancelRotateSecret = parse(call.body)?;
        let found = self.find(call, request.secret_id.as_deref())?;
        let unfinished = self.change_live(&found, call, |_, record| {
            let pending = unfinished(record).cloned();
            let kept = record.details.rotation.as_ref().or(found.rotation());
            // AWS's words for this operation are not known.
            let mut rotation = kept.cloned().ok_or_else(no_function)?;
            rotation.enabled = false;
            record.details.rotation = Some(rotation);
            Ok(pending)
        })?;
        found.rotated(unfinished.as_ref())
    }
}

/// What became of a RotateSecret.
enum Begun {
    /// An earlier one is not finished; it can be tried again.
    Blocked(RotationJob),
    /// Written; to be carried out, unless that is done.
    Started(Option<RotationJob>),
}

impl Found {
    /// The dates that follow from the rules; none before rotation was set up.
    pub(super) fn rotation_dates(&self) -> Option<Dates> {
        let record = &self.record;
        let rotation = self.rotation()?;
        let schedule = schedule_of(rotation);
        // A value put by hand counts as a rotation (aws.md section 7).
        let current = record.state.current();
        let current = current.and_then(|id| record.state.versions.get(id)?.created);
        let last = rotation.rotated.max(current);
        let last = last.unwrap_or_else(|| self.created());
        if record.details.rotation.is_none() {
            // The remote's own: its dates are as AWS shows them.
            return Some(Dates {
                days: rotation.after_days.map(i64::from),
                next: self.facts.as_ref().and_then(|f| f.next_rotation),
            });
        }
        let on = schedule.as_ref().filter(|_| rotation.enabled);
        Some(Dates {
            days: schedule.as_ref().and_then(|s| s.days(last)),
            next: on.and_then(|s| s.next(last)),
        })
    }

    fn rotated(&self, version: Option<&VersionId>) -> Result<Reply, Fault> {
        let answer = Rotated {
            arn: &self.arn,
            name: self.name.as_str(),
            version_id: version.map(VersionId::as_str),
        };
        Ok(json(&answer, 1024)?.about(self.record.name.clone()))
    }
}

/// Notes that a rotation succeeded, if moving AWSCURRENT to a version is the end of
/// one: it bears AWSPENDING and rotation is on (aws.md section 7, finishSecret).
pub(super) fn note_success(record: &mut Record, current: &VersionId, now: Timestamp) {
    let pending = record.state.labels.get(&StagingLabel::pending());
    if pending == Some(current)
        && let Some(rotation) = &mut record.details.rotation
        && rotation.enabled
    {
        rotation.rotated = Some(now);
    }
}

fn schedule_of(rotation: &Rotation) -> Option<Schedule> {
    Schedule::parse(&RulesInput {
        automatically_after_days: rotation.after_days.map(i64::from),
        duration: rotation.duration.clone(),
        schedule_expression: rotation.schedule.clone(),
    })
    .ok()
}

/// The version of a rotation under way: AWSPENDING elsewhere than AWSCURRENT.
fn unfinished(record: &Record) -> Option<&VersionId> {
    let pending = record.state.labels.get(&StagingLabel::pending())?;
    (record.state.current() != Some(pending)).then_some(pending)
}

/// The version that a rotation is to fill: AWSPENDING, and no value yet.
fn add_placeholder(record: &mut Record, id: &VersionId, now: Timestamp) -> Result<(), Fault> {
    let meta = VersionMeta {
        created: Some(now),
        content: Content::Placeholder,
        parent: record.state.current().cloned(),
        origin: Origin::Local,
    };
    let change = Change::AddVersion {
        id: id.clone(),
        meta,
        labels: vec![StagingLabel::pending()],
    };
    apply(record, &change)
}

/// The constraints of AWS's model; what the members mean is [`Schedule`]'s.
fn check_rules(checks: &mut Checks, rules: Option<&RulesInput>) {
    let Some(rules) = rules else { return };
    let days = rules.automatically_after_days;
    checks.range("rotationRules.automaticallyAfterDays", days, 1..=1000);
    let duration = rules.duration.as_deref();
    checks.length("rotationRules.duration", duration, 2..=3);
    let schedule = rules.schedule_expression.as_deref();
    checks.length("rotationRules.scheduleExpression", schedule, 1..=256);
}

fn no_function() -> Fault {
    Fault::new(
        Code::InvalidRequestException,
        "No Lambda rotation function ARN is associated with this secret.",
    )
}

#[cfg(test)]
mod tests;
