use clap::Args;

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::CommandResult;

/// Lock every vault: the agent forgets its keys and ends
///
/// Programs that are served through it are told at once. Without an agent there is
/// nothing to do.
#[derive(Debug, Args)]
pub struct Lock {}

impl Lock {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let agent = ctx.agent()?;
        match &agent {
            Some(agent) => {
                agent.lock()?;
                ctx.ui.status("Locked");
            }
            None => ctx.ui.status("Nothing is unlocked: no agent is running"),
        }
        if ctx.ui.json() {
            ctx.ui
                .json_data(&serde_json::json!({ "WasRunning": agent.is_some() }))?;
        }
        DONE
    }
}
