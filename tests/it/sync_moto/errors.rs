//! What goes wrong between a vault and an account, and how the program ends.

use super::desk::{Desk, console, serves, state};
use crate::moto::{Keys, Moto, REGION};
use crate::proxy::{Fate, Proxy};

/// An account with three secrets, a proxy before it, and a vault in step.
fn in_step(moto: &Moto, account: &str) -> (Keys, Proxy, Desk) {
    let keys = moto.account(account);
    console(
        moto,
        &keys,
        "for n in ('a', 'b', 'c'):\n    sm.create_secret(Name=n, SecretString=n+' 1', ClientRequestToken=vid(1))\nout(0)",
    );
    let proxy = Proxy::start(&moto.url());
    let desk = Desk::with_remote(&keys, &proxy.url());
    desk.sync();
    (keys, proxy, desk)
}

#[test]
fn a_wrong_account_is_refused_before_anything_is_read() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let mine = moto.account("210987654311");
    let other = moto.account("210987654312");
    console(
        &moto,
        &mine,
        "sm.create_secret(Name='a', SecretString='x')\nout(0)",
    );
    let proxy = Proxy::start(&moto.url());
    let desk = Desk::new(&mine);
    let url = proxy.url();
    // STS tells; and where STS does not answer, the ARN of what is listed does.
    let args = [
        "remote",
        "add",
        "prod",
        "--region",
        REGION,
        "--endpoint",
        &url,
        "--account",
        "210987654312",
    ];
    desk.ok(&args);
    let files = desk.files();
    for sts_answers in [true, false] {
        proxy.decide(move |_, operation, _| match operation {
            "" if !sts_answers => Fate::Fail(403, "AccessDenied"),
            _ => Fate::Pass,
        });
        let said = desk.ends(10, &["sync", "--yes"]);
        assert!(said.err.contains("210987654311"), "{}", said.err);
        let read = proxy
            .operations()
            .iter()
            .any(|o| o.contains("GetSecretValue"));
        assert!(!read, "{:?}", proxy.operations());
        assert!(desk.files() == files);
    }
    assert_eq!(state(&moto, &other), serde_json::json!({}));
}

#[test]
fn nobody_there_is_exit_8_and_expired_credentials_are_exit_9() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let (_, proxy, desk) = in_step(&moto, "210987654313");
    desk.put(&["a"], b"a 2");
    let files = desk.files();
    proxy.decide(|_, _, _| Fate::HangUp);
    let said = desk.ends(8, &["sync", "--yes"]);
    assert!(said.err.contains("prod"), "{}", said.err);
    for code in ["ExpiredTokenException", "UnrecognizedClientException"] {
        proxy.decide(move |_, _, _| Fate::Fail(400, code));
        let said = desk.ends(9, &["sync", "--yes"]);
        assert!(said.err.contains(code), "{}", said.err);
    }
    assert!(desk.files() == files);
    // Locally everything goes on, and offline says so instead of trying.
    assert_eq!(desk.get("a"), b"a 2");
    proxy.pass();
    for verb in ["sync", "pull", "push", "fetch"] {
        desk.ends(8, &["--offline", verb]);
    }
    assert_eq!(proxy.count(), 0);
    assert!(desk.ok(&["--offline", "plan"]).text().contains('a'));
    assert_eq!(proxy.count(), 0);
    desk.sync();
    desk.assert_quiet();
}

#[test]
fn credentials_that_expire_in_the_middle_leave_nothing_undone_for_good() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let (keys, proxy, desk) = in_step(&moto, "210987654314");
    for name in ["a", "b", "c"] {
        desk.put(&[name], b"2");
    }
    proxy.decide(|_, operation, body| {
        let late = operation == "UpdateSecretVersionStage" && body["SecretId"] == "b";
        if late {
            Fate::Fail(400, "ExpiredTokenException")
        } else {
            Fate::Pass
        }
    });
    let said = desk.run(&["sync", "--yes"]);
    assert!(
        said.code == 9 || said.code == 11,
        "{}: {}",
        said.code,
        said.err
    );
    assert!(said.err.contains("run it again"), "{}", said.err);
    assert_eq!(serves(&state(&moto, &keys), "b"), b"b 1");
    proxy.pass();
    desk.sync();
    for name in ["a", "b", "c"] {
        assert_eq!(serves(&state(&moto, &keys), name), b"2");
    }
    desk.assert_quiet();
}

#[test]
fn a_denied_secret_is_skipped_and_the_others_sync() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let (keys, proxy, desk) = in_step(&moto, "210987654315");
    console(
        &moto,
        &keys,
        "for n in ('a', 'b', 'c'):\n    sm.put_secret_value(SecretId=n, SecretString=n+' 2', ClientRequestToken=vid(2))\nout(0)",
    );
    proxy.decide(|_, operation, body| match operation {
        "GetSecretValue" if body["SecretId"] == "b" => Fate::Fail(400, "AccessDeniedException"),
        "BatchGetSecretValue" => Fate::Rewrite(|answer| {
            let values = answer["SecretValues"].as_array_mut().unwrap();
            values.retain(|v| v["Name"] != "b");
            answer["Errors"] = serde_json::json!([
                {"SecretId": "b", "ErrorCode": "AccessDeniedException", "Message": "no"}
            ]);
        }),
        _ => Fate::Pass,
    });
    let said = desk.ends(11, &["sync", "--yes"]);
    assert!(
        said.err.contains("b: prod: the remote denied"),
        "{}",
        said.err
    );
    assert_eq!(desk.get("a"), b"a 2");
    assert_eq!(desk.get("c"), b"c 2");
    assert_eq!(desk.get("b"), b"b 1");
    proxy.pass();
    desk.sync();
    assert_eq!(desk.get("b"), b"b 2");
    desk.assert_quiet();
}

#[test]
fn a_saved_plan_is_carried_out_as_long_as_it_holds() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let (keys, _proxy, desk) = in_step(&moto, "210987654316");
    let file = desk.path("saved.plan");
    let file = file.to_str().unwrap();
    desk.ends(0, &["plan", "--detailed-exitcode"]);
    desk.put(&["a"], b"a 2");
    desk.ends(2, &["plan", "--detailed-exitcode"]);
    desk.ok(&["plan", "-o", file]);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("a 2"), "{text}");

    // Altered by one character.
    let altered = desk.path("altered.plan");
    std::fs::write(&altered, text.replacen("prod", "prof", 1)).unwrap();
    desk.ends(7, &["apply", "--yes", altered.to_str().unwrap()]);
    assert_eq!(serves(&state(&moto, &keys), "a"), b"a 1");

    desk.ok(&["apply", "--yes", file]);
    assert_eq!(serves(&state(&moto, &keys), "a"), b"a 2");
    desk.assert_quiet();

    // Done is done: the same plan is stale now, and so is one that somebody overtook.
    desk.ends(14, &["apply", "--yes", file]);
    desk.put(&["b"], b"b 2");
    desk.ok(&["plan", "-o", file]);
    console(
        &moto,
        &keys,
        "sm.put_secret_value(SecretId='b', SecretString='theirs', ClientRequestToken=vid(7))\nout(0)",
    );
    let said = desk.ends(14, &["apply", "--yes", file]);
    assert!(said.err.contains('b'), "{}", said.err);
    assert_eq!(serves(&state(&moto, &keys), "b"), b"theirs");
    desk.ends(2, &["plan", "--detailed-exitcode"]);
    // An error is 1 there, whatever it is elsewhere.
    desk.ends(1, &["plan", "--detailed-exitcode", "nowhere"]);
}

#[test]
fn a_deleted_half_of_an_account_stops_the_run() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654317");
    console(
        &moto,
        &keys,
        "for n in range(14):\n    sm.create_secret(Name='s%d' % n, SecretString='x', ClientRequestToken=vid(1))\nout(0)",
    );
    let desk = Desk::with_remote(&keys, &moto.url());
    desk.sync();
    console(
        &moto,
        &keys,
        "for n in range(12):\n    sm.delete_secret(SecretId='s%d' % n)\nout(0)",
    );
    let files = desk.files();
    let said = desk.ends(10, &["sync", "--yes"]);
    assert!(said.err.contains("--max-delete"), "{}", said.err);
    assert!(desk.files() == files);
    desk.ok(&["sync", "--yes", "--max-delete", "12"]);
    desk.assert_quiet();
}
