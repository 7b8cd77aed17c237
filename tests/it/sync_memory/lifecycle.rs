//! Deletion, restoration and re-creation, on either side.

use strongroom::model::{Change, Class, Lifecycle};
use strongroom::plan::{Choice, NoteKind};
use strongroom::store::Silent;
use strongroom::sync::{Outcome, apply_reviewed, fetch, prepare};

use super::world::{Cloud, Edits, Site, id, name, run, text};

fn in_step() -> (Cloud, Site) {
    let cloud = Cloud::new();
    cloud.put("db", 1, "one");
    cloud.put("db", 2, "two");
    cloud.put("other", 9, "stays");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    (cloud, site)
}

/// Both versions can still be decrypted.
fn assert_kept(site: &Site) {
    assert_eq!(site.bytes("db", &id(1)), b"one");
    assert_eq!(site.bytes("db", &id(2)), b"two");
}

#[test]
fn deleted_there_and_restored_there() {
    let (cloud, site) = in_step();
    cloud.delete("db");
    site.sync(&cloud);
    let there = cloud.state("db").lifecycle;
    assert!(there.is_scheduled());
    assert_eq!(site.state("db").lifecycle, there);
    assert_kept(&site);
    site.assert_quiet(&cloud);

    cloud.restore("db");
    site.sync(&cloud);
    assert!(site.state("db").lifecycle.is_live());
    assert_eq!(site.serves("db"), "two");
    site.assert_quiet(&cloud);
}

#[test]
fn deleted_here_and_restored_here() {
    let (cloud, site) = in_step();
    site.delete("db");
    let wanted = site.state("db").lifecycle;
    site.sync(&cloud);
    assert_eq!(cloud.state("db").lifecycle, wanted);
    site.assert_quiet(&cloud);

    site.restore("db");
    site.sync(&cloud);
    assert!(cloud.state("db").lifecycle.is_live());
    assert_eq!(cloud.serves("db"), "two");
    site.assert_quiet(&cloud);
}

#[test]
fn deleted_here_and_restored_there() {
    let (cloud, site) = in_step();
    site.delete("db");
    site.sync(&cloud);
    cloud.restore("db");
    cloud.put("db", 3, "three");
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "three");
    assert_kept(&site);
    site.assert_quiet(&cloud);
}

#[test]
fn deleted_there_restored_here_and_edited() {
    let (cloud, site) = in_step();
    cloud.delete("db");
    site.sync(&cloud);
    site.restore("db");
    site.put("db", 3, "three");
    site.tag("db", "k", Some("v"));
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "three");
    assert_eq!(cloud.holder("db", "AWSPREVIOUS"), Some(id(2)));
    assert_eq!(cloud.state("db").attributes.tags["k"], "v");
    site.assert_quiet(&cloud);
}

#[test]
fn restored_here_while_the_account_had_moved_on() {
    let (cloud, site) = in_step();
    site.delete("db");
    site.sync(&cloud);
    // Restored, written to, and deleted again, all unseen from here.
    cloud.restore("db");
    cloud.put("db", 3, "three");
    cloud.delete("db");
    site.restore("db");
    let moves = cloud.prod().current_moves().len();
    site.sync(&cloud);
    assert_eq!(cloud.prod().current_moves().len(), moves);
    assert_eq!(cloud.serves("db"), "three");
    while !site.is_quiet(&cloud) {}
    assert_eq!(site.serves("db"), "three");
    assert_kept(&site);
}

#[test]
fn a_reviewed_plan_is_carried_out_and_no_more() {
    let (cloud, site) = in_step();
    site.delete("db");
    site.sync(&cloud);
    cloud.restore("db");
    cloud.put("db", 3, "three");
    cloud.delete("db");
    site.restore("db");
    let options = site.options();
    let report = run(async {
        let (remote, store) = cloud.stores.first_key_value().unwrap();
        let view = fetch(&site.vault, remote, store, options.now, &Silent).await;
        let views = [(remote.clone(), view.unwrap())].into();
        let prepared = prepare(&site.vault, views, &options.policy).unwrap();
        assert!(prepared.plan.secrets[&name("db")].looks_again());
        apply_reviewed(&site.vault, &cloud.stores, prepared, &options, &Silent).await
    })
    .unwrap();
    // The restore was in the plan; what it shows was not.
    assert!(cloud.state("db").lifecycle.is_live());
    assert_eq!(report.outcomes[&name("db")], Outcome::Again);
    assert!(!site.state("db").versions.contains_key(&id(3)));
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "three");
}

#[test]
fn the_vault_outlives_the_purge_and_makes_it_again() {
    let (cloud, site) = in_step();
    cloud.delete("db");
    site.sync(&cloud);
    cloud.prod().as_console_purge(&name("db"));
    site.sync(&cloud);
    assert_eq!(site.state("db").lifecycle, Lifecycle::Tombstone);
    assert_kept(&site);
    site.assert_quiet(&cloud);

    site.restore("db");
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "two");
    assert_eq!(cloud.holder("db", "AWSPREVIOUS"), Some(id(1)));
    site.assert_quiet(&cloud);
}

#[test]
fn a_name_used_again_within_the_accounts_window_comes_back_and_goes_on() {
    let (cloud, site) = in_step();
    site.change("db", &Change::Tombstone);
    site.sync(&cloud);
    assert!(cloud.state("db").lifecycle.is_scheduled());
    site.put("db", 3, "again");
    // What the account has is what this vault deleted, so nobody is asked; and one
    // run does it all.
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts, []);
    assert_eq!(cloud.serves("db"), "again");
    assert_eq!(cloud.holder("db", "AWSPREVIOUS"), Some(id(2)));
    assert_kept(&site);
    site.assert_quiet(&cloud);
}

#[test]
fn a_restore_that_comes_after_the_purge_asks() {
    for choice in [Choice::Ours, Choice::Theirs] {
        let (cloud, site) = in_step();
        cloud.delete("db");
        site.sync(&cloud);
        site.restore("db");
        cloud.prod().as_console_purge(&name("db"));
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts[0].1.class, Class::RestorePurged);
        site.resolve("db", &choice);
        site.sync(&cloud);
        if choice == Choice::Ours {
            assert_eq!(cloud.serves("db"), "two");
        } else {
            assert!(cloud.prod().state().get(&name("db")).is_none());
            assert_eq!(site.state("db").lifecycle, Lifecycle::Tombstone);
        }
        assert_kept(&site);
        site.assert_quiet(&cloud);
    }
}

#[test]
fn edited_here_and_deleted_there_asks() {
    for purge in [false, true] {
        for choice in [Choice::Ours, Choice::Theirs] {
            let (cloud, site) = in_step();
            site.put("db", 3, "edit");
            if purge {
                cloud.prod().as_console_purge(&name("db"));
            } else {
                cloud.delete("db");
            }
            let before = cloud.dump();
            let report = site.sync(&cloud);
            let class = if purge {
                Class::EditDelete
            } else {
                Class::EditSchedule
            };
            assert_eq!(report.conflicts[0].1.class, class);
            assert_eq!(cloud.dump(), before);
            assert_eq!(site.serves("db"), "edit");

            site.resolve("db", &choice);
            site.sync(&cloud);
            if choice == Choice::Ours {
                assert_eq!(cloud.serves("db"), "edit");
                assert_eq!(cloud.holder("db", "AWSPREVIOUS"), Some(id(2)));
            } else {
                assert!(!site.state("db").lifecycle.is_live());
                assert_eq!(site.lost("db"), [id(3)]);
            }
            assert_eq!(site.bytes("db", &id(3)), b"edit");
            assert_kept(&site);
            site.assert_quiet(&cloud);
        }
    }
}

#[test]
fn deleted_here_and_edited_there_asks() {
    for choice in [Choice::Ours, Choice::Theirs] {
        let (cloud, site) = in_step();
        site.delete("db");
        cloud.put("db", 3, "edit");
        let before = cloud.dump();
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts[0].1.class, Class::ScheduleEdit);
        assert_eq!(cloud.dump(), before);
        site.resolve("db", &choice);
        site.sync(&cloud);
        if choice == Choice::Ours {
            assert!(cloud.state("db").lifecycle.is_scheduled());
        } else {
            assert_eq!(site.serves("db"), "edit");
        }
        // Decided either way, the edit is in the vault.
        assert_eq!(site.bytes("db", &id(3)), b"edit");
        site.assert_quiet(&cloud);
    }
}

#[test]
fn deleted_on_both_sides_takes_over_the_accounts_date() {
    let (cloud, site) = in_step();
    site.delete("db");
    let date = Some(cloud.clock.now().plus_days(7));
    cloud.change("db", &Change::Delete { date });
    site.sync(&cloud);
    assert_eq!(site.state("db").lifecycle, Lifecycle::Scheduled { date });
    assert_eq!(cloud.state("db").lifecycle, Lifecycle::Scheduled { date });
    site.assert_quiet(&cloud);
}

#[test]
fn purged_and_created_anew_puts_the_old_one_aside() {
    let (cloud, site) = in_step();
    cloud.prod().as_console_purge(&name("db"));
    cloud.put("db", 3, "another secret altogether");
    let report = site.sync(&cloud);
    let aside = report.notes.iter().find_map(|(_, n)| match &n.kind {
        NoteKind::Recreated(to) => Some(to.clone()),
        _ => None,
    });
    let aside = aside.expect("a note that names where it went");
    assert_eq!(site.serves("db"), "another secret altogether");
    assert!(!site.state("db").versions.contains_key(&id(2)));
    assert_eq!(site.state(aside.as_str()).lifecycle, Lifecycle::Tombstone);
    assert_eq!(site.bytes(aside.as_str(), &id(1)), b"one");
    assert_eq!(site.bytes(aside.as_str(), &id(2)), b"two");
    assert!(cloud.prod().state().get(&aside).is_none());
    site.assert_quiet(&cloud);
}

#[test]
fn created_anew_under_an_old_version_id_is_another_secret_all_the_same() {
    // Some tools give the first version of every secret the same id.
    let (cloud, site) = in_step();
    cloud.prod().as_console_purge(&name("db"));
    cloud.put("db", 2, "same id, other content");
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "same id, other content");
    let aside = site
        .records()
        .into_keys()
        .find(|n| n.as_str().starts_with("db@"))
        .expect("the old one is kept");
    assert_eq!(site.bytes(aside.as_str(), &id(2)), b"two");
    site.assert_quiet(&cloud);
}

#[test]
fn edited_here_and_created_anew_there_asks() {
    for choice in [Choice::Ours, Choice::Theirs] {
        let (cloud, site) = in_step();
        site.put("db", 3, "edit");
        cloud.prod().as_console_purge(&name("db"));
        cloud.put("db", 4, "new");
        let before = cloud.dump();
        let report = site.sync(&cloud);
        assert_eq!(report.conflicts[0].1.class, Class::EditRecreate);
        assert_eq!(cloud.dump(), before);
        site.resolve("db", &choice);
        // A meeting may raise the question about values next.
        let report = site.sync(&cloud);
        if !report.conflicts.is_empty() {
            site.resolve("db", &choice);
            site.sync(&cloud);
        }
        let winner = if choice == Choice::Ours {
            "edit"
        } else {
            "new"
        };
        assert_eq!(cloud.serves("db"), winner);
        assert_eq!(site.serves("db"), winner);
        let all = site.dump().into_values().collect::<String>();
        for value in ["one", "two", "edit", "new"] {
            assert!(all.contains(&format!("{:?}", value.as_bytes())), "{value}");
        }
        site.assert_quiet(&cloud);
    }
}

#[test]
fn a_name_that_is_taken_by_a_deleted_secret_asks() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "theirs");
    cloud.delete("db");
    cloud.put("other", 9, "x");
    let site = Site::new(&cloud);
    site.put("db", 2, "ours");
    let report = site.sync(&cloud);
    assert_eq!(report.conflicts[0].1.class, Class::NameScheduled);
    assert!(cloud.state("db").lifecycle.is_scheduled());
    site.resolve("db", &Choice::Ours);
    let report = site.sync(&cloud);
    // Restored, and now the two values meet.
    assert_eq!(report.conflicts.len(), 1, "{report:?}");
    site.resolve("db", &Choice::Ours);
    site.sync(&cloud);
    assert_eq!(cloud.serves("db"), "ours");
    assert_eq!(site.bytes("db", &id(1)), b"theirs");
    site.assert_quiet(&cloud);
}

#[test]
fn a_deleted_secret_never_synced_is_only_named() {
    let cloud = Cloud::new();
    cloud.put("db", 1, "x");
    cloud.delete("db");
    cloud.put("other", 9, "x");
    let site = Site::new(&cloud);
    let report = site.sync(&cloud);
    assert!(
        report
            .notes
            .iter()
            .any(|(n, note)| *n == name("db") && note.kind == NoteKind::ScheduledThere)
    );
    assert!(!site.records().contains_key(&name("db")));
    assert!(site.sync(&cloud).is_quiet());
    cloud.restore("db");
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "x");
}

#[test]
fn a_placeholder_waits_for_its_value() {
    use strongroom::model::{Content, Origin, VersionMeta};
    let (cloud, site) = in_step();
    // A rotation registers the id before there is a value.
    let meta = VersionMeta {
        content: Content::Placeholder,
        ..VersionMeta::unread(Origin::Local)
    };
    let pending = super::world::label("AWSPENDING");
    cloud.change(
        "db",
        &Change::AddVersion {
            id: id(3),
            meta,
            labels: vec![pending],
        },
    );
    site.sync(&cloud);
    assert_eq!(site.holder("db", "AWSPENDING"), Some(id(3)));
    assert!(!site.state("db").versions[&id(3)].has_value());
    site.assert_quiet(&cloud);

    cloud.put_labelled("db", 3, &text("rotated"), &["AWSPENDING"]);
    site.sync(&cloud);
    assert_eq!(site.bytes("db", &id(3)), b"rotated");
    site.assert_quiet(&cloud);

    cloud.move_label("db", "AWSCURRENT", Some(3));
    cloud.move_label("db", "AWSPENDING", None);
    site.sync(&cloud);
    assert_eq!(site.serves("db"), "rotated");
    assert_eq!(site.holder("db", "AWSPENDING"), None);
    assert_eq!(site.holder("db", "AWSPREVIOUS"), Some(id(2)));
    site.assert_quiet(&cloud);
}
