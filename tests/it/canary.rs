//! A canary value, hunted through what long-running processes and crashes leave behind:
//! arguments, environments, logs, every file of the home, and cores.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::agent::until;
use crate::cli::Home;
use crate::endpoint_verbs::{Serving, fetch};
use crate::moto::python;

pub(crate) const CANARY: &str = "hunter2-canary-7c1e";

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

fn holds(bytes: &[u8], needle: &str) -> bool {
    let spelled = [
        needle.to_owned(),
        data_encoding::BASE64.encode(needle.as_bytes()),
        data_encoding::HEXLOWER.encode(needle.as_bytes()),
    ];
    spelled.iter().any(|text| {
        let text = text.trim_end_matches('=').as_bytes();
        bytes.windows(text.len()).any(|window| window == text)
    })
}

/// No file below the directory holds the canary, and none is a core.
#[track_caller]
pub(crate) fn nothing_left(dir: &Path) {
    let all = files(dir);
    assert!(all.len() > 5, "there is nothing to look at");
    for path in all {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name != "core" && !name.starts_with("core."), "{name}");
        // A process that runs replaces files of its own meanwhile.
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        assert!(!holds(&bytes, CANARY), "{}", path.display());
    }
}

/// A running process shows nothing to others and may leave no core. Where the system
/// keeps a file of it from us, it keeps it from everybody.
#[track_caller]
pub(crate) fn shows_nothing(pid: u32) {
    let read = |what: &str| std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
    for what in ["cmdline", "environ", "comm"] {
        assert!(!holds(&read(what), CANARY), "{what}");
    }
    let limits = String::from_utf8(std::fs::read(format!("/proc/{pid}/limits")).unwrap()).unwrap();
    let core = limits.lines().find(|l| l.starts_with("Max core file size"));
    let core: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(core.get(4..6), Some(["0", "0"].as_slice()), "{limits}");
}

/// Kills a process as a fault of its own would, where a core was allowed to it.
#[track_caller]
pub(crate) fn crash(child: &mut Child) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", "ABRT", &pid]).status();
    assert!(sent.unwrap().success());
    let ended = child.wait().unwrap();
    assert!(!ended.core_dumped(), "{ended:?}");
}

/// The program under a shell that allows cores and as much memory as is said, in KiB.
fn under(home: &Home, memory: &str, args: &[&str]) -> Command {
    let shell = format!("ulimit -c unlimited; ulimit -v {memory}; exec \"$0\" \"$@\"");
    let plain = home.command();
    let mut command = Command::new("timeout");
    command
        .args(["10", "bash", "-c", &shell])
        .arg(plain.get_program())
        .args(args)
        .env_clear()
        .current_dir(home.vault())
        .stdin(Stdio::null());
    for (key, value) in plain.get_envs() {
        if let Some(value) = value {
            command.env(key, value);
        }
    }
    command
}

#[test]
fn the_canary_is_found_where_it_is() {
    // The hunter itself: what it does not see, the others' tests do not prove.
    let dir = tempfile::tempdir().unwrap();
    let text = data_encoding::BASE64.encode(CANARY.as_bytes());
    assert!(holds(format!("x{text}").as_bytes(), CANARY));
    assert!(holds(format!("a{CANARY}b").as_bytes(), CANARY));
    assert!(!holds(b"hunter2", CANARY));
    std::fs::write(dir.path().join("f"), CANARY).unwrap();
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn crypto_6_a_crashed_endpoint_leaves_no_core_and_no_value() {
    let Some(python) = python() else { return };
    let home = Home::new();
    home.put("dev/api", CANARY);
    let log = home.path("access.log");
    let mut serving = Serving::start(&home, &["--access-log", log.to_str().unwrap()]);
    assert_eq!(fetch(&python, &serving, "dev/api"), CANARY);
    shows_nothing(serving.child.id());
    nothing_left(&home.path(""));
    crash(&mut serving.child);
    nothing_left(&home.path(""));
    assert!(std::fs::read_to_string(log).unwrap().contains("dev/api"));
}

#[test]
fn crypto_6_a_crashed_agent_leaves_no_core_and_no_value() {
    let home = Home::new();
    home.put("dev/api", CANARY);
    let log = std::fs::File::create(home.path("agent.err")).unwrap();
    let mut command = home.command();
    let mut child = command
        .args(["unlock", "--foreground"])
        .stderr(log)
        .spawn()
        .unwrap();
    until("it holds the vault", || {
        home.run(["agent", "status"]).code == 0
    });
    assert_eq!(home.value("dev/api"), CANARY);
    shows_nothing(child.id());
    nothing_left(&home.path(""));
    crash(&mut child);
    nothing_left(&home.path(""));
}

#[test]
fn crypto_6_a_panic_and_an_abort_show_no_value_and_leave_no_core() {
    let home = Home::new();
    home.put("dev/api", CANARY);
    home.put("dev/db", CANARY);
    let mut crashes = 0;
    // Somewhere between too little to start and enough, threads or memory are refused.
    let mut starts = 0;
    for kib in (30_000..90_000).step_by(1_000) {
        // With less than that the system's loader dies before the program's first line, and
        // holds nothing yet. One step more, to be well past it.
        let begins = under(&home, &kib.to_string(), &["--version"]).output();
        starts += usize::from(begins.unwrap().status.success());
        if starts < 2 {
            drop(std::fs::remove_file(home.vault().join("core")));
            continue;
        }
        let file = home.path(&format!("{kib}.bundle"));
        let args = ["bundle", "create", "-o", file.to_str().unwrap()];
        let done = under(&home, &kib.to_string(), &args).output().unwrap();
        let said = [done.stdout.as_slice(), &done.stderr].concat();
        assert!(!holds(&said, CANARY), "{kib}");
        let text = String::from_utf8_lossy(&said);
        if text.contains("panicked") || text.contains("memory allocation of") {
            crashes += 1;
        }
    }
    assert!(crashes > 0, "nothing crashed");
    nothing_left(&home.path(""));
}

#[test]
fn crypto_6_a_value_that_cannot_be_written_is_in_no_message() {
    let home = Home::new();
    home.put("dev/api", CANARY);
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = home.command();
    command.args(["get", "dev/api"]).stdout(full().unwrap());
    let done = command.stderr(Stdio::piped()).output().unwrap();
    assert!(!done.status.success());
    assert!(
        done.status.code().is_some_and(|code| code != 101),
        "{done:?}"
    );
    assert!(!holds(&done.stderr, CANARY));
    // With nowhere to say why, either.
    let mut command = home.command();
    command.args(["get", "dev/api"]).stdout(full().unwrap());
    let done = command.stderr(full().unwrap()).status().unwrap();
    assert!(done.code().is_some_and(|code| code != 101 && code != 0));
    nothing_left(&home.path(""));
}
