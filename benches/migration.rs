//! A migration from one in-process account to another: plan, copy, verify, with the calls
//! of both accounts counted. `cargo bench --bench migration [-- N]`.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement stops at the first surprise and prints what it saw"
)]

#[expect(dead_code, reason = "other measurements use the rest")]
mod common;
#[path = "common/meter.rs"]
mod meter;

use common::{NOW, id, name, value};
use meter::{bytes_under, measure, peak_mib};
use strongroom::crypto::{Identity, KeyringKeys};
use strongroom::migrate::{Head, Journal, Rules, Run, Side, Survey, apply, survey, verify};
use strongroom::store::{MemoryStore, Silent};

const VAULT: &str = "3f2a8c1e-5b7d-4e2f-9a60-1c2d3e4f5a6b";

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(10_000);
    let from = MemoryStore::new("111111111111", "eu-central-1", NOW);
    let to = MemoryStore::new("222222222222", "us-east-1", NOW);
    for n in 0..count {
        from.as_console_put(&name(n), &id(n, 1), value(n), &[])
            .expect("stored");
        // Every second one has an AWSPREVIOUS.
        if n % 2 == 0 {
            from.as_console_put(&name(n), &id(n, 2), value(n + 1), &[])
                .expect("stored");
        }
    }
    let keys = KeyringKeys::new(Identity::generate(), VAULT);
    let dir = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let both = [&from, &to];

    let plan = measure(&format!("plan of {count}"), &both, || {
        let of = Survey {
            from: &from,
            to: &to,
            keys: &keys,
            rules: Rules::default(),
            progress: &Silent,
        };
        runtime.block_on(survey(head(), of)).expect("a plan")
    });
    assert_eq!(plan.ready().count(), count, "something cannot move");
    let journal = Journal::open(dir.path(), &plan.id).expect("a journal");
    let run = Run {
        from: &from,
        to: &to,
        keys: &keys,
        journal: &journal,
        now: NOW,
        part: None,
        progress: &Silent,
    };
    let report = measure("copy", &both, || {
        runtime.block_on(apply(&plan, &run, false)).expect("runs")
    });
    assert!(report.is_complete(), "{:?}", report.stopped);
    let findings = measure("verify", &both, || {
        runtime.block_on(verify(&plan, &run)).expect("runs")
    });
    assert!(findings.is_clean(), "a copy differs");
    let report = measure("copy again, with nothing to do", &both, || {
        runtime.block_on(apply(&plan, &run, false)).expect("runs")
    });
    assert!(report.is_complete(), "{:?}", report.stopped);
    println!("bytes of the journal: {}", bytes_under(dir.path()));
    println!("peak memory: {} MiB", peak_mib());
}

fn head() -> Head {
    let side = |account: &str, region: &str| Side {
        remote: account.into(),
        account: account.into(),
        region: region.into(),
        endpoint: None,
    };
    Head {
        program: "bench".into(),
        vault: VAULT.into(),
        id: "11112222-3333-4444-5555-666677778888".into(),
        made: NOW.to_string(),
        from: side("111111111111", "eu-central-1"),
        to: side("222222222222", "us-east-1"),
    }
}
