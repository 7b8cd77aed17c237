//! Plans in words, for `plan`, `sync --dry-run` and reviews. No value can appear:
//! a plan has none.

use std::fmt;

use super::{Action, Note, NoteKind, Plan, Side};
use crate::model::{Attributes, Change, Conflict, Escaped, VersionId};

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("vault"),
            Self::Remote(remote) => write!(f, "{remote}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.on, describe_change(&self.change))
    }
}

/// Says what a change does, in a few words.
pub fn describe_change(change: &Change) -> String {
    let short = |id: &Option<VersionId>| {
        id.as_ref()
            .map_or_else(|| "no version".to_owned(), VersionId::short)
    };
    match change {
        Change::Create { version: None, .. } => "create".to_owned(),
        Change::Create {
            version: Some((id, _)),
            ..
        } => format!("create with version {}", id.short()),
        Change::AddVersion { id, labels, .. } if labels.is_empty() => {
            format!("copy version {}", id.short())
        }
        Change::AddVersion { id, .. } => format!("add version {}", id.short()),
        Change::MoveLabel {
            label,
            from: None,
            to,
        } => format!("put {label} on {}", short(to)),
        Change::MoveLabel {
            label,
            from,
            to: None,
        } => format!("take {label} off {}", short(from)),
        Change::MoveLabel { label, from, to } => {
            format!("move {label} from {} to {}", short(from), short(to))
        }
        Change::SetAttributes { from, to } => describe_attributes(from, to),
        Change::Delete { date: None } => "schedule deletion".to_owned(),
        Change::Delete { date: Some(date) } => format!("schedule deletion for {date}"),
        Change::Reschedule { date: None } => "take over the deletion date".to_owned(),
        Change::Reschedule { date: Some(date) } => format!("take over the deletion date {date}"),
        Change::Restore => "restore".to_owned(),
        Change::Tombstone => "mark as deleted (all versions are kept)".to_owned(),
        Change::Archive { to } => format!("put the old one aside as {to}"),
    }
}

fn describe_attributes(from: &Attributes, to: &Attributes) -> String {
    let mut parts = Vec::new();
    match (&from.description, &to.description) {
        (a, b) if a == b => {}
        (_, None) => parts.push("clear the description".to_owned()),
        (_, Some(_)) => parts.push("set the description".to_owned()),
    }
    for (key, value) in &to.tags {
        if from.tags.get(key) != Some(value) {
            parts.push(format!("set tag {}", Escaped(key)));
        }
    }
    for key in from.tags.keys().filter(|k| !to.tags.contains_key(*k)) {
        parts.push(format!("remove tag {}", Escaped(key)));
    }
    parts.join(", ")
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(remote) = &self.remote {
            write!(f, "{remote}: ")?;
        }
        match &self.kind {
            NoteKind::Blocked(reason) => write!(f, "skipped: {}", Escaped(reason)),
            NoteKind::NotPushed(reason) => write!(f, "not pushed: {reason}"),
            NoteKind::NotPulled => {
                f.write_str("changed there, not pulled: the remote's direction is push")
            }
            NoteKind::Revived => f.write_str("deleted here, but changed there since: lives again"),
            NoteKind::Recreated(to) => {
                write!(
                    f,
                    "deleted and created anew there; the old one is kept as {to}"
                )
            }
            NoteKind::MayBeSame => {
                f.write_str("create/create, may be the same value; a sync compares them")
            }
            NoteKind::ScheduledThere => {
                f.write_str("scheduled for deletion there; its values cannot be read")
            }
        }
    }
}

impl fmt::Display for Conflict {
    /// `conflict with prod on label AWSCURRENT (edit/edit): here 1a2b.., there 3c4d..`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |v: &Option<String>| match (v, &self.field) {
            (None, _) => "nothing".to_owned(),
            (Some(v), crate::model::Field::Label(_)) => {
                Escaped(&v.chars().take(8).collect::<String>()).to_string()
            }
            (Some(v), _) => format!("{:?}", Escaped(v).to_string()),
        };
        write!(
            f,
            "conflict with {} on {} ({}): here {}, there {}",
            self.remote,
            self.field,
            self.class,
            show(&self.ours),
            show(&self.theirs)
        )
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, secret) in &self.secrets {
            if secret.actions.is_empty() && secret.conflicts.is_empty() && secret.notes.is_empty() {
                continue;
            }
            writeln!(f, "{name}")?;
            for action in &secret.actions {
                writeln!(f, "  {action}")?;
            }
            for conflict in &secret.conflicts {
                writeln!(f, "  {conflict}")?;
            }
            for note in &secret.notes {
                writeln!(f, "  {note}")?;
            }
        }
        Ok(())
    }
}
