//! A program with the JavaScript SDK v3, unchanged, through `exec`.

use std::path::Path;

use crate::cli::Home;

/// Whether a package of npm's is there. `tests/run` says so where it has seen to it; it is an
/// error for it to be missing then.
#[expect(
    clippy::disallowed_methods,
    reason = "a test finds its tools; no part of the program does"
)]
pub(crate) fn package(clients: &Path, name: &str) -> bool {
    let there = clients.join("node_modules").join(name).exists();
    let told = std::env::var_os("STRONGROOM_TEST_NODE").is_some();
    assert!(
        there || !told,
        "no {name} in node_modules of {}",
        clients.display()
    );
    if !there {
        eprintln!("skipped: no {name} in tests/clients/js/node_modules; run ./tests/run");
    }
    there
}

#[test]
fn the_javascript_sdk_works_on_the_vault_and_gets_its_own_exceptions() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/js");
    if !package(&clients, "@aws-sdk") {
        return;
    }
    let home = Home::new();
    let script = clients.join("client.mjs");
    let said = home
        .run([
            "exec".as_ref(),
            "--".as_ref(),
            "node".as_ref(),
            script.as_os_str(),
        ])
        .ok();
    assert_eq!(said.out, "done\n");
    assert_eq!(home.value("js/db"), "one");
    assert_eq!(home.value("js/db:AWSPREVIOUS"), "two");
}
