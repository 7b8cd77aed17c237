//! The kernel kills the program, or tells it that the disk is full or broken, at its
//! every system call that touches the vault (sync.md section 4, tests 3 and 5). strace
//! does that; without it these tests are left out.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use super::asked_for;
use crate::moto::{Keys, Moto};
use crate::sync_moto::desk::{Desk, console, serves, state, vid};

/// What is traced: everything that changes a file system, and opening.
const CALLS: [&str; 18] = [
    "openat",
    "openat2",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "syncfs",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "flock",
    "ftruncate",
];

/// Those that can fail for want of space.
const WRITES: [&str; 9] = [
    "openat",
    "openat2",
    "write",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "mkdir",
    "mkdirat",
];

fn strace() -> bool {
    let probe = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output();
    match probe {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            eprintln!("skipped: strace may not trace here: {why}");
            false
        }
        Err(error) => {
            eprintln!("skipped: no strace: {error}");
            false
        }
    }
}

/// One system call of the program: its name, and its number among those of that name in
/// its thread, from 1 on.
type Call = (String, usize);

fn traced(desk: &Desk, inject: Option<&str>, log: &Path, args: &[&str], input: &[u8]) -> Output {
    let plain = desk.command(args);
    let mut command = Command::new("strace");
    let trace = format!("trace={}", CALLS.join(","));
    command
        .args(["-f", "-y", "-qq", "-o"])
        .arg(log)
        .args(["-e", &trace]);
    if let Some(inject) = inject {
        command.args(["-e", &format!("inject={inject}")]);
    }
    command.arg(plain.get_program()).args(plain.get_args());
    command.current_dir(plain.get_current_dir().unwrap());
    // What AWS's part of it would spend on its own waits is not the subject.
    command.env_clear();
    for (key, value) in plain.get_envs() {
        if let Some(value) = value {
            command.env(key, value);
        }
    }
    let from = desk.path("stdin");
    std::fs::write(&from, input).unwrap();
    command.stdin(std::fs::File::open(&from).unwrap());
    command.output().unwrap()
}

/// The calls in a log that name something of the home directory. What the loader and
/// the libraries open is not ours to keep whole. Of each it is said whether it writes
/// among the secrets.
fn calls_of(desk: &Desk, log: &Path) -> Vec<(Call, bool)> {
    let home = desk.path("");
    let home = home.to_str().unwrap().trim_end_matches('/').to_owned();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut calls: Vec<(Call, bool)> = Vec::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, rest)) = rest.trim_start().split_once('(') else {
            continue;
        };
        if !CALLS.contains(&name) {
            continue;
        }
        let n = counts
            .entry((thread.to_owned(), name.to_owned()))
            .or_default();
        *n += 1;
        let call = (name.to_owned(), *n);
        let ours = rest.contains(&home) && !rest.contains("/stdin");
        if ours && !calls.iter().any(|(c, _)| *c == call) {
            let writes = !name.starts_with("open");
            calls.push((call, writes && rest.contains("/v/secrets")));
        }
    }
    calls
}

/// A home directory's content, to begin from again and again at the same place.
struct Template(tempfile::TempDir);

impl Template {
    fn of(desk: &Desk) -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&desk.path(""), dir.path());
        Self(dir)
    }

    fn restore(&self, desk: &Desk) {
        for entry in std::fs::read_dir(desk.path("")).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(&path).unwrap();
            } else {
                std::fs::remove_file(&path).unwrap();
            }
        }
        copy(self.0.path(), &desk.path(""));
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp")
        .arg("-a")
        .arg(from.join("."))
        .arg(to)
        .status();
    assert!(done.unwrap().success());
}

/// Whether something that is not of the home directory was made to fail.
fn strays(desk: &Desk, log: &Path) -> bool {
    let home = desk.path("");
    let home = home.to_str().unwrap().trim_end_matches('/').to_owned();
    let log = std::fs::read_to_string(log).unwrap();
    let mut injected = log.lines().filter(|l| l.contains("(INJECTED)"));
    injected.any(|l| !l.contains(&home))
}

fn leftovers(desk: &Desk) -> String {
    let found = Command::new("find")
        .arg(desk.path(""))
        .args(["-name", ".strongroom-*.tmp"])
        .output();
    String::from_utf8(found.unwrap().stdout).unwrap()
}

/// A scenario: from the same beginning, one command, which is cut off or hindered, and
/// then run again.
struct Scenario<'a> {
    what: &'a str,
    args: &'a [&'a str],
    input: &'a [u8],
    /// What must be readable at any moment: a selector and its value.
    old: &'a [(&'a str, &'a str)],
    /// And once the command has been run again.
    new: &'a [(&'a str, &'a str)],
    /// About how many points the bounded run takes, beside those below.
    points: usize,
    /// Whether it takes every point that writes among the secrets.
    writes: bool,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    Kill,
    NoSpace,
    Broken,
    /// It hit something else.
    Astray,
}

impl Scenario<'_> {
    /// Sweeps; `begin` prepares the account for one point.
    fn sweep(&self, desk: &Desk, begin: &mut dyn FnMut(), end: &dyn Fn(&str)) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let log = log.path();
        let template = Template::of(desk);
        begin();
        let clean = traced(desk, None, log, self.args, self.input);
        let text = String::from_utf8_lossy(&clean.stderr).into_owned();
        assert!(clean.status.success(), "{}: {text}", self.what);
        let calls = calls_of(desk, log);
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for ((name, _), _) in &calls {
            *kinds.entry(name).or_default() += 1;
        }
        // What writes among the secrets is always taken, the rest by a stride.
        let (mut all, mut rest) = (Vec::new(), Vec::new());
        for (call, always) in &calls {
            let mut blows = vec![Blow::Kill];
            if WRITES.contains(&call.0.as_str()) || call.0.contains("sync") {
                blows.extend([Blow::NoSpace, Blow::Broken]);
            }
            let into = if *always && self.writes {
                &mut all
            } else {
                &mut rest
            };
            into.extend(blows.into_iter().map(|blow| (call, blow)));
        }
        let total = all.len() + rest.len();
        assert!(
            total > 20 && all.is_empty() != self.writes,
            "{}: only {kinds:?}",
            self.what
        );
        let stride = match asked_for() {
            Some(_) => 1,
            None => (rest.len() / self.points).max(1),
        };
        all.extend(rest.into_iter().step_by(stride));
        let mut done: BTreeMap<Blow, usize> = BTreeMap::new();
        for ((name, k), blow) in all {
            template.restore(desk);
            begin();
            let effect = match blow {
                Blow::Kill => "signal=KILL",
                Blow::NoSpace => "error=ENOSPC",
                Blow::Broken | Blow::Astray => "error=EIO",
            };
            let inject = format!("{name}:{effect}:when={k}");
            let context = format!("{}: {inject}", self.what);
            let hit = traced(desk, Some(&inject), log, self.args, self.input);
            let err = String::from_utf8_lossy(&hit.stderr).into_owned();
            let context = format!("{context}: {:?}: {err}", hit.status);
            // Another thread's call of this number may be about something else, such as
            // a thread's wake-up, which never fails in life.
            if blow != Blow::Kill && strays(desk, log) {
                *done.entry(Blow::Astray).or_default() += 1;
                continue;
            }
            assert!(!err.contains("panicked"), "{context}");
            if blow != Blow::Kill {
                let code = hit.status.code().unwrap_or(-1);
                assert!((0..=16).contains(&code), "{context}");
                assert!(code == 0 || err.contains("error: "), "{context}");
            }
            for (selector, value) in self.old {
                let said = desk.run(&["get", selector]);
                assert_eq!(said.code, 0, "{context}\nget {selector}: {}", said.err);
                assert_eq!(said.text(), *value, "{context}");
            }
            let again = desk.feed(self.args, self.input);
            assert_eq!(again.code, 0, "{context}\nthen {}", again.err);
            for (selector, value) in self.old.iter().chain(self.new) {
                let said = desk.run(&["get", selector]);
                assert_eq!(
                    said.text(),
                    *value,
                    "{context}\nthen {selector}: {}",
                    said.err
                );
            }
            let found = desk.run(&["fsck"]);
            // Encrypted once more with the same id: two files of one version are as good
            // as one.
            let (told, err) = (found.text(), &found.err);
            let findings = told
                .lines()
                .chain(err.lines())
                .filter(|l| l.contains(": secrets/"));
            let harmless = findings.clone().all(|l| l.starts_with("duplicate: "));
            let passes = found.code == 0 || (found.code == 12 && harmless && findings.count() > 0);
            assert!(passes, "{context}\nfsck: {told}{err}");
            assert_eq!(leftovers(desk), "", "{context}");
            end(&context);
            *done.entry(blow).or_default() += 1;
        }
        #[expect(clippy::print_stdout, reason = "a test's counts")]
        {
            println!(
                "{}: {} calls {kinds:?}; {done:?} of {} points",
                self.what,
                calls.len(),
                total
            );
        }
    }
}

#[test]
fn a_put_is_whole_or_not_at_all() {
    if !strace() {
        return;
    }
    let nobody = Keys {
        id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret: "x".into(),
        session: String::new(),
    };
    let desk = Desk::new(&nobody);
    desk.put(&["dir/a", "--version-id", &vid(1)], b"old");
    desk.put(&["other"], b"other");
    let (first, second) = (format!("dir/a#{}", vid(1)), vid(2));
    Scenario {
        what: "put",
        args: &["put", "dir/a", "--version-id", &second],
        input: b"new",
        old: &[(&first, "old"), ("other", "other")],
        new: &[("dir/a", "new")],
        points: 16,
        writes: true,
    }
    .sweep(&desk, &mut || {}, &|_| {});
}

#[test]
fn a_pull_is_resumed() {
    let Some(moto) = Moto::shared().filter(|_| strace()) else {
        return;
    };
    let keys = moto.account("210987654361");
    console(
        &moto,
        &keys,
        "for n in ('a', 'dir/b'):\n    sm.create_secret(Name=n, SecretString=n+' 1', ClientRequestToken=vid(1))\nout(0)",
    );
    let desk = Desk::with_remote(&keys, &moto.url());
    desk.sync();
    console(
        &moto,
        &keys,
        "write(sm, 'a', vid(2), 'a 2')\nsm.create_secret(Name='new/c', SecretString='c 1', ClientRequestToken=vid(3))\nout(0)",
    );
    let there = state(&moto, &keys);
    let (a, b) = (format!("a#{}", vid(1)), format!("dir/b#{}", vid(1)));
    Scenario {
        what: "pull",
        args: &["pull", "--yes"],
        input: b"",
        old: &[(&a, "a 1"), (&b, "dir/b 1")],
        new: &[("a", "a 2"), ("new/c", "c 1")],
        points: 12,
        writes: false,
    }
    .sweep(&desk, &mut || {}, &|context| {
        assert_eq!(state(&moto, &keys), there, "{context}");
    });
}

#[test]
fn a_sync_is_resumed() {
    let Some(moto) = Moto::shared().filter(|_| strace()) else {
        return;
    };
    let keys = moto.account("210987654362");
    let desk = Desk::with_remote(&keys, &moto.url());
    // The account is what it was before every point.
    let reset =
        "for s in state(sm):\n    sm.delete_secret(SecretId=s, ForceDeleteWithoutRecovery=True)\n";
    let make = "for n in ('a', 'dir/b'):\n    sm.create_secret(Name=n, SecretString=n+' 1', ClientRequestToken=vid(1))\n";
    console(&moto, &keys, &format!("{reset}{make}out(0)"));
    desk.sync();
    desk.put(&["dir/b", "--version-id", &vid(4)], b"b 2");
    desk.put(&["mine", "--version-id", &vid(5)], b"mine 1");
    let arns = console(
        &moto,
        &keys,
        "out({s['Name']: s['ARN'] for s in sm.list_secrets()['SecretList']})",
    );
    assert_eq!(arns.as_object().unwrap().len(), 2);
    // moto's own state would make every ARN anew: instead each point undoes what a sync
    // can have done.
    let undo = "
now = state(sm)
if 'mine' in now:
    sm.delete_secret(SecretId='mine', ForceDeleteWithoutRecovery=True)
h = holder(sm, 'dir/b', 'AWSCURRENT')
if h != vid(1):
    sm.update_secret_version_stage(SecretId='dir/b', VersionStage='AWSCURRENT', MoveToVersionId=vid(1), RemoveFromVersionId=h)
if holder(sm, 'a', 'AWSCURRENT') != vid(2):
    write(sm, 'a', vid(2), 'a 2')
out(0)";
    let (a, b) = (format!("a#{}", vid(1)), format!("dir/b#{}", vid(1)));
    Scenario {
        what: "sync",
        args: &["sync", "--yes"],
        input: b"",
        old: &[
            (&a, "a 1"),
            (&b, "dir/b 1"),
            ("dir/b", "b 2"),
            ("mine", "mine 1"),
        ],
        new: &[("a", "a 2")],
        points: 12,
        writes: false,
    }
    .sweep(
        &desk,
        &mut || {
            console(&moto, &keys, undo);
        },
        &|context| {
            let there = state(&moto, &keys);
            for (name, value) in [("a", "a 2"), ("dir/b", "b 2"), ("mine", "mine 1")] {
                assert_eq!(serves(&there, name), value.as_bytes(), "{context}");
            }
        },
    );
}
