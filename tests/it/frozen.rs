//! The frozen vaults of `fixtures/` open for ever.

use std::path::Path;

use data_encoding::BASE64;
use serde_json::Value;

use super::home::{Home, copy, said};

/// A copy of the frozen vault in a new home, with its identity.
pub(crate) fn frozen() -> Home {
    let from = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/vault-format-1"
    ));
    let home = Home::new();
    copy(&from.join("vault"), &home.vault());
    let config = home.path().join(".config/strongroom");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::copy(from.join("identity"), home.identity()).unwrap();
    home
}

fn listing() -> Value {
    serde_json::from_str(include_str!("../../fixtures/vault-format-1/listing.json")).unwrap()
}

/// Everything that was frozen is there and the same; more may have come to be told.
fn assert_holds(actual: &Value, frozen: &Value, at: &str) {
    match (actual, frozen) {
        (Value::Object(actual), Value::Object(frozen)) => {
            for (key, value) in frozen.iter().filter(|(key, _)| *key != "Value") {
                let found = actual.get(key);
                let found = found.unwrap_or_else(|| panic!("{at}: {key} is gone"));
                assert_holds(found, value, &format!("{at}/{key}"));
            }
        }
        (Value::Array(actual), Value::Array(frozen)) => {
            assert_eq!(actual.len(), frozen.len(), "{at}");
            for (n, (actual, frozen)) in actual.iter().zip(frozen).enumerate() {
                assert_holds(actual, frozen, &format!("{at}/{n}"));
            }
        }
        _ => assert_eq!(actual, frozen, "{at}"),
    }
}

#[test]
fn the_frozen_vault_lists_as_it_did() {
    let home = frozen();
    let text = home.ok(&["ls", "--flat", "--all", "--json"], b"");
    let actual: Value = serde_json::from_slice(&text).unwrap();
    assert_holds(&actual, &listing(), "");
}

#[test]
fn every_value_of_the_frozen_vault_is_read() {
    let home = frozen();
    let mut read = 0;
    for secret in listing()["SecretList"].as_array().unwrap() {
        let name = secret["Name"].as_str().unwrap();
        if secret["Lifecycle"] == "tombstone" {
            home.ok(&["--no-commit", "restore", name], b"");
        }
        for version in secret["Versions"].as_array().unwrap() {
            let id = version["VersionId"].as_str().unwrap();
            let expected = BASE64.decode(version["Value"].as_str().unwrap().as_bytes());
            let actual = home.ok(&["get", &format!("{name}#{id}")], b"");
            assert_eq!(actual, expected.unwrap(), "{name} {id}");
            read += 1;
        }
    }
    assert_eq!(read, 32);
}

#[test]
fn the_frozen_vault_takes_a_new_version() {
    let home = frozen();
    let done = home.run(
        &["-C", "vault", "--no-commit", "put", "app/string"],
        b"fourth",
    );
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(home.ok(&["get", "app/string"], b""), b"fourth");
    assert_eq!(home.ok(&["get", "app/string~1"], b""), b"third");
}
