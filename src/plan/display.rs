//! Plans in words, for `plan`, `sync --dry-run` and reviews. No value can appear:
//! a plan has none.

use std::fmt;

use super::{Action, Answer, By, Choice, Note, NoteKind, Plan, SecretPlan, Side, Waits};
use crate::model::{Attributes, Change, Conflict, Escaped, Field, OwnField, VersionId};

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
        Change::SetOwn { field, to, .. } => describe_own(*field, to),
        Change::Delete { date: None } => "schedule deletion".to_owned(),
        Change::Delete { date: Some(date) } => format!("schedule deletion for {date}"),
        Change::Reschedule { date: None } => "take over the deletion date".to_owned(),
        Change::Reschedule { date: Some(date) } => format!("take over the deletion date {date}"),
        Change::Restore => "restore".to_owned(),
        Change::Tombstone => "mark as deleted (all versions are kept)".to_owned(),
        Change::Archive { to } => format!("put the old one aside as {to}"),
    }
}

fn describe_own(field: OwnField, to: &str) -> String {
    match field {
        OwnField::KmsKey if to.is_empty() => "go back to the default KMS key".to_owned(),
        OwnField::KmsKey => format!("set the KMS key {}", Escaped(to)),
        OwnField::Policy if to.is_empty() => "remove the resource policy".to_owned(),
        OwnField::Policy => "set the resource policy".to_owned(),
        OwnField::Replicas => format!("replicate to {}", Escaped(to)),
        OwnField::Rotation => "set up rotation".to_owned(),
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
            NoteKind::Drift { field, there } => match field {
                OwnField::Policy if !there.is_empty() => {
                    f.write_str("resource policy changed there")
                }
                field if there.is_empty() => write!(f, "{} there: none any more", field.title()),
                field => write!(f, "{} there: {}", field.title(), Escaped(there)),
            },
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
            NoteKind::AgreedFirst => f.write_str(
                "moved alike here and there; that is noted first, then the rest is planned",
            ),
            NoteKind::Waits {
                conflict,
                strategy,
                why,
            } => write!(
                f,
                "{} is not decided by {}: {why}",
                conflict.field,
                strategy.as_str()
            ),
            NoteKind::ScheduledThere => {
                f.write_str("scheduled for deletion there; its values cannot be read")
            }
        }
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asks => "a person is asked",
            Self::Stops => "the run stops",
            Self::SeveralRemotes => "more than one remote has a say in it",
            Self::Deletion => "a deletion neither wins nor loses by date",
            Self::Rewound => "somebody may have gone back on purpose",
            Self::NoDates => "descriptions and tags have no date",
            Self::Undated(_) => "when a version was made is not known",
            Self::TooClose => "they were made less than five minutes apart",
            Self::Future => "a version is dated in the future",
            Self::NotPulled => "what the remote has is not pulled",
            Self::NotPushed(reason) => return write!(f, "what wins cannot be pushed: {reason}"),
            Self::Integrity => "one version id with two contents never is",
            Self::Others => "the secret's other conflicts wait",
            Self::Impossible(why) => return write!(f, "{}", Escaped(why)),
        })
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person => f.write_str("as answered"),
            Self::Run => f.write_str("by --on-conflict"),
            Self::Rule(path) if path.is_empty() => f.write_str("by the policy for all"),
            Self::Rule(path) => write!(f, "by the policy for {}", Escaped(path)),
            Self::Remote => f.write_str("by the remote's setting"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.conflict)?;
        match &self.choice {
            Choice::Ours => f.write_str("ours wins")?,
            Choice::Theirs => f.write_str("theirs wins")?,
            Choice::To(id) => write!(f, "version {} wins", id.short())?,
        }
        write!(f, " ({}, {})", self.strategy.as_str(), self.by)
    }
}

impl fmt::Display for Conflict {
    /// `conflict with prod on label AWSCURRENT (edit/edit): here 1a2b.., there 3c4d..`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |v: &Option<String>| match (v, &self.field) {
            (None, _) => "nothing".to_owned(),
            (Some(v), Field::Label(_)) => {
                Escaped(&v.chars().take(8).collect::<String>()).to_string()
            }
            (Some(v), Field::Own(_)) if v.is_empty() => "none".to_owned(),
            (Some(v), Field::Own(OwnField::Policy)) if v.chars().count() > 60 => {
                let start: String = v.chars().take(60).collect();
                format!("{:?}...", Escaped(&start).to_string())
            }
            (Some(v), _) => format!("{:?}", Escaped(v).to_string()),
        };
        if self.is_alarm() {
            return write!(
                f,
                "integrity alarm with {} on {}: one version id has another content there, kept \
                 here as {}; nothing is written to this secret until it is resolved",
                self.remote,
                self.field,
                show(&self.theirs)
            );
        }
        if self.is_between_clones() {
            return write!(
                f,
                "conflict between two clones on {}: here {}, there {}",
                self.field,
                show(&self.ours),
                show(&self.theirs)
            );
        }
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
            if !secret.has_something_to_say() {
                continue;
            }
            writeln!(f, "{name}")?;
            for step in secret.steps() {
                writeln!(f, "  {step}")?;
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

impl Plan {
    /// What would be deleted where, in words: for whoever looks at nothing else.
    pub fn deletions(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (name, action) in self.actions() {
            if matches!(action.change, Change::Delete { .. } | Change::Tombstone) {
                all.push(format!("{name}: {action}"));
            }
        }
        for (name, answer) in self.answers() {
            if answer.deletes_here() {
                all.push(format!("{name}: {answer}"));
            }
        }
        all
    }
}

impl SecretPlan {
    /// Whether a plan in words mentions it.
    pub fn has_something_to_say(&self) -> bool {
        !(self.actions.is_empty()
            && self.conflicts.is_empty()
            && self.answers.is_empty()
            && self.notes.is_empty())
    }

    /// Actions and answers in words, in the order they are carried out.
    pub fn steps(&self) -> Vec<String> {
        let mut steps = Vec::new();
        let mut answers = self.answers.iter().peekable();
        for (n, action) in self.actions.iter().enumerate() {
            while let Some(answer) = answers.next_if(|a| a.after <= n) {
                steps.push(answer.to_string());
            }
            steps.push(action.to_string());
        }
        steps.extend(answers.map(ToString::to_string));
        steps
    }
}
