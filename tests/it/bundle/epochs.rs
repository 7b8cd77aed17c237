//! Bundles across epochs: a site that missed a rekey, a bundle that did, and those who
//! must not gain by either.

use strongroom::cli::Exit;

use super::{Stick, apply, create, metadata, other_home, settle};
use crate::cli::Home;

/// Somebody else with a key of their own.
fn person() -> (Home, String) {
    let home = Home::empty();
    home.run(["init", "other", "--no-passphrase"]).ok();
    let identity = std::fs::read_to_string(home.identity()).unwrap();
    let key = identity.split("public key: ").nth(1).unwrap();
    let key = key.lines().next().unwrap().to_owned();
    (home, key)
}

/// Two sites of one person, and bob, a member with a clone of his own.
fn team(stick: &Stick) -> (Home, Home, Home) {
    let (bob, key) = person();
    let a = Home::new();
    a.put("db", "one");
    a.put("gone", "x");
    a.run(["members", "add", "bob", &key, "--yes"]).ok();
    create(&a, stick, "first", &[]);
    let b = other_home(&a);
    settle(&b, stick, "first", &[]).ok();
    settle(&bob, stick, "first", &[]).ok();
    (a, b, bob)
}

fn fingerprint(home: &Home, stick: &Stick, file: &str) -> String {
    let said = home.json(&["bundle", "inspect", &stick.at(file)]);
    said["Fingerprint"].as_str().unwrap().to_owned()
}

fn refused(home: &Home, stick: &Stick, file: &str, exit: Exit, said: &str) {
    let before = home.files();
    apply(home, stick, file).ends(exit).has(said).has("hint: ");
    assert!(home.files() == before, "the vault was changed");
}

fn accept(home: &Home, stick: &Stick, file: &str, fingerprint: &str) -> crate::cli::Said {
    let file = stick.at(file);
    home.run(["bundle", "apply", &file, "--fingerprint", fingerprint])
}

#[test]
fn a_site_that_missed_a_rekey_gets_the_new_keys_through_the_bundle() {
    let stick = Stick::new();
    let (a, b, _) = team(&stick);
    b.put("mine", "made in the dark");
    // Two epochs on, and changes of which no ancestor tells.
    a.put("db", "two");
    create(&a, &stick, "2", &[]);
    apply(&b, &stick, "2").ok();
    a.run(["members", "rm", "bob", "--yes"]).ok();
    a.run(["rollback", "db"]).ok();
    a.run(["rekey"]).ok();
    a.put("api", "new");
    create(&a, &stick, "3", &[]);

    let before = b.files();
    b.run(["bundle", "inspect", &stick.at("3")])
        .ok()
        .has("epoch        3: new keys")
        .has("removed      bob")
        .has("api  new, 1 new version")
        .lacks("CONFLICT");
    b.run(["bundle", "verify", &stick.at("3")]).ok();
    assert!(b.files() == before, "a look changed the vault");

    apply(&b, &stick, "3")
        .ok()
        .has("new keys (epoch 3), which those trusted so far vouch for")
        .has("Removed: bob")
        .lacks("CONFLICT");
    assert_eq!(b.value("db"), "one");
    assert_eq!(b.value("api"), "new");
    assert_eq!(b.value("mine"), "made in the dark");
    b.run(["fsck"]).ok();
    b.run(["members", "ls"]).ok().lacks("bob");
    // What bob could read here is to be rotated, too.
    let open = b.run(["audit", "offboard"]).ends(Exit::Findings);
    open.has("db").has("mine").lacks("api");
    apply(&b, &stick, "3").ok().has("Applied before");

    // Under one key again: the answer is a bundle like any other.
    create(&b, &stick, "back", &[]);
    apply(&a, &stick, "back").ok().has("1 secret changed");
    assert_eq!(a.value("mine"), "made in the dark");
    assert_eq!(metadata(&a), metadata(&b));
    a.run(["fsck"]).ok();
}

#[test]
fn a_clone_made_of_a_bundle_has_the_former_epochs_and_their_ledgers() {
    let stick = Stick::new();
    let (a, _, _) = team(&stick);
    a.run(["members", "rm", "bob", "--yes"]).ok();
    create(&a, &stick, "later", &[]);
    let c = other_home(&a);
    settle(&c, &stick, "later", &[]).ok();
    for file in ["keys/default.1.age", "keys/default.2.removed.toml"] {
        let [here, there] = [&a, &c].map(|home| std::fs::read(home.vault().join(file)).unwrap());
        assert!(here == there, "{file}");
    }
    let open = c.run(["audit", "offboard"]).ends(Exit::Findings);
    open.has("gone");
    c.run(["fsck"]).ok();
}

#[test]
fn a_bundle_from_before_a_rekey_applies_once_its_fingerprint_is_compared() {
    let stick = Stick::new();
    let (a, b, bob) = team(&stick);
    a.run(["bundle", "have", "-o", &stick.at("a.have")]).ok();
    b.put("db", "two");
    b.put("lab/new", "first");
    create(&b, &stick, "old", &["--have", &stick.at("a.have")]).has("2 secrets and 2 values");
    bob.put("db", "of bob");
    create(&bob, &stick, "of bob", &[]);
    a.run(["members", "rm", "bob", "--yes"]).ok();

    refused(
        &a,
        &stick,
        "old",
        Exit::Integrity,
        "under the keys of epoch 1, and this vault is at epoch 2",
    );
    // Whoever was removed has the old keys, and makes what looks the same.
    refused(&a, &stick, "of bob", Exit::Integrity, "the keys of epoch 1");
    let found = fingerprint(&a, &stick, "old");
    a.run(["bundle", "inspect", &stick.at("old")])
        .ok()
        .has("epoch        1, and this vault is at 2")
        .has("bob could have made it")
        .has("lab/new  new");
    let before = a.files();
    accept(&a, &stick, "of bob", &found)
        .ends(Exit::Integrity)
        .has("not the one that was given");
    // `--yes` is not a comparison.
    a.run(["bundle", "apply", &stick.at("old"), "--yes"])
        .ends(Exit::Integrity);
    assert!(a.files() == before);

    accept(&a, &stick, "old", &found).ok().lacks("CONFLICT");
    assert_eq!(a.value("db"), "two");
    assert_eq!(a.value("lab/new"), "first");
    a.run(["fsck"]).ok();
    let files = a.files();
    accept(&a, &stick, "old", &found).ok().has("Applied before");
    assert!(a.files() == files);

    // What was said to be here is of another epoch.
    let args = ["bundle", "create", "-o", &stick.at("x"), "--have"];
    let have = stick.at("a.have");
    a.run(args.into_iter().chain([have.as_str()]))
        .ends(Exit::Integrity)
        .has("the have file is under keyring")
        .has("leave out --have");
    // And the other way round, under one key again.
    create(&a, &stick, "on", &[]);
    apply(&b, &stick, "on").ok().lacks("CONFLICT");
    assert_eq!(metadata(&a), metadata(&b));
}

#[test]
fn whoever_was_removed_gets_no_new_keys_and_a_fork_is_named() {
    let stick = Stick::new();
    let (a, b, bob) = team(&stick);
    let identity = std::fs::read_to_string(bob.identity()).unwrap();
    let key = identity.split("public key: ").nth(1).unwrap();
    let key = key.lines().next().unwrap();
    a.run(["members", "rm", "bob", "--yes"]).ok();
    // Encrypted to him by mistake: he opens the file, and nothing that is in it.
    create(&a, &stick, "to bob", &["--to", key]);
    refused(
        &bob,
        &stick,
        "to bob",
        Exit::NoIdentity,
        "not among their members",
    );

    b.run(["rekey"]).ok();
    create(&a, &stick, "a", &[]);
    refused(&b, &stick, "a", Exit::Integrity, "do not vouch for it");
    create(&b, &stick, "b", &[]);
    refused(&a, &stick, "b", Exit::Integrity, "do not vouch for it");
}

#[test]
fn members_of_this_clone_alone_are_named_when_it_takes_new_keys() {
    let stick = Stick::new();
    let (a, b, _) = team(&stick);
    let (carol, key) = person();
    b.run(["members", "add", "carol", &key, "--yes"]).ok();
    a.run(["rekey"]).ok();
    create(&a, &stick, "2", &[]);
    apply(&b, &stick, "2")
        .ok()
        .has("carol: a member in this clone alone");
    b.run(["members", "ls"]).ok().lacks("carol").has("bob");
    b.run(["members", "add", "carol", &key, "--yes"]).ok();
    drop(carol);
}
