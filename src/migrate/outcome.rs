//! How a run over many secrets ended.

use std::collections::BTreeMap;

use super::journal::JournalError;
use crate::crypto::KeysError;
use crate::model::SecretName;
use crate::store::StoreError;

/// What became of one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was as it should be.
    Same,
    /// The source has changed since the plan was made; nothing was done.
    Changed,
    /// It was left alone, and why.
    Skipped(String),
    /// It did not work, and why. Running again goes on.
    Failed(String),
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Report {
    /// Each secret, by its source name.
    pub outcomes: BTreeMap<SecretName, Outcome>,
    /// Secrets of the source that the plan does not know.
    pub fresh: Vec<SecretName>,
    /// How often the source was gone through.
    pub passes: usize,
    /// Whether the last time nothing had changed there.
    pub quiet: bool,
    /// What stopped the whole run.
    pub stopped: Option<StoreError>,
}

impl Report {
    /// How many ended in a way.
    pub fn count(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        self.outcomes.values().filter(|o| is(o)).count()
    }

    /// Whether everything is as it should be.
    pub fn is_complete(&self) -> bool {
        let fine = |o: &Outcome| matches!(o, Outcome::Done | Outcome::Same);
        self.stopped.is_none() && self.outcomes.values().all(fine)
    }
}

/// What a verification found. Names only; no value is part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Copies that are right.
    pub ok: Vec<SecretName>,
    /// Copies that are not, with what differs.
    pub differ: BTreeMap<SecretName, Vec<String>>,
    /// Secrets without a copy.
    pub missing: Vec<SecretName>,
    /// Secrets whose source has changed since they were copied.
    pub stale: Vec<SecretName>,
    /// Secrets of the source that cannot move, with the reason.
    pub unmoved: BTreeMap<SecretName, String>,
}

impl Findings {
    /// Whether every copy is right and up to date.
    pub fn is_clean(&self) -> bool {
        self.differ.is_empty() && self.missing.is_empty() && self.stale.is_empty()
    }
}

/// Why a whole run ended without a report.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The account that secrets come from.
    #[error("the source")]
    From(#[source] StoreError),
    /// The account they go to.
    #[error("the target")]
    To(#[source] StoreError),
    /// The vault's keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Both ends are one place: a copy would be the original, and retiring it a loss.
    #[error("source and target are the same account and Region")]
    SamePlace,
    /// Secrets that are not verified, or have changed since.
    #[error("not every secret is verified and unchanged: {}", list(.0))]
    NotQuiet(Vec<SecretName>),
}

fn list(names: &[SecretName]) -> String {
    let shown: Vec<&str> = names.iter().take(5).map(SecretName::as_str).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
