//! The threat table of the book, row by row: what is done to a vault by somebody without
//! its key is named, with exit code 7 or 6, and nothing of it is decrypted, served or
//! synced.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use strongroom::crypto::{
    Binding, Commitment, Domain, Identity, KeyringKeys, Recipient, encrypt_keyring, seal_value,
};
use strongroom::model::{SecretName, SecretValue, Stamp, Timestamp};
use strongroom::plan::{Limits, Policy, RemotePolicy};
use strongroom::server::service::Options as Serving;
use strongroom::server::{Answer as _, Call, Caller, Grant, Service};
use strongroom::store::{MemoryStore, Silent};
use strongroom::sync::{Options, sync};
use strongroom::vault::{Keyring, Past, Vault, VaultError};

use super::home::{Home, copy, said};
use super::sync_memory::world::run;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const CANARY: &str = "hunter2-canary";
const INTEGRITY: i32 = 7;

/// A vault with two secrets under git, and a clone's state that has seen it.
pub(crate) fn house() -> Home {
    let home = Home::new();
    let done = home.run(
        &["init", "vault", "--no-passphrase", "--member", "ann"],
        b"",
    );
    assert!(done.status.success(), "{}", said(&done));
    home.ok(&["put", "prod/db"], CANARY.as_bytes());
    home.ok(&["put", "dev/db"], b"dev");
    home
}

fn tried(home: &Home, args: &[&str]) -> Output {
    let vault = home.vault();
    let mut all = vec!["-C", vault.to_str().unwrap()];
    all.extend(args);
    home.run(&all, b"")
}

/// Ends with this code and says this, and shows no value.
pub(crate) fn ends(home: &Home, args: &[&str], code: i32, says: &str) {
    let done = tried(home, args);
    assert_eq!(done.status.code(), Some(code), "{args:?}: {}", said(&done));
    assert!(said(&done).contains(says), "{args:?}: {}", said(&done));
    assert!(!String::from_utf8_lossy(&done.stdout).contains(CANARY));
    assert!(!said(&done).contains(CANARY));
}

pub(crate) fn git(home: &Home, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Eve", "-c", "user.email=eve@example.org"])
        .args(args)
        .current_dir(home.vault())
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn identity(home: &Home) -> Identity {
    Identity::from_file(&fs::read(home.identity()).unwrap()).unwrap()
}

pub(crate) fn unlocked(home: &Home) -> Result<Vault, VaultError> {
    let mut vault = Vault::open(&home.vault(), &home.path().join(".local/state"))?;
    vault.unlock(&identity(home))?;
    Ok(vault)
}

/// The value that the endpoint answers with, if it does.
fn served(home: &Home, name: &str) -> Option<String> {
    let service = Service::new(unlocked(home).ok()?, Serving::default()).unwrap();
    let reply = service.answer(&Call {
        operation: "GetSecretValue",
        body: format!("{{\"SecretId\":\"{name}\"}}").as_bytes(),
        caller: &Caller {
            access_key: "AKIATEST".to_owned(),
            account: None,
            region: "eu-central-1".to_owned(),
            grant: Grant::default(),
        },
        stamp: &Stamp {
            now: NOW,
            id: "5eed0000-0000-4000-8000-000000000000".parse().unwrap(),
        },
    });
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    (reply.status == 200).then_some(body)
}

/// The names that a sync with an empty account pushes.
fn pushed(home: &Home) -> Result<Vec<String>, String> {
    let vault = unlocked(home).map_err(|e| e.to_string())?;
    let store = MemoryStore::new("111111111111", "eu-west-1", NOW);
    let stores = BTreeMap::from([("prod".parse().unwrap(), store)]);
    let remotes = BTreeMap::from([("prod".parse().unwrap(), RemotePolicy::default())]);
    let options = Options {
        now: NOW,
        limits: Limits::default(),
        policy: Policy {
            remotes,
            ..Policy::default()
        },
        no_git: true,
    };
    let done = run(sync(&vault, &stores, &options, &Silent));
    let pushed = stores
        .values()
        .flat_map(|store| store.state().0.into_keys());
    let pushed: Vec<String> = pushed.map(|name| name.to_string()).collect();
    match done {
        Ok(_) => Ok(pushed),
        Err(error) if pushed.is_empty() => Err(error.to_string()),
        Err(error) => panic!("it pushed {pushed:?}, then: {error}"),
    }
}

/// Nothing of `prod/db` comes out at any door, the reason is named, and its files are as
/// they were. A sync may go on with `dev/db`, and record that.
fn nothing_served(home: &Home, says: &str) {
    let files = || {
        let mut all = tree(&home.vault());
        all.retain(|path, _| !path.ends_with("secrets/dev/db.toml"));
        all
    };
    let before = files();
    ends(home, &["get", "prod/db"], INTEGRITY, says);
    assert_eq!(served(home, "prod/db"), None);
    if let Ok(pushed) = pushed(home) {
        assert!(!pushed.contains(&"prod/db".to_owned()), "{pushed:?}");
    }
    assert!(files() == before, "a file of the vault was changed");
}

/// Every file but git's own, with its content.
fn tree(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with(".git") {
            continue;
        }
        match path.is_dir() {
            true => all.extend(tree(&path)),
            false => drop(all.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    all
}

fn metadata(home: &Home, name: &str) -> PathBuf {
    home.vault().join(format!("secrets/{name}.toml"))
}

/// The value's file of a secret with one version.
fn value(home: &Home, name: &str) -> PathBuf {
    let (folder, file) = name.split_once('/').unwrap();
    let folder = home.vault().join("secrets").join(folder);
    let mut found = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    found
        .find(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(&format!("{file}.")) && name.ends_with(".age")
        })
        .unwrap()
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} lacks {from}", path.display());
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let len = bytes.len();
    bytes[at % len] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn recipient(home: &Home) -> Recipient {
    let text = fs::read_to_string(home.vault().join("keys/default.toml")).unwrap();
    let line = text
        .lines()
        .find(|l| l.starts_with("recipient = "))
        .unwrap();
    line.split('"').nth(1).unwrap().parse().unwrap()
}

fn vault_id(home: &Home) -> String {
    unlocked(home).unwrap().config().vault_id.clone()
}

#[test]
fn a_git_host_without_a_key_forges_nothing() {
    // Whatever is flipped in any file of the vault, one at a time: no door gives a value
    // that is not the one that was put.
    let home = house();
    let files: Vec<PathBuf> = tree(&home.vault()).into_keys().collect();
    for path in files {
        if path.ends_with(".gitattributes") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for part in [0, 1, 2, 3] {
            flip(&path, bytes.len() * part / 4 + 3);
            if let Some(body) = served(&home, "prod/db") {
                assert!(body.contains(CANARY), "{}", path.display());
            }
            fs::write(&path, &bytes).unwrap();
        }
    }
    assert!(served(&home, "prod/db").is_some_and(|body| body.contains(CANARY)));
    assert_eq!(pushed(&home).unwrap(), ["dev/db", "prod/db"]);
}

#[test]
fn a_flipped_byte_is_served_nowhere() {
    let home = house();
    let path = value(&home, "prod/db");
    let bytes = fs::read(&path).unwrap();
    for at in [30, bytes.len() / 2, bytes.len() - 1] {
        flip(&path, at);
        nothing_served(&home, "prod/db");
        fs::write(&path, &bytes).unwrap();
    }
    flip(&metadata(&home, "prod/db"), 60);
    nothing_served(&home, "prod/db");
}

#[test]
fn a_swapped_value_is_served_nowhere() {
    // Across names.
    let home = house();
    let path = value(&home, "prod/db");
    let genuine = fs::read(&path).unwrap();
    fs::copy(value(&home, "dev/db"), &path).unwrap();
    nothing_served(&home, "belongs to another secret");
    fs::write(&path, &genuine).unwrap();
    // Across versions.
    home.ok(&["put", "prod/db"], b"second");
    let newer = tree(&home.vault()).into_keys().find(|other| {
        let name = other.to_string_lossy();
        name.contains("secrets/prod/db.") && name.ends_with(".age") && *other != path
    });
    fs::copy(&path, newer.unwrap()).unwrap();
    nothing_served(&home, "belongs to another version");
    // Across vaults, even of one keyring.
    let home = house();
    let member = identity(&home);
    let file = fs::read(home.vault().join("keys/default.age")).unwrap();
    let _keyring = strongroom::crypto::open_keyring(&file, &member).unwrap();
    let vault = unlocked(&home).unwrap();
    let name: SecretName = "prod/db".parse().unwrap();
    let record = vault.record(&name).unwrap().unwrap();
    let binding = Binding {
        vault: "00000000-0000-4000-8000-000000000000",
        name: &name,
        version: record.state.current().unwrap(),
    };
    let text = SecretValue::string(CANARY.as_bytes().to_vec()).unwrap();
    let sealed = seal_value(&text, &binding, None, &recipient(&home)).unwrap();
    fs::write(value(&home, "prod/db"), sealed.as_bytes()).unwrap();
    nothing_served(&home, "belongs to another vault");
}

#[test]
fn a_value_of_an_outsider_is_served_nowhere() {
    let home = house();
    let vault = unlocked(&home).unwrap();
    let name: SecretName = "prod/db".parse().unwrap();
    let record = vault.record(&name).unwrap().unwrap();
    let id = vault_id(&home);
    let binding = Binding {
        vault: &id,
        name: &name,
        version: record.state.current().unwrap(),
    };
    let text = SecretValue::string(b"of the outsider".to_vec()).unwrap();
    let sealed = seal_value(&text, &binding, None, &recipient(&home)).unwrap();
    fs::write(value(&home, "prod/db"), sealed.as_bytes()).unwrap();
    nothing_served(&home, "another value than its metadata says");
}

#[test]
fn an_edited_label_is_served_nowhere() {
    let home = house();
    home.ok(&["put", "prod/db"], b"second");
    let path = metadata(&home, "prod/db");
    replace(&path, "\"AWSCURRENT\"", "\"AWSX\"");
    replace(&path, "\"AWSPREVIOUS\"", "\"AWSCURRENT\"");
    nothing_served(&home, "the mac does not match");
}

#[test]
fn an_old_tree_is_named_and_not_synced() {
    let home = house();
    home.ok(&["put", "prod/db"], b"second");
    home.ok(&["ls"], b"");
    git(&home, &["checkout", "-q", "HEAD~1", "--", "secrets"]);
    let before = tree(&home.vault());
    let found = String::from_utf8(home.ok(&["status"], b"")).unwrap();
    assert!(
        found.contains("1 secret went back in time: prod/db"),
        "{found}"
    );
    ends(&home, &["fsck"], 12, "");
    let error = pushed(&home).unwrap_err();
    assert_eq!(error, "1 secret went back in time: prod/db");
    home.ok(
        &[
            "remote",
            "add",
            "aws",
            "--region",
            "eu-west-1",
            "--endpoint",
            "http://127.0.0.1:9",
            "--account",
            "111111111111",
        ],
        b"",
    );
    for verb in ["sync", "push", "pull"] {
        ends(
            &home,
            &[verb, "--yes"],
            INTEGRITY,
            "went back in time: prod/db",
        );
    }
    ends(&home, &["rekey"], INTEGRITY, "went back in time");
    let mut after = tree(&home.vault());
    after.insert(
        home.vault().join("strongroom.toml"),
        before[&home.vault().join("strongroom.toml")].clone(),
    );
    assert!(after == before, "a file was changed");
    ends(&home, &["trust", "--rollback"], 15, "");
    home.ok(&["trust", "--rollback", "--yes"], b"");
    assert_eq!(pushed(&home).unwrap(), ["dev/db", "prod/db"]);
}

#[test]
fn old_settings_are_named_and_not_synced_by() {
    let home = house();
    let remote = |account: &str| {
        let args = [
            "remote",
            "add",
            "aws",
            "--region",
            "eu-west-1",
            "--endpoint",
            "http://127.0.0.1:9",
            "--account",
            account,
        ];
        home.ok(&args, b"");
    };
    remote("111111111111");
    home.ok(&["remote", "rm", "aws", "--yes"], b"");
    remote("222222222222");
    // The account that is not to be synced with any more.
    git(
        &home,
        &["checkout", "-q", "HEAD~2", "--", "strongroom.toml"],
    );
    let says = "the settings went back in time";
    let found = String::from_utf8(home.ok(&["status"], b"")).unwrap();
    assert!(found.contains(says), "{found}");
    let done = tried(&home, &["fsck"]);
    assert_eq!(done.status.code(), Some(12), "{}", said(&done));
    assert!(said(&tried(&home, &["get", "prod/db"])).contains(says));
    for args in [
        &["sync", "--yes"][..],
        &["push", "--yes"],
        &["fetch"],
        &["remote", "add", "b", "--region", "eu-west-1"],
        &["rekey", "--yes"],
    ] {
        ends(&home, args, INTEGRITY, says);
    }
    ends(&home, &["trust", "--rollback"], 15, "");
    home.ok(&["trust", "--rollback", "--yes"], b"");
    assert!(
        !String::from_utf8(home.ok(&["status"], b""))
            .unwrap()
            .contains(says)
    );
    home.ok(&["fsck"], b"");
}

#[test]
fn an_edited_member_list_opens_nothing() {
    let home = house();
    let eve = Identity::generate().recipient();
    let list = home.vault().join("keys/default.toml");
    let text = fs::read_to_string(&list).unwrap();
    let member = format!("[[member]]\nname = \"eve\"\nrecipient = \"{eve}\"\n\n[mac]");
    fs::write(&list, text.replace("[mac]", &member)).unwrap();
    nothing_served(&home, "keys/default.toml");
    // Her own keyring's file beside the genuine list lets nobody in either.
    fs::write(&list, text).unwrap();
    let keyring = Identity::generate();
    let mine = identity(&home).recipient();
    let age = encrypt_keyring(&keyring, NOW, &[mine, eve]).unwrap();
    fs::write(home.vault().join("keys/default.age"), age.as_bytes()).unwrap();
    nothing_served(&home, "is not the one this clone trusts");
}

#[test]
fn an_old_member_list_opens_nothing() {
    let home = house();
    let bob = Identity::generate().recipient().to_string();
    home.ok(&["members", "add", "bob", &bob, "--yes"], b"");
    git(&home, &["checkout", "-q", "HEAD~1", "--", "keys"]);
    nothing_served(&home, "an old member list was put back");
}

#[test]
fn an_edited_remote_is_not_synced_with() {
    let home = house();
    home.ok(
        &[
            "remote",
            "add",
            "aws",
            "--region",
            "eu-west-1",
            "--account",
            "111111111111",
        ],
        b"",
    );
    let settings = home.vault().join("strongroom.toml");
    replace(
        &settings,
        "account = \"111111111111\"",
        "account = \"666666666666\"",
    );
    nothing_served(&home, "strongroom.toml");
    ends(&home, &["sync", "--yes"], INTEGRITY, "strongroom.toml");
}

#[test]
fn a_format_of_the_future_is_told() {
    for file in [
        "strongroom.toml",
        "keys/default.toml",
        "secrets/prod/db.toml",
    ] {
        let home = house();
        replace(&home.vault().join(file), "format = 1", "format = 2");
        let before = tree(&home.vault());
        ends(&home, &["get", "prod/db"], 16, "needs a newer strongroom");
        assert_eq!(served(&home, "prod/db"), None);
        assert!(tree(&home.vault()) == before, "a file was changed");
    }
}

/// A keyring that somebody without the vault's key made, and all that he can write.
fn forge(home: &Home, epoch: u32, vouched_by: Commitment) -> String {
    let keyring = Identity::generate();
    let member = identity(home).recipient();
    let age = encrypt_keyring(&keyring, NOW, std::slice::from_ref(&member)).unwrap();
    let vault = Vault::open(&home.vault(), &home.path().join("elsewhere")).unwrap();
    let keys = KeyringKeys::new(keyring, &vault.config().vault_id);
    let mut list = Keyring::new(&keys, "ann", &member);
    list.epoch = epoch;
    list.past = (1..epoch)
        .map(|epoch| Past {
            epoch,
            commitment: vouched_by,
            removed: Vec::new(),
            vouch: keys.mac(Domain::Epoch, b"forged").unwrap(),
        })
        .collect();
    let settings = keys.seal_text(Domain::Vault, vault.config().emit().unwrap());
    fs::write(home.vault().join("keys/default.age"), age.as_bytes()).unwrap();
    fs::write(
        home.vault().join("keys/default.toml"),
        list.seal(&keys).unwrap(),
    )
    .unwrap();
    fs::write(home.vault().join("strongroom.toml"), settings.unwrap()).unwrap();
    keys.commitment().fingerprint()
}

#[test]
fn a_keyring_that_nothing_vouches_for_opens_nothing() {
    for epoch in [1, 2] {
        let home = house();
        let genuine = unlocked(&home).unwrap().keys().unwrap().commitment();
        let fingerprint = forge(&home, epoch, genuine);
        nothing_served(&home, "is not the one this clone trusts");
        ends(&home, &["trust"], INTEGRITY, "nothing vouches for it");
        let wrong = genuine.fingerprint();
        ends(
            &home,
            &["trust", "--fingerprint", &wrong],
            INTEGRITY,
            &fingerprint,
        );
        nothing_served(&home, "is not the one this clone trusts");
        // A person can; the secrets are still another keyring's, and stay shut.
        home.ok(&["trust", "--fingerprint", &fingerprint], b"");
        nothing_served(&home, "the mac does not match");
    }
}

/// Files under the names of a rekey's, pushed by anybody who has the vault's own.
#[test]
fn a_rekey_that_this_clone_did_not_begin_is_none() {
    let home = house();
    let settings = home.vault().join("strongroom.toml");
    let old = fs::read(&settings).unwrap();
    home.ok(&["rekey", "--yes"], b"");
    let keys = home.vault().join("keys");
    for ending in ["toml", "age"] {
        let (from, to) = (
            format!("default.{ending}"),
            format!("default.next.{ending}"),
        );
        fs::copy(keys.join(from), keys.join(to)).unwrap();
    }
    ends(&home, &["status"], 0, "");
    assert!(tried(&home, &["get", "prod/db"]).status.success());
    // With settings of the epoch before: nothing makes them genuine again.
    fs::write(&settings, &old).unwrap();
    ends(&home, &["get", "prod/db"], INTEGRITY, "strongroom.toml");
    ends(&home, &["rekey", "--yes"], INTEGRITY, "strongroom.toml");
    assert_eq!(fs::read(&settings).unwrap(), old);
}

#[test]
fn a_fingerprint_that_was_typed_must_be_the_keyrings() {
    let home = house();
    ends(&home, &["status"], 0, "");
    assert!(tried(&home, &["get", "prod/db"]).status.success());
    let wrong = "0000-1111-2222-3333-4444";
    ends(&home, &["trust", "--fingerprint", wrong], INTEGRITY, "");
    assert!(tried(&home, &["get", "prod/db"]).status.success());
}

#[test]
fn nothing_typed_is_nothing_accepted() {
    let home = house();
    let copied = home.path().join("copied");
    copy(&home.vault(), &copied);
    let of_copy = |args: &[&str]| {
        let mut all = vec!["-C", copied.to_str().unwrap()];
        all.extend(args);
        home.run(&all, b"")
    };
    for args in [&["trust"][..], &["trust", "--json"]] {
        let done = of_copy(args);
        assert_eq!(done.status.code(), Some(INTEGRITY), "{}", said(&done));
        assert!(
            said(&done).contains("nothing was accepted"),
            "{}",
            said(&done)
        );
    }
    let fingerprint = unlocked(&home).unwrap().keys().unwrap().commitment();
    let done = of_copy(&["trust", "--fingerprint", &fingerprint.fingerprint()]);
    assert!(done.status.success(), "{}", said(&done));
    let done = of_copy(&["trust"]);
    assert!(done.status.success(), "{}", said(&done));
}

#[test]
fn an_old_epoch_opens_nothing() {
    let home = house();
    home.ok(&["rekey"], b"");
    git(&home, &["checkout", "-q", "HEAD~1"]);
    nothing_served(&home, "this clone has seen 2");
    git(&home, &["checkout", "-q", "-"]);
    assert!(served(&home, "prod/db").is_some_and(|body| body.contains(CANARY)));
}

#[test]
fn a_removed_teammate_reads_nothing_new_and_is_in_the_ledger() {
    let ann = house();
    let bob = Home::new();
    let said_by_bob = bob.run(&["join", "--name", "bob", "--no-passphrase", "--json"], b"");
    assert!(said_by_bob.status.success(), "{}", said(&said_by_bob));
    let his: serde_json::Value = serde_json::from_slice(&said_by_bob.stdout).unwrap();
    let key = his["Recipient"].as_str().unwrap();
    // Who is not a member opens nothing: exit code 6.
    copy(&ann.vault(), &bob.vault());
    ends(
        &bob,
        &["get", "prod/db"],
        6,
        "not encrypted to this identity",
    );
    ann.ok(&["members", "add", "bob", key, "--yes"], b"");
    fs::remove_dir_all(bob.vault()).unwrap();
    copy(&ann.vault(), &bob.vault());
    assert_eq!(bob.ok(&["get", "prod/db"], b""), CANARY.as_bytes());

    ends(
        &ann,
        &["members", "rm", "ann", "--yes"],
        10,
        "lock yourself out",
    );
    ends(
        &ann,
        &["members", "rm", "eve", "--yes"],
        3,
        "no member named eve",
    );
    ends(&ann, &["members", "rm", "bob"], 15, "");
    ann.ok(&["members", "rm", "bob", "--yes"], b"");
    assert_eq!(git(&ann, &["status", "--porcelain"]), "");
    assert_eq!(ann.ok(&["get", "prod/db"], b""), CANARY.as_bytes());
    let copied = bob.path().join("newer");
    copy(&ann.vault(), &copied);
    let done = bob.run(&["-C", copied.to_str().unwrap(), "get", "prod/db"], b"");
    assert_eq!(done.status.code(), Some(6), "{}", said(&done));

    // What he could read is open until it is rotated.
    let status = String::from_utf8(ann.ok(&["status"], b"")).unwrap();
    assert!(
        status.contains("2 secrets to rotate that a removed member could read"),
        "{status}"
    );
    let audit = tried(&ann, &["audit", "offboard", "--json"]);
    assert_eq!(audit.status.code(), Some(12));
    let audit: serde_json::Value = serde_json::from_slice(&audit.stdout).unwrap();
    assert_eq!(audit["Open"], 2);
    assert_eq!(audit["Removals"][0]["Members"][0], "bob");
    ann.ok(&["put", "prod/db"], b"rotated");
    ann.ok(&["rm", "dev/db", "--force", "--yes"], b"");
    ann.ok(&["audit", "offboard"], b"");
    let fsck = tried(&ann, &["fsck"]);
    assert!(
        fsck.status.success(),
        "{}",
        String::from_utf8_lossy(&fsck.stdout)
    );
}

#[test]
fn malware_that_reads_files_has_no_use_of_the_identity() {
    let home = Home::new();
    let passphrase = home.path().join("passphrase");
    fs::write(&passphrase, "correct horse").unwrap();
    let program = env!("CARGO_BIN_EXE_strongroom");
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", home.path())
            .current_dir(home.path());
        super::home::output(command, CANARY.as_bytes())
    };
    let done = shell(&format!(
        "{program} init vault --passphrase-fd 9 9<passphrase"
    ));
    assert!(done.status.success(), "{}", said(&done));
    let done = shell(&format!(
        "{program} -C vault put a --passphrase-fd 9 9<passphrase"
    ));
    assert!(done.status.success(), "{}", said(&done));
    // All that can be read, and a guess.
    fs::write(&passphrase, "correct hose").unwrap();
    let done = shell(&format!(
        "{program} -C vault get a --passphrase-fd 9 9<passphrase"
    ));
    assert_eq!(done.status.code(), Some(6), "{}", said(&done));
    let log = shell(&format!("{program} -C vault audit log --json"));
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(
        log.contains("UnlockVault") && log.contains("AccessDeniedException"),
        "{log}"
    );
    let identity = fs::read_to_string(home.identity()).unwrap();
    assert!(!identity.contains("AGE-SECRET-KEY"));
    for (path, bytes) in tree(home.path()) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(CANARY), "{}", path.display());
    }
}

#[test]
fn a_hostile_remote_only_proposes() {
    // A name that would leave the vault is no name; one that looks like git's is a file
    // like any other (the codec's own tests are exhaustive).
    for name in ["../../etc/passwd", "a,b", "a\u{1b}[2J"] {
        let parsed = name.parse::<SecretName>();
        let inside =
            parsed.is_ok_and(|n| !strongroom::vault::layout::metadata_path(&n).contains(".."));
        assert!(inside || name.parse::<SecretName>().is_err(), "{name}");
    }
    let home = house();
    for name in ["../../out", ".git/hooks/post-checkout", "x/../../y"] {
        home.ok(&["put", name], b"x");
    }
    assert!(!home.path().join("out.toml").exists());
    assert!(!home.vault().join(".git/hooks/post-checkout.toml").exists());
    home.ok(&["fsck"], b"");
}

#[test]
fn values_never_come_from_arguments() {
    let home = house();
    let done = tried(&home, &["put", "prod/new", CANARY]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    ends(&home, &["get", "prod/new"], 3, "no secret named prod/new");
}
