use std::ffi::OsString;

use clap::Args;

use super::exec::Exec;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;

/// Run the AWS CLI against the vault
///
/// As exec does, with the `aws` that is found on PATH; every argument is handed on as
/// it is.
///
/// Example: strongroom aws secretsmanager get-secret-value --secret-id prod/db
#[derive(Debug, Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct Aws {
    /// What the AWS CLI is to do
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGS"
    )]
    args: Vec<OsString>,
}

impl Aws {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let mut words = vec![OsString::from("aws")];
        words.extend(self.args);
        match Exec::of(words).run(ctx) {
            Err(error) if error.exit == Exit::Child(127) => Err(CommandError {
                exit: error.exit,
                error: error.error,
                hints: vec!["install the AWS CLI, version 2.13 or later".to_owned()],
            }),
            other => other,
        }
    }
}
