//! One turn of the loop: ask, plan, do what may be done, take in what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;

use futures_util::future::join_all;

use super::super::event::{Event, Pause};
use super::super::permit::{gives_value, permit};
use super::{Host, Run, Stop, marks};
use crate::config::Config;
use crate::model::{RemoteName, RemoteView, SecretName};
use crate::plan::Limits;
use crate::store::Silent;
use crate::sync::{self, Outcome, Prepared, Report, SyncError, apply_reviewed, compare, policy_of};

impl<H: Host> Run<'_, H> {
    /// Asks some remotes, plans over them, and does what may be done.
    pub(super) async fn turn(
        &mut self,
        due: &BTreeSet<RemoteName>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Result<(), Stop> {
        let head = self.vault.git_head();
        let met = self.met(due)?;
        let views = tokio::select! {
            biased;
            () = stop.as_mut() => return Err(Stop::End),
            views = self.ask(&met) => views?,
        };
        self.must_be_at(head.as_deref())?;
        if views.is_empty() {
            return Ok(());
        }
        let mut policy = policy_of(self.vault, None, self.host.moment().wall);
        // What nobody looks at overwrites nothing.
        for remote in policy.remotes.values_mut() {
            remote.direction = remote.direction.without_mirror();
        }
        // Nothing is decided while nobody looks, not even by rule.
        policy.strategies = None;
        let asked: BTreeSet<RemoteName> = views.keys().cloned().collect();
        let prepared = sync::prepare(self.vault, views, &policy)?;
        let known = marks(&prepared.loaded);
        let mut prepared = match has_news(&prepared) {
            // What is on record was compared before it was.
            false => prepared,
            true => tokio::select! {
                biased;
                () = stop => return Err(Stop::End),
                compared = Box::pin(compare(self.vault, &self.stores, prepared, &policy, &Silent)) => compared,
            },
        };
        self.must_be_at(head.as_deref())?;
        let limits = limits(&self.vault.config());
        if let Err(halt) = prepared.plan.check(&prepared.base, &prepared.views, limits) {
            self.known = known;
            self.slow_down(&asked);
            return Err(Stop::Pause(Pause::Guard(halt.to_string())));
        }
        self.resume();
        let now = self.host.moment();
        let permitted = permit(&mut prepared, &self.pushed, now.boot);
        self.again_at = permitted.again_at;
        self.say_held(permitted.held);
        self.say_conflicts(&prepared);
        self.say_blocked(&prepared);
        self.known = known;
        if !permitted.has_work {
            self.slow_down(&asked);
            return Ok(());
        }
        let options = sync::Options {
            now: now.wall,
            limits,
            policy,
            no_git: self.options.no_git,
        };
        let records = prepared.loaded.records.values();
        let decided = records.filter(|r| !r.conflicts.is_empty());
        let mut touched: BTreeSet<SecretName> = decided.map(|r| r.name.clone()).collect();
        touched.extend(prepared.plan.secrets.keys().cloned());
        let gives = prepared.plan.secrets.iter().flat_map(|(name, plan)| {
            gives_value(plan).map(|remote| (name.clone(), remote.clone()))
        });
        let gives: BTreeSet<(SecretName, RemoteName)> = gives.collect();
        let done = apply_reviewed(self.vault, &self.stores, prepared, &options, &Silent);
        match Box::pin(done).await {
            Ok(report) => {
                self.note(&report, &gives, &asked);
                self.take_in(&report, touched)
            }
            Err(SyncError::Vault(error)) => Err(error.into()),
            Err(SyncError::Halted(halt)) => {
                self.slow_down(&asked);
                Err(Stop::Pause(Pause::Guard(halt.to_string())))
            }
            Err(SyncError::Remote { remote, source }) => {
                self.trouble(&remote, &source);
                Ok(())
            }
        }
    }

    /// Those of the remotes that were synced with before. The first meeting is for a
    /// person: a wrong account is seen then or never.
    fn met(&mut self, due: &BTreeSet<RemoteName>) -> Result<BTreeSet<RemoteName>, Stop> {
        let loaded = self.vault.load()?;
        let is_met = |remote: &RemoteName| {
            let mut bases = loaded.records.values().map(|r| &r.base);
            bases.any(|base| base.get(remote).is_some_and(|b| b.pair.is_some()))
        };
        let (met, unmet): (BTreeSet<_>, BTreeSet<_>) =
            due.iter().cloned().partition(|remote| is_met(remote));
        for remote in &unmet {
            self.set_trouble(remote, Some(Event::Unmet(remote.clone())));
        }
        self.slow_down(&unmet);
        Ok(met)
    }

    /// Asks remotes, all at once. One that does not answer is left out.
    async fn ask(
        &mut self,
        remotes: &BTreeSet<RemoteName>,
    ) -> Result<BTreeMap<RemoteName, RemoteView>, Stop> {
        let config = self.vault.config();
        for remote in remotes {
            let Some(settings) = config.remotes.get(remote) else {
                continue;
            };
            if !self.stores.contains_key(remote) {
                match Box::pin(self.host.connect(settings)).await {
                    Ok(store) => drop(self.stores.insert(remote.clone(), store)),
                    Err(error) => self.trouble(remote, &error),
                }
            }
        }
        let now = self.host.moment().wall;
        let asks = remotes.iter().filter_map(|remote| {
            let store = self.stores.get(remote)?;
            let ask = sync::fetch(self.vault, remote, store, now, &Silent);
            Some(async move { (remote, ask.await) })
        });
        let answers = Box::pin(join_all(asks)).await;
        let mut views = BTreeMap::new();
        for (remote, answer) in answers {
            match answer {
                Ok(view) => {
                    views.insert(remote.clone(), view);
                    self.set_trouble(remote, None);
                    if let Some(line) = self.lines.get_mut(remote) {
                        line.asked = Some(now);
                    }
                }
                Err(SyncError::Vault(error)) => return Err(error.into()),
                Err(SyncError::Halted(halt)) => {
                    self.slow_down(remotes);
                    return Err(Stop::Pause(Pause::Guard(halt.to_string())));
                }
                Err(SyncError::Remote { source, .. }) => self.trouble(remote, &source),
            }
        }
        Ok(views)
    }

    /// Drops the plan in hand if git has been at work since it was begun.
    fn must_be_at(&self, head: Option<&str>) -> Result<(), Stop> {
        self.may_work()?;
        match self.vault.git_head().as_deref() == head {
            true => Ok(()),
            false => Err(Stop::Again),
        }
    }

    /// Takes what was just written for known.
    fn take_in(&mut self, report: &Report, touched: BTreeSet<SecretName>) -> Result<(), Stop> {
        // What we wrote ourselves is no news. An edit of another secret meanwhile is; one
        // of the same secret, in the moment after our write, waits for the next plan.
        let fresh = marks(&self.vault.load()?);
        for name in touched {
            match report.outcomes.get(&name) {
                None | Some(Outcome::Done | Outcome::Again) => {}
                // Somebody's edit came between.
                Some(_) => continue,
            }
            match fresh.get(&name) {
                Some(mark) => self.known.insert(name, *mark),
                None => self.known.remove(&name),
            };
        }
        Ok(())
    }
}

/// The deletions that stop a run, as the settings have them.
fn limits(config: &Config) -> Limits {
    Limits {
        count: config.max_delete.count,
        percent: config.max_delete.percent,
        folders: true,
    }
}

/// Whether a plan has a conflict that is not on record yet.
fn has_news(prepared: &Prepared) -> bool {
    let records = &prepared.loaded.records;
    let is_known = |name: &SecretName, conflict| {
        let record = records.get(name);
        record.is_some_and(|r| r.conflicts.contains(conflict))
    };
    prepared.plan.conflicts().any(|(n, c)| !is_known(n, c))
}
