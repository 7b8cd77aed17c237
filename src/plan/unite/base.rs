//! What was agreed with each remote: the newer agreement, with the origins of the moves
//! that were taken.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::{Verdict, Verdicts};
use super::{Side, Three};
use crate::model::{
    Halves, OwnField, Pair, Record, RemoteBase, RemoteName, SecretBase, SecretState, StagingLabel,
    VersionId,
};

/// Which side's agreement with each remote is taken; a remote that both agree on with
/// the same is left out.
pub(super) struct Newer(BTreeMap<RemoteName, Side>);

impl Newer {
    /// The side that met the remotes last, where it is one side for all of them.
    pub(super) fn of_all(&self) -> Option<Side> {
        let mut sides = self.0.values();
        let first = sides.next()?;
        sides.all(|side| side == first).then_some(*first)
    }

    pub(super) fn of(&self, remote: &RemoteName) -> Option<Side> {
        self.0.get(remote).copied()
    }

    pub(super) fn remotes(&self) -> impl Iterator<Item = (&RemoteName, Side)> {
        self.0.iter().map(|(remote, side)| (remote, *side))
    }
}

fn pair<'a>(record: &'a Record, remote: &RemoteName) -> Option<&'a Pair> {
    record.base.get(remote).and_then(|b| b.pair.as_ref())
}

fn remotes<'a>(all: Three<'a, Record>) -> BTreeSet<&'a RemoteName> {
    let both = [all.ours, all.theirs].into_iter();
    both.flat_map(|record| record.base.keys()).collect()
}

/// Compares what each side last agreed on with each remote: by the remote's
/// LastChangedDate, then by content, so that every clone says the same.
pub(super) fn newer(all: Three<'_, Record>) -> Newer {
    let mut newer = BTreeMap::new();
    for remote in remotes(all) {
        let [was, here, there] = [all.base, all.ours, all.theirs].map(|r| pair(r, remote));
        if here == there {
            continue;
        }
        let order = |pair: Option<&Pair>| {
            pair.map(|pair| {
                (
                    pair.changed,
                    format!("{:?}", pair.remote),
                    format!("{pair:?}"),
                )
            })
        };
        // One that only one side changed is that side's, even where it went back: its
        // labels went with it.
        let side = if was == here {
            Side::Theirs
        } else if was == there || order(here) >= order(there) {
            Side::Ours
        } else {
            Side::Theirs
        };
        newer.insert(remote.clone(), side);
    }
    Newer(newer)
}

/// What is remembered per remote. `state` is the secret as it becomes.
pub(super) fn base(
    all: Three<'_, Record>,
    newer: &Newer,
    verdicts: &Verdicts,
    state: &SecretState,
) -> SecretBase {
    let mut united = SecretBase::new();
    let blank = RemoteBase::default();
    for remote in remotes(all) {
        let three = all.part(|record| record.base.get(remote).unwrap_or(&blank));
        let side = newer.of(remote).unwrap_or(Side::Ours);
        // A new field must be thought of here; what is in the pair goes with the pair.
        let RemoteBase {
            pair,
            intents: _,
            seen: _,
            own: _,
        } = three.of(side);
        let mut base = RemoteBase {
            pair: pair.clone(),
            intents: BTreeMap::new(),
            seen: BTreeMap::new(),
            own: own(three, side),
        };
        for (label, verdict) in verdicts {
            if let Some(from) = origin(all, three, remote, label, *verdict, pair.as_ref(), state) {
                base.intents.insert(label.clone(), from);
            }
        }
        let fields = three.ours.seen.keys().chain(three.theirs.seen.keys());
        for field in fields {
            let [was, here, there] =
                [three.base, three.ours, three.theirs].map(|b| b.seen.get(field));
            let both = Three {
                base: &was,
                ours: &here,
                theirs: &there,
            };
            let seen = both.or(|| match side {
                Side::Ours => both.ours,
                Side::Theirs => both.theirs,
            });
            if let Some(text) = seen {
                base.seen.insert(field.clone(), (*text).clone());
            }
        }
        if !base.is_empty() {
            united.insert(remote.clone(), base);
        }
    }
    united
}

/// What the remote has of its own, and what was set here for it. Either side's record is
/// safe: a push looks first whether the remote still has what stands there.
fn own(three: Three<'_, RemoteBase>, side: Side) -> BTreeMap<OwnField, Halves> {
    let fields = OwnField::ALL.into_iter();
    fields
        .filter_map(|field| {
            let [was, here, there] =
                [three.base, three.ours, three.theirs].map(|b| b.own.get(&field));
            let both = Three {
                base: &was,
                ours: &here,
                theirs: &there,
            };
            // What was set here and waits is somebody's wish: the next sync asks.
            let wish = |h: &Option<&Halves>| h.is_some_and(|h| h.here.is_some());
            let halves = both.or(|| match (wish(both.ours), wish(both.theirs), side) {
                (true, false, _) | (true, true, _) => both.ours,
                (false, true, _) => both.theirs,
                (false, false, Side::Ours) => both.ours,
                (false, false, Side::Theirs) => both.theirs,
            });
            halves.map(|halves| (field, halves.clone()))
        })
        .collect()
}

/// Where the move of a label started that is still to be pushed to this remote.
fn origin(
    all: Three<'_, Record>,
    three: Three<'_, RemoteBase>,
    remote: &RemoteName,
    label: &StagingLabel,
    verdict: Verdict,
    pair: Option<&Pair>,
    state: &SecretState,
) -> Option<Option<VersionId>> {
    let holder = state.labels.get(label);
    let agreed = pair.map(|pair| pair.remote.labels.get(label));
    let Some(side) = verdict.side() else {
        let [was, here, there] =
            [three.base, three.ours, three.theirs].map(|b| b.intents.get(label));
        if here == there {
            return here.cloned();
        }
        // What the remote is known to have needs no push.
        if agreed == Some(holder) {
            return None;
        }
        let both = Three {
            base: &was,
            ours: &here,
            theirs: &there,
        };
        let known = |from: &&Option<VersionId>| agreed == Some(from.as_ref());
        return both
            .or(|| match (here, there) {
                (None, _) => both.theirs,
                (_, None) => both.ours,
                _ if here.is_some_and(|f| known(&f)) => both.ours,
                _ if there.is_some_and(|f| known(&f)) => both.theirs,
                _ if here <= there => both.ours,
                _ => both.theirs,
            })
            .cloned();
    };
    let own = three.of(side);
    if own.pair.as_ref() == pair {
        return own.intents.get(label).cloned();
    }
    if agreed == Some(holder) {
        return None;
    }
    match own.intents.get(label) {
        Some(from) => Some(from.clone()),
        // Moved before this clone had met the remote: it started from what both had.
        None if own.pair.is_none() && !pairless_is_news(all, side, remote) => {
            let was = all.base.state.labels.get(label);
            (was != holder).then(|| was.cloned())
        }
        None => None,
    }
}

/// Whether a clone once had an agreement with the remote and dropped it.
fn pairless_is_news(all: Three<'_, Record>, side: Side, remote: &RemoteName) -> bool {
    pair(all.base, remote).is_some() && pair(all.of(side), remote).is_none()
}
