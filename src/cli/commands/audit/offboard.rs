use clap::Args;
use serde_json::json;

use crate::cli::commands::DONE;
use crate::cli::context::Context;
use crate::cli::error::CommandResult;
use crate::cli::exit::Exit;
use crate::cli::show::{count, minute};
use crate::model::Escaped;

/// See what removed members could read and has not been rotated since
///
/// A secret is done when its AWSCURRENT is a version that was made after the removal, or
/// when it is deleted.
///
/// Ends with 12 while something is left.
#[derive(Debug, Args)]
pub struct Offboard {}

impl Offboard {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let loaded = vault.load()?;
        let removals = vault.offboardings(&loaded)?;
        let open: usize = removals.iter().map(|r| r.open.len()).sum();
        if ctx.ui.json() {
            let removals: Vec<_> = removals
                .iter()
                .map(|removal| {
                    let secrets = removal.open.iter().map(|(name, id)| {
                        json!({ "Name": name.as_str(), "VersionId": id.as_ref().map(|id| id.as_str()) })
                    });
                    json!({
                        "Members": removal.members,
                        "Removed": removal.removed.to_string(),
                        "Epoch": removal.epoch,
                        "Open": secrets.collect::<Vec<_>>(),
                        "Closed": removal.closed,
                    })
                })
                .collect();
            ctx.ui
                .json_data(&json!({ "Removals": removals, "Open": open }))?;
        } else {
            for removal in &removals {
                let who: Vec<String> = removal
                    .members
                    .iter()
                    .map(|m| Escaped(m).to_string())
                    .collect();
                ctx.ui.line(&format!(
                    "{}, removed {}: {} to rotate, {} done",
                    who.join(", "),
                    minute(Some(removal.removed)),
                    count(removal.open.len(), "secret"),
                    removal.closed
                ))?;
                for (name, id) in &removal.open {
                    match id {
                        Some(id) => ctx.ui.line(&format!("  {name}#{}", id.short()))?,
                        None => ctx.ui.line(&format!("  {name}"))?,
                    }
                }
            }
            if removals.is_empty() {
                ctx.ui.status("Nobody was removed");
            }
        }
        if open > 0 {
            ctx.ui
                .hint("rotate one with: strongroom generate NAME, or strongroom put NAME");
            return Ok(Exit::Findings);
        }
        DONE
    }
}
