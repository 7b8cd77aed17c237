use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Map, Value, json};

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::model::{Escaped, Kind, Record, SecretValue, Selector, VersionId};
use crate::vault::Vault;

/// What stands for a value that is not shown.
const MASK: &str = "********";

/// Compare two versions
///
/// Without B, an older version is compared with the AWSCURRENT one, and the
/// AWSCURRENT one with the version it was made from. Values that are JSON objects are
/// compared member by member. Values are masked unless --reveal is given.
///
/// Example: strongroom diff prod/db~1 prod/db
#[derive(Debug, Args)]
pub struct Diff {
    /// The older version: NAME, NAME#VERSIONID-PREFIX, NAME:LABEL, NAME~N
    a: Selector,
    /// The newer version
    b: Option<Selector>,
    /// Show the values that differ
    #[arg(long)]
    reveal: bool,
}

/// One side of a comparison.
struct Side {
    record: Record,
    id: VersionId,
    value: SecretValue,
}

impl Diff {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let record = ctx.record(&vault, &self.a.name)?;
        let first = self.a.find(&record.state)?.clone();
        let (a, b) = match &self.b {
            Some(b) => {
                let other = ctx.record(&vault, &b.name)?;
                let second = b.find(&other.state)?.clone();
                ((record, first), (other, second))
            }
            None => {
                let (old, new) = neighbours(&record, first)?;
                ((record.clone(), old), (record, new))
            }
        };
        let (a, b) = (side(&vault, a)?, side(&vault, b)?);
        let same = a.value.same_as(&b.value);
        let members = members(&a.value).zip(members(&b.value));
        if ctx.ui.json() {
            let mut answer = json!({
                "A": a.json(),
                "B": b.json(),
                "Same": same,
            });
            if let (Some((a, b)), Some(answer)) = (&members, answer.as_object_mut()) {
                answer.insert("Members".to_owned(), self.members_json(a, b));
            }
            ctx.ui.json_data(&answer)?;
            return DONE;
        }
        ctx.ui.line(&format!("--- {}", a.title()))?;
        ctx.ui.line(&format!("+++ {}", b.title()))?;
        if same {
            ctx.ui.line("the values are the same")?;
            return DONE;
        }
        match members {
            Some((a, b)) => self.print_members(ctx, &a, &b)?,
            None => {
                ctx.ui.line("the values differ")?;
                if self.reveal {
                    print_text(ctx, '-', &a.value)?;
                    print_text(ctx, '+', &b.value)?;
                }
            }
        }
        DONE
    }

    fn print_members(
        &self,
        ctx: &Context,
        a: &Map<String, Value>,
        b: &Map<String, Value>,
    ) -> Result<(), CommandError> {
        let mut any = false;
        for key in keys(a, b) {
            let (old, new) = (a.get(key), b.get(key));
            if old == new {
                continue;
            }
            any = true;
            for (sign, value) in [('-', old), ('+', new)] {
                if let Some(value) = value {
                    let text = if self.reveal {
                        value.to_string()
                    } else {
                        MASK.to_owned()
                    };
                    let line = format!("{sign} {}: {}", Escaped(key), Escaped(&text));
                    ctx.ui.line(&line)?;
                }
            }
        }
        if !any {
            ctx.ui.line("the same members, written in another way")?;
        }
        Ok(())
    }

    fn members_json(&self, a: &Map<String, Value>, b: &Map<String, Value>) -> Value {
        let list = keys(a, b)
            .into_iter()
            .filter(|key| a.get(*key) != b.get(*key))
            .map(|key| {
                let change = match (a.contains_key(key), b.contains_key(key)) {
                    (false, _) => "added",
                    (_, false) => "removed",
                    _ => "changed",
                };
                let mut entry = json!({ "Key": key, "Change": change });
                if let (true, Some(entry)) = (self.reveal, entry.as_object_mut()) {
                    entry.insert("A".to_owned(), json!(a.get(key)));
                    entry.insert("B".to_owned(), json!(b.get(key)));
                }
                entry
            });
        Value::Array(list.collect())
    }
}

/// What one version is compared with when nobody says: the current one, or, for that,
/// the one it was made from.
fn neighbours(record: &Record, id: VersionId) -> Result<(VersionId, VersionId), CommandError> {
    match record.state.current() {
        Some(current) if *current != id => Ok((id, current.clone())),
        _ => {
            let parent = record
                .state
                .versions
                .get(&id)
                .and_then(|v| v.parent.clone())
                .filter(|p| record.state.versions.contains_key(p));
            let previous = || {
                let label = crate::model::StagingLabel::previous();
                record.state.labels.get(&label).cloned()
            };
            match parent.or_else(previous) {
                Some(parent) => Ok((parent, id)),
                None => Err(CommandError::not_found(format!(
                    "version {} of {} has none before it to compare with",
                    id.short(),
                    record.name
                ))
                .hint("name a second version")),
            }
        }
    }
}

fn side(vault: &Vault, (record, id): (Record, VersionId)) -> Result<Side, CommandError> {
    let value = vault.read(&record, &id)?;
    Ok(Side { record, id, value })
}

impl Side {
    fn title(&self) -> String {
        let labels = crate::cli::show::labels(&self.record, &self.id);
        let title = format!(
            "{}#{}  {}, {} bytes  {labels}",
            self.record.name,
            self.id.short(),
            self.value.kind().as_str(),
            self.value.len(),
        );
        title.trim_end().to_owned()
    }

    fn json(&self) -> Value {
        json!({
            "Name": self.record.name.as_str(),
            "VersionId": self.id.as_str(),
            "Kind": self.value.kind().as_str(),
            "Size": self.value.len(),
        })
    }
}

/// The members of a value that is a JSON object.
fn members(value: &SecretValue) -> Option<Map<String, Value>> {
    match (value.kind(), serde_json::from_slice(value.expose_secret())) {
        (Kind::String, Ok(Value::Object(members))) => Some(members),
        _ => None,
    }
}

fn keys<'a>(a: &'a Map<String, Value>, b: &'a Map<String, Value>) -> BTreeSet<&'a String> {
    a.keys().chain(b.keys()).collect()
}

/// Prints a text line by line; bytes are only counted.
fn print_text(ctx: &Context, sign: char, value: &SecretValue) -> Result<(), CommandError> {
    match (value.kind(), std::str::from_utf8(value.expose_secret())) {
        (Kind::String, Ok(text)) => {
            for line in text.lines() {
                ctx.ui.line(&format!("{sign} {}", Escaped(line)))?;
            }
            Ok(())
        }
        _ => ctx.ui.line(&format!(
            "{sign} {} bytes of binary; see them with: strongroom get -o FILE",
            value.len()
        )),
    }
}
