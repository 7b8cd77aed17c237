//! A saved plan that only remembers: carried out all the same.

use serde_json::Value;

use super::desk::{Desk, console, holder, state};
use crate::moto::{Moto, REGION};

/// Rolled back alike here and on one remote, when another one is met that was left
/// behind: the first thing to do is to note what was agreed, and no step does that.
#[test]
fn a_plan_that_only_notes_what_was_agreed_is_saved_and_applied() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654366");
    let desk = Desk::with_remote(&keys, &moto.url());
    desk.put(&["db"], b"one");
    desk.sync();
    desk.put(&["db"], b"two");
    desk.sync();
    let there = state(&moto, &keys);
    let (one, two) = (
        holder(&there, "db", "AWSPREVIOUS").unwrap(),
        holder(&there, "db", "AWSCURRENT").unwrap(),
    );

    desk.ok(&["rollback", "db", "--yes"]);
    console(
        &moto,
        &keys,
        &format!(
            "sm.update_secret_version_stage(SecretId='db', VersionStage='AWSCURRENT', \
             RemoveFromVersionId='{two}', MoveToVersionId='{one}')\n\
             other = boto3.client('secretsmanager', endpoint_url=URL, region_name='us-west-2')\n\
             other.create_secret(Name='db', ClientRequestToken='{one}', SecretString='one')\n\
             other.put_secret_value(SecretId='db', ClientRequestToken='{two}', SecretString='two')\n\
             out(0)"
        ),
    );
    desk.ok(&[
        "remote",
        "add",
        "west",
        "--region",
        "us-west-2",
        "--endpoint",
        &moto.url(),
    ]);
    assert_ne!(REGION, "us-west-2");

    let file = desk.path("plan");
    let file = file.to_str().unwrap();
    let said = desk.ok(&["plan", "-o", file]);
    assert!(said.text().contains("moved alike"), "{}", said.text());
    let text = std::fs::read_to_string(file).unwrap();
    let body = text.rsplit_once('}').unwrap().0.to_owned() + "}";
    let plan: Value = serde_json::from_str(&body).unwrap();
    let saved = &plan["secrets"]["db"];
    assert_eq!(saved["steps"].as_array().unwrap().len(), 0, "{saved}");
    assert_eq!(saved["notes_first"].as_array().unwrap().len(), 1, "{saved}");

    // What else there is to do is for a plan of its own.
    let files = desk.files();
    let said = desk.ends(11, &["apply", "--yes", file]);
    assert!(said.err.contains("run it again"), "{}", said.err);
    assert!(desk.files() != files, "nothing was noted");
    let said = desk.ok(&["plan"]);
    assert!(!said.text().contains("moved alike"), "{}", said.text());
    desk.ends(14, &["apply", "--yes", file]);
}
