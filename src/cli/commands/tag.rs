use clap::Args;
use serde_json::{Value, json};

use super::put::{parse_tags, set_attributes};
use super::{DONE, begin, commit, locked_record};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::model::{Escaped, Record, SecretName};

/// Show, set or remove a secret's tags
///
/// Tags are not encrypted: the git host and AWS see them. Without changes to make it
/// works while the vault is locked.
///
/// Example: strongroom tag prod/db team=ops --remove owner
#[derive(Debug, Args)]
pub struct Tag {
    /// The secret's name
    name: SecretName,
    /// Tags to set
    #[arg(value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Remove the tag with this key (can be repeated)
    #[arg(short, long, value_name = "KEY")]
    remove: Vec<String>,
}

impl Tag {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        if self.set.is_empty() && self.remove.is_empty() {
            let vault = ctx.open()?;
            return print(ctx, &ctx.record(&vault, &self.name)?);
        }
        let set = parse_tags(&self.set)?;
        let vault = ctx.unlocked()?;
        let mut tx = begin(ctx, &vault, "tag")?;
        let mut record = locked_record(ctx, &vault, &tx, &self.name)?;
        let before = record.state.attributes.clone();
        let mut to = before.clone();
        for key in &self.remove {
            if to.tags.remove(key).is_none() {
                return Err(CommandError::not_found(format!(
                    "{} has no tag {}",
                    self.name,
                    Escaped(key)
                ))
                .hint(format!("see its tags with: strongroom tag {}", self.name)));
            }
        }
        to.tags.extend(set.iter().cloned());
        set_attributes(&mut record, to)?;
        if record.state.attributes == before {
            ctx.ui
                .status(&format!("{} has these tags already", self.name));
        } else {
            let removed = self.remove.iter().map(|key| format!("-{key}"));
            let keys: Vec<String> = set
                .iter()
                .map(|(key, _)| key.clone())
                .chain(removed)
                .collect();
            let keys = keys.join(" ");
            tx.put(record.clone());
            commit(ctx, tx, &format!("tag {}: {}", self.name, Escaped(&keys)))?;
            ctx.ui.status(&format!("Tagged {}", self.name));
        }
        if ctx.ui.json() {
            return print(ctx, &record);
        }
        DONE
    }
}

fn print(ctx: &Context, record: &Record) -> CommandResult {
    let tags = &record.state.attributes.tags;
    if ctx.ui.json() {
        let list: Vec<Value> = tags
            .iter()
            .map(|(k, v)| json!({ "Key": k, "Value": v }))
            .collect();
        ctx.ui
            .json_data(&json!({ "Name": record.name.as_str(), "Tags": list }))?;
        return DONE;
    }
    for (key, value) in tags {
        ctx.ui
            .line(&format!("{}={}", Escaped(key), Escaped(value)))?;
    }
    if tags.is_empty() {
        ctx.ui.status(&format!("{} has no tags", record.name));
    }
    DONE
}
