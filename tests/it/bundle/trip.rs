//! Sound bundles: what they bring, what they leave out, who opens them.

use std::process::Command;

use strongroom::cli::Exit;

use super::{Stick, apply, create, metadata, other_home, settle, two_sites};
use crate::cli::{Home, Said};
use crate::moto::{Keys, Moto, REGION, python};
use crate::sync_moto::desk::{console, serves, state};

/// Runs the program as somebody with AWS's keys.
fn online(home: &Home, keys: &Keys, args: &[&str]) -> Said {
    let mut command = home.command();
    command
        .args(args)
        .env("AWS_ACCESS_KEY_ID", &keys.id)
        .env("AWS_SECRET_ACCESS_KEY", &keys.secret)
        .env("AWS_SESSION_TOKEN", &keys.session);
    Said::of(command.output().unwrap())
}

/// What an unmodified program gets from the vault's own endpoint.
fn served(home: &Home, secret: &str) -> String {
    let script = format!(
        "import boto3\nprint(boto3.client('secretsmanager').get_secret_value(SecretId='{secret}')['SecretString'], end='')"
    );
    let python = python().unwrap();
    let args = ["exec", "--", python.to_str().unwrap(), "-c", &script];
    home.run(args).ok().out
}

#[test]
fn aws_to_the_isolated_site_and_back_to_aws() {
    let Some(moto) = Moto::shared() else { return };
    let keys = moto.account("210987654391");
    let stick = Stick::new();
    let connected = Home::new();
    let url = moto.url();
    let args = [
        "remote",
        "add",
        "prod",
        "--region",
        REGION,
        "--endpoint",
        &url,
    ];
    online(&connected, &keys, &args).ok();
    let make = "sm.create_secret(Name='prod/db', SecretString='one', ClientRequestToken=vid(1))
sm.create_secret(Name='prod/api', SecretString='key', ClientRequestToken=vid(2))
out(0)";
    console(&moto, &keys, make);
    online(&connected, &keys, &["sync", "--yes"]).ok();

    // To the isolated site: it looks, makes a clone, and serves.
    create(&connected, &stick, "1", &[]).has("2 secrets and 2 values");
    let isolated = other_home(&connected);
    settle(&isolated, &stick, "1", &[]).ok().has("2 secrets");
    assert_eq!(served(&isolated, "prod/db"), "one");
    assert_eq!(metadata(&isolated), metadata(&connected));

    // Changes on both sides: a rotation there, another secret in AWS.
    isolated.put("prod/db", "two, made in the dark");
    isolated.run(["tag", "prod/db", "site=b"]).ok();
    isolated.put("lab/new", "first");
    assert_eq!(served(&isolated, "prod/db"), "two, made in the dark");
    let change = "write(sm, 'prod/api', vid(3), 'key 2')\nout(0)";
    console(&moto, &keys, change);
    online(&connected, &keys, &["sync", "--yes"]).ok();

    // Back: only what the connected site lacks.
    connected
        .run(["bundle", "have", "-o", &stick.at("a.have")])
        .ok();
    create(&isolated, &stick, "2", &["--have", &stick.at("a.have")]).has("3 secrets and 2 values");
    connected
        .run(["bundle", "verify", &stick.at("2")])
        .ok()
        .has("all right");
    connected
        .run(["bundle", "inspect", &stick.at("2")])
        .ok()
        .has("lab/new  new, 1 new version, AWSCURRENT - -> ")
        .has("prod/db  1 new version, AWSCURRENT 00000001 -> ")
        .has("AWSPREVIOUS - -> 00000001, tags")
        .lacks("made in the dark");
    apply(&connected, &stick, "2").ok().has("2 secrets changed");
    assert_eq!(connected.value("prod/db"), "two, made in the dark");
    assert_eq!(connected.value("prod/api"), "key 2");
    online(&connected, &keys, &["sync", "--yes"]).ok();
    let there = state(&moto, &keys);
    assert_eq!(serves(&there, "prod/db"), b"two, made in the dark");
    assert_eq!(serves(&there, "prod/api"), b"key 2");
    assert_eq!(serves(&there, "lab/new"), b"first");
    assert_eq!(there["prod/db"]["tags"]["site"], "b");

    // And once more over: the isolated site learns what AWS said.
    create(&connected, &stick, "3", &["--have", &stick.at("2.have")]).ok();
    isolated
        .run(["bundle", "have", "-o", &stick.at("b.have")])
        .ok();
    create(&connected, &stick, "4", &["--have", &stick.at("b.have")]).ok();
    apply(&isolated, &stick, "4").ok();
    assert_eq!(isolated.value("prod/api"), "key 2");
    assert_eq!(metadata(&isolated), metadata(&connected));
    isolated.run(["fsck"]).ok();
    connected.run(["fsck"]).ok();
    online(&connected, &keys, &["sync", "--yes"])
        .ok()
        .has("In step");
}

#[test]
fn a_second_time_changes_nothing_and_an_old_one_is_refused() {
    let stick = Stick::new();
    let (a, b) = two_sites(&stick, &[("db", "one")]);
    a.put("db", "two");
    create(&a, &stick, "2", &[]);
    apply(&b, &stick, "2").ok().has("1 secret changed");
    let files = b.files();
    apply(&b, &stick, "2").ok().has("Applied before");
    assert!(b.files() == files);
    // Moved back here on purpose: the same bundle again does not move it.
    b.run(["rollback", "db"]).ok();
    apply(&b, &stick, "2").ok();
    assert_eq!(b.value("db"), "one");
    let files = b.files();
    apply(&b, &stick, "first")
        .ends(Exit::Integrity)
        .has("older than number 2");
    assert!(b.files() == files);
    apply(&a, &stick, "2")
        .ends(Exit::Integrity)
        .has("made the bundle itself");
}

#[test]
fn what_both_sites_changed_waits_as_a_conflict_and_nothing_is_lost() {
    let stick = Stick::new();
    let (a, b) = two_sites(&stick, &[("db", "one"), ("api", "key")]);
    a.put("db", "of a");
    b.put("db", "of b");
    b.put("api", "key 2");
    create(&b, &stick, "back", &[]);
    a.run(["bundle", "inspect", &stick.at("back")])
        .ok()
        .has("CONFLICT: label AWSCURRENT");
    apply(&a, &stick, "back").ok().has("2 secrets changed");
    assert_eq!(a.value("db"), "of a");
    assert_eq!(a.value("api"), "key 2");
    a.run(["conflicts"])
        .ok()
        .has("between two clones on label AWSCURRENT");
    let log = a.json(&["show", "db"]);
    assert_eq!(log["Versions"].as_array().unwrap().len(), 3, "{log}");
    a.run(["fsck"]).ok();
    // The answer goes back, and the other site follows it: it has not moved since.
    a.run(["resolve", "db", "--ours"]).ok();
    create(&a, &stick, "answer", &["--have", &stick.at("back.have")]);
    let have = b.run(["bundle", "have"]).ok().out;
    std::fs::write(stick.path("b.have"), have).unwrap();
    create(&a, &stick, "answer for b", &["--have", &stick.at("b.have")]);
    apply(&b, &stick, "answer for b").ok().lacks("CONFLICT");
    assert_eq!(b.value("db"), "of a");
    assert_eq!(metadata(&a), metadata(&b));
}

#[test]
fn a_site_that_changed_nothing_follows_the_other_wherever_it_goes() {
    let stick = Stick::new();
    let (a, b) = two_sites(&stick, &[("db", "one"), ("gone", "x")]);
    a.put("db", "two");
    create(&a, &stick, "2", &[]);
    apply(&b, &stick, "2").ok();
    assert_eq!(b.value("db"), "two");
    // Back again, on purpose, and a deletion: no ancestor says so, the base does.
    a.run(["rollback", "db"]).ok();
    a.run(["rm", "gone", "--yes"]).ok();
    create(&a, &stick, "3", &[]);
    apply(&b, &stick, "3").ok().lacks("CONFLICT");
    assert_eq!(b.value("db"), "one");
    assert_eq!(b.json(&["show", "gone"])["Lifecycle"], "scheduled");
    assert_eq!(metadata(&a), metadata(&b));
}

#[test]
fn a_part_of_a_vault_goes_by_prefix_and_a_file_is_never_overwritten() {
    let stick = Stick::new();
    let (a, b) = two_sites(&stick, &[("lab/x", "1"), ("prod/y", "1")]);
    a.put("lab/x", "2");
    a.put("prod/y", "2");
    create(&a, &stick, "lab", &["lab/"]).has("1 secret and 2 values");
    apply(&b, &stick, "lab").ok();
    assert_eq!(
        (b.value("lab/x"), b.value("prod/y")),
        ("2".into(), "1".into())
    );
    let before = std::fs::read(stick.path("lab")).unwrap();
    a.run(["bundle", "create", "-o", &stick.at("lab")])
        .ends(Exit::Guard)
        .has("not overwritten");
    assert!(std::fs::read(stick.path("lab")).unwrap() == before);
    a.run(["bundle", "create", "-o", &stick.at("x"), "nothing/"])
        .ends(Exit::NotFound);
    // The name that it gets by itself is right on FAT.
    let said = a.json(&["bundle", "create"]);
    let file = said["File"].as_str().unwrap();
    let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    assert!(file.chars().all(right), "{file}");
    assert!(a.path(file).exists());
}

#[test]
fn a_newcomer_gets_a_vault_of_their_own_with_the_same_versions() {
    let stick = Stick::new();
    let a = Home::new();
    a.put("db", "one");
    a.put("db", "two");
    a.run_with(b"\x00\xff", ["put", "bytes", "--binary"]).ok();
    let b = Home::empty();
    // Their key, made with their first vault, is read out to the sender.
    b.run(["init", "other", "--no-passphrase"]).ok();
    let identity = std::fs::read_to_string(b.identity()).unwrap();
    let key = identity.split("public key: ").nth(1).unwrap();
    let key = key.lines().next().unwrap();
    let args = ["--for-newcomer", "--to", key, "--yes", "--json"];
    let said = create(&a, &stick, "gift", &args);
    let said: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let fingerprint = said["Fingerprint"].as_str().unwrap();

    // Without the fingerprint's being compared there is no vault.
    settle(&b, &stick, "gift", &[]).ends(Exit::Aborted);
    settle(
        &b,
        &stick,
        "gift",
        &["--fingerprint", "0000-0000-0000-0000-0000"],
    )
    .ends(Exit::Integrity)
    .has("not the one that the sender made");
    assert!(!b.vault().exists());
    settle(&b, &stick, "gift", &["--fingerprint", fingerprint])
        .ok()
        .has("2 secrets");
    assert_eq!(b.value("db"), "two");
    assert_eq!(b.value("db~1"), "one");
    let ids = |home: &Home| home.json(&["show", "db"])["VersionIdsToStages"].clone();
    assert_eq!(ids(&a), ids(&b));
    b.run(["fsck"]).ok();
    let vault_id = |home: &Home| {
        let text = std::fs::read_to_string(home.vault().join("strongroom.toml")).unwrap();
        text.lines()
            .find(|l| l.starts_with("vault_id"))
            .unwrap()
            .to_owned()
    };
    assert_ne!(vault_id(&a), vault_id(&b));
    // The sender has no way in.
    let mut command = a.command();
    command
        .env("STRONGROOM_VAULT", b.vault())
        .args(["get", "db"]);
    Said::of(command.output().unwrap()).ends(Exit::NoIdentity);
    // And it is nothing for a vault that is there.
    apply(&b, &stick, "gift")
        .ends(Exit::Guard)
        .has("--as-new-vault");
}

#[test]
fn one_version_id_with_two_contents_stops_its_secret_alone() {
    let stick = Stick::new();
    let (a, b) = two_sites(&stick, &[("db", "one"), ("api", "key")]);
    let id = "0b7c3a52-5d1e-4b7a-8f4e-2f0a3c5d7e90";
    a.run_with(b"of a", ["put", "db", "--version-id", id]).ok();
    b.run_with(b"of b", ["put", "db", "--version-id", id]).ok();
    b.put("api", "key 2");
    create(&b, &stick, "back", &[]);
    a.run(["bundle", "inspect", &stick.at("back")])
        .ok()
        .has("db  ALARM: version 0b7c3a52 has another content here");
    a.run(["bundle", "verify", &stick.at("back")])
        .ends(Exit::Integrity)
        .has("two contents, here and in the bundle: db");
    let before = metadata(&a);
    apply(&a, &stick, "back")
        .ends(Exit::Integrity)
        .has("Applied: 1 secret changed")
        .has("two contents, here and in the bundle: db");
    assert_eq!(a.value("db"), "of a");
    assert_eq!(a.value("api"), "key 2");
    let changed = metadata(&a);
    let changed = changed.iter().zip(&before).filter(|(now, was)| now != was);
    assert_eq!(changed.count(), 1);
    a.run(["fsck"]).ok();
    // What was not taken is not remembered as common: it is told again.
    apply(&a, &stick, "back")
        .ends(Exit::Integrity)
        .has("this time 0 secrets changed");
}

#[test]
fn a_newcomer_is_told_what_two_clones_disagree_on() {
    let stick = Stick::new();
    let (a, b) = two_sites(&stick, &[("db", "one")]);
    a.put("db", "of a");
    b.put("db", "of b");
    create(&b, &stick, "back", &[]);
    apply(&a, &stick, "back").ok();
    let key = {
        let identity = std::fs::read_to_string(a.identity()).unwrap();
        let key = identity.split("public key: ").nth(1).unwrap();
        key.lines().next().unwrap().to_owned()
    };
    let args = ["--for-newcomer", "--to", &key, "--yes", "--json"];
    let said = create(&a, &stick, "gift", &args);
    let said: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said["ConflictsLeftOut"], serde_json::json!([]));
    let c = other_home(&a);
    let fingerprint = said["Fingerprint"].as_str().unwrap();
    settle(&c, &stick, "gift", &["--fingerprint", fingerprint]).ok();
    c.run(["conflicts"])
        .ok()
        .has("between two clones on label AWSCURRENT");
    c.run(["resolve", "db", "--ours"]).ok();
    assert_eq!(c.value("db"), "of a");
}

#[test]
fn a_bundle_under_a_passphrase() {
    let stick = Stick::new();
    let (a, b) = two_sites(&stick, &[("db", "one")]);
    a.put("db", "two");
    let file = stick.at("p");
    a.run_with(
        b"correct horse\n",
        [
            "bundle",
            "create",
            "-o",
            &file,
            "--bundle-passphrase-fd",
            "0",
        ],
    )
    .ok();
    let open = |passphrase: &[u8]| {
        b.run_with(
            passphrase,
            ["bundle", "apply", &file, "--bundle-passphrase-fd", "0"],
        )
    };
    let files = b.files();
    open(b"wrong horse\n")
        .ends(Exit::NoIdentity)
        .has("passphrase");
    assert!(b.files() == files);
    open(b"correct horse\n").ok();
    assert_eq!(b.value("db"), "two");
}

#[test]
fn stock_age_opens_the_outer_layer() {
    if Command::new("age").arg("--version").output().is_err() {
        eprintln!("skipped: no age; Debian has it as the package age");
        return;
    }
    let stick = Stick::new();
    let a = Home::new();
    a.put("db", "one");
    create(&a, &stick, "b", &[]);
    let mut age = Command::new("age");
    age.arg("-d")
        .arg("-i")
        .arg(a.identity())
        .arg(stick.path("b"));
    let done = age.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let inner = done.stdout;
    assert_eq!(inner[0], b'H');
    let length = u32::from_be_bytes(inner[1..5].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&inner[5..5 + length]).unwrap();
    assert!(
        header.starts_with("strongroom-bundle/1\nvault: "),
        "{header}"
    );
    assert_eq!(inner[inner.len() - 69], b'T');
}
