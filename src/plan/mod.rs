//! The reconcile: what was last agreed, what is here and what is there in; a plan
//! out.
//!
//! A pure function: no I/O, no clock, no values, no keys, so it works while the
//! vault is locked and its dry run cannot lie. The rules are sync.md section 1; the
//! book's "Reconcile" page is the prose. For one secret: `seat` is one remote at the
//! table and `verdict` decides on existence; `labels`, `attributes` and `own` merge one
//! field each, `merge` puts the answers together, `carry` turns them into steps,
//! `draft` tries each step, `remember` says what was agreed; `secret` is the whole.
//! `decide` answers conflicts where a strategy says how, `choose` is one such answer.
//! `twins` finds one id with two contents; `mirror` is for remotes where one side is made
//! like the other. `unite` makes one record of two clones'. `safety` stops a correct plan
//! that deletes too much.

mod attributes;
mod carry;
mod choose;
mod decide;
mod display;
mod draft;
mod labels;
#[cfg(test)]
mod laws;
mod merge;
mod mirror;
mod own;
mod remember;
mod resolve;
mod safety;
mod seat;
mod secret;
#[cfg(test)]
mod tests;
mod twins;
mod unite;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

pub use decide::{Answer, By, Strategies, Waits};
pub use display::describe_change;
pub use resolve::{Choice, Resolution, ResolveError, resolve};
pub use safety::{Halt, Limits};
pub use twins::{own_twin, two_contents};
pub use unite::{UniteError, divided, unite};

use crate::model::{
    Base, Change, Conflict, Direction, Extras, Face, LocalView, OwnField, RemoteBase, RemoteName,
    RemoteView, Scope, SecretBase, SecretName, Strategy, VersionId,
};

/// Which side an action changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The vault.
    Local,
    /// A remote.
    Remote(RemoteName),
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The side that changes.
    pub on: Side,
    /// How.
    pub change: Change,
    /// The remote that a change of the vault carries over; a version's value is
    /// read there.
    pub source: Option<RemoteName>,
}

/// Something a person should know that asks for no decision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The remote it is about.
    pub remote: Option<RemoteName>,
    /// What it says.
    pub kind: NoteKind,
}

/// What a note says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// The secret was skipped on every side, for this reason.
    Blocked(String),
    /// A change here stays here, for this reason.
    NotPushed(String),
    /// A change there stays there: the direction is push.
    NotPulled,
    /// Deleted here, but changed there since: it lives again.
    Revived,
    /// Deleted there and created anew: the old one was put aside under this name.
    Recreated(SecretName),
    /// On the remote, scheduled for deletion, never synced: its values cannot be read.
    ScheduledThere,
    /// Met for the first time with two current versions, and the remote's was not read:
    /// if the two values turn out to be the same, there is nothing to decide.
    MayBeSame,
    /// The vault and this remote have made the same move. That is remembered first; what
    /// else there is to do is planned once it is.
    AgreedFirst,
    /// What only the remote has to say about changed there: this is what it has now.
    Drift {
        /// What it is.
        field: OwnField,
        /// What it has; empty for nothing.
        there: String,
    },
    /// A conflict that has a strategy waits all the same.
    Waits {
        /// The conflict.
        conflict: Box<Conflict>,
        /// The strategy.
        strategy: Strategy,
        /// Why.
        why: Waits,
    },
}

/// What a plan has for one secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretPlan {
    /// The steps, in the order they are taken. Versions reach the vault before any
    /// label leaves them anywhere (sync.md K1).
    pub actions: Vec<Action>,
    /// What is remembered per remote once every action has succeeded.
    pub settled: BTreeMap<RemoteName, RemoteBase>,
    /// What each remote that is written to will show afterwards: the actions applied to
    /// what it showed. Not what is remembered of it, which leaves out what was not
    /// agreed on. The date of a deletion is the remote's own to say.
    pub shown: BTreeMap<RemoteName, Face>,
    /// What a person must decide. Then there are no actions but the copying of
    /// versions into the vault.
    pub conflicts: Vec<Conflict>,
    /// What strategies decided, in the order it is carried out between the actions.
    pub answers: Vec<Answer>,
    /// What a person should know.
    pub notes: Vec<Note>,
    /// Versions that are copied under another id than they have on their remote, where
    /// that id is another content's here: the id here, then the one there.
    pub aliases: BTreeMap<VersionId, VersionId>,
    /// Whether another look is needed once this is done.
    pub again: bool,
}

impl SecretPlan {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }

    /// Whether there is more to find once this is carried out: a remote was brought back
    /// for the sole purpose of being looked at, or what was agreed on is remembered first.
    pub fn looks_again(&self) -> bool {
        let restored = self.actions.iter().any(|a| {
            matches!(&a.on, Side::Remote(remote)
                if a.change == Change::Restore && !self.settled.contains_key(remote))
        });
        self.again || restored || self.notes.iter().any(|n| n.kind == NoteKind::AgreedFirst)
    }
}

/// What a reconcile would do: shown by a dry run, carried out by `sync`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The secrets that have anything to do, decide or say, sorted by name.
    pub secrets: BTreeMap<SecretName, SecretPlan>,
    /// The remotes that took part.
    pub remotes: BTreeSet<RemoteName>,
    /// Those of them that are mirrored.
    pub mirrors: BTreeMap<RemoteName, Mirror>,
}

/// One remote's mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Which side is the original.
    pub way: Direction,
    /// How many live secrets the vault has for it.
    pub live: usize,
}

impl Plan {
    /// Every action with its secret, in order.
    pub fn actions(&self) -> impl Iterator<Item = (&SecretName, &Action)> {
        self.secrets
            .iter()
            .flat_map(|(name, s)| s.actions.iter().map(move |a| (name, a)))
    }

    /// Every conflict with its secret, in order.
    pub fn conflicts(&self) -> impl Iterator<Item = (&SecretName, &Conflict)> {
        self.secrets
            .iter()
            .flat_map(|(name, s)| s.conflicts.iter().map(move |c| (name, c)))
    }

    /// Every answer with its secret, in order.
    pub fn answers(&self) -> impl Iterator<Item = (&SecretName, &Answer)> {
        self.secrets
            .iter()
            .flat_map(|(name, s)| s.answers.iter().map(move |a| (name, a)))
    }

    /// Every note with its secret, in order.
    pub fn notes(&self) -> impl Iterator<Item = (&SecretName, &Note)> {
        self.secrets
            .iter()
            .flat_map(|(name, s)| s.notes.iter().map(move |n| (name, n)))
    }

    /// Whether both sides agree: nothing to do and nothing to decide. Memory of what
    /// was agreed may still need writing.
    pub fn is_quiet(&self) -> bool {
        self.actions().next().is_none()
            && self.conflicts().next().is_none()
            && self.answers().next().is_none()
            && !self.secrets.values().any(SecretPlan::looks_again)
    }
}

/// What may be done with one remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemotePolicy {
    /// Which secrets take part.
    pub scope: Scope,
    /// Which way changes may travel.
    pub direction: Direction,
    /// What is done about what the remote has of its own.
    pub extras: Extras,
}

/// What may be done at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Per remote.
    pub remotes: BTreeMap<RemoteName, RemotePolicy>,
    /// If given, only secrets whose name begins so are looked at.
    pub only: Option<String>,
    /// What becomes of conflicts. Without it all of them are held.
    pub strategies: Option<Strategies>,
}

/// Reconciles the vault with all remotes given, in one joint merge per secret
/// (sync.md sections 1.13 and 1.17), so that the result does not depend on the
/// order of remotes.
pub fn plan(
    base: &Base,
    local: &LocalView,
    remotes: &BTreeMap<RemoteName, RemoteView>,
    policy: &Policy,
) -> Plan {
    let nothing = SecretBase::new();
    let default = RemotePolicy::default();
    let mut names: BTreeSet<&SecretName> = local.secrets.0.keys().collect();
    names.extend(local.blocked.keys());
    names.extend(base.keys());
    names.extend(remotes.values().flat_map(|view| view.secrets.keys()));
    let mirrors = remotes.keys().filter_map(|remote| {
        let RemotePolicy {
            scope, direction, ..
        } = policy.remotes.get(remote)?;
        let ours = local.secrets.0.iter();
        let live = ours.filter(|(name, s)| s.lifecycle.is_live() && scope.contains(name));
        let mirror = Mirror {
            way: *direction,
            live: live.count(),
        };
        direction.is_mirror().then(|| (remote.clone(), mirror))
    });
    let mut plan = Plan {
        remotes: remotes.keys().cloned().collect(),
        mirrors: mirrors.collect(),
        ..Plan::default()
    };
    for name in names {
        if let Some(only) = &policy.only
            && !name.as_str().starts_with(only.as_str())
        {
            continue;
        }
        let views: Vec<decide::View<'_>> = remotes
            .iter()
            .map(|(remote, view)| {
                let policy = policy.remotes.get(remote).unwrap_or(&default);
                (remote, view.secrets.get(name), policy)
            })
            .filter(|(_, _, policy)| policy.scope.contains(name))
            .collect();
        let one = match (local.blocked.get(name), local.alarms.get(name)) {
            (Some(reason), _) => SecretPlan {
                notes: vec![Note {
                    remote: None,
                    kind: NoteKind::Blocked(reason.clone()),
                }],
                ..SecretPlan::default()
            },
            (None, Some(alarms)) => SecretPlan {
                conflicts: alarms.clone(),
                ..SecretPlan::default()
            },
            (None, None) => mirror::reconcile(
                name,
                local.secrets.get(name),
                local.details.get(name),
                base.get(name).unwrap_or(&nothing),
                &views,
                &local.secrets,
                policy.strategies.as_ref(),
            ),
        };
        if !one.is_empty() {
            plan.secrets.insert(name.clone(), one);
        }
    }
    plan
}
