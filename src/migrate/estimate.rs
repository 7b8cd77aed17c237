//! What a migration will take: calls, time, money. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::item::Item;
use super::rules::{Policies, Rules};

/// US dollars for one call (sync.md section 2).
const DOLLARS_A_CALL: f64 = 5e-6;
/// US dollars a month for one secret (sync.md section 2).
const DOLLARS_A_SECRET: f64 = 0.40;
/// The part of each quota that is used.
const SHARE: f64 = 0.6;

/// Calls, time and money of copying and of verifying once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Calls by operation, both accounts together.
    pub calls: BTreeMap<String, usize>,
    /// All of them.
    pub total_calls: usize,
    /// US dollars for the calls.
    pub dollars: f64,
    /// US dollars a month for the copies, while both sides exist.
    pub dollars_a_month: f64,
    /// Seconds that AWS's quotas make it last, at 0.6 of them.
    pub seconds: f64,
}

// Sums of finite numbers only.
impl Eq for Estimate {}

impl Estimate {
    /// What copying and verifying the ready ones of these takes.
    pub(super) fn of(items: &[Item], rules: &Rules) -> Self {
        let ready: Vec<&Item> = items.iter().filter(|i| i.is_ready()).collect();
        let secrets = ready.len();
        let versions: usize = ready.iter().map(|i| i.versions.len()).sum();
        let others =
            versions.saturating_sub(ready.iter().filter(|i| !i.versions.is_empty()).count());
        let new = ready.iter().filter(|i| !i.present).count();
        let policies = ready.iter().filter(|i| i.policy.is_some()).count();
        let pages = items.len().div_ceil(100).max(1);
        let batches = secrets.div_ceil(20);
        let mut calls = BTreeMap::new();
        let mut add = |operation: &str, n: usize| {
            if n > 0 {
                *calls.entry(operation.to_owned()).or_insert(0) += n;
            }
        };
        add("ListSecrets", pages);
        // A look at the target before and, to verify, at both sides after.
        add("DescribeSecret", 3 * secrets);
        add("GetSecretValue", versions + others);
        add("BatchGetSecretValue", batches);
        add("CreateSecret", new);
        add("PutSecretValue", others);
        if rules.policy == Policies::Rewrite {
            add("GetResourcePolicy", 2 * policies);
        }
        add("PutResourcePolicy", policies);
        if rules.history {
            add("ListSecretVersionIds", secrets);
            add("UpdateSecretVersionStage", secrets);
        }
        let total_calls = calls.values().sum();
        Self {
            seconds: seconds(&calls),
            total_calls,
            dollars: as_f64(total_calls) * DOLLARS_A_CALL,
            dollars_a_month: as_f64(new) * DOLLARS_A_SECRET,
            calls,
        }
    }
}

/// The slowest quota group decides: the others wait for it (aws.md section 9).
fn seconds(calls: &BTreeMap<String, usize>) -> f64 {
    let of = |operations: &[&str], quota: f64| {
        let n: usize = operations.iter().filter_map(|o| calls.get(*o)).sum();
        as_f64(n) / (quota * SHARE)
    };
    [
        of(&["ListSecrets"], 100.0),
        of(&["BatchGetSecretValue"], 100.0),
        of(&["DescribeSecret", "GetSecretValue"], 10_000.0),
        of(&["CreateSecret"], 50.0),
        of(&["PutSecretValue", "UpdateSecretVersionStage"], 50.0),
        of(&["GetResourcePolicy", "PutResourcePolicy"], 50.0),
        of(&["ListSecretVersionIds"], 50.0),
    ]
    .into_iter()
    .fold(0.0, f64::max)
}

fn as_f64(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::MAX, f64::from)
}
