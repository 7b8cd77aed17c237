//! The table of sync.md section 1.7.

use super::*;

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
