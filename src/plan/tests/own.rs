//! The table of sync.md section 1.7 for what each remote has of its own.

mod mirrors;

use super::*;
use crate::model::{Class, Details, Extras, Field, Halves, OwnField, Rotation, Strategy};

/// One remote and what is on record for it: what was set here, and what was there.
type Entry<'a> = Option<(Option<&'a str>, &'a str)>;

const ALL_ON: Extras = Extras {
    details: true,
    push_kms: true,
    push_policy: true,
    push_replicas: true,
};

fn halves(entry: (Option<&str>, &str)) -> Halves {
    Halves {
        here: entry.0.map(str::to_owned),
        there: entry.1.to_owned(),
    }
}

fn set(details: &mut Details, field: OwnField, text: &str) {
    let text = text.to_owned();
    match field {
        OwnField::KmsKey => details.kms_key = Some(text),
        OwnField::Policy => details.policy = Some(text),
        OwnField::Replicas => details.replicas = crate::model::replicas_of(&text),
        OwnField::Rotation => {
            details.rotation = Some(Rotation {
                schedule: Some(text),
                ..Rotation::default()
            });
        }
    }
}

fn show(facts: &mut RemoteFacts, field: OwnField, now: Option<&str>) {
    let text = now.filter(|t| !t.is_empty()).map(str::to_owned);
    match field {
        OwnField::KmsKey => facts.kms_key = text,
        OwnField::Policy => facts.policy = now.map(str::to_owned),
        OwnField::Replicas => facts.replicas = now.map(crate::model::replicas_of),
        OwnField::Rotation => {
            facts.rotation = text.map(|text| Rotation {
                schedule: Some(text),
                ..Rotation::default()
            });
        }
    }
}

/// A secret in step with two remotes, `a` with this on record and on show, `b` with
/// another key of its own.
fn own_case(field: OwnField, details: Option<&str>, entry: Entry<'_>, now: Option<&str>) -> Case {
    let v1 = "CUR=1";
    let mut c = case(v1, &[There(v1, v1, "", v1), There(v1, v1, "", v1)]);
    if let Some(text) = details {
        let mut details = Details::default();
        set(&mut details, field, text);
        c.local.details.insert(name(), details);
    }
    let (a, b) = (remote("a"), remote("b"));
    let base = c.base.get_mut(&name()).unwrap();
    if let Some(entry) = entry {
        let own = &mut base.get_mut(&a).unwrap().own;
        own.insert(field, halves(entry));
    }
    let other = match field {
        OwnField::Rotation => halves((None, "off, other")),
        _ => halves((None, "other")),
    };
    base.get_mut(&b).unwrap().own.insert(field, other);
    for (remote, now) in [(&a, now), (&b, Some("other"))] {
        let view = c.remotes.get_mut(remote).unwrap();
        if let Some(Sight::Seen(seen)) = view.secrets.get_mut(&name()) {
            show(&mut seen.facts, field, now);
        }
        let policy = RemotePolicy {
            extras: ALL_ON,
            ..RemotePolicy::default()
        };
        c.policy.remotes.insert(remote.clone(), policy);
    }
    c
}

fn made(c: &Case) -> Plan {
    plan(&c.base, &c.local, &c.remotes, &c.policy)
}

/// What is on record for remote `a` once the plan is carried out.
fn after(c: &Case, plan: &Plan, field: OwnField) -> Option<Halves> {
    let secret = plan.secrets.get(&name());
    let settled = secret.and_then(|s| s.settled.get(&remote("a")));
    let base = settled.or_else(|| c.base[&name()].get(&remote("a")));
    base?.own.get(&field).cloned()
}

#[test]
fn own_table() {
    // Row, set before any remote, on record, there now, plan, on record afterwards.
    type Row<'a> = (
        &'a str,
        Option<&'a str>,
        Entry<'a>,
        Option<&'a str>,
        &'a str,
        Entry<'a>,
    );
    let rows: &[Row<'_>] = &[
        ("nothing anywhere", None, None, Some(""), "", None),
        ("first seen", None, None, Some("k"), "=", Some((None, "k"))),
        (
            "in step",
            None,
            Some((None, "k")),
            Some("k"),
            "",
            Some((None, "k")),
        ),
        (
            "not known",
            None,
            Some((None, "k")),
            None,
            "",
            Some((None, "k")),
        ),
        (
            "changed there",
            None,
            Some((None, "k")),
            Some("l"),
            "(drift l); =",
            Some((None, "l")),
        ),
        (
            "gone there",
            None,
            Some((None, "k")),
            Some(""),
            "(drift ); =",
            None,
        ),
        (
            "set here",
            None,
            Some((Some("n"), "k")),
            Some("k"),
            "a: n for k; =",
            Some((None, "n")),
        ),
        (
            "taken away here",
            None,
            Some((Some(""), "k")),
            Some("k"),
            "a:  for k; =",
            None,
        ),
        (
            "set here where there is none",
            None,
            Some((Some("n"), "")),
            Some(""),
            "a: n for ; =",
            Some((None, "n")),
        ),
        (
            "both the same",
            None,
            Some((Some("n"), "k")),
            Some("n"),
            "=",
            Some((None, "n")),
        ),
        (
            "both changed",
            None,
            Some((Some("n"), "k")),
            Some("l"),
            "CONFLICT edit/edit k n l",
            Some((Some("n"), "k")),
        ),
        (
            "set here, gone there",
            None,
            Some((Some("n"), "k")),
            Some(""),
            "CONFLICT edit/edit k n ",
            Some((Some("n"), "k")),
        ),
        (
            "set before, none there",
            Some("d"),
            None,
            Some(""),
            "a: d for ; =",
            Some((None, "d")),
        ),
        (
            "set before, another there",
            Some("d"),
            None,
            Some("k"),
            "CONFLICT create/create - d k",
            None,
        ),
        (
            "set before, the same there",
            Some("d"),
            None,
            Some("d"),
            "=",
            Some((None, "d")),
        ),
        (
            "set before, and settled since",
            Some("d"),
            Some((None, "")),
            Some(""),
            "",
            Some((None, "")),
        ),
    ];
    for field in [OwnField::KmsKey, OwnField::Policy] {
        for (row, details, entry, now, expected, then) in rows {
            if now.is_none() && field == OwnField::KmsKey {
                continue;
            }
            let c = own_case(field, *details, *entry, *now);
            // Of what was set before, `b` makes its own: out of this table.
            let mut c = c;
            if details.is_some() {
                c.remotes.remove(&remote("b"));
            }
            let plan = made(&c);
            assert_eq!(render_own(&plan), *expected, "{field:?}, row {row}");
            let then = then.map(halves);
            assert_eq!(after(&c, &plan, field), then, "{field:?}, row {row}");
            // Nothing of it comes near the other remote.
            let secret = plan.secrets.get(&name()).cloned().unwrap_or_default();
            let b = remote("b");
            assert!(!secret.settled.contains_key(&b), "{field:?}, row {row}");
            assert!(
                !secret
                    .actions
                    .iter()
                    .any(|a| a.on == Side::Remote(b.clone()))
            );
        }
    }
}

fn render_own(plan: &Plan) -> String {
    let Some(s) = plan.secrets.get(&name()) else {
        return String::new();
    };
    let mut out = Vec::new();
    for action in &s.actions {
        match (&action.on, &action.change) {
            (Side::Remote(remote), Change::SetOwn { from, to, .. }) => {
                out.push(format!("{remote}: {to} for {from}"));
            }
            _ => out.push(short(action)),
        }
    }
    for c in &s.conflicts {
        let text = |t: &Option<String>| t.clone().unwrap_or_else(|| "-".into());
        let (base, ours, theirs) = (text(&c.base), text(&c.ours), text(&c.theirs));
        out.push(format!("CONFLICT {} {base} {ours} {theirs}", c.class));
    }
    for note in &s.notes {
        match &note.kind {
            NoteKind::Drift { there, .. } => out.push(format!("(drift {there})")),
            _ => out.push(format!("({note})")),
        }
    }
    if !s.settled.is_empty() {
        out.push("=".into());
    }
    out.join("; ")
}

/// Off by default, and where nothing may be written: it is said, kept, and no conflict.
#[test]
fn own_is_held_where_it_may_not_be_pushed() {
    for (field, word) in [
        (OwnField::KmsKey, "KMS key; push_kms is off for this remote"),
        (
            OwnField::Policy,
            "resource policy; push_policy is off for this remote",
        ),
        (
            OwnField::Replicas,
            "replicas; push_replicas is off for this remote",
        ),
    ] {
        for now in ["k", "l"] {
            let mut c = own_case(field, None, Some((Some("n"), "k")), Some(now));
            c.policy.remotes.clear();
            let plan = made(&c);
            assert_eq!(render_own(&plan), format!("(a: not pushed: {word})"));
            assert_eq!(after(&c, &plan, field), Some(halves((Some("n"), "k"))));
        }
    }
    for (facts, reason) in [
        (
            "rep",
            "KMS key; it is a replica there; change it in its primary Region",
        ),
        ("own", "KMS key; an AWS service owns it there"),
    ] {
        let mut c = own_case(OwnField::KmsKey, None, Some((Some("n"), "k")), Some("k"));
        let a = c.remotes.get_mut(&remote("a")).unwrap();
        if let Some(Sight::Seen(seen)) = a.secrets.get_mut(&name()) {
            match facts {
                "rep" => seen.facts.replica = true,
                _ => seen.facts.owning_service = Some("rds".into()),
            }
        }
        // K3, K4: pull-only and read-only.
        assert_eq!(render_own(&made(&c)), format!("(a: not pushed: {reason})"));
    }
    let mut c = own_case(OwnField::KmsKey, None, Some((Some("n"), "k")), Some("l"));
    c.policy.remotes.get_mut(&remote("a")).unwrap().direction = Direction::Pull;
    let said = "(a: not pushed: KMS key; the remote's direction is pull)";
    assert_eq!(render_own(&made(&c)), said);
    // A remote that is only pushed to: what changed there is not taken for agreed.
    let mut c = own_case(OwnField::KmsKey, None, Some((None, "k")), Some("l"));
    c.policy.remotes.get_mut(&remote("a")).unwrap().direction = Direction::Push;
    assert_eq!(render_own(&made(&c)), "");
    let mut c = own_case(OwnField::Policy, None, Some((Some("n"), "k")), None);
    assert_eq!(
        render_own(&made(&c)),
        "(a: not pushed: resource policy; what is there is not known)"
    );
    c.policy.remotes.clear();
    assert!(made(&c).is_quiet());
}

/// Replicas are added, never taken away: the union of both sides.
#[test]
fn replicas_are_united() {
    let field = OwnField::Replicas;
    for (entry, now, expected, then) in [
        ((Some("us"), "eu"), "eu", "a: us for eu; =", (None, "eu us")),
        (
            (Some("eu us"), ""),
            "eu",
            "a: us for eu; =",
            (None, "eu us"),
        ),
        ((Some("eu"), ""), "ap eu", "=", (None, "ap eu")),
        ((Some("us"), "eu"), "ap", "a: us for ap; =", (None, "ap us")),
        ((None, "eu us"), "eu", "(drift eu); =", (None, "eu")),
    ] {
        let c = own_case(field, None, Some(entry), Some(now));
        let plan = made(&c);
        assert_eq!(render_own(&plan), expected);
        assert_eq!(after(&c, &plan, field), Some(halves(then)));
    }
}

/// Taken away there, and set here all the same: a person decides.
#[test]
fn a_replica_that_was_taken_away_there_is_not_made_anew_unasked() {
    let field = OwnField::Replicas;
    for (wanted, was, now, conflicts) in [
        ("eu", "eu us", "us", true),
        ("ap eu", "eu", "", true),
        ("ap", "eu", "", false),
        ("eu", "", "", false),
    ] {
        let mut c = own_case(field, None, Some((Some(wanted), was)), Some(now));
        let plan = made(&c);
        if !conflicts {
            assert_eq!(render_own(&plan), format!("a: {wanted} for {now}; ="));
            continue;
        }
        let said = format!("CONFLICT edit/edit {was} {wanted} {now}");
        assert_eq!(render_own(&plan), said);
        c.remotes.remove(&remote("b"));
        let found = made(&c).secrets[&name()].conflicts[0].clone();
        for (choice, expected) in [
            (Choice::Ours, format!("a: {wanted} for {now}; =")),
            // That there is none is nothing to keep on record.
            (
                Choice::Theirs,
                String::from(if now.is_empty() { "=" } else { "" }),
            ),
        ] {
            let mut record = crate::model::Record::new(name());
            record.state = c.local.secrets.get(&name()).unwrap().clone();
            record.base = c.base[&name()].clone();
            resolve(&mut record, &found, &choice).unwrap();
            let mut decided = own_case(field, None, None, Some(now));
            decided.remotes.remove(&remote("b"));
            decided.base.insert(name(), record.base);
            assert_eq!(render_own(&made(&decided)), expected, "{choice:?}");
        }
    }
}

/// Rotation is the remote's: what changed there is said once, what was set up here is
/// said each time, and nothing is pushed.
#[test]
fn rotation_is_reported_and_never_pushed() {
    let field = OwnField::Rotation;
    let c = own_case(field, None, Some((None, "off, r1")), Some("r2"));
    let plan = made(&c);
    assert_eq!(render_own(&plan), "(drift off, r2); =");
    assert_eq!(after(&c, &plan, field), Some(halves((None, "off, r2"))));
    // Switched on since a sync that saw none.
    let c = own_case(field, None, None, Some("r2"));
    assert_eq!(render_own(&made(&c)), "(drift off, r2); =");
    let mut c = own_case(field, Some("r1"), Some((None, "off, r2")), Some("r2"));
    c.remotes.remove(&remote("b"));
    let said = "(a: not pushed: rotation, set up here as off, r1)";
    assert_eq!(render_own(&made(&c)), said);
    assert!(made(&c).is_quiet());
}

/// A secret that is made on a remote gets what was set before, in the same run.
#[test]
fn what_was_set_before_goes_along_with_a_new_secret() {
    let mut c = case("CUR=1", &[There("none", "", "", "-")]);
    let mut details = Details::default();
    set(&mut details, OwnField::KmsKey, "alias/k");
    set(&mut details, OwnField::Policy, "{}");
    c.local.details.insert(name(), details);
    let said = "a: create with version 1; (a: not pushed: KMS key; push_kms is off for this remote); \
                (a: not pushed: resource policy; push_policy is off for this remote); =";
    assert_eq!(render_own(&made(&c)), said);
    let policy = RemotePolicy {
        extras: ALL_ON,
        ..RemotePolicy::default()
    };
    c.policy.remotes.insert(remote("a"), policy);
    assert_eq!(
        render_own(&made(&c)),
        "a: create with version 1; a: alias/k for ; a: {} for ; ="
    );
}

/// Both ways out of a conflict, by a person and by a strategy.
#[test]
fn a_conflict_of_its_own_is_answered() {
    for field in [OwnField::KmsKey, OwnField::Policy] {
        for (details, entry) in [(None, Some((Some("n"), "k"))), (Some("n"), None)] {
            for (choice, expected, then) in [
                (Choice::Ours, "a: n for l; =", "n"),
                (Choice::Theirs, "", "l"),
            ] {
                let mut c = own_case(field, details, entry, Some("l"));
                c.remotes.remove(&remote("b"));
                let found = made(&c).secrets[&name()].conflicts[0].clone();
                assert_eq!(found.field, Field::Own(field));
                let mut record = crate::model::Record::new(name());
                record.state = c.local.secrets.get(&name()).unwrap().clone();
                record.details = c.local.details.get(&name()).cloned().unwrap_or_default();
                record.base = c.base[&name()].clone();
                resolve(&mut record, &found, &choice).unwrap();
                c.base.insert(name(), record.base);
                let plan = made(&c);
                assert_eq!(render_own(&plan), expected, "{field:?} {choice:?}");
                assert_eq!(after(&c, &plan, field), Some(halves((None, then))));

                // By strategy, at once.
                let mut c = own_case(field, details, entry, Some("l"));
                c.remotes.remove(&remote("b"));
                c.policy.strategies = Some(Strategies {
                    now: Timestamp::from_secs(100_000),
                    run: Some(match choice {
                        Choice::Ours => Strategy::Ours,
                        _ => Strategy::Theirs,
                    }),
                    rules: Vec::new(),
                    remotes: BTreeMap::new(),
                    answers: BTreeMap::new(),
                });
                let plan = made(&c);
                assert!(plan.conflicts().next().is_none());
                assert_eq!(plan.answers().count(), 1);
                assert_eq!(plan.actions().count(), usize::from(choice == Choice::Ours));
            }
        }
    }
    // It has no date, and is no label.
    let c = own_case(OwnField::KmsKey, None, Some((Some("n"), "k")), Some("l"));
    let found = made(&c).secrets[&name()].conflicts[0].clone();
    assert_eq!(found.class, Class::Edit);
    let mut record = crate::model::Record::new(name());
    record.base = c.base[&name()].clone();
    let to = resolve(&mut record, &found, &Choice::To(id(1)));
    assert!(matches!(to, Err(ResolveError::NoLabel(_))));
    record.base.clear();
    let stale = resolve(&mut record, &found, &Choice::Ours);
    assert!(matches!(stale, Err(ResolveError::Stale)));
}

/// Of another incarnation nothing is taken over.
#[test]
fn what_was_agreed_with_another_incarnation_says_nothing() {
    let field = OwnField::KmsKey;
    let mut c = own_case(field, None, Some((Some("n"), "k")), Some("l"));
    let a = c.remotes.get_mut(&remote("a")).unwrap();
    if let Some(Sight::Seen(seen)) = a.secrets.get_mut(&name()) {
        seen.facts.arn = "arn-BBBBBB".into();
    }
    let plan = made(&c);
    assert!(plan.conflicts().next().is_none());
    let settled = &plan.secrets[&name()].settled[&remote("a")];
    assert!(!settled.own.values().any(|h| h.here.is_some()));
}
