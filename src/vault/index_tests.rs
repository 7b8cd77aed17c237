use std::fs;

use super::testing::{Fixture, edit, git, id, name, put};
use super::*;

#[test]
fn the_index_never_shows_an_old_state() {
    let fixture = Fixture::new(false);
    let read = |vault: &Vault, n: u32| {
        let loaded = vault.load().unwrap();
        assert!(loaded.verified);
        assert_eq!(loaded.records.len(), 2);
        assert_eq!(vault.glance().unwrap(), loaded);
        let record = &loaded.records[&name("a")];
        assert_eq!(record, &vault.record(&name("a")).unwrap().unwrap());
        assert_eq!(record.state.current(), Some(&id(n)), "{n}");
    };
    fixture.put("a", 1, "x");
    fixture.put("b", 1, "x");
    // Within a tick of the clock, and every file of the same size.
    for n in 1..40 {
        fixture.put("a", n, "x");
        read(&fixture.vault, n);
        read(&fixture.vault, n);
        if n % 10 == 0 {
            read(&fixture.unlocked(), n);
        }
    }
    let index = fixture.vault.state_dir().join("index");
    assert!(index.metadata().unwrap().len() > 100);
    fs::write(&index, "garbage").unwrap();
    read(&fixture.vault, 39);
    fs::remove_file(fixture.root().join("secrets/b.toml")).unwrap();
    assert_eq!(fixture.vault.load().unwrap().records.len(), 1);
    assert_eq!(fixture.reopen().load().unwrap().records.len(), 1);
}

#[test]
fn a_glance_sees_what_a_load_sees_whatever_was_replaced() {
    let fixture = Fixture::new(true);
    let vault = &fixture.vault;
    assert_eq!(vault.glance().unwrap().records.len(), 0);
    let check = |what: &str, count: usize| {
        let seen = vault.glance().unwrap();
        assert_eq!(seen, vault.load().unwrap(), "{what}");
        assert_eq!(seen, vault.glance().unwrap(), "{what}");
        assert_eq!(seen.records.len() + seen.blocked.len(), count, "{what}");
    };
    for n in 0..12_usize {
        let secret = format!("{}/x/{n}", ["a", "b", "c"][n % 3]);
        fixture.put(&secret, 1, "x");
        assert_eq!(vault.glance().unwrap().records.len(), n + 1);
        check(&secret, n + 1);
    }
    fixture.put("b/x/1", 2, "y");
    let current = vault.glance().unwrap().records[&name("b/x/1")]
        .state
        .current()
        .cloned();
    assert_eq!(current, Some(id(2)));
    let branch = git(&fixture.root(), &["symbolic-ref", "--short", "HEAD"]);
    git(&fixture.root(), &["checkout", "-q", "HEAD~1"]);
    let current = vault.glance().unwrap().records[&name("b/x/1")]
        .state
        .current()
        .cloned();
    assert_eq!(current, Some(id(1)));
    git(&fixture.root(), &["checkout", "-q", "HEAD~6"]);
    check("checkout", 6);
    git(&fixture.root(), &["checkout", "-q", branch.trim_end()]);
    check("checkout back", 12);
    fs::remove_dir_all(fixture.root().join("secrets/a")).unwrap();
    check("folder removed", 8);
    fs::rename(
        fixture.root().join("secrets/b"),
        fixture.root().join("secrets/moved"),
    )
    .unwrap();
    check("folder renamed", 8);
    assert_eq!(vault.glance().unwrap().blocked.len(), 4);
    fs::rename(
        fixture.root().join("secrets/moved"),
        fixture.root().join("secrets/b"),
    )
    .unwrap();
    check("folder back", 8);
    // In place: a load shows it, and so does the glance after it.
    edit(
        &fixture.root().join("secrets/c/x/2.toml"),
        "live",
        "tombstone",
    );
    assert_eq!(vault.load().unwrap().blocked.len(), 1);
    assert_eq!(vault.glance().unwrap().blocked.len(), 1);
}

#[test]
fn the_cache_of_other_keys_vouches_for_nothing() {
    let fixture = Fixture::new(false);
    fixture.put("a", 1, "x");
    assert!(fixture.vault.load().unwrap().verified);
    // The same vault, as a clone that never unlocked it.
    let pin = fixture.vault.state_dir().join("pin.toml");
    fs::remove_file(pin).unwrap();
    assert!(!fixture.reopen().load().unwrap().verified);
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure_vault"]
fn measure_vault() {
    use std::time::Instant;
    for count in [10_000_u32, 100_000] {
        let fixture = Fixture::new(true);
        let start = Instant::now();
        let mut tx = fixture.begin();
        for n in 0..count {
            put(
                &mut tx,
                &format!("team-{}/service/secret-{n}", n % 50),
                n,
                &"x".repeat(200),
            );
        }
        println!("{count}: queued {:?}", start.elapsed());
        tx.checkpoint(Durability::Bulk).unwrap();
        println!("{count}: durable {:?}", start.elapsed());
        let commit = tx.commit("pull", Durability::Bulk).unwrap();
        println!("{count}: committed {:?} {:?}", start.elapsed(), commit.git);
        for what in ["cold", "racy", "warm", "warm", "warm"] {
            let vault = fixture.unlocked();
            let start = Instant::now();
            let loaded = vault.load().unwrap();
            println!(
                "{count}: load {what} {:?} ({})",
                start.elapsed(),
                loaded.records.len()
            );
        }
        for what in ["warm", "warm"] {
            let vault = fixture.unlocked();
            let start = Instant::now();
            let loaded = vault.glance().unwrap();
            println!(
                "{count}: glance {what} {:?} ({})",
                start.elapsed(),
                loaded.records.len()
            );
        }
        let cache = fs::metadata(fixture.vault.state_dir().join("index"))
            .unwrap()
            .len();
        println!("{count}: cache {cache} bytes");
        for _ in 0..3 {
            let start = Instant::now();
            fixture.put("team-1/new", 1, "value");
            println!("{count}: put {:?}", start.elapsed());
            let start = Instant::now();
            let loaded = fixture.vault.glance().unwrap();
            println!(
                "{count}: glance after put {:?} ({})",
                start.elapsed(),
                loaded.records.len()
            );
        }
        let vault = fixture.unlocked();
        let record = vault
            .record(&name("team-7/service/secret-7"))
            .unwrap()
            .unwrap();
        let start = Instant::now();
        vault.read(&record, &id(7)).unwrap();
        println!("{count}: read one {:?}", start.elapsed());
    }
}
