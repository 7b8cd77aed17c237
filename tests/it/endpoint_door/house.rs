//! A house with both doors, somebody in it who answers, and callers from outside.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use strongroom::aws::signature::SigningSecret;
use strongroom::model::{Stamp, Timestamp};
use strongroom::server::http::{self, Door, Pass};
use strongroom::server::proxy2773::{self, Agent};
use strongroom::server::{
    AccessLog, Answer, Call, Caller, Clock, Code, Fault, Grant, Hosts, Key, Keys, Limits, Reply,
    Standing, Stopper, Tls,
};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

pub(super) const ID: &str = "AKSTRONGROOMTESTTEST";
pub(super) const SECRET: &str = "a secret access key of the tests";
pub(super) const TOKEN: &str = "a-token-that-nobody-else-has-0123456789";
/// What every clock of a house shows unless it is the real one.
pub(super) const NOW: i64 = 1_700_000_000;
/// A value that must never be seen outside an answer.
pub(super) const VALUE: &str = "hunter2-canary";

/// Answers a few operations, and remembers who asked what.
#[derive(Default)]
pub(super) struct Double(Mutex<Vec<(String, Caller, Vec<u8>)>>);

impl Double {
    pub(super) fn calls(&self) -> Vec<(String, Caller, Vec<u8>)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Answer for Double {
    fn answer(&self, call: &Call<'_>) -> Reply {
        let entry = (
            call.operation.to_owned(),
            call.caller.clone(),
            call.body.to_vec(),
        );
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(entry);
        let fault = |code, text: &str| Reply::from(&Fault::new(code, text));
        match call.operation {
            "GetSecretValue" => {
                let Ok(asked) = serde_json::from_slice::<serde_json::Value>(call.body) else {
                    return fault(Code::SerializationException, "not JSON");
                };
                let name = asked["SecretId"].as_str().unwrap_or_default();
                if name == "missing" {
                    let text = "Secrets Manager can't find the specified secret.";
                    return fault(Code::ResourceNotFoundException, text);
                }
                let mut reply = Reply::json(
                    serde_json::json!({
                        "ARN": format!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}-AbCdEf"),
                        "Name": name,
                        "VersionId": "0b5f9a2e-6b5b-4f0e-9a53-0d8e5f3c0a11",
                        "SecretString": VALUE,
                        "VersionStages": ["AWSCURRENT"],
                        "CreatedDate": 1_569_534_789.046,
                    })
                    .to_string()
                    .into_bytes(),
                );
                reply.secret = name.parse().ok();
                // What the service would say of a secret that nobody verified lately.
                reply.standing = (name == "stale").then_some(Standing {
                    verified: Some(Timestamp::from_secs(1_800_000_000)),
                    is_stale: true,
                });
                reply
            }
            "TagResource" => Reply::empty(),
            "GetRandomPassword" => panic!("the double was told to"),
            // Takes its time, as a write does.
            "PutSecretValue" => {
                std::thread::sleep(Duration::from_millis(300));
                Reply::json(b"{}".to_vec())
            }
            _ => fault(
                Code::UnknownOperationException,
                "the double does not know that",
            ),
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct Page(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Page {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// How a house is built.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) limits: Limits,
    pub(super) tls: Option<Tls>,
    pub(super) session: Option<&'static str>,
    pub(super) pass: bool,
    pub(super) real_clock: bool,
}

/// Both doors, open.
pub(super) struct House {
    pub(super) double: Arc<Double>,
    pub(super) keys: Arc<Keys>,
    pub(super) front: SocketAddr,
    pub(super) agent: SocketAddr,
    pub(super) log: Page,
    pub(super) stopper: Stopper,
    doors: Vec<tokio::task::JoinHandle<()>>,
    runtime: Runtime,
}

#[expect(
    clippy::disallowed_methods,
    reason = "real clients sign with the real time"
)]
fn real_now() -> i64 {
    let since = std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn caller() -> Caller {
    Caller {
        access_key: ID.to_owned(),
        account: None,
        region: "eu-west-1".to_owned(),
        grant: Grant::default(),
    }
}

impl House {
    pub(super) fn open() -> Self {
        Self::build(Plan::default())
    }

    pub(super) fn build(plan: Plan) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let double = Arc::new(Double::default());
        let keys = Arc::new(Keys::default());
        keys.add(Key {
            id: ID.to_owned(),
            secret: SigningSecret::new(Zeroizing::new(SECRET.to_owned())),
            session: plan.session.map(|s| Zeroizing::new(s.to_owned())),
            account: Some("123456789012".to_owned()),
            grant: Grant::default(),
        });
        let clock: Clock = Arc::new(move || Stamp {
            now: Timestamp::from_secs(if plan.real_clock { real_now() } else { NOW }),
            id: "11111111-2222-4333-8444-555555555555".parse().unwrap(),
        });
        let log = Page::default();
        let access = Some(Arc::new(AccessLog::new(log.clone())));
        let (stopper, stop) = Stopper::new();
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (front, agent) = (bind(), bind());
        let (front_at, agent_at) = (front.local_addr().unwrap(), agent.local_addr().unwrap());
        let door = Door {
            answer: Arc::clone(&double) as Arc<dyn Answer>,
            keys: Arc::clone(&keys),
            pass: plan.pass.then(|| Pass {
                token: Zeroizing::new(TOKEN.to_owned()),
                caller: caller(),
            }),
            hosts: Hosts::default(),
            clock: Arc::clone(&clock),
            access: access.clone(),
            limits: plan.limits,
        };
        let proxy = Agent {
            answer: Arc::clone(&double) as Arc<dyn Answer>,
            tokens: vec![
                Zeroizing::new("another".to_owned()),
                Zeroizing::new(TOKEN.to_owned()),
            ],
            caller: caller(),
            hosts: Hosts::default(),
            clock,
            access,
            limits: plan.limits,
        };
        let doors = vec![
            runtime.spawn(http::serve(front, Arc::new(door), plan.tls, stop.clone())),
            runtime.spawn(proxy2773::serve(agent, Arc::new(proxy), stop)),
        ];
        Self {
            double,
            keys,
            front: front_at,
            agent: agent_at,
            log,
            stopper,
            doors,
            runtime,
        }
    }

    /// Closes both doors and waits until they are.
    pub(super) fn close(&mut self) {
        self.stopper.stop();
        for door in self.doors.drain(..) {
            self.runtime.block_on(door).unwrap();
        }
    }

    /// How many calls reached whoever answers.
    pub(super) fn reached(&self) -> usize {
        self.double.calls().len()
    }

    /// A request as a client signs it.
    pub(super) fn request(&self) -> Request {
        Request {
            to: self.front,
            method: "POST".to_owned(),
            path: "/".to_owned(),
            headers: vec![
                ("host".to_owned(), self.front.to_string()),
                (
                    "content-type".to_owned(),
                    "application/x-amz-json-1.1".to_owned(),
                ),
                (
                    "x-amz-target".to_owned(),
                    "secretsmanager.GetSecretValue".to_owned(),
                ),
            ],
            body: br#"{"SecretId":"prod/db"}"#.to_vec(),
        }
    }

    /// A request of a client of the agent.
    pub(super) fn ask(&self, path: &str) -> Request {
        Request {
            to: self.agent,
            method: "GET".to_owned(),
            path: path.to_owned(),
            headers: vec![
                ("host".to_owned(), self.agent.to_string()),
                (
                    "x-aws-parameters-secrets-token".to_owned(),
                    TOKEN.to_owned(),
                ),
            ],
            body: Vec::new(),
        }
    }
}

#[derive(Clone)]
pub(super) struct Request {
    pub(super) to: SocketAddr,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Who signs a request, and when.
pub(super) struct Signer<'a> {
    pub(super) id: &'a str,
    pub(super) secret: &'a str,
    pub(super) session: Option<&'a str>,
    pub(super) at: i64,
    pub(super) service: &'a str,
}

pub(super) const SIGNER: Signer<'static> = Signer {
    id: ID,
    secret: SECRET,
    session: None,
    at: NOW,
    service: "secretsmanager",
};

impl Signer<'_> {
    /// Signs by AWS's own crate.
    pub(super) fn sign(&self, mut request: Request) -> Request {
        let session = self.session.map(str::to_owned);
        let id = Credentials::new(self.id, self.secret, session, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&id)
            .region("eu-west-1")
            .name(self.service)
            .time(UNIX_EPOCH + Duration::from_secs(self.at.try_into().unwrap()))
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let url = format!("http://{}{}", request.to, request.path);
        let headers = request
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()));
        let body = SignableBody::Bytes(&request.body);
        let signable = SignableRequest::new(&request.method, url, headers, body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let (added, _) = instructions.into_parts();
        for header in added {
            request
                .headers
                .push((header.name().to_owned(), header.value().to_owned()));
        }
        request
    }
}

impl Request {
    pub(super) fn signed(self) -> Self {
        SIGNER.sign(self)
    }

    /// Sets a header, or takes it away where the value is empty.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        if !value.is_empty() {
            self.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.method == "POST" && !head.contains("transfer-encoding") {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Sends it on a connection of its own.
    pub(super) fn send(&self) -> Response {
        let mut stream = connect(self.to);
        self.send_on(&mut stream)
    }

    pub(super) fn send_on(&self, stream: &mut TcpStream) -> Response {
        // The other side may hang up on a large body; its answer is there all the same.
        stream.write_all(&self.bytes()).ok();
        Response::read(stream).expect("an answer")
    }
}

pub(super) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("a door");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Response {
    /// Reads one answer; `None` where the other side hung up.
    pub(super) fn read(stream: &mut impl std::io::Read) -> Option<Self> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            head.extend_from_slice(&byte);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned()))
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |l| l.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).ok()?;
        Some(Self {
            status,
            headers,
            body: String::from_utf8(body).unwrap(),
        })
    }

    /// The error's type.
    pub(super) fn kind(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["__type"].as_str().unwrap_or_default().to_owned()
    }
}

/// Waits until the other side hangs up, and says how long that took.
pub(super) fn until_closed(stream: &mut TcpStream) -> Duration {
    let since = Instant::now();
    let mut rest = Vec::new();
    // A reset is an end too.
    stream.read_to_end(&mut rest).ok();
    since.elapsed()
}
