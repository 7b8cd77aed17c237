//! The verbs, one file each.

mod agent;
mod audit;
mod aws;
mod binding;
mod bundle;
mod clear_clipboard;
mod completions;
mod conflicts;
mod copy;
mod demo;
mod describe;
mod diff;
mod doctor;
mod edit;
mod exec;
mod find;
mod freshness;
mod fsck;
mod gc;
mod generate;
mod get;
mod git_pull;
mod init;
mod join;
mod keyring;
mod label;
mod lock;
mod log;
mod ls;
mod man;
mod members;
mod merge;
mod merge_driver;
mod migrate;
mod passwd;
mod plan;
mod policy;
mod put;
mod remote;
mod remove;
mod resolve;
mod rollback;
mod scan;
mod serve;
mod show;
mod status;
mod sync;
mod tag;
mod trust;
mod unlock;
mod watch;

use clap::Subcommand;

use super::context::Context;
use super::error::{CommandError, CommandResult};
use super::exit::Exit;
use crate::model::{Author, Change, Record, SecretName};
use crate::vault::{Committed, Durability, Transaction, Vault};

/// What strongroom can do.
///
/// The variants say nothing themselves: a text here would replace the verb's own,
/// which is its help, its manual page and its section in the book.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "each verb documents itself")]
pub enum Command {
    Init(init::Init),
    Unlock(unlock::Unlock),
    Lock(lock::Lock),
    #[command(subcommand)]
    Agent(agent::Agent),
    #[command(visible_alias = "set")]
    Put(put::Put),
    Generate(generate::Generate),
    Edit(edit::Edit),
    Get(get::Get),
    Show(show::Show),
    #[command(visible_alias = "list")]
    Ls(ls::Ls),
    Find(find::Find),
    Log(log::Log),
    Diff(diff::Diff),
    Label(label::Label),
    Rollback(rollback::Rollback),
    Tag(tag::Tag),
    Describe(describe::Describe),
    Mv(copy::Mv),
    Cp(copy::Cp),
    Rm(remove::Rm),
    Restore(remove::Restore),
    #[command(subcommand)]
    Remote(remote::Remote),
    #[command(subcommand)]
    Freshness(freshness::Freshness),
    #[command(subcommand)]
    Policy(policy::Policy),
    Status(status::Status),
    Fetch(sync::Fetch),
    Plan(plan::Plan),
    Apply(plan::Apply),
    Sync(sync::Sync),
    Pull(sync::Pull),
    Push(sync::Push),
    Watch(watch::Watch),
    Conflicts(conflicts::Conflicts),
    Resolve(resolve::Resolve),
    GitPull(git_pull::GitPull),
    Merge(merge::Merge),
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    #[command(subcommand)]
    Bundle(bundle::Bundle),
    Exec(exec::Exec),
    Aws(aws::Aws),
    Serve(serve::Serve),
    Demo(demo::Demo),
    #[command(subcommand)]
    Members(members::Members),
    #[command(subcommand)]
    Keyring(keyring::KeyringVerb),
    Join(join::Join),
    Trust(trust::Trust),
    Rekey(members::RekeyVerb),
    #[command(subcommand)]
    Audit(audit::Audit),
    Passwd(passwd::Passwd),
    Fsck(fsck::Fsck),
    Scan(scan::Scan),
    Doctor(doctor::Doctor),
    Gc(gc::Gc),
    Completions(completions::Completions),
    Man(man::Man),
    #[command(hide = true)]
    ClearClipboard(clear_clipboard::ClearClipboard),
    #[command(hide = true)]
    MergeDriver(merge_driver::MergeDriver),
}

impl Command {
    /// Whether it runs somebody's program with all that this program may do.
    pub(super) fn runs_programs(&self) -> bool {
        matches!(self, Self::Exec(_) | Self::Aws(_))
    }

    /// The verb's word on the command line.
    pub(super) fn verb(&self) -> String {
        /// Takes a text up to its first bracket.
        struct Head(String);
        impl std::fmt::Write for Head {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                for c in text.chars() {
                    match c {
                        '(' | ' ' | '{' => return Err(std::fmt::Error),
                        c if c.is_ascii_uppercase() && !self.0.is_empty() => {
                            self.0.push('-');
                            self.0.push(c.to_ascii_lowercase());
                        }
                        c => self.0.push(c.to_ascii_lowercase()),
                    }
                }
                Ok(())
            }
        }
        let mut head = Head(String::new());
        // The variant is named as the verb, so a new verb needs no line here.
        let _ = std::fmt::write(&mut head, format_args!("{self:?}"));
        head.0
    }

    /// Does it.
    pub fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Init(c) => c.run(ctx),
            Self::Unlock(c) => c.run(ctx),
            Self::Lock(c) => c.run(ctx),
            Self::Agent(c) => c.run(ctx),
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
            Self::Freshness(c) => c.run(ctx),
            Self::Policy(c) => c.run(ctx),
            Self::Status(c) => c.run(ctx),
            Self::Fetch(c) => c.run(ctx),
            Self::Plan(c) => c.run(ctx),
            Self::Apply(c) => c.run(ctx),
            Self::Sync(c) => c.run(ctx),
            Self::Pull(c) => c.run(ctx),
            Self::Push(c) => c.run(ctx),
            Self::Watch(c) => c.run(ctx),
            Self::Conflicts(c) => c.run(ctx),
            Self::Resolve(c) => c.run(ctx),
            Self::GitPull(c) => c.run(ctx),
            Self::Merge(c) => c.run(ctx),
            Self::Migrate(c) => c.run(ctx),
            Self::Bundle(c) => c.run(ctx),
            Self::Exec(c) => c.run(ctx),
            Self::Aws(c) => c.run(ctx),
            Self::Serve(c) => c.run(ctx),
            Self::Demo(c) => c.run(ctx),
            Self::Members(c) => c.run(ctx),
            Self::Keyring(c) => c.run(ctx),
            Self::Join(c) => c.run(ctx),
            Self::Trust(c) => c.run(ctx),
            Self::Rekey(c) => c.run(ctx),
            Self::Audit(c) => c.run(ctx),
            Self::Passwd(c) => c.run(ctx),
            Self::Fsck(c) => c.run(ctx),
            Self::Scan(c) => c.run(ctx),
            Self::Doctor(c) => c.run(ctx),
            Self::Gc(c) => c.run(ctx),
            Self::Completions(c) => c.run(ctx),
            Self::Man(c) => c.run(ctx),
            Self::ClearClipboard(c) => c.run(ctx),
            Self::MergeDriver(c) => c.run(ctx),
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
    if ctx.no_commit()? {
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
fn commit(ctx: &Context, mut tx: Transaction<'_>, message: &str) -> Result<(), CommandError> {
    tx.date_changes()?;
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
