//! Versions, description and tags, existence, and what the endpoint keeps besides.

use std::collections::{BTreeMap, BTreeSet};

use super::base::Newer;
use super::conflicts::Clash;
use super::{Side, Three, UniteError};
use crate::model::{
    Attributes, Content, Details, Field, Lifecycle, Origin, Record, VersionId, VersionMeta, travels,
};
use crate::plan::attributes::Place;

/// Every version that either side lists.
pub(super) fn versions(
    all: Three<'_, Record>,
) -> Result<BTreeMap<VersionId, VersionMeta>, UniteError> {
    let mut united = all.ours.state.versions.clone();
    for (id, theirs) in &all.theirs.state.versions {
        let meta = match all.ours.state.versions.get(id) {
            None => theirs.clone(),
            Some(ours) => version(id, all.base.state.versions.get(id), ours, theirs)?,
        };
        united.insert(id.clone(), meta);
    }
    // One that both took out is gone; one that only one side took out is not.
    Ok(united)
}

fn version(
    id: &VersionId,
    base: Option<&VersionMeta>,
    ours: &VersionMeta,
    theirs: &VersionMeta,
) -> Result<VersionMeta, UniteError> {
    let VersionMeta {
        created: _,
        content: _,
        parent: _,
        origin: _,
    } = ours;
    let content = match (ours.content, theirs.content) {
        (a, b) if a == b => a,
        (Content::Value { .. }, Content::Value { .. }) => {
            return Err(UniteError::TwoContents(id.clone()));
        }
        // A value takes the place of none.
        (a @ Content::Value { .. }, _) | (_, a @ Content::Value { .. }) => a,
        (Content::Placeholder, _) | (_, Content::Placeholder) => Content::Placeholder,
        (Content::Unread, Content::Unread) => Content::Unread,
    };
    let blank = VersionMeta::unread(Origin::Local);
    let three = Three {
        base: base.unwrap_or(&blank),
        ours,
        theirs,
    };
    // Whoever made it knows better than whoever copied it from a remote.
    let maker = match (&ours.origin, &theirs.origin) {
        (Origin::Local, Origin::Remote(_)) => Some(ours),
        (Origin::Remote(_), Origin::Local) => Some(theirs),
        _ => None,
    };
    if let Some(maker) = maker {
        return Ok(VersionMeta {
            content,
            ..maker.clone()
        });
    }
    let (created, parent) = (three.part(|m| &m.created), three.part(|m| &m.parent));
    let origin = match (&ours.origin, &theirs.origin) {
        (Origin::Remote(a), Origin::Remote(b)) => Origin::Remote(a.min(b).clone()),
        (origin, _) => origin.clone(),
    };
    Ok(VersionMeta {
        created: *created.or(|| match (ours.created, theirs.created) {
            (a, b) if a <= b => &ours.created,
            _ => &theirs.created,
        }),
        content,
        parent: parent
            .or(|| match (&ours.parent, &theirs.parent) {
                (None, _) => &theirs.parent,
                (_, None) => &ours.parent,
                (a, b) if a <= b => &ours.parent,
                _ => &theirs.parent,
            })
            .clone(),
        origin,
    })
}

/// Description and tags, each by itself.
pub(super) fn attributes(
    all: Three<'_, Record>,
    newer: &Newer,
    clashes: &mut Vec<Clash>,
) -> Attributes {
    let Attributes {
        description: _,
        tags: _,
    } = &all.ours.state.attributes;
    let three = all.part(|record| &record.state.attributes);
    let mut united = Attributes::default();
    for place in Place::all([three.ours, three.theirs].into_iter()) {
        let [was, here, there] = [three.base, three.ours, three.theirs].map(|a| place.get(a));
        let both = Three {
            base: &was,
            ours: &here,
            theirs: &there,
        };
        let text = match followed(all, newer, |face, state| {
            place.get(face) == place.get(state)
        }) {
            Some(Side::Ours) => here,
            Some(Side::Theirs) => there,
            None => match both.settled() {
                Some(text) => *text,
                None => {
                    clashes.push(Clash {
                        field: place.field(),
                        base: was.map(str::to_owned),
                        theirs: there.map(str::to_owned),
                    });
                    here
                }
            },
        };
        place.set(&mut united, text);
    }
    united
}

/// The side that met a remote last, where since the common ancestor both have met it and
/// both have what it had: then neither made a change, and the last to look is right.
fn followed(
    all: Three<'_, Record>,
    newer: &Newer,
    same: impl Fn(&Attributes, &Attributes) -> bool,
) -> Option<Side> {
    let mut remotes = newer.remotes();
    remotes.find_map(|(remote, side)| {
        let met = |record: &Record| {
            let pair = record.base.get(remote).and_then(|b| b.pair.as_ref());
            let before = all.base.base.get(remote).and_then(|b| b.pair.as_ref());
            pair != before
                && pair.is_some_and(|pair| {
                    pair.local.lifecycle.is_live()
                        && same(&pair.local.attributes, &record.state.attributes)
                })
        };
        (met(all.ours) && met(all.theirs)).then_some(side)
    })
}

/// Live, scheduled or gone. A deletion on the one side and a change on the other are for
/// a person (sync.md section 1.12, M5).
pub(super) fn lifecycle(
    all: Three<'_, Record>,
    newer: &Newer,
    clashes: &mut Vec<Clash>,
) -> Lifecycle {
    let three = all.part(|record| &record.state.lifecycle);
    let (was, here, there) = (*three.base, *three.ours, *three.theirs);
    if here == there {
        return here;
    }
    // Both only followed the remote, and one saw it later.
    let mirrors = |record: &Record| {
        record.base.values().all(|b| {
            let pair = b.pair.as_ref();
            b.intents.is_empty()
                && pair.is_some_and(|p| p.local.lifecycle == record.state.lifecycle)
        }) && !record.base.is_empty()
    };
    let met_anew = |record: &Record| record.base != all.base.base;
    if mirrors(all.ours)
        && mirrors(all.theirs)
        && met_anew(all.ours)
        && met_anew(all.theirs)
        && let Some(side) = newer.of_all()
    {
        return *three.of(side);
    }
    match (here, there) {
        (Lifecycle::Scheduled { date: a }, Lifecycle::Scheduled { date: b }) => {
            return *three.or(|| if a >= b { three.ours } else { three.theirs });
        }
        // Gone already: the remote was faster.
        (Lifecycle::Tombstone, Lifecycle::Scheduled { .. }) if was.is_live() => return here,
        (Lifecycle::Scheduled { .. }, Lifecycle::Tombstone) if was.is_live() => return there,
        _ => {}
    }
    let deleted_while_changed = |deleted: Side, other: &Record| {
        was.is_live() && !three.of(deleted).is_live() && changed(all.base, other)
    };
    let clash = match three.settled() {
        None => true,
        Some(_) => {
            deleted_while_changed(Side::Ours, all.theirs)
                || deleted_while_changed(Side::Theirs, all.ours)
        }
    };
    if clash {
        clashes.push(Clash {
            field: Field::Lifecycle,
            base: Some(was.as_str().to_owned()),
            theirs: Some(there.as_str().to_owned()),
        });
        return here;
    }
    *three.or(|| three.ours)
}

/// Whether somebody would miss what a record has and its ancestor has not.
fn changed(was: &Record, is: &Record) -> bool {
    let labels = |record: &Record| -> BTreeMap<_, _> {
        let labels = record.state.labels.clone().into_iter();
        labels.filter(|(label, _)| travels(label)).collect()
    };
    let known: BTreeSet<&VersionId> = was.state.versions.keys().collect();
    labels(was) != labels(is)
        || was.state.attributes != is.state.attributes
        || is.state.versions.keys().any(|id| !known.contains(id))
}

/// What AWS keeps besides. Of two changes to one thing the later counts.
pub(super) fn details(all: Three<'_, Record>, lifecycle: Lifecycle) -> Details {
    let three = all.part(|record| &record.details);
    // A new field must be thought of here.
    let Details {
        created,
        changed,
        deleted: _,
        kms_key: _,
        policy: _,
        untagged,
        rotation: _,
        replicas: _,
    } = three.ours;
    let theirs = three.theirs;
    let order = |d: &Details| (d.changed, format!("{d:?}"));
    let later = if order(three.ours) >= order(theirs) {
        Side::Ours
    } else {
        Side::Theirs
    };
    fn pick<'a, T: PartialEq>(three: Three<'a, T>, later: Side) -> &'a T {
        three.or(|| three.of(later))
    }
    let mut replicas = BTreeMap::new();
    for region in three.ours.replicas.keys().chain(theirs.replicas.keys()) {
        let [was, here, there] = [three.base, three.ours, theirs].map(|d| d.replicas.get(region));
        let both = Three {
            base: &was,
            ours: &here,
            theirs: &there,
        };
        if let Some(key) = both.or(|| both.of(later)) {
            replicas.insert(region.clone(), (*key).clone());
        }
    }
    let (first, last) = (three.part(|d| &d.created), three.part(|d| &d.changed));
    Details {
        created: *first.or(|| {
            if created <= &theirs.created {
                first.ours
            } else {
                first.theirs
            }
        }),
        changed: *last.or(|| {
            if *changed >= theirs.changed {
                last.ours
            } else {
                last.theirs
            }
        }),
        deleted: pick(three.part(|d| &d.deleted), later).filter(|_| !lifecycle.is_live()),
        kms_key: pick(three.part(|d| &d.kms_key), later).clone(),
        policy: pick(three.part(|d| &d.policy), later).clone(),
        untagged: *three.part(|d| &d.untagged).or(|| untagged),
        rotation: pick(three.part(|d| &d.rotation), later).clone(),
        replicas,
    }
}
