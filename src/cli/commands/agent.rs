use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::DONE;
use crate::agent::{BindError, Journal, Listener, Server};
use crate::cli::context::{Context, clock};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;

/// See what the agent holds
///
/// The agent is the process that `strongroom unlock` starts: it holds the keys of
/// unlocked vaults for a while, so that commands need no passphrase.
#[derive(Debug, Subcommand)]
pub enum Agent {
    /// What the agent holds, and for how long
    ///
    /// Ends with 5 if no agent is running.
    Status(Status),
    /// Be the agent; `unlock` starts this
    #[command(hide = true)]
    Run(Run),
}

/// What the agent holds.
#[derive(Debug, Args)]
pub struct Status {}

/// The agent's own process.
#[derive(Debug, Args)]
pub struct Run {
    /// Where to listen
    #[arg(long)]
    socket: PathBuf,
    /// The system's bus, in D-Bus's notation
    #[arg(long)]
    system_bus: String,
    /// The directory of the log
    #[arg(long)]
    log: Option<PathBuf>,
}

/// What the agent's process says on its stdout when it listens.
pub(super) const READY: &str = "ready";
/// What it says when another one does already.
pub(super) const RUNNING: &str = "running";

impl Agent {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Status(c) => c.run(ctx),
            Self::Run(c) => c.run(),
        }
    }
}

impl Status {
    fn run(self, ctx: &Context) -> CommandResult {
        let socket = ctx.agent_socket()?;
        let log = ctx.agent_state().map(|dir| log_file(&dir));
        let status = match ctx.agent()? {
            Some(agent) => Some(agent.status()?),
            None => None,
        };
        let Some(status) = status else {
            if ctx.ui.json() {
                ctx.ui.json_data(&json!({
                    "Running": false,
                    "Socket": socket.display().to_string(),
                }))?;
            } else {
                ctx.ui.line("no agent is running")?;
            }
            return Ok(Exit::Locked);
        };
        if ctx.ui.json() {
            let vaults = status.vaults.iter().map(|held| {
                json!({
                    "VaultId": held.vault,
                    "Fingerprint": held.fingerprint,
                    "IdleSecondsLeft": held.left.idle.as_secs(),
                    "SecondsLeft": held.left.ttl.as_secs(),
                    "MemoryLocked": held.is_memory_locked,
                })
            });
            let vaults: Vec<_> = vaults.collect();
            ctx.ui.json_data(&json!({
                "Running": true,
                "Pid": status.pid,
                "Socket": socket.display().to_string(),
                "Log": log.map(|path| path.display().to_string()),
                "Vaults": vaults,
            }))?;
            return DONE;
        }
        ctx.ui.line(&format!(
            "agent of process {} at {}",
            status.pid,
            socket.display()
        ))?;
        for held in &status.vaults {
            ctx.ui.line(&format!(
                "vault {} ({}): {} left, {} without use",
                held.vault,
                held.fingerprint,
                shown(held.left.ttl),
                shown(held.left.idle),
            ))?;
            if !held.is_memory_locked {
                ctx.ui.warn(SWAPPED);
            }
        }
        DONE
    }
}

/// What to say when the limit on locked memory is too small.
pub(super) const SWAPPED: &str =
    "the agent's keys could be swapped to disk; raise the limit on locked memory (ulimit -l)";

/// A duration as people say it.
pub(super) fn shown(time: Duration) -> String {
    let (seconds, minutes) = (time.as_secs(), time.as_secs() / 60);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

impl Run {
    fn run(self) -> CommandResult {
        // The parent has no use for a session leader's error: a leader it is already.
        let _session = rustix::process::setsid();
        let stop = stop_signals()?;
        let listener = match Listener::bind(&self.socket) {
            Err(BindError::AlreadyRunning { .. }) => {
                say(RUNNING)?;
                return DONE;
            }
            Err(error) => {
                let error = CommandError::from(error);
                say(error.to_string().trim_end())?;
                return Ok(error.exit);
            }
            Ok(listener) => listener,
        };
        let journal = self.log.as_deref().map_or_else(Journal::none, journal);
        let server = Server::new(listener, clock(), journal).map_err(unexpected)?;
        server.listen_to_logind(&self.system_bus);
        say(READY)?;
        let null = File::options()
            .write(true)
            .open("/dev/null")
            .map_err(unexpected)?;
        rustix::stdio::dup2_stdout(null).map_err(|e| unexpected(e.into()))?;
        server.run(stop).map_err(unexpected)?;
        DONE
    }
}

fn say(word: &str) -> Result<(), CommandError> {
    writeln!(std::io::stdout(), "{word}").map_err(unexpected)
}

/// Something that can be read from once a signal has told this process to lock.
pub(super) fn stop_signals() -> Result<OwnedFd, CommandError> {
    let (stop, bell) = UnixStream::pair().map_err(unexpected)?;
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        let bell = bell.try_clone().map_err(unexpected)?;
        signal_hook::low_level::pipe::register(signal, bell).map_err(unexpected)?;
    }
    Ok(stop.into())
}

/// The agent's log; without one it works all the same.
pub(super) fn journal(dir: &Path) -> Journal {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    let journal = made.and_then(|()| Journal::open(&log_file(dir)));
    journal.unwrap_or_else(|_| Journal::none())
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("agent.log")
}

fn unexpected(error: std::io::Error) -> CommandError {
    CommandError::from_error(Exit::Unexpected, error)
}
