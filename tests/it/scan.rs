//! The vault's values, looked for in files, in what is staged and in git's history.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use strongroom::cli::Exit;

use crate::cli::{Home, Said};

const KEY: &str = "scan-me/9f2c=of-a-key";
const PASSWORD: &str = "p4ss-w0rd-8841";

/// A vault with two secrets, and a repository beside it.
struct Bench {
    home: Home,
    repository: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let home = Home::new();
        home.put("app/key", KEY);
        home.put(
            "prod/db",
            &format!(r#"{{"engine":"postgres","username":"app_user_name","password":"{PASSWORD}","on":"true","nested":{{"token":["tok-1122-3344"]}}}}"#),
        );
        let repository = home.path("work");
        std::fs::create_dir(&repository).unwrap();
        let bench = Self { home, repository };
        bench.git(&["init", "-q"]);
        bench
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.repository.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn git(&self, args: &[&str]) {
        let mut command = Command::new("git");
        command
            .current_dir(&self.repository)
            .env("HOME", self.home.path(""))
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(args);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{args:?}: {done:?}");
    }

    /// Runs it in the repository. Whatever it says, no value is in it.
    fn scan(&self, args: &[&str]) -> Said {
        let mut command = self.home.command();
        command.current_dir(&self.repository).arg("scan").args(args);
        Said::of(command.output().unwrap())
            .lacks(KEY)
            .lacks(PASSWORD)
            .lacks("tok-1122")
    }
}

#[test]
fn files_are_looked_through_by_name_line_and_member_and_ignored_ones_are_not() {
    let it = Bench::new();
    it.write("clean.txt", "postgres app_user_name true localhost\n");
    it.scan(&[]).ok().has("No value found in 1 texts");
    it.write("src/main.py", format!("import x\nkey = '{KEY}'\n"));
    it.write(
        "conf/db.json",
        format!("{{\"a\": 1,\n  \"p\": \"{PASSWORD}\"}}"),
    );
    let mut binary = vec![0, 159, 146, 150];
    binary.extend_from_slice(b"tok-1122-3344");
    it.write("data.bin", binary);
    it.write(".gitignore", "*.log\nbuild/\n");
    it.write("a.log", KEY);
    it.write("build/out.txt", KEY);
    let basic = data_encoding::BASE64.encode(format!("user:{PASSWORD}").as_bytes());
    it.write(
        "curl.sh",
        format!("curl -H 'Authorization: Basic {basic}'\n"),
    );
    let said = it.scan(&[]).ends(Exit::Findings);
    let lines: Vec<&str> = said.out.lines().collect();
    let version = |line: &str| {
        let at = line.find('#').unwrap();
        let end = line[at..].find(' ').unwrap() + at;
        format!("{}#ID{}", &line[..at], &line[end..])
    };
    let lines: Vec<String> = lines.into_iter().map(version).collect();
    assert_eq!(
        lines,
        [
            "conf/db.json:2:9: prod/db#ID (AWSCURRENT) member password",
            "curl.sh:1:38: prod/db#ID (AWSCURRENT) member password, in base64",
            "data.bin:1:5: prod/db#ID (AWSCURRENT) member nested.token[0]",
            "src/main.py:2:8: app/key#ID (AWSCURRENT)",
        ]
    );
    let said = it.scan(&["--no-ignore"]).ends(Exit::Findings);
    assert_eq!(said.out.lines().count(), 6);
    // A file that is named is looked through, whatever git thinks of it.
    it.scan(&["a.log"]).ends(Exit::Findings).has("a.log:1:1");
    it.scan(&["--except", "app/", "--except", "prod/db"]).ok();
    it.scan(&["--skip-field", "Password", "curl.sh"]).ok();
    it.scan(&["--min-length", "30", "src"]).ok();
    it.scan(&["--min-entropy", "200", "src"]).ok();
    it.scan(&["--all-fields", "clean.txt"])
        .ends(Exit::Findings)
        .has("member username");
    it.scan(&["nowhere"]).ends(Exit::NotFound);
}

#[test]
fn a_hook_sees_what_is_staged_and_not_what_lies_there() {
    let it = Bench::new();
    it.write("a.txt", KEY);
    it.write("b.txt", "harmless");
    it.git(&["add", "."]);
    // Cleaned up in the work tree, and staged all the same.
    it.write("a.txt", "clean");
    it.scan(&["--staged"])
        .ends(Exit::Findings)
        .has("a.txt:1:1: app/key#");
    it.git(&["add", "."]);
    it.write("b.txt", KEY);
    it.scan(&["--staged"]).ok().has("No value found in 2 texts");
    it.git(&["commit", "-qm", "first"]);
    it.scan(&["--staged"]).ok().has("No value found in 0 texts");
    // The line of the book.
    let hook = it.repository.join(".git/hooks/pre-commit");
    let own = env!("CARGO_BIN_EXE_strongroom");
    std::fs::write(&hook, format!("#!/bin/sh\nexec {own} scan --staged\n")).unwrap();
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    it.git(&["add", "."]);
    let mut commit = Command::new("git");
    commit.current_dir(&it.repository);
    commit.env_clear();
    for (key, value) in it.home.command().get_envs() {
        if let Some(value) = value {
            commit.env(key, value);
        }
    }
    commit.args(["commit", "-qm", "leak"]);
    let said = Said::of(commit.output().unwrap());
    assert_ne!(said.code, 0);
    said.has("b.txt:1:1: app/key#").lacks(KEY);
}

#[test]
fn history_is_told_by_the_first_commit_that_had_it() {
    let it = Bench::new();
    it.write("a.txt", "clean");
    it.git(&["add", "."]);
    it.git(&["commit", "-qm", "clean"]);
    it.scan(&["--history"]).ok();
    it.write("dir/b.txt", format!("x\ny {KEY}"));
    it.git(&["add", "."]);
    it.git(&["commit", "-qm", "leak"]);
    it.git(&["rm", "-q", "dir/b.txt"]);
    it.git(&["commit", "-qm", "took it out"]);
    it.git(&["checkout", "-qb", "other"]);
    it.git(&[
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        &format!("use {PASSWORD}"),
    ]);
    it.git(&["checkout", "-q", "-"]);
    // The files are clean.
    it.scan(&[]).ok();
    let said = it.scan(&["--history", "--json"]).ends(Exit::Findings);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    let found = json["Findings"].as_array().unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0]["Path"], "dir/b.txt");
    assert_eq!(
        (&found[0]["Line"], &found[0]["Column"]),
        (&2.into(), &3.into())
    );
    assert_eq!(found[0]["Secrets"][0]["Name"], "app/key");
    let log = Command::new("git")
        .current_dir(&it.repository)
        .args(["log", "--all", "--format=%H %s"])
        .output()
        .unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    let leak = log.lines().find(|l| l.ends_with(" leak")).unwrap();
    assert_eq!(found[0]["Commit"], leak.split(' ').next().unwrap());
    it.scan(&["--history"])
        .ends(Exit::Findings)
        .has(": message:1:5: prod/db#");
    // An old version is looked for only on request.
    it.home.put("app/key", "another-value-7710");
    it.home.put("app/key", "another-value-7711");
    it.scan(&["--history"])
        .ends(Exit::Findings)
        .lacks("app/key");
    it.scan(&["--history", "--all-versions"])
        .ends(Exit::Findings)
        .has("app/key");
    let mut outside = it.home.command();
    outside.current_dir(it.home.path("config"));
    outside.args(["scan", "--staged"]);
    Said::of(outside.output().unwrap()).ends(Exit::NotFound);
}
