use clap::Args;
use serde_json::json;

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::CommandResult;
use crate::cli::show;
use crate::model::{Escaped, Lifecycle, SecretName};

/// Show a secret's versions, labels, tags and state
///
/// Works while the vault is locked. Values are not shown; see get.
#[derive(Debug, Args)]
pub struct Show {
    /// The secret's name
    name: SecretName,
}

impl Show {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        // A deleted secret's history is still worth a look.
        let Some(record) = vault.record(&self.name)? else {
            return Err(ctx.no_secret(&vault, &self.name));
        };
        let sights = vault.sights(|remote| record.base.contains_key(remote))?;
        let verified = sights.verified(&record);
        let facts = show::facts(&vault, &record)?;
        if ctx.ui.json() {
            let mut answer = show::json_of(&record);
            for (remote, at) in &verified {
                answer["Remotes"][remote.as_str()]["Verified"] = json!(at.map(|t| t.to_string()));
            }
            for (remote, base) in &record.base {
                let own = show::own_json(base, facts.get(remote));
                answer["Remotes"][remote.as_str()]["Own"] = own;
            }
            ctx.ui.json_data(&answer)?;
            return DONE;
        }
        let ui = &ctx.ui;
        ui.line(&record.name.to_string())?;
        if record.state.lifecycle != Lifecycle::Live || !record.conflicts.is_empty() {
            ui.line(&format!(
                "  state        {}",
                show::marks(&record).join(", ")
            ))?;
        }
        if let Some(text) = &record.state.attributes.description {
            ui.line(&format!("  description  {}", Escaped(text)))?;
        }
        for (key, value) in &record.state.attributes.tags {
            ui.line(&format!(
                "  tag          {}={}",
                Escaped(key),
                Escaped(value)
            ))?;
        }
        for (remote, base) in &record.base {
            if let Some(pair) = &base.pair {
                ui.line(&format!("  remote       {remote}  {}", Escaped(&pair.arn)))?;
            }
            if let Some(at) = verified.get(remote) {
                let at = at.map_or_else(|| "not known".to_owned(), |t| show::minute(Some(t)));
                ui.line(&format!("  verified     {remote}  {at}"))?;
            }
            for (title, text) in show::own(base, facts.get(remote)) {
                ui.line(&format!("  {title:<11}  {remote}  {}", Escaped(&text)))?;
            }
            for label in base.intents.keys() {
                ui.line(&format!("  not pushed   {remote}  {label}"))?;
            }
            for (field, halves) in &base.own {
                if let Some(here) = &halves.here {
                    let here = match here.as_str() {
                        "" => "none",
                        here => here,
                    };
                    ui.line(&format!(
                        "  not pushed   {remote}  {}: {}",
                        field.title(),
                        Escaped(here)
                    ))?;
                }
            }
        }
        for conflict in &record.conflicts {
            ui.line(&format!("  {}  {conflict}", conflict.id(&record.name)))?;
        }
        let history = record.state.history();
        ui.line(&format!("  versions     {}", history.len()))?;
        for id in history.iter().rev() {
            if let Some(meta) = record.state.versions.get(*id) {
                let line = format!(
                    "    {id}  {}  {:<8}  {}",
                    show::minute(meta.created),
                    show::kind(meta),
                    show::labels(&record, id)
                );
                ui.line(line.trim_end())?;
            }
        }
        DONE
    }
}
