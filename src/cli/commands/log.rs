use clap::Args;
use serde_json::json;

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::CommandResult;
use crate::cli::show;
use crate::model::{Origin, SecretName, VersionId};

/// Show a secret's history, newest version first
///
/// Works while the vault is locked. Each line has the version's id, when it was
/// made, its labels, the version it was made from, and where it was first seen.
///
/// Example: strongroom log prod/db -n 5
#[derive(Debug, Args)]
pub struct Log {
    /// The secret's name
    name: SecretName,
    /// Only this many versions
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
}

impl Log {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        // A deleted secret keeps its history.
        let Some(record) = vault.record(&self.name)? else {
            return Err(ctx.no_secret(&vault, &self.name));
        };
        let limit = self.limit.unwrap_or(usize::MAX);
        if ctx.ui.json() {
            let mut all = show::json_of(&record);
            let versions: Vec<_> = match all.get_mut("Versions").and_then(|v| v.as_array_mut()) {
                Some(list) => list.drain(..).rev().take(limit).collect(),
                None => Vec::new(),
            };
            ctx.ui.json_data(&json!({
                "Name": record.name.as_str(),
                "Versions": versions,
            }))?;
            return DONE;
        }
        for id in record.state.history().into_iter().rev().take(limit) {
            let Some(meta) = record.state.versions.get(id) else {
                continue;
            };
            let labels = show::labels(&record, id);
            let from = meta.parent.as_ref().map(VersionId::short);
            let origin = match &meta.origin {
                Origin::Local => "here".to_owned(),
                Origin::Remote(name) => name.to_string(),
            };
            ctx.ui
                .line(&format!("{id}  {}  {labels}", show::minute(meta.created)))?;
            ctx.ui.line(&format!(
                "    {}, made from {}, first seen {}",
                show::kind(meta),
                from.as_deref().unwrap_or("nothing"),
                if meta.origin == Origin::Local {
                    origin
                } else {
                    format!("on {origin}")
                },
            ))?;
        }
        DONE
    }
}
