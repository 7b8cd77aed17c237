use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::DONE;
use super::agent::{READY, RUNNING, SWAPPED, journal, shown, stop_signals};
use crate::agent::{BindError, Client, Lifetime, Listener, Server};
use crate::cli::context::{Context, clock, system_bus};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::harden;
use crate::crypto::Identity;
use crate::vault::VaultError;

/// Unlock the vault for a while
///
/// Asks for your identity's passphrase once and hands the vault's keys to an agent, a
/// process of yours that is started if need be. Every command then works without
/// asking, until the time is up, the machine is suspended, or you say: strongroom lock.
///
/// The keys stay with the agent. Whatever runs as you can ask it while it is unlocked;
/// its log says who did.
///
/// Example: strongroom unlock --ttl 2h
#[derive(Debug, Args)]
pub struct Unlock {
    /// Lock after this time, whatever happens, such as 90s, 30m or 8h
    #[arg(long, value_name = "TIME", default_value = "8h", value_parser = time)]
    ttl: Duration,
    /// Lock when nothing was asked for this time
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = time)]
    idle: Duration,
    /// Stay, and be the agent until locked or interrupted
    #[arg(long)]
    foreground: bool,
}

/// The identities of the other keyrings that are open, by name.
type Others = Vec<(String, Identity)>;

/// The longest time that an agent holds keys.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<jiff::SignedDuration>();
    let time = time.ok().and_then(|t| Duration::try_from(t).ok());
    time.filter(|t| (Duration::from_secs(1)..=LONGEST).contains(t))
        .ok_or_else(|| "a time from 1s to 720h, such as 90s, 30m or 8h".to_owned())
}

impl Unlock {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let socket = ctx.agent_socket()?;
        let mut vault = ctx.open()?;
        // Before anybody types a passphrase.
        let running = ctx.agent()?;
        let listener = match (self.foreground, &running) {
            (false, _) => None,
            (true, _) => Some(Listener::bind(&socket)?),
        };
        let identity = ctx.identity_for(&vault)?;
        ctx.unlock_as(&mut vault, identity.member())?;
        let keyring = vault.keys().and_then(|keys| keys.identity());
        let keyring = keyring.ok_or(VaultError::Locked)?;
        let others = vault.keychain().into_iter().flat_map(|keys| keys.others());
        let others: Others = others
            .filter_map(|(name, keys)| Some((name.to_owned(), keys.identity()?)))
            .collect();
        let id = vault.config().vault_id.clone();
        // Neither is needed any more.
        drop(identity);
        drop(vault);
        if let Some(listener) = listener {
            return self.stay(ctx, listener, &id, keyring, others);
        }
        let agent = match running {
            Some(agent) => agent,
            None => start(ctx, &socket)?,
        };
        agent.hold(&id, &keyring, self.lifetime())?;
        for (name, keyring) in &others {
            agent.hold_named(&id, name, keyring, self.lifetime())?;
        }
        drop(keyring);
        drop(others);
        let status = agent.status()?;
        let held = status.vaults.iter().find(|held| held.vault == id);
        if held.is_some_and(|held| !held.is_memory_locked) {
            ctx.ui.warn(SWAPPED);
        }
        ctx.ui.status(&self.said());
        if ctx.ui.json() {
            ctx.ui.json_data(&json!({
                "VaultId": id,
                "Pid": status.pid,
                "Socket": socket.display().to_string(),
                "Seconds": self.ttl.as_secs(),
                "IdleSeconds": self.idle.as_secs(),
            }))?;
        }
        DONE
    }

    fn lifetime(&self) -> Lifetime {
        Lifetime {
            idle: self.idle,
            ttl: self.ttl,
        }
    }

    fn said(&self) -> String {
        format!(
            "Unlocked for {}, or until unused for {}",
            shown(self.ttl),
            shown(self.idle.min(self.ttl))
        )
    }

    /// Is the agent itself.
    fn stay(
        &self,
        ctx: &Context,
        listener: Listener,
        vault: &str,
        keyring: Identity,
        others: Others,
    ) -> CommandResult {
        let unexpected = |e| CommandError::from_error(Exit::Unexpected, e);
        let stop = stop_signals()?;
        let journal = ctx.agent_state().map(|dir| journal(&dir));
        let journal = journal.unwrap_or_else(crate::agent::Journal::none);
        let server = Server::new(listener, clock(), journal).map_err(unexpected)?;
        server.listen_to_logind(&system_bus());
        server
            .hold(vault, &keyring, self.lifetime())
            .map_err(unexpected)?;
        for (name, keyring) in &others {
            let held = server.hold_named(vault, name, keyring, self.lifetime());
            held.map_err(unexpected)?;
        }
        drop(keyring);
        drop(others);
        ctx.ui.status(&self.said());
        server.run(stop).map_err(unexpected)?;
        ctx.ui.status("Locked");
        DONE
    }
}

/// Starts an agent that outlives this process, and waits until it listens.
fn start(ctx: &Context, socket: &Path) -> Result<Client, CommandError> {
    let failed = |e: std::io::Error| CommandError::from_error(Exit::Unexpected, e);
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.args(["agent", "run", "--socket"]).arg(socket);
    command.args(["--system-bus", &system_bus()]);
    if let Some(dir) = ctx.agent_state() {
        command.arg("--log").arg(dir);
    }
    harden::keep_descriptors();
    // It needs nothing of the environment, where keys may be; and it keeps no
    // directory and no terminal busy.
    command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let mut said = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut said).map_err(failed)?;
    }
    match said.trim_end() {
        READY | RUNNING => connect(ctx, socket),
        "" => Err(CommandError::new(
            Exit::Unexpected,
            "the agent ended before it listened",
        )),
        said => {
            let said = said.strip_prefix("error: ").unwrap_or(said);
            let status = child.wait().map_err(failed)?;
            let code = status.code().and_then(|c| u8::try_from(c).ok());
            let exit = Exit::ALL.into_iter().find(|e| Some(e.code()) == code);
            Err(CommandError::new(exit.unwrap_or(Exit::Unexpected), said))
        }
    }
}

/// Connects to an agent that has begun to listen. One that another `unlock` started at
/// the same moment may need a little longer.
fn connect(ctx: &Context, socket: &Path) -> Result<Client, CommandError> {
    for _ in 0..100 {
        if let Some(agent) = ctx.agent()? {
            return Ok(agent);
        }
        sleep(Duration::from_millis(20));
    }
    Err(BindError::AlreadyRunning {
        path: socket.to_owned(),
        pid: None,
    }
    .into())
}
