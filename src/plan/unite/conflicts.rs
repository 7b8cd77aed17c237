//! What waits for a person: what both sides changed, and what was on record before.

use std::collections::{BTreeMap, BTreeSet};

use super::Three;
use crate::model::{Class, Conflict, Field, Record, RemoteName, SecretState, VersionId};
use crate::plan::resolve::lost_label;
use crate::plan::twins::two_contents;

/// Something that both sides changed; ours stands.
pub(super) struct Clash {
    pub(super) field: Field,
    pub(super) base: Option<String>,
    pub(super) theirs: Option<String>,
}

/// A field of a record as conflicts write it.
pub(super) fn text(state: &SecretState, field: &Field) -> Option<String> {
    match field {
        Field::Label(label) => state.labels.get(label).map(|id| id.as_str().to_owned()),
        Field::Description => state.attributes.description.clone(),
        Field::Tag(key) => state.attributes.tags.get(key).cloned(),
        Field::Lifecycle => Some(state.lifecycle.as_str().to_owned()),
        // Not the secret's but one remote's: the next sync asks again.
        Field::Own(_) => None,
    }
}

/// Gives the versions that lost a label by which they are found.
pub(super) fn keep_lost(state: &mut SecretState, clashes: &[Clash]) {
    for clash in clashes {
        if matches!(clash.field, Field::Label(_))
            && let Some(id) = clash.theirs.as_deref().and_then(|id| id.parse().ok())
            && let Some(label) = lost_label(state, &id)
        {
            state.labels.entry(label).or_insert(id);
        }
    }
}

/// The conflicts of the united record.
pub(super) fn conflicts(
    all: Three<'_, Record>,
    united: &Record,
    clashes: Vec<Clash>,
) -> Vec<Conflict> {
    let mut kept: BTreeSet<Conflict> = BTreeSet::new();
    // By field, what stands against what the united record has.
    let mut between: BTreeMap<Field, BTreeMap<Option<String>, Option<String>>> = BTreeMap::new();
    for (side, other) in [(all.ours, all.theirs), (all.theirs, all.ours)] {
        for conflict in &side.conflicts {
            let decided =
                all.base.conflicts.contains(conflict) && !other.conflicts.contains(conflict);
            if decided {
                continue;
            }
            let field = &conflict.field;
            if conflict.is_between_clones() {
                let contested = between.entry(field.clone()).or_default();
                let stood = text(&side.state, field) == conflict.ours;
                let rivals = [Some(&conflict.theirs), stood.then_some(&conflict.ours)];
                for rival in rivals.into_iter().flatten() {
                    note(contested, rival, &conflict.base);
                }
            // One id with two contents is that whatever the label has come to.
            } else if conflict.is_alarm() {
                kept.insert(Conflict {
                    ours: text(&united.state, field),
                    ..conflict.clone()
                });
            // What a remote disagrees with is what the vault has: the side that did not
            // get its way has nothing to ask, nor has what was asked before an edit that
            // came since. That can be answered no more, and what two clones disagree on
            // stops the sync that would ask anew.
            } else if text(&side.state, field) == text(&united.state, field)
                && !is_outdated(united, conflict)
            {
                kept.insert(conflict.clone());
            }
        }
    }
    for clash in clashes {
        let contested = between.entry(clash.field).or_default();
        note(contested, &clash.theirs, &clash.base);
    }
    for (field, contested) in between {
        let ours = text(&united.state, &field);
        let rivals: Vec<&Option<String>> = contested.keys().collect();
        for (theirs, base) in &contested {
            let newer = rivals.iter().copied().chain([&ours]);
            if *theirs == ours
                || newer
                    .into_iter()
                    .any(|n| outdone(united, &field, base, theirs, n))
            {
                continue;
            }
            kept.insert(Conflict {
                remote: RemoteName::other_clone(),
                field: field.clone(),
                class: Class::Clones,
                base: base.clone(),
                ours: ours.clone(),
                theirs: theirs.clone(),
            });
        }
    }
    kept.into_iter().collect()
}

/// Whether the vault's side of a remote's conflict is not what the vault has any more.
fn is_outdated(united: &Record, conflict: &Conflict) -> bool {
    let is_plain = match conflict.field {
        Field::Label(_) => two_contents(&united.state, conflict).is_none(),
        Field::Description | Field::Tag(_) => true,
        Field::Lifecycle | Field::Own(_) => false,
    };
    is_plain && conflict.ours != text(&united.state, &conflict.field)
}

fn note(
    contested: &mut BTreeMap<Option<String>, Option<String>>,
    rival: &Option<String>,
    base: &Option<String>,
) {
    let known = contested
        .entry(rival.clone())
        .or_insert_with(|| base.clone());
    *known = known.clone().min(base.clone());
}

/// Whether a version that stood against another has been built upon since. One that
/// somebody went back to, from what both had, has not.
fn outdone(
    united: &Record,
    field: &Field,
    base: &Option<String>,
    old: &Option<String>,
    new: &Option<String>,
) -> bool {
    let id = |text: &Option<String>| text.as_ref().and_then(|t| t.parse::<VersionId>().ok());
    match (field, id(old), id(new)) {
        (Field::Label(label), Some(old), Some(new)) => {
            let went_back =
                id(base).is_some_and(|base| base != old && united.state.is_ancestor(&old, &base));
            label.is_current() && old != new && united.state.is_ancestor(&old, &new) && !went_back
        }
        _ => false,
    }
}
