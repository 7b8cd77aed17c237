//! AWS's rules for versions and labels, row by row (aws.md section 3), and the
//! lifecycle steps around them.
//!
//! A state is a line of words: `CUR=1` a label on version 1, `v2` a version without
//! labels, `p9` version 9 as a placeholder. `Put` without stages is a new version
//! under AWSCURRENT; `Stage` (UpdateSecretVersionStage) is a label move.

mod lifecycle;
mod stages;
mod versions;

use std::collections::BTreeMap;

use super::*;

fn name() -> SecretName {
    "s".parse().unwrap()
}

fn id(n: u8) -> VersionId {
    format!("{n}{}", "0".repeat(31)).parse().unwrap()
}

fn label(word: &str) -> StagingLabel {
    match word {
        "CUR" => StagingLabel::current(),
        "PREV" => StagingLabel::previous(),
        "PEND" => StagingLabel::pending(),
        other => other.parse().unwrap(),
    }
}

fn value(n: u8) -> VersionMeta {
    VersionMeta {
        created: None,
        content: Content::Value {
            kind: Kind::String,
            digest: Digest([n; 32]),
        },
        parent: None,
        origin: Origin::Local,
    }
}

fn placeholder() -> VersionMeta {
    VersionMeta {
        content: Content::Placeholder,
        ..value(0)
    }
}

fn state(text: &str) -> SecretState {
    let mut s = SecretState::default();
    for word in text.split_whitespace() {
        if let Some((l, n)) = word.split_once('=') {
            let n = n.parse().unwrap();
            s.versions.entry(id(n)).or_insert_with(|| value(n));
            s.labels.insert(label(l), id(n));
        } else if let Some(n) = word.strip_prefix('p') {
            s.versions.insert(id(n.parse().unwrap()), placeholder());
        } else {
            let n = word.strip_prefix('v').unwrap().parse().unwrap();
            s.versions.insert(id(n), value(n));
        }
    }
    s
}

fn side(text: &str) -> Snapshot {
    let mut side = Snapshot::default();
    if text != "-" {
        side.0.insert(name(), state(text));
    }
    side
}

/// The labels in the notation of [`state`], then the versions that bear none.
fn show(side: &Snapshot) -> String {
    let Some(s) = side.get(&name()) else {
        return "-".into();
    };
    let short = |v: &VersionId| v.as_str().trim_end_matches('0').to_owned();
    let word = |l: &StagingLabel| match l.as_str() {
        StagingLabel::CURRENT => "CUR".to_owned(),
        StagingLabel::PREVIOUS => "PREV".to_owned(),
        StagingLabel::PENDING => "PEND".to_owned(),
        other => other.to_owned(),
    };
    let mut out: Vec<String> = s
        .labels
        .iter()
        .map(|(l, v)| format!("{}={}", word(l), short(v)))
        .collect();
    for v in s.versions.keys() {
        if s.labels_of(v).next().is_none() {
            out.push(format!("v{}", short(v)));
        }
    }
    out.join(" ")
}

/// Applies a change; a refusal must leave everything as it was.
fn apply(side: &mut Snapshot, change: &Change) -> Result<(), Invalid> {
    let before = side.clone();
    let done = side.apply(&name(), change);
    if done.is_err() {
        assert_eq!(*side, before, "refused, but changed: {change:?}");
    }
    done
}

/// The state after one accepted change.
fn after(before: &str, change: &Change) -> String {
    let mut side = side(before);
    assert_eq!(apply(&mut side, change), Ok(()), "{before}: {change:?}");
    show(&side)
}

fn refused(before: &str, change: &Change) -> Invalid {
    apply(&mut side(before), change).expect_err("must be refused")
}

/// PutSecretValue. No stages means AWSCURRENT, as the service reads it.
fn put(n: u8, stages: &[&str]) -> Change {
    let stages = if stages.is_empty() { &["CUR"] } else { stages };
    Change::AddVersion {
        id: id(n),
        meta: value(n),
        labels: stages.iter().map(|l| label(l)).collect(),
    }
}

/// What a rotation or a vault does: any content, any labels, or none.
fn add(n: u8, meta: VersionMeta, labels: &[&str]) -> Change {
    Change::AddVersion {
        id: id(n),
        meta,
        labels: labels.iter().map(|l| label(l)).collect(),
    }
}

/// UpdateSecretVersionStage: Remove, then Move; 0 leaves the parameter out.
fn stage(l: &str, remove: u8, to: u8) -> Change {
    let some = |n: u8| (n != 0).then(|| id(n));
    Change::MoveLabel {
        label: label(l),
        from: some(remove),
        to: some(to),
    }
}

fn create(version: Option<u8>) -> Change {
    Change::Create {
        attributes: Attributes::default(),
        version: version.map(|n| (id(n), value(n))),
    }
}

// -- CreateSecret
