//! Several remotes in one merge: sync.md section 1.13.

use super::*;

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
    for (row, one, two) in [("last", 0, 1), ("first", 1, 0)] {
        let theres = [
            There("none", "", "", "CUR=1"),
            There("tomb", "tomb", "CUR<1", "arn2 CUR=1 PREV=4"),
        ];
        let [a, b] = [one, two].map(|n: usize| {
            let There(x, y, z, w) = theres[n];
            There(x, y, z, w)
        });
        check(
            &format!("a move recorded against an earlier incarnation, which is {row}"),
            "CUR=4",
            &[a, b],
            "v: copy version 1; v: move CUR from 4 to 1; =",
        );
    }
    check(
        "rolled back here, and another remote that is met first has what was left behind",
        "CUR=1 PREV=4 4<1",
        &[
            There("CUR=4 PREV=1", "CUR=4 PREV=1", "CUR<4", "CUR=4 PREV=1"),
            There("none", "", "", "CUR=4 PREV=1"),
        ],
        "CONFLICT b label AWSCURRENT create/create; (b: create/create, may be the same value; a sync compares them)",
    );
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
        "v: create; v: copy version 1; v: put CUR on 1; b: create with version 1; =",
    );
    check(
        "with its AWSPREVIOUS",
        "-",
        &[
            There("none", "", "", "-"),
            There("none", "", "", "CUR=2 PREV=1"),
        ],
        "v: create; v: copy version 2; v: copy version 1; v: put CUR on 2; v: put PREV on 1; a: create with version 1; a: add version 2; a: move CUR from 1 to 2; =",
    );
    check(
        "moved alike here and on one, and on by the other",
        "CUR=3",
        &[
            There("CUR=4", "CUR=4", "CUR<4", "CUR=3"),
            There("none", "", "", "CUR=4 PREV=3"),
        ],
        "v: copy version 4; (a: moved alike here and there; that is noted first, then the rest is planned); =",
    );
    check(
        "what came after a version that another one has is not behind",
        "CUR=1 PREV=4",
        &[
            There("CUR=1", "CUR=1", "", "CUR=3"),
            There("none", "", "", "CUR=4 PREV=3"),
        ],
        "v: copy version 3; CONFLICT a label AWSCURRENT edit/edit",
    );
}
