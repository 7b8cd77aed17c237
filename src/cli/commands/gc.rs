use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use super::{DONE, begin, commit};
use crate::cli::context::{Context, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::show::count;
use crate::model::{Escaped, Face, Record, SecretName, Timestamp, VersionId};
use crate::vault::{Durability, Vault};

/// Remove what nothing needs
///
/// Value files that belong to no version, and second files of one version. With
/// --keep or --older-than also versions without any label; never one that a remote
/// has not seen yet, that was agreed on with one, or that a conflict is about. What
/// git has committed stays in its history.
///
/// Example: strongroom gc --keep 5 --older-than 90 --dry-run
#[derive(Debug, Args)]
pub struct Gc {
    /// Keep the newest N unlabelled versions of each secret, and remove the others
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Remove only unlabelled versions made more than DAYS days ago
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u32>,
    /// Say what would be removed, and do nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Files, by path, and versions that nothing needs.
type Unneeded = (Vec<String>, Vec<(SecretName, VersionId)>);

impl Gc {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        if self.dry_run {
            let vault = ctx.open()?;
            let (files, versions) = self.look(&vault)?;
            show(ctx, &files, &versions)?;
            ctx.ui.status("Nothing was removed");
            return DONE;
        }
        let vault = ctx.unlocked()?;
        let (files, versions) = self.look(&vault)?;
        show(ctx, &files, &versions)?;
        if files.is_empty() && versions.is_empty() {
            ctx.ui.status("Nothing to remove");
            return DONE;
        }
        ctx.ui.confirm(&format!(
            "Remove {} and {}?",
            count(files.len(), "file"),
            count(versions.len(), "version")
        ))?;
        let mut tx = begin(ctx, &vault, "gc")?;
        // Looked at again under the lock: nothing may go that was not shown.
        let (still, unneeded) = self.look(&vault)?;
        let names: BTreeSet<&SecretName> = versions.iter().map(|(name, _)| name).collect();
        let mut gone = 0;
        for name in names {
            let Some(mut record) = tx.record(name)? else {
                continue;
            };
            let before = record.state.versions.len();
            record.state.versions.retain(|id, _| {
                let version = (name.clone(), id.clone());
                !(versions.contains(&version) && unneeded.contains(&version))
            });
            gone += before - record.state.versions.len();
            tx.put(record);
        }
        tx.checkpoint(Durability::Bulk)?;
        // The files of the versions that just went are needed by nothing now.
        let report = vault.files()?;
        let known: BTreeSet<&String> = files.iter().filter(|f| still.contains(f)).collect();
        let fresh = |path: &&String| !still.contains(path);
        let orphans = report.orphans.iter();
        let paths: Vec<&String> = orphans.filter(fresh).chain(known).collect();
        for path in &paths {
            tx.collect(path);
        }
        let removed = paths.len();
        commit(
            ctx,
            tx,
            &format!(
                "gc: remove {}, {}",
                count(gone, "version"),
                count(removed, "file")
            ),
        )?;
        ctx.ui.status(&format!(
            "Removed {} and {}",
            count(gone, "version"),
            count(removed, "file")
        ));
        DONE
    }

    /// Files and versions that nothing needs.
    fn look(&self, vault: &Vault) -> Result<Unneeded, CommandError> {
        let report = vault.files()?;
        let mut files = report.orphans;
        files.extend(report.duplicates);
        files.sort();
        let mut versions = Vec::new();
        if self.keep.is_some() || self.older_than.is_some() {
            let before = self
                .older_than
                .map(|days| now().plus_days(-i64::from(days)));
            for record in vault.load()?.records.values() {
                let ids = unneeded(record, self.keep.unwrap_or(0), before);
                versions.extend(ids.into_iter().map(|id| (record.name.clone(), id)));
            }
        }
        Ok((files, versions))
    }
}

/// The versions of a secret that may go: no label, not among the newest `keep` of
/// those, made before `before`. None at all while something waits to be pushed or
/// decided, for then ancestors still decide who has seen what.
fn unneeded(record: &Record, keep: usize, before: Option<Timestamp>) -> Vec<VersionId> {
    let waits = record
        .base
        .values()
        .any(|b| b.pair.is_none() || !b.intents.is_empty() || !b.seen.is_empty());
    if waits || !record.conflicts.is_empty() {
        return Vec::new();
    }
    let labelled = |face: &Face, id: &VersionId| face.labels.values().any(|v| v == id);
    let is_needed = |id: &VersionId| {
        record.state.labels_of(id).next().is_some()
            || record
                .base
                .values()
                .filter_map(|b| b.pair.as_ref())
                .any(|p| labelled(&p.local, id) || labelled(&p.remote, id))
    };
    let history = record.state.history();
    history
        .into_iter()
        .rev()
        .filter(|id| !is_needed(id))
        .skip(keep)
        .filter(|id| {
            let created = record.state.versions.get(*id).and_then(|v| v.created);
            before.is_none_or(|before| created.is_some_and(|at| at < before))
        })
        .cloned()
        .collect()
}

fn show(
    ctx: &Context,
    files: &[String],
    versions: &[(SecretName, VersionId)],
) -> Result<(), CommandError> {
    if ctx.ui.json() {
        let versions: Vec<_> = versions
            .iter()
            .map(|(name, id)| json!({ "Name": name.as_str(), "VersionId": id.as_str() }))
            .collect();
        return ctx
            .ui
            .json_data(&json!({ "Files": files, "Versions": versions }));
    }
    for path in files {
        ctx.ui.line(&format!("file     {}", Escaped(path)))?;
    }
    for (name, id) in versions {
        ctx.ui.line(&format!("version  {name}#{}", id.short()))?;
    }
    Ok(())
}
