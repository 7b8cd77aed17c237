//! `AwsStore` against what goes wrong: endpoints that refuse, lie or hang up.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strongroom::aws::AwsStore;
use strongroom::config::RemoteConfig;
use strongroom::model::{
    Change, Direction, Invalid, Origin, Scope, SecretName, SecretValue, StagingLabel, VersionId,
    VersionMeta,
};
use strongroom::store::{SecretStore as _, Silent, StoreError};

use crate::canned::{Answer, Canned};
use crate::moto::{self, Keys, REGION};

const ACCOUNT: &str = "111111111111";

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn id(n: u8) -> VersionId {
    format!("{n:032x}").parse().unwrap()
}

fn arn(account: &str, secret: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{account}:secret:{secret}-AbCdEf")
}

fn ok(body: &Value) -> Answer {
    (200, body.to_string())
}

fn error(status: u16, code: &str) -> Answer {
    (
        status,
        json!({"__type": code, "Message": "text"}).to_string(),
    )
}

fn described(secret: &str, stages: &Value) -> Answer {
    ok(&json!({"ARN": arn(ACCOUNT, secret), "Name": secret, "VersionIdsToStages": stages}))
}

fn value_of(secret: &str, n: u8) -> Value {
    json!({
        "ARN": arn(ACCOUNT, secret), "Name": secret, "VersionId": id(n).as_str(),
        "SecretString": secret, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1_523_477_145.729
    })
}

fn config(url: &str) -> RemoteConfig {
    RemoteConfig {
        name: "prod".parse().unwrap(),
        region: REGION.into(),
        account: Some(ACCOUNT.into()),
        profile: None,
        role_arn: None,
        endpoint: Some(url.into()),
        scope: Scope::default(),
        direction: Direction::default(),
        on_conflict: strongroom::model::Strategy::Hold,
        extras: strongroom::model::Extras::default(),
    }
}

async fn connect(url: &str) -> Result<AwsStore, StoreError> {
    let keys = Keys {
        id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret: "x".into(),
        session: String::new(),
    };
    moto::connect(&config(url), &keys).await
}

/// A connection to an endpoint whose nth call is answered by `answer(operation, n)`.
async fn against(answer: impl Fn(&str, usize) -> Answer + Send + 'static) -> (Canned, AwsStore) {
    let count = AtomicUsize::new(0);
    let canned = Canned::start(move |operation, _| match operation {
        // No STS here, which a connection puts up with.
        "" => error(403, "InvalidSignatureException"),
        operation => answer(operation, count.fetch_add(1, Ordering::SeqCst)),
    });
    let store = connect(&canned.url()).await.expect("STS may be silent");
    (canned, store)
}

#[tokio::test]
async fn throttles_faults_and_lost_answers_are_tried_again() {
    let (canned, store) = against(|_, n| match n {
        0 => error(400, "ThrottlingException"),
        1 => error(500, "InternalServiceError"),
        2 => (0, String::new()),
        _ => described("a", &json!({id(1).as_str(): ["AWSCURRENT"]})),
    })
    .await;
    let seen = store.describe(&name("a")).await.unwrap().unwrap();
    assert_eq!(seen.state.current(), Some(&id(1)));
    assert_eq!(canned.operations(), ["DescribeSecret"; 4]);
}

#[tokio::test]
async fn what_stays_broken_is_told_apart() {
    for (answer, calls) in [
        (error(400, "AccessDeniedException"), 1),
        (error(403, "UnrecognizedClientException"), 1),
        (error(400, "ExpiredTokenException"), 2),
        (error(500, "InternalServiceError"), 4),
        ((502, "<html>bad gateway</html>".into()), 4),
        ((200, "<html>".into()), 4),
        (error(400, "ValidationException"), 1),
    ] {
        let text = answer.1.clone();
        let (canned, store) = against(move |_, _| answer.clone()).await;
        let failed = store.describe(&name("a")).await.unwrap_err();
        let fits = match &failed {
            StoreError::Denied { operation, .. } => {
                *operation == "DescribeSecret" && text.contains("AccessDenied")
            }
            StoreError::Credentials { code } => {
                code.contains("UnrecognizedClient") || code.contains("ExpiredToken")
            }
            StoreError::Refused { code, .. } => text.contains(code.as_str()),
            StoreError::Unreachable { detail } => detail.contains("502"),
            StoreError::Corrupt(_) => text == "<html>",
            _ => false,
        };
        assert!(fits, "{text}: {failed:?}");
        assert_eq!(canned.operations().len(), calls, "{text}");
    }
}

#[tokio::test]
async fn an_endpoint_nobody_listens_on_is_unreachable_and_soon_so() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let start = Instant::now();
    let store = connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
    let failed = store.view(&[], &Silent).await.unwrap_err();
    assert!(
        matches!(&failed, StoreError::Unreachable { detail } if detail.contains("refused")),
        "{failed:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn an_item_of_another_account_or_region_stops_everything() {
    let region = arn(ACCOUNT, "a").replace(REGION, "us-east-1");
    for wrong in [arn("222222222222", "a"), region] {
        let (canned, store) = against(move |operation, _| match operation {
            "ListSecrets" => ok(&json!({"SecretList": [{"ARN": wrong, "Name": "a"}]})),
            _ => ok(&json!({"ARN": wrong, "Name": "a", "VersionId": id(1).as_str()})),
        })
        .await;
        let (secret, value) = (name("a"), SecretValue::string(b"x".to_vec()).unwrap());
        let create = Change::Create {
            attributes: strongroom::model::Attributes::default(),
            version: Some((id(1), VersionMeta::unread(Origin::Local))),
        };
        for failed in [
            store.view(&[], &Silent).await.map(|_| ()),
            store.describe(&secret).await.map(|_| ()),
            store.read(&secret, &id(1)).await.map(|_| ()),
            store.apply(&secret, &create, Some(&value)).await,
        ] {
            assert!(
                matches!(failed, Err(StoreError::WrongAccount { .. })),
                "{failed:?}"
            );
        }
        assert_eq!(canned.operations().len(), 4);
    }
}

#[tokio::test]
async fn a_listing_page_by_page_is_no_snapshot() {
    let canned = Canned::start(|operation, body| match operation {
        "ListSecrets" => match body["NextToken"].as_str() {
            None => ok(&json!({"SecretList": [
                {"ARN": arn(ACCOUNT, "a"), "Name": "a"},
                {"ARN": arn(ACCOUNT, "b"), "Name": "b"},
            ], "NextToken": "2"})),
            // An empty page that goes on, as AWS may give.
            Some("2") => ok(&json!({"SecretList": [], "NextToken": "3"})),
            _ => ok(&json!({"SecretList": [
                {"ARN": arn(ACCOUNT, "a"), "Name": "a"},
                // Made anew meanwhile.
                {"ARN": arn(ACCOUNT, "b").replace("AbCdEf", "ZZZZZZ"), "Name": "b"},
            ]})),
        },
        "DescribeSecret" => match body["SecretId"].as_str() {
            Some("b") => described("b", &json!({id(7).as_str(): ["AWSCURRENT"]})),
            Some("hidden") => error(400, "AccessDeniedException"),
            _ => error(400, "ResourceNotFoundException"),
        },
        _ => error(400, "InvalidSignatureException"),
    });
    let store = connect(&canned.url()).await.unwrap();
    let view = store
        .view(&[name("a"), name("gone"), name("hidden")], &Silent)
        .await
        .unwrap();
    assert_eq!(view.listed, 3);
    let names: Vec<&str> = view.secrets.keys().map(SecretName::as_str).collect();
    assert_eq!(names, ["a", "b", "hidden"]);
    let sights: Vec<String> = view.secrets.values().map(|s| format!("{s:?}")).collect();
    assert!(sights[1].contains(id(7).as_str()), "{}", sights[1]);
    assert!(sights[2].contains("DescribeSecret"), "{}", sights[2]);
    let pages = canned.bodies("ListSecrets");
    assert_eq!(pages.len(), 3);
    assert_eq!(pages[0]["MaxResults"], 100);
    assert_eq!(pages[0]["IncludePlannedDeletion"], true);
}

#[tokio::test]
async fn a_listing_that_never_ends_is_not_followed() {
    let (_canned, store) =
        against(|_, _| ok(&json!({"SecretList": [], "NextToken": "again"}))).await;
    assert!(matches!(
        store.view(&[], &Silent).await,
        Err(StoreError::Corrupt(_))
    ));
}

#[tokio::test]
async fn a_batch_that_is_not_allowed_becomes_single_reads() {
    let canned = Canned::start(|operation, body| match operation {
        "GetSecretValue" => match body["SecretId"].as_str() {
            Some("denied") => error(400, "AccessDeniedException"),
            Some(secret) => ok(&value_of(secret, 1)),
            None => error(400, "ValidationException"),
        },
        _ => error(400, "AccessDeniedException"),
    });
    let store = connect(&canned.url()).await.unwrap();
    let names = [name("a"), name("denied"), name("c")];
    let got = store.read_current(&names).await.unwrap();
    assert!(
        got[0]
            .as_ref()
            .is_ok_and(|r| r.value.expose_secret() == b"a")
    );
    assert!(matches!(
        &got[1],
        Err(StoreError::Denied {
            operation: "GetSecretValue",
            ..
        })
    ));
    assert!(got[2].is_ok());
    for body in canned.bodies("GetSecretValue") {
        assert_eq!(body["VersionStage"], "AWSCURRENT");
    }
}

#[tokio::test]
async fn one_secret_of_a_batch_may_fail_alone() {
    let canned = Canned::start(|operation, body| match operation {
        // Out of order, and one is missing altogether.
        "BatchGetSecretValue" => ok(&json!({
        "SecretValues": [value_of("c", 3), value_of("a", 1)],
        "Errors": [
            {"SecretId": "denied", "ErrorCode": "AccessDeniedException", "Message": "m"},
            {"SecretId": "slow", "ErrorCode": "ThrottlingException", "Message": "m"},
            {"SecretId": "gone", "ErrorCode": "ResourceNotFoundException", "Message": "m"},
            {"SecretId": "going", "ErrorCode": "InvalidRequestException", "Message": "m"},
            {"SecretId": "kms", "ErrorCode": "DecryptionFailure", "Message": "m"},
        ]})),
        "GetSecretValue" => ok(&value_of("slow", 9)),
        "DescribeSecret" => {
            let secret = body["SecretId"].as_str().unwrap_or_default();
            ok(&json!({"ARN": arn(ACCOUNT, secret), "Name": secret, "DeletedDate": 1_600_000_000}))
        }
        _ => error(400, "InvalidSignatureException"),
    });
    let store = connect(&canned.url()).await.unwrap();
    let names: Vec<SecretName> = ["a", "denied", "c", "slow", "gone", "going", "kms", "lost"]
        .iter()
        .map(|n| name(n))
        .collect();
    let got = store.read_current(&names).await.unwrap();
    let told: Vec<String> = got
        .iter()
        .map(|r| match r {
            Ok(r) => format!("version {}", r.id.as_str().trim_start_matches('0')),
            Err(e) => e.to_string(),
        })
        .collect();
    assert_eq!(
        told,
        [
            "version 1",
            "the remote denied BatchGetSecretValue (code AccessDeniedException)",
            "version 3",
            "version 9",
            "the remote has no such secret",
            "the remote has changed: the secret is scheduled for deletion",
            "the remote refused BatchGetSecretValue: DecryptionFailure: m",
            "the remote's answer makes no sense: BatchGetSecretValue answered nothing for lost",
        ]
    );
}

#[tokio::test]
async fn a_label_move_whose_answer_is_lost_is_found_done() {
    let (canned, store) = against(|operation, n| match (operation, n) {
        // AWS moved the label; the answer never came, and the second try is refused.
        ("UpdateSecretVersionStage", 0) => (0, String::new()),
        ("UpdateSecretVersionStage", _) => error(400, "InvalidParameterException"),
        _ => described(
            "a",
            &json!({id(2).as_str(): ["AWSCURRENT"], id(1).as_str(): ["AWSPREVIOUS"]}),
        ),
    })
    .await;
    let moved = |from: u8, to: u8| Change::MoveLabel {
        label: StagingLabel::current(),
        from: Some(id(from)),
        to: Some(id(to)),
    };
    assert_eq!(store.apply(&name("a"), &moved(1, 2), None).await, Ok(()));
    let body = &canned.bodies("UpdateSecretVersionStage")[0];
    assert_eq!(body["RemoveFromVersionId"], id(1).as_str());
    assert_eq!(body["MoveToVersionId"], id(2).as_str());
    // The other way it was somebody else.
    assert_eq!(
        store.apply(&name("a"), &moved(1, 3), None).await,
        Err(StoreError::Changed(Invalid::Changed {
            label: StagingLabel::current(),
            expected: Some(id(1)),
            found: Some(id(2)),
        }))
    );
}

#[tokio::test]
async fn every_write_carries_its_token() {
    let (canned, store) = against(|operation, _| match operation {
        "DescribeSecret" => described("a", &json!({id(1).as_str(): ["AWSCURRENT"]})),
        _ => ok(&json!({"ARN": arn(ACCOUNT, "a"), "Name": "a", "VersionId": id(1).as_str()})),
    })
    .await;
    let secret = name("a");
    let bare = Change::Create {
        attributes: strongroom::model::Attributes::default(),
        version: None,
    };
    let described = Change::SetAttributes {
        from: strongroom::model::Attributes::default(),
        to: strongroom::model::Attributes {
            description: Some("d".into()),
            ..Default::default()
        },
    };
    for _ in 0..2 {
        store.apply(&secret, &bare, None).await.unwrap();
        store.apply(&secret, &described, None).await.unwrap();
    }
    for operation in ["CreateSecret", "UpdateSecret"] {
        let bodies = canned.bodies(operation);
        assert_eq!(bodies.len(), 2);
        // The SDK would fill in a random one.
        assert_eq!(bodies[0], bodies[1]);
        assert_eq!(bodies[0]["ClientRequestToken"].as_str().unwrap().len(), 64);
        assert!(bodies[0].get("SecretString").is_none());
    }
    let value = SecretValue::binary(vec![1]).unwrap();
    let put = Change::AddVersion {
        id: id(1),
        meta: VersionMeta::unread(Origin::Local),
        labels: vec![StagingLabel::holding()],
    };
    store.apply(&secret, &put, Some(&value)).await.unwrap();
    assert_eq!(
        canned.bodies("PutSecretValue"),
        [json!({
            "SecretId": "a", "ClientRequestToken": id(1).as_str(),
            "SecretBinary": "AQ==", "VersionStages": ["SRPUSH"]
        })]
    );
}

#[tokio::test]
async fn an_answer_about_something_else_is_not_believed() {
    let (_canned, store) = against(|operation, _| match operation {
        "DescribeSecret" => described("b", &json!({})),
        _ => ok(&value_of("a", 2)),
    })
    .await;
    assert!(matches!(
        store.describe(&name("a")).await,
        Err(StoreError::Corrupt(_))
    ));
    assert!(matches!(
        store.read(&name("a"), &id(1)).await.map(|_| ()),
        Err(StoreError::Corrupt(_))
    ));
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_is_a_matter_of_credentials() {
    let keys = Keys {
        id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret: "x".into(),
        session: String::new(),
    };
    let denied = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>";
    let canned = Canned::start(move |_, _| (403, denied.into()));
    let mut config = config(&canned.url());
    config.role_arn = Some(format!("arn:aws:iam::{ACCOUNT}:role/sync"));
    let store = moto::connect(&config, &keys).await.unwrap();
    let failed = store.describe(&name("a")).await.map(|_| ());
    assert!(
        matches!(&failed, Err(StoreError::Credentials { code }) if code.contains("AccessDenied")),
        "{failed:?}"
    );
    assert!(canned.operations().is_empty());
    // Nobody there at all is another matter.
    drop(canned);
    let store = moto::connect(&config, &keys).await.unwrap();
    let failed = store.describe(&name("a")).await.map(|_| ());
    assert!(
        matches!(failed, Err(StoreError::Unreachable { .. })),
        "{failed:?}"
    );
}
