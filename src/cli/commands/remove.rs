use clap::Args;

use super::{DONE, begin, commit, edit, locked_record};
use crate::cli::context::{Context, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::model::{Change, Lifecycle, SecretName};

/// Schedule a secret for deletion
///
/// As in AWS, the secret is gone for readers at once and can be restored until the
/// window ends. The vault keeps every version in any case. The next sync schedules
/// the deletion on the remotes too.
///
/// Example: strongroom rm old/db --window 7
#[derive(Debug, Args)]
pub struct Rm {
    /// The secret's name
    name: SecretName,
    /// Days until AWS removes it, 7 to 30
    #[arg(short, long, value_name = "DAYS", value_parser = clap::value_parser!(u8).range(7..=30))]
    window: Option<u8>,
    /// Mark it as deleted here and now; remotes still get a window
    #[arg(short, long)]
    force: bool,
}

impl Rm {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let mut tx = begin(ctx, &vault, "rm")?;
        let mut record = locked_record(ctx, &vault, &tx, &self.name)?;
        match record.state.lifecycle {
            Lifecycle::Live => {}
            Lifecycle::Scheduled { .. } if self.force => {}
            Lifecycle::Scheduled { .. } => {
                return Err(CommandError::new(
                    Exit::Guard,
                    format!("{} is already scheduled for deletion", self.name),
                )
                .hint(format!(
                    "bring it back with: strongroom restore {}",
                    self.name
                )));
            }
            Lifecycle::Tombstone => {
                return Err(CommandError::not_found(format!(
                    "{} was deleted",
                    self.name
                )));
            }
        }
        if self.force {
            ctx.ui
                .confirm(&format!("Mark {} as deleted now?", self.name))?;
            edit(&mut record, &Change::Tombstone)?;
            tx.put(record);
            commit(ctx, tx, &format!("rm {}: deleted", self.name))?;
            ctx.ui.status(&format!(
                "{} is deleted; its versions are kept, and restore brings it back",
                self.name
            ));
            return DONE;
        }
        let days = self.window.unwrap_or(vault.config().recovery_window);
        let date = now().plus_days(i64::from(days));
        edit(&mut record, &Change::Delete { date: Some(date) })?;
        tx.put(record);
        commit(
            ctx,
            tx,
            &format!("rm {}: scheduled for deletion", self.name),
        )?;
        ctx.ui.status(&format!(
            "{} is scheduled for deletion on {}; until then restore brings it back",
            self.name,
            crate::cli::show::minute(Some(date))
        ));
        DONE
    }
}

/// Bring a deleted secret back
///
/// The next sync restores it on the remotes too, or makes it there anew from the
/// vault's versions if they have purged it.
#[derive(Debug, Args)]
pub struct Restore {
    /// The secret's name
    name: SecretName,
}

impl Restore {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let mut tx = begin(ctx, &vault, "restore")?;
        let mut record = locked_record(ctx, &vault, &tx, &self.name)?;
        if record.state.lifecycle.is_live() {
            ctx.ui.status(&format!("{} is not deleted", self.name));
            return DONE;
        }
        if !record.was_a_secret() {
            return Err(CommandError::new(
                Exit::NotFound,
                format!("{} was never a secret of this vault", self.name),
            )
            .hint("it holds what remotes have of that name; see: strongroom conflicts"));
        }
        edit(&mut record, &Change::Restore)?;
        tx.put(record);
        commit(ctx, tx, &format!("restore {}", self.name))?;
        ctx.ui.status(&format!("{} is back", self.name));
        DONE
    }
}
