//! What the tests of the operations share: a service on a vault of its own.

use std::cell::Cell;

use serde_json::{Value, json};

use super::{Options, Service};
use crate::crypto::Identity;
use crate::model::{Stamp, Timestamp};
use crate::server::protocol::{Answer as _, Call, Caller, Grant};
use crate::vault::{InitOptions, Vault};

pub(super) const NOT_FOUND: &str = "Secrets Manager can't find the specified secret.";
pub(super) const SCHEDULED: &str =
    "You can't perform this operation on the secret because it was marked for deletion.";
/// 2026-11-23T02:22:03Z.
const START: i64 = 1_795_395_723_000;

/// A caller, a clock and the service.
pub(super) struct Desk {
    pub(super) service: Service,
    now: Cell<i64>,
    ids: Cell<u32>,
    pub(super) caller: Caller,
    _dir: tempfile::TempDir,
}

impl Desk {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let member = Identity::generate();
        let options = InitOptions {
            vault_id: "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90",
            keyring: Identity::generate(),
            member_name: "ann",
            member: &member.recipient(),
            now: Timestamp::from_millis(START),
            git: false,
        };
        let (root, state) = (dir.path().join("v"), dir.path().join("state"));
        let (vault, _) = Vault::init(&root, &state, options).unwrap();
        Self {
            service: Service::new(vault, Options::default()).unwrap(),
            now: Cell::new(START),
            ids: Cell::new(0),
            caller: Caller {
                access_key: "AKIATEST".to_owned(),
                account: None,
                region: "eu-west-1".to_owned(),
                grant: Grant::default(),
            },
            _dir: dir,
        }
    }

    /// Lets so many days pass.
    pub(super) fn later(&self, days: i64) {
        self.now.set(self.now.get() + days * 86_400_000);
    }

    /// The moment of the last call.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }

    /// A fresh token.
    pub(super) fn token(&self) -> String {
        self.ids.set(self.ids.get() + 1);
        format!("{:08}-0000-4000-8000-000000000000", self.ids.get())
    }

    /// One call, a second after the one before.
    #[expect(clippy::needless_pass_by_value, reason = "json! makes values")]
    pub(super) fn raw(&self, operation: &str, body: Value) -> (u16, Vec<u8>) {
        self.now.set(self.now.get() + 1000);
        let stamp = Stamp {
            now: self.now(),
            id: self.token().parse().unwrap(),
        };
        let reply = self.service.answer(&Call {
            operation,
            body: body.to_string().as_bytes(),
            caller: &self.caller,
            stamp: &stamp,
        });
        (reply.status, reply.body.to_vec())
    }

    /// A call that succeeds.
    pub(super) fn ok(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.raw(operation, body);
        let text = String::from_utf8(answer).unwrap();
        assert_eq!(status, 200, "{operation}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Code and text of a call that is refused.
    pub(super) fn fault(&self, operation: &str, body: Value) -> (String, String) {
        let (status, answer) = self.raw(operation, body);
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(status, 400, "{operation}: {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let text = answer.get("Message").or(answer.get("message")).unwrap();
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        (word(&answer["__type"]), word(text))
    }

    pub(super) fn refused(&self, operation: &str, body: Value, code: &str, text: &str) {
        let found = self.fault(operation, body);
        assert_eq!(found, (code.to_owned(), text.to_owned()), "{operation}");
    }

    /// Makes a secret with a value; its ARN.
    pub(super) fn create(&self, name: &str, value: &str) -> String {
        let body = json!({
            "Name": name, "SecretString": value, "ClientRequestToken": self.token(),
        });
        let answer = self.ok("CreateSecret", body);
        answer["ARN"].as_str().unwrap().to_owned()
    }

    /// Puts a value; its version's id.
    pub(super) fn put(&self, name: &str, value: &str) -> String {
        let token = self.token();
        let body = json!({
            "SecretId": name, "SecretString": value, "ClientRequestToken": token,
        });
        self.ok("PutSecretValue", body);
        token
    }
}
