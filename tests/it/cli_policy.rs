//! Settings of what becomes of conflicts, from outside: policies, the remotes' own, and
//! flags. What they do is in `sync_memory/strategies.rs`, and `sync_moto/strategies.rs` has
//! a run with the program.

use serde_json::json;
use strongroom::cli::Exit;

use crate::cli::Home;

fn add_remote(home: &Home, more: &[&str]) {
    let args = [
        "--offline",
        "remote",
        "add",
        "prod",
        "--region",
        "eu-west-1",
    ];
    home.run(args.iter().chain(more)).ok();
}

fn settings(home: &Home) -> String {
    std::fs::read_to_string(home.vault().join("strongroom.toml")).unwrap()
}

#[test]
fn policies_are_set_listed_changed_and_removed() {
    let home = Home::new();
    add_remote(&home, &[]);
    home.run(["policy", "set", "prod/", "newest"]).ok();
    home.run(["policy", "set", "", "fail", "--field", "lifecycle"])
        .ok();
    home.run([
        "policy", "set", "prod/", "theirs", "--remote", "prod", "--field", "current",
    ])
    .ok();
    // The same subject again: it is changed, not added.
    home.run(["policy", "set", "prod/", "ours"]).ok();
    assert_eq!(
        home.run(["policy", "ls"]).ok().out,
        "(all)  fail  field lifecycle\n\
         prod/  ours\n\
         prod/  theirs  remote prod  field current\n"
    );
    assert_eq!(
        home.json(&["policy", "ls"])["Policies"][2],
        json!({ "Path": "prod/", "Remote": "prod", "Field": "current", "OnConflict": "theirs" })
    );
    let text = settings(&home);
    let written = "[[policy]]\n\
                   path = \"prod/\"\n\
                   remote = \"prod\"\n\
                   field = \"current\"\n\
                   on_conflict = \"theirs\"\n";
    assert!(text.contains(written), "{text}");

    home.run(["policy", "rm", "prod/"]).ok();
    home.run(["policy", "rm", "prod/"]).ends(Exit::NotFound);
    assert_eq!(
        home.json(&["policy", "ls"])["Policies"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    // A remote takes its policies with it.
    home.run(["--yes", "remote", "rm", "prod"]).ok();
    assert_eq!(
        home.run(["policy", "ls"]).ok().out,
        "(all)  fail  field lifecycle\n"
    );
}

#[test]
fn a_policy_that_cannot_be_changes_nothing() {
    let home = Home::new();
    let before = settings(&home);
    home.run(["policy", "set", "prod/**", "ours"])
        .ends(Exit::Usage)
        .has("prefix");
    home.run(["policy", "set", "prod/", "ours", "--remote", "nobody"])
        .ends(Exit::NotFound)
        .has("nobody");
    home.run(["policy", "set", "prod/", "latest"])
        .ends(Exit::Usage);
    home.run(["policy", "set", "prod/", "ours", "--field", "kms"])
        .ends(Exit::Usage);
    home.run(["sync", "--on-conflict", "latest"])
        .ends(Exit::Usage);
    assert_eq!(settings(&home), before);
}

#[test]
fn a_remote_has_a_strategy_of_its_own() {
    let home = Home::new();
    add_remote(&home, &["--on-conflict", "newest"]);
    home.run(["remote", "ls"]).ok().has("on conflict newest");
    let remotes = home.json(&["remote", "ls"]);
    assert_eq!(remotes["Remotes"][0]["OnConflict"], "newest");
    assert!(settings(&home).contains("on_conflict = \"newest\"\n"));
}
