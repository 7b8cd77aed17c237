use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use serde_json::json;

use super::members::{named, unlocked_here};
use super::{DONE, git_state};
use crate::cli::context::{Context, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::crypto::Identity;
use crate::model::Escaped;
use crate::vault::{NewKeyring, RekeyKind, Rekeyed, Vault};

/// See and change which secrets only some members can read
///
/// Every member of the vault is in the default keyring. Another keyring takes the
/// secrets whose names begin in a certain way, and only its own members read and write
/// them: prod/ for those who run production.
#[derive(Debug, Subcommand)]
pub enum KeyringVerb {
    /// List the keyrings, their prefixes and their members
    Ls(Ls),
    /// Give the secrets under a prefix a keyring of their own
    ///
    /// You are in it, and whom you name with --member. The secrets under its prefixes are
    /// encrypted anew. What git's history holds stays readable to every member of the
    /// vault: the secrets to rotate are listed.
    ///
    /// Example: strongroom keyring add prod --prefix prod/ --member bob
    Add(Add),
    /// Put a keyring's secrets back where every member reads them
    Rm(Rm),
}

/// Lists the keyrings.
#[derive(Debug, Args)]
pub struct Ls {}

/// Makes a keyring.
#[derive(Debug, Args)]
pub struct Add {
    /// What it is called: a lower-case letter, then letters, digits, - or _
    name: String,
    /// How the names of its secrets begin; ends in / (can be repeated)
    #[arg(long, required = true, value_name = "PREFIX/")]
    prefix: Vec<String>,
    /// Who is in it besides you: a member of the vault (can be repeated)
    #[arg(long, value_name = "MEMBER")]
    member: Vec<String>,
}

/// Removes a keyring.
#[derive(Debug, Args)]
pub struct Rm {
    /// What it is called
    name: String,
}

impl KeyringVerb {
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
    let default = vault.keyring()?;
    let others = vault.other_keyrings()?;
    let loaded = vault.glance()?;
    let routes = vault.keychain().map(|keys| keys.routes().clone());
    let routes = routes.unwrap_or_default();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let live = loaded
        .records
        .values()
        .filter(|r| r.state.lifecycle.is_live());
    for name in live.map(|r| &r.name).chain(loaded.closed.keys()) {
        *counts.entry(routes.keyring_of(name)).or_default() += 1;
    }
    let of = |name: &str| counts.get(name).copied().unwrap_or(0);
    let names =
        |list: &crate::vault::Keyring| -> Vec<String> { list.members.keys().cloned().collect() };
    if ctx.ui.json() {
        let mut all = vec![json!({
            "Name": default.name,
            "Prefixes": default.prefixes,
            "Members": names(&default),
            "Epoch": default.epoch,
            "Fingerprint": default.commitment.fingerprint(),
            "Access": true,
            "Secrets": of(&default.name),
        })];
        for one in &others {
            all.push(json!({
                "Name": one.name,
                "Prefixes": one.prefixes,
                "Members": one.list.as_ref().map(names),
                "Epoch": one.list.as_ref().map(|l| l.epoch),
                "Fingerprint": one.list.as_ref().map(|l| l.commitment.fingerprint()),
                "Access": one.is_open,
                "Secrets": of(&one.name),
            }));
        }
        ctx.ui.json_data(&json!({ "Keyrings": all }))?;
        return DONE;
    }
    let line = |name: &str, prefixes: &str, list: Option<&crate::vault::Keyring>, access: bool| {
        let members: Vec<String> = list
            .map(names)
            .unwrap_or_default()
            .iter()
            .map(|n| Escaped(n).to_string())
            .collect();
        let access = if access { "" } else { "; no access" };
        let secrets = count(of(name), "secret");
        ctx.ui.line(&format!(
            "{name}  {prefixes}  {secrets}  {}{access}",
            members.join(", ")
        ))
    };
    line(&default.name, "*", Some(&default), true)?;
    for one in &others {
        line(
            &one.name,
            &one.prefixes.join(" "),
            one.list.as_ref(),
            one.is_open,
        )?;
    }
    DONE
}

impl Add {
    fn run(self, ctx: &Context) -> CommandResult {
        let (mut vault, own) = unlocked_here(ctx)?;
        let list = vault.keyring()?;
        let mine = own.member_key();
        let me = list.members.iter().find(|(_, key)| **key == mine);
        let Some((me, _)) = me else {
            return Err(CommandError::new(
                Exit::NoIdentity,
                "you are not on the member list",
            ));
        };
        let mut members: BTreeSet<String> = self.member.into_iter().collect();
        members.insert(me.clone());
        if let Some(name) = members
            .iter()
            .find(|name| !list.members.contains_key(*name))
        {
            return Err(named(name));
        }
        let outside: Vec<&String> = list
            .members
            .keys()
            .filter(|n| !members.contains(*n))
            .collect();
        let shown: Vec<String> = self.prefix.iter().map(|p| Escaped(p).to_string()).collect();
        let inside: Vec<String> = members.iter().map(|n| Escaped(n).to_string()).collect();
        ctx.ui.confirm(&format!(
            "Encrypt what is under {} anew, for {} alone?",
            shown.join(", "),
            inside.join(", ")
        ))?;
        let outside: Vec<String> = outside.iter().map(|n| Escaped(n).to_string()).collect();
        let new = NewKeyring {
            name: &self.name,
            prefixes: self.prefix,
            members: &members,
            keyring: Identity::generate(),
            now: now(),
            git: !ctx.no_commit()?,
        };
        let done = vault.add_keyring(own.member(), new)?;
        said(ctx, &vault, &done, &outside)
    }
}

impl Rm {
    fn run(self, ctx: &Context) -> CommandResult {
        let (mut vault, own) = unlocked_here(ctx)?;
        // Before anybody is asked.
        vault.keyring_named(&self.name)?;
        let count_of = vault.readable_before(&self.name)?.len();
        let members: Vec<String> = vault
            .keyring()?
            .members
            .keys()
            .map(|n| Escaped(n).to_string())
            .collect();
        ctx.ui.confirm(&format!(
            "Let every member of the vault ({}) read {}?",
            members.join(", "),
            count(count_of, "secret")
        ))?;
        let git = !ctx.no_commit()?;
        let done = vault.remove_keyring(&self.name, own.member(), now(), git)?;
        said(ctx, &vault, &done, &[])
    }
}

/// What became of a keyring that was made or taken out. `outside` is who could read its
/// secrets before and cannot any more.
pub(super) fn said(
    ctx: &Context,
    vault: &Vault,
    done: &Rekeyed,
    outside: &[String],
) -> CommandResult {
    git_state(ctx, &done.git);
    let is_new = done.kind == RekeyKind::Carve;
    let readable = match is_new {
        true => vault.readable_before(&done.keyring)?,
        false => Vec::new(),
    };
    if ctx.ui.json() {
        ctx.ui.json_data(&json!({
            "Keyring": done.keyring,
            "Secrets": done.secrets,
            "Values": done.values,
            "Resumed": done.resumed,
            "ToRotate": readable.iter().map(|n| n.as_str()).collect::<Vec<_>>(),
        }))?;
        return DONE;
    }
    let what = if is_new { "made" } else { "removed" };
    ctx.ui.status(&format!(
        "Keyring {} {what}: {} and {} encrypted anew",
        done.keyring,
        count(done.secrets, "secret"),
        count(done.values, "value"),
    ));
    if ctx.agent().ok().flatten().is_some() {
        ctx.ui
            .hint("the agent holds the keys of before: run strongroom unlock again");
    }
    if is_new && !readable.is_empty() {
        let who = match outside.is_empty() {
            true => "whoever else was a member".to_owned(),
            false => outside.join(", "),
        };
        ctx.ui.status(&format!(
            "{who} could read {} until now, and git's history still shows the old values; rotate what matters:",
            count(readable.len(), "secret"),
        ));
        for name in readable {
            ctx.ui.line(name.as_str())?;
        }
    }
    DONE
}
