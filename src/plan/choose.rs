//! What a strategy says to one conflict, value-free: ids, dates and fields.

use std::collections::BTreeSet;

use super::decide::{By, Table, Waits};
use super::resolve::Choice;
use super::seat::{GONE, rotated, sealed};
use crate::model::{
    Class, Conflict, Direction, Face, Field, FieldKind, Lifecycle, Record, RemoteName, Rule, Sight,
    StagingLabel, Strategy, Timestamp, VersionId,
};

/// How far apart two versions must have been made for `newest` to tell which is the
/// newer one, in milliseconds: their dates are from two clocks (sync.md section 1.6).
const DOUBT: i64 = 5 * 60 * 1000;
/// What a remote says to a question.
pub(super) struct Voice<'a> {
    pub(super) remote: &'a RemoteName,
    /// The field's value there.
    pub(super) there: Option<String>,
    pulls: bool,
    /// Why what wins over it cannot be pushed.
    sealed: Option<&'static str>,
}

impl Table<'_> {
    /// The strategy for a conflict: a person's answer, the run's, the most particular
    /// rule's, the remote's.
    pub(super) fn strategy(&self, conflict: &Conflict) -> (Strategy, By) {
        match self.strategies.answers.get(&conflict.id(self.name)) {
            Some(strategy) => (*strategy, By::Person),
            None => self.strategy_for(&conflict.remote, &conflict.field),
        }
    }

    fn strategy_for(&self, remote: &RemoteName, field: &Field) -> (Strategy, By) {
        let all = self.strategies;
        if let Some(strategy) = all.run {
            return (strategy, By::Run);
        }
        match Rule::pick(&all.rules, self.name, remote, FieldKind::of(field)) {
            Some(rule) => (rule.on_conflict, By::Rule(rule.path.clone())),
            None => {
                let set = all.remotes.get(remote).copied();
                (set.unwrap_or_default(), By::Remote)
            }
        }
    }

    pub(super) fn choose(
        &self,
        record: &Record,
        conflict: &Conflict,
        strategy: Strategy,
        by: &By,
    ) -> Result<Choice, Waits> {
        if conflict.class == Class::Integrity {
            return Err(Waits::Integrity);
        }
        let choice = match strategy {
            Strategy::Hold | Strategy::Interactive => return Err(Waits::Asks),
            Strategy::Fail => return Err(Waits::Stops),
            _ if *by != By::Person && !self.concerns_one(&conflict.remote) => {
                return Err(Waits::SeveralRemotes);
            }
            Strategy::Ours => Choice::Ours,
            Strategy::Theirs => Choice::Theirs,
            Strategy::Newest => self.newest(record, conflict, &self.voices(conflict))?,
        };
        let voices = self.voices(conflict);
        travels_on(conflict, &voices, &choice).map(|()| choice)
    }

    /// Whether this remote alone has news: every other one that takes part is just as it
    /// was when all was agreed with it, and follows whatever is decided. Where two remotes
    /// have a say, which of them a rule asks first could decide, so a person does.
    fn concerns_one(&self, remote: &RemoteName) -> bool {
        let others = self.views.iter().filter(|(other, ..)| *other != remote);
        others.clone().all(|(other, sight, policy)| {
            let Some(Sight::Seen(seen)) = sight else {
                return false;
            };
            let base = self.base.get(*other);
            let Some((base, pair)) = base.and_then(|b| Some((b, b.pair.as_ref()?))) else {
                return false;
            };
            let from = |(label, from): (&StagingLabel, &Option<VersionId>)| {
                *from == pair.remote.labels.get(label).cloned()
            };
            seen.facts.arn == pair.arn
                && seen.state.face() == pair.remote
                && pair.local == pair.remote
                && pair.remote.lifecycle.is_live()
                && base.seen.is_empty()
                && base.intents.iter().all(from)
                && policy.direction == Direction::TwoWay
                && sealed(Some(seen), policy).or(rotated(Some(seen))).is_none()
        })
    }

    /// The remotes that have something to say about a field: where it is not as agreed.
    pub(super) fn voices(&self, conflict: &Conflict) -> Vec<Voice<'_>> {
        let mut voices = Vec::new();
        for (remote, sight, policy) in self.views {
            let seen = match sight {
                Some(Sight::Blocked(_)) => continue,
                Some(Sight::Seen(seen)) => Some(seen),
                None => None,
            };
            let pair = self.base.get(*remote).and_then(|b| b.pair.as_ref());
            let pair = pair.filter(|p| seen.is_none_or(|s| s.facts.arn == p.arn));
            let now = seen.map_or_else(gone, |s| s.state.face());
            let there = match &conflict.field {
                Field::Own(own) => {
                    let there = seen.and_then(|s| s.facts.own(*own));
                    there.map(std::borrow::Cow::into_owned)
                }
                field => text(&now, field),
            };
            let news = match pair {
                // Nothing of it comes near another remote.
                _ if matches!(conflict.field, Field::Own(_)) => false,
                // What one deleted and another has news of is about all that is new.
                Some(pair) if conflict.field == Field::Lifecycle => {
                    now.lifecycle.as_str() != pair.remote.lifecycle.as_str()
                        || now.labels != pair.remote.labels
                        || now.attributes != pair.remote.attributes
                }
                Some(pair) => there != text(&pair.remote, &conflict.field),
                None => seen.is_some(),
            };
            if news || **remote == conflict.remote {
                let is_label = matches!(conflict.field, Field::Label(_));
                voices.push(Voice {
                    remote,
                    there,
                    pulls: policy.direction != Direction::Push,
                    sealed: sealed(seen, policy).or(rotated(seen).filter(|_| is_label)),
                });
            }
        }
        voices
    }

    /// The version made last, of all that are in question: by date, then by id
    /// (sync.md section 1.8).
    fn newest(
        &self,
        record: &Record,
        conflict: &Conflict,
        voices: &[Voice<'_>],
    ) -> Result<Choice, Waits> {
        let label = match &conflict.field {
            Field::Label(label) => label,
            Field::Description | Field::Tag(_) | Field::Own(_) => return Err(Waits::NoDates),
            Field::Lifecycle => return Err(Waits::Deletion),
        };
        if conflict.class == Class::Rewound {
            return Err(Waits::Rewound);
        }
        let mut ids: BTreeSet<VersionId> = BTreeSet::new();
        for there in voices.iter().map(|v| &v.there) {
            ids.insert(version(there.as_ref())?);
        }
        if conflict.class != Class::RemoteRemote || self.moved_here(label, voices) {
            ids.insert(version(conflict.ours.as_ref())?);
        }
        let mut dated: Vec<(Timestamp, &VersionId)> = Vec::new();
        let mut undated = Vec::new();
        for id in &ids {
            match self.created(record, id) {
                Some(date) => dated.push((date, id)),
                None => undated.extend(self.shown_by(id).map(|r| (r.clone(), id.clone()))),
            }
        }
        if dated.len() < ids.len() {
            return Err(Waits::Undated(undated));
        }
        dated.sort();
        if dated.iter().any(|(date, _)| *date > self.strategies.now) {
            return Err(Waits::Future);
        }
        let Some(((last, winner), others)) = dated.split_last() else {
            return Err(Waits::Undated(Vec::new()));
        };
        let apart = |date: Timestamp| last.millis().saturating_sub(date.millis());
        if others.iter().any(|(date, _)| apart(*date) < DOUBT) {
            return Err(Waits::TooClose);
        }
        let wins = |v: &Option<String>| v.as_deref() == Some(winner.as_str());
        if wins(&conflict.ours) {
            return Ok(Choice::Ours);
        }
        if wins(&conflict.theirs) {
            Ok(Choice::Theirs)
        } else {
            Ok(Choice::To((*winner).clone()))
        }
    }

    /// Whether the vault itself has something to say about a label.
    fn moved_here(&self, label: &StagingLabel, voices: &[Voice<'_>]) -> bool {
        let live = self.local.is_some_and(|s| s.lifecycle.is_live());
        live && voices.iter().any(|v| {
            let base = self.base.get(v.remote);
            base.is_none_or(|b| b.pair.is_none() || b.intents.contains_key(label))
        })
    }

    /// When a version was made: as the vault has it, else as the remotes say, the first
    /// date of several.
    fn created(&self, record: &Record, id: &VersionId) -> Option<Timestamp> {
        let here = record.state.versions.get(id).and_then(|v| v.created);
        here.or_else(|| {
            let seen = self.views.iter().filter_map(|(_, sight, _)| match sight {
                Some(Sight::Seen(seen)) => seen.state.versions.get(id)?.created,
                _ => None,
            });
            seen.min()
        })
    }

    fn shown_by<'s>(&'s self, id: &'s VersionId) -> impl Iterator<Item = &'s RemoteName> + 's {
        let shows = move |sight: &Option<&Sight>| match sight {
            Some(Sight::Seen(seen)) => seen.state.versions.contains_key(id),
            _ => false,
        };
        let views = self.views.iter();
        views
            .filter(move |(_, sight, _)| shows(sight))
            .map(|(r, ..)| *r)
    }
}

/// Whether what wins may be pulled from where it is, and pushed to where it lost: an
/// answer that cannot be carried out would be given again in each run.
fn travels_on(conflict: &Conflict, voices: &[Voice<'_>], choice: &Choice) -> Result<(), Waits> {
    let won = match choice {
        Choice::Ours => None,
        Choice::Theirs => Some(conflict.theirs.clone()),
        Choice::To(id) => Some(Some(id.as_str().to_owned())),
    };
    if let Some(won) = &won
        && !voices.iter().any(|v| v.there == *won && v.pulls)
    {
        return Err(Waits::NotPulled);
    }
    let lost = |v: &&Voice<'_>| won.as_ref() != Some(&v.there);
    let mut sealed = voices.iter().filter(lost).filter_map(|v| v.sealed);
    match sealed.next() {
        Some(reason) => Err(Waits::NotPushed(reason)),
        None => Ok(()),
    }
}

/// A label that is on no version was taken away: a deletion, which has no date.
fn version(id: Option<&String>) -> Result<VersionId, Waits> {
    id.and_then(|id| id.parse().ok()).ok_or(Waits::Deletion)
}

fn gone() -> Face {
    Face {
        lifecycle: Lifecycle::Tombstone,
        ..Face::default()
    }
}

pub(super) fn text(face: &Face, field: &Field) -> Option<String> {
    match field {
        Field::Label(label) => face.labels.get(label).map(|v| v.as_str().to_owned()),
        Field::Description => face.attributes.description.clone(),
        Field::Tag(key) => face.attributes.tags.get(key).cloned(),
        Field::Lifecycle if face.lifecycle == Lifecycle::Tombstone => Some(GONE.to_owned()),
        Field::Lifecycle => Some(face.lifecycle.as_str().to_owned()),
        Field::Own(_) => None,
    }
}
