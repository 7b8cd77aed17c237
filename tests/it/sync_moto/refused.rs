//! What each bad input gets, by the program: the ones that no other file has. The whole
//! list is in the book, "What is proved".

use std::path::PathBuf;

use super::desk::{Desk, console, serves, state};
use crate::moto::{Moto, REGION};
use crate::proxy::{Fate, Proxy};

/// The metadata file of a secret.
fn metadata(desk: &Desk, stem: &str) -> PathBuf {
    let files = desk.files();
    let is_it = |p: &&PathBuf| {
        let file = p.file_name().unwrap().to_string_lossy().into_owned();
        p.starts_with(desk.vault().join("secrets"))
            && file.starts_with(stem)
            && file.ends_with(".toml")
    };
    files.keys().find(is_it).expect("a metadata file").clone()
}

#[test]
fn blocked_secrets_are_skipped_and_named_and_the_others_go_on() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654391");
    let desk = Desk::with_remote(&keys, &moto.url());
    for secret in ["corrupt", "forged", "merging", "fine"] {
        desk.put(&[secret], b"1");
    }
    desk.sync();
    for secret in ["corrupt", "forged", "merging", "fine"] {
        desk.put(&[secret], b"2");
    }
    let spoil = |secret: &str, how: &dyn Fn(String) -> String| {
        let path = metadata(&desk, secret);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, how(text)).unwrap();
    };
    spoil("corrupt", &|_| "no toml at all".to_owned());
    spoil("forged", &|text| {
        text.replacen("lifecycle = \"live\"", "lifecycle = \"tombstone\"", 1)
    });
    spoil("merging", &|text| {
        format!("<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")
    });
    let before = state(&moto, &keys);
    let said = desk.ends(11, &["sync", "--yes"]);
    for secret in ["corrupt", "forged", "merging"] {
        assert!(said.err.contains(secret), "{secret}: {}", said.err);
        assert_eq!(state(&moto, &keys)[secret], before[secret], "{secret}");
    }
    assert!(said.err.contains("conflict markers"), "{}", said.err);
    assert_eq!(serves(&state(&moto, &keys), "fine"), b"2");
}

#[test]
fn an_empty_listing_and_a_wrong_region_stop_the_run_before_any_write() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654392");
    let proxy = Proxy::start(&moto.url());
    let desk = Desk::with_remote(&keys, &proxy.url());
    desk.put(&["a"], b"1");
    desk.put(&["b"], b"1");
    desk.sync();
    desk.put(&["a"], b"2");
    // What answers is in another Region.
    proxy.decide(|_, operation, _| match operation {
        "ListSecrets" => Fate::Rewrite(|answer| {
            for secret in answer["SecretList"].as_array_mut().unwrap() {
                let arn = secret["ARN"]
                    .as_str()
                    .unwrap()
                    .replace(REGION, "ap-south-1");
                secret["ARN"] = arn.into();
            }
        }),
        _ => Fate::Pass,
    });
    let files = desk.files();
    let before = state(&moto, &keys);
    let said = desk.ends(10, &["sync", "--yes", "--max-delete", "100"]);
    assert!(said.err.contains("ap-south-1"), "{}", said.err);
    assert!(desk.files() == files);
    assert_eq!(state(&moto, &keys), before);

    // The right Region, and everything in it gone.
    proxy.pass();
    console(
        &moto,
        &keys,
        "for n in ('a', 'b'):\n    sm.delete_secret(SecretId=n, ForceDeleteWithoutRecovery=True)\nout(0)",
    );
    let files = desk.files();
    let said = desk.ends(10, &["sync", "--yes", "--max-delete", "100"]);
    assert!(said.err.contains("no secrets at all"), "{}", said.err);
    assert!(desk.files() == files);
    assert_eq!(state(&moto, &keys), serde_json::json!({}));
}

#[test]
fn a_plan_of_another_vault_is_refused() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654393");
    let (one, other) = (
        Desk::with_remote(&keys, &moto.url()),
        Desk::with_remote(&keys, &moto.url()),
    );
    one.put(&["a"], b"1");
    let file = one.path("saved.plan");
    let file = file.to_str().unwrap();
    one.ok(&["plan", "-o", file]);
    let said = other.ends(7, &["apply", "--yes", file]);
    assert!(said.err.contains("another vault"), "{}", said.err);
    assert_eq!(state(&moto, &keys), serde_json::json!({}));
}

#[test]
fn two_sources_of_one_name_are_both_named() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654394");
    let url = moto.url();
    let desk = Desk::with_remote(&keys, &url);
    desk.ok(&[
        "remote",
        "add",
        "far",
        "--region",
        "us-east-1",
        "--endpoint",
        &url,
    ]);
    console(
        &moto,
        &keys,
        "for n in ('old/db', 'new/db'):\n    sm.create_secret(Name=n, SecretString=n, ClientRequestToken=vid(1))\nout(0)",
    );
    let said = desk.run(&["migrate", "plan", "prod", "far", "--map", "old/*=new/*"]);
    let all = format!("{}{}", said.text(), said.err);
    assert!(all.contains("old/db") && all.contains("new/db"), "{all}");
    assert!(all.contains("would both become"), "{all}");
}

#[test]
fn a_name_that_is_scheduled_for_deletion_there_offers_to_restore_or_to_wait() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654395");
    let desk = Desk::with_remote(&keys, &moto.url());
    console(
        &moto,
        &keys,
        "sm.create_secret(Name='db', SecretString='old', ClientRequestToken=vid(1))\nsm.delete_secret(SecretId='db')\nout(0)",
    );
    desk.put(&["db"], b"new");
    let said = desk.ends(4, &["sync", "--yes"]);
    assert!(said.err.contains("db: conflict with prod"), "{}", said.err);
    assert!(said.err.contains("--ours restores it"), "{}", said.err);
    assert!(said.err.contains("wait until it is gone"), "{}", said.err);
    assert_eq!(state(&moto, &keys)["db"]["deleted"], true);
    desk.ok(&["resolve", "db", "--ours"]);
    let said = desk.run(&["sync", "--yes"]);
    // Back again, it is a secret like any other: both have a current version.
    assert_eq!(said.code, 4, "{}", said.err);
    desk.ok(&["resolve", "db", "--ours"]);
    desk.sync();
    assert_eq!(serves(&state(&moto, &keys), "db"), b"new");
    desk.assert_quiet();
}

#[test]
fn a_mirror_asks_at_its_first_sync_and_keeps_to_its_guard() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654396");
    let desk = Desk::with_remote(&keys, &moto.url());
    console(
        &moto,
        &keys,
        "for n in ('a', 'b'):\n    sm.create_secret(Name=n, SecretString=n, ClientRequestToken=vid(1))\nout(0)",
    );
    let before = state(&moto, &keys);
    let mirror = ["sync", "--mode", "mirror-out"];
    let out = |more: &[&'static str]| [&mirror[..], more].concat();
    // A vault that has nothing is no original.
    desk.ends(10, &out(&["--yes", "--max-delete", "100"]));
    desk.put(&["a"], b"mine");
    // Nobody is there to say yes.
    let said = desk.run(&out(&["--max-delete", "1"]));
    assert_eq!(said.code, 15, "{}", said.err);
    desk.ends(10, &out(&["--yes", "--max-delete", "0"]));
    assert_eq!(state(&moto, &keys), before);
    // The plan says it, and a saved one remembers the mode.
    let file = desk.path("saved.plan");
    let file = file.to_str().unwrap();
    let said = desk.ok(&["plan", "--mode", "mirror-out", "-o", file]);
    assert!(said.text().contains("schedule deletion"), "{}", said.text());
    desk.ok(&["apply", "--yes", file]);
    let now = state(&moto, &keys);
    assert_eq!(serves(&now, "a"), b"mine");
    assert_eq!(now["b"]["deleted"], true);
    let kept = &desk.dump()["b"];
    assert!(
        kept.contains("tombstone") && kept.contains("sr/was/AWSCURRENT"),
        "{kept}"
    );
    assert!(kept.contains(&format!("{:?}", b"b")), "{kept}");
    desk.ok(&out(&["--yes"]));
    // The other way is no way for a remote that is set to one.
    desk.ok(&["remote", "rm", "prod", "--yes"]);
    let url = moto.url();
    desk.ok(&[
        "remote",
        "add",
        "prod",
        "--region",
        REGION,
        "--endpoint",
        &url,
        "--direction",
        "mirror-in",
    ]);
    desk.ends(2, &out(&["--yes"]));
    desk.put(&["a"], b"edited");
    desk.ok(&["sync", "--yes"]);
    assert_eq!(desk.get("a"), b"mine");
}
