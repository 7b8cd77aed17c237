mod saved;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use self::saved::{SavedSecret, read, save};
use super::DONE;
use super::remote::Way;
use super::sync::{
    Which, alarmed, confirm_first, finish, look, options, print_plan, say_cost, skipped,
};
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::strategy::OnConflict;
use crate::model::{Direction, Escaped, RemoteName, SecretName};
use crate::sync::{apply_reviewed, prepare};
use crate::vault::Vault;

/// Show what a sync would do
///
/// Asks the remotes first; with --offline it plans over what they showed when they
/// were last asked. Works while the vault is locked. No value is shown or saved. A saved
/// plan can be read by a person without keys: what is deleted, the calls and what they
/// cost, then each step with what it expects to find.
///
/// Example: strongroom plan prod -o prod.plan
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    which: Which,
    /// Which way changes travel in this run
    #[arg(long, value_enum)]
    mode: Option<Way>,
    /// Save the plan for review and for apply
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with 0 if there is nothing to do, 1 on errors, 2 if there is
    #[arg(long)]
    detailed_exitcode: bool,
}

/// What was planned.
enum Made {
    Quiet,
    Something,
    /// One version id has two contents.
    Alarm(Exit),
}

impl Plan {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let detailed = self.detailed_exitcode;
        match self.make(ctx) {
            Ok(Made::Alarm(exit)) => Ok(exit),
            Ok(Made::Quiet) => DONE,
            Ok(Made::Something) if detailed => Ok(Exit::Usage),
            Ok(Made::Something) => DONE,
            Err(error) if detailed => Err(CommandError {
                exit: Exit::Unexpected,
                ..error
            }),
            Err(error) => Err(error),
        }
    }

    fn make(&self, ctx: &Context) -> Result<Made, CommandError> {
        // A saved plan carries a mac, which takes the key.
        let vault = if self.output.is_some() {
            ctx.unlocked()?
        } else {
            ctx.open()?
        };
        let names = ctx.remotes(&vault, &self.which.remotes)?;
        let mode = self.mode.map(Direction::from);
        let options = options(ctx, &vault, &self.which, mode, &names)?;
        let prepared = if ctx.offline()? {
            let views = stored_views(ctx, &vault, &names)?;
            prepare(&vault, views, &options.policy)?
        } else {
            block_on(async {
                let stores = ctx.connect(&vault, &names).await?;
                look(ctx, &vault, &stores, &options).await
            })?
        };
        print_plan(ctx, &prepared)?;
        if let Err(halt) = prepared
            .plan
            .check(&prepared.base, &prepared.views, options.limits)
        {
            ctx.ui.warn(&format!("a sync would stop: {halt}"));
        }
        if let Some(path) = &self.output {
            save(&vault, &prepared, &self.which, mode, path)?;
            ctx.ui.status(&format!(
                "Saved to {}; carry it out with: strongroom apply {}",
                path.display(),
                path.display()
            ));
        }
        if let Some(exit) = alarmed(ctx, &prepared) {
            return Ok(Made::Alarm(exit));
        }
        let quiet = prepared.plan.is_quiet() && skipped(prepared.plan.notes()) == 0;
        Ok(if quiet { Made::Quiet } else { Made::Something })
    }
}

/// What the remotes showed when they were last asked.
pub(super) fn stored_views(
    ctx: &Context,
    vault: &Vault,
    names: &[RemoteName],
) -> Result<BTreeMap<RemoteName, crate::model::RemoteView>, CommandError> {
    let mut views = BTreeMap::new();
    for name in names {
        match vault.load_view(name)? {
            Some(fetched) => {
                ctx.ui.status(&format!(
                    "{name} as it was on {}",
                    crate::cli::show::minute(Some(fetched.at))
                ));
                views.insert(name.clone(), fetched.view);
            }
            None => {
                return Err(CommandError::new(
                    Exit::Unreachable,
                    format!("{name} was never asked, and --offline was given"),
                )
                .hint(format!("when you have a network: strongroom fetch {name}")));
            }
        }
    }
    Ok(views)
}

/// Carry out a saved plan, as far as it still holds
///
/// Each secret's part is done only if planning it anew gives exactly the same, and each
/// step only if the remote is as the plan expects right before it; what has changed since
/// is left alone and named.
#[derive(Debug, Args)]
pub struct Apply {
    /// A file made by plan -o
    file: PathBuf,
}

impl Apply {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        ctx.must_be_online()?;
        let vault = ctx.unlocked()?;
        let saved = read(&self.file, &vault)?;
        let stale = |why: String| {
            CommandError::new(Exit::StalePlan, format!("{}: {why}", self.file.display()))
                .hint("make a new one with: strongroom plan -o FILE")
        };
        if saved.vault != vault.config().vault_id {
            return Err(CommandError::new(
                Exit::Guard,
                format!("{}: the plan is for another vault", self.file.display()),
            ));
        }
        if saved.program != env!("CARGO_PKG_VERSION") {
            return Err(stale(format!("made by strongroom {}", saved.program)));
        }
        let mut names: Vec<RemoteName> = Vec::new();
        for name in &saved.remotes {
            names.push(name.parse()?);
        }
        let names = ctx.remotes(&vault, &names)?;
        let which = Which {
            remotes: names.clone(),
            only: saved.only.clone(),
            max_delete: saved.max_delete,
            on_conflict: match &saved.on_conflict {
                None => None,
                Some(word) => Some(
                    OnConflict::from_word(word)
                        .ok_or_else(|| stale(format!("{} is no strategy", Escaped(word))))?,
                ),
            },
        };
        let mode = match &saved.mode {
            None => None,
            Some(word) => Some(
                Direction::from_word(word)
                    .ok_or_else(|| stale(format!("{} is no mode", Escaped(word))))?,
            ),
        };
        let options = options(ctx, &vault, &which, mode, &names)?;
        block_on(async {
            let stores = ctx.connect(&vault, &names).await?;
            let mut prepared = look(ctx, &vault, &stores, &options).await?;
            let mut gone = Vec::new();
            for (name, then) in saved.secrets.iter().filter(|(_, then)| then.acts()) {
                let name: SecretName = name.parse()?;
                if !then.holds(prepared.plan.secrets.get(&name)) {
                    gone.push(name);
                }
            }
            let acts = |name: &SecretName| {
                let then = saved.secrets.get(name.as_str());
                then.is_some_and(SavedSecret::acts)
            };
            prepared.narrow(|name| acts(name) && !gone.contains(name));
            for name in &gone {
                ctx.ui.warn(&format!(
                    "{name}: superseded: it changed since the plan was made, and is left alone"
                ));
            }
            if prepared.plan.secrets.is_empty() && !gone.is_empty() {
                return Err(stale("nothing of it still holds".to_owned()));
            }
            say_cost(ctx, &prepared);
            confirm_first(ctx, &prepared)?;
            let progress = ctx.ui.progress();
            let report =
                apply_reviewed(&vault, &stores, prepared, &options, progress.as_ref()).await?;
            let exit = finish(ctx, &report)?;
            if exit == Exit::Ok && !gone.is_empty() {
                return Ok(Exit::StalePlan);
            }
            Ok(exit)
        })
    }
}
