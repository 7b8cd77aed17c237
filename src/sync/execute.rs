//! A run, from the first listing to the git commit.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::compare;
use super::report::{Outcome, Report, SyncError};
use super::round::Run;
use super::{Options, Prepared, fetch_all, prepare_from, refresh};
use crate::model::{RemoteName, RemoteSecret, SecretName, Sight, Timestamp};
use crate::plan::{Note, NoteKind};
use crate::store::{Progress, SecretStore};
use crate::vault::Vault;

/// How many secrets are taken from the first call to the commit together: enough to
/// make the disk's barriers cheap, few enough that their values fit in memory.
const CHUNK: usize = 10_000;
/// How often secrets that need another look are planned again within one run.
const ROUNDS: usize = 3;

/// Fetches every remote given, plans, and does it.
pub async fn sync<S: SecretStore>(
    vault: &Vault,
    stores: &BTreeMap<RemoteName, S>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, SyncError> {
    let (loaded, views) = fetch_all(vault, stores, options.now, progress).await?;
    let prepared = prepare_from(loaded, views, &options.policy);
    let prepared = compare(vault, stores, prepared, &options.policy, progress).await;
    apply_plan(vault, stores, prepared, options, progress).await
}

/// Carries out a plan that was just made. Steps that no longer hold are not taken;
/// they are reported, and the next run plans them anew. A secret that needs another look
/// gets it in the same run.
pub async fn apply_plan<S: SecretStore>(
    vault: &Vault,
    stores: &BTreeMap<RemoteName, S>,
    prepared: Prepared,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, SyncError> {
    rounds(vault, stores, prepared, options, progress, ROUNDS).await
}

/// Carries out a plan and no more: what another look would add, nobody has looked at or
/// permitted. It is left as not finished.
pub async fn apply_reviewed<S: SecretStore>(
    vault: &Vault,
    stores: &BTreeMap<RemoteName, S>,
    prepared: Prepared,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, SyncError> {
    rounds(vault, stores, prepared, options, progress, 1).await
}

async fn rounds<S: SecretStore>(
    vault: &Vault,
    stores: &BTreeMap<RemoteName, S>,
    prepared: Prepared,
    options: &Options,
    progress: &dyn Progress,
    most: usize,
) -> Result<Report, SyncError> {
    // A vault that went back in time must not carry a remote back with it.
    vault.refuse_gone_back()?;
    prepared
        .plan
        .check(&prepared.base, &prepared.views, options.limits)?;
    let mut run = Run {
        vault,
        stores,
        options,
        progress,
        report: Report::default(),
        seen: BTreeMap::new(),
    };
    let mut prepared = prepared;
    for round in 0..most {
        run.report
            .notes
            .retain(|(n, _)| !prepared.plan.secrets.contains_key(n));
        run.report
            .conflicts
            .retain(|(n, _)| !prepared.plan.secrets.contains_key(n));
        let notes = prepared.plan.notes();
        run.report
            .notes
            .extend(notes.map(|(n, x)| (n.clone(), x.clone())));
        let conflicts = prepared.plan.conflicts();
        run.report
            .conflicts
            .extend(conflicts.map(|(n, c)| (n.clone(), c.clone())));
        let answers = prepared.plan.answers();
        run.report
            .answers
            .extend(answers.map(|(n, a)| (n.clone(), a.clone())));
        run.round(&prepared).await?;
        let again: BTreeSet<SecretName> = run
            .report
            .outcomes
            .iter()
            .filter(|(_, o)| **o == Outcome::Again)
            .map(|(n, _)| n.clone())
            .collect();
        if again.is_empty() || run.report.stopped.is_some() || round + 1 == most {
            break;
        }
        let mut views = prepared.views;
        refresh(stores, &mut views, &again, &options.policy).await?;
        let next = prepare_from(vault.load()?, views, &options.policy);
        prepared = compare(vault, stores, next, &options.policy, progress).await;
        prepared.narrow(|name| again.contains(name));
        let checked = prepared
            .plan
            .check(&prepared.base, &prepared.views, options.limits);
        if checked.is_err() {
            // The next run says which guard it is before it does anything.
            break;
        }
        for name in &again {
            // Nothing left to do for it is as good as done.
            run.report.outcomes.insert(name.clone(), Outcome::Done);
        }
    }
    keep_seen(vault, options.now, run.seen)?;
    let mut report = run.report;
    report.notes.sort();
    report.conflicts.sort();
    Ok(report)
}

/// Brings the kept views up to what was just written, so that `status` does not take
/// our own changes for the remote's.
fn keep_seen(
    vault: &Vault,
    now: Timestamp,
    seen: BTreeMap<RemoteName, BTreeMap<SecretName, Option<RemoteSecret>>>,
) -> Result<(), SyncError> {
    for (remote, secrets) in seen {
        let Some(mut fetched) = vault.load_view(&remote)? else {
            continue;
        };
        for (name, secret) in secrets {
            match secret {
                Some(mut secret) => {
                    if let Some(Sight::Seen(was)) = fetched.view.secrets.get(&name) {
                        secret.facts.recall(&was.facts);
                    }
                    fetched.view.secrets.insert(name, Sight::Seen(secret))
                }
                None => fetched.view.secrets.remove(&name),
            };
        }
        fetched.at = now;
        vault.save_view(&remote, &fetched)?;
    }
    Ok(())
}

/// What a plan is carried out in: so many secrets at a time.
pub(super) fn batches(prepared: &Prepared) -> Vec<Vec<SecretName>> {
    let names = work(prepared);
    names.chunks(CHUNK).map(<[SecretName]>::to_vec).collect()
}

/// The secrets a plan has something to do, to write or to clear for.
fn work(prepared: &Prepared) -> Vec<SecretName> {
    let plan = &prepared.plan;
    let mut names: BTreeSet<&SecretName> = plan
        .secrets
        .iter()
        .filter(|(_, s)| {
            !s.actions.is_empty()
                || !s.settled.is_empty()
                || !s.conflicts.is_empty()
                || !s.answers.is_empty()
        })
        .map(|(n, _)| n)
        .collect();
    // A conflict that went away by itself is no longer on record.
    let stale = prepared.loaded.records.iter().filter(|(name, record)| {
        let found = plan.secrets.get(*name);
        let is_block = |n: &Note| matches!(n.kind, NoteKind::Blocked(_));
        let blocked = found.is_some_and(|s| s.notes.iter().any(is_block));
        !blocked
            && record.conflicts.iter().any(|c| {
                plan.remotes.contains(&c.remote) && !found.is_some_and(|s| s.conflicts.contains(c))
            })
    });
    names.extend(stale.map(|(n, _)| n));
    names.into_iter().cloned().collect()
}
