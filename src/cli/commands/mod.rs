//! The verbs, one file each.

mod completions;
mod conflicts;
mod copy;
mod demo;
mod describe;
mod diff;
mod doctor;
mod edit;
mod find;
mod fsck;
mod gc;
mod generate;
mod get;
mod init;
mod label;
mod log;
mod ls;
mod man;
mod passwd;
mod plan;
mod put;
mod remote;
mod remove;
mod resolve;
mod rollback;
mod show;
mod status;
mod sync;
mod tag;

use clap::Subcommand;

use super::context::Context;
use super::error::{CommandError, CommandResult};
use super::exit::Exit;
use crate::model::{Author, Change, Record, SecretName};
use crate::vault::{Committed, Durability, Transaction, Vault};

/// What strongroom can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a vault, and an identity if there is none
    Init(init::Init),
    /// Store a value: a new secret or a new version
    #[command(visible_alias = "set")]
    Put(put::Put),
    /// Make a random value and store it
    Generate(generate::Generate),
    /// Change a value in your editor
    Edit(edit::Edit),
    /// Print a value, exactly
    Get(get::Get),
    /// Show a secret's versions, labels, tags and state
    Show(show::Show),
    /// List secrets
    #[command(visible_alias = "list")]
    Ls(ls::Ls),
    /// Find secrets by name, tag or description
    Find(find::Find),
    /// Show a secret's history, newest version first
    Log(log::Log),
    /// Compare two versions
    Diff(diff::Diff),
    /// Put a staging label on a version, or take it off
    Label(label::Label),
    /// Make an earlier version current again
    Rollback(rollback::Rollback),
    /// Show, set or remove a secret's tags
    Tag(tag::Tag),
    /// Show or set a secret's description
    Describe(describe::Describe),
    /// Move a secret to a new name
    Mv(copy::Mv),
    /// Copy a secret to a new name
    Cp(copy::Cp),
    /// Schedule a secret for deletion
    Rm(remove::Rm),
    /// Bring a deleted secret back
    Restore(remove::Restore),
    /// Manage the AWS accounts and Regions this vault syncs with
    #[command(subcommand)]
    Remote(remote::Remote),
    /// Say where the vault stands against its remotes, without a network
    Status(status::Status),
    /// Ask remotes what they have
    Fetch(sync::Fetch),
    /// Show what a sync would do
    Plan(plan::Plan),
    /// Carry out a saved plan, as far as it still holds
    Apply(plan::Apply),
    /// Bring the vault and its remotes into step, both ways
    Sync(sync::Sync),
    /// Bring remotes' changes into the vault; change no remote
    Pull(sync::Pull),
    /// Bring the vault's changes to remotes; change no secret here
    Push(sync::Push),
    /// List what waits for a decision
    Conflicts(conflicts::Conflicts),
    /// Decide a conflict
    Resolve(resolve::Resolve),
    /// Play the whole story through in a throw-away vault
    Demo(demo::Demo),
    /// Change the passphrase of your identity
    Passwd(passwd::Passwd),
    /// Check everything in the vault
    Fsck(fsck::Fsck),
    /// Check that this machine and this clone are set up well
    Doctor(doctor::Doctor),
    /// Remove what nothing needs
    Gc(gc::Gc),
    /// Print a completion script for your shell
    Completions(completions::Completions),
    /// Print the manual
    Man(man::Man),
}

impl Command {
    /// Does it.
    pub fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Init(c) => c.run(ctx),
            Self::Put(c) => c.run(ctx),
            Self::Generate(c) => c.run(ctx),
            Self::Edit(c) => c.run(ctx),
            Self::Get(c) => c.run(ctx),
            Self::Show(c) => c.run(ctx),
            Self::Ls(c) => c.run(ctx),
            Self::Find(c) => c.run(ctx),
            Self::Log(c) => c.run(ctx),
            Self::Diff(c) => c.run(ctx),
            Self::Label(c) => c.run(ctx),
            Self::Rollback(c) => c.run(ctx),
            Self::Tag(c) => c.run(ctx),
            Self::Describe(c) => c.run(ctx),
            Self::Mv(c) => c.run(ctx),
            Self::Cp(c) => c.run(ctx),
            Self::Rm(c) => c.run(ctx),
            Self::Restore(c) => c.run(ctx),
            Self::Remote(c) => c.run(ctx),
            Self::Status(c) => c.run(ctx),
            Self::Fetch(c) => c.run(ctx),
            Self::Plan(c) => c.run(ctx),
            Self::Apply(c) => c.run(ctx),
            Self::Sync(c) => c.run(ctx),
            Self::Pull(c) => c.run(ctx),
            Self::Push(c) => c.run(ctx),
            Self::Conflicts(c) => c.run(ctx),
            Self::Resolve(c) => c.run(ctx),
            Self::Demo(c) => c.run(ctx),
            Self::Passwd(c) => c.run(ctx),
            Self::Fsck(c) => c.run(ctx),
            Self::Doctor(c) => c.run(ctx),
            Self::Gc(c) => c.run(ctx),
            Self::Completions(c) => c.run(ctx),
            Self::Man(c) => c.run(ctx),
        }
    }
}

/// Begins a change of the vault.
fn begin<'v>(
    ctx: &Context,
    vault: &'v Vault,
    operation: &str,
) -> Result<Transaction<'v>, CommandError> {
    let mut tx = vault.begin(operation, super::context::now())?;
    if ctx.globals.no_commit {
        tx.without_git();
    }
    Ok(tx)
}

/// Reads a secret under the lock; a tombstone counts as not there.
fn locked_record(
    ctx: &Context,
    vault: &Vault,
    tx: &Transaction<'_>,
    name: &SecretName,
) -> Result<Record, CommandError> {
    match tx.record(name)? {
        Some(record) => Ok(record),
        None => Err(ctx.no_secret(vault, name)),
    }
}

/// Applies a person's change to a record, with the secret's name in the error.
fn edit(record: &mut Record, change: &Change) -> Result<(), CommandError> {
    record.apply(change, Author::Here).map_err(|error| {
        let mut error = CommandError::from(error);
        error.error = format!("{}: {}", record.name, error.error).into();
        error.hints = error
            .hints
            .iter()
            .map(|h| h.replace("NAME", record.name.as_str()))
            .collect();
        error
    })
}

/// Writes a change durably and commits it; what git could not do is a warning, for
/// the vault itself is safe.
fn commit(ctx: &Context, tx: Transaction<'_>, message: &str) -> Result<(), CommandError> {
    let done = tx.commit(message, Durability::Each)?;
    git_state(ctx, &done.git);
    Ok(())
}

fn git_state(ctx: &Context, git: &Committed) {
    if let Committed::Left(reason) = git {
        ctx.ui
            .warn(&format!("written, but not committed to git: {reason}"));
    }
}

/// The exit code of a command that did all it was asked.
const DONE: CommandResult = Ok(Exit::Ok);
