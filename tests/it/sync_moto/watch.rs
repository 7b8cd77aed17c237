//! `watch` on real files, against moto; and how stale secrets are told of.

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::desk::{Desk, console, serves, state};
use crate::moto::{Keys, Moto};

/// Looks until it is so.
fn until(what: &str, desk: &Desk, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        if began.elapsed() > Duration::from_secs(60) {
            let log = std::fs::read_to_string(desk.path("log")).unwrap_or_default();
            panic!("{what}: not within a minute\n{log}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An account with secrets `a` to `e` and a vault in step with it.
fn in_step(moto: &Moto, account: &str) -> (Keys, Desk) {
    let keys = moto.account(account);
    console(
        moto,
        &keys,
        "for n in 'abcde':\n    sm.create_secret(Name=n, SecretString=n+' 1', ClientRequestToken=vid(1))\nout(0)",
    );
    let desk = Desk::with_remote(&keys, &moto.url());
    desk.sync();
    (keys, desk)
}

fn watching(desk: &Desk) -> Child {
    let log = File::create(desk.path("log")).unwrap();
    let child = desk
        .command(&["watch", "--every", "1"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    until("the first poll", desk, || {
        status(desk)["Watch"]["Remotes"]["prod"]["Asked"].is_string()
    });
    child
}

fn status(desk: &Desk) -> Value {
    desk.ok(&["status", "--json"]).json()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-s", name, &pid])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[test]
fn crypto_6_a_crashed_watch_leaves_no_core_and_no_value() {
    use crate::canary::{CANARY, crash, nothing_left, shows_nothing};
    let Some(moto) = Moto::shared() else {
        return;
    };
    let (keys, desk) = in_step(&moto, "210987654338");
    let mut child = watching(&desk);
    desk.put(&["a"], CANARY.as_bytes());
    until("the canary is pushed", &desk, || {
        serves(&state(&moto, &keys), "a") == CANARY.as_bytes()
    });
    let write = format!("write(sm, 'b', vid(2), '{CANARY}')\nout(0)");
    console(&moto, &keys, &write);
    until("the canary is pulled", &desk, || {
        desk.get("b") == CANARY.as_bytes()
    });
    shows_nothing(child.id());
    nothing_left(&desk.path(""));
    crash(&mut child);
    nothing_left(&desk.path(""));
}

#[test]
fn a_watch_keeps_both_in_step_and_leaves_the_rest_to_a_person() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let (keys, desk) = in_step(&moto, "210987654331");
    let mut child = watching(&desk);

    desk.put(&["a"], b"from here");
    until("an edit here is pushed", &desk, || {
        serves(&state(&moto, &keys), "a") == b"from here"
    });
    console(&moto, &keys, "write(sm, 'b', vid(2), 'from there')\nout(0)");
    until("an edit there is pulled", &desk, || {
        desk.get("b") == b"from there"
    });
    console(
        &moto,
        &keys,
        "sm.delete_secret(SecretId='c', RecoveryWindowInDays=7)\nout(0)",
    );
    until("a deletion there is shown", &desk, || {
        status(&desk)["Watch"]["Held"]["c"].is_string()
    });
    assert_eq!(desk.get("c"), b"c 1", "and not carried out");
    let text = desk.ok(&["status"]).text();
    assert!(text.contains("c: would be deleted in the vault"), "{text}");

    // Stopped, so that both edits are there before it looks.
    signal(&child, "STOP");
    desk.put(&["d"], b"ours");
    desk.put(&["e"], b"e 2");
    console(&moto, &keys, "write(sm, 'd', vid(3), 'theirs')\nout(0)");
    signal(&child, "CONT");
    until("a conflict is put on record", &desk, || {
        status(&desk)["Conflicts"] == 1
    });
    until("the others go on", &desk, || {
        serves(&state(&moto, &keys), "e") == b"e 2"
    });
    assert_eq!(desk.get("d"), b"ours");
    assert_eq!(serves(&state(&moto, &keys), "d"), b"theirs");

    let said = desk.ends(13, &["watch"]);
    assert!(said.err.contains("watched already"), "{}", said.err);

    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(status(&desk)["Watch"].is_null());
    let log = std::fs::read_to_string(desk.path("log")).unwrap();
    assert!(log.contains("Stopped"), "{log}");
    assert!(!log.contains("from here"), "{log}");
}

#[test]
fn a_watch_that_was_killed_is_not_believed() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let (_, desk) = in_step(&moto, "210987654332");
    let mut child = watching(&desk);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(status(&desk)["Watch"].is_null());
    let mut child = watching(&desk);
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Ends the agent, whatever becomes of the test.
struct Locks<'d>(&'d Desk);

impl Drop for Locks<'_> {
    fn drop(&mut self) {
        self.0.run(&["lock"]);
    }
}

#[test]
fn a_watch_waits_while_the_agent_is_locked() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let (keys, desk) = in_step(&moto, "210987654334");
    desk.ok(&["unlock"]);
    let _locks = Locks(&desk);
    let mut child = watching(&desk);
    desk.ok(&["lock"]);
    until("it pauses", &desk, || {
        let paused = &status(&desk)["Watch"]["Paused"];
        paused.as_str().is_some_and(|p| p.contains("locked"))
    });
    // Whoever puts has an identity of their own.
    desk.put(&["a"], b"meanwhile");
    desk.ok(&["unlock"]);
    until("it goes on", &desk, || {
        serves(&state(&moto, &keys), "a") == b"meanwhile"
    });
    assert!(status(&desk)["Watch"]["Paused"].is_null());
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Sets back when the remote was asked.
fn age_view(desk: &Desk, days: u64) {
    let doctor = desk.path(".local/state/strongroom");
    let mut found = 0;
    for vault in std::fs::read_dir(doctor).unwrap() {
        let Ok(clones) = std::fs::read_dir(vault.unwrap().path()) else {
            continue;
        };
        for clone in clones {
            let view = clone.unwrap().path().join("views/prod.json");
            if let Ok(file) = File::options().append(true).open(view) {
                let asked = file.metadata().unwrap().modified().unwrap();
                let then = asked - Duration::from_secs(days * 86_400);
                file.set_modified(then).unwrap();
                found += 1;
            }
        }
    }
    assert_eq!(found, 1);
}

#[test]
fn stale_secrets_are_warned_of_or_refused_until_they_are_verified() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let (keys, desk) = in_step(&moto, "210987654333");
    desk.put(&["own/x"], b"mine");
    desk.ok(&["freshness", "set", "", "--max-stale", "1d"]);
    desk.ok(&[
        "freshness",
        "set",
        "a",
        "--max-stale",
        "1h",
        "--on-stale",
        "deny",
    ]);
    let rules = desk.ok(&["freshness", "ls"]).text();
    assert_eq!(rules, "(all)  24h  warn\na  1h  deny\n");
    let said = desk.ok(&["get", "a"]);
    assert!(!said.err.contains("stale"), "{}", said.err);
    let verified = &desk.ok(&["show", "a", "--json"]).json()["Remotes"]["prod"]["Verified"];
    assert!(verified.is_string(), "{verified}");

    age_view(&desk, 3);
    let said = desk.ok(&["get", "b"]);
    assert_eq!(said.out, b"b 1");
    assert!(
        said.err.contains(
            "warning: b is stale: last verified against prod 3 days ago, and at most 24h is allowed"
        ),
        "{}",
        said.err
    );
    let said = desk.ends(10, &["get", "a"]);
    assert!(said.out.is_empty());
    assert!(said.err.contains("at most 1h is allowed"), "{}", said.err);
    assert!(said.err.contains("strongroom fetch"), "{}", said.err);
    let said = desk.ok(&["get", "own/x"]);
    assert!(
        !said.err.contains("stale"),
        "it has no remote: {}",
        said.err
    );

    let said = desk.ends(10, &["exec", "--", "true"]);
    assert!(said.err.contains("a is stale"), "{}", said.err);
    let said = desk.ends(10, &["exec", "--only", "b", "--env", "A=a", "--", "true"]);
    assert!(said.err.contains("a is stale"), "{}", said.err);
    let said = desk.ok(&["exec", "--only", "b", "--", "true"]);
    assert!(said.err.contains("warning: b is stale"), "{}", said.err);
    let all = status(&desk);
    let stale: Vec<&str> = all["Stale"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["Name"].as_str().unwrap())
        .collect();
    assert_eq!(stale, ["a", "b", "c", "d", "e"]);
    let text = desk.ok(&["status"]).text();
    assert!(text.contains("a is stale"), "{text}");

    // Asked again, and nothing is different.
    desk.ok(&["fetch"]);
    let said = desk.ok(&["get", "a"]);
    assert!(!said.err.contains("stale"), "{}", said.err);
    assert_eq!(status(&desk)["Stale"], serde_json::json!([]));

    // Known to be something else over there is not verified, however fresh the look.
    console(&moto, &keys, "write(sm, 'a', vid(2), 'new')\nout(0)");
    desk.ok(&["fetch"]);
    let said = desk.ends(10, &["get", "a"]);
    assert!(
        said.err.contains("not known to be what prod has"),
        "{}",
        said.err
    );
    assert_eq!(status(&desk)["Remotes"][0]["Unverified"], 1);
    desk.sync();
    assert_eq!(desk.get("a"), b"new");

    desk.ok(&["freshness", "rm", "a"]);
    desk.ends(3, &["freshness", "rm", "a"]);
    age_view(&desk, 3);
    desk.ok(&["get", "a"]);
    desk.ends(2, &["freshness", "set", "", "--max-stale", "0h"]);
    desk.ends(
        2,
        &["freshness", "set", "no such name", "--max-stale", "1h"],
    );
}
