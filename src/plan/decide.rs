//! Answers conflicts by strategy (sync.md section 1.8), as a person would with
//! `resolve`: on copies, one after the other, and planned again until nothing is left
//! to decide. All of a secret's conflicts are answered, or none: what is not agreed on
//! as a whole is touched on neither side.
//!
//! `choose` says what a strategy makes of one conflict. Nothing in here depends on the
//! order of remotes: a rule decides where one of them has news, and no more.

use std::collections::BTreeMap;

use super::resolve::{Choice, ResolveError, resolve};
use super::{Action, Note, NoteKind, RemotePolicy, SecretPlan, Side, secret};
use crate::model::{
    Author, Change, Conflict, Details, Field, Lifecycle, Origin, Record, RemoteName, Rule,
    SecretBase, SecretName, SecretState, Sight, Snapshot, Strategy, Timestamp, VersionId,
    VersionMeta,
};

/// How often a secret's answers may raise another question. Each remote can raise one
/// for each of its fields; more than that is no way out.
const ROUNDS: usize = 16;

/// The strategies in force in a run, and what they need to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strategies {
    /// Now; what is dated later was dated by a wrong clock.
    pub now: Timestamp,
    /// The run's own, before all others.
    pub run: Option<Strategy>,
    /// The vault's rules.
    pub rules: Vec<Rule>,
    /// What each remote is set to, where no rule is about it.
    pub remotes: BTreeMap<RemoteName, Strategy>,
    /// What a person answered in this run, by the conflict's id.
    pub answers: BTreeMap<String, Strategy>,
}

/// Who said which strategy it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// A person, asked about this conflict.
    Person,
    /// The run.
    Run,
    /// The vault's rule for this path.
    Rule(String),
    /// The remote's own setting.
    Remote,
}

/// What a strategy decided. Carried out, it is what `resolve` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The conflict.
    pub conflict: Conflict,
    /// What was chosen.
    pub choice: Choice,
    /// By which strategy.
    pub strategy: Strategy,
    /// Who said that it is this one.
    pub by: By,
    /// How many of the secret's actions are taken before it.
    pub after: usize,
}

impl Answer {
    /// Whether it takes over that the secret is gone, or will be.
    pub(super) fn deletes_here(&self) -> bool {
        self.choice == Choice::Theirs
            && self.conflict.field == Field::Lifecycle
            && self.conflict.theirs.as_deref() != Some(Lifecycle::Live.as_str())
    }
}

/// Why a strategy leaves a conflict to a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waits {
    /// That is the strategy: somebody is to be asked.
    Asks,
    /// That is the strategy: the run is to stop.
    Stops,
    /// More than one remote has a say in the secret: an answer for one of them can be
    /// another answer in another order of remotes.
    SeveralRemotes,
    /// `newest` lets no deletion win, and none lose.
    Deletion,
    /// `newest` does not know whether somebody went back on purpose.
    Rewound,
    /// Descriptions and tags have no date.
    NoDates,
    /// The dates of these versions are not known.
    Undated(Vec<(RemoteName, VersionId)>),
    /// The versions were made too close to each other, by different clocks.
    TooClose,
    /// A version is dated later than now.
    Future,
    /// It is the remote's side, which is not pulled.
    NotPulled,
    /// It is to go to a remote that may not get it, for this reason.
    NotPushed(&'static str),
    /// One id with two contents is never decided by rule.
    Integrity,
    /// It is decided, but the secret's other conflicts are not.
    Others,
    /// It cannot be carried out.
    Impossible(String),
}

/// One remote with its sight of the secret and what may be done there.
pub(super) type View<'a> = (&'a RemoteName, Option<&'a Sight>, &'a RemotePolicy);

/// Reconciles one secret, and answers what strategies can answer.
pub(super) fn reconcile(
    name: &SecretName,
    local: Option<&SecretState>,
    details: Option<&Details>,
    base: &SecretBase,
    views: &[View<'_>],
    all: &Snapshot,
    strategies: Option<&Strategies>,
) -> SecretPlan {
    let first = secret::reconcile(name, local, details, base, views.to_vec(), all);
    let Some(strategies) = strategies.filter(|_| !first.conflicts.is_empty()) else {
        return first;
    };
    let table = Table {
        name,
        local,
        details,
        base,
        views,
        strategies,
    };
    match table.answer(first.clone(), all) {
        Ok(plan) => plan,
        Err(notes) => {
            let mut held = first;
            held.notes.extend(notes);
            held.notes.sort();
            held
        }
    }
}

/// All that is known about one secret when its conflicts are answered.
pub(super) struct Table<'a> {
    pub(super) name: &'a SecretName,
    pub(super) local: Option<&'a SecretState>,
    pub(super) details: Option<&'a Details>,
    pub(super) base: &'a SecretBase,
    pub(super) views: &'a [View<'a>],
    pub(super) strategies: &'a Strategies,
}

impl Table<'_> {
    /// The plan with every conflict answered; or why not, for each that has a strategy.
    fn answer(&self, first: SecretPlan, all: &Snapshot) -> Result<SecretPlan, Vec<Note>> {
        let mut record = Record::new(self.name.clone());
        if let Some(local) = self.local {
            record.state = local.clone();
        }
        record.base = self.base.clone();
        record.details = self.details.cloned().unwrap_or_default();
        let top = first.conflicts.clone();
        let mut done = SecretPlan::default();
        let mut found = first;
        for _ in 0..ROUNDS {
            let mut notes = Vec::new();
            let mut decided = Vec::new();
            for conflict in &found.conflicts {
                let (strategy, by) = self.strategy(conflict);
                let chosen = match found.aliases.is_empty() {
                    true => self.choose(&record, conflict, strategy, &by),
                    false => Err(Waits::Integrity),
                };
                match chosen {
                    Ok(choice) => decided.push((conflict.clone(), choice, strategy, by)),
                    Err(why) if strategy == Strategy::Hold && why != Waits::Stops => {}
                    Err(why) => notes.push(note(conflict, strategy, why)),
                }
            }
            if decided.len() < found.conflicts.len() {
                return Err(self.with_others(notes, &top));
            }
            for action in &found.actions {
                let impossible = |e| vec![self.impossible(&top, e)];
                carry(&mut record, action).map_err(impossible)?;
            }
            done.actions.append(&mut found.actions);
            let keep = |n: &Note| n.kind == NoteKind::MayBeSame;
            done.notes.extend(found.notes.drain(..).filter(keep));
            let before = done.answers.len();
            for (conflict, choice, strategy, by) in decided {
                let answered = self.carry_out(&mut record, &mut done.actions, &conflict, &choice);
                match answered {
                    Ok(()) => {
                        let after = done.actions.len();
                        done.answers.push(Answer {
                            conflict,
                            choice,
                            strategy,
                            by,
                            after,
                        });
                    }
                    // Another answer settled it, or gave it another face.
                    Err(ResolveError::Stale) if done.answers.len() > before => {}
                    Err(error) => return Err(vec![self.impossible(&top, error.to_string())]),
                }
            }
            let state = (!record.is_blank()).then_some(&record.state);
            let views = self.views.to_vec();
            found = secret::reconcile(self.name, state, self.details, &record.base, views, all);
            if !found.conflicts.is_empty() {
                continue;
            }
            let gave_up = found.notes.iter().find_map(|n| match &n.kind {
                NoteKind::Blocked(why) if n.remote.is_none() => Some(why.clone()),
                _ => None,
            });
            if let Some(why) = gave_up {
                return Err(vec![self.impossible(&top, why)]);
            }
            done.actions.append(&mut found.actions);
            done.notes.append(&mut found.notes);
            done.notes.sort();
            done.notes.dedup();
            done.settled = found.settled;
            done.shown = found.shown;
            return Ok(done);
        }
        let why = "each answer raises another question".to_owned();
        Err(vec![self.impossible(&top, why)])
    }

    /// One answer, on the copy. The value it is about is copied first, also from a
    /// remote that is only pushed to: what loses there must be safe here (sync.md K1).
    fn carry_out(
        &self,
        record: &mut Record,
        actions: &mut Vec<Action>,
        conflict: &Conflict,
        choice: &Choice,
    ) -> Result<(), ResolveError> {
        match resolve(record, conflict, choice) {
            Err(ResolveError::NotFetched(id)) if self.is_readable(&conflict.remote) => {
                let meta = VersionMeta::unread(Origin::Remote(conflict.remote.clone()));
                let copy = Action {
                    on: Side::Local,
                    change: Change::AddVersion {
                        id,
                        meta,
                        labels: Vec::new(),
                    },
                    source: Some(conflict.remote.clone()),
                };
                record.apply(&copy.change, Author::From(&conflict.remote))?;
                actions.push(copy);
                resolve(record, conflict, choice).map(drop)
            }
            done => done.map(drop),
        }
    }

    fn is_readable(&self, remote: &RemoteName) -> bool {
        self.views.iter().any(|(r, sight, _)| {
            *r == remote && matches!(sight, Some(Sight::Seen(s)) if s.state.lifecycle.is_live())
        })
    }

    fn impossible(&self, top: &[Conflict], why: String) -> Note {
        // One of them stands for all: they are answered together.
        let (strategy, _) = self.strategy(&top[0]);
        note(&top[0], strategy, Waits::Impossible(why))
    }

    /// A conflict that is decided, but waits for one that is not, says so.
    fn with_others(&self, mut notes: Vec<Note>, top: &[Conflict]) -> Vec<Note> {
        let said = |notes: &[Note], c: &Conflict| {
            notes
                .iter()
                .any(|n| matches!(&n.kind, NoteKind::Waits { conflict, .. } if **conflict == *c))
        };
        for conflict in top {
            let (strategy, _) = self.strategy(conflict);
            if strategy != Strategy::Hold && !said(&notes, conflict) {
                notes.push(note(conflict, strategy, Waits::Others));
            }
        }
        notes
    }
}

fn carry(record: &mut Record, action: &Action) -> Result<(), String> {
    let author = action.source.as_ref().map_or(Author::Here, Author::From);
    let done = record.apply(&action.change, author);
    done.map_err(|e| e.to_string())
}

fn note(conflict: &Conflict, strategy: Strategy, why: Waits) -> Note {
    Note {
        remote: Some(conflict.remote.clone()),
        kind: NoteKind::Waits {
            conflict: Box::new(conflict.clone()),
            strategy,
            why,
        },
    }
}
