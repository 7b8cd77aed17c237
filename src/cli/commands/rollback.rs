use clap::Args;

use super::{DONE, begin, commit, edit, locked_record};
use crate::cli::context::Context;
use crate::cli::error::CommandResult;
use crate::model::{Change, SecretName, Selector, StagingLabel};

/// Make an earlier version current again
///
/// Moves AWSCURRENT; no value is copied, and the version that was current stays.
/// Without a selector it goes back to AWSPREVIOUS.
///
/// Example: strongroom rollback prod/db prod/db~2
#[derive(Debug, Args)]
pub struct Rollback {
    /// The secret's name
    name: SecretName,
    /// The version to go back to: #ID-PREFIX, :LABEL or ~N, with or without the name
    selector: Option<String>,
}

impl Rollback {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let selector: Selector = match &self.selector {
            None => format!("{}:{}", self.name, StagingLabel::PREVIOUS).parse()?,
            Some(text) if text.starts_with(['#', ':', '~']) => {
                format!("{}{text}", self.name).parse()?
            }
            Some(text) => text.parse()?,
        };
        if selector.name != self.name {
            return Err(crate::cli::error::CommandError::usage(format!(
                "{} is another secret than {}",
                selector.name, self.name
            )));
        }
        let vault = ctx.unlocked()?;
        let mut tx = begin(ctx, &vault, "rollback")?;
        let mut record = locked_record(ctx, &vault, &tx, &self.name)?;
        let to = selector.find(&record.state)?.clone();
        let from = record.state.current().cloned();
        if from.as_ref() == Some(&to) {
            ctx.ui.status(&format!("{} is current already", to.short()));
            return DONE;
        }
        edit(
            &mut record,
            &Change::MoveLabel {
                label: StagingLabel::current(),
                from,
                to: Some(to.clone()),
            },
        )?;
        tx.put(record);
        commit(
            ctx,
            tx,
            &format!("rollback {}: AWSCURRENT to {}", self.name, to.short()),
        )?;
        ctx.ui.status(&format!(
            "AWSCURRENT of {} is now on {}",
            self.name,
            to.short()
        ));
        DONE
    }
}
