use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::DONE;
use super::sync::{Which, confirm_first, finish, look, options, print_plan, skipped};
use crate::cli::context::{Context, block_on, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::strategy::OnConflict;
use crate::crypto::{Domain, MacError};
use crate::model::{Escaped, RemoteName, SecretName, Strategy};
use crate::plan::SecretPlan;
use crate::sync::{Prepared, apply_plan, prepare};
use crate::vault::{Vault, VaultError};

/// The format of a saved plan.
const FORMAT: u32 = 1;
/// The largest saved plan that is read, in bytes.
const MAX: u64 = 256 << 20;

/// Show what a sync would do
///
/// Asks the remotes first; with --offline it plans over what they showed when they
/// were last asked. Works while the vault is locked. No value is shown or saved.
///
/// Example: strongroom plan prod -o prod.plan
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    which: Which,
    /// Save the plan for review and for apply
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with 0 if there is nothing to do, 1 on errors, 2 if there is
    #[arg(long)]
    detailed_exitcode: bool,
}

impl Plan {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let detailed = self.detailed_exitcode;
        match self.make(ctx) {
            Ok(quiet) if !detailed || quiet => DONE,
            Ok(_) => Ok(Exit::Usage),
            Err(error) if detailed => Err(CommandError {
                exit: Exit::Unexpected,
                ..error
            }),
            Err(error) => Err(error),
        }
    }

    /// True if there is nothing to do.
    fn make(&self, ctx: &Context) -> Result<bool, CommandError> {
        // A saved plan carries a mac, which takes the key.
        let vault = if self.output.is_some() {
            ctx.unlocked()?
        } else {
            ctx.open()?
        };
        let names = ctx.remotes(&vault, &self.which.remotes)?;
        let options = options(ctx, &vault, &self.which, None, &names)?;
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
            save(&vault, &prepared, &self.which, path)?;
            ctx.ui.status(&format!(
                "Saved to {}; carry it out with: strongroom apply {}",
                path.display(),
                path.display()
            ));
        }
        Ok(prepared.plan.is_quiet() && skipped(prepared.plan.notes()) == 0)
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

/// A plan as it is kept in a file: readable, without values, ending in a mac.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: u32,
    program: String,
    vault: String,
    made: String,
    remotes: Vec<String>,
    only: Option<String>,
    max_delete: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_conflict: Option<String>,
    /// Per secret: what would be done, in words, and a hash over everything that the
    /// plan expects to find.
    secrets: BTreeMap<String, SavedSecret>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedSecret {
    steps: Vec<String>,
    hash: String,
}

fn hash(plan: &SecretPlan) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(format!("{plan:?}").as_bytes()))
}

fn save(
    vault: &Vault,
    prepared: &Prepared,
    which: &Which,
    path: &std::path::Path,
) -> Result<(), CommandError> {
    let Some(keys) = vault.keys() else {
        return Err(VaultError::Locked.into());
    };
    let saved = Saved {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        vault: vault.config().vault_id.clone(),
        made: now().to_string(),
        remotes: prepared
            .plan
            .remotes
            .iter()
            .map(ToString::to_string)
            .collect(),
        only: which.only.clone(),
        max_delete: which.max_delete,
        on_conflict: which
            .on_conflict
            .map(|s| Strategy::from(s).as_str().to_owned()),
        secrets: prepared
            .plan
            .secrets
            .iter()
            .filter(|(_, s)| !s.actions.is_empty() || !s.answers.is_empty())
            .map(|(name, s)| {
                let saved = SavedSecret {
                    steps: s.steps(),
                    hash: hash(s),
                };
                (name.to_string(), saved)
            })
            .collect(),
    };
    let unexpected = |e: &dyn std::fmt::Display| {
        CommandError::new(Exit::Unexpected, format!("{}: {e}", path.display()))
    };
    let mut body = serde_json::to_string_pretty(&saved).map_err(|e| unexpected(&e))?;
    body.push('\n');
    let text = keys
        .seal_text(Domain::Plan, body)
        .map_err(VaultError::from)?;
    std::fs::write(path, text).map_err(|e| unexpected(&e))
}

/// Carry out a saved plan, as far as it still holds
///
/// Each secret's part is done only if planning it anew gives exactly the same; what
/// has changed since is left alone and named.
#[derive(Debug, Args)]
pub struct Apply {
    /// A file made by plan -o
    file: PathBuf,
}

impl Apply {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        ctx.must_be_online()?;
        let vault = ctx.unlocked()?;
        let saved = self.read(&vault)?;
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
        let options = options(ctx, &vault, &which, None, &names)?;
        block_on(async {
            let stores = ctx.connect(&vault, &names).await?;
            let mut prepared = look(ctx, &vault, &stores, &options).await?;
            let mut gone = Vec::new();
            for (name, then) in &saved.secrets {
                let name: SecretName = name.parse()?;
                let now = prepared.plan.secrets.get(&name).map(hash);
                if now.as_deref() != Some(&then.hash) {
                    gone.push(name);
                }
            }
            prepared
                .narrow(|name| saved.secrets.contains_key(name.as_str()) && !gone.contains(name));
            for name in &gone {
                ctx.ui.warn(&format!(
                    "{name}: changed since the plan was made; left alone"
                ));
            }
            if prepared.plan.secrets.is_empty() && !gone.is_empty() {
                return Err(stale("nothing of it still holds".to_owned()));
            }
            confirm_first(ctx, &prepared)?;
            let progress = ctx.ui.progress();
            let report = apply_plan(&vault, &stores, prepared, &options, progress.as_ref()).await?;
            let exit = finish(ctx, &report)?;
            if exit == Exit::Ok && !gone.is_empty() {
                return Ok(Exit::StalePlan);
            }
            Ok(exit)
        })
    }

    fn read(&self, vault: &Vault) -> Result<Saved, CommandError> {
        let failed = |exit, e: &dyn std::fmt::Display| {
            CommandError::new(exit, format!("{}: {e}", self.file.display()))
        };
        let size = std::fs::metadata(&self.file)
            .map_err(|e| failed(Exit::NotFound, &e))?
            .len();
        if size > MAX {
            return Err(failed(Exit::Integrity, &"too large for a plan"));
        }
        let text = std::fs::read_to_string(&self.file).map_err(|e| failed(Exit::NotFound, &e))?;
        let Some(keys) = vault.keys() else {
            return Err(VaultError::Locked.into());
        };
        let body = keys.verify_text(Domain::Plan, &text).map_err(|e| match e {
            MacError::Keys(error) => VaultError::from(error).into(),
            e => failed(Exit::Integrity, &e).hint("the plan was altered, or is for another vault"),
        })?;
        let saved: Saved = serde_json::from_str(body).map_err(|e| failed(Exit::Integrity, &e))?;
        if saved.format != FORMAT {
            return Err(failed(Exit::Unsupported, &"made by a newer strongroom"));
        }
        Ok(saved)
    }
}
