//! Whatever arrives, the endpoint's parsers answer: no panic, a reply in AWS's shape,
//! no value in an error. First every file of `fixtures/fuzz`, then what a generator
//! makes of arbitrary bytes, arbitrary JSON and real requests with something changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::{Value, json};
use strongroom::aws::signature::{Claim, SigningSecret};
use strongroom::model::Timestamp;
use strongroom::server::Reply;
use strongroom::server::query::asked;

use super::api::{Desk, expand};

/// What is stored before a request comes: no error may say it.
const STORED: &str = "stored-3d2f8c71";
/// The value in every request that brings one: no error may repeat it.
const GIVEN: &str = "given-9b41e06a";
/// The moment of the claims of the corpus, 2026-11-23T00:00:00Z.
const NOW: i64 = 1_795_392_000;
const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// How much is tried: `usual` cases that are the same every time, or as many as
/// `STRONGROOM_TEST_CASES` says, drawn anew.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a test runs is nothing the program knows of"
)]
fn runner(usual: u32) -> TestRunner {
    let told = std::env::var("STRONGROOM_TEST_CASES").ok();
    let rng_seed = match &told {
        Some(_) => RngSeed::Random,
        None => RngSeed::Fixed(1),
    };
    TestRunner::new(Config {
        cases: told.and_then(|n| n.parse().ok()).unwrap_or(usual),
        failure_persistence: None,
        max_shrink_iters: 2000,
        rng_seed,
        ..Config::default()
    })
}

/// Tries a law on what a strategy makes.
fn hold<S: Strategy>(usual: u32, strategy: &S, law: impl Fn(S::Value)) {
    let tried = runner(usual).run(strategy, |value| {
        law(value);
        Ok(())
    });
    if let Err(why) = tried {
        panic!("{why}");
    }
}

/// Tries a law on every file of a corpus.
fn replay(corpus: &str, law: impl Fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("fixtures/fuzz").join(corpus);
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "the corpus {corpus} is not there");
    for file in files {
        // Which file it is, should the law not hold.
        eprintln!("{}", file.display());
        law(&fs::read(&file).unwrap());
    }
}

// The agent's protocol

/// A path and a query as one text, apart at the first `?`.
fn query_law(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    match asked(path, query) {
        None => assert!(path != "/secretsmanager/get" && !path.starts_with("/v1/")),
        Some(Ok(asked)) => {
            assert!(!asked.secret.is_empty());
            if let Some(id) = path.strip_prefix("/v1/") {
                assert_eq!(asked.secret, id);
            }
        }
        Some(Err(bad)) => assert!(!bad.to_string().is_empty()),
    }
}

/// Text in a form's coding, every byte of it.
fn coded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02x}")).collect()
}

#[test]
fn any_path_and_query_has_an_answer() {
    replay("query", query_law);
    let path = prop_oneof![
        Just("/secretsmanager/get".to_owned()),
        "/v1/.{0,20}",
        any::<String>(),
    ];
    let key = select(vec![
        "secretId",
        "versionId",
        "versionStage",
        "refreshNow",
        "",
        "%",
    ]);
    let value = prop_oneof!["[%+=&a-f0-9]{0,12}", any::<String>(), Just("true".into())];
    let query = vec((key, value), 0..5).prop_map(|pairs| {
        let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join("&")
    });
    hold(2000, &(path, query), |(path, query)| {
        query_law(format!("{path}?{query}").as_bytes());
    });
    hold(1000, &vec(any::<u8>(), 0..200), |bytes| query_law(&bytes));
}

#[test]
fn aws_11_an_id_that_is_coded_comes_back_as_it_was() {
    hold(500, &("\\PC{1,40}", "\\PC{0,40}"), |(id, stage)| {
        let query = format!("versionStage={}&secretId={}", coded(&stage), coded(&id));
        let asked = asked("/secretsmanager/get", &query).unwrap().unwrap();
        assert_eq!((asked.secret, asked.stage), (id, Some(stage)));
    });
}

// The signature

/// A head, `name: value` on each line, then an empty line and the body.
fn claim_of(bytes: &[u8]) -> (Vec<(String, &[u8])>, &[u8]) {
    let mut headers = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        let value = line.get(colon + 1..).unwrap_or_default();
        headers.push((name, value.trim_ascii()));
    }
    (headers, rest)
}

/// Whether a request is believed; and no error tells the key.
fn is_believed(bytes: &[u8]) -> bool {
    let (headers, body) = claim_of(bytes);
    let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let secret = SigningSecret::new(KEY.to_owned().into());
    let verdict = Claim::parse(&headers).and_then(|claim| {
        // Each of the two must bear what the other refuses.
        let age = claim.check(None, Timestamp::from_secs(NOW));
        let proof = claim.verify(&headers, body, &secret);
        age.and(proof)
    });
    if let Err(error) = &verdict {
        let text = error.to_string();
        assert!(!text.is_empty() && !text.contains(KEY));
    }
    verdict.is_ok()
}

/// The one request of the corpus that is signed with [`KEY`].
fn genuine() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read(root.join("fixtures/fuzz/claim/genuine")).unwrap()
}

/// The headers of a claim, each with its values, and the body.
type Told = (BTreeSet<(String, Vec<Vec<u8>>)>, Vec<u8>);

/// What a request says where blanks do not count: what is signed.
fn told(bytes: &[u8]) -> Told {
    let (headers, body) = claim_of(bytes);
    let words = |value: &[u8]| {
        let words = value.split(|b| matches!(b, b' ' | b'\t'));
        words
            .filter(|w| !w.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let headers = headers.into_iter().map(|(n, v)| (n, words(v)));
    (headers.collect(), body.to_vec())
}

#[test]
fn any_head_has_a_verdict() {
    replay("claim", |bytes| {
        let believed = is_believed(bytes);
        assert_eq!(believed, bytes == genuine(), "only the genuine one is");
    });
    let name = select(vec![
        "authorization",
        "host",
        "x-amz-date",
        "x-amz-target",
        "x-amz-security-token",
        "",
    ]);
    let value = prop_oneof![
        vec(any::<u8>().prop_filter("a line", |b| *b != b'\n'), 0..60),
        "AWS4-HMAC-SHA256 (Credential|SignedHeaders|Signature)=[a-z0-9/;,= -]{0,80}".prop_map(String::into_bytes),
        "AWS4-HMAC-SHA256 Credential=AKID/20261123/[a-z0-9-]{1,9}/secretsmanager/aws4_request, SignedHeaders=host;x-amz-date;x-amz-target, Signature=[0-9a-f]{62,66}".prop_map(String::into_bytes),
        "2026112[0-9]T[0-9]{6}Z".prop_map(String::into_bytes),
        "[0-9]{4}-?[0-9]{4}\\PC{0,9}Z".prop_map(String::into_bytes),
    ];
    hold(2000, &vec((name, value), 0..8), |headers| {
        let mut bytes = Vec::new();
        for (name, value) in headers {
            bytes.extend([name.as_bytes(), b":", &value, b"\n"].concat());
        }
        assert!(!is_believed(&bytes));
    });
    hold(1000, &vec(any::<u8>(), 0..300), |bytes| {
        assert!(!is_believed(&bytes));
    });
}

#[test]
fn a_signed_request_with_something_changed_is_not_believed() {
    let genuine = genuine();
    assert!(is_believed(&genuine));
    hold(3000, &edits(3), |edits| {
        let changed = edit(&genuine, &edits);
        // An Authorization header may be written in several ways; nothing else may.
        let (said, original) = (told(&changed), told(&genuine));
        let signed = |told: &BTreeSet<(String, Vec<Vec<u8>>)>| {
            let all = told.iter().filter(|(n, _)| n != "authorization");
            let signed = ["content-type", "host", "x-amz-date", "x-amz-target"];
            all.filter(|(n, _)| signed.contains(&n.as_str()))
                .cloned()
                .collect::<Vec<_>>()
        };
        if is_believed(&changed) {
            assert_eq!(said.1, original.1, "another body");
            assert_eq!(signed(&said.0), signed(&original.0), "other headers");
        }
    });
}

// The service

/// One small change of some bytes.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
}

fn edits(most: usize) -> impl Strategy<Value = Vec<Edit>> {
    let byte = prop_oneof![select(b"\"{}[]:,\\u0- e.\n".to_vec()), any::<u8>()];
    let one = prop_oneof![
        4 => (any::<Index>(), byte.clone()).prop_map(|(at, b)| Edit::Set(at, b)),
        3 => (any::<Index>(), vec(byte, 1..4)).prop_map(|(at, b)| Edit::Insert(at, b)),
        3 => (any::<Index>(), 1_usize..5).prop_map(|(at, n)| Edit::Remove(at, n)),
        1 => any::<Index>().prop_map(Edit::Cut),
    ];
    vec(one, 1..=most)
}

fn edit(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for edit in edits {
        let length = bytes.len();
        let place = |at: &Index| at.index(length + 1);
        match edit {
            Edit::Set(at, byte) => {
                if let Some(old) = bytes.get_mut(place(at)) {
                    *old = *byte;
                }
            }
            Edit::Insert(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
            Edit::Remove(at, count) => {
                let at = place(at);
                bytes.drain(at..length.min(at + count));
            }
            Edit::Cut(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

/// A desk where something is stored: live secrets with two versions, one of them
/// binary, and one that is scheduled for deletion.
fn desk() -> Desk {
    let desk = Desk::new();
    let token = |n: u32| format!("{n:08}-0000-4000-8000-000000000000");
    let binary = data_encoding::BASE64.encode(STORED.as_bytes());
    let calls = [
        (
            "CreateSecret",
            json!({ "Name": "a", "SecretString": format!("{STORED}-1"), "ClientRequestToken": token(1), "Description": "d", "Tags": [{ "Key": "k", "Value": "v" }] }),
        ),
        (
            "PutSecretValue",
            json!({ "SecretId": "a", "SecretString": format!("{{\"password\":\"{STORED}-2\"}}"), "ClientRequestToken": token(2) }),
        ),
        (
            "CreateSecret",
            json!({ "Name": "a/b", "SecretBinary": binary, "ClientRequestToken": token(1) }),
        ),
        (
            "CreateSecret",
            json!({ "Name": "b", "SecretString": STORED, "ClientRequestToken": token(1) }),
        ),
        ("DeleteSecret", json!({ "SecretId": "b" })),
    ];
    for (operation, body) in calls {
        let reply = desk.ask(operation, body.to_string().as_bytes());
        let body = String::from_utf8_lossy(&reply.body);
        assert_eq!(reply.status, 200, "{operation}: {body}");
    }
    desk
}

/// What every reply is, whatever was asked.
fn reply_law(reply: &Reply) {
    let text = std::str::from_utf8(&reply.body).unwrap();
    if reply.status == 200 {
        assert!(reply.code.is_none());
        // aws.md section 1: an operation without output has an empty body.
        assert!(text.is_empty() || serde_json::from_str::<Value>(text).unwrap().is_object());
        return;
    }
    // A healthy vault gives nobody a reason for a 500, and a verified caller none for
    // a 403.
    assert_eq!(reply.status, 400, "{text}");
    let body: Value = serde_json::from_str(text).unwrap();
    let members = body.as_object().unwrap();
    let code = members["__type"].as_str().unwrap();
    assert!(!code.is_empty() && code.bytes().all(|b| b.is_ascii_alphabetic()));
    assert_eq!(reply.code, Some(code));
    let message = members.get("Message").or_else(|| members.get("message"));
    assert!(message.is_some_and(|m| m.is_string()), "{text}");
    assert_eq!(members.len(), 2, "{text}");
    for value in [STORED, GIVEN] {
        let coded = data_encoding::BASE64.encode(value.as_bytes());
        assert!(!text.contains(value) && !text.contains(&coded), "{text}");
    }
}

/// Asks, and looks at the reply; then at whether the endpoint still answers.
fn answer_law(desk: &Desk, operation: &str, body: &[u8]) {
    reply_law(&desk.ask(operation, body));
    let after = desk.ask("ListSecrets", b"{\"IncludePlannedDeletion\":true}");
    assert_eq!(after.status, 200, "it answers no more");
}

/// An operation on the first line, its body on the others.
fn parted(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes
        .iter()
        .position(|b| *b == b'\n')
        .unwrap_or(bytes.len());
    let operation = String::from_utf8_lossy(&bytes[..end]).into_owned();
    (operation, bytes.get(end + 1..).unwrap_or_default())
}

/// A request of the fixtures, every value in it replaced.
struct Real {
    operation: String,
    body: Vec<u8>,
}

/// Every request of `fixtures/api`, those that come before a case included.
fn real_requests() -> Vec<Real> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/api");
    let mut lines = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() != Some("toml".as_ref()) {
            continue;
        }
        let file: toml::Table = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        for case in file["case"].as_array().unwrap() {
            let given = case.get("given").and_then(toml::Value::as_array);
            let all = given.into_iter().flatten().chain(case.get("request"));
            lines.extend(all.map(|line| line.as_str().unwrap().to_owned()));
        }
    }
    let real = lines
        .iter()
        .filter(|line| !line.starts_with('+'))
        .map(|line| {
            let (operation, body) = line.split_once(' ').unwrap_or((line, ""));
            let body = expand(body);
            let body = match serde_json::from_str::<Value>(&body) {
                Ok(Value::Object(mut members)) => {
                    let coded = data_encoding::BASE64.encode(GIVEN.as_bytes());
                    for (key, value) in [("SecretString", GIVEN), ("SecretBinary", &coded)] {
                        if let Some(old) = members.get_mut(key).filter(|old| old.is_string()) {
                            *old = json!(value);
                        }
                    }
                    Value::Object(members).to_string()
                }
                _ => body,
            };
            Real {
                operation: operation.to_owned(),
                body: body.into_bytes(),
            }
        });
    let real: Vec<Real> = real.filter(|real| real.body.len() < 5000).collect();
    assert!(real.len() > 100, "{}", real.len());
    real
}

/// Arbitrary JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        select(vec![json!(0), json!(-1), json!(7), json!(30), json!(4096)]),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(|b| json!(b)),
        number,
        any::<String>().prop_map(|t| json!(t)),
        select(vec![
            "a",
            "a/b",
            "b",
            "",
            "AWSCURRENT",
            "AWSPENDING",
            "*",
            "!a",
            "name",
            "e30=",
            "rate(1 days)",
            "cron(0 0 1 * ? *)",
            "00000002-0000-4000-8000-000000000000",
            "arn:aws:secretsmanager:eu-central-1:000000000000:secret:a"
        ])
        .prop_map(|t| json!(t)),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let key = prop_oneof![select(members()), "\\PC{0,8}".prop_map(|k: String| k)];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((key, inner), 0..6).prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

/// The members that requests have in `fixtures/api`, inner ones included.
fn members() -> Vec<String> {
    fn walk(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(all) => {
                for (key, value) in all.iter().filter(|(k, _)| k.len() < 64) {
                    into.insert(key.clone());
                    walk(value, into);
                }
            }
            Value::Array(all) => all.iter().for_each(|value| walk(value, into)),
            _ => {}
        }
    }
    let mut all = BTreeSet::new();
    for real in real_requests() {
        if let Ok(body) = serde_json::from_slice(&real.body) {
            walk(&body, &mut all);
        }
    }
    all.into_iter().collect()
}

fn operations() -> Vec<String> {
    let all: BTreeSet<String> = real_requests().into_iter().map(|r| r.operation).collect();
    assert!(all.len() >= 23, "{all:?}");
    all.into_iter().collect()
}

#[test]
fn any_bytes_for_any_operation_get_an_answer() {
    replay("answer", |bytes| {
        let (operation, body) = parted(bytes);
        answer_law(&desk(), &operation, body);
    });
    let operation = prop_oneof![6 => select(operations()), 1 => any::<String>()];
    let call = (operation, vec(any::<u8>(), 0..120));
    hold(16, &vec(call, 1..24), |calls| {
        let desk = desk();
        for (operation, body) in calls {
            answer_law(&desk, &operation, &body);
        }
    });
}

#[test]
fn any_json_for_any_operation_gets_an_answer() {
    let key = select(members());
    let body = vec((key, any_json()), 0..6).prop_map(|all| {
        // Most operations look at nothing else before there is a secret.
        let mut body = json!({ "SecretId": "a", "Name": "n" });
        body.as_object_mut().unwrap().extend(all);
        body
    });
    let body = prop_oneof![6 => body, 1 => any_json()];
    let call = (select(operations()), body);
    hold(16, &vec(call, 1..24), |calls| {
        let desk = desk();
        for (operation, body) in calls {
            answer_law(&desk, &operation, body.to_string().as_bytes());
        }
    });
}

#[test]
fn a_real_request_with_something_changed_gets_an_answer() {
    let real = real_requests();
    // Some are left as they are, so that the vault moves on.
    let change = prop_oneof![1 => Just(Vec::new()), 3 => edits(4).boxed()];
    let call = (any::<Index>(), change);
    hold(16, &vec(call, 1..24), |calls| {
        let desk = desk();
        for (which, edits) in calls {
            let real = which.get(&real);
            answer_law(&desk, &real.operation, &edit(&real.body, &edits));
        }
    });
}
