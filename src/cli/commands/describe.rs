use clap::Args;
use serde_json::json;

use super::put::set_attributes;
use super::{DONE, begin, commit, locked_record};
use crate::cli::context::Context;
use crate::cli::error::CommandResult;
use crate::model::{Escaped, Record, SecretName};

/// Show or set a secret's description
///
/// A description is not encrypted: the git host and AWS see it. An empty TEXT removes
/// it. Without TEXT it works while the vault is locked.
///
/// Example: strongroom describe prod/db "the orders database"
#[derive(Debug, Args)]
pub struct Describe {
    /// The secret's name
    name: SecretName,
    /// The new description
    text: Option<String>,
}

impl Describe {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let Some(text) = self.text else {
            let vault = ctx.open()?;
            return print(ctx, &ctx.record(&vault, &self.name)?);
        };
        let vault = ctx.unlocked()?;
        let mut tx = begin(ctx, &vault, "describe")?;
        let mut record = locked_record(ctx, &vault, &tx, &self.name)?;
        let before = record.state.attributes.clone();
        let mut to = before.clone();
        to.description = Some(text).filter(|t| !t.is_empty());
        set_attributes(&mut record, to)?;
        if record.state.attributes == before {
            ctx.ui
                .status(&format!("{} has this description already", self.name));
        } else {
            tx.put(record.clone());
            commit(ctx, tx, &format!("describe {}", self.name))?;
            let what = match record.state.attributes.description {
                Some(_) => "Described",
                None => "Removed the description of",
            };
            ctx.ui.status(&format!("{what} {}", self.name));
        }
        if ctx.ui.json() {
            return print(ctx, &record);
        }
        DONE
    }
}

fn print(ctx: &Context, record: &Record) -> CommandResult {
    let description = &record.state.attributes.description;
    if ctx.ui.json() {
        ctx.ui.json_data(&json!({
            "Name": record.name.as_str(),
            "Description": description,
        }))?;
        return DONE;
    }
    match description {
        Some(text) => ctx.ui.line(&Escaped(text).to_string())?,
        None => ctx
            .ui
            .status(&format!("{} has no description", record.name)),
    }
    DONE
}
