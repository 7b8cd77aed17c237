//! What a plan says it takes, held against what the account counts when it is carried
//! out.

use std::collections::BTreeMap;

use strongroom::model::{Change, RemoteView, Sight};
use strongroom::plan::Choice;
use strongroom::store::{Call, Silent};
use strongroom::sync::{Cost, Outcome, apply_plan, compare, fetch, prepare};

use super::world::{Cloud, Edits, Site, id, name, run, text};

/// Plans, carries it out, and compares: the calls counted, and whether they had to be
/// exactly those foretold.
fn foretold(cloud: &Cloud, site: &Site) -> BTreeMap<String, usize> {
    run(async {
        let options = site.options();
        let mut views: BTreeMap<_, RemoteView> = BTreeMap::new();
        for (remote, store) in &cloud.stores {
            let view = fetch(&site.vault, remote, store, options.now, &Silent).await;
            views.insert(remote.clone(), view.unwrap());
        }
        let prepared = prepare(&site.vault, views, &options.policy).unwrap();
        let prepared = compare(
            &site.vault,
            &cloud.stores,
            prepared,
            &options.policy,
            &Silent,
        )
        .await;
        let cost = Cost::of(&prepared);
        for store in cloud.stores.values() {
            store.reset_calls();
        }
        let plan = prepared.plan.to_string();
        let report = apply_plan(&site.vault, &cloud.stores, prepared, &options, &Silent).await;
        let report = report.unwrap();
        assert!(report.is_complete(), "{report:?}");
        let mut all = BTreeMap::new();
        for (remote, store) in &cloud.stores {
            let counted = store.calls();
            let mut said: BTreeMap<String, usize> = BTreeMap::new();
            for (operation, n) in cost.calls.get(remote).into_iter().flatten() {
                // The store counts both as one.
                let operation = operation.replace("UntagResource", "TagResource");
                *said.entry(operation).or_default() += n;
            }
            let done: BTreeMap<String, usize> = counted
                .iter()
                .map(|(call, n)| (call.name().to_owned(), *n))
                .collect();
            if cost.unforeseen == 0 {
                assert_eq!(said, done, "{remote}\n{plan}");
            } else {
                // What a restored secret shows comes on top.
                for (operation, n) in &said {
                    assert!(done.get(operation) >= Some(n), "{operation}\n{plan}");
                }
            }
            for (operation, n) in done {
                *all.entry(operation).or_default() += n;
            }
        }
        assert!(report.outcomes.values().all(|o| *o == Outcome::Done));
        all
    })
}

#[test]
fn a_plan_takes_just_the_calls_it_says() {
    let cloud = Cloud::with(&["prod", "dr"]);
    for n in 0..45 {
        cloud.put(&format!("s{n}"), n + 1, &format!("old {n}"));
    }
    cloud.put_labelled("s0", 101, &text("candidate"), &["blue"]);
    cloud.put_labelled("s1", 102, &text("candidate"), &["blue"]);
    let mut site = Site::new(&cloud);
    site.limits.count = 100;
    // 45 first values in three calls, two more one by one.
    let calls = foretold(&cloud, &site);
    assert_eq!(
        (calls["BatchGetSecretValue"], calls["GetSecretValue"]),
        (3, 2)
    );
    // What is new on one remote goes on to the other in the same run.
    assert_eq!(calls["CreateSecret"], 45);
    assert_eq!(foretold(&cloud, &site), BTreeMap::new());

    site.put("s0", 201, "pushed");
    site.put("s0", 202, "pushed again");
    site.put_value("s2", 203, &text("new label"), &["green"]);
    site.move_label("s1", "blue", None);
    site.move_label("s3", "red", Some(4));
    site.describe("s4", "a description");
    site.tag("s4", "k", Some("v"));
    site.tag("s5", "k", Some("v"));
    site.delete("s6");
    site.delete("s7");
    site.put("new/one", 204, "new");
    site.tag("new/one", "k", Some("v"));
    cloud.put("s8", 205, "pulled");
    cloud.put_labelled("s9", 206, &text("pulled"), &["CONSOLE"]);
    cloud.tag("s10", "k", Some("v"));
    cloud.delete("s11");
    // A conflict, of which only the copying is carried out.
    site.put("s12", 207, "here");
    cloud.put("s12", 208, "there");
    let calls = foretold(&cloud, &site);
    for operation in [
        "BatchGetSecretValue",
        "CreateSecret",
        "DeleteSecret",
        "DescribeSecret",
        "GetSecretValue",
        "PutSecretValue",
        "TagResource",
        "UpdateSecret",
        "UpdateSecretVersionStage",
    ] {
        assert!(calls.contains_key(operation), "no {operation}: {calls:?}");
    }
    site.resolve("s12", &Choice::Ours);
    site.restore("s6");
    site.tag("s5", "k", None);
    let calls = foretold(&cloud, &site);
    assert!(calls.contains_key("RestoreSecret"), "{calls:?}");
    // Nothing left to do takes nothing.
    foretold(&cloud, &site);
    assert_eq!(foretold(&cloud, &site), BTreeMap::new());
}

#[test]
fn histories_of_edits_take_what_their_plans_say() {
    let mut calls = 0;
    for seed in 0..30_u32 {
        let cloud = Cloud::with(&["prod", "dr"]);
        for n in 0..6 {
            cloud.put(&format!("s{n}"), n + 1, "old");
        }
        let mut site = Site::new(&cloud);
        site.limits.count = 100;
        foretold(&cloud, &site);
        let mut state = seed.wrapping_mul(0x9e37_79b1) | 1;
        let mut next = |below: u32| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state % below
        };
        for step in 0..12 {
            for _ in 0..next(4) {
                let secret = format!("s{}", next(6));
                let version = 1000 + seed * 1000 + step * 10 + next(10);
                let live_here = site.state(&secret).lifecycle.is_live();
                let there = cloud.prod().state();
                let live_there = there
                    .get(&name(&secret))
                    .is_some_and(|s| s.lifecycle.is_live());
                let known = site.state(&secret).versions.contains_key(&id(version));
                match next(8) {
                    0 | 1 if live_here && !known => site.put(&secret, version, "here"),
                    2 | 3 if live_there && !known => cloud.put(&secret, version + 500, "there"),
                    4 if live_here => site.tag(&secret, "k", (step % 2 == 0).then_some("v")),
                    5 if live_there => cloud.describe(&secret, &format!("d{version}")),
                    6 if live_here => site.delete(&secret),
                    7 if !live_here && site.state(&secret).lifecycle.is_scheduled() => {
                        site.restore(&secret);
                    }
                    _ => {}
                }
            }
            calls += foretold(&cloud, &site).values().sum::<usize>();
        }
    }
    println!("{calls} calls, all of them foretold");
    assert!(calls > 500, "{calls}");
}

#[test]
fn what_gets_in_the_way_comes_on_top() {
    let cloud = Cloud::new();
    cloud.put("s", 1, "old");
    let site = Site::new(&cloud);
    site.sync(&cloud);
    // Restored here, with news over there that nobody can read yet.
    cloud.put("s", 2, "news");
    cloud.delete("s");
    site.sync(&cloud);
    site.restore("s");
    let calls = foretold(&cloud, &site);
    assert_eq!(calls["RestoreSecret"], 1);
    assert!(matches!(
        cloud.state("s").lifecycle,
        strongroom::model::Lifecycle::Live
    ));
    // A lost answer is asked for again.
    site.put("s", 3, "here");
    let plan = run(async {
        let options = site.options();
        let store = cloud.prod();
        let (remote, _) = cloud.stores.iter().next().unwrap();
        let view = fetch(&site.vault, remote, store, options.now, &Silent).await;
        let view = view.unwrap();
        assert!(matches!(view.secrets[&name("s")], Sight::Seen(_)));
        prepare(
            &site.vault,
            [(remote.clone(), view)].into(),
            &options.policy,
        )
        .unwrap()
    });
    let said = Cost::of(&plan);
    assert_eq!(said.by_operation().get(Call::Put.name()), Some(&1));
    let is_put = |c: &Change| matches!(c, Change::AddVersion { .. });
    assert_eq!(
        plan.plan
            .actions()
            .filter(|(_, a)| is_put(&a.change))
            .count(),
        1
    );
}
