use std::time::Duration;

use clap::Args;

use super::DONE;
use crate::cli::clipboard;
use crate::cli::context::Context;
use crate::cli::error::CommandResult;

/// Wait, then clear the clipboard; strongroom starts this itself
#[derive(Debug, Args)]
pub struct ClearClipboard {
    /// Seconds to wait
    #[arg(long, value_name = "SECONDS")]
    after: u64,
}

impl ClearClipboard {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        clipboard::clear_later(ctx, Duration::from_secs(self.after))?;
        DONE
    }
}
