use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::DONE;
use crate::cli::context::{Context, now};
use crate::cli::error::CommandResult;
use crate::cli::show::count;
use crate::model::RemoteName;
use crate::plan::Side;
use crate::sync::{policy_of, prepare};

/// Say where the vault stands against its remotes, without a network
///
/// Compares the vault with what each remote showed when it was last asked.
#[derive(Debug, Args)]
pub struct Status {
    /// The remotes; all if left out
    #[arg(value_name = "REMOTE")]
    remotes: Vec<RemoteName>,
}

impl Status {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        let config = vault.config();
        let names: Vec<RemoteName> = if self.remotes.is_empty() {
            config.remotes.keys().cloned().collect()
        } else {
            ctx.remotes(&vault, &self.remotes)?
        };
        let loaded = vault.load()?;
        let live = loaded
            .records
            .values()
            .filter(|r| r.state.lifecycle.is_live())
            .count();
        let conflicts: usize = loaded.records.values().map(|r| r.conflicts.len()).sum();
        super::ls::report_blocked(ctx, &loaded);
        let mut remotes: Vec<Value> = Vec::new();
        let mut lines = Vec::new();
        for name in &names {
            let Some(fetched) = vault.load_view(name)? else {
                lines.push(format!("{name}: never asked; run: strongroom fetch {name}"));
                remotes.push(json!({ "Name": name.as_str(), "Fetched": Value::Null }));
                continue;
            };
            let views = BTreeMap::from([(name.clone(), fetched.view)]);
            let prepared = prepare(&vault, views, &policy_of(&vault, None))?;
            let count = |local: bool| {
                prepared
                    .plan
                    .secrets
                    .values()
                    .filter(|s| s.conflicts.is_empty())
                    .filter(|s| s.actions.iter().any(|a| (a.on == Side::Local) == local))
                    .count()
            };
            let (pull, push) = (count(true), count(false));
            let open = prepared
                .plan
                .secrets
                .values()
                .filter(|s| !s.conflicts.is_empty())
                .count();
            let age = age(now().millis() - fetched.at.millis());
            let text = if prepared.plan.is_quiet() {
                format!("{name}: in step, as of {age}")
            } else {
                format!("{name}: {push} to push, {pull} to pull, {open} in conflict, as of {age}")
            };
            lines.push(text);
            remotes.push(json!({
                "Name": name.as_str(),
                "Fetched": fetched.at.to_string(),
                "ToPush": push,
                "ToPull": pull,
                "InConflict": open,
            }));
        }
        if ctx.ui.json() {
            ctx.ui.json_data(&json!({
                "Vault": vault.root().display().to_string(),
                "Secrets": live,
                "Conflicts": conflicts,
                "Blocked": loaded.blocked,
                "Verified": loaded.verified,
                "Remotes": remotes,
            }))?;
            return DONE;
        }
        ctx.ui.line(&format!(
            "vault: {}, {}",
            vault.root().display(),
            count(live, "secret")
        ))?;
        for line in lines {
            ctx.ui.line(&line)?;
        }
        if names.is_empty() {
            ctx.ui
                .hint("add a remote with: strongroom remote add NAME --region REGION");
        }
        if conflicts > 0 {
            ctx.ui.line(&format!(
                "{} to decide; see: strongroom conflicts",
                count(conflicts, "conflict")
            ))?;
        }
        DONE
    }
}

fn age(millis: i64) -> String {
    match millis / 60_000 {
        ..1 => "just now".to_owned(),
        m @ 1..60 => format!("{m} min ago"),
        m @ 60..2880 => format!("{} h ago", m / 60),
        m => format!("{} days ago", m / 1440),
    }
}
