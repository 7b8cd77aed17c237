//! What each remote has of its own, where the remote is mirrored (sync.md sections 1.7
//! and 1.8).

use super::*;

fn mirrored(c: &mut Case, way: Direction, extras: Extras) {
    let policy = RemotePolicy {
        direction: way,
        extras,
        ..RemotePolicy::default()
    };
    c.policy.remotes.insert(remote("a"), policy);
    c.remotes.remove(&remote("b"));
}

/// Both changed it: a mirror out overwrites what is there, as with all else, and the
/// push must find what was looked at.
#[test]
fn a_mirror_out_does_not_wait_for_a_field_of_the_remotes_own() {
    for field in [OwnField::KmsKey, OwnField::Policy] {
        for (details, entry) in [
            (None, Some((Some("n"), "k"))),
            (Some("n"), None),
            (Some("other"), Some((Some("n"), "k"))),
        ] {
            for now in ["l", ""] {
                let mut c = own_case(field, details, entry, Some(now));
                mirrored(&mut c, Direction::MirrorOut, ALL_ON);
                let plan = made(&c);
                assert_eq!(render_own(&plan), format!("a: n for {now}; ="), "{field:?}");
                assert_eq!(after(&c, &plan, field), Some(halves((None, "n"))));
            }
        }
    }
    // The rest of the secret goes along.
    let mut c = own_case(OwnField::KmsKey, None, Some((Some("n"), "k")), Some("l"));
    mirrored(&mut c, Direction::MirrorOut, ALL_ON);
    let a = c.remotes.get_mut(&remote("a")).unwrap();
    if let Some(Sight::Seen(seen)) = a.secrets.get_mut(&name()) {
        seen.state.attributes.description = Some("theirs".into());
    }
    assert_eq!(
        render_own(&made(&c)),
        "a: clear the description; a: n for l; ="
    );
}

/// Where it may not be pushed, or is not known, it is held as ever, and what was agreed
/// stays as it was.
#[test]
fn a_mirror_out_pushes_nothing_of_its_own_that_is_switched_off() {
    let field = OwnField::KmsKey;
    let mut c = own_case(field, None, Some((Some("n"), "k")), Some("l"));
    mirrored(&mut c, Direction::MirrorOut, Extras::default());
    let plan = made(&c);
    assert_eq!(
        render_own(&plan),
        "(a: not pushed: KMS key; push_kms is off for this remote)"
    );
    assert_eq!(after(&c, &plan, field), Some(halves((Some("n"), "k"))));
    let mut c = own_case(OwnField::Policy, None, Some((Some("n"), "k")), None);
    mirrored(&mut c, Direction::MirrorOut, ALL_ON);
    assert_eq!(
        render_own(&made(&c)),
        "(a: not pushed: resource policy; what is there is not known)"
    );
}

/// What nobody set here is the remote's own, and is told as ever.
#[test]
fn what_nobody_set_here_is_mirrored_neither_way() {
    for way in [Direction::MirrorOut, Direction::MirrorIn] {
        let mut c = own_case(OwnField::KmsKey, None, Some((None, "k")), Some("l"));
        mirrored(&mut c, way, ALL_ON);
        let plan = made(&c);
        assert!(plan.actions().next().is_none(), "{way:?}");
        assert!(plan.conflicts().next().is_none(), "{way:?}");
    }
    // Nor does a mirror in wait for a person: what was set here stays here.
    let mut c = own_case(OwnField::KmsKey, None, Some((Some("n"), "k")), Some("l"));
    mirrored(&mut c, Direction::MirrorIn, ALL_ON);
    let plan = made(&c);
    assert!(plan.conflicts().next().is_none());
    let said = "(a: not pushed: KMS key; the remote's direction is pull)";
    assert_eq!(render_own(&plan), said);
}
