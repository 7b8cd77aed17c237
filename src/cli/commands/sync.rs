use clap::Args;
use serde_json::json;

use super::remote::Way;
use crate::aws::AwsStore;
use crate::cli::context::{Context, block_on, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::cli::strategy::{OnConflict, ask, asks};
use crate::model::{Class, Direction, Escaped, RemoteName, RemoteView, SecretName, Strategy};
use crate::plan::{Choice, Limits, Note, NoteKind};
use crate::sync::{
    Cost, Details, MICRODOLLARS_A_CALL, Options, Outcome, Prepared, Report, apply_plan, compare,
    fetch, fetch_with, policy_of, prepare, replan,
};
use crate::vault::Vault;

/// What `sync`, `pull`, `push` and `plan` have in common.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The remotes; all if left out
    #[arg(value_name = "REMOTE")]
    pub(super) remotes: Vec<RemoteName>,
    /// Only secrets whose name begins so
    #[arg(long, value_name = "PREFIX")]
    pub(super) only: Option<String>,
    /// Allow this many deletions on a side
    #[arg(long, value_name = "N")]
    pub(super) max_delete: Option<usize>,
    /// What becomes of conflicts, whatever the settings say
    #[arg(long, value_name = "STRATEGY")]
    pub(super) on_conflict: Option<OnConflict>,
}

/// Ask remotes what they have
///
/// Refreshes the view that status and plan use offline. Reads no value and changes
/// nothing.
#[derive(Debug, Args)]
pub struct Fetch {
    /// The remotes; all if left out
    #[arg(value_name = "REMOTE")]
    remotes: Vec<RemoteName>,
    /// Ask for the replicas and the resource policy of every secret: two more calls each
    #[arg(long)]
    details: bool,
}

impl Fetch {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        let names = ctx.remotes(&vault, &self.remotes)?;
        let details = match self.details {
            true => Details::All,
            false => Details::AsSet,
        };
        block_on(async {
            let stores = ctx.connect(&vault, &names).await?;
            for (name, store) in &stores {
                let progress = ctx.ui.progress();
                let progress = progress.as_ref();
                let view = fetch_with(&vault, name, store, details, now(), progress).await?;
                ctx.ui.status(&format!(
                    "{name}: {} in scope",
                    count(view.secrets.len(), "secret")
                ));
            }
            super::DONE
        })
    }
}

/// Bring the vault and its remotes into step, both ways
///
/// Fetches, plans and carries out the plan. What both sides changed is a conflict and
/// is touched on neither side; everything else goes through. Run again after any
/// interruption.
///
/// With --mode mirror-out the remotes are made like the vault: a change there is
/// overwritten, and what the vault does not have is scheduled for deletion there. With
/// --mode mirror-in the vault is made like the remote, and edits here are put aside under
/// sr/lost/. Either way every value is kept in the vault first, and --max-delete or the
/// settings say how many secrets may go.
///
/// Example: strongroom sync prod
#[derive(Debug, Args)]
pub struct Sync {
    #[command(flatten)]
    which: Which,
    /// Which way changes travel in this run
    #[arg(long, value_enum)]
    mode: Option<Way>,
    /// Show the plan and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Sync {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let mode = self.mode.map(Direction::from);
        synchronise(ctx, &self.which, mode, self.dry_run)
    }
}

/// Bring remotes' changes into the vault; change no remote
#[derive(Debug, Args)]
pub struct Pull {
    #[command(flatten)]
    which: Which,
    /// Show the plan and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Pull {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        synchronise(ctx, &self.which, Some(Direction::Pull), self.dry_run)
    }
}

/// Bring the vault's changes to remotes; change no secret here
#[derive(Debug, Args)]
pub struct Push {
    #[command(flatten)]
    which: Which,
    /// Show the plan and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

impl Push {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        synchronise(ctx, &self.which, Some(Direction::Push), self.dry_run)
    }
}

fn synchronise(
    ctx: &Context,
    which: &Which,
    direction: Option<Direction>,
    dry_run: bool,
) -> CommandResult {
    ctx.must_be_online()?;
    let vault = if dry_run {
        ctx.open()?
    } else {
        ctx.unlocked()?
    };
    let names = ctx.remotes(&vault, &which.remotes)?;
    let options = options(ctx, &vault, which, direction, &names)?;
    block_on(async {
        let stores = ctx.connect(&vault, &names).await?;
        let mut prepared = look(ctx, &vault, &stores, &options).await?;
        let mut options = options;
        if dry_run {
            print_plan(ctx, &prepared)?;
            prepared
                .plan
                .check(&prepared.base, &prepared.views, options.limits)?;
            return Ok(alarmed(ctx, &prepared).unwrap_or(Exit::Ok));
        }
        // Before anybody is asked anything: what stops the run needs no answer.
        prepared
            .plan
            .check(&prepared.base, &prepared.views, options.limits)?;
        while let Some(strategies) = &mut options.policy.strategies
            && ask(ctx, &prepared.plan, strategies)?
        {
            let next = replan(prepared, &options.policy);
            let progress = ctx.ui.progress();
            prepared = compare(&vault, &stores, next, &options.policy, progress.as_ref()).await;
        }
        say_cost(ctx, &prepared);
        confirm_first(ctx, &prepared)?;
        let progress = ctx.ui.progress();
        let report = apply_plan(&vault, &stores, prepared, &options, progress.as_ref()).await?;
        finish(ctx, &report)
    })
}

/// The options of a run.
pub(super) fn options(
    ctx: &Context,
    vault: &Vault,
    which: &Which,
    direction: Option<Direction>,
    names: &[RemoteName],
) -> Result<Options, CommandError> {
    let config = vault.config();
    let now = now();
    let mut policy = policy_of(vault, which.only.clone(), now);
    if let Some(strategies) = &mut policy.strategies {
        strategies.run = which.on_conflict.map(Strategy::from);
    }
    if let Some(direction) = direction {
        for name in names {
            let Some(remote) = policy.remotes.get_mut(name) else {
                continue;
            };
            // A mirror may go its way without overwriting, and no other way.
            let narrowed = remote.direction.without_mirror();
            let may = remote.direction == Direction::TwoWay
                || remote.direction == direction
                || narrowed == direction;
            if !may {
                return Err(CommandError::usage(format!(
                    "{name} is set to {} only",
                    remote.direction.as_str()
                ))
                .hint("see the remotes with: strongroom remote ls"));
            }
            remote.direction = direction;
        }
    }
    let limits = match which.max_delete {
        Some(count) => Limits {
            count,
            percent: 0,
            folders: false,
        },
        None => Limits {
            count: config.max_delete.count,
            percent: config.max_delete.percent,
            folders: true,
        },
    };
    Ok(Options {
        now,
        limits,
        policy,
        no_git: ctx.no_commit()?,
    })
}

/// Fetches and plans.
pub(super) async fn look(
    ctx: &Context,
    vault: &Vault,
    stores: &std::collections::BTreeMap<RemoteName, AwsStore>,
    options: &Options,
) -> Result<Prepared, CommandError> {
    let mut views: std::collections::BTreeMap<RemoteName, RemoteView> =
        std::collections::BTreeMap::new();
    for (name, store) in stores {
        let progress = ctx.ui.progress();
        let view = fetch(vault, name, store, options.now, progress.as_ref()).await?;
        for (entry, reason) in &view.foreign {
            ctx.ui.status(&format!(
                "{name}: left alone: {} ({})",
                Escaped(entry),
                Escaped(reason)
            ));
        }
        views.insert(name.clone(), view);
    }
    let prepared = prepare(vault, views, &options.policy)?;
    let progress = ctx.ui.progress();
    let prepared = compare(vault, stores, prepared, &options.policy, progress.as_ref()).await;
    super::ls::report_blocked(ctx, &prepared.loaded);
    super::ls::report_closed(ctx, &prepared.loaded);
    Ok(prepared)
}

/// The first meeting with a remote is shown and asked about: a wrong account is seen
/// now or never.
pub(super) fn confirm_first(ctx: &Context, prepared: &Prepared) -> Result<(), CommandError> {
    if prepared.plan.actions().next().is_none() {
        return Ok(());
    }
    let met = |remote: &RemoteName| {
        prepared
            .base
            .values()
            .any(|b| b.get(remote).is_some_and(|b| b.pair.is_some()))
    };
    let new: Vec<&str> = prepared
        .plan
        .remotes
        .iter()
        .filter(|r| !met(r))
        .map(RemoteName::as_str)
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let (mut here, mut there) = (0, 0);
    for secret in prepared.plan.secrets.values() {
        let on = |local: bool| {
            secret
                .actions
                .iter()
                .any(|a| (a.on == crate::plan::Side::Local) == local)
        };
        here += usize::from(on(true));
        there += usize::from(on(false));
    }
    ctx.ui.confirm(&format!(
        "This is the first sync with {}: {here} secrets would change here, {there} there{}. Go on?",
        new.join(", "),
        mirrored(&prepared.plan, &new)
    ))
    .map_err(|e| e.hint("look at it first: strongroom plan"))
}

/// What a first sync in a mirror's way means.
fn mirrored(plan: &crate::plan::Plan, new: &[&str]) -> String {
    let mirrors = plan
        .mirrors
        .iter()
        .filter(|(r, _)| new.contains(&r.as_str()));
    let texts = mirrors.map(|(remote, mirror)| match mirror.way {
        Direction::MirrorOut => format!("; {remote} is made like the vault"),
        _ => format!("; the vault is made like {remote}"),
    });
    texts.collect()
}

/// Prints a plan for people or for programs.
pub(super) fn print_plan(ctx: &Context, prepared: &Prepared) -> Result<(), CommandError> {
    let plan = &prepared.plan;
    if ctx.ui.json() {
        let secrets: serde_json::Map<String, serde_json::Value> = plan
            .secrets
            .iter()
            .filter(|(_, s)| s.has_something_to_say())
            .map(|(name, s)| {
                let texts = |it: &mut dyn Iterator<Item = String>| it.collect::<Vec<_>>();
                let value = json!({
                    "Actions": s.actions.iter().map(|a| json!({
                        "On": a.on.to_string(),
                        "Change": crate::plan::describe_change(&a.change),
                        "Source": a.source.as_ref().map(RemoteName::as_str),
                    })).collect::<Vec<_>>(),
                    "Conflicts": s.conflicts.iter().map(|c| json!({
                        "Id": c.id(name),
                        "Remote": c.remote.as_str(),
                        "Field": c.field.to_string(),
                        "Class": c.class.as_str(),
                        "Base": c.base,
                        "Ours": c.ours,
                        "Theirs": c.theirs,
                    })).collect::<Vec<_>>(),
                    "Answers": s.answers.iter().map(|a| json!({
                        "Id": a.conflict.id(name),
                        "Remote": a.conflict.remote.as_str(),
                        "Field": a.conflict.field.to_string(),
                        "Class": a.conflict.class.as_str(),
                        "Ours": a.conflict.ours,
                        "Theirs": a.conflict.theirs,
                        "Wins": wins(&a.choice),
                        "Strategy": a.strategy.as_str(),
                    })).collect::<Vec<_>>(),
                    "Notes": texts(&mut s.notes.iter().map(ToString::to_string)),
                });
                (name.to_string(), value)
            })
            .collect();
        ctx.ui.json_data(&json!({
            "Quiet": plan.is_quiet(),
            "Cost": cost_json(&Cost::of(prepared)),
            "Deletions": plan.deletions(),
            "Secrets": secrets,
        }))?;
        return Ok(());
    }
    let text = plan.to_string();
    ctx.ui.data(text.as_bytes())?;
    let actions = plan.actions().count();
    let conflicts = plan.conflicts().count();
    let skipped = skipped(plan.notes());
    if skipped > 0 {
        ctx.ui
            .status(&format!("{} skipped", count(skipped, "secret")));
    } else if plan.is_quiet() {
        ctx.ui.status("In step: nothing to do");
    }
    if !plan.is_quiet() {
        ctx.ui.status(&format!(
            "{}, {}",
            count(actions, "step"),
            count(conflicts, "conflict")
        ));
        say_cost(ctx, prepared);
    }
    Ok(())
}

/// Says what is going to be deleted, and what carrying out the plan takes.
pub(super) fn say_cost(ctx: &Context, prepared: &Prepared) {
    for deletion in prepared.plan.deletions() {
        ctx.ui.warn(&deletion);
    }
    let cost = Cost::of(prepared);
    if cost.total() > 0 {
        ctx.ui.status(&format!("Takes {cost}"));
    }
}

/// A cost for programs.
pub(super) fn cost_json(cost: &Cost) -> serde_json::Value {
    json!({
        "Calls": cost.by_operation(),
        "CallsByRemote": cost
            .calls
            .iter()
            .map(|(remote, calls)| (remote.to_string(), json!(calls)))
            .collect::<serde_json::Map<_, _>>(),
        "TotalCalls": cost.total(),
        "Seconds": cost.seconds(),
        "MicroDollars": cost.microdollars(),
        "MicroDollarsPerCall": MICRODOLLARS_A_CALL,
        "RestoredFirst": cost.unforeseen,
    })
}

/// The side that wins, or the version that does.
fn wins(choice: &Choice) -> &str {
    match choice {
        Choice::Ours => "ours",
        Choice::Theirs => "theirs",
        Choice::To(id) => id.as_str(),
    }
}

/// How many secrets a plan could do nothing about.
pub(super) fn skipped<'a>(notes: impl Iterator<Item = (&'a SecretName, &'a Note)>) -> usize {
    let blocked = notes.filter(|(_, n)| matches!(n.kind, NoteKind::Blocked(_)));
    let names: std::collections::BTreeSet<&SecretName> = blocked.map(|(name, _)| name).collect();
    names.len()
}

/// The exit code of a plan with an alarm in it.
pub(super) fn alarmed(ctx: &Context, prepared: &Prepared) -> Option<Exit> {
    let any = prepared.plan.conflicts().any(|(_, c)| c.is_alarm());
    any.then(|| {
        hint_alarm(ctx);
        Exit::Integrity
    })
}

/// What to do where one version id has two contents.
pub(super) fn hint_alarm(ctx: &Context) {
    ctx.ui.hint(
        "compare both with: strongroom get NAME#VERSION; decide with: strongroom resolve NAME \
         --ours (or --theirs); no rule decides it",
    );
}

/// Says how a run went, and turns it into an exit code.
pub(super) fn finish(ctx: &Context, report: &Report) -> CommandResult {
    let ui = &ctx.ui;
    if let Some(reason) = &report.uncommitted {
        ui.warn(&format!("written, but not committed to git: {reason}"));
    }
    let skipped = skipped(report.notes.iter().map(|(name, note)| (name, note)));
    for (name, note) in &report.notes {
        if matches!(note.kind, NoteKind::Blocked(_)) {
            ui.warn(&format!("{name}: {note}"));
        } else {
            ui.status(&format!("{name}: {note}"));
        }
    }
    let mut failed = 0;
    let (mut integrity, mut unreadable) = (false, None);
    let mut denied = false;
    for (name, outcome) in &report.outcomes {
        match outcome {
            Outcome::Done => {}
            Outcome::Superseded(why) => {
                failed += 1;
                ui.warn(&format!("{name}: left for the next run: {why}"));
            }
            Outcome::Again => {
                failed += 1;
                if report.stopped.is_none() {
                    ui.warn(&format!("{name}: not finished; run it again"));
                }
            }
            Outcome::Failed { remote, error } => {
                failed += 1;
                denied |= matches!(error, crate::store::StoreError::Denied { .. });
                ui.warn(&format!("{name}: {remote}: {error}"));
            }
            Outcome::Unreadable(why) => {
                failed += 1;
                unreadable.get_or_insert_with(|| format!("{name}: {why}"));
            }
            Outcome::Integrity(why) => {
                failed += 1;
                integrity = true;
                ui.warn(&format!("{name}: {why}"));
            }
        }
    }
    for (name, answer) in &report.answers {
        if report.outcomes.get(name) == Some(&Outcome::Done) {
            ui.status(&format!("{name}: {answer}"));
        }
    }
    let alarm = report.conflicts.iter().any(|(_, c)| c.is_alarm());
    for (name, conflict) in &report.conflicts {
        ui.warn(&format!("{name}: {conflict}"));
    }
    let open = |name: &SecretName| report.conflicts.iter().any(|(n, _)| n == name);
    let done = report
        .outcomes
        .iter()
        .filter(|(name, o)| **o == Outcome::Done && !open(name))
        .count();
    if ui.json() {
        ui.json_data(&json!({
            "Secrets": done,
            "VersionsCopied": report.copied,
            "StepsHere": report.here,
            "StepsThere": report.there,
            "Failed": failed,
            "Skipped": skipped,
            "Conflicts": report.conflicts.iter().map(|(n, c)| c.id(n)).collect::<Vec<_>>(),
            "Answers": report.answers.iter().map(|(n, a)| a.conflict.id(n)).collect::<Vec<_>>(),
        }))?;
    } else if report.is_quiet() && report.stopped.is_none() {
        ui.status(if skipped == 0 {
            "In step: nothing to do"
        } else {
            "Nothing to do for the others"
        });
    } else {
        ui.status(&format!(
            "{} in step now; {} copied, {} here, {} there",
            count(done, "secret"),
            count(report.copied, "version"),
            count(report.here, "step"),
            report.there
        ));
    }
    if let Some((remote, source)) = &report.stopped {
        let mut error = CommandError::from(crate::sync::SyncError::Remote {
            remote: remote.clone(),
            source: source.clone(),
        });
        if done > 0 {
            error.exit = Exit::Partial;
        }
        return Err(error.hint("run it again: it goes on where it stopped"));
    }
    if alarm {
        hint_alarm(ctx);
    }
    if integrity && !alarm {
        ui.hint("strongroom fsck names the files; restore them from git or another clone");
    }
    if integrity || alarm {
        return Ok(Exit::Integrity);
    }
    if let Some(why) = unreadable {
        let error = CommandError::new(Exit::Unexpected, why);
        return Err(error.hint("run it again: it goes on where it stopped"));
    }
    if failed > 0 {
        if denied {
            ui.hint("what was denied is tried again at the next sync");
        }
        return Ok(Exit::Partial);
    }
    if skipped > 0 && report.conflicts.is_empty() {
        return Ok(Exit::Partial);
    }
    for (name, conflict) in &report.conflicts {
        if conflict.class == Class::NameScheduled {
            ui.hint(&format!(
                "{name} is scheduled for deletion on {}: strongroom resolve {name} --ours restores \
                 it there; or wait until it is gone, and sync again",
                conflict.remote
            ));
        }
    }
    if !report.conflicts.is_empty() {
        ui.hint("decide with: strongroom resolve NAME --ours (or --theirs, --merge, --to VERSION)");
        if report.notes.iter().any(|(_, note)| asks(note).is_some()) {
            ui.hint("interactive asks on a terminal only; elsewhere conflicts wait");
        }
        return Ok(Exit::Conflict);
    }
    Ok(Exit::Ok)
}
