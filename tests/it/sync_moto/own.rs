//! What each remote has of its own, against moto: KMS key, resource policy, replicas.

use serde_json::{Value, json};
use strongroom::model::OwnField;
use strongroom::vault::{Durability, Vault};

use super::desk::{Desk, console};
use crate::moto::{Keys, Moto, REGION};

const POLICY: &str = r#"{"Statement":[{"Action":"secretsmanager:GetSecretValue","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Resource":"*"}],"Version":"2012-10-17"}"#;

/// Sets something here for `prod`, as the endpoint does.
fn want(desk: &Desk, field: OwnField, text: &str) {
    let identity = std::fs::read(desk.path(".config/strongroom/identity")).unwrap();
    let identity = strongroom::crypto::Identity::from_file(&identity).unwrap();
    let mut vault = Vault::open(&desk.vault(), &desk.path(".local/state")).unwrap();
    vault.unlock(&identity).unwrap();
    let now = strongroom::model::Timestamp::from_secs(1_800_000_000);
    let mut tx = vault.begin("test", now).unwrap();
    let mut record = tx.record(&"db".parse().unwrap()).unwrap().unwrap();
    let base = record.base.get_mut(&"prod".parse().unwrap()).unwrap();
    base.own.entry(field).or_default().here = Some(text.to_owned());
    tx.put(record);
    tx.commit("test", Durability::Each).unwrap();
}

fn there(moto: &Moto, keys: &Keys) -> Value {
    let script = "d = sm.describe_secret(SecretId='db')\n\
        p = sm.get_resource_policy(SecretId='db').get('ResourcePolicy')\n\
        out({'kms': d.get('KmsKeyId'), 'policy': json.loads(p) if p else None,\n\
             'replicas': sorted(r['Region'] for r in d.get('ReplicationStatus', [])),\n\
             'versions': d['VersionIdsToStages']})";
    console(moto, keys, script)
}

fn own(desk: &Desk) -> Value {
    desk.ok(&["show", "db", "--json"]).json()["Remotes"]["prod"]["Own"].clone()
}

#[test]
fn it_is_seen_pushed_and_read_back() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654377");
    let url = moto.url();
    let desk = Desk::new(&keys);
    let add = [
        "remote",
        "add",
        "prod",
        "--region",
        REGION,
        "--endpoint",
        &url,
    ];
    let set = [
        "--details",
        "--push-kms",
        "--push-policy",
        "--push-replicas",
    ];
    desk.ok(&[&add[..], &set[..]].concat());
    let script = format!(
        "sm.create_secret(Name='db', SecretString='x', KmsKeyId='alias/a', ClientRequestToken=vid(1))\n\
         sm.put_resource_policy(SecretId='db', ResourcePolicy=json.dumps(json.loads('{POLICY}'), indent=2))\n\
         out(0)"
    );
    console(&moto, &keys, &script);
    desk.sync();
    let seen = own(&desk);
    assert_eq!(
        seen["KmsKeyId"],
        json!({ "There": "alias/a", "SetHere": null })
    );
    assert_eq!(seen["ResourcePolicy"]["There"], json!(POLICY));
    let files = desk.files();
    desk.assert_quiet();
    assert!(desk.files() == files);

    let other = POLICY.replace("\"Resource\":\"*\"", "\"Resource\":[\"*\"]");
    want(&desk, OwnField::KmsKey, "alias/b");
    want(&desk, OwnField::Policy, &other);
    want(&desk, OwnField::Replicas, "us-east-1");
    let said = desk.ok(&["plan"]).text();
    for line in [
        "prod: set the KMS key alias/b",
        "prod: set the resource policy",
        "prod: replicate to us-east-1",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let before = there(&moto, &keys)["versions"].clone();
    desk.sync();
    let now = there(&moto, &keys);
    assert_eq!(now["kms"], "alias/b");
    assert_eq!(
        now["policy"],
        serde_json::from_str::<Value>(&other).unwrap()
    );
    assert_eq!(now["replicas"], json!(["us-east-1"]));
    assert_eq!(
        now["versions"], before,
        "no version was made, no label moved"
    );
    desk.assert_quiet();

    // What changed there is named before anything is done about it.
    let script = "sm.update_secret(SecretId='db', KmsKeyId='alias/c')\nout(0)";
    console(&moto, &keys, script);
    desk.ok(&["fetch"]);
    let drift = "db: prod: KMS key there: alias/c";
    let said = desk.ok(&["status"]).text();
    assert!(said.contains(drift), "{said}");
    assert_eq!(
        desk.ok(&["status", "--json"]).json()["Remotes"][0]["Drift"],
        json!([drift])
    );
    desk.sync();
    let said = desk.ok(&["status"]).text();
    assert!(!said.contains(drift), "{said}");
    let said = desk.ok(&["show", "db"]).text();
    assert!(said.contains("  KMS key      prod  alias/c\n"), "{said}");

    // Both sides change the key: a person decides, from what is on record.
    want(&desk, OwnField::KmsKey, "alias/here");
    console(
        &moto,
        &keys,
        "sm.update_secret(SecretId='db', KmsKeyId='alias/there')\nout(0)",
    );
    desk.ends(4, &["sync", "--yes"]);
    let said = desk.ok(&["conflicts"]).text();
    assert!(said.contains("kms_key"), "{said}");
    desk.ok(&["resolve", "db", "--theirs"]);
    desk.sync();
    assert_eq!(there(&moto, &keys)["kms"], "alias/there");
    desk.assert_quiet();

    // A policy is taken away again.
    want(&desk, OwnField::Policy, "");
    desk.sync();
    assert_eq!(there(&moto, &keys)["policy"], Value::Null);
    desk.assert_quiet();
}
