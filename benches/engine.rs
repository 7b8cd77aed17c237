//! The sync engine against the in-process Secrets Manager: first pull, no-op sync and
//! a push, with the calls counted. `cargo bench --bench engine [-- N]`. Prints one
//! line a measurement; what an emulator costs is not in it.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement stops at the first surprise and prints what it saw"
)]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::{NOW, id, name, value};
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

    measure("first pull", count, store, || run(&vault, &stores));
    let before = bytes_under(dir.path());
    let report = measure("no-op sync", count, store, || run(&vault, &stores));
    assert!(report.is_quiet(), "the second sync had something to do");
    measure("no-op sync, again", count, store, || run(&vault, &stores));
    println!(
        "bytes written by two no-op syncs: {}",
        bytes_under(dir.path()) - before
    );

    let edited = count / 10;
    for n in 0..edited {
        put(&vault, &name(n), n);
    }
    measure(&format!("push of {edited}"), count, store, || {
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

fn measure(what: &str, count: usize, store: &MemoryStore, act: impl FnOnce() -> Report) -> Report {
    store.reset_calls();
    let (wall, cpu) = (Instant::now(), cpu());
    let report = act();
    let (wall, cpu) = (wall.elapsed(), self::cpu() - cpu);
    println!(
        "{what} of {count}: {:.2} s wall, {:.2} s CPU, {} calls {:?}",
        wall.as_secs_f64(),
        cpu.as_secs_f64(),
        store.total_calls(),
        store.calls()
    );
    report
}

/// User and system time of this process (proc(5), stat, fields 14 and 15).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = after
        .split_whitespace()
        .filter_map(|f| f.parse().ok())
        .collect();
    let ticks = fields.get(10).unwrap_or(&0) + fields.get(11).unwrap_or(&0);
    Duration::from_millis(ticks * 10)
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|l| l.starts_with("VmHWM:"))
        .unwrap_or("");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|k| k.parse().ok())
        .unwrap_or(0);
    kib / 1024
}

/// The sum of all file sizes.
fn bytes_under(dir: &std::path::Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sum += bytes_under(&path);
        } else {
            sum += entry.metadata().map_or(0, |m| m.len());
        }
    }
    sum
}
