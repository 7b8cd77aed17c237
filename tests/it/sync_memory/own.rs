//! What each remote has of its own: KMS key, resource policy, replicas, rotation
//! (sync.md section 1.7).

use std::collections::BTreeMap;

use strongroom::config::RemoteConfig;
use strongroom::model::{
    Change, Direction, Extras, Halves, OwnField, RemoteFacts, Rotation, Scope, Sight, Strategy,
};
use strongroom::plan::{Choice, NoteKind, RemotePolicy};
use strongroom::store::{Account as _, Call, MemoryStore, Silent};
use strongroom::sync::{Details, Outcome, Report, apply_plan, fetch, fetch_with, prepare};
use strongroom::vault::Durability;

use super::world::{Cloud, Edits, Site, name, remote, run, serves};

const ALL: Extras = Extras {
    details: true,
    push_kms: true,
    push_policy: true,
    push_replicas: true,
};
const POLICY: &str = r#"{"Statement":[],"Version":"2012-10-17"}"#;
/// The same, as somebody may write it.
const SPACED: &str = r#"{ "Version": "2012-10-17", "Statement": [] }"#;

/// Sets what is done about it, in the settings and in the policy of every run.
fn set(site: &mut Site, accounts: &[&str], extras: Extras) {
    let mut config = (*site.vault.config()).clone();
    for account in accounts {
        let settings = RemoteConfig {
            name: remote(account),
            region: "eu-west-1".into(),
            account: None,
            profile: None,
            role_arn: None,
            endpoint: None,
            scope: Scope::default(),
            direction: Direction::TwoWay,
            on_conflict: Strategy::Hold,
            extras,
        };
        config.remotes.insert(remote(account), settings);
        let policy = RemotePolicy {
            extras,
            ..RemotePolicy::default()
        };
        site.allow(account, policy);
    }
    let mut tx = site.vault.begin("test", site.options().now).unwrap();
    tx.set_config(config);
    tx.commit("test", Durability::Each).unwrap();
}

/// A vault in step with these accounts, which have one secret `db`.
fn in_step(accounts: &[&str], extras: Extras) -> (Cloud, Site) {
    let cloud = Cloud::with(accounts);
    let store = cloud.account(accounts[0]);
    let one = super::world::text("one");
    super::world::put(store, &cloud.clock, "db", 1, &one, &[]);
    let mut site = Site::new(&cloud);
    set(&mut site, accounts, extras);
    site.sync(&cloud);
    site.sync(&cloud);
    (cloud, site)
}

/// Sets something here for one remote, as the endpoint does: it starts from what is known.
fn want(site: &Site, account: &str, field: OwnField, text: &str) {
    let mut tx = site.vault.begin("test", site.options().now).unwrap();
    let mut record = tx.record(&name("db")).unwrap().unwrap();
    let base = record.base.get_mut(&remote(account)).unwrap();
    base.own.entry(field).or_default().here = Some(text.to_owned());
    tx.put(record);
    tx.commit("test", Durability::Each).unwrap();
}

fn entry(site: &Site, account: &str, field: OwnField) -> Option<Halves> {
    let record = site.record("db");
    record.base[&remote(account)].own.get(&field).cloned()
}

fn settled(there: &str) -> Option<Halves> {
    Some(Halves {
        here: None,
        there: there.to_owned(),
    })
}

fn facts(store: &MemoryStore) -> RemoteFacts {
    let all = run(strongroom::store::SecretStore::describe(store, &name("db")));
    all.unwrap().unwrap().facts
}

fn policy_of(cloud: &Cloud, secret: &str) -> Option<String> {
    let name = name(secret);
    run(strongroom::store::SecretStore::policy(cloud.prod(), &name)).unwrap()
}

fn policy_there(cloud: &Cloud) -> Option<String> {
    policy_of(cloud, "db")
}

fn set_policy_there(cloud: &Cloud, text: &str) {
    cloud.prod().set_now(cloud.clock.tick());
    run(cloud.prod().set_policy(&name("db"), text)).unwrap();
}

fn set_kms_there(cloud: &Cloud, key: &str) {
    let to = key.to_owned();
    let change = Change::SetOwn {
        field: OwnField::KmsKey,
        from: String::new(),
        to,
    };
    cloud.change("db", &change);
}

fn drift(report: &Report) -> Vec<(OwnField, String)> {
    let notes = report.notes.iter().filter_map(|(_, n)| match &n.kind {
        NoteKind::Drift { field, there } => Some((*field, there.clone())),
        _ => None,
    });
    notes.collect()
}

/// The call budget of sync.md section 2: a listing alone, however much is known of each.
#[test]
fn a_sync_of_nothing_stays_at_its_listing() {
    for details in [false, true] {
        let cloud = Cloud::new();
        for n in 0..120 {
            cloud.put(&format!("s{n}"), n + 1, "x");
        }
        let mut site = Site::new(&cloud);
        let extras = Extras {
            details,
            ..Extras::default()
        };
        set(&mut site, &["prod"], extras);
        cloud.prod().reset_calls();
        site.sync(&cloud);
        let looked = |n: usize| if details { Some(n) } else { None };
        let calls = cloud.prod().calls();
        assert_eq!(calls.get(&Call::GetPolicy).copied(), looked(120));
        assert_eq!(calls.get(&Call::Describe).copied(), looked(120));
        let files = site.files();
        for _ in 0..2 {
            cloud.prod().reset_calls();
            assert!(site.is_quiet(&cloud));
            assert_eq!(cloud.prod().calls(), BTreeMap::from([(Call::List, 2)]));
        }
        assert_eq!(site.files(), files);
        // Of what changed only.
        cloud.put("s7", 1007, "y");
        cloud.prod().reset_calls();
        site.sync(&cloud);
        let calls = cloud.prod().calls();
        assert_eq!(calls.get(&Call::GetPolicy).copied(), looked(1));
    }
}

/// A listing says nothing of policy and replicas: what an earlier look said is kept.
#[test]
fn what_was_seen_is_kept_until_the_secret_is_another_one() {
    let (cloud, site) = in_step(&["prod"], Extras::default());
    set_policy_there(&cloud, SPACED);
    let seen = |details| {
        let (vault, now) = (&site.vault, cloud.clock.now());
        let view = run(fetch_with(
            vault,
            &remote("prod"),
            cloud.prod(),
            details,
            now,
            &Silent,
        ));
        let kept = site.vault.load_view(&remote("prod")).unwrap().unwrap().view;
        assert_eq!(kept, view.unwrap());
        match &kept.secrets[&name("db")] {
            Sight::Seen(seen) => seen.facts.clone(),
            Sight::Blocked(why) => panic!("{why}"),
        }
    };
    assert_eq!(seen(Details::AsSet).policy, None);
    let all = seen(Details::All);
    assert_eq!(all.policy.as_deref(), Some(POLICY));
    assert_eq!(all.replicas, Some(BTreeMap::new()));
    assert!(all.looked);
    assert_eq!(seen(Details::AsSet), all);
    // It changed since: known, but to be asked for again.
    cloud.put("db", 2, "two");
    let now = seen(Details::AsSet);
    assert_eq!((now.policy.as_deref(), now.looked), (Some(POLICY), false));
    cloud.prod().as_console_purge(&name("db"));
    cloud.put("db", 3, "another");
    assert_eq!(seen(Details::AsSet).policy, None);
}

#[test]
fn a_kms_key_is_mirrored_pushed_and_conflicts() {
    let (cloud, mut site) = in_step(&["prod"], Extras::default());
    let field = OwnField::KmsKey;
    set_kms_there(&cloud, "alias/a");
    assert_eq!(drift(&site.sync(&cloud)), []);
    assert_eq!(entry(&site, "prod", field), settled("alias/a"));
    site.assert_quiet(&cloud);
    set_kms_there(&cloud, "alias/b");
    let report = site.sync(&cloud);
    assert_eq!(drift(&report), [(field, "alias/b".to_owned())]);
    assert_eq!(entry(&site, "prod", field), settled("alias/b"));

    // Off by default: it is said, kept, and costs no call and no byte.
    want(&site, "prod", field, "alias/c");
    let files = site.files();
    cloud.prod().reset_calls();
    let report = site.sync(&cloud);
    let not_pushed = |n: &NoteKind| matches!(n, NoteKind::NotPushed(_));
    assert!(report.notes.iter().any(|(_, n)| not_pushed(&n.kind)));
    assert_eq!(cloud.prod().calls(), BTreeMap::from([(Call::List, 1)]));
    assert_eq!(
        (facts(cloud.prod()).kms_key.as_deref(), site.files()),
        (Some("alias/b"), files)
    );

    set(&mut site, &["prod"], ALL);
    let moves = cloud.prod().current_moves().len();
    site.sync(&cloud);
    assert_eq!(facts(cloud.prod()).kms_key.as_deref(), Some("alias/c"));
    assert_eq!(entry(&site, "prod", field), settled("alias/c"));
    assert_eq!(cloud.prod().current_moves().len(), moves);
    site.assert_quiet(&cloud);

    for ((choice, wins), there) in [
        (Choice::Theirs, "alias/there-1"),
        (Choice::Ours, "alias/here"),
    ]
    .into_iter()
    .zip(["alias/there-1", "alias/there-2"])
    {
        want(&site, "prod", field, "alias/here");
        set_kms_there(&cloud, there);
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts.len(), 1, "{report:?}");
        assert_eq!(facts(cloud.prod()).kms_key.as_deref(), Some(there));
        // It waits, on record, and is found again just so.
        let files = site.files();
        site.sync(&cloud);
        assert_eq!(site.files(), files);
        site.resolve("db", &choice);
        site.sync(&cloud);
        assert_eq!(facts(cloud.prod()).kms_key.as_deref(), Some(wins));
        assert_eq!(entry(&site, "prod", field), settled(wins));
        site.assert_quiet(&cloud);
    }
    // Back to the default key.
    want(&site, "prod", field, "");
    site.sync(&cloud);
    assert_eq!(
        (facts(cloud.prod()).kms_key, entry(&site, "prod", field)),
        (None, None)
    );
    site.assert_quiet(&cloud);
}

#[test]
fn a_policy_is_asked_for_before_it_is_replaced() {
    let push = Extras {
        details: false,
        ..ALL
    };
    let (cloud, mut site) = in_step(&["prod"], push);
    let field = OwnField::Policy;
    set_policy_there(&cloud, SPACED);
    cloud.prod().reset_calls();
    assert!(site.is_quiet(&cloud));
    assert_eq!(cloud.prod().calls().get(&Call::GetPolicy), None);

    // Set here where it is not known that there is one: they meet.
    want(&site, "prod", field, "[1]");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1, "{report:?}");
    let (_, conflict) = &report.conflicts[0];
    assert_eq!(conflict.theirs.as_deref(), Some(POLICY));
    site.resolve("db", &Choice::Ours);
    cloud.prod().reset_calls();
    site.sync(&cloud);
    let calls = cloud.prod().calls();
    let of = |call| calls.get(&call).copied();
    // To plan with, right before, and to read it back.
    assert_eq!(
        (of(Call::PutPolicy), of(Call::GetPolicy)),
        (Some(1), Some(3))
    );
    assert_eq!(policy_there(&cloud).as_deref(), Some("[1]"));
    assert_eq!(entry(&site, "prod", field), settled("[1]"));
    site.assert_quiet(&cloud);

    want(&site, "prod", field, "");
    cloud.prod().reset_calls();
    site.sync(&cloud);
    assert_eq!(cloud.prod().calls().get(&Call::DeletePolicy), Some(&1));
    assert_eq!(
        (policy_there(&cloud), entry(&site, "prod", field)),
        (None, None)
    );
    site.assert_quiet(&cloud);

    // One that somebody changed there is seen where the remote is set so.
    set(&mut site, &["prod"], ALL);
    site.sync(&cloud);
    set_policy_there(&cloud, POLICY);
    cloud.put("db", 2, "two");
    site.sync(&cloud);
    assert_eq!(entry(&site, "prod", field), settled(POLICY));
    // AWS refuses what is no policy: nothing is settled.
    want(&site, "prod", field, "no JSON");
    let report = site.try_sync(&cloud.stores).unwrap();
    let outcome = &report.outcomes[&name("db")];
    assert!(matches!(outcome, Outcome::Failed { .. }), "{report:?}");
    let kept = entry(&site, "prod", field).unwrap();
    assert_eq!(kept.here.as_deref(), Some("no JSON"));
    assert_eq!(policy_there(&cloud).as_deref(), Some(POLICY));
}

/// AWS compares nothing: what changed between the plan and the step is not overwritten.
#[test]
fn what_changed_since_the_plan_is_not_overwritten() {
    for field in [OwnField::KmsKey, OwnField::Policy] {
        let (cloud, site) = in_step(&["prod"], ALL);
        want(&site, "prod", field, "[1]");
        let options = site.options();
        let view = run(fetch(
            &site.vault,
            &remote("prod"),
            cloud.prod(),
            options.now,
            &Silent,
        ));
        let views = BTreeMap::from([(remote("prod"), view.unwrap())]);
        let prepared = prepare(&site.vault, views, &options.policy).unwrap();
        assert_eq!(prepared.plan.actions().count(), 1, "{field:?}");
        match field {
            OwnField::Policy => set_policy_there(&cloud, POLICY),
            _ => set_kms_there(&cloud, "alias/there"),
        }
        let done = apply_plan(&site.vault, &cloud.stores, prepared, &options, &Silent);
        let report = run(done).unwrap();
        let outcome = &report.outcomes[&name("db")];
        assert!(matches!(outcome, Outcome::Superseded(_)), "{report:?}");
        match field {
            OwnField::Policy => assert_eq!(policy_there(&cloud).as_deref(), Some(POLICY)),
            _ => assert_eq!(facts(cloud.prod()).kms_key.as_deref(), Some("alias/there")),
        }
        assert_eq!(site.sync(&cloud).conflicts.len(), 1);
    }
}

#[test]
fn replicas_are_added_and_never_taken_away() {
    let (cloud, site) = in_step(&["prod"], ALL);
    let field = OwnField::Replicas;
    want(&site, "prod", field, "us-east-1");
    cloud.prod().reset_calls();
    site.sync(&cloud);
    assert_eq!(cloud.prod().calls().get(&Call::Replicate), Some(&1));
    let there = || facts(cloud.prod()).replicas.unwrap_or_default();
    assert_eq!(there().into_keys().collect::<Vec<_>>(), ["us-east-1"]);
    assert_eq!(entry(&site, "prod", field), settled("us-east-1"));
    site.assert_quiet(&cloud);
    // Another one, made there meanwhile: both.
    want(&site, "prod", field, "ap-south-1 eu-west-2");
    let change = Change::SetOwn {
        field,
        from: String::new(),
        to: "eu-west-2".into(),
    };
    cloud.change("db", &change);
    site.sync(&cloud);
    let all = "ap-south-1 eu-west-2 us-east-1";
    assert_eq!(entry(&site, "prod", field), settled(all));
    assert_eq!(strongroom::model::replicas_text(&there()), all);
    site.assert_quiet(&cloud);
}

#[test]
fn rotation_that_changed_there_is_said_once() {
    let (cloud, site) = in_step(&["prod"], ALL);
    let turn = |schedule: &str| {
        let schedule = Some(schedule.to_owned());
        cloud.prod().edit_facts(&name("db"), |facts| {
            facts.rotation_enabled = true;
            facts.rotation = Some(Rotation {
                enabled: true,
                schedule,
                ..Rotation::default()
            });
        });
    };
    for schedule in ["rate(30 days)", "rate(10 days)"] {
        turn(schedule);
        let report = site.sync(&cloud);
        let words = format!("on, {schedule}");
        assert_eq!(drift(&report), [(OwnField::Rotation, words.clone())]);
        assert_eq!(entry(&site, "prod", OwnField::Rotation), settled(&words));
        let report = site.sync(&cloud);
        assert_eq!((drift(&report), report.written), (Vec::new(), 0));
    }
}

/// Every remote has its own: one's never comes to another, neither pulled nor pushed.
#[test]
fn nothing_of_it_crosses() {
    let (cloud, site) = in_step(&["prod", "dr"], ALL);
    assert_eq!(serves(cloud.account("dr"), "db"), "one");
    set_kms_there(&cloud, "alias/prod");
    set_policy_there(&cloud, POLICY);
    cloud.put("db", 2, "two");
    let change = Change::SetOwn {
        field: OwnField::Replicas,
        from: String::new(),
        to: "us-east-1".into(),
    };
    cloud.change("db", &change);
    site.sync(&cloud);
    site.sync(&cloud);
    want(&site, "prod", OwnField::KmsKey, "alias/new");
    site.sync(&cloud);
    assert_eq!(facts(cloud.prod()).kms_key.as_deref(), Some("alias/new"));
    let dr = facts(cloud.account("dr"));
    assert_eq!(serves(cloud.account("dr"), "db"), "two");
    assert_eq!((dr.kms_key, dr.replicas), (None, Some(BTreeMap::new())));
    let record = site.record("db");
    assert_eq!(record.base[&remote("dr")].own, BTreeMap::new());
    assert_eq!(record.base[&remote("prod")].own.len(), 3);
    assert!(record.details.is_empty());
    site.assert_quiet(&cloud);
}

/// K5: two clones that see the same write the same bytes.
#[test]
fn two_clones_write_the_same() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "one");
    let mut site = Site::new(&cloud);
    set(&mut site, &["prod"], ALL);
    site.sync(&cloud);
    let mut other = site.fork(&cloud);
    set_kms_there(&cloud, "alias/prod");
    set_policy_there(&cloud, SPACED);
    cloud.change(
        "db",
        &Change::SetOwn {
            field: OwnField::Replicas,
            from: String::new(),
            to: "us-east-1 eu-west-2".into(),
        },
    );
    site.sync(&cloud);
    cloud.clock.pass(100);
    other.reopen();
    other.sync(&cloud);
    let meta = |site: &Site| {
        let files = site.files().into_iter();
        let files = files
            .map(|(path, (bytes, _))| (path.strip_prefix(site.root()).unwrap().to_owned(), bytes));
        files
            .filter(|(path, _)| path.to_string_lossy().ends_with(".toml"))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(entry(&site, "prod", OwnField::Policy), settled(POLICY));
    assert_eq!(meta(&site), meta(&other));
}

/// What is to be carried out is foretold to the call.
#[test]
fn a_new_secret_takes_along_what_was_set_before() {
    let (cloud, site) = in_step(&["prod"], ALL);
    site.put("new", 7, "seven");
    let mut tx = site.vault.begin("test", site.options().now).unwrap();
    let mut record = tx.record(&name("new")).unwrap().unwrap();
    record.details.kms_key = Some("alias/k".into());
    record.details.policy = Some(POLICY.into());
    record.details.replicas = BTreeMap::from([("us-east-1".into(), None)]);
    tx.put(record);
    tx.commit("test", Durability::Each).unwrap();
    let report = site.sync(&cloud);
    assert_eq!(report.outcomes[&name("new")], Outcome::Done, "{report:?}");
    let there = run(strongroom::store::SecretStore::describe(
        cloud.prod(),
        &name("new"),
    ));
    let facts = there.unwrap().unwrap().facts;
    assert_eq!(facts.kms_key.as_deref(), Some("alias/k"));
    assert_eq!(facts.replicas.unwrap().len(), 1);
    assert_eq!(policy_of(&cloud, "new").as_deref(), Some(POLICY));
    site.assert_quiet(&cloud);
}
