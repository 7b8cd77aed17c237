use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::super::git_state;
use super::create::have_text;
use super::epoch;
use super::inspect::{clashing, json_of_clashing, json_of_outcome, show};
use super::open::{Opened, Source};
use crate::cli::context::{Context, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::exchange::{self, Applied, Standing};

/// Merge what a bundle brings into the vault
///
/// All of it is verified first; then each secret is merged as a git merge of two laptops
/// would be: versions are united, a label follows whoever moved it, and what both sides
/// changed waits as a conflict. Any failure leaves the vault as it was. A receipt is
/// written beside the bundle, for the sender's next bundle create --have.
///
/// A bundle that was made after the vault got new keys brings them along: this clone takes
/// them if its own keys vouch for them, and encrypts everything anew. One from before needs
/// its fingerprint to be compared, since whoever was removed still has the old keys.
///
/// With --as-new-vault the bundle becomes a vault: a clone of the sender's for a member, a
/// vault with a key of its own for a newcomer.
///
/// Example: strongroom bundle apply /media/stick/in.bundle
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    source: Source,
    /// Write the receipt there; FILE.have beside the bundle if left out
    #[arg(long, value_name = "FILE", conflicts_with = "no_receipt")]
    receipt: Option<PathBuf>,
    /// Write no receipt
    #[arg(long)]
    no_receipt: bool,
    /// Make a vault of the bundle in this new directory
    #[arg(long, value_name = "DIR")]
    pub(super) as_new_vault: Option<PathBuf>,
    /// The fingerprint that the sender has read out: of a newcomer's bundle, or of one
    /// from before the vault had new keys
    #[arg(long, value_name = "FINGERPRINT")]
    pub(super) fingerprint: Option<String>,
    /// What this member is called in a newcomer's vault
    #[arg(long, value_name = "NAME", requires = "as_new_vault")]
    pub(super) member: Option<String>,
}

impl Apply {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        if let Some(dir) = &self.as_new_vault {
            return self.settle(ctx, dir);
        }
        let Opened {
            mut vault,
            mut proved,
            mut memory,
            own,
        } = self.source.open(ctx)?;
        let with_git = !ctx.no_commit()?;
        epoch::accept(ctx, &mut proved, self.fingerprint.as_deref())?;
        if let Some(own) = &own {
            epoch::adopt(ctx, &mut vault, &memory, &mut proved, own, with_git)?;
        }
        let applied = exchange::apply(&vault, &mut memory, &proved, now(), with_git)?;
        drop(proved);
        git_state(ctx, &applied.git);
        let receipt = self.write_receipt(ctx, &vault, &memory);
        say(ctx, &applied, receipt.as_deref())
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Writes the receipt; that it cannot be written is a warning, for the vault has
    /// changed already.
    fn write_receipt(
        &self,
        ctx: &Context,
        vault: &crate::vault::Vault,
        memory: &exchange::Memory,
    ) -> Option<PathBuf> {
        if self.no_receipt {
            return None;
        }
        let path = match &self.receipt {
            Some(path) => path.clone(),
            None => {
                let mut name = self.source.path().as_os_str().to_owned();
                name.push(".have");
                PathBuf::from(name)
            }
        };
        let written = have_text(ctx, vault, memory).and_then(|text| replace(&path, &text));
        match written {
            Ok(()) => Some(path),
            Err(error) => {
                ctx.ui.warn(&format!(
                    "applied, but the receipt was not written: {}",
                    error.error
                ));
                ctx.ui.hint("write it with: strongroom bundle have -o FILE");
                None
            }
        }
    }
}

/// Writes a receipt in place of an older one.
fn replace(path: &Path, text: &str) -> Result<(), CommandError> {
    let failed =
        |e: std::io::Error| CommandError::new(Exit::Unexpected, format!("{}: {e}", path.display()));
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    // Ours, of a run that did not end.
    drop(std::fs::remove_file(&fresh));
    super::create::write(&fresh, text)?;
    std::fs::rename(&fresh, path).map_err(failed)
}

pub(super) fn say(ctx: &Context, applied: &Applied, receipt: Option<&Path>) -> CommandResult {
    let weighed = &applied.weighed;
    let conflicted = |o: &&exchange::Outcome| !o.after.conflicts.is_empty();
    let conflicts = weighed.outcomes.iter().filter(conflicted).count();
    if ctx.ui.json() {
        let changes: Vec<Value> = weighed.outcomes.iter().map(json_of_outcome).collect();
        ctx.ui.json_data(&json!({
            "Again": applied.standing == Standing::Again,
            "Changes": changes,
            "Same": weighed.same,
            "NewValues": weighed.new_values(),
            "Clashing": json_of_clashing(weighed),
            "Receipt": receipt.map(|path| path.display().to_string()),
        }))?;
        return clashing(weighed);
    }
    show(ctx, weighed)?;
    let changed = count(weighed.outcomes.len(), "secret");
    match applied.standing {
        Standing::New => ctx.ui.status(&format!(
            "Applied: {changed} changed, {} added",
            count(weighed.new_values(), "value")
        )),
        Standing::Again => ctx
            .ui
            .status(&format!("Applied before; this time {changed} changed")),
    }
    if conflicts > 0 {
        let wait = if conflicts == 1 { "waits" } else { "wait" };
        ctx.ui.hint(&format!(
            "{} {wait} for a person: strongroom conflicts",
            count(conflicts, "secret")
        ));
    }
    if let Some(path) = receipt {
        ctx.ui.status(&format!(
            "The receipt is {}; the sender gives it to: strongroom bundle create --have",
            path.display()
        ));
    }
    clashing(weighed)
}
