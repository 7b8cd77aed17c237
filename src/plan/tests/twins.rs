//! One id with two contents (sync.md section 1.9). `CUR=1 1~2` on a remote: its
//! version 1 was read, and has version 2's value.

use super::*;
use crate::model::{Class, Digest};

fn twin(n: usize, content: u8) -> VersionId {
    id(n).twin(&Digest([content; 32]))
}

/// `T` is what a remote has under id 1.
fn row(row: &str, here: &str, theres: &[There<'_>], expected: &str) {
    let c = from(case(here, theres));
    let rendered = render(&plan(&c.base, &c.local, &c.remotes, &c.policy));
    let rendered = rendered.replace(&twin(1, 2).short(), "T");
    let rendered = rendered.replace("sr/alias/1000/", "alias/");
    assert_eq!(rendered, expected, "row {row}");
}

/// The same, where version 1 came from remote `z` and was not made here.
fn from(mut c: Case) -> Case {
    for state in c.local.secrets.0.values_mut() {
        if let Some(version) = state.versions.get_mut(&id(1)) {
            version.origin = Origin::Remote(remote("z"));
        }
    }
    c
}

const KEPT: &str = "v: copy version T; v: put alias/T on T";

#[test]
fn equal_ids_with_other_content_stop_everything_where_they_were_agreed_on() {
    let alarm = format!("{KEPT}; CONFLICT a label AWSCURRENT integrity");
    // Rolled back over there to an id that is here with another content.
    row(
        "U/C",
        "CUR=3 v1",
        &[There("CUR=3", "CUR=3", "", "CUR=1 1~2")],
        &alarm,
    );
    row(
        "C/C, nothing goes out",
        "CUR=4 4<3 v3 v1",
        &[There("CUR=3", "CUR=3", "CUR<3", "CUR=1 1~2")],
        &alarm,
    );
    row(
        "nothing goes to another remote either",
        "CUR=4 4<3 v3 v1",
        &[
            There("CUR=3", "CUR=3", "CUR<3", "CUR=1 1~2"),
            There("CUR=3", "CUR=3", "CUR<3", "CUR=3"),
        ],
        &alarm,
    );
    row(
        "deleted here",
        "tomb CUR=3 v1",
        &[There("CUR=3", "CUR=3", "", "CUR=1 1~2")],
        &alarm,
    );
    row(
        "another label",
        "CUR=3 v1",
        &[There("CUR=3", "CUR=3", "", "CUR=3 blue=1 1~2")],
        &alarm.replace("AWSCURRENT", "blue"),
    );
}

#[test]
fn equal_ids_with_equal_content_are_one_version() {
    row(
        "met",
        "CUR=1",
        &[There("none", "none", "", "CUR=1 1~1")],
        "=",
    );
    row(
        "moved to",
        "CUR=3 v1",
        &[There("CUR=3", "CUR=3", "", "CUR=1 1~1")],
        "v: move CUR from 3 to 1; =",
    );
    // Not read: the id is all there is.
    row(
        "unread",
        "CUR=1",
        &[There("none", "none", "", "CUR=1")],
        "=",
    );
}

#[test]
fn at_a_first_meeting_it_is_two_secrets_of_one_name() {
    let met = format!("{KEPT}; CONFLICT a label AWSCURRENT create/create");
    let there = [There("none", "none", "", "CUR=1 1~2")];
    row("N/N", "CUR=1", &there, &met);
    // An ancestor by its id is none by its content: nothing is fast-forwarded over it.
    row("N/N, ahead", "CUR=3 3<1 v1", &there, &met);
    // What this vault made itself cannot be met elsewhere by chance.
    let c = case("CUR=1", &there);
    let plan = plan(&c.base, &c.local, &c.remotes, &c.policy);
    let found: Vec<Class> = plan.conflicts().map(|(_, c)| c.class).collect();
    assert_eq!(found, [Class::Integrity]);
}

#[test]
fn another_incarnation_takes_the_place_of_what_was_deleted() {
    row(
        "tombstone/N",
        "tomb CUR=1",
        &[There("tomb", "-", "", "arn2 CUR=1 1~2")],
        "v: put the old one aside as s@AAAAAA; v: create; v: copy version 1; v: put CUR on 1; \
         (a: deleted and created anew there; the old one is kept as s@AAAAAA); =",
    );
}

#[test]
fn two_remotes_met_at_once_come_in_one_after_the_other() {
    let c = case(
        "-",
        &[
            There("none", "none", "", "CUR=1 1~1"),
            There("none", "none", "", "CUR=1 1~2"),
        ],
    );
    let plan = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(
        render(&plan),
        "v: create; v: copy version 1; v: put CUR on 1; ="
    );
    let one = &plan.secrets[&name()];
    assert!(one.again);
    assert_eq!(one.settled.keys().collect::<Vec<_>>(), [&remote("a")]);
}

#[test]
fn a_standing_alarm_stops_every_remote_until_it_is_resolved() {
    let mut c = case("CUR=2", &[There("CUR=1", "CUR=1", "CUR<1", "CUR=1")]);
    let alarm = Conflict {
        remote: remote("elsewhere"),
        field: crate::model::Field::Label(StagingLabel::current()),
        class: Class::Integrity,
        base: None,
        ours: Some(id(2).as_str().to_owned()),
        theirs: Some(twin(2, 1).as_str().to_owned()),
    };
    c.local.alarms.insert(name(), vec![alarm.clone()]);
    for strategy in [Strategy::Ours, Strategy::Theirs, Strategy::Newest] {
        c.policy.strategies = Some(Strategies {
            now: Timestamp::from_secs(100_000),
            run: Some(strategy),
            rules: Vec::new(),
            remotes: BTreeMap::new(),
            answers: BTreeMap::from([(alarm.id(&name()), strategy)]),
        });
        let plan = plan(&c.base, &c.local, &c.remotes, &c.policy);
        let only = SecretPlan {
            conflicts: vec![alarm.clone()],
            ..SecretPlan::default()
        };
        assert_eq!(plan.secrets[&name()], only, "{strategy:?}");
    }
}

#[test]
fn no_strategy_answers_a_first_meeting_under_one_id() {
    for strategy in [Strategy::Ours, Strategy::Theirs, Strategy::Newest] {
        let mut c = from(case("CUR=1", &[There("none", "none", "", "CUR=1 1~2")]));
        c.policy.strategies = Some(Strategies {
            now: Timestamp::from_secs(100_000),
            run: Some(strategy),
            rules: Vec::new(),
            remotes: BTreeMap::new(),
            answers: BTreeMap::new(),
        });
        let plan = plan(&c.base, &c.local, &c.remotes, &c.policy);
        assert_eq!(plan.conflicts().count(), 1, "{strategy:?}");
        assert_eq!(plan.answers().count(), 0, "{strategy:?}");
    }
}

/// Resolves as a person does, and plans once more over the same remote.
fn resolved(here: &str, there: There<'_>, choice: &Choice) -> (String, crate::model::Record) {
    let mut c = from(case(here, &[there]));
    let first = plan(&c.base, &c.local, &c.remotes, &c.policy);
    let one = &first.secrets[&name()];
    let mut record = crate::model::Record::new(name());
    record.state = c.local.secrets.get(&name()).unwrap().clone();
    record.base = c.base[&name()].clone();
    for action in &one.actions {
        let mut change = action.change.clone();
        if let Change::AddVersion { meta, .. } = &mut change {
            meta.content = Content::Value {
                kind: Kind::String,
                digest: Digest([2; 32]),
            };
        }
        record.apply(&change, Author::From(&remote("a"))).unwrap();
    }
    if let Some((of, copy)) = own_twin(&record, &one.conflicts[0]) {
        let mut meta = record.state.versions[&of].clone();
        meta.parent = Some(of);
        let (id, labels) = (copy, Vec::new());
        let add = Change::AddVersion { id, meta, labels };
        record.apply(&add, Author::Here).unwrap();
    }
    resolve(&mut record, &one.conflicts[0], choice).unwrap();
    c.base.insert(name(), record.base.clone());
    c.local.secrets.0.insert(name(), record.state.clone());
    let next = plan(&c.base, &c.local, &c.remotes, &c.policy);
    let rendered = render(&next)
        .replace(&twin(1, 2).short(), "T")
        .replace(&twin(1, 1).short(), "O");
    (rendered, record)
}

#[test]
fn what_wins_goes_on_under_an_id_of_its_own() {
    let met = || There("none", "none", "", "CUR=1 1~2");
    let (next, _) = resolved("CUR=1", met(), &Choice::Ours);
    assert_eq!(next, "a: add version O; a: move CUR from 1 to O; =");
    let (next, _) = resolved("CUR=1", met(), &Choice::Theirs);
    assert_eq!(next, "a: add version T; a: move CUR from 1 to T; =");
    // Moved on here since: that is what is kept, and it has an id of its own already.
    let (next, _) = resolved("CUR=3 3<1 v1", met(), &Choice::Ours);
    assert_eq!(next, "a: add version 3; a: move CUR from 1 to 3; =");

    let rolled = || There("CUR=3", "CUR=3", "", "CUR=1 1~2 v3");
    let (next, _) = resolved("CUR=3 v1", rolled(), &Choice::Ours);
    assert_eq!(next, "a: move CUR from 1 to 3; =");
    // The remote has it already: the two are remembered as one, and nothing is written.
    let (next, record) = resolved("CUR=3 v1", rolled(), &Choice::Theirs);
    assert_eq!(next, "");
    assert_eq!(record.state.current(), Some(&twin(1, 2)));
    assert_eq!(record.base[&remote("a")].intents, BTreeMap::new());
}

/// New keys give every content a new digest: what was decided before is not asked again.
#[test]
fn an_answer_that_was_not_pushed_outlives_new_keys() {
    for (choice, wins) in [(Choice::Ours, twin(1, 1)), (Choice::Theirs, twin(1, 2))] {
        let met = There("none", "none", "", "CUR=1 1~2");
        let (_, mut record) = resolved("CUR=1", met, &choice);
        for version in record.state.versions.values_mut() {
            if let Content::Value { digest, .. } = &mut version.content {
                *digest = Digest([digest.0[0] + 100; 32]);
            }
        }
        let mut c = from(case("CUR=1", &[There("none", "none", "", "CUR=1 1~102")]));
        c.base.insert(name(), record.base);
        c.local.secrets.0.insert(name(), record.state);
        let next = render(&plan(&c.base, &c.local, &c.remotes, &c.policy));
        let next = next.replace(&wins.short(), "W");
        assert_eq!(
            next, "a: add version W; a: move CUR from 1 to W; =",
            "{choice:?}"
        );
    }
}

#[test]
fn both_contents_stay_and_the_loser_can_be_found() {
    let met = || There("none", "none", "", "CUR=1 1~2");
    let kept = |record: &crate::model::Record| -> Vec<VersionId> {
        let labels = record.state.labels.iter();
        let lost = labels.filter(|(l, _)| l.as_str().starts_with("sr/lost/"));
        lost.map(|(_, id)| id.clone()).collect()
    };
    let (_, ours) = resolved("CUR=1", met(), &Choice::Ours);
    assert_eq!(kept(&ours), [twin(1, 2)]);
    let (_, theirs) = resolved("CUR=1", met(), &Choice::Theirs);
    assert_eq!(kept(&theirs), [id(1)]);
    for record in [ours, theirs] {
        let content = |id: &VersionId| record.state.versions[id].content;
        assert_ne!(content(&id(1)), content(&twin(1, 2)));
        assert_eq!(record.state.alias_of(&twin(1, 2)), Some(id(1)));
    }
}

#[test]
fn only_one_of_the_two_can_be_chosen() {
    let mut c = from(case("CUR=1 v3", &[There("none", "none", "", "CUR=1 1~2")]));
    let first = plan(&c.base, &c.local, &c.remotes, &c.policy);
    let mut record = crate::model::Record::new(name());
    record.state = c.local.secrets.0.remove(&name()).unwrap();
    for action in &first.secrets[&name()].actions {
        record
            .apply(&action.change, Author::From(&remote("a")))
            .unwrap();
    }
    let conflict = &first.secrets[&name()].conflicts[0];
    let before = record.clone();
    let to = resolve(&mut record, conflict, &Choice::To(id(3)));
    assert_eq!(to, Err(ResolveError::Integrity));
    let ours = resolve(&mut record, conflict, &Choice::Ours);
    assert_eq!(ours, Err(ResolveError::NoCopy(id(1))));
    assert_eq!(record, before);
}
