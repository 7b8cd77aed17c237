//! A conflict between two JSON objects, merged by key; and a plan that a reviewer reads.

use serde_json::Value;

use super::desk::{Desk, console, serves, state};
use crate::moto::Moto;

/// Both sides go on from the same object: `a` and `b` by one side each, `both` by both.
fn conflict(desk: &Desk, console: impl Fn(&str), n: usize) {
    let base = format!(r#"{{"a": "1", "b": "1", "both": "1", "n": {n}}}"#);
    desk.put(&["db"], base.as_bytes());
    desk.sync();
    let ours = format!(r#"{{"a": "here", "b": "1", "both": "OURS-CANARY", "n": {n}}}"#);
    desk.put(&["db"], ours.as_bytes());
    let theirs = format!(r#"{{"b": "there", "both": "THEIRS-CANARY", "a": "1", "n": {n}}}"#);
    console(&format!("write(sm, 'db', vid({n}), '{theirs}')\nout(0)"));
    desk.ends(4, &["sync", "--yes"]);
}

#[test]
fn two_objects_are_merged_by_key_and_pushed_as_one_version() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654388");
    let desk = Desk::with_remote(&keys, &moto.url());
    let there = || serves(&state(&moto, &keys), "db");
    conflict(&desk, |script| drop(console(&moto, &keys, script)), 1);

    // Nobody is at a terminal: the key that both changed is named, no value is.
    let files = desk.files();
    let said = desk.ends(4, &["resolve", "db", "--merge"]);
    assert!(
        said.err.contains("changed here and there: both"),
        "{}",
        said.err
    );
    assert!(!said.err.contains("CANARY"), "{}", said.err);
    assert!(desk.files() == files);
    let said = desk.run(&[
        "resolve",
        "db",
        "--merge",
        "--ours-for",
        "both",
        "--theirs-for",
        "both",
    ]);
    assert_eq!(said.code, 2, "{}", said.err);

    desk.ends(2, &["resolve", "db", "--ours", "--ours-for", "both"]);

    let (ours, theirs) = (desk.get("db"), there());
    let said = desk.ok(&["resolve", "db", "--merge", "--theirs-for", "both"]);
    assert!(!said.err.contains("CANARY"), "{}", said.err);
    // The order and the spaces of ours, the news of both.
    let merged = br#"{"a": "here", "b": "there", "both": "THEIRS-CANARY", "n": 1}"#;
    assert_eq!(desk.get("db"), merged);
    desk.sync();
    assert_eq!(there(), merged);
    desk.assert_quiet();
    // Both that lost are found again.
    let shown = desk.ok(&["show", "db", "--json"]).json();
    let labels = shown["VersionIdsToStages"].as_object().unwrap();
    let lost: Vec<Vec<u8>> = labels
        .iter()
        .filter(|(_, stages)| stages.to_string().contains("sr/lost/"))
        .map(|(id, _)| desk.get(&format!("db#{id}")))
        .collect();
    assert!(lost.contains(&ours) && lost.contains(&theirs), "{shown}");

    // What is no object cannot be merged, and nothing is changed.
    desk.put(&["db"], b"plain OURS-CANARY");
    console(&moto, &keys, "write(sm, 'db', vid(9), '{}')\nout(0)");
    desk.ends(4, &["sync", "--yes"]);
    let files = desk.files();
    let said = desk.ends(4, &["resolve", "db", "--merge"]);
    assert!(said.err.contains("not a JSON object"), "{}", said.err);
    assert!(!said.err.contains("CANARY"), "{}", said.err);
    assert!(desk.files() == files);
}

#[test]
fn a_saved_plan_tells_a_reviewer_what_is_expected_and_what_it_takes() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654377");
    let desk = Desk::with_remote(&keys, &moto.url());
    desk.put(&["kept"], b"CANARY-1");
    desk.put(&["gone"], b"CANARY-2");
    desk.sync();
    desk.put(&["kept"], b"CANARY-3");
    desk.ok(&["rm", "gone"]);

    let file = desk.path("plan");
    let file = file.to_str().unwrap();
    let said = desk.ok(&["plan", "-o", file]);
    assert!(said.err.contains("gone: prod: "), "{}", said.err);
    assert!(said.err.contains("1 DeleteSecret"), "{}", said.err);
    assert!(said.err.contains("less than a cent"), "{}", said.err);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("CANARY"), "{text}");
    let body = text.rsplit_once('}').unwrap().0.to_owned() + "}";
    let plan: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(plan["deletions"].as_array().unwrap().len(), 1);
    assert_eq!(plan["cost"]["Calls"]["PutSecretValue"], 1);
    let steps = plan["secrets"]["kept"]["steps"].as_array().unwrap();
    let moves = steps
        .iter()
        .find(|s| s["does"].as_str().unwrap().contains("AWSCURRENT"));
    let expects = &moves.unwrap()["expects"];
    assert!(
        expects["what"]
            .as_str()
            .unwrap()
            .starts_with("AWSCURRENT on "),
        "{expects}"
    );
    assert_eq!(expects["lifecycle"], "live");
    desk.ok(&["apply", "--yes", file]);
    desk.assert_quiet();
}
