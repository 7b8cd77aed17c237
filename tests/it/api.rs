//! The service, by request and reply: every case of `fixtures/api/*.toml` against a
//! vault of its own (fixtures/api/README.md says how a case is written).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use strongroom::crypto::Identity;
use strongroom::model::{Stamp, Timestamp};
use strongroom::server::service::{Options, RotationJob, Rotator};
use strongroom::server::{Answer, Call, Caller, Grant, Reply, Service};
use strongroom::vault::{InitOptions, Vault};
use tempfile::TempDir;

const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";
/// 2026-11-23T00:00:00Z: the first call of every case comes one second later.
const START: i64 = 1_795_392_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// The section of aws.md that says so.
    rule: String,
    /// `Operation {body}` each; all must succeed.
    #[serde(default)]
    given: Vec<String>,
    request: String,
    #[serde(default = "ok")]
    status: u16,
    /// The reply's body; empty for a reply without one.
    reply: String,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    only: Vec<String>,
    /// The Region of the request, where it is another than that of what was given.
    #[serde(default)]
    region: Option<String>,
    /// Whether there is somebody who invokes rotation functions.
    #[serde(default)]
    rotates: bool,
}

/// Invokes every function, which then does nothing.
struct Idle;

impl Rotator for Idle {
    fn serves(&self, function: Option<&str>) -> bool {
        function.is_some()
    }

    fn start(&self, _job: RotationJob) {}
}

fn ok() -> u16 {
    200
}

/// A service over a vault of its own, and a clock that each call moves by a second.
pub(crate) struct Desk {
    _dir: TempDir,
    pub(crate) service: Service,
    pub(crate) caller: Caller,
    now: std::cell::Cell<i64>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let member = Identity::generate();
        let options = InitOptions {
            vault_id: VAULT,
            keyring: Identity::generate(),
            member_name: "ann",
            member: &member.recipient(),
            now: Timestamp::from_secs(START),
            git: false,
        };
        let (vault, _) =
            Vault::init(&dir.path().join("v"), &dir.path().join("state"), options).unwrap();
        let options = Options {
            no_commit: true,
            ..Options::default()
        };
        Self {
            service: Service::new(vault, options).unwrap(),
            caller: Caller {
                access_key: "AKIATEST".to_owned(),
                account: None,
                region: "eu-central-1".to_owned(),
                grant: Grant::default(),
            },
            now: std::cell::Cell::new(START),
            _dir: dir,
        }
    }

    pub(crate) fn ask(&self, operation: &str, body: &[u8]) -> Reply {
        self.now.set(self.now.get() + 1);
        self.service.answer(&Call {
            operation,
            body,
            caller: &self.caller,
            stamp: &Stamp {
                now: Timestamp::from_secs(self.now.get()),
                id: "5eed0000-0000-4000-8000-000000000000".parse().unwrap(),
            },
        })
    }

    /// Asks in a case's words: `Operation {body}`, or `+N days`.
    fn say(&self, text: &str) -> Reply {
        if let Some(days) = text.strip_prefix('+') {
            let days: i64 = days.trim_end_matches(" days").parse().unwrap();
            self.now.set(self.now.get() + days * 86_400);
            return Reply::empty();
        }
        let (operation, body) = text.split_once(' ').unwrap_or((text, ""));
        self.ask(operation, expand(body).as_bytes())
    }
}

/// `$1` to `$9` are version ids; `$long(N)` is N letters x.
pub(crate) fn expand(text: &str) -> String {
    let mut text = text.to_owned();
    for n in 1..=9 {
        let id = format!("0000000{n}-0000-4000-8000-000000000000");
        text = text.replace(&format!("${n}"), &id);
    }
    while let Some(at) = text.find("$long(") {
        let end = at + text[at..].find(')').unwrap();
        let count: usize = text[at + 6..end].parse().unwrap();
        text.replace_range(at..=end, &"x".repeat(count));
    }
    text
}

/// Whether an answer is what a case expects; else where it is not.
fn compare(expected: &Value, found: &Value, at: &str) -> Result<(), String> {
    let differs = || Err(format!("{at}: expected {expected}, found {found}"));
    match (expected, found) {
        (Value::String(word), _) if word.starts_with('<') && word.ends_with('>') => {
            let (kind, rest) = word[1..word.len() - 1]
                .split_once(' ')
                .unwrap_or((&word[1..word.len() - 1], ""));
            let text = found.as_str().unwrap_or_default();
            let fits = match kind {
                // Seconds since the start of the case.
                "time" => {
                    let at = found.as_f64().unwrap_or_default();
                    rest.parse::<f64>()
                        .is_ok_and(|s| (at - START as f64 - s).abs() < 1e-6)
                }
                "day" => found.as_f64() == Some(START as f64),
                "arn" => {
                    let head =
                        format!("arn:aws:secretsmanager:eu-central-1:000000000000:secret:{rest}-");
                    let tail = text.strip_prefix(&head).unwrap_or_default();
                    tail.len() == 6 && tail.bytes().all(|b| b.is_ascii_alphanumeric())
                }
                "text" => !text.is_empty(),
                "token" => !text.is_empty(),
                "length" => Some(text.chars().count()) == rest.parse().ok(),
                other => panic!("no such placeholder: {other}"),
            };
            if fits { Ok(()) } else { differs() }
        }
        // A text with an ARN inside.
        (Value::String(want), Value::String(got)) if want.contains("<arn ") => {
            let (head, rest) = want.split_once("<arn ").unwrap();
            let (name, tail) = rest.split_once('>').unwrap();
            let middle = got.strip_prefix(head).and_then(|g| g.strip_suffix(tail));
            let arn = Value::String(middle.unwrap_or_default().to_owned());
            compare(&Value::String(format!("<arn {name}>")), &arn, at)
        }
        (Value::Object(want), Value::Object(got)) => {
            for (key, value) in want {
                let there = got
                    .get(key)
                    .ok_or(format!("{at}.{key} is missing in {found}"))?;
                compare(value, there, &format!("{at}.{key}"))?;
            }
            match got.keys().find(|k| !want.contains_key(*k)) {
                Some(extra) => Err(format!("{at}.{extra} is not expected: {}", got[extra])),
                None => Ok(()),
            }
        }
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
            for (n, (w, g)) in want.iter().zip(got).enumerate() {
                compare(w, g, &format!("{at}[{n}]"))?;
            }
            Ok(())
        }
        _ if expected == found => Ok(()),
        _ => differs(),
    }
}

fn check(case: &Case) -> Result<(), String> {
    let mut desk = Desk::new();
    if case.rotates {
        desk.service = desk.service.with_rotator(Box::new(Idle));
    }
    for given in &case.given {
        let reply = desk.say(given);
        if reply.status != 200 {
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            return Err(format!("given {given}: {body}"));
        }
    }
    desk.caller.grant = Grant {
        read_only: case.read_only,
        only: case.only.clone(),
    };
    if let Some(region) = &case.region {
        desk.caller.region.clone_from(region);
    }
    let reply = desk.say(&case.request);
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    if reply.status != case.status {
        return Err(format!("status {}, {body}", reply.status));
    }
    if case.reply.is_empty() {
        return if body.is_empty() { Ok(()) } else { Err(body) };
    }
    let expected: Value = serde_json::from_str(&expand(&case.reply)).map_err(|e| e.to_string())?;
    let found: Value = serde_json::from_str(&body).map_err(|e| format!("{e}: {body}"))?;
    compare(&expected, &found, "reply")
}

/// Every file of fixtures, by operation.
fn files() -> BTreeMap<String, File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/api");
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() == Some("toml".as_ref()) {
            let operation = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let file = toml::from_str(&fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|e| panic!("{operation}: {e}"));
            files.insert(operation, file);
        }
    }
    files
}

/// The matrix of the book: every rule that a case shows, with what the answer is.
fn matrix(files: &BTreeMap<String, File>) -> String {
    let mut page = String::new();
    for (operation, file) in files {
        page.push_str(&format!(
            "\n## {operation}\n\n| rule | case | answer |\n|---|---|---|\n"
        ));
        for case in &file.case {
            let reply: Value = serde_json::from_str(&expand(&case.reply)).unwrap_or_default();
            let answer = match (
                reply.get("__type").and_then(Value::as_str),
                reply.as_object(),
            ) {
                (Some(code), _) => format!("{} `{code}`", case.status),
                (None, Some(members)) => {
                    let members: Vec<String> = members.keys().map(|m| format!("`{m}`")).collect();
                    format!("{} {}", case.status, members.join(" "))
                }
                (None, None) => format!("{}, no body", case.status),
            };
            let name = case.name.replace('|', "\\|");
            page.push_str(&format!("| {} | {name} | {answer} |\n", case.rule));
        }
    }
    page
}

/// What stands before the part that the cases make.
const MADE: &str = "<!-- From here on made from fixtures/api by tests/it/api.rs. -->\n";

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whether a page is to be written is nothing the program knows of"
)]
fn the_books_matrix_is_that_of_the_fixtures() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src/reference/api.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, there) = page.split_once(MADE).unwrap();
    let made = matrix(&files());
    if std::env::var_os("STRONGROOM_WRITE_MATRIX").is_some() {
        fs::write(&path, format!("{head}{MADE}{made}")).unwrap();
    } else {
        assert!(
            there == made,
            "write it anew: STRONGROOM_WRITE_MATRIX=1 cargo test --release --test it matrix"
        );
    }
}

#[test]
fn every_reply_of_the_fixtures_is_the_one_that_aws_gives() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (operation, file) in files() {
        for case in &file.case {
            assert!(!case.rule.is_empty());
            if let Err(why) = check(case) {
                wrong.push(format!(
                    "{operation}: {} (aws.md {}): {why}",
                    case.name, case.rule
                ));
            }
        }
        count += file.case.len();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 300, "only {count} cases were found");
}
