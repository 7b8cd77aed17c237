//! Conflicts answered by strategy: every class, every strategy, whichever side wins
//! (sync.md sections 1.6 and 1.8). Version n was made n thousand seconds after 1970.

use super::*;
use crate::model::Strategy;

fn strategies(run: Strategy, now: i64) -> Strategies {
    Strategies {
        now: Timestamp::from_secs(now),
        run: Some(run),
        rules: Vec::new(),
        remotes: BTreeMap::new(),
        answers: BTreeMap::new(),
    }
}

/// What a strategy makes of a case: the answers and steps, or why it waits.
fn under(strategy: Strategy, here: &str, theres: &[There<'_>]) -> String {
    let mut c = case(here, theres);
    let held = plan(&c.base, &c.local, &c.remotes, &c.policy);
    c.policy.strategies = Some(strategies(strategy, 100_000));
    let plan = plan(&c.base, &c.local, &c.remotes, &c.policy);
    let secret = &plan.secrets[&name()];
    if secret.answers.is_empty() {
        assert_eq!(plan.conflicts().count(), held.conflicts().count());
        assert_eq!(secret.actions, held.secrets[&name()].actions);
        let why = |n: &Note| match &n.kind {
            NoteKind::Waits { why, .. } => Some(format!("waits: {why}")),
            _ => None,
        };
        let all: Vec<String> = secret.notes.iter().filter_map(why).collect();
        return all.join("; ");
    }
    assert!(secret.conflicts.is_empty());
    let words = |choice: &Choice| match choice {
        Choice::Ours => "OURS".to_owned(),
        Choice::Theirs => "THEIRS".to_owned(),
        Choice::To(id) => format!("TO {}", id.short().trim_end_matches('0')),
    };
    let answers = secret.answers.iter();
    let mut out: Vec<String> = answers
        .map(|a| format!("{} {}", words(&a.choice), a.conflict.remote))
        .collect();
    out.extend(secret.actions.iter().map(short));
    out.join("; ")
}

const V1: &str = "CUR=1";

/// Name, vault, remotes; then what `ours`, `theirs` and `newest` make of it.
type Row<'a> = (&'a str, &'a str, &'a [There<'a>], [&'a str; 3]);

const TABLE: &[Row<'_>] = &[
    (
        "edit/edit: ours made last",
        "CUR=3 PREV=1",
        &[There(V1, V1, "CUR<1", "CUR=2 PREV=1")],
        [
            "OURS a; v: copy version 2; a: add version 3; a: move CUR from 2 to 3",
            "THEIRS a; v: copy version 2; v: move PREV from 3 to 1",
            "OURS a; v: copy version 2; a: add version 3; a: move CUR from 2 to 3",
        ],
    ),
    (
        "edit/edit: theirs made last",
        "CUR=2 PREV=1",
        &[There(V1, V1, "CUR<1", "CUR=3 PREV=1")],
        [
            "OURS a; v: copy version 3; a: add version 2; a: move CUR from 3 to 2",
            "THEIRS a; v: copy version 3; v: move PREV from 2 to 1",
            "THEIRS a; v: copy version 3; v: move PREV from 2 to 1",
        ],
    ),
    (
        "edit/edit on another label",
        "CUR=1 X=2",
        &[There("CUR=1 X=1", "CUR=1 X=1", "X<1", "CUR=1 X=3")],
        [
            "OURS a; v: copy version 3; a: add version 2; a: move X from 3 to 2",
            "THEIRS a; v: copy version 3",
            "THEIRS a; v: copy version 3",
        ],
    ),
    (
        "edit/edit, the label taken away there",
        "CUR=1 X=2",
        &[There("CUR=1 X=1", "CUR=1 X=1", "X<1", V1)],
        [
            "OURS a; a: add version 2; a: put X on 2",
            "THEIRS a",
            "waits: a deletion neither wins nor loses by date",
        ],
    ),
    (
        "edit/edit, the label taken away here",
        "CUR=1",
        &[There("CUR=1 X=1", "CUR=1 X=1", "X<1", "CUR=1 X=2")],
        [
            "OURS a; v: copy version 2; a: take X off 2",
            "THEIRS a; v: copy version 2",
            "waits: a deletion neither wins nor loses by date",
        ],
    ),
    (
        "edit/edit on the description",
        "CUR=1 desc=x",
        &[There(V1, V1, "", "CUR=1 desc=y")],
        [
            "OURS a; a: set the description",
            "THEIRS a",
            "waits: descriptions and tags have no date",
        ],
    ),
    (
        "edit/edit on a tag, taken away here",
        "CUR=1",
        &[There("CUR=1 tag.a=1", "CUR=1 tag.a=1", "", "CUR=1 tag.a=2")],
        [
            "OURS a; a: remove tag a",
            "THEIRS a",
            "waits: descriptions and tags have no date",
        ],
    ),
    (
        "create/create, theirs made last",
        "CUR=1",
        &[There("none", "", "", "CUR=2")],
        [
            "OURS a; v: copy version 2; a: add version 1; a: move CUR from 2 to 1",
            "THEIRS a; v: copy version 2",
            "THEIRS a; v: copy version 2",
        ],
    ),
    (
        "create/create, ours made last",
        "CUR=2",
        &[There("none", "", "", "CUR=1")],
        [
            "OURS a; v: copy version 1; a: add version 2; a: move CUR from 1 to 2",
            "THEIRS a; v: copy version 1",
            "OURS a; v: copy version 1; a: add version 2; a: move CUR from 1 to 2",
        ],
    ),
    (
        "edit/delete",
        "CUR=2 PREV=1",
        &[There(V1, V1, "CUR<1", "-")],
        [
            "OURS a; a: create with version 1; a: add version 2; a: move CUR from 1 to 2",
            "THEIRS a",
            "waits: a deletion neither wins nor loses by date",
        ],
    ),
    (
        "edit/schedule",
        "CUR=2 PREV=1",
        &[There(V1, V1, "CUR<1", "sched CUR=1")],
        [
            "OURS a; a: restore; a: add version 2; a: move CUR from 1 to 2",
            "THEIRS a; v: take over the deletion date D",
            "waits: a deletion neither wins nor loses by date",
        ],
    ),
    (
        "schedule/edit",
        "sched CUR=1",
        &[There(V1, V1, "", "CUR=2 PREV=1")],
        [
            "OURS a; v: copy version 2; a: schedule deletion for D",
            "THEIRS a; v: copy version 2; v: move CUR from 1 to 2",
            "waits: a deletion neither wins nor loses by date",
        ],
    ),
    (
        "restore/purged",
        "CUR=1",
        &[There("sched CUR=1", "sched CUR=1", "", "-")],
        [
            "OURS a; a: create with version 1",
            "THEIRS a",
            "waits: a deletion neither wins nor loses by date",
        ],
    ),
    (
        "edit/recreate",
        "CUR=2 PREV=1",
        &[There(V1, V1, "CUR<1", "arn2 CUR=3")],
        [
            "OURS a; OURS a; v: copy version 3; a: add version 2; a: move CUR from 3 to 2",
            "THEIRS a; v: copy version 3; v: put the old one aside as s@AAAAAA; v: create; v: copy version 3; v: put CUR on 3",
            "waits: a deletion neither wins nor loses by date",
        ],
    ),
    (
        "name/scheduled",
        "CUR=1",
        &[There("none", "", "", "sched CUR=2")],
        [
            "OURS a; a: restore",
            "THEIRS a",
            "waits: a deletion neither wins nor loses by date",
        ],
    ),
    (
        "rewound",
        "CUR=1",
        &[There("CUR=2", "CUR=2", "", "CUR=2")],
        [
            "OURS a; v: copy version 2; a: add version 1; a: move CUR from 2 to 1",
            "THEIRS a; v: copy version 2",
            "waits: somebody may have gone back on purpose",
        ],
    ),
    (
        "edit/edit with one remote, and another that follows",
        "CUR=3 PREV=1",
        &[
            There(V1, V1, "CUR<1", "CUR=2 PREV=1"),
            There(V1, V1, "CUR<1", V1),
        ],
        [
            "OURS a; v: copy version 2; a: add version 3; a: move CUR from 2 to 3; b: add version 3; b: move CUR from 1 to 3",
            "THEIRS a; v: copy version 2; v: move PREV from 3 to 1; b: add version 2; b: move CUR from 1 to 2",
            "OURS a; v: copy version 2; a: add version 3; a: move CUR from 2 to 3; b: add version 3; b: move CUR from 1 to 3",
        ],
    ),
    (
        "edit/edit with one remote, and another without what was agreed",
        "CUR=3 PREV=1",
        &[
            There(V1, V1, "CUR<1", "CUR=2 PREV=1"),
            There("none", "", "", V1),
        ],
        [
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
        ],
    ),
    (
        "remote/remote",
        "CUR=1",
        &[
            There(V1, V1, "", "CUR=2 PREV=1"),
            There(V1, V1, "", "CUR=3 PREV=1"),
        ],
        [
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
        ],
    ),
    (
        "remote/remote, the other way round",
        "CUR=1",
        &[
            There(V1, V1, "", "CUR=3 PREV=1"),
            There(V1, V1, "", "CUR=2 PREV=1"),
        ],
        [
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
        ],
    ),
    (
        "remote/remote and the vault",
        "CUR=4 PREV=1",
        &[
            There(V1, V1, "CUR<1", "CUR=2 PREV=1"),
            There(V1, V1, "CUR<1", "CUR=3 PREV=1"),
        ],
        [
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
        ],
    ),
    (
        "remote/remote on a text",
        "desc=x",
        &[
            There("desc=x", "desc=x", "", "desc=y"),
            There("desc=x", "desc=x", "", "desc=z"),
        ],
        [
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
        ],
    ),
    (
        "remote/remote: gone on one, edited on the other",
        "CUR=1",
        &[There(V1, V1, "", "-"), There(V1, V1, "", "CUR=2 PREV=1")],
        [
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
            "waits: more than one remote has a say in it",
        ],
    ),
    (
        "a label and a text",
        "CUR=3 PREV=1 desc=x",
        &[There(V1, V1, "CUR<1", "CUR=2 PREV=1 desc=y")],
        [
            "OURS a; OURS a; v: copy version 2; a: add version 3; a: move CUR from 2 to 3; a: set the description",
            "THEIRS a; THEIRS a; v: copy version 2; v: move PREV from 3 to 1",
            "waits: the secret's other conflicts wait; waits: descriptions and tags have no date",
        ],
    ),
    (
        "rotated there",
        "CUR=2 PREV=1",
        &[There(V1, V1, "CUR<1", "rot CUR=3 PREV=1")],
        [
            "waits: what wins cannot be pushed: it is rotated there; rotation owns its values",
            "THEIRS a; v: copy version 3; v: move PREV from 2 to 1",
            "THEIRS a; v: copy version 3; v: move PREV from 2 to 1",
        ],
    ),
    (
        "a replica",
        "CUR=1 desc=x",
        &[There(V1, V1, "", "rep CUR=1 desc=y")],
        [
            "waits: what wins cannot be pushed: it is a replica there; change it in its primary Region",
            "THEIRS a",
            "waits: descriptions and tags have no date",
        ],
    ),
];

#[test]
fn every_class_under_every_strategy() {
    let mut wrong = Vec::new();
    for (row, here, theres, expected) in TABLE {
        let three = [Strategy::Ours, Strategy::Theirs, Strategy::Newest];
        for (strategy, expected) in three.into_iter().zip(expected) {
            let got = under(strategy, here, theres);
            if got != *expected {
                wrong.push(format!("{row} {}: {got}", strategy.as_str()));
            }
        }
        assert_eq!(under(Strategy::Hold, here, theres), "", "{row}");
        for (strategy, word) in [
            (Strategy::Interactive, "waits: a person is asked"),
            (Strategy::Fail, "waits: the run stops"),
        ] {
            let got = under(strategy, here, theres);
            assert!(got.starts_with(word), "{row} {got}");
            let mut c = case(here, theres);
            c.policy.strategies = Some(strategies(strategy, 100_000));
            let plan = plan(&c.base, &c.local, &c.remotes, &c.policy);
            let checked = plan.check(&c.base, &c.remotes, Limits::default());
            let stopped = matches!(checked, Err(Halt::Conflicted { count: 1, .. }));
            assert_eq!(stopped, strategy == Strategy::Fail, "{row}");
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_integrity_alarm_is_never_answered() {
    // No plan finds one by itself: it comes from values, not from ids.
    let conflict = Conflict {
        remote: remote("a"),
        field: crate::model::Field::Label(label("CUR")),
        class: crate::model::Class::Integrity,
        base: None,
        ours: Some(id(1).as_str().to_owned()),
        theirs: Some(id(1).as_str().to_owned()),
    };
    let c = case(V1, &[There(V1, V1, "", V1)]);
    for strategy in Strategy::ALL {
        let all = strategies(strategy, 100_000);
        let policy = RemotePolicy::default();
        let a = remote("a");
        let sight = &c.remotes[&a].secrets[&name()];
        let table = decide::Table {
            name: &name(),
            local: c.local.secrets.get(&name()),
            details: None,
            base: &c.base[&name()],
            views: &[(&a, Some(sight), &policy)],
            strategies: &all,
        };
        let record = crate::model::Record::new(name());
        let by = By::Person;
        let answer = table.choose(&record, &conflict, strategy, &by);
        assert_eq!(answer, Err(Waits::Integrity), "{strategy:?}");
    }
}

/// Versions 2 here and 3 there with these dates in seconds, decided at this time.
fn dated(ours: i64, theirs: i64, now: i64) -> Result<Choice, Waits> {
    let mut c = case("CUR=2", &[There(V1, V1, "CUR<1", "CUR=3")]);
    let secrets = &mut c.local.secrets.0;
    let state = secrets.get_mut(&name()).unwrap();
    state.versions.get_mut(&id(2)).unwrap().created = Some(Timestamp::from_secs(ours));
    let view = c.remotes.get_mut(&remote("a")).unwrap();
    if let Some(Sight::Seen(seen)) = view.secrets.get_mut(&name()) {
        let version = seen.state.versions.get_mut(&id(3)).unwrap();
        version.created = Some(Timestamp::from_secs(theirs));
    }
    c.policy.strategies = Some(strategies(Strategy::Newest, now));
    let plan = plan(&c.base, &c.local, &c.remotes, &c.policy);
    let secret = &plan.secrets[&name()];
    match (secret.answers.as_slice(), secret.notes.as_slice()) {
        ([answer], _) => Ok(answer.choice.clone()),
        (_, [note]) => match &note.kind {
            NoteKind::Waits { why, .. } => Err(why.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_clock_guard_of_newest() {
    let base = 50_000;
    for (apart, decides) in [
        (0, false),
        (1, false),
        (299, false),
        (300, true),
        (301, true),
    ] {
        let (late, now) = (base + apart, 90_000);
        let (ours, theirs) = (dated(late, base, now), dated(base, late, now));
        if decides {
            assert_eq!(
                (ours, theirs),
                (Ok(Choice::Ours), Ok(Choice::Theirs)),
                "{apart}"
            );
        } else {
            let close = || Err(Waits::TooClose);
            assert_eq!((ours, theirs), (close(), close()), "{apart}");
        }
    }
    // A date of now is not in the future; one second later it is, on either side and
    // even where it would lose.
    assert_eq!(dated(90_000, base, 90_000), Ok(Choice::Ours));
    assert_eq!(dated(90_001, base, 90_000), Err(Waits::Future));
    assert_eq!(dated(base, 90_001, 90_000), Err(Waits::Future));
    assert_eq!(dated(91_000, 95_000, 90_000), Err(Waits::Future));
}

#[test]
fn a_version_without_a_date_decides_nothing_and_is_asked_for() {
    let mut c = case("CUR=2", &[There(V1, V1, "CUR<1", "CUR=3")]);
    let view = c.remotes.get_mut(&remote("a")).unwrap();
    if let Some(Sight::Seen(seen)) = view.secrets.get_mut(&name()) {
        seen.state.versions.get_mut(&id(3)).unwrap().created = None;
    }
    c.policy.strategies = Some(strategies(Strategy::Newest, 100_000));
    let plan = plan(&c.base, &c.local, &c.remotes, &c.policy);
    let wanted = plan.notes().find_map(|(_, n)| match &n.kind {
        NoteKind::Waits {
            why: Waits::Undated(versions),
            ..
        } => Some(versions.clone()),
        _ => None,
    });
    assert_eq!(wanted, Some(vec![(remote("a"), id(3))]));
}
