//! What a person does with a vault and an account, in the order it happens.

use std::collections::BTreeMap;

use super::desk::{Desk, console, holder, serves, state, vid};
use crate::moto::Moto;
use crate::proxy::Proxy;

const ACCOUNT: &str = "210987654321";

fn count(operations: &[String]) -> BTreeMap<&str, usize> {
    let mut count = BTreeMap::new();
    for operation in operations {
        *count.entry(operation.as_str()).or_default() += 1;
    }
    count
}

#[test]
fn the_first_pull_of_200_and_a_second_sync_that_only_lists() {
    let Some(moto) = Moto::start() else {
        return;
    };
    let keys = moto.account(ACCOUNT);
    // History, custom labels, tags, descriptions, text and binary of every kind.
    let made = console(
        &moto,
        &keys,
        r"
others = 0
for n in range(200):
    name = 'app%d/s%03d' % (n % 7, n)
    def value(k):
        return {'SecretBinary': bytes([255, k % 256, 0, 10])} if (n + k) % 3 == 0 else {'SecretString': '  v%d\u00e9\n\t' % k}
    args = {'Description': 'what %d is for' % n, 'Tags': [{'Key': 'team', 'Value': 'a b'}, {'Key': 'n', 'Value': str(n)}]} if n % 5 == 0 else {}
    sm.create_secret(Name=name, ClientRequestToken=vid(n * 10 + 1), **args, **value(1))
    if n % 2 == 0:
        sm.put_secret_value(SecretId=name, ClientRequestToken=vid(n * 10 + 2), **value(2))
        others += 1
    if n % 10 == 4:
        sm.put_secret_value(SecretId=name, ClientRequestToken=vid(n * 10 + 3), VersionStages=['blue', 'next release'], **value(3))
        others += 1
out(others)
",
    );
    let others = usize::try_from(made.as_u64().unwrap()).unwrap();
    assert_eq!(others, 120);
    let proxy = Proxy::start(&moto.url());
    let desk = Desk::with_remote(&keys, &proxy.url());
    let pinned = desk.ok(&["remote", "ls"]).text();
    assert!(pinned.contains(ACCOUNT), "{pinned}");

    proxy.pass();
    let before = state(&moto, &keys);
    desk.sync();
    let operations = proxy.operations();
    let expected = BTreeMap::from([
        ("ListSecrets", 2),
        ("BatchGetSecretValue", 10),
        ("GetSecretValue", others),
    ]);
    assert_eq!(count(&operations), expected);
    assert_eq!(state(&moto, &keys), before);

    let there = before.as_object().unwrap();
    assert_eq!(there.len(), 200);
    for (name, secret) in there {
        for (version, value) in secret["values"].as_object().unwrap() {
            let bytes = data_encoding::BASE64
                .decode(value[1].as_str().unwrap().as_bytes())
                .unwrap();
            // The first ones by the program, all of them by the library below.
            if version.starts_with("000000") {
                assert_eq!(desk.get(&format!("{name}#{version}")), bytes, "{name}");
            }
        }
    }
    let dump = desk.dump();
    assert_eq!(dump.len(), 200);
    for (name, secret) in there {
        let here = &dump[name];
        for (version, value) in secret["values"].as_object().unwrap() {
            let bytes = data_encoding::BASE64
                .decode(value[1].as_str().unwrap().as_bytes())
                .unwrap();
            let pair = format!("{:?}", (version, bytes));
            assert!(here.contains(&pair), "{name} {version}: {here}");
        }
        for (version, labels) in secret["stages"].as_object().unwrap() {
            for label in labels.as_array().unwrap() {
                let entry = format!("StagingLabel({label}): VersionId({version:?})");
                assert!(here.contains(&entry), "{name}: {entry}: {here}");
            }
        }
        for (key, value) in secret["tags"].as_object().unwrap() {
            assert!(here.contains(&format!("{key:?}: {value}")), "{name}");
        }
    }

    let files = desk.files();
    for _ in 0..2 {
        proxy.pass();
        desk.assert_quiet();
        assert_eq!(
            count(&proxy.operations()),
            BTreeMap::from([("ListSecrets", 2)])
        );
        assert!(desk.files() == files, "a quiet sync wrote into the vault");
    }
}

#[test]
fn edits_conflicts_and_their_resolutions() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654301");
    console(
        &moto,
        &keys,
        "for n in ('push', 'pull', 'ours', 'theirs', 'to'):\n    sm.create_secret(Name='db/'+n, SecretString=n+' 1', ClientRequestToken=vid(1))\nout(0)",
    );
    let desk = Desk::with_remote(&keys, &moto.url());
    // The first meeting is asked about.
    desk.ends(15, &["sync"]);
    assert_eq!(desk.ok(&["ls"]).text(), "");
    desk.sync();
    desk.assert_quiet();

    // Offline edits, then a push.
    desk.put(&["db/push", "--version-id", &vid(2)], b"push 2");
    desk.put(
        &["new/text", "--tag", "team=a", "--description", "d"],
        b"brand new\n",
    );
    desk.put(&["new/binary", "--binary"], b"\xff\x00\xfe");
    let plan = desk.ok(&["plan"]).text();
    assert!(
        plan.contains("db/push") && plan.contains("new/text"),
        "{plan}"
    );
    desk.sync();
    let there = state(&moto, &keys);
    assert_eq!(serves(&there, "db/push"), b"push 2");
    assert_eq!(holder(&there, "db/push", "AWSPREVIOUS"), Some(vid(1)));
    assert_eq!(serves(&there, "new/text"), b"brand new\n");
    assert_eq!(there["new/text"]["tags"]["team"], "a");
    assert_eq!(there["new/text"]["description"], "d");
    assert_eq!(serves(&there, "new/binary"), b"\xff\x00\xfe");
    let binary = holder(&there, "new/binary", "AWSCURRENT").unwrap();
    assert_eq!(there["new/binary"]["values"][&binary][0], "binary");
    desk.assert_quiet();

    // An edit over there.
    console(
        &moto,
        &keys,
        "sm.put_secret_value(SecretId='db/pull', SecretString='pull 2', ClientRequestToken=vid(2))\nout(0)",
    );
    desk.sync();
    assert_eq!(desk.get("db/pull"), b"pull 2");
    assert_eq!(desk.get("db/pull:AWSPREVIOUS"), b"pull 1");
    desk.assert_quiet();

    // Both edited, three times.
    for name in ["ours", "theirs", "to"] {
        desk.put(&[&format!("db/{name}"), "--version-id", &vid(2)], b"here");
    }
    console(
        &moto,
        &keys,
        "for n in ('ours', 'theirs', 'to'):\n    sm.put_secret_value(SecretId='db/'+n, SecretString='there', ClientRequestToken=vid(3))\nout(0)",
    );
    let before = state(&moto, &keys);
    let said = desk.ends(4, &["sync", "--yes"]);
    assert!(
        said.err.contains("db/ours") && said.err.contains("resolve"),
        "{}",
        said.err
    );
    assert_eq!(state(&moto, &keys), before);
    let list = desk.ok(&["--offline", "conflicts", "--json"]).json();
    assert_eq!(list["Conflicts"].as_array().unwrap().len(), 3);
    assert_eq!(desk.get("db/ours"), b"here");
    assert_eq!(desk.get(&format!("db/ours#{}", vid(3))), b"there");

    desk.ok(&["--offline", "resolve", "db/ours", "--ours"]);
    desk.ok(&["--offline", "resolve", "db/theirs", "--theirs"]);
    desk.ok(&["--offline", "resolve", "db/to", "--to", &vid(1)]);
    desk.sync();
    let there = state(&moto, &keys);
    for (name, value, previous, lost) in [
        ("ours", "here", 3, vec![3]),
        ("theirs", "there", 1, vec![2]),
        ("to", "to 1", 3, vec![2, 3]),
    ] {
        let secret = format!("db/{name}");
        assert_eq!(serves(&there, &secret), value.as_bytes(), "{name}");
        assert_eq!(desk.get(&secret), value.as_bytes(), "{name}");
        assert_eq!(
            holder(&there, &secret, "AWSPREVIOUS"),
            Some(vid(previous)),
            "{name}"
        );
        let here = &desk.dump()[&secret];
        for n in lost {
            let id8 = &vid(n)[..8];
            assert!(
                here.contains("sr/lost/") && here.contains(&format!("-{id8}\")")),
                "{here}"
            );
        }
    }
    desk.assert_quiet();
    assert_eq!(
        desk.ok(&["conflicts", "--json"]).json()["Conflicts"],
        serde_json::json!([])
    );

    // A rollback here, and then one over there.
    desk.ok(&["rollback", "db/push"]);
    desk.sync();
    let there = state(&moto, &keys);
    assert_eq!(serves(&there, "db/push"), b"push 1");
    assert_eq!(holder(&there, "db/push", "AWSPREVIOUS"), Some(vid(2)));
    console(
        &moto,
        &keys,
        "sm.update_secret_version_stage(SecretId='db/push', VersionStage='AWSCURRENT', MoveToVersionId=vid(2), RemoveFromVersionId=vid(1))\nout(0)",
    );
    desk.sync();
    assert_eq!(desk.get("db/push"), b"push 2");
    desk.assert_quiet();
}

#[test]
fn deletion_and_restoration_on_either_side() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let keys = moto.account("210987654302");
    console(
        &moto,
        &keys,
        "for n in ('a', 'b', 'c', 'd'):\n    sm.create_secret(Name=n, SecretString=n+' 1', ClientRequestToken=vid(1))\nout(0)",
    );
    let desk = Desk::with_remote(&keys, &moto.url());
    desk.sync();

    desk.ok(&["rm", "a", "--window", "7"]);
    console(
        &moto,
        &keys,
        "sm.delete_secret(SecretId='b', RecoveryWindowInDays=9)\nout(0)",
    );
    desk.sync();
    let there = state(&moto, &keys);
    assert_eq!(
        (&there["a"]["deleted"], &there["b"]["deleted"]),
        (&true.into(), &true.into())
    );
    let shown = desk.dump();
    assert!(shown["a"].starts_with("\"scheduled\"") && shown["b"].starts_with("\"scheduled\""));
    // The vault keeps what AWS does not hand out any more.
    assert_eq!(desk.get(&format!("b#{}", vid(1))), b"b 1");
    desk.assert_quiet();

    desk.ok(&["restore", "b"]);
    console(&moto, &keys, "sm.restore_secret(SecretId='a')\nout(0)");
    desk.sync();
    let there = state(&moto, &keys);
    assert_eq!(
        (&there["a"]["deleted"], &there["b"]["deleted"]),
        (&false.into(), &false.into())
    );
    assert_eq!(desk.get("a"), b"a 1");
    assert_eq!(serves(&there, "b"), b"b 1");
    desk.assert_quiet();

    // Purged over there: the vault outlives it, and makes it anew when asked to.
    console(
        &moto,
        &keys,
        "sm.delete_secret(SecretId='c', ForceDeleteWithoutRecovery=True)\nout(0)",
    );
    desk.sync();
    assert!(desk.dump()["c"].starts_with("\"tombstone\""));
    desk.ok(&["restore", "c"]);
    desk.sync();
    assert_eq!(serves(&state(&moto, &keys), "c"), b"c 1");
    desk.assert_quiet();

    // Deleted over there while it was edited here.
    desk.put(&["d"], b"d 2");
    console(&moto, &keys, "sm.delete_secret(SecretId='d')\nout(0)");
    desk.ends(4, &["sync", "--yes"]);
    assert_eq!(state(&moto, &keys)["d"]["deleted"], true);
    desk.ok(&["resolve", "d", "--ours"]);
    desk.sync();
    assert_eq!(serves(&state(&moto, &keys), "d"), b"d 2");
    desk.assert_quiet();
}

#[test]
fn two_accounts_and_one_vault() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let (a, b) = ("210987654303", "210987654304");
    let (keys_a, keys_b) = (moto.account(a), moto.account(b));
    console(
        &moto,
        &keys_a,
        "sm.create_secret(Name='db', SecretString='one', ClientRequestToken=vid(1))\nout(0)",
    );
    let desk = Desk::new(&keys_a);
    // Two profiles, as people have them.
    let mut profiles = String::new();
    for (name, keys) in [("a", &keys_a), ("b", &keys_b)] {
        profiles.push_str(&format!(
            "[{name}]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}\n",
            keys.id, keys.secret, keys.session
        ));
    }
    std::fs::create_dir(desk.path(".aws")).unwrap();
    std::fs::write(desk.path(".aws/credentials"), profiles).unwrap();
    for (name, account) in [("a", a), ("b", b)] {
        let url = moto.url();
        let args = [
            "remote",
            "add",
            name,
            "--region",
            "eu-west-1",
            "--endpoint",
            &url,
            "--profile",
            name,
        ];
        desk.ok(&args);
        let listed = desk.ok(&["remote", "ls"]).text();
        assert!(listed.contains(account), "{listed}");
    }
    desk.sync();
    if !desk.sync().err.contains("In step") {
        desk.assert_quiet();
    }
    let (there_a, there_b) = (state(&moto, &keys_a), state(&moto, &keys_b));
    assert_eq!(serves(&there_b, "db"), b"one");
    assert_eq!(
        holder(&there_a, "db", "AWSCURRENT"),
        holder(&there_b, "db", "AWSCURRENT")
    );

    desk.put(&["db"], b"two");
    desk.sync();
    assert_eq!(serves(&state(&moto, &keys_a), "db"), b"two");
    assert_eq!(serves(&state(&moto, &keys_b), "db"), b"two");

    // One account's edit travels to the other in one run.
    console(&moto, &keys_b, "write(sm, 'db', vid(9), 'three')\nout(0)");
    desk.sync();
    assert_eq!(serves(&state(&moto, &keys_a), "db"), b"three");
    assert_eq!(desk.get("db"), b"three");

    // Their edits disagree: nothing moves.
    console(&moto, &keys_a, "write(sm, 'db', vid(10), 'a says')\nout(0)");
    console(&moto, &keys_b, "write(sm, 'db', vid(11), 'b says')\nout(0)");
    desk.ends(4, &["sync", "--yes"]);
    assert_eq!(serves(&state(&moto, &keys_a), "db"), b"a says");
    assert_eq!(serves(&state(&moto, &keys_b), "db"), b"b says");
    assert_eq!(desk.get("db"), b"three");
    assert_eq!(desk.get(&format!("db#{}", vid(10))), b"a says");
    assert_eq!(desk.get(&format!("db#{}", vid(11))), b"b says");
}
