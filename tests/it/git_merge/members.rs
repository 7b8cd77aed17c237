//! Two clones that added different members: both may open the vault afterwards.

use std::path::Path;

use super::{Two, text};
use crate::home::{Home, said};

/// Somebody with a key of their own.
fn person() -> (Home, String) {
    let home = Home::new();
    let own = home.path().join("own");
    let done = home.run(&["init", "--no-passphrase", text(&own)], b"");
    assert!(done.status.success(), "{}", said(&done));
    let file = std::fs::read_to_string(home.identity()).unwrap();
    let key = file.split("public key: ").nth(1).unwrap();
    let key = key.lines().next().unwrap().to_owned();
    (home, key)
}

fn reads(person: &Home, vault: &Path) -> String {
    let done = person.run(&["-C", text(vault), "get", "prod/db"], b"");
    assert!(done.status.success(), "{}", said(&done));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn both_added_a_member_and_both_members_are_in() {
    for driver in [false, true] {
        let two = Two::new(driver);
        let (one, other) = (two.one(), two.two());
        let ((bob, bobs), (carol, carols)) = (person(), person());
        two.ok(&one, &["members", "add", "bob", &bobs, "--yes"], b"");
        two.ok(&other, &["members", "add", "carol", &carols, "--yes"], b"");
        assert_eq!(two.merge(&one, &other), Some(0), "driver: {driver}");
        let members = two.ok(&one, &["members", "ls"], b"");
        for name in ["ann", "bob", "carol"] {
            assert!(members.contains(name), "{members}");
        }
        for who in [&bob, &carol] {
            assert_eq!(reads(who, &one), "first");
        }
        two.is_sound(&one, 1);
        // The other clone only follows.
        two.git(&other, &["pull", "-q", "--ff-only", text(&one), "HEAD"]);
        assert_eq!(two.get(&other, "prod/db"), "first");
        assert_eq!(reads(&bob, &other), "first");
        // One name for two keys is for a person.
        let ((_, first), (_, second)) = (person(), person());
        two.ok(&one, &["members", "add", "dave", &first, "--yes"], b"");
        two.ok(&other, &["members", "add", "dave", &second, "--yes"], b"");
        two.git(&one, &["fetch", "-q", text(&other), "HEAD"]);
        let merged = two.try_git(&one, &["merge", "-q", "--no-edit", "FETCH_HEAD"]);
        assert!(!merged.status.success());
        let done = two.run(&one, &["merge"], b"");
        assert!(!done.status.success());
        let told = [done.stdout.as_slice(), &done.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains("both sides changed member dave"), "{told}");
    }
}
