//! Programs in Python, unchanged, through `exec`: boto3, AWS's caching library, and one
//! that speaks the Lambda extension's HTTP form.

use std::path::Path;

use crate::cli::Home;
use crate::moto::python;

/// Runs one of `tests/clients` on the home's vault; it checks what it is told itself.
fn run(home: &Home, script: &str) -> bool {
    let Some(python) = python() else { return false };
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let (python, script) = (python.into_os_string(), clients.join(script));
    let said = home
        .run(["exec".as_ref(), "--".as_ref(), &*python, script.as_os_str()])
        .ok();
    assert_eq!(said.out, "done\n");
    true
}

#[test]
fn boto3_works_on_the_vault_and_gets_its_own_exceptions() {
    let home = Home::new();
    if !run(&home, "boto3_client.py") {
        return;
    }
    // What it did is there without it.
    assert_eq!(home.value("py/db"), "three");
    assert_eq!(home.value("py/db:AWSPREVIOUS"), "one");
    home.run(["fsck"]).ok();
}

#[test]
fn the_caching_library_for_python_reads_once_and_again_when_told() {
    let home = Home::new();
    home.put("cache/db", r#"{"user": "ann", "password": "one"}"#);
    if !run(&home, "caching_client.py") {
        return;
    }
    assert!(home.value("cache/db").contains("two"));
}

#[test]
fn a_lambda_function_reads_by_the_extensions_http_form() {
    let home = Home::new();
    home.put("ext/db", "old");
    home.put("ext/db", "new & improved/\u{e9}");
    home.run_with(b"\x00\xff", ["put", "ext/bytes", "--binary"])
        .ok();
    run(&home, "extension_client.py");
}
