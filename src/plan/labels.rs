//! Staging labels: the three-way merge of one label, over all remotes at once
//! (sync.md section 1.6).

use std::collections::BTreeSet;

use crate::model::{Class, RemoteName, SecretState, StagingLabel, VersionId};

/// One remote's view of a label.
pub(super) struct LabelSide<'a> {
    pub(super) remote: &'a RemoteName,
    /// The accepted pair `(here, there)`; `None` when the two meet first.
    pub(super) base: Option<(Option<&'a VersionId>, Option<&'a VersionId>)>,
    /// Where a move made here and not yet pushed started.
    pub(super) intent: Option<Option<&'a VersionId>>,
    pub(super) there: Option<&'a VersionId>,
    /// The remote's AWSPREVIOUS: one free step of its ancestry.
    pub(super) previous: Option<&'a VersionId>,
    /// At a first meeting: another version than here, but known to have the same value.
    pub(super) same_value: bool,
    pub(super) may_push: bool,
    pub(super) may_pull: bool,
}

/// What the merge of one label says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LabelMerge<'a> {
    Take {
        /// Its holder in the vault.
        to: Option<&'a VersionId>,
        /// The remote that `to` comes from, if it does.
        from: Option<&'a RemoteName>,
        /// Remotes where it moves to the same holder.
        push: Vec<&'a RemoteName>,
        /// Remotes where it should, but may not be written.
        held: Vec<&'a RemoteName>,
    },
    Conflict {
        with: &'a RemoteName,
        class: Class,
    },
}

/// Merges one label that travels: AWSCURRENT or a custom one.
pub(super) fn merge_label<'a>(
    label: &StagingLabel,
    state: &SecretState,
    here: Option<&'a VersionId>,
    alive: bool,
    sides: &[LabelSide<'a>],
) -> LabelMerge<'a> {
    let conflict = |side: &LabelSide<'a>, class| LabelMerge::Conflict {
        with: side.remote,
        class,
    };
    let news = |side: &LabelSide<'a>| {
        side.may_pull
            && side.there != here
            && match side.base {
                // AWSCURRENT can move, but not vanish: where it is nowhere here, what
                // the remote has is taken again.
                Some(_) if label.is_current() && here.is_none() => true,
                Some((_, there)) => side.there != there,
                None => side.there.is_some() || !alive,
            }
    };
    // A move made here. Without a recorded origin a label is a mirror, not an edit,
    // whatever the base says (sync.md section 1.2).
    let moved = |side: &LabelSide<'a>| match side.base {
        Some(_) => side.intent.is_some() && !(label.is_current() && here.is_none()),
        // The same value under two ids is nobody's edit: the remote's id is adopted
        // (sync.md section 1.11).
        None => alive && here.is_some() && !side.same_value,
    };

    // What the remotes say, AWSCURRENT's ancestors dropped, but none that a remote went
    // back to on purpose. Every pair is compared, so that the answer does not depend
    // on the order of remotes.
    let beats = |a: &LabelSide<'a>, b: &LabelSide<'a>| {
        a.there == b.there || (label.is_current() && replaces(state, sides, a, b))
    };
    // What the vault is ahead of is no answer either, nor what a person decided against.
    let rejected = |s: &LabelSide<'a>| news(s) && moved(s) && s.intent == Some(s.there);
    let contends = |s: &LabelSide<'a>| {
        let behind = label.is_current() && moved(s) && may_fast_forward(state, sides, here, s);
        news(s) && !behind && !rejected(s)
    };
    let mut answer: Option<&LabelSide<'a>> = None;
    for side in sides.iter().filter(|s| contends(s)) {
        if sides
            .iter()
            .all(|other| !contends(other) || beats(side, other))
        {
            answer.get_or_insert(side);
        }
    }
    if answer.is_none()
        && let Some(side) = sides.iter().rfind(|s| contends(s))
    {
        return conflict(side, Class::RemoteRemote);
    }

    if let Some(theirs) = answer {
        // Decided for the vault's holder, but of what this remote has nobody was asked.
        let affirmed = |s: &LabelSide<'a>| rejected(s) && s.there != theirs.there;
        if sides.iter().any(affirmed) {
            let class = match theirs.base {
                Some(_) => Class::Edit,
                None => Class::CreateCreate,
            };
            return conflict(theirs, class);
        }
        // A move made here that only another remote has not seen yet is no rival of
        // this one's; nor is it once that other remote has the answer too, as after a
        // run that was cut off.
        let passed_on = sides.iter().any(|s| {
            let agreed = s.base.is_none_or(|(was, _)| was == here);
            news(s) && !moved(s) && agreed && s.there == theirs.there
        });
        if passed_on || !sides.iter().any(|s| contends(s) && moved(s)) {
            return spread(label, state, here, theirs, sides);
        }
        // Both sides moved it. Only AWSCURRENT has an ancestry to settle that by. A move
        // that starts from what is there was made in its knowledge: going back to what
        // was before is then a decision, not the past. Any remote that has the answer may
        // be the one it was made about, but none that is met for the first time: what is
        // on record for that one may be about an earlier incarnation.
        let decided = sides
            .iter()
            .any(|s| s.there == theirs.there && s.base.is_some() && s.intent == Some(s.there));
        if label.is_current() && !decided && follows(here, theirs.there, sides) {
            return spread(label, state, here, theirs, sides);
        }
        for side in sides.iter().filter(|s| s.there != here) {
            let clean = side.intent == Some(side.there)
                || (label.is_current() && may_fast_forward(state, sides, here, side));
            if news(side) && !clean {
                let class = match side.base {
                    Some(_) => Class::Edit,
                    None => Class::CreateCreate,
                };
                return conflict(side, class);
            }
        }
    }

    // Nothing new there, or all of it is older than what is here.
    let (mut push, mut held) = (Vec::new(), Vec::new());
    for side in sides.iter().filter(|s| s.there != here) {
        let clean = match (side.base, side.intent) {
            (Some((_, there)), _) if seeded!(PushOnBase) && side.there == there => true,
            (_, Some(from)) if from == side.there => true,
            // A first meeting: what only the remote has and is not pulled stays there.
            // A move recorded against an earlier incarnation says nothing of this one.
            (None, _) if here.is_none() => continue,
            (None, _) => alive && side.there.is_none(),
            (Some((was, there)), None) => {
                // Accepted to differ, or a change of the remote that stays there.
                if was == here || side.there != there {
                    continue;
                }
                // The vault differs from what was agreed and nobody here moved it.
                return conflict(side, Class::Rewound);
            }
            _ => false,
        };
        let ahead = label.is_current() && may_fast_forward(state, sides, here, side);
        if !clean && !ahead {
            let class = match side.base {
                Some(_) => Class::Edit,
                None => Class::CreateCreate,
            };
            return conflict(side, class);
        }
        // AWSCURRENT can move but not vanish; the vault's checker reports this one.
        if label.is_current() && here.is_none() {
            continue;
        }
        if side.may_push {
            push.push(side.remote);
        } else {
            held.push(side.remote);
        }
    }
    LabelMerge::Take {
        to: here,
        from: None,
        push,
        held,
    }
}

/// The remote's answer goes into the vault, and on to every remote that was in step
/// with it until now.
fn spread<'a>(
    label: &StagingLabel,
    state: &SecretState,
    here: Option<&'a VersionId>,
    from: &LabelSide<'a>,
    sides: &[LabelSide<'a>],
) -> LabelMerge<'a> {
    let to = from.there;
    let (mut push, mut held) = (Vec::new(), Vec::new());
    for side in sides.iter().filter(|s| s.there != to) {
        let in_step = match side.base {
            Some(_) => side.there == here || side.intent == Some(side.there),
            // Nothing there, or just what the vault had until now.
            None => side.there.is_none() || side.there == here,
        };
        // Or it is older than what comes, or than what the vault had.
        let older = label.is_current()
            && (replaces(state, sides, from, side) || may_fast_forward(state, sides, here, side));
        let in_step = in_step || older;
        if in_step && side.may_push {
            push.push(side.remote);
        } else if in_step {
            held.push(side.remote);
        }
    }
    LabelMerge::Take {
        to,
        from: Some(from.remote),
        push,
        held,
    }
}

/// Whether a remote that has `there` is one write ahead of `here`: its AWSPREVIOUS is
/// what the vault has as AWSCURRENT. Decided without any base.
fn follows(here: Option<&VersionId>, there: Option<&VersionId>, sides: &[LabelSide<'_>]) -> bool {
    here.is_some()
        && there.is_some()
        && sides
            .iter()
            .any(|side| side.there == there && side.previous == here)
}

/// Whether what remote `a` has came after what `b` has, and `b` did not go back to it
/// on purpose.
fn replaces(
    state: &SecretState,
    sides: &[LabelSide<'_>],
    a: &LabelSide<'_>,
    b: &LabelSide<'_>,
) -> bool {
    !rolled_back(state, sides, b)
        && is_ahead(state, sides, a.there, b.there)
        && !is_ahead(state, sides, b.there, a.there)
}

/// Whether `newer` was made after `older`: by recorded parents, and by what remotes
/// show as the one before.
fn is_ahead(
    state: &SecretState,
    sides: &[LabelSide<'_>],
    newer: Option<&VersionId>,
    older: Option<&VersionId>,
) -> bool {
    let (Some(newer), Some(older)) = (newer, older) else {
        return false;
    };
    let mut seen = BTreeSet::from([newer]);
    let mut ahead = vec![newer];
    while let Some(id) = ahead.pop() {
        let parent = state.versions.get(id).and_then(|v| v.parent.as_ref());
        let before = sides
            .iter()
            .filter(|side| side.there == Some(id))
            .filter_map(|side| side.previous);
        for id in before.chain(parent) {
            if id == older {
                return newer != older;
            }
            if seen.insert(id) {
                ahead.push(id);
            }
        }
    }
    false
}

/// Whether the vault's AWSCURRENT was made on top of the remote's, and the remote
/// has not gone back since. A remote that rolled back did so on purpose, and its
/// author's wish would be lost under a fast-forward.
fn may_fast_forward(
    state: &SecretState,
    sides: &[LabelSide<'_>],
    here: Option<&VersionId>,
    side: &LabelSide<'_>,
) -> bool {
    let (Some(here), Some(there)) = (here, side.there) else {
        return false;
    };
    // At a first meeting the vault's own AWSPREVIOUS tells as well: it was current
    // here. So looks a creation that was cut off before its second version; but not what
    // came after a version that another remote has.
    let elsewhere = |id| sides.iter().any(|other| other.there == Some(id));
    let one_behind = side.base.is_none()
        && side.previous != Some(here)
        && !side.previous.is_some_and(elsewhere)
        && !is_ahead(state, sides, side.previous, Some(here))
        && state.labels.get(&StagingLabel::previous()) == Some(there);
    here != there
        && (one_behind || state.is_ancestor(there, here))
        && !rolled_back(state, sides, side)
}

/// Whether the remote went back to a version from one that was made on top of it.
fn rolled_back(state: &SecretState, sides: &[LabelSide<'_>], side: &LabelSide<'_>) -> bool {
    let before = side.base.and_then(|(_, there)| there);
    [side.previous, before]
        .into_iter()
        .any(|newer| is_ahead(state, sides, newer, side.there))
}
