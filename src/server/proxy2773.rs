//! The protocol of the Secrets Manager agent and of the Lambda extension, whose port
//! is 2773 (aws.md section 11).
//!
//! It asks the same [`Answer`] as the front door and turns the reply into the agent's
//! form. Checked in the agent's order: connections, token, method, path. Beyond the
//! agent, the Host header and web pages are checked as at the front door.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::access::{AccessLog, Entry};
use super::hosts::Hosts;
use super::http;
use super::limits::Limits;
use super::listener::{self, Answered, Desk, Stop, Visitor, wiped};
use super::query::{self, Asked, BadQuery};
use super::{Answer, Caller, Clock, Reply, Standing};
use crate::model::{SecretName, Stamp};

/// The port of the agent and of the extension.
pub const PORT: u16 = 2773;
/// The agent's own limit.
const CONNECTIONS: usize = 800;
/// The headers that may hold the token.
const TOKENS: [&str; 2] = ["x-aws-parameters-secrets-token", "x-vault-token"];

/// The settings of a door that speaks the agent's protocol.
pub struct Agent {
    /// Who answers.
    pub answer: Arc<dyn Answer>,
    /// The tokens that are accepted.
    pub tokens: Vec<Zeroizing<String>>,
    /// Who comes with one.
    pub caller: Caller,
    /// The names it answers to.
    pub hosts: Hosts,
    /// Gives the moment and a fresh id for each request.
    pub clock: Clock,
    /// Where requests are written down.
    pub access: Option<Arc<AccessLog>>,
    /// How much it puts up with. Connections are at most 800 all the same.
    pub limits: Limits,
}

/// Serves the agent's protocol on a socket until it is stopped. The socket's IP TTL
/// becomes 1, so that nothing of it is routed anywhere.
pub async fn serve(listener: TcpListener, agent: Arc<Agent>, stop: Stop) {
    // IPv6 sockets have no such thing; the listener is on loopback then.
    drop(listener.set_ttl(1));
    let limits = Limits {
        connections: agent.limits.connections.min(CONNECTIONS),
        ..agent.limits
    };
    listener::serve(listener, agent, limits, None, stop).await;
}

/// What goes back: a status and a text or a JSON document.
struct Outcome {
    status: u16,
    body: Zeroizing<Vec<u8>>,
    secret: Option<SecretName>,
    code: Option<String>,
    standing: Option<Standing>,
}

impl Outcome {
    fn text(status: u16, text: &str) -> Self {
        Self {
            status,
            body: text.as_bytes().to_vec().into(),
            secret: None,
            standing: None,
            code: (status != 200).then(|| text.to_owned()),
        }
    }
}

impl From<BadQuery> for Outcome {
    fn from(bad: BadQuery) -> Self {
        Self {
            // What follows the name of the mistake is the client's own text.
            code: Some("BadQuery".to_owned()),
            ..Self::text(400, &bad.to_string())
        }
    }
}

impl Desk for Agent {
    const GIVES_WAY: bool = false;

    async fn answer(&self, request: Request<Incoming>, visitor: &Visitor) -> Answered {
        let stamp = (self.clock)();
        let outcome = self.outcome(&request, visitor, &stamp);
        if let Some(log) = &self.access {
            let entry = Entry {
                access_key: Some(self.caller.access_key.clone()),
                operation: (request.uri().path() != "/ping").then(|| "GetSecretValue".to_owned()),
                secret: outcome.secret,
                status: outcome.status,
                code: outcome.code,
            };
            log.record(&stamp, &entry);
        }
        let mut response = respond(outcome.status, outcome.body);
        http::say_standing(&mut response, outcome.standing);
        response
    }

    fn full(&self) -> Answered {
        respond(429, b"Connection limit exceeded".to_vec().into())
    }
}

/// The agent sets no Content-Type.
fn respond(status: u16, body: Zeroizing<Vec<u8>>) -> Answered {
    let mut response = Response::new(wiped(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

impl Agent {
    fn outcome(&self, request: &Request<Incoming>, visitor: &Visitor, stamp: &Stamp) -> Outcome {
        if let Err(why) = self.hosts.check(request.headers(), visitor.local) {
            return Outcome::text(403, &why.to_string());
        }
        let path = request.uri().path();
        if path != "/ping" {
            if request.headers().contains_key("x-forwarded-for") {
                return Outcome::text(400, "Forwarded");
            }
            if !self.has_token(request.headers()) {
                return Outcome::text(403, "Bad Token");
            }
            visitor.prove();
        }
        if request.method() != Method::GET {
            return Outcome::text(405, "Not allowed");
        }
        if path == "/ping" {
            return Outcome::text(200, "healthy");
        }
        match query::asked(path, request.uri().query().unwrap_or_default()) {
            None => Outcome::text(404, "Not found"),
            Some(Err(bad)) => bad.into(),
            Some(Ok(asked)) => self.get(&asked, stamp),
        }
    }

    /// Every token is compared, whichever fits.
    fn has_token(&self, headers: &HeaderMap) -> bool {
        let given = TOKENS.iter().flat_map(|name| headers.get_all(*name));
        given.fold(false, |fits, given| {
            let ours = self.tokens.iter();
            ours.fold(fits, |fits, ours| {
                fits | bool::from(ours.as_bytes().ct_eq(given.as_bytes()))
            })
        })
    }

    fn get(&self, asked: &Asked, stamp: &Stamp) -> Outcome {
        let mut body = json!({ "SecretId": asked.secret });
        if let Some(object) = body.as_object_mut() {
            let given = [
                ("VersionId", &asked.version),
                ("VersionStage", &asked.stage),
            ];
            for (key, value) in given {
                if let Some(value) = value {
                    object.insert(key.to_owned(), json!(value));
                }
            }
        }
        let body = body.to_string();
        let answer = &*self.answer;
        let reply = http::ask(
            answer,
            "GetSecretValue",
            body.as_bytes(),
            &self.caller,
            stamp,
        );
        translate(&reply)
    }
}

/// GetSecretValue's answer, each member as it stands in the JSON: the value is copied
/// once and never decoded.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Got<'a> {
    #[serde(borrow, rename = "ARN")]
    arn: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    version_id: Option<&'a RawValue>,
    #[serde(borrow)]
    secret_string: Option<&'a RawValue>,
    #[serde(borrow)]
    secret_binary: Option<&'a RawValue>,
    #[serde(borrow)]
    version_stages: Option<&'a RawValue>,
    #[serde(borrow)]
    created_date: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Failed {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message")]
    message: Option<String>,
}

/// Turns the service's reply into the agent's.
fn translate(reply: &Reply) -> Outcome {
    let done = |status, body| Outcome {
        status,
        body,
        code: reply.code.map(str::to_owned),
        secret: reply.secret.clone(),
        standing: reply.standing,
    };
    let broken = || {
        let body = br#"{"__type":"InternalFailure"}"#.to_vec();
        done(500, body.into())
    };
    if reply.status != 200 {
        let Ok(failed) = serde_json::from_slice::<Failed>(&reply.body) else {
            return broken();
        };
        let (kind, text) = (
            json!(failed.kind),
            json!(failed.message.unwrap_or_default()),
        );
        let body = format!(r#"{{"__type":{kind}, "message":{text}}}"#);
        return done(reply.status, body.into_bytes().into());
    }
    let Ok(got) = serde_json::from_slice::<Got<'_>>(&reply.body) else {
        return broken();
    };
    let mut out = Zeroizing::new(Vec::with_capacity(reply.body.len() + 64));
    let date = got.created_date.map(|date| format!("\"{}\"", date.get()));
    let members = [
        ("ARN", got.arn.map(RawValue::get)),
        ("Name", got.name.map(RawValue::get)),
        ("VersionId", got.version_id.map(RawValue::get)),
        ("SecretString", got.secret_string.map(RawValue::get)),
        ("SecretBinary", got.secret_binary.map(RawValue::get)),
        ("VersionStages", got.version_stages.map(RawValue::get)),
        ("CreatedDate", date.as_deref()),
    ];
    for (key, value) in members {
        if let Some(value) = value {
            let opening = if out.is_empty() { b'{' } else { b',' };
            out.push(opening);
            for part in ["\"", key, "\":", value] {
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
    out.push(b'}');
    done(200, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{Code, Fault};

    fn text(outcome: &Outcome) -> &str {
        std::str::from_utf8(&outcome.body).unwrap()
    }

    #[test]
    fn aws_11_the_date_is_a_string_and_the_rest_as_it_stands() {
        let reply = Reply::json(
            br#"{"Name":"a","ARN":"arn:x","VersionId":"v","VersionStages":["AWSCURRENT"],"SecretString":"p\u00e4\n","CreatedDate":1569534789.046}"#.to_vec(),
        );
        let outcome = translate(&reply);
        assert_eq!(
            text(&outcome),
            r#"{"ARN":"arn:x","Name":"a","VersionId":"v","SecretString":"p\u00e4\n","VersionStages":["AWSCURRENT"],"CreatedDate":"1569534789.046"}"#
        );
        assert_eq!(outcome.status, 200);
    }

    #[test]
    fn aws_11_an_error_has_a_small_message_and_a_space_after_the_comma() {
        for code in [Code::ResourceNotFoundException, Code::AccessDeniedException] {
            let outcome = translate(&Reply::from(&Fault::new(code, "it's \"x\"")));
            let kind = code.as_str();
            assert_eq!(
                text(&outcome),
                format!(r#"{{"__type":"{kind}", "message":"it's \"x\""}}"#)
            );
            assert_eq!((outcome.status, outcome.code.as_deref()), (400, Some(kind)));
        }
    }

    #[test]
    fn aws_11_what_nobody_understands_is_an_internal_failure() {
        let outcome = translate(&Reply::json(b"[]".to_vec()));
        assert_eq!(
            (outcome.status, text(&outcome)),
            (500, r#"{"__type":"InternalFailure"}"#)
        );
    }
}
