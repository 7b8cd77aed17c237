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
use crate::vault::{Keyring, KeyringEntry, Offboarding, Rekey, RekeyKind, Rekeyed, Vault};

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
pub struct Ls {
    /// Of this keyring alone
    #[arg(long, value_name = "NAME")]
    keyring: Option<String>,
}

/// Adds a member.
#[derive(Debug, Args)]
pub struct Add {
    /// What the person is called in the vault
    name: String,
    /// The public key: age1..., or an ssh-ed25519 key in quotes or not
    #[arg(required_unless_present = "keyring", num_args = 1..)]
    recipient: Vec<String>,
    /// Let a member of the vault open this keyring, too; the key is known then
    #[arg(long, value_name = "NAME", conflicts_with = "recipient")]
    keyring: Option<String>,
}

/// Removes a member.
#[derive(Debug, Args)]
pub struct Rm {
    /// What the person is called in the vault (can be repeated)
    #[arg(required = true)]
    names: Vec<String>,
    /// From this keyring alone; else from every keyring
    #[arg(long, value_name = "NAME")]
    keyring: Option<String>,
}

impl Members {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Ls(c) => ls(ctx, c.keyring.as_deref()),
            Self::Add(c) => c.run(ctx),
            Self::Rm(c) => c.run(ctx),
        }
    }
}

fn ls(ctx: &Context, keyring: Option<&str>) -> CommandResult {
    let vault = ctx.unlocked()?;
    let list = match keyring {
        Some(name) => vault.keyring_named(name)?,
        None => vault.keyring()?,
    };
    let others = match keyring {
        Some(_) => Vec::new(),
        None => vault.other_keyrings()?,
    };
    // The other keyrings that a member is in.
    let is_in = |key: &MemberKey| -> Vec<&str> {
        let lists = others.iter();
        let has = |e: &&KeyringEntry| {
            e.list
                .as_ref()
                .is_some_and(|l| l.members.values().any(|k| k == key))
        };
        lists.filter(has).map(|e| e.name.as_str()).collect()
    };
    if ctx.ui.json() {
        let members: Vec<_> = list
            .members
            .iter()
            .map(|(name, key)| {
                let mut one = json!({
                    "Name": name,
                    "Recipient": key.to_string(),
                    "Fingerprint": key.fingerprint(),
                });
                if !others.is_empty() {
                    one["Keyrings"] = is_in(key).into();
                }
                one
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
        let keyrings = match is_in(key).as_slice() {
            [] => String::new(),
            some => format!("  [{}]", some.join(", ")),
        };
        ctx.ui.line(&format!(
            "{name:width$}  {}  {key}{keyrings}",
            key.fingerprint()
        ))?;
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
pub(super) fn unlocked_here(
    ctx: &Context,
) -> Result<(Vault, crate::cli::context::Own), CommandError> {
    let mut vault = ctx.open()?;
    let own = ctx.identity_for(&vault)?;
    ctx.unlock_as(&mut vault, own.member())?;
    Ok((vault, own))
}

/// Nobody has that name.
pub(super) fn named(name: &str) -> CommandError {
    CommandError::not_found(format!("no member named {}", Escaped(name)))
        .hint("see who there is with: strongroom members ls")
}

impl Add {
    /// Lets a member of the vault open one more keyring.
    fn run_keyring(&self, ctx: &Context, keyring: &str) -> CommandResult {
        let (vault, _) = unlocked_here(ctx)?;
        let name = self.name.as_str();
        let all = vault.keyring()?;
        let key = all.members.get(name).ok_or_else(|| named(name))?;
        if !vault.keyring_named(keyring)?.members.contains_key(name) {
            ctx.ui.confirm(&format!(
                "Let {}, whose key's fingerprint is {}, read what is in keyring {keyring}?",
                Escaped(name),
                key.fingerprint()
            ))?;
        }
        let git = vault.add_member_to(keyring, name, key, now(), !ctx.no_commit()?)?;
        git_state(ctx, &git);
        if ctx.ui.json() {
            ctx.ui.json_data(&json!({
                "Name": name,
                "Keyring": keyring,
                "Recipient": key.to_string(),
                "Fingerprint": key.fingerprint(),
            }))?;
            return DONE;
        }
        ctx.ui
            .status(&format!("{} can open keyring {keyring} now", Escaped(name)));
        DONE
    }

    fn run(self, ctx: &Context) -> CommandResult {
        if let Some(keyring) = &self.keyring {
            return self.run_keyring(ctx, keyring);
        }
        let text = self.recipient.join(" ");
        let key =
            MemberKey::from_person(&text).map_err(|e| CommandError::from_error(Exit::Usage, e))?;
        let (vault, _) = unlocked_here(ctx)?;
        let name = self.name.as_str();
        let list = vault.keyring()?;
        // Before anybody is asked.
        let is_taken =
            list.members.contains_key(name) || list.members.values().any(|has| *has == key);
        let half = vault.half_added()?;
        let goes_on = half.is_some_and(|(who, _)| who == *name);
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
        let list = match &self.keyring {
            Some(keyring) => vault.keyring_named(keyring)?,
            None => vault.keyring()?,
        };
        let names: BTreeSet<String> = self.names.into_iter().collect();
        let mine = own.member_key();
        for name in &names {
            match list.members.get(name) {
                None => {
                    return Err(named(name));
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
        let from = match &self.keyring {
            Some(keyring) => vec![(keyring.clone(), names.clone())],
            None => everywhere(&vault, &list, &names)?,
        };
        let shown: Vec<String> = names.iter().map(|n| Escaped(n).to_string()).collect();
        let what = match &self.keyring {
            Some(keyring) => format!("everything in keyring {keyring}"),
            None => "everything".to_owned(),
        };
        ctx.ui.confirm(&format!(
            "Take away the access of {}, and encrypt {what} anew?",
            shown.join(", ")
        ))?;
        let git = !ctx.no_commit()?;
        let mut done = Vec::new();
        for (keyring, names) in &from {
            let rekey = Rekey {
                keyring: Identity::generate(),
                remove: names,
                now: now(),
                git,
            };
            done.push(vault.rekey_of(keyring, own.member(), rekey)?);
        }
        said_all(ctx, &vault, &done)
    }
}

/// The keyrings that these members are in, and who is to leave each: the default one last,
/// so that what dies on the way is seen there.
fn everywhere(
    vault: &Vault,
    list: &Keyring,
    names: &BTreeSet<String>,
) -> Result<Vec<(String, BTreeSet<String>)>, CommandError> {
    let keys: Vec<&MemberKey> = names.iter().filter_map(|n| list.members.get(n)).collect();
    let mut from = Vec::new();
    for other in vault.other_keyrings()? {
        let Some(members) = other.list.as_ref().map(|list| &list.members) else {
            continue;
        };
        let leaving = members.iter().filter(|(_, key)| keys.contains(key));
        let leaving: BTreeSet<String> = leaving.map(|(name, _)| name.clone()).collect();
        if leaving.is_empty() {
            continue;
        }
        if !other.is_open {
            let shown: Vec<String> = leaving.iter().map(|n| Escaped(n).to_string()).collect();
            return Err(CommandError::new(
                Exit::NoIdentity,
                format!(
                    "{} is in keyring {}, which you do not open",
                    shown.join(", "),
                    other.name
                ),
            )
            .hint(format!(
                "ask one of its members first to run: strongroom members rm NAME --keyring {}",
                other.name
            )));
        }
        if leaving.len() == members.len() {
            return Err(CommandError::new(
                Exit::Guard,
                format!("nobody would be left in keyring {}", other.name),
            )
            .hint(
                "let somebody else open it first: strongroom members add NAME --keyring KEYRING",
            ));
        }
        from.push((other.name, leaving));
    }
    from.push((list.name.clone(), names.clone()));
    Ok(from)
}

/// Give the vault new keys, and encrypt everything anew
///
/// The same as removing a member, without removing anyone: for when a key may have
/// leaked. It also finishes what was cut off of a removal or of new keys. Every clone
/// accepts the new keys by itself, since the old ones vouch for them.
#[derive(Debug, Args)]
pub struct RekeyVerb {
    /// New keys for this keyring alone, and its secrets encrypted anew
    #[arg(long, value_name = "NAME")]
    keyring: Option<String>,
}

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
            let of = self.keyring.as_deref().unwrap_or("default");
            vault.rekey_of(of, own.member(), rekey)?
        };
        if done.kind != RekeyKind::Epoch {
            return super::keyring::said(ctx, &vault, &done, &[]);
        }
        said_all(ctx, &vault, &[done])
    }
}

/// Says it of each keyring; of several, JSON is a line each.
fn said_all(ctx: &Context, vault: &Vault, done: &[Rekeyed]) -> CommandResult {
    for one in done {
        said(ctx, vault, one)?;
    }
    DONE
}

fn said(ctx: &Context, vault: &Vault, done: &Rekeyed) -> CommandResult {
    git_state(ctx, &done.git);
    let loaded = vault.load()?;
    let offboardings = vault.offboardings(&loaded)?;
    let is_it = |o: &&Offboarding| o.epoch == done.epoch && o.keyring == done.keyring;
    let last = offboardings.iter().find(is_it);
    let open = last.map_or(0, |o| o.open.len());
    let keys = vault.keychain().and_then(|keys| keys.named(&done.keyring));
    let fingerprint = keys.map(|k| k.commitment().fingerprint());
    let fingerprint = fingerprint.unwrap_or_default();
    if ctx.ui.json() {
        ctx.ui.json_data(&json!({
            "Keyring": done.keyring,
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
    let of = match done.keyring.as_str() {
        "default" => String::new(),
        name => format!("Keyring {name}, "),
    };
    let epoch = if of.is_empty() { "Epoch" } else { "epoch" };
    ctx.ui.status(&format!(
        "{of}{epoch} {}: {} and {} encrypted anew; the keyring's fingerprint is {fingerprint}",
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
