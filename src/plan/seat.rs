//! One remote as it takes part in the merge of one secret: what was agreed with it,
//! what it shows, what may be done with it, and what the existence table says.

use std::collections::BTreeMap;

use super::RemotePolicy;
use super::verdict::{Moved, Verdict, local_moved, ours, remote_moved, verdict};
use crate::model::{
    Direction, Extras, Face, Field, Pair, RemoteBase, RemoteName, RemoteSecret, SecretState,
    StagingLabel, VersionId, travels,
};

/// One remote as it takes part in the merge of one secret.
pub(super) struct Seat<'a> {
    pub(super) remote: &'a RemoteName,
    pub(super) base: Option<&'a RemoteBase>,
    /// The accepted pair, if it still is about this incarnation.
    pub(super) pair: Option<&'a Pair>,
    pub(super) seen: Option<&'a RemoteSecret>,
    pub(super) may_pull: bool,
    /// Why description, tags, creation and deletion may not be pushed.
    pub(super) sealed: Option<&'static str>,
    /// Why values and labels may not be pushed.
    pub(super) held: Option<&'static str>,
    pub(super) extras: Extras,
    pub(super) verdict: Verdict,
}

impl<'a> Seat<'a> {
    pub(super) fn new(
        remote: &'a RemoteName,
        seen: Option<&'a RemoteSecret>,
        local: Option<&SecretState>,
        base: Option<&'a RemoteBase>,
        policy: &RemotePolicy,
    ) -> Self {
        let pair = base.and_then(|b| b.pair.as_ref());
        let here = local_moved(
            pair,
            local,
            local.zip(pair).is_some_and(|(local, pair)| {
                let face = local.face();
                base.is_some_and(|b| !b.intents.is_empty())
                    || face.attributes != pair.local.attributes
                    || !same_travelling(&face, &pair.local)
            }),
        );
        let there = remote_moved(
            pair,
            seen,
            seen.zip(pair).is_some_and(|(seen, pair)| {
                let face = seen.state.face();
                face.attributes != pair.remote.attributes || face.labels != pair.remote.labels
            }),
        );
        let verdict = verdict(
            here,
            there,
            local.map(|s| s.lifecycle),
            seen.map(|s| s.state.lifecycle),
            pair.is_some(),
        );
        // A person has seen what is there and decided for what is here.
        let word = seen.map(|s| s.state.lifecycle.as_str().to_owned());
        let decided = base
            .and_then(|b| b.seen.get(&Field::Lifecycle))
            .is_some_and(|saw| saw.as_deref() == Some(word.as_deref().unwrap_or(GONE)));
        let verdict = match verdict {
            Verdict::Conflict(class) if decided => ours(class, local.map(|s| s.lifecycle)),
            Verdict::Tombstone if decided => Verdict::PushCreate,
            Verdict::Revive if decided => Verdict::DeleteRemote(None),
            Verdict::MarkScheduled(_) if decided => Verdict::RestoreRemote,
            verdict => verdict,
        };
        // What was put there before it was deleted can only be read once it is back.
        let verdict = match verdict {
            Verdict::RestoreRemote if has_unread_versions(local, seen) => Verdict::RestoreOnly,
            // Every remote has its own date for a deletion; only one that moved is news.
            Verdict::Agree(_)
                if (here, there) == (Moved::Unchanged, Moved::Unchanged)
                    && pair.map(|p| p.remote.lifecycle) == seen.map(|s| s.state.lifecycle) =>
            {
                Verdict::Nothing
            }
            verdict => verdict,
        };
        // A meeting, and an incarnation that is not the base's, start from nothing.
        let pair = match verdict {
            Verdict::Meet | Verdict::PullCreate | Verdict::PushCreate | Verdict::TakeRecreated => {
                None
            }
            _ => pair,
        };
        let sealed = sealed(seen, policy);
        Self {
            remote,
            base,
            pair,
            seen,
            may_pull: policy.direction != Direction::Push,
            sealed,
            extras: policy.extras,
            held: sealed.or(rotated(seen)),
            verdict,
        }
    }

    pub(super) fn labels(&self) -> Option<&'a BTreeMap<StagingLabel, VersionId>> {
        self.seen.map(|s| &s.state.labels)
    }

    pub(super) fn label(&self, label: &StagingLabel) -> Option<&'a VersionId> {
        self.labels().and_then(|l| l.get(label))
    }

    /// Whether the fields of both sides are merged.
    pub(super) fn merges(&self) -> bool {
        matches!(
            self.verdict,
            Verdict::Merge
                | Verdict::Meet
                | Verdict::PullCreate
                | Verdict::RestoreLocal
                | Verdict::RestoreRemote
                | Verdict::Revive
        )
    }
}

/// Why description, tags, creation and deletion may not be pushed to a remote.
pub(super) fn sealed(seen: Option<&RemoteSecret>, policy: &RemotePolicy) -> Option<&'static str> {
    let facts = seen.map(|s| &s.facts);
    if policy.direction == Direction::Pull {
        Some("the remote's direction is pull")
    } else if facts.is_some_and(|f| f.replica) {
        Some("it is a replica there; change it in its primary Region")
    } else if facts.is_some_and(|f| f.owning_service.is_some()) {
        Some("an AWS service owns it there")
    } else {
        None
    }
}

/// Why values and labels may not be pushed, beside that (sync.md K3).
pub(super) fn rotated(seen: Option<&RemoteSecret>) -> Option<&'static str> {
    let rotating = seen.is_some_and(|s| {
        let labels = &s.state.labels;
        let pending = labels.get(&StagingLabel::pending());
        s.facts.rotation_enabled || (pending.is_some() && pending != s.state.current())
    });
    rotating.then_some("it is rotated there; rotation owns its values")
}

fn same_travelling(a: &Face, b: &Face) -> bool {
    let of = |f: &'_ Face| -> Vec<(StagingLabel, VersionId)> {
        f.labels
            .iter()
            .filter(|(label, _)| travels(label))
            .map(|(l, v)| (l.clone(), v.clone()))
            .collect()
    };
    of(a) == of(b)
}

/// How a conflict spells that a secret is not there.
pub(super) const GONE: &str = "gone";

/// Whether a scheduled remote has versions under labels that the vault lacks.
fn has_unread_versions(local: Option<&SecretState>, seen: Option<&RemoteSecret>) -> bool {
    seen.is_some_and(|seen| {
        seen.state.lifecycle.is_scheduled()
            && seen.state.labels.iter().any(|(label, id)| {
                !label.is_holding() && !local.is_some_and(|l| l.versions.contains_key(id))
            })
    })
}
