use clap::Args;
use serde_json::json;

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::model::Escaped;
use crate::vault::VaultError;

/// See the vault's fingerprint, and accept what this clone does not trust
///
/// A clone trusts the keyring that it unlocked first, and newer ones that the trusted
/// one vouches for. Where a vault has another, this shows its fingerprint; ask a member
/// for theirs (strongroom members ls), and accept yours only if it is the same.
///
/// With --rollback it accepts secrets and settings that are older than this clone has
/// seen them, as after a restored backup.
///
/// Ends with 7 if there is something that is not accepted.
///
/// Example: strongroom trust --fingerprint 1b2c-3d4e-5f60-7182-93a4
#[derive(Debug, Args)]
pub struct Trust {
    /// Accept the keyring that has this fingerprint
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "rollback")]
    fingerprint: Option<String>,
    /// Accept the secrets and settings as they are, although this clone has seen newer states
    #[arg(long)]
    rollback: bool,
}

impl Trust {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        if self.rollback {
            return rollback(ctx);
        }
        let mut vault = ctx.open()?;
        let own = ctx.identity_for(&vault)?;
        let sight = vault.look_at_keyring(own.member())?;
        let is_new = sight.pinned.is_none();
        if ctx.ui.json() && self.fingerprint.is_none() {
            ctx.ui.json_data(&json!({
                "Fingerprint": sight.fingerprint,
                "Epoch": sight.epoch,
                "Members": sight.members,
                "Pinned": sight.pinned.as_ref().map(|(f, e)| json!({ "Fingerprint": f, "Epoch": e })),
                "Accepted": sight.is_accepted,
            }))?;
        } else if !ctx.ui.json() {
            let members: Vec<String> = sight
                .members
                .iter()
                .map(|m| Escaped(m).to_string())
                .collect();
            ctx.ui
                .line(&format!("fingerprint: {}", sight.fingerprint))?;
            ctx.ui.line(&format!("epoch:       {}", sight.epoch))?;
            ctx.ui
                .line(&format!("members:     {}", members.join(", ")))?;
            ctx.ui.line(&format!(
                "trusted:     {}",
                match &sight.pinned {
                    None => "nothing yet".to_owned(),
                    Some((_, _)) if sight.is_accepted => "yes".to_owned(),
                    Some((fingerprint, epoch)) =>
                        format!("no; this clone trusts {fingerprint}, epoch {epoch}"),
                }
            ))?;
        }
        let typed = match self.fingerprint {
            Some(text) => Some(text),
            None if sight.is_accepted => None,
            None if ctx.ui.can_ask() => {
                let said = ctx
                    .ui
                    .ask("Type the fingerprint that a member told you, or nothing to leave it: ")?;
                (!said.is_empty()).then_some(said)
            }
            None => None,
        };
        let Some(typed) = typed else {
            if sight.is_accepted {
                // The other keyrings, too.
                vault.unlock(own.member())?;
            }
            vault.refuse_gone_back()?;
            return match (sight.is_accepted, is_new) {
                (true, _) => DONE,
                (false, true) => Err(CommandError::new(
                    Exit::Integrity,
                    "nothing was accepted: this clone trusts no keyring of this vault yet",
                )
                .hint("accept it with: strongroom trust --fingerprint FINGERPRINT")
                .hint(
                    "without that, the first command that unlocks the vault trusts what it finds",
                )),
                (false, false) => Err(CommandError::new(
                    Exit::Integrity,
                    "the keyring is not the one this clone trusts, and nothing vouches for it",
                )
                .hint("accept it with: strongroom trust --fingerprint FINGERPRINT")),
            };
        };
        let typed = typed.trim().to_lowercase();
        vault.unlock_trusting(own.member(), &typed)?;
        ctx.ui.status(&format!("This clone trusts {typed} now"));
        DONE
    }
}

fn rollback(ctx: &Context) -> CommandResult {
    let vault = ctx.unlocked()?;
    let names = match vault.refuse_gone_back() {
        Ok(()) => {
            ctx.ui.status("Nothing went back in time");
            return DONE;
        }
        Err(error @ VaultError::DamagedMark { .. }) => {
            ctx.ui.warn(&error.to_string());
            Vec::new()
        }
        Err(VaultError::OldSettings { path }) => {
            ctx.ui.line(&path.display().to_string())?;
            vault.gone_back().or_else(unless_damaged)?
        }
        Err(VaultError::GoneBack { names }) => names,
        Err(error) => return Err(error.into()),
    };
    for name in &names {
        ctx.ui.line(&Escaped(name).to_string())?;
    }
    ctx.ui.confirm(
        "Take the vault as it is now for the newest, although this clone has seen newer states?",
    )?;
    let accepted = vault.accept_gone_back()?;
    ctx.ui
        .status(&format!("Accepted {}", count(accepted.len(), "file")));
    DONE
}

/// Nothing is known to have gone back where the mark is damaged.
fn unless_damaged(error: VaultError) -> Result<Vec<String>, VaultError> {
    match error {
        VaultError::DamagedMark { .. } => Ok(Vec::new()),
        error => Err(error),
    }
}
