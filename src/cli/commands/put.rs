use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{DONE, begin, commit, edit};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::input::{self, Source};
use crate::model::{
    Attributes, Change, Content, Kind, Lifecycle, Origin, Record, SecretName, SecretValue,
    StagingLabel, Stamp, VersionId, VersionMeta,
};
use crate::vault::{Transaction, Vault, VaultError};

/// Store a value: a new secret or a new version
///
/// The value comes from stdin, from --file, or from a prompt without echo; its bytes
/// are taken as they are. The new version becomes AWSCURRENT, unless --label says
/// otherwise.
///
/// Example: printf %s "$PASSWORD" | strongroom put prod/db
#[derive(Debug, Args)]
pub struct Put {
    /// The secret's name
    name: SecretName,
    /// Values do not belong on the command line; this catches one that does
    #[arg(hide = true, num_args = 0.., value_name = "VALUE")]
    argv: Vec<std::ffi::OsString>,
    /// Read the value from FILE
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Store bytes as a SecretBinary instead of text as a SecretString
    #[arg(short, long)]
    binary: bool,
    /// Put this label on the new version instead of AWSCURRENT (can be repeated)
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<StagingLabel>,
    /// Set the description
    #[arg(short, long, value_name = "TEXT")]
    description: Option<String>,
    /// Set a tag (can be repeated)
    #[arg(short, long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
    /// Use this version id; the same id with the same value changes nothing
    #[arg(long, value_name = "ID")]
    version_id: Option<VersionId>,
}

impl Put {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        if !self.argv.is_empty() {
            return Err(value_in_argv(&self.name));
        }
        let source = match &self.file {
            Some(path) => Source::File(path),
            None => Source::Stdin,
        };
        let kind = if self.binary {
            Kind::Binary
        } else {
            Kind::String
        };
        // The key first: who cannot store should not have to type.
        let vault = ctx.unlocked()?;
        let prompt = format!("Value of {}: ", self.name);
        let value = input::value(ctx, source, kind, &prompt)?;
        if value.is_empty() {
            ctx.ui.warn(
                "the value is empty; AWS refuses empty values, so this version cannot be pushed",
            );
        }
        let mut stamp = ctx.stamp()?;
        if let Some(id) = self.version_id {
            stamp.id = id;
        }
        let mut tx = begin(ctx, &vault, "put")?;
        let new = NewVersion {
            name: &self.name,
            value: &value,
            labels: &self.label,
            description: self.description.as_deref(),
            tags: &parse_tags(&self.tag)?,
            stamp: &stamp,
        };
        let (record, made) = new.store(&vault, &mut tx)?;
        if made == Made::Nothing {
            drop(tx);
            ctx.ui
                .status(&format!("{} has this version already", self.name));
        } else {
            commit(
                ctx,
                tx,
                &format!("put {}: version {}", self.name, stamp.id.short()),
            )?;
            let id = stamp.id.short();
            ctx.ui.status(&match made {
                Made::Secret => format!("Stored {} as version {id}", self.name),
                Made::Attributes => format!("Described {}; version {id} was there", self.name),
                Made::Version | Made::Nothing => {
                    format!("Stored a new version of {} as version {id}", self.name)
                }
            });
        }
        if ctx.ui.json() {
            ctx.ui.json_data(&stored(&record, &stamp.id))?;
        }
        DONE
    }
}

/// A stored version as PutSecretValue answers it.
pub(super) fn stored(record: &Record, id: &VersionId) -> serde_json::Value {
    let labels = record.state.labels_of(id);
    let labels: Vec<&str> = labels.map(StagingLabel::as_str).collect();
    json!({
        "Name": record.name.as_str(),
        "VersionId": id.as_str(),
        "VersionStages": labels,
    })
}

/// What storing a value came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Secret,
    Version,
    /// The version was there; description or tags are new.
    Attributes,
    Nothing,
}

/// A value on its way into the vault.
pub(super) struct NewVersion<'a> {
    pub(super) name: &'a SecretName,
    pub(super) value: &'a SecretValue,
    pub(super) labels: &'a [StagingLabel],
    pub(super) description: Option<&'a str>,
    pub(super) tags: &'a [(String, String)],
    pub(super) stamp: &'a Stamp,
}

impl NewVersion<'_> {
    /// Adds the version, and the secret if need be, to a transaction.
    pub(super) fn store(
        &self,
        vault: &Vault,
        tx: &mut Transaction<'_>,
    ) -> Result<(Record, Made), CommandError> {
        if let Some(label) = self.labels.iter().find(|l| l.is_reserved()) {
            return Err(reserved(label));
        }
        let mut record = tx
            .record(self.name)?
            .unwrap_or_else(|| Record::new(self.name.clone()));
        if record.state.lifecycle.is_scheduled() {
            return Err(CommandError::new(
                Exit::Guard,
                format!("{} is scheduled for deletion", self.name),
            )
            .hint(format!(
                "bring it back first: strongroom restore {}",
                self.name
            )));
        }
        let is_new = record.state.lifecycle == Lifecycle::Tombstone;
        if let Some(known) = record.state.versions.get(&self.stamp.id)
            && known.has_value()
        {
            let digest = vault.keys_for(self.name)?.digest(self.value);
            let digest = digest.map_err(VaultError::from)?;
            return match (known.content, digest) {
                (Content::Value { digest: is, .. }, new) if is == new => {
                    let before = record.clone();
                    self.describe(&mut record)?;
                    if record == before {
                        return Ok((record, Made::Nothing));
                    }
                    tx.put(record.clone());
                    Ok((record, Made::Attributes))
                }
                _ => Err(crate::model::Invalid::VersionExists(self.stamp.id.clone()).into()),
            };
        }
        let digest = tx.add_value(self.name, &self.stamp.id, self.value, Some(self.stamp.now))?;
        let meta = VersionMeta {
            created: Some(self.stamp.now),
            content: Content::Value {
                kind: self.value.kind(),
                digest,
            },
            parent: record.state.current().filter(|_| !is_new).cloned(),
            origin: Origin::Local,
        };
        if is_new {
            edit(
                &mut record,
                &Change::Create {
                    attributes: Attributes::default(),
                    version: None,
                },
            )?;
        }
        let labels = if self.labels.is_empty() {
            vec![StagingLabel::current()]
        } else {
            self.labels.to_vec()
        };
        edit(
            &mut record,
            &Change::AddVersion {
                id: self.stamp.id.clone(),
                meta,
                labels,
            },
        )?;
        self.describe(&mut record)?;
        tx.put(record.clone());
        let made = if is_new { Made::Secret } else { Made::Version };
        Ok((record, made))
    }

    /// Sets the description and the tags that were given.
    fn describe(&self, record: &mut Record) -> Result<(), CommandError> {
        let mut to = record.state.attributes.clone();
        if let Some(text) = self.description {
            to.description = Some(text.to_owned()).filter(|t| !t.is_empty());
        }
        to.tags.extend(self.tags.iter().cloned());
        set_attributes(record, to)
    }
}

/// Sets description and tags, checked against AWS's limits.
pub(super) fn set_attributes(record: &mut Record, to: Attributes) -> Result<(), CommandError> {
    to.check()?;
    let from = record.state.attributes.clone();
    if from == to {
        return Ok(());
    }
    edit(record, &Change::SetAttributes { from, to })
}

/// The error for a label that only strongroom itself sets.
pub(super) fn reserved(label: &StagingLabel) -> CommandError {
    CommandError::usage(format!("{label} is a label that strongroom sets by itself"))
}

/// The error for a value on the command line. It does not say the value again.
pub(super) fn value_in_argv(name: &SecretName) -> CommandError {
    CommandError::usage(
        "a value on the command line can be read by every user of this machine, and stays in the shell's history",
    )
    .hint(format!(
        "pipe it in: strongroom put {name} < FILE; or type it at the prompt"
    ))
}

/// Reads `KEY=VALUE` words.
pub(super) fn parse_tags(words: &[String]) -> Result<Vec<(String, String)>, CommandError> {
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(CommandError::usage("a tag is written KEY=VALUE")),
        })
        .collect()
}
