mod asked;
mod shown;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use self::asked::{Asked, More, part};
use super::DONE;
use crate::aws::AwsStore;
use crate::cli::context::{Context, block_on, new_uuid, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::crypto::KeyringKeys;
use crate::migrate::{
    self, Head, Journal, Migration, Outcome, PlanError, Report, Rules, Run, Side, Survey,
};
use crate::model::{Direction, RemoteName, Timestamp};
use crate::vault::{Vault, VaultError};

/// The largest plan that is read, in bytes.
const MAX: u64 = 1 << 30;

/// Move secrets from one account or Region to another
///
/// Version ids, labels, tags and descriptions stay as they are. Values go from one
/// account to the other in memory only; the vault lends its key and stays as it is.
#[derive(Debug, Subcommand)]
pub enum Migrate {
    /// Plan a migration, for review; changes nothing
    Plan(Plan),
    /// Copy what a plan has ready; run again after any interruption
    Apply(Apply),
    /// Read the copies back and compare them, without showing a value
    Verify(Verify),
    /// Say how far a migration has come, without a network
    Status(Status),
    /// Delete from the target what this migration made there
    Rollback(Rollback),
    /// Schedule the deletion of the source, once all copies are verified
    Retire(Retire),
}

impl Migrate {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Plan(c) => c.run(ctx),
            Self::Apply(c) => c.run(ctx),
            Self::Verify(c) => c.run(ctx),
            Self::Status(c) => c.run(ctx),
            Self::Rollback(c) => c.run(ctx),
            Self::Retire(c) => c.run(ctx),
        }
    }
}

/// Plan a migration, for review; changes nothing
///
/// Reads every value once, in memory, for its digest under the vault's key. The plan
/// holds names, ids, labels, tags and digests, and no value. Name rules: the most
/// specific one decides, and a secret without a rule keeps its name.
///
/// Example: strongroom migrate plan old new --map 'prod/*=live/*' -o move.plan
#[derive(Debug, Args)]
pub struct Plan {
    /// The remote that secrets come from
    from: RemoteName,
    /// The remote they go to
    to: RemoteName,
    /// Save the plan for review and for apply
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the plan as a page for a reviewer, in Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    more: More,
}

impl Plan {
    fn run(self, ctx: &Context) -> CommandResult {
        ctx.must_be_online()?;
        let rules = self.more.add_to(self.asked.rules()?);
        let vault = ctx.unlocked()?;
        let keys = keys(&vault)?;
        may_write(&vault, &self.to)?;
        let plan = block_on(async {
            let from = ctx.connect_account(&vault, &self.from).await?;
            let to = ctx.connect_account(&vault, &self.to).await?;
            let head = Head {
                program: env!("CARGO_PKG_VERSION").to_owned(),
                vault: vault.config().vault_id.clone(),
                id: new_uuid(),
                made: now().to_string(),
                from: side(&vault, &self.from, &from).await?,
                to: side(&vault, &self.to, &to).await?,
            };
            let progress = ctx.ui.progress();
            let survey = Survey {
                from: &from,
                to: &to,
                keys,
                rules,
                progress: progress.as_ref(),
            };
            Ok(Box::pin(migrate::survey(head, survey)).await?)
        })?;
        shown::plan(ctx, &plan)?;
        if let Some(path) = &self.report {
            write(path, &migrate::markdown(&plan))?;
            ctx.ui.status(&format!("Wrote {}", path.display()));
        }
        if let Some(path) = &self.output {
            write(path, &plan.seal(keys)?)?;
            ctx.ui.status(&format!("Saved to {}", path.display()));
            ctx.ui.hint(&format!(
                "when it is reviewed: strongroom migrate apply {}",
                path.display()
            ));
        }
        DONE
    }
}

/// Copy what a plan has ready; run again after any interruption
///
/// Each secret whose source has changed since the plan was made is left alone and
/// named, or with --delta copied as it is now.
///
/// Example: strongroom migrate apply move.plan --delta
#[derive(Debug, Args)]
pub struct Apply {
    /// A file made by migrate plan -o
    file: PathBuf,
    /// Copy what has changed since, too, until nothing has
    #[arg(long)]
    delta: bool,
    /// Work on the K-th of N parts, so that several can run at once
    #[arg(long, value_name = "K/N", value_parser = part)]
    part: Option<(u32, u32)>,
}

impl Apply {
    fn run(self, ctx: &Context) -> CommandResult {
        let open = Open::new(ctx, self.file)?;
        may_write(&open.vault, &open.to_name()?)?;
        block_on(async {
            let (from, to) = open.connect(ctx).await?;
            let progress = ctx.ui.progress();
            let run = open.run(&from, &to, self.part, progress.as_ref())?;
            let report = Box::pin(migrate::apply(&open.plan, &run, self.delta)).await?;
            shown::report(ctx, "copied", &report)?;
            if self.delta && report.stopped.is_none() && !report.quiet {
                ctx.ui.warn("the source is still being written to");
            }
            let file = open.file.display();
            let changed = report.count(|o| *o == Outcome::Changed);
            if changed > 0 {
                ctx.ui.hint(&format!(
                    "copy what has changed: strongroom migrate apply {file} --delta"
                ));
            } else if report.is_complete() {
                ctx.ui.hint(&format!(
                    "read the copies back: strongroom migrate verify {file}"
                ));
            }
            ended(report, Exit::Partial)
        })
    }
}

/// Read the copies back and compare them, without showing a value
///
/// With a plan: its copies against its digests, labels, tags, keys and policies, and
/// whether the source has changed since. With --from and --to: both accounts against
/// each other, knowing neither plan nor journal; give the rules of names, keys and tags
/// again.
///
/// Example: strongroom migrate verify --from old --to new --map 'prod/*=live/*'
#[derive(Debug, Args)]
pub struct Verify {
    /// A file made by migrate plan -o
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    file: Option<PathBuf>,
    /// The remote that secrets came from
    #[arg(long, value_name = "REMOTE", requires = "to")]
    from: Option<RemoteName>,
    /// The remote they went to
    #[arg(long, value_name = "REMOTE", requires = "from")]
    to: Option<RemoteName>,
    #[command(flatten)]
    asked: Asked,
}

impl Verify {
    fn run(self, ctx: &Context) -> CommandResult {
        let rules = self.asked.rules()?;
        let findings = match (self.file, self.from, self.to) {
            (Some(file), ..) => {
                if rules != Rules::default() {
                    return Err(CommandError::usage("a plan has its rules in it"));
                }
                let open = Open::new(ctx, file)?;
                block_on(async {
                    let (from, to) = open.connect(ctx).await?;
                    let progress = ctx.ui.progress();
                    let run = open.run(&from, &to, None, progress.as_ref())?;
                    Ok(Box::pin(migrate::verify(&open.plan, &run)).await?)
                })?
            }
            (None, Some(from), Some(to)) => {
                let vault = ctx.open()?;
                block_on(async {
                    let (a, b) = (
                        ctx.connect_account(&vault, &from).await?,
                        ctx.connect_account(&vault, &to).await?,
                    );
                    let sides = (side(&vault, &from, &a).await?, side(&vault, &to, &b).await?);
                    let progress = ctx.ui.progress();
                    let sides = (&sides.0, &sides.1);
                    let blind = migrate::blind(&a, &b, sides, &rules, progress.as_ref());
                    Ok(Box::pin(blind).await?)
                })?
            }
            _ => return Err(CommandError::usage("name a plan, or --from and --to")),
        };
        shown::findings(ctx, &findings)?;
        Ok(if findings.is_clean() {
            Exit::Ok
        } else {
            Exit::Findings
        })
    }
}

/// Say how far a migration has come, without a network
#[derive(Debug, Args)]
pub struct Status {
    /// A file made by migrate plan -o
    file: PathBuf,
}

impl Status {
    fn run(self, ctx: &Context) -> CommandResult {
        let open = Open::new(ctx, self.file)?;
        shown::status(ctx, &open.plan, &open.journal)?;
        DONE
    }
}

/// Delete from the target what this migration made there
///
/// Only secrets that the journal says this migration made, and only while their
/// versions and labels are those that were written. Each can be restored for 7 days.
/// The source is not touched.
#[derive(Debug, Args)]
pub struct Rollback {
    /// A file made by migrate plan -o
    file: PathBuf,
}

impl Rollback {
    fn run(self, ctx: &Context) -> CommandResult {
        let open = Open::new(ctx, self.file)?;
        may_write(&open.vault, &open.to_name()?)?;
        let ours = open.plan.ready();
        let ours = ours.filter(|i| open.journal.stage(&i.source).1.is_ours());
        let (to, n) = (&open.plan.to, ours.count());
        if n > 0 {
            ctx.ui.confirm(&format!(
                "Schedule the deletion of up to {} on {} ({})?",
                count(n, "secret"),
                to.remote,
                to.place()
            ))?;
        }
        block_on(async {
            let (from, to) = open.connect(ctx).await?;
            let progress = ctx.ui.progress();
            let run = open.run(&from, &to, None, progress.as_ref())?;
            let report = Box::pin(migrate::rollback(&open.plan, &run)).await?;
            shown::report(ctx, "scheduled for deletion", &report)?;
            ended(report, Exit::Partial)
        })
    }
}

/// Schedule the deletion of the source, once all copies are verified
///
/// Nothing is done unless every copy is verified and no source has changed since. A
/// source that somebody has read after the day of the cut-over stays. Each can be
/// restored for 30 days.
#[derive(Debug, Args)]
pub struct Retire {
    /// A file made by migrate plan -o
    file: PathBuf,
    /// When programs were switched over, as in 2026-11-23T10:00:00Z; the moment of the
    /// verification if left out
    #[arg(long, value_name = "TIME")]
    cut_over: Option<String>,
    /// Retire secrets that were read since, too
    #[arg(long)]
    even_if_read: bool,
}

impl Retire {
    fn run(self, ctx: &Context) -> CommandResult {
        let time = |text: &String| {
            text.parse::<Timestamp>()
                .map_err(|e| CommandError::usage(format!("{text}: {e}")))
        };
        let cut_over = self.cut_over.as_ref().map(time).transpose()?;
        let open = Open::new(ctx, self.file)?;
        let name = parse_name(&open.plan.from)?;
        may_write(&open.vault, &name)?;
        block_on(async {
            let (from, to) = open.connect(ctx).await?;
            let progress = ctx.ui.progress();
            let run = open.run(&from, &to, None, progress.as_ref())?;
            let mut how = migrate::Retire {
                cut_over,
                even_if_read: self.even_if_read,
                dry_run: true,
            };
            let trial = Box::pin(migrate::retire(&open.plan, &run, how)).await?;
            let n = trial.count(|o| *o == Outcome::Done);
            if n == 0 {
                shown::report(ctx, "scheduled for deletion", &trial)?;
                return ended(trial, Exit::Guard);
            }
            let side = &open.plan.from;
            ctx.ui.confirm(&format!(
                "Schedule the deletion of {} on {} ({}) in 30 days?",
                count(n, "secret"),
                side.remote,
                side.place()
            ))?;
            how.dry_run = false;
            let report = Box::pin(migrate::retire(&open.plan, &run, how)).await?;
            shown::report(ctx, "scheduled for deletion", &report)?;
            ended(report, Exit::Guard)
        })
    }
}

/// A plan that is read, with what it takes to go on with it.
struct Open {
    file: PathBuf,
    vault: Vault,
    plan: Migration,
    journal: Journal,
}

impl Open {
    fn new(ctx: &Context, file: PathBuf) -> Result<Self, CommandError> {
        let vault = ctx.unlocked()?;
        let failed = |exit, e: &dyn std::fmt::Display| {
            CommandError::new(exit, format!("{}: {e}", file.display()))
        };
        let size = std::fs::metadata(&file).map_err(|e| failed(Exit::NotFound, &e))?;
        if size.len() > MAX {
            return Err(failed(Exit::Integrity, &"too large for a plan"));
        }
        let text = std::fs::read_to_string(&file).map_err(|e| failed(Exit::NotFound, &e))?;
        let plan = Migration::open(&text, &vault.config().vault_id, keys(&vault)?);
        let plan = plan.map_err(|error: PlanError| {
            let text = format!("{}: {error}", file.display());
            let mut this = CommandError::from(error);
            this.error = text.into();
            this
        })?;
        let journal = Journal::open(vault.state_dir(), &plan.id)?;
        if journal.lost() > 0 {
            ctx.ui.warn(&format!(
                "{}: {} cannot be read; what they told is found out again",
                journal.path().display(),
                count(journal.lost(), "line")
            ));
        }
        Ok(Self {
            file,
            vault,
            plan,
            journal,
        })
    }

    fn to_name(&self) -> Result<RemoteName, CommandError> {
        parse_name(&self.plan.to)
    }

    /// Both accounts, which must be those of the plan.
    async fn connect(&self, ctx: &Context) -> Result<(AwsStore, AwsStore), CommandError> {
        let mut stores = Vec::new();
        for planned in [&self.plan.from, &self.plan.to] {
            let name = parse_name(planned)?;
            let store = ctx.connect_account(&self.vault, &name).await?;
            let found = side(&self.vault, &name, &store).await?;
            if found != *planned {
                return Err(CommandError::new(
                    Exit::Guard,
                    format!(
                        "{name} is {} now, and the plan was made for {}",
                        found.place(),
                        planned.place()
                    ),
                )
                .hint("make a new plan, or set the remote up as it was"));
            }
            stores.push(store);
        }
        match (stores.pop(), stores.pop()) {
            (Some(to), Some(from)) => Ok((from, to)),
            _ => Err(CommandError::new(Exit::Unexpected, "no remote")),
        }
    }

    fn run<'a>(
        &'a self,
        from: &'a AwsStore,
        to: &'a AwsStore,
        part: Option<(u32, u32)>,
        progress: &'a dyn crate::store::Progress,
    ) -> Result<Run<'a, AwsStore>, CommandError> {
        Ok(Run {
            from,
            to,
            keys: keys(&self.vault)?,
            journal: &self.journal,
            now: now(),
            part,
            progress,
        })
    }
}

fn parse_name(side: &Side) -> Result<RemoteName, CommandError> {
    Ok(side.remote.parse()?)
}

fn keys(vault: &Vault) -> Result<&KeyringKeys, CommandError> {
    vault.keys().ok_or_else(|| VaultError::Locked.into())
}

/// Which account and Region a connection really reaches.
async fn side(vault: &Vault, name: &RemoteName, store: &AwsStore) -> Result<Side, CommandError> {
    let config = vault.config();
    let Some(remote) = config.remotes.get(name) else {
        return Err(CommandError::not_found(format!("no remote named {name}")));
    };
    let account = match &remote.account {
        Some(account) => Some(account.clone()),
        None => store.identity().await?.account,
    };
    let Some(account) = account else {
        return Err(
            CommandError::new(Exit::Guard, format!("nobody says whose account {name} is"))
                .hint("pin it: strongroom remote rm, then strongroom remote add ... --account ID"),
        );
    };
    Ok(Side {
        remote: name.to_string(),
        account,
        region: remote.region.clone(),
        endpoint: remote.endpoint.clone(),
    })
}

/// A remote that is only pulled from is never written to, by no verb.
fn may_write(vault: &Vault, name: &RemoteName) -> Result<(), CommandError> {
    let config = vault.config();
    match config.remotes.get(name) {
        Some(remote) if remote.direction.without_mirror() == Direction::Pull => {
            Err(CommandError::new(
                Exit::Guard,
                format!("{name} is set to pull only, and this would write to it"),
            ))
        }
        Some(_) => Ok(()),
        None => Err(CommandError::not_found(format!("no remote named {name}"))
            .hint("see what there is with: strongroom remote ls")),
    }
}

fn write(path: &std::path::Path, text: &str) -> Result<(), CommandError> {
    std::fs::write(path, text)
        .map_err(|e| CommandError::new(Exit::Unexpected, format!("{}: {e}", path.display())))
}

/// The exit code of a run; what stopped it is its error.
fn ended(report: Report, otherwise: Exit) -> CommandResult {
    if report.is_complete() {
        return DONE;
    }
    match report.stopped {
        Some(error) => Err(CommandError::from(error)
            .hint("what is done is done; run it again and it goes on from there")),
        None => Ok(otherwise),
    }
}
