//! The verbs of the air gap.

mod apply;
mod create;
mod epoch;
mod error;
mod inspect;
mod open;
mod settle;

use clap::Subcommand;

use crate::cli::context::Context;
use crate::cli::error::CommandResult;

/// Carry secrets over an air gap, in one encrypted file
///
/// A bundle holds metadata and values as the vault has them, encrypted once more to
/// whoever is to open it. What it brings is merged, version by version and label by
/// label; nothing of it is used unless all of it is right.
#[derive(Debug, Subcommand)]
pub enum Bundle {
    Create(create::Create),
    Have(create::HaveFile),
    Inspect(inspect::Inspect),
    Verify(inspect::Verify),
    Apply(apply::Apply),
}

impl Bundle {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Create(c) => c.run(ctx),
            Self::Have(c) => c.run(ctx),
            Self::Inspect(c) => c.run(ctx),
            Self::Verify(c) => c.run(ctx),
            Self::Apply(c) => c.run(ctx),
        }
    }
}
