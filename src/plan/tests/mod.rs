//! The tables of sync.md section 1, row by row, and the notation they are written in.
//!
//! A state is a line of words: `-` absent, `sched` / `sched2` / `tomb` lifecycle, `CUR=2` a
//! label on version 2, `v3` a version without labels, `3<2` version 3 with parent 2,
//! `desc=x`, `tag.k=x`. An intent is `CUR<1`: moved here, when it was on version 1.
//! `2~1` says that version 2 was read and has version 1's value, `2~1b` that it has the
//! same bytes as binary. Version 9 is a placeholder.

mod answers;
mod existence;
mod fields;
mod guards;
mod labels;
mod mirror;
mod own;
mod policy;
mod printed;
mod several;
mod strategies;
mod twins;

use std::collections::BTreeMap;

use super::*;
use crate::model::{
    Author, Content, Digest, Face, Kind, Lifecycle, Origin, Pair, RemoteFacts, RemoteSecret,
    SecretState, Sight, StagingLabel, Timestamp, VersionId, VersionMeta,
};

pub(super) fn id(n: usize) -> VersionId {
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

fn meta(n: usize, local: bool) -> VersionMeta {
    VersionMeta {
        // Far enough apart for `newest` to tell them.
        created: Some(Timestamp::from_secs(n as i64 * 1000)),
        content: match (n, local) {
            (9, true) => Content::Placeholder,
            (_, true) => Content::Value {
                kind: Kind::String,
                digest: Digest([n as u8; 32]),
            },
            (_, false) => Content::Unread,
        },
        parent: None,
        origin: Origin::Local,
    }
}

pub(super) fn state(text: &str, local: bool) -> Option<SecretState> {
    if text == "-" {
        return None;
    }
    let mut s = SecretState::default();
    let add = |s: &mut SecretState, n: usize| {
        s.versions.entry(id(n)).or_insert_with(|| meta(n, local));
    };
    for word in text.split_whitespace() {
        if word == "sched" {
            s.lifecycle = Lifecycle::Scheduled {
                date: Some(Timestamp::from_secs(1000)),
            };
        } else if word == "sched2" {
            s.lifecycle = Lifecycle::Scheduled {
                date: Some(Timestamp::from_secs(2000)),
            };
        } else if word == "tomb" {
            s.lifecycle = Lifecycle::Tombstone;
        } else if let Some((copy, of)) = word.split_once('~') {
            let kind = match of.strip_suffix('b') {
                Some(_) => Kind::Binary,
                None => Kind::String,
            };
            let of: u8 = of.trim_end_matches('b').parse().unwrap();
            let n = copy.parse().unwrap();
            add(&mut s, n);
            s.versions.get_mut(&id(n)).unwrap().content = Content::Value {
                kind,
                digest: Digest([of; 32]),
            };
        } else if let Some((key, value)) = word.split_once('=') {
            if key == "desc" {
                s.attributes.description = Some(value.into());
            } else if let Some(key) = key.strip_prefix("tag.") {
                s.attributes.tags.insert(key.into(), value.into());
            } else {
                let n = value.parse().unwrap();
                add(&mut s, n);
                s.labels.insert(label(key), id(n));
            }
        } else if let Some((child, parent)) = word.split_once('<') {
            let n = child.parse().unwrap();
            add(&mut s, n);
            s.versions.get_mut(&id(n)).unwrap().parent = Some(id(parent.parse().unwrap()));
        } else {
            add(&mut s, word.strip_prefix('v').unwrap().parse().unwrap());
        }
    }
    Some(s)
}

fn face(text: &str) -> Face {
    state(text, true).map_or(
        Face {
            lifecycle: Lifecycle::Tombstone,
            ..Face::default()
        },
        |s| s.face(),
    )
}

pub(super) fn remote(word: &str) -> RemoteName {
    word.parse().unwrap()
}

pub(super) fn name() -> SecretName {
    "s".parse().unwrap()
}

/// A remote secret; `arn2` says it is another incarnation, `rot`, `rep`, `own`
/// that it is rotated, a replica, owned by a service.
fn view(text: &str) -> RemoteView {
    let mut facts = RemoteFacts {
        arn: "arn-AAAAAA".into(),
        ..RemoteFacts::default()
    };
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        match word {
            "arn2" => facts.arn = "arn-BBBBBB".into(),
            "rot" => facts.rotation_enabled = true,
            "rep" => facts.replica = true,
            "own" => facts.owning_service = Some("rds".into()),
            other => words.push(other),
        }
    }
    let mut view = RemoteView::default();
    if let Some(state) = state(&words.join(" "), false) {
        view.secrets
            .insert(name(), Sight::Seen(RemoteSecret { state, facts }));
        view.listed = 1;
    }
    view
}

/// One remote's part of a case: base here, base there (or `none`), intents, now there.
struct There<'a>(&'a str, &'a str, &'a str, &'a str);

struct Case {
    base: Base,
    local: LocalView,
    remotes: BTreeMap<RemoteName, RemoteView>,
    policy: Policy,
}

fn case(here: &str, theres: &[There<'_>]) -> Case {
    let mut base = SecretBase::new();
    let mut remotes = BTreeMap::new();
    for (n, There(base_here, base_there, intents, now)) in theres.iter().enumerate() {
        let remote = remote(["a", "b", "c"][n]);
        let mut one = RemoteBase::default();
        if *base_here != "none" {
            one.pair = Some(Pair {
                arn: "arn-AAAAAA".into(),
                changed: None,
                local: face(base_here),
                remote: face(base_there),
            });
        }
        for word in intents.split_whitespace() {
            let (l, from) = word.split_once('<').unwrap();
            let from = from.parse().ok().map(id);
            one.intents.insert(label(l), from);
        }
        if !one.is_empty() {
            base.insert(remote.clone(), one);
        }
        remotes.insert(remote, view(now));
    }
    let mut local = LocalView::default();
    if let Some(s) = state(here, true) {
        local.secrets.0.insert(name(), s);
    }
    Case {
        base: BTreeMap::from([(name(), base)]),
        local,
        remotes,
        policy: Policy::default(),
    }
}

/// The plan in short: `a` is the first remote, `=` marks that memory is written.
fn render(plan: &Plan) -> String {
    let Some(s) = plan.secrets.get(&name()) else {
        return String::new();
    };
    let mut out: Vec<String> = s.actions.iter().map(short).collect();
    out.extend(
        s.conflicts
            .iter()
            .map(|c| format!("CONFLICT {} {} {}", c.remote, c.field, c.class)),
    );
    out.extend(s.notes.iter().map(|n| format!("({n})")));
    if !s.settled.is_empty() {
        out.push("=".into());
    }
    out.join("; ")
}

fn short(action: &Action) -> String {
    let text = action.to_string();
    let text = text.replace("0000000", "").replace("vault: ", "v: ");
    let text = text.replace("1970-01-01T00:16:40.000Z", "D");
    let text = text.replace("1970-01-01T00:33:20.000Z", "D2");
    let text = text
        .replace("AWSCURRENT", "CUR")
        .replace("AWSPREVIOUS", "PREV");
    text.replace("AWSPENDING", "PEND")
}

fn check(row: &str, here: &str, theres: &[There<'_>], expected: &str) {
    let c = case(here, theres);
    let plan = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(render(&plan), expected, "row {row}");
}
