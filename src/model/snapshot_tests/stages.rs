//! UpdateSecretVersionStage: labels that move.

use super::*;

#[test]
fn aws_3_stage_current_drags_previous() {
    assert_eq!(after("CUR=1 v2", &stage("CUR", 1, 2)), "CUR=2 PREV=1");
    assert_eq!(
        after("CUR=2 PREV=1 v3", &stage("CUR", 2, 3)),
        "CUR=3 PREV=2 v1"
    );
}

#[test]
fn aws_3_stage_current_back_to_previous_swaps_them() {
    assert_eq!(after("CUR=2 PREV=1", &stage("CUR", 2, 1)), "CUR=1 PREV=2");
}

#[test]
fn aws_3_stage_current_leaves_every_other_label() {
    // Rule 4: C keeps its custom labels, N keeps AWSPENDING, and what loses
    // AWSPREVIOUS but has a custom label stays listed.
    assert_eq!(
        after("CUR=2 PREV=1 PUT0=1 PUT1=2 PEND=3", &stage("CUR", 2, 3)),
        "CUR=3 PEND=3 PREV=2 PUT0=1 PUT1=2"
    );
    assert_eq!(
        after("CUR=2 PEND=2 v3", &stage("CUR", 2, 3)),
        "CUR=3 PEND=2 PREV=2"
    );
}

#[test]
fn aws_3_stage_current_to_where_it_is_moves_nothing() {
    assert_eq!(after("CUR=2 PREV=1", &stage("CUR", 2, 2)), "CUR=2 PREV=1");
}

#[test]
fn aws_3_stage_current_without_remove_is_refused() {
    assert_eq!(
        refused("CUR=1 v2", &stage("CUR", 0, 2)),
        Invalid::Changed {
            label: StagingLabel::current(),
            expected: None,
            found: Some(id(1)),
        }
    );
}

#[test]
fn aws_3_stage_with_a_remove_that_does_not_hold_the_label_is_refused() {
    for l in ["CUR", "X"] {
        assert_eq!(
            refused("CUR=1 X=1 v2 v3", &stage(l, 2, 3)),
            Invalid::Changed {
                label: label(l),
                expected: Some(id(2)),
                found: Some(id(1)),
            }
        );
    }
    assert_eq!(
        refused("CUR=1 v2", &stage("X", 1, 2)),
        Invalid::Changed {
            label: label("X"),
            expected: Some(id(1)),
            found: None,
        }
    );
    // Also when it already is where it should go: the caller looks and finds out.
    assert!(matches!(
        refused("CUR=2 PREV=1", &stage("CUR", 1, 2)),
        Invalid::Changed { .. }
    ));
}

#[test]
fn aws_3_stage_current_cannot_be_removed() {
    assert_eq!(
        refused("CUR=1", &stage("CUR", 1, 0)),
        Invalid::CurrentMustStay
    );
}

#[test]
fn aws_3_stage_removes_a_custom_label() {
    assert_eq!(after("CUR=1 X=2", &stage("X", 2, 0)), "CUR=1 v2");
    assert_eq!(after("CUR=1 X=2 Y=2", &stage("X", 2, 0)), "CUR=1 Y=2");
}

#[test]
fn aws_3_stage_adds_a_label_that_is_nowhere() {
    assert_eq!(after("CUR=1 v2", &stage("X", 0, 2)), "CUR=1 X=2");
    assert_eq!(after("CUR=1", &stage("X", 0, 1)), "CUR=1 X=1");
}

#[test]
fn aws_3_stage_add_of_a_label_that_is_elsewhere_is_refused() {
    assert!(matches!(
        refused("CUR=1 X=1 v2", &stage("X", 0, 2)),
        Invalid::Changed { .. }
    ));
}

#[test]
fn aws_3_stage_moves_previous_by_hand() {
    assert_eq!(
        after("CUR=2 PREV=1 v3", &stage("PREV", 1, 3)),
        "CUR=2 PREV=3 v1"
    );
    assert_eq!(after("CUR=2 PREV=1", &stage("PREV", 1, 0)), "CUR=2 v1");
}

#[test]
fn stage_with_neither_holder_nor_target_is_refused() {
    assert_eq!(refused("CUR=1", &stage("X", 0, 0)), Invalid::Nothing);
}

#[test]
fn stage_to_an_unknown_version_is_refused() {
    assert_eq!(
        refused("CUR=1", &stage("CUR", 1, 4)),
        Invalid::NoVersion(id(4))
    );
    assert_eq!(
        refused("CUR=1", &stage("X", 0, 4)),
        Invalid::NoVersion(id(4))
    );
}

#[test]
fn stage_current_to_a_placeholder_is_refused() {
    assert_eq!(
        refused("CUR=1 p9", &stage("CUR", 1, 9)),
        Invalid::NoValue(id(9))
    );
    assert_eq!(after("CUR=1 p9", &stage("PEND", 0, 9)), "CUR=1 PEND=9");
}

// -- labels in number

/// A state with AWSCURRENT on 1 and as many custom labels as make `count`.
fn crowd(count: usize) -> Snapshot {
    let mut side = side("CUR=1 v2");
    let state = side.0.get_mut(&name()).unwrap();
    for n in 1..count {
        state.labels.insert(label(&format!("x{n}")), id(1));
    }
    assert_eq!(state.labels.len(), count);
    side
}

#[test]
fn aws_9_at_most_20_labels_over_all_versions() {
    assert_eq!(apply(&mut crowd(19), &stage("X", 0, 2)), Ok(()));
    let full = crowd(20);
    for change in [stage("X", 0, 2), put(3, &["X"]), add(3, value(3), &["X"])] {
        let mut side = full.clone();
        assert_eq!(apply(&mut side, &change), Err(Invalid::TooManyLabels));
    }
    // AWSPREVIOUS counts: it would be the 21st.
    for change in [stage("CUR", 1, 2), put(3, &[])] {
        let mut side = full.clone();
        assert_eq!(apply(&mut side, &change), Err(Invalid::TooManyLabels));
    }
    // Moving one, taking one away, and a version without labels add none.
    for change in [
        stage("x1", 1, 2),
        stage("x1", 1, 0),
        put(3, &["x1"]),
        add(3, value(3), &[]),
    ] {
        let mut side = full.clone();
        assert_eq!(apply(&mut side, &change), Ok(()), "{change:?}");
    }
}

#[test]
fn labels_of_the_vault_alone_do_not_count() {
    let mut side = crowd(20);
    for n in 0..30 {
        assert_eq!(
            apply(&mut side, &stage(&format!("sr/lost/{n}"), 0, 2)),
            Ok(())
        );
    }
}

// -- attributes
