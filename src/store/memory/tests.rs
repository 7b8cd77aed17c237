//! The model's own rules, each by its section of aws.md.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::model::{
    Attributes, Change, Lifecycle, Origin, RemoteView, Sight, StagingLabel, VersionMeta,
};
use crate::store::{SecretStore as _, Silent};

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn id(n: usize) -> VersionId {
    format!("{n:032}").parse().unwrap()
}

fn label(text: &str) -> StagingLabel {
    text.parse().unwrap()
}

fn value(text: &str) -> SecretValue {
    SecretValue::string(text.as_bytes().to_vec()).unwrap()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// An account whose clock a test moves, in seconds.
fn account(region: &str) -> (MemoryStore, Arc<AtomicI64>) {
    let seconds = Arc::new(AtomicI64::new(1_800_000_000));
    let clock = Arc::clone(&seconds);
    let clock: Clock = Arc::new(move || Timestamp::from_secs(clock.load(Ordering::SeqCst)));
    let store = MemoryStore::with_clock("123456789012", region, clock);
    (store, seconds)
}

fn put(store: &MemoryStore, n: usize, labels: &[&str]) -> Result<(), StoreError> {
    let labels: Vec<_> = labels.iter().map(|l| label(l)).collect();
    store.as_console_put(&name("a"), &id(n), value(&format!("v{n}")), &labels)
}

fn add(n: usize, text: &str) -> Change {
    Change::AddVersion {
        id: id(n),
        meta: VersionMeta::unread(Origin::Local),
        labels: vec![label(text)],
    }
}

fn view(store: &MemoryStore, known: &[&str]) -> RemoteView {
    let known: Vec<_> = known.iter().map(|n| name(n)).collect();
    run(store.view(&known, &Silent)).unwrap()
}

fn refusal(store: &MemoryStore) -> (String, String) {
    let refusal = store.last_refusal().unwrap();
    (refusal.code, refusal.text)
}

fn versions(store: &MemoryStore) -> usize {
    store.state().get(&name("a")).unwrap().versions.len()
}

#[test]
fn aws_9_the_hundred_and_first_version_waits_for_one_that_may_go() {
    let (store, clock) = account("eu-west-1");
    for n in 1..=100 {
        put(&store, n, &[]).unwrap();
    }
    // All of them are younger than 24 hours.
    put(&store, 101, &[]).unwrap_err();
    assert_eq!(refusal(&store).0, "LimitExceededException");
    assert_eq!(versions(&store), 100);
    // A token that is there already needs no room.
    put(&store, 100, &[]).unwrap();
    clock.fetch_add(86_401, Ordering::SeqCst);
    put(&store, 101, &[]).unwrap();
    assert_eq!(versions(&store), 100);
    let state = store.state();
    let state = state.get(&name("a")).unwrap();
    assert!(!state.versions.contains_key(&id(1)));
    assert!(state.versions.contains_key(&id(2)));
    assert!(store.peek(&name("a"), &id(1)).is_none());
}

#[test]
fn aws_3_a_version_may_go_as_soon_as_its_last_label_does() {
    let (store, _) = account("eu-west-1");
    store.set_cleanup(Cleanup::AtOnce);
    for n in 1..=3 {
        put(&store, n, &[]).unwrap();
    }
    assert_eq!(versions(&store), 2);
    let gone = run(store.read(&name("a"), &id(1)));
    assert_eq!(gone.err(), Some(StoreError::NoValue(id(1))));
    // The token of a collected version is free again, for any content.
    store
        .as_console_put(&name("a"), &id(1), value("other"), &[label("own")])
        .unwrap();
    assert!(
        store
            .peek(&name("a"), &id(1))
            .unwrap()
            .same_as(&value("other"))
    );
}

#[test]
fn aws_9_a_secret_bears_20_labels() {
    let (store, _) = account("eu-west-1");
    put(&store, 1, &[]).unwrap();
    let names: Vec<String> = (0..19).map(|n| format!("l{n}")).collect();
    let labels: Vec<&str> = names.iter().map(String::as_str).collect();
    put(&store, 2, &labels).unwrap();
    put(&store, 3, &["one-more"]).unwrap_err();
    assert_eq!(refusal(&store).0, "LimitExceededException");
    assert_eq!(versions(&store), 2);
}

#[test]
fn aws_7_a_rotation_makes_a_placeholder_that_a_put_fills() {
    let (store, _) = account("eu-west-1");
    put(&store, 1, &[]).unwrap();
    store.as_console_rotate(&name("a"), &id(2)).unwrap();
    let seen = run(store.describe(&name("a"))).unwrap().unwrap();
    assert!(seen.facts.rotation_enabled);
    assert_eq!(seen.state.labels[&StagingLabel::pending()], id(2));
    let none = run(store.read(&name("a"), &id(2)));
    assert_eq!(none.err(), Some(StoreError::NoValue(id(2))));
    // A second rotation must wait.
    store.as_console_rotate(&name("a"), &id(3)).unwrap_err();
    assert_eq!(
        refusal(&store),
        (
            "InvalidRequestException".to_owned(),
            "A previous rotation isn't complete. That rotation will be reattempted.".to_owned()
        )
    );
    // AWSCURRENT cannot go to a version without a value.
    let to_placeholder = Change::MoveLabel {
        label: StagingLabel::current(),
        from: Some(id(1)),
        to: Some(id(2)),
    };
    store.as_console(&name("a"), &to_placeholder).unwrap_err();
    put(&store, 2, &["AWSPENDING"]).unwrap();
    store.as_console(&name("a"), &to_placeholder).unwrap();
    // By UpdateSecretVersionStage AWSPENDING stays, and is no obstacle.
    let state = store.state();
    assert_eq!(
        state.get(&name("a")).unwrap().labels[&StagingLabel::pending()],
        id(2)
    );
    store.as_console_rotate(&name("a"), &id(3)).unwrap();
}

#[test]
fn aws_6_a_primary_is_deleted_after_its_replicas_and_a_replica_is_read_only() {
    let (primary, _) = account("eu-west-1");
    let (other, _) = account("us-east-1");
    let secret = name("a");
    put(&primary, 1, &[]).unwrap();
    primary.as_console_replicate(&secret, &primary).map_or_else(
        |e| assert!(e.to_string().contains("Invalid replica region.")),
        |()| panic!("replicated to itself"),
    );
    primary.as_console_replicate(&secret, &other).unwrap();
    let there = run(other.describe(&secret)).unwrap().unwrap();
    assert!(there.facts.replica);
    assert_eq!(
        there.facts.arn,
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-000001"
    );
    assert!(
        run(other.read(&secret, &id(1)))
            .unwrap()
            .value
            .same_as(&value("v1"))
    );

    let delete = Change::Delete { date: None };
    run(primary.apply(&secret, &delete, None)).unwrap_err();
    assert_eq!(
        refusal(&primary),
        (
            "InvalidParameterException".to_owned(),
            "You can't delete secret arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-000001 that still has replica regions [us-east-1].".to_owned()
        )
    );
    for change in [&add(2, "own"), &delete, &Change::Restore] {
        other
            .as_console_with(&secret, change, Some(&value("x")))
            .unwrap_err();
        assert_eq!(
            refusal(&other).1,
            "Operation not permitted on a replica secret. Call must be made in primary secret's region."
        );
    }
    primary.as_console_unreplicate(&secret, &other);
    assert_eq!(run(other.describe(&secret)), Ok(None));
    run(primary.apply(&secret, &delete, None)).unwrap();
}

#[test]
fn aws_5_a_listing_lags_and_a_look_does_not() {
    let (store, clock) = account("eu-west-1");
    put(&store, 1, &[]).unwrap();
    store.set_lag(ListLag::All(LONGEST_LAG));
    clock.fetch_add(1000, Ordering::SeqCst);
    put(&store, 2, &[]).unwrap();
    store
        .as_console_put(&name("new"), &id(9), value("x"), &[])
        .unwrap();
    let current = |view: &RemoteView| match &view.secrets[&name("a")] {
        Sight::Seen(seen) => seen.state.current().cloned(),
        Sight::Blocked(_) => None,
    };
    let behind = view(&store, &[]);
    assert_eq!(current(&behind), Some(id(1)));
    assert!(!behind.secrets.contains_key(&name("new")));
    // Only a name that is asked for is looked up.
    assert!(view(&store, &["new"]).secrets.contains_key(&name("new")));
    let fresh = run(store.describe(&name("a"))).unwrap().unwrap();
    assert_eq!(fresh.state.current(), Some(&id(2)));
    store.as_console_purge(&name("a"));
    assert!(view(&store, &[]).secrets.contains_key(&name("a")));
    clock.fetch_add(300, Ordering::SeqCst);
    let later = view(&store, &[]);
    assert!(!later.secrets.contains_key(&name("a")));
    assert!(later.secrets.contains_key(&name("new")));
}

#[test]
fn aws_1_refusals_in_awss_words() {
    let (store, _) = account("eu-west-1");
    let secret = name("a");
    let console = |change: &Change, text: &str| {
        let with = matches!(change, Change::Create { .. } | Change::AddVersion { .. });
        let value = with.then(|| value(text));
        store.as_console_with(&secret, change, value.as_ref())
    };
    let create = |n| Change::Create {
        attributes: Attributes::default(),
        version: Some((id(n), VersionMeta::unread(Origin::Local))),
    };
    let stage = |label: &str, from: Option<usize>, to: Option<usize>| Change::MoveLabel {
        label: self::label(label),
        from: from.map(id),
        to: to.map(id),
    };
    let not_found = "Secrets Manager can't find the specified secret.";
    let says = |change: &Change, text: &str, code: &str, words: &str| {
        console(change, text).unwrap_err();
        assert_eq!(refusal(&store), (code.to_owned(), words.to_owned()));
    };
    says(&add(1, "own"), "x", "ResourceNotFoundException", not_found);
    console(&create(1), "x").unwrap();
    console(&create(1), "x").unwrap();
    says(
        &create(2),
        "x",
        "ResourceExistsException",
        "The operation failed because the secret a already exists.",
    );
    let taken = format!(
        "You can't use ClientRequestToken {} because that value is already in use for a version of secret arn:aws:secretsmanager:eu-west-1:123456789012:secret:a-000001.",
        id(1)
    );
    says(&create(1), "y", "ResourceExistsException", &taken);
    says(&add(1, "own"), "y", "ResourceExistsException", &taken);
    console(&add(2, "own"), "z").unwrap();
    let attached = format!(
        "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to version {}, so you must explicitly reference that version in RemoveFromVersionId.",
        id(1)
    );
    says(
        &stage("AWSCURRENT", None, Some(2)),
        "",
        "InvalidParameterException",
        &attached,
    );
    console(&stage("AWSCURRENT", Some(2), Some(1)), "").unwrap_err();
    assert_eq!(refusal(&store).0, "InvalidParameterException");
    console(&stage("AWSCURRENT", Some(1), None), "").unwrap_err();
    assert_eq!(refusal(&store).0, "InvalidParameterException");
    console(&Change::Delete { date: None }, "").unwrap();
    says(
        &add(3, "own"),
        "x",
        "InvalidRequestException",
        "You can't perform this operation on the secret because it was marked for deletion.",
    );
    says(
        &create(3),
        "x",
        "InvalidRequestException",
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
    );
}

#[test]
fn aws_9_calls_over_the_rate_are_throttled_until_time_passes() {
    let (store, clock) = account("eu-west-1");
    put(&store, 1, &[]).unwrap();
    store.set_rates(Some(Rates::aws()));
    let writes = || {
        (0..100)
            .take_while(|_| {
                run(store.apply(&name("a"), &add(2, "own"), Some(&value("v2")))).is_ok()
            })
            .count()
    };
    assert_eq!(writes(), 50);
    assert_eq!(refusal(&store).0, "ThrottlingException");
    clock.fetch_add(1, Ordering::SeqCst);
    assert_eq!(writes(), 50);
    store.set_rates(None);
    assert_eq!(writes(), 100);
}

#[test]
fn sync_1_14_every_change_may_be_repeated_after_a_lost_answer() {
    for kind in [FaultKind::LostAnswer, FaultKind::Duplicate] {
        let (store, _) = account("eu-west-1");
        let secret = name("a");
        let tagged = Attributes {
            description: Some("d".to_owned()),
            tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        };
        let bare = Change::Create {
            attributes: tagged.clone(),
            version: None,
        };
        let stage = |label: &str, from: Option<usize>, to: Option<usize>| Change::MoveLabel {
            label: self::label(label),
            from: from.map(id),
            to: to.map(id),
        };
        let steps = [
            (Call::Create, bare, None),
            (Call::Put, add(1, "own"), Some("x")),
            (Call::Put, add(2, "own"), Some("y")),
            (Call::Stage, stage("AWSCURRENT", Some(1), Some(2)), None),
            (Call::Stage, stage("green", None, Some(1)), None),
            (Call::Stage, stage("green", Some(1), None), None),
            (
                Call::Update,
                Change::SetAttributes {
                    from: tagged,
                    to: Attributes::default(),
                },
                None,
            ),
            (Call::Delete, Change::Delete { date: None }, None),
            (Call::Restore, Change::Restore, None),
        ];
        for (call, change, text) in steps {
            let value = text.map(value);
            store.set_faults(FaultPlan::new().nth(call, 0, kind));
            let mut first = run(store.apply(&secret, &change, value.as_ref()));
            let hits = store.hits().len();
            assert_eq!(hits, 1, "{change:?}");
            if let (FaultKind::LostAnswer, Change::SetAttributes { to, .. }) = (kind, &change) {
                // Cut off between its calls: what is there now is where it goes on.
                first.unwrap_err();
                let from = store.state().get(&secret).unwrap().attributes.clone();
                let rest = Change::SetAttributes {
                    from,
                    to: to.clone(),
                };
                run(store.apply(&secret, &rest, None)).unwrap();
                continue;
            }
            if kind == FaultKind::LostAnswer {
                first.unwrap_err();
                first = run(store.apply(&secret, &change, value.as_ref()));
            }
            assert_eq!(first, Ok(()), "{kind:?} {change:?}");
        }
        let state = store.state();
        let state = state.get(&secret).unwrap();
        assert_eq!(state.current(), Some(&id(2)));
        assert_eq!(state.lifecycle, Lifecycle::Live);
        assert_eq!(state.attributes, Attributes::default());
    }
}

#[test]
fn what_is_delayed_takes_effect_later_and_only_if_aws_still_lets_it() {
    let (store, _) = account("eu-west-1");
    let secret = name("a");
    put(&store, 1, &[]).unwrap();
    put(&store, 2, &["own"]).unwrap();
    let stage = Change::MoveLabel {
        label: StagingLabel::current(),
        from: Some(id(1)),
        to: Some(id(2)),
    };
    let current = || store.state().get(&secret).unwrap().current().cloned();
    let delay = FaultPlan::new().nth(Call::Stage, 0, FaultKind::Delayed);
    store.set_faults(delay.clone());
    run(store.apply(&secret, &stage, None)).unwrap_err();
    assert_eq!(current(), Some(id(1)));
    // Somebody is faster: the move that comes late finds the label elsewhere.
    put(&store, 3, &[]).unwrap();
    assert_eq!(store.land_delayed(), 1);
    assert_eq!(current(), Some(id(3)));
    assert_eq!(store.land_delayed(), 0);

    let stage = Change::MoveLabel {
        label: StagingLabel::current(),
        from: Some(id(3)),
        to: Some(id(2)),
    };
    store.set_faults(delay.landing_after(2));
    run(store.apply(&secret, &stage, None)).unwrap_err();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(
            run(store.describe(&secret))
                .unwrap()
                .unwrap()
                .state
                .current()
                .cloned(),
        );
    }
    // Calls 1 and 2 of the plan: it lands before number 3.
    assert_eq!(seen, [Some(id(3)), Some(id(3)), Some(id(2))]);
}

#[test]
fn a_permission_may_be_missing_for_one_operation_on_one_secret() {
    let (store, _) = account("eu-west-1");
    put(&store, 1, &[]).unwrap();
    store
        .as_console_put(&name("b"), &id(1), value("x"), &[])
        .unwrap();
    store.forbid(&name("a"), Call::Describe, true);
    assert!(matches!(
        run(store.describe(&name("a"))),
        Err(StoreError::Denied { .. })
    ));
    assert!(run(store.describe(&name("b"))).is_ok());
    store.forbid(&name("a"), Call::Describe, false);
    assert!(run(store.describe(&name("a"))).is_ok());
}

#[test]
fn pages_may_be_cut_or_old_and_a_known_name_is_looked_up_all_the_same() {
    let (store, _) = account("eu-west-1");
    for n in 1..=9 {
        let secret = name(&format!("s{n}"));
        store
            .as_console_put(&secret, &id(n), value("x"), &[])
            .unwrap();
    }
    store.keep_listing();
    store.set_page(3);
    store
        .as_console_put(&name("s5"), &id(50), value("y"), &[])
        .unwrap();
    store
        .as_console_put(&name("s51"), &id(51), value("z"), &[])
        .unwrap();
    let plan = |kind| FaultPlan::new().nth(Call::List, 1, kind);
    store.set_faults(plan(FaultKind::StalePage));
    let old = view(&store, &[]);
    let Sight::Seen(s5) = &old.secrets[&name("s5")] else {
        panic!("blocked");
    };
    assert_eq!(s5.state.current(), Some(&id(5)));
    assert!(!old.secrets.contains_key(&name("s51")));
    store.set_faults(plan(FaultKind::TruncatedPage));
    let cut = view(&store, &["s51"]);
    assert_eq!(cut.listed, 8);
    assert!(cut.secrets.contains_key(&name("s51")));
    assert!(!cut.secrets.contains_key(&name("s6")) || !cut.secrets.contains_key(&name("s5")));
    let whole = view(&store, &[]);
    assert_eq!(whole.listed, 10);
}
