//! `resolve --merge`: a third value, made of both.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::show::count;
use crate::model::{
    Change, Conflict, Content, Field, KeyPath, Kind, Merged, Origin, Pick, Record, SecretValue,
    Stamp, VersionId, VersionMeta, merge_members,
};
use crate::plan::{Choice, two_contents};
use crate::vault::{Transaction, Vault};

/// A merge that leaves nothing open.
pub(super) struct Made {
    /// The conflict it answers.
    pub(super) conflict: Conflict,
    ours: VersionId,
    outcome: Outcome,
    /// How many members came from the other side.
    taken: usize,
}

enum Outcome {
    /// Neither side's value.
    Value(SecretValue),
    Ours,
    Theirs,
}

/// Merges the values of the one conflict on AWSCURRENT among those given, and asks about
/// what both sides changed. Reads only: no lock is held while a person thinks.
pub(super) fn merge(
    ctx: &Context,
    vault: &Vault,
    record: &Record,
    chosen: impl Fn(&Conflict) -> bool,
    mut picks: BTreeMap<KeyPath, Pick>,
) -> Result<Made, CommandError> {
    let name = &record.name;
    let is_current = |c: &&Conflict| matches!(&c.field, Field::Label(l) if l.is_current());
    let all = record.conflicts.iter().filter(|c| chosen(c));
    let mut current = all.filter(is_current);
    let (conflict, more) = (current.next(), current.next());
    let conflict = match (conflict, more) {
        (Some(conflict), None) => conflict.clone(),
        (None, _) => {
            return Err(CommandError::not_found(format!(
                "{name} has no such conflict on AWSCURRENT, and only that can be merged"
            ))
            .hint("see what there is with: strongroom conflicts"));
        }
        _ => {
            return Err(CommandError::usage(format!(
                "{name} has a conflict on AWSCURRENT with several remotes"
            ))
            .hint("merge one after the other, with a sync in between: add --remote REMOTE"));
        }
    };
    if two_contents(&record.state, &conflict).is_some() {
        return Err(crate::plan::ResolveError::Integrity.into());
    }
    let side = |id: &Option<String>, which: &str| -> Result<VersionId, CommandError> {
        let id = id.as_ref().and_then(|id| id.parse::<VersionId>().ok());
        id.ok_or_else(|| {
            CommandError::not_found(format!("there is no current version of {name} {which}"))
                .hint("use --ours or --theirs")
        })
    };
    let (ours, theirs) = (
        side(&conflict.ours, "here")?,
        side(&conflict.theirs, "there")?,
    );
    if record.state.current() != Some(&ours) {
        return Err(crate::plan::ResolveError::Stale.into());
    }
    let has = |id: &VersionId| {
        record
            .state
            .versions
            .get(id)
            .is_some_and(VersionMeta::has_value)
    };
    if !has(&theirs) {
        return Err(crate::plan::ResolveError::NotFetched(theirs).into());
    }
    let here = vault.read(record, &ours)?;
    let there = vault.read(record, &theirs)?;
    let base = common(record, &conflict, &ours, &theirs).filter(has);
    let before = base.map(|id| vault.read(record, &id)).transpose()?;
    let text = |value: &SecretValue| -> Option<Zeroizing<String>> {
        let text = std::str::from_utf8(value.expose_secret()).ok()?;
        (value.kind() == Kind::String).then(|| Zeroizing::new(text.to_owned()))
    };
    let no_object = |side: crate::model::MergeError| {
        CommandError::new(Exit::Conflict, format!("{name} cannot be merged: {side}"))
            .hint("decide for one side: --ours or --theirs")
    };
    let here_text = text(&here).ok_or_else(|| no_object(crate::model::MergeError::Ours))?;
    let there_text = text(&there).ok_or_else(|| no_object(crate::model::MergeError::Theirs))?;
    let before = before.as_ref().and_then(text);
    if before.is_none() {
        ctx.ui.status(
            "The common version is not here: what one side alone has is kept, nothing is removed",
        );
    }
    let once = |picks: &BTreeMap<KeyPath, Pick>| -> Result<Merged, CommandError> {
        let before = before.as_ref().map(|b| b.as_str());
        merge_members(before, &here_text, &there_text, picks).map_err(no_object)
    };
    let mut merged = once(&picks)?;
    if !merged.open.is_empty() {
        ask(ctx, record, &merged.open, &mut picks)?;
        merged = once(&picks)?;
    }
    let outcome = if merged.text.as_bytes() == here.expose_secret() {
        Outcome::Ours
    } else if merged.text.as_bytes() == there.expose_secret() {
        Outcome::Theirs
    } else {
        let bytes = Zeroizing::new(merged.text.as_bytes().to_vec());
        Outcome::Value(SecretValue::string(bytes)?)
    };
    Ok(Made {
        conflict,
        ours,
        outcome,
        taken: merged.taken.len(),
    })
}

/// The version that both sides were made from. What was last agreed with the remote may be
/// one of the sides already, where another clone had brought it there; measured by it, that
/// side would have changed nothing.
fn common(
    record: &Record,
    conflict: &Conflict,
    ours: &VersionId,
    theirs: &VersionId,
) -> Option<VersionId> {
    let made_from = record.state.common_ancestor(ours, theirs);
    match made_from.filter(|id| *id != ours && *id != theirs) {
        Some(id) => Some(id.clone()),
        None => conflict.base.as_ref()?.parse().ok(),
    }
}

/// Asks whose value each member gets that both sides changed. Names are shown, values
/// are not.
fn ask(
    ctx: &Context,
    record: &Record,
    open: &[KeyPath],
    picks: &mut BTreeMap<KeyPath, Pick>,
) -> Result<(), CommandError> {
    if !ctx.ui.can_ask() {
        let names: Vec<String> = open.iter().map(ToString::to_string).collect();
        return Err(CommandError::new(
            Exit::Conflict,
            format!(
                "{} of {} changed here and there: {}",
                count(open.len(), "member"),
                record.name,
                names.join(", ")
            ),
        )
        .hint("say whose they are: --ours-for KEY, --theirs-for KEY"));
    }
    for path in open {
        let question =
            format!("{path}: here ********, there ********\n(o)urs, (t)heirs or (s)top?");
        let pick = match ctx.ui.ask(&question)?.as_str() {
            "o" | "ours" => Pick::Ours,
            "t" | "theirs" => Pick::Theirs,
            _ => return Err(CommandError::new(Exit::Aborted, "not decided")),
        };
        picks.insert(path.clone(), pick);
    }
    Ok(())
}

impl Made {
    /// Puts the merged value into the record as a version on top of ours, and says which
    /// choice it is for the conflict.
    pub(super) fn store(
        self,
        ctx: &Context,
        tx: &mut Transaction<'_>,
        record: &mut Record,
        stamp: &Stamp,
    ) -> Result<Choice, CommandError> {
        let value = match self.outcome {
            Outcome::Ours => return Ok(Choice::Ours),
            Outcome::Theirs => return Ok(Choice::Theirs),
            Outcome::Value(value) => value,
        };
        let digest = tx.add_value(&record.name, &stamp.id, &value, Some(stamp.now))?;
        let meta = VersionMeta {
            created: Some(stamp.now),
            content: Content::Value {
                kind: value.kind(),
                digest,
            },
            parent: Some(self.ours),
            origin: Origin::Local,
        };
        let change = Change::AddVersion {
            id: stamp.id.clone(),
            meta,
            labels: Vec::new(),
        };
        super::super::edit(record, &change)?;
        ctx.ui.status(&format!(
            "Merged as version {}: {} of {}'s taken into ours",
            stamp.id.short(),
            count(self.taken, "member"),
            self.conflict.remote
        ));
        Ok(Choice::To(stamp.id.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, Digest, StagingLabel, Timestamp};

    /// A record whose versions were made from each other as the pairs say.
    fn record(pairs: &[(&str, Option<&str>)]) -> Record {
        let mut record = Record::new("prod/db".parse().unwrap());
        for (id, parent) in pairs {
            let meta = VersionMeta {
                created: Some(Timestamp::from_secs(0)),
                content: Content::Value {
                    kind: Kind::String,
                    digest: Digest([0; 32]),
                },
                parent: parent.map(|p| p.repeat(32).parse().unwrap()),
                origin: Origin::Local,
            };
            record
                .state
                .versions
                .insert(id.repeat(32).parse().unwrap(), meta);
        }
        record
    }

    #[test]
    fn two_values_are_merged_over_what_both_were_made_from() {
        let id = |c: &str| -> VersionId { c.repeat(32).parse().unwrap() };
        let found = |record: &Record, base: Option<&str>, ours: &str, theirs: &str| {
            let conflict = Conflict {
                remote: "aws".parse().unwrap(),
                field: Field::Label(StagingLabel::current()),
                class: Class::Edit,
                base: base.map(|c| c.repeat(32)),
                ours: Some(ours.repeat(32)),
                theirs: Some(theirs.repeat(32)),
            };
            common(record, &conflict, &id(ours), &id(theirs))
        };
        // Another clone has brought theirs to the remote and git has brought the memory of it.
        let both = record(&[
            ("a", None),
            ("b", Some("a")),
            ("c", Some("a")),
            ("d", Some("c")),
        ]);
        assert_eq!(found(&both, Some("c"), "b", "c"), Some(id("a")));
        assert_eq!(found(&both, Some("c"), "b", "d"), Some(id("a")));
        // A rollback has no other common version than itself, and the last agreement counts.
        assert_eq!(found(&both, Some("c"), "a", "d"), Some(id("c")));
        // Nothing is known of where theirs came from.
        let apart = record(&[("a", None), ("b", Some("a")), ("e", None)]);
        assert_eq!(found(&apart, Some("a"), "b", "e"), Some(id("a")));
        assert_eq!(found(&apart, None, "b", "e"), None);
    }
}
