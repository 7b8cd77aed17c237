use clap::Args;

use super::{DONE, begin, commit, locked_record};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::model::{Conflict, RemoteName, SecretName, find_prefix};
use crate::plan::{Choice, resolve};

/// Decide a conflict
///
/// Needs no network: it is noted in the vault, and the next sync carries it out, if
/// the remote still is as it was. The version that loses stays in the vault under an
/// sr/lost/ label.
///
/// Example: strongroom resolve prod/db --ours
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("choice").required(true)))]
pub struct Resolve {
    /// The secret's name
    name: SecretName,
    /// Keep what is here, and push it
    #[arg(long, group = "choice")]
    ours: bool,
    /// Take what is there
    #[arg(long, group = "choice")]
    theirs: bool,
    /// Make another version the answer on both sides
    #[arg(long, value_name = "VERSION", group = "choice")]
    to: Option<String>,
    /// Only the conflict with this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Only conflicts with this remote
    #[arg(long, value_name = "REMOTE")]
    remote: Option<RemoteName>,
}

impl Resolve {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let mut tx = begin(ctx, &vault, "resolve")?;
        let mut record = locked_record(ctx, &vault, &tx, &self.name)?;
        let choice = match &self.to {
            Some(prefix) => Choice::To(find_prefix(&self.name, &record.state, prefix)?.clone()),
            None if self.ours => Choice::Ours,
            None => Choice::Theirs,
        };
        let chosen = |c: &Conflict| {
            self.remote.as_ref().is_none_or(|r| *r == c.remote)
                && self
                    .id
                    .as_ref()
                    .is_none_or(|id| c.id(&self.name).starts_with(id))
        };
        let (mut wanted, kept): (Vec<Conflict>, Vec<Conflict>) =
            record.conflicts.drain(..).partition(chosen);
        if wanted.is_empty() {
            return Err(
                CommandError::not_found(format!("{} has no such conflict", self.name))
                    .hint("see what there is with: strongroom conflicts"),
            );
        }
        record.conflicts = kept;
        // A choice about AWSCURRENT alone does not answer one about a tag.
        if matches!(choice, Choice::To(_)) {
            let (labels, rest): (Vec<Conflict>, Vec<Conflict>) = wanted
                .into_iter()
                .partition(|c| matches!(c.field, crate::model::Field::Label(_)));
            record.conflicts.extend(rest);
            record.conflicts.sort();
            wanted = labels;
        }
        let mut lost = Vec::new();
        for conflict in &wanted {
            let done = resolve(&mut record, conflict, &choice)?;
            lost.extend(done.kept);
        }
        tx.put(record);
        commit(ctx, tx, &format!("resolve {}", self.name))?;
        for conflict in &wanted {
            let side = match &choice {
                Choice::Ours => "ours".to_owned(),
                Choice::Theirs => format!("that of {}", conflict.remote),
                Choice::To(id) => format!("version {}", id.short()),
            };
            ctx.ui
                .status(&format!("{} of {}: {side}", conflict.field, self.name));
        }
        for (label, id) in lost {
            ctx.ui
                .status(&format!("Version {} is kept under {label}", id.short()));
        }
        ctx.ui.hint("carry it out with: strongroom sync");
        DONE
    }
}
