//! What a team does to a vault of many secrets: let somebody in, take somebody out, merge
//! what two clones did. `cargo bench --bench team [-- N]`. Prints one line a measurement.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement stops at the first surprise and prints what it saw"
)]

mod common;
#[path = "common/meter.rs"]
mod meter;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use common::{NOW, name};
use meter::{bytes_under, measure, peak_mib};
use strongroom::crypto::{HasMemberKey, Identity};
use strongroom::vault::{Durability, Rekey, Vault};

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(10_000);
    let edited = count / 10;
    let dir = tempfile::tempdir().expect("a directory");
    let (mut vault, member) = common::vault(dir.path(), count);
    let root = vault.root().to_owned();

    let other = dir.path().join("other");
    git(dir.path(), &["clone", "-q", text(&root), text(&other)]);
    let mut theirs = Vault::open(&other, &dir.path().join("other-state")).expect("opens");
    theirs.unlock(&member).expect("unlocks");
    edit(&vault, 0..edited, 2);
    edit(&theirs, edited / 2..edited / 2 + edited, 3);
    git(&root, &["fetch", "-q", text(&other), "HEAD"]);
    measure(
        &format!("git's own part of a merge of {edited} and {edited} changed"),
        &[],
        || {
            let mut git = Command::new("git");
            git.arg("-C").arg(&root);
            git.args([
                "-c",
                "user.name=bench",
                "-c",
                "user.email=bench@example.invalid",
            ]);
            let merged = git
                .args(["merge", "-q", "--no-edit", "FETCH_HEAD"])
                .output();
            assert!(!merged.expect("git runs").status.success(), "no conflict");
        },
    );
    let report = measure(
        &format!("strongroom's part, {} on both sides", edited - edited / 2),
        &[],
        || vault.merge_git(NOW, Some(&member)).expect("merged"),
    );
    assert_eq!(report.secrets.len(), edited - edited / 2);
    assert!(report.is_whole(), "something is left");
    vault.finish_merge("Merge", NOW).expect("committed");

    let bob = Identity::generate().member_key();
    measure(&format!("add a member to {count}"), &[], || {
        vault.add_member("bob", &bob, NOW, true).expect("added")
    });
    let remove = BTreeSet::from(["bob".to_owned()]);
    let rekey = Rekey {
        keyring: Identity::generate(),
        remove: &remove,
        now: NOW,
        git: true,
    };
    let done = measure(&format!("remove a member from {count}"), &[], || {
        vault.rekey(&member, rekey).expect("rekeyed")
    });
    println!("{} secrets, {} values anew", done.secrets, done.values);
    println!("bytes of the vault and its history: {}", bytes_under(&root));
    println!("peak memory: {} MiB", peak_mib());
}

/// Gives these secrets another version, in one commit.
fn edit(vault: &Vault, which: std::ops::Range<usize>, version: usize) {
    let mut tx = vault.begin("bench", NOW).expect("the lock");
    for n in which {
        let record = tx.record(&name(n)).expect("reads").expect("is there");
        common::put(&mut tx, record, n, version);
    }
    tx.commit("bench: edits", Durability::Bulk)
        .expect("written");
}

fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git").arg("-C").arg(dir).args(args).output();
    let done = done.expect("git runs");
    assert!(done.status.success(), "{done:?}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
