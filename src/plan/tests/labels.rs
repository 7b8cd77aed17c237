//! The table of sync.md section 1.6.

use super::*;

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
        (
            "PEND U x moved",
            "CUR=1 PEND=2",
            There("CUR=1 PEND=2", "CUR=1 PEND=2", "", "CUR=1 PEND=3"),
            "v: copy version 3; v: move PEND from 2 to 3; =",
        ),
        (
            "PEND moved x U: refused",
            "CUR=1 PEND=3 v2",
            There("CUR=1 PEND=2", "CUR=1 PEND=2", "PEND<2", "CUR=1 PEND=2"),
            "=",
        ),
        (
            "PEND removed x U: not pushed",
            "CUR=1 v2",
            There("CUR=1 PEND=2", "CUR=1 PEND=2", "PEND<2", "CUR=1 PEND=2"),
            "=",
        ),
        (
            "PREV removed x U: it is the vault's own",
            "CUR=2 v1",
            There("CUR=2 PREV=1", "CUR=2 PREV=1", "", "CUR=2 PREV=1"),
            "=",
        ),
        (
            "PREV U x removed: the vault keeps its own, which is for show (P2)",
            "CUR=2 PREV=1",
            There("CUR=2 PREV=1", "CUR=2 PREV=1", "", "CUR=2"),
            "=",
        ),
        (
            "CUR removed x U: it can move, not vanish, and is put back",
            "v1",
            There(v1, v1, "CUR<1", v1),
            "v: put CUR on 1; =",
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
