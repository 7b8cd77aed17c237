//! Where a move made here came from (sync.md section 1.2, "Intent, not only base").

use std::collections::BTreeMap;

use super::*;

fn id(n: u8) -> VersionId {
    format!("{n}{}", "0".repeat(31)).parse().unwrap()
}

fn remote(word: &str) -> RemoteName {
    word.parse().unwrap()
}

fn x() -> StagingLabel {
    "X".parse().unwrap()
}

/// A record with versions 1 to 4, agreed with `a` and `b` on AWSCURRENT and X at 1,
/// and with `c` never met.
fn record() -> Record {
    let labels = BTreeMap::from([(StagingLabel::current(), id(1)), (x(), id(1))]);
    let mut state = SecretState {
        labels,
        ..SecretState::default()
    };
    for n in 1..=4 {
        state.versions.insert(
            id(n),
            VersionMeta {
                created: None,
                content: Content::Value {
                    kind: Kind::String,
                    digest: Digest([n; 32]),
                },
                parent: None,
                origin: Origin::Local,
            },
        );
    }
    let base = RemoteBase {
        pair: Some(Pair {
            arn: "arn-AAAAAA".into(),
            changed: None,
            local: state.face(),
            remote: state.face(),
        }),
        ..RemoteBase::default()
    };
    Record {
        state,
        base: SecretBase::from([
            (remote("a"), base.clone()),
            (remote("b"), base),
            (remote("c"), RemoteBase::default()),
        ]),
        ..Record::new("s".parse().unwrap())
    }
}

impl Record {
    fn moves(&mut self, label: &StagingLabel, to: Option<u8>, author: Author<'_>) {
        let from = self.state.labels.get(label).cloned();
        let to = to.map(id);
        let label = label.clone();
        let change = Change::MoveLabel { label, from, to };
        self.apply(&change, author).unwrap();
    }

    fn intents(&self, on: &str) -> Vec<(StagingLabel, Option<VersionId>)> {
        let base = &self.base[&remote(on)];
        base.intents
            .iter()
            .map(|(l, from)| (l.clone(), from.clone()))
            .collect()
    }
}

fn current() -> StagingLabel {
    StagingLabel::current()
}

#[test]
fn the_first_move_records_where_it_came_from_and_the_second_keeps_it() {
    let mut r = record();
    r.moves(&current(), Some(2), Author::Here);
    assert_eq!(r.intents("a"), [(current(), Some(id(1)))]);
    assert_eq!(r.intents("b"), [(current(), Some(id(1)))]);
    r.moves(&current(), Some(3), Author::Here);
    assert_eq!(r.intents("a"), [(current(), Some(id(1)))]);
    assert_eq!(r.intents("b"), [(current(), Some(id(1)))]);
}

#[test]
fn a_new_version_under_a_label_is_a_move_like_any_other() {
    let mut r = record();
    let meta = r.state.versions[&id(2)].clone();
    r.state.versions.remove(&id(2));
    let change = Change::AddVersion {
        id: id(2),
        meta,
        labels: vec![current()],
    };
    r.apply(&change, Author::Here).unwrap();
    assert_eq!(r.intents("a"), [(current(), Some(id(1)))]);
}

#[test]
fn moving_back_to_what_was_agreed_leaves_nothing_to_push() {
    let mut r = record();
    r.moves(&current(), Some(2), Author::Here);
    r.moves(&current(), Some(1), Author::Here);
    assert_eq!(r.intents("a"), []);
    assert_eq!(r.intents("b"), []);
}

#[test]
fn a_roll_back_is_a_move_too() {
    let mut r = record();
    for on in ["a", "b"] {
        let pair = r.base.get_mut(&remote(on)).unwrap().pair.as_mut().unwrap();
        for face in [&mut pair.local, &mut pair.remote] {
            face.labels.insert(current(), id(2));
        }
    }
    r.state.labels.insert(current(), id(2));
    r.moves(&current(), Some(1), Author::Here);
    assert_eq!(r.intents("a"), [(current(), Some(id(2)))]);
}

#[test]
fn adding_and_removing_a_label_are_moves() {
    let mut r = record();
    let y: StagingLabel = "Y".parse().unwrap();
    r.moves(&y, Some(2), Author::Here);
    r.moves(&x(), None, Author::Here);
    assert_eq!(r.intents("a"), [(x(), Some(id(1))), (y.clone(), None)]);
    r.moves(&y, None, Author::Here);
    r.moves(&x(), Some(1), Author::Here);
    assert_eq!(r.intents("a"), []);
}

#[test]
fn what_came_from_a_remote_clears_its_own_and_is_news_for_the_others() {
    let mut r = record();
    r.moves(&current(), Some(2), Author::Here);
    r.moves(&x(), Some(2), Author::Here);
    r.moves(&current(), Some(3), Author::From(&remote("a")));
    assert_eq!(r.intents("a"), [(x(), Some(id(1)))]);
    assert_eq!(
        r.intents("b"),
        [(current(), Some(id(1))), (x(), Some(id(1)))]
    );

    // Also when nobody had moved it here.
    let mut r = record();
    r.moves(&current(), Some(3), Author::From(&remote("a")));
    assert_eq!(r.intents("a"), []);
    assert_eq!(r.intents("b"), [(current(), Some(id(1)))]);
}

#[test]
fn a_remote_never_met_has_no_origin_to_record() {
    let mut r = record();
    r.moves(&current(), Some(2), Author::Here);
    assert_eq!(r.intents("c"), []);
}

#[test]
fn labels_that_do_not_travel_record_nothing() {
    let mut r = record();
    for label in [
        StagingLabel::previous(),
        StagingLabel::pending(),
        StagingLabel::holding(),
        "sr/lost/20261122-v9".parse().unwrap(),
    ] {
        r.moves(&label, Some(2), Author::Here);
        assert_eq!(r.intents("a"), [], "{label}");
    }
    // AWSPREVIOUS is dragged along without a record of its own.
    let mut r = record();
    r.moves(&current(), Some(2), Author::Here);
    r.moves(&current(), Some(3), Author::Here);
    assert_eq!(r.state.labels[&StagingLabel::previous()], id(2));
    assert_eq!(r.intents("a"), [(current(), Some(id(1)))]);
}

#[test]
fn a_refused_change_leaves_the_record_as_it_was() {
    let mut r = record();
    let before = r.clone();
    let change = Change::MoveLabel {
        label: current(),
        from: Some(id(2)),
        to: Some(id(3)),
    };
    assert!(r.apply(&change, Author::Here).is_err());
    assert_eq!(r, before);
}

#[test]
fn a_blank_record_is_a_free_name() {
    let mut r = Record::new("s".parse().unwrap());
    assert!(r.is_blank());
    let create = Change::Create {
        attributes: Attributes::default(),
        version: None,
    };
    r.apply(&create, Author::Here).unwrap();
    assert!(!r.is_blank() && r.state.lifecycle.is_live());
    assert_eq!(r.apply(&create, Author::Here), Err(Invalid::Exists));
    let mut r = Record::new("s".parse().unwrap());
    assert_eq!(
        r.apply(&Change::Tombstone, Author::Here),
        Err(Invalid::NoSecret)
    );
}
