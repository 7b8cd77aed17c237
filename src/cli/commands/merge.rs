use clap::Args;
use serde_json::json;

use crate::cli::context::{Context, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::vault::{Committed, Markers, MergeReport, Merged, Vault};

/// Merge what git could not, or merged wrongly
///
/// After a git merge, pull, rebase, cherry-pick or revert that left files of the vault
/// unmerged: verifies both sides of each, makes one of them, and stages it. What both
/// sides changed is kept as it is here and becomes a conflict for resolve; nothing is
/// asked. Value files that git dropped although metadata lists them are brought back,
/// also after a merge that seemed to go well.
///
/// Ends with 4 if something waits for a person, with 7 if a side is not believed.
#[derive(Debug, Args)]
pub struct Merge {}

impl Merge {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let markers = Markers::clear(&ctx.vault_dir()?)?;
        let merged = ctx.unlocked().and_then(|vault| {
            let report = merge(ctx, &vault)?;
            Ok((vault, report))
        });
        markers.put_back(merged.as_ref().ok().map(|(_, report)| report))?;
        let (_, report) = merged?;
        if ctx.ui.json() {
            ctx.ui.json_data(&as_json(&report))?;
        }
        say(ctx, &report);
        if report.waits && report.is_whole() {
            ctx.ui.hint("all is staged; conclude it with: git commit");
        }
        Ok(exit(&report))
    }
}

/// Merges, with the person's identity where that is needed.
pub(super) fn merge(ctx: &Context, vault: &Vault) -> Result<MergeReport, CommandError> {
    let first = vault.merge_git(now(), None)?;
    if !first.open.keys().any(|path| path.starts_with("keys/")) {
        return Ok(first);
    }
    let identity = ctx.identity_for(vault)?;
    let mut second = vault.merge_git(now(), Some(identity.member()))?;
    second.secrets.extend(first.secrets);
    second.restored.extend(first.restored);
    second.files.extend(first.files);
    Ok(second)
}

/// Says what was done, a line for each.
pub(super) fn say(ctx: &Context, report: &MergeReport) {
    let mut conflicts = 0;
    for (name, merged) in &report.secrets {
        match merged {
            Merged::United(new) => {
                ctx.ui.status(&format!("Merged {name}"));
                for conflict in new {
                    ctx.ui.status(&format!("  {conflict}"));
                }
                conflicts += new.len();
            }
            Merged::Kept => ctx.ui.status(&format!(
                "Kept {name}: one side has no such file any more; strongroom rm it if that is right"
            )),
        }
    }
    for (name, id) in &report.restored {
        let id = id.short();
        ctx.ui
            .status(&format!("Brought back the file of version {id} of {name}"));
    }
    for path in &report.files {
        ctx.ui.status(&format!("Merged {path}"));
    }
    for (what, why) in report.refused.iter().chain(&report.open) {
        ctx.ui.warn(&format!("not merged: {what}: {why}"));
    }
    for path in &report.foreign {
        let path = crate::model::Escaped(path);
        ctx.ui
            .warn(&format!("not merged, and not the vault's: {path}"));
    }
    if let Some(Committed::Left(reason)) = &report.git {
        ctx.ui
            .warn(&format!("written, but not committed to git: {reason}"));
    }
    if report.secrets.is_empty() && report.restored.is_empty() && report.files.is_empty() {
        ctx.ui.status("Nothing to merge");
    }
    if conflicts > 0 {
        ctx.ui.hint(&format!(
            "{} to decide: strongroom resolve NAME --ours (or --theirs, --merge, --to VERSION)",
            count(conflicts, "conflict")
        ));
    }
}

pub(super) fn as_json(report: &MergeReport) -> serde_json::Value {
    let secrets = report.secrets.iter().map(|(name, merged)| {
        let conflicts: Vec<String> = match merged {
            Merged::United(new) => new.iter().map(|c| c.id(name)).collect(),
            Merged::Kept => Vec::new(),
        };
        json!({ "Name": name.as_str(), "Conflicts": conflicts })
    });
    let restored = report.restored.iter();
    json!({
        "Secrets": secrets.collect::<Vec<_>>(),
        "Restored": restored
            .map(|(name, id)| json!({ "Name": name.as_str(), "VersionId": id.as_str() }))
            .collect::<Vec<_>>(),
        "Files": report.files,
        "Refused": report.refused,
        "Open": report.open,
        "NotOurs": report.foreign,
        "Waits": report.waits,
    })
}

pub(super) fn exit(report: &MergeReport) -> Exit {
    let divided = |merged: &Merged| matches!(merged, Merged::United(new) if !new.is_empty());
    if !report.refused.is_empty() {
        Exit::Integrity
    } else if !report.is_whole() || report.secrets.values().any(divided) {
        Exit::Conflict
    } else {
        Exit::Ok
    }
}
