//! The sync engine against the in-process Secrets Manager: first pull, no-op sync and
//! a push, with the calls counted. `cargo bench --bench engine [-- N]`. Prints one
//! line a measurement; what an emulator costs is not in it.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement stops at the first surprise and prints what it saw"
)]

mod common;
#[path = "common/meter.rs"]
mod meter;

use std::collections::BTreeMap;

use common::{NOW, id, name, value};
use meter::{bytes_under, measure, peak_mib};
use strongroom::model::{RemoteName, SecretName};
use strongroom::plan::{Limits, Policy};
use strongroom::store::{MemoryStore, Silent};
use strongroom::sync::{Options, Report, sync};
use strongroom::vault::Vault;

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(10_000);
    let dir = tempfile::tempdir().expect("a directory");
    let (vault, _) = common::vault(dir.path(), 0);
    let remote: RemoteName = "prod".parse().expect("a name");
    let store = MemoryStore::new("123456789012", "eu-central-1", NOW);
    for n in 0..count {
        store
            .as_console_put(&name(n), &id(n, 1), value(n), &[])
            .expect("stored");
        // Every second one has an AWSPREVIOUS.
        if n % 2 == 0 {
            store
                .as_console_put(&name(n), &id(n, 2), value(n + 1), &[])
                .expect("stored");
        }
    }
    let stores = BTreeMap::from([(remote, store)]);
    let store = stores.values().next().expect("one");

    measure(&format!("first pull of {count}"), &[store], || {
        run(&vault, &stores)
    });
    let before = bytes_under(dir.path());
    let report = measure("no-op sync", &[store], || run(&vault, &stores));
    assert!(report.is_quiet(), "the second sync had something to do");
    measure("no-op sync, again", &[store], || run(&vault, &stores));
    println!(
        "bytes written by two no-op syncs: {}",
        bytes_under(dir.path()) - before
    );

    let edited = count / 10;
    for n in 0..edited {
        put(&vault, &name(n), n);
    }
    measure(&format!("push of {edited}"), &[store], || {
        run(&vault, &stores)
    });
    println!("peak memory: {} MiB", peak_mib());
}

fn run(vault: &Vault, stores: &BTreeMap<RemoteName, MemoryStore>) -> Report {
    let options = Options {
        now: NOW,
        limits: Limits::default(),
        policy: Policy::default(),
        no_git: false,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let report = runtime
        .block_on(sync(vault, stores, &options, &Silent))
        .expect("a sync");
    assert!(report.is_complete(), "{:?}", report.stopped);
    report
}

fn put(vault: &Vault, name: &SecretName, n: usize) {
    let mut tx = vault.begin("bench", NOW).expect("the lock");
    tx.without_git();
    let record = tx.record(name).expect("reads").expect("is there");
    common::put(&mut tx, record, n, 3);
    tx.checkpoint(strongroom::vault::Durability::Bulk)
        .expect("written");
}
