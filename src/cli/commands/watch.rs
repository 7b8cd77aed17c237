use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::json;
use tokio::sync::Notify;

use super::super::child::Signals;
use super::super::context::{clock, now};
use super::DONE;
use crate::aws::AwsStore;
use crate::cli::context::{Context, block_on};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::cli::show::age;
use crate::config::RemoteConfig;
use crate::model::{Escaped, RemoteName, Timestamp};
use crate::store::StoreError;
use crate::vault::{Heard, Vault, Watching};
use crate::watch::{EVERY, Event, Host, Moment, Options, Status, run};

/// How often files are looked at where the system does not tell of changes.
const POLL: Duration = Duration::from_secs(30);

/// Keep the vault and its remotes in step
///
/// Pulls what changes on a remote and pushes what changes here, as it happens. It never
/// deletes anything, decides no conflict and meets no remote for the first time: those
/// it shows and leaves to sync. It pauses while the vault is locked or git is at work, and
/// when a guard hits. One watch per clone; Ctrl-C ends it. See how it stands with status.
///
/// Example: strongroom watch
#[derive(Debug, Args)]
pub struct Watch {
    /// The remotes; all if left out
    #[arg(value_name = "REMOTE")]
    remotes: Vec<RemoteName>,
    /// How often a remote is asked while something goes on; otherwise more rarely
    #[arg(long, value_name = "SECONDS", default_value_t = EVERY.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,
}

impl Watch {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        ctx.must_be_online()?;
        let vault = ctx.unlocked()?;
        ctx.remotes(&vault, &self.remotes)?;
        let presence = vault.watch_alone().map_err(|error| {
            let is_busy = error.is_busy();
            let mut error = CommandError::from(error);
            if is_busy {
                error.error = format!("this clone is watched already: {}", error.error).into();
                error.hints = vec!["see how it stands with: strongroom status".to_owned()];
            }
            error
        })?;
        let heard = Arc::new(Notify::new());
        let tell = {
            let (heard, state) = (Arc::clone(&heard), vault.state_dir().to_owned());
            move |what: Heard<'_>| match what {
                Heard::Path(path) if !matters(path, &state) => {}
                _ => heard.notify_one(),
            }
        };
        let watching = Watching::start(&vault, POLL, tell)
            .map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
        if let Some(why) = watching.polled() {
            ctx.ui.warn(&format!(
                "{why}; files are looked at every {} seconds",
                POLL.as_secs()
            ));
        }
        let options = Options {
            remotes: self.remotes,
            every: Duration::from_secs(self.every),
            no_git: ctx.no_commit()?,
            polled: watching.polled().map(ToString::to_string),
        };
        let desk = Desk {
            ctx,
            clock: clock(),
            vault_id: vault.config().vault_id.clone(),
            is_held: vault.keys().is_some_and(|keys| keys.identity().is_none()),
        };
        block_on(async {
            let mut signals = Signals::catch()?;
            ctx.ui
                .status(&format!("Watching {}", vault.root().display()));
            let asked = Notify::new();
            let ends = async {
                next_end(&mut signals).await;
                asked.notify_one();
                ctx.ui.status("Finishing the step in hand");
                next_end(&mut signals).await;
            };
            tokio::select! {
                () = run(&vault, &presence, &desk, &options, &heard, asked.notified()) => {}
                // Asked twice. Every step can be cut off and is gone on with next time.
                () = ends => return Ok(Exit::Aborted),
            }
            ctx.ui.status("Stopped");
            DONE
        })
    }
}

/// The next signal that wants an end.
async fn next_end(signals: &mut Signals) {
    loop {
        match signals.next().await {
            Some((Signal::INT | Signal::TERM | Signal::HUP | Signal::QUIT, _)) | None => return,
            Some(_) => {}
        }
    }
}

/// Whether a file can be part of a secret's metadata: not a value, since metadata comes
/// last; not what editors and we leave for a moment; not what remotes showed.
fn matters(path: &Path, state: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    !(path.starts_with(state)
        || name.starts_with('.')
        || name.ends_with('~')
        || name == "4913"
        || [".age", ".swp", ".swx", ".tmp"]
            .iter()
            .any(|end| name.ends_with(end)))
}

/// What the watch has of this process's surroundings.
struct Desk<'a> {
    ctx: &'a Context,
    clock: crate::agent::Clock,
    vault_id: String,
    /// Whether the keys are an agent's.
    is_held: bool,
}

impl Host for Desk<'_> {
    type Store = AwsStore;

    fn moment(&self) -> Moment {
        let now = (self.clock)();
        Moment {
            boot: now.boot,
            awake: now.awake,
            wall: now.wall,
        }
    }

    fn dice(&self) -> u16 {
        let mut dice = [0; 2];
        match getrandom::fill(&mut dice) {
            Ok(()) => u16::from_ne_bytes(dice),
            // Without randomness it keeps its pace, which is no harm to this one watch.
            Err(_) => u16::MAX / 2,
        }
    }

    fn is_locked(&self) -> bool {
        if !self.is_held {
            return false;
        }
        let agent = self.ctx.agent().ok().flatten();
        let status = agent.and_then(|agent| agent.status().ok());
        !status.is_some_and(|s| s.vaults.iter().any(|v| v.vault == self.vault_id))
    }

    async fn connect(&self, remote: &RemoteConfig) -> Result<AwsStore, StoreError> {
        let options = crate::aws::Options::default();
        Box::pin(AwsStore::connect(remote, now(), &options)).await
    }

    fn say(&self, event: &Event) {
        let ui = &self.ctx.ui;
        let text = Escaped(&event.to_string()).to_string();
        if ui.json() {
            let line = json!({ "Time": now().to_string(), "Event": event.kind(), "Text": text });
            // Nobody listens any more; the work goes on.
            drop(ui.line(&line.to_string()));
        } else if event.is_warning() {
            ui.warn(&text);
        } else {
            ui.status(&text);
        }
    }
}

/// What the watch of this clone says of itself, if there is one.
pub(super) fn said(vault: &Vault) -> Result<Option<Status>, CommandError> {
    let text = vault.watch_said()?;
    let status: Option<Status> = text.and_then(|text| serde_json::from_str(&text).ok());
    // One that begins this moment may not have thrown away what a dead one said.
    Ok(status.filter(|status| is_alive(status.pid)))
}

fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// The same for people.
pub(super) fn lines(status: Option<&Status>, now: Timestamp) -> Vec<String> {
    let Some(status) = status else {
        return Vec::new();
    };
    let ago = |text: &Option<String>| {
        let at: Option<Timestamp> = text.as_ref().and_then(|t| t.parse().ok());
        at.map_or_else(|| "never".to_owned(), |at| age(now.millis() - at.millis()))
    };
    let mut lines = vec![format!(
        "watch: process {}, begun {}",
        status.pid,
        ago(&Some(status.since.clone()))
    )];
    if let Some(why) = &status.paused {
        let since = ago(&status.paused_since);
        lines.push(format!("  paused ({since}): {why}"));
    }
    for (remote, line) in &status.remotes {
        let next: Option<Timestamp> = line.next.as_ref().and_then(|t| t.parse().ok());
        let next = next.map_or(0, |at| (at.millis() - now.millis()).max(0) / 1000);
        let next = match status.paused {
            None => format!(", asked again in {next} s"),
            Some(_) => String::new(),
        };
        lines.push(match &line.trouble {
            Some(why) => format!("  {why}{next}"),
            None => {
                let (asked, synced) = (ago(&line.asked), ago(&line.synced));
                format!("  {remote}: asked {asked}, last change {synced}{next}")
            }
        });
    }
    for (name, why) in &status.held {
        lines.push(format!("  {name}: {why}"));
    }
    if let Some(why) = &status.polled {
        lines.push(format!("  {why}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_backups_and_views_wake_nobody() {
        let state = Path::new("/s");
        for (path, wakes) in [
            ("/v/secrets/a.toml", true),
            ("/v/strongroom.toml", true),
            ("/v/secrets/prod", true),
            ("/v/secrets/a.1.2.age", false),
            ("/v/secrets/.strongroom-1.tmp", false),
            ("/v/secrets/.a.toml.swp", false),
            ("/v/secrets/a.toml~", false),
            ("/v/secrets/4913", false),
            ("/s/views/prod.json", false),
        ] {
            assert_eq!(matters(Path::new(path), state), wakes, "{path}");
        }
    }
}
