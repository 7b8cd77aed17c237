use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::cli::{Cli, Command, Exit};
use crate::model::{Kind, Selector};
use crate::server::{Call, Code, Fault, Reply};
use crate::vault::Vault;

/// Signals go to the whole process, and so do file mode masks: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Answers GetSecretValue from a vault, and no more.
struct Simple(Vault);

impl Answer for Simple {
    fn answer(&self, call: &Call<'_>) -> Reply {
        let asked: serde_json::Value = serde_json::from_slice(call.body).unwrap();
        let name = asked["SecretId"].as_str().unwrap().parse().unwrap();
        if !call.caller.grant.covers(&name) {
            return Reply::from(&Fault::new(Code::AccessDeniedException, "no"));
        }
        let record = self.0.record(&name).unwrap().unwrap();
        let id = match asked["VersionId"].as_str() {
            Some(id) => id.parse().unwrap(),
            None => Selector::current(name.clone())
                .find(&record.state)
                .unwrap()
                .clone(),
        };
        let value = self.0.read(&record, &id).unwrap();
        let bytes = value.expose_secret();
        let member = match value.kind() {
            Kind::String => ("SecretString", String::from_utf8(bytes.to_vec()).unwrap()),
            Kind::Binary => ("SecretBinary", data_encoding::BASE64.encode(bytes)),
        };
        Reply::json(
            json!({ "Name": name.as_str(), member.0: member.1 })
                .to_string()
                .into_bytes(),
        )
    }
}

/// A home with a vault of a few secrets.
struct Home {
    dir: tempfile::TempDir,
    ctx: Context,
    _alone: MutexGuard<'static, ()>,
}

impl Home {
    fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let mut globals = Cli::try_parse_from(["strongroom", "ls"]).unwrap().globals;
        globals.vault = Some(dir.path().join("vault"));
        let ctx = Context::in_home(dir.path(), globals);
        let home = Self {
            dir,
            ctx,
            _alone: alone,
        };
        home.verb(&["init", "--no-passphrase"]);
        home.put("prod/db", br#"{"user":"ann","password":"hunter2"}"#, &[]);
        home.put("prod/db.password", b"of its own", &[]);
        home.put("dev/api.v2", b"{\"key\":\"k\"}", &[]);
        home.put("bin", b"\x00\xff", &["--binary"]);
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn verb(&self, words: &[&str]) {
        let words = ["strongroom"].iter().chain(words);
        Cli::try_parse_from(words)
            .unwrap()
            .command
            .run(&self.ctx)
            .unwrap();
    }

    fn put(&self, name: &str, value: &[u8], more: &[&str]) {
        let file = self.path("value");
        std::fs::write(&file, value).unwrap();
        let mut words = vec!["put", name, "--file", file.to_str().unwrap()];
        words.extend(more);
        self.verb(&words);
    }

    fn answer(&self) -> Arc<dyn Answer> {
        Arc::new(Simple(self.ctx.unlocked().unwrap()))
    }

    fn exec(&self, words: &[&str]) -> CommandResult {
        let exec = parse(words);
        exec.check_names()?;
        exec.run_with(&self.ctx, self.answer())
    }

    /// Runs a script with `$OUT` for a place to write to, and gives what is there.
    fn script(&self, words: &[&str], script: &str) -> (Exit, String) {
        let out = self.path("out");
        let script = script.replace("$OUT", out.to_str().unwrap());
        let mut all = words.to_vec();
        all.extend(["--", "sh", "-c", &script]);
        let exit = self.exec(&all).unwrap();
        (exit, std::fs::read_to_string(&out).unwrap_or_default())
    }
}

fn parse(words: &[&str]) -> Exec {
    let words = ["strongroom", "exec"].iter().chain(words);
    match Cli::try_parse_from(words).unwrap().command {
        Command::Exec(exec) => exec,
        other => panic!("{other:?}"),
    }
}

fn wait_for(path: &Path) -> String {
    for _ in 0..2000 {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    panic!("{} did not come", path.display());
}

#[test]
fn the_childs_status_is_ours() {
    let home = Home::new();
    assert_eq!(home.script(&[], "exit 0").0, Exit::Child(0));
    assert_eq!(home.script(&[], "exit 7").0, Exit::Child(7));
    assert_eq!(home.script(&[], "kill -TERM $$").0, Exit::Child(143));
    let error = home.exec(&["--", "/nonexistent/program"]).unwrap_err();
    assert_eq!(error.exit, Exit::Child(127));
    let file = home.path("value");
    let error = home.exec(&["--", file.to_str().unwrap()]).unwrap_err();
    assert_eq!(error.exit, Exit::Child(126));
}

#[test]
fn the_child_finds_the_endpoint_and_it_dies_with_it() {
    let home = Home::new();
    let (out, go) = (home.path("out"), home.path("go"));
    let script = format!(
        "env > {0}.tmp; mv {0}.tmp {0}; while [ ! -e {1} ]; do sleep 0.02; done; exit 3",
        out.display(),
        go.display()
    );
    let answer = home.answer();
    let exec = parse(&["--only", "prod/", "--", "sh", "-c", &script]);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| exec.run_with(&home.ctx, answer));
        let text = wait_for(&out);
        let of = |name: &str| {
            let lines = text.lines().filter_map(|l| l.split_once('='));
            lines
                .filter(|(n, _)| *n == name)
                .map(|(_, v)| v.to_owned())
                .next()
        };
        let port: u16 = of("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT")
            .unwrap()
            .parse()
            .unwrap();
        let url = of("AWS_ENDPOINT_URL_SECRETS_MANAGER").unwrap();
        let front: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        assert_ne!(front.port(), port);
        assert!(of("AWS_ACCESS_KEY_ID").unwrap().starts_with("AKSTRONGROOM"));
        assert_eq!(of("AWS_SECRET_ACCESS_KEY").unwrap().len(), 40);
        assert_eq!(of("AWS_TOKEN"), of("AWS_SESSION_TOKEN"));
        assert_eq!(of("AWS_REGION"), of("AWS_DEFAULT_REGION"));
        assert_eq!(of("AWS_PROFILE"), None);
        let token = of("AWS_TOKEN").unwrap();
        let get = |path: &str| {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-vault-token: {token}\r\n\r\n"
            )
            .unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        let answer = get("/v1/prod/db");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains("hunter2"));
        assert!(
            get("/v1/dev/api.v2").contains("AccessDeniedException"),
            "outside --only"
        );
        std::fs::write(&go, "").unwrap();
        assert_eq!(running.join().unwrap().unwrap(), Exit::Child(3));
        assert!(TcpStream::connect(front).is_err());
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    });
}

#[test]
fn signals_are_handed_on() {
    let home = Home::new();
    let out = home.path("out");
    let script = format!(
        "trap 'exit 9' USR1; echo ready > {}; while :; do sleep 0.02; done",
        out.display()
    );
    let answer = home.answer();
    let exec = parse(&["--", "sh", "-c", &script]);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| exec.run_with(&home.ctx, answer));
        wait_for(&out);
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, rustix::process::Signal::USR1).unwrap();
        assert_eq!(running.join().unwrap().unwrap(), Exit::Child(9));
    });
}

#[test]
fn values_reach_variables_and_files_and_the_files_go() {
    let home = Home::new();
    let words = [
        "--env",
        "USER_NAME=prod/db.user",
        "--env",
        "WHOLE=dev/api.v2",
        "--env",
        "KEY=dev/api.v2.key",
        "--env",
        "OWN=prod/db.password",
        "--file",
        "BIN=bin",
        "--file",
        "PW=prod/db:AWSCURRENT.password",
    ];
    let script = r#"{ echo "$USER_NAME|$WHOLE|$KEY|$OWN"; cat "$PW"; echo; cmp -n 9 "$BIN" "$BIN" && wc -c < "$BIN"; stat -c %a "$BIN" "$(dirname "$BIN")"; stat -f -c %T "$BIN"; tr '\0' ' ' < /proc/$PPID/cmdline | grep -c hunter2; umask; dirname "$BIN"; } > $OUT"#;
    let (exit, said) = home.script(&words, script);
    assert_eq!(exit, Exit::Child(0));
    let lines: Vec<&str> = said.lines().collect();
    // Of two readings the one with the longer name counts.
    assert_eq!(lines[0], r#"ann|{"key":"k"}|k|of its own"#);
    assert_eq!(lines[1..7], ["hunter2", "2", "600", "700", "tmpfs", "0"]);
    assert_eq!(lines[7], "0027", "the mask of whoever started it");
    assert!(!Path::new(lines[8]).exists(), "{} is still there", lines[8]);
}

#[test]
fn a_value_that_no_variable_can_hold_is_refused() {
    let home = Home::new();
    let error = home.exec(&["--env", "A=bin", "--", "true"]).unwrap_err();
    assert_eq!(error.exit, Exit::Usage);
    for (source, exit) in [
        ("nope", Exit::NotFound),
        ("prod/db.nope", Exit::NotFound),
        ("prod/db#ffff", Exit::NotFound),
        ("a b", Exit::Usage),
    ] {
        let error = home
            .exec(&["--env", &format!("A={source}"), "--", "true"])
            .unwrap_err();
        assert_eq!(error.exit, exit, "{source}: {error}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn no_variable_is_set_twice() {
    for words in [
        &["--env", "A=a", "--env", "A=b"][..],
        &["--env", "A=a", "--file", "A=b"],
        &["--env", "AWS_REGION=a"],
        &["--file", "AWS_SESSION_TOKEN=a"],
        &["--env", "no_proxy=a"],
        &["--env", "STRONGROOM_IDENTITY=a"],
        &["--env", "AWS_PROFILE=a"],
    ] {
        let mut all = words.to_vec();
        all.extend(["--", "true"]);
        let error = parse(&all).check_names().unwrap_err();
        assert_eq!(error.exit, Exit::Usage, "{words:?}");
    }
    parse(&["--env", "A=a", "--file", "B=a", "--", "true"])
        .check_names()
        .unwrap();
}

fn changes(keep_aws: bool, own: &[(&str, &str)]) -> Changes {
    let pair = KeyPair::mint(&[7; KeyPair::RANDOM]);
    let found = Surroundings {
        region: "eu-west-1",
        front: "127.0.0.1:4001".parse().unwrap(),
        agent: "127.0.0.1:4002".parse().unwrap(),
        pair: &pair,
        keep_aws,
    };
    found.changes(|name| own.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
}

#[test]
fn what_is_set_is_what_nobody_else_may_set() {
    let all = changes(false, &[("http_proxy", "http://proxy:1")]);
    for name in all.keys() {
        let known = SET.iter().chain(&REMOVED);
        assert!(
            known.into_iter().any(|n| n.eq_ignore_ascii_case(name)),
            "{name}"
        );
    }
    let set = |name: &str| all[name].as_ref().map(|v| v.to_str().unwrap().to_owned());
    assert_eq!(
        set("AWS_ENDPOINT_URL_SECRETS_MANAGER").unwrap(),
        "http://127.0.0.1:4001"
    );
    assert_eq!(set("AWS_REGION").unwrap(), "eu-west-1");
    assert_eq!(set("AWS_PROFILE"), None);
    assert_eq!(set("NO_PROXY").unwrap(), "127.0.0.1,localhost");
    assert!(!changes(false, &[]).contains_key("NO_PROXY"));
    let own = [("HTTP_PROXY", "x"), ("no_proxy", "corp")];
    let more = changes(false, &own);
    assert_eq!(
        more["no_proxy"].as_ref().unwrap(),
        "corp,127.0.0.1,localhost"
    );
}

#[test]
fn keep_aws_leaves_the_users_own_credentials_alone() {
    let kept = changes(true, &[]);
    let names: Vec<&str> = kept.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
            "AWS_TOKEN",
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
        ]
    );
    let url = kept["AWS_ENDPOINT_URL_SECRETS_MANAGER"].as_ref().unwrap();
    let token = kept["AWS_TOKEN"].as_ref().unwrap().to_str().unwrap();
    assert_eq!(
        url.to_str().unwrap(),
        format!("http://127.0.0.1:4001/{token}")
    );
}

#[test]
fn the_aws_cli_gets_every_argument_as_it_is() {
    for words in [
        &["--version"][..],
        &["--help"],
        &["secretsmanager", "help"],
        &["--output", "json", "s3", "ls", "--no-sign-request"],
        &["--profile", "x", "--json-like", "-x"],
    ] {
        let all = ["strongroom", "aws"].iter().chain(words);
        let parsed = Cli::try_parse_from(all).map(|c| format!("{:?}", c.command));
        match parsed {
            Ok(text) => assert!(text.contains(&format!("args: {words:?}")), "{text}"),
            Err(error) => panic!("{words:?}: {error}"),
        }
    }
}
