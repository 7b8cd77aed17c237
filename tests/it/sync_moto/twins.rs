//! One version id with two contents, by the program against moto.

use super::desk::{Desk, console, holder, serves, state};
use crate::moto::Moto;

#[test]
fn an_id_with_two_contents_ends_with_7_and_is_decided_by_a_person() {
    let Some(moto) = Moto::shared() else {
        return;
    };
    for (side, account) in [("--ours", "210987654397"), ("--theirs", "210987654398")] {
        let keys = moto.account(account);
        let desk = Desk::with_remote(&keys, &moto.url());
        let there = || state(&moto, &keys);
        desk.put(&["db"], b"MINE-CANARY");
        desk.put(&["ok"], b"fine");
        let shown = desk.ok(&["show", "db", "--json"]).json();
        let stages = shown["VersionIdsToStages"].as_object().unwrap();
        let id = stages.keys().next().unwrap().clone();
        console(
            &moto,
            &keys,
            &format!(
                "sm.create_secret(Name='db', SecretString='OTHER-CANARY', ClientRequestToken='{id}')\nout(0)"
            ),
        );

        // A plan over an open vault says it as well; without the key it cannot know.
        let file = desk.path("saved.plan");
        let said = desk.ends(7, &["plan", "-o", file.to_str().unwrap()]);
        assert!(said.text().contains("integrity alarm"), "{}", said.text());
        let said = desk.ends(7, &["sync", "--yes"]);
        assert!(said.err.contains("integrity alarm"), "{}", said.err);
        assert!(!said.err.contains("CANARY"), "{}", said.err);
        assert_eq!(serves(&there(), "db"), b"OTHER-CANARY");
        assert_eq!(serves(&there(), "ok"), b"fine");
        assert_eq!(desk.get("db"), b"MINE-CANARY");
        let before = there();

        // From now on it is known without a network, and nothing goes out.
        let said = desk.ends(7, &["plan", "--offline"]);
        assert!(said.text().contains("integrity alarm"), "{}", said.text());
        assert!(desk.ok(&["status"]).text().contains("db: one version id"));
        assert!(desk.ok(&["conflicts"]).text().contains("integrity alarm"));
        desk.put(&["db"], b"newer");
        desk.ok(&["rollback", "db"]);
        desk.ends(7, &["push", "--yes", "--on-conflict", "ours"]);
        desk.ends(7, &["pull", "--yes", "--on-conflict", "theirs"]);
        assert_eq!(there(), before);
        desk.ends(2, &["resolve", "db", "--merge"]);

        let said = desk.ok(&["resolve", "db", side]);
        assert!(said.err.contains(&id), "{}", said.err);
        assert!(said.err.contains("goes on"), "{}", said.err);
        desk.sync();
        let won: &[u8] = match side {
            "--ours" => b"MINE-CANARY",
            _ => b"OTHER-CANARY",
        };
        assert_eq!(serves(&there(), "db"), won, "{side}");
        assert_eq!(desk.get("db"), won, "{side}");
        assert_ne!(holder(&there(), "db", "AWSCURRENT"), Some(id));
        desk.assert_quiet();
        assert_eq!(desk.ok(&["conflicts"]).out, b"");
        desk.ok(&["fsck"]);
    }
}
