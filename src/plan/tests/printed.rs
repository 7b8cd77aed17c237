//! A plan as it is shown.

use super::*;

#[test]
fn a_plan_prints_sorted_and_without_values() {
    let c = case("CUR=2 PREV=1", &[There("CUR=1", "CUR=1", "CUR<1", "CUR=1")]);
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(
        p.to_string(),
        "s\n  a: add version 20000000\n  a: move AWSCURRENT from 10000000 to 20000000\n"
    );
}
