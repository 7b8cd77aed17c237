//! The front door: AWS's own protocol, awsJson1_1 over HTTP/1.1 (aws.md section 1).
//!
//! A request is looked at from the outside in, and whatever is wrong ends it there:
//! the host it is for, the key it names, the age of its signature, its size, the
//! signature, the operation. Only then does anybody read what it asks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SERVER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::access::{self, AccessLog, Entry};
use super::hosts::Hosts;
use super::keys::Keys;
use super::limits::{BadBody, Limits};
use super::listener::{self, Answered, Desk, Stop, Visitor, wiped};
use super::tls::Tls;
use super::{Answer, Call, Caller, Clock, Code, Fault, Reply, Standing};
use crate::aws::signature::{Claim, Headers, SignatureError};
use crate::model::Stamp;

const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
/// By which one strongroom recognises another.
const NAME: HeaderValue = HeaderValue::from_static("strongroom");
/// Operations that read one secret from memory at best and one small file at worst:
/// they are answered where they are, since another thread costs more than they do.
const QUICK: [&str; 3] = ["GetSecretValue", "DescribeSecret", "GetRandomPassword"];

/// The front door's settings.
pub struct Door {
    /// Who answers.
    pub answer: Arc<dyn Answer>,
    /// The keys that are accepted.
    pub keys: Arc<Keys>,
    /// A way in without a key of ours, for `exec --keep-aws`.
    pub pass: Option<Pass>,
    /// The names it answers to.
    pub hosts: Hosts,
    /// Gives the moment and a fresh id for each request.
    pub clock: Clock,
    /// Where requests are written down.
    pub access: Option<Arc<AccessLog>>,
    /// How much it puts up with.
    pub limits: Limits,
}

/// A path that nobody can guess, in place of a signature that can be verified: whoever
/// signs with AWS's own keys has no secret in common with this endpoint.
pub struct Pass {
    /// The path's only segment.
    pub token: Zeroizing<String>,
    /// Who comes that way. The Region is that of the signature where there is one.
    pub caller: Caller,
}

/// Serves AWS's protocol on a socket until it is stopped.
pub async fn serve(listener: TcpListener, door: Arc<Door>, tls: Option<Tls>, stop: Stop) {
    let limits = door.limits;
    listener::serve(listener, door, limits, tls, stop).await;
}

/// Why a request goes no further, and whether its connection can still be used.
struct Refused {
    reply: Reply,
    hang_up: bool,
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self {
            reply: Reply::from(&fault),
            hang_up: false,
        }
    }
}

impl From<SignatureError> for Refused {
    fn from(error: SignatureError) -> Self {
        let code = match &error {
            SignatureError::Missing => Code::MissingAuthenticationTokenException,
            SignatureError::Incomplete(_) => Code::IncompleteSignatureException,
            SignatureError::Token => Code::UnrecognizedClientException,
            SignatureError::Scope(_)
            | SignatureError::Expired { .. }
            | SignatureError::TooEarly { .. }
            | SignatureError::Mismatch => Code::InvalidSignatureException,
        };
        Fault::new(code, error.to_string()).into()
    }
}

impl From<BadBody> for Refused {
    fn from(bad: BadBody) -> Self {
        let (status, code, text) = match bad {
            BadBody::TooLarge => (
                413,
                "RequestEntityTooLargeException",
                "Request is too large.",
            ),
            BadBody::TooSlow => (408, "RequestTimeoutException", "The body took too long."),
            BadBody::Broken => (400, "SerializationException", "The body is not whole."),
        };
        Self {
            reply: refusal(status, code, text),
            hang_up: true,
        }
    }
}

/// An error that the service's own codes have no place for.
fn refusal(status: u16, code: &'static str, text: &str) -> Reply {
    let body = format!(r#"{{"__type":"{code}","message":"{text}"}}"#);
    Reply {
        status,
        body: body.into_bytes().into(),
        code: Some(code),
        secret: None,
        standing: None,
    }
}

impl Desk for Door {
    const GIVES_WAY: bool = true;

    async fn answer(&self, request: Request<Incoming>, visitor: &Visitor) -> Answered {
        let stamp = (self.clock)();
        let (parts, body) = request.into_parts();
        let mut entry = Entry {
            access_key: None,
            operation: target(&parts.headers).and_then(access::operation),
            secret: None,
            status: 0,
            code: None,
        };
        let answer = self.reply(&parts, body, visitor, &stamp, &mut entry);
        let (mut reply, hang_up) = match answer.await {
            Ok(reply) => (reply, false),
            Err(refused) => (refused.reply, refused.hang_up),
        };
        if let Some(log) = &self.access {
            entry.secret = reply.secret.take();
            entry.status = reply.status;
            entry.code = reply.code.map(str::to_owned);
            log.record(&stamp, &entry);
        }
        let mut response = respond(reply);
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(stamp.id.as_str()) {
            headers.insert(REQUEST_ID, id);
        }
        if hang_up {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn full(&self) -> Answered {
        respond(refusal(
            503,
            "ServiceUnavailable",
            "Connection limit exceeded.",
        ))
    }
}

fn respond(reply: Reply) -> Answered {
    let standing = reply.standing;
    let mut response = Response::new(wiped(reply.body));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(SERVER, NAME);
    say_standing(&mut response, standing);
    response
}

/// Says how fresh the values in an answer are.
pub(super) fn say_standing(response: &mut Answered, standing: Option<Standing>) {
    for (name, value) in standing.iter().flat_map(Standing::headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
}

impl Door {
    async fn reply(
        &self,
        parts: &Parts,
        body: Incoming,
        visitor: &Visitor,
        stamp: &Stamp,
        entry: &mut Entry,
    ) -> Result<Reply, Refused> {
        let foreign = self.hosts.check(&parts.headers, visitor.local);
        foreign.map_err(|why| Refused {
            reply: refusal(403, "AccessDeniedException", &why.to_string()),
            hang_up: true,
        })?;
        let headers: Vec<(&str, &[u8])> = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let (caller, body) = match self.passes(parts) {
            Some(pass) => {
                visitor.prove();
                entry.access_key = Some(pass.caller.access_key.clone());
                let mut caller = pass.caller.clone();
                if let Ok(claim) = Claim::parse(&headers) {
                    claim.region.clone_into(&mut caller.region);
                }
                (caller, self.limits.read(body).await?)
            }
            None => {
                self.admit(parts, &headers, body, visitor, stamp, entry)
                    .await?
            }
        };
        let operation = operation(&parts.headers)?;
        Ok(self.ask(operation, body, caller, stamp).await)
    }

    /// Whether a request comes by the path that nobody can guess. Clients put a `/`
    /// behind an endpoint's path or do not.
    fn passes(&self, parts: &Parts) -> Option<&Pass> {
        let pass = self.pass.as_ref()?;
        let path = parts.uri.path().strip_prefix('/')?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let fits = bool::from(path.as_bytes().ct_eq(pass.token.as_bytes()))
            && parts.method == Method::POST;
        fits.then_some(pass)
    }

    /// Finds out who signed a request and verifies it; gives the body too.
    async fn admit(
        &self,
        parts: &Parts,
        headers: &Headers<'_>,
        body: Incoming,
        visitor: &Visitor,
        stamp: &Stamp,
        entry: &mut Entry,
    ) -> Result<(Caller, Zeroizing<Vec<u8>>), Refused> {
        if parts.method != Method::POST || parts.uri.path_and_query().is_none_or(|p| p != "/") {
            return Err(unknown_operation());
        }
        let claim = Claim::parse(headers)?;
        entry.access_key = Some(claim.access_key.to_owned());
        let key = self
            .keys
            .find(claim.access_key)
            .ok_or(SignatureError::Token)?;
        claim.check(key.session.as_ref().map(|s| s.as_str()), stamp.now)?;
        let body = self.limits.read(body).await?;
        claim.verify(headers, &body, &key.secret)?;
        visitor.prove();
        Ok((key.caller(claim.region), body))
    }

    async fn ask(
        &self,
        operation: &str,
        body: Zeroizing<Vec<u8>>,
        caller: Caller,
        stamp: &Stamp,
    ) -> Reply {
        if QUICK.contains(&operation) {
            return ask(&*self.answer, operation, &body, &caller, stamp);
        }
        let (answer, operation) = (Arc::clone(&self.answer), operation.to_owned());
        let stamp = stamp.clone();
        let work = move || ask(&*answer, &operation, &body, &caller, &stamp);
        match tokio::task::spawn_blocking(work).await {
            Ok(reply) => reply,
            Err(_) => internal(),
        }
    }
}

/// Asks, and survives whoever answers.
pub(super) fn ask(
    answer: &dyn Answer,
    operation: &str,
    body: &[u8],
    caller: &Caller,
    stamp: &Stamp,
) -> Reply {
    let call = Call {
        operation,
        body,
        caller,
        stamp,
    };
    catch_unwind(AssertUnwindSafe(|| answer.answer(&call))).unwrap_or_else(|_| internal())
}

fn internal() -> Reply {
    let text = "An internal error occurred; the endpoint goes on.";
    Reply::from(&Fault::new(Code::InternalServiceError, text))
}

fn target(headers: &HeaderMap) -> Option<&str> {
    let target = headers.get(TARGET)?.to_str().ok()?;
    target.strip_prefix("secretsmanager.")
}

/// The operation of a request in the protocol spoken here.
fn operation(headers: &HeaderMap) -> Result<&str, Refused> {
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let kind = kind.and_then(|k| k.split(';').next()).map(str::trim);
    if !kind.is_some_and(|k| k.eq_ignore_ascii_case("application/x-amz-json-1.1")) {
        let text = "The Content-Type must be application/x-amz-json-1.1.";
        return Err(Fault::new(Code::SerializationException, text).into());
    }
    target(headers).ok_or_else(unknown_operation)
}

fn unknown_operation() -> Refused {
    let text = "The request must be POST / with X-Amz-Target: secretsmanager.OPERATION.";
    Fault::new(Code::UnknownOperationException, text).into()
}
