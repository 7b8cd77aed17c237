//! The first pull, and the second sync that must cost nothing.

use std::collections::BTreeMap;

use strongroom::model::{Kind, SecretValue};
use strongroom::store::Call;

use super::world::{Cloud, Edits, Site, id, label, name, text};

/// A value that is awkward in its own way for every n.
fn awkward(n: u32) -> SecretValue {
    match n % 8 {
        0 => SecretValue::binary(vec![0xff, 0xfe, 0x00, u8::try_from(n % 251).unwrap()]).unwrap(),
        1 => text("\n"),
        2 => text(&format!("  {n}\r\n\u{1f511} \u{0}")),
        3 => SecretValue::binary(b"\n".to_vec()).unwrap(),
        4 => SecretValue::binary((0..=255).cycle().take(5000).collect::<Vec<u8>>()).unwrap(),
        5 => text("\0"),
        6 => SecretValue::binary(b"plain text in a binary".to_vec()).unwrap(),
        _ => text(&format!("{{\"user\":\"u{n}\",\"password\":\"p\"}}")),
    }
}

/// 200 secrets: each with a history, some with custom labels on either version, some
/// with a version that only a custom label keeps.
fn full_account(cloud: &Cloud) -> usize {
    let mut others = 0;
    for n in 0..200 {
        let secret = format!("app{}/s{n:03}", n % 7);
        cloud.put_labelled(&secret, n * 4 + 1, &awkward(n), &[]);
        if n % 2 == 0 {
            cloud.put_labelled(&secret, n * 4 + 2, &awkward(n + 2), &[]);
            others += 1;
        }
        if n % 10 == 4 {
            cloud.put_labelled(
                &secret,
                n * 4 + 3,
                &awkward(n + 5),
                &["blue", "next release"],
            );
            others += 1;
        }
        if n % 10 == 6 {
            cloud.move_label(&secret, "green", Some(n * 4 + 1));
        }
        if n % 5 == 0 {
            cloud.describe(&secret, &format!("what {n} is for"));
            cloud.tag(&secret, "team", Some("a"));
            cloud.tag(&secret, "cost centre", Some(""));
        }
    }
    others
}

#[test]
fn the_first_pull_of_200_takes_2_listings_10_batches_and_one_read_for_each_other_version() {
    let cloud = Cloud::new();
    let others = full_account(&cloud);
    assert_eq!(others, 120);
    let site = Site::with_git(&cloud);
    cloud.prod().reset_calls();
    let before = cloud.dump();

    let report = site.sync(&cloud);

    assert_eq!(report.copied, 200 + others);
    assert_eq!(report.there, 0);
    assert_eq!(report.conflicts, []);
    assert_eq!(report.uncommitted, None);
    let calls = BTreeMap::from([(Call::List, 2), (Call::BatchGet, 10), (Call::Get, others)]);
    assert_eq!(cloud.prod().calls(), calls);
    assert_eq!(cloud.dump(), before);

    let records = site.records();
    let account = cloud.prod().state();
    assert_eq!(records.len(), 200);
    for (secret, there) in &account.0 {
        let here = &records[secret].state;
        assert_eq!(here.labels, there.labels, "{secret}");
        assert_eq!(here.attributes, there.attributes, "{secret}");
        assert_eq!(
            here.versions.keys().collect::<Vec<_>>(),
            there.versions.keys().collect::<Vec<_>>()
        );
        for (version, meta) in &there.versions {
            let real = cloud.prod().peek(secret, version).unwrap();
            let read = site.vault.read(&records[secret], version).unwrap();
            assert!(read.same_as(&real), "{secret} {version}");
            assert_eq!(here.versions[version].created, meta.created, "{secret}");
        }
    }
    // The figures above say something only if the account has what it should have.
    let kinds = |kind| {
        let values = account.0.iter().filter_map(|(secret, state)| {
            let value = cloud.prod().peek(secret, state.current()?)?;
            Some(value.kind() == kind)
        });
        values.filter(|is| *is).count()
    };
    assert!(kinds(Kind::Binary) > 50 && kinds(Kind::String) > 50);
}

#[test]
fn a_parent_is_what_was_current_before() {
    let cloud = Cloud::new();
    cloud.put("a", 1, "one");
    cloud.put("a", 2, "two");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    assert_eq!(site.state("a").versions[&id(2)].parent, Some(id(1)));
    assert_eq!(site.state("a").versions[&id(1)].parent, None);
}

#[test]
fn after_a_rollback_the_younger_version_is_nobodys_parent() {
    let cloud = Cloud::new();
    cloud.put("a", 1, "one");
    cloud.put("a", 2, "two");
    cloud.move_label("a", "AWSCURRENT", Some(1));
    let site = Site::new(&cloud);
    site.sync(&cloud);
    assert_eq!(site.current("a"), Some(id(1)));
    assert_eq!(site.holder("a", "AWSPREVIOUS"), Some(id(2)));
    assert_eq!(site.state("a").versions[&id(1)].parent, None);
    site.assert_quiet(&cloud);
}

#[test]
fn the_second_sync_lists_and_does_nothing_else_whatsoever() {
    let cloud = Cloud::new();
    full_account(&cloud);
    let site = Site::with_git(&cloud);
    site.sync(&cloud);
    let (files, commits) = (site.files(), site.commits());
    assert!(files.len() > 500, "the vault has files to compare");
    for _ in 0..2 {
        cloud.prod().reset_calls();
        let report = site.sync(&cloud);
        assert!(report.is_quiet(), "{report:?}");
        assert_eq!(cloud.prod().calls(), BTreeMap::from([(Call::List, 2)]));
        assert_eq!(site.commits(), commits);
        let now = site.files();
        for (path, (bytes, date)) in &files {
            let (new_bytes, new_date) = &now[path];
            assert_eq!(new_bytes, bytes, "{}", path.display());
            assert_eq!(new_date, date, "{} was written again", path.display());
        }
        assert_eq!(now.len(), files.len(), "new files: {:?}", {
            let mut new = now.into_keys().collect::<Vec<_>>();
            new.retain(|p| !files.contains_key(p));
            new
        });
    }
}

#[test]
fn pages_are_counted_to_the_secret() {
    for (secrets, pages, batches) in [(0, 1, 0), (1, 1, 1), (20, 1, 1), (100, 1, 5), (101, 2, 6)] {
        let cloud = Cloud::new();
        for n in 0..secrets {
            cloud.put(&format!("s{n}"), n + 1, "v");
        }
        let site = Site::new(&cloud);
        cloud.prod().reset_calls();
        site.sync(&cloud);
        let calls = cloud.prod().calls();
        assert_eq!(calls.get(&Call::List), Some(&pages), "{secrets} secrets");
        let count = calls.get(&Call::BatchGet).copied().unwrap_or(0);
        assert_eq!(count, batches, "{secrets} secrets");
        assert_eq!(cloud.prod().total_calls(), pages + batches);
    }
}

#[test]
fn a_pull_of_changes_reads_what_changed_and_nothing_else() {
    let cloud = Cloud::new();
    for n in 0..30 {
        cloud.put(&format!("s{n}"), n + 1, "v");
    }
    let site = Site::new(&cloud);
    site.sync(&cloud);
    for n in 0..21 {
        cloud.put(&format!("s{n}"), n + 101, "w");
    }
    // A label on a version that is here already moves without its value being read.
    cloud.move_label("s25", "blue", Some(26));
    cloud.tag("s26", "k", Some("v"));
    cloud.prod().reset_calls();
    let report = site.sync(&cloud);
    assert_eq!(report.outcomes.len(), 23);
    assert_eq!(
        cloud.prod().calls(),
        BTreeMap::from([(Call::List, 1), (Call::BatchGet, 2)])
    );
    assert_eq!(site.serves("s3"), "w");
    assert_eq!(site.holder("s3", "AWSPREVIOUS"), Some(id(4)));
    assert_eq!(site.holder("s25", "blue"), Some(id(26)));
    assert_eq!(site.state("s26").attributes.tags["k"], "v");
    site.assert_quiet(&cloud);
}

#[test]
fn a_version_that_aws_collected_stays_here() {
    let cloud = Cloud::new();
    for n in 1..=4 {
        cloud.put("a", n, &format!("v{n}"));
    }
    let site = Site::new(&cloud);
    site.sync(&cloud);
    cloud.put("a", 5, "v5");
    cloud.prod().as_aws_collect();
    site.sync(&cloud);
    assert!(cloud.prod().peek(&name("a"), &id(5)).is_some());
    assert!(!cloud.state("a").versions.contains_key(&id(3)));
    // AWS had only the last two labelled at the first pull.
    let here: Vec<_> = site.state("a").versions.into_keys().collect();
    let mut expected = vec![id(3), id(4), id(5)];
    expected.sort();
    assert_eq!(here, expected);
    assert_eq!(site.bytes("a", &id(3)), b"v3");
    site.assert_quiet(&cloud);
}

#[test]
fn a_custom_label_taken_off_leaves_its_version_findable() {
    let cloud = Cloud::new();
    cloud.put("a", 1, "one");
    cloud.put_labelled("a", 2, &text("two"), &["blue"]);
    let site = Site::new(&cloud);
    site.sync(&cloud);
    cloud.move_label("a", "blue", None);
    site.sync(&cloud);
    assert_eq!(site.holder("a", "blue"), None);
    assert_eq!(site.holder("a", "sr/was/blue"), Some(id(2)));
    assert_eq!(site.bytes("a", &id(2)), b"two");
    assert!(!cloud.state("a").labels.contains_key(&label("sr/was/blue")));
    site.assert_quiet(&cloud);
}
