//! The process dies at every call and at every step of writing the vault, and its
//! successor dies too; then everything is as if nothing had happened (I7; sync.md
//! sections 1.15 and 3.2 point 6).

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::asked_for;
use super::machine::actor::sync_until;
use super::world::{Cloud, Edits as _, Site, id, put, text};
use crate::model::seeded::{Died, die_at};
use crate::plan::{Choice, Limits};

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// At a call, before it or after its effect.
    Call(usize, bool),
    /// At a step of writing files, or the git commit.
    Step(usize),
}

/// One run, cut off there; says if it was.
fn cut_off(cloud: &Cloud, site: &mut Site, death: Death) -> bool {
    let died = match death {
        Death::Call(at, after) => sync_until(cloud, site, Some((at, after))).0.is_none(),
        Death::Step(at) => {
            die_at(Some(at));
            let ended = catch_unwind(AssertUnwindSafe(|| sync_until(cloud, site, None)));
            die_at(None);
            match ended {
                Ok(_) => false,
                Err(panic) => {
                    assert!(panic.is::<Died>(), "{:?}", panic.downcast_ref::<String>());
                    true
                }
            }
        }
    };
    site.reopen();
    died
}

/// Nothing left AWSCURRENT on a remote whose value the vault lacks (K1), and every label
/// is on a version that can be read (I4).
fn assert_safe(cloud: &Cloud, site: &Site, since: &[usize], context: &str) {
    let records = site.records();
    for (store, since) in cloud.stores.values().zip(since) {
        for (secret, from, to) in store.current_moves().into_iter().skip(*since) {
            if let Some(from) = from {
                let kept = site.vault.read(&records[&secret], &from).is_ok();
                assert!(
                    kept,
                    "{context}: {secret}: AWSCURRENT left {from} for {to:?} unread"
                );
            }
        }
        for (secret, state) in &store.state().0 {
            let valued = state.versions.values().any(|v| v.has_value());
            let holds = !state.lifecycle.is_live() || !valued || state.current().is_some();
            assert!(holds, "{context}: {secret} has no AWSCURRENT");
        }
    }
    for (secret, record) in &records {
        for (label, version) in &record.state.labels {
            let read = site.vault.read(record, version);
            assert!(
                read.is_ok(),
                "{context}: {secret}: {label} cannot be read: {:?}",
                read.err()
            );
        }
    }
}

/// What a vault says of its secrets, but for its own AWSPREVIOUS: that is for show, and
/// after a death it is the remote's (sync.md section 1.6, P2).
fn face(site: &Site) -> Vec<String> {
    let records = site.records().into_iter();
    records
        .map(|(secret, mut record)| {
            record.state.labels.retain(|label, _| !label.is_previous());
            let state = &record.state;
            let values: Vec<_> = state
                .versions
                .iter()
                .map(|(id, meta)| (id, meta.parent.clone(), site.bytes(secret.as_str(), id)))
                .collect();
            let intents: Vec<_> = record.base.values().map(|b| &b.intents).collect();
            let (labels, rest) = (&state.labels, (&state.attributes, state.lifecycle));
            format!(
                "{secret} {labels:?} {rest:?} {values:?} {intents:?} {:?}",
                record.conflicts
            )
        })
        .collect()
}

fn leftovers(site: &Site) -> Vec<String> {
    let files = site.files().into_keys();
    let names = files.filter_map(|p| p.file_name()?.to_str().map(str::to_owned));
    names.filter(|n| n.starts_with(".strongroom-")).collect()
}

struct Counts {
    points: usize,
    second: usize,
}

fn sweep(what: &str, cloud: &Cloud, site: &Site) -> Counts {
    let since: Vec<usize> = cloud
        .stores
        .values()
        .map(|s| s.current_moves().len())
        .collect();
    let (clean_cloud, clean_site) = {
        let cloud = cloud.fork();
        let site = site.fork(&cloud);
        (cloud, site)
    };
    die_at(None);
    let (report, calls) = sync_until(&clean_cloud, &clean_site, None);
    let steps = die_at(None);
    let report = report.unwrap().unwrap();
    assert!(report.is_complete(), "{what}: {report:?}");
    // What a deletion or a restoration leaves for the next run.
    for _ in 0..3 {
        clean_site.sync(&clean_cloud);
    }
    let (here, there) = (face(&clean_site), clean_cloud.dump());
    assert!(
        calls > 1 && steps > 3,
        "{what}: {calls} calls, {steps} steps"
    );

    let mut deaths: Vec<Death> = Vec::new();
    deaths.extend((0..calls).flat_map(|k| [Death::Call(k, false), Death::Call(k, true)]));
    deaths.extend((0..steps).map(Death::Step));
    let all = asked_for().is_some();
    let mut counts = Counts {
        points: 0,
        second: 0,
    };
    for (n, first) in deaths.into_iter().enumerate() {
        let mut seconds = vec![None];
        let later = (0..=20).flat_map(|j| [Death::Call(j, j % 2 == 0), Death::Step(j)]);
        let stride = if all { 1 } else { 14 };
        seconds.extend(later.skip(n % stride).step_by(stride).map(Some));
        for second in seconds {
            let context = format!("{what}: {first:?}, then {second:?}");
            let cloud = cloud.fork();
            let mut site = site.fork(&cloud);
            assert!(cut_off(&cloud, &mut site, first), "{context}: it lives");
            assert_safe(&cloud, &site, &since, &context);
            counts.points += 1;
            if let Some(second) = second {
                if !cut_off(&cloud, &mut site, second) {
                    // Recovery was through before that.
                    counts.points -= 1;
                    continue;
                }
                counts.second += 1;
                assert_safe(&cloud, &site, &since, &context);
            }
            let mut complete = false;
            for _ in 0..4 {
                complete = site.try_sync(&cloud.stores).is_ok_and(|r| r.is_complete());
            }
            assert!(complete, "{context}: it does not come to an end");
            assert_eq!(face(&site), here, "{context}");
            assert_eq!(cloud.dump(), there, "{context}");
            assert_safe(&cloud, &site, &since, &context);
            assert_eq!(leftovers(&site), Vec::<String>::new(), "{context}");
            let report = site.sync(&cloud);
            assert!(
                report.outcomes.is_empty() && report.written == 0,
                "{context}: {report:?}"
            );
        }
    }
    println!(
        "{what}: {calls} calls and {steps} steps, died at {} points, {} of them twice",
        counts.points, counts.second
    );
    counts
}

/// A secret on `prod` and its vault, in step.
fn in_step(remotes: &[&str]) -> (Cloud, Site) {
    let cloud = Cloud::with(remotes);
    let store = cloud.account(remotes[0]);
    for (n, secret) in ["a", "dir/b", "anchor"].iter().enumerate() {
        let n = u32::try_from(n).unwrap() * 2 + 1;
        put(store, &cloud.clock, secret, n, &text("1"), &[]);
        put(store, &cloud.clock, secret, n + 1, &text("2"), &[]);
    }
    let mut site = Site::with_git(&cloud);
    site.limits = Limits {
        count: 100,
        percent: 100,
        folders: false,
    };
    site.sync(&cloud);
    site.sync(&cloud);
    (cloud, site)
}

#[test]
fn a_push_survives_two_deaths() {
    let (cloud, site) = in_step(&["prod"]);
    site.put("a", 11, "3");
    site.put("a", 12, "4");
    site.put_value("a", 13, &text("next"), &["blue"]);
    site.tag("dir/b", "team", Some("x"));
    sweep("push", &cloud, &site);
}

#[test]
fn a_pull_survives_two_deaths() {
    let (cloud, site) = in_step(&["prod"]);
    cloud.put("a", 21, "3");
    cloud.put("a", 22, "4");
    cloud.put("fresh/c", 23, "1");
    cloud.tag("dir/b", "cost", Some("1"));
    sweep("pull", &cloud, &site);
}

#[test]
fn a_creation_survives_two_deaths() {
    let (cloud, site) = in_step(&["prod"]);
    site.put("new", 31, "1");
    site.put("new", 32, "2");
    site.put_value("new", 33, &text("next"), &["blue"]);
    sweep("create", &cloud, &site);
}

#[test]
fn deletions_survive_two_deaths() {
    let (cloud, site) = in_step(&["prod"]);
    site.delete("a");
    cloud.delete("dir/b");
    sweep("delete", &cloud, &site);
}

#[test]
fn a_resolution_for_ours_survives_two_deaths() {
    let (cloud, site) = in_step(&["prod"]);
    site.put("a", 41, "ours");
    cloud.put("a", 42, "theirs");
    site.sync(&cloud);
    site.resolve("a", &Choice::Ours);
    sweep("resolve ours", &cloud, &site);
    assert_eq!(site.current("a"), Some(id(41)));
}

#[test]
fn what_goes_from_one_remote_to_another_survives_two_deaths() {
    let (cloud, site) = in_step(&["prod", "spare"]);
    put(cloud.prod(), &cloud.clock, "a", 51, &text("3"), &[]);
    site.put("dir/b", 52, "4");
    sweep("two remotes", &cloud, &site);
}
