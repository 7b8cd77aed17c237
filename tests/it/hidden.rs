//! A vault with hidden names, through the program: the same verbs and the same sync, and
//! nothing for whoever has the repository alone (book, "Hidden names").

use std::path::{Path, PathBuf};
use std::process::Command;

use super::home::output;
use super::moto::{Moto, REGION, python};
use super::sync_moto::desk::{Desk, Said, console, state};

const ACCOUNT: &str = "310987654321";

/// A desk with a vault of hidden names beside the other.
struct Hidden {
    desk: Desk,
    dir: PathBuf,
}

impl Hidden {
    fn new(keys: &super::moto::Keys) -> Self {
        let desk = Desk::new(keys);
        let dir = desk.path("hidden");
        desk.ok(&["init", "--hide-names", "--no-passphrase", text(&dir)]);
        Self { desk, dir }
    }

    fn at(&self, dir: &Path, args: &[&str], input: &[u8]) -> Said {
        let all = [&["-C", text(dir)], args].concat();
        let said = self.desk.feed(&all, input);
        assert_eq!(said.code, 0, "{args:?}: {}", said.err);
        said
    }

    fn ok(&self, args: &[&str]) -> Said {
        self.at(&self.dir, args, b"")
    }

    fn put(&self, args: &[&str], value: &str) {
        self.at(&self.dir, &[&["put"], args].concat(), value.as_bytes());
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn git(dir: &Path, args: &[&str]) -> Vec<u8> {
    let done = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "git {args:?}: {said}");
    done.stdout
}

/// Everything that a host of this repository has: every object inflated, packed ones too,
/// and the names of branches.
fn host_has(dir: &Path, word: &str) -> bool {
    let mut all = git(dir, &["cat-file", "--batch-all-objects", "--batch"]);
    all.extend(git(dir, &["for-each-ref"]));
    all.windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

#[test]
fn a_session_of_every_verb_tells_the_git_host_no_name_tag_or_description() {
    let Some(moto) = Moto::start() else {
        return;
    };
    let keys = moto.account(ACCOUNT);
    let h = Hidden::new(&keys);
    let id = "canary-id-that-speaks-for-itself-01";
    h.put(
        &[
            "canary/db",
            "--description",
            "the canary's purpose",
            "-t",
            "canary-tag=canary-owner",
        ],
        "one",
    );
    h.put(&["canary/db", "--version-id", id], "two");
    h.put(&["Canary/Other"], "three");
    h.ok(&["generate", "canary/made"]);
    h.ok(&["label", "canary/db", "canary-label", "--to", id]);
    h.ok(&["tag", "canary/made", "canary-k=canary-v"]);
    h.ok(&["describe", "canary/made", "canary words"]);
    h.ok(&["cp", "canary/db", "canary/copied"]);
    h.ok(&["mv", "canary/copied", "canary/moved"]);
    h.ok(&["rollback", "canary/db"]);
    h.ok(&["rm", "Canary/Other"]);
    h.ok(&["restore", "Canary/Other"]);
    h.ok(&["rm", "Canary/Other", "--force", "--yes"]);
    h.ok(&[
        "remote",
        "add",
        "prod",
        "--region",
        REGION,
        "--endpoint",
        &moto.url(),
    ]);
    console(
        &moto,
        &keys,
        "sm.create_secret(Name='canary/remote', ClientRequestToken=vid(7), SecretString='r')\nout(1)",
    );
    h.ok(&["sync", "--yes"]);
    assert!(state(&moto, &keys).to_string().contains("canary/db"));
    assert_eq!(h.ok(&["get", "canary/remote"]).out, b"r");
    let quiet = h.ok(&["sync", "--yes"]);
    assert!(quiet.err.contains("In step"), "{}", quiet.err);
    h.ok(&["rekey", "--yes"]);
    h.put(&["canary/after"], "four");
    h.ok(&["fsck"]);
    let doctor = h.desk.feed(&["-C", text(&h.dir), "doctor"], b"");
    assert!([0, 12].contains(&doctor.code), "{}", doctor.err);
    assert_eq!(h.ok(&["get", "canary/after"]).out, b"four");
    let listed = h.ok(&["ls", "--flat"]).text();
    for name in [
        "canary/db",
        "canary/made",
        "canary/moved",
        "canary/remote",
        "canary/after",
    ] {
        assert!(listed.contains(name), "{listed}");
    }
    assert!(h.ok(&["find", "canary-owner"]).text().contains("canary/db"));
    assert!(!host_has(&h.dir, "canary"), "loose");
    git(&h.dir, &["gc", "-q"]);
    assert!(!host_has(&h.dir, "canary"), "packed");
    assert!(host_has(&h.dir, "hidden = ["), "what is searched is read");

    // The second reader, from the book.
    if let Some(python) = python() {
        let mut reader = Command::new(python);
        reader
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/reader/strongroom_reader.py"
            ))
            .args(["verify", text(&h.dir), "--identity"])
            .arg(h.desk.path(".config/strongroom/identity"));
        let done = output(reader, b"");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
        assert!(done.stdout.starts_with(b"ok: "));
    }
}

#[test]
fn two_clones_of_hidden_names_pull_merge_and_carry_bundles() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    let h = Hidden::new(&moto.account("310987654322"));
    h.put(&["canary/db"], "first");
    let two = h.desk.path("two");
    git(&h.desk.path(""), &["clone", "-q", text(&h.dir), text(&two)]);
    for dir in [&h.dir, &two] {
        git(dir, &["config", "user.name", "t"]);
        git(dir, &["config", "user.email", "t@localhost"]);
    }
    h.put(&["canary/db"], "here");
    h.at(&two, &["put", "canary/db"], b"there");
    h.at(&two, &["put", "canary/new"], b"new");
    let said = h.desk.feed(&["-C", text(&two), "git-pull"], b"");
    assert!([0, 4].contains(&said.code), "{}", said.err);
    let log = h.at(&two, &["log", "canary/db"], b"").text();
    assert!(log.lines().count() >= 3, "{log}");
    assert!(!host_has(&two, "canary"));
    h.at(&two, &["fsck"], b"");

    // What crosses an air gap arrives hidden.
    let stick = h.desk.path("stick.bundle");
    h.at(&two, &["bundle", "create", "-o", text(&stick)], b"");
    h.ok(&["bundle", "apply", text(&stick)]);
    assert_eq!(h.ok(&["get", "canary/new"]).out, b"new");
    assert!(!host_has(&h.dir, "canary"));
}
