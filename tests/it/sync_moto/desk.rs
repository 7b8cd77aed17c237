//! A person's desk: a home directory, a vault, credentials, and the program.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::SystemTime;

use serde_json::Value;
use tempfile::TempDir;

use crate::moto::{Keys, Moto, REGION};

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        Self {
            // A process that was killed has none.
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap()
    }
}

pub(crate) struct Desk {
    home: TempDir,
    keys: Keys,
}

impl Desk {
    /// A new home with a vault in `~/v`, made by `init`.
    pub(crate) fn new(keys: &Keys) -> Self {
        let desk = Self {
            home: tempfile::tempdir().unwrap(),
            keys: keys.clone(),
        };
        let dir = desk.vault();
        desk.ok(&["init", "--no-passphrase", dir.to_str().unwrap()]);
        desk
    }

    /// A new home whose vault knows the account at `url` as `prod`.
    pub(crate) fn with_remote(keys: &Keys, url: &str) -> Self {
        let desk = Self::new(keys);
        desk.ok(&[
            "remote",
            "add",
            "prod",
            "--region",
            REGION,
            "--endpoint",
            url,
        ]);
        desk
    }

    pub(crate) fn vault(&self) -> PathBuf {
        self.home.path().join("v")
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.home.path().join(file)
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command
            .args(args)
            .current_dir(if self.vault().exists() {
                self.vault()
            } else {
                self.home.path().to_owned()
            })
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("USER", "ann")
            .env("AWS_ACCESS_KEY_ID", &self.keys.id)
            .env("AWS_SECRET_ACCESS_KEY", &self.keys.secret)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if !self.keys.session.is_empty() {
            command.env("AWS_SESSION_TOKEN", &self.keys.session);
        }
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        Said::of(self.command(args).output().unwrap())
    }

    /// Runs it with bytes on stdin.
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> Said {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Said::of(child.wait_with_output().unwrap())
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Runs it, and it must end with this code.
    pub(crate) fn ends(&self, code: i32, args: &[&str]) -> Said {
        let said = self.run(args);
        assert_eq!(said.code, code, "{args:?}: {}", said.err);
        said
    }

    /// Runs it, and it must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Said {
        self.ends(0, args)
    }

    pub(crate) fn put(&self, args: &[&str], value: &[u8]) {
        let said = self.feed(&[&["put"], args].concat(), value);
        assert_eq!(said.code, 0, "put {args:?}: {}", said.err);
    }

    /// What `get` prints.
    pub(crate) fn get(&self, selector: &str) -> Vec<u8> {
        self.ok(&["get", selector]).out
    }

    /// A sync that is complete and finds no conflict.
    pub(crate) fn sync(&self) -> Said {
        self.ok(&["sync", "--yes"])
    }

    pub(crate) fn assert_quiet(&self) {
        let said = self.sync();
        assert!(said.err.contains("In step"), "{}", said.err);
    }

    /// Every file under the vault's directory, `.git` included: content and date.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        let mut files = BTreeMap::new();
        collect(&self.vault(), &mut files);
        files
    }

    /// Everything the vault says of its secrets, by a second reader: the library.
    pub(crate) fn dump(&self) -> BTreeMap<String, String> {
        let identity = std::fs::read(self.path(".config/strongroom/identity")).unwrap();
        let identity = strongroom::crypto::Identity::from_file(&identity).unwrap();
        let state = self.path(".local/state");
        let mut vault = strongroom::vault::Vault::open(&self.vault(), &state).unwrap();
        vault.unlock(&identity).unwrap();
        let loaded = vault.load().unwrap();
        assert!(loaded.blocked.is_empty(), "{:?}", loaded.blocked);
        let mut dump = BTreeMap::new();
        for (name, record) in loaded.records {
            let values: Vec<_> = record
                .state
                .versions
                .keys()
                .map(|id| {
                    let value = vault.read(&record, id).unwrap();
                    (id.to_string(), value.expose_secret().to_vec())
                })
                .collect();
            let intents: Vec<_> = record.base.values().map(|b| b.intents.len()).collect();
            let text = format!(
                "{:?} {:?} {:?} {values:?} {intents:?} {} conflicts",
                record.state.lifecycle.as_str(),
                record.state.labels,
                record.state.attributes,
                record.conflicts.len()
            );
            dump.insert(name.to_string(), text);
        }
        dump
    }
}

fn collect(dir: &Path, files: &mut BTreeMap<PathBuf, (Vec<u8>, SystemTime)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            collect(&entry.path(), files);
        } else {
            let bytes = std::fs::read(entry.path()).unwrap();
            files.insert(entry.path(), (bytes, meta.modified().unwrap()));
        }
    }
}

/// What the snippets of the console use: an account's whole state, and a put by
/// somebody who is careful. moto leaves AWSCURRENT on two versions if a plain put
/// follows a move of that label, so whoever writes after a push does it in two steps.
const HELPERS: &str = r"
def state(sm):
    out = {}
    for page in sm.get_paginator('list_secrets').paginate(IncludePlannedDeletion=True):
        for s in page['SecretList']:
            stages = {v: sorted(l) for v, l in s.get('SecretVersionsToStages', {}).items() if l}
            values = {}
            if 'DeletedDate' not in s:
                for v in stages:
                    g = sm.get_secret_value(SecretId=s['Name'], VersionId=v)
                    b = g['SecretString'].encode() if 'SecretString' in g else g['SecretBinary']
                    kind = 'string' if 'SecretString' in g else 'binary'
                    values[v] = [kind, base64.b64encode(b).decode()]
            out[s['Name']] = {
                'stages': stages, 'values': values, 'deleted': 'DeletedDate' in s,
                'description': s.get('Description') or '',
                'tags': {t['Key']: t['Value'] for t in s.get('Tags', [])},
            }
    return out
def holder(sm, name, label):
    stages = sm.describe_secret(SecretId=name)['VersionIdsToStages']
    return next((v for v, l in stages.items() if label in l), None)
def write(sm, name, token, value):
    was = holder(sm, name, 'AWSCURRENT')
    sm.put_secret_value(SecretId=name, SecretString=value, ClientRequestToken=token, VersionStages=['CONSOLE'])
    sm.update_secret_version_stage(SecretId=name, VersionStage='AWSCURRENT', MoveToVersionId=token, RemoveFromVersionId=was)
def vid(n): return '%08d-0000-4000-8000-000000000000' % n
";

/// The nth version id, as the console's `vid(n)`.
pub(crate) fn vid(n: u32) -> String {
    format!("{n:08}-0000-4000-8000-000000000000")
}

/// Runs a snippet as somebody in the account, with the helpers above.
pub(crate) fn console(moto: &Moto, keys: &Keys, snippet: &str) -> Value {
    moto.console(keys, &format!("{HELPERS}\n{snippet}"))
}

/// The account's whole state.
pub(crate) fn state(moto: &Moto, keys: &Keys) -> Value {
    console(moto, keys, "out(state(sm))")
}

/// The version with a label, in a state of an account.
pub(crate) fn holder(state: &Value, secret: &str, label: &str) -> Option<String> {
    let stages = state[secret]["stages"].as_object()?;
    let has = |labels: &Value| {
        labels
            .as_array()
            .is_some_and(|l| l.iter().any(|l| l == label))
    };
    let mut all = stages.iter().filter(|(_, labels)| has(labels));
    let holder = all.next().map(|(id, _)| id.clone());
    assert!(
        all.next().is_none(),
        "{label} is on two versions of {secret}"
    );
    holder
}

/// What an application gets that asks for AWSCURRENT.
pub(crate) fn serves(state: &Value, secret: &str) -> Vec<u8> {
    let current = holder(state, secret, "AWSCURRENT").expect("a current version");
    let value = state[secret]["values"][&current][1].as_str().unwrap();
    data_encoding::BASE64.decode(value.as_bytes()).unwrap()
}
