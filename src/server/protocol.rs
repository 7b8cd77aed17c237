//! What passes between a front door and whoever answers: a call, a reply, a fault.

use serde_json::json;
use zeroize::Zeroizing;

use crate::model::{SecretName, Stamp, Timestamp};

/// Who asks, as the front door has found out and verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The access key id of the signature; for the access log.
    pub access_key: String,
    /// The account the key stands for, 12 digits. `None` is a key for the whole
    /// vault: it sees every secret by the vault's own name.
    pub account: Option<String>,
    /// The Region of the signature's credential scope (aws.md section 1).
    pub region: String,
    /// What the key may do.
    pub grant: Grant,
}

/// What one access key may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// Whether every operation that changes something is refused.
    pub read_only: bool,
    /// The secrets the key may see: names, or prefixes that end in `/` or `*`, in the
    /// vault's names. Empty means all.
    pub only: Vec<String>,
}

impl Grant {
    /// Whether a secret, by the vault's name, is within the grant.
    pub fn covers(&self, name: &SecretName) -> bool {
        let name = name.as_str();
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None if pattern.ends_with('/') => name.starts_with(pattern.as_str()),
            None => name == pattern,
        };
        self.only.is_empty() || self.only.iter().any(fits)
    }
}

/// One request, its signature verified.
pub struct Call<'a> {
    /// The operation's name, such as `GetSecretValue`: `X-Amz-Target` without its
    /// `secretsmanager.`.
    pub operation: &'a str,
    /// The body as it came; it may hold values.
    pub body: &'a [u8],
    /// Who asks.
    pub caller: &'a Caller,
    /// Now, and a fresh id.
    pub stamp: &'a Stamp,
}

/// What goes back. The body may hold a value, so there is no `Debug`.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body; empty for operations without output (aws.md section 1).
    pub body: Zeroizing<Vec<u8>>,
    /// The error's code, for the access log.
    pub code: Option<&'static str>,
    /// The secret that was asked for, by the vault's name, where there is one; for
    /// the access log.
    pub secret: Option<SecretName>,
    /// How fresh the values in it are; `None` where there are none, or none that a
    /// remote has.
    pub standing: Option<Standing>,
}

/// How fresh a value is: said in the headers of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// When its secret was last verified to be what the remotes have, if it ever was.
    pub verified: Option<Timestamp>,
    /// Whether that is longer ago than the vault's rules allow.
    pub is_stale: bool,
}

impl Standing {
    /// The header that says when; absent where it never was.
    pub const VERIFIED: &str = "x-strongroom-verified";
    /// The header that is `true` where it is stale, and absent otherwise.
    pub const STALE: &str = "x-strongroom-stale";

    /// What holds for several values in one answer: the oldest, and whether any is stale.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            verified: self.verified.min(other.verified),
            is_stale: self.is_stale || other.is_stale,
        }
    }

    /// The headers to send, with their values.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let verified = self.verified.map(|at| (Self::VERIFIED, at.to_string()));
        let stale = self.is_stale.then(|| (Self::STALE, "true".to_owned()));
        verified.into_iter().chain(stale)
    }
}

impl Reply {
    /// A success with this JSON body.
    pub fn json(body: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self {
            status: 200,
            body: body.into(),
            code: None,
            secret: None,
            standing: None,
        }
    }

    /// The same, with the secret it is about, by the vault's name, for the access log.
    #[must_use]
    pub fn about(self, secret: impl Into<Option<SecretName>>) -> Self {
        Self {
            secret: secret.into(),
            ..self
        }
    }

    /// A success without a body.
    pub fn empty() -> Self {
        Self::json(Vec::new())
    }
}

impl From<&Fault> for Reply {
    fn from(fault: &Fault) -> Self {
        Self {
            status: fault.code.status(),
            body: fault.body().into(),
            code: Some(fault.code.as_str()),
            secret: None,
            standing: None,
        }
    }
}

/// Whoever can answer calls: the service, or a test's double.
pub trait Answer: Send + Sync {
    /// Answers one call. It may read and write files, so a front door calls it where
    /// blocking is allowed.
    fn answer(&self, call: &Call<'_>) -> Reply;
}

/// AWS's error codes (aws.md section 1, errors). The second group is not modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "AWS's own names")]
pub enum Code {
    DecryptionFailure,
    EncryptionFailure,
    InternalServiceError,
    InvalidNextTokenException,
    InvalidParameterException,
    InvalidRequestException,
    LimitExceededException,
    MalformedPolicyDocumentException,
    PreconditionNotMetException,
    PublicPolicyException,
    ResourceExistsException,
    ResourceNotFoundException,

    AccessDeniedException,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    SerializationException,
    ThrottlingException,
    UnknownOperationException,
    UnrecognizedClientException,
    ValidationException,
}

impl Code {
    /// The code as AWS spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DecryptionFailure => "DecryptionFailure",
            Self::EncryptionFailure => "EncryptionFailure",
            Self::InternalServiceError => "InternalServiceError",
            Self::InvalidNextTokenException => "InvalidNextTokenException",
            Self::InvalidParameterException => "InvalidParameterException",
            Self::InvalidRequestException => "InvalidRequestException",
            Self::LimitExceededException => "LimitExceededException",
            Self::MalformedPolicyDocumentException => "MalformedPolicyDocumentException",
            Self::PreconditionNotMetException => "PreconditionNotMetException",
            Self::PublicPolicyException => "PublicPolicyException",
            Self::ResourceExistsException => "ResourceExistsException",
            Self::ResourceNotFoundException => "ResourceNotFoundException",
            Self::AccessDeniedException => "AccessDeniedException",
            Self::IncompleteSignatureException => "IncompleteSignatureException",
            Self::InvalidSignatureException => "InvalidSignatureException",
            Self::MissingAuthenticationTokenException => "MissingAuthenticationTokenException",
            Self::SerializationException => "SerializationException",
            Self::ThrottlingException => "ThrottlingException",
            Self::UnknownOperationException => "UnknownOperationException",
            Self::UnrecognizedClientException => "UnrecognizedClientException",
            Self::ValidationException => "ValidationException",
        }
    }

    /// The HTTP status: 400, "not found" included; 500 for the service's own fault,
    /// 403 for a request that its signature does not carry (aws.md section 1).
    pub const fn status(self) -> u16 {
        match self {
            Self::InternalServiceError => 500,
            Self::IncompleteSignatureException
            | Self::InvalidSignatureException
            | Self::MissingAuthenticationTokenException
            | Self::UnrecognizedClientException => 403,
            _ => 400,
        }
    }

    /// Whether the service's model knows it: those send `Message`, the front end's
    /// own send `message` (aws.md section 1).
    const fn is_modelled(self) -> bool {
        !matches!(
            self,
            Self::AccessDeniedException
                | Self::IncompleteSignatureException
                | Self::InvalidSignatureException
                | Self::MissingAuthenticationTokenException
                | Self::SerializationException
                | Self::ThrottlingException
                | Self::UnknownOperationException
                | Self::UnrecognizedClientException
                | Self::ValidationException
        )
    }
}

/// Why a call was refused, in AWS's words. No value is ever part of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .code.as_str())]
pub struct Fault {
    /// AWS's code.
    pub code: Code,
    /// AWS's text, where it is known; ours where it is not.
    pub message: String,
}

impl Fault {
    /// A fault with a text.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The JSON body: `__type` without a namespace, and the text (aws.md section 1).
    pub fn body(&self) -> Vec<u8> {
        let key = match self.code.is_modelled() {
            true => "Message",
            false => "message",
        };
        let (code, message) = (json!(self.code.as_str()), json!(self.message));
        format!(r#"{{"__type":{code},"{key}":{message}}}"#).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_1_service_exceptions_are_400_with_a_capital_message() {
        let fault = Fault::new(
            Code::ResourceNotFoundException,
            "Secrets Manager can't find the specified secret.",
        );
        let reply = Reply::from(&fault);
        assert_eq!(reply.status, 400);
        let text = std::str::from_utf8(&reply.body).unwrap();
        assert_eq!(
            text,
            r#"{"__type":"ResourceNotFoundException","Message":"Secrets Manager can't find the specified secret."}"#
        );
    }

    #[test]
    fn aws_1_the_front_ends_own_errors_have_a_small_message() {
        for code in [Code::ValidationException, Code::AccessDeniedException] {
            let body = String::from_utf8(Fault::new(code, "x").body()).unwrap();
            assert!(body.contains("\"message\":\"x\""), "{body}");
            assert_eq!(code.status(), 400);
        }
        assert_eq!(Code::InternalServiceError.status(), 500);
        assert_eq!(Code::InvalidSignatureException.status(), 403);
    }

    #[test]
    fn a_grant_is_names_and_prefixes() {
        let grant = |only: &[&str]| Grant {
            read_only: false,
            only: only.iter().map(|p| (*p).to_owned()).collect(),
        };
        let name = |t: &str| t.parse::<SecretName>().unwrap();
        assert!(grant(&[]).covers(&name("a")));
        let some = grant(&["prod/", "dev/db", "x-*"]);
        for (n, is) in [
            ("prod/db", true),
            ("prod", false),
            ("production", false),
            ("dev/db", true),
            ("dev/db2", false),
            ("x-1", true),
        ] {
            assert_eq!(some.covers(&name(n)), is, "{n}");
        }
    }
}
