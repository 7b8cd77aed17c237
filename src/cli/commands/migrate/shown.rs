//! What the verbs of a migration print. Names, ids and labels; never a value.

use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::show::count;
use crate::migrate::{Findings, Item, Journal, Migration, Outcome, Report, Stage, Version};
use crate::model::{Escaped, SecretName, StagingLabel};

/// A plan.
pub(super) fn plan(ctx: &Context, plan: &Migration) -> Result<(), CommandError> {
    if ctx.ui.json() {
        let items: Vec<Value> = plan.items.iter().map(as_json).collect();
        return ctx.ui.json_data(&json!({
            "Id": plan.id,
            "From": { "Remote": plan.from.remote, "Account": plan.from.account, "Region": plan.from.region },
            "To": { "Remote": plan.to.remote, "Account": plan.to.account, "Region": plan.to.region },
            "Items": items,
            "LeftOut": plan.left_out.iter().map(|(n, why)| json!({ "Name": n, "Reason": why })).collect::<Vec<_>>(),
            "Calls": plan.estimate.calls,
            "TotalCalls": plan.estimate.total_calls,
            "Microdollars": plan.estimate.microdollars,
            "CentsAMonth": plan.estimate.cents_a_month,
            "Seconds": plan.estimate.seconds,
        }));
    }
    let mut ready = 0;
    for item in &plan.items {
        let (source, target) = (&item.source, &item.target);
        if !item.is_ready() {
            let why = item.reasons.join("; ");
            ctx.ui
                .line(&format!("blocked  {source}: {}", Escaped(&why)))?;
            continue;
        }
        ready += 1;
        let to = if source == target {
            String::new()
        } else {
            format!(" -> {target}")
        };
        let versions = count(item.versions.len(), "version");
        ctx.ui
            .line(&format!("copy     {source}{to} ({versions})"))?;
        for note in &item.notes {
            ctx.ui.line(&format!("           {}", Escaped(note)))?;
        }
        if item.account_mentions + item.region_mentions > 0 {
            ctx.ui.line(&format!(
                "           its values name the source (account id: {}, Region: {}); nothing in a value is rewritten",
                item.account_mentions, item.region_mentions
            ))?;
        }
    }
    for (name, why) in &plan.left_out {
        ctx.ui
            .line(&format!("left out {}: {}", Escaped(name), Escaped(why)))?;
    }
    let blocked = plan.items.len() - ready;
    ctx.ui.line(&format!(
        "{} to copy from {} ({}) to {} ({}), {blocked} blocked, {} left out",
        count(ready, "secret"),
        plan.from.remote,
        plan.from.place(),
        plan.to.remote,
        plan.to.place(),
        plan.left_out.len()
    ))?;
    let estimate = &plan.estimate;
    ctx.ui.line(&format!(
        "about {} ({}), at least {} s; the copies cost {} a month",
        count(estimate.total_calls, "call"),
        estimate.cost(),
        estimate.seconds,
        estimate.cost_a_month()
    ))
}

fn as_json(item: &Item) -> Value {
    let version = |v: &Version| {
        let labels: Vec<&str> = v.labels.iter().map(StagingLabel::as_str).collect();
        json!({ "VersionId": v.id.as_str(), "VersionStages": labels })
    };
    json!({
        "Source": item.source.as_str(),
        "Target": item.target.as_str(),
        "Ready": item.is_ready(),
        "Reasons": item.reasons,
        "Notes": item.notes,
        "Versions": item.versions.iter().map(version).collect::<Vec<_>>(),
        "Description": item.description,
        "Tags": item.tags,
        "KmsKeyId": item.kms,
        "ResourcePolicy": item.policy,
        "AccountMentions": item.account_mentions,
        "RegionMentions": item.region_mentions,
        "Restore": item.restore,
        "Present": item.present,
    })
}

/// How a run ended. `did` is what was done to a secret, in the past tense.
pub(super) fn report(ctx: &Context, did: &str, report: &Report) -> Result<(), CommandError> {
    let words = |outcome: &Outcome| match outcome {
        Outcome::Done => ("done", None),
        Outcome::Same => ("same", None),
        Outcome::Changed => ("changed", None),
        Outcome::Skipped(why) => ("skipped", Some(why.clone())),
        Outcome::Failed(why) => ("failed", Some(why.clone())),
    };
    let done = report.count(|o| *o == Outcome::Done);
    let same = report.count(|o| *o == Outcome::Same);
    if ctx.ui.json() {
        let items: Vec<Value> = report
            .outcomes
            .iter()
            .map(|(name, outcome)| {
                let (word, why) = words(outcome);
                json!({ "Name": name.as_str(), "Outcome": word, "Reason": why })
            })
            .collect();
        return ctx.ui.json_data(&json!({
            "Items": items,
            "Done": done,
            "Same": same,
            "Passes": report.passes,
            "Quiet": report.quiet,
            "NotInPlan": names(&report.fresh),
            "Complete": report.is_complete(),
        }));
    }
    for (name, outcome) in &report.outcomes {
        match outcome {
            Outcome::Done | Outcome::Same => {}
            Outcome::Changed => {
                let text = "the source has changed since the plan was made; left alone";
                ctx.ui.line(&format!("changed  {name}: {text}"))?;
            }
            Outcome::Skipped(why) => {
                ctx.ui.line(&format!("skipped  {name}: {}", Escaped(why)))?;
            }
            Outcome::Failed(why) => {
                ctx.ui.line(&format!("failed   {name}: {}", Escaped(why)))?;
            }
        }
    }
    for name in &report.fresh {
        let text = "new on the source and not in the plan";
        ctx.ui.line(&format!("new      {name}: {text}"))?;
    }
    ctx.ui.line(&format!(
        "{} {did}, {same} already so, {} not",
        count(done, "secret"),
        report.outcomes.len() - done - same
    ))
}

/// What a verification found.
pub(super) fn findings(ctx: &Context, found: &Findings) -> Result<(), CommandError> {
    if ctx.ui.json() {
        let differ: Vec<Value> = found
            .differ
            .iter()
            .map(|(name, what)| json!({ "Name": name.as_str(), "Differs": what }))
            .collect();
        let unmoved: Vec<Value> = found
            .unmoved
            .iter()
            .map(|(name, why)| json!({ "Name": name.as_str(), "Reason": why }))
            .collect();
        return ctx.ui.json_data(&json!({
            "Ok": names(&found.ok),
            "Differ": differ,
            "Missing": names(&found.missing),
            "Stale": names(&found.stale),
            "Unmoved": unmoved,
            "Clean": found.is_clean(),
        }));
    }
    for (name, what) in &found.differ {
        let what = what.join(", ");
        ctx.ui
            .line(&format!("differs  {name}: {}", Escaped(&what)))?;
    }
    for name in &found.missing {
        ctx.ui.line(&format!("missing  {name}"))?;
    }
    for name in &found.stale {
        let text = "the source has changed since it was copied";
        ctx.ui.line(&format!("stale    {name}: {text}"))?;
    }
    for (name, why) in &found.unmoved {
        ctx.ui.line(&format!("unmoved  {name}: {}", Escaped(why)))?;
    }
    ctx.ui.line(&format!(
        "{} ok / {} differ / {} missing",
        found.ok.len(),
        found.differ.len(),
        found.missing.len()
    ))
}

fn names(list: &[SecretName]) -> Vec<&str> {
    list.iter().map(SecretName::as_str).collect()
}

/// How far each secret has come.
pub(super) fn status(
    ctx: &Context,
    plan: &Migration,
    journal: &Journal,
) -> Result<(), CommandError> {
    const STAGES: [Stage; 7] = [
        Stage::Planned,
        Stage::Created,
        Stage::Versions,
        Stage::Labels,
        Stage::Meta,
        Stage::Verified,
        Stage::Retired,
    ];
    let items: Vec<(&Item, Stage)> = plan
        .ready()
        .map(|item| (item, journal.stage(&item.source).0))
        .collect();
    let at = |stage: Stage| items.iter().filter(|(_, s)| *s == stage).count();
    if ctx.ui.json() {
        let counts: serde_json::Map<String, Value> = STAGES
            .iter()
            .map(|stage| (stage.as_str().to_owned(), json!(at(*stage))))
            .collect();
        let each: Vec<Value> = items
            .iter()
            .map(|(item, stage)| json!({ "Name": item.source.as_str(), "Stage": stage.as_str() }))
            .collect();
        return ctx.ui.json_data(&json!({
            "Id": plan.id,
            "Counts": counts,
            "Items": each,
            "Journal": journal.path().display().to_string(),
        }));
    }
    for stage in STAGES {
        ctx.ui
            .line(&format!("{:<9} {}", stage.as_str(), at(stage)))?;
    }
    for (item, stage) in items {
        if stage != Stage::Planned && stage < Stage::Meta {
            let source = &item.source;
            ctx.ui
                .line(&format!("cut off  {source}: {}", stage.as_str()))?;
        }
    }
    Ok(())
}
