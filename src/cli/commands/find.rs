use clap::Args;
use serde_json::{Value, json};

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::CommandResult;
use crate::cli::show;
use crate::model::{Escaped, Lifecycle, Record};

/// Find secrets by name, tag or description
///
/// Works while the vault is locked; values are not searched. Upper and lower case
/// count as the same.
///
/// Example: strongroom find mail --tag team=ops
#[derive(Debug, Args)]
pub struct Find {
    /// A part of a name, a tag or a description
    text: Option<String>,
    /// Only secrets with this tag (can be repeated)
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    tag: Vec<String>,
    /// Look among deleted secrets too
    #[arg(short, long)]
    all: bool,
}

impl Find {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        let loaded = vault.load()?;
        super::ls::report_blocked(ctx, &loaded);
        let text = self.text.as_deref().unwrap_or("").to_lowercase();
        let found: Vec<(&Record, Vec<String>)> = loaded
            .records
            .values()
            .filter(|r| self.all || r.state.lifecycle != Lifecycle::Tombstone)
            .filter(|r| self.tag.iter().all(|tag| has_tag(r, tag)))
            .filter_map(|r| Some((r, places(r, &text)?)))
            .collect();
        if ctx.ui.json() {
            let list: Vec<Value> = found.iter().map(|(r, _)| show::json_of(r)).collect();
            ctx.ui.json_data(&json!({ "SecretList": list }))?;
            return DONE;
        }
        for (record, places) in &found {
            let marks = show::marks(record);
            let marks = match marks.is_empty() {
                true => String::new(),
                false => format!("  [{}]", marks.join(", ")),
            };
            ctx.ui.line(&format!("{}{marks}", record.name))?;
            for place in places {
                ctx.ui.line(&format!("  {place}"))?;
            }
        }
        if found.is_empty() {
            ctx.ui.status("Nothing found");
        }
        DONE
    }
}

/// Whether the secret has a tag, written as a key or as `KEY=VALUE`.
fn has_tag(record: &Record, wanted: &str) -> bool {
    let tags = &record.state.attributes.tags;
    // A key may hold a `=` itself.
    tags.contains_key(wanted)
        || tags
            .iter()
            .any(|(key, value)| wanted == format!("{key}={value}"))
}

/// Where the text occurs beside the name; `None` if nowhere at all.
fn places(record: &Record, text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let has = |hay: &str| hay.to_lowercase().contains(text);
    let attributes = &record.state.attributes;
    let mut places: Vec<String> = attributes
        .tags
        .iter()
        .filter(|(key, value)| has(key) || has(value))
        .map(|(key, value)| format!("tag {}={}", Escaped(key), Escaped(value)))
        .collect();
    let described = attributes.description.as_ref().filter(|d| has(d));
    places.extend(described.map(|d| format!("description {}", Escaped(d))));
    (has(record.name.as_str()) || !places.is_empty()).then_some(places)
}
