//! Takes back what a migration made on the target, and nothing else.

use std::collections::BTreeSet;

use super::MigrateError;
use super::apply::Run;
use super::item::{Item, carried};
use super::journal::{Entry, Made, Stage};
use super::outcome::{Outcome, Report};
use super::saved::Migration;
use crate::model::{Change, Lifecycle, RemoteSecret, VersionId};
use crate::store::{Account, StoreError};

/// The shortest window AWS gives, in days (aws.md section 6). Nothing is ever deleted
/// at once.
const WINDOW: i64 = 7;

/// Schedules the deletion of every secret on the target that the journal says this
/// migration made, if its versions and labels still are those that were written. The
/// source is not touched.
pub async fn rollback<S: Account>(
    plan: &Migration,
    run: &Run<'_, S>,
) -> Result<Report, MigrateError> {
    let mut report = Report::default();
    let ready: Vec<&Item> = plan.ready().filter(|i| run.takes(&i.source)).collect();
    run.progress.begin("rolling back", Some(ready.len()));
    for item in ready {
        let entry = run.journal.entry(&item.source);
        let spec = run.journal.spec(item);
        if entry.made == Made::No {
            let why = "not made by this migration, as far as its journal says".to_owned();
            let skipped = Outcome::Skipped(why);
            report.outcomes.insert(item.source.clone(), skipped);
        } else if entry.stage == Stage::Retired {
            let why = "its source is retired; restore that first".to_owned();
            let skipped = Outcome::Skipped(why);
            report.outcomes.insert(item.source.clone(), skipped);
        } else {
            match remove(run, &spec, &entry).await {
                Ok(outcome) => {
                    if matches!(outcome, Outcome::Done | Outcome::Same) {
                        run.journal
                            .made(&item.source, Stage::Planned, Made::Removed)?;
                    }
                    report.outcomes.insert(item.source.clone(), outcome);
                }
                Err(error) if error.is_fatal() => {
                    report.stopped = Some(error);
                    break;
                }
                Err(error) => {
                    let why = format!("on the target: {error}");
                    let failed = Outcome::Failed(why);
                    report.outcomes.insert(item.source.clone(), failed);
                }
            }
        }
        run.progress.advance(1);
    }
    run.progress.finish();
    run.journal.sync()?;
    Ok(report)
}

async fn remove<S: Account>(
    run: &Run<'_, S>,
    spec: &Item,
    entry: &Entry,
) -> Result<Outcome, StoreError> {
    let Some(seen) = run.to.describe(&spec.target).await? else {
        return Ok(Outcome::Same);
    };
    if let Lifecycle::Scheduled { .. } = seen.state.lifecycle {
        return Ok(Outcome::Same);
    }
    if !entry.made.is_ours() {
        let why = "it was deleted before, and somebody has made or restored it since";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    if let Some(why) = differs(spec, entry, &seen) {
        return Ok(Outcome::Skipped(why));
    }
    let date = Some(run.now.plus_days(WINDOW));
    let delete = Change::Delete { date };
    run.to.apply(&spec.target, &delete, None).await?;
    // Nothing can be compared in the call itself: a change that came in between is
    // seen now, and the deletion undone.
    if let Some(after) = run.to.describe(&spec.target).await?
        && after.state.lifecycle.is_scheduled()
        && after.state.labels != seen.state.labels
    {
        run.to.apply(&spec.target, &Change::Restore, None).await?;
        let why = "somebody wrote to it while it was being deleted".to_owned();
        return Ok(Outcome::Skipped(why));
    }
    Ok(Outcome::Done)
}

/// Why a secret on the target is no longer what was written; half a copy is a part of
/// it.
fn differs(spec: &Item, entry: &Entry, seen: &RemoteSecret) -> Option<String> {
    let ids: BTreeSet<&VersionId> = entry.ids.iter().collect();
    let strange = seen.state.versions.keys().find(|id| !ids.contains(id));
    if let Some(id) = strange {
        return Some(format!("somebody wrote version {} to it", id.short()));
    }
    if seen.state.versions.is_empty() && !spec.versions.is_empty() {
        return Some("it is without a version, and was not made so".to_owned());
    }
    let (has, meant) = (carried(seen), spec.labels());
    let moved = match entry.stage >= Stage::Labels {
        true => has != meant,
        // Labels that a copy cut short has not yet brought to where they belong.
        false => has.keys().any(|label| !entry.labels.contains(label)),
    };
    moved.then(|| "its labels are not those that were written".to_owned())
}
