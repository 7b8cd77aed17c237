//! Several laptops with one account, and one vault with several accounts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use strongroom::model::{Class, Direction};
use strongroom::plan::{Choice, RemotePolicy, ResolveError, resolve};

use super::world::{Cloud, Edits, Site, git, id, name, put, serves, text};

/// Every metadata file, by its path in the vault.
fn metadata(site: &Site) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = site.files().into_iter();
    let relative = |p: &Path| p.strip_prefix(site.root()).unwrap().to_owned();
    files
        .map(|(path, (bytes, _))| (relative(&path), bytes))
        .filter(|(path, _)| {
            path.starts_with("secrets") && path.extension() == Some("toml".as_ref())
        })
        .collect()
}

/// An account with three secrets, in step with two clones of one vault.
fn two_clones() -> (Cloud, Site, Site) {
    let cloud = Cloud::new();
    cloud.put("a", 1, "a1");
    cloud.put("b", 2, "b1");
    cloud.put_labelled("b", 3, &text("b2"), &["blue"]);
    cloud.put("c", 4, "c1");
    let ann = Site::with_git(&cloud);
    ann.sync(&cloud);
    let bob = ann.clone_with_git();
    (cloud, ann, bob)
}

/// Takes over what the other one committed, with the real git.
fn merge(into: &mut Site, from: &Site) {
    git(
        into.root(),
        &["fetch", "-q", from.root().to_str().unwrap(), "HEAD"],
    );
    git(into.root(), &["merge", "-q", "--no-edit", "FETCH_HEAD"]);
    let status = git(into.root(), &["status", "--porcelain"]);
    assert_eq!(status, "");
    into.reopen();
}

#[test]
fn a_clone_of_a_synced_vault_is_in_step_at_once() {
    let (cloud, _, bob) = two_clones();
    bob.assert_quiet(&cloud);
}

#[test]
fn two_clones_that_pull_the_same_write_the_same_bytes_and_git_merges_silently() {
    let (cloud, mut ann, mut bob) = two_clones();
    cloud.put("a", 11, "a2");
    cloud.move_label("b", "AWSCURRENT", Some(3));
    cloud.tag("b", "team", Some("x"));
    cloud.delete("c");
    cloud.put("new", 12, "n1");
    cloud.put("new", 13, "n2");
    let before = metadata(&ann);
    ann.sync(&cloud);
    // The other laptop's clock is elsewhere.
    for _ in 0..5000 {
        cloud.clock.tick();
    }
    bob.sync(&cloud);
    assert_ne!(metadata(&ann), before);
    assert_eq!(metadata(&ann), metadata(&bob));

    merge(&mut ann, &bob);
    assert_eq!(metadata(&ann), metadata(&bob));
    assert_eq!(ann.serves("a"), "a2");
    assert_eq!(ann.serves("new"), "n2");
    ann.assert_quiet(&cloud);
    merge(&mut bob, &ann);
    assert_eq!(bob.serves("a"), "a2");
    bob.assert_quiet(&cloud);
}

#[test]
fn two_clones_that_find_the_same_conflict_record_the_same_bytes() {
    let (cloud, mut ann, mut bob) = two_clones();
    ann.put("a", 11, "edit");
    merge(&mut bob, &ann);
    cloud.put("a", 12, "theirs");
    ann.sync(&cloud);
    cloud.clock.tick();
    bob.sync(&cloud);
    assert_eq!(ann.record("a").conflicts.len(), 1);
    assert_eq!(metadata(&ann), metadata(&bob));
    merge(&mut ann, &bob);
    ann.resolve("a", &Choice::Theirs);
    ann.sync(&cloud);
    merge(&mut bob, &ann);
    assert_eq!(bob.serves("a"), "theirs");
    assert_eq!(bob.record("a").conflicts, []);
    bob.assert_quiet(&cloud);
}

#[test]
fn what_a_teammate_pushed_and_committed_is_no_news_to_anyone() {
    let (cloud, mut ann, mut bob) = two_clones();
    cloud.put("a", 11, "a2");
    ann.sync(&cloud);
    ann.put("a", 12, "a3");
    merge(&mut bob, &ann);
    // Bob never synced version 11; its base came with git.
    let report = bob.sync(&cloud);
    assert_eq!((report.conflicts.len(), report.there), (0, 2));
    assert_eq!(cloud.serves("a"), "a3");
    // Ann's own run finds it done.
    let report = ann.sync(&cloud);
    assert_eq!((report.conflicts.len(), report.there), (0, 0));
    merge(&mut ann, &bob);
    ann.assert_quiet(&cloud);
}

#[test]
fn of_two_that_push_different_versions_one_is_asked() {
    let (cloud, ann, bob) = two_clones();
    ann.put("a", 11, "ann");
    bob.put("a", 12, "bob");
    ann.sync(&cloud);
    let moves = cloud.prod().current_moves().len();
    let report = bob.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(cloud.prod().current_moves().len(), moves);
    assert_eq!(cloud.serves("a"), "ann");
    assert_eq!(bob.bytes("a", &id(11)), b"ann");
    bob.resolve("a", &Choice::Ours);
    bob.sync(&cloud);
    assert_eq!(cloud.serves("a"), "bob");
    // Made on top of what Ann pushed, so she follows.
    let report = ann.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(ann.serves("a"), "bob");
    ann.assert_quiet(&cloud);
    bob.assert_quiet(&cloud);
}

#[test]
fn an_edit_on_a_state_that_a_teammate_pushed_over_asks() {
    let (cloud, ann, bob) = two_clones();
    ann.put("a", 11, "a2");
    ann.sync(&cloud);
    ann.put("a", 12, "a3");
    ann.sync(&cloud);
    bob.put("a", 13, "on top of a1");
    let before = cloud.dump();
    let report = bob.sync(&cloud);
    assert_eq!(report.conflicts.len(), 1);
    assert_eq!(cloud.dump(), before);
}

fn two_accounts() -> (Cloud, Site) {
    let cloud = Cloud::with(&["prod", "backup"]);
    let site = Site::new(&cloud);
    (cloud, site)
}

fn put_in(cloud: &Cloud, account: &str, secret: &str, n: u32, value: &str) {
    put(
        cloud.account(account),
        &cloud.clock,
        secret,
        n,
        &text(value),
        &[],
    );
}

#[test]
fn an_edit_here_goes_to_every_account() {
    let (cloud, site) = two_accounts();
    site.put("a", 1, "one");
    site.sync(&cloud);
    site.put("a", 2, "two");
    site.sync(&cloud);
    for account in ["prod", "backup"] {
        let store = cloud.account(account);
        assert_eq!(serves(store, "a"), "two");
        let state = store.state();
        let state = state.get(&name("a")).unwrap();
        assert_eq!(state.labels[&super::world::label("AWSPREVIOUS")], id(1));
    }
    site.assert_quiet(&cloud);
}

#[test]
fn what_one_account_has_goes_to_the_other_with_the_same_version_ids() {
    let (cloud, site) = two_accounts();
    put_in(&cloud, "prod", "a", 1, "one");
    put_in(&cloud, "prod", "a", 2, "two");
    put_in(&cloud, "backup", "b", 3, "three");
    let mut runs = 0;
    while !site.is_quiet(&cloud) {
        runs += 1;
        assert!(runs < 4);
    }
    assert_eq!(serves(cloud.account("backup"), "a"), "two");
    assert_eq!(serves(cloud.account("prod"), "b"), "three");
    let ids = |account: &str| {
        let state = cloud.account(account).state();
        state.get(&name("a")).unwrap().current().cloned()
    };
    assert_eq!(ids("prod"), ids("backup"));

    // An edit over there takes one run to get to the other account.
    put_in(&cloud, "backup", "a", 4, "four");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(serves(cloud.account("prod"), "a"), "four");
    site.assert_quiet(&cloud);
}

#[test]
fn two_accounts_that_disagree_are_a_conflict_of_their_own_kind() {
    let (cloud, site) = two_accounts();
    site.put("a", 1, "one");
    site.sync(&cloud);
    put_in(&cloud, "prod", "a", 2, "prod says");
    put_in(&cloud, "backup", "a", 3, "backup says");
    let before = cloud.dump();
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts[0].1.class, Class::RemoteRemote);
    assert_eq!(cloud.dump(), before);
    assert_eq!(site.serves("a"), "one");
    assert_eq!(site.bytes("a", &id(2)), b"prod says");
    assert_eq!(site.bytes("a", &id(3)), b"backup says");
}

#[test]
fn a_deletion_in_one_account_reaches_the_other_by_the_vaults_word() {
    let (cloud, site) = two_accounts();
    site.put("a", 1, "one");
    site.put("b", 2, "anchor");
    site.sync(&cloud);
    let date = Some(cloud.clock.now().plus_days(30));
    let delete = strongroom::model::Change::Delete { date };
    cloud
        .account("prod")
        .as_console(&name("a"), &delete)
        .unwrap();
    let mut runs = 0;
    while !site.is_quiet(&cloud) {
        runs += 1;
        assert!(runs < 4);
    }
    assert!(!site.state("a").lifecycle.is_live());
    let there = cloud.account("backup").state();
    assert!(there.get(&name("a")).unwrap().lifecycle.is_scheduled());
    assert_eq!(site.bytes("a", &id(1)), b"one");
}

#[test]
fn accounts_that_date_a_deletion_differently_come_to_rest() {
    let (cloud, site) = two_accounts();
    site.put("a", 1, "one");
    site.put("b", 2, "anchor");
    site.sync(&cloud);
    for (account, days) in [("prod", 7), ("backup", 9)] {
        let date = Some(cloud.clock.now().plus_days(days));
        let delete = strongroom::model::Change::Delete { date };
        let store = cloud.account(account);
        store.as_console(&name("a"), &delete).unwrap();
    }
    site.sync(&cloud);
    assert!(site.state("a").lifecycle.is_scheduled());
    site.assert_quiet(&cloud);
}

#[test]
fn an_account_to_pull_from_and_one_to_push_to() {
    let (cloud, mut site) = two_accounts();
    for (account, direction) in [("prod", Direction::Pull), ("backup", Direction::Push)] {
        let policy = RemotePolicy {
            direction,
            ..RemotePolicy::default()
        };
        site.allow(account, policy);
    }
    put_in(&cloud, "prod", "a", 1, "one");
    put_in(&cloud, "backup", "own", 9, "the backup's own");
    let mut runs = 0;
    loop {
        let report = site.sync(&cloud);
        if report.outcomes.is_empty() && report.written == 0 {
            break;
        }
        runs += 1;
        assert!(runs < 4);
    }
    assert_eq!(serves(cloud.account("backup"), "a"), "one");
    put_in(&cloud, "prod", "a", 2, "two");
    site.sync(&cloud);
    assert_eq!(serves(cloud.account("backup"), "a"), "two");
    assert!(!site.records().contains_key(&name("own")));
    assert!(cloud.account("prod").state().get(&name("own")).is_none());
}

#[test]
fn one_account_at_a_time_forgets_nothing_of_the_other() {
    let (cloud, site) = two_accounts();
    site.put("a", 1, "one");
    site.sync(&cloud);
    site.put("a", 2, "two");
    let one = |account: &str| {
        let all = &cloud.stores;
        let store = &all[&super::world::remote(account)];
        BTreeMap::from([(
            super::world::remote(account),
            super::faults::Watched::new(store),
        )])
    };
    assert!(site.try_sync(&one("prod")).unwrap().is_complete());
    assert_eq!(serves(cloud.account("prod"), "a"), "two");
    assert_eq!(serves(cloud.account("backup"), "a"), "one");
    site.put("a", 3, "three");
    assert!(site.try_sync(&one("backup")).unwrap().is_complete());
    assert_eq!(serves(cloud.account("backup"), "a"), "three");
    site.sync(&cloud);
    assert_eq!(serves(cloud.account("prod"), "a"), "three");
    site.assert_quiet(&cloud);
}

#[test]
fn a_deletion_in_one_account_and_news_in_the_other_are_decided_either_way() {
    for choice in [Choice::Ours, Choice::Theirs] {
        let (cloud, site) = two_accounts();
        site.put("a", 1, "one");
        site.put("b", 9, "anchor");
        site.sync(&cloud);
        let date = Some(cloud.clock.now().plus_days(30));
        let delete = strongroom::model::Change::Delete { date };
        let prod = cloud.account("prod");
        prod.as_console(&name("a"), &delete).unwrap();
        put_in(&cloud, "backup", "a", 2, "two");
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts[0].1.class, Class::RemoteRemote);
        assert_eq!(site.bytes("a", &id(2)), b"two");

        site.resolve("a", &choice);
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts, [], "{choice:?}");
        site.sync(&cloud);
        site.assert_quiet(&cloud);
        let lives = choice == Choice::Ours;
        assert_eq!(site.state("a").lifecycle.is_live(), lives);
        for account in ["prod", "backup"] {
            let store = cloud.account(account);
            let state = store.state().get(&name("a")).unwrap().clone();
            assert_eq!(state.lifecycle.is_live(), lives, "{account}");
            if lives {
                assert_eq!(serves(store, "a"), "two");
            }
        }
    }
}

#[test]
fn a_name_that_two_accounts_have_and_the_vault_has_not_is_copied_and_decided() {
    let (cloud, site) = two_accounts();
    put_in(&cloud, "prod", "a", 1, "prod says");
    put_in(&cloud, "backup", "a", 2, "backup says");
    let before = cloud.dump();
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts[0].1.class, Class::RemoteRemote);
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(cloud.dump(), before);
    assert_eq!(site.bytes("a", &id(1)), b"prod says");
    assert_eq!(site.bytes("a", &id(2)), b"backup says");
    // The vault has nothing of its own, and a live secret needs an AWSCURRENT.
    let mut record = site.record("a");
    let conflict = record.conflicts[0].clone();
    assert_eq!(
        resolve(&mut record, &conflict, &Choice::Ours),
        Err(ResolveError::NoneHere)
    );
    assert_eq!(record, site.record("a"));
    let mut asked = 0;
    while !site.record("a").conflicts.is_empty() {
        site.resolve("a", &Choice::Theirs);
        site.sync(&cloud);
        asked += 1;
        assert!(asked < 4);
    }
    site.assert_quiet(&cloud);
    let says = site.serves("a");
    for account in ["prod", "backup"] {
        assert_eq!(serves(cloud.account(account), "a"), says);
    }
}
