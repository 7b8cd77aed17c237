//! What stops a run and lets the next one go on: credentials that expire, rates, and
//! listings that are behind.

use strongroom::model::Change;
use strongroom::store::{FaultKind, FaultPlan, LONGEST_LAG, ListLag, Rates, StoreError};
use strongroom::sync::{Outcome, SyncError};

use super::faults::{assert_everything_is_here, until_complete};
use super::world::{Cloud, Edits, Site, id, label, name};

/// A vault and an account with something to do in both directions.
fn apart() -> (Cloud, Site) {
    let cloud = Cloud::new();
    for n in 0..6 {
        cloud.put(&format!("s{n}"), n + 1, &format!("old {n}"));
    }
    let site = Site::new(&cloud);
    site.sync(&cloud);
    site.put("s0", 11, "pushed");
    site.tag("s1", "k", Some("v"));
    site.delete("s2");
    site.put("new", 12, "new");
    cloud.put("s3", 13, "pulled");
    cloud.put("s4", 14, "pulled too");
    cloud.prod().reset_calls();
    (cloud, site)
}

#[test]
fn credentials_that_expire_at_any_call_stop_the_run_and_new_ones_complete_it() {
    let (cloud, site) = apart();
    let (clean_cloud, clean_site);
    {
        clean_cloud = cloud.fork();
        clean_site = site.fork(&clean_cloud);
        clean_site.sync(&clean_cloud);
    }
    let calls = clean_cloud.prod().total_calls();
    assert!(calls > 10, "only {calls} calls");
    for at in 0..calls {
        let cloud = cloud.fork();
        let mut site = site.fork(&cloud);
        cloud.prod().set_faults(FaultPlan::new().expired_from(at));
        for run in 0..2 {
            let stopped = match site.try_sync(&cloud.stores) {
                Ok(report) => report.stopped.map(|(_, error)| error),
                Err(SyncError::Remote { source, .. }) => Some(source),
                Err(other) => panic!("call {at}, run {run}: {other}"),
            };
            assert!(
                matches!(stopped, Some(StoreError::Credentials { .. })),
                "call {at}, run {run}: {stopped:?}"
            );
            site.reopen();
        }
        // What was under way together is all that was still asked.
        let hits = cloud.prod().hits();
        assert!(hits.iter().all(|h| h.kind == FaultKind::Expired));
        assert!(hits.len() <= 18, "call {at}: {} more calls", hits.len());
        cloud.prod().renew_credentials();
        assert!(until_complete(&cloud, &site) <= 2);
        assert_eq!(cloud.dump(), clean_cloud.dump(), "call {at}");
        assert_eq!(site.dump(), clean_site.dump(), "call {at}");
    }
    println!("expired at each of {calls} calls");
}

#[test]
fn a_throttled_push_goes_on_run_by_run_and_no_call_is_wasted() {
    let cloud = Cloud::new();
    cloud.put("anchor", 1, "anchor");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    for n in 0..120 {
        site.put(&format!("s{n}"), 10 + n, "v");
    }
    cloud.prod().set_rates(Some(Rates::aws()));
    let mut runs = 0;
    let made = loop {
        runs += 1;
        assert!(runs < 10, "it does not come to an end");
        let report = site.try_sync(&cloud.stores).unwrap();
        if report.is_complete() {
            break report;
        }
        let (_, error) = report.stopped.expect("stopped");
        assert!(matches!(error, StoreError::Throttled { .. }), "{error}");
        cloud.prod().set_now(cloud.clock.tick());
    };
    assert!(made.there > 0);
    // 50 creations a second.
    assert_eq!(runs, 3);
    assert_everything_is_here(&cloud, &site, "throttled");
    cloud.prod().set_rates(None);
    site.assert_quiet(&cloud);
}

#[test]
fn sync_1_16_a_listing_that_lacks_our_own_writes_undoes_none_of_them() {
    let cloud = Cloud::new();
    for n in 0..4 {
        cloud.put(&format!("s{n}"), 2 * n + 1, &format!("older {n}"));
        cloud.put(&format!("s{n}"), 2 * n + 2, &format!("old {n}"));
    }
    let site = Site::new(&cloud);
    site.sync(&cloud);
    cloud.prod().set_lag(ListLag::All(LONGEST_LAG));
    let wait = |seconds: i64| {
        for _ in 0..seconds {
            cloud.clock.tick();
        }
        cloud.prod().set_now(cloud.clock.now());
    };
    wait(1000);
    site.put("s0", 101, "pushed");
    site.tag("s1", "k", Some("v"));
    site.delete("s2");
    site.put("new", 102, "new");
    let current = site.current("s3");
    let back = Change::MoveLabel {
        label: label("AWSCURRENT"),
        from: current,
        to: Some(id(7)),
    };
    site.change("s3", &back);
    site.sync(&cloud);
    let there = cloud.dump();
    let here = site.dump();
    // Right away, in the middle, and when the listing has caught up.
    for seconds in [0, 1, 150, 200, 600] {
        wait(seconds);
        let report = site.sync(&cloud);
        assert!(report.outcomes.is_empty(), "{seconds} s later: {report:?}");
        assert_eq!(cloud.dump(), there, "{seconds} s later");
        assert_eq!(site.dump(), here, "{seconds} s later");
    }
    assert_eq!(cloud.serves("s0"), "pushed");
    assert_eq!(cloud.serves("s3"), "older 3");
    assert!(cloud.state("s2").lifecycle.is_scheduled());
}

#[test]
fn sync_1_16_listings_behind_by_anything_lose_nothing_and_catch_up() {
    for seed in 0..8 {
        let (cloud, site) = apart();
        cloud.prod().set_lag(ListLag::Each(seed));
        let wait = |seconds: i64| {
            for _ in 0..seconds {
                cloud.clock.tick();
            }
            cloud.prod().set_now(cloud.clock.now());
        };
        for round in 0..8 {
            let n = 200 + round * 10;
            wait(40);
            cloud.put("s3", n, &format!("theirs {round}"));
            cloud.put(&format!("made{round}"), n + 1, "made");
            site.put("s5", n + 2, &format!("ours {round}"));
            // What was purged and is listed still cannot be read.
            let report = site.try_sync(&cloud.stores).unwrap();
            let gone = |n: &strongroom::model::SecretName| n.as_str() == "made0";
            let others = report.outcomes.iter().filter(|(n, _)| !gone(n));
            let done = others.map(|(_, o)| o).all(|o| *o == Outcome::Done);
            assert!(done && report.stopped.is_none(), "seed {seed}: {report:?}");
            assert_eq!(cloud.serves("s5"), format!("ours {round}"), "seed {seed}");
            if round == 5 {
                cloud.prod().as_console_purge(&name("made0"));
            }
        }
        wait(301);
        site.sync(&cloud);
        assert_everything_is_here(&cloud, &site, &format!("seed {seed}"));
        assert_eq!(site.serves("s3"), "theirs 7");
        site.assert_quiet(&cloud);
        assert_eq!(site.serves("made7"), "made");
    }
}
