//! A developer without the keyring of production, with a bare repository between the two
//! clones: what is not in it can be listed, changed, pulled and synced, and the rest is
//! "no access" and nothing else.

use std::collections::BTreeMap;
use std::process::Command;

use strongroom::plan::{Limits, Policy, RemotePolicy};
use strongroom::store::{MemoryStore, Silent};
use strongroom::sync::{Options, sync};

use super::home::{Home, said};
use super::sync_memory::world::run;
use super::tamper::{NOW, ends, git, house, unlocked};

/// Ann, who has everything, and Bob, who is a member; each with a clone of one host.
fn team() -> (Home, Home) {
    let ann = house();
    let bob = Home::new();
    let joined = bob.run(&["join", "--name", "bob", "--no-passphrase", "--json"], b"");
    assert!(joined.status.success(), "{}", said(&joined));
    let his: serde_json::Value = serde_json::from_slice(&joined.stdout).unwrap();
    let key = his["Recipient"].as_str().unwrap();
    ann.ok(&["members", "add", "bob", key, "--yes"], b"");
    let host = ann.path().join("host.git");
    let host = host.to_str().unwrap();
    git(&ann, &["init", "-q", "--bare", host]);
    git(&ann, &["remote", "add", "origin", host]);
    git(&ann, &["push", "-q", "-u", "origin", "HEAD"]);
    let cloned = Command::new("git")
        .args(["clone", "-q", host, bob.vault().to_str().unwrap()])
        .output()
        .unwrap();
    assert!(cloned.status.success(), "{}", said(&cloned));
    (ann, bob)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_developer_without_the_production_keyring_works_with_the_rest() {
    let (ann, bob) = team();
    assert_eq!(bob.ok(&["get", "prod/db"], b""), b"hunter2-canary");
    let listed = ann.ok(
        &["keyring", "add", "prod", "--prefix", "prod/", "--yes"],
        b"",
    );
    assert_eq!(text(listed), "prod/db\n", "what is to be rotated");
    assert_eq!(git(&ann, &["status", "--porcelain"]), "");
    assert_eq!(ann.ok(&["get", "prod/db"], b""), b"hunter2-canary");
    git(&ann, &["push", "-q"]);

    // Bob has a commit of his own meanwhile.
    bob.ok(&["put", "dev/early"], b"early");
    bob.ok(&["git-pull"], b"");
    let flat = text(bob.ok(&["ls", "--flat"], b""));
    assert_eq!(
        flat,
        "dev/db\ndev/early\nprod/db  [no access: keyring prod]\n"
    );
    for args in [
        ["get", "prod/db"],
        ["put", "prod/new"],
        ["show", "prod/db"],
        ["rm", "prod/db"],
    ] {
        ends(&bob, &args, 6, "no access: it is in keyring prod");
    }
    ends(
        &bob,
        &["members", "ls", "--keyring", "prod"],
        6,
        "no access to keyring prod",
    );
    bob.ok(&["put", "dev/mine"], b"mine");
    let status = text(bob.ok(&["status"], b""));
    assert!(
        status.contains("keyring prod: no access to 1 secret"),
        "{status}"
    );
    bob.ok(&["fsck"], b"");

    // Both go on: Ann in prod, Bob elsewhere.
    ann.ok(&["put", "prod/db"], b"second");
    ann.ok(&["put", "prod/more"], b"more");
    git(&ann, &["push", "-q"]);
    bob.ok(&["git-pull"], b"");
    git(&bob, &["push", "-q"]);
    ann.ok(&["git-pull"], b"");
    assert_eq!(ann.ok(&["get", "prod/db"], b""), b"second");
    assert_eq!(ann.ok(&["get", "dev/mine"], b""), b"mine");
    let flat = text(bob.ok(&["ls", "--flat"], b""));
    assert!(
        flat.contains("prod/more  [no access: keyring prod]"),
        "{flat}"
    );
    let all = text(ann.ok(&["keyring", "ls"], b""));
    assert!(all.contains("prod  prod/  2 secrets  ann"), "{all}");

    // Let in, he reads it; taken out, he does not.
    ann.ok(
        &["members", "add", "bob", "--keyring", "prod", "--yes"],
        b"",
    );
    git(&ann, &["push", "-q"]);
    bob.ok(&["git-pull"], b"");
    assert_eq!(bob.ok(&["get", "prod/db"], b""), b"second");
    let members = text(ann.ok(&["members", "ls"], b""));
    assert_eq!(members.matches("[prod]").count(), 2, "{members}");
    ann.ok(&["members", "rm", "bob", "--keyring", "prod", "--yes"], b"");
    git(&ann, &["push", "-q"]);
    bob.ok(&["git-pull"], b"");
    ends(&bob, &["get", "prod/db"], 6, "no access");
    assert_eq!(bob.ok(&["get", "dev/db"], b""), b"dev");
    let open = text(ann.ok(&["status"], b""));
    assert!(open.contains("2 secrets to rotate"), "{open}");
}

#[test]
fn a_sync_without_a_keyring_neither_pulls_nor_deletes_what_is_in_it() {
    let (ann, bob) = team();
    ann.ok(
        &["keyring", "add", "prod", "--prefix", "prod/", "--yes"],
        b"",
    );
    git(&ann, &["push", "-q"]);
    bob.ok(&["git-pull"], b"");
    let remote = "aws".parse().unwrap();
    let store = MemoryStore::new("111111111111", "eu-west-1", NOW);
    let stores = BTreeMap::from([(remote, store)]);
    let options = Options {
        now: NOW,
        limits: Limits::default(),
        policy: Policy {
            remotes: BTreeMap::from([("aws".parse().unwrap(), RemotePolicy::default())]),
            ..Policy::default()
        },
        no_git: true,
    };
    let names = || -> Vec<String> {
        let all = stores.values().flat_map(|s| s.state().0.into_keys());
        all.map(|name| name.to_string()).collect()
    };
    run(sync(&unlocked(&bob).unwrap(), &stores, &options, &Silent)).unwrap();
    assert_eq!(names(), ["dev/db"], "what is closed is not pushed");
    run(sync(&unlocked(&ann).unwrap(), &stores, &options, &Silent)).unwrap();
    assert_eq!(names(), ["dev/db", "prod/db"]);
    let prod = bob.vault().join("secrets/prod/db.toml");
    let before = std::fs::read(&prod).unwrap();
    run(sync(&unlocked(&bob).unwrap(), &stores, &options, &Silent)).unwrap();
    assert_eq!(names(), ["dev/db", "prod/db"], "and not deleted there");
    assert_eq!(std::fs::read(&prod).unwrap(), before, "nor pulled");
}

#[test]
fn an_agent_holds_every_keyring_that_its_person_opens() {
    let (ann, _) = team();
    ann.ok(
        &["keyring", "add", "prod", "--prefix", "prod/", "--yes"],
        b"",
    );
    ann.ok(&["unlock", "--ttl", "2m"], b"");
    // Nothing but the agent can open it now.
    std::fs::rename(ann.identity(), ann.path().join("away")).unwrap();
    let read = (
        ann.ok(&["get", "prod/db"], b""),
        ann.ok(&["get", "dev/db"], b""),
    );
    ann.ok(&["put", "prod/db"], b"by the agent");
    let again = ann.ok(&["get", "prod/db"], b"");
    ann.ok(&["lock"], b"");
    assert_eq!(read, (b"hunter2-canary".to_vec(), b"dev".to_vec()));
    assert_eq!(again, b"by the agent");
}
