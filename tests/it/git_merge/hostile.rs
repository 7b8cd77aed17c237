//! What somebody without the vault's key may push, and what a clone says to it
//! (crypto.md section 4). Each is made here, by real git.

use std::path::Path;

use super::{Two, text};
use crate::home::said;

const SECRET: &str = "secrets/prod/db.toml";

fn write(at: &Path, path: &str, bytes: &[u8]) {
    std::fs::write(at.join(path), bytes).unwrap();
}

/// Lets `spoil` change the second clone, commits whatever it did, and pulls that into
/// the first: the reason, and an untouched vault.
fn refuses(why: &str, spoil: impl Fn(&Two, &Path)) {
    let two = Two::new(false);
    let (one, other) = (two.one(), two.two());
    spoil(&two, &other);
    two.git(&other, &["add", "-A", "."]);
    two.try_git(&other, &["commit", "-qm", "harmless"]);
    let before = two.git(&one, &["rev-parse", "HEAD"]);
    let done = two.run(&one, &["git-pull", text(&other)], b"");
    let told = said(&done);
    assert_eq!(done.status.code(), Some(7), "{why}: {told}");
    assert!(told.contains(why), "{why}: {told}");
    assert_eq!(two.git(&one, &["rev-parse", "HEAD"]), before);
    assert_eq!(two.git(&one, &["status", "--porcelain"]), "");
    assert_eq!(two.get(&one, "prod/db"), "first");
}

#[test]
fn a_symlink_in_the_place_of_metadata() {
    refuses("it is a symbolic link", |_, at| {
        std::fs::remove_file(at.join(SECRET)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", at.join(SECRET)).unwrap();
    });
}

#[test]
fn a_submodule_among_the_secrets() {
    refuses("it is a submodule", |two, at| {
        let head = two.git(at, &["rev-parse", "HEAD"]);
        let entry = format!("160000,{},secrets/sub", head.trim());
        std::fs::create_dir(at.join("secrets/sub")).unwrap();
        two.git(at, &["update-index", "--add", "--cacheinfo", &entry]);
        two.git(at, &["commit", "-qm", "a submodule"]);
    });
}

#[test]
fn a_filter_over_the_vaults_files() {
    refuses(
        "the attribute filter=evil is not for a vault's files",
        |_, at| {
            write(at, ".gitattributes", b"* -text\n*.toml filter=evil\n");
        },
    );
}

#[test]
fn attributes_and_modules_where_there_are_none() {
    refuses("attributes of git have no place", |_, at| {
        write(at, "secrets/.gitattributes", b"* text\n");
    });
    refuses("it has a name of git's own", |_, at| {
        write(at, "secrets/prod/.gitmodules", b"");
    });
}

#[test]
fn metadata_with_converted_line_ends() {
    refuses(SECRET, |_, at| {
        let text = std::fs::read_to_string(at.join(SECRET)).unwrap();
        write(at, SECRET, text.replace('\n', "\r\n").as_bytes());
    });
}

#[test]
fn a_label_moved_by_hand() {
    refuses("mac", |two, at| {
        two.ok(at, &["put", "prod/db"], b"second");
        let text = std::fs::read_to_string(at.join(SECRET)).unwrap();
        write(
            at,
            SECRET,
            text.replace("AWSPREVIOUS", "AWSPREVIOUT").as_bytes(),
        );
    });
}

#[test]
fn another_secrets_metadata() {
    refuses("names another secret", |_, at| {
        std::fs::copy(at.join("secrets/other.toml"), at.join(SECRET)).unwrap();
    });
}

#[test]
fn a_huge_blob_and_one_with_another_name() {
    let value = "secrets/prod/db.00000001-0000-4000-8000-000000000000.01234567.age";
    refuses("it is larger than", |_, at| {
        write(at, value, &[b'x'; 300 * 1024]);
    });
    refuses("its name says another content", |_, at| {
        write(at, value, b"x");
    });
}

#[test]
fn a_path_that_no_secret_has() {
    refuses("it is no path of a vault's", |_, at| {
        write(at, "secrets/Upper.toml", b"x");
    });
}

#[test]
fn metadata_marked_as_a_program() {
    refuses("it is marked as a program", |_, at| {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(at.join(SECRET), mode).unwrap();
    });
}

#[test]
fn settings_that_point_a_remote_elsewhere() {
    refuses("strongroom.toml", |two, at| {
        two.ok(at, &["remote", "add", "eu", "--region", "eu-west-1"], b"");
        let text = std::fs::read_to_string(at.join("strongroom.toml")).unwrap();
        write(
            at,
            "strongroom.toml",
            text.replace("eu-west-1", "eu-west-2").as_bytes(),
        );
    });
}

/// git knows a directory of its own by any spelling, and does not even fetch it.
#[test]
fn hooks_in_another_spelling_of_git() {
    let two = Two::new(false);
    let (one, other) = (two.one(), two.two());
    let hash = |args: &[&str], input: &str| {
        let mut command = std::process::Command::new("git");
        command.args(args).current_dir(&other);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        let done = crate::home::output(command, input.as_bytes());
        assert!(done.status.success(), "{args:?}: {}", said(&done));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    let hook = hash(
        &["hash-object", "-w", "--stdin"],
        "#!/bin/sh\ntouch /tmp/x\n",
    );
    let hooks = hash(&["mktree"], &format!("100755 blob {hook}\tpost-checkout\n"));
    let dot = hash(&["mktree"], &format!("040000 tree {hooks}\thooks\n"));
    let listed = two.git(&other, &["ls-tree", "HEAD"]);
    let tree = hash(&["mktree"], &format!("{listed}040000 tree {dot}\t.GIT\n"));
    let head = two.git(&other, &["rev-parse", "HEAD"]);
    let commit = two.git(
        &other,
        &["commit-tree", &tree, "-p", head.trim(), "-m", "x"],
    );
    two.git(&other, &["update-ref", "HEAD", commit.trim()]);
    let before = two.git(&one, &["rev-parse", "HEAD"]);
    let done = two.run(&one, &["git-pull", text(&other)], b"");
    assert!(
        [Some(7), Some(8)].contains(&done.status.code()),
        "{}",
        said(&done)
    );
    let told = said(&done);
    assert!(
        told.contains("hasDotgit") || told.contains("git's own"),
        "{told}"
    );
    assert_eq!(two.git(&one, &["rev-parse", "HEAD"]), before);
    assert!(!one.join(".GIT").exists());
}
