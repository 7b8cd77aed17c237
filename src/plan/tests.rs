//! The tables of sync.md sections 1.4 and 1.6, row by row.
//!
//! A state is a line of words: `-` absent, `sched` / `tomb` lifecycle, `CUR=2` a
//! label on version 2, `v3` a version without labels, `3<2` version 3 with parent 2,
//! `desc=x`, `tag.k=x`. An intent is `CUR<1`: moved here, when it was on version 1.
//! `2~1` says that version 2 was read and has version 1's value, `2~1b` that it has the
//! same bytes as binary. Version 9 is a placeholder.

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
        created: Some(Timestamp::from_secs(n as i64)),
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

/// Existence: sync.md section 1.4, `local x remote`.
#[test]
fn existence_table() {
    let v1 = "CUR=1";
    let rows: &[(&str, &str, There<'_>, &str)] = &[
        ("UxU", v1, There(v1, v1, "", v1), ""),
        (
            "UxC",
            v1,
            There(v1, v1, "", "CUR=2 PREV=1"),
            "v: copy version 2; v: move CUR from 1 to 2; =",
        ),
        (
            "UxN first sight",
            "-",
            There("none", "", "", "CUR=2 PREV=1 desc=x"),
            "v: create; v: copy version 2; v: copy version 1; v: put CUR on 2; v: put PREV on 1; =",
        ),
        (
            "UxN after a tombstone, new incarnation",
            "tomb CUR=1",
            There("tomb", "tomb", "", "arn2 CUR=2"),
            "v: create; v: copy version 2; v: put CUR on 2; =",
        ),
        (
            "UxN same ARN as the tombstone: list lag",
            "tomb CUR=1",
            There("tomb", "tomb", "", "CUR=1"),
            "",
        ),
        (
            "UxD",
            v1,
            There(v1, v1, "", "-"),
            "v: mark as deleted (all versions are kept); =",
        ),
        (
            "UxS",
            v1,
            There(v1, v1, "", "sched CUR=1"),
            "v: schedule deletion for D; =",
        ),
        (
            "UxR",
            "sched CUR=1",
            There("sched CUR=1", "sched CUR=1", "", "CUR=2 PREV=1"),
            "v: restore; v: copy version 2; v: move CUR from 1 to 2; =",
        ),
        (
            "UxX",
            v1,
            There(v1, v1, "", "arn2 CUR=2"),
            "v: put the old one aside as s@AAAAAA; v: create; v: copy version 2; v: put CUR on 2; (a: deleted and created anew there; the old one is kept as s@AAAAAA); =",
        ),
        (
            "CxU",
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", v1),
            "a: add version 2; a: move CUR from 1 to 2; =",
        ),
        (
            "CxC on different fields",
            "CUR=1 desc=x",
            There(v1, v1, "", "CUR=1 tag.k=y"),
            "v: set tag k; a: set the description; =",
        ),
        (
            "CxC on one field",
            "CUR=1 desc=x",
            There(v1, v1, "", "CUR=1 desc=y"),
            "CONFLICT a description edit/edit",
        ),
        (
            "CxD",
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", "-"),
            "CONFLICT a lifecycle edit/delete",
        ),
        (
            "CxS",
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", "sched CUR=1"),
            "CONFLICT a lifecycle edit/schedule",
        ),
        (
            "CxX",
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", "arn2 CUR=3"),
            "v: copy version 3; CONFLICT a lifecycle edit/recreate",
        ),
        (
            "NxU",
            "CUR=2 PREV=1 blue=3 desc=x",
            There("none", "", "", "-"),
            "a: create with version 1; a: add version 2; a: add version 3; a: move CUR from 1 to 2; a: put blue on 3; =",
        ),
        (
            "NxU one version",
            v1,
            There("none", "", "", "-"),
            "a: create with version 1; =",
        ),
        (
            "NxU no version",
            "desc=x",
            There("none", "", "", "-"),
            "a: create; =",
        ),
        (
            "NxU after a tombstone",
            v1,
            There("tomb", "tomb", "", "-"),
            "a: create with version 1; =",
        ),
        ("NxN equal ids: adopt", v1, There("none", "", "", v1), "="),
        (
            "NxN different ids",
            v1,
            There("none", "", "", "CUR=2"),
            "v: copy version 2; CONFLICT a label AWSCURRENT create/create; (a: create/create, may be the same value; a sync compares them)",
        ),
        (
            "NxN different ids, the same value: the remote's id is adopted",
            v1,
            There("none", "", "", "CUR=2 2~1"),
            "v: copy version 2; v: move CUR from 1 to 2; =",
        ),
        (
            "NxN different ids, the same value, with what was before it there",
            "CUR=1 desc=x blue=1",
            There("none", "", "", "CUR=2 PREV=3 2~1"),
            "v: copy version 2; v: copy version 3; v: move CUR from 1 to 2; v: move PREV from 1 to 3; a: add version 1; a: put blue on 1; a: set the description; =",
        ),
        (
            "NxN different ids, another value",
            v1,
            There("none", "", "", "CUR=2 2~3"),
            "v: copy version 2; CONFLICT a label AWSCURRENT create/create",
        ),
        (
            "NxN different ids, the same bytes as binary",
            v1,
            There("none", "", "", "CUR=2 2~1b"),
            "v: copy version 2; CONFLICT a label AWSCURRENT create/create",
        ),
        (
            "CxC to the same value under two ids: both were edited",
            "CUR=3 PREV=1",
            There(v1, v1, "CUR<1", "CUR=2 PREV=1 2~3"),
            "v: copy version 2; CONFLICT a label AWSCURRENT edit/edit",
        ),
        (
            "NxN different description",
            "CUR=1 desc=x",
            There("none", "", "", "CUR=1 desc=y"),
            "CONFLICT a description create/create",
        ),
        (
            "NxN disjoint",
            "CUR=1 desc=x",
            There("none", "", "", "CUR=1 tag.k=y blue=1"),
            "v: set tag k; v: put blue on 1; a: set the description; =",
        ),
        (
            "NxS",
            v1,
            There("none", "", "", "sched CUR=2"),
            "CONFLICT a lifecycle name/scheduled",
        ),
        (
            "absent x S",
            "-",
            There("none", "", "", "sched CUR=2"),
            "(a: scheduled for deletion there; its values cannot be read)",
        ),
        (
            "DxU",
            "tomb CUR=1",
            There(v1, v1, "", v1),
            "a: schedule deletion; =",
        ),
        (
            "DxC: the remote's edit wins",
            "tomb CUR=1",
            There(v1, v1, "", "CUR=2 PREV=1"),
            "v: create; v: copy version 2; v: put CUR on 2; v: put PREV on 1; (a: deleted here, but changed there since: lives again); =",
        ),
        (
            "DxC over a move that never got out: the deletion gave it up",
            "tomb CUR=3 PREV=1",
            There(v1, v1, "CUR<1", "CUR=2 PREV=1"),
            "v: create; v: copy version 2; v: put CUR on 2; v: put PREV on 1; v: put sr/lost/19700101-3 on 3; (a: deleted here, but changed there since: lives again); =",
        ),
        (
            "DxC over a text edited here before",
            "tomb CUR=1 desc=x tag.k=1",
            There(v1, v1, "", "CUR=1 desc=y"),
            "v: create; v: put CUR on 1; (a: deleted here, but changed there since: lives again); =",
        ),
        (
            "DxC, nothing has a value there",
            "tomb CUR=1",
            There("", "", "", "desc=y"),
            "v: create; (a: deleted here, but changed there since: lives again); =",
        ),
        ("DxD", "tomb CUR=1", There(v1, v1, "", "-"), "="),
        ("DxS", "tomb CUR=1", There(v1, v1, "", "sched CUR=1"), "="),
        (
            "DxR",
            "tomb CUR=1",
            There("sched CUR=1", "sched CUR=1", "", v1),
            "v: create; v: put CUR on 1; (a: deleted here, but changed there since: lives again); =",
        ),
        (
            "DxX",
            "tomb CUR=1",
            There(v1, v1, "", "arn2 CUR=2"),
            "v: put the old one aside as s@AAAAAA; v: create; v: copy version 2; v: put CUR on 2; (a: deleted and created anew there; the old one is kept as s@AAAAAA); =",
        ),
        (
            "SxU",
            "sched CUR=1",
            There(v1, v1, "", v1),
            "a: schedule deletion for D; =",
        ),
        (
            "SxU gathers first",
            "sched CUR=1",
            There("CUR=1", "CUR=1 PREV=2", "", "CUR=1 PREV=2"),
            "v: copy version 2; a: schedule deletion for D; =",
        ),
        (
            "SxC",
            "sched CUR=1",
            There(v1, v1, "", "CUR=2 PREV=1"),
            "v: copy version 2; CONFLICT a lifecycle schedule/edit",
        ),
        (
            "SxD",
            "sched CUR=1",
            There(v1, v1, "", "-"),
            "v: mark as deleted (all versions are kept); =",
        ),
        ("SxS", "sched CUR=1", There(v1, v1, "", "sched CUR=1"), "="),
        (
            "SxX",
            "sched CUR=1",
            There(v1, v1, "", "arn2 CUR=2"),
            "v: put the old one aside as s@AAAAAA; v: create; v: copy version 2; v: put CUR on 2; (a: deleted and created anew there; the old one is kept as s@AAAAAA); =",
        ),
        (
            "UxX, the new one scheduled: ours is gone all the same",
            v1,
            There(v1, v1, "", "arn2 sched CUR=2"),
            "v: mark as deleted (all versions are kept); =",
        ),
        (
            "CxX, the new one scheduled",
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", "arn2 sched CUR=3"),
            "CONFLICT a lifecycle name/scheduled",
        ),
        (
            "RxU, a tombstone here whose secret is still scheduled there",
            v1,
            There("tomb", "sched CUR=1", "", "sched CUR=1"),
            "a: restore",
        ),
        (
            "RxR, after a tombstone here",
            v1,
            There("tomb", "sched CUR=1", "", "CUR=1"),
            "=",
        ),
        (
            "RxD, after a tombstone here",
            v1,
            There("tomb", "sched CUR=1", "", "-"),
            "a: create with version 1; =",
        ),
        (
            "RxU",
            v1,
            There("sched CUR=1", "sched CUR=1", "", "sched CUR=1"),
            "a: restore; =",
        ),
        (
            "RxD",
            v1,
            There("sched CUR=1", "sched CUR=1", "", "-"),
            "CONFLICT a lifecycle restore/purged",
        ),
        ("RxR", v1, There("sched CUR=1", "sched CUR=1", "", v1), "="),
        (
            "RxX",
            v1,
            There("sched CUR=1", "sched CUR=1", "", "arn2 CUR=2"),
            "v: copy version 2; CONFLICT a lifecycle edit/recreate",
        ),
        (
            "scheduled here before any sync, live there: first sync never deletes",
            "sched CUR=1",
            There("none", "", "", v1),
            "CONFLICT a lifecycle schedule/edit",
        ),
        (
            "made anew and scheduled here after a tombstone, made anew there",
            "sched CUR=1",
            There("tomb", "tomb", "", "arn2 CUR=2"),
            "v: copy version 2; CONFLICT a lifecycle schedule/edit",
        ),
        (
            "made anew and scheduled here after a tombstone, nothing there",
            "sched CUR=1",
            There("tomb", "tomb", "", "-"),
            "",
        ),
        (
            "base scheduled, purged there",
            "sched CUR=1",
            There("sched CUR=1", "sched CUR=1", "", "-"),
            "v: mark as deleted (all versions are kept); =",
        ),
        (
            "tombstone never synced",
            "tomb CUR=1",
            There("none", "", "", "-"),
            "",
        ),
    ];
    for (row, here, there, expected) in rows {
        let There(a, b, c, d) = there;
        check(row, here, &[There(a, b, c, d)], expected);
    }
}

/// Labels: sync.md section 1.6, `change here x change there`.
#[test]
fn label_table() {
    let v1 = "CUR=1";
    let rows: &[(&str, &str, There<'_>, &str)] = &[
        // AWSCURRENT
        (
            "CUR U x moved",
            v1,
            There(v1, v1, "", "CUR=2 PREV=1"),
            "v: copy version 2; v: move CUR from 1 to 2; =",
        ),
        (
            "CUR moved x U",
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", v1),
            "a: add version 2; a: move CUR from 1 to 2; =",
        ),
        (
            "CUR moved x U, base merged past the author",
            "CUR=5 PREV=1 v2",
            There("CUR=2", "CUR=2", "CUR<1", "CUR=2"),
            "CONFLICT a label AWSCURRENT edit/edit",
        ),
        (
            "CUR moved x moved same",
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", "CUR=2 PREV=1"),
            "=",
        ),
        (
            "CUR moved x moved, remote ahead",
            "CUR=2 PREV=1 2<1",
            There(v1, v1, "CUR<1", "CUR=3 PREV=2"),
            "v: copy version 3; v: move CUR from 2 to 3; =",
        ),
        (
            "CUR moved x moved, here ahead",
            "CUR=3 PREV=2 3<2 2<1 v1",
            There(v1, v1, "CUR<1", "CUR=2 PREV=1"),
            "a: add version 3; a: move CUR from 2 to 3; =",
        ),
        (
            "CUR moved x moved, not ff",
            "CUR=2 PREV=1 2<1",
            There(v1, v1, "CUR<1", "CUR=4 PREV=1"),
            "v: copy version 4; CONFLICT a label AWSCURRENT edit/edit",
        ),
        (
            "CUR moved x rolled back there: never fast-forwarded over",
            "CUR=3 PREV=2 3<2 2<1 v1",
            There("CUR=2 PREV=1", "CUR=2 PREV=1", "CUR<2", "CUR=1 PREV=2"),
            "CONFLICT a label AWSCURRENT edit/edit",
        ),
        (
            "CUR rolled back here x U",
            "CUR=1 PREV=2 2<1",
            There("CUR=2 PREV=1", "CUR=2 PREV=1", "CUR<2", "CUR=2 PREV=1"),
            "a: move CUR from 2 to 1; =",
        ),
        (
            "CUR rolled back here, collected there x U",
            "CUR=1 PREV=2 3<2",
            There("CUR=3 PREV=2", "CUR=3 PREV=2", "CUR<3", "CUR=3 PREV=2"),
            "a: add version 1; a: move CUR from 3 to 1; =",
        ),
        (
            "CUR first value here",
            "CUR=1",
            There("desc=x", "desc=x", "CUR<none", "desc=x"),
            "a: add version 1; a: clear the description; =",
        ),
        (
            "CUR first value there",
            "desc=x",
            There("desc=x", "desc=x", "", "desc=x CUR=1"),
            "v: copy version 1; v: put CUR on 1; =",
        ),
        (
            "CUR first value on both, different",
            "CUR=1 desc=x",
            There("desc=x", "desc=x", "CUR<none", "desc=x CUR=2"),
            "v: copy version 2; CONFLICT a label AWSCURRENT edit/edit",
        ),
        (
            "CUR here is older than agreed and nobody moved it",
            "CUR=1 v2",
            There("CUR=2", "CUR=2", "", "CUR=2"),
            "CONFLICT a label AWSCURRENT rewound",
        ),
        (
            "CUR here is older, and the remote went on: a mirror follows",
            "CUR=1 v2",
            There("CUR=2", "CUR=2", "", "CUR=3 PREV=2"),
            "v: copy version 3; v: move CUR from 1 to 3; v: move PREV from 1 to 2; =",
        ),
        // AWSPREVIOUS
        (
            "P1 adopt the remote's report",
            v1,
            There(v1, v1, "", "CUR=3 PREV=2"),
            "v: copy version 3; v: copy version 2; v: move CUR from 1 to 3; v: move PREV from 1 to 2; =",
        ),
        (
            "P2 offline chain: v2 never goes live",
            "CUR=3 PREV=2 3<2 2<1 v1",
            There(v1, v1, "CUR<1", v1),
            "a: add version 3; a: move CUR from 1 to 3; =",
        ),
        (
            "P2 the pair differs and stays quiet",
            "CUR=3 PREV=2 v1",
            There("CUR=3 PREV=2", "CUR=3 PREV=1", "", "CUR=3 PREV=1"),
            "",
        ),
        (
            "P5 moved by hand there",
            "CUR=3 PREV=2 v1",
            There("CUR=3 PREV=2", "CUR=3 PREV=2", "", "CUR=3 PREV=1"),
            "v: move PREV from 2 to 1; =",
        ),
        (
            "P5 moved by hand here: never pushed",
            "CUR=3 PREV=1 v2",
            There("CUR=3 PREV=2", "CUR=3 PREV=2", "", "CUR=3 PREV=2"),
            "=",
        ),
        // AWSPENDING
        (
            "PEND added there without a value",
            v1,
            There(v1, v1, "", "CUR=1 PEND=9"),
            "v: copy version 9; v: put PEND on 9; =",
        ),
        (
            "PEND added here: refused",
            "CUR=1 PEND=2",
            There(v1, v1, "", v1),
            "=",
        ),
        (
            "PEND on both, different: the remote wins",
            "CUR=1 PEND=2",
            There(v1, v1, "", "CUR=1 PEND=3"),
            "v: copy version 3; v: move PEND from 2 to 3; =",
        ),
        (
            "PEND removed there",
            "CUR=2 PREV=1 PEND=2",
            There(
                "CUR=2 PREV=1 PEND=2",
                "CUR=2 PREV=1 PEND=2",
                "",
                "CUR=2 PREV=1",
            ),
            "v: take PEND off 2; =",
        ),
        // custom
        (
            "X U x moved",
            "CUR=1 X=1 v2",
            There("CUR=1 X=1", "CUR=1 X=1", "", "CUR=1 X=2"),
            "v: move X from 1 to 2; =",
        ),
        (
            "X moved x U",
            "CUR=1 X=2",
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", "CUR=1 X=1"),
            "a: add version 2; a: move X from 1 to 2; =",
        ),
        (
            "X moved x moved same",
            "CUR=1 X=2",
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", "CUR=1 X=2"),
            "=",
        ),
        (
            "X moved x moved",
            "CUR=1 X=2",
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", "CUR=1 X=3"),
            "v: copy version 3; CONFLICT a label X edit/edit",
        ),
        (
            "X added x U",
            "CUR=1 X=1",
            There(v1, v1, "X<none", v1),
            "a: put X on 1; =",
        ),
        (
            "X U x added",
            v1,
            There(v1, v1, "", "CUR=1 X=1"),
            "v: put X on 1; =",
        ),
        (
            "X added x added same",
            "CUR=1 X=1",
            There(v1, v1, "X<none", "CUR=1 X=1"),
            "=",
        ),
        (
            "X added x added",
            "CUR=1 X=1",
            There(v1, v1, "X<none", "CUR=1 X=2"),
            "v: copy version 2; CONFLICT a label X edit/edit",
        ),
        (
            "X removed x U",
            v1,
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", "CUR=1 X=1"),
            "a: take X off 1; =",
        ),
        (
            "X U x removed, its version stays findable",
            "CUR=1 X=2",
            There("CUR=1 X=2", "CUR=1 X=2", "", v1),
            "v: take X off 2; v: put sr/was/X on 2; =",
        ),
        (
            "X removed x removed",
            v1,
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", v1),
            "=",
        ),
        (
            "X removed x moved",
            "CUR=1",
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", "CUR=1 X=2"),
            "v: copy version 2; CONFLICT a label X edit/edit",
        ),
        (
            "X moved x removed",
            "CUR=1 X=2",
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", v1),
            "CONFLICT a label X edit/edit",
        ),
        (
            "local labels stay here",
            "CUR=1 sr/lost/x=2",
            There(v1, v1, "", v1),
            "",
        ),
        (
            "the holding label is nobody's change",
            v1,
            There(v1, v1, "", "CUR=1 SRPUSH=4"),
            "",
        ),
        // versions
        (
            "an unlabelled version that vanished there is no deletion (1.10)",
            "CUR=2 PREV=1 v3",
            There("CUR=2 PREV=1", "CUR=2 PREV=1", "", "CUR=2 PREV=1"),
            "",
        ),
        // K3, K4
        (
            "K3 rotated there: values are not pushed",
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", "rot CUR=1"),
            "(a: not pushed: it is rotated there; rotation owns its values)",
        ),
        (
            "K3 in the middle of a rotation",
            "CUR=2 PREV=1 PEND=9",
            There("CUR=1 PEND=9", "CUR=1 PEND=9", "CUR<1", "CUR=1 PEND=9"),
            "(a: not pushed: it is rotated there; rotation owns its values)",
        ),
        (
            "K3 rotated there: its new value is pulled",
            v1,
            There(v1, v1, "", "rot CUR=2 PREV=1 PEND=2"),
            "v: copy version 2; v: move CUR from 1 to 2; v: put PEND on 2; =",
        ),
        (
            "K4 a replica is read-only",
            "CUR=1 desc=x",
            There(v1, v1, "", "rep CUR=1"),
            "(a: not pushed: it is a replica there; change it in its primary Region)",
        ),
        (
            "K4 a replica is not deleted",
            "sched CUR=1",
            There(v1, v1, "", "rep CUR=1"),
            "(a: not pushed: it is a replica there; change it in its primary Region)",
        ),
        (
            "owned by a service",
            "CUR=1 desc=x",
            There(v1, v1, "", "own CUR=1"),
            "(a: not pushed: an AWS service owns it there)",
        ),
    ];
    for (row, here, there, expected) in rows {
        let There(a, b, c, d) = there;
        check(row, here, &[There(a, b, c, d)], expected);
    }
}

/// Fields: sync.md section 1.7.
#[test]
fn text_table() {
    for (row, here, there, expected) in [
        (
            "desc pulled",
            "desc=x",
            There("desc=x", "desc=x", "", "desc=y"),
            "v: set the description; =",
        ),
        (
            "desc cleared there",
            "desc=x",
            There("desc=x", "desc=x", "", ""),
            "v: clear the description; =",
        ),
        (
            "desc pushed",
            "desc=y",
            There("desc=x", "desc=x", "", "desc=x"),
            "a: set the description; =",
        ),
        (
            "desc both the same",
            "desc=y",
            There("desc=x", "desc=x", "", "desc=y"),
            "=",
        ),
        (
            "tags merge per key",
            "tag.a=2 tag.b=1",
            There("tag.a=1 tag.b=1", "tag.a=1 tag.b=1", "", "tag.a=1 tag.b=2"),
            "v: set tag b; a: set tag a; =",
        ),
        (
            "tag removed here",
            "",
            There("tag.a=1", "tag.a=1", "", "tag.a=1"),
            "a: remove tag a; =",
        ),
        (
            "tag removed here, changed there",
            "",
            There("tag.a=1", "tag.a=1", "", "tag.a=2"),
            "CONFLICT a tag a edit/edit",
        ),
    ] {
        check(row, here, &[there], expected);
    }
}

/// Several remotes in one merge: sync.md section 1.13.
#[test]
fn several_remotes() {
    let v1 = || There("CUR=1", "CUR=1", "", "CUR=1");
    let moved = |to| There("CUR=1", "CUR=1", "", to);
    check(
        "a change on one reaches the other in one plan",
        "CUR=1",
        &[moved("CUR=2 PREV=1"), v1()],
        "v: copy version 2; v: move CUR from 1 to 2; b: add version 2; b: move CUR from 1 to 2; =",
    );
    check(
        "two remotes changed it differently",
        "CUR=1",
        &[moved("CUR=2 PREV=1"), moved("CUR=3 PREV=1")],
        "v: copy version 2; v: copy version 3; CONFLICT b label AWSCURRENT remote/remote",
    );
    check(
        "two remotes changed it to the same",
        "CUR=1",
        &[moved("CUR=2 PREV=1"), moved("CUR=2 PREV=1")],
        "v: copy version 2; v: move CUR from 1 to 2; =",
    );
    check(
        "one is a write ahead of the other",
        "CUR=1",
        &[moved("CUR=2 PREV=1"), moved("CUR=3 PREV=2")],
        "v: copy version 2; v: copy version 3; v: move CUR from 1 to 3; v: move PREV from 1 to 2; a: add version 3; a: move CUR from 2 to 3; =",
    );
    check(
        "an edit here goes to both",
        "CUR=2 PREV=1",
        &[
            There("CUR=1", "CUR=1", "CUR<1", "CUR=1"),
            There("CUR=1", "CUR=1", "CUR<1", "CUR=1"),
        ],
        "a: add version 2; a: move CUR from 1 to 2; b: add version 2; b: move CUR from 1 to 2; =",
    );
    check(
        "pending for b only; a went on",
        "CUR=2 PREV=1",
        &[
            There("CUR=2 PREV=1", "CUR=2 PREV=1", "", "CUR=3 PREV=2"),
            There("CUR=1", "CUR=1", "CUR<1", "CUR=1"),
        ],
        "v: copy version 3; v: move CUR from 2 to 3; b: add version 3; b: move CUR from 1 to 3; =",
    );
    for (row, one, two) in [("first", 0, 1), ("last", 1, 0)] {
        let theres = [
            There("none", "", "", "CUR=1"),
            There("tomb", "tomb", "CUR<1", "arn2 CUR=1 PREV=4"),
        ];
        let [a, b] = [one, two].map(|n: usize| {
            let There(x, y, z, w) = theres[n];
            There(x, y, z, w)
        });
        let with = ["a", "b"][one];
        check(
            &format!("a decision about what two remotes have, the one without it {row}"),
            "CUR=4",
            &[a, b],
            &format!(
                "v: copy version 1; CONFLICT {with} label AWSCURRENT create/create; ({with}: create/create, may be the same value; a sync compares them)"
            ),
        );
    }
    check(
        "deleted on one, edited on the other",
        "CUR=1",
        &[moved("-"), moved("CUR=2 PREV=1")],
        "v: copy version 2; CONFLICT a lifecycle remote/remote",
    );
    check(
        "deleted on one, unchanged on the other: the other follows under its own guard",
        "CUR=1",
        &[moved("sched CUR=1"), v1()],
        "v: schedule deletion for D; =",
    );
    check(
        "new on two, and not the same",
        "-",
        &[
            There("none", "", "", "CUR=1"),
            There("none", "", "", "CUR=2"),
        ],
        "v: copy version 1; v: copy version 2; CONFLICT b label AWSCURRENT remote/remote",
    );
    check(
        "new on one, created on the other",
        "-",
        &[There("none", "", "", "CUR=1"), There("none", "", "", "-")],
        "v: create; v: copy version 1; v: put CUR on 1; =",
    );
}

#[test]
fn directions() {
    let mut c = case(
        "CUR=2 PREV=1 desc=x",
        &[There("CUR=1", "CUR=1", "CUR<1", "CUR=1")],
    );
    let policy = |direction| RemotePolicy {
        direction,
        ..RemotePolicy::default()
    };
    c.policy
        .remotes
        .insert(remote("a"), policy(Direction::Pull));
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(
        render(&p),
        "(a: not pushed: the remote's direction is pull)"
    );

    let mut c = case(
        "CUR=1",
        &[There("CUR=1", "CUR=1", "", "CUR=2 PREV=1 desc=x")],
    );
    c.policy
        .remotes
        .insert(remote("a"), policy(Direction::Push));
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(p.actions().count(), 0, "{p}");
    assert_eq!(p.conflicts().count(), 0, "{p}");

    // Not pulled, but not overwritten unseen either.
    let mut c = case(
        "CUR=3 PREV=1 3<1 desc=z",
        &[There("CUR=1", "CUR=1", "CUR<1", "CUR=2 PREV=1 desc=x")],
    );
    c.policy
        .remotes
        .insert(remote("a"), policy(Direction::Push));
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(p.conflicts().count(), 2, "{p}");
}

#[test]
fn a_blocked_secret_is_skipped_and_named_and_the_others_go_on() {
    let mut c = case("CUR=1", &[There("none", "", "", "-")]);
    let other: SecretName = "t".parse().unwrap();
    c.local
        .blocked
        .insert(other.clone(), "conflict markers".into());
    let sight = Sight::Blocked("AccessDeniedException".into());
    let third: SecretName = "u".parse().unwrap();
    c.remotes
        .get_mut(&remote("a"))
        .unwrap()
        .secrets
        .insert(third.clone(), sight);
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(render(&p), "a: create with version 1; =");
    assert_eq!(p.secrets[&other].notes.len(), 1);
    assert_eq!(p.secrets[&third].notes.len(), 1);
    assert!(p.secrets[&other].actions.is_empty() && p.secrets[&third].actions.is_empty());
}

#[test]
fn what_is_out_of_scope_is_not_looked_at() {
    let mut c = case("CUR=1", &[There("CUR=1", "CUR=1", "", "-")]);
    let mut policy = RemotePolicy::default();
    policy.scope.exclude.push("s".into());
    c.policy.remotes.insert(remote("a"), policy);
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(render(&p), "", "a changed filter is no deletion");
}

/// Every conflict, each way out: the next plan after the answer has no conflict.
#[test]
fn every_resolution_leads_out() {
    let v1 = "CUR=1";
    let cases: &[(&str, There<'_>, &str, &str)] = &[
        (
            "CUR=2 PREV=1 2<1 v4",
            There(v1, v1, "CUR<1", "CUR=4 PREV=1"),
            "a: add version 2; a: move CUR from 4 to 2; =",
            "v: move PREV from 2 to 1; =",
        ),
        (
            "CUR=1 v2",
            There("none", "", "", "CUR=2"),
            "a: add version 1; a: move CUR from 2 to 1; =",
            "=",
        ),
        (
            "CUR=1 v2",
            There("CUR=2", "CUR=2", "", "CUR=2"),
            "a: add version 1; a: move CUR from 2 to 1; =",
            "=",
        ),
        (
            "CUR=1 X=2 v3",
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", "CUR=1 X=3"),
            "a: add version 2; a: move X from 3 to 2; =",
            "=",
        ),
        (
            "CUR=1 X=2",
            There("CUR=1 X=1", "CUR=1 X=1", "X<1", v1),
            "a: add version 2; a: put X on 2; =",
            "=",
        ),
        (
            "CUR=1 desc=x",
            There(v1, v1, "", "CUR=1 desc=y"),
            "a: set the description; =",
            "=",
        ),
        (
            "CUR=1 desc=x",
            There("none", "", "", "CUR=1 desc=y"),
            "a: set the description; =",
            "=",
        ),
        (
            "CUR=1",
            There("CUR=1 tag.a=1", "CUR=1 tag.a=1", "", "CUR=1 tag.a=2"),
            "a: remove tag a; =",
            "=",
        ),
        (
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", "-"),
            "a: create with version 1; a: add version 2; a: move CUR from 1 to 2; =",
            "=",
        ),
        (
            "CUR=2 PREV=1",
            There(v1, v1, "CUR<1", "sched CUR=1"),
            "a: restore; a: add version 2; a: move CUR from 1 to 2; =",
            "v: take over the deletion date D; =",
        ),
        (
            "sched CUR=1 v2",
            There(v1, v1, "", "CUR=2 PREV=1"),
            "a: schedule deletion for D; =",
            "v: move CUR from 1 to 2; =",
        ),
        (
            "CUR=1",
            There("sched CUR=1", "sched CUR=1", "", "-"),
            "a: create with version 1; =",
            "=",
        ),
        (
            "CUR=2 PREV=1 v3",
            There(v1, v1, "CUR<1", "arn2 CUR=3"),
            "CONFLICT a label AWSCURRENT create/create; (a: create/create, may be the same value; a sync compares them)",
            "v: put the old one aside as s@AAAAAA; v: create; v: copy version 3; v: put CUR on 3; (a: deleted and created anew there; the old one is kept as s@AAAAAA); =",
        ),
        (
            "sched CUR=1",
            There("tomb", "tomb", "", "arn2 CUR=1"),
            "a: schedule deletion for D; =",
            "=",
        ),
        (
            "sched CUR=2 PREV=1 v3",
            There("sched CUR=1", "sched CUR=1", "CUR<1", "CUR=3 PREV=1"),
            "a: add version 2; a: move CUR from 3 to 2; =",
            "v: move PREV from 2 to 1; =",
        ),
        (
            "sched desc=x",
            There("sched", "sched", "", "desc=y"),
            "a: set the description; =",
            "=",
        ),
        (
            v1,
            There("none", "", "", "sched CUR=2"),
            "a: restore",
            "(a: scheduled for deletion there; its values cannot be read)",
        ),
    ];
    for (here, There(a, b, c, d), after_ours, after_theirs) in cases {
        for (choice, expected) in [(Choice::Ours, after_ours), (Choice::Theirs, after_theirs)] {
            let mut c = case(here, &[There(a, b, c, d)]);
            let found = plan(&c.base, &c.local, &c.remotes, &c.policy);
            let (_, conflict) = found.conflicts().next().unwrap_or_else(|| panic!("{here}"));
            let mut record = crate::model::Record {
                state: c.local.secrets.0[&name()].clone(),
                base: c.base[&name()].clone(),
                ..crate::model::Record::new(name())
            };
            resolve(&mut record, conflict, &choice).unwrap();
            c.local.secrets.0.insert(name(), record.state);
            c.base.insert(name(), record.base);
            let next = plan(&c.base, &c.local, &c.remotes, &c.policy);
            let rendered = render(&next);
            if *expected == "(a: scheduled for deletion there; its values cannot be read)" {
                assert!(next.is_quiet(), "{here} {choice:?}: {rendered}");
            } else {
                assert_eq!(&rendered, expected, "{here} | {d} {choice:?}");
            }
        }
    }
}

/// Remotes against each other, each way out.
#[test]
fn what_two_remotes_disagree_on_leads_out() {
    let v1 = "CUR=1";
    let moved = |to: &'static str| There("CUR=1", "CUR=1", "", to);
    let cases: &[(&str, &str, [There<'_>; 2], &str, &str)] = &[
        (
            "gone on one, edited on the other",
            v1,
            [moved("-"), moved("CUR=2 PREV=1")],
            "v: move CUR from 1 to 2; a: create with version 1; a: add version 2; a: move CUR from 1 to 2; =",
            "b: schedule deletion; =",
        ),
        (
            "the same, the other way round",
            v1,
            [moved("CUR=1 desc=x"), moved("-")],
            "v: set the description; b: create with version 1; =",
            "a: schedule deletion; =",
        ),
        (
            "scheduled on one, edited on the other",
            v1,
            [moved("sched CUR=1"), moved("CUR=2 PREV=1")],
            "a: restore; v: move CUR from 1 to 2; a: add version 2; a: move CUR from 1 to 2; =",
            "v: take over the deletion date D; b: schedule deletion; =",
        ),
        (
            "made anew on one, gone on the other: what was never met is not deleted",
            v1,
            [There("tomb", "tomb", "", "arn2 CUR=1 desc=x"), moved("-")],
            "v: set the description; b: create with version 1; =",
            "v: create; v: put CUR on 1; =",
        ),
        (
            "a label, moved on both",
            v1,
            [moved("CUR=2 PREV=1"), moved("CUR=3 PREV=1")],
            "a: move CUR from 2 to 1; b: move CUR from 3 to 1; =",
            "v: move PREV from 3 to 1; b: add version 2; b: move CUR from 3 to 2; =",
        ),
        (
            "a text, changed on both",
            "desc=x",
            [
                There("desc=x", "desc=x", "", "desc=y"),
                There("desc=x", "desc=x", "", "desc=z"),
            ],
            "a: set the description; b: set the description; =",
            "b: set the description; =",
        ),
        (
            "a label, new on both",
            "tomb CUR=3",
            [There("none", "", "", v1), There("none", "", "", "CUR=2")],
            "a: add version 3; a: move CUR from 1 to 3; b: add version 3; b: move CUR from 2 to 3; =",
            "b: add version 1; b: move CUR from 2 to 1; =",
        ),
        (
            "deleted here, moved on both",
            "tomb CUR=1",
            [moved("CUR=2 PREV=1"), moved("CUR=3 PREV=1")],
            "a: move CUR from 2 to 1; b: move CUR from 3 to 1; =",
            "v: move PREV from 3 to 1; b: add version 2; b: move CUR from 3 to 2; =",
        ),
        (
            "texts and a label, new on both and here",
            "CUR=3 X=3 desc=x",
            [
                There("none", "", "", "CUR=3 X=1 desc=y"),
                There("none", "", "", "CUR=3 X=2 desc=z"),
            ],
            "a: move X from 1 to 3; a: set the description; b: move X from 2 to 3; b: set the description; =",
            "a: set the description; b: add version 1; b: move X from 2 to 1; =",
        ),
    ];
    let mut wrong = Vec::new();
    for (row, here, theres, after_ours, after_theirs) in cases {
        for (choice, expected) in [(Choice::Ours, after_ours), (Choice::Theirs, after_theirs)] {
            let mut c = case(here, theres);
            let mut at = String::new();
            // A label that two remotes moved may be asked about once for each.
            for _ in 0..3 {
                let found = plan(&c.base, &c.local, &c.remotes, &c.policy);
                at = render(&found);
                let conflicts: Vec<_> = found.conflicts().map(|(_, x)| x.clone()).collect();
                if conflicts.is_empty() {
                    break;
                }
                let mut record = crate::model::Record {
                    state: c.local.secrets.0[&name()].clone(),
                    base: c.base[&name()].clone(),
                    ..crate::model::Record::new(name())
                };
                // What the plan copies is here by then.
                for (_, action) in found.actions() {
                    record.apply(&action.change, Author::Here).unwrap();
                }
                for conflict in &conflicts {
                    resolve(&mut record, conflict, &choice).unwrap();
                }
                c.local.secrets.0.insert(name(), record.state);
                c.base.insert(name(), record.base);
            }
            if at != *expected {
                wrong.push(format!("{row} {choice:?}: {at}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn resolving_keeps_the_loser_under_a_label_and_refuses_what_is_not_here() {
    let c = case(
        "CUR=2 PREV=1 2<1 v4",
        &[There("CUR=1", "CUR=1", "CUR<1", "CUR=4 PREV=1")],
    );
    let found = plan(&c.base, &c.local, &c.remotes, &c.policy);
    let (_, conflict) = found.conflicts().next().unwrap();
    let record = crate::model::Record {
        state: c.local.secrets.0[&name()].clone(),
        base: c.base[&name()].clone(),
        ..crate::model::Record::new(name())
    };
    for (choice, lost) in [
        (Choice::Ours, vec![4]),
        (Choice::Theirs, vec![2]),
        (Choice::To(id(1)), vec![2, 4]),
    ] {
        let mut r = record.clone();
        let done = resolve(&mut r, conflict, &choice).unwrap();
        let kept: Vec<VersionId> = done.kept.iter().map(|(_, v)| v.clone()).collect();
        assert_eq!(kept, lost.iter().map(|n| id(*n)).collect::<Vec<_>>());
        for (label, v) in done.kept {
            assert_eq!(r.state.labels.get(&label), Some(&v));
            assert!(label.as_str().starts_with("sr/lost/19700101-"), "{label}");
        }
    }
    let mut without = record.clone();
    without.state.versions.remove(&id(4));
    assert_eq!(
        resolve(&mut without, conflict, &Choice::Ours),
        Err(ResolveError::NotFetched(id(4)))
    );
    let mut moved = record;
    moved.state.labels.insert(StagingLabel::current(), id(1));
    assert_eq!(
        resolve(&mut moved, conflict, &Choice::Ours),
        Err(ResolveError::Stale)
    );
}

#[test]
fn guards() {
    let mut base = Base::new();
    let mut local = LocalView::default();
    let mut view = RemoteView::default();
    let pair = |text: &str| RemoteBase {
        pair: Some(Pair {
            arn: "arn-AAAAAA".into(),
            changed: None,
            local: face(text),
            remote: face(text),
        }),
        ..RemoteBase::default()
    };
    for n in 0..100 {
        let name: SecretName = format!("f{}/s{n}", n / 10).parse().unwrap();
        base.insert(
            name.clone(),
            SecretBase::from([(remote("a"), pair("CUR=1"))]),
        );
        local
            .secrets
            .0
            .insert(name.clone(), state("CUR=1", true).unwrap());
        if n >= 11 {
            view.secrets.insert(
                name,
                Sight::Seen(RemoteSecret {
                    state: state("CUR=1", false).unwrap(),
                    facts: RemoteFacts {
                        arn: "arn-AAAAAA".into(),
                        ..RemoteFacts::default()
                    },
                }),
            );
        }
    }
    view.listed = view.secrets.len();
    let check = |view: &RemoteView, limits| {
        let remotes = BTreeMap::from([(remote("a"), view.clone())]);
        let p = plan(&base, &local, &remotes, &Policy::default());
        p.check(&base, &remotes, limits)
    };
    assert!(matches!(
        check(&view, Limits::default()),
        Err(Halt::TooManyDeletions {
            deletions: 11,
            total: 100,
            allowed: 10,
            ..
        })
    ));
    assert!(matches!(
        check(
            &view,
            Limits {
                count: 11,
                percent: 10,
                folders: true
            }
        ),
        Err(Halt::WholeFolder { count: 10, .. })
    ));
    let empty = RemoteView::default();
    assert!(matches!(
        check(
            &empty,
            Limits {
                count: 1000,
                percent: 100,
                folders: true
            }
        ),
        Err(Halt::EmptyListing { known: 100, .. })
    ));
}

#[test]
fn first_sync_never_deletes() {
    // Whatever both sides hold, a plan without a base deletes nothing (sync.md 1.11).
    for here in ["-", "CUR=1", "sched CUR=1", "tomb CUR=1", "desc=x"] {
        for there in ["-", "CUR=1", "CUR=2 PREV=1", "sched CUR=1", ""] {
            let c = case(here, &[There("none", "", "", there)]);
            let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
            assert!(
                p.actions().all(|(_, a)| !matches!(
                    a.change,
                    Change::Delete { .. } | Change::Tombstone | Change::Archive { .. }
                )),
                "{here} x {there}: {p}"
            );
        }
    }
}

#[test]
fn a_plan_prints_sorted_and_without_values() {
    let c = case("CUR=2 PREV=1", &[There("CUR=1", "CUR=1", "CUR<1", "CUR=1")]);
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(
        p.to_string(),
        "s\n  a: add version 20000000\n  a: move AWSCURRENT from 10000000 to 20000000\n"
    );
}
