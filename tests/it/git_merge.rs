//! Two clones of one vault and real git between them, with and without the merge driver
//! (sync.md section 1.12; book, "Working with git"); and what nobody may push.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::home::{Home, said};

mod hostile;
mod members;

/// A person's home with two clones of one vault, both theirs: what counts is that each
/// knows only what git has brought it.
struct Two {
    home: Home,
}

impl Two {
    fn new(driver: bool) -> Self {
        let home = Home::new();
        let vault = home.vault();
        let done = home.run(
            &["init", "--no-passphrase", "--member", "ann", text(&vault)],
            b"",
        );
        assert!(done.status.success(), "{}", said(&done));
        let two = Self { home };
        two.ok(&two.one(), &["put", "prod/db"], b"first");
        two.ok(&two.one(), &["put", "other"], b"other");
        two.git(
            two.home.path(),
            &["clone", "-q", text(&two.one()), text(&two.two())],
        );
        if driver {
            two.run(&two.two(), &["doctor", "--repair"], b"");
        } else {
            let unset = ["config", "--remove-section", "merge.strongroom"];
            two.git(&two.one(), &unset);
        }
        two
    }

    fn one(&self) -> PathBuf {
        self.home.vault()
    }

    fn two(&self) -> PathBuf {
        self.home.path().join("two")
    }

    fn run(&self, at: &Path, args: &[&str], stdin: &[u8]) -> Output {
        let mut all = vec!["-C", text(at)];
        all.extend(args);
        self.home.run(&all, stdin)
    }

    fn ok(&self, at: &Path, args: &[&str], stdin: &[u8]) -> String {
        let done = self.run(at, args, stdin);
        assert!(done.status.success(), "{args:?}: {}", said(&done));
        String::from_utf8(done.stdout).unwrap()
    }

    fn json(&self, at: &Path, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(at, &[args, &["--json"]].concat(), b"")).unwrap()
    }

    fn try_git(&self, at: &Path, args: &[&str]) -> Output {
        Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@localhost"])
            .args(args)
            .current_dir(at)
            .env("HOME", self.home.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .output()
            .unwrap()
    }

    fn git(&self, at: &Path, args: &[&str]) -> String {
        let done = self.try_git(at, args);
        assert!(done.status.success(), "git {args:?}: {}", said(&done));
        String::from_utf8(done.stdout).unwrap()
    }

    /// Merges what the other clone has into this one, as with `git pull`, then by
    /// `strongroom merge`, and commits. Gives the exit code of the merge, git's or ours.
    fn merge(&self, here: &Path, there: &Path) -> Option<i32> {
        self.git(here, &["fetch", "-q", text(there), "HEAD"]);
        let by_git = self.try_git(here, &["merge", "-q", "--no-edit", "FETCH_HEAD"]);
        let done = self.run(here, &["merge"], b"");
        if here.join(".git/MERGE_HEAD").exists() {
            assert!(!by_git.status.success());
            let open = self.git(here, &["diff", "--name-only", "--diff-filter=U"]);
            assert_eq!(open, "", "{}", said(&done));
            self.git(here, &["commit", "-q", "--no-edit"]);
        }
        assert_eq!(self.git(here, &["status", "--porcelain"]), "");
        done.status.code()
    }

    fn conflicts(&self, at: &Path) -> Vec<(String, String)> {
        let all = self.json(at, &["conflicts"]);
        let all = all["Conflicts"].as_array().unwrap().clone();
        let field = |c: &Value, key: &str| c[key].as_str().unwrap().to_owned();
        all.iter()
            .map(|c| (field(c, "Field"), field(c, "Class")))
            .collect()
    }

    fn get(&self, at: &Path, what: &str) -> String {
        self.ok(at, &["get", what], b"")
    }

    /// Every version of `prod/db` can be read, and nothing is found wrong.
    fn is_sound(&self, at: &Path, versions: usize) {
        let done = self.run(at, &["fsck"], b"");
        let found = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(0), "{found}{}", said(&done));
        assert_eq!(self.versions(at).len(), versions);
        for version in self.versions(at) {
            self.get(at, &format!("prod/db#{version}"));
        }
    }

    fn versions(&self, at: &Path) -> Vec<String> {
        let file = std::fs::read_to_string(at.join("secrets/prod/db.toml")).unwrap();
        let table = file.split("[[version]]\nid = \"").skip(1);
        table
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn git_pull_follows_new_keys_that_the_old_ones_vouch_for_and_no_others() {
    let two = Two::new(true);
    two.get(&two.two(), "prod/db");
    two.ok(&two.one(), &["rekey", "--yes"], b"");
    two.ok(&two.two(), &["git-pull"], b"");
    assert_eq!(two.get(&two.two(), "prod/db"), "first");
    two.is_sound(&two.two(), 1);

    // Somebody who knows Ann's public key makes a keyring for it.
    let other = two.home.path().join("other");
    two.ok(
        two.home.path(),
        &["init", "--no-passphrase", text(&other)],
        b"",
    );
    for file in ["keys/default.toml", "keys/default.age"] {
        std::fs::copy(other.join(file), two.one().join(file)).unwrap();
    }
    two.git(&two.one(), &["commit", "-q", "-a", "-m", "new keys"]);
    let before = two.git(&two.two(), &["rev-parse", "HEAD"]);
    let done = two.run(&two.two(), &["git-pull"], b"");
    assert_eq!(done.status.code(), Some(7), "{}", said(&done));
    assert_eq!(two.git(&two.two(), &["rev-parse", "HEAD"]), before);
    assert_eq!(two.get(&two.two(), "prod/db"), "first");
    two.is_sound(&two.two(), 1);
}

/// The new epoch is right, and one file beside it is not.
#[test]
fn git_pull_verifies_all_that_comes_with_new_keys_before_it_is_checked_out() {
    for file in ["strongroom.toml", "secrets/prod/db.toml", "untouched"] {
        let two = Two::new(true);
        two.get(&two.two(), "prod/db");
        let metadata = two.one().join("secrets/prod/db.toml");
        let old = std::fs::read(&metadata).unwrap();
        two.ok(&two.one(), &["rekey", "--yes"], b"");
        if file == "untouched" {
            // As the old keys left it: it is the same here, and right under no new key.
            std::fs::write(&metadata, old).unwrap();
        } else {
            let path = two.one().join(file);
            let text = std::fs::read_to_string(&path).unwrap();
            let forged = text.replacen("format = 1\n", "format = 1\n\n", 1);
            std::fs::write(path, forged).unwrap();
        }
        two.git(&two.one(), &["commit", "-q", "-a", "-m", "forged"]);
        let before = two.git(&two.two(), &["rev-parse", "HEAD"]);
        let done = two.run(&two.two(), &["git-pull"], b"");
        assert_eq!(done.status.code(), Some(7), "{file}: {}", said(&done));
        assert!(said(&done).contains("refused: "), "{file}: {}", said(&done));
        assert_eq!(two.git(&two.two(), &["rev-parse", "HEAD"]), before);
        let pin = two.git(&two.two(), &["status", "--porcelain"]);
        assert_eq!(pin, "", "{file}");
        assert_eq!(two.get(&two.two(), "prod/db"), "first");
        two.is_sound(&two.two(), 1);
    }
}

fn current() -> (String, String) {
    ("label AWSCURRENT".to_owned(), "clone/clone".to_owned())
}

#[test]
fn two_offline_laptops_rotated_the_same_secret() {
    for driver in [false, true] {
        let two = Two::new(driver);
        let (one, other) = (two.one(), two.two());
        two.ok(&one, &["put", "prod/db"], b"by one");
        two.ok(&one, &["put", "other"], b"changed by one alone");
        two.ok(&other, &["put", "prod/db"], b"by two");
        let ended = two.merge(&one, &other);
        // With the driver git has done it all; the conflict is on record either way.
        assert_eq!(ended, Some(if driver { 0 } else { 4 }));
        assert_eq!(two.conflicts(&one), [current()]);
        assert_eq!(two.get(&one, "prod/db"), "by one");
        assert_eq!(two.get(&one, "other"), "changed by one alone");
        two.is_sound(&one, 3);
        let shown = two.ok(&one, &["show", "prod/db"], b"");
        assert!(shown.contains("sr/lost/"), "{shown}");
        two.ok(&one, &["resolve", "prod/db", "--theirs"], b"");
        assert_eq!(two.get(&one, "prod/db"), "by two");
        assert!(two.conflicts(&one).is_empty());
        // The other laptop only follows.
        two.git(&other, &["pull", "-q", "--ff-only", text(&one), "HEAD"]);
        assert_eq!(two.get(&other, "prod/db"), "by two");
        two.is_sound(&other, 3);
    }
}

#[test]
fn one_deleted_while_the_other_put() {
    for driver in [false, true] {
        let two = Two::new(driver);
        let (one, other) = (two.one(), two.two());
        two.ok(&one, &["rm", "prod/db", "--yes"], b"");
        two.ok(&other, &["put", "prod/db"], b"still in use");
        two.merge(&one, &other);
        let lifecycle = ("lifecycle".to_owned(), "clone/clone".to_owned());
        assert_eq!(two.conflicts(&one), [lifecycle]);
        two.ok(&one, &["resolve", "prod/db", "--theirs"], b"");
        assert_eq!(two.get(&one, "prod/db"), "still in use");
        two.is_sound(&one, 2);
    }
}

#[test]
fn both_moved_awscurrent_back_to_other_versions() {
    for driver in [false, true] {
        let two = Two::new(driver);
        let (one, other) = (two.one(), two.two());
        for value in ["second", "third"] {
            two.ok(&one, &["put", "prod/db"], value.as_bytes());
        }
        two.git(&other, &["pull", "-q", "--ff-only", text(&one), "HEAD"]);
        two.ok(&one, &["rollback", "prod/db", "prod/db~1"], b"");
        two.ok(&other, &["rollback", "prod/db", "prod/db~2"], b"");
        two.merge(&other, &one);
        assert_eq!(two.conflicts(&other), [current()]);
        assert_eq!(two.get(&other, "prod/db"), "first");
        two.is_sound(&other, 3);
        two.ok(&other, &["resolve", "prod/db", "--theirs"], b"");
        assert_eq!(two.get(&other, "prod/db"), "second");
    }
}

#[test]
fn one_reverted_while_the_other_built_on_it() {
    for driver in [false, true] {
        let two = Two::new(driver);
        let (one, other) = (two.one(), two.two());
        two.ok(&one, &["put", "prod/db"], b"second");
        two.git(&other, &["pull", "-q", "--ff-only", text(&one), "HEAD"]);
        two.git(&one, &["revert", "--no-edit", "HEAD"]);
        assert_eq!(two.get(&one, "prod/db"), "first");
        two.ok(&other, &["put", "prod/db"], b"third");
        two.merge(&one, &other);
        // The revert took the second version's file away, and git left it away.
        two.is_sound(&one, 3);
        assert_eq!(two.conflicts(&one), [current()]);
        assert_eq!(two.get(&one, "prod/db"), "first");
    }
}

#[test]
fn a_value_file_that_a_merge_dropped_is_brought_back() {
    let two = Two::new(false);
    let (one, other) = (two.one(), two.two());
    two.ok(&one, &["put", "prod/db"], b"second");
    two.git(&other, &["pull", "-q", "--ff-only", text(&one), "HEAD"]);
    two.git(&one, &["revert", "--no-edit", "HEAD"]);
    two.ok(&other, &["put", "prod/db"], b"third");
    two.git(&one, &["fetch", "-q", text(&other), "HEAD"]);
    assert!(
        !two.try_git(&one, &["merge", "-q", "FETCH_HEAD"])
            .status
            .success()
    );
    // Somebody takes a side by hand, as git suggests.
    two.git(
        &one,
        &["checkout", "-q", "--theirs", "--", "secrets/prod/db.toml"],
    );
    two.git(&one, &["add", "."]);
    two.git(&one, &["commit", "-q", "--no-edit"]);
    let broken = two.run(&one, &["fsck"], b"");
    assert_eq!(broken.status.code(), Some(12));
    assert!(
        said(&broken).contains("strongroom merge"),
        "{}",
        said(&broken)
    );
    let done = two.run(&one, &["merge"], b"");
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(said(&done).contains("Brought back"), "{}", said(&done));
    two.is_sound(&one, 3);
    assert_eq!(two.get(&one, "prod/db"), "third", "the side that was taken");
    assert_eq!(
        two.git(&one, &["status", "--porcelain"]),
        "",
        "and it is committed"
    );
    // Long after the merge it is found in the history.
    two.ok(&one, &["put", "other"], b"later");
    let files = two.git(&one, &["ls-files", "secrets/prod"]);
    let value = files.lines().find(|f| f.ends_with(".age")).unwrap();
    two.git(&one, &["rm", "-q", value]);
    two.git(&one, &["commit", "-qm", "oops"]);
    two.ok(&one, &["merge"], b"");
    two.is_sound(&one, 3);
}

#[test]
fn two_that_merged_each_other_record_one_conflict() {
    for driver in [false, true] {
        let two = Two::new(driver);
        let (one, other) = (two.one(), two.two());
        two.ok(&one, &["put", "prod/db"], b"by one");
        two.ok(&other, &["put", "prod/db"], b"by two");
        two.git(&one, &["branch", "before"]);
        two.merge(&one, &other);
        two.git(&other, &["fetch", "-q", text(&one), "before:theirs"]);
        two.try_git(&other, &["merge", "-q", "--no-edit", "theirs"]);
        two.run(&other, &["merge"], b"");
        two.try_git(&other, &["commit", "-q", "--no-edit"]);
        assert_eq!(two.conflicts(&other), [current()]);
        assert_eq!(two.get(&other, "prod/db"), "by two");
        two.merge(&one, &other);
        assert_eq!(two.conflicts(&one), [current()]);
        two.is_sound(&one, 3);
    }
}

#[test]
fn both_wrote_the_same_and_git_says_nothing() {
    let two = Two::new(false);
    let (one, other) = (two.one(), two.two());
    let version = "0f9a7c1e-0000-4000-8000-000000000007";
    for at in [&one, &other] {
        two.ok(at, &["tag", "prod/db", "team=red"], b"");
    }
    // The dates of two edits differ; what only follows a remote has none. Here they are
    // what keeps the files apart, and both sides' tag is no conflict.
    two.merge(&one, &other);
    assert!(two.conflicts(&one).is_empty());
    two.ok(&one, &["put", "prod/db", "--version-id", version], b"same");
    two.merge(&other, &one);
    assert!(two.conflicts(&other).is_empty());
    two.is_sound(&other, 2);
}

#[test]
fn remotes_added_on_two_sides_are_both_kept() {
    for driver in [false, true] {
        let two = Two::new(driver);
        let (one, other) = (two.one(), two.two());
        two.ok(&one, &["remote", "add", "eu", "--region", "eu-west-1"], b"");
        two.ok(
            &other,
            &["remote", "add", "us", "--region", "us-east-1"],
            b"",
        );
        two.merge(&one, &other);
        let remotes = two.ok(&one, &["remote", "ls"], b"");
        assert!(
            remotes.contains("eu") && remotes.contains("us"),
            "{remotes}"
        );
    }
    // One that both added differently is for a person, and the vault stays shut.
    let two = Two::new(false);
    let (one, other) = (two.one(), two.two());
    two.ok(&one, &["remote", "add", "eu", "--region", "eu-west-1"], b"");
    two.ok(
        &other,
        &["remote", "add", "eu", "--region", "eu-west-2"],
        b"",
    );
    two.git(&one, &["fetch", "-q", text(&other), "HEAD"]);
    two.try_git(&one, &["merge", "-q", "FETCH_HEAD"]);
    let done = two.run(&one, &["merge"], b"");
    assert_eq!(done.status.code(), Some(4), "{}", said(&done));
    assert!(
        said(&done).contains("both sides changed remote eu"),
        "{}",
        said(&done)
    );
    let shut = two.run(&one, &["ls"], b"");
    assert_eq!(shut.status.code(), Some(7), "{}", said(&shut));
    assert!(said(&shut).contains("strongroom merge"), "{}", said(&shut));
    let refused = two.run(
        &one,
        &["remote", "add", "git", "--region", "eu-west-1"],
        b"",
    );
    assert_eq!(refused.status.code(), Some(2), "the name is a clone's");
}

#[test]
fn what_git_has_not_merged_is_read_by_nobody() {
    let two = Two::new(false);
    let (one, other) = (two.one(), two.two());
    two.git(&one, &["rm", "-q", "secrets/prod/db.toml"]);
    two.git(&one, &["commit", "-qm", "away with it"]);
    two.ok(&other, &["put", "prod/db"], b"second");
    two.git(&one, &["fetch", "-q", text(&other), "HEAD"]);
    two.try_git(&one, &["merge", "-q", "FETCH_HEAD"]);
    // The file there is sound: only the index says that it is nobody's choice.
    assert!(one.join("secrets/prod/db.toml").exists());
    let refused = two.run(&one, &["get", "prod/db"], b"");
    assert_eq!(refused.status.code(), Some(7));
    assert!(
        said(&refused).contains("git has not merged"),
        "{}",
        said(&refused)
    );
    let listed = two.run(&one, &["ls", "--flat"], b"");
    assert!(!String::from_utf8_lossy(&listed.stdout).contains("prod/db"));
    let done = two.run(&one, &["merge"], b"");
    assert!(said(&done).contains("Kept prod/db"), "{}", said(&done));
    two.git(&one, &["commit", "-q", "--no-edit"]);
    assert_eq!(two.get(&one, "prod/db"), "second");
    two.is_sound(&one, 2);
}

#[test]
fn a_locked_driver_leaves_the_file_to_a_later_merge() {
    let two = Two::new(true);
    let (one, other) = (two.one(), two.two());
    two.ok(&one, &["put", "prod/db"], b"by one");
    two.ok(&other, &["put", "prod/db"], b"by two");
    let (identity, away) = (two.home.identity(), two.home.path().join("away"));
    std::fs::rename(&identity, &away).unwrap();
    two.git(&one, &["fetch", "-q", text(&other), "HEAD"]);
    let merge = two.try_git(&one, &["merge", "-q", "FETCH_HEAD"]);
    assert_eq!(merge.status.code(), Some(1), "{}", said(&merge));
    assert!(
        said(&merge).contains("strongroom merge"),
        "{}",
        said(&merge)
    );
    std::fs::rename(&away, &identity).unwrap();
    assert_eq!(
        two.run(&one, &["get", "prod/db"], b"").status.code(),
        Some(7)
    );
    assert_eq!(two.run(&one, &["merge"], b"").status.code(), Some(4));
    two.git(&one, &["commit", "-q", "--no-edit"]);
    assert_eq!(two.conflicts(&one), [current()]);
}

#[test]
fn a_rebase_is_merged_from_the_index() {
    let two = Two::new(false);
    let (one, other) = (two.one(), two.two());
    two.ok(&one, &["put", "prod/db"], b"by one");
    two.ok(&other, &["put", "prod/db"], b"by two");
    two.git(&one, &["fetch", "-q", text(&other), "HEAD"]);
    let rebase = two.try_git(&one, &["rebase", "FETCH_HEAD"]);
    assert!(!rebase.status.success());
    let done = two.run(&one, &["merge"], b"");
    assert_eq!(done.status.code(), Some(4), "{}", said(&done));
    two.git(&one, &["-c", "core.editor=true", "rebase", "--continue"]);
    assert_eq!(two.conflicts(&one), [current()]);
    two.is_sound(&one, 3);
}

#[test]
fn git_pull_follows_merges_and_says_so() {
    let two = Two::new(false);
    let (one, other) = (two.one(), two.two());
    let pull = |at: &Path, from: &Path| two.run(at, &["git-pull", text(from)], b"");
    let done = pull(&other, &one);
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    assert!(said(&done).contains("Up to date"), "{}", said(&done));
    two.ok(&one, &["put", "prod/db"], b"by one");
    assert_eq!(pull(&other, &one).status.code(), Some(0));
    assert_eq!(two.get(&other, "prod/db"), "by one");

    two.ok(&one, &["put", "prod/db"], b"one again");
    two.ok(&other, &["put", "prod/db"], b"by two");
    two.ok(&other, &["put", "third"], b"x");
    let done = pull(&other, &one);
    assert_eq!(done.status.code(), Some(4), "{}", said(&done));
    assert!(said(&done).contains("Merged prod/db"), "{}", said(&done));
    assert_eq!(two.conflicts(&other), [current()]);
    assert_eq!(two.git(&other, &["status", "--porcelain"]), "");
    let parents = two.git(&other, &["log", "-1", "--format=%P"]);
    assert_eq!(parents.split_whitespace().count(), 2, "one merge commit");
    two.is_sound(&other, 4);
    assert_eq!(pull(&one, &other).status.code(), Some(0));

    // A secret that only the other clone's settings know of needs no new unlock.
    std::fs::write(other.join("secrets/prod/db.toml"), "x").unwrap();
    let refused = pull(&other, &one);
    assert_eq!(refused.status.code(), Some(10), "{}", said(&refused));
    let offline = two.run(&one, &["--offline", "git-pull"], b"");
    assert_eq!(offline.status.code(), Some(8));
    for url in ["ext::sh -c true", "-oProxy=x"] {
        let refused = two.run(&one, &["git-pull", "--", url], b"");
        assert_eq!(refused.status.code(), Some(10), "{}", said(&refused));
    }
}

#[test]
fn git_pull_leaves_other_peoples_files_to_git() {
    let two = Two::new(false);
    let (one, other) = (two.one(), two.two());
    for (at, line) in [(&one, "one"), (&other, "two")] {
        std::fs::write(at.join("README"), line).unwrap();
        two.git(at, &["add", "README"]);
        two.git(at, &["commit", "-qm", "readme"]);
        two.ok(at, &["put", "prod/db"], line.as_bytes());
    }
    let done = two.run(&other, &["git-pull", text(&one)], b"");
    assert_eq!(done.status.code(), Some(4), "{}", said(&done));
    assert!(
        said(&done).contains("not the vault's: README"),
        "{}",
        said(&done)
    );
    assert!(other.join(".git/MERGE_HEAD").exists());
    two.git(&other, &["checkout", "-q", "--ours", "README"]);
    two.git(&other, &["add", "README"]);
    two.git(&other, &["commit", "-q", "--no-edit"]);
    assert_eq!(two.conflicts(&other), [current()]);
    two.is_sound(&other, 3);
}

#[test]
fn doctor_repairs_what_a_clone_lacks() {
    let two = Two::new(false);
    let other = two.two();
    let before = two.run(&other, &["doctor"], b"");
    let before = String::from_utf8(before.stdout).unwrap();
    assert!(
        before.contains("git does not merge secrets by strongroom"),
        "{before}"
    );
    std::fs::write(other.join(".gitattributes"), "* -text\n").unwrap();
    two.git(&other, &["commit", "-qam", "as an older clone has it"]);
    let after = two.run(&other, &["doctor", "--repair"], b"");
    let after = String::from_utf8(after.stdout).unwrap();
    assert!(
        after.contains("git merges secrets by strongroom"),
        "{after}"
    );
    assert!(after.contains("knows which files are merged"), "{after}");
    assert_eq!(two.git(&other, &["status", "--porcelain"]), "");
    two.git(
        &other,
        &["config", "merge.strongroom.driver", "elsewhere %A"],
    );
    let other_program = two.run(&other, &["doctor"], b"");
    let other_program = String::from_utf8(other_program.stdout).unwrap();
    assert!(other_program.contains("another program"), "{other_program}");
}
