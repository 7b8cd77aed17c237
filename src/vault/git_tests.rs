use std::process::Command;

use super::super::disk::{Durable, Existing};
use super::*;

struct Tree {
    dir: tempfile::TempDir,
    root: Root,
}

/// A work tree with the vault in `folder`.
fn tree(folder: &str) -> Tree {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join(folder);
    std::fs::create_dir_all(&vault).unwrap();
    let tree = Tree {
        root: Root::open(&vault).unwrap(),
        dir,
    };
    tree.git(&["init", "-q", "-b", "main", "."]);
    tree
}

impl Tree {
    /// Runs the system's git and gives back what it says.
    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org"])
            .args(args)
            .current_dir(self.dir.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        self.root
            .write(path, text.as_bytes(), Existing::Replace, Durable::Later)
            .unwrap();
    }

    fn foreign(&self, path: &str, text: &str) {
        std::fs::write(self.dir.path().join(path), text).unwrap();
    }

    fn commit(&self, paths: &[&str]) -> Committed {
        let paths: Vec<String> = paths.iter().map(|p| (*p).to_owned()).collect();
        let now = Timestamp::from_secs(1_795_395_723);
        commit(
            &self.root,
            &paths,
            "put: a",
            now,
            Duration::from_millis(120),
        )
    }
}

fn is_made(committed: &Committed) -> bool {
    matches!(committed, Committed::Yes(_))
}

#[test]
fn a_commit_holds_our_paths_and_leaves_the_users_staged_work_staged() {
    let tree = tree("team/vault");
    tree.foreign("readme", "1");
    tree.git(&["add", "."]);
    tree.git(&["commit", "-qm", "first"]);
    tree.foreign("staged", "s");
    tree.foreign("readme", "2");
    tree.git(&["add", "staged", "readme"]);
    tree.foreign("readme", "3");
    tree.foreign("loose", "l");

    tree.write("secrets/a.toml", "one");
    tree.write("secrets/a.x.age", "two");
    assert!(is_made(
        &tree.commit(&["secrets/a.toml", "secrets/a.x.age"])
    ));

    assert_eq!(
        tree.git(&["show", "--name-only", "--format=%s|%at|%P", "HEAD"])
            .lines()
            .skip(2)
            .collect::<Vec<_>>(),
        ["team/vault/secrets/a.toml", "team/vault/secrets/a.x.age"]
    );
    assert_eq!(
        tree.git(&["show", "-s", "--format=%s|%at", "HEAD"]),
        "put: a|1795395723\n"
    );
    let status = tree.git(&["status", "--porcelain"]);
    assert_eq!(status, "MM readme\nA  staged\n?? loose\n");

    // The user's next commit has their work and does not revert ours.
    tree.git(&["commit", "-qm", "mine"]);
    let files = tree.git(&["show", "--name-only", "--format=", "HEAD"]);
    assert_eq!(files, "readme\nstaged\n");
    assert_eq!(tree.git(&["show", "HEAD:team/vault/secrets/a.toml"]), "one");

    // A change and a removal.
    tree.write("secrets/a.toml", "changed");
    tree.root.remove("secrets/a.x.age").unwrap();
    assert!(is_made(
        &tree.commit(&["secrets/a.toml", "secrets/a.x.age"])
    ));
    assert_eq!(
        tree.git(&["show", "--name-status", "--format=", "HEAD"]),
        "M\tteam/vault/secrets/a.toml\nD\tteam/vault/secrets/a.x.age\n"
    );
    assert_eq!(
        tree.git(&["status", "--porcelain"]),
        " M readme\n?? loose\n"
    );
    assert_eq!(
        tree.commit(&["secrets/a.toml", "secrets/none"]),
        Committed::Nothing
    );
    tree.git(&["fsck", "--strict"]);
}

#[test]
fn the_first_commit_of_a_repository_is_ours_alone() {
    let tree = tree("");
    tree.foreign("staged", "s");
    tree.git(&["add", "staged"]);
    tree.write("strongroom.toml", "x");
    assert!(is_made(&tree.commit(&["strongroom.toml"])));
    assert_eq!(
        tree.git(&["ls-tree", "-r", "--name-only", "HEAD"]),
        "strongroom.toml\n"
    );
    assert_eq!(tree.git(&["status", "--porcelain"]), "A  staged\n");
    assert_eq!(tree.git(&["symbolic-ref", "HEAD"]), "refs/heads/main\n");
}

#[test]
fn a_detached_head_moves_and_the_branch_stays() {
    let tree = tree("");
    tree.write("a", "1");
    assert!(is_made(&tree.commit(&["a"])));
    tree.git(&["checkout", "-q", "--detach"]);
    tree.write("a", "2");
    assert!(is_made(&tree.commit(&["a"])));
    assert_eq!(tree.git(&["show", "HEAD:a"]), "2");
    assert_eq!(tree.git(&["show", "main:a"]), "1");
    assert_eq!(tree.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_foreign_index_lock_is_waited_for_and_never_removed() {
    let tree = tree("");
    tree.write("a", "1");
    let lock = tree.dir.path().join(".git/index.lock");
    std::fs::write(&lock, "").unwrap();
    let left = tree.commit(&["a"]);
    assert!(
        matches!(&left, Committed::Left(why) if why.contains("lock")),
        "{left:?}"
    );
    assert!(lock.exists());
    std::fs::remove_file(&lock).unwrap();
    assert!(is_made(&tree.commit(&["a"])));
    assert_eq!(tree.git(&["status", "--porcelain"]), "");
}

#[test]
fn in_the_middle_of_a_merge_nothing_is_committed() {
    let tree = tree("");
    tree.foreign("f", "1");
    tree.git(&["add", "."]);
    tree.git(&["commit", "-qm", "1"]);
    tree.git(&["checkout", "-qb", "side"]);
    tree.foreign("f", "2");
    tree.git(&["commit", "-qam", "2"]);
    tree.git(&["checkout", "-q", "main"]);
    tree.foreign("g", "3");
    tree.git(&["add", "."]);
    tree.git(&["commit", "-qm", "3"]);
    tree.git(&["merge", "-q", "--no-commit", "side"]);
    tree.write("a", "1");
    let head = tree.git(&["rev-parse", "HEAD"]);
    let left = tree.commit(&["a"]);
    assert!(
        matches!(&left, Committed::Left(why) if why.contains("merge")),
        "{left:?}"
    );
    assert_eq!(tree.git(&["rev-parse", "HEAD"]), head);
}

#[test]
fn a_split_index_is_left_alone() {
    let tree = tree("");
    tree.foreign("f", "1");
    tree.git(&["add", "."]);
    tree.git(&["commit", "-qm", "1"]);
    tree.git(&["update-index", "--split-index"]);
    tree.write("a", "1");
    let left = tree.commit(&["a"]);
    assert!(matches!(&left, Committed::Left(_)), "{left:?}");
    assert_eq!(tree.git(&["status", "--porcelain"]), "?? a\n");
}

#[test]
fn without_a_repository_git_is_off_and_init_makes_one() {
    let dir = tempfile::tempdir().unwrap();
    let root = Root::open(dir.path()).unwrap();
    let now = Timestamp::from_secs(0);
    let nothing = commit(&root, &[], "m", now, Duration::ZERO);
    assert_eq!(nothing, Committed::Off);
    init(&root).unwrap();
    assert!(dir.path().join(".git").is_dir());
    // A second vault in a folder of it uses the same repository.
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    init(&Root::open(&inner).unwrap()).unwrap();
    assert!(!inner.join(".git").exists());
}

#[test]
fn no_filter_of_git_touches_our_bytes() {
    let tree = tree("");
    tree.git(&["config", "core.autocrlf", "true"]);
    tree.foreign(".gitattributes", "* text eol=crlf ident\n");
    let text = "a\r\nb\n$Id: x$\n";
    tree.write("a", text);
    assert!(is_made(&tree.commit(&["a"])));
    let shown = tree.git(&["cat-file", "blob", "HEAD:a"]);
    assert_eq!(shown, text);
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture bulk"]
fn measure_bulk_commit() {
    let tree = tree("");
    let mut paths = Vec::new();
    for n in 0..10_000 {
        for end in ["toml", "age"] {
            let path = format!("secrets/team/s{n}.{end}");
            tree.write(&path, &format!("{n}{end}").repeat(100));
            paths.push(path);
        }
    }
    let start = std::time::Instant::now();
    let now = Timestamp::from_secs(0);
    let made = commit(&tree.root, &paths, "bulk", now, PATIENCE);
    println!("20,000 files: {:?} {made:?}", start.elapsed());
    tree.write("secrets/team/s5.toml", "new");
    let start = std::time::Instant::now();
    let made = commit(
        &tree.root,
        &["secrets/team/s5.toml".into()],
        "one",
        now,
        PATIENCE,
    );
    println!("one more: {:?} {made:?}", start.elapsed());
    assert_eq!(tree.git(&["status", "--porcelain"]), "");
}
