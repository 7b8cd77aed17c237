//! Reasons to stop before a plan that is right is carried out all the same.

use std::collections::BTreeMap;

use super::{NoteKind, Plan, Side, Waits};
use crate::model::{Base, Change, Direction, Lifecycle, RemoteName, RemoteView, SecretName};

/// How many deletions one run may carry out without a person's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// This many are always allowed.
    pub count: usize,
    /// Beyond `count`, this share of the side's secrets, in percent.
    pub percent: u8,
    /// Whether deleting every secret of a folder at once stops the run.
    pub folders: bool,
}

impl Default for Limits {
    /// Ten, or ten percent (sync.md section 1.4).
    fn default() -> Self {
        Self {
            count: 10,
            percent: 10,
            folders: true,
        }
    }
}

/// Why a run stops before its first step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    /// There is a conflict whose strategy is `fail`.
    #[error("{count} of the secrets cannot be brought into step, {first} for one")]
    Conflicted {
        /// How many secrets.
        count: usize,
        /// The first of them.
        first: SecretName,
    },
    /// A remote that had secrets lists none: a wrong profile or Region looks so.
    #[error("remote {remote} lists no secrets at all, but {known} were synced with it before")]
    EmptyListing {
        /// The remote.
        remote: RemoteName,
        /// How many it had.
        known: usize,
    },
    /// A remote is to be made like a vault that has nothing.
    #[error("the vault has no secrets for remote {remote}, which would be made like it")]
    EmptyVault {
        /// The remote.
        remote: RemoteName,
    },
    /// The vault is to be made like a remote that lists nothing.
    #[error("remote {remote} lists no secrets at all, and the vault would be made like it")]
    EmptyMirror {
        /// The remote.
        remote: RemoteName,
    },
    /// The vault cannot be like two remotes.
    #[error("the vault cannot be made like {first} and {second} both")]
    TwoMirrors {
        /// One.
        first: RemoteName,
        /// The other.
        second: RemoteName,
    },
    /// More deletions than the limits allow.
    #[error("{deletions} of {total} secrets would be deleted on {side}; at most {allowed} may be")]
    TooManyDeletions {
        /// `the vault` or the remote.
        side: String,
        /// How many.
        deletions: usize,
        /// Of how many.
        total: usize,
        /// The limit.
        allowed: usize,
    },
    /// Every secret of a folder at once.
    #[error("all {count} secrets under {folder} would be deleted on {side}")]
    WholeFolder {
        /// `the vault` or the remote.
        side: String,
        /// The folder, with its final `/`.
        folder: String,
        /// How many.
        count: usize,
    },
}

impl Plan {
    /// Checks the plan against what no single run should do unasked.
    pub fn check(
        &self,
        base: &Base,
        remotes: &BTreeMap<RemoteName, RemoteView>,
        limits: Limits,
    ) -> Result<(), Halt> {
        self.check_conflicts()?;
        for (remote, view) in remotes {
            let known = base
                .values()
                .filter_map(|b| b.get(remote)?.pair.as_ref())
                .filter(|p| p.remote.lifecycle == Lifecycle::Live)
                .count();
            if known > 0 && view.listed == 0 {
                return Err(Halt::EmptyListing {
                    remote: remote.clone(),
                    known,
                });
            }
        }
        self.check_mirrors(remotes)?;
        let mut deletions: BTreeMap<Side, Vec<&str>> = BTreeMap::new();
        for (name, action) in self.actions() {
            if matches!(action.change, Change::Delete { .. } | Change::Tombstone)
                && !self.was_deleted_before(name, base, action)
            {
                deletions
                    .entry(action.on.clone())
                    .or_default()
                    .push(name.as_str());
            }
        }
        for (name, answer) in self.answers() {
            if answer.deletes_here() {
                deletions
                    .entry(Side::Local)
                    .or_default()
                    .push(name.as_str());
            }
        }
        for (side, mut names) in deletions {
            names.sort_unstable();
            names.dedup();
            let live = live_names(&side, base);
            let allowed = limits
                .count
                .max(live.len().saturating_mul(usize::from(limits.percent)) / 100);
            let side = match side {
                Side::Local => "the vault".to_owned(),
                Side::Remote(remote) => remote.to_string(),
            };
            if names.len() > allowed {
                return Err(Halt::TooManyDeletions {
                    side,
                    deletions: names.len(),
                    total: live.len(),
                    allowed,
                });
            }
            if limits.folders
                && let Some((folder, count)) = whole_folder(&names, &live)
            {
                return Err(Halt::WholeFolder {
                    side,
                    folder,
                    count,
                });
            }
        }
        Ok(())
    }

    fn writes_to(&self, remote: &RemoteName) -> bool {
        self.actions()
            .any(|(_, a)| matches!(&a.on, Side::Remote(r) if r == remote))
    }

    /// A mirror of nothing is no mirror that anybody wants.
    fn check_mirrors(&self, remotes: &BTreeMap<RemoteName, RemoteView>) -> Result<(), Halt> {
        let mut ins = Vec::new();
        for (remote, mirror) in &self.mirrors {
            match mirror.way {
                Direction::MirrorOut if mirror.live == 0 && self.writes_to(remote) => {
                    return Err(Halt::EmptyVault {
                        remote: remote.clone(),
                    });
                }
                Direction::MirrorIn => {
                    if remotes.get(remote).is_some_and(|v| v.listed == 0) {
                        return Err(Halt::EmptyMirror {
                            remote: remote.clone(),
                        });
                    }
                    ins.push(remote);
                }
                _ => {}
            }
        }
        match ins[..] {
            [first, second, ..] => Err(Halt::TwoMirrors {
                first: first.clone(),
                second: second.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn check_conflicts(&self) -> Result<(), Halt> {
        let stops = |kind: &NoteKind| {
            matches!(
                kind,
                NoteKind::Waits {
                    why: Waits::Stops,
                    ..
                }
            )
        };
        let names: std::collections::BTreeSet<&SecretName> = self
            .notes()
            .filter(|(_, note)| stops(&note.kind))
            .map(|(name, _)| name)
            .collect();
        match names.first() {
            None => Ok(()),
            Some(first) => Err(Halt::Conflicted {
                count: names.len(),
                first: (*first).clone(),
            }),
        }
    }

    /// A secret whose recovery window ran out was already counted when it was
    /// scheduled.
    fn was_deleted_before(&self, name: &SecretName, base: &Base, action: &super::Action) -> bool {
        action.change == Change::Tombstone
            && action.source.as_ref().is_some_and(|source| {
                base.get(name)
                    .and_then(|b| b.get(source)?.pair.as_ref())
                    .is_some_and(|p| p.local.lifecycle != Lifecycle::Live)
            })
    }
}

fn live_names<'a>(side: &Side, base: &'a Base) -> Vec<&'a str> {
    let live = |remote: &RemoteName, b: &crate::model::SecretBase| {
        b.get(remote)
            .and_then(|b| b.pair.as_ref())
            .is_some_and(|p| p.remote.lifecycle == Lifecycle::Live)
    };
    base.iter()
        .filter(|(_, b)| match side {
            Side::Local => b.keys().any(|remote| live(remote, b)),
            Side::Remote(remote) => live(remote, b),
        })
        .map(|(name, _)| name.as_str())
        .collect()
}

/// A folder of three secrets or more that would be empty afterwards. Fewer are
/// deleted together every day.
fn whole_folder(names: &[&str], live: &[&str]) -> Option<(String, usize)> {
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        if let Some((folder, _)) = name.split_once('/') {
            *folders.entry(folder).or_default() += 1;
        }
    }
    folders.into_iter().find_map(|(folder, count)| {
        let all = live
            .iter()
            .filter(|n| n.split_once('/').is_some_and(|(f, _)| f == folder))
            .count();
        (count >= 3 && count >= all).then(|| (format!("{folder}/"), count))
    })
}
