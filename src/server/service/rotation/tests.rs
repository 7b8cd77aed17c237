use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::server::service::testing::{Desk, SCHEDULED};
use crate::server::service::{RotationJob, RotationSteps, Rotator};

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:rotate";
const CANNOT: &str = "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com.";
const BLOCKED: &str = "A previous rotation isn't complete. That rotation will be reattempted.";
const NO_FUNCTION: &str = "No Lambda rotation function ARN is associated with this secret.";

/// Serves one function and notes what it is told.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Vec<RotationJob>>>);

impl Rotator for Noting {
    fn serves(&self, function: Option<&str>) -> bool {
        function == Some(FUNCTION)
    }

    fn start(&self, job: RotationJob) {
        self.0.lock().unwrap().push(job);
    }
}

impl Noting {
    fn jobs(&self) -> Vec<RotationJob> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A secret `a` with a value, and somebody who rotates.
fn desk() -> (Desk, Noting, String) {
    let mut desk = Desk::new();
    let noting = Noting::default();
    desk.service = desk.service.with_rotator(Box::new(noting.clone()));
    let arn = desk.create("a", "1");
    (desk, noting, arn)
}

fn rotate(desk: &Desk, more: &Value) -> (String, Value) {
    let token = desk.token();
    let mut body = json!({
        "SecretId": "a", "ClientRequestToken": token, "RotationLambdaARN": FUNCTION,
        "RotationRules": {"AutomaticallyAfterDays": 30},
    });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    (token, body)
}

fn describe(desk: &Desk) -> Value {
    desk.ok("DescribeSecret", json!({"SecretId": "a"}))
}

/// The four steps, as a function does them.
fn finish(desk: &Desk, token: &str, from: &str) {
    let body = json!({
        "SecretId": "a", "ClientRequestToken": token, "SecretString": "new",
        "VersionStages": ["AWSPENDING"],
    });
    desk.ok("PutSecretValue", body);
    let body = json!({
        "SecretId": "a", "VersionStage": "AWSCURRENT", "MoveToVersionId": token,
        "RemoveFromVersionId": from,
    });
    desk.ok("UpdateSecretVersionStage", body);
}

fn current(desk: &Desk) -> String {
    let read = desk.ok("GetSecretValue", json!({"SecretId": "a"}));
    read["VersionId"].as_str().unwrap().to_owned()
}

#[test]
fn aws_1_and_7_a_function_that_cannot_be_invoked_leaves_nothing_behind() {
    let desk = Desk::new();
    desk.create("a", "1");
    let before = describe(&desk);
    let (_, body) = rotate(&desk, &json!({}));
    desk.refused("RotateSecret", body, "AccessDeniedException", CANNOT);
    assert_eq!(describe(&desk), before);
}

#[test]
fn aws_1_the_first_rotation_needs_a_function_and_every_one_a_token() {
    let (desk, noting, _) = desk();
    let (_, body) = rotate(&desk, &json!({"RotationLambdaARN": null}));
    desk.refused("RotateSecret", body, "InvalidRequestException", NO_FUNCTION);
    let (_, body) = rotate(&desk, &json!({"RotationLambdaARN": ""}));
    desk.refused("RotateSecret", body, "InvalidRequestException", NO_FUNCTION);
    let (_, body) = rotate(&desk, &json!({"ClientRequestToken": null}));
    desk.refused(
        "RotateSecret",
        body,
        "InvalidParameterException",
        "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
    );
    assert_eq!(noting.jobs(), []);
}

#[test]
fn aws_7_a_rotation_begins_with_an_empty_pending_version() {
    let (desk, noting, arn) = desk();
    let first = current(&desk);
    let (token, body) = rotate(&desk, &json!({}));
    assert_eq!(
        desk.ok("RotateSecret", body.clone()),
        json!({"ARN": arn, "Name": "a", "VersionId": token})
    );
    let job = RotationJob {
        secret: "a".parse().unwrap(),
        arn,
        function: Some(FUNCTION.to_owned()),
        token: token.parse().unwrap(),
        steps: RotationSteps::All,
    };
    assert_eq!(noting.jobs(), std::slice::from_ref(&job));
    let described = describe(&desk);
    assert_eq!(described["RotationEnabled"], json!(true));
    assert_eq!(described["RotationLambdaARN"], json!(FUNCTION));
    assert_eq!(
        described["RotationRules"],
        json!({"AutomaticallyAfterDays": 30})
    );
    assert_eq!(described.get("LastRotatedDate"), None);
    assert_eq!(
        described["VersionIdsToStages"],
        json!({&first: ["AWSCURRENT"], &token: ["AWSPENDING"]})
    );
    desk.refused(
        "GetSecretValue",
        json!({"SecretId": "a", "VersionId": token}),
        "ResourceNotFoundException",
        &format!("Secrets Manager can't find the specified secret value for VersionId: {token}"),
    );
    desk.ok("RotateSecret", body);
    assert_eq!(noting.jobs(), [job], "the same call again is tried again");
}

#[test]
fn aws_7_the_dates_follow_from_the_end_of_a_rotation() {
    let (desk, noting, _) = desk();
    let first = current(&desk);
    let (token, body) = rotate(&desk, &json!({}));
    desk.ok("RotateSecret", body.clone());
    finish(&desk, &token, &first);
    let rotated = desk.now();
    desk.later(1);
    let described = describe(&desk);
    assert_eq!(
        described["LastRotatedDate"],
        json!(rotated.millis() as f64 / 1000.0)
    );
    let end = |day: &str| {
        let at: crate::model::Timestamp = format!("{day}T23:59:59Z").parse().unwrap();
        json!(at.millis() as f64 / 1000.0)
    };
    assert_eq!(described["NextRotationDate"], end("2026-12-23"));
    let listed = desk.ok("ListSecrets", json!({}))["SecretList"][0].clone();
    assert_eq!(listed["NextRotationDate"], described["NextRotationDate"]);
    // A value put by hand counts as a rotation for the next date.
    desk.put("a", "by hand");
    let described = describe(&desk);
    assert_eq!(described["NextRotationDate"], end("2026-12-24"));
    assert_eq!(
        described["LastRotatedDate"],
        json!(rotated.millis() as f64 / 1000.0)
    );
    noting.jobs();
    desk.ok("RotateSecret", body);
    assert_eq!(noting.jobs(), [], "that one is done");
}

#[test]
fn aws_1_and_7_a_pending_version_elsewhere_blocks_the_next_rotation() {
    let (desk, noting, _) = desk();
    let first = current(&desk);
    let (token, body) = rotate(&desk, &json!({}));
    desk.ok("RotateSecret", body);
    noting.jobs();
    let (_, second) = rotate(
        &desk,
        &json!({"RotationRules": {"AutomaticallyAfterDays": 7}}),
    );
    desk.refused("RotateSecret", second, "InvalidRequestException", BLOCKED);
    let again: Vec<String> = noting
        .jobs()
        .iter()
        .map(|j| j.token.as_str().to_owned())
        .collect();
    assert_eq!(again, std::slice::from_ref(&token));
    assert_eq!(
        describe(&desk)["RotationRules"],
        json!({"AutomaticallyAfterDays": 30}),
        "a refused call changes nothing"
    );
    finish(&desk, &token, &first);
    let (third, body) = rotate(&desk, &json!({}));
    desk.ok("RotateSecret", body);
    let stages = &describe(&desk)["VersionIdsToStages"];
    assert_eq!(stages[&token], json!(["AWSCURRENT"]));
    assert_eq!(stages[&third], json!(["AWSPENDING"]));
}

#[test]
fn aws_7_rules_alone_keep_the_function_and_not_immediately_only_tests() {
    let (desk, noting, _) = desk();
    let first = current(&desk);
    let (_, body) = rotate(&desk, &json!({"RotateImmediately": false}));
    desk.ok("RotateSecret", body);
    assert_eq!(noting.jobs()[0].steps, RotationSteps::Test);
    let stages = &describe(&desk)["VersionIdsToStages"];
    assert_eq!(*stages, json!({&first: ["AWSCURRENT"]}));
    let (_, body) = rotate(
        &desk,
        &json!({
            "RotationLambdaARN": null,
            "RotationRules": {"ScheduleExpression": "rate(10 days)", "Duration": "3h"},
        }),
    );
    desk.ok("RotateSecret", body);
    let described = describe(&desk);
    assert_eq!(described["RotationLambdaARN"], json!(FUNCTION));
    assert_eq!(
        described["RotationRules"],
        json!({
            "AutomaticallyAfterDays": 10, "Duration": "3h", "ScheduleExpression": "rate(10 days)",
        })
    );
}

#[test]
fn aws_7_rules_outside_the_grammar_are_refused() {
    let (desk, noting, _) = desk();
    for (rules, code) in [
        (json!({}), "InvalidParameterException"),
        (
            json!({"AutomaticallyAfterDays": 1, "ScheduleExpression": "rate(1 day)"}),
            "InvalidParameterException",
        ),
        (
            json!({"ScheduleExpression": "rate(2 hours)"}),
            "InvalidParameterException",
        ),
        (
            json!({"AutomaticallyAfterDays": 1, "Duration": "99h"}),
            "InvalidParameterException",
        ),
        (json!({"AutomaticallyAfterDays": 0}), "ValidationException"),
        (
            json!({"AutomaticallyAfterDays": 1001}),
            "ValidationException",
        ),
        (json!({"ScheduleExpression": ""}), "ValidationException"),
        (
            json!({"AutomaticallyAfterDays": 1, "Duration": "h"}),
            "ValidationException",
        ),
    ] {
        let (_, body) = rotate(&desk, &json!({"RotationRules": rules}));
        assert_eq!(desk.fault("RotateSecret", body).0, code, "{rules}");
    }
    let (_, body) = rotate(&desk, &json!({"ExternalSecretRotationRoleArn": "arn:x"}));
    assert_eq!(
        desk.fault("RotateSecret", body).0,
        "InvalidParameterException"
    );
    assert_eq!(noting.jobs(), []);
    assert_eq!(describe(&desk).get("RotationEnabled"), None);
}

#[test]
fn aws_4_cancelling_turns_the_schedule_off_and_leaves_the_pending_version() {
    let (desk, _, arn) = desk();
    let cancel = json!({"SecretId": "a"});
    let code = "InvalidRequestException";
    desk.refused("CancelRotateSecret", cancel.clone(), code, NO_FUNCTION);
    let (token, body) = rotate(&desk, &json!({}));
    desk.ok("RotateSecret", body);
    assert_eq!(
        desk.ok("CancelRotateSecret", cancel),
        json!({"ARN": arn, "Name": "a", "VersionId": token})
    );
    let described = describe(&desk);
    assert_eq!(described["RotationEnabled"], json!(false));
    assert_eq!(described["RotationLambdaARN"], json!(FUNCTION));
    assert_eq!(described.get("NextRotationDate"), None);
    assert_eq!(
        described["VersionIdsToStages"][&token],
        json!(["AWSPENDING"])
    );
    let (_, body) = rotate(&desk, &json!({}));
    desk.refused("RotateSecret", body, code, BLOCKED);
}

#[test]
fn aws_6_a_scheduled_secret_is_not_rotated() {
    let (desk, _, _) = desk();
    desk.ok("DeleteSecret", json!({"SecretId": "a"}));
    let (_, body) = rotate(&desk, &json!({}));
    let code = "InvalidRequestException";
    desk.refused("RotateSecret", body, code, SCHEDULED);
    desk.refused(
        "CancelRotateSecret",
        json!({"SecretId": "a"}),
        code,
        SCHEDULED,
    );
}
