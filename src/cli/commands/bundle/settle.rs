use std::path::Path;

use super::super::{DONE, git_state};
use super::apply::{Apply, say};
use crate::bundle::{Holder, Unproved};
use crate::cli::context::{Context, Own, new_uuid, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::crypto::{HasMemberKey, KeyringKeys, OpenError, open_keyring};
use crate::exchange::{self, ExchangeError, Memory, Settler};
use crate::vault::{Rests, Vault};

impl Apply {
    /// Makes a vault of a bundle.
    pub(super) fn settle(&self, ctx: &Context, dir: &Path) -> CommandResult {
        let is_taken = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
        if is_taken || dir.is_file() {
            return Err(ExchangeError::NotEmpty(dir.to_owned()).into());
        }
        let (unproved, identity) = self.source().read(ctx)?;
        let identity = match identity {
            Some(identity) => identity,
            None => ctx.identity()?,
        };
        match unproved.header().holder {
            Holder::Vault => clone(ctx, unproved, dir, &identity),
            Holder::Bundle => self.newcomer(ctx, unproved, dir, &identity),
        }
    }

    fn newcomer(
        &self,
        ctx: &Context,
        unproved: Unproved,
        dir: &Path,
        identity: &Own,
    ) -> CommandResult {
        let settler = Settler::new(unproved)?;
        let found = settler.bundle().fingerprint();
        match &self.fingerprint {
            Some(said) if *said == found => {}
            Some(said) => {
                return Err(CommandError::new(
                    Exit::Integrity,
                    format!("the bundle's fingerprint is {found}, not {said}"),
                )
                .hint("it is not the one that the sender made; nothing of it was used"));
            }
            None => {
                let sender = crate::model::Escaped(&settler.bundle().header().name).to_string();
                let asked = format!(
                    "The fingerprint is {found}. Anyone who knows your key can make a bundle; has {sender} read out the same?"
                );
                ctx.ui
                    .confirm(&asked)
                    .map_err(|e| e.hint("or give what was read out: --fingerprint FINGERPRINT"))?;
            }
        }
        let name = self.member.clone().unwrap_or_else(|| ctx.member_name());
        let member: (&str, &dyn HasMemberKey) = (name.as_str(), identity.member());
        let (state, id) = (ctx.state_home()?, new_uuid());
        let (vault, git) = exchange::settle(&settler, dir, state, &id, member, now())?;
        git_state(ctx, &git);
        let secrets = settler.records().len();
        told(ctx, &vault, secrets)
    }
}

/// Makes a clone of the sender's vault, for a member.
fn clone(ctx: &Context, unproved: Unproved, dir: &Path, identity: &Own) -> CommandResult {
    let Some(rests) = exchange::rests(&unproved) else {
        return Err(ExchangeError::ForNewcomer.into());
    };
    // Before anything is made: whoever has the keyring's key made it.
    let keyring = open_keyring(&rests.keyring, identity.member()).map_err(|error| {
        let exit = match error {
            OpenError::Plugin(error) => return error.into(),
            OpenError::NoIdentityMatches => Exit::NoIdentity,
            _ => Exit::Integrity,
        };
        CommandError::from_error(exit, error)
            .hint("you can open the bundle and are no member of its vault; ask for one made with --for-newcomer")
    })?;
    let keys = KeyringKeys::new(keyring, &unproved.header().vault);
    // Proved twice, since there is no vault yet that could.
    unproved.check(&keys)?;
    drop(keys);
    let was_there = dir.exists();
    let done = planted(ctx, unproved, dir, identity, &rests);
    if done.is_err() {
        // It was empty or not there; what is in it is ours.
        drop(std::fs::remove_dir_all(dir));
        if was_there {
            drop(std::fs::create_dir(dir));
        }
    }
    done
}

fn planted(
    ctx: &Context,
    unproved: Unproved,
    dir: &Path,
    identity: &Own,
    rests: &Rests,
) -> CommandResult {
    let mut vault = Vault::plant(dir, ctx.state_home()?, rests)?;
    ctx.unlock_as(&mut vault, identity.member())?;
    git_state(ctx, &vault.commit_planted(rests, now()));
    let mut memory = Memory::load(&vault, &new_uuid())?;
    let proved = exchange::prove(&vault, unproved, Some(identity.member()))?;
    let applied = exchange::apply(&vault, &mut memory, &proved, now(), true)?;
    drop(proved);
    git_state(ctx, &applied.git);
    if ctx.ui.json() {
        return say(ctx, &applied, None);
    }
    told(ctx, &vault, applied.weighed.outcomes.len())
}

fn told(ctx: &Context, vault: &Vault, secrets: usize) -> CommandResult {
    if ctx.ui.json() {
        ctx.ui.json_data(&serde_json::json!({
            "Vault": vault.root().display().to_string(),
            "VaultId": vault.config().vault_id,
            "Secrets": secrets,
        }))?;
        return DONE;
    }
    ctx.ui.status(&format!(
        "Made a vault of {} in {}",
        count(secrets, "secret"),
        vault.root().display()
    ));
    DONE
}
