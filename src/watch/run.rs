//! The loop: hear, wait for quiet, look, ask, plan, do what may be done.

mod say;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::Notify;

use super::event::{Event, Pause};
use super::permit::{Held, Pushed};
use super::timing::{Debounce, Found, Pace, has_slept};
use super::{Host, Moment, Options};
use crate::model::{RemoteName, SecretName, Timestamp};
use crate::vault::{Loaded, Presence, Vault, VaultError};

/// How often everything is looked at, whatever was heard.
const SCAN: Duration = Duration::from_secs(600);
/// The longest nap: timers stand still while the machine is suspended.
const NAP: Duration = Duration::from_secs(30);
/// When to see again whether git is through, or the agent unlocked.
const SOON: Duration = Duration::from_secs(2);
/// When to try again after another process was busy with the vault.
const BUSY: Duration = Duration::from_secs(5);
/// When to try again after the vault could not be read.
const BROKEN: Duration = Duration::from_secs(60);

/// One remote.
struct Line {
    pace: Pace,
    /// When it is asked next.
    next: Duration,
    asked: Option<Timestamp>,
    synced: Option<Timestamp>,
    /// What is wrong with it, as it was said.
    trouble: Option<Event>,
}

/// Why a turn ended before its time.
enum Stop {
    Pause(Pause),
    /// Look anew at once.
    Again,
    /// Somebody wants it all to end.
    End,
}

impl From<VaultError> for Stop {
    fn from(error: VaultError) -> Self {
        Self::Pause(if error.is_locked() {
            Pause::Locked
        } else if error.is_busy() {
            Pause::Busy(error.to_string())
        } else {
            Pause::Vault(chain(&error))
        })
    }
}

struct Run<'a, H: Host> {
    vault: &'a Vault,
    presence: &'a Presence<'a>,
    host: &'a H,
    options: &'a Options,
    began: Moment,
    last: Moment,
    lines: BTreeMap<RemoteName, Line>,
    stores: BTreeMap<RemoteName, H::Store>,
    debounce: Debounce,
    /// When to look at everything.
    scan: Duration,
    /// When a secret that waits for its time may go on.
    again_at: Option<Duration>,
    /// The secrets as they were when a plan was last made of them, and the settings. Our
    /// own writes are in it, so that they wake nobody.
    known: BTreeMap<SecretName, u64>,
    settings: Option<u64>,
    pushed: Pushed,
    held: BTreeMap<SecretName, Held>,
    conflicts: BTreeSet<(SecretName, String)>,
    /// Secrets that cannot be vouched for, here or there.
    blocked: BTreeMap<SecretName, String>,
    paused: Option<(Pause, Timestamp)>,
    retry: Duration,
    said: String,
}

/// Watches until `stop` is done; the step in hand is finished first. `heard` is told of
/// every change of the vault's files.
pub async fn run<H: Host>(
    vault: &Vault,
    presence: &Presence<'_>,
    host: &H,
    options: &Options,
    heard: &Notify,
    stop: impl Future<Output = ()>,
) {
    let now = host.moment();
    let mut run = Run {
        vault,
        presence,
        host,
        options,
        began: now,
        last: now,
        lines: BTreeMap::new(),
        stores: BTreeMap::new(),
        debounce: Debounce::default(),
        scan: now.boot,
        again_at: None,
        known: BTreeMap::new(),
        settings: None,
        pushed: BTreeMap::new(),
        held: BTreeMap::new(),
        conflicts: BTreeSet::new(),
        blocked: BTreeMap::new(),
        paused: None,
        retry: now.boot,
        said: String::new(),
    };
    let mut stop = std::pin::pin!(stop);
    run.go(heard, stop.as_mut()).await;
}

impl<H: Host> Run<'_, H> {
    async fn go(&mut self, heard: &Notify, mut stop: Pin<&mut impl Future<Output = ()>>) {
        loop {
            let now = self.host.moment();
            if has_slept(self.last, now) {
                self.host.say(&Event::Slept);
                self.scan = now.boot;
                self.ask_all(now.boot);
            }
            self.last = now;
            let nap = match self.nap(now.boot) {
                Some(nap) => nap,
                None => match self.step(now.boot, stop.as_mut()).await {
                    Ok(()) => Duration::ZERO,
                    Err(Stop::End) => return,
                    Err(Stop::Again) => {
                        self.host.say(&Event::Dropped);
                        self.scan = now.boot;
                        self.ask_all(now.boot);
                        SOON
                    }
                    Err(Stop::Pause(pause)) => {
                        self.pause(pause);
                        Duration::ZERO
                    }
                },
            };
            self.tell();
            tokio::select! {
                biased;
                () = stop.as_mut() => return,
                () = heard.notified() => self.debounce.hit(self.host.moment().boot),
                () = tokio::time::sleep(nap.min(NAP)) => {}
            }
        }
    }

    /// How long there is nothing to do; `None` if there is something.
    fn nap(&self, now: Duration) -> Option<Duration> {
        let at = match &self.paused {
            // A guard stops what is written, not what is looked at.
            Some((pause, _)) if !matches!(pause, Pause::Guard(_)) => self.retry,
            _ => {
                let asks = self.lines.values().map(|line| line.next);
                let looks = [Some(self.scan), self.debounce.due(), self.again_at];
                let first = asks.chain(looks.into_iter().flatten()).min();
                first.unwrap_or(now)
            }
        };
        let nap = at.saturating_sub(now);
        (!nap.is_zero()).then_some(nap)
    }

    async fn step(
        &mut self,
        now: Duration,
        stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), Stop> {
        self.may_work()?;
        let blocked = self
            .paused
            .as_ref()
            .is_some_and(|(pause, _)| !matches!(pause, Pause::Guard(_)));
        if blocked {
            self.resume();
            // Whatever happened meanwhile was not looked at.
            self.scan = now;
            self.ask_all(now);
        }
        self.adopt_settings(now)?;
        let looks = [Some(self.scan), self.debounce.due()];
        if looks.into_iter().flatten().any(|at| at <= now) {
            self.debounce.clear();
            self.scan = now + SCAN;
            let loaded = self.vault.load()?;
            if marks(&loaded) != self.known {
                self.ask_all(now);
            }
        }
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            self.ask_all(now);
        }
        if self.lines.values().all(|line| line.next > now) {
            return Ok(());
        }
        // One merge over all that can be had, so that what is held does not depend on
        // whose turn it is.
        let due = self.lines.iter();
        let due = due.filter(|(_, line)| line.next <= now || line.trouble.is_none());
        let due: BTreeSet<RemoteName> = due.map(|(remote, _)| remote.clone()).collect();
        Box::pin(self.turn(&due, stop)).await
    }

    /// Refuses while the vault is locked or git is at work.
    fn may_work(&self) -> Result<(), Stop> {
        if self.host.is_locked() {
            return Err(Stop::Pause(Pause::Locked));
        }
        match self.vault.git_under_way() {
            Some(what) => Err(Stop::Pause(Pause::Git(what))),
            None => Ok(()),
        }
    }

    /// Everything is asked at once.
    fn ask_all(&mut self, now: Duration) {
        for line in self.lines.values_mut() {
            line.next = now;
        }
    }

    /// Reads the settings if they changed: remotes may have come, gone or moved.
    fn adopt_settings(&mut self, now: Duration) -> Result<(), Stop> {
        let path = self.vault.root().join("strongroom.toml");
        let text = std::fs::read(&path)
            .map_err(|e| Stop::Pause(Pause::Vault(format!("{}: {e}", path.display()))))?;
        let print = fingerprint(&text);
        if self.settings == Some(print) {
            return Ok(());
        }
        self.vault.reread_settings()?;
        self.settings = Some(print);
        let config = self.vault.config();
        let wanted = |name: &RemoteName| {
            self.options.remotes.is_empty() || self.options.remotes.contains(name)
        };
        // Connected anew, each as it is set up now.
        self.stores.clear();
        self.lines
            .retain(|name, _| config.remotes.contains_key(name));
        for name in config.remotes.keys().filter(|name| wanted(name)) {
            let line = self.lines.entry(name.clone()).or_insert_with(|| Line {
                pace: Pace::new(self.options.every),
                next: now,
                asked: None,
                synced: None,
                trouble: None,
            });
            line.next = now;
        }
        Ok(())
    }

    fn slow_down(&mut self, remotes: &BTreeSet<RemoteName>) {
        self.set_pace(remotes, Found::Nothing);
    }

    fn set_pace(&mut self, remotes: &BTreeSet<RemoteName>, found: Found) {
        let now = self.host.moment().boot;
        for remote in remotes {
            if let Some(line) = self.lines.get_mut(remote) {
                line.pace = line.pace.after(found);
                line.next = now + line.pace.delay(self.host.dice());
            }
        }
    }

    fn pause(&mut self, pause: Pause) {
        let now = self.host.moment();
        self.retry = now.boot
            + match &pause {
                Pause::Locked | Pause::Git(_) => SOON,
                Pause::Busy(_) => BUSY,
                Pause::Vault(_) | Pause::Guard(_) => BROKEN,
            };
        if self.paused.as_ref().is_some_and(|(old, _)| *old == pause) {
            return;
        }
        self.host.say(&Event::Paused(pause.clone()));
        self.paused = Some((pause, now.wall));
    }

    fn resume(&mut self) {
        if self.paused.take().is_some() {
            self.host.say(&Event::Resumed);
        }
    }
}

/// What tells two states of the secrets apart.
fn marks(loaded: &Loaded) -> BTreeMap<SecretName, u64> {
    let each = loaded.records.iter();
    each.map(|(name, record)| (name.clone(), fingerprint(format!("{record:?}").as_bytes())))
        .collect()
}

fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}
