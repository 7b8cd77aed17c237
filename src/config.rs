//! `strongroom.toml`: text to settings and back.
//!
//! Pure. The mac that ends the file, and the file itself, are the vault's business;
//! the text here is what stands before it (book, formats/vault).

mod check;
mod freshness;
mod keyrings;
mod preferences;
mod quote;
mod read;
mod unite;

use std::collections::BTreeMap;

use crate::model::{Direction, Extras, RemoteName, Rule, Scope, SecretName, Strategy};

pub use check::BadValue;
pub use freshness::{Freshness, FreshnessRules, OnStale, Span, SpanError};
pub use preferences::{AuditRule, Holder, Preferences};
pub(crate) use quote::{entry, line, quote};
pub use read::ConfigError;
pub use unite::SettingsClash;

/// The settings of one vault that all its clones share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The vault's id, a UUID in lower case. It never changes.
    pub vault_id: String,
    /// Whether names, tags and descriptions are hidden from whoever has no key. It never
    /// changes.
    pub hidden_names: bool,
    /// How the vault uses git.
    pub git: GitConfig,
    /// When a sync that would delete too much stops (sync.md section 1.4).
    pub max_delete: MaxDelete,
    /// Days between the deletion of a secret and its removal, 7 to 30 (aws.md
    /// section 4).
    pub recovery_window: u8,
    /// The accounts and Regions to sync with, by the vault's names for them.
    pub remotes: BTreeMap<RemoteName, RemoteConfig>,
    /// How old the knowledge of remotes may be, by prefix of secret names.
    pub freshness: FreshnessRules,
    /// What becomes of conflicts, by path; sorted, no two about the same.
    pub policies: Vec<Rule>,
    /// The keyrings beside the default one: by name, how the names of their secrets
    /// begin. No two beginnings overlap (design.md section 4).
    pub keyrings: BTreeMap<String, Vec<String>>,
}

/// How a vault uses git.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GitConfig {
    /// Whether each command that changes the vault commits its change.
    pub commit: bool,
}

/// How many secrets of a remote one sync may delete: the larger of the two limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxDelete {
    /// As a number of secrets.
    pub count: usize,
    /// As a part of the remote's secrets, in percent.
    pub percent: u8,
}

/// One AWS account and Region that a vault is synced with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteConfig {
    /// What the vault calls it.
    pub name: RemoteName,
    /// The AWS Region.
    pub region: String,
    /// The 12-digit account id, pinned.
    pub account: Option<String>,
    /// The profile of the AWS configuration files to use.
    pub profile: Option<String>,
    /// A role to assume.
    pub role_arn: Option<String>,
    /// Another endpoint than AWS's own.
    pub endpoint: Option<String>,
    /// Which secrets take part, and under which names there.
    pub scope: Scope,
    /// Which way changes may travel.
    pub direction: Direction,
    /// What becomes of a conflict with it that no rule is about.
    pub on_conflict: Strategy,
    /// What is done there about metadata that each remote has of its own.
    pub extras: Extras,
}

impl Config {
    /// The format this strongroom reads and writes.
    pub const FORMAT: u32 = 1;

    /// The settings of a new vault: everything at its default, no remotes.
    pub fn new(vault_id: impl Into<String>) -> Self {
        Self {
            vault_id: vault_id.into(),
            hidden_names: false,
            git: GitConfig { commit: true },
            max_delete: MaxDelete {
                count: 10,
                percent: 10,
            },
            recovery_window: 30,
            remotes: BTreeMap::new(),
            freshness: FreshnessRules::new(),
            policies: Vec::new(),
            keyrings: BTreeMap::new(),
        }
    }

    /// The rule of freshness for a secret, with its prefix: of several the longest.
    pub fn freshness_of(&self, name: &SecretName) -> Option<(&str, &Freshness)> {
        freshness::rule(&self.freshness, name)
    }

    /// Adds a rule, in the place of one about the same.
    pub fn set_policy(&mut self, rule: Rule) {
        self.policies.retain(|old| !old.is_about_same(&rule));
        self.policies.push(rule);
        self.policies.sort();
    }

    /// Reads the text of `strongroom.toml` without its mac. Keys that are absent have
    /// their defaults; a key that is not known is an error.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        read::config(text)
    }

    /// Writes the text of `strongroom.toml` without its mac, every setting spelled
    /// out. Equal settings are equal bytes.
    pub fn emit(&self) -> Result<String, BadValue> {
        self.check()?;
        let mut out = format!("format = {}\n", Self::FORMAT);
        line("vault_id", &self.vault_id, &mut out);
        out.push_str(&format!("recovery_window = {}\n", self.recovery_window));
        // Absent where they are not, as before there was such a key.
        if self.hidden_names {
            out.push_str("hidden_names = true\n");
        }
        out.push_str(&format!("\n[git]\ncommit = {}\n", self.git.commit));
        out.push_str(&format!(
            "\n[max_delete]\ncount = {}\npercent = {}\n",
            self.max_delete.count, self.max_delete.percent
        ));
        for (name, remote) in &self.remotes {
            out.push_str(&format!("\n[remote.{name}]\n"));
            remote.emit(&mut out);
        }
        for (name, prefixes) in &self.keyrings {
            out.push_str(&format!("\n[keyring.{name}]\n"));
            list("prefixes", prefixes, &mut out);
        }
        for (prefix, rule) in &self.freshness {
            out.push_str("\n[freshness.");
            quote(prefix, &mut out);
            out.push_str("]\n");
            line("max_stale", &rule.max_stale.to_string(), &mut out);
            line("on_stale", rule.on_stale.as_str(), &mut out);
        }
        for rule in &self.policies {
            out.push_str("\n[[policy]]\n");
            line("path", &rule.path, &mut out);
            if let Some(remote) = &rule.remote {
                line("remote", remote.as_str(), &mut out);
            }
            if let Some(field) = rule.field {
                line("field", field.as_str(), &mut out);
            }
            line("on_conflict", rule.on_conflict.as_str(), &mut out);
        }
        out.push('\n');
        Ok(out)
    }
}

impl RemoteConfig {
    fn emit(&self, out: &mut String) {
        line("region", &self.region, out);
        for (key, value) in [
            ("account", &self.account),
            ("profile", &self.profile),
            ("role_arn", &self.role_arn),
            ("endpoint", &self.endpoint),
        ] {
            if let Some(value) = value {
                line(key, value, out);
            }
        }
        line("direction", self.direction.as_str(), out);
        // Absent where nothing is asked of it, as before there was such a key.
        if self.on_conflict != Strategy::default() {
            line("on_conflict", self.on_conflict.as_str(), out);
        }
        // Absent where they are off, as before there were such keys.
        let extras = self.extras;
        for (key, on) in [
            ("details", extras.details),
            ("push_kms", extras.push_kms),
            ("push_policy", extras.push_policy),
            ("push_replicas", extras.push_replicas),
        ] {
            if on {
                out.push_str(&format!("{key} = true\n"));
            }
        }
        if let Some((local, remote)) = &self.scope.map {
            out.push_str("map = { local = ");
            quote(local, out);
            out.push_str(", remote = ");
            quote(remote, out);
            out.push_str(" }\n");
        }
        for (key, prefixes) in [
            ("include", &self.scope.include),
            ("exclude", &self.scope.exclude),
        ] {
            if !prefixes.is_empty() {
                list(key, prefixes, out);
            }
        }
    }
}

/// A key and a list of texts, on one line.
fn list(key: &str, texts: &[String], out: &mut String) {
    out.push_str(key);
    out.push_str(" = [");
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        quote(text, out);
    }
    out.push_str("]\n");
}

#[cfg(test)]
#[path = "config/tests.rs"]
mod tests;
