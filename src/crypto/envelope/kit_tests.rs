//! The age test kit (C2SP) through the entry that every age file of a vault goes
//! through. Where a vault takes less than age does, the rule has a name here.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::crypto::Identity;

/// What age must make of a file, and ours does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// Armored files: a vault's are binary.
    NoArmor,
    /// Files under a passphrase: a vault's are encrypted to keys.
    NoPassphrase,
    /// The kit keeps large files compressed with zlib, which nothing here reads. age
    /// splits its payload in 64 KiB chunks; a value's file has at most two.
    Compressed,
    /// A stanza without its short last line, as old files have it: the age crate reads
    /// these on purpose (its own run of the kit says so), and the mac holds all the same.
    Legacy,
}

const LEGACY: [&str; 2] = ["stanza_missing_body", "stanza_missing_final_line"];

struct Vector {
    name: String,
    head: BTreeMap<String, String>,
    file: Vec<u8>,
}

fn kit() -> Vec<Vector> {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/age-testkit"));
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "README.md" {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let end = bytes.windows(2).position(|w| w == b"\n\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let pairs = head.lines().map(|line| line.split_once(": ").unwrap());
        // Where there are several identities, the last one fits.
        let head = pairs
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect::<BTreeMap<_, _>>();
        all.push(Vector {
            name,
            head,
            file: bytes[end + 2..].to_vec(),
        });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// What the vault's reader makes of a vector.
fn read(vector: &Vector) -> Result<Vec<u8>, OpenError> {
    // Files under a passphrase name no identity; any is right for refusing them.
    let identity = match vector.head.get("identity") {
        Some(key) => key.parse().unwrap(),
        None => Identity::generate(),
    };
    decrypt(&vector.file, &identity, Readers::Many, MAX_FILE).map(|plain| plain.to_vec())
}

#[test]
fn the_age_test_kit_is_read_as_it_says_or_refused_by_a_named_rule() {
    let kit = kit();
    assert_eq!(kit.len(), 123);
    let mut ruled: BTreeMap<Rule, usize> = BTreeMap::new();
    let mut plainly = 0;
    let mut wrong = Vec::new();
    for vector in &kit {
        let expected = vector.head["expect"].as_str();
        let has = |key| vector.head.contains_key(key);
        let got = read(vector);
        let said = match &got {
            Ok(plain) => {
                let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(plain));
                match vector.head.get("payload") == Some(&hash) {
                    true => "success",
                    false => "another payload",
                }
            }
            Err(OpenError::Armored) => "armored",
            Err(OpenError::PassphraseFile) => "passphrase",
            Err(OpenError::NoIdentityMatches) => "no match",
            Err(OpenError::Damaged | OpenError::NotAge) => "failure",
            Err(_) => "something else",
        };
        let (right, rule) = if has("compressed") {
            (got.is_err(), Some(Rule::Compressed))
        } else if has("armored") {
            // Some have no armor that could be known as such.
            let known = matches!(said, "armored" | "failure");
            (known, Some(Rule::NoArmor))
        } else if has("passphrase") {
            let known = said == expected || matches!(said, "passphrase" | "failure");
            (known && got.is_err(), Some(Rule::NoPassphrase))
        } else if LEGACY.contains(&vector.name.as_str()) {
            (got.is_ok(), Some(Rule::Legacy))
        } else {
            let right = match expected {
                "success" | "no match" => said == expected,
                "header failure" | "HMAC failure" | "payload failure" => said == "failure",
                _ => false,
            };
            (right, None)
        };
        match rule {
            Some(rule) => *ruled.entry(rule).or_default() += 1,
            None => plainly += 1,
        }
        if !right {
            wrong.push(format!("{}: {expected}, but {said}", vector.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(
        (plainly, ruled.into_iter().collect::<Vec<_>>()),
        (
            46,
            vec![
                (Rule::NoArmor, 30),
                (Rule::NoPassphrase, 25),
                (Rule::Compressed, 20),
                (Rule::Legacy, 2),
            ]
        )
    );
}

#[test]
fn a_value_with_two_recipients_is_refused_whoever_they_are() {
    let kit = kit();
    let vector = kit.iter().find(|v| v.name == "x25519_multiple_recipients");
    let vector = vector.unwrap();
    assert!(read(vector).is_ok());
    let identity = vector.head["identity"].parse().unwrap();
    let strict = decrypt(&vector.file, &identity, Readers::One, MAX_FILE);
    assert_eq!(strict.err(), Some(OpenError::Recipients(2)));
}
