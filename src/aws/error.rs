//! What the SDK reports, told apart by code.
//!
//! Error texts are for people only: they differ between AWS and its emulators, and
//! so do the HTTP statuses (aws.md sections 1 and 13).

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::itself::Itself;
use super::quota::Operation;
use crate::model::Escaped;
use crate::store::StoreError;

/// A call that did not succeed, before anyone has asked what it means for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) operation: Operation,
    pub(super) kind: Kind,
    /// AWS's error code, or a word of ours where none came.
    pub(super) code: String,
    /// What was said with it, escaped.
    pub(super) detail: String,
}

/// What a failed call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// ResourceNotFoundException.
    NotFound,
    /// ResourceExistsException.
    Exists,
    /// InvalidRequestException: mostly that the secret is scheduled for deletion.
    Request,
    /// InvalidParameterException: of a label move, that the label is elsewhere.
    Parameter,
    /// No permission.
    Denied,
    /// Credentials that were good once.
    Expired,
    /// Credentials that are not good, or none.
    Credentials,
    /// Too fast.
    Throttled,
    /// AWS's own fault.
    Fault,
    /// No answer.
    Unreachable,
    /// An answer that cannot be read.
    Garbled,
    /// A strongroom endpoint in place of AWS.
    Itself,
    /// Anything else.
    Other,
}

impl Kind {
    /// Reads an error code; `None` for a code this engine has no rule for.
    fn of_code(code: &str) -> Option<Self> {
        Some(match code {
            "ResourceNotFoundException" => Self::NotFound,
            "ResourceExistsException" => Self::Exists,
            "InvalidRequestException" => Self::Request,
            "InvalidParameterException" => Self::Parameter,
            "UnauthorizedOperation" | "NotAuthorized" | "OptInRequired" => Self::Denied,
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "InvalidToken"
            | "AuthFailure"
            | "SignatureDoesNotMatch"
            | "RequestTimeTooSkewed" => Self::Credentials,
            "RequestExpired" => Self::Expired,
            "TooManyRequestsException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "RequestLimitExceeded"
            | "SlowDown" => Self::Throttled,
            "InternalServiceError"
            | "InternalFailure"
            | "InternalServerError"
            | "ServiceUnavailable"
            | "ServiceUnavailableException"
            | "RequestTimeout"
            | "RequestTimeoutException" => Self::Fault,
            _ if code.starts_with("AccessDenied") => Self::Denied,
            _ if code.starts_with("ExpiredToken") => Self::Expired,
            _ if code.starts_with("Throttl") => Self::Throttled,
            _ if code.starts_with("InvalidSignature")
                || code.starts_with("IncompleteSignature")
                || code.starts_with("MissingAuthenticationToken") =>
            {
                Self::Credentials
            }
            _ => return None,
        })
    }

    /// Reads the status of an answer without a code.
    fn of_silent(status: u16) -> Self {
        match Self::of("", status) {
            Self::Other if status < 400 => Self::Garbled,
            kind => kind,
        }
    }

    /// The same with the HTTP status, which counts only where the code says nothing.
    pub(super) fn of(code: &str, status: u16) -> Self {
        Self::of_code(code).unwrap_or(match status {
            429 => Self::Throttled,
            500.. => Self::Fault,
            _ => Self::Other,
        })
    }
}

impl Failure {
    pub(super) fn of_sdk<E>(operation: Operation, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let new = |kind, code: &str, detail: &str| Self::new(operation, kind, code, detail);
        if find::<Itself>(error).is_some() {
            return new(Kind::Itself, "Loop", "");
        }
        match error {
            SdkError::ServiceError(context) => {
                let status = context.raw().status().as_u16();
                match context.err().code() {
                    Some(code) => new(
                        Kind::of(code, status),
                        code,
                        context.err().message().unwrap_or_default(),
                    ),
                    None => new(Kind::of_silent(status), &format!("HTTP {status}"), ""),
                }
            }
            SdkError::ResponseError(context) => {
                let status = context.raw().status().as_u16();
                let kind = Kind::of_silent(status);
                new(kind, &format!("HTTP {status}"), &root(error))
            }
            SdkError::TimeoutError(_) => new(Kind::Unreachable, "Timeout", "no answer in time"),
            SdkError::DispatchFailure(failure) if find::<CredentialsError>(error).is_none() => {
                let kind = if failure.is_user() {
                    Kind::Other
                } else {
                    Kind::Unreachable
                };
                new(kind, "NotSent", &root(error))
            }
            // No credentials; but it may be STS or the like that gives no answer.
            other if find::<CredentialsError>(other).is_some() => {
                let link = causes(other)
                    .skip_while(|e| !e.is::<CredentialsError>())
                    .find_map(|e| e.downcast_ref::<ConnectorError>())
                    .is_some_and(|e| !e.is_user());
                if link {
                    new(Kind::Unreachable, "NoConnection", &root(other))
                } else {
                    new(Kind::Credentials, "NoCredentials", &root(other))
                }
            }
            other => new(Kind::Other, "NotSent", &root(other)),
        }
    }

    /// One item's error out of an answer that is well otherwise.
    pub(super) fn of_item(operation: Operation, code: &str, message: &str) -> Self {
        Self::new(operation, Kind::of(code, 400), code, message)
    }

    pub(super) fn new(operation: Operation, kind: Kind, code: &str, detail: &str) -> Self {
        // A stranger's text: bounded, and unable to steer a terminal.
        let short: String = detail.chars().take(400).collect();
        Self {
            operation,
            kind,
            code: Escaped(code).to_string(),
            detail: Escaped(&short).to_string(),
        }
    }

    /// What a failed call means where the change itself says nothing more special.
    pub(super) fn into_error(self) -> StoreError {
        let operation = self.operation.name();
        match self.kind {
            Kind::NotFound => StoreError::NotFound,
            Kind::Denied => StoreError::Denied {
                operation,
                code: self.code,
            },
            Kind::Credentials | Kind::Expired => StoreError::Credentials {
                code: if self.detail.is_empty() {
                    self.code
                } else {
                    format!("{} ({})", self.code, self.detail)
                },
            },
            Kind::Itself => StoreError::Itself,
            Kind::Throttled => StoreError::Throttled { operation },
            Kind::Unreachable => StoreError::Unreachable {
                detail: self.detail,
            },
            // Something on the way answered for a service that is not there.
            Kind::Fault if self.code.starts_with("HTTP ") || self.code.starts_with("ServiceUn") => {
                StoreError::Unreachable { detail: self.code }
            }
            Kind::Garbled => StoreError::Corrupt(format!(
                "{operation} answered {} with a body that is not Secrets Manager's",
                self.code
            )),
            Kind::Exists | Kind::Request | Kind::Parameter | Kind::Fault | Kind::Other => {
                StoreError::Refused {
                    operation,
                    code: self.code,
                    detail: self.detail,
                }
            }
        }
    }
}

/// The first cause of a given type.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    causes(error).find_map(|e| e.downcast_ref::<T>())
}

/// The text of the last cause: the one that names the host or the file.
fn root(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_1_errors_are_told_apart_by_code_whatever_the_status() {
        for (code, status, kind) in [
            ("ResourceNotFoundException", 400, Kind::NotFound),
            // moto
            ("ResourceNotFoundException", 404, Kind::NotFound),
            ("ResourceExistsException", 400, Kind::Exists),
            ("InvalidRequestException", 400, Kind::Request),
            ("InvalidParameterException", 400, Kind::Parameter),
            ("AccessDeniedException", 400, Kind::Denied),
            ("AccessDenied", 403, Kind::Denied),
            ("ExpiredTokenException", 400, Kind::Expired),
            ("ExpiredToken", 403, Kind::Expired),
            ("UnrecognizedClientException", 400, Kind::Credentials),
            ("InvalidClientTokenId", 403, Kind::Credentials),
            ("InvalidSignatureException", 400, Kind::Credentials),
            ("IncompleteSignatureException", 403, Kind::Credentials),
            ("ThrottlingException", 400, Kind::Throttled),
            ("Throttling", 400, Kind::Throttled),
            ("TooManyRequestsException", 429, Kind::Throttled),
            ("InternalServiceError", 500, Kind::Fault),
            ("ServiceUnavailable", 503, Kind::Fault),
            ("ValidationException", 400, Kind::Other),
            ("LimitExceededException", 400, Kind::Other),
            ("DecryptionFailure", 400, Kind::Other),
            ("", 429, Kind::Throttled),
            ("", 502, Kind::Fault),
            ("", 403, Kind::Other),
        ] {
            assert_eq!(Kind::of(code, status), kind, "{code} {status}");
        }
    }

    #[test]
    fn a_failure_becomes_the_stores_error() {
        let error = |kind| {
            Failure::new(Operation::PutSecretValue, kind, "Code", "text\u{1b}[2J").into_error()
        };
        assert_eq!(error(Kind::NotFound), StoreError::NotFound);
        assert_eq!(
            error(Kind::Throttled),
            StoreError::Throttled {
                operation: "PutSecretValue"
            }
        );
        assert!(error(Kind::Unreachable).is_fatal());
        assert!(error(Kind::Expired).is_fatal());
        assert!(!error(Kind::Denied).is_fatal());
        assert_eq!(
            error(Kind::Other),
            StoreError::Refused {
                operation: "PutSecretValue",
                code: "Code".into(),
                detail: "text\\u{1b}[2J".into()
            }
        );
    }
}
