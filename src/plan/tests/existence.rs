//! The table of sync.md section 1.4.

use super::*;

/// A row: its cell, `local x remote`, what is here, what was agreed and is there, the
/// plan.
type Row = (&'static str, &'static str, There<'static>, &'static str);

/// Existence: sync.md section 1.4, `local x remote`.
#[test]
fn existence_table() {
    for (row, here, There(a, b, c, d), expected) in rows() {
        check(row, here, &[There(a, b, c, d)], expected);
    }
}

/// The classes of section 1.3: unchanged, changed, new, deleted, scheduled, restored,
/// made anew. What cannot be is left out: N has no base, S is of what lives, R of what
/// is scheduled, and X has a base.
#[test]
fn every_cell_of_1_4_has_a_row() {
    let impossible = [
        "NxC", "CxN", "NxD", "NxX", "XxN", "DxN", "SxN", "RxN", "SxR",
    ];
    let rows = rows();
    for here in "UCNDSRX".chars() {
        for there in "UCNDSRX".chars() {
            let cell = format!("{here}x{there}");
            let named = rows.iter().any(|(row, ..)| row.starts_with(&cell));
            let can_be = !impossible.contains(&cell.as_str());
            assert_eq!(named, can_be, "{cell}");
        }
    }
}

fn rows() -> Vec<Row> {
    let v1 = "CUR=1";
    vec![
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
        (
            "CxR: restored there, and its text changed here meanwhile",
            "sched CUR=1 desc=x",
            There("sched CUR=1", "sched CUR=1", "", v1),
            "v: restore; a: set the description; =",
        ),
        (
            "NxR: first seen after a restore, as NxN",
            v1,
            There("none", "", "", v1),
            "=",
        ),
        (
            "RxC: restored here, and its text changed there meanwhile",
            v1,
            There("sched CUR=1", "sched CUR=1", "", "sched CUR=1 desc=y"),
            "a: restore; v: set the description; =",
        ),
        (
            "RxS: restored here, and another date there",
            v1,
            There("sched CUR=1", "sched CUR=1", "", "sched2 CUR=1"),
            "a: restore; =",
        ),
        (
            "UxS, scheduled already: another date there is taken",
            "sched CUR=1",
            There("sched CUR=1", "sched CUR=1", "", "sched2 CUR=1"),
            "v: take over the deletion date D2; =",
        ),
        // What was deleted and put anew here before a sync is an edit: the ARN is used on.
        (
            "XxU",
            "CUR=5 v1",
            There(v1, v1, "CUR<1", v1),
            "a: add version 5; a: move CUR from 1 to 5; =",
        ),
        (
            "XxC",
            "CUR=5 v1",
            There(v1, v1, "CUR<1", "CUR=2 PREV=1"),
            "v: copy version 2; CONFLICT a label AWSCURRENT edit/edit",
        ),
        (
            "XxD",
            "CUR=5 v1",
            There(v1, v1, "CUR<1", "-"),
            "CONFLICT a lifecycle edit/delete",
        ),
        (
            "XxS",
            "CUR=5 v1",
            There(v1, v1, "CUR<1", "sched CUR=1"),
            "CONFLICT a lifecycle edit/schedule",
        ),
        (
            "XxR",
            "CUR=5 v1",
            There("sched CUR=1", "sched CUR=1", "CUR<1", v1),
            "a: add version 5; a: move CUR from 1 to 5; =",
        ),
        (
            "XxX",
            "CUR=5 v1",
            There(v1, v1, "CUR<1", "arn2 CUR=2"),
            "v: copy version 2; CONFLICT a lifecycle edit/recreate",
        ),
    ]
}
