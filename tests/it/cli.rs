//! The command line from outside: the real binary in a home of its own.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use clap::CommandFactory as _;
use strongroom::cli::{Cli, Exit};

/// A person's home, and a vault in it.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

/// Runs a command with this standard input.
pub(crate) fn fed(mut command: Command, stdin: &[u8]) -> Said {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that refuses early does not read.
    child.stdin.take().unwrap().write_all(stdin).ok();
    Said::of(child.wait_with_output().unwrap())
}

impl Home {
    /// A home with nothing in it.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("runtime")).unwrap();
        Self { dir }
    }

    /// A home with a vault that opens without a passphrase.
    pub(crate) fn new() -> Self {
        let home = Self::empty();
        home.run(["init", "--no-passphrase"]).ok();
        home
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.dir.path().join("vault")
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.path("config/strongroom/identity")
    }

    /// The program, with nothing of the real surroundings but PATH.
    #[expect(
        clippy::disallowed_methods,
        reason = "git and the shell are found where the tests find them"
    )]
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_RUNTIME_DIR", self.path("runtime"))
            .env("STRONGROOM_VAULT", self.vault())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "test")
            .env("GIT_AUTHOR_EMAIL", "test@example.org")
            .env("GIT_COMMITTER_NAME", "test")
            .env("GIT_COMMITTER_EMAIL", "test@example.org")
            .env("LC_ALL", "C")
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Said {
        Said::of(self.command().args(args).output().unwrap())
    }

    pub(crate) fn run_with(
        &self,
        stdin: &[u8],
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Said {
        let mut command = self.command();
        command.args(args);
        fed(command, stdin)
    }

    pub(crate) fn put(&self, name: &str, value: &str) -> Said {
        self.run_with(value.as_bytes(), ["put", name]).ok()
    }

    /// Runs an edit with a shell command as the editor.
    fn edit(&self, name: &str, editor: &str, more: &[&str]) -> Said {
        let mut command = self.command();
        command
            .env("EDITOR", editor)
            .args(["edit", name])
            .args(more);
        Said::of(command.output().unwrap())
    }

    pub(crate) fn value(&self, selector: &str) -> String {
        self.run(["get", selector]).ok().out
    }

    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let said = self.run(args.iter().chain(&["--json"])).ok();
        serde_json::from_str(&said.out).unwrap()
    }

    /// Every file of the vault with its bytes, git's own left out.
    pub(crate) fn files(&self) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
        fn walk(dir: &Path, all: &mut std::collections::BTreeMap<PathBuf, Vec<u8>>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    if path.file_name() != Some(OsStr::new(".git")) {
                        walk(&path, all);
                    }
                } else {
                    all.insert(path.clone(), std::fs::read(&path).unwrap());
                }
            }
        }
        let mut all = std::collections::BTreeMap::new();
        walk(&self.vault(), &mut all);
        all
    }

    /// The vault's files that end so.
    pub(crate) fn find(&self, end: &str) -> Vec<PathBuf> {
        let files = self.files().into_keys();
        files
            .filter(|p| p.to_string_lossy().ends_with(end))
            .collect()
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what was said is all that is wanted of it"
    )]
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ends(Exit::Ok)
    }

    #[track_caller]
    pub(crate) fn ends(self, exit: Exit) -> Self {
        assert_eq!(self.code, i32::from(exit.code()), "{exit:?}: {self:#?}");
        self
    }

    /// The answer or the talk has this text.
    #[track_caller]
    pub(crate) fn has(self, text: &str) -> Self {
        let all = format!("{}{}", self.out, self.err);
        assert!(all.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn lacks(self, text: &str) -> Self {
        let all = format!("{}{}", self.out, self.err);
        assert!(!all.contains(text), "{text:?} is in {self:#?}");
        self
    }
}

#[test]
fn the_demo_runs_to_its_end_in_80_columns_and_leaves_nothing() {
    let home = Home::empty();
    let temp = home.path("tmp");
    std::fs::create_dir(&temp).unwrap();
    let mut command = home.command();
    command.env("TMPDIR", &temp).arg("demo");
    let said = Said::of(command.output().unwrap()).ok();
    for text in ["$ strongroom resolve prod/db --ours", "sr/lost/"] {
        assert!(said.out.contains(text), "{text}");
    }
    assert!(said.out.contains("In step: nothing to do"));
    for line in said.out.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert_eq!(std::fs::read_dir(&temp).unwrap().count(), 0);
    assert!(!home.path("config").exists() && !home.path("state").exists());
}

#[test]
fn generate_stores_and_prints_only_when_asked() {
    let home = Home::new();
    home.run(["generate", "a"]).ok().has("Stored a as version");
    let value = home.value("a");
    assert_eq!(value.len(), 32);
    let said = home.run(["generate", "b", "-l", "12", "--print"]).ok();
    assert_eq!(said.out, home.value("b"));
    assert_eq!(said.out.len(), 12);
    let said = home.run(["generate", "a"]).ok();
    assert_eq!(said.out, "");
    assert_ne!(home.value("a"), value);
    assert_eq!(home.value("a:AWSPREVIOUS"), value);
    home.run(["generate", "c", "-l", "3"])
        .ends(Exit::Usage)
        .has("too short");
    home.run(["generate", "c", "-l", "5000"]).ends(Exit::Usage);
    home.run(["get", "c"]).ends(Exit::NotFound);
}

#[test]
fn find_looks_at_names_tags_and_descriptions_while_locked() {
    let home = Home::new();
    home.run_with(b"x", ["put", "prod/db", "-t", "team=ops", "-d", "Orders"])
        .ok();
    home.put("prod/mail", "y");
    std::fs::remove_file(home.identity()).unwrap();
    assert_eq!(home.run(["find", "MAIL"]).ok().out, "prod/mail\n");
    home.run(["find", "orders"])
        .ok()
        .has("prod/db")
        .has("description Orders")
        .lacks("mail");
    assert_eq!(home.run(["find", "--tag", "team"]).ok().out, "prod/db\n");
    assert_eq!(home.run(["find", "-t", "team=x"]).ok().out, "");
    let found = home.json(&["find", "db"]);
    assert_eq!(found["SecretList"][0]["Name"], "prod/db");
}

#[test]
fn log_is_newest_first_and_works_while_locked() {
    let home = Home::new();
    home.put("a", "1");
    home.put("a", "2");
    std::fs::remove_file(home.identity()).unwrap();
    let log = home.json(&["log", "a"]);
    assert_eq!(log["Versions"][0]["VersionStages"][0], "AWSCURRENT");
    assert_eq!(log["Versions"][1]["VersionStages"][0], "AWSPREVIOUS");
    assert_eq!(
        log["Versions"][0]["Parent"],
        log["Versions"][1]["VersionId"]
    );
    let said = home.run(["log", "a", "-n", "1"]).ok();
    said.has("AWSCURRENT").lacks("AWSPREVIOUS");
    home.run(["log", "b"]).ends(Exit::NotFound);
}

#[test]
fn diff_is_by_member_and_masks_values() {
    let home = Home::new();
    home.put("a", r#"{"user":"joe","password":"hunter2"}"#);
    home.run(["diff", "a"]).ends(Exit::NotFound);
    home.put("a", r#"{"user":"joe","password":"hunter3","port":1}"#);
    home.run(["diff", "a"])
        .ok()
        .has("- password: *")
        .has("+ password: *")
        .has("+ port: *")
        .lacks("user")
        .lacks("hunter");
    home.run(["diff", "a~1", "a", "--reveal"])
        .ok()
        .has("- password: \"hunter2\"")
        .has("+ password: \"hunter3\"");
    let answer = home.json(&["diff", "a:AWSPREVIOUS"]);
    assert_eq!(answer["Members"][1]["Change"], "added");
    assert!(!answer.to_string().contains("hunter"));
    home.put("b", "plain");
    home.run(["diff", "a", "b"])
        .ok()
        .has("the values differ")
        .has("5 bytes")
        .lacks("plain");
    home.run(["diff", "a", "a"]).ok().has("the same");
}

#[test]
fn tags_and_descriptions_are_set_shown_and_taken_away() {
    let home = Home::new();
    home.put("a", "1");
    home.run(["tag", "a", "team=ops", "x=y=z"]).ok();
    assert_eq!(home.run(["tag", "a"]).ok().out, "team=ops\nx=y=z\n");
    home.run(["tag", "a", "--remove", "team"]).ok();
    assert_eq!(home.run(["tag", "a"]).ok().out, "x=y=z\n");
    home.run(["tag", "a", "--remove", "team"])
        .ends(Exit::NotFound);
    home.run(["tag", "a", "aws:x=1"]).ends(Exit::Usage);
    home.run(["tag", "a", "novalue"]).ends(Exit::Usage);
    home.run(["describe", "a", "the thing"]).ok();
    assert_eq!(home.run(["describe", "a"]).ok().out, "the thing\n");
    home.run(["describe", "a", ""]).ok();
    assert_eq!(home.run(["describe", "a"]).ok().out, "");
    home.run(["describe", "a", &"x".repeat(2049)])
        .ends(Exit::Usage)
        .has("2048");
}

#[test]
fn edit_makes_a_version_only_of_a_change_and_leaves_no_file() {
    let home = Home::new();
    home.put("a", "{\"port\": 1}");
    let versions = |home: &Home| {
        home.json(&["log", "a"])["Versions"]
            .as_array()
            .unwrap()
            .len()
    };
    home.edit("a", "true", &[]).ok().has("unchanged");
    // An editor that ends the text with a line end has not changed it.
    home.edit("a", "sed -i '$a\\'", &[]).ok().has("unchanged");
    assert_eq!(versions(&home), 1);
    home.edit("a", "sed -i s/1/2/", &[]).ok();
    assert_eq!(home.value("a"), "{\"port\": 2}");
    home.edit("a", "sed -i s/}//", &[])
        .ends(Exit::Usage)
        .has("JSON")
        .has("--no-check");
    home.edit("a", "false", &[]).ends(Exit::Aborted);
    assert_eq!(versions(&home), 2);
    home.edit("a", "sed -i s/}//", &["--no-check"]).ok();
    assert_eq!(home.value("a"), "{\"port\": 2");
    home.edit("a", "code", &[])
        .ends(Exit::Unsupported)
        .has("--wait");
    home.edit("b", "true", &[]).ends(Exit::NotFound);
    home.run_with(b"\xff", ["put", "bin", "--binary"]).ok();
    home.edit("bin", "true", &[])
        .ends(Exit::Unsupported)
        .has("--binary");
}

#[test]
fn the_editor_sees_a_private_file_in_memory_and_none_of_our_secrets() {
    let home = Home::new();
    home.put("a", "x");
    let script = home.path("editor");
    let seen = home.path("seen");
    std::fs::write(
        &script,
        format!(
            "env >{0}; stat -c '%a %n' \"$1\" \"$(dirname \"$1\")\" >>{0}; stat -f -c %T \"$1\" >>{0}",
            seen.display()
        ),
    )
    .unwrap();
    let mut command = home.command();
    command
        .env("EDITOR", format!("sh {}", script.display()))
        .env("STRONGROOM_IDENTITY", "AGE-SECRET-KEY-1NOT")
        .env("STRONGROOM_IDENTITY_FILE", home.identity())
        .args(["edit", "a"]);
    Said::of(command.output().unwrap()).ok();
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(!seen.contains("AGE-SECRET-KEY"), "{seen}");
    assert!(seen.contains("\n600 ") && seen.contains("\n700 "), "{seen}");
    assert!(
        seen.ends_with("tmpfs\n") || seen.ends_with("ramfs\n"),
        "{seen}"
    );
    let file = seen
        .lines()
        .find_map(|line| line.strip_prefix("600 "))
        .unwrap();
    assert!(!Path::new(file).parent().unwrap().exists());
}

#[test]
fn a_signal_ends_the_editor_and_removes_the_file() {
    let home = Home::new();
    home.put("a", "x");
    for signal in ["TERM", "HUP"] {
        let seen = home.path("seen");
        let script = home.path("editor");
        let text = format!("echo \"$1\" >{}; exec sleep 60", seen.display());
        std::fs::write(&script, text).unwrap();
        std::fs::remove_file(&seen).ok();
        let mut command = home.command();
        command
            .env("EDITOR", format!("exec sh {}", script.display()))
            .args(["edit", "a"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let started = std::time::Instant::now();
        let file = loop {
            assert!(started.elapsed().as_secs() < 20, "no editor came");
            match std::fs::read_to_string(&seen) {
                Ok(text) if text.ends_with('\n') => break PathBuf::from(text.trim()),
                _ => std::thread::yield_now(),
            }
        };
        assert!(file.exists());
        let pid = child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", signal, &pid])
            .status();
        assert!(sent.unwrap().success());
        Said::of(child.wait_with_output().unwrap())
            .ends(Exit::Aborted)
            .has("stopped by a signal");
        assert!(!file.parent().unwrap().exists(), "{signal}");
    }
    assert_eq!(home.value("a"), "x");
}

#[test]
fn cp_makes_a_new_id_or_keeps_labelled_history() {
    let home = Home::new();
    home.run_with(b"1", ["put", "a", "-t", "k=v", "-d", "text"])
        .ok();
    home.put("a", "2");
    home.run(["cp", "a", "b"]).ok();
    assert_eq!(home.value("b"), "2");
    let (a, b) = (home.json(&["show", "a"]), home.json(&["show", "b"]));
    assert_eq!(b["Description"], "text");
    assert_eq!(b["Tags"], a["Tags"]);
    assert_eq!(b["Versions"].as_array().unwrap().len(), 1);
    home.run(["cp", "a", "c", "--history"]).ok();
    assert_eq!(home.value("c:AWSPREVIOUS"), "1");
    let c = home.json(&["show", "c"]);
    assert_eq!(c["VersionIdsToStages"], a["VersionIdsToStages"]);
    home.run(["cp", "a", "b"]).ends(Exit::Guard).has("exists");
    home.run(["cp", "x", "y"]).ends(Exit::NotFound);
    home.run(["fsck"]).ok();
}

#[test]
fn mv_takes_all_history_and_schedules_the_old_name() {
    let home = Home::new();
    for value in ["1", "2", "3"] {
        home.put("a", value);
    }
    home.run(["mv", "a", "b"])
        .ok()
        .has("3 versions")
        .has("AWS cannot rename");
    assert_eq!(home.value("b~2"), "1");
    home.run(["ls"]).ok().lacks("a\n").has("b");
    home.run(["mv", "b", "a"])
        .ends(Exit::Guard)
        .has("restore a");
    home.run(["mv", "a", "c"])
        .ends(Exit::Guard)
        .has("restore a");
    home.run(["restore", "a"]).ok();
    assert_eq!(home.value("a"), "3");
    home.run(["fsck"]).ok();
}

#[test]
fn passwd_seals_changes_and_unseals() {
    let home = Home::new();
    home.put("a", "1");
    let with = |fds: &str, args: &str| {
        let script = format!("exec \"$0\" {args} {fds}");
        let mut command = home.command();
        let program = command.get_program().to_owned();
        let environment: Vec<_> = command
            .get_envs()
            .filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned())))
            .collect();
        command = Command::new("bash");
        command
            .env_clear()
            .envs(environment)
            .arg("-c")
            .arg(script)
            .arg(program)
            .stdin(Stdio::null());
        Said::of(command.output().unwrap())
    };
    with("4<<<one", "passwd --new-passphrase-fd 4").ok();
    let text = std::fs::read_to_string(home.identity()).unwrap();
    assert!(text.starts_with("strongroom-identity/1\n"));
    home.run(["get", "a"])
        .ends(Exit::Locked)
        .has("--passphrase-fd");
    with("3<<<two", "get a --passphrase-fd 3")
        .ends(Exit::NoIdentity)
        .has("wrong passphrase");
    let said = with(
        "3<<<one 4<<<two",
        "passwd --passphrase-fd 3 --new-passphrase-fd 4",
    );
    said.ok();
    assert_eq!(with("3<<<two", "get a --passphrase-fd 3").ok().out, "1");
    with("3<<<two", "passwd --no-passphrase --passphrase-fd 3").ends(Exit::Aborted);
    with("3<<<two", "passwd --no-passphrase --passphrase-fd 3 --yes").ok();
    assert_eq!(home.value("a"), "1");
    // Damage is told apart from a wrong passphrase.
    with("4<<<one", "passwd --new-passphrase-fd 4").ok();
    let text = std::fs::read_to_string(home.identity()).unwrap();
    std::fs::write(home.identity(), text.replace("kdf: ", "kdf; ")).unwrap();
    with("3<<<one", "get a --passphrase-fd 3")
        .ends(Exit::Integrity)
        .has("damaged");
}

#[test]
fn fsck_names_what_is_wrong_and_repairs_only_leftovers() {
    let home = Home::new();
    home.put("a", "1");
    home.put("b", "2");
    home.run(["fsck"]).ok().has("2 values verified, 0 findings");
    let leftover = home.vault().join("secrets/.strongroom-0.tmp");
    std::fs::write(&leftover, b"x").unwrap();
    let stranger = home.vault().join("secrets/notes.txt");
    std::fs::write(&stranger, b"x").unwrap();
    home.run(["fsck"]).ends(Exit::Findings).has("stranger");
    std::fs::remove_file(&stranger).unwrap();
    std::fs::remove_file(&leftover).unwrap();
    let files = home.find(".age");
    let a = files.iter().find(|p| p.ends_with_name("a.")).unwrap();
    let b = files.iter().find(|p| p.ends_with_name("b.")).unwrap();
    std::fs::copy(b, a).unwrap();
    home.run(["fsck"])
        .ends(Exit::Findings)
        .has("value: a: version");
    std::fs::remove_file(a).unwrap();
    home.run(["fsck", "--structure"])
        .ends(Exit::Findings)
        .has("missing: a");
    let report =
        Said::of(home.command().args(["fsck", "--json"]).output().unwrap()).ends(Exit::Findings);
    let report: serde_json::Value = serde_json::from_str(&report.out).unwrap();
    assert_eq!(report["Findings"][0]["Kind"], "missing");
    assert_eq!(report["ValuesVerified"], 1);
}

/// Whether a file is one of a secret at the top, by its stem.
trait NamedAs {
    fn ends_with_name(&self, stem: &str) -> bool;
}

impl NamedAs for PathBuf {
    fn ends_with_name(&self, stem: &str) -> bool {
        let name = self.file_name().unwrap().to_string_lossy();
        name.starts_with(stem)
    }
}

#[test]
fn gc_removes_orphans_and_old_unlabelled_versions_after_a_question() {
    let home = Home::new();
    for value in ["1", "2", "3", "4", "5"] {
        home.put("a", value);
    }
    home.run(["gc"]).ok().has("Nothing to remove");
    home.run(["gc", "--older-than", "1"])
        .ok()
        .has("Nothing to remove");
    let before = home.files();
    home.run(["gc", "--keep", "1", "--dry-run"])
        .ok()
        .has("version  a#");
    home.run(["gc", "--keep", "1"]).ends(Exit::Aborted);
    assert_eq!(home.files(), before);
    home.run(["gc", "--keep", "1", "--yes"])
        .ok()
        .has("Removed 2 versions and 2 files");
    assert_eq!(home.find(".age").len(), 3 + 1);
    assert_eq!(home.value("a~2"), "3");
    home.run(["get", "a~3"]).ends(Exit::NotFound);
    home.run(["fsck"]).ok();
    let status = Command::new("git")
        .args(["status", "--short"])
        .current_dir(home.vault())
        .output()
        .unwrap();
    assert_eq!(Said::of(status).out, "");
}

#[test]
fn doctor_has_a_remedy_for_what_it_finds() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    home.run(["doctor"])
        .ends(Exit::Findings)
        .has("no passphrase")
        .has("ok     git work tree");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(home.identity(), open).unwrap();
    std::fs::remove_file(home.vault().join(".gitattributes")).unwrap();
    home.run(["doctor"])
        .ends(Exit::Findings)
        .has("chmod 600")
        .has("add to .gitattributes");
    let report = Said::of(home.command().args(["doctor", "--json"]).output().unwrap());
    let report: serde_json::Value = serde_json::from_str(&report.out).unwrap();
    let errors = report["Checks"].as_array().unwrap().iter();
    assert_eq!(errors.filter(|c| c["Level"] == "error").count(), 2);
}

#[test]
fn completions_and_manuals_know_every_verb() {
    let home = Home::empty();
    for shell in ["bash", "zsh", "fish"] {
        home.run(["completions", shell]).ok().has("rollback");
    }
    home.run(["man"]).ok().has(".TH strongroom 1");
    home.run(["man", "--dir", "pages"]).ok();
    let page = std::fs::read_to_string(home.path("pages/strongroom-remote-add.1")).unwrap();
    assert!(page.contains("strongroom\\-remote\\-add"), "{page}");
    let book = home.run(["man", "--markdown"]).ok().out;
    for verb in Cli::command().get_subcommands() {
        let heading = format!("\n## strongroom {}\n", verb.get_name());
        assert_eq!(book.contains(&heading), !verb.is_hide_set(), "{heading}");
    }
    assert!(book.contains("\n### strongroom remote add\n"));
    assert_eq!(
        book,
        include_str!("../../book/src/reference/commands.md"),
        "the book's page is behind: strongroom man --markdown > book/src/reference/commands.md"
    );
}

#[test]
fn the_whole_help_is_as_it_was_agreed() {
    fn all(command: &clap::Command, text: &mut String) {
        let mut one = command.clone().term_width(100);
        text.push_str(&format!("{}\n", one.render_long_help()));
        text.push_str("=====\n");
        for below in command.get_subcommands().filter(|c| c.get_name() != "help") {
            all(below, text);
        }
    }
    let mut root = Cli::command();
    root.build();
    let mut text = String::new();
    all(&root, &mut text);
    insta::assert_snapshot!("help", text);
}

#[test]
fn the_book_and_the_program_have_the_same_exit_codes() {
    let page = include_str!("../../book/src/reference/exit-codes.md");
    let rows: Vec<(String, String)> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            let code = cells.next()?.parse::<u8>().ok()?;
            // The table of `plan --detailed-exitcode` has two columns only.
            let name = cells.next()?.to_owned();
            cells.next().filter(|c| !c.is_empty())?;
            Some((code.to_string(), name))
        })
        .collect();
    let codes: Vec<(String, String)> = Exit::ALL
        .iter()
        .map(|exit| (exit.code().to_string(), format!("{exit:?}")))
        .collect();
    assert_eq!(rows, codes);
}

#[test]
fn a_persons_and_a_clones_settings_count_after_flags_and_before_the_vaults() {
    let home = Home::new();
    home.run_with(b"x", ["put", "a"]).ok();
    let own = home.path("config/strongroom/config.toml");
    std::fs::create_dir_all(own.parent().unwrap()).unwrap();
    std::fs::write(&own, "ofline = true\n").unwrap();
    let wrong = home.run(["get", "a"]);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert!(wrong.err.contains("did you mean offline?"), "{}", wrong.err);
    std::fs::write(&own, "offline = true\n").unwrap();
    let add = ["remote", "add", "r", "--region", "eu-west-1"];
    let nowhere = ["--endpoint", "http://127.0.0.1:1"];
    home.run(add.into_iter().chain(nowhere)).ok();
    let refused = home.run(["fetch"]);
    assert_eq!(refused.code, 8, "{}", refused.err);
    assert!(
        refused.err.contains("--offline was given or set"),
        "{}",
        refused.err
    );
    // The clone's own word goes first: the network is tried, and git is left alone.
    let mut state = home.path("state/strongroom");
    for _ in 0..2 {
        let mut below = std::fs::read_dir(&state)
            .unwrap()
            .map(|e| e.unwrap().path());
        state = below.find(|p| p.is_dir() && !p.ends_with("agent")).unwrap();
    }
    let doctor = home.run(["doctor"]);
    let said = format!("{}{}", doctor.out, doctor.err);
    assert!(said.contains(state.to_str().unwrap()), "{said}");
    std::fs::write(
        state.join("config.toml"),
        "offline = false\ncommit = false\n",
    )
    .unwrap();
    let asked = home
        .command()
        .arg("fetch")
        .env("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX")
        .env("AWS_SECRET_ACCESS_KEY", "x".repeat(40))
        .output()
        .unwrap();
    let asked = Said::of(asked);
    assert_eq!(asked.code, 8);
    assert!(!asked.err.contains("--offline"), "{}", asked.err);
    home.run_with(b"y", ["put", "a"]).ok();
    let status = Command::new("git")
        .args(["status", "--porcelain"])
        .current_dir(home.vault())
        .output()
        .unwrap();
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("secrets/a.toml"), "{status}");
}
