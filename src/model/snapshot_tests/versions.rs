//! CreateSecret and PutSecretValue: new versions and the labels they take.

use super::*;

#[test]
fn aws_3_create_without_a_value_makes_no_version() {
    let mut side = side("-");
    assert_eq!(apply(&mut side, &create(None)), Ok(()));
    let s = side.get(&name()).unwrap();
    assert!(s.versions.is_empty() && s.labels.is_empty() && s.lifecycle.is_live());
}

#[test]
fn aws_3_create_with_a_value_is_current() {
    assert_eq!(after("-", &create(Some(1))), "CUR=1");
}

#[test]
fn aws_3_create_again_with_the_same_token_and_content_answers_again() {
    assert_eq!(after("CUR=1", &create(Some(1))), "CUR=1");
    // Also after the version is current no more.
    assert_eq!(after("CUR=2 PREV=1", &create(Some(1))), "CUR=2 PREV=1");
}

#[test]
fn aws_3_create_again_with_the_same_token_and_other_content_is_refused() {
    let other = Change::Create {
        attributes: Attributes::default(),
        version: Some((id(1), value(7))),
    };
    assert_eq!(refused("CUR=1", &other), Invalid::VersionExists(id(1)));
}

#[test]
fn aws_3_create_on_a_taken_name_with_another_token_is_refused() {
    assert_eq!(refused("CUR=1", &create(Some(2))), Invalid::Exists);
    assert_eq!(refused("CUR=1", &create(None)), Invalid::Exists);
}

// -- PutSecretValue, UpdateSecret with a value

#[test]
fn aws_3_put_without_stages_moves_current() {
    assert_eq!(after("CUR=1", &put(2, &[])), "CUR=2 PREV=1");
}

#[test]
fn aws_3_update_with_a_value_is_a_put_without_stages() {
    // The same change stands for both calls, so the row is that of Put.
    assert_eq!(after("CUR=2 PREV=1", &put(3, &[])), "CUR=3 PREV=2 v1");
}

#[test]
fn aws_3_three_puts_deprecate_all_but_two() {
    let mut side = side("CUR=1");
    for n in 2..=4 {
        assert_eq!(apply(&mut side, &put(n, &[])), Ok(()));
    }
    assert_eq!(show(&side), "CUR=4 PREV=3 v1 v2");
}

#[test]
fn aws_3_put_pending_leaves_current() {
    assert_eq!(after("CUR=1", &put(2, &["PEND"])), "CUR=1 PEND=2");
}

#[test]
fn aws_3_put_custom_labels_leaves_current_and_previous() {
    assert_eq!(
        after("CUR=1 PREV=5", &put(2, &["X", "Y"])),
        "CUR=1 PREV=5 X=2 Y=2"
    );
}

#[test]
fn aws_3_put_custom_labels_takes_them_from_their_version() {
    assert_eq!(
        after("CUR=1 X=2 Y=2", &put(3, &["X", "Y", "Z"])),
        "CUR=1 X=3 Y=3 Z=3 v2"
    );
    assert_eq!(
        after("CUR=1 X=2 Y=2 W=2", &put(3, &["X", "Y", "Z"])),
        "CUR=1 W=2 X=3 Y=3 Z=3"
    );
}

#[test]
fn aws_3_put_current_and_custom_together() {
    assert_eq!(after("CUR=1", &put(2, &["CUR", "X"])), "CUR=2 PREV=1 X=2");
    // A label is on one version only, also when it comes along with AWSCURRENT.
    assert_eq!(
        after("CUR=1 X=1", &put(2, &["X", "CUR"])),
        "CUR=2 PREV=1 X=2"
    );
}

#[test]
fn aws_3_put_pending_when_current_has_it_moves_it() {
    assert_eq!(
        after("CUR=2 PEND=2 PREV=1", &put(3, &["PEND"])),
        "CUR=2 PEND=3 PREV=1"
    );
}

#[test]
fn aws_3_plain_put_takes_pending_off_the_demoted_version() {
    assert_eq!(
        after("CUR=2 PEND=2 PREV=1", &put(3, &[])),
        "CUR=3 PREV=2 v1"
    );
    // Rule 5 is about the demoted version alone.
    assert_eq!(
        after("CUR=2 PEND=4 PREV=1", &put(3, &[])),
        "CUR=3 PEND=4 PREV=2 v1"
    );
}

#[test]
fn aws_3_plain_put_keeps_custom_labels_of_the_demoted_version() {
    assert_eq!(after("CUR=1 X=1", &put(2, &[])), "CUR=2 PREV=1 X=1");
}

#[test]
fn aws_3_first_value_under_custom_labels_is_current_too() {
    assert_eq!(after("", &put(1, &["X"])), "CUR=1 X=1");
    assert_eq!(after("", &put(1, &["SRPUSH"])), "CUR=1 SRPUSH=1");
    // A placeholder is no value.
    assert_eq!(after("", &add(9, placeholder(), &["PEND"])), "PEND=9");
}

#[test]
fn aws_3_put_again_with_the_same_content_changes_nothing() {
    assert_eq!(after("CUR=2 PREV=1", &put(1, &[])), "CUR=2 PREV=1");
    assert_eq!(after("CUR=1", &put(1, &[])), "CUR=1");
}

#[test]
fn aws_3_put_again_with_other_stages_does_nothing() {
    assert_eq!(after("CUR=2 PREV=1", &put(1, &["X"])), "CUR=2 PREV=1");
}

#[test]
fn aws_3_put_again_with_other_content_is_refused() {
    let other = add(1, value(7), &["CUR"]);
    assert_eq!(refused("CUR=1", &other), Invalid::VersionExists(id(1)));
    let binary = VersionMeta {
        content: Content::Value {
            kind: Kind::Binary,
            digest: Digest([8; 32]),
        },
        ..value(1)
    };
    // The keyed digest covers the kind, so other kind means other digest.
    let other = add(1, binary, &["X"]);
    assert_eq!(refused("CUR=1", &other), Invalid::VersionExists(id(1)));
}

#[test]
fn aws_3_put_fills_the_placeholder_of_a_rotation() {
    let mut side = side("CUR=1 p9");
    assert_eq!(apply(&mut side, &stage("PEND", 0, 9)), Ok(()));
    let unread = VersionMeta::unread(Origin::Local);
    for (fill, labels) in [
        (value(9), &["PEND"][..]),
        (value(9), &[][..]),
        (unread, &[][..]),
    ] {
        let mut one = side.clone();
        assert_eq!(apply(&mut one, &add(9, fill.clone(), labels)), Ok(()));
        assert_eq!(show(&one), "CUR=1 PEND=9");
        assert_eq!(one.get(&name()).unwrap().versions[&id(9)], fill);
    }
    // Once filled it is a version like any other.
    assert_eq!(apply(&mut side, &add(9, value(9), &["PEND"])), Ok(()));
    assert_eq!(
        apply(&mut side, &add(9, value(7), &["PEND"])),
        Err(Invalid::VersionExists(id(9)))
    );
    // A value is never emptied again.
    assert_eq!(apply(&mut side, &add(9, placeholder(), &["PEND"])), Ok(()));
    assert_eq!(
        side.get(&name()).unwrap().versions[&id(9)].content,
        value(9).content
    );
}

#[test]
fn a_version_without_labels_is_for_a_vault_and_moves_nothing() {
    assert_eq!(after("CUR=1", &add(2, value(2), &[])), "CUR=1 v2");
    assert_eq!(after("", &add(2, value(2), &[])), "v2");
}

// -- UpdateSecretVersionStage
