//! A plan in a file: for a reviewer without keys to read, for `apply` to check.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cli::commands::sync::{Which, cost_json};
use crate::cli::context::now;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::crypto::{Domain, MacError};
use crate::model::{Change, Direction, RemoteSecret, SecretName, Sight, Strategy};
use crate::plan::{Action, Note, NoteKind, SecretPlan, Side, describe_change};
use crate::sync::{Cost, Prepared};
use crate::vault::{Vault, VaultError};

/// The format of a saved plan.
const FORMAT: u32 = 2;
/// The largest saved plan that is read, in bytes.
const MAX: u64 = 256 << 20;

/// A plan as it is kept in a file: readable, without values, ending in a mac.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Saved {
    format: u32,
    pub(super) program: String,
    pub(super) vault: String,
    made: String,
    pub(super) remotes: Vec<String>,
    pub(super) only: Option<String>,
    pub(super) max_delete: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) on_conflict: Option<String>,
    /// The run's own way, if it was given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mode: Option<String>,
    /// What would be deleted where: before everything else.
    deletions: Vec<String>,
    /// What carrying it out takes.
    cost: serde_json::Value,
    /// Per secret: what would be done, what is expected to be found, and a hash over
    /// all of it.
    pub(super) secrets: BTreeMap<String, SavedSecret>,
}

/// Of a saved plan, what every format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
    /// A migration's plan has none.
    #[serde(rename = "secrets")]
    _secrets: serde::de::IgnoredAny,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedSecret {
    steps: Vec<SavedStep>,
    /// What waits for a person; nothing else is done for the secret then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    answers: Vec<String>,
    /// What was agreed and is noted before anything else is planned. It is no step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes_first: Vec<String>,
    hash: String,
}

/// One step, and what has to be so for it to be taken.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedStep {
    /// `vault` or the remote.
    on: String,
    does: String,
    /// The remote a version or a label comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expects: Option<Expects>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expects {
    /// Under which label which version is expected, or what else is.
    what: String,
    /// `live`, `scheduled` or `gone`.
    lifecycle: String,
    /// LastChangedDate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<String>,
}

/// What was agreed with which remote and is noted before anything else is planned.
fn noted_first(plan: &SecretPlan) -> impl Iterator<Item = &Note> {
    let first = |note: &&Note| note.kind == NoteKind::AgreedFirst;
    plan.notes.iter().filter(first)
}

/// Whether a reviewer is told of a secret: it has something to do or to decide.
fn is_worth_saving(plan: &SecretPlan) -> bool {
    !(plan.actions.is_empty()
        && plan.answers.is_empty()
        && plan.conflicts.is_empty()
        && noted_first(plan).next().is_none())
}

/// The hash of all that a plan has for one secret.
pub(super) fn hash(plan: &SecretPlan) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(format!("{plan:?}").as_bytes()))
}

impl SavedSecret {
    fn of(name: &SecretName, plan: &SecretPlan, prepared: &Prepared) -> Self {
        let step = |action: &Action| {
            let seen = match &action.on {
                Side::Local => None,
                Side::Remote(remote) => {
                    let sight = prepared.views.get(remote).and_then(|v| v.secrets.get(name));
                    Some(match sight {
                        Some(Sight::Seen(seen)) => Some(seen),
                        _ => None,
                    })
                }
            };
            SavedStep {
                on: action.on.to_string(),
                does: describe_change(&action.change),
                from: action.source.as_ref().map(ToString::to_string),
                expects: seen.map(|seen| Expects::of(&action.change, seen)),
            }
        };
        Self {
            steps: plan.actions.iter().map(step).collect(),
            conflicts: plan.conflicts.iter().map(ToString::to_string).collect(),
            answers: plan.answers.iter().map(ToString::to_string).collect(),
            notes_first: noted_first(plan).map(ToString::to_string).collect(),
            hash: hash(plan),
        }
    }

    /// Whether a plan made anew has just the same for the secret.
    pub(super) fn holds(&self, plan: Option<&SecretPlan>) -> bool {
        plan.map(hash).as_deref() == Some(self.hash.as_str())
    }

    /// Whether it has anything to do.
    pub(super) fn acts(&self) -> bool {
        !(self.steps.is_empty() && self.answers.is_empty() && self.notes_first.is_empty())
    }
}

impl Expects {
    fn of(change: &Change, seen: Option<&RemoteSecret>) -> Self {
        let what = match change {
            Change::Create { .. } => "no secret of this name".to_owned(),
            Change::AddVersion { id, .. } => format!("no other value under {id}"),
            Change::MoveLabel {
                label,
                from: Some(from),
                ..
            } => format!("{label} on {from}"),
            Change::MoveLabel {
                label, from: None, ..
            } => format!("{label} on no version"),
            Change::SetAttributes { .. } => "description and tags as they were".to_owned(),
            Change::SetOwn { field, .. } => format!("{} as it was", field.title()),
            Change::Restore => "labels, description and tags as they were".to_owned(),
            Change::Delete { .. } => match seen.and_then(|s| s.state.current()) {
                Some(current) => format!("AWSCURRENT on {current}, and all else as it was"),
                None => "everything as it was".to_owned(),
            },
            // The vault's own; no remote is asked.
            Change::Reschedule { .. } | Change::Tombstone | Change::Archive { .. } => String::new(),
        };
        Self {
            what,
            lifecycle: seen
                .map_or("gone", |s| s.state.lifecycle.as_str())
                .to_owned(),
            changed: seen.and_then(|s| s.facts.changed).map(|t| t.to_string()),
        }
    }
}

/// Writes a plan to a file.
pub(super) fn save(
    vault: &Vault,
    prepared: &Prepared,
    which: &Which,
    mode: Option<Direction>,
    path: &Path,
) -> Result<(), CommandError> {
    let Some(keys) = vault.keys() else {
        return Err(VaultError::Locked.into());
    };
    let plan = &prepared.plan;
    let saved = Saved {
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        vault: vault.config().vault_id.clone(),
        made: now().to_string(),
        remotes: plan.remotes.iter().map(ToString::to_string).collect(),
        only: which.only.clone(),
        max_delete: which.max_delete,
        on_conflict: which
            .on_conflict
            .map(|s| Strategy::from(s).as_str().to_owned()),
        mode: mode.map(|m| m.as_str().to_owned()),
        deletions: plan.deletions(),
        cost: cost_json(&Cost::of(prepared)),
        secrets: plan
            .secrets
            .iter()
            .filter(|(_, s)| is_worth_saving(s))
            .map(|(name, s)| (name.to_string(), SavedSecret::of(name, s, prepared)))
            .collect(),
    };
    let unexpected = |e: &dyn std::fmt::Display| {
        CommandError::new(Exit::Unexpected, format!("{}: {e}", path.display()))
    };
    let mut body = serde_json::to_string_pretty(&saved).map_err(|e| unexpected(&e))?;
    body.push('\n');
    let text = keys
        .seal_text(Domain::Plan, body)
        .map_err(VaultError::from)?;
    std::fs::write(path, text).map_err(|e| unexpected(&e))
}

/// Reads a plan back, and refuses one that this vault did not write just so.
pub(super) fn read(path: &Path, vault: &Vault) -> Result<Saved, CommandError> {
    let failed = |exit, e: &dyn std::fmt::Display| {
        CommandError::new(exit, format!("{}: {e}", path.display()))
    };
    let size = std::fs::metadata(path)
        .map_err(|e| failed(Exit::NotFound, &e))?
        .len();
    if size > MAX {
        return Err(failed(Exit::Integrity, &"too large for a plan"));
    }
    let text = std::fs::read_to_string(path).map_err(|e| failed(Exit::NotFound, &e))?;
    let Some(keys) = vault.keys() else {
        return Err(VaultError::Locked.into());
    };
    let body = keys.verify_text(Domain::Plan, &text).map_err(|e| match e {
        MacError::Keys(error) => VaultError::from(error).into(),
        e => failed(Exit::Integrity, &e).hint("the plan was altered, or is for another vault"),
    })?;
    let head: Head = serde_json::from_str(body).map_err(|e| failed(Exit::Integrity, &e))?;
    if head.format > FORMAT {
        return Err(failed(Exit::Unsupported, &"made by a newer strongroom"));
    }
    if head.format < FORMAT {
        return Err(failed(Exit::StalePlan, &"made by an older strongroom")
            .hint("make a new one with: strongroom plan -o FILE"));
    }
    serde_json::from_str(body).map_err(|e| failed(Exit::Integrity, &e))
}
