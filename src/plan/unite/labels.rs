//! Labels: who moved one on purpose, and who only followed a remote.

use std::collections::{BTreeMap, BTreeSet};

use super::base::Newer;
use super::conflicts::Clash;
use super::{Side, Three};
use crate::model::{
    Field, Pair, Record, RemoteName, SecretState, StagingLabel, VersionId, travels,
};

/// Whose holder of a label it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Both have the same.
    Same,
    /// That of one side.
    Of(Side),
    /// Both moved it, to different versions: ours stands, and it is a conflict.
    Clash,
}

impl Verdict {
    /// The side whose holder and whose record of its origin is taken.
    pub(super) fn side(self) -> Option<Side> {
        match self {
            Self::Same => None,
            Self::Of(side) => Some(side),
            Self::Clash => Some(Side::Ours),
        }
    }
}

pub(super) type Verdicts = BTreeMap<StagingLabel, Verdict>;

fn holder<'a>(record: &'a Record, label: &StagingLabel) -> Option<&'a VersionId> {
    record.state.labels.get(label)
}

/// Where the moves of a label started that wait to be pushed.
fn intents<'a>(
    record: &'a Record,
    label: &StagingLabel,
) -> BTreeMap<&'a RemoteName, &'a Option<VersionId>> {
    let bases = record.base.iter();
    bases
        .filter_map(|(remote, base)| Some((remote, base.intents.get(label)?)))
        .collect()
}

fn pairs(record: &Record) -> BTreeMap<&RemoteName, &Pair> {
    let bases = record.base.iter();
    bases
        .filter_map(|(remote, base)| Some((remote, base.pair.as_ref()?)))
        .collect()
}

/// Decides on every label that travels. `united` has the versions of both sides.
pub(super) fn verdicts(all: Three<'_, Record>, newer: &Newer, united: &SecretState) -> Verdicts {
    let mut labels: BTreeSet<&StagingLabel> = BTreeSet::new();
    for record in [all.ours, all.theirs] {
        labels.extend(record.state.labels.keys());
        labels.extend(record.base.values().flat_map(|b| b.intents.keys()));
    }
    let travelling = labels.into_iter().filter(|label| travels(label));
    travelling
        .map(|label| (label.clone(), decide(all, newer, united, label)))
        .collect()
}

fn decide(
    all: Three<'_, Record>,
    newer: &Newer,
    united: &SecretState,
    label: &StagingLabel,
) -> Verdict {
    let was = holder(all.base, label);
    let (here, there) = (holder(all.ours, label), holder(all.theirs, label));
    if here == there {
        return Verdict::Same;
    }
    let (old_intents, old_pairs) = (intents(all.base, label), pairs(all.base));
    let still = |s: &Record| {
        holder(s, label) == was && intents(s, label) == old_intents && pairs(s) == old_pairs
    };
    if still(all.ours) {
        return Verdict::Of(Side::Theirs);
    }
    if still(all.theirs) {
        return Verdict::Of(Side::Ours);
    }
    // AWSCURRENT can move, but not vanish.
    if label.is_current() {
        match (here, there) {
            (None, _) => return Verdict::Of(Side::Theirs),
            (_, None) => return Verdict::Of(Side::Ours),
            _ => {}
        }
    }
    // A move made by a person: its origin is on record, or no sync can have made it.
    let moved = |s: &Record| {
        let intents = intents(s, label);
        let changed = holder(s, label) != was || intents != old_intents;
        changed && (!intents.is_empty() || pairs(s) == old_pairs)
    };
    let rival = match (moved(all.ours), moved(all.theirs)) {
        (true, false) => return Verdict::Of(Side::Ours),
        (false, true) => return Verdict::Of(Side::Theirs),
        (false, false) if newer.of_all().is_some() => newer.of_all().map(Verdict::Of),
        // As far as the remotes know the two are one; then the one that differs.
        (false, false) if here == was => Some(Verdict::Of(Side::Theirs)),
        (false, false) if there == was => Some(Verdict::Of(Side::Ours)),
        _ => None,
    };
    if let Some(followed) = rival {
        return followed;
    }
    // Only AWSCURRENT has an ancestry. Whoever went back did so on purpose, and the wish
    // would be lost under what was made on top.
    if label.is_current()
        && let (Some(here), Some(there)) = (here, there)
    {
        let went_back =
            |to: &VersionId| was.is_some_and(|was| was != to && united.is_ancestor(to, was));
        if united.is_ancestor(here, there) && !went_back(here) {
            return Verdict::Of(Side::Theirs);
        }
        if united.is_ancestor(there, here) && !went_back(there) {
            return Verdict::Of(Side::Ours);
        }
    }
    Verdict::Clash
}

/// Every label with its holder; what both moved is noted in `clashes`.
pub(super) fn labels(
    all: Three<'_, Record>,
    newer: &Newer,
    verdicts: &Verdicts,
    clashes: &mut Vec<Clash>,
) -> BTreeMap<StagingLabel, VersionId> {
    let current = verdicts.get(&StagingLabel::current());
    let names: BTreeSet<&StagingLabel> = [all.ours, all.theirs]
        .into_iter()
        .flat_map(|record| record.state.labels.keys())
        .collect();
    let mut labels = BTreeMap::new();
    for label in names {
        let (was, here, there) = (
            holder(all.base, label),
            holder(all.ours, label),
            holder(all.theirs, label),
        );
        let three = Three {
            base: &was,
            ours: &here,
            theirs: &there,
        };
        let side = match verdicts.get(label) {
            Some(verdict) => {
                if *verdict == Verdict::Clash {
                    clashes.push(Clash {
                        field: Field::Label(label.clone()),
                        base: was.map(|id| id.as_str().to_owned()),
                        theirs: there.map(|id| id.as_str().to_owned()),
                    });
                }
                verdict.side()
            }
            // AWSPREVIOUS comes with AWSCURRENT (sync.md section 1.6, P1).
            None if label.is_previous() => current.and_then(|v| v.side()),
            None => None,
        };
        let follow = |side: Side| match side {
            Side::Ours => here,
            Side::Theirs => there,
        };
        let taken = match side {
            Some(side) => follow(side),
            None => match three.settled() {
                Some(taken) => *taken,
                // What remotes move by themselves, and the vault's own: none vanishes.
                None => match newer.of_all() {
                    Some(side) if !label.is_local() => follow(side),
                    _ => here.max(there),
                },
            },
        };
        if let Some(id) = taken {
            labels.insert(label.clone(), id.clone());
        }
    }
    labels
}
