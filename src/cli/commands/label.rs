use clap::Args;

use super::put::reserved;
use super::{DONE, begin, commit, edit, locked_record};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::model::{Change, SecretName, StagingLabel, find_prefix};

/// Put a staging label on a version, or take it off
///
/// By the rules of UpdateSecretVersionStage: a label sits on one version; moving
/// AWSCURRENT moves AWSPREVIOUS to the version that had it. Without --to the label is
/// taken off.
///
/// Example: strongroom label prod/db blue --to 3f2a
#[derive(Debug, Args)]
pub struct Label {
    /// The secret's name
    name: SecretName,
    /// The label
    label: StagingLabel,
    /// The version that gets it, by the start of its id
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    /// The version that must have it now, by the start of its id
    #[arg(long, value_name = "VERSION")]
    from: Option<String>,
}

impl Label {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        if self.label.is_reserved() && self.to.is_some() {
            return Err(reserved(&self.label));
        }
        let vault = ctx.unlocked()?;
        let mut tx = begin(ctx, &vault, "label")?;
        let mut record = locked_record(ctx, &vault, &tx, &self.name)?;
        let holder = record.state.labels.get(&self.label).cloned();
        let find = |prefix: &String| find_prefix(&self.name, &record.state, prefix).cloned();
        let from = match &self.from {
            Some(prefix) => Some(find(prefix)?),
            None => holder.clone(),
        };
        let to = self.to.as_ref().map(find).transpose()?;
        if to.is_none() && holder.is_none() {
            return Err(CommandError::not_found(format!(
                "no version of {} bears the label {}",
                self.name, self.label
            ))
            .hint("name a version to put it on with --to"));
        }
        if to.is_some() && to == holder {
            ctx.ui.status(&format!("{} is there already", self.label));
            return DONE;
        }
        edit(
            &mut record,
            &Change::MoveLabel {
                label: self.label.clone(),
                from,
                to: to.clone(),
            },
        )?;
        tx.put(record);
        let what = match &to {
            Some(to) => format!("{} to {}", self.label, to.short()),
            None => format!("{} off", self.label),
        };
        commit(ctx, tx, &format!("label {}: {what}", self.name))?;
        match to {
            Some(to) => ctx.ui.status(&format!(
                "{} of {} is now on {}",
                self.label,
                self.name,
                to.short()
            )),
            None => ctx
                .ui
                .status(&format!("{} of {} is off", self.label, self.name)),
        }
        DONE
    }
}
