//! AWS's rules for versions and labels, row by row (aws.md section 3), and the
//! lifecycle steps around them.
//!
//! A state is a line of words: `CUR=1` a label on version 1, `v2` a version without
//! labels, `p9` version 9 as a placeholder. `Put` without stages is a new version
//! under AWSCURRENT; `Stage` (UpdateSecretVersionStage) is a label move.

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

#[test]
fn attributes_are_replaced_only_if_they_are_as_expected() {
    let text = |t: &str| Attributes {
        description: Some(t.into()),
        tags: BTreeMap::from([("k".into(), t.into())]),
    };
    let mut side = side("CUR=1");
    let set = |from, to| Change::SetAttributes { from, to };
    assert_eq!(
        apply(&mut side, &set(Attributes::default(), text("a"))),
        Ok(())
    );
    assert_eq!(
        apply(&mut side, &set(Attributes::default(), text("b"))),
        Err(Invalid::AttributesChanged)
    );
    assert_eq!(apply(&mut side, &set(text("a"), text("b"))), Ok(()));
    // UpdateSecret without a value: labels unchanged.
    assert_eq!(show(&side), "CUR=1");
    assert_eq!(side.get(&name()).unwrap().attributes, text("b"));
}

// -- lifecycle

const DATE: Option<Timestamp> = Some(Timestamp::from_secs(1));

#[test]
fn aws_3_delete_and_restore_leave_the_labels() {
    let mut side = side("CUR=2 PREV=1 X=1");
    assert_eq!(apply(&mut side, &Change::Delete { date: DATE }), Ok(()));
    assert_eq!(show(&side), "CUR=2 PREV=1 X=1");
    let life = |side: &Snapshot| side.get(&name()).unwrap().lifecycle;
    assert_eq!(life(&side), Lifecycle::Scheduled { date: DATE });
    assert_eq!(
        apply(&mut side, &Change::Delete { date: None }),
        Err(Invalid::Scheduled)
    );
    assert_eq!(apply(&mut side, &Change::Restore), Ok(()));
    assert_eq!(show(&side), "CUR=2 PREV=1 X=1");
    assert!(life(&side).is_live());
}

#[test]
fn aws_6_a_scheduled_secret_is_written_neither_by_value_nor_by_label() {
    let mut side = side("CUR=1 v2 X=1");
    assert_eq!(apply(&mut side, &Change::Delete { date: DATE }), Ok(()));
    let set = Change::SetAttributes {
        from: Attributes::default(),
        to: Attributes::default(),
    };
    for change in [
        put(3, &[]),
        put(3, &["X"]),
        stage("CUR", 1, 2),
        stage("X", 1, 0),
        set,
        create(Some(3)),
        create(Some(1)),
        create(None),
    ] {
        assert_eq!(
            apply(&mut side, &change),
            Err(Invalid::Scheduled),
            "{change:?}"
        );
    }
    // A vault still takes in history and marks what lost a conflict.
    assert_eq!(apply(&mut side, &add(3, value(3), &[])), Ok(()));
    assert_eq!(apply(&mut side, &stage("sr/lost/a", 0, 2)), Ok(()));
}

#[test]
fn the_date_of_a_deletion_moves_only_while_there_is_one() {
    let mut side = side("CUR=1");
    let later = Change::Reschedule {
        date: Some(Timestamp::from_secs(2)),
    };
    assert_eq!(apply(&mut side, &later), Err(Invalid::NoSecret));
    assert_eq!(apply(&mut side, &Change::Delete { date: DATE }), Ok(()));
    assert_eq!(apply(&mut side, &later), Ok(()));
    assert_eq!(
        side.get(&name()).unwrap().lifecycle,
        Lifecycle::Scheduled {
            date: Some(Timestamp::from_secs(2))
        }
    );
}

#[test]
fn a_tombstone_keeps_versions_and_labels_and_takes_no_edit() {
    let mut side = side("CUR=2 PREV=1 v3");
    assert_eq!(apply(&mut side, &Change::Tombstone), Ok(()));
    assert_eq!(show(&side), "CUR=2 PREV=1 v3");
    let delete = Change::Delete { date: DATE };
    for change in [put(4, &[]), stage("CUR", 2, 3), stage("X", 0, 3), delete] {
        assert_eq!(
            apply(&mut side, &change),
            Err(Invalid::Deleted),
            "{change:?}"
        );
    }
    let later = Change::Reschedule { date: DATE };
    assert_eq!(apply(&mut side, &later), Err(Invalid::NoSecret));
    // Lost versions can still be marked, and the whole can be brought back.
    assert_eq!(apply(&mut side, &stage("sr/lost/a", 0, 3)), Ok(()));
    assert_eq!(apply(&mut side, &Change::Restore), Ok(()));
    assert_eq!(show(&side), "CUR=2 PREV=1 sr/lost/a=3");
}

#[test]
fn a_name_lives_again_over_a_tombstone_with_its_history() {
    let mut side = side("CUR=2 PREV=1 X=1 sr/lost/a=1");
    assert_eq!(apply(&mut side, &Change::Tombstone), Ok(()));
    assert_eq!(
        apply(&mut side, &create(Some(2))),
        Err(Invalid::VersionExists(id(2)))
    );
    assert_eq!(apply(&mut side, &create(Some(3))), Ok(()));
    assert_eq!(show(&side), "CUR=3 sr/lost/a=1 v2");
    assert!(side.get(&name()).unwrap().lifecycle.is_live());
}

#[test]
fn archive_puts_the_whole_secret_aside() {
    let to: SecretName = "s@AAAAAA".parse().unwrap();
    let mut side = side("CUR=2 PREV=1 v3");
    let before = side.get(&name()).unwrap().clone();
    let archive = Change::Archive { to: to.clone() };
    assert_eq!(apply(&mut side, &archive), Ok(()));
    assert_eq!(side.get(&name()), None);
    let old = side.get(&to).unwrap();
    assert_eq!(old.lifecycle, Lifecycle::Tombstone);
    assert_eq!(
        (&old.versions, &old.labels),
        (&before.versions, &before.labels)
    );
    // Nothing there any more, and then: the other name is taken.
    assert_eq!(apply(&mut side, &archive), Err(Invalid::Exists));
    side.0.remove(&to);
    assert_eq!(apply(&mut side, &archive), Err(Invalid::NoSecret));
}

#[test]
fn a_name_that_is_not_there_takes_nothing_but_its_making() {
    let set = Change::SetAttributes {
        from: Attributes::default(),
        to: Attributes::default(),
    };
    for change in [
        put(1, &[]),
        stage("X", 0, 1),
        set,
        Change::Delete { date: None },
        Change::Reschedule { date: None },
        Change::Restore,
        Change::Tombstone,
    ] {
        assert_eq!(refused("-", &change), Invalid::NoSecret, "{change:?}");
    }
}

#[test]
fn one_change_touches_one_secret() {
    let other: SecretName = "t".parse().unwrap();
    let mut side = side("CUR=1 v2");
    side.0.insert(other.clone(), state("CUR=5 PREV=4"));
    for change in [put(3, &[]), stage("CUR", 3, 2), Change::Tombstone] {
        assert_eq!(apply(&mut side, &change), Ok(()));
        assert_eq!(side.get(&other), Some(&state("CUR=5 PREV=4")));
    }
}
