//! `exec`, `aws` and `serve`: the real program, with clients that know nothing of it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::cli::{Home, Said};
use crate::moto::python;

fn home() -> Home {
    let home = Home::new();
    home.run_with(
        br#"{"user":"ann","password":"hunter2"}"#,
        ["put", "prod/db"],
    )
    .ok();
    home.run_with(b"tok", ["put", "dev/api"]).ok();
    home
}

fn kill(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn wait_for(path: &Path) -> String {
    for _ in 0..4000 {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    panic!("{} did not come", path.display());
}

/// An ordinary script for AWS, as somebody wrote it who never heard of strongroom.
const SCRIPT: &str = r#"
import boto3, json
sm = boto3.client('secretsmanager')
print(json.loads(sm.get_secret_value(SecretId='prod/db')['SecretString'])['password'])
sm.put_secret_value(SecretId='prod/db', SecretString='new')
print(sm.get_secret_value(SecretId='prod/db')['SecretString'])
print(sm.get_secret_value(SecretId='prod/db', VersionStage='AWSPREVIOUS')['SecretString'][:8])
try:
    sm.get_secret_value(SecretId='nope')
except sm.exceptions.ResourceNotFoundException as e:
    print(e.response['Message'])
"#;

#[test]
fn an_unchanged_script_runs_against_the_vault_and_writes_to_it() {
    let Some(python) = python() else { return };
    let home = home();
    let python = python.to_str().unwrap();
    let said = home.run(["exec", "--", python, "-c", SCRIPT]).ok();
    assert_eq!(
        said.out,
        "hunter2\nnew\n{\"user\":\nSecrets Manager can't find the specified secret.\n"
    );
    assert_eq!(home.run(["get", "prod/db"]).ok().out, "new");
    let limits = ["exec", "--read-only", "--only", "dev/", "--", python, "-c"];
    let script = r#"
import boto3
from botocore.exceptions import ClientError
sm = boto3.client('secretsmanager')
print(sm.get_secret_value(SecretId='dev/api')['SecretString'])
for act in (lambda: sm.put_secret_value(SecretId='dev/api', SecretString='x'),
            lambda: sm.get_secret_value(SecretId='prod/db')):
    try:
        act(); print('done')
    except ClientError as e:
        print('refused')
"#;
    let said = home.run(limits.into_iter().chain([script])).ok();
    assert_eq!(said.out, "tok\nrefused\nrefused\n");
}

#[test]
fn with_keep_aws_the_users_own_keys_stay_and_the_vault_answers() {
    let Some(python) = python() else { return };
    let home = home();
    let script = "import boto3, os\nsm = boto3.client('secretsmanager')\nprint(sm.get_secret_value(SecretId='dev/api')['SecretString'], os.environ['AWS_ACCESS_KEY_ID'])";
    let mut command = home.command();
    command
        .args(["exec", "--keep-aws", "--"])
        .arg(python)
        .args(["-c", script]);
    command
        .env("AWS_ACCESS_KEY_ID", "AKIAREAL")
        .env("AWS_SECRET_ACCESS_KEY", "real");
    command.env("AWS_DEFAULT_REGION", "eu-north-1");
    let said = Said::of(command.output().unwrap()).ok();
    assert_eq!(said.out, "tok AKIAREAL\n");
}

#[test]
fn aws_is_found_on_the_path_and_gets_its_arguments_as_they_are() {
    let home = home();
    let bin = home.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let aws = bin.join("aws");
    std::fs::write(&aws, "#!/bin/sh\nprintf '<%s>' \"$@\"; echo; exit 42\n").unwrap();
    std::fs::set_permissions(&aws, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let args = [
        "--version",
        "--output",
        "json",
        "a b",
        "--query",
        "x[*]",
        "-h",
    ];
    let mut command = home.command();
    let done = command
        .env("PATH", &path)
        .arg("aws")
        .args(args)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(42));
    let said = String::from_utf8(done.stdout).unwrap();
    assert_eq!(
        said,
        "<--version><--output><json><a b><--query><x[*]><-h>\n"
    );
    let done = home
        .command()
        .env("PATH", "/nonexistent")
        .arg("aws")
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(127));
}

#[test]
fn the_child_gets_no_identity_and_may_do_what_it_may_do_outside() {
    let home = home();
    let identity = std::fs::read_to_string(home.identity()).unwrap();
    let script = "env; grep NoNewPrivs /proc/self/status; ls /proc/self/fd | wc -l";
    let mut command = home.command();
    command.env("STRONGROOM_IDENTITY", &identity);
    command.args(["exec", "--", "sh", "-c", script]);
    let said = Said::of(command.output().unwrap()).ok();
    assert!(!said.out.contains("AGE-SECRET-KEY"), "{}", said.out);
    assert!(said.out.contains("NoNewPrivs:\t0"), "{}", said.out);
    // As many descriptors as without us: what the tests themselves leave open counts.
    let mut plain = Command::new("sh");
    plain.args(["-c", script]).stdin(Stdio::null());
    let plain = Said::of(plain.output().unwrap()).ok();
    assert_eq!(said.out.lines().last(), plain.out.lines().last());
}

#[test]
fn a_signal_ends_the_child_and_takes_its_files_along() {
    let home = home();
    let out = home.path("out");
    let script = format!(
        "echo \"$PW\" > {}; while :; do sleep 0.02; done",
        out.display()
    );
    let mut command = home.command();
    command.args([
        "exec",
        "--file",
        "PW=prod/db.password",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    let mut child = command.spawn().unwrap();
    let file = wait_for(&out);
    let file = Path::new(file.trim());
    assert_eq!(std::fs::read_to_string(file).unwrap(), "hunter2");
    kill(&child, rustix::process::Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(!file.exists());
    assert!(!file.parent().unwrap().exists());
}

/// `serve`, on free ports, until it is dropped.
pub(crate) struct Serving {
    pub(crate) child: Child,
    ready: Value,
}

impl Serving {
    pub(crate) fn start(home: &Home, more: &[&str]) -> Self {
        let mut command = home.command();
        command.args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--agent-port",
            "0",
            "--stdio-ready",
        ]);
        let mut child = command.args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_default();
        Self { child, ready }
    }

    pub(crate) fn of(&self, key: &str) -> String {
        self.ready[key].as_str().unwrap_or_default().to_owned()
    }

    fn stop(&mut self) -> Option<i32> {
        kill(&self.child, rustix::process::Signal::TERM);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn serve_says_where_it_is_keeps_its_keys_and_ends_when_asked() {
    let Some(python) = python() else { return };
    let home = home();
    let add = [
        "remote",
        "add",
        "live",
        "--region",
        "eu-west-1",
        "--account",
        "123456789012",
    ];
    home.run(add).ok();
    let (ready, log) = (home.path("ready"), home.path("log"));
    let more = [
        "--ready-file",
        ready.to_str().unwrap(),
        "--access-log",
        log.to_str().unwrap(),
        "--read-only",
    ];
    let mut serving = Serving::start(&home, &more);
    let told: Value = serde_json::from_str(&wait_for(&ready)).unwrap();
    assert_eq!(told, serving.ready);
    let credentials = serving.of("credentials");
    let kept = std::fs::read_to_string(&credentials).unwrap();
    assert_eq!(
        std::fs::metadata(&credentials)
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    assert!(
        kept.contains("[default]") && kept.contains("[live]"),
        "{kept}"
    );
    let script = r#"
import boto3, os, urllib.request
from botocore.exceptions import ClientError
sm = boto3.client('secretsmanager', region_name='eu-west-1')
print(sm.get_secret_value(SecretId='dev/api')['SecretString'])
try:
    sm.put_secret_value(SecretId='dev/api', SecretString='x')
except ClientError as e:
    print(e.response['Error']['Code'])
live = boto3.Session(profile_name='live').client('secretsmanager', region_name='eu-west-1')
try:
    live.list_secrets(); print('in')
except ClientError as e:
    print('in' if e.response['ResponseMetadata']['HTTPStatusCode'] != 403 else 'out')
r = urllib.request.Request(os.environ['AGENT'] + '/v1/dev/api', headers={'X-Vault-Token': open(os.environ['TOKEN']).read()})
print(urllib.request.urlopen(r).status)
"#;
    let done = Command::new(python)
        .args(["-c", script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("AWS_SHARED_CREDENTIALS_FILE", &credentials)
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", serving.of("endpoint"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AGENT", serving.of("agent"))
        .env("TOKEN", serving.of("token"))
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(
        String::from_utf8(done.stdout).unwrap(),
        "tok\nAccessDeniedException\nin\n200\n"
    );
    assert_eq!(serving.stop(), Some(0));
    assert!(!ready.exists());
    let lines = std::fs::read_to_string(&log).unwrap();
    assert_eq!(lines.lines().count(), 4, "{lines}");
    assert!(!lines.contains("tok\""), "{lines}");
    // The same keys again; and a door that is taken is said to be.
    let again = Serving::start(&home, &[]);
    assert_eq!(std::fs::read_to_string(&credentials).unwrap(), kept);
    let address = again.of("endpoint").replace("http://", "");
    let taken = home.run(["serve", "--listen", &address, "--no-agent-port"]);
    assert_eq!(taken.code, 13, "{}", taken.err);
}

#[test]
fn serve_takes_the_pair_it_is_given_whole_or_not_at_all() {
    let home = home();
    for (id, secret) in [
        (Some("AKIDTEST"), None),
        (None, Some("0123456789abcdef")),
        (Some("AKIDTEST"), Some("short")),
        (Some("no good"), Some("0123456789abcdef")),
    ] {
        let mut command = home.command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--no-agent-port"]);
        if let Some(id) = id {
            command.env("STRONGROOM_SERVE_ACCESS_KEY_ID", id);
        }
        if let Some(secret) = secret {
            command.env("STRONGROOM_SERVE_SECRET_ACCESS_KEY", secret);
        }
        let said = Said::of(command.output().unwrap());
        assert_eq!(said.code, 2, "{}", said.err);
        assert!(!said.err.contains("0123456789abcdef"));
    }
}

/// Asks a running endpoint for a value, as any program would; gives the answer or the
/// error's code.
pub(crate) fn fetch(python: &Path, serving: &Serving, id: &str) -> String {
    let script = r#"
import boto3, sys
from botocore.exceptions import ClientError
sm = boto3.client('secretsmanager', region_name='eu-west-1')
try:
    print(sm.get_secret_value(SecretId=sys.argv[1])['SecretString'])
except ClientError as e:
    print(e.response['Error']['Code'], e.response['Error']['Message'])
"#;
    let done = Command::new(python)
        .args(["-c", script, id])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("AWS_SHARED_CREDENTIALS_FILE", serving.of("credentials"))
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", serving.of("endpoint"))
        .output()
        .unwrap();
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// Asks until the answer is this one, for a while.
fn fetch_until(python: &Path, serving: &Serving, id: &str, wanted: &str) -> String {
    let mut last = String::new();
    for _ in 0..20 {
        last = fetch(python, serving, id);
        if last.contains(wanted) {
            break;
        }
    }
    last
}

#[test]
fn a_change_by_another_process_is_served_without_a_restart() {
    let Some(python) = python() else { return };
    let home = home();
    let serving = Serving::start(&home, &[]);
    assert_eq!(fetch(&python, &serving, "dev/api"), "tok");
    home.run_with(b"changed", ["put", "dev/api"]).ok();
    assert_eq!(
        fetch_until(&python, &serving, "dev/api", "changed"),
        "changed"
    );
    // In a directory that was not there when the watch began.
    home.run_with(b"deep", ["put", "new/folder/secret"]).ok();
    assert_eq!(
        fetch_until(&python, &serving, "new/folder/secret", "deep"),
        "deep"
    );
    home.run(["rm", "dev/api", "--yes"]).ok();
    let last = fetch_until(&python, &serving, "dev/api", "InvalidRequestException");
    assert!(last.contains("marked for deletion"), "{last}");
}

#[test]
fn the_endpoint_follows_the_agents_lock() {
    let Some(python) = python() else { return };
    let home = home();
    home.run(["unlock"]).ok();
    let serving = Serving::start(&home, &[]);
    assert_eq!(fetch(&python, &serving, "dev/api"), "tok");
    home.run(["lock"]).ok();
    let locked = fetch_until(&python, &serving, "dev/api", "AccessDenied");
    assert!(locked.contains("strongroom unlock"), "{locked}");
    home.run(["unlock"]).ok();
    assert_eq!(fetch_until(&python, &serving, "dev/api", "tok"), "tok");
    home.run(["lock"]).ok();
}

#[test]
fn a_sync_with_strongrooms_own_endpoint_is_refused() {
    let home = home();
    let serving = Serving::start(&home, &[]);
    let url = serving.of("endpoint");
    let add = ["remote", "add", "self", "--region", "eu-west-1"];
    let add: Vec<&str> = add.into_iter().chain(["--endpoint", &url]).collect();
    home.run(add).ok();
    for verb in ["fetch", "sync", "push"] {
        let mut command = home.command();
        command
            .args([verb, "--yes"])
            .env("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX")
            .env("AWS_SECRET_ACCESS_KEY", "x".repeat(40));
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(10), "{said}");
        assert!(said.contains("strongroom itself"), "{said}");
    }
}
