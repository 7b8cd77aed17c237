use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::CommandResult;
use crate::cli::show;
use crate::model::{Escaped, Record};
use crate::vault::Loaded;

/// List secrets
///
/// Works while the vault is locked.
///
/// Example: strongroom ls prod/
#[derive(Debug, Args)]
pub struct Ls {
    /// Only names that begin so
    prefix: Option<String>,
    /// One whole name a line instead of a tree
    #[arg(short, long)]
    flat: bool,
    /// Show deleted secrets too
    #[arg(short, long)]
    all: bool,
}

impl Ls {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        let loaded = vault.glance()?;
        let prefix = self.prefix.as_deref().unwrap_or("");
        let records: Vec<&Record> = loaded
            .records
            .values()
            .filter(|r| r.name.as_str().starts_with(prefix))
            .filter(|r| self.all || r.state.lifecycle.is_live())
            .collect();
        report_blocked(ctx, &loaded);
        if ctx.ui.json() {
            let list: Vec<Value> = records.iter().map(|r| show::json_of(r)).collect();
            ctx.ui.json_data(&json!({ "SecretList": list }))?;
            return DONE;
        }
        let text = if self.flat {
            flat(&records)
        } else {
            tree(&records)
        };
        ctx.ui.data(text.as_bytes())?;
        DONE
    }
}

/// Says which secrets cannot be vouched for.
pub(super) fn report_blocked(ctx: &Context, loaded: &Loaded) {
    for (title, reason) in &loaded.blocked {
        ctx.ui
            .warn(&format!("{}: blocked: {}", Escaped(title), Escaped(reason)));
    }
}

fn flat(records: &[&Record]) -> String {
    let mut text = String::new();
    for record in records {
        text.push_str(record.name.as_str());
        push_marks(&mut text, record);
    }
    text
}

/// Folders once, secrets below them; a name may be both.
fn tree(records: &[&Record]) -> String {
    let mut text = String::new();
    let mut folders: BTreeSet<&str> = BTreeSet::new();
    for record in records {
        let name = record.name.as_str();
        let ends = name.match_indices('/').map(|(at, _)| at);
        let mut start = 0;
        let mut depth = 0;
        for end in ends {
            if let Some(folder) = name.get(..=end)
                && folders.insert(folder)
            {
                text.push_str(&"  ".repeat(depth));
                text.push_str(name.get(start..=end).unwrap_or(""));
                text.push('\n');
            }
            start = end + 1;
            depth += 1;
        }
        text.push_str(&"  ".repeat(depth));
        text.push_str(name.get(start..).unwrap_or(""));
        push_marks(&mut text, record);
    }
    text
}

fn push_marks(text: &mut String, record: &Record) {
    let marks = show::marks(record);
    if !marks.is_empty() {
        text.push_str(&format!("  [{}]", marks.join(", ")));
    }
    text.push('\n');
}
