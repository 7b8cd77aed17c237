//! The rules of a migration, as they are given on the command line.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use crate::cli::error::CommandError;
use crate::migrate::{Policies, Rule, Rules};
use crate::model::Attributes;

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Policy {
    #[default]
    Rewrite,
    Skip,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AccountRewrite {
    Automatic,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Rotation {
    #[default]
    Skip,
    Manual,
}

/// Which secrets, under which names, and with which keys and tags.
#[derive(Debug, Args)]
pub(super) struct Asked {
    /// Rename: NAME=NAME, PREFIX*=PREFIX* or re:PATTERN=REPLACEMENT; with => in place of
    /// = where a name holds one (can be repeated)
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<Rule>,
    /// Leave out: NAME, PREFIX* or re:PATTERN (can be repeated)
    #[arg(long, value_name = "NAME")]
    drop: Vec<String>,
    /// Only secrets whose name begins so on the source (can be repeated)
    #[arg(long, value_name = "PREFIX")]
    only: Vec<String>,
    /// The target's key for a KMS key of the source; `default` stands for the default
    /// key (can be repeated)
    #[arg(long, value_name = "SRC=DST")]
    kms: Vec<String>,
    /// Give every copy this tag (can be repeated)
    #[arg(long, value_name = "K=V")]
    tag: Vec<String>,
    /// Leave this tag behind (can be repeated)
    #[arg(long, value_name = "K")]
    drop_tag: Vec<String>,
    /// Leave secrets with rotation where they are, or copy them without it, to be set up
    /// by hand
    #[arg(long, value_enum, default_value = "skip")]
    rotation: Rotation,
    /// Carry resource policies over, with the secrets' own ARNs rewritten, or not
    #[arg(long, value_enum, default_value = "rewrite")]
    policy: Policy,
    /// Let account ids in policies become the target's
    #[arg(long, value_enum, value_name = "HOW")]
    account_rewrite: Option<AccountRewrite>,
}

/// What more a plan is asked for.
#[derive(Debug, Args)]
pub(super) struct More {
    /// Copy versions without labels too, as far as the source still has them
    #[arg(long)]
    history: bool,
    /// Bring a target back that is scheduled for deletion, if its versions are the
    /// source's
    #[arg(long)]
    restore: bool,
}

impl Asked {
    pub(super) fn rules(&self) -> Result<Rules, CommandError> {
        let mut map = self.map.clone();
        for text in &self.drop {
            map.push(Rule::drop(text)?);
        }
        let rules = Rules {
            map,
            only: self.only.clone(),
            kms: pairs(&self.kms, "a key map is written SRC=DST")?,
            tags: pairs(&self.tag, "a tag is written K=V")?,
            drop_tags: self.drop_tag.clone(),
            without_rotation: matches!(self.rotation, Rotation::Manual),
            policy: match self.policy {
                Policy::Rewrite => Policies::Rewrite,
                Policy::Skip => Policies::Skip,
            },
            account_rewrite: matches!(self.account_rewrite, Some(AccountRewrite::Automatic)),
            ..Rules::default()
        };
        let tags = Attributes {
            description: None,
            tags: rules.tags.clone(),
        };
        tags.check()?;
        Ok(rules)
    }
}

impl More {
    pub(super) fn add_to(&self, rules: Rules) -> Rules {
        Rules {
            history: self.history,
            restore: self.restore,
            ..rules
        }
    }
}

fn pairs(texts: &[String], usage: &str) -> Result<BTreeMap<String, String>, CommandError> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(CommandError::usage(format!("{text}: {usage}"))),
    };
    texts.iter().map(pair).collect()
}

/// Reads `K/N`.
pub(super) fn part(text: &str) -> Result<(u32, u32), String> {
    let numbers = text.split_once('/').and_then(|(k, n)| {
        let (k, n): (u32, u32) = (k.parse().ok()?, n.parse().ok()?);
        (1..=n).contains(&k).then_some((k, n))
    });
    numbers.ok_or_else(|| "a part is written K/N, such as 1/4".to_owned())
}
