use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{DONE, git_state};
use crate::cli::context::{Context, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::crypto::{Identity, MemberKey};
use crate::model::Escaped;
use crate::vault::{Rekey, Rekeyed, Vault};

/// See and change who can open the vault
///
/// A member is a name and a public key. Every member can read and change every
/// secret, and add and remove members.
#[derive(Debug, Subcommand)]
pub enum Members {
    /// List who can open the vault
    Ls(Ls),
    /// Let one more person open the vault
    ///
    /// The person runs `strongroom join` and tells you the name and the public key it
    /// prints. Compare the fingerprint over another way than the key came: whoever can
    /// swap the key on its way to you is let in. Nothing is encrypted anew but the
    /// keyring itself.
    ///
    /// Example: strongroom members add bob age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj
    Add(Add),
    /// Take a person's access away
    ///
    /// The vault gets new keys and every value is encrypted anew. The person keeps what
    /// could be read until now: a list of it is kept, and stays open until each secret
    /// has a newer AWSCURRENT (strongroom audit offboard).
    Rm(Rm),
}

/// Lists the members.
#[derive(Debug, Args)]
pub struct Ls {}

/// Adds a member.
#[derive(Debug, Args)]
pub struct Add {
    /// What the person is called in the vault
    name: String,
    /// The public key: age1..., or an ssh-ed25519 key in quotes or not
    #[arg(required = true, num_args = 1..)]
    recipient: Vec<String>,
}

/// Removes a member.
#[derive(Debug, Args)]
pub struct Rm {
    /// What the person is called in the vault (can be repeated)
    #[arg(required = true)]
    names: Vec<String>,
}

impl Members {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Ls(_) => ls(ctx),
            Self::Add(c) => c.run(ctx),
            Self::Rm(c) => c.run(ctx),
        }
    }
}

fn ls(ctx: &Context) -> CommandResult {
    let vault = ctx.unlocked()?;
    let list = vault.keyring()?;
    if ctx.ui.json() {
        let members: Vec<_> = list
            .members
            .iter()
            .map(|(name, key)| {
                json!({
                    "Name": name,
                    "Recipient": key.to_string(),
                    "Fingerprint": key.fingerprint(),
                })
            })
            .collect();
        ctx.ui.json_data(&json!({
            "Keyring": list.name,
            "Epoch": list.epoch,
            "Fingerprint": list.commitment.fingerprint(),
            "Members": members,
        }))?;
        return DONE;
    }
    let widest = list.members.keys().map(|n| n.chars().count()).max();
    let width = widest.unwrap_or(0);
    for (name, key) in &list.members {
        let name = Escaped(name).to_string();
        ctx.ui
            .line(&format!("{name:width$}  {}  {key}", key.fingerprint()))?;
    }
    ctx.ui.status(&format!(
        "{}, keyring {}, epoch {}",
        count(list.members.len(), "member"),
        list.commitment.fingerprint(),
        list.epoch
    ));
    DONE
}

/// Unlocks with the person's own identity: what an agent holds never leaves it.
fn unlocked_here(ctx: &Context) -> Result<(Vault, crate::cli::context::Own), CommandError> {
    let mut vault = ctx.open()?;
    let own = ctx.identity_for(&vault)?;
    ctx.unlock_as(&mut vault, own.member())?;
    Ok((vault, own))
}

impl Add {
    fn run(self, ctx: &Context) -> CommandResult {
        let text = self.recipient.join(" ");
        let key =
            MemberKey::from_person(&text).map_err(|e| CommandError::from_error(Exit::Usage, e))?;
        let (vault, _) = unlocked_here(ctx)?;
        let name = self.name.as_str();
        let list = vault.keyring()?;
        // Before anybody is asked.
        let is_taken =
            list.members.contains_key(name) || list.members.values().any(|has| *has == key);
        let goes_on = vault.half_added()?.as_deref() == Some(name);
        if !is_taken || goes_on {
            if let MemberKey::Plugin(key) = &key {
                ctx.plugins()?.find(key.plugin())?;
            }
            ctx.ui.confirm(&format!(
                "Let {} open the vault, whose key's fingerprint is {}?",
                Escaped(name),
                key.fingerprint()
            ))?;
        }
        let git = vault.add_member(name, &key, now(), !ctx.no_commit()?)?;
        git_state(ctx, &git);
        if ctx.ui.json() {
            ctx.ui.json_data(&json!({
                "Name": name,
                "Recipient": key.to_string(),
                "Fingerprint": key.fingerprint(),
            }))?;
            return DONE;
        }
        ctx.ui
            .status(&format!("{} can open the vault now", Escaped(name)));
        ctx.ui.hint(&format!(
            "push it, and tell them the vault's fingerprint, to compare at the first unlock: {}",
            list.commitment.fingerprint()
        ));
        DONE
    }
}

impl Rm {
    fn run(self, ctx: &Context) -> CommandResult {
        let (mut vault, own) = unlocked_here(ctx)?;
        let list = vault.keyring()?;
        let names: BTreeSet<String> = self.names.into_iter().collect();
        let mine = own.member_key();
        for name in &names {
            match list.members.get(name) {
                None => {
                    return Err(CommandError::not_found(format!(
                        "no member named {}",
                        Escaped(name)
                    ))
                    .hint("see who there is with: strongroom members ls"));
                }
                Some(key) if *key == mine => {
                    return Err(CommandError::new(
                        Exit::Guard,
                        format!("{} is you, and you would lock yourself out", Escaped(name)),
                    )
                    .hint("ask another member to remove you"));
                }
                Some(_) => {}
            }
        }
        let stay = list.members.keys().filter(|name| !names.contains(*name));
        if stay.count() == 1 {
            ctx.ui.warn(
                "you will be the only member; without your identity nobody opens the vault then",
            );
        }
        let shown: Vec<String> = names.iter().map(|n| Escaped(n).to_string()).collect();
        ctx.ui.confirm(&format!(
            "Take away the access of {}, and encrypt everything anew?",
            shown.join(", ")
        ))?;
        let rekey = Rekey {
            keyring: Identity::generate(),
            remove: &names,
            now: now(),
            git: !ctx.no_commit()?,
        };
        let done = vault.rekey(own.member(), rekey)?;
        said(ctx, &vault, &done)
    }
}

/// Give the vault new keys, and encrypt everything anew
///
/// The same as removing a member, without removing anyone: for when a key may have
/// leaked. It also finishes what was cut off of a removal or of new keys. Every clone
/// accepts the new keys by itself, since the old ones vouch for them.
#[derive(Debug, Args)]
pub struct RekeyVerb {}

impl RekeyVerb {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let mut vault = ctx.open()?;
        let own = ctx.identity_for(&vault)?;
        let git = !ctx.no_commit()?;
        let done = if vault.is_half_rekeyed() {
            vault.finish_rekey(own.member(), now(), git)?
        } else {
            ctx.unlock_as(&mut vault, own.member())?;
            let nobody = BTreeSet::new();
            let rekey = Rekey {
                keyring: Identity::generate(),
                remove: &nobody,
                now: now(),
                git,
            };
            vault.rekey(own.member(), rekey)?
        };
        said(ctx, &vault, &done)
    }
}

fn said(ctx: &Context, vault: &Vault, done: &Rekeyed) -> CommandResult {
    git_state(ctx, &done.git);
    let loaded = vault.load()?;
    let offboardings = vault.offboardings(&loaded)?;
    let last = offboardings.iter().find(|o| o.epoch == done.epoch);
    let open = last.map_or(0, |o| o.open.len());
    let keys = vault.keys().map(|k| k.commitment().fingerprint());
    let fingerprint = keys.unwrap_or_default();
    if ctx.ui.json() {
        ctx.ui.json_data(&json!({
            "Epoch": done.epoch,
            "Fingerprint": fingerprint,
            "Removed": done.removed,
            "Secrets": done.secrets,
            "Values": done.values,
            "Resumed": done.resumed,
            "ToRotate": open,
        }))?;
        return DONE;
    }
    ctx.ui.status(&format!(
        "Epoch {}: {} and {} encrypted anew; the keyring's fingerprint is {fingerprint}",
        done.epoch,
        count(done.secrets, "secret"),
        count(done.values, "value"),
    ));
    if ctx.agent().ok().flatten().is_some() {
        ctx.ui
            .hint("the agent holds the old keys: run strongroom unlock again");
    }
    if !done.removed.is_empty() {
        let shown: Vec<String> = done
            .removed
            .iter()
            .map(|n| Escaped(n).to_string())
            .collect();
        ctx.ui.status(&format!(
            "{} could read {}; rotate what matters: what was read stays read",
            shown.join(", "),
            count(open, "secret"),
        ));
        ctx.ui
            .hint("see what is left to rotate with: strongroom audit offboard");
    }
    DONE
}
