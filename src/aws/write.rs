//! Changes, each by the one call that AWS guards best (sync.md section 1.14).
//!
//! No PutSecretValue here moves AWSCURRENT, no UpdateSecret carries a value, and no
//! call that makes a version goes without its token.

use aws_smithy_types::Blob;

use super::AwsStore;
use super::convert;
use super::error::{Failure, Kind};
use super::quota::Operation;
use crate::model::{
    Attributes, Change, Escaped, Invalid, Kind as ValueKind, Lifecycle, RemoteSecret, SecretName,
    SecretValue, StagingLabel, Timestamp, VersionId,
};
use crate::store::StoreError;

impl AwsStore {
    pub(super) async fn carry_out(
        &self,
        name: &SecretName,
        change: &Change,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        match change {
            Change::Create {
                attributes,
                version,
            } => {
                let id = version.as_ref().map(|(id, _)| id);
                self.create(name, attributes, None, id, value).await
            }
            Change::AddVersion { id, labels, .. } => self.put(name, id, labels, value).await,
            Change::MoveLabel { label, from, to } => {
                self.move_label(name, label, from.as_ref(), to.as_ref())
                    .await
            }
            Change::SetAttributes { from, to } => self.set_attributes(name, from, to).await,
            Change::SetOwn { field, to, .. } => self.set_own(name, *field, to).await,
            Change::Delete { date } => self.delete(name, *date).await,
            Change::Restore => self.restore(name).await,
            Change::Reschedule { .. } | Change::Tombstone | Change::Archive { .. } => {
                Err(refuse("none", "NotARemoteChange", "a vault's own change"))
            }
        }
    }

    pub(super) async fn create(
        &self,
        name: &SecretName,
        attributes: &Attributes,
        kms_key: Option<&str>,
        id: Option<&VersionId>,
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let operation = Operation::CreateSecret;
        if id.is_some() != value.is_some() {
            return Err(refuse(
                operation.name(),
                "VersionWithoutValue",
                "a version needs a value, and a value a version",
            ));
        }
        not_empty(operation, value)?;
        let remote = self.remote_name(name, operation)?;
        let token = id.map_or_else(
            || convert::fixed_token(&[operation.name(), remote.as_str()]),
            |id| id.as_str().to_owned(),
        );
        let tags: Vec<_> = attributes
            .tags
            .iter()
            .map(|(key, value)| convert::tag(key, value))
            .collect();
        let answer = self
            .caller
            .call(operation, |client| {
                let (string, binary) = payload(value);
                client
                    .create_secret()
                    .name(remote.as_str())
                    .client_request_token(&token)
                    .set_secret_string(string)
                    .set_secret_binary(binary)
                    .set_description(attributes.description.clone())
                    .set_kms_key_id(kms_key.map(str::to_owned))
                    .set_tags((!tags.is_empty()).then(|| tags.clone()))
                    .send()
            })
            .await;
        match answer {
            Ok(answer) => {
                self.guard
                    .check(answer.arn.as_deref().unwrap_or_default())?;
                match id {
                    Some(id) => made(operation, id, answer.version_id.as_deref()),
                    None => Ok(()),
                }
            }
            Err(failure) if matches!(failure.kind, Kind::Exists | Kind::Request) => {
                match self.look_up(name).await? {
                    Some(there) if there.state.lifecycle.is_scheduled() => {
                        Err(StoreError::Changed(Invalid::Scheduled))
                    }
                    // Made by an earlier attempt whose answer was lost: AWS knows a
                    // token again only by the version it made.
                    Some(there) if id.is_none() && is_bare(&there, attributes) => Ok(()),
                    Some(_) => Err(StoreError::Changed(Invalid::Exists)),
                    None => Err(without_value(failure, value).into_error()),
                }
            }
            Err(failure) => Err(without_value(failure, value).into_error()),
        }
    }

    async fn put(
        &self,
        name: &SecretName,
        id: &VersionId,
        labels: &[StagingLabel],
        value: Option<&SecretValue>,
    ) -> Result<(), StoreError> {
        let operation = Operation::PutSecretValue;
        // K2 of sync.md section 1.2: a put cannot compare, so it must not move what a
        // reader gets. Without labels AWS would move AWSCURRENT.
        if labels.is_empty() || labels.iter().any(StagingLabel::is_current) {
            return Err(refuse(
                operation.name(),
                "UnconditionalPut",
                "AWSCURRENT moves by compare-and-swap only",
            ));
        }
        only_remote(operation, labels)?;
        let Some(value) = value else {
            return Err(refuse(operation.name(), "VersionWithoutValue", ""));
        };
        let remote = self.remote_name(name, operation)?;
        not_empty(operation, Some(value))?;
        let words: Vec<String> = labels.iter().map(|l| l.as_str().to_owned()).collect();
        let answer = self
            .caller
            .call(operation, |client| {
                let (string, binary) = payload(Some(value));
                client
                    .put_secret_value()
                    .secret_id(remote.as_str())
                    .client_request_token(id.as_str())
                    .set_secret_string(string)
                    .set_secret_binary(binary)
                    .set_version_stages(Some(words.clone()))
                    .send()
            })
            .await;
        match answer {
            Ok(answer) => {
                self.guard
                    .check(answer.arn.as_deref().unwrap_or_default())?;
                made(operation, id, answer.version_id.as_deref())
            }
            Err(failure) if failure.kind == Kind::Exists => {
                Err(StoreError::VersionMismatch(id.clone()))
            }
            Err(failure) => Err(self
                .refused(name, without_value(failure, Some(value)))
                .await),
        }
    }

    async fn move_label(
        &self,
        name: &SecretName,
        label: &StagingLabel,
        from: Option<&VersionId>,
        to: Option<&VersionId>,
    ) -> Result<(), StoreError> {
        let operation = Operation::UpdateSecretVersionStage;
        if from.is_none() && to.is_none() {
            return Err(StoreError::Changed(Invalid::Nothing));
        }
        if label.is_current() && to.is_none() {
            return Err(StoreError::Changed(Invalid::CurrentMustStay));
        }
        only_remote(operation, std::slice::from_ref(label))?;
        let remote = self.remote_name(name, operation)?;
        // AWS refuses to add a label that sits elsewhere, but not every endpoint does,
        // and a label on two versions cannot be mended from here. The same look tells
        // a move that is none.
        if from.is_none() || from == to {
            let there = self.look_up(name).await?.ok_or(StoreError::NotFound)?;
            let holder = there.state.labels.get(label);
            if holder == to && there.state.lifecycle.is_live() {
                return Ok(());
            }
            if holder != from {
                return Err(moved(&there, label, from));
            }
        }
        let answer = self
            .caller
            .call(operation, |client| {
                client
                    .update_secret_version_stage()
                    .secret_id(remote.as_str())
                    .version_stage(label.as_str())
                    .set_remove_from_version_id(from.map(|id| id.as_str().to_owned()))
                    .set_move_to_version_id(to.map(|id| id.as_str().to_owned()))
                    .send()
            })
            .await;
        let failure = match answer {
            Ok(answer) => return self.guard.check(answer.arn.as_deref().unwrap_or_default()),
            Err(failure) => failure,
        };
        if !matches!(
            failure.kind,
            Kind::Parameter | Kind::Request | Kind::NotFound
        ) {
            return Err(failure.into_error());
        }
        // Refused, or done by an attempt whose answer was lost.
        let there = self.look_up(name).await?.ok_or(StoreError::NotFound)?;
        let holder = there.state.labels.get(label);
        if there.state.lifecycle.is_live() && holder == to {
            return Ok(());
        }
        if there.state.lifecycle.is_scheduled() || holder != from {
            return Err(moved(&there, label, from));
        }
        match to {
            // The label is where it should be, so it is the target that is missing.
            Some(to) if failure.kind == Kind::NotFound => {
                Err(StoreError::Changed(Invalid::NoVersion(to.clone())))
            }
            _ => Err(failure.into_error()),
        }
    }

    async fn delete(&self, name: &SecretName, date: Option<Timestamp>) -> Result<(), StoreError> {
        let operation = Operation::DeleteSecret;
        let remote = self.remote_name(name, operation)?;
        let window = convert::window(date, self.now);
        let answer = self
            .caller
            .call(operation, |client| {
                client
                    .delete_secret()
                    .secret_id(remote.as_str())
                    .recovery_window_in_days(window)
                    .send()
            })
            .await;
        match answer {
            Ok(answer) => self.guard.check(answer.arn.as_deref().unwrap_or_default()),
            Err(failure) if failure.kind == Kind::Request => {
                self.done_if(name, failure, Lifecycle::is_scheduled).await
            }
            Err(failure) => Err(failure.into_error()),
        }
    }

    async fn restore(&self, name: &SecretName) -> Result<(), StoreError> {
        let operation = Operation::RestoreSecret;
        let remote = self.remote_name(name, operation)?;
        let answer = self
            .caller
            .call(operation, |client| {
                client.restore_secret().secret_id(remote.as_str()).send()
            })
            .await;
        match answer {
            Ok(answer) => self.guard.check(answer.arn.as_deref().unwrap_or_default()),
            Err(failure) if matches!(failure.kind, Kind::Request | Kind::Parameter) => {
                self.done_if(name, failure, Lifecycle::is_live).await
            }
            Err(failure) => Err(failure.into_error()),
        }
    }

    /// A refused call is done where the secret already is as it should become.
    async fn done_if(
        &self,
        name: &SecretName,
        failure: Failure,
        reached: impl Fn(Lifecycle) -> bool,
    ) -> Result<(), StoreError> {
        match self.look_up(name).await? {
            None => Err(StoreError::NotFound),
            Some(there) if reached(there.state.lifecycle) => Ok(()),
            Some(_) => Err(failure.into_error()),
        }
    }
}

/// The SDK's form of a value. It takes ownership, so this is a copy, and the SDK does
/// not wipe it; nor the serialised request.
fn payload(value: Option<&SecretValue>) -> (Option<String>, Option<Blob>) {
    let Some(value) = value else {
        return (None, None);
    };
    match value.kind() {
        ValueKind::String => (
            // A string value is UTF-8 by its making.
            Some(String::from_utf8_lossy(value.expose_secret()).into_owned()),
            None,
        ),
        ValueKind::Binary => (None, Some(Blob::new(value.expose_secret()))),
    }
}

/// Drops a message that quotes the value back; AWS never does (aws.md section 1), but
/// other endpoints are not bound to that.
fn without_value(mut failure: Failure, value: Option<&SecretValue>) -> Failure {
    let quoted = value.is_some_and(|value| {
        let bytes = value.expose_secret();
        let shown = Escaped(&String::from_utf8_lossy(bytes)).to_string();
        !bytes.is_empty() && failure.detail.contains(&shown)
    });
    if quoted {
        failure.detail.clear();
    }
    failure
}

/// Whether a secret is just as a create without a value leaves it.
fn is_bare(there: &RemoteSecret, attributes: &Attributes) -> bool {
    let described = attributes.description.as_deref().filter(|d| !d.is_empty());
    there.state.versions.is_empty()
        && there.state.attributes.description.as_deref() == described
        && there.state.attributes.tags == attributes.tags
}

/// The label is not where it should be, or the secret is on its way out.
fn moved(there: &RemoteSecret, label: &StagingLabel, from: Option<&VersionId>) -> StoreError {
    StoreError::Changed(if there.state.lifecycle.is_scheduled() {
        Invalid::Scheduled
    } else {
        Invalid::Changed {
            label: label.clone(),
            expected: from.cloned(),
            found: there.state.labels.get(label).cloned(),
        }
    })
}

/// The answer must name the version that the token asked for.
fn made(operation: Operation, id: &VersionId, answered: Option<&str>) -> Result<(), StoreError> {
    match answered {
        Some(text) if text == id.as_str() => Ok(()),
        other => Err(StoreError::Corrupt(format!(
            "{} of version {id} answered with {}",
            operation.name(),
            Escaped(other.unwrap_or("no version"))
        ))),
    }
}

/// AWS takes no empty value (aws.md section 4). An endpoint that does may make a secret
/// without any version of it, so it is not even asked.
fn not_empty(operation: Operation, value: Option<&SecretValue>) -> Result<(), StoreError> {
    if value.is_some_and(SecretValue::is_empty) {
        return Err(refuse(
            operation.name(),
            "EmptyValue",
            "AWS takes values of 1 to 65536 bytes",
        ));
    }
    Ok(())
}

/// Labels that mark lost versions live in the vault alone.
fn only_remote(operation: Operation, labels: &[StagingLabel]) -> Result<(), StoreError> {
    match labels.iter().find(|label| label.is_local()) {
        Some(label) => Err(refuse(
            operation.name(),
            "LocalLabel",
            &format!("{label} is never pushed"),
        )),
        None => Ok(()),
    }
}

/// Refuses before any call: the engine asked for what it never may.
fn refuse(operation: &'static str, code: &str, detail: &str) -> StoreError {
    StoreError::Refused {
        operation,
        code: code.to_owned(),
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_text_that_quotes_the_value_is_dropped() {
        let value = SecretValue::string(b"hunter2".to_vec()).unwrap();
        let failure = |text: &str| {
            Failure::new(
                Operation::PutSecretValue,
                Kind::Other,
                "ValidationException",
                text,
            )
        };
        let kept = without_value(failure("too long"), Some(&value));
        assert_eq!(kept.detail, "too long");
        let dropped = without_value(failure("bad value hunter2 given"), Some(&value));
        assert_eq!(dropped.detail, "");
        let empty = SecretValue::string(Vec::new()).unwrap();
        assert_eq!(without_value(failure("x"), Some(&empty)).detail, "x");
    }

    #[test]
    fn a_payload_is_of_the_values_kind() {
        let string = SecretValue::string("é".as_bytes().to_vec()).unwrap();
        assert_eq!(payload(Some(&string)), (Some("é".to_owned()), None));
        let binary = SecretValue::binary(vec![0, 255]).unwrap();
        assert_eq!(payload(Some(&binary)), (None, Some(Blob::new([0, 255]))));
    }

    #[test]
    fn an_answer_must_name_the_version_asked_for() {
        let id: VersionId = "0".repeat(32).parse().unwrap();
        assert_eq!(
            made(Operation::PutSecretValue, &id, Some(id.as_str())),
            Ok(())
        );
        for answered in [None, Some("other")] {
            assert!(matches!(
                made(Operation::PutSecretValue, &id, answered),
                Err(StoreError::Corrupt(_))
            ));
        }
    }
}
