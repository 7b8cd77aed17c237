//! Conflicts decided by strategy, as somebody at the command line sees it.

use super::desk::{Desk, console, serves, state};
use crate::moto::Moto;

#[test]
fn a_conflict_is_shown_decided_and_carried_out_as_shown() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654399");
    let both_edited = |desk: &Desk, n: usize| {
        desk.put(&["db"], format!("ours {n}").as_bytes());
        let put = format!("write(sm, 'db', vid({n}), 'theirs {n}')\nout(0)");
        console(&moto, &keys, &put);
    };
    console(
        &moto,
        &keys,
        "sm.create_secret(Name='db', SecretString='base', ClientRequestToken=vid(1))\nout(0)",
    );
    let desk = Desk::with_remote(&keys, &moto.url());
    desk.sync();

    // The run's own strategy, first looked at.
    both_edited(&desk, 2);
    let there = || serves(&state(&moto, &keys), "db");
    let files = desk.files();
    let shown = desk.ok(&["sync", "-n", "--on-conflict", "ours"]).text();
    assert!(
        shown.contains("ours wins (ours, by --on-conflict)"),
        "{shown}"
    );
    assert!(shown.contains("prod: move AWSCURRENT"), "{shown}");
    assert_eq!(there(), b"theirs 2");
    let said = desk.ends(4, &["sync", "--on-conflict", "fail"]);
    assert!(said.err.contains("db"), "{}", said.err);
    assert!(desk.files() == files);
    // Nobody is at a terminal: it waits.
    let said = desk.ends(4, &["sync", "--on-conflict", "interactive"]);
    assert!(said.err.contains("on a terminal only"), "{}", said.err);
    let said = desk.ends(0, &["sync", "--on-conflict", "ours"]);
    assert!(said.err.contains("ours wins"), "{}", said.err);
    assert_eq!(there(), b"ours 2");

    // A saved plan keeps the strategy it was made with.
    both_edited(&desk, 3);
    let file = desk.path("saved");
    let file = file.to_str().unwrap();
    desk.ok(&["plan", "-o", file, "--on-conflict", "theirs"]);
    desk.ok(&["apply", file]);
    assert_eq!(desk.get("db"), b"theirs 3");

    // A policy, and the flag that goes before it.
    desk.ok(&["policy", "set", "d", "theirs"]);
    both_edited(&desk, 4);
    let shown = desk.ok(&["plan"]).text();
    assert!(shown.contains("by the policy for d"), "{shown}");
    let shown = desk.ok(&["plan", "--on-conflict", "hold"]).text();
    assert!(!shown.contains("wins"), "{shown}");
    let plan = desk.ok(&["plan", "--json"]).json();
    assert_eq!(plan["Secrets"]["db"]["Answers"][0]["Wins"], "theirs");
    desk.sync();
    assert_eq!(desk.get("db"), b"theirs 4");
    assert_eq!(there(), b"theirs 4");
    desk.assert_quiet();
}
