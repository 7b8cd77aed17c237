//! One version id with two contents: the copy that `--ours` needs, and what is said.

use crate::cli::error::CommandError;
use crate::model::{Author, Change, Conflict, Content, Origin, Record, VersionId, VersionMeta};
use crate::plan::{Choice, own_twin, two_contents};
use crate::vault::{Transaction, Vault};

/// The ids that a decision is about.
pub(super) struct Twins {
    /// The id with two contents.
    doubtful: VersionId,
    /// What the remote has under it, here.
    theirs: VersionId,
    /// What the vault has under it, under an id of its own.
    copy: Option<VersionId>,
}

/// Makes what the decision needs. `None` for any other conflict.
pub(super) fn before(
    vault: &Vault,
    tx: &mut Transaction<'_>,
    record: &mut Record,
    conflict: &Conflict,
    choice: &Choice,
) -> Result<Option<Twins>, CommandError> {
    let theirs = conflict.theirs.as_ref().and_then(|id| id.parse().ok());
    let (Some((doubtful, _)), Some(theirs)) = (two_contents(&record.state, conflict), theirs)
    else {
        return Ok(None);
    };
    let mut twins = Twins {
        doubtful,
        theirs,
        copy: None,
    };
    if *choice != Choice::Ours {
        return Ok(Some(twins));
    }
    let Some((of, copy)) = own_twin(record, conflict) else {
        return Ok(Some(twins));
    };
    if !record.state.versions.contains_key(&copy) {
        let created = record.state.versions.get(&of).and_then(|v| v.created);
        let value = vault.read(record, &of)?;
        let digest = tx.add_value(&record.name, &copy, &value, created)?;
        let meta = VersionMeta {
            created,
            content: Content::Value {
                kind: value.kind(),
                digest,
            },
            parent: Some(of),
            origin: Origin::Local,
        };
        let add = Change::AddVersion {
            id: copy.clone(),
            meta,
            labels: Vec::new(),
        };
        record
            .apply(&add, Author::Here)
            .map_err(crate::plan::ResolveError::from)?;
    }
    twins.copy = Some(copy);
    Ok(Some(twins))
}

impl Twins {
    /// Which content goes on under which id.
    pub(super) fn explain(&self, conflict: &Conflict, choice: &Choice) -> String {
        let Self {
            doubtful,
            theirs,
            copy,
        } = self;
        let remote = &conflict.remote;
        match (choice, copy) {
            (Choice::Ours, Some(copy)) => format!(
                "What is here under {doubtful} goes on as version {copy}, here and on every \
                 remote; what {remote} has under {doubtful} is kept here as version {theirs}"
            ),
            (Choice::Ours, None) => format!(
                "What is here goes on; what {remote} has under {doubtful} is kept here as \
                 version {theirs}"
            ),
            _ => format!(
                "What {remote} has under {doubtful} goes on here as version {theirs}; what was \
                 here under {doubtful} is kept under that id"
            ),
        }
    }
}
