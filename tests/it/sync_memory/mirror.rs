//! Mirrors: one side is made like the other, and nothing is lost on either.

use strongroom::model::{Direction, Lifecycle};
use strongroom::plan::{Halt, Limits, RemotePolicy};
use strongroom::sync::SyncError;

use super::world::{Cloud, Edits, Site, id, put, remote, serves, text};

fn mirrored(site: &mut Site, account: &str, direction: Direction) {
    let policy = RemotePolicy {
        direction,
        ..RemotePolicy::default()
    };
    site.allow(account, policy);
}

/// In step once; then everything at once: edits on both sides, a secret that is only
/// there, one that is only here, and one that was deleted there.
fn apart() -> (Cloud, Site) {
    let cloud = Cloud::new();
    for (n, secret) in ["db", "tags", "gone", "still"].iter().enumerate() {
        cloud.put(secret, n as u32 + 1, secret);
    }
    let site = Site::new(&cloud);
    site.sync(&cloud);
    site.put("db", 11, "ours");
    cloud.put("db", 12, "theirs");
    cloud.tag("tags", "k", Some("theirs"));
    cloud.delete("gone");
    cloud.put("there", 13, "only there");
    site.put("here", 14, "only here");
    (cloud, site)
}

#[test]
fn a_mirror_out_makes_the_account_like_the_vault_and_keeps_what_it_takes_away() {
    let (cloud, mut site) = apart();
    mirrored(&mut site, "prod", Direction::MirrorOut);
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "ours");
    assert_eq!(cloud.serves("here"), "only here");
    assert_eq!(cloud.serves("gone"), "gone");
    assert!(cloud.state("tags").attributes.tags.is_empty());
    assert!(cloud.state("there").lifecycle.is_scheduled());
    assert_eq!(site.bytes("db", &id(12)), b"theirs");
    assert_eq!(site.bytes("there", &id(13)), b"only there");
    assert_eq!(site.holder("there", "sr/was/AWSCURRENT"), Some(id(13)));
    assert_eq!(site.state("there").lifecycle, Lifecycle::Tombstone);
    site.assert_quiet(&cloud);
    // Afterwards both ways again: nothing comes back, nothing is asked.
    mirrored(&mut site, "prod", Direction::TwoWay);
    site.assert_quiet(&cloud);
}

#[test]
fn a_mirror_in_makes_the_vault_like_the_account_and_puts_edits_aside() {
    let (cloud, mut site) = apart();
    mirrored(&mut site, "prod", Direction::MirrorIn);
    let before = cloud.dump();
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(cloud.dump(), before);
    assert_eq!(site.serves("db"), "theirs");
    assert_eq!(site.lost("db"), [id(11)]);
    assert_eq!(site.bytes("db", &id(11)), b"ours");
    assert_eq!(site.serves("there"), "only there");
    assert_eq!(site.state("tags").attributes.tags["k"], "theirs");
    assert!(site.state("gone").lifecycle.is_scheduled());
    assert_eq!(site.state("here").lifecycle, Lifecycle::Tombstone);
    assert_eq!(site.bytes("here", &id(14)), b"only here");
    site.assert_quiet(&cloud);
    mirrored(&mut site, "prod", Direction::TwoWay);
    site.assert_quiet(&cloud);
}

#[test]
fn one_account_becomes_like_another_in_one_run() {
    let cloud = Cloud::with(&["backup", "prod"]);
    cloud.put("db", 1, "first");
    let mut site = Site::new(&cloud);
    mirrored(&mut site, "prod", Direction::MirrorIn);
    mirrored(&mut site, "backup", Direction::MirrorOut);
    site.sync(&cloud);
    assert_eq!(serves(cloud.account("backup"), "db"), "first");
    cloud.put("db", 2, "second");
    let backup = cloud.account("backup");
    put(backup, &cloud.clock, "db", 3, &text("meddled"), &[]);
    site.sync(&cloud);
    assert_eq!(serves(backup, "db"), "second");
    assert_eq!(cloud.serves("db"), "second");
    assert_eq!(site.bytes("db", &id(3)), b"meddled");
    site.assert_quiet(&cloud);
}

#[test]
fn a_mirror_of_nothing_and_too_many_deletions_do_nothing() {
    let cloud = Cloud::new();
    for n in 0..20 {
        cloud.put(&format!("s{n}"), n + 1, "v");
    }
    let mut site = Site::new(&cloud);
    mirrored(&mut site, "prod", Direction::MirrorOut);
    site.limits = Limits {
        count: 1000,
        percent: 100,
        folders: false,
    };
    let before = cloud.dump();
    let halted = site.try_sync(&cloud.stores);
    assert!(matches!(
        halted,
        Err(SyncError::Halted(Halt::EmptyVault { .. }))
    ));
    site.put("one", 99, "v");
    site.limits = Limits::default();
    let halted = site.try_sync(&cloud.stores);
    assert!(matches!(
        halted,
        Err(SyncError::Halted(Halt::TooManyDeletions {
            deletions: 20,
            ..
        }))
    ));
    assert_eq!(cloud.dump(), before);
    // And the other way round.
    mirrored(&mut site, "prod", Direction::MirrorIn);
    let empty = Cloud::new();
    let halted = site.try_sync(&empty.stores);
    let expected = Halt::EmptyMirror {
        remote: remote("prod"),
    };
    assert!(matches!(halted, Err(SyncError::Halted(halt)) if halt == expected));
    assert_eq!(site.serves("one"), "v");
}
