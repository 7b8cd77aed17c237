//! What of a plan may be done while nobody looks. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::timing::may_push_at;
use crate::model::{Change, Conflict, Record, RemoteName, SecretName};
use crate::plan::{Action, NoteKind, Plan, SecretPlan, Side};
use crate::sync::Prepared;

/// Why a secret waits for a person or for its time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// It would be deleted on this side.
    Deletion(Side),
    /// A scheduled deletion would be undone on this side, or be given another date.
    Restore(Side),
    /// It was deleted on a remote and made anew: the old one would be put aside.
    Recreated,
    /// It was deleted here and changed there.
    Revived,
    /// It was given a value less than ten minutes ago; when the next may follow.
    Spaced(Duration),
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |side: &Side| match side {
            Side::Local => "in the vault".to_owned(),
            Side::Remote(remote) => format!("on {remote}"),
        };
        match self {
            Self::Deletion(side) => write!(f, "would be deleted {}", place(side)),
            Self::Restore(side) => {
                write!(f, "its scheduled deletion would change {}", place(side))
            }
            Self::Recreated => f.write_str("deleted on the remote and made anew there"),
            Self::Revived => f.write_str("deleted here, but changed there since"),
            Self::Spaced(_) => {
                f.write_str("was given a value less than ten minutes ago; the next one waits")
            }
        }
    }
}

/// What is left of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permitted {
    /// The secrets that are left alone, and why.
    pub held: BTreeMap<SecretName, Held>,
    /// Whether anything is left to do. What was agreed without a step is not: it rides
    /// along with the next step (sync.md section 1.12).
    pub has_work: bool,
    /// When the first of the secrets that wait for their time may go on.
    pub again_at: Option<Duration>,
}

/// When secrets were last given a value on a remote.
pub type Pushed = BTreeMap<(SecretName, RemoteName), Duration>;

/// Takes out of a plan whatever is not for an unattended run.
pub fn permit(prepared: &mut Prepared, pushed: &Pushed, now: Duration) -> Permitted {
    let mut permitted = Permitted::default();
    for (name, plan) in &prepared.plan.secrets {
        let last = gives_value(plan).filter_map(|remote| {
            let key = (name.clone(), remote.clone());
            pushed.get(&key).copied()
        });
        if let Some(held) = hold(plan, last.max(), now) {
            if let Held::Spaced(at) = held {
                permitted.again_at = Some(permitted.again_at.map_or(at, |other| other.min(at)));
            }
            permitted.held.insert(name.clone(), held);
        }
    }
    let held = &permitted.held;
    prepared.narrow(|name| !held.contains_key(name));
    permitted.has_work = has_work(&prepared.plan, &prepared.loaded.records);
    permitted
}

/// Why a secret's plan is not for an unattended run, if it is not. `pushed` says when it
/// was last given a value where it is to get one now.
fn hold(plan: &SecretPlan, pushed: Option<Duration>, now: Duration) -> Option<Held> {
    for Action { on, change, .. } in &plan.actions {
        match change {
            Change::Delete { .. } | Change::Tombstone => return Some(Held::Deletion(on.clone())),
            Change::Archive { .. } => return Some(Held::Recreated),
            Change::Reschedule { .. } => return Some(Held::Restore(on.clone())),
            // A pull, where the remote has done so.
            Change::Restore if *on == Side::Local => {}
            Change::Restore => return Some(Held::Restore(on.clone())),
            Change::Create { .. }
            | Change::AddVersion { .. }
            | Change::MoveLabel { .. }
            | Change::SetAttributes { .. }
            | Change::SetOwn { .. } => {}
        }
    }
    if plan.notes.iter().any(|n| n.kind == NoteKind::Revived) {
        return Some(Held::Revived);
    }
    may_push_at(pushed, now).map(Held::Spaced)
}

/// The remotes that get a value.
pub(super) fn gives_value(plan: &SecretPlan) -> impl Iterator<Item = &RemoteName> {
    plan.actions.iter().filter_map(|action| {
        let Side::Remote(remote) = &action.on else {
            return None;
        };
        let gives = matches!(
            action.change,
            Change::AddVersion { .. } | Change::Create { .. }
        );
        gives.then_some(remote)
    })
}

/// Whether there is a step to take, or a conflict on record that is not the one there is.
fn has_work(plan: &Plan, records: &BTreeMap<SecretName, Record>) -> bool {
    let nothing = SecretPlan::default();
    let names = plan.secrets.keys().chain(records.keys());
    names.into_iter().any(|name| {
        let one = plan.secrets.get(name).unwrap_or(&nothing);
        if !one.actions.is_empty() || one.looks_again() {
            return true;
        }
        if one
            .notes
            .iter()
            .any(|n| matches!(n.kind, NoteKind::Blocked(_)))
        {
            return false;
        }
        let known = records.get(name).map(|r| r.conflicts.as_slice());
        let known: Vec<&Conflict> = known
            .unwrap_or_default()
            .iter()
            .filter(|c| plan.remotes.contains(&c.remote))
            .collect();
        known.len() != one.conflicts.len() || !known.iter().all(|c| one.conflicts.contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Attributes, Base, Origin, RemoteName, StagingLabel, VersionId, VersionMeta,
    };
    use crate::plan::Note;
    use crate::vault::Loaded;

    fn id(n: u8) -> VersionId {
        format!("{n:08}-0000-4000-8000-000000000000")
            .parse()
            .unwrap()
    }

    fn prod() -> RemoteName {
        "prod".parse().unwrap()
    }

    fn there() -> Side {
        Side::Remote(prod())
    }

    fn add() -> Change {
        Change::AddVersion {
            id: id(2),
            meta: VersionMeta::unread(Origin::Local),
            labels: vec![],
        }
    }

    fn create() -> Change {
        Change::Create {
            attributes: Attributes::default(),
            version: None,
        }
    }

    fn label(to: Option<VersionId>) -> Change {
        Change::MoveLabel {
            label: StagingLabel::current(),
            from: Some(id(1)),
            to,
        }
    }

    fn attributes() -> Change {
        Change::SetAttributes {
            from: Attributes::default(),
            to: Attributes::default(),
        }
    }

    fn plan(on: Side, change: Change) -> SecretPlan {
        SecretPlan {
            actions: vec![Action {
                on,
                change,
                source: None,
            }],
            ..SecretPlan::default()
        }
    }

    fn prepared(secrets: BTreeMap<SecretName, SecretPlan>) -> Prepared {
        Prepared {
            loaded: Loaded::default(),
            base: Base::default(),
            views: BTreeMap::new(),
            plan: Plan {
                secrets,
                remotes: [prod()].into(),
                ..Plan::default()
            },
        }
    }

    #[test]
    fn pulls_and_fast_forward_pushes_go_and_nothing_else_does() {
        let here = Side::Local;
        let archive = Change::Archive {
            to: "b".parse().unwrap(),
        };
        let held = |side: &Side| Some(Held::Deletion(side.clone()));
        let restore = |side: &Side| Some(Held::Restore(side.clone()));
        for (side, change, expected) in [
            (&here, create(), None),
            (&here, add(), None),
            (&here, label(Some(id(2))), None),
            (&here, attributes(), None),
            (&here, Change::Restore, None),
            (&here, Change::Delete { date: None }, held(&here)),
            (&here, Change::Tombstone, held(&here)),
            (&here, Change::Reschedule { date: None }, restore(&here)),
            (&here, archive, Some(Held::Recreated)),
            (&there(), create(), None),
            (&there(), add(), None),
            (&there(), label(Some(id(2))), None),
            (&there(), label(None), None),
            (&there(), attributes(), None),
            (&there(), Change::Restore, restore(&there())),
            (&there(), Change::Delete { date: None }, held(&there())),
        ] {
            let found = hold(&plan(side.clone(), change.clone()), None, Duration::ZERO);
            assert_eq!(found, expected, "{side:?} {change:?}");
        }
        let mut revived = plan(Side::Local, add());
        revived.notes.push(Note {
            remote: None,
            kind: NoteKind::Revived,
        });
        assert_eq!(hold(&revived, None, Duration::ZERO), Some(Held::Revived));
    }

    #[test]
    fn one_step_that_may_not_be_taken_holds_all_of_a_secrets_steps() {
        let mut both = plan(Side::Local, add());
        both.actions
            .extend(plan(there(), Change::Delete { date: None }).actions);
        assert_eq!(
            hold(&both, None, Duration::ZERO),
            Some(Held::Deletion(there()))
        );
    }

    #[test]
    fn a_second_value_within_ten_minutes_waits_but_a_label_or_a_pull_does_not() {
        let soon = Duration::from_secs(1300);
        let until = Duration::from_secs(1600);
        let key = |remote: RemoteName| ("a".parse::<SecretName>().unwrap(), remote);
        let before = |remote| Pushed::from([(key(remote), Duration::from_secs(1000))]);
        let found = |side: Side, change: Change, pushed: &Pushed, now: Duration| {
            let secrets = BTreeMap::from([("a".parse().unwrap(), plan(side, change))]);
            let permitted = permit(&mut prepared(secrets), pushed, now);
            permitted.held.into_values().next()
        };
        let pushed = before(prod());
        for (side, change, expected) in [
            (there(), add(), Some(Held::Spaced(until))),
            (there(), label(Some(id(2))), None),
            (there(), attributes(), None),
            (Side::Local, add(), None),
        ] {
            assert_eq!(found(side, change, &pushed, soon), expected);
        }
        assert_eq!(found(there(), add(), &pushed, until), None);
        assert_eq!(found(there(), add(), &Pushed::new(), soon), None);
        let elsewhere = before("dev".parse().unwrap());
        assert_eq!(found(there(), add(), &elsewhere, soon), None);
    }

    #[test]
    fn what_is_held_is_taken_out_and_the_rest_is_done() {
        let name = |text: &str| text.parse::<SecretName>().unwrap();
        let secrets = BTreeMap::from([
            (name("gone"), plan(there(), Change::Delete { date: None })),
            (name("wait"), plan(there(), add())),
            (name("late"), plan(there(), add())),
            (name("go"), plan(there(), add())),
        ]);
        let pushed = Pushed::from([
            ((name("late"), prod()), Duration::from_secs(900)),
            ((name("wait"), prod()), Duration::from_secs(800)),
        ]);
        let mut some = prepared(secrets.clone());
        let permitted = permit(&mut some, &pushed, Duration::from_secs(1000));
        assert_eq!(some.plan.secrets.keys().collect::<Vec<_>>(), [&name("go")]);
        assert_eq!(permitted.held.len(), 3);
        assert_eq!(permitted.again_at, Some(Duration::from_secs(1400)));
        assert!(permitted.has_work);

        let mut rest = secrets;
        rest.remove(&name("go"));
        let mut none = prepared(rest);
        assert!(!permit(&mut none, &pushed, Duration::from_secs(1000)).has_work);
        // What was merely agreed waits for a step.
        let settled = SecretPlan {
            settled: BTreeMap::from([(prod(), crate::model::RemoteBase::default())]),
            ..SecretPlan::default()
        };
        let mut agreed = prepared(BTreeMap::from([(name("a"), settled)]));
        assert!(!permit(&mut agreed, &pushed, Duration::ZERO).has_work);
    }
}
