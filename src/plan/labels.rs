//! Staging labels: the three-way merge of one label, over all remotes at once
//! (sync.md section 1.6).

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
                Some((_, there)) => side.there != there,
                None => side.there.is_some() || !alive,
            }
    };
    // A move made here. Without a recorded origin a label is a mirror, not an edit,
    // whatever the base says (sync.md section 1.2).
    let moved = |side: &LabelSide<'a>| match side.base {
        Some(_) => side.intent.is_some(),
        None => alive && here.is_some(),
    };

    // What the remotes say, AWSCURRENT's ancestors dropped.
    let mut answer: Option<&LabelSide<'a>> = None;
    for side in sides.iter().filter(|s| news(s)) {
        match answer {
            None => answer = Some(side),
            Some(first) if first.there == side.there => {}
            Some(first) if label.is_current() && is_ahead(state, side, first) => {
                answer = Some(side);
            }
            Some(first) if label.is_current() && is_ahead(state, first, side) => {}
            Some(_) => return conflict(side, Class::RemoteRemote),
        }
    }

    if let Some(theirs) = answer {
        // A move made here that only another remote has not seen yet is no rival of
        // this one's.
        if !sides.iter().any(|s| news(s) && moved(s)) {
            return spread(label, state, here, theirs, sides);
        }
        // Both sides moved it. Only AWSCURRENT has an ancestry to settle that by. A move
        // that starts from what is there was made in its knowledge: going back to what
        // was before is then a decision, not the past.
        let decided = theirs.intent == Some(theirs.there);
        if label.is_current() && !decided && follows(here, theirs) {
            return spread(label, state, here, theirs, sides);
        }
        for side in sides.iter().filter(|s| s.there != here) {
            let clean = side.intent == Some(side.there)
                || (label.is_current() && may_fast_forward(state, here, side));
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
            (_, Some(from)) if from == side.there => true,
            (None, None) => alive && side.there.is_none() && here.is_some(),
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
        let ahead = label.is_current() && may_fast_forward(state, here, side);
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
            Some(_) => {
                side.there == here
                    || side.intent == Some(side.there)
                    || (label.is_current() && is_ahead(state, from, side))
            }
            None => side.there.is_none() && to.is_some(),
        };
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

/// Whether the remote is one write ahead of `here`: its AWSPREVIOUS is what the
/// vault has as AWSCURRENT. Decided without any base.
fn follows(here: Option<&VersionId>, side: &LabelSide<'_>) -> bool {
    here.is_some() && side.there.is_some() && side.previous == here
}

/// Whether remote `a` is ahead of remote `b`.
fn is_ahead(state: &SecretState, a: &LabelSide<'_>, b: &LabelSide<'_>) -> bool {
    match (a.there, b.there) {
        (Some(newer), Some(older)) => {
            follows(Some(older), a) || (newer != older && state.is_ancestor(older, newer))
        }
        _ => false,
    }
}

/// Whether the vault's AWSCURRENT was made on top of the remote's, and the remote
/// has not gone back since. A remote that rolled back did so on purpose, and its
/// author's wish would be lost under a fast-forward.
fn may_fast_forward(state: &SecretState, here: Option<&VersionId>, side: &LabelSide<'_>) -> bool {
    let (Some(here), Some(there)) = (here, side.there) else {
        return false;
    };
    let rolled_back_from = |newer: Option<&VersionId>| {
        newer.is_some_and(|n| n != there && state.is_ancestor(there, n))
    };
    here != there
        && state.is_ancestor(there, here)
        && !rolled_back_from(side.previous)
        && !rolled_back_from(side.base.and_then(|(_, there)| there))
}
