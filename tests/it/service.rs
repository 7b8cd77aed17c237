//! What the service answers beside single requests: imported secrets under their own
//! ARNs, several accounts and Regions, changes by others, the lock.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom::config::RemoteConfig;
use strongroom::model::{
    Author, Change, Content, Direction, Halves, Origin, OwnField, Pair, Record, RemoteBase,
    RemoteFacts, RemoteName, RemoteSecret, RemoteView, Rotation, Scope, SecretName, SecretValue,
    Sight, Timestamp, VersionId, VersionMeta,
};
use strongroom::server::{Grant, Service};
use strongroom::vault::{Durability, Fetched, Vault};

use super::api::Desk;

const A: &str = "111111111111";
const B: &str = "222222222222";

fn remote(name: &str) -> RemoteName {
    name.parse().unwrap()
}

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn version(n: u32) -> VersionId {
    format!("{n:08}-0000-4000-8000-000000000000")
        .parse()
        .unwrap()
}

fn arn(region: &str, account: &str, rest: &str) -> String {
    format!("arn:aws:secretsmanager:{region}:{account}:secret:{rest}")
}

/// Two accounts: `one` in Frankfurt under the vault's names, `two` in Virginia, where
/// `team/x` is called `x`.
fn add_remotes(vault: &Vault) {
    let one = RemoteConfig {
        name: remote("one"),
        region: "eu-central-1".to_owned(),
        account: Some(A.to_owned()),
        profile: None,
        role_arn: None,
        endpoint: None,
        scope: Scope::default(),
        direction: Direction::TwoWay,
        on_conflict: strongroom::model::Strategy::Hold,
        extras: strongroom::model::Extras::default(),
    };
    let two = RemoteConfig {
        name: remote("two"),
        region: "us-east-1".to_owned(),
        // Not pinned: an ARN tells.
        account: None,
        scope: Scope {
            map: Some(("team/".to_owned(), String::new())),
            ..Scope::default()
        },
        ..one.clone()
    };
    let mut config = (*vault.config()).clone();
    config.remotes = BTreeMap::from([(remote("one"), one), (remote("two"), two)]);
    let mut tx = vault.begin("test", Timestamp::from_secs(1)).unwrap();
    tx.without_git();
    tx.set_config(config);
    tx.commit("test", Durability::Each).unwrap();
}

/// Puts a secret into the vault behind the service's back, agreed with these remotes.
fn store(vault: &Vault, secret: &str, n: u32, pairs: &[(&str, String)]) {
    let name = name(secret);
    let mut tx = vault.begin("test", Timestamp::from_secs(1)).unwrap();
    tx.without_git();
    let mut record = tx.record(&name).unwrap().unwrap_or_else(|| {
        let mut record = Record::new(name.clone());
        let create = Change::Create {
            attributes: Default::default(),
            version: None,
        };
        record.apply(&create, Author::Here).unwrap();
        record
    });
    let value = SecretValue::string(format!("value {n}").into_bytes()).unwrap();
    let created = Some(Timestamp::from_secs(i64::from(n)));
    let digest = tx.add_value(&name, &version(n), &value, created).unwrap();
    let change = Change::AddVersion {
        id: version(n),
        meta: VersionMeta {
            created,
            content: Content::Value {
                kind: value.kind(),
                digest,
            },
            parent: None,
            origin: Origin::Local,
        },
        labels: vec!["AWSCURRENT".parse().unwrap()],
    };
    record.apply(&change, Author::Here).unwrap();
    for (r, arn) in pairs {
        let pair = Pair {
            arn: arn.clone(),
            changed: None,
            local: record.state.face(),
            remote: record.state.face(),
        };
        let base = RemoteBase {
            pair: Some(pair),
            ..RemoteBase::default()
        };
        record.base.insert(remote(r), base);
    }
    tx.put(record);
    tx.commit("test", Durability::Each).unwrap();
}

/// The service over the two accounts: `shared` in `one`, `team/x` in both, `mine` in
/// none.
fn desk() -> Desk {
    let desk = Desk::new();
    let vault = desk.service.vault();
    add_remotes(vault);
    store(
        vault,
        "shared",
        1,
        &[("one", arn("eu-central-1", A, "shared-AAAAAA"))],
    );
    let both = [
        ("one", arn("eu-central-1", A, "team/x-BBBBBB")),
        ("two", arn("us-east-1", B, "x-CCCCCC")),
    ];
    store(vault, "team/x", 2, &both);
    store(vault, "mine", 3, &[]);
    desk.service.mark_stale();
    desk
}

fn get(desk: &Desk, id: &str) -> Value {
    let reply = desk.ask(
        "GetSecretValue",
        json!({ "SecretId": id }).to_string().as_bytes(),
    );
    serde_json::from_slice(&reply.body).unwrap()
}

fn is_missing(answer: &Value) -> bool {
    answer["__type"] == "ResourceNotFoundException"
}

#[test]
fn aws_2_an_imported_secret_answers_to_its_real_arn() {
    let desk = desk();
    let real = arn("eu-central-1", A, "shared-AAAAAA");
    for id in ["shared", &real, &arn("eu-central-1", A, "shared")] {
        let answer = get(&desk, id);
        assert_eq!(answer["ARN"], json!(real), "{id}");
        assert_eq!(answer["SecretString"], "value 1");
    }
    for id in [
        arn("eu-central-1", A, "shared-ZZZZZZ"),
        arn("eu-central-1", B, "shared"),
        arn("us-east-1", A, "shared"),
    ] {
        assert!(is_missing(&get(&desk, &id)), "{id}");
    }
}

#[test]
fn a_key_for_the_whole_vault_prefers_the_arn_of_its_region() {
    let mut desk = desk();
    assert_eq!(
        get(&desk, "team/x")["ARN"],
        json!(arn("eu-central-1", A, "team/x-BBBBBB"))
    );
    desk.caller.region = "us-east-1".to_owned();
    assert_eq!(
        get(&desk, "team/x")["ARN"],
        json!(arn("us-east-1", B, "x-CCCCCC"))
    );
    desk.caller.region = "eu-west-3".to_owned();
    assert_eq!(
        get(&desk, "team/x")["ARN"],
        json!(arn("eu-central-1", A, "team/x-BBBBBB"))
    );
    // It answers to each of its ARNs, whatever the Region.
    let other = arn("us-east-1", B, "x-CCCCCC");
    assert_eq!(get(&desk, &other)["ARN"], json!(other));
}

#[test]
fn a_key_of_an_account_sees_that_accounts_names_in_the_region_it_signs_for() {
    let mut desk = desk();
    desk.caller.account = Some(B.to_owned());
    desk.caller.region = "us-east-1".to_owned();
    let answer = get(&desk, "x");
    assert_eq!(answer["Name"], "x");
    assert_eq!(answer["ARN"], json!(arn("us-east-1", B, "x-CCCCCC")));
    for id in [
        "team/x",
        "shared",
        "mine",
        &arn("eu-central-1", A, "team/x-BBBBBB"),
    ] {
        assert!(is_missing(&get(&desk, id)), "{id}");
    }
    // Another Region of the account has nothing.
    desk.caller.region = "eu-central-1".to_owned();
    assert!(is_missing(&get(&desk, "x")));
    // The other account, with what would be pushed there.
    desk.caller.account = Some(A.to_owned());
    assert_eq!(get(&desk, "mine")["SecretString"], "value 3");
    assert!(is_missing(&get(&desk, "x")));
}

#[test]
fn what_an_accounts_key_creates_gets_the_vaults_name() {
    let mut desk = desk();
    desk.caller.account = Some(B.to_owned());
    desk.caller.region = "us-east-1".to_owned();
    desk.caller.grant = Grant {
        read_only: false,
        only: vec!["team/".to_owned()],
    };
    let body =
        json!({"Name": "new", "ClientRequestToken": version(9).as_str(), "SecretString": "v"});
    let reply = desk.ask("CreateSecret", body.to_string().as_bytes());
    let answer: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(answer["Name"], "new");
    let made = answer["ARN"].as_str().unwrap();
    assert!(made.starts_with(&arn("us-east-1", B, "new-")), "{made}");
    let record = desk
        .service
        .vault()
        .record(&name("team/new"))
        .unwrap()
        .unwrap();
    assert_eq!(record.state.current(), Some(&version(9)));
    assert_eq!(get(&desk, made)["SecretString"], "v");
}

#[test]
fn aws_2_the_suffix_of_a_new_secret_is_stable_and_another_after_it_was_made_anew() {
    let desk = Desk::new();
    let create = |n: u32| {
        let body =
            json!({"Name": "a", "ClientRequestToken": version(n).as_str(), "SecretString": "v"});
        let reply = desk.ask("CreateSecret", body.to_string().as_bytes());
        let answer: Value = serde_json::from_slice(&reply.body).unwrap();
        answer["ARN"].as_str().unwrap().to_owned()
    };
    let first = create(1);
    assert_eq!(get(&desk, "a")["ARN"], json!(first));
    assert_eq!(get(&desk, &first)["Name"], "a");
    desk.ask(
        "DeleteSecret",
        br#"{"SecretId":"a","ForceDeleteWithoutRecovery":true}"#,
    );
    let second = create(2);
    assert_ne!(first, second);
    assert!(is_missing(&get(&desk, &first)));
    assert_eq!(get(&desk, &second)["VersionId"], version(2).as_str());
}

#[test]
fn a_change_by_another_process_is_served_once_the_service_is_told() {
    let desk = desk();
    assert_eq!(get(&desk, "shared")["SecretString"], "value 1");
    store(desk.service.vault(), "shared", 7, &[]);
    desk.service.mark_stale();
    assert_eq!(get(&desk, "shared")["SecretString"], "value 7");
}

#[test]
fn a_locked_vault_answers_nothing_and_names_the_way_out() {
    let desk = desk();
    assert_eq!(get(&desk, "shared")["SecretString"], "value 1");
    desk.service.lock();
    for operation in ["GetSecretValue", "DescribeSecret", "DeleteSecret"] {
        let reply = desk.ask(operation, br#"{"SecretId":"shared"}"#);
        let text = String::from_utf8(reply.body.to_vec()).unwrap();
        assert_eq!(reply.status, 400);
        assert!(
            text.contains("AccessDeniedException") && text.contains("strongroom unlock"),
            "{text}"
        );
    }
    desk.service.unlock();
    assert_eq!(get(&desk, "shared")["SecretString"], "value 1");
}

#[test]
fn metadata_that_is_not_believed_is_never_served() {
    let desk = desk();
    let vault = desk.service.vault();
    let path = vault.root().join("secrets/shared.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let forged = text.replace(
        "lifecycle = \"live\"",
        "lifecycle = \"live\"\ndescription = \"x\"",
    );
    assert_ne!(text, forged);
    std::fs::write(&path, forged).unwrap();
    desk.service.mark_stale();
    let answer = get(&desk, "shared");
    assert_eq!(answer["__type"], "DecryptionFailure", "{answer}");
    std::fs::write(&path, text).unwrap();
    desk.service.mark_stale();
    assert_eq!(get(&desk, "shared")["SecretString"], "value 1");
}

#[test]
fn a_write_is_an_ordinary_change_of_the_vault_and_news_for_its_remotes() {
    let desk = desk();
    let body = json!({"SecretId": "shared", "ClientRequestToken": version(8).as_str(), "SecretString": "new"});
    assert_eq!(
        desk.ask("PutSecretValue", body.to_string().as_bytes())
            .status,
        200
    );
    let record = desk
        .service
        .vault()
        .record(&name("shared"))
        .unwrap()
        .unwrap();
    let current = "AWSCURRENT".parse().unwrap();
    let base = &record.base[&remote("one")];
    assert_eq!(
        base.intents.get(&current),
        Some(&Some(version(1))),
        "to be pushed, from the version it replaced"
    );
    assert_eq!(record.state.versions[&version(8)].parent, Some(version(1)));
    let service: &Service = &desk.service;
    assert!(service.vault().fsck_is_clean());
}

/// What `one` was last seen to have of `shared` and `team/x`.
fn see(desk: &Desk) {
    let vault = desk.service.vault();
    let facts = RemoteFacts {
        kms_key: Some("alias/there".into()),
        rotation_enabled: true,
        rotation: Some(Rotation {
            enabled: true,
            function: Some("arn:aws:lambda:eu-central-1:111111111111:function:r".into()),
            after_days: Some(30),
            ..Rotation::default()
        }),
        primary_region: Some("eu-central-1".into()),
        replicas: Some(BTreeMap::from([("eu-west-1".into(), None)])),
        policy: Some("{}".into()),
        ..RemoteFacts::default()
    };
    let mut view = RemoteView::default();
    for (secret, rest) in [("shared", "shared-AAAAAA"), ("team/x", "team/x-BBBBBB")] {
        let facts = RemoteFacts {
            arn: arn("eu-central-1", A, rest),
            ..facts.clone()
        };
        let seen = RemoteSecret {
            facts,
            ..RemoteSecret::default()
        };
        view.secrets.insert(name(secret), Sight::Seen(seen));
    }
    let fetched = Fetched {
        at: Timestamp::from_secs(2),
        view,
    };
    vault.save_view(&remote("one"), &fetched).unwrap();
    desk.service.mark_stale();
}

fn ask(desk: &Desk, operation: &str, body: &Value) -> Value {
    let reply = desk.ask(operation, body.to_string().as_bytes());
    serde_json::from_slice(&reply.body).unwrap()
}

/// aws.md section 4: of an imported secret, DescribeSecret and GetResourcePolicy say what
/// the remote was last seen to have.
#[test]
fn aws_4_an_imported_secret_shows_what_its_remote_has_of_its_own() {
    let desk = desk();
    see(&desk);
    let shared = json!({ "SecretId": "shared" });
    let told = ask(&desk, "DescribeSecret", &shared);
    assert_eq!(told["KmsKeyId"], "alias/there");
    assert_eq!(told["RotationEnabled"], true);
    assert_eq!(told["RotationRules"]["AutomaticallyAfterDays"], 30);
    assert!(told["RotationLambdaARN"].as_str().unwrap().ends_with(":r"));
    assert_eq!(told["PrimaryRegion"], "eu-central-1");
    assert_eq!(told["ReplicationStatus"][0]["Region"], "eu-west-1");
    let policy = ask(&desk, "GetResourcePolicy", &shared);
    assert_eq!(policy["ResourcePolicy"], "{}");
    let listed = ask(&desk, "ListSecrets", &json!({}));
    let all = listed["SecretList"].as_array().unwrap();
    let one = all.iter().find(|s| s["Name"] == "shared").unwrap();
    assert_eq!(one["KmsKeyId"], "alias/there");
    // Of another remote, and of none, nothing of it is said.
    for id in [arn("us-east-1", B, "x-CCCCCC"), "mine".to_owned()] {
        let told = ask(&desk, "DescribeSecret", &json!({ "SecretId": id }));
        assert_eq!(
            (&told["KmsKeyId"], &told["RotationEnabled"]),
            (&Value::Null, &Value::Null)
        );
        let policy = ask(&desk, "GetResourcePolicy", &json!({ "SecretId": id }));
        assert_eq!(policy["ResourcePolicy"], Value::Null);
    }
    // It cannot be deleted while it has a replica over there, which is AWS's to remove.
    let answer = ask(&desk, "DeleteSecret", &shared);
    assert_eq!(answer["__type"], "InvalidParameterException", "{answer}");
    let remove = json!({ "SecretId": "shared", "RemoveReplicaRegions": ["eu-west-1"] });
    let answer = ask(&desk, "RemoveRegionsFromReplication", &remove);
    assert_eq!(answer["__type"], "InvalidParameterException", "{answer}");
}

/// What is set on an ARN is for the remote of that ARN alone, and starts from what that
/// was seen to have.
#[test]
fn what_is_set_here_is_for_one_remote() {
    let desk = desk();
    see(&desk);
    let (one, two) = (
        arn("eu-central-1", A, "team/x-BBBBBB"),
        arn("us-east-1", B, "x-CCCCCC"),
    );
    let own = || {
        let record = desk
            .service
            .vault()
            .record(&name("team/x"))
            .unwrap()
            .unwrap();
        let of = |r: &str| record.base[&remote(r)].own.clone();
        assert!(record.details.kms_key.is_none() && record.details.policy.is_none());
        (of("one"), of("two"))
    };
    let set = |here: Option<&str>, there: &str| Halves {
        here: here.map(str::to_owned),
        there: there.to_owned(),
    };
    let kms = |id: &str, key: &str| {
        let token = version(9);
        let body = json!({ "SecretId": id, "ClientRequestToken": token.as_str(), "KmsKeyId": key });
        let answer = ask(&desk, "UpdateSecret", &body);
        assert_eq!(answer["ARN"], json!(id), "{answer}");
    };
    kms(&one, "alias/new");
    assert_eq!(
        own().0[&OwnField::KmsKey],
        set(Some("alias/new"), "alias/there")
    );
    assert!(own().1.is_empty());
    let told = ask(&desk, "DescribeSecret", &json!({ "SecretId": one }));
    assert_eq!(told["KmsKeyId"], "alias/new");
    let told = ask(&desk, "DescribeSecret", &json!({ "SecretId": two }));
    assert_eq!(told["KmsKeyId"], Value::Null);
    kms(&two, "alias/other");
    assert_eq!(own().1[&OwnField::KmsKey], set(Some("alias/other"), ""));
    // Back to what is there: nothing to push any more.
    kms(&one, "alias/there");
    assert_eq!(own().0[&OwnField::KmsKey], set(None, "alias/there"));
    kms(&two, "");
    assert!(own().1.is_empty());
    kms(&one, "");
    assert_eq!(own().0[&OwnField::KmsKey], set(Some(""), "alias/there"));
    let told = ask(&desk, "DescribeSecret", &json!({ "SecretId": one }));
    assert_eq!(told["KmsKeyId"], Value::Null);

    let policy = r#"{ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::111111111111:root" }, "Action": "secretsmanager:GetSecretValue", "Resource": "*" }] }"#;
    let body = json!({ "SecretId": one, "ResourcePolicy": policy });
    ask(&desk, "PutResourcePolicy", &body);
    let canonical = strongroom::model::canonical_json(policy).unwrap();
    assert_eq!(own().0[&OwnField::Policy], set(Some(&canonical), "{}"));
    let shown = ask(&desk, "GetResourcePolicy", &json!({ "SecretId": one }));
    assert_eq!(shown["ResourcePolicy"], json!(canonical));
    ask(&desk, "DeleteResourcePolicy", &json!({ "SecretId": one }));
    assert_eq!(own().0[&OwnField::Policy], set(Some(""), "{}"));
    let shown = ask(&desk, "GetResourcePolicy", &json!({ "SecretId": one }));
    assert_eq!(shown["ResourcePolicy"], Value::Null);

    let add = json!({ "SecretId": one, "AddReplicaRegions": [{ "Region": "ap-south-1" }] });
    let answer = ask(&desk, "ReplicateSecretToRegions", &add);
    assert_eq!(
        answer["ReplicationStatus"].as_array().unwrap().len(),
        2,
        "{answer}"
    );
    assert_eq!(
        own().0[&OwnField::Replicas],
        set(Some("ap-south-1"), "eu-west-1")
    );
    let remove = json!({ "SecretId": one, "RemoveReplicaRegions": ["ap-south-1"] });
    ask(&desk, "RemoveRegionsFromReplication", &remove);
    assert_eq!(own().0[&OwnField::Replicas], set(None, "eu-west-1"));
    assert!(own().1.is_empty());
}

trait Clean {
    fn fsck_is_clean(&self) -> bool;
}

impl Clean for Vault {
    /// Every value that metadata lists opens.
    fn fsck_is_clean(&self) -> bool {
        let loaded = self.load().unwrap();
        loaded.blocked.is_empty()
            && loaded.records.values().all(|record| {
                record
                    .state
                    .versions
                    .keys()
                    .all(|id| self.read(record, id).is_ok())
            })
    }
}
