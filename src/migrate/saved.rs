//! A plan as a file: readable, without values, ending in a mac.

use serde::{Deserialize, Serialize};

use super::estimate::Estimate;
use super::item::Item;
use super::rules::Rules;
use crate::crypto::{Domain, KeyringKeys, KeysError, MacError};
use crate::model::RemoteName;

/// The format this strongroom reads and writes.
const FORMAT: u32 = 1;
/// What tells such a plan from a sync's.
const KIND: &str = "migration";

/// One end of a migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// The vault's name for it.
    pub remote: String,
    /// The 12-digit account id.
    pub account: String,
    /// The Region.
    pub region: String,
    /// Another endpoint than AWS's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

impl Side {
    /// Whether both are one place, whatever the vault calls them.
    pub fn is_same_place(&self, other: &Self) -> bool {
        self.account == other.account
            && self.region == other.region
            && self.endpoint == other.endpoint
    }

    /// The vault's name for it, as a word of the model.
    pub fn name(&self) -> Option<RemoteName> {
        self.remote.parse().ok()
    }
}

/// A whole migration, as it was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    format: u32,
    kind: String,
    /// The strongroom that made it.
    pub program: String,
    /// The vault whose key the digests and the mac are made with.
    pub vault: String,
    /// The plan's own id; its journal is called after it.
    pub id: String,
    /// When it was made.
    pub made: String,
    /// Where secrets come from.
    pub from: Side,
    /// Where they go.
    pub to: Side,
    /// What was asked for.
    pub rules: Rules,
    /// What it will take.
    pub estimate: Estimate,
    /// Source entries that are not part of it, with the reason.
    pub left_out: Vec<(String, String)>,
    /// The secrets, by source name.
    pub items: Vec<Item>,
}

/// What a plan is made with beside what a survey finds.
#[derive(Clone, Debug)]
pub struct Head {
    /// The strongroom that makes it.
    pub program: String,
    /// The vault's id.
    pub vault: String,
    /// A new id.
    pub id: String,
    /// Now.
    pub made: String,
    /// Where secrets come from.
    pub from: Side,
    /// Where they go.
    pub to: Side,
}

/// Why a file is not taken for a plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Altered, cut short, or of another vault.
    #[error(transparent)]
    Mac(#[from] MacError),
    /// The keys cannot be asked.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A format of the future.
    #[error("format {0} needs a newer strongroom")]
    NewerFormat(u32),
    /// A plan of a sync, or something else that this vault has put its mac on.
    #[error("not a plan of a migration: {0}")]
    Malformed(String),
    /// Made with the same key for another vault.
    #[error("the plan is for another vault")]
    OtherVault,
}

impl Migration {
    /// Puts a plan together.
    pub fn new(
        head: Head,
        rules: Rules,
        items: Vec<Item>,
        left_out: Vec<(String, String)>,
    ) -> Self {
        let estimate = Estimate::of(&items, &rules);
        Self {
            format: FORMAT,
            kind: KIND.to_owned(),
            program: head.program,
            vault: head.vault,
            id: head.id,
            made: head.made,
            from: head.from,
            to: head.to,
            rules,
            estimate,
            left_out,
            items,
        }
    }

    /// The secrets that can be copied.
    pub fn ready(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.is_ready())
    }

    /// Writes the file, mac and all.
    pub fn seal(&self, keys: &KeyringKeys) -> Result<String, PlanError> {
        let body =
            serde_json::to_string_pretty(self).map_err(|e| PlanError::Malformed(e.to_string()))?;
        Ok(keys.seal_text(Domain::Plan, body)?)
    }

    /// Reads a file, once its mac is right.
    pub fn open(text: &str, vault: &str, keys: &KeyringKeys) -> Result<Self, PlanError> {
        /// Just the format, to know a future one whatever else it says.
        #[derive(Deserialize)]
        struct Start {
            format: u32,
            kind: Option<String>,
        }
        let body = keys.verify_text(Domain::Plan, text)?;
        let malformed = |e: serde_json::Error| PlanError::Malformed(e.to_string());
        let start: Start = serde_json::from_str(body).map_err(malformed)?;
        if start.kind.as_deref() != Some(KIND) {
            return Err(PlanError::Malformed("it is of another kind".to_owned()));
        }
        if start.format != FORMAT {
            return Err(PlanError::NewerFormat(start.format));
        }
        let plan: Self = serde_json::from_str(body).map_err(malformed)?;
        if plan.vault != vault {
            return Err(PlanError::OtherVault);
        }
        Ok(plan)
    }
}
