use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde_json::{Value, json};

use super::DONE;
use crate::cli::context::{Context, now};
use crate::cli::error::CommandResult;
use crate::cli::freshness;
use crate::cli::show::{age, count};
use crate::model::{Conflict, Escaped, RemoteName, SecretName, Sight};
use crate::plan::{NoteKind, Side};
use crate::sync::{policy_of, prepare};
use crate::vault::{Fetched, Loaded, Sights, VaultError};

/// How many changes of what a remote has of its own are named.
const DRIFT: usize = 10;

/// Say where the vault stands against its remotes, without a network
///
/// Compares the vault with what each remote showed when it was last asked.
#[derive(Debug, Args)]
pub struct Status {
    /// The remotes; all if left out
    #[arg(value_name = "REMOTE")]
    remotes: Vec<RemoteName>,
}

impl Status {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        let config = vault.config();
        let names: Vec<RemoteName> = if self.remotes.is_empty() {
            config.remotes.keys().cloned().collect()
        } else {
            ctx.remotes(&vault, &self.remotes)?
        };
        let loaded = vault.load()?;
        let live = loaded
            .records
            .values()
            .filter(|r| r.state.lifecycle.is_live())
            .count();
        let conflicts: usize = loaded.records.values().map(|r| r.conflicts.len()).sum();
        let alarmed: Vec<&SecretName> = loaded
            .records
            .values()
            .filter(|r| r.conflicts.iter().any(Conflict::is_alarm))
            .map(|r| &r.name)
            .collect();
        super::ls::report_blocked(ctx, &loaded);
        let mut remotes: Vec<Value> = Vec::new();
        let mut lines = Vec::new();
        for name in &names {
            let Some(fetched) = vault.load_view(name)? else {
                lines.push(format!("{name}: never asked; run: strongroom fetch {name}"));
                remotes.push(json!({ "Name": name.as_str(), "Fetched": Value::Null }));
                continue;
            };
            let views = BTreeMap::from([(name.clone(), fetched.view.clone())]);
            let prepared = prepare(&vault, views, &policy_of(&vault, None, now()))?;
            let count = |local: bool| {
                prepared
                    .plan
                    .secrets
                    .values()
                    .filter(|s| s.conflicts.is_empty())
                    .filter(|s| s.actions.iter().any(|a| (a.on == Side::Local) == local))
                    .count()
            };
            let (pull, push) = (count(true), count(false));
            let open = prepared
                .plan
                .secrets
                .values()
                .filter(|s| !s.conflicts.is_empty())
                .count();
            let age = age(now().millis() - fetched.at.millis());
            let (verified, bound) = verified(&loaded, name, &fetched);
            let skipped = prepared
                .plan
                .notes()
                .filter(|(_, note)| matches!(note.kind, NoteKind::Blocked(_)))
                .count();
            let text = if prepared.plan.is_quiet() {
                format!("{name}: in step, as of {age}")
            } else {
                format!("{name}: {push} to push, {pull} to pull, {open} in conflict, as of {age}")
            };
            lines.push(match skipped {
                0 => text,
                n => format!("{text}; {n} skipped, see: strongroom plan"),
            });
            let kinds = kinds(&fetched);
            let said: Vec<String> = [
                (kinds.rotated, "rotated there"),
                (kinds.replicas, "read-only replicas"),
                (kinds.owned, "owned by an AWS service"),
            ]
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{n} {what}"))
            .collect();
            if !said.is_empty() {
                lines.push(format!("{name}: {}", said.join(", ")));
            }
            let drift: Vec<String> = prepared
                .plan
                .notes()
                .filter(|(_, note)| matches!(note.kind, NoteKind::Drift { .. }))
                .map(|(secret, note)| format!("{secret}: {note}"))
                .collect();
            lines.extend(drift.iter().take(DRIFT).cloned());
            if drift.len() > DRIFT {
                let more = drift.len() - DRIFT;
                lines.push(format!(
                    "{name}: {more} more have changed so; see: strongroom plan"
                ));
            }
            remotes.push(json!({
                "Name": name.as_str(),
                "Fetched": fetched.at.to_string(),
                "ToPush": push,
                "ToPull": pull,
                "InConflict": open,
                "Skipped": skipped,
                "Verified": verified,
                "Unverified": bound - verified,
                "Rotated": kinds.rotated,
                "Replicas": kinds.replicas,
                "Owned": kinds.owned,
                "Drift": drift,
            }));
        }
        let damaged = |error: VaultError| match error {
            VaultError::DamagedMark { .. } => {
                ctx.ui.warn(&error.to_string());
                Ok(())
            }
            error => Err(error),
        };
        let back = vault.gone_back();
        let back = back.or_else(|error| damaged(error).map(|()| Vec::new()))?;
        let old_settings = vault.settings_gone_back();
        let old_settings = old_settings.or_else(|error| damaged(error).map(|()| false))?;
        let offboardings = vault.offboardings(&loaded);
        if let Err(error) = &offboardings {
            ctx.ui.warn(&error.to_string());
        }
        let to_rotate: BTreeSet<SecretName> = offboardings
            .unwrap_or_default()
            .into_iter()
            .flat_map(|removal| removal.open.into_iter().map(|(name, _)| name))
            .collect();
        let stale = freshness::all(&vault, now())?;
        let watch = super::watch::said(&vault)?;
        if ctx.ui.json() {
            ctx.ui.json_data(&json!({
                "Vault": vault.root().display().to_string(),
                "Secrets": live,
                "Conflicts": conflicts,
                "Alarms": alarmed.iter().map(|n| n.as_str()).collect::<Vec<_>>(),
                "Blocked": loaded.blocked,
                "NoAccess": super::ls::count_closed(&loaded),
                "Verified": loaded.verified,
                "Remotes": remotes,
                "Stale": stale.iter().map(freshness::Stale::json).collect::<Vec<_>>(),
                "Watch": watch,
                "WentBack": back,
                "SettingsWentBack": old_settings,
                "ToRotate": to_rotate.len(),
            }))?;
            return DONE;
        }
        ctx.ui.line(&format!(
            "vault: {}, {}",
            vault.root().display(),
            count(live, "secret")
        ))?;
        for (keyring, n) in super::ls::count_closed(&loaded) {
            ctx.ui.line(&format!(
                "keyring {keyring}: no access to {}",
                count(n, "secret")
            ))?;
        }
        for line in lines {
            ctx.ui.line(&line)?;
        }
        for line in super::watch::lines(watch.as_ref(), now()) {
            ctx.ui.line(&line)?;
        }
        for stale in &stale {
            let then = if stale.is_denied() { "; refused" } else { "" };
            ctx.ui.line(&format!("{}{then}", stale.text(now())))?;
        }
        if !stale.is_empty() {
            ctx.ui.hint(
                "verify them with: strongroom fetch; bring them up to date with: strongroom sync",
            );
        }
        if names.is_empty() {
            ctx.ui
                .hint("add a remote with: strongroom remote add NAME --region REGION");
        }
        for name in alarmed {
            ctx.ui.line(&format!(
                "{name}: one version id has two contents; nothing is written to it anywhere until it is resolved"
            ))?;
        }
        if old_settings {
            ctx.ui
                .line("the settings went back in time: this clone has seen newer ones")?;
        }
        if !back.is_empty() {
            let shown: Vec<String> = back.iter().map(|n| Escaped(n).to_string()).collect();
            ctx.ui.line(&format!(
                "{} went back in time: {}",
                count(back.len(), "secret"),
                shown.join(", ")
            ))?;
        }
        if old_settings || !back.is_empty() {
            ctx.ui
                .hint("nothing is synced until it is right again, or meant so: strongroom trust --rollback");
        }
        if !to_rotate.is_empty() {
            ctx.ui.line(&format!(
                "{} to rotate that a removed member could read; see: strongroom audit offboard",
                count(to_rotate.len(), "secret")
            ))?;
        }
        if conflicts > 0 {
            ctx.ui.line(&format!(
                "{} to decide; see: strongroom conflicts",
                count(conflicts, "conflict")
            ))?;
        }
        DONE
    }
}

/// How many live secrets a remote was seen to agree on, of how many it has.
fn verified(loaded: &Loaded, remote: &RemoteName, fetched: &Fetched) -> (usize, usize) {
    let mut sights = Sights::default();
    sights.add(remote.clone(), fetched);
    let live = loaded
        .records
        .values()
        .filter(|r| r.state.lifecycle.is_live());
    let seen = live.filter_map(|r| sights.verified(r).remove(remote));
    seen.fold((0, 0), |(verified, all), at| {
        (verified + usize::from(at.is_some()), all + 1)
    })
}

/// Secrets that a sync only pulls, or of which it pulls some things only (sync.md K3, K4).
#[derive(Default)]
struct Kinds {
    rotated: usize,
    replicas: usize,
    owned: usize,
}

fn kinds(fetched: &Fetched) -> Kinds {
    let mut kinds = Kinds::default();
    for sight in fetched.view.secrets.values() {
        if let Sight::Seen(seen) = sight {
            kinds.rotated += usize::from(seen.facts.rotation_enabled);
            kinds.replicas += usize::from(seen.facts.replica);
            kinds.owned += usize::from(seen.facts.owning_service.is_some());
        }
    }
    kinds
}
