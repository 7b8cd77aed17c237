use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::DONE;
use crate::cli::clipboard;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::freshness;
use crate::model::{Kind, SecretValue, Selector, StagingLabel};

/// Print a value, exactly
///
/// Writes the value's bytes to stdout and nothing else: no line end is added. On a
/// terminal it asks for --show, so that a value does not end up in a screen share.
///
/// Example: strongroom get prod/db --field password
#[derive(Debug, Args)]
pub struct Get {
    /// NAME, NAME#VERSIONID-PREFIX, NAME:LABEL, NAME~N or an ARN
    selector: Selector,
    /// Print one member of a value that is a JSON object
    #[arg(short, long, value_name = "KEY")]
    field: Option<String>,
    /// Print to the terminal
    #[arg(long)]
    show: bool,
    /// Put it into the clipboard, and clear that after a while
    #[arg(short, long, conflicts_with_all = ["output", "show"])]
    clipboard: bool,
    /// How long it stays in the clipboard
    #[arg(long, value_name = "SECONDS", default_value_t = 45, requires = "clipboard", value_parser = clap::value_parser!(u64).range(1..=3600))]
    clear_after: u64,
    /// Write to FILE, readable by its owner only
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Get {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let to_terminal = self.output.is_none() && !self.clipboard && ctx.ui.stdout_is_terminal();
        if to_terminal && !self.show {
            return Err(
                CommandError::usage("the value would be shown on the terminal").hint(
                    "add --show, copy it with -c, write to a file with -o FILE, or pipe it on",
                ),
            );
        }
        let vault = ctx.unlocked()?;
        let record = ctx.record(&vault, &self.selector.name)?;
        let id = self.selector.find(&record.state)?;
        freshness::check_one(ctx, &vault, &record)?;
        let value = vault.read(&record, id)?;
        let bytes = match &self.field {
            Some(key) => field(&value, key, &self.selector)?,
            None if ctx.ui.json() => {
                let labels: Vec<&str> = record
                    .state
                    .labels_of(id)
                    .map(StagingLabel::as_str)
                    .collect();
                let arn = record
                    .base
                    .values()
                    .find_map(|b| b.pair.as_ref())
                    .map(|p| &p.arn);
                let (key, text) = match value.kind() {
                    Kind::String => (
                        "SecretString",
                        String::from_utf8_lossy(value.expose_secret()).into_owned(),
                    ),
                    Kind::Binary => (
                        "SecretBinary",
                        data_encoding::BASE64.encode(value.expose_secret()),
                    ),
                };
                let mut answer = json!({
                    "Name": record.name.as_str(),
                    "VersionId": id.as_str(),
                    key: text,
                    "VersionStages": labels,
                    "CreatedDate": record.state.versions.get(id).and_then(|v| v.created).map(|t| t.to_string()),
                });
                if let (Some(arn), Some(object)) = (arn, answer.as_object_mut()) {
                    object.insert("ARN".to_owned(), json!(arn));
                }
                Zeroizing::new(format!("{answer:#}\n").into_bytes())
            }
            None => Zeroizing::new(value.expose_secret().to_vec()),
        };
        if self.clipboard {
            clipboard::copy(ctx, &bytes, Duration::from_secs(self.clear_after))?;
            let seconds = self.clear_after;
            ctx.ui.status(&format!(
                "Copied {}; the clipboard is cleared in {seconds} seconds",
                self.selector
            ));
            return DONE;
        }
        match &self.output {
            None => {
                ctx.ui.data(&bytes)?;
                // The shell's prompt is not a part of the value.
                if to_terminal && !bytes.ends_with(b"\n") {
                    ctx.ui.data(b"\n")?;
                }
            }
            Some(path) => {
                OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)
                    .and_then(|mut f| f.write_all(&bytes))
                    .map_err(|e| {
                        CommandError::new(Exit::Unexpected, format!("{}: {e}", path.display()))
                    })?;
                ctx.ui.status(&format!("Wrote {}", path.display()));
            }
        }
        DONE
    }
}

/// One member of a JSON object: a string's text, anything else as JSON.
pub(super) fn field(
    value: &SecretValue,
    key: &str,
    selector: &Selector,
) -> Result<Zeroizing<Vec<u8>>, CommandError> {
    // serde's own message would quote the value.
    let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(value.expose_secret()) else {
        return Err(
            CommandError::not_found(format!("{selector} is not a JSON object"))
                .hint("leave --field out to get the whole value"),
        );
    };
    match object.get(key) {
        Some(Value::String(text)) => Ok(Zeroizing::new(text.clone().into_bytes())),
        Some(other) => Ok(Zeroizing::new(other.to_string().into_bytes())),
        None => Err(CommandError::not_found(format!(
            "{selector} has no member of that name"
        ))),
    }
}
