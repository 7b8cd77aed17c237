//! The real program in a home of its own: nothing of the user's is seen or touched.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A temporary home directory; it goes when this is dropped.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where `init` makes the vault of a test.
    pub(crate) fn vault(&self) -> PathBuf {
        self.path().join("vault")
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.path().join(".config/strongroom/identity")
    }

    /// Runs the program with these arguments and this standard input.
    pub(crate) fn run(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command
            .args(args)
            .env("HOME", self.path())
            .current_dir(self.path());
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "ann")
                .env(format!("GIT_{who}_EMAIL"), "ann@example.org");
        }
        clean(&mut command);
        output(command, stdin)
    }

    /// As [`Home::run`], in the vault; it must succeed. Gives standard output.
    pub(crate) fn ok(&self, args: &[&str], stdin: &[u8]) -> Vec<u8> {
        let vault = self.vault();
        let mut all = vec!["-C", vault.to_str().expect("a path of text")];
        all.extend(args);
        let done = self.run(&all, stdin);
        assert!(done.status.success(), "{args:?}: {}", said(&done));
        done.stdout
    }
}

/// Takes away what the surroundings might say to the program.
#[expect(
    clippy::disallowed_methods,
    reason = "a test guards itself against its surroundings; no part of the program does"
)]
fn clean(command: &mut Command) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let kept: Vec<_> = command
        .get_envs()
        .filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned())))
        .collect();
    command.env_clear().env("PATH", path).envs(kept);
}

/// Runs a command with this standard input.
pub(crate) fn output(mut command: Command, stdin: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // One that does not read its input closes it; its exit code then tells.
    child
        .stdin
        .take()
        .expect("a piped stdin")
        .write_all(stdin)
        .ok();
    child.wait_with_output().expect("the program ends")
}

/// What a program said on standard error.
pub(crate) fn said(done: &Output) -> String {
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// Copies a directory and what is in it, links excluded.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a file type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copied file");
        }
    }
}
