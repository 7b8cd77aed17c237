use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{DONE, begin, commit};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::config::{Freshness as Rule, OnStale, Span};
use crate::model::Escaped;

/// Say how old the knowledge of remotes may be
///
/// A secret is verified when a remote shows what was last agreed with it: at each fetch,
/// sync, or poll of watch. A rule warns of secrets that were not verified for too long,
/// or refuses them, in get, exec and the endpoint. Of several rules the one with the
/// longest prefix counts.
#[derive(Debug, Subcommand)]
pub enum Freshness {
    /// List the rules
    #[command(visible_alias = "list")]
    Ls,
    /// Set the rule for a prefix
    Set(Set),
    /// Remove the rule for a prefix
    Rm(Rm),
}

impl Freshness {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Ls => ls(ctx),
            Self::Set(c) => c.run(ctx),
            Self::Rm(c) => c.run(ctx),
        }
    }
}

fn ls(ctx: &Context) -> CommandResult {
    let vault = ctx.open()?;
    let config = vault.config();
    if ctx.ui.json() {
        let rules = config.freshness.iter().map(|(prefix, rule)| {
            json!({
                "Prefix": prefix,
                "MaxStale": rule.max_stale.to_string(),
                "OnStale": rule.on_stale.as_str(),
            })
        });
        let rules: Vec<Value> = rules.collect();
        ctx.ui.json_data(&json!({ "Freshness": rules }))?;
        return DONE;
    }
    for (prefix, rule) in &config.freshness {
        let shown = match prefix.as_str() {
            "" => "(all)".to_owned(),
            prefix => Escaped(prefix).to_string(),
        };
        ctx.ui.line(&format!(
            "{shown}  {}  {}",
            rule.max_stale,
            rule.on_stale.as_str()
        ))?;
    }
    DONE
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Then {
    Warn,
    Deny,
}

/// Set the rule for a prefix
///
/// Example: strongroom freshness set prod/ --max-stale 24h --on-stale deny
#[derive(Debug, Args)]
pub struct Set {
    /// What the secrets' names begin with; an empty one means all secrets
    prefix: String,
    /// The longest time since the last verification, such as 30m, 24h or 7d
    #[arg(long, value_name = "TIME")]
    max_stale: Span,
    /// What happens beyond it
    #[arg(long, value_enum, default_value = "warn")]
    on_stale: Then,
}

impl Set {
    fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let mut config = (*vault.config()).clone();
        let rule = Rule {
            max_stale: self.max_stale,
            on_stale: match self.on_stale {
                Then::Warn => OnStale::Warn,
                Then::Deny => OnStale::Deny,
            },
        };
        config.freshness.insert(self.prefix.clone(), rule);
        config.emit()?;
        let mut tx = begin(ctx, &vault, "freshness set")?;
        tx.set_config(config);
        let shown = Escaped(&self.prefix);
        commit(ctx, tx, &format!("freshness set {shown}"))?;
        ctx.ui.status(&format!(
            "Secrets that begin with \"{shown}\": {} after {} without being verified",
            match rule.on_stale {
                OnStale::Warn => "a warning",
                OnStale::Deny => "refused",
            },
            rule.max_stale
        ));
        DONE
    }
}

/// Remove the rule for a prefix
#[derive(Debug, Args)]
pub struct Rm {
    /// The rule's prefix
    prefix: String,
}

impl Rm {
    fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let mut config = (*vault.config()).clone();
        let shown = Escaped(&self.prefix);
        if config.freshness.remove(&self.prefix).is_none() {
            return Err(
                CommandError::not_found(format!("no rule for the prefix \"{shown}\""))
                    .hint("see the rules with: strongroom freshness ls"),
            );
        }
        let mut tx = begin(ctx, &vault, "freshness rm")?;
        tx.set_config(config);
        commit(ctx, tx, &format!("freshness rm {shown}"))?;
        ctx.ui.status(&format!("Removed the rule for \"{shown}\""));
        DONE
    }
}
