//! What a measurement takes: time, processor time, calls, memory, bytes.

use std::time::{Duration, Instant};

use strongroom::store::MemoryStore;

/// Does something once and prints what it took, with the calls of each store.
pub(crate) fn measure<T>(what: &str, stores: &[&MemoryStore], act: impl FnOnce() -> T) -> T {
    for store in stores {
        store.reset_calls();
    }
    let (wall, before) = (Instant::now(), cpu());
    let done = act();
    let (wall, cpu) = (wall.elapsed(), cpu() - before);
    println!(
        "{what}: {:.2} s wall, {:.2} s CPU",
        wall.as_secs_f64(),
        cpu.as_secs_f64()
    );
    for store in stores {
        println!("  {} calls {:?}", store.total_calls(), store.calls());
    }
    done
}

/// User and system time of this process (proc(5), stat, fields 14 and 15).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // Without a terminal one of the fields is negative; the first is a letter.
    let field = |n: usize| -> u64 {
        let text = after.split_whitespace().nth(n - 3);
        text.and_then(|f| f.parse().ok()).unwrap_or(0)
    };
    Duration::from_millis((field(14) + field(15)) * 10)
}

/// The most memory this process has had, in MiB (proc(5), status, VmHWM).
pub(crate) fn peak_mib() -> u64 {
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
pub(crate) fn bytes_under(dir: &std::path::Path) -> u64 {
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
