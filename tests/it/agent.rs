//! The agent, with the real program: who may use it, and when its keys are gone.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use strongroom::cli::Exit;

use crate::cli::{Home, Said};

/// A home whose agent ends with it.
struct Desk(Home);

impl Desk {
    fn new() -> Self {
        Self(Home::new())
    }

    fn socket(&self) -> PathBuf {
        self.0.path("runtime/strongroom/agent.sock")
    }

    fn pid(&self) -> u32 {
        let status = self.0.json(&["agent", "status"]);
        u32::try_from(status["Pid"].as_u64().unwrap()).unwrap()
    }

    /// Takes the identity away: what works then works through the agent.
    fn hide_identity(&self) {
        fs::rename(self.0.identity(), self.0.path("hidden")).unwrap();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.path("state/strongroom/agent/agent.log")).unwrap()
    }

    /// Runs it with another socket.
    fn at(&self, socket: &Path, args: &[&str]) -> Said {
        let mut command = self.0.command();
        command.env("STRONGROOM_AGENT_SOCK", socket).args(args);
        Said::of(command.output().unwrap())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.0.run(["lock"]);
    }
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_running(pid: u32) -> bool {
    // Nobody waits for a process that was adopted by a container's first one.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn signal(pid: u32, name: &str) {
    let done = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn an_unlocked_vault_needs_no_identity_until_it_is_locked() {
    let desk = Desk::new();
    let home = &desk.0;
    home.put("prod/db", "hunter2");
    home.run(["agent", "status"])
        .ends(Exit::Locked)
        .has("no agent is running");
    home.run(["unlock"])
        .ok()
        .has("Unlocked for 8 h, or until unused for 15 min");
    desk.hide_identity();

    assert_eq!(home.value("prod/db"), "hunter2");
    home.put("prod/db", "hunter3");
    home.put("prod/new", "x");
    assert_eq!(home.value("prod/db"), "hunter3");
    assert_eq!(home.value("prod/db~1"), "hunter2");
    home.run(["fsck"]).ok();
    home.run(["rm", "prod/new"]).ok();
    let status = home.json(&["agent", "status"]);
    assert_eq!(status["Running"], true);
    let vaults = status["Vaults"].as_array().unwrap();
    assert_eq!(vaults.len(), 1);
    let left = vaults[0]["SecondsLeft"].as_u64().unwrap();
    assert!((28_000..=28_800).contains(&left), "{left}");
    assert!(vaults[0]["IdleSecondsLeft"].as_u64().unwrap() <= 900);
    home.run(["agent", "status"]).ok().has("7 h 59 min left");

    let log = desk.log();
    assert!(log.contains("(strongroom): 1 values opened"), "{log}");
    for secret in ["hunter2", "hunter3", "prod/db", "AGE-SECRET"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }

    let pid = desk.pid();
    home.run(["lock"]).ok().has("Locked");
    assert!(!desk.socket().exists());
    until("the agent ends", || !is_running(pid));
    home.run(["get", "prod/db"]).ends(Exit::NoIdentity);
    home.run(["lock"]).ok().has("no agent is running");
}

#[test]
fn without_a_terminal_a_locked_vault_says_how_to_unlock_it() {
    let desk = Desk(Home::empty());
    let home = &desk.0;
    let with = |args: &str| {
        let inner = home.command();
        let mut command = Command::new("bash");
        let script = format!("exec \"$0\" {args} 3<<<'correct horse'");
        command
            .env_clear()
            .envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))))
            .current_dir(home.path(""))
            .args(["-c", &script])
            .arg(inner.get_program())
            .stdin(Stdio::null());
        Said::of(command.output().unwrap())
    };
    with("init --passphrase-fd 3").ok();
    fs::write(home.path("value"), "1").unwrap();
    with("put a --file value --passphrase-fd 3").ok();
    home.run(["get", "a"])
        .ends(Exit::Locked)
        .has("strongroom unlock");
    home.run(["unlock"]).ends(Exit::Locked);
    assert!(!desk.socket().exists(), "no agent without keys");
    with("unlock --passphrase-fd 3").ok();
    assert_eq!(home.value("a"), "1");
    // The agent keeps nothing of what started it.
    let pid = desk.pid();
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}"));
    assert_eq!(read("environ").unwrap_or_default(), b"");
    let cwd = fs::read_link(format!("/proc/{pid}/cwd"));
    assert!(cwd.is_err() || cwd.unwrap() == Path::new("/"));
    if let Ok(list) = fs::read_dir(format!("/proc/{pid}/fd")) {
        for entry in list {
            let target = fs::read_link(entry.unwrap().path()).unwrap();
            let target = target.to_string_lossy().into_owned();
            let is_known = target == "/dev/null"
                || target.starts_with("socket:")
                || target.contains("/agent.");
            assert!(is_known, "{target}");
        }
    }
}

#[test]
fn a_directory_that_is_not_ours_alone_is_refused() {
    let desk = Desk::new();
    desk.0.put("a", "1");
    let open = desk.0.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
    let link = desk.0.path("link");
    symlink(desk.0.path("runtime"), &link).unwrap();
    for (dir, said) in [(&open, "has mode 755"), (&link, "symbolic link")] {
        for args in [
            &["unlock"][..],
            &["get", "a"],
            &["lock"],
            &["agent", "status"],
        ] {
            desk.at(&dir.join("agent.sock"), args)
                .ends(Exit::Guard)
                .has(said)
                .has("STRONGROOM_AGENT_SOCK");
        }
    }
    if rustix::process::geteuid().is_root() {
        let theirs = desk.0.path("theirs");
        fs::create_dir(&theirs).unwrap();
        fs::set_permissions(&theirs, fs::Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&theirs, Some(65_534), None).unwrap();
        for args in [&["unlock"][..], &["get", "a"]] {
            desk.at(&theirs.join("agent.sock"), args)
                .ends(Exit::Guard)
                .has("belongs to user 65534");
        }
    }
    let long = desk.0.path(&"x".repeat(120));
    desk.at(&long.join("agent.sock"), &["unlock"])
        .ends(Exit::Usage)
        .has("too long");
}

#[test]
fn what_is_in_the_way_of_the_socket_stays() {
    let desk = Desk::new();
    let dir = desk.0.path("mine");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    let socket = dir.join("agent.sock");
    fs::write(&socket, "precious").unwrap();
    desk.at(&socket, &["unlock"])
        .ends(Exit::Guard)
        .has("in the way");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
}

#[test]
fn a_second_agent_is_refused_and_a_second_unlock_joins() {
    let desk = Desk::new();
    desk.0.put("a", "1");
    desk.0.run(["unlock"]).ok();
    let pid = desk.pid();
    desk.0
        .run(["unlock", "--foreground"])
        .ends(Exit::Busy)
        .has("an agent is running already")
        .has(&pid.to_string());
    desk.0.run(["unlock", "--ttl", "1h"]).ok();
    assert_eq!(desk.pid(), pid);
    let status = desk.0.json(&["agent", "status"]);
    assert!(status["Vaults"][0]["SecondsLeft"].as_u64().unwrap() <= 3600);
}

#[test]
fn unlocks_at_the_same_moment_end_with_one_agent() {
    let desk = Desk::new();
    desk.0.put("a", "1");
    let started: Vec<_> = (0..6)
        .map(|_| {
            let mut command = desk.0.command();
            command.arg("unlock").stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in started {
        Said::of(child.wait_with_output().unwrap()).ok();
    }
    desk.hide_identity();
    let gets: Vec<_> = (0..40)
        .map(|_| {
            let mut command = desk.0.command();
            command.args(["get", "a"]).stdout(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for child in gets {
        assert_eq!(Said::of(child.wait_with_output().unwrap()).ok().out, "1");
    }
}

#[test]
fn a_signal_locks_and_removes_the_socket() {
    for name in ["TERM", "HUP"] {
        let desk = Desk::new();
        desk.0.run(["unlock"]).ok();
        let pid = desk.pid();
        signal(pid, name);
        until("the agent ends", || !is_running(pid));
        assert!(!desk.socket().exists());
        assert!(desk.log().contains("locked everything"), "{}", desk.log());
        desk.0.run(["agent", "status"]).ends(Exit::Locked);
    }
}

#[test]
fn a_killed_agent_loses_no_data_and_the_next_takes_its_place() {
    let desk = Desk::new();
    desk.0.put("a", "1");
    desk.0.run(["unlock"]).ok();
    desk.0.put("a", "2");
    let pid = desk.pid();
    signal(pid, "KILL");
    until("the agent ends", || !is_running(pid));
    let left = fs::symlink_metadata(desk.socket()).unwrap();
    assert!(left.file_type().is_socket());
    assert_eq!(left.permissions().mode() & 0o177, 0);
    // The identity at hand opens it as ever.
    assert_eq!(desk.0.value("a"), "2");
    desk.0.run(["agent", "status"]).ends(Exit::Locked);
    desk.0.run(["lock"]).ok();
    desk.0.run(["unlock"]).ok();
    assert_ne!(desk.pid(), pid);
    desk.hide_identity();
    assert_eq!(desk.0.value("a"), "2");
    desk.0.run(["fsck"]).ok();
}

#[test]
fn its_time_up_the_agent_locks() {
    for args in [&["unlock", "--ttl", "1s"][..], &["unlock", "--idle", "1s"]] {
        let desk = Desk::new();
        desk.0.put("a", "1");
        desk.0.run(args).ok();
        desk.hide_identity();
        until("the time is up", || !desk.socket().exists());
        desk.0.run(["get", "a"]).ends(Exit::NoIdentity);
        assert!(desk.log().contains("its time is up"), "{}", desk.log());
    }
    let desk = Desk::new();
    for bad in ["0s", "-1h", "1000h", "soon", "15"] {
        desk.0
            .run(["unlock", &format!("--ttl={bad}")])
            .ends(Exit::Usage);
    }
}

#[test]
fn in_the_foreground_it_stays_until_it_is_locked() {
    let desk = Desk::new();
    desk.0.put("a", "1");
    let mut command = desk.0.command();
    let mut child = command
        .args(["unlock", "--foreground"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("it holds the vault", || {
        desk.0.run(["agent", "status"]).code == 0
    });
    assert_eq!(desk.pid(), child.id());
    desk.hide_identity();
    assert_eq!(desk.0.value("a"), "1");
    desk.0.run(["lock"]).ok();
    assert!(child.wait().unwrap().success());
}

#[test]
fn one_agent_holds_the_keys_of_two_vaults() {
    let desk = Desk::new();
    let second = desk.0.path("second");
    let second = second.to_str().unwrap();
    desk.0.put("a", "1");
    desk.0.run(["init", second]).ok();
    desk.0.run_with(b"2", ["-C", second, "put", "a"]).ok();
    desk.0.run(["unlock"]).ok();
    desk.0.run(["-C", second, "unlock"]).ok();
    desk.hide_identity();
    assert_eq!(desk.0.value("a"), "1");
    let said = desk.0.run(["-C", second, "get", "a"]).ok();
    assert_eq!(said.out, "2");
    let status = desk.0.json(&["agent", "status"]);
    assert_eq!(status["Vaults"].as_array().unwrap().len(), 2);
}

#[test]
fn a_forged_vault_is_refused_through_the_agent_as_well() {
    let desk = Desk::new();
    desk.0.put("a", "1");
    desk.0.run(["unlock"]).ok();
    let file = desk.0.vault().join("secrets/a.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("created = \"2", "created = \"1", 1)).unwrap();
    desk.0.run(["get", "a"]).ends(Exit::Integrity);
    fs::write(&file, text).unwrap();
    let file = desk.0.vault().join("keys/default.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("epoch = 1", "epoch = 2", 1)).unwrap();
    desk.0.run(["get", "a"]).ends(Exit::Integrity);
}
