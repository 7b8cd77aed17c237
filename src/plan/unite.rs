//! Two clones' records of one secret made into one: the three-way merge that git
//! cannot do (sync.md section 1.12 rule 3; book, "Working with git").
//!
//! Versions are a union. A label follows whoever moved it on purpose, which shows in
//! what was recorded of its origin; where nobody did, it follows whoever met the remote
//! last. What both changed is kept as it is here and becomes a recorded conflict, so a
//! merge never asks. Pure, and the same on every machine: `labels`, `base`, `fields`
//! and `conflicts` each have one part of a record.

mod base;
mod conflicts;
mod fields;
mod labels;
#[cfg(test)]
mod tests;

use crate::model::{Conflict, Record, SecretName, SecretState, VersionId};

use conflicts::Clash;

/// Why two records cannot be made into one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UniteError {
    /// They are about two secrets.
    #[error("the two sides are about two secrets, {ours} and {theirs}")]
    OtherSecret {
        /// This side's.
        ours: SecretName,
        /// The other side's.
        theirs: SecretName,
    },
    /// One version id, two values: nobody can say which is the version.
    #[error("version {0} has one value on the one side and another on the other")]
    TwoContents(VersionId),
}

/// Which side of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ours,
    Theirs,
}

/// One thing as the common ancestor, this side and the other side have it.
struct Three<'a, T> {
    base: &'a T,
    ours: &'a T,
    theirs: &'a T,
}

impl<T> Clone for Three<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Three<'_, T> {}

impl<'a, T> Three<'a, T> {
    /// A part of the thing.
    fn part<U>(self, part: impl Fn(&'a T) -> &'a U) -> Three<'a, U> {
        Three {
            base: part(self.base),
            ours: part(self.ours),
            theirs: part(self.theirs),
        }
    }

    fn of(self, side: Side) -> &'a T {
        match side {
            Side::Ours => self.ours,
            Side::Theirs => self.theirs,
        }
    }
}

impl<'a, T: PartialEq> Three<'a, T> {
    /// What both agree on, or the one that changed; `None` where both did, differently.
    fn settled(self) -> Option<&'a T> {
        if self.ours == self.theirs || self.base == self.theirs {
            Some(self.ours)
        } else if self.base == self.ours {
            Some(self.theirs)
        } else {
            None
        }
    }

    /// The same where both did: whatever `tie` says.
    fn or(self, tie: impl FnOnce() -> &'a T) -> &'a T {
        self.settled().unwrap_or_else(tie)
    }
}

/// Makes one record of two that have a common ancestor; `None` where none is known, as
/// when two clones made a secret of the same name.
///
/// Which side is "ours" decides only what stands while a conflict waits.
pub fn unite(base: Option<&Record>, ours: &Record, theirs: &Record) -> Result<Record, UniteError> {
    if ours.name != theirs.name {
        return Err(UniteError::OtherSecret {
            ours: ours.name.clone(),
            theirs: theirs.name.clone(),
        });
    }
    let blank = Record::new(ours.name.clone());
    let base = base.filter(|b| b.name == ours.name).unwrap_or(&blank);
    parts(Three { base, ours, theirs })
}

/// Makes each part of the record by itself.
fn parts(all: Three<'_, Record>) -> Result<Record, UniteError> {
    // A new field must be thought of here.
    let Record {
        name,
        state:
            SecretState {
                attributes: _,
                versions: _,
                labels: _,
                lifecycle: _,
            },
        details: _,
        base: _,
        conflicts: _,
    } = all.ours;

    let mut record = Record::new(name.clone());
    let mut clashes: Vec<Clash> = Vec::new();
    record.state.versions = fields::versions(all)?;
    let newer = base::newer(all);
    let verdicts = labels::verdicts(all, &newer, &record.state);
    record.state.labels = labels::labels(all, &newer, &verdicts, &mut clashes);
    record.state.attributes = fields::attributes(all, &newer, &mut clashes);
    record.state.lifecycle = fields::lifecycle(all, &newer, &mut clashes);
    record.details = fields::details(all, record.state.lifecycle);
    record.base = base::base(all, &newer, &verdicts, &record.state);
    conflicts::keep_lost(&mut record.state, &clashes);
    record.conflicts = conflicts::conflicts(all, &record, clashes);
    Ok(record)
}

/// What of a record waits because two clones disagree.
pub fn divided(record: &Record) -> impl Iterator<Item = &Conflict> {
    record.conflicts.iter().filter(|c| c.is_between_clones())
}
