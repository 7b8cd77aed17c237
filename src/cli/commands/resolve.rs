mod merge;
mod twins;

use std::collections::BTreeMap;

use clap::Args;

use super::{DONE, begin, commit, locked_record};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::model::{Conflict, Field, KeyPath, Pick, RemoteName, SecretName, find_prefix};
use crate::plan::{Choice, ResolveError, resolve};

/// Decide a conflict
///
/// Needs no network: it is noted in the vault, and the next sync carries it out, if
/// the remote still is as it was. The version that loses stays in the vault under an
/// sr/lost/ label.
///
/// With --merge, values that are JSON objects are merged by key: what one side alone
/// changed since the common version is taken from it; whatever both changed is asked
/// about, or said with --ours-for and --theirs-for. The result is a new version.
///
/// One version id with two contents is decided with --ours or --theirs alone. Neither
/// content is changed or lost: what wins goes on under an id of its own.
///
/// Example: strongroom resolve prod/db --ours
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("choice").required(true)))]
pub struct Resolve {
    /// The secret's name
    name: SecretName,
    /// Keep what is here, and push it
    #[arg(long, group = "choice")]
    ours: bool,
    /// Take what is there
    #[arg(long, group = "choice")]
    theirs: bool,
    /// Make another version the answer on both sides
    #[arg(long, value_name = "VERSION", group = "choice")]
    to: Option<String>,
    /// Make a new version of both, by the keys of two JSON objects
    #[arg(long, group = "choice")]
    merge: bool,
    /// With --merge: this key is right here (can be repeated; /A/B is B in A)
    #[arg(long, value_name = "KEY", requires = "merge")]
    ours_for: Vec<KeyPath>,
    /// With --merge: this key is right there (can be repeated)
    #[arg(long, value_name = "KEY", requires = "merge")]
    theirs_for: Vec<KeyPath>,
    /// Only the conflict with this id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Only conflicts with this remote
    #[arg(long, value_name = "REMOTE")]
    remote: Option<RemoteName>,
}

impl Resolve {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        // clap waives what one choice requires where another choice is made.
        if !(self.merge || self.ours_for.is_empty() && self.theirs_for.is_empty()) {
            return Err(CommandError::usage(
                "--ours-for and --theirs-for go with --merge only",
            ));
        }
        let vault = ctx.unlocked()?;
        let asked = |c: &Conflict| {
            self.remote.as_ref().is_none_or(|r| *r == c.remote)
                && self
                    .id
                    .as_ref()
                    .is_none_or(|id| c.id(&self.name).starts_with(id))
        };
        let merged = match self.merge {
            true => {
                let record = ctx.record(&vault, &self.name)?;
                let made = merge::merge(ctx, &vault, &record, asked, self.picks()?)?;
                Some((record, made))
            }
            false => None,
        };
        let mut tx = begin(ctx, &vault, "resolve")?;
        let mut record = locked_record(ctx, &vault, &tx, &self.name)?;
        let one = merged.as_ref().map(|(_, made)| made.conflict.clone());
        let choice = match merged {
            Some((then, _)) if then != record => return Err(ResolveError::Stale.into()),
            Some((_, made)) => made.store(ctx, &mut tx, &mut record, &ctx.stamp()?)?,
            None => match &self.to {
                Some(prefix) => Choice::To(find_prefix(&self.name, &record.state, prefix)?.clone()),
                None if self.ours => Choice::Ours,
                None => Choice::Theirs,
            },
        };
        // A merge is the answer to the one conflict whose values it merged.
        let chosen = |c: &Conflict| one.as_ref().map_or_else(|| asked(c), |one| one == c);
        let (mut wanted, kept): (Vec<Conflict>, Vec<Conflict>) =
            record.conflicts.drain(..).partition(chosen);
        if wanted.is_empty() {
            return Err(
                CommandError::not_found(format!("{} has no such conflict", self.name))
                    .hint("see what there is with: strongroom conflicts"),
            );
        }
        record.conflicts = kept;
        // A choice about AWSCURRENT alone does not answer one about a tag.
        if matches!(choice, Choice::To(_)) {
            let (labels, rest): (Vec<Conflict>, Vec<Conflict>) = wanted
                .into_iter()
                .partition(|c| matches!(c.field, Field::Label(_)));
            record.conflicts.extend(rest);
            record.conflicts.sort();
            wanted = labels;
        }
        let mut lost = Vec::new();
        let mut explained = Vec::new();
        for conflict in &wanted {
            let twins = twins::before(&vault, &mut tx, &mut record, conflict, &choice)?;
            let done = resolve(&mut record, conflict, &choice)?;
            lost.extend(done.kept);
            explained.extend(twins.map(|t| t.explain(conflict, &choice)));
        }
        tx.put(record);
        commit(ctx, tx, &format!("resolve {}", self.name))?;
        for conflict in &wanted {
            let side = match &choice {
                Choice::Ours => "ours".to_owned(),
                Choice::Theirs if conflict.is_between_clones() => "the other clone's".to_owned(),
                Choice::Theirs => format!("that of {}", conflict.remote),
                Choice::To(id) => format!("version {}", id.short()),
            };
            ctx.ui
                .status(&format!("{} of {}: {side}", conflict.field, self.name));
        }
        for text in explained {
            ctx.ui.status(&text);
        }
        for (label, id) in lost {
            ctx.ui
                .status(&format!("Version {} is kept under {label}", id.short()));
        }
        // A vault without remotes has nothing to sync, and its other clones still ask.
        ctx.ui.hint(match vault.config().remotes.is_empty() {
            false => "carry it out with: strongroom sync",
            true => "tell the other clones with: git push",
        });
        DONE
    }

    /// Whose value each key named gets.
    fn picks(&self) -> Result<BTreeMap<KeyPath, Pick>, CommandError> {
        let mut picks = BTreeMap::new();
        let ours = self.ours_for.iter().map(|k| (k, Pick::Ours));
        let theirs = self.theirs_for.iter().map(|k| (k, Pick::Theirs));
        for (key, pick) in ours.chain(theirs) {
            if picks
                .insert(key.clone(), pick)
                .is_some_and(|was| was != pick)
            {
                return Err(CommandError::usage(format!("{key} is given to both sides")));
            }
        }
        Ok(picks)
    }
}
