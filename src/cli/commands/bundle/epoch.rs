//! What the verbs say of a bundle of another epoch.

use serde_json::{Map, Value, json};

use super::super::git_state;
use crate::cli::context::{Context, Own, now};
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::exchange::{self, Memory, OtherEpoch, Proved};
use crate::model::Escaped;
use crate::vault::Vault;

fn names(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().map(|n| Escaped(n).to_string()).collect();
    shown.join(", ")
}

/// Says that a bundle is of another epoch, and what follows.
pub(super) fn show(ctx: &Context, proved: &Proved) -> Result<(), CommandError> {
    match proved.other_epoch() {
        None => Ok(()),
        Some(OtherEpoch::Former {
            epoch,
            here,
            removed,
            ..
        }) => {
            ctx.ui.line(&format!(
                "epoch        {epoch}, and this vault is at {here}"
            ))?;
            match removed.is_empty() {
                true => ctx.ui.status("It is under keys that the vault has no more; compare its fingerprint with the sender before applying it"),
                false => ctx.ui.warn(&format!(
                    "{} could have made it, removed since; compare its fingerprint with the sender before applying it",
                    names(&removed)
                )),
            }
            Ok(())
        }
        Some(OtherEpoch::Newer {
            epoch,
            removed,
            unknown,
        }) => {
            ctx.ui.line(&format!(
                "epoch        {epoch}: new keys, which this vault would take over"
            ))?;
            if !removed.is_empty() {
                ctx.ui.line(&format!("removed      {}", names(&removed)))?;
            }
            say_unknown(ctx, &unknown);
            Ok(())
        }
    }
}

/// Adds the same to what a program reads.
pub(super) fn add_json(proved: &Proved, all: &mut Map<String, Value>) {
    let (epoch, removed) = match proved.other_epoch() {
        None => return,
        Some(
            OtherEpoch::Former { epoch, removed, .. } | OtherEpoch::Newer { epoch, removed, .. },
        ) => (epoch, removed),
    };
    all.insert("Epoch".into(), json!(epoch));
    all.insert("Removed".into(), json!(removed));
}

fn say_unknown(ctx: &Context, unknown: &[String]) {
    if !unknown.is_empty() {
        ctx.ui.warn(&format!(
            "{}: a member in this clone alone, and none under the new keys",
            names(unknown)
        ));
        ctx.ui.hint("add them again with: strongroom members add");
    }
}

/// Has a person say that a bundle of a former epoch is genuine.
pub(super) fn accept(
    ctx: &Context,
    proved: &mut Proved,
    said: Option<&str>,
) -> Result<(), CommandError> {
    if let Some(said) = said {
        return Ok(proved.accept(said)?);
    }
    let Some(OtherEpoch::Former { epoch, removed, .. }) = proved.other_epoch() else {
        return Ok(());
    };
    // Where nobody can be asked, applying it says what is missing.
    if !ctx.ui.can_ask() {
        return Ok(());
    }
    let found = proved.bundle().fingerprint();
    let sender = Escaped(&proved.bundle().header().name).to_string();
    let who = match removed.is_empty() {
        true => "whoever has them".to_owned(),
        false => format!("{}, removed since,", names(&removed)),
    };
    let answer = ctx.ui.ask(&format!(
        "The bundle is under the keys of epoch {epoch}, and {who} could have made it. Its fingerprint is {found}; has {sender} read out the same? [y/N]"
    ))?;
    match answer.as_str() {
        "y" | "yes" => Ok(proved.accept(&found)?),
        _ => Err(CommandError::new(Exit::Aborted, "not confirmed")),
    }
}

/// Takes over the new keys that a bundle brings, and says so.
pub(super) fn adopt(
    ctx: &Context,
    vault: &mut Vault,
    memory: &Memory,
    proved: &mut Proved,
    own: &Own,
    with_git: bool,
) -> Result<(), CommandError> {
    let Some(OtherEpoch::Newer {
        removed, unknown, ..
    }) = proved.other_epoch()
    else {
        return Ok(());
    };
    let done = exchange::adopt(vault, memory, proved, own.member(), now(), with_git)?;
    let Some(done) = done else { return Ok(()) };
    git_state(ctx, &done.git);
    ctx.ui.status(&format!(
        "The vault has new keys (epoch {}), which those trusted so far vouch for; {} and {} encrypted anew",
        done.epoch,
        count(done.secrets, "secret"),
        count(done.values, "value"),
    ));
    if !removed.is_empty() {
        ctx.ui.status(&format!(
            "Removed: {}; what is left to rotate shows strongroom audit offboard",
            names(&removed)
        ));
    }
    say_unknown(ctx, &unknown);
    if ctx.agent().ok().flatten().is_some() {
        ctx.ui
            .hint("the agent holds the old keys: run strongroom unlock again");
    }
    Ok(())
}
