//! The command line: the only room that prints, prompts, reads the environment or
//! asks the time.
//!
//! One file a verb under `commands`; `context` is what a verb takes from its
//! surroundings, `ui` what it says and asks, `error` how its failures look, `exit`
//! what scripts see.

mod audit;
mod child;
mod clipboard;
mod commands;
mod context;
mod credentials;
mod endpoint;
mod error;
mod exit;
mod freshness;
mod harden;
mod input;
mod memory;
mod plugins;
mod show;
mod strategy;
mod ui;
mod usage;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser};

pub use commands::Command;
pub use context::Context;
pub use error::{CommandError, CommandResult};
pub use exit::Exit;
pub use ui::{ProgressMode, Ui};

/// AWS Secrets Manager, offline
///
/// An encrypted, git-friendly vault with version history and staging labels, and a
/// two-way sync with AWS Secrets Manager that never overwrites what it has not seen.
#[derive(Debug, Parser)]
#[command(
    name = "strongroom",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(
    after_help = "Secrets are named as NAME[#VERSIONID-PREFIX | :LABEL][~N]: prod/db is the AWSCURRENT version, prod/db~1 the one it was made from, prod/db:AWSPREVIOUS the one with that label."
)]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Use the vault in DIR instead of the one above the working directory
    #[arg(short = 'C', long = "vault", value_name = "DIR", global = true)]
    pub vault: Option<PathBuf>,
    /// Print machine-readable JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but errors and warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Refuse everything that needs a network
    #[arg(long, global = true)]
    pub offline: bool,
    /// Leave the change to git uncommitted
    #[arg(long, global = true)]
    pub no_commit: bool,
    /// Show progress as a bar, as JSON lines on stderr, or not at all
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "auto",
        global = true
    )]
    pub progress: ProgressMode,
    /// Read the identity from this inherited file descriptor
    #[arg(long, value_name = "N", global = true)]
    pub identity_fd: Option<u32>,
    /// Read the identity's passphrase from this inherited file descriptor
    #[arg(long, value_name = "N", global = true)]
    pub passphrase_fd: Option<u32>,
}

/// Runs one command line and says how it ended.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let umask = harden::process();
    let args: Vec<OsString> = args.into_iter().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => {
            if let Some(error) = usage::discreet(&args, &error) {
                Ui::new(false, false, false, ProgressMode::None, context::color()).error(&error);
                return ExitCode::from(error.exit.code());
            }
            // clap prints help and versions to stdout, mistakes to stderr.
            drop(error.print());
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            return ExitCode::from(exit.code());
        }
    };
    if !cli.command.runs_programs() {
        harden::privileges();
    }
    let globals = cli.globals.clone();
    let ui = Ui::new(
        globals.quiet,
        globals.json,
        globals.yes,
        globals.progress,
        context::color(),
    );
    let mut ctx = Context::new(ui, globals, umask);
    ctx.verb = cli.command.verb();
    let result = cli.command.run(&ctx);
    if ui::is_broken_pipe(&result) {
        return ExitCode::from(Exit::Ok.code());
    }
    match result {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            ctx.ui.error(&error);
            ExitCode::from(error.exit.code())
        }
    }
}

/// The command tree, for manuals and completions.
pub fn command() -> clap::Command {
    Cli::command()
}
