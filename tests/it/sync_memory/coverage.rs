//! Every fault at every kind of call: first, in the middle and last (sync.md section
//! 3.2 point 5). The table that it prints is the proof that none was left out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use strongroom::model::Change;
use strongroom::store::{Call, FaultKind, FaultPlan, Hit};

use super::faults::{assert_everything_is_here, assert_moves, until_complete};
use super::world::{Cloud, Edits, Site, name, text};

/// Where among the calls of its kind a fault struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    First,
    Middle,
    Last,
}

impl At {
    fn of(nth: usize, count: usize) -> Self {
        match nth {
            0 => Self::First,
            n if n + 1 >= count => Self::Last,
            _ => Self::Middle,
        }
    }

    /// The positions that so many calls have, each with a call that is there.
    fn all(count: usize) -> Vec<(Self, usize)> {
        let mut all = Vec::new();
        if count > 0 {
            all.push((Self::First, 0));
        }
        if count > 2 {
            all.push((Self::Middle, count / 2));
        }
        if count > 1 {
            all.push((Self::Last, count - 1));
        }
        all
    }
}

type Cell = (Call, FaultKind, At);

/// A vault and an account before a run, and what a run without faults makes of them.
struct Story {
    cloud: Cloud,
    site: Site,
    counts: BTreeMap<Call, usize>,
    here: BTreeMap<String, String>,
    there: BTreeMap<String, String>,
    face: BTreeMap<String, String>,
    since: usize,
}

impl Story {
    /// What happens on both sides since they were in step.
    fn new(names: &[&str], times: u32, apart: impl Fn(&Cloud, &Site)) -> Self {
        let cloud = Cloud::new();
        let mut n = 0;
        for secret in names {
            for k in 0..times {
                n += 2;
                let secret = format!("{secret}{k}");
                cloud.put(&secret, n - 1, &format!("{secret} 1"));
                cloud.put(&secret, n, &format!("{secret} 2"));
                if secret.starts_with("back") {
                    cloud.delete(&secret);
                }
            }
        }
        let mut site = Site::new(&cloud);
        site.limits.count = 100;
        site.limits.percent = 100;
        site.limits.folders = false;
        site.sync(&cloud);
        // To come back, a secret has to have been here: its value cannot be read while
        // it is scheduled.
        for k in 0..times {
            let back = format!("back{k}");
            if names.contains(&"back") {
                cloud.restore(&back);
                site.sync(&cloud);
                cloud.delete(&back);
            }
        }
        site.sync(&cloud);
        cloud.prod().keep_listing();
        apart(&cloud, &site);
        cloud.prod().set_page(10);
        let clean_cloud = cloud.fork();
        let clean_site = site.fork(&clean_cloud);
        let since = clean_cloud.prod().current_moves().len();
        clean_site.sync(&clean_cloud);
        let counts = clean_cloud.prod().calls();
        assert_moves(&clean_cloud, &clean_site, since);
        Self {
            counts,
            here: clean_site.dump(),
            there: clean_cloud.dump(),
            face: clean_cloud.face(),
            since,
            cloud,
            site,
        }
    }

    /// Every kind of call three times at least, but for the reading in batches.
    fn rich() -> Self {
        let names = [
            "push", "label", "text", "delete", "back", "rollback", "pull", "gone", "purged", "both",
        ];
        Self::new(&names, 3, |cloud, site| {
            for k in 0..3 {
                let of = |name: &str| format!("{name}{k}");
                let n = 1000 + k * 100;
                site.put(&of("push"), n, "push 3");
                site.put_value(&of("push"), n + 1, &text("push next"), &["blue"]);
                site.put(&of("new"), n + 2, "new 1");
                site.put(&of("new"), n + 3, "new 2");
                site.tag(&of("new"), "team", Some("a"));
                let current = site.current(&of("label"));
                let green = Change::MoveLabel {
                    label: super::world::label("green"),
                    from: None,
                    to: current,
                };
                site.change(&of("label"), &green);
                site.tag(&of("text"), "team", Some("a"));
                site.describe(&of("text"), "a description");
                site.delete(&of("delete"));
                site.restore(&of("back"));
                let previous = site.holder(&of("rollback"), "AWSPREVIOUS");
                let back = Change::MoveLabel {
                    label: super::world::label("AWSCURRENT"),
                    from: site.current(&of("rollback")),
                    to: previous,
                };
                site.change(&of("rollback"), &back);
                site.put(&of("both"), n + 4, "ours");
                cloud.put(&of("both"), n + 5, "theirs");
                cloud.put(&of("pull"), n + 6, "pull 3");
                cloud.put_labelled(&of("pull"), n + 7, &text("pull next"), &["blue"]);
                cloud.tag(&of("pull"), "cost", Some("1"));
                cloud.put(&of("fresh"), n + 8, "fresh 1");
                cloud.delete(&of("gone"));
                cloud.prod().as_console_purge(&name(&of("purged")));
            }
        })
    }

    /// Enough to read for three batches.
    fn wide() -> Self {
        Self::new(&["wide"], 45, |cloud, _| {
            for k in 0..45 {
                cloud.put(&format!("wide{k}"), 1000 + k, "news");
            }
        })
    }

    /// Plays the story under a plan for so many runs, lets everything recover, and says
    /// which faults there were. What is delayed lands before that, or after it.
    fn play(&self, plan: FaultPlan, runs: usize, late: bool, context: &str) -> Vec<Hit> {
        let cloud = self.cloud.fork();
        let mut site = self.site.fork(&cloud);
        let prod = cloud.prod();
        prod.set_faults(plan);
        let first = site.try_sync(&cloud.stores);
        let mut hits = prod.hits();
        let quiet = |kind| {
            matches!(
                kind,
                FaultKind::Duplicate | FaultKind::StalePage | FaultKind::TruncatedPage
            )
        };
        if hits
            .iter()
            .any(|h| !quiet(h.kind) && h.kind != FaultKind::Denied)
        {
            let unhurt = first.is_ok_and(|r| r.is_complete());
            assert!(!unhurt, "{context}: it went unnoticed");
        }
        site.reopen();
        // The rest of a plan strikes whoever tries again.
        for _ in 1..runs {
            drop(site.try_sync(&cloud.stores));
            site.reopen();
        }
        hits = prod.hits();
        prod.set_faults(FaultPlan::new());
        if !late {
            prod.land_delayed();
        }
        until_complete(&cloud, &site);
        if prod.land_delayed() > 0 {
            until_complete(&cloud, &site);
        }
        assert_moves(&cloud, &site, self.since);
        assert_everything_is_here(&cloud, &site, context);
        if hits.iter().any(|h| h.kind == FaultKind::StalePage) {
            // What was parked for a move that came too late stays parked.
            same(&cloud.face(), &self.face, context);
        } else {
            same(&cloud.dump(), &self.there, context);
        }
        same(&site.dump(), &self.here, context);
        let report = site.sync(&cloud);
        assert!(report.outcomes.is_empty(), "{context}: {report:?}");
        hits
    }
}

/// Compares secret by secret, to say which one it is.
fn same(found: &BTreeMap<String, String>, expected: &BTreeMap<String, String>, context: &str) {
    for name in found.keys().chain(expected.keys()) {
        assert_eq!(found.get(name), expected.get(name), "{context}: {name}");
    }
}

/// How often each combination must have been hit.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a test runs is nothing the program knows of"
)]
fn wanted() -> usize {
    match std::env::var("STRONGROOM_TEST_CASES") {
        Ok(_) => 50,
        Err(_) => 1,
    }
}

/// The table: a row for each call, a column for each fault, first/middle/last.
fn table(tally: &BTreeMap<Cell, usize>) -> String {
    let mut table = String::new();
    for call in Call::ALL {
        write!(table, "{:<26}", call.name()).unwrap();
        for kind in FaultKind::ALL {
            let of = |at| match tally.get(&(call, kind, at)) {
                Some(n) => n.to_string(),
                None => "-".to_owned(),
            };
            let cell = [At::First, At::Middle, At::Last].map(of).join("/");
            write!(table, " {kind:?} {cell:<8}").unwrap();
        }
        table.push('\n');
    }
    table
}

#[test]
fn every_fault_strikes_every_kind_of_call_first_in_the_middle_and_last() {
    let (rich, wide) = (Story::rich(), Story::wide());
    let story = |call| if call == Call::BatchGet { &wide } else { &rich };
    let mut tally: BTreeMap<Cell, usize> = BTreeMap::new();
    let mut aims: BTreeMap<Cell, usize> = BTreeMap::new();
    for call in Call::ALL {
        let count = story(call).counts.get(&call).copied().unwrap_or_default();
        assert!(count > 2, "{call:?}: the story has {count} of them");
        for kind in FaultKind::ALL.into_iter().filter(|k| k.befalls(call)) {
            for (at, nth) in At::all(count) {
                aims.insert((call, kind, at), nth);
                tally.insert((call, kind, at), 0);
            }
        }
    }
    let wanted = wanted();
    let mut runs: u64 = 0;
    for (&(call, kind, at), &nth) in &aims {
        let story = story(call);
        for attempt in 0..wanted * 3 {
            if tally[&(call, kind, at)] >= wanted {
                break;
            }
            // The first time alone, then with others that the seed draws.
            let others = usize::from(attempt > 0) * (1 + attempt % 3);
            let plan = FaultPlan::seeded(runs, &story.counts, others).nth(call, nth, kind);
            let context = format!("{call:?} {kind:?} {at:?}, run {runs}");
            for hit in story.play(plan, 1 + others, runs % 2 == 1, &context) {
                let count = story.counts.get(&hit.call).copied().unwrap_or_default();
                let cell = (hit.call, hit.kind, At::of(hit.nth, count));
                *tally.entry(cell).or_default() += 1;
            }
            runs += 1;
        }
    }
    // And several in one story.
    for seed in 0..24 {
        let plan = FaultPlan::seeded(seed, &rich.counts, 4);
        let context = format!("seed {seed}: {plan:?}");
        let hits = rich.play(plan, 4, seed % 2 == 1, &context);
        for hit in hits {
            let count = rich.counts.get(&hit.call).copied().unwrap_or_default();
            let cell = (hit.call, hit.kind, At::of(hit.nth, count));
            *tally.entry(cell).or_default() += 1;
        }
        runs += 1;
    }
    println!("{runs} runs, {} faults", tally.values().sum::<usize>());
    println!("{}", table(&tally));
    let missed: Vec<&Cell> = tally
        .iter()
        .filter(|(cell, n)| aims.contains_key(*cell) && **n < wanted)
        .map(|(cell, _)| cell)
        .collect();
    assert!(missed.is_empty(), "fewer than {wanted} hits: {missed:?}");
}

#[test]
fn positions_are_first_middle_and_last_where_there_are_so_many() {
    assert_eq!(At::all(0), []);
    assert_eq!(At::all(1), [(At::First, 0)]);
    assert_eq!(At::all(2), [(At::First, 0), (At::Last, 1)]);
    assert_eq!(At::all(5), [(At::First, 0), (At::Middle, 2), (At::Last, 4)]);
    for (at, nth) in At::all(7) {
        assert_eq!(At::of(nth, 7), at);
    }
}
