use std::collections::{HashMap, HashSet};

use super::*;

const UUID: &str = "0b7c3a52-5d1e-4b7a-8f4e-2f0a3c5d7e90";

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn id(text: &str) -> VersionId {
    text.parse().unwrap()
}

fn path_of(text: &str) -> String {
    metadata_path(&name(text))
}

fn ct8() -> Ct8 {
    "0a1b2c3d".parse().unwrap()
}

/// A file system that ignores case, as far as names on it can meet: every path and
/// every directory is entered, and whatever meets something else is an error.
#[derive(Default)]
struct Disk {
    files: HashMap<String, String>,
    directories: HashSet<String>,
    long: usize,
}

impl Disk {
    fn add_file(&mut self, path: &str, owner: &str) {
        let folded = path.to_ascii_lowercase();
        assert_eq!(folded, path, "upper case in the path of {owner}");
        for component in path.split('/') {
            assert!(!component.is_empty() && component.len() <= 180, "{path}");
            assert!(
                !component.starts_with('.') && !component.ends_with('.'),
                "{path}"
            );
            let base = component.split('.').next().unwrap();
            assert!(!is_device(base), "{path}");
        }
        let mut at = path;
        while let Some((directory, _)) = at.rsplit_once('/') {
            at = directory;
            if !self.directories.insert(directory.to_owned()) {
                break;
            }
        }
        if let Some(other) = self.files.insert(folded, owner.to_owned()) {
            panic!("{owner} and {other} are both at {path}");
        }
    }

    /// Enters a name's metadata and one value, and reads the name back.
    fn add(&mut self, text: &str) {
        let name = name(text);
        let path = metadata_path(&name);
        assert_eq!(name_of_path(&path, Some(&name)).as_ref(), Ok(&name));
        if path.starts_with(LONG) {
            self.long += 1;
            assert_eq!(name_of_path(&path, None), Err(PathError::NameNeeded));
        } else {
            assert_eq!(name_of_path(&path, None).as_ref(), Ok(&name));
            assert!(path.len() <= MAX_PATH);
        }
        let value = value_path(&name, &id(UUID), ct8());
        let (directory, file) = value.rsplit_once('/').unwrap_or(("", &value));
        let (home, metadata) = path.rsplit_once('/').unwrap_or(("", &path));
        assert_eq!(directory, home, "a value lies beside its metadata");
        let parts = parse_value_file(file).unwrap();
        assert_eq!(format!("{}.toml", parts.stem), metadata);
        self.add_file(&path, text);
        self.add_file(&value, text);
    }

    fn check(&self) {
        for directory in &self.directories {
            if let Some(owner) = self.files.get(directory) {
                panic!("the file of {owner} is also a directory: {directory}");
            }
        }
    }
}

/// Every sequence of up to `length` tokens.
fn sequences(tokens: &[&str], length: usize) -> HashSet<String> {
    let mut all = HashSet::new();
    let mut last = vec![String::new()];
    for _ in 0..length {
        last = last
            .iter()
            .flat_map(|head| tokens.iter().map(move |token| format!("{head}{token}")))
            .collect();
        all.extend(last.iter().cloned());
    }
    all
}

#[test]
fn crypto_1_examples() {
    for (text, path) in [
        ("prod/db", "prod/db.toml"),
        ("Prod/DB", ",prod/,d,b.toml"),
        ("/a//b/", ",1/a/,1/b/,1.toml"),
        ("con.txt", ",3con.txt.toml"),
        (".git/config", ",2git/config.toml"),
        ("Con", ",3,con.toml"),
        ("console", "console.toml"),
        ("COM1/lpt0.x/com10", ",3,c,o,m1/,3lpt0.x/com10.toml"),
        ("a.toml", "a.toml.toml"),
        ("a.toml/b", "a,2toml/b.toml"),
        ("a.age/b.age", "a,2age/b.age.toml"),
        ("a.b.toml/c", "a.b,2toml/c.toml"),
        (".toml/a", ",2toml/a.toml"),
        ("..toml/a", ",2,2toml/a.toml"),
        ("a.TOML/b", "a.,t,o,m,l/b.toml"),
        (".", ",2.toml"),
        ("../..", ",2,2/,2,2.toml"),
        ("...", ",2.,2.toml"),
        ("a./b", "a,2/b.toml"),
        ("/", ",1/,1.toml"),
        ("a_+=@-9", "a_+=@-9.toml"),
        ("nul.", ",3nul,2.toml"),
        (".con", ",2con.toml"),
    ] {
        assert_eq!(path_of(text), path, "{text}");
        assert_eq!(name_of_path(path, None), Ok(name(text)), "{path}");
    }
}

#[test]
fn no_two_hostile_names_meet() {
    let mut disk = Disk::default();
    let mut all = sequences(&["a", "A", ".", "/", "1", "4"], 6);
    all.extend(sequences(
        &[".toml", ".age", "con", "a", "A", "/", ".", "git"],
        4,
    ));
    for text in &all {
        disk.add(text);
    }
    disk.check();
    assert!(all.len() > 55_000, "{}", all.len());
}

#[test]
fn no_two_short_names_meet() {
    let every: Vec<String> = (0..128_u8)
        .map(|b| char::from(b).to_string())
        .filter(|c| c.parse::<SecretName>().is_ok())
        .collect();
    assert_eq!(every.len(), 69);
    let tokens: Vec<&str> = every.iter().map(String::as_str).collect();
    let mut disk = Disk::default();
    for text in sequences(&tokens, 2) {
        disk.add(&text);
    }
    // Three characters with each letter's case kept, over fewer letters.
    let fewer: Vec<&str> = tokens
        .iter()
        .copied()
        .filter(|c| {
            !c.chars()
                .all(|c| matches!(c, 'd'..='z' | 'D'..='Z' | '3'..='9'))
        })
        .collect();
    for text in sequences(&fewer, 3) {
        if text.len() == 3 {
            disk.add(&text);
        }
    }
    disk.check();
}

#[test]
fn random_names_of_every_length_come_back() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    let alphabet = b"abcxyzABCXYZ019/////...._+=@-";
    let mut disk = Disk::default();
    let mut seen = HashSet::new();
    for length in 1..=512 {
        for _ in 0..20 {
            let text: String = (0..length)
                .map(|_| char::from(alphabet[next() % alphabet.len()]))
                .collect();
            if seen.insert(text.clone()) {
                disk.add(&text);
            }
        }
    }
    disk.check();
    assert!(disk.long > 5_000, "{}", disk.long);
}

#[test]
fn the_length_rule_is_100_a_component_and_150_in_all() {
    let long = |text: &str| path_of(text).starts_with(LONG);
    let a = |n: usize| "a".repeat(n);
    assert!(!long(&a(95)));
    assert!(long(&a(96)));
    assert!(!long(&format!("{}/b", a(100))));
    assert!(long(&format!("{}/b", a(101))));
    assert!(!long(&format!("{}/{}", a(100), a(44))));
    assert!(long(&format!("{}/{}", a(100), a(45))));
    assert!(!long(&"A".repeat(47)));
    assert!(long(&"A".repeat(48)));
}

#[test]
fn a_long_path_is_the_hash_of_its_name() {
    // Made with Python's hashlib and base64, as the book's page says.
    let text = "a".repeat(512);
    assert_eq!(
        path_of(&text),
        include_str!("../testdata/long_path.txt").trim_end()
    );
    let other = name(&"b".repeat(512));
    assert_eq!(
        name_of_path(&path_of(&text), Some(&other)),
        Err(PathError::OtherName)
    );
    let short = name("a");
    assert_eq!(
        name_of_path(&path_of(&text), Some(&short)),
        Err(PathError::OtherName)
    );
}

#[test]
fn only_the_path_that_a_name_has_is_read() {
    let error = |path: &str| name_of_path(path, None).unwrap_err();
    for path in ["", "a", "a.tom", "a.TOML", "a.toml/", "a.age"] {
        assert_eq!(error(path), PathError::NotMetadata, "{path:?}");
    }
    for path in [
        ".toml",
        "/a.toml",
        "a//b.toml",
        "A.toml",
        "a b.toml",
        ",.toml",
        ",A.toml",
        ",0.toml",
        ",5.toml",
        "a,1.toml",
        ",1a.toml",
        "a\\b.toml",
        "é.toml",
        "a\n.toml",
        "a,3b.toml",
        ",3,3con.toml",
        ",3.toml",
        ",4x.toml",
    ] {
        assert_eq!(error(path), PathError::Malformed, "{path:?}");
    }
    for path in [
        "./a.toml",
        "../a.toml",
        "a/../b.toml",
        ".a.toml",
        "a..toml",
        "con.toml",
        ",3a.toml",
        "a,2b.toml",
        "a.toml/b.toml",
        "a.age/b.toml",
        "a,2toml.toml",
        "a/b,2age.toml",
    ] {
        assert_eq!(error(path), PathError::NotCanonical, "{path:?}");
    }
    let too_long = format!("{}.toml", "a".repeat(96));
    assert_eq!(error(&too_long), PathError::NotCanonical);
    assert_eq!(
        name_of_path("a.toml", Some(&name("b"))),
        Err(PathError::OtherName)
    );
    assert_eq!(
        name_of_path(",4/ab/cd.toml", Some(&name("b"))),
        Err(PathError::OtherName)
    );
}

#[test]
fn a_value_file_has_the_version_or_its_hash() {
    let secret = name("Prod/db");
    assert_eq!(
        value_path(&secret, &id(UUID), ct8()),
        format!(",prod/db.{UUID}.0a1b2c3d.age")
    );
    assert_eq!(
        value_file_name(&secret, &id(UUID), ct8()),
        format!("db.{UUID}.0a1b2c3d.age")
    );
    let plain = ["a".repeat(32), "-".repeat(64), UUID.to_owned()];
    for text in &plain {
        assert_eq!(VersionKey::of(&id(text)).as_str(), text);
    }
    let odd = [
        "A".repeat(32),
        "../".repeat(12),
        "é".repeat(32),
        format!("{}.", "a".repeat(32)),
        format!("{}\n", "a".repeat(32)),
    ];
    let mut keys = HashSet::new();
    for text in &odd {
        let key = VersionKey::of(&id(text));
        assert_eq!(key.as_str().len(), 53);
        assert!(key.as_str().starts_with('x'));
        assert_eq!(key.as_str().parse::<VersionKey>().as_ref(), Ok(&key));
        assert!(keys.insert(key));
    }
    // SHA-256 of "" would be 4oymiquy7qobjgx36tejs35zeqt24qpemsnzgtfeswmrw6csxbkq.
    assert_eq!(
        base32_sha256(&[]),
        "4oymiquy7qobjgx36tejs35zeqt24qpemsnzgtfeswmrw6csxbkq"
    );
}

#[test]
fn a_value_file_name_is_read_strictly() {
    let good = format!("db.x.{UUID}.0a1b2c3d.age");
    let parts = parse_value_file(&good).unwrap();
    assert_eq!(parts.stem, "db.x");
    assert_eq!(parts.key, VersionKey::of(&id(UUID)));
    assert_eq!(parts.ct8, ct8());
    for (bad, error) in [
        (good.replace(".age", ".toml"), ValueFileError::Shape),
        (good.replace("db.x.", ""), ValueFileError::Shape),
        (good.replace("db.x.", "."), ValueFileError::Shape),
        (good.replace("db", "DB"), ValueFileError::Shape),
        (good.replace("db", "a/db"), ValueFileError::Shape),
        (good.replace("db", "d b"), ValueFileError::Shape),
        (good.replace(UUID, "short"), ValueFileError::Key),
        (good.replace("0b7c", "0B7C"), ValueFileError::Key),
        (good.replace("0a1b2c3d", "0A1B2C3D"), Ct8Error.into()),
        (good.replace("0a1b2c3d", "0a1b2c3"), Ct8Error.into()),
    ] {
        assert_eq!(parse_value_file(&bad), Err(error), "{bad}");
    }
}

#[test]
fn hidden_paths_are_told_from_all_others() {
    let stem = hidden_stem(&[0xa5; 32]);
    let key = VersionKey::hidden(&[7; 32]);
    assert_eq!(stem.len(), ",5/".len() + 2 + 1 + 50);
    assert_eq!(key.as_str().len(), 53);
    let metadata = format!("{stem}.toml");
    let value = format!("{stem}.{key}.{}.age", ct8());
    assert!(is_hidden_metadata(&metadata) && !is_hidden_value(&metadata));
    assert!(is_hidden_value(&value) && !is_hidden_metadata(&value));
    assert_eq!(name_of_path(&metadata, None), Err(PathError::Malformed));
    for bad in [
        metadata.replace(",5/", ",4/"),
        metadata.replace(",5/", ",5//"),
        metadata.to_uppercase(),
        metadata.replace(".toml", "a.toml"),
        metadata.replace(",5/", "x/,5/"),
        path_of("prod/db"),
        path_of(&"Long/".repeat(80)),
    ] {
        assert!(!is_hidden_metadata(&bad), "{bad}");
    }
    for bad in [
        value.replace(key.as_str(), UUID),
        value.replace(".x", ".y"),
        format!("prod/db.{key}.{}.age", ct8()),
        "x.age".to_owned(),
    ] {
        assert!(!is_hidden_value(&bad), "{bad}");
    }
}
