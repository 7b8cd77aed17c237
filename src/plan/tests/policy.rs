//! Directions, scopes, and what is blocked.

use super::*;

#[test]
fn directions() {
    let mut c = case(
        "CUR=2 PREV=1 desc=x",
        &[There("CUR=1", "CUR=1", "CUR<1", "CUR=1")],
    );
    let policy = |direction| RemotePolicy {
        direction,
        ..RemotePolicy::default()
    };
    c.policy
        .remotes
        .insert(remote("a"), policy(Direction::Pull));
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(
        render(&p),
        "(a: not pushed: the remote's direction is pull)"
    );

    let mut c = case(
        "CUR=1",
        &[There("CUR=1", "CUR=1", "", "CUR=2 PREV=1 desc=x")],
    );
    c.policy
        .remotes
        .insert(remote("a"), policy(Direction::Push));
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(p.actions().count(), 0, "{p}");
    assert_eq!(p.conflicts().count(), 0, "{p}");

    // Not pulled, but not overwritten unseen either.
    let mut c = case(
        "CUR=3 PREV=1 3<1 desc=z",
        &[There("CUR=1", "CUR=1", "CUR<1", "CUR=2 PREV=1 desc=x")],
    );
    c.policy
        .remotes
        .insert(remote("a"), policy(Direction::Push));
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(p.conflicts().count(), 2, "{p}");
}

#[test]
fn a_blocked_secret_is_skipped_and_named_and_the_others_go_on() {
    let mut c = case("CUR=1", &[There("none", "", "", "-")]);
    let other: SecretName = "t".parse().unwrap();
    c.local
        .blocked
        .insert(other.clone(), "conflict markers".into());
    let sight = Sight::Blocked("AccessDeniedException".into());
    let third: SecretName = "u".parse().unwrap();
    c.remotes
        .get_mut(&remote("a"))
        .unwrap()
        .secrets
        .insert(third.clone(), sight);
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(render(&p), "a: create with version 1; =");
    assert_eq!(p.secrets[&other].notes.len(), 1);
    assert_eq!(p.secrets[&third].notes.len(), 1);
    assert!(p.secrets[&other].actions.is_empty() && p.secrets[&third].actions.is_empty());
}

#[test]
fn what_is_out_of_scope_is_not_looked_at() {
    let mut c = case("CUR=1", &[There("CUR=1", "CUR=1", "", "-")]);
    let mut policy = RemotePolicy::default();
    policy.scope.exclude.push("s".into());
    c.policy.remotes.insert(remote("a"), policy);
    let p = plan(&c.base, &c.local, &c.remotes, &c.policy);
    assert_eq!(render(&p), "", "a changed filter is no deletion");
}
