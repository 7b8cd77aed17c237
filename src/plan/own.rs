//! What each remote has of its own: KMS key, resource policy, replicas, rotation. Each
//! remote is merged by itself, and nothing of it comes near another one (sync.md
//! section 1.7).

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::NoteKind;
use super::draft::Draft;
use super::seat::Seat;
use super::verdict::Verdict;
use crate::model::{
    Change, Class, Conflict, Field, Halves, OwnField, missing_replicas, replicas_of, replicas_text,
};

/// What one remote and the vault say of one of them.
pub(super) struct OwnSide<'a> {
    pub(super) field: OwnField,
    /// What is on record for the remote.
    pub(super) entry: Option<&'a Halves>,
    /// What was set here before the secret met any remote.
    pub(super) set: Option<Cow<'a, str>>,
    /// What is there; `None` where that is not known.
    pub(super) there: Option<Cow<'a, str>>,
    /// Why nothing is pushed.
    pub(super) held: Option<&'static str>,
    pub(super) may_pull: bool,
}

/// What the merge of one of them says. Each but a conflict has what to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OwnMerge {
    /// Nothing to do. `news` is what changed over there.
    Keep { halves: Halves, news: bool },
    /// It is to get this in the place of that.
    Push { from: String, to: String },
    /// It ought to get what was set here, but may not.
    Held { halves: Halves, why: &'static str },
    /// Both changed.
    Conflict {
        ours: String,
        theirs: String,
        base: Option<String>,
    },
}

/// Merges one of them.
pub(super) fn merge_own(side: &OwnSide<'_>) -> OwnMerge {
    let agreed = side.entry.map(|e| e.there.as_str());
    let was = agreed.unwrap_or_default();
    let wanted = match side.entry {
        // The remote wins, whatever was set up here.
        _ if side.field == OwnField::Rotation => None,
        Some(entry) => entry.here.as_deref(),
        None => side.set.as_deref(),
    };
    let keep = |here: Option<&str>, there: &str, news| OwnMerge::Keep {
        halves: Halves {
            here: here.map(str::to_owned),
            there: there.to_owned(),
        },
        news,
    };
    let held = |wanted: &str, why| OwnMerge::Held {
        halves: Halves {
            here: Some(wanted.to_owned()),
            there: was.to_owned(),
        },
        why,
    };
    match (wanted, side.there.as_deref()) {
        (None, None) => keep(None, was, false),
        (None, Some(now)) if side.may_pull => keep(None, now, now != was),
        (None, Some(_)) => keep(None, was, false),
        (Some(wanted), Some(now)) if side.field.is_met(wanted, now) => keep(None, now, false),
        (Some(wanted), now) => match (side.held, now) {
            (Some(why), _) => held(wanted, why),
            (None, None) => held(wanted, "what is there is not known"),
            (None, Some(now))
                if side.field == OwnField::Replicas && !taken_away(wanted, was, now) =>
            {
                OwnMerge::Push {
                    from: now.to_owned(),
                    to: replicas_text(&missing_replicas(wanted, now)),
                }
            }
            (None, Some(now)) if now == was => OwnMerge::Push {
                from: now.to_owned(),
                to: wanted.to_owned(),
            },
            (None, Some(now)) => OwnMerge::Conflict {
                ours: wanted.to_owned(),
                theirs: now.to_owned(),
                base: agreed.map(str::to_owned),
            },
        },
    }
}

/// Whether a replica that was there, and is to be there, was taken away over there: the
/// union of both sides is no answer to that (sync.md section 1.7).
fn taken_away(wanted: &str, was: &str, now: &str) -> bool {
    let (was, now) = (replicas_of(was), replicas_of(now));
    let mut wanted = replicas_of(wanted).into_keys();
    wanted.any(|region| was.contains_key(&region) && !now.contains_key(&region))
}

impl<'a> Draft<'a> {
    /// Merges all of them for one remote: what to push there. What to remember is put
    /// down, and conflicts are.
    pub(super) fn merge_own(&mut self, seat: &Seat<'a>, alive: bool) -> Vec<Change> {
        let mut pushes = Vec::new();
        // Of another incarnation nothing counts.
        let same_one = seat.pair.is_some() || seat.base.is_none_or(|b| b.pair.is_none());
        let entries = seat.base.filter(|_| alive && same_one).map(|b| &b.own);
        let details = self.details.filter(|_| alive);
        let mut own = BTreeMap::new();
        for field in OwnField::ALL {
            let set = details.and_then(|d| d.own(field));
            let revived = (seat.verdict == Verdict::Revive).then_some("it lives again");
            let side = OwnSide {
                field,
                entry: entries.and_then(|e| e.get(&field)),
                there: match seat.seen {
                    Some(seen) => seen.facts.own(field),
                    // About to be made.
                    None => Some(Cow::Borrowed("")),
                },
                held: seat.extras.refuses(field).or(seat.sealed).or(revived),
                may_pull: seat.may_pull,
                set,
            };
            let halves = match merge_own(&side) {
                OwnMerge::Keep { halves, news } => {
                    // One that is not on record may have been there all along; but
                    // rotation always was on show.
                    let known = side.entry.is_some()
                        || (field == OwnField::Rotation && seat.pair.is_some());
                    if news && known {
                        let there = halves.there.clone();
                        self.note(seat.remote, NoteKind::Drift { field, there });
                    }
                    if let (OwnField::Rotation, Some(set), Some(there)) =
                        (field, &side.set, &side.there)
                        && set != there
                    {
                        let reason = format!("rotation, set up here as {set}");
                        self.note(seat.remote, NoteKind::NotPushed(reason));
                    }
                    halves
                }
                OwnMerge::Push { from, to } => {
                    let there = match field {
                        OwnField::Replicas if from.is_empty() => to.clone(),
                        OwnField::Replicas => format!("{from} {to}"),
                        _ => to.clone(),
                    };
                    pushes.push(Change::SetOwn { field, from, to });
                    Halves { here: None, there }
                }
                OwnMerge::Held { halves, why } => {
                    let reason = format!("{}; {why}", field.title());
                    self.note(seat.remote, NoteKind::NotPushed(reason));
                    halves
                }
                OwnMerge::Conflict { ours, theirs, base } => {
                    self.plan.conflicts.push(Conflict {
                        remote: seat.remote.clone(),
                        field: Field::Own(field),
                        class: match base {
                            Some(_) => Class::Edit,
                            None => Class::CreateCreate,
                        },
                        base,
                        ours: Some(ours),
                        theirs: Some(theirs),
                    });
                    continue;
                }
            };
            // That there is nothing is on record only where what was set here before
            // would count without.
            let needed = field != OwnField::Rotation && side.set.is_some();
            if halves != Halves::default() || needed {
                own.insert(field, halves);
            }
        }
        self.own.insert(seat.remote, own);
        pushes
    }
}
