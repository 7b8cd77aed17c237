//! A real moto server over loopback, and other people's clients on it.
//!
//! moto is an independent endpoint for the plumbing and a bad teacher of the rules
//! (aws.md section 13): where it differs from AWS, a test says so.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use secrecy::SecretString;
use strongroom::aws::{AccessKeys, AwsStore, Options};
use strongroom::config::RemoteConfig;
use strongroom::model::{Direction, Scope, Timestamp};
use strongroom::store::StoreError;

/// The Region the tests work in.
pub(crate) const REGION: &str = "eu-west-1";

/// The tests' Python: that of `tests/run`, or of the virtual environment it left. It
/// is an error for it to be missing under `tests/run`, and a skipped test otherwise.
#[expect(
    clippy::disallowed_methods,
    reason = "a test finds its tools; no part of the program does"
)]
pub(crate) fn python() -> Option<PathBuf> {
    let told = std::env::var_os("STRONGROOM_TEST_VENV").map(PathBuf::from);
    let venv = told
        .clone()
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/.venv")));
    let python = venv.join("bin/python");
    if python.exists() {
        return Some(python);
    }
    assert!(told.is_none(), "no Python in {}", venv.display());
    eprintln!("skipped: no tests/.venv; run ./tests/run");
    None
}

/// A running server; the last owner's drop ends it.
pub(crate) struct Moto {
    child: Child,
    /// Held open for as long as the server is to run.
    stdin: Option<ChildStdin>,
    port: u16,
    python: PathBuf,
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It may be in the middle of a request; nobody needs its answer.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Who a client is: keys that moto made for one account.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) session: String,
}

impl Moto {
    /// A server of its own for one test; `None` where the test must be left out.
    pub(crate) fn start() -> Option<Self> {
        let python = python()?;
        let mut child = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/moto_server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("moto's Python starts");
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a piped stdout"))
            .read_line(&mut line)
            .expect("moto says its port");
        let port = line.trim().parse().expect("a port number");
        Some(Self {
            child,
            stdin,
            port,
            python,
        })
    }

    /// The server that tests running at the same time share; each should work in an
    /// account of its own, see [`Moto::account`].
    pub(crate) fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Moto>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(moto) = shared.upgrade() {
            return Some(moto);
        }
        let moto = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&moto);
        Some(moto)
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Keys for one account: moto tells accounts apart by the role that was assumed.
    pub(crate) fn account(&self, account: &str) -> Keys {
        let base = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "x".into(),
            session: String::new(),
        };
        let answer = self.console(
            &base,
            &format!(
                "c = boto3.client('sts', endpoint_url=URL, region_name=REGION)\n\
                 k = c.assume_role(RoleArn='arn:aws:iam::{account}:role/test', RoleSessionName='tests')['Credentials']\n\
                 out([k['AccessKeyId'], k['SecretAccessKey'], k['SessionToken']])"
            ),
        );
        let text = |n: usize| answer[n].as_str().expect("a string").to_owned();
        Keys {
            id: text(0),
            secret: text(1),
            session: text(2),
        }
    }

    /// Runs a Python snippet as another person in the account. It has boto3, a Secrets
    /// Manager client `sm`, and `out(x)`, whose JSON comes back.
    pub(crate) fn console(&self, keys: &Keys, snippet: &str) -> serde_json::Value {
        let program = format!(
            "import boto3, json, base64\n\
             URL = {url:?}\nREGION = {REGION:?}\n\
             sm = boto3.client('secretsmanager', endpoint_url=URL, region_name=REGION)\n\
             def out(x): print(json.dumps(x, default=str))\n{snippet}\n",
            url = self.url()
        );
        let mut command = self.client(self.python.clone(), keys);
        command.arg("-c").arg(program);
        let text = succeeded(&command.output().expect("Python runs"));
        if text.trim().is_empty() {
            return serde_json::Value::Null;
        }
        serde_json::from_str(&text).expect("one line of JSON")
    }

    /// Runs `aws ARGS...` as another person in the account and gives its stdout.
    pub(crate) fn aws(&self, keys: &Keys, args: &[&str]) -> String {
        let aws = self.python.with_file_name("aws");
        let mut command = self.client(aws, keys);
        command.args(["--endpoint-url", &self.url()]).args(args);
        succeeded(&command.output().expect("the AWS CLI runs"))
    }

    fn client(&self, program: PathBuf, keys: &Keys) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nonexistent")
            .env("AWS_ACCESS_KEY_ID", &keys.id)
            .env("AWS_SECRET_ACCESS_KEY", &keys.secret)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_EC2_METADATA_DISABLED", "true");
        if !keys.session.is_empty() {
            command.env("AWS_SESSION_TOKEN", &keys.session);
        }
        command
    }

    /// The remote of one account on this server, unpinned, whole and two-way.
    pub(crate) fn remote(&self) -> RemoteConfig {
        RemoteConfig {
            name: "prod".parse().expect("a word"),
            region: REGION.into(),
            account: None,
            profile: None,
            role_arn: None,
            endpoint: Some(self.url()),
            scope: Scope::default(),
            direction: Direction::default(),
            on_conflict: strongroom::model::Strategy::Hold,
            extras: strongroom::model::Extras::default(),
        }
    }

    /// A connection of the program under test.
    pub(crate) async fn connect(&self, keys: &Keys) -> AwsStore {
        connect(&self.remote(), keys).await.expect("moto answers")
    }
}

/// Connects with keys in place of the credential chain.
pub(crate) async fn connect(config: &RemoteConfig, keys: &Keys) -> Result<AwsStore, StoreError> {
    let options = Options {
        keys: Some(AccessKeys {
            id: keys.id.clone(),
            secret: SecretString::from(keys.secret.clone()),
            session: (!keys.session.is_empty()).then(|| SecretString::from(keys.session.clone())),
        }),
    };
    AwsStore::connect(config, Timestamp::from_secs(1_800_000_000), &options).await
}

fn succeeded(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).expect("UTF-8 on stdout")
}
