//! What the loop says of itself: events as they happen, and its status.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::event::Event;
use super::super::permit::Held;
use super::super::status::{RemoteStatus, Status};
use super::super::timing::{Found, SPACING};
use super::{Host, Run};
use crate::model::{RemoteName, SecretName, Timestamp};
use crate::plan::NoteKind;
use crate::store::StoreError;
use crate::sync::{Outcome, Prepared, Report};

impl<H: Host> Run<'_, H> {
    /// Says and notes what a run did.
    pub(super) fn note(
        &mut self,
        report: &Report,
        gives: &BTreeSet<(SecretName, RemoteName)>,
        asked: &BTreeSet<RemoteName>,
    ) {
        let now = self.host.moment();
        let is_done = |outcome: &Outcome| *outcome == Outcome::Done;
        self.pushed.retain(|_, at| *at + SPACING > now.boot);
        for given in gives {
            if report.outcomes.get(&given.0).is_some_and(is_done) {
                self.pushed.insert(given.clone(), now.boot);
            }
        }
        for (name, outcome) in &report.outcomes {
            let why = match outcome {
                Outcome::Done | Outcome::Again => continue,
                Outcome::Superseded(why) | Outcome::Unreadable(why) | Outcome::Integrity(why) => {
                    why.clone()
                }
                Outcome::Failed { remote, error } => format!("{remote}: {error}"),
            };
            self.host.say(&Event::Failed(name.clone(), why));
        }
        let secrets = report.outcomes.values().filter(|o| is_done(o)).count();
        let is_news = secrets > 0 && report.copied + report.here + report.there > 0;
        if is_news {
            self.host.say(&Event::Synced {
                secrets,
                copied: report.copied,
                here: report.here,
                there: report.there,
            });
        }
        if let Some(why) = &report.uncommitted {
            self.host.say(&Event::Uncommitted(why.clone()));
        }
        if let Some((remote, error)) = &report.stopped {
            self.trouble(remote, error);
        }
        for remote in asked {
            if let Some(line) = self.lines.get_mut(remote)
                && is_news
            {
                line.synced = Some(now.wall);
            }
        }
        let fine = asked
            .iter()
            .filter(|r| report.stopped.as_ref().is_none_or(|(s, _)| s != *r));
        let fine: BTreeSet<RemoteName> = fine.cloned().collect();
        let missed = report.outcomes.values();
        let is_live = is_news || missed.into_iter().any(|o| !is_done(o));
        self.set_pace(
            &fine,
            if is_live {
                Found::Changes
            } else {
                Found::Nothing
            },
        );
    }

    pub(super) fn say_held(&mut self, held: BTreeMap<SecretName, Held>) {
        for (name, why) in &held {
            let same = match (self.held.get(name), why) {
                (Some(Held::Spaced(_)), Held::Spaced(_)) => true,
                (before, why) => before == Some(why),
            };
            if !same {
                self.host.say(&Event::Held(name.clone(), why.clone()));
            }
        }
        self.held = held;
    }

    pub(super) fn say_conflicts(&mut self, prepared: &Prepared) {
        let found = prepared.plan.conflicts();
        let found: BTreeSet<(SecretName, String)> =
            found.map(|(n, c)| (n.clone(), c.to_string())).collect();
        for (name, what) in found.difference(&self.conflicts) {
            self.host.say(&Event::Conflict(name.clone(), what.clone()));
        }
        self.conflicts = found;
    }

    pub(super) fn say_blocked(&mut self, prepared: &Prepared) {
        let notes = prepared.plan.notes();
        let blocked = notes.filter(|(_, note)| matches!(note.kind, NoteKind::Blocked(_)));
        let blocked: BTreeMap<SecretName, String> = blocked
            .map(|(name, note)| (name.clone(), note.to_string()))
            .collect();
        for (name, why) in &blocked {
            if self.blocked.get(name) != Some(why) {
                self.host.say(&Event::Failed(name.clone(), why.clone()));
            }
        }
        self.blocked = blocked;
    }

    pub(super) fn trouble(&mut self, remote: &RemoteName, error: &StoreError) {
        // New credentials are found by connecting anew.
        self.stores.remove(remote);
        let event = Event::Trouble(remote.clone(), error.to_string());
        self.set_trouble(remote, Some(event));
        self.set_pace(&BTreeSet::from([remote.clone()]), Found::NoAnswer);
    }

    pub(super) fn set_trouble(&mut self, remote: &RemoteName, trouble: Option<Event>) {
        let Some(line) = self.lines.get_mut(remote) else {
            return;
        };
        if line.trouble == trouble {
            return;
        }
        match &trouble {
            Some(event) => self.host.say(event),
            None => self.host.say(&Event::Answers(remote.clone())),
        }
        line.trouble = trouble;
    }

    /// Says how it stands to whoever asks for the status.
    pub(super) fn tell(&mut self) {
        let now = self.host.moment();
        let wall = |at: Duration| {
            let ahead = i64::try_from(at.saturating_sub(now.boot).as_millis());
            let at = now.wall.millis().saturating_add(ahead.unwrap_or(0));
            Timestamp::from_millis(at).to_string()
        };
        let remotes = self.lines.iter().map(|(remote, line)| {
            let status = RemoteStatus {
                asked: line.asked.map(|t| t.to_string()),
                synced: line.synced.map(|t| t.to_string()),
                next: Some(wall(line.next)),
                trouble: line.trouble.as_ref().map(Event::to_string),
            };
            (remote.to_string(), status)
        });
        let held = self.held.iter();
        let held = held.map(|(name, why)| (name.to_string(), why.to_string()));
        let status = Status {
            pid: std::process::id(),
            since: self.began.wall.to_string(),
            remotes: remotes.collect(),
            paused: self.paused.as_ref().map(|(pause, _)| pause.to_string()),
            paused_since: self.paused.as_ref().map(|(_, at)| at.to_string()),
            held: self
                .blocked
                .iter()
                .map(|(name, why)| (name.to_string(), why.clone()))
                .chain(held)
                .collect(),
            polled: self.options.polled.clone(),
        };
        let Ok(text) = serde_json::to_string(&status) else {
            return;
        };
        // A status that cannot be written is no reason to stop.
        if text != self.said && self.presence.say(&text).is_ok() {
            self.said = text;
        }
    }
}
