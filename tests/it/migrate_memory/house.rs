//! Two accounts, the key, and a state directory.

use std::path::PathBuf;

use strongroom::crypto::{Identity, KeyringKeys};
use strongroom::migrate::{
    Findings, Head, Item, Journal, Migration, Outcome, Report, Retire, Rules, Run, Side, Survey,
    apply, blind, retire, rollback, survey, verify,
};
use strongroom::model::{
    Attributes, Change, SecretName, SecretValue, StagingLabel, Timestamp, VersionId,
};
use strongroom::store::{MemoryStore, Silent};
use tempfile::TempDir;

pub(super) const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";
pub(super) const FROM: &str = "111111111111";
pub(super) const TO: &str = "222222222222";
/// What no plan, journal, report or message may hold.
pub(super) const CANARY: &str = "canary-7f3a-of-a-value";

pub(super) fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

pub(super) fn label(text: &str) -> StagingLabel {
    text.parse().unwrap()
}

pub(super) fn vid(n: u32) -> VersionId {
    format!("{n:08}-0000-4000-8000-000000000000")
        .parse()
        .unwrap()
}

pub(super) fn start() -> Timestamp {
    "2026-11-20T10:00:00.000Z".parse().unwrap()
}

pub(super) struct House {
    pub(super) from: MemoryStore,
    pub(super) to: MemoryStore,
    pub(super) keys: KeyringKeys,
    pub(super) state: TempDir,
    pub(super) now: Timestamp,
}

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

impl House {
    pub(super) fn new() -> Self {
        Self {
            from: MemoryStore::new(FROM, "eu-west-1", start()),
            to: MemoryStore::new(TO, "us-east-1", start()),
            keys: KeyringKeys::new(Identity::generate(), VAULT),
            state: tempfile::tempdir().unwrap(),
            now: start(),
        }
    }

    /// Three secrets with history, labels, tags, a key, a policy and a binary value.
    pub(super) fn furnished() -> Self {
        let house = Self::new();
        house.put("prod/db", 1, "one", &[]);
        house.put("prod/db", 2, CANARY, &[]);
        house.put("prod/db", 3, "blue", &["blue", "green"]);
        house.describe("prod/db", "the database", &[("team", "core"), ("old", "x")]);
        house.from.as_console_policy(
            &name("prod/db"),
            Some(r#"{"Version":"2012-10-17","Statement":[]}"#),
        );
        house.put("prod/one", 11, "only", &[]);
        let binary = SecretValue::binary(vec![0, 255, 7]).unwrap();
        let api = name("prod/api");
        house
            .from
            .as_console_put(&api, &vid(21), binary, &[])
            .unwrap();
        house.put("prod/api", 22, "now", &[]);
        house.put("prod/api", 23, "then", &[]);
        house
    }

    pub(super) fn put(&self, secret: &str, n: u32, value: &str, labels: &[&str]) {
        put(&self.from, secret, n, value, labels);
    }

    pub(super) fn describe(&self, secret: &str, text: &str, tags: &[(&str, &str)]) {
        let name = name(secret);
        let from = self.from.state().get(&name).unwrap().attributes.clone();
        let to = Attributes {
            description: Some(text.to_owned()),
            tags: tags
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        };
        let change = Change::SetAttributes { from, to };
        self.from.as_console(&name, &change).unwrap();
    }

    pub(super) fn head(&self) -> Head {
        let side = |remote: &str, account: &str, region: &str| Side {
            remote: remote.into(),
            account: account.into(),
            region: region.into(),
            endpoint: None,
        };
        Head {
            program: "0".into(),
            vault: VAULT.into(),
            id: "11112222-3333-4444-5555-666677778888".into(),
            made: self.now.to_string(),
            from: side("old", FROM, "eu-west-1"),
            to: side("new", TO, "us-east-1"),
        }
    }

    pub(super) fn plan_with(&self, rules: Rules) -> Migration {
        let survey_of = Survey {
            from: &self.from,
            to: &self.to,
            keys: &self.keys,
            rules,
            progress: &Silent,
        };
        run(survey(self.head(), survey_of)).unwrap()
    }

    /// `prod/` becomes `live/`.
    pub(super) fn plan(&self) -> Migration {
        self.plan_with(rules())
    }

    pub(super) fn journal(&self) -> Journal {
        Journal::open(self.state.path(), &self.head().id).unwrap()
    }

    pub(super) fn journal_file(&self) -> PathBuf {
        self.journal().path().to_owned()
    }

    pub(super) fn with<'a>(&'a self, journal: &'a Journal) -> Run<'a, MemoryStore> {
        Run {
            from: &self.from,
            to: &self.to,
            keys: &self.keys,
            journal,
            now: self.now,
            part: None,
            progress: &Silent,
        }
    }

    /// Each verb is a process of its own: it opens the journal anew.
    pub(super) fn apply(&self, plan: &Migration, delta: bool) -> Report {
        let journal = self.journal();
        run(apply(plan, &self.with(&journal), delta)).unwrap()
    }

    pub(super) fn verify(&self, plan: &Migration) -> Findings {
        let journal = self.journal();
        run(verify(plan, &self.with(&journal))).unwrap()
    }

    pub(super) fn rollback(&self, plan: &Migration) -> Report {
        let journal = self.journal();
        run(rollback(plan, &self.with(&journal))).unwrap()
    }

    pub(super) fn retire(
        &self,
        plan: &Migration,
        how: Retire,
    ) -> Result<Report, strongroom::migrate::MigrateError> {
        let journal = self.journal();
        run(retire(plan, &self.with(&journal), how))
    }

    pub(super) fn blind(&self, rules: &Rules) -> Findings {
        let head = self.head();
        let sides = (&head.from, &head.to);
        run(blind(&self.from, &self.to, sides, rules, &Silent)).unwrap()
    }

    /// Copies, and everything must go well.
    pub(super) fn moved(&self) -> Migration {
        let plan = self.plan();
        let report = self.apply(&plan, false);
        assert!(report.is_complete(), "{report:?}");
        assert!(self.verify(&plan).is_clean());
        plan
    }

    /// Everything on the target: labels, attributes, values.
    pub(super) fn target(&self) -> Vec<String> {
        everything(&self.to)
    }
}

pub(super) fn everything(store: &MemoryStore) -> Vec<String> {
    let state = store.state();
    let lines = state.0.iter().map(|(name, secret)| {
        let values: Vec<_> = secret
            .versions
            .keys()
            .map(|id| {
                (
                    id.clone(),
                    store.peek(name, id).map(|v| v.expose_secret().to_vec()),
                )
            })
            .collect();
        format!(
            "{name} {:?} {:?} {:?} {values:?}",
            secret.labels,
            secret.attributes,
            secret.lifecycle.as_str()
        )
    });
    lines.collect()
}

pub(super) fn put(store: &MemoryStore, secret: &str, n: u32, value: &str, labels: &[&str]) {
    let labels: Vec<StagingLabel> = labels.iter().map(|l| label(l)).collect();
    let value = SecretValue::string(value.as_bytes().to_vec()).unwrap();
    // Each at a moment of its own, so that history has an order.
    store.set_now(Timestamp::from_millis(
        start().millis() + i64::from(n) * 1000,
    ));
    store
        .as_console_put(&name(secret), &vid(n), value, &labels)
        .unwrap();
}

pub(super) fn rules() -> Rules {
    Rules {
        map: vec!["prod/*=live/*".parse().unwrap()],
        ..Rules::default()
    }
}

pub(super) fn item<'a>(plan: &'a Migration, source: &str) -> &'a Item {
    let of = |item: &&Item| item.source.as_str() == source;
    plan.items.iter().find(of).expect("it is in the plan")
}

pub(super) fn outcome<'a>(report: &'a Report, source: &str) -> &'a Outcome {
    &report.outcomes[&name(source)]
}
