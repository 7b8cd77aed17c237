//! The agent's protocol (aws.md section 11).

use super::house::{House, Plan, TOKEN, VALUE, connect};
use strongroom::server::Limits;

#[test]
fn aws_11_both_forms_give_the_secret_with_its_date_as_a_string() {
    let house = House::open();
    for path in [
        "/secretsmanager/get?secretId=prod%2Fdb",
        "/secretsmanager/get?secretId=prod%2Fdb&versionStage=AWSCURRENT&refreshNow=True",
        "/v1/prod/db",
        "/v1/prod/db?versionId=0b5f9a2e-6b5b-4f0e-9a53-0d8e5f3c0a11",
    ] {
        let answer = house.ask(path).send();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(
            answer.body,
            format!(
                r#"{{"ARN":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-AbCdEf","Name":"prod/db","VersionId":"0b5f9a2e-6b5b-4f0e-9a53-0d8e5f3c0a11","SecretString":"{VALUE}","VersionStages":["AWSCURRENT"],"CreatedDate":"1569534789.046"}}"#
            )
        );
        assert!(!answer.headers.contains_key("content-type"));
    }
    let calls = house.double.calls();
    let body = |n: usize| -> serde_json::Value { serde_json::from_slice(&calls[n].2).unwrap() };
    assert_eq!(body(0), serde_json::json!({"SecretId": "prod/db"}));
    assert_eq!(body(1)["VersionStage"], "AWSCURRENT");
    assert_eq!(body(3)["VersionId"], "0b5f9a2e-6b5b-4f0e-9a53-0d8e5f3c0a11");
    assert_eq!(calls[0].0, "GetSecretValue");
}

#[test]
fn aws_11_the_services_errors_are_handed_on_with_a_small_message() {
    let house = House::open();
    let answer = house.ask("/v1/missing").send();
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.body,
        r#"{"__type":"ResourceNotFoundException", "message":"Secrets Manager can't find the specified secret."}"#
    );
}

/// Each mistake, in the order they are looked for.
#[test]
fn aws_11_each_mistake_has_its_status_and_its_text() {
    let house = House::open();
    let token = "x-aws-parameters-secrets-token";
    let ask = |path: &str| house.ask(path);
    let post = |path: &str| {
        let mut request = ask(path);
        request.method = "POST".to_owned();
        request
    };
    for (what, request, status, text) in [
        ("ping", ask("/ping").with(token, ""), 200, "healthy"),
        (
            "forwarded",
            ask("/v1/a").with("x-forwarded-for", "1.2.3.4"),
            400,
            "Forwarded",
        ),
        (
            "forwarded first",
            post("/x").with("x-forwarded-for", "1").with(token, ""),
            400,
            "Forwarded",
        ),
        ("no token", ask("/v1/a").with(token, ""), 403, "Bad Token"),
        (
            "another token",
            ask("/v1/a").with(token, "x"),
            403,
            "Bad Token",
        ),
        (
            "part of the token",
            ask("/v1/a").with(token, &TOKEN[1..]),
            403,
            "Bad Token",
        ),
        (
            "token before method",
            post("/v1/a").with(token, "x"),
            403,
            "Bad Token",
        ),
        ("method", post("/v1/a"), 405, "Not allowed"),
        ("method before path", post("/x"), 405, "Not allowed"),
        ("method of ping", post("/ping"), 405, "Not allowed"),
        ("path", ask("/x"), 404, "Not found"),
        (
            "no parameter",
            ask("/secretsmanager/get"),
            400,
            "missing parameter secretId",
        ),
        ("no id", ask("/v1/"), 400, "missing secret ID"),
        ("unknown", ask("/v1/a?x=1"), 400, "unknown parameter: x"),
        (
            "refresh",
            ask("/v1/a?refreshNow=2"),
            400,
            "invalid refreshNow value",
        ),
        (
            "a foreign host",
            ask("/v1/a").with("host", "evil.example"),
            403,
            "the Host header names another server",
        ),
        (
            "a web page",
            ask("/v1/a").with("origin", "null"),
            403,
            "requests of web pages are not answered",
        ),
    ] {
        let answer = request.send();
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, text),
            "{what}"
        );
        assert_eq!(house.reached(), 0, "{what} reached the service");
    }
    let vault_token = ask("/v1/a").with(token, "").with("x-vault-token", TOKEN);
    assert_eq!(vault_token.send().status, 200);
    assert_eq!(ask("/v1/a").with(token, "another").send().status, 200);
}

#[test]
fn aws_11_one_connection_too_many_is_told_so() {
    let house = House::build(Plan {
        limits: Limits {
            connections: 3,
            ..Limits::default()
        },
        ..Plan::default()
    });
    let mut seated: Vec<_> = (0..3).map(|_| connect(house.agent)).collect();
    for stream in &mut seated {
        assert_eq!(house.ask("/v1/a").send_on(stream).status, 200);
    }
    let answer = house.ask("/v1/a").send();
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (429, "Connection limit exceeded")
    );
    // Those who sit are served on, and a seat that is free is given away again.
    assert_eq!(house.ask("/ping").send_on(&mut seated[0]).status, 200);
    drop(seated.pop());
    let again = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        house.ask("/ping").send().status == 200
    });
    assert!(again);
}
