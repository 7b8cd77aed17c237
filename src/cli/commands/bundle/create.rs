use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::super::DONE;
use crate::bundle::{Have, Lock, MAX_HAVE, Target};
use crate::cli::context::{Context, new_uuid, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::crypto::{Argon2Cost, Hosted, MemberKey, Passphrase, PluginHost};
use crate::exchange::{self, Made, Memory, Order};
use crate::model::Timestamp;
use crate::vault::Vault;

/// Make a bundle of the vault, or of a part of it
///
/// It is encrypted to the vault's members, or to whom --to names, or under a passphrase.
/// With --have it holds only what the other side lacks. The file is read back after
/// writing and compared; an existing one is never overwritten.
///
/// Only members of the vault can use it: values stay encrypted to the vault's key. With
/// --for-newcomer they are encrypted anew, for somebody who makes a vault of their own.
///
/// Example: strongroom bundle create -o /media/stick/out.bundle prod/
#[derive(Debug, Args)]
pub struct Create {
    /// Only secrets whose names begin so (can be repeated); all if left out
    #[arg(value_name = "PREFIX")]
    prefixes: Vec<String>,
    /// The file; strongroom-VAULT-DATE-NUMBER.bundle here if left out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Encrypt it to this key, age1... (can be repeated); to the members if left out
    #[arg(long, value_name = "RECIPIENT")]
    to: Vec<String>,
    /// Encrypt it under a passphrase, which is asked for
    #[arg(long, conflicts_with = "to")]
    passphrase: bool,
    /// Encrypt it under a passphrase from this inherited file descriptor
    #[arg(long, value_name = "N", conflicts_with = "to")]
    bundle_passphrase_fd: Option<u32>,
    /// Leave out what the other side says it has: a file of bundle have, or a receipt
    #[arg(long, value_name = "FILE")]
    have: Option<PathBuf>,
    /// Encrypt the values anew, for somebody who is no member
    #[arg(long, conflicts_with = "have")]
    for_newcomer: bool,
    /// What the receiver reads as the sender
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
}

impl Create {
    pub(super) fn run(mut self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let mut memory = Memory::load(&vault, &new_uuid())?;
        let now = now();
        self.prefixes.sort();
        self.prefixes.dedup();
        let passphrase = self.asked_passphrase(ctx)?;
        if self.for_newcomer && self.to.is_empty() && passphrase.is_none() {
            return Err(CommandError::usage(
                "a bundle for a newcomer needs --to with their key, or --passphrase",
            ));
        }
        let host: Arc<dyn PluginHost> = ctx.plugins()?;
        let to = Hosted::all(self.recipients(&vault)?, &host);
        let lock = match &passphrase {
            Some(passphrase) => Lock::Passphrase {
                passphrase,
                cost: Argon2Cost::DEFAULT,
                now,
            },
            None => Lock::To(&to),
        };
        let have = self.read_have(&vault)?;
        let target = match &self.output {
            Some(path) => path.clone(),
            None => default_name(&vault, now, memory.sequence + 1),
        };
        let order = Order {
            lock,
            bundle: new_uuid(),
            name: self.from.clone().unwrap_or_else(|| ctx.member_name()),
            now,
            prefixes: self.prefixes.clone(),
            have: have.as_ref(),
        };
        crate::cli::commands::ls::report_closed(ctx, &vault.glance()?);
        let progress = ctx.ui.progress();
        let made = if self.for_newcomer {
            ctx.ui.confirm(
                "Whoever opens this bundle reads its values without being a member. Make it?",
            )?;
            let staging = vault.state_dir().join("staging");
            let fresh = new_uuid();
            exchange::hand_over(&vault, &mut memory, order, &fresh, &staging, &target)?
        } else {
            exchange::create(&vault, &mut memory, order, &target, progress.as_ref())?
        };
        say(ctx, &made, &target)
    }

    fn asked_passphrase(&self, ctx: &Context) -> Result<Option<Passphrase>, CommandError> {
        match (self.bundle_passphrase_fd, self.passphrase) {
            (Some(fd), _) => Context::passphrase_from(fd).map(Some),
            (None, true) => {
                let asked = ctx.ui.new_passphrase();
                let asked = asked.map_err(|e| e.hint("give it with --bundle-passphrase-fd N"));
                asked.map(Some)
            }
            (None, false) => Ok(None),
        }
    }

    fn recipients(&self, vault: &Vault) -> Result<Vec<MemberKey>, CommandError> {
        if self.to.is_empty() {
            return Ok(vault.keyring()?.members.into_values().collect());
        }
        let parse = |text: &String| {
            let key = MemberKey::from_person(text);
            key.map_err(|e| CommandError::from_error(Exit::Usage, e))
        };
        self.to.iter().map(parse).collect()
    }

    fn read_have(&self, vault: &Vault) -> Result<Option<Have>, CommandError> {
        use std::io::Read as _;
        let (Some(path), Some(keys)) = (&self.have, vault.keys()) else {
            return Ok(None);
        };
        let failed = |e: std::io::Error| {
            let exit = match e.kind() {
                std::io::ErrorKind::NotFound => Exit::NotFound,
                _ => Exit::Unexpected,
            };
            CommandError::new(exit, format!("{}: {e}", path.display()))
        };
        let limit = u64::try_from(MAX_HAVE).unwrap_or(u64::MAX) + 1;
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
        let have = Have::open(&bytes, keys).map_err(exchange::ExchangeError::Have)?;
        Ok(Some(have))
    }
}

/// Lower-case letters, digits, hyphens and a dot: right on every file system a stick has.
fn default_name(vault: &Vault, now: Timestamp, sequence: u64) -> PathBuf {
    let id: String = vault.config().vault_id.chars().take(8).collect();
    PathBuf::from(format!("strongroom-{id}-{}-{sequence}.bundle", now.day()))
}

fn say(ctx: &Context, made: &Made, target: &std::path::Path) -> CommandResult {
    let header = &made.header;
    let counts = header.counts;
    let names: Vec<&str> = made.left.iter().map(|name| name.as_str()).collect();
    if ctx.ui.json() {
        ctx.ui.json_data(&json!({
            "File": target.display().to_string(),
            "BundleId": header.bundle,
            "Sequence": header.sequence,
            "Secrets": counts.secrets,
            "Values": counts.values,
            "Fingerprint": made.fingerprint,
            "ConflictsLeftOut": names,
        }))?;
        return DONE;
    }
    if !names.is_empty() {
        ctx.ui.warn(&format!(
            "not carried: what waits for a person between this vault and a remote, of {}",
            names.join(", ")
        ));
        ctx.ui
            .hint("decide it first, or tell the receiver; see: strongroom conflicts");
    }
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    ctx.ui.status(&format!(
        "Made {} with {} and {}, read back and compared",
        target.display(),
        count(number(counts.secrets), "secret"),
        count(number(counts.values), "value"),
    ));
    ctx.ui
        .status(&format!("Its fingerprint is {}", made.fingerprint));
    DONE
}

/// Write what this vault holds, so that the other side sends the rest
///
/// The file names no secret. It is a receipt too: it says which bundles were applied here.
///
/// Example: strongroom bundle have -o /media/stick/site-b.have
#[derive(Debug, Args)]
#[command(name = "have")]
pub struct HaveFile {
    /// The file; standard output if left out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl HaveFile {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.unlocked()?;
        let memory = Memory::load(&vault, &new_uuid())?;
        // A clone that says what it holds is the same sender later.
        memory.save(&vault)?;
        let text = have_text(ctx, &vault, &memory)?;
        match self.output {
            None => ctx.ui.data(text.as_bytes())?,
            Some(path) => {
                write(&path, &text)?;
                ctx.ui.status(&format!("Wrote {}", path.display()));
            }
        }
        DONE
    }
}

/// What the vault holds, as a file.
pub(super) fn have_text(
    ctx: &Context,
    vault: &Vault,
    memory: &Memory,
) -> Result<String, CommandError> {
    let have = exchange::have(vault, memory, ctx.member_name(), now())?;
    let keys = vault.keys().ok_or(crate::vault::VaultError::Locked)?;
    Ok(have.seal(keys).map_err(exchange::ExchangeError::Keys)?)
}

/// Writes a file that is not there yet.
pub(super) fn write(path: &std::path::Path, text: &str) -> Result<(), CommandError> {
    let mut target = Target::create(path)?;
    let written = target.write_all(text.as_bytes());
    written.map_err(|e| CommandError::new(Exit::Unexpected, format!("{}: {e}", path.display())))?;
    target.settle()?;
    Ok(())
}
