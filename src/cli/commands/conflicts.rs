use clap::Args;
use serde_json::{Value, json};

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::CommandResult;

/// List what waits for a decision
///
/// Works while the vault is locked and without a network.
#[derive(Debug, Args)]
pub struct Conflicts {
    /// Only names that begin so
    prefix: Option<String>,
}

impl Conflicts {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        let loaded = vault.load()?;
        let prefix = self.prefix.as_deref().unwrap_or("");
        let all = loaded
            .records
            .values()
            .filter(|r| r.name.as_str().starts_with(prefix))
            .flat_map(|r| r.conflicts.iter().map(move |c| (&r.name, c)));
        if ctx.ui.json() {
            let list: Vec<Value> = all
                .map(|(name, c)| {
                    json!({
                        "Id": c.id(name),
                        "Name": name.as_str(),
                        "Remote": c.remote.as_str(),
                        "Field": c.field.to_string(),
                        "Class": c.class.as_str(),
                        "Base": c.base,
                        "Ours": c.ours,
                        "Theirs": c.theirs,
                    })
                })
                .collect();
            ctx.ui.json_data(&json!({ "Conflicts": list }))?;
            return DONE;
        }
        let mut any = false;
        for (name, conflict) in all {
            any = true;
            ctx.ui
                .line(&format!("{name}  {}  {conflict}", conflict.id(name)))?;
        }
        if any {
            ctx.ui.hint("compare with: strongroom diff NAME NAME#THERE; decide with: strongroom resolve NAME --ours (or --theirs, --merge, --to VERSION)");
        } else {
            ctx.ui.status("No conflicts");
        }
        DONE
    }
}
