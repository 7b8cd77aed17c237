//! Mirrors (sync.md section 1.8): one side is made like the other.

use super::*;

fn mirrored(way: &[Direction], here: &str, theres: &[There<'_>]) -> (Case, Plan) {
    let mut c = case(here, theres);
    for (way, word) in way.iter().zip(["a", "b", "c"]) {
        let one = RemotePolicy {
            direction: *way,
            ..RemotePolicy::default()
        };
        c.policy.remotes.insert(remote(word), one);
    }
    let plan = plan(&c.base, &c.local, &c.remotes, &c.policy);
    (c, plan)
}

fn row(way: Direction, here: &str, there: There<'_>, expected: &str) {
    let (_, plan) = mirrored(&[way], here, &[there]);
    assert_eq!(render(&plan), expected, "{here}");
}

/// What a mirror copies is safe before any remote is written to, whichever comes first.
#[test]
fn copies_come_before_every_remote() {
    let both = [Direction::TwoWay, Direction::MirrorOut];
    let (_, plan) = mirrored(
        &both,
        "CUR=2 2<1 v1",
        &[
            There("CUR=1", "CUR=1", "CUR<1", "CUR=1"),
            There("CUR=1", "CUR=1", "CUR<1", "CUR=3"),
        ],
    );
    let steps = render(&plan);
    assert!(
        steps.starts_with("v: copy version 3; a: add version 2; a: move CUR from 1 to 2; b: "),
        "{steps}"
    );
}

#[test]
fn a_change_there_is_overwritten_by_a_mirror_out() {
    let out = |here, there, expected| row(Direction::MirrorOut, here, there, expected);
    out("CUR=1", There("CUR=1", "CUR=1", "", "CUR=1"), "");
    out(
        "CUR=1",
        There("CUR=1", "CUR=1", "", "CUR=3 v1"),
        "v: copy version 3; a: move CUR from 3 to 1; =",
    );
    out(
        "CUR=2 2<1 v1",
        There("CUR=1", "CUR=1", "CUR<1", "CUR=3"),
        "v: copy version 3; a: add version 2; a: move CUR from 3 to 2; =",
    );
    out(
        "CUR=1 desc=x",
        There("CUR=1", "CUR=1", "", "CUR=1 desc=y tag.k=z"),
        "a: set the description, remove tag k; =",
    );
    out(
        "CUR=1",
        There("CUR=1", "CUR=1", "", "CUR=1 blue=4"),
        "v: copy version 4; a: take blue off 4; =",
    );
    out(
        "CUR=1",
        There("CUR=1", "CUR=1", "", "-"),
        "a: create with version 1; =",
    );
    // Met for the first time: no question, the vault is right.
    out(
        "CUR=1",
        There("none", "none", "", "CUR=3"),
        "v: copy version 3; a: add version 1; a: move CUR from 3 to 1; =",
    );
}

#[test]
fn what_the_vault_does_not_have_is_scheduled_for_deletion_and_kept() {
    row(
        Direction::MirrorOut,
        "-",
        There("none", "none", "", "CUR=3"),
        "v: copy version 3; v: put sr/was/CUR on 3; a: schedule deletion; =",
    );
    row(
        Direction::MirrorOut,
        "tomb CUR=1",
        There("CUR=1", "CUR=1", "", "CUR=3"),
        "v: copy version 3; v: put sr/was/CUR on 3; a: schedule deletion; =",
    );
}

#[test]
fn what_others_own_there_is_left_alone() {
    for (owner, why) in [
        ("rot", "it is rotated there; rotation owns its values"),
        (
            "rep",
            "it is a replica there; change it in its primary Region",
        ),
        ("own", "an AWS service owns it there"),
    ] {
        let now = format!("CUR=3 {owner}");
        for here in ["CUR=1", "-", "tomb CUR=1"] {
            row(
                Direction::MirrorOut,
                here,
                There("CUR=1", "CUR=1", "", &now),
                &format!("(a: not pushed: {why})"),
            );
        }
    }
}

#[test]
fn a_change_here_is_put_aside_by_a_mirror_in() {
    let into = |here, there, expected| row(Direction::MirrorIn, here, there, expected);
    into("CUR=1", There("CUR=1", "CUR=1", "", "CUR=1"), "");
    into(
        "CUR=2 2<1 v1",
        There("CUR=1", "CUR=1", "CUR<1", "CUR=1"),
        "v: move CUR from 2 to 1; v: put sr/lost/19700101-2 on 2; =",
    );
    into(
        "CUR=2 2<1 v1",
        There("CUR=1", "CUR=1", "CUR<1", "CUR=3"),
        "v: copy version 3; v: move CUR from 2 to 3; v: put sr/lost/19700101-2 on 2; =",
    );
    into(
        "CUR=1 desc=x",
        There("CUR=1", "CUR=1", "", "CUR=1"),
        "v: clear the description; =",
    );
    into(
        "tomb CUR=1",
        There("CUR=1", "CUR=1", "", "CUR=1"),
        "v: create; v: put CUR on 1; =",
    );
    // What the remote does not have is no more; its versions stay.
    into(
        "CUR=1",
        There("none", "none", "", "-"),
        "v: mark as deleted (all versions are kept); =",
    );
}

#[test]
fn what_comes_in_goes_out_to_the_others_in_the_next_round() {
    let (_, plan) = mirrored(
        &[Direction::MirrorIn, Direction::MirrorOut],
        "CUR=1",
        &[
            There("CUR=1", "CUR=1", "", "CUR=3"),
            There("CUR=1", "CUR=1", "", "CUR=4"),
        ],
    );
    assert_eq!(
        render(&plan),
        "v: copy version 3; v: move CUR from 1 to 3; v: put sr/lost/19700101-1 on 1; ="
    );
    assert!(plan.secrets[&name()].again);
    // News of a third one comes before the mirror goes out.
    let (_, plan) = mirrored(
        &[Direction::TwoWay, Direction::MirrorOut],
        "CUR=1",
        &[
            There("CUR=1", "CUR=1", "", "CUR=3"),
            There("CUR=1", "CUR=1", "", "CUR=4"),
        ],
    );
    assert_eq!(
        render(&plan),
        "v: copy version 3; v: move CUR from 1 to 3; ="
    );
    assert!(plan.secrets[&name()].again);
}

#[test]
fn an_alarm_stops_a_mirror_too() {
    for way in [Direction::MirrorOut, Direction::MirrorIn] {
        let there = There("CUR=3", "CUR=3", "", "CUR=1 1~2");
        let (_, plan) = mirrored(&[way], "CUR=3 v1", &[there]);
        assert_eq!(plan.conflicts().count(), 1, "{way:?}");
        let there = plan.actions().filter(|(_, a)| a.on != Side::Local).count();
        assert_eq!(there, 0, "{way:?}");
    }
}

#[test]
fn a_mirror_of_nothing_is_refused() {
    let met = || There("none", "none", "", "CUR=3");
    let limits = Limits {
        count: 1000,
        percent: 100,
        folders: false,
    };
    let (c, plan) = mirrored(&[Direction::MirrorOut], "-", &[met()]);
    let empty = Halt::EmptyVault {
        remote: remote("a"),
    };
    assert_eq!(plan.check(&c.base, &c.remotes, limits), Err(empty));
    let (c, plan) = mirrored(
        &[Direction::MirrorIn],
        "CUR=1",
        &[There("none", "none", "", "-")],
    );
    let empty = Halt::EmptyMirror {
        remote: remote("a"),
    };
    assert_eq!(plan.check(&c.base, &c.remotes, limits), Err(empty));
    let (c, plan) = mirrored(&[Direction::MirrorIn; 2], "CUR=1", &[met(), met()]);
    let two = Halt::TwoMirrors {
        first: remote("a"),
        second: remote("b"),
    };
    assert_eq!(plan.check(&c.base, &c.remotes, limits), Err(two));
    // The deletions of a mirror count, of whatever they are.
    let none = Limits {
        count: 0,
        percent: 0,
        folders: false,
    };
    let (mut c, _) = mirrored(&[Direction::MirrorOut], "-", &[met()]);
    let other = state("CUR=1", true).unwrap();
    c.local.secrets.0.insert("other".parse().unwrap(), other);
    let plan = super::plan(&c.base, &c.local, &c.remotes, &c.policy);
    let deletions = |limits| plan.check(&c.base, &c.remotes, limits);
    assert!(matches!(
        deletions(none),
        Err(Halt::TooManyDeletions { deletions: 1, .. })
    ));
    assert_eq!(deletions(limits), Ok(()));
}

/// Two mirrors delete what the vault never had: each one's version can be found.
#[test]
fn what_two_mirrors_delete_is_kept_twice() {
    let out = [Direction::MirrorOut; 2];
    let never = |now| There("none", "none", "", now);
    let (_, plan) = mirrored(&out, "-", &[never("CUR=1"), never("CUR=4")]);
    assert_eq!(
        render(&plan),
        "v: copy version 1; v: put sr/was/AWSCURRENT on 1; v: copy version 4; \
         v: put sr/was/b/AWSCURRENT on 4; a: schedule deletion; b: schedule deletion; ="
            .replace("AWSCURRENT", "CUR")
    );
    // The same one is found once.
    let (_, plan) = mirrored(&out, "-", &[never("CUR=1"), never("CUR=1")]);
    let text = render(&plan);
    assert_eq!(text.matches("sr/was/").count(), 1, "{text}");
}

/// The original of a mirror has it no more, and another remote has an edit of it: it is
/// not deleted and brought back in turns.
#[test]
fn what_the_original_deleted_is_not_brought_back_by_another_remote() {
    let ways = [Direction::MirrorIn, Direction::TwoWay];
    let gone = || There("tomb", "tomb", "", "-");
    let (_, plan) = mirrored(
        &ways,
        "tomb CUR=1",
        &[gone(), There("CUR=1", "CUR=1", "", "CUR=2 PREV=1")],
    );
    assert_eq!(render(&plan), "CONFLICT b lifecycle schedule/edit");
    // Unchanged there, it is deleted there too.
    let (_, plan) = mirrored(
        &ways,
        "tomb CUR=1",
        &[gone(), There("CUR=1", "CUR=1", "", "CUR=1")],
    );
    assert_eq!(render(&plan), "b: schedule deletion; =");
}
