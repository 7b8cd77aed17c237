use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::model::{Escaped, Lifecycle, StagingLabel};
use crate::scan::{self, Found, Needles, Owner, Rules, ScanError};
use crate::vault::Vault;

/// Find the vault's values in files or in git's history, without showing them
///
/// Looks for each value, and for each member of a value that is a JSON object, as it is,
/// escaped for JSON, percent-encoded and in base64. Tells the place, the secret, the
/// version and the member; never the value. Ends with 12 if it found something.
///
/// Without --staged or --history it looks through files; those that git ignores are left
/// out. Short and simple values are not looked for, as they would be found everywhere.
///
/// Example: strongroom -C ~/vault scan --staged
#[derive(Debug, Args)]
pub struct Scan {
    /// Files and directories; the working directory if there is none
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Look through what the next commit would bring
    #[arg(long, conflicts_with = "history")]
    staged: bool,
    /// Look through all commits of all branches, tags and stashes
    #[arg(long)]
    history: bool,
    /// Look for versions without a label, too
    #[arg(long)]
    all_versions: bool,
    /// Look through files that git ignores, too
    #[arg(long)]
    no_ignore: bool,
    /// The fewest bytes that a text must have to be looked for
    #[arg(long, value_name = "BYTES", default_value_t = 8, value_parser = clap::value_parser!(u64).range(4..=65_536))]
    min_length: u64,
    /// The least entropy, in bits, that a text must have to be looked for
    #[arg(long, value_name = "BITS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=4096))]
    min_entropy: u32,
    /// Do not look for members of this name (can be repeated); user, host, port and the
    /// like never are unless --all-fields is given
    #[arg(long, value_name = "MEMBER")]
    skip_field: Vec<String>,
    /// Look for members such as username and host, too
    #[arg(long)]
    all_fields: bool,
    /// Do not look for this secret, or for those below a prefix that ends in / or * (can
    /// be repeated)
    #[arg(long, value_name = "NAME")]
    except: Vec<String>,
}

impl Scan {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let needles = self.needles(ctx, &vault)?;
        let weak = needles.weak();
        let table = needles.table();
        let here = PathBuf::from(".");
        let mut found = Vec::new();
        let mut each = |one| found.push(one);
        let scanned = if self.staged || self.history {
            let at = match self.paths.as_slice() {
                [] => &here,
                [one] => one,
                _ => {
                    return Err(CommandError::usage(
                        "--staged and --history take one repository",
                    ));
                }
            };
            match self.staged {
                true => scan::staged(&table, at, &mut each),
                false => scan::history(&table, at, &mut each),
            }
        } else {
            let paths = match self.paths.is_empty() {
                true => std::slice::from_ref(&here),
                false => &self.paths,
            };
            scan::files(&table, paths, self.no_ignore, &mut each)
        };
        let scanned = scanned.map_err(failed)?;
        if ctx.ui.json() {
            ctx.ui.json_data(&json!({
                "Findings": found.iter().map(as_json).collect::<Vec<_>>(),
                "Texts": scanned.texts,
                "Bytes": scanned.bytes,
                "NotLookedFor": weak,
            }))?;
        } else {
            for one in &found {
                ctx.ui.line(&sentence(one))?;
            }
            let texts = scanned.texts;
            ctx.ui.status(&match found.len() {
                0 => format!("No value found in {texts} texts"),
                n => format!("{n} found in {texts} texts"),
            });
            if weak > 0 {
                ctx.ui.status(&format!(
                    "{weak} values or members are too short or too simple to be looked for"
                ));
            }
        }
        if found.is_empty() {
            return DONE;
        }
        ctx.ui.hint(
            "a value that left the machine is known: put a new one, then take the old one out",
        );
        Ok(Exit::Findings)
    }

    fn needles(&self, ctx: &Context, vault: &Vault) -> Result<Needles, CommandError> {
        let mut rules = Rules {
            min_length: usize::try_from(self.min_length).unwrap_or(usize::MAX),
            min_entropy: f64::from(self.min_entropy),
            ..Rules::default()
        };
        if self.all_fields {
            rules.skip.clear();
        }
        let more = self.skip_field.iter().map(|f| f.to_ascii_lowercase());
        rules.skip.extend(more);
        let mut needles = Needles::default();
        let loaded = vault.load()?;
        super::ls::report_closed(ctx, &loaded);
        for (name, record) in loaded.records {
            if self.except.iter().any(|e| covers(e, name.as_str())) {
                continue;
            }
            // What is deleted here may still be in use elsewhere, and is a value still.
            let gone = record.state.lifecycle == Lifecycle::Tombstone;
            for (id, meta) in &record.state.versions {
                let labels: Vec<StagingLabel> = record.state.labels_of(id).cloned().collect();
                if !meta.has_value() || (labels.is_empty() && !self.all_versions && !gone) {
                    continue;
                }
                let owner = Owner {
                    name: name.clone(),
                    version: id.clone(),
                    labels,
                    field: None,
                };
                needles.add(&owner, &vault.read(&record, id)?, &rules);
            }
        }
        Ok(needles)
    }
}

/// Whether a name is meant, by itself or by a prefix.
fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None if pattern.ends_with('/') => name.starts_with(pattern),
        None => name == pattern,
    }
}

fn place(found: &Found) -> String {
    let path = found.path.to_string_lossy().into_owned();
    let path = match path.strip_prefix("./") {
        Some(rest) => rest.to_owned(),
        None => path,
    };
    let (line, column) = (found.hit.line, found.hit.column);
    match &found.commit {
        Some(commit) => {
            let short: String = commit.chars().take(12).collect();
            match path.is_empty() {
                true => format!("{short}: message:{line}:{column}"),
                false => format!("{short}: {path}:{line}:{column}"),
            }
        }
        None => format!("{path}:{line}:{column}"),
    }
}

fn sentence(found: &Found) -> String {
    let mut text = format!("{}:", Escaped(&place(found)));
    for (at, owner) in found.hit.owners.iter().enumerate() {
        let labels: Vec<&str> = owner.labels.iter().map(StagingLabel::as_str).collect();
        let and = if at == 0 { "" } else { "," };
        text.push_str(&format!("{and} {}#{}", owner.name, owner.version.short()));
        if !labels.is_empty() {
            text.push_str(&format!(" ({})", Escaped(&labels.join(", "))));
        }
        if let Some(field) = &owner.field {
            text.push_str(&format!(" member {}", Escaped(field)));
        }
    }
    let form = found.hit.form;
    if form != scan::Form::Plain {
        text.push_str(&format!(", in {}", form.as_str()));
    }
    text
}

fn as_json(found: &Found) -> serde_json::Value {
    let owner = |o: &Owner| {
        json!({
            "Name": o.name.as_str(),
            "VersionId": o.version.as_str(),
            "VersionStages": o.labels.iter().map(StagingLabel::as_str).collect::<Vec<_>>(),
            "Field": o.field,
        })
    };
    json!({
        "Path": found.path.to_string_lossy(),
        "Commit": found.commit,
        "Line": found.hit.line,
        "Column": found.hit.column,
        "Offset": found.hit.offset,
        "Form": found.hit.form.as_str(),
        "Secrets": found.hit.owners.iter().map(owner).collect::<Vec<_>>(),
    })
}

fn failed(error: ScanError) -> CommandError {
    let exit = match &error {
        ScanError::NoRepository { .. } => Exit::NotFound,
        ScanError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Exit::NotFound
        }
        ScanError::Io { .. } | ScanError::Git { .. } => Exit::Unexpected,
    };
    CommandError::from_error(exit, error)
}
