//! AWS's protocol: who gets in, and what each bad request gets.

use std::sync::Arc;

use super::house::{House, ID, NOW, Plan, Request, SECRET, SIGNER, Signer, TOKEN, VALUE, connect};

#[test]
fn aws_1_a_signed_request_is_answered_and_the_connection_kept() {
    let house = House::open();
    let mut stream = connect(house.front);
    for _ in 0..2 {
        let answer = house.request().signed().send_on(&mut stream);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains(VALUE));
        assert_eq!(answer.headers["content-type"], "application/x-amz-json-1.1");
        assert_eq!(
            answer.headers["x-amzn-requestid"],
            "11111111-2222-4333-8444-555555555555"
        );
        assert_eq!(answer.headers["server"], "strongroom");
    }
    let calls = house.double.calls();
    assert_eq!(calls.len(), 2);
    let (operation, caller, body) = &calls[0];
    assert_eq!(operation, "GetSecretValue");
    assert_eq!(caller.access_key, ID);
    assert_eq!(caller.region, "eu-west-1");
    assert_eq!(caller.account.as_deref(), Some("123456789012"));
    assert_eq!(body, br#"{"SecretId":"prod/db"}"#);
}

#[test]
fn how_fresh_a_value_is_stands_in_the_headers_of_both_doors() {
    let house = House::open();
    let asked = |name: &str| {
        let mut front = house.request();
        front.body = format!(r#"{{"SecretId":"{name}"}}"#).into_bytes();
        let agent = house.ask(&format!("/secretsmanager/get?secretId={name}"));
        [front.signed().send(), agent.send()]
    };
    for answer in asked("stale") {
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            answer.headers["x-strongroom-verified"],
            "2027-01-15T08:00:00.000Z"
        );
        assert_eq!(answer.headers["x-strongroom-stale"], "true");
    }
    for answer in asked("prod/db") {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let ours = |name: &&String| name.starts_with("x-strongroom");
        assert_eq!(answer.headers.keys().find(ours), None);
    }
}

#[test]
fn aws_1_an_operation_without_output_has_an_empty_body() {
    let house = House::open();
    let request = house
        .request()
        .with("x-amz-target", "secretsmanager.TagResource");
    let answer = request.signed().send();
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.headers["content-length"], "0");
}

/// Everything that is refused at the door, with its status and code.
#[test]
fn what_is_not_proved_is_refused_and_nobody_is_asked() {
    let house = House::open();
    let signed_by = |signer: Signer<'_>| signer.sign(house.request());
    let signed = || house.request().signed();
    let mut other_body = signed();
    other_body.body = br#"{"SecretId":"prod/xx"}"#.to_vec();
    let mut get = house.request();
    get.method = "GET".to_owned();
    let mut query = house.request();
    query.path = "/?Action=GetSecretValue".to_owned();
    let mut path = house.request();
    path.path = format!("/{TOKEN}");
    let cases: Vec<(&str, Request, u16, &str)> = vec![
        (
            "unsigned",
            house.request(),
            403,
            "MissingAuthenticationTokenException",
        ),
        (
            "not a signature",
            house.request().with("authorization", "Bearer x"),
            403,
            "IncompleteSignatureException",
        ),
        (
            "wrong secret",
            signed_by(Signer {
                secret: "other",
                ..SIGNER
            }),
            403,
            "InvalidSignatureException",
        ),
        ("another body", other_body, 403, "InvalidSignatureException"),
        (
            "another operation",
            signed().with("x-amz-target", "secretsmanager.DeleteSecret"),
            403,
            "InvalidSignatureException",
        ),
        (
            "expired",
            signed_by(Signer {
                at: NOW - 302,
                ..SIGNER
            }),
            403,
            "InvalidSignatureException",
        ),
        (
            "from the future",
            signed_by(Signer {
                at: NOW + 301,
                ..SIGNER
            }),
            403,
            "InvalidSignatureException",
        ),
        (
            "unknown key",
            signed_by(Signer {
                id: "AKIAUNKNOWN",
                ..SIGNER
            }),
            403,
            "UnrecognizedClientException",
        ),
        (
            "a session that the key does not have",
            signed_by(Signer {
                session: Some("x"),
                ..SIGNER
            }),
            403,
            "UnrecognizedClientException",
        ),
        (
            "another service",
            signed_by(Signer {
                service: "ssm",
                ..SIGNER
            }),
            403,
            "InvalidSignatureException",
        ),
        (
            "a foreign host",
            house.request().with("host", "evil.example").signed(),
            403,
            "AccessDeniedException",
        ),
        (
            "no host",
            signed().with("host", ""),
            403,
            "AccessDeniedException",
        ),
        (
            "a web page",
            signed().with("origin", "http://127.0.0.1"),
            403,
            "AccessDeniedException",
        ),
        (
            "a web page of today",
            signed().with("sec-fetch-site", "same-origin"),
            403,
            "AccessDeniedException",
        ),
        (
            "another content type",
            house
                .request()
                .with("content-type", "application/json")
                .signed(),
            400,
            "SerializationException",
        ),
        (
            "another service's target",
            house
                .request()
                .with("x-amz-target", "AmazonSSM.GetParameter")
                .signed(),
            400,
            "UnknownOperationException",
        ),
        ("GET", get, 400, "UnknownOperationException"),
        ("a query", query, 400, "UnknownOperationException"),
        ("a path", path.signed(), 400, "UnknownOperationException"),
    ];
    for (what, request, status, kind) in cases {
        let answer = request.send();
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (status, kind),
            "{what}"
        );
        assert_eq!(
            answer.headers["content-type"], "application/x-amz-json-1.1",
            "{what}"
        );
        assert!(!answer.body.contains(SECRET), "{what}");
        assert_eq!(house.reached(), 0, "{what} reached the service");
    }
    assert_eq!(house.request().signed().send().status, 200);
}

#[test]
fn a_key_that_was_taken_back_is_unknown_even_to_what_was_signed_before() {
    let house = House::open();
    let request = house.request().signed();
    let mut stream = connect(house.front);
    assert_eq!(request.send_on(&mut stream).status, 200);
    house.keys.revoke(ID);
    // On a connection that was good before, and on a new one.
    for answer in [request.send_on(&mut stream), request.send()] {
        assert_eq!(answer.status, 403);
        assert_eq!(answer.kind(), "UnrecognizedClientException");
    }
    assert_eq!(house.reached(), 1);
}

#[test]
fn a_session_token_must_come_with_its_key() {
    let house = House::build(Plan {
        session: Some("tok"),
        ..Plan::default()
    });
    let answer = house.request().signed().send();
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (403, "UnrecognizedClientException")
    );
    let signer = Signer {
        session: Some("tok"),
        ..SIGNER
    };
    assert_eq!(signer.sign(house.request()).send().status, 200);
}

#[test]
fn what_the_body_says_is_the_services_business() {
    let house = House::open();
    let mut request = house.request();
    request.body = b"{\"SecretId\": ".to_vec();
    let answer = request.signed().send();
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (400, "SerializationException")
    );
    assert_eq!(house.reached(), 1);
    let request = house
        .request()
        .with("x-amz-target", "secretsmanager.Nonsense");
    let answer = request.signed().send();
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (400, "UnknownOperationException")
    );
    assert_eq!(house.double.calls()[1].0, "Nonsense");
}

#[test]
fn a_body_is_taken_up_to_a_mebibyte() {
    let house = House::open();
    let sized = |len: usize| {
        let mut request = house.request();
        let filler = "x".repeat(len - r#"{"SecretId":""}"#.len());
        request.body = format!(r#"{{"SecretId":"{filler}"}}"#).into_bytes();
        request
    };
    assert_eq!(sized(1 << 20).signed().send().status, 200);
    assert_eq!(house.reached(), 1);
    for len in [(1 << 20) + 1, 3 << 20] {
        let answer = sized(len).signed().send();
        assert_eq!(answer.status, 413, "{len}");
        assert_eq!(answer.kind(), "RequestEntityTooLargeException");
    }
    // In chunks, where nothing says beforehand how much there will be.
    let mut request = sized((1 << 20) + 1)
        .signed()
        .with("transfer-encoding", "chunked");
    let mut chunked = format!("{:x}\r\n", request.body.len()).into_bytes();
    chunked.append(&mut request.body);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    request.body = chunked;
    assert_eq!(request.send().status, 413);
    assert_eq!(house.reached(), 1);
}

#[test]
fn a_service_that_fails_does_not_take_the_endpoint_along() {
    let house = House::open();
    let request = house
        .request()
        .with("x-amz-target", "secretsmanager.GetRandomPassword");
    let answer = request.signed().send();
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (500, "InternalServiceError")
    );
    assert_eq!(house.request().signed().send().status, 200);
}

#[test]
fn a_path_that_nobody_can_guess_stands_for_a_signature() {
    let house = House::build(Plan {
        pass: true,
        ..Plan::default()
    });
    // Signed with keys that mean nothing here, as `exec --keep-aws` has it.
    let signer = Signer {
        id: "AKIAREAL",
        secret: "real",
        ..SIGNER
    };
    let at = |path: &str| {
        let mut request = house.request();
        request.path = path.to_owned();
        request
    };
    for path in [format!("/{TOKEN}"), format!("/{TOKEN}/")] {
        let answer = signer.sign(at(&path)).send();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    let reached = house.reached();
    assert_eq!(reached, 2);
    for path in [
        "/",
        "/x",
        &format!("/{}", &TOKEN[1..]),
        &format!("//{TOKEN}"),
        &format!("/{TOKEN}/x"),
    ] {
        let answer = signer.sign(at(path)).send();
        assert!(answer.status >= 400, "{path}");
    }
    let foreign = at(&format!("/{TOKEN}")).with("host", "evil.example").send();
    assert_eq!(foreign.status, 403);
    assert_eq!(house.reached(), reached);
}

#[test]
fn the_access_log_says_who_and_what_and_no_value() {
    let mut house = House::open();
    house.request().signed().send();
    house.request().send();
    let signer = Signer {
        id: "AKIAUNKNOWN",
        ..SIGNER
    };
    signer.sign(house.request()).send();
    house.ask("/v1/prod/db").send();
    house.close();
    let text = house.log.text();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0]["accessKey"], ID);
    assert_eq!(lines[0]["operation"], "GetSecretValue");
    assert_eq!(lines[0]["secret"], "prod/db");
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[0]["time"], "2023-11-14T22:13:20.000Z");
    assert_eq!(lines[1]["code"], "MissingAuthenticationTokenException");
    assert_eq!(lines[2]["accessKey"], "AKIAUNKNOWN");
    assert_eq!(lines[2]["status"], 403);
    assert_eq!(lines[3]["secret"], "prod/db");
    for hidden in [VALUE, SECRET, TOKEN, "SecretId"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
}

#[test]
fn https_with_a_given_certificate() {
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = strongroom::server::Tls::read(&certificate, &key).unwrap();
    assert!(strongroom::server::Tls::read(&key, &certificate).is_err());
    let house = House::build(Plan {
        tls: Some(tls),
        ..Plan::default()
    });
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, connect(house.front));
    use std::io::Write as _;
    stream.write_all(&house.request().signed().bytes()).unwrap();
    let answer = super::house::Response::read(&mut stream).unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(VALUE));
}
