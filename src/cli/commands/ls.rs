use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde_json::{Value, json};

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::CommandResult;
use crate::cli::show;
use crate::model::{Escaped, Record, SecretName};
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
        let closed: Vec<(&SecretName, &String)> = loaded
            .closed
            .iter()
            .filter(|(name, _)| name.as_str().starts_with(prefix))
            .collect();
        if ctx.ui.json() {
            let list: Vec<Value> = records.iter().map(|r| show::json_of(r)).collect();
            let closed: Vec<Value> = closed
                .iter()
                .map(|(name, keyring)| json!({ "Name": name.as_str(), "Keyring": keyring }))
                .collect();
            let mut all = json!({ "SecretList": list });
            if !closed.is_empty() {
                all["NoAccess"] = closed.into();
            }
            ctx.ui.json_data(&all)?;
            return DONE;
        }
        let mut lines: BTreeMap<&str, String> = records
            .iter()
            .map(|record| (record.name.as_str(), show::marks(record).join(", ")))
            .collect();
        // The name is all that is known of it.
        lines.extend(closed.iter().map(|(name, keyring)| {
            let mark = format!("no access: keyring {keyring}");
            (name.as_str(), mark)
        }));
        let text = if self.flat {
            flat(&lines)
        } else {
            tree(&lines)
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

fn flat(lines: &BTreeMap<&str, String>) -> String {
    let mut text = String::new();
    for (name, marks) in lines {
        text.push_str(name);
        push_marks(&mut text, marks);
    }
    text
}

/// Folders once, secrets below them; a name may be both.
fn tree(lines: &BTreeMap<&str, String>) -> String {
    let mut text = String::new();
    let mut folders: BTreeSet<&str> = BTreeSet::new();
    for (name, marks) in lines {
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
        push_marks(&mut text, marks);
    }
    text
}

fn push_marks(text: &mut String, marks: &str) {
    if !marks.is_empty() {
        text.push_str(&format!("  [{marks}]"));
    }
    text.push('\n');
}

/// Says how many secrets belong to keyrings that are not open.
pub(super) fn report_closed(ctx: &Context, loaded: &Loaded) {
    for (keyring, n) in count_closed(loaded) {
        ctx.ui.status(&format!(
            "{} in keyring {keyring}: no access, left out",
            show::count(n, "secret")
        ));
    }
}

/// How many secrets there are of each keyring that is not open.
pub(super) fn count_closed(loaded: &Loaded) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for keyring in loaded.closed.values() {
        *counts.entry(keyring.as_str()).or_default() += 1;
    }
    counts
}
