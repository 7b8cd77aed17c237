//! What carrying out a plan will take: calls, time, money. Pure.

use std::collections::BTreeMap;

use super::Prepared;
use super::execute::batches;
use crate::model::{Change, OwnField, RemoteName, Sight};
use crate::plan::{SecretPlan, Side};

/// Millionths of a US dollar for one call: AWS's public list price of $0.05 for 10,000
/// calls (sync.md section 2). It says nothing of discounts, of the secrets themselves or
/// of KMS.
pub const MICRODOLLARS_A_CALL: usize = 5;

/// Operations that AWS counts together, and their calls a second for one account and
/// Region (aws.md section 9).
const QUOTAS: [(&[&str], usize); 7] = [
    (&["BatchGetSecretValue"], 100),
    (&["DescribeSecret", "GetSecretValue"], 10_000),
    (&["CreateSecret"], 50),
    (
        &["PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage"],
        50,
    ),
    (&["TagResource", "UntagResource"], 50),
    (&["DeleteSecret"], 50),
    (&["RestoreSecret"], 50),
];

/// The calls of a plan, by what they will do. Looking at the remotes to make the plan is
/// not among them: that is done by then. Exact while nothing gets in the way; what is
/// throttled, lost, or changes meanwhile is asked again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Calls by remote and operation.
    pub calls: BTreeMap<RemoteName, BTreeMap<&'static str, usize>>,
    /// Secrets that have to be restored before it can be seen what else they need.
    pub unforeseen: usize,
}

impl Cost {
    /// What a plan will take.
    pub fn of(prepared: &Prepared) -> Self {
        let mut cost = Self::default();
        for batch in batches(prepared) {
            let plans: Vec<_> = batch
                .iter()
                .filter_map(|name| Some((name, prepared.plan.secrets.get(name)?)))
                .collect();
            let mut current: BTreeMap<&RemoteName, usize> = BTreeMap::new();
            for (name, plan) in plans {
                // What comes after a step on a remote is read when that is done.
                let first = plan.actions.iter().take_while(|a| a.on == Side::Local);
                for action in first {
                    let (Change::AddVersion { id, .. }, Some(remote)) =
                        (&action.change, &action.source)
                    else {
                        continue;
                    };
                    let sight = prepared.views.get(remote).and_then(|v| v.secrets.get(name));
                    match sight {
                        Some(Sight::Seen(seen)) if seen.state.current() == Some(id) => {
                            *current.entry(remote).or_default() += 1;
                        }
                        _ => cost.add(remote, "GetSecretValue", 1),
                    }
                }
                cost.push(plan);
            }
            for (remote, values) in current {
                let calls = values.div_ceil(crate::store::BATCH);
                cost.add(remote, "BatchGetSecretValue", calls);
            }
        }
        cost
    }

    fn add(&mut self, remote: &RemoteName, operation: &'static str, calls: usize) {
        let of = self.calls.entry(remote.clone()).or_default();
        *of.entry(operation).or_default() += calls;
    }

    fn push(&mut self, plan: &SecretPlan) {
        let mut remotes: BTreeMap<&RemoteName, Vec<&Change>> = BTreeMap::new();
        for action in &plan.actions {
            if let Side::Remote(remote) = &action.on {
                remotes.entry(remote).or_default().push(&action.change);
            }
        }
        if plan.looks_again() {
            self.unforeseen += 1;
        }
        for (remote, changes) in remotes {
            // A look before what AWS does not compare, and one after all.
            let looked_at = changes.iter().any(|c| super::push::is_unguarded(c));
            self.add(remote, "DescribeSecret", 1 + usize::from(looked_at));
            for change in changes {
                self.step(remote, change);
            }
        }
    }

    fn step(&mut self, remote: &RemoteName, change: &Change) {
        match change {
            Change::Create { .. } => self.add(remote, "CreateSecret", 1),
            Change::AddVersion { .. } => self.add(remote, "PutSecretValue", 1),
            Change::MoveLabel { from, .. } => {
                if from.is_none() {
                    self.add(remote, "DescribeSecret", 1);
                }
                self.add(remote, "UpdateSecretVersionStage", 1);
            }
            Change::SetAttributes { from, to } => {
                if from == to {
                    return;
                }
                self.add(remote, "DescribeSecret", 1);
                if from.description != to.description {
                    self.add(remote, "UpdateSecret", 1);
                }
                if from.tags.keys().any(|k| !to.tags.contains_key(k)) {
                    self.add(remote, "UntagResource", 1);
                }
                if to.tags.iter().any(|(k, v)| from.tags.get(k) != Some(v)) {
                    self.add(remote, "TagResource", 1);
                }
            }
            Change::SetOwn { field, to, .. } => match field {
                OwnField::KmsKey => self.add(remote, "UpdateSecret", 1),
                OwnField::Policy => {
                    self.add(remote, "GetResourcePolicy", 2);
                    let call = match to.is_empty() {
                        true => "DeleteResourcePolicy",
                        false => "PutResourcePolicy",
                    };
                    self.add(remote, call, 1);
                }
                OwnField::Replicas => self.add(remote, "ReplicateSecretToRegions", 1),
                OwnField::Rotation => {}
            },
            Change::Delete { .. } => self.add(remote, "DeleteSecret", 1),
            Change::Restore => self.add(remote, "RestoreSecret", 1),
            // The vault's own.
            Change::Reschedule { .. } | Change::Tombstone | Change::Archive { .. } => {}
        }
    }

    /// Calls by operation, all remotes together.
    pub fn by_operation(&self) -> BTreeMap<&'static str, usize> {
        let mut all = BTreeMap::new();
        for (operation, calls) in self.calls.values().flatten() {
            *all.entry(*operation).or_default() += calls;
        }
        all
    }

    /// All calls.
    pub fn total(&self) -> usize {
        self.calls.values().flat_map(BTreeMap::values).sum()
    }

    /// Millionths of a US dollar at [`MICRODOLLARS_A_CALL`].
    pub fn microdollars(&self) -> usize {
        self.total() * MICRODOLLARS_A_CALL
    }

    /// Seconds that AWS's quotas make it last, at 0.6 of them: the slowest group of
    /// operations of the slowest remote decides, the others go on beside it.
    pub fn seconds(&self) -> usize {
        let of_group = |calls: &BTreeMap<&str, usize>, (group, quota): (&[&str], usize)| {
            let n: usize = group.iter().filter_map(|o| calls.get(o)).sum();
            (n * 10).div_ceil(quota * 6)
        };
        let of_remote = |calls| QUOTAS.map(|group| of_group(calls, group)).into_iter().max();
        let all = self.calls.values().filter_map(of_remote);
        all.max().unwrap_or_default()
    }
}

impl std::fmt::Display for Cost {
    /// `5 calls to AWS (2 DescribeSecret, ..), about 1 s, US$ 0.01 at most`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let total = self.total();
        if total == 0 {
            return f.write_str("no calls to AWS");
        }
        let each: Vec<String> = self
            .by_operation()
            .iter()
            .map(|(operation, n)| format!("{n} {operation}"))
            .collect();
        let calls = if total == 1 { "call" } else { "calls" };
        write!(f, "{total} {calls} to AWS ({})", each.join(", "))?;
        match self.seconds() {
            0 | 1 => f.write_str(", about a second")?,
            s @ 2..120 => write!(f, ", about {s} seconds")?,
            s => write!(f, ", about {} minutes", s.div_ceil(60))?,
        }
        match self.microdollars().div_ceil(10_000) {
            0 | 1 => f.write_str(", less than a cent")?,
            cents => write!(f, ", US$ {}.{:02}", cents / 100, cents % 100)?,
        }
        if self.unforeseen > 0 {
            write!(
                f,
                "; and what {} looked at again will show",
                match self.unforeseen {
                    1 => "one secret that is".to_owned(),
                    n => format!("{n} secrets that are"),
                }
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_2_the_slowest_quota_at_six_tenths_decides() {
        let mut cost = Cost::default();
        let (a, b): (RemoteName, RemoteName) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert_eq!(cost.to_string(), "no calls to AWS");
        cost.add(&a, "DescribeSecret", 10_000);
        assert_eq!(cost.seconds(), 2);
        // A safe push of 10,000: 20,000 writes at 30 a second, 11 minutes.
        cost.add(&a, "PutSecretValue", 10_000);
        cost.add(&a, "UpdateSecretVersionStage", 10_000);
        assert_eq!(cost.seconds(), 667);
        // Another account has quotas of its own.
        cost.add(&b, "CreateSecret", 10_000);
        assert_eq!(cost.seconds(), 667);
        assert_eq!((cost.total(), cost.microdollars()), (40_000, 200_000));
        assert_eq!(
            cost.to_string(),
            "40000 calls to AWS (10000 CreateSecret, 10000 DescribeSecret, 10000 PutSecretValue, \
             10000 UpdateSecretVersionStage), about 12 minutes, US$ 0.20"
        );
    }
}
