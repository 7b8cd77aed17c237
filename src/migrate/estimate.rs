//! What a migration will take: calls, time, money. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::item::Item;
use super::rules::{Policies, Rules};

/// Millionths of a US dollar for one call (sync.md section 2).
const MICRODOLLARS_A_CALL: usize = 5;
/// US cents a month for one secret (sync.md section 2).
const CENTS_A_SECRET: usize = 40;

/// Calls, time and money of copying and of verifying once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Calls by operation, both accounts together.
    pub calls: BTreeMap<String, usize>,
    /// All of them.
    pub total_calls: usize,
    /// Millionths of a US dollar for the calls.
    pub microdollars: usize,
    /// US cents a month for the copies, while both sides exist.
    pub cents_a_month: usize,
    /// Seconds that AWS's quotas make it last, at 0.6 of them.
    pub seconds: usize,
}

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
            add("GetResourcePolicy", secrets);
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
            microdollars: total_calls * MICRODOLLARS_A_CALL,
            cents_a_month: new * CENTS_A_SECRET,
            calls,
        }
    }
}

impl Estimate {
    /// What the calls cost, for people: US dollars, rounded up to a cent.
    pub fn cost(&self) -> String {
        dollars(self.microdollars.div_ceil(10_000))
    }

    /// What the copies cost a month, for people.
    pub fn cost_a_month(&self) -> String {
        dollars(self.cents_a_month)
    }
}

fn dollars(cents: usize) -> String {
    format!("US$ {}.{:02}", cents / 100, cents % 100)
}

/// The slowest quota group decides: the others wait for it (aws.md section 9). Of each
/// quota 0.6 is used.
fn seconds(calls: &BTreeMap<String, usize>) -> usize {
    let of = |operations: &[&str], quota: usize| {
        let n: usize = operations.iter().filter_map(|o| calls.get(*o)).sum();
        (n * 10).div_ceil(quota * 6)
    };
    [
        of(&["ListSecrets"], 100),
        of(&["BatchGetSecretValue"], 100),
        of(&["DescribeSecret", "GetSecretValue"], 10_000),
        of(&["CreateSecret"], 50),
        of(&["PutSecretValue", "UpdateSecretVersionStage"], 50),
        of(&["GetResourcePolicy", "PutResourcePolicy"], 50),
        of(&["ListSecretVersionIds"], 50),
    ]
    .into_iter()
    .max()
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_2_the_slowest_quota_at_six_tenths_decides() {
        let calls = |list: &[(&str, usize)]| -> BTreeMap<String, usize> {
            list.iter().map(|(o, n)| ((*o).to_owned(), *n)).collect()
        };
        // 10,000 secrets to create: 5.6 minutes.
        assert_eq!(
            seconds(&calls(&[
                ("CreateSecret", 10_000),
                ("DescribeSecret", 30_000)
            ])),
            334
        );
        assert_eq!(
            seconds(&calls(&[
                ("PutSecretValue", 30),
                ("UpdateSecretVersionStage", 30)
            ])),
            2
        );
        assert_eq!(seconds(&calls(&[])), 0);
    }
}
