//! What commands say of a secret that nobody has verified for too long (book,
//! staleness).

use serde_json::{Value, json};

use super::context::{Context, now};
use super::error::CommandError;
use super::exit::Exit;
use super::show::age;
use crate::config::{Config, Freshness, OnStale};
use crate::model::{Record, RemoteName, SecretName, Timestamp};
use crate::vault::{Sights, Vault};

/// How many secrets are named in one message.
const NAMED: usize = 5;

/// A secret that is stale by the vault's rules.
pub(super) struct Stale {
    pub(super) name: SecretName,
    /// The remote that makes it so, and when it was last verified against that.
    remote: RemoteName,
    verified: Option<Timestamp>,
    rule: Freshness,
}

impl Stale {
    /// `None` if a secret is fresh, has no remote, or no rule is about it.
    pub(super) fn of(
        config: &Config,
        sights: &Sights,
        record: &Record,
        now: Timestamp,
    ) -> Option<Self> {
        let (_, rule) = config.freshness_of(&record.name)?;
        let (remote, verified) = sights
            .verified(record)
            .into_iter()
            .min_by_key(|(_, at)| *at)?;
        rule.is_stale(verified, now).then(|| Self {
            name: record.name.clone(),
            remote,
            verified,
            rule: *rule,
        })
    }

    pub(super) fn is_denied(&self) -> bool {
        self.rule.on_stale == OnStale::Deny
    }

    /// In a sentence.
    pub(super) fn text(&self, now: Timestamp) -> String {
        let Self {
            name,
            remote,
            verified,
            rule,
        } = self;
        let max = rule.max_stale;
        match verified {
            Some(at) => format!(
                "{name} is stale: last verified against {remote} {}, and at most {max} is allowed",
                age(now.millis() - at.millis())
            ),
            None => format!(
                "{name} is stale: not known to be what {remote} has, and at most {max} without knowing is allowed"
            ),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "Name": self.name.as_str(),
            "Remote": self.remote.as_str(),
            "Verified": self.verified.map(|at| at.to_string()),
            "MaxStale": self.rule.max_stale.to_string(),
            "OnStale": self.rule.on_stale.as_str(),
        })
    }
}

/// What to do about it.
fn hinted(error: CommandError) -> CommandError {
    error
        .hint("verify it with: strongroom fetch; bring it up to date with: strongroom sync")
        .hint("see the rules with: strongroom freshness ls")
}

/// Warns of a secret that is stale, or refuses it.
pub(super) fn check_one(ctx: &Context, vault: &Vault, record: &Record) -> Result<(), CommandError> {
    let config = vault.config();
    if config.freshness_of(&record.name).is_none() {
        return Ok(());
    }
    let sights = vault.sights(|remote| record.base.contains_key(remote))?;
    let now = now();
    match Stale::of(&config, &sights, record, now) {
        None => Ok(()),
        Some(stale) if stale.is_denied() => {
            Err(hinted(CommandError::new(Exit::Guard, stale.text(now))))
        }
        Some(stale) => {
            ctx.ui.warn(&stale.text(now));
            Ok(())
        }
    }
}

/// Warns of every secret in use that is stale and that `sees` lets through, or refuses
/// them all if one of them must not be given out.
pub(super) fn check_all(
    ctx: &Context,
    vault: &Vault,
    sees: impl Fn(&SecretName) -> bool,
) -> Result<(), CommandError> {
    let config = vault.config();
    if config.freshness.is_empty() {
        return Ok(());
    }
    let now = now();
    let mut all = all(vault, now)?;
    all.retain(|stale| sees(&stale.name));
    let (denied, warned): (Vec<Stale>, Vec<Stale>) = all.into_iter().partition(Stale::is_denied);
    if let [first, rest @ ..] = denied.as_slice() {
        let text = first.text(now) + &more(rest.len());
        let error = hinted(CommandError::new(Exit::Guard, text));
        return Err(error.hint("or leave them out: --only names what the program may see"));
    }
    for stale in warned.iter().take(NAMED) {
        ctx.ui.warn(&stale.text(now));
    }
    if warned.len() > NAMED {
        let more = warned.len() - NAMED;
        ctx.ui.warn(&format!(
            "{more} more are stale; see them with: strongroom status"
        ));
    }
    Ok(())
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        n => format!("; so are {n} more"),
    }
}

/// Every secret in use that is stale, sorted by name.
pub(super) fn all(vault: &Vault, now: Timestamp) -> Result<Vec<Stale>, CommandError> {
    let config = vault.config();
    if config.freshness.is_empty() {
        return Ok(Vec::new());
    }
    let sights = vault.sights(|_| true)?;
    let loaded = vault.glance()?;
    let live = loaded
        .records
        .values()
        .filter(|r| r.state.lifecycle.is_live());
    Ok(live
        .filter_map(|r| Stale::of(&config, &sights, r, now))
        .collect())
}
