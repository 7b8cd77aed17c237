//! A plan in the making. Each step is tried on copies of both sides as it is
//! planned, so a plan never holds a step that the model would refuse.

use std::collections::{BTreeMap, BTreeSet};

use super::seat::{GONE, Seat};
use super::{Action, Note, NoteKind, SecretPlan, Side};
use crate::model::{
    Author, Change, Class, Conflict, Details, Face, Field, Halves, OwnField, Record, RemoteName,
    SecretBase, SecretName, SecretState, Snapshot, StagingLabel,
};

/// A plan in the making, with the sides as they will be.
pub(super) struct Draft<'a> {
    pub(super) name: &'a SecretName,
    pub(super) local: Option<&'a SecretState>,
    pub(super) details: Option<&'a Details>,
    pub(super) record: Record,
    pub(super) remotes: BTreeMap<&'a RemoteName, Snapshot>,
    pub(super) plan: SecretPlan,
    pub(super) refetched: bool,
    /// What comes from a remote takes a tombstone's place: what that was labelled and
    /// described with has no say.
    pub(super) anew: bool,
    /// Label moves that a remote ought to get and may not be given now.
    pub(super) waiting: BTreeSet<(&'a RemoteName, StagingLabel)>,
    /// What to remember of what each remote has of its own.
    pub(super) own: BTreeMap<&'a RemoteName, BTreeMap<OwnField, Halves>>,
    pub(super) broken: Option<String>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(
        name: &'a SecretName,
        local: Option<&'a SecretState>,
        details: Option<&'a Details>,
        base: &SecretBase,
    ) -> Self {
        let mut record = Record::new(name.clone());
        if let Some(local) = local {
            record.state = local.clone();
        }
        record.base = base.clone();
        Self {
            name,
            local,
            details,
            record,
            remotes: BTreeMap::new(),
            plan: SecretPlan::default(),
            refetched: false,
            anew: false,
            waiting: BTreeSet::new(),
            own: BTreeMap::new(),
            broken: None,
        }
    }

    pub(super) fn note(&mut self, remote: &RemoteName, kind: NoteKind) {
        self.plan.notes.push(Note {
            remote: Some(remote.clone()),
            kind,
        });
    }

    /// Adds a step to the vault that carries over what `source` has.
    pub(super) fn here(&mut self, source: &RemoteName, change: Change) {
        let done = match &change {
            Change::Archive { .. } => {
                let base = std::mem::take(&mut self.record.base);
                self.record = Record::new(self.name.clone());
                self.record.base = base;
                Ok(())
            }
            change => self.record.apply(change, Author::From(source)),
        };
        if let Err(error) = done {
            self.broken.get_or_insert(error.to_string());
        }
        self.plan.actions.push(Action {
            on: Side::Local,
            change,
            source: Some(source.clone()),
        });
    }

    /// Adds a step to a remote.
    pub(super) fn there(&mut self, seat: &Seat<'a>, change: Change) {
        let name = self.name;
        if let Err(error) = self.side(seat).apply(name, &change) {
            self.broken.get_or_insert(error.to_string());
        }
        self.plan.actions.push(Action {
            on: Side::Remote(seat.remote.clone()),
            change,
            source: None,
        });
    }

    /// A remote's side as it will be.
    pub(super) fn side(&mut self, seat: &Seat<'a>) -> &mut Snapshot {
        self.remotes.entry(seat.remote).or_insert_with(|| {
            let mut side = Snapshot::default();
            if let Some(seen) = seat.seen {
                side.0.insert(self.name.clone(), seen.state.clone());
            }
            side
        })
    }

    pub(super) fn conflict(&mut self, seat: &Seat<'_>, field: Field, class: Class) {
        let pair = seat.base.and_then(|b| b.pair.as_ref());
        let text = |face: Option<&Face>| -> Option<String> {
            let face = face?;
            match &field {
                Field::Label(label) => face.labels.get(label).map(|v| v.as_str().to_owned()),
                Field::Description => face.attributes.description.clone(),
                Field::Tag(key) => face.attributes.tags.get(key).cloned(),
                Field::Lifecycle => Some(face.lifecycle.as_str().to_owned()),
                // It is no part of a face; `own` makes its conflicts.
                Field::Own(_) => None,
            }
        };
        let gone = || Some(GONE.to_owned());
        let local = self.local.map(SecretState::face);
        let seen = seat.seen.map(|s| s.state.face());
        let (mut ours, mut theirs) = (text(local.as_ref()), text(seen.as_ref()));
        if field == Field::Lifecycle {
            ours = ours.or_else(gone);
            theirs = theirs.or_else(gone);
        }
        // The remote half: what the remote is compared with.
        let base = match class {
            Class::Rewound => text(pair.map(|p| &p.local)),
            _ => text(pair.map(|p| &p.remote)),
        };
        self.plan.conflicts.push(Conflict {
            remote: seat.remote.clone(),
            field,
            class,
            base,
            ours,
            theirs,
        });
    }
}
