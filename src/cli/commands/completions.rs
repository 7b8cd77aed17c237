use clap::Args;
use clap_complete::Shell;

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::CommandResult;

/// Print a completion script for your shell
///
/// Example: strongroom completions bash > ~/.local/share/bash-completion/completions/strongroom
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let mut command = crate::cli::command();
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "strongroom", &mut script);
        ctx.ui.data(&script)?;
        DONE
    }
}
