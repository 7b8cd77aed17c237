//! How AWS words a refusal (aws.md section 1, "Exact texts").

use super::calls::Call;
use crate::model::{Invalid, SecretName};
use crate::store::StoreError;

/// What the service would have answered in place of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error code.
    pub code: String,
    /// The message.
    pub text: String,
}

const NO_SECRET: &str = "Secrets Manager can't find the specified secret.";
const MARKED: &str =
    "You can't perform this operation on the secret because it was marked for deletion.";
const TWICE: &str =
    "You can't perform this operation on the secret because it was already scheduled for deletion.";
const NAME_SCHEDULED: &str = "You can't create this secret because a secret with this name is already scheduled for deletion.";

/// Words the error of one call on one secret.
pub(super) fn refusal(
    call: Call,
    name: Option<&SecretName>,
    arn: &str,
    error: &StoreError,
) -> Refusal {
    let say = |code: &str, text: String| Refusal {
        code: code.to_owned(),
        text,
    };
    let no_version = |id: &dyn std::fmt::Display| {
        format!("Secrets Manager can't find the specified secret value for VersionId: {id}")
    };
    match error {
        StoreError::NotFound => say("ResourceNotFoundException", NO_SECRET.to_owned()),
        StoreError::NoValue(id) => say("ResourceNotFoundException", no_version(id)),
        StoreError::VersionMismatch(id) => say(
            "ResourceExistsException",
            format!(
                "You can't use ClientRequestToken {id} because that value is already in use for a version of secret {arn}."
            ),
        ),
        StoreError::Changed(why) => match why {
            Invalid::NoSecret | Invalid::Deleted => {
                say("ResourceNotFoundException", NO_SECRET.to_owned())
            }
            Invalid::Exists => {
                let name = name.map(SecretName::as_str).unwrap_or_default();
                say(
                    "ResourceExistsException",
                    format!("The operation failed because the secret {name} already exists."),
                )
            }
            Invalid::Scheduled => say(
                "InvalidRequestException",
                match call {
                    Call::Create => NAME_SCHEDULED,
                    Call::Delete => TWICE,
                    _ => MARKED,
                }
                .to_owned(),
            ),
            Invalid::Changed {
                label,
                expected: None,
                found: Some(found),
            } => say(
                "InvalidParameterException",
                format!(
                    "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version {found}, so you must explicitly reference that version in RemoveFromVersionId."
                ),
            ),
            Invalid::NoVersion(id) | Invalid::NoValue(id) => {
                say("ResourceNotFoundException", no_version(id))
            }
            Invalid::TooManyLabels => say("LimitExceededException", why.to_string()),
            Invalid::VersionExists(_) => say("ResourceExistsException", why.to_string()),
            // The codes are AWS's; the texts are nobody's record (aws.md section 15).
            Invalid::Changed { .. }
            | Invalid::AttributesChanged
            | Invalid::CurrentMustStay
            | Invalid::Nothing => say("InvalidParameterException", why.to_string()),
        },
        StoreError::Denied { code, .. } | StoreError::Credentials { code } => {
            say(code, String::new())
        }
        StoreError::Throttled { .. } => say("ThrottlingException", "Rate exceeded".to_owned()),
        StoreError::Refused { code, detail, .. } => say(code, detail.clone()),
        StoreError::Unreachable { .. }
        | StoreError::WrongAccount { .. }
        | StoreError::Itself
        | StoreError::Corrupt(_) => say("", error.to_string()),
    }
}
