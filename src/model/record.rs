use super::{
    Change, Conflict, Details, Invalid, RemoteName, SecretBase, SecretName, SecretState, Snapshot,
    StagingLabel,
};

/// All that a vault keeps of one secret: the content of its metadata file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The secret's name.
    pub name: SecretName,
    /// Its versions, labels, attributes and lifecycle.
    pub state: SecretState,
    /// What AWS keeps of it besides; the endpoint's business.
    pub details: Details,
    /// What was agreed with each remote, and what was moved here since.
    pub base: SecretBase,
    /// Conflicts that wait for a person, sorted.
    pub conflicts: Vec<Conflict>,
}

/// Who makes a change to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author<'a> {
    /// A person at this vault: every label move is news for every remote.
    Here,
    /// The sync, carrying over what a remote has: news for the other remotes only.
    From(&'a RemoteName),
}

impl Record {
    /// A record for a name that nothing is known of yet.
    pub fn new(name: SecretName) -> Self {
        Self {
            name,
            state: SecretState {
                lifecycle: super::Lifecycle::Tombstone,
                ..SecretState::default()
            },
            details: Details::default(),
            base: SecretBase::new(),
            conflicts: Vec::new(),
        }
    }

    /// Whether the record says nothing at all, as [`Record::new`] makes it.
    pub fn is_blank(&self) -> bool {
        self.state.versions.is_empty()
            && self.state.lifecycle == super::Lifecycle::Tombstone
            && self.base.is_empty()
            && self.conflicts.is_empty()
    }

    /// Whether a restore makes it what it was. What only holds versions that were copied
    /// from remotes, to decide a conflict or to pass them on, never was a secret here.
    pub fn was_a_secret(&self) -> bool {
        let valued = self
            .state
            .versions
            .values()
            .any(super::VersionMeta::has_value);
        self.state.current().is_some() || !valued
    }

    /// Applies a change and remembers, for every remote it is news for, where each
    /// moved label came from: the `from` that a later push must find in place.
    ///
    /// `Archive` is about two names and belongs to the caller.
    pub fn apply(&mut self, change: &Change, author: Author<'_>) -> Result<(), Invalid> {
        let before = self.state.labels.clone();
        let was_gone = self.state.lifecycle == super::Lifecycle::Tombstone;
        let mut one = Snapshot::default();
        // A blank record is a free name to the model. Only history may be put there: what
        // two remotes disagree on is copied before there is a secret here.
        let history = matches!(change, Change::AddVersion { labels, .. } if labels.is_empty());
        if history || !self.is_blank() {
            one.0.insert(self.name.clone(), self.state.clone());
        }
        one.apply(&self.name, change)?;
        let Some(state) = one.0.remove(&self.name) else {
            return Err(Invalid::NoSecret);
        };
        self.state = state;
        match change {
            // Another incarnation of the name: nothing of the old one describes it.
            Change::Create { .. } if was_gone => self.details = Details::default(),
            Change::Restore => self.details.deleted = None,
            _ => {}
        }

        let labels: std::collections::BTreeSet<StagingLabel> = before
            .keys()
            .chain(self.state.labels.keys())
            .filter(|label| travels(label))
            .cloned()
            .collect();
        for (remote, base) in &mut self.base {
            let Some(pair) = &base.pair else {
                continue;
            };
            for label in &labels {
                let (was, is) = (before.get(label), self.state.labels.get(label));
                if was == is {
                    continue;
                }
                if author == Author::From(remote) {
                    base.intents.remove(label);
                    continue;
                }
                let from = base
                    .intents
                    .entry(label.clone())
                    .or_insert_with(|| was.cloned());
                // Moved back to where it started: nothing to push any more.
                if from.as_ref() == is && pair.remote.labels.get(label) == is {
                    base.intents.remove(label);
                }
            }
        }
        Ok(())
    }
}

/// Whether a move of this label is something to push. AWSPREVIOUS follows
/// AWSCURRENT by itself on every side, AWSPENDING belongs to the remote's rotation,
/// and `sr/...` and the holding label are strongroom's own.
pub(crate) fn travels(label: &StagingLabel) -> bool {
    !label.is_previous() && !label.is_pending() && !label.is_reserved()
}
