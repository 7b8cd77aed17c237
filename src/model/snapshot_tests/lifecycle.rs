//! Attributes, deletion, restoring, and names that live again.

use super::*;

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
