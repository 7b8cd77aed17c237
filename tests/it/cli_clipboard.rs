//! `get -c`, with programs in place of a desktop's clipboard.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::home::{Home, output};

/// A clipboard that is a file.
struct Board {
    tools: PathBuf,
    file: PathBuf,
}

impl Board {
    fn new(home: &Home) -> Self {
        let (tools, file) = (home.path().join("tools"), home.path().join("board"));
        fs::create_dir(&tools).unwrap();
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *-in*) cat > {0}.new && mv {0}.new {0};; *) cat {0};; esac\n",
            file.display()
        );
        let path = tools.join("xclip");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self { tools, file }
    }

    fn holds(&self) -> Vec<u8> {
        fs::read(&self.file).unwrap_or_default()
    }

    /// Whether the clipboard is emptied within this time.
    fn is_cleared_within(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if self.holds().is_empty() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

fn get(home: &Home, tools: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    command
        .arg("-C")
        .arg(home.vault())
        .args(args)
        .env_clear()
        .env("HOME", home.path())
        .env("DISPLAY", ":0")
        .env("PATH", format!("{}:/usr/bin:/bin", tools.display()));
    output(command, b"")
}

fn home() -> Home {
    let home = Home::new();
    let vault = home.vault();
    let made = home.run(&["init", "--no-passphrase", vault.to_str().unwrap()], b"");
    assert!(made.status.success());
    home.ok(&["put", "a"], b"hunter2");
    home
}

#[test]
fn a_value_goes_into_the_clipboard_exactly_and_is_cleared() {
    let home = home();
    let board = Board::new(&home);
    let done = get(
        &home,
        &board.tools,
        &["get", "a", "-c", "--clear-after", "1"],
    );
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.stdout.is_empty());
    assert!(String::from_utf8_lossy(&done.stderr).contains("1 seconds"));
    assert_eq!(board.holds(), b"hunter2");
    assert!(board.is_cleared_within(Duration::from_secs(20)));
}

#[test]
fn what_was_copied_since_stays() {
    let home = home();
    let board = Board::new(&home);
    assert!(
        get(
            &home,
            &board.tools,
            &["get", "a", "-c", "--clear-after", "1"]
        )
        .status
        .success()
    );
    fs::write(&board.file, "something else").unwrap();
    assert!(!board.is_cleared_within(Duration::from_secs(3)));
    assert_eq!(board.holds(), b"something else");
}

#[test]
fn without_a_desktop_it_says_what_it_takes() {
    let home = home();
    let done = get(&home, &home.path().join("nothing"), &["get", "a", "-c"]);
    assert_eq!(done.status.code(), Some(16));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        said.contains("no clipboard here") && said.contains("xclip"),
        "{said}"
    );
    assert!(!said.contains("hunter2"));
}
