use std::collections::BTreeMap;

use clap::Args;

use super::put::NewVersion;
use super::{DONE, begin, commit, edit};
use crate::cli::context::{Context, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::model::{
    Change, Content, Lifecycle, Origin, Record, SecretName, SecretState, VersionId,
};
use crate::vault::{Transaction, Vault};

/// Copy a secret to a new name
///
/// The AWSCURRENT value becomes the first version of the new secret; description and
/// tags come along. A value is encrypted for one name, so it is encrypted anew.
///
/// Example: strongroom cp prod/db stage/db
#[derive(Debug, Args)]
pub struct Cp {
    /// The secret to copy
    from: SecretName,
    /// The new name
    to: SecretName,
    /// Copy every labelled version, with its id and its labels
    #[arg(long)]
    history: bool,
}

impl Cp {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let mut tx = begin(ctx, &vault, "cp")?;
        let source = live(ctx, &vault, &tx, &self.from)?;
        must_be_free(&tx, &self.to)?;
        if self.history {
            let copied = copy_versions(&vault, &mut tx, &source, &self.to, Which::Labelled)?;
            commit(ctx, tx, &format!("cp {} {}", self.from, self.to))?;
            ctx.ui.status(&format!(
                "Copied {} to {} with {}",
                self.from,
                self.to,
                count(copied, "version")
            ));
            return DONE;
        }
        let Some(current) = source.state.current() else {
            return Err(CommandError::not_found(format!(
                "{} has no AWSCURRENT version to copy",
                self.from
            )));
        };
        let value = vault.read(&source, current)?;
        let attributes = &source.state.attributes;
        let tags: Vec<(String, String)> = attributes.tags.clone().into_iter().collect();
        let stamp = ctx.stamp()?;
        let new = NewVersion {
            name: &self.to,
            value: &value,
            labels: &[],
            description: attributes.description.as_deref(),
            tags: &tags,
            stamp: &stamp,
        };
        new.store(&vault, &mut tx)?;
        commit(ctx, tx, &format!("cp {} {}", self.from, self.to))?;
        ctx.ui.status(&format!(
            "Copied {} to {} as version {}",
            self.from,
            self.to,
            stamp.id.short()
        ));
        DONE
    }
}

/// Move a secret to a new name
///
/// A name never changes in AWS: a new secret is made with every version, label and
/// tag of the old one, and the old one is scheduled for deletion. Until its window
/// ends, restore brings it back.
///
/// Example: strongroom mv db prod/db
#[derive(Debug, Args)]
pub struct Mv {
    /// The secret to move
    from: SecretName,
    /// The new name
    to: SecretName,
}

impl Mv {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let mut tx = begin(ctx, &vault, "mv")?;
        let mut source = live(ctx, &vault, &tx, &self.from)?;
        must_be_free(&tx, &self.to)?;
        if !source.conflicts.is_empty() {
            return Err(CommandError::new(
                Exit::Conflict,
                format!("{} has a conflict that waits for a decision", self.from),
            )
            .hint(format!(
                "decide it first: strongroom resolve {} --ours (or --theirs)",
                self.from
            )));
        }
        let copied = copy_versions(&vault, &mut tx, &source, &self.to, Which::All)?;
        let days = vault.config().recovery_window;
        let date = now().plus_days(i64::from(days));
        edit(&mut source, &Change::Delete { date: Some(date) })?;
        tx.put(source);
        commit(ctx, tx, &format!("mv {} {}", self.from, self.to))?;
        ctx.ui.status(&format!(
            "{} is now {}, with {}",
            self.from,
            self.to,
            count(copied, "version")
        ));
        ctx.ui.status(&format!(
            "AWS cannot rename a secret: {} is scheduled for deletion on {}",
            self.from,
            crate::cli::show::minute(Some(date))
        ));
        DONE
    }
}

/// The source of a copy: a secret in use.
fn live(
    ctx: &Context,
    vault: &Vault,
    tx: &Transaction<'_>,
    name: &SecretName,
) -> Result<Record, CommandError> {
    let record = super::locked_record(ctx, vault, tx, name)?;
    match record.state.lifecycle {
        Lifecycle::Live => Ok(record),
        Lifecycle::Scheduled { .. } => Err(CommandError::new(
            Exit::Guard,
            format!("{name} is scheduled for deletion"),
        )
        .hint(format!("bring it back first: strongroom restore {name}"))),
        Lifecycle::Tombstone => Err(CommandError::not_found(format!("{name} was deleted"))
            .hint(format!("bring it back first: strongroom restore {name}"))),
    }
}

/// Refuses a name that is taken, be it by the history of a deleted secret.
fn must_be_free(tx: &Transaction<'_>, name: &SecretName) -> Result<(), CommandError> {
    let Some(record) = tx.record(name)? else {
        return Ok(());
    };
    let (what, hint) = match record.state.lifecycle {
        Lifecycle::Live => (
            "exists already",
            format!("to give it another value: strongroom put {name}"),
        ),
        Lifecycle::Scheduled { .. } | Lifecycle::Tombstone => (
            "was deleted, and its history is kept under that name",
            format!("choose another name, or bring it back: strongroom restore {name}"),
        ),
    };
    Err(CommandError::new(Exit::Guard, format!("{name} {what}")).hint(hint))
}

/// Which versions are copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// Those with a label that means something on a new secret.
    Labelled,
    /// All that have a value.
    All,
}

/// Makes `to` from the versions of `source`, ids kept, values encrypted anew. Says
/// how many there are. A version without a value stays behind, and so does the label
/// under which a push parks its version.
fn copy_versions(
    vault: &Vault,
    tx: &mut Transaction<'_>,
    source: &Record,
    to: &SecretName,
    which: Which,
) -> Result<usize, CommandError> {
    let state = &source.state;
    let keep = |label: &crate::model::StagingLabel| match which {
        Which::All => !label.is_holding(),
        Which::Labelled => !label.is_reserved(),
    };
    let has_value = |id: &VersionId| state.versions.get(id).is_some_and(|meta| meta.has_value());
    let labels: BTreeMap<_, _> = state
        .labels
        .iter()
        .filter(|(label, id)| keep(label) && has_value(id))
        .map(|(label, id)| (label.clone(), id.clone()))
        .collect();
    let is_copied =
        |id: &VersionId| has_value(id) && (which == Which::All || labels.values().any(|v| v == id));
    let mut versions = BTreeMap::new();
    for (id, meta) in state.versions.iter().filter(|(id, _)| is_copied(id)) {
        let value = vault.read(source, id)?;
        let mut meta = meta.clone();
        // The other name may be under other keys.
        meta.content = Content::Value {
            kind: value.kind(),
            digest: tx.add_value(to, id, &value, meta.created)?,
        };
        meta.parent = meta.parent.filter(|parent| is_copied(parent));
        // No remote has shown this version under this name.
        meta.origin = Origin::Local;
        versions.insert(id.clone(), meta);
    }
    if versions.is_empty() {
        return Err(CommandError::not_found(format!(
            "{} has no version with a value to copy",
            source.name
        )));
    }
    let copied = versions.len();
    let mut record = Record::new(to.clone());
    record.state = SecretState {
        attributes: state.attributes.clone(),
        versions,
        labels,
        lifecycle: Lifecycle::Live,
    };
    tx.put(record);
    Ok(copied)
}
