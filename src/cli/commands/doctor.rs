use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use clap::Args;
use serde_json::json;

use super::DONE;
use crate::cli::context::{Context, OWN_SECRETS, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::crypto::{PluginKeyFile, SealedIdentity, SshKeyFile};
use crate::model::{Escaped, Timestamp};
use crate::vault::{Vault, exposed};

/// Check that this machine and this clone are set up well
///
/// Looks at git, at your identity file, at who can write where, and at the remotes'
/// settings. Changes nothing without --repair, needs no key and no network. What is in
/// the vault is checked by fsck.
///
/// Ends with 12 if it found something.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Set up what this clone's git lacks: the merge driver and .gitattributes
    #[arg(long)]
    repair: bool,
}

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One check: what was looked at, and what to do if it is not well.
struct Check {
    level: Level,
    what: String,
    remedy: Option<String>,
}

fn ok(what: impl Into<String>) -> Check {
    Check {
        level: Level::Ok,
        what: what.into(),
        remedy: None,
    }
}

fn bad(level: Level, what: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check {
        level,
        what: what.into(),
        remedy: Some(remedy.into()),
    }
}

impl Doctor {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        if self.repair {
            repair(ctx, &vault)?;
        }
        let mut checks = vec![git(&vault)];
        checks.extend(clone(&vault)?);
        checks.extend(identity(ctx, vault.root())?);
        checks.push(directory(&vault));
        checks.push(state(&vault));
        checks.extend(members(&vault)?);
        checks.push(umask(ctx.umask));
        checks.extend(remotes(&vault));
        checks.push(settings(&vault));
        let loaded = vault.load()?;
        checks.push(clock(&loaded));
        checks.push(match loaded.blocked.len() {
            0 => ok(format!(
                "{}, none blocked",
                count(loaded.records.len(), "secret")
            )),
            n => bad(
                Level::Error,
                format!("{n} secrets are blocked"),
                "see why with: strongroom fsck",
            ),
        });
        let worst = checks.iter().any(|c| c.level != Level::Ok);
        if ctx.ui.json() {
            let list: Vec<_> = checks
                .iter()
                .map(|c| json!({ "Level": c.level.as_str(), "Check": c.what, "Remedy": c.remedy }))
                .collect();
            ctx.ui.json_data(&json!({ "Checks": list }))?;
        } else {
            for check in &checks {
                ctx.ui
                    .line(&format!("{:<6} {}", check.level.as_str(), check.what))?;
                if let Some(remedy) = &check.remedy {
                    ctx.ui.line(&format!("       {remedy}"))?;
                }
            }
        }
        if worst { Ok(Exit::Findings) } else { DONE }
    }
}

fn git(vault: &Vault) -> Check {
    if !vault.config().git.commit {
        return ok("git is not used: changes are not committed");
    }
    let mut version = std::process::Command::new("git");
    version.arg("--version");
    for name in OWN_SECRETS {
        version.env_remove(name);
    }
    let tree = vault
        .root()
        .ancestors()
        .find(|dir| dir.join(".git").exists());
    match (version.output(), tree) {
        (_, None) => bad(
            Level::Error,
            "the vault is in no git work tree, and its settings ask for commits",
            "make one with: git init",
        ),
        (Err(_), Some(_)) => bad(
            Level::Warn,
            "git is not found; strongroom commits without it, but you cannot push or merge",
            "install git",
        ),
        (Ok(_), Some(tree)) => ok(format!("git work tree {}", tree.display())),
    }
}

/// What a clone must know of the vault's files: attributes travel with the repository,
/// the merge driver that they name does not.
fn clone(vault: &Vault) -> Result<Vec<Check>, CommandError> {
    const REPAIR: &str = "strongroom doctor --repair";
    if !vault.config().git.commit {
        return Ok(Vec::new());
    }
    let Some(setup) = vault.git_setup()? else {
        return Ok(Vec::new());
    };
    let attributes = if setup.attributes {
        ok(
            "git leaves the vault's bytes as they are, and knows which files are merged by strongroom",
        )
    } else {
        bad(
            Level::Error,
            ".gitattributes does not say how git is to treat the vault's files: converted line ends break the macs",
            format!("add to .gitattributes what it lacks with: {REPAIR}"),
        )
    };
    let driver = match &setup.driver {
        Some(_) if setup.is_driver(&super::merge_driver::program()?) => {
            ok("git merges secrets by strongroom in this clone")
        }
        Some(other) => bad(
            Level::Warn,
            format!("git merges secrets by another program: {}", Escaped(other)),
            format!("name this one with: {REPAIR}"),
        ),
        None => bad(
            Level::Warn,
            "git does not merge secrets by strongroom in this clone",
            format!("set it up with: {REPAIR}; or run after each git merge: strongroom merge"),
        ),
    };
    Ok(vec![attributes, driver])
}

/// Somebody who is listed and may not be able to open the vault.
fn members(vault: &Vault) -> Result<Option<Check>, CommandError> {
    Ok(vault.half_added()?.map(|(name, _)| {
        bad(
            Level::Error,
            format!(
                "the adding of {} was cut off: they are listed, and may not be able to open the vault",
                Escaped(&name)
            ),
            "finish it with the same: strongroom members add NAME RECIPIENT",
        )
    }))
}

fn repair(ctx: &Context, vault: &Vault) -> Result<(), CommandError> {
    if vault.git_setup()?.is_none() {
        return Ok(());
    }
    super::git_state(ctx, &vault.repair_attributes(now())?);
    vault.install_driver(&super::merge_driver::program()?)?;
    Ok(())
}

fn identity(ctx: &Context, root: &Path) -> Result<Vec<Check>, CommandError> {
    if ctx.identity_is_in_env() {
        return Ok(vec![bad(
            Level::Warn,
            "STRONGROOM_IDENTITY holds the key itself, where every program you start can read it",
            "put it into a file and name that with STRONGROOM_IDENTITY_FILE",
        )]);
    }
    let path = ctx.identity_path()?;
    let shown = path.display();
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(error) => {
            return Ok(vec![bad(
                Level::Error,
                format!("identity {shown}: {error}"),
                "put your backup there, or name another with STRONGROOM_IDENTITY_FILE",
            )]);
        }
    };
    let mut checks = Vec::new();
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        checks.push(ok(format!("identity {shown} is readable by you alone")));
    } else {
        checks.push(bad(
            Level::Error,
            format!("identity {shown} has mode {mode:o}: others can use it"),
            format!("chmod 600 {shown}"),
        ));
    }
    if path.canonicalize().is_ok_and(|real| real.starts_with(root)) {
        checks.push(bad(
            Level::Error,
            "the identity lies inside the vault it opens, and git may carry it off",
            "move it out, and name its place with STRONGROOM_IDENTITY_FILE",
        ));
    }
    let bytes = zeroize::Zeroizing::new(std::fs::read(&path).unwrap_or_default());
    let ssh_is_sealed = SshKeyFile::parse(&bytes).is_ok_and(|key| key.is_sealed());
    checks.push(if ssh_is_sealed {
        ok("the identity is an ssh key with a passphrase")
    } else if PluginKeyFile::is_plugin(&bytes) {
        plugin(ctx, &bytes)
    } else if !SealedIdentity::is_sealed(&bytes) {
        bad(
            Level::Warn,
            "the identity has no passphrase: whoever reads the file opens the vault",
            "give it one with: strongroom passwd (not needed on machines without a person)",
        )
    } else {
        match SealedIdentity::parse(&bytes) {
            Ok(sealed) if sealed.cost().is_weak() => bad(
                Level::Warn,
                format!(
                    "the identity's passphrase hashing is weak ({})",
                    sealed.cost()
                ),
                "strengthen it with: strongroom passwd",
            ),
            Ok(_) => ok("the identity is sealed with a passphrase"),
            Err(error) => bad(
                Level::Error,
                format!("identity: {error}"),
                "put your backup of it back",
            ),
        }
    });
    Ok(checks)
}

fn directory(vault: &Vault) -> Check {
    match exposed(vault.root()) {
        None => ok("nobody else can write where the vault is"),
        Some(dir) => bad(
            Level::Error,
            format!("{} is writable by everybody", dir.display()),
            format!("chmod o-w {}, or move the vault", dir.display()),
        ),
    }
}

fn state(vault: &Vault) -> Check {
    let dir = vault.state_dir();
    let mode = dir.metadata().map(|m| m.permissions().mode() & 0o777);
    match mode {
        Ok(mode) if mode & 0o077 == 0 => {
            ok(format!("the local state is yours alone: {}", dir.display()))
        }
        Ok(mode) => bad(
            Level::Error,
            format!("{} has mode {mode:o}: others can read it", dir.display()),
            format!("chmod 700 {}", dir.display()),
        ),
        Err(error) => bad(
            Level::Error,
            format!("{}: {error}", dir.display()),
            "make it readable and writable for you",
        ),
    }
}

fn umask(mask: u32) -> Check {
    if mask & 0o022 == 0o022 {
        ok(format!("umask {mask:03o}"))
    } else {
        bad(
            Level::Warn,
            format!("umask {mask:03o}: others can write to files that you make"),
            "strongroom's own files are private all the same; set: umask 022",
        )
    }
}

fn remotes(vault: &Vault) -> Vec<Check> {
    let config = vault.config();
    let remotes = config.remotes.values();
    remotes
        .map(|remote| match &remote.account {
            Some(account) => ok(format!(
                "remote {} is pinned to account {account}",
                remote.name
            )),
            None => bad(
                Level::Warn,
                format!(
                    "remote {} is pinned to no account: a wrong profile would be synced with",
                    remote.name
                ),
                format!(
                    "strongroom remote rm {0}; strongroom remote add {0} --account ID ...",
                    remote.name
                ),
            ),
        })
        .collect()
}

fn settings(vault: &Vault) -> Check {
    if vault.config_is_verified() {
        ok("the settings are verified")
    } else {
        bad(
            Level::Warn,
            "the settings have changed and nobody has verified them here",
            "a command that unlocks the vault verifies them, such as: strongroom fsck",
        )
    }
}

/// A clock that is behind what was already written orders history wrongly.
fn clock(loaded: &crate::vault::Loaded) -> Check {
    const MINUTES: i64 = 10 * 60 * 1000;
    // 2026-01-01: before this program was written.
    const LEAST: Timestamp = Timestamp::from_secs(1_767_225_600);
    let now = now();
    let newest = loaded
        .records
        .values()
        .flat_map(|r| r.state.versions.values())
        .filter_map(|v| v.created)
        .max();
    let ahead = newest.is_some_and(|at| at.millis() > now.millis() + MINUTES);
    if now < LEAST || ahead {
        let at = Escaped(&now.to_string()).to_string();
        bad(
            Level::Warn,
            format!("the clock says {at}, before something in the vault was made"),
            "set the clock; AWS refuses requests when it is 5 minutes off",
        )
    } else {
        ok("the clock is not behind the vault")
    }
}

/// The identity of an age plugin: whether it would run.
fn plugin(ctx: &Context, bytes: &[u8]) -> Check {
    let key = match PluginKeyFile::parse(bytes) {
        Ok(key) => key,
        Err(error) => {
            return bad(
                Level::Error,
                format!("identity: {error}"),
                "have the plugin write it anew",
            );
        }
    };
    let found = ctx.plugins().and_then(|p| Ok(p.find(key.plugin())?));
    match found {
        Ok(path) => ok(format!("the identity is a key of {}", path.display())),
        Err(error) => bad(
            Level::Warn,
            format!("the identity is a plugin's: {}", error.error),
            error.hints.into_iter().next().unwrap_or_default(),
        ),
    }
}
