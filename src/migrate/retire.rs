//! Schedules the deletion of the source, once every copy is verified and nobody reads
//! the source any more.

use super::MigrateError;
use super::apply::Run;
use super::item::Item;
use super::journal::{Made, Stage};
use super::outcome::{Outcome, Report};
use super::saved::Migration;
use super::verify::facts;
use crate::model::{Change, RemoteSecret, SecretName, Timestamp};
use crate::store::{Account, Inspected, StoreError};

/// The longest window AWS gives, in days (aws.md section 6).
const WINDOW: i64 = 30;

/// How a source is retired.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retire {
    /// When programs were switched over; none for the moment each copy was verified.
    pub cut_over: Option<Timestamp>,
    /// Whether secrets go that were read since, too.
    pub even_if_read: bool,
    /// Whether to look only, and change nothing.
    pub dry_run: bool,
}

/// Schedules the deletion of every source whose copy is verified, in 30 days.
///
/// Nothing at all is done unless each copy is verified and each source unchanged. A
/// source that was read after the day of the cut-over stays: AWS keeps the day of a
/// read and not its time, so on that day itself nobody can know (aws.md section 4).
pub async fn retire<S: Account>(
    plan: &Migration,
    run: &Run<'_, S>,
    how: Retire,
) -> Result<Report, MigrateError> {
    let mut report = Report::default();
    let ready: Vec<&Item> = plan.ready().filter(|i| run.takes(&i.source)).collect();
    let mut work = Vec::new();
    let mut unsure: Vec<SecretName> = Vec::new();
    run.progress.begin("checking", Some(ready.len()));
    for item in ready {
        run.progress.advance(1);
        let entry = run.journal.entry(&item.source);
        if entry.stage == Stage::Retired {
            report.outcomes.insert(item.source.clone(), Outcome::Same);
            continue;
        }
        let spec = run.journal.spec(item);
        let sure = entry.stage == Stage::Verified && entry.made != Made::Removed;
        let source = run.from.inspect(&spec.source).await;
        let source = source.map_err(MigrateError::From)?;
        let copy = run.to.describe(&spec.target).await;
        let copy = copy.map_err(MigrateError::To)?;
        let quiet = source.as_ref().is_some_and(|s| spec.is_of(&s.secret));
        let right = copy.as_ref().is_some_and(|copy| is_right(&spec, copy));
        match source {
            Some(source) if sure && quiet && right => {
                let cut_over = how.cut_over.or(entry.verified).unwrap_or(run.now);
                work.push((spec, source, cut_over));
            }
            // A run before this one was cut off after its call.
            Some(source) if sure && right && source.secret.state.lifecycle.is_scheduled() => {
                run.journal.reached(&spec.source, Stage::Retired)?;
                report.outcomes.insert(spec.source, Outcome::Same);
            }
            _ => unsure.push(item.source.clone()),
        }
    }
    run.progress.finish();
    if !unsure.is_empty() {
        return Err(MigrateError::NotQuiet(unsure));
    }
    for (spec, source, cut_over) in work {
        let outcome = match still_read(&source, cut_over, run.now) {
            Some(why) if !how.even_if_read => Outcome::Skipped(why),
            _ if how.dry_run => Outcome::Done,
            _ => match schedule(run, &spec.source).await {
                Ok(()) => {
                    run.journal.reached(&spec.source, Stage::Retired)?;
                    Outcome::Done
                }
                Err(error) if error.is_fatal() => {
                    report.stopped = Some(error);
                    break;
                }
                Err(error) => Outcome::Failed(format!("on the source: {error}")),
            },
        };
        report.outcomes.insert(spec.source.clone(), outcome);
    }
    run.journal.sync()?;
    Ok(report)
}

fn is_right(spec: &Item, copy: &RemoteSecret) -> bool {
    copy.state.lifecycle.is_live() && facts(spec, copy).is_empty()
}

async fn schedule<S: Account>(run: &Run<'_, S>, name: &SecretName) -> Result<(), StoreError> {
    let date = Some(run.now.plus_days(WINDOW));
    run.from.apply(name, &Change::Delete { date }, None).await
}

/// Why somebody may still read a source. Copying and verifying read it too, on their
/// day, which is why that day itself tells nothing.
fn still_read(source: &Inspected, cut_over: Timestamp, now: Timestamp) -> Option<String> {
    let accessed = source.more.accessed?;
    if accessed.day() > cut_over.day() {
        Some(format!(
            "somebody read it on {}, after the cut-over",
            day(accessed)
        ))
    } else if accessed.day() == cut_over.day() && now.day() <= cut_over.day() {
        Some(
            "it was read today, and so was it for the copy; AWS keeps only the day, so ask again tomorrow"
                .to_owned(),
        )
    } else {
        None
    }
}

fn day(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}
