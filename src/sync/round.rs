//! One round of a run: what is copied first, what goes to the remotes, what is kept.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;

use super::execute::batches;
use super::gather::{Gathered, gather};
use super::push::{Other, Pushed, push};
use super::report::{Outcome, Report, SyncError};
use super::settle::{self, Stop, fold, replace_conflicts, secure};
use super::{Options, Prepared};
use crate::model::{Change, Lifecycle, Record, RemoteName, RemoteSecret, SecretName};
use crate::plan::{SecretPlan, Side};
use crate::store::{Progress, SecretStore};
use crate::vault::{Committed, Durability, Transaction, Vault};

/// How many secrets are written to remotes at once. The store's own token buckets
/// hold the rate; this bounds what is under way.
const AT_ONCE: usize = 16;
/// From how many secrets on the disk is waited for once instead of each time.
const BULK: usize = 8;

/// A run under way.
pub(super) struct Run<'a, S> {
    pub(super) vault: &'a Vault,
    pub(super) stores: &'a BTreeMap<RemoteName, S>,
    pub(super) options: &'a Options,
    pub(super) progress: &'a dyn Progress,
    pub(super) report: Report,
    /// What the remotes showed after they were written to.
    pub(super) seen: BTreeMap<RemoteName, BTreeMap<SecretName, Option<RemoteSecret>>>,
}

impl<'a, S: SecretStore> Run<'a, S> {
    fn begin(&self) -> Result<Transaction<'a>, SyncError> {
        let mut tx = self.vault.begin("sync", self.options.now)?;
        if self.options.no_git {
            tx.without_git();
        }
        Ok(tx)
    }

    pub(super) async fn round(&mut self, prepared: &Prepared) -> Result<(), SyncError> {
        for chunk in &batches(prepared) {
            let got = gather(
                &prepared.plan,
                chunk,
                &prepared.views,
                self.stores,
                self.progress,
            )
            .await;
            if self.report.stopped.is_none() {
                self.report.stopped.clone_from(&got.stopped);
            }
            let mut records = self.secure_before_push(prepared, chunk, &got)?;
            let pushed = self.push_all(prepared, chunk, &mut records).await;
            self.settle(prepared, chunk, &records, &got, &pushed)?;
            if self.report.stopped.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Writes the versions of secrets that are about to change on a remote: no label
    /// leaves a version over there before its value is safe here (sync.md K1).
    fn secure_before_push(
        &mut self,
        prepared: &Prepared,
        names: &[SecretName],
        got: &Gathered,
    ) -> Result<BTreeMap<SecretName, Option<Record>>, SyncError> {
        let mut records: BTreeMap<SecretName, Option<Record>> = names
            .iter()
            .map(|n| (n.clone(), prepared.loaded.records.get(n).cloned()))
            .collect();
        let urgent: Vec<(&SecretName, &SecretPlan)> = names
            .iter()
            .filter_map(|n| Some((n, prepared.plan.secrets.get(n)?)))
            .filter(|(_, plan)| {
                has_remote_steps(plan) && (copies_first(plan) || !plan.answers.is_empty())
            })
            .collect();
        if urgent.is_empty() {
            return Ok(records);
        }
        let mut tx = self.begin()?;
        let mut saved = Vec::new();
        for (name, plan) in urgent {
            match self.secure_one(&mut tx, prepared, name, plan, got) {
                Ok(record) => {
                    tx.put(record.clone());
                    records.insert(name.clone(), Some(record));
                    saved.push(name);
                }
                Err(Stop::Outcome(outcome)) => {
                    self.report.outcomes.insert(name.clone(), outcome);
                }
                Err(Stop::Vault(error)) => return Err(error.into()),
            }
        }
        let message = message("copy versions before pushing", &saved);
        let commit = tx.commit(&message, durability(saved.len()))?;
        self.report.written += commit.changed;
        self.remember_git(&commit.git);
        Ok(records)
    }

    fn secure_one(
        &mut self,
        tx: &mut Transaction<'_>,
        prepared: &Prepared,
        name: &SecretName,
        plan: &SecretPlan,
        got: &Gathered,
    ) -> Result<Record, Stop> {
        let mut record = same_as_planned(tx, name, prepared.loaded.records.get(name))?
            .unwrap_or_else(|| Record::new(name.clone()));
        let folded = secure(tx, &mut record, plan, got)?;
        self.report.copied += folded.copied;
        Ok(record)
    }

    async fn push_all(
        &mut self,
        prepared: &Prepared,
        names: &[SecretName],
        records: &mut BTreeMap<SecretName, Option<Record>>,
    ) -> BTreeMap<SecretName, Pushed> {
        // A second round is about secrets that have an outcome already.
        let outcomes = self.report.outcomes.iter();
        let failed: BTreeSet<SecretName> = outcomes
            .filter(|(_, o)| **o != Outcome::Done)
            .map(|(n, _)| n.clone())
            .collect();
        let todo: Vec<(&SecretName, &SecretPlan)> = names
            .iter()
            .filter(|n| self.report.stopped.is_none() && !failed.contains(*n))
            .filter_map(|n| Some((n, prepared.plan.secrets.get(n)?)))
            .filter(|(_, plan)| has_remote_steps(plan))
            .collect();
        let mut pushed = BTreeMap::new();
        if todo.is_empty() {
            return pushed;
        }
        self.progress.begin("pushing", Some(todo.len()));
        let records = &*records;
        let (vault, stores) = (self.vault, self.stores);
        let views = &prepared.views;
        let mut results = futures_util::stream::iter(todo)
            .map(|(name, plan)| async move {
                let record = match records.get(name) {
                    Some(Some(record)) => record.clone(),
                    _ => Record::new(name.clone()),
                };
                // A secret that goes from one remote to another gets its labels here
                // last; its values are what the push needs.
                (name, push(vault, &record, plan, views, stores).await)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((name, result)) = results.next().await {
            self.progress.advance(1);
            self.report.there += result.steps;
            let fatal = match &result.outcome {
                Outcome::Failed { remote, error } if error.is_fatal() => {
                    Some((remote.clone(), error.clone()))
                }
                _ => None,
            };
            for (remote, seen) in &result.seen {
                let of = self.seen.entry(remote.clone()).or_default();
                of.insert(name.clone(), seen.clone());
            }
            pushed.insert(name.clone(), result);
            if let Some(fatal) = fatal {
                // What is under way is dropped; every step is safe to be cut off.
                self.report.stopped.get_or_insert(fatal);
                break;
            }
        }
        drop(results);
        self.progress.finish();
        pushed
    }

    fn settle(
        &mut self,
        prepared: &Prepared,
        names: &[SecretName],
        records: &BTreeMap<SecretName, Option<Record>>,
        got: &Gathered,
        pushed: &BTreeMap<SecretName, Pushed>,
    ) -> Result<(), SyncError> {
        let empty = SecretPlan::default();
        let mut tx = self.begin()?;
        let mut saved: Vec<&SecretName> = Vec::new();
        for name in names {
            if self
                .report
                .outcomes
                .get(name)
                .is_some_and(|o| *o != Outcome::Done)
            {
                continue;
            }
            let plan = prepared.plan.secrets.get(name).unwrap_or(&empty);
            let pushed = pushed.get(name);
            if let Some(pushed) = pushed
                && pushed.outcome != Outcome::Done
            {
                let outcome = pushed.outcome.clone();
                self.report.outcomes.insert(name.clone(), outcome);
                if let Some(other) = &pushed.other {
                    let known = records.get(name).and_then(Option::as_ref);
                    match self.raise(&mut tx, prepared, name, known, plan, other) {
                        Ok(record) => {
                            saved.push(name);
                            tx.put(record);
                        }
                        Err(Stop::Outcome(_)) => {}
                        Err(Stop::Vault(error)) => return Err(error.into()),
                    }
                }
                if seeded!(AdvanceOnSkip)
                    && let Some(mut record) = tx.record(name)?
                {
                    record.base.extend(plan.settled.clone());
                    saved.push(name);
                    tx.put(record);
                }
                continue;
            }
            if has_remote_steps(plan) && pushed.is_none() {
                // The run stopped before its turn.
                self.report.outcomes.insert(name.clone(), Outcome::Again);
                continue;
            }
            let known = records.get(name).and_then(Option::as_ref);
            match self.settle_one(&mut tx, prepared, name, known, plan, got, pushed) {
                Ok(changed) => {
                    if changed {
                        saved.push(name);
                    }
                    let outcome = if plan.looks_again() {
                        Outcome::Again
                    } else if plan.actions.is_empty() && plan.answers.is_empty() {
                        continue;
                    } else {
                        Outcome::Done
                    };
                    self.report.outcomes.insert(name.clone(), outcome);
                }
                Err(Stop::Outcome(outcome)) => {
                    self.report.outcomes.insert(name.clone(), outcome);
                }
                Err(Stop::Vault(error)) => return Err(error.into()),
            }
        }
        if saved.is_empty() {
            return Ok(());
        }
        let remotes: Vec<&str> = prepared
            .plan
            .remotes
            .iter()
            .map(RemoteName::as_str)
            .collect();
        let message = message(&format!("sync {}", remotes.join(", ")), &saved);
        let commit = tx.commit(&message, durability(saved.len()))?;
        self.report.written += commit.changed;
        self.remember_git(&commit.git);
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one secret's share of everything the run knows"
    )]
    fn settle_one(
        &mut self,
        tx: &mut Transaction<'_>,
        prepared: &Prepared,
        name: &SecretName,
        known: Option<&Record>,
        plan: &SecretPlan,
        got: &Gathered,
        pushed: Option<&Pushed>,
    ) -> Result<bool, Stop> {
        let there = same_as_planned(tx, name, known)?;
        let mut record = there.clone().unwrap_or_else(|| Record::new(name.clone()));
        let answered = has_remote_steps(plan);
        let folded: settle::Folded =
            fold(self.vault, tx, &mut record, plan, got, pushed, answered)?;
        replace_conflicts(&mut record, &prepared.plan, plan);
        self.report.copied += folded.copied;
        self.report.here += folded.steps;
        if record.is_blank() || there.as_ref() == Some(&record) {
            return Ok(false);
        }
        if seeded!(ForgetTombstone) && record.state.lifecycle == Lifecycle::Tombstone {
            tx.remove(name);
            return Ok(true);
        }
        tx.put(record);
        Ok(true)
    }

    /// Keeps what a remote has under an id of the vault's, and the alarm.
    fn raise(
        &mut self,
        tx: &mut Transaction<'_>,
        prepared: &Prepared,
        name: &SecretName,
        known: Option<&Record>,
        plan: &SecretPlan,
        other: &Other,
    ) -> Result<Record, Stop> {
        let Some(mut record) = same_as_planned(tx, name, known)? else {
            return Err(Stop::Outcome(Outcome::Again));
        };
        let sight = prepared.views.get(&other.remote);
        let sight = sight.and_then(|v| v.secrets.get(name));
        let alarm = settle::keep_other(tx, &mut record, plan, sight, other)?;
        let raised = (name.clone(), alarm.clone());
        if !self.report.conflicts.contains(&raised) {
            self.report.conflicts.push(raised);
        }
        record.conflicts.push(alarm);
        record.conflicts.sort();
        record.conflicts.dedup();
        Ok(record)
    }

    fn remember_git(&mut self, git: &Committed) {
        if let Committed::Left(reason) = git {
            self.report.uncommitted.get_or_insert(reason.clone());
        }
    }
}

/// Reads a record under the lock, and refuses it if somebody changed it since the
/// plan was made.
fn same_as_planned(
    tx: &Transaction<'_>,
    name: &SecretName,
    planned: Option<&Record>,
) -> Result<Option<Record>, Stop> {
    let now = tx.record(name)?;
    if now.as_ref() == planned {
        return Ok(now);
    }
    Err(Stop::Outcome(Outcome::Superseded(
        "it changed in the vault meanwhile".to_owned(),
    )))
}

fn has_remote_steps(plan: &SecretPlan) -> bool {
    plan.actions.iter().any(|a| matches!(a.on, Side::Remote(_)))
}

/// Whether versions come into the vault before the first remote step.
fn copies_first(plan: &SecretPlan) -> bool {
    plan.actions
        .iter()
        .take_while(|a| a.on == Side::Local)
        .any(|a| matches!(a.change, Change::AddVersion { .. }))
}

fn durability(secrets: usize) -> Durability {
    if secrets > BULK {
        Durability::Bulk
    } else {
        Durability::Each
    }
}

/// A commit message: names of secrets, never values.
fn message(what: &str, names: &[&SecretName]) -> String {
    const SHOWN: usize = 50;
    let mut text = match names {
        [one] => format!("{what}: {one}\n"),
        many => format!("{what}: {} secrets\n\n", many.len()),
    };
    if names.len() > 1 {
        for name in names.iter().take(SHOWN) {
            text.push_str(&format!("{name}\n"));
        }
        if names.len() > SHOWN {
            text.push_str(&format!("and {} more\n", names.len() - SHOWN));
        }
    }
    text
}
