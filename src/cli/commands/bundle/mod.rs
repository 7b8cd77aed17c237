//! The verbs of the air gap.

mod apply;
mod create;
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
    /// See the verb's own text.
    Create(create::Create),
    /// See the verb's own text.
    Have(create::HaveFile),
    /// See the verb's own text.
    Inspect(inspect::Inspect),
    /// See the verb's own text.
    Verify(inspect::Verify),
    /// See the verb's own text.
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
