//! What each bad input gets: a message with the path or the name, a hint, an exit code
//! that stays, and a vault that is as it was.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use strongroom::cli::Exit;

use crate::cli::{Home, Said};

/// Runs something that must fail and change nothing.
#[track_caller]
fn refused(home: &Home, exit: Exit, run: impl FnOnce() -> Said) -> Said {
    let before = home.files();
    let said = run().ends(exit);
    assert!(home.files() == before, "the vault was changed");
    assert!(said.err.starts_with("error: "), "{said:?}");
    assert_eq!(said.out, "");
    said
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} is not in {text}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn metadata(home: &Home) -> PathBuf {
    home.vault().join("secrets/a.toml")
}

#[test]
fn a_name_that_aws_would_refuse() {
    let home = Home::new();
    for (name, rule) in [
        ("a b", "position 2"),
        ("", "at least 1 character"),
        (&"x".repeat(513), "at most 512"),
    ] {
        refused(&home, Exit::Usage, || home.run_with(b"x", ["put", name])).has(rule);
    }
}

#[test]
fn a_value_that_is_too_large_or_no_text() {
    let home = Home::new();
    let large = vec![b'x'; 65_537];
    refused(&home, Exit::Usage, || home.run_with(&large, ["put", "a"])).has("65536");
    let file = home.path("large");
    std::fs::write(&file, &large).unwrap();
    let file = file.to_str().unwrap();
    refused(&home, Exit::Usage, || home.run(["put", "a", "-f", file])).has(file);
    home.run_with(&large[1..], ["put", "a"]).ok();
    let bad = b"ab\xff";
    refused(&home, Exit::Usage, || home.run_with(bad, ["put", "a"])).has("--binary");
    refused(&home, Exit::NotFound, || {
        home.run(["put", "a", "-f", "nothing-here"])
    })
    .has("nothing-here");
}

#[test]
fn a_label_or_a_version_that_is_not_there_or_not_one() {
    let home = Home::new();
    for n in ["1", "2"] {
        let id = format!("abcdef00-0000-4000-8000-00000000000{n}");
        home.run_with(n.as_bytes(), ["put", "a", "--version-id", &id])
            .ok();
    }
    let get = |selector: &'static str| move |home: &Home| home.run(["get", selector]);
    for (selector, exit, text) in [
        ("a:blue", Exit::NotFound, "blue"),
        ("a#ffff", Exit::NotFound, "ffff"),
        ("a~7", Exit::NotFound, "7 steps back"),
        ("a#abcdef", Exit::Usage, "2 versions of a"),
        ("b", Exit::NotFound, "no secret named b"),
    ] {
        refused(&home, exit, || get(selector)(&home))
            .has(text)
            .has("hint: ");
    }
    refused(&home, Exit::NotFound, || {
        home.run(["label", "a", "blue", "--to", "ffff"])
    });
    refused(&home, Exit::NotFound, || {
        home.run(["rollback", "a", ":blue"])
    });
}

#[test]
fn a_value_on_the_command_line_is_not_said_again() {
    let home = Home::new();
    for args in [
        &["put", "a", "hunter2"][..],
        &["put", "a", "--value=hunter2"],
        &["put", "a hunter2"],
        &["generate", "a", "hunter2"],
        &["generate", "a", "--password", "hunter2"],
        &["edit", "a", "hunter2"],
        &["edit", "a", "-zhunter2"],
    ] {
        refused(&home, Exit::Usage, || home.run(args)).lacks("hunter2");
    }
}

#[test]
fn a_value_file_that_is_damaged_cut_off_or_gone() {
    let home = Home::new();
    home.put("a", "1");
    let file = home.find(".age").into_iter().find(|p| {
        let folder = p.parent().unwrap();
        folder.ends_with("secrets")
    });
    let file = file.unwrap();
    let good = std::fs::read(&file).unwrap();
    let name = file.to_str().unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [&flipped[..], &good[..good.len() - 100], &good[..10], b""] {
        std::fs::write(&file, bad).unwrap();
        refused(&home, Exit::Integrity, || home.run(["get", "a"]))
            .has(name)
            .has("hint: ");
        home.run(["fsck"]).ends(Exit::Findings);
    }
    std::fs::remove_file(&file).unwrap();
    refused(&home, Exit::Integrity, || home.run(["get", "a"])).has("no file holds");
}

#[test]
fn metadata_that_is_forged_conflicted_or_of_the_future() {
    let home = Home::new();
    home.put("a", "1");
    let path = metadata(&home);
    let good = std::fs::read_to_string(&path).unwrap();
    let name = path.to_str().unwrap();
    replace(&path, "AWSCURRENT", "AWSPREVIOU");
    refused(&home, Exit::Integrity, || home.run(["get", "a"])).has(name);
    refused(&home, Exit::Integrity, || home.run_with(b"2", ["put", "a"])).has(name);
    std::fs::write(&path, format!("<<<<<<< HEAD\n{good}=======\n>>>>>>> x\n")).unwrap();
    refused(&home, Exit::Integrity, || home.run(["get", "a"]))
        .has(name)
        .has("conflict markers")
        .has("strongroom merge");
    home.run(["ls"]).ok().has("blocked");
    std::fs::write(&path, good.replacen("format = 1", "format = 2", 1)).unwrap();
    refused(&home, Exit::Unsupported, || home.run(["get", "a"])).has("newer strongroom");
    std::fs::write(&path, &good).unwrap();
    home.run(["fsck"]).ok();
}

#[test]
fn settings_with_an_unknown_key_or_of_the_future() {
    let home = Home::new();
    home.put("a", "1");
    let path = home.vault().join("strongroom.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    replace(&path, "recovery_window", "recovery_windov");
    refused(&home, Exit::Usage, || home.run(["ls"]))
        .has("recovery_windov")
        .has("recovery_window")
        .has("strongroom.toml");
    std::fs::write(&path, good.replacen("format = 1", "format = 2", 1)).unwrap();
    refused(&home, Exit::Unsupported, || home.run(["ls"])).has("newer strongroom");
    std::fs::write(&path, good.replacen("commit = true", "commit = false", 1)).unwrap();
    refused(&home, Exit::Integrity, || home.run(["get", "a"])).has("strongroom.toml");
}

#[test]
fn no_identity_or_that_of_a_stranger() {
    let home = Home::new();
    home.put("a", "1");
    let other = Home::new();
    std::fs::copy(other.identity(), home.identity()).unwrap();
    refused(&home, Exit::NoIdentity, || home.run(["get", "a"])).has("hint: ");
    std::fs::remove_file(home.identity()).unwrap();
    refused(&home, Exit::NoIdentity, || home.run(["get", "a"])).has("strongroom init");
    std::fs::write(home.identity(), "AGE-SECRET-KEY-1BROKEN\n").unwrap();
    refused(&home, Exit::Integrity, || home.run(["get", "a"]))
        .has("damaged")
        .lacks("BROKEN");
}

#[test]
fn no_vault_at_all() {
    let home = Home::empty();
    home.run(["ls"])
        .ends(Exit::NotFound)
        .has("hint: ")
        .has("init");
}

#[test]
fn a_question_without_a_terminal_is_answered_no() {
    let home = Home::new();
    home.put("a", "1");
    refused(&home, Exit::Aborted, || home.run(["rm", "a", "--force"])).has("--yes");
    home.run(["rm", "a", "--force", "--yes"]).ok();
}

#[test]
fn a_vault_in_use_by_another_process() {
    let home = Home::new();
    home.put("a", "1");
    let found = Command::new("find")
        .arg(home.path("state"))
        .args(["-name", "lock"])
        .output()
        .unwrap();
    let path = String::from_utf8(found.stdout).unwrap();
    let lock = std::fs::File::open(path.trim()).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    // Reading needs no lock.
    assert_eq!(home.value("a"), "1");
    refused(&home, Exit::Busy, || home.run_with(b"2", ["put", "a"])).has("hint: wait");
    drop(lock);
    home.put("a", "2");
}

/// What a shell says that needs powers this machine may not give; `None` with a printed
/// reason where it does not.
fn with_powers(home: &Home, what: &str, probe: &str, script: &str) -> Option<Said> {
    let shell = |script: &str| {
        let mut command = home.command();
        let program = command.get_program().to_owned();
        let environment: Vec<_> = command
            .get_envs()
            .filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned())))
            .collect();
        command = Command::new("sh");
        command.env_clear().envs(environment).arg("-c").arg(script);
        command.arg(program).current_dir(home.path("."));
        Said::of(command.output().unwrap())
    };
    let tried = shell(probe);
    if tried.code != 0 {
        eprintln!("skipped: {what}: {}", tried.err.trim());
        return None;
    }
    Some(shell(script))
}

#[test]
fn a_read_only_directory() {
    let home = Home::new();
    home.put("a", "1");
    let before = home.files();
    // Root may write everywhere, so it is done as nobody, whose home this becomes.
    let said = with_powers(
        &home,
        "no other user to be",
        "test \"$(id -u)\" = 0 && setpriv --reuid=65534 --regid=65534 --clear-groups true",
        "cp \"$0\" ./strongroom && chmod 755 strongroom && chown -R 65534:65534 . \
         && chmod -R a-w vault \
         && printf 2 | setpriv --reuid=65534 --regid=65534 --clear-groups ./strongroom put a",
    );
    let Some(said) = said else { return };
    said.ends(Exit::Unexpected)
        .has("vault/secrets")
        .has("ermission denied");
    assert!(home.files() == before, "the vault was changed");
}

#[test]
fn a_full_disk() {
    let home = Home::empty();
    std::fs::create_dir(home.vault()).unwrap();
    let said = with_powers(
        &home,
        "no mount of our own",
        "unshare -m sh -c 'mount -t tmpfs -o size=2m none vault'",
        "export S=\"$0\"; unshare -m sh -c '
           mount -t tmpfs -o size=2m,mode=700 none vault || exit 99
           $S init --no-passphrase >&2 && printf 1 | $S put a >&2 || exit 98
           cat /dev/zero >vault/fill 2>/dev/null
           printf 2 | $S put a; code=$?
           rm vault/fill
           $S fsck >&2 || exit 97
           test \"$($S get a)\" = 1 || exit 96
           exit $code'",
    );
    let Some(said) = said else { return };
    said.ends(Exit::Unexpected)
        .has("No space left")
        .has("vault/secrets");
}
