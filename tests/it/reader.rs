//! The second reader, written from the book, and the vaults that the program makes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::frozen::frozen;
use super::home::{Home, output, said};
use super::moto::python;

/// The second reader on the vault of a home; the passphrase goes to its descriptor 0.
pub(crate) struct Reader {
    python: PathBuf,
}

impl Reader {
    pub(crate) fn find() -> Option<Self> {
        python().map(|python| Self { python })
    }

    fn run(&self, home: &Home, args: &[&str], passphrase: Option<&str>) -> Output {
        let mut command = Command::new(&self.python);
        command
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/reader/strongroom_reader.py"
            ))
            .args(args)
            .arg("--identity")
            .arg(home.identity());
        if passphrase.is_some() {
            command.args(["--passphrase-fd", "0"]);
        }
        output(command, passphrase.unwrap_or_default().as_bytes())
    }

    pub(crate) fn verify(&self, home: &Home, passphrase: Option<&str>) -> Output {
        let vault = home.vault();
        self.run(home, &["verify", vault.to_str().unwrap()], passphrase)
    }

    fn get(&self, home: &Home, args: &[&str], passphrase: Option<&str>) -> Vec<u8> {
        let vault = home.vault();
        let mut all = vec!["get", vault.to_str().unwrap()];
        all.extend(args);
        let done = self.run(home, &all, passphrase);
        assert!(done.status.success(), "{args:?}: {}", said(&done));
        done.stdout
    }

    /// The reader refuses the vault, and says this.
    fn refuses(&self, home: &Home, reason: &str) {
        let done = self.verify(home, None);
        assert_eq!(done.status.code(), Some(1), "the reader accepts it");
        assert!(said(&done).contains(reason), "{}", said(&done));
    }
}

fn unsealed() -> Home {
    let home = Home::new();
    let done = home.run(&["init", "vault", "--no-passphrase"], b"");
    assert!(done.status.success(), "{}", said(&done));
    home
}

/// The files below a folder whose names end so, sorted.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.extension() == Some(OsStr::new(end)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The only value file of a folder.
fn only(folder: &Path) -> PathBuf {
    let found = files(folder, "age");
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} lacks {from}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn the_reader_opens_what_the_program_writes() {
    let Some(reader) = Reader::find() else { return };
    let home = unsealed();
    let long = "Long/".repeat(80);
    let all: Vec<u8> = (0..=255).collect();
    let largest = vec![b'x'; 65_536];
    let values: BTreeMap<&str, (&[u8], bool)> = BTreeMap::from([
        ("prod/db", ("gr\u{fc}n \u{1f511}\r\n\n".as_bytes(), false)),
        ("Prod/DB", (b"capitals".as_slice(), false)),
        ("con", (b"device".as_slice(), false)),
        (".git/config", (b"not git".as_slice(), false)),
        ("a.toml/b", (b"b".as_slice(), false)),
        (&long, (b"400 characters".as_slice(), false)),
        ("bytes", (&all, true)),
        ("largest", (&largest, false)),
        ("empty", (b"".as_slice(), false)),
    ]);
    for (name, (value, binary)) in &values {
        let mut args = vec![
            "put",
            *name,
            "--description",
            "d \u{202e}\"\\",
            "-t",
            "a b=c",
        ];
        if *binary {
            args.push("--binary");
        }
        home.ok(&args, value);
    }
    let second = "0b7c3a52-5d1e-4b7a-8f4e-2f0a3c5d7e90";
    let odd = "An Id that is no part of a file's name";
    home.ok(&["put", "prod/db", "--version-id", second], b"second");
    home.ok(&["label", "prod/db", "green", "--to", second], b"");
    home.ok(&["put", "prod/db", "--version-id", odd], b"third");
    home.ok(&["rm", "con"], b"");
    home.ok(&["rm", "empty", "--force", "--yes"], b"");

    let done = reader.verify(&home, None);
    assert!(done.status.success(), "{}", said(&done));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(
        text.starts_with("ok: 9 secrets, 11 versions, 11 value files\n"),
        "{text}"
    );
    for (name, (value, _)) in &values {
        if *name != "prod/db" {
            assert_eq!(reader.get(&home, &[name], None), *value, "{name}");
        }
    }
    assert_eq!(reader.get(&home, &["prod/db"], None), b"third");
    for (id, value) in [(second, b"second".as_slice()), (odd, b"third")] {
        assert_eq!(
            reader.get(&home, &["prod/db", "--version", id], None),
            value
        );
    }
}

#[test]
fn the_reader_opens_a_sealed_identity() {
    let Some(reader) = Reader::find() else { return };
    let home = Home::new();
    // Decomposed here, composed for the reader: both are the same passphrase.
    let done = home.run(
        &["init", "vault", "--passphrase-fd", "0"],
        "cafe\u{301} ole".as_bytes(),
    );
    assert!(done.status.success(), "{}", said(&done));
    std::fs::write(home.path().join("value"), "sealed away").unwrap();
    home.ok(
        &["put", "prod/db", "--file", "value", "--passphrase-fd", "0"],
        "caf\u{e9} ole".as_bytes(),
    );
    let right = Some("caf\u{e9} ole");
    assert_eq!(reader.get(&home, &["prod/db"], right), b"sealed away");
    let wrong = reader.verify(&home, Some("cafe ole"));
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        said(&wrong).contains("another passphrase"),
        "{}",
        said(&wrong)
    );
}

#[test]
fn the_reader_opens_the_frozen_vault() {
    let Some(reader) = Reader::find() else { return };
    let home = frozen();
    let done = reader.verify(&home, None);
    assert!(done.status.success(), "{}", said(&done));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.starts_with("ok: 25 secrets, 32 versions, "), "{text}");
    assert!(text.contains("key: 097a-d1eb-a563-5dc6-987c\n"), "{text}");
}

#[test]
fn the_reader_refuses_what_was_tampered_with() {
    let Some(reader) = Reader::find() else { return };
    let make = || {
        let home = unsealed();
        home.ok(&["put", "a/one"], b"first");
        home.ok(&["put", "b/two"], b"second");
        home
    };

    let home = make();
    let meta = home.vault().join("secrets/a/one.toml");
    replace(&meta, "\"AWSCURRENT\"", "\"AWSPREVIOUS\"");
    reader.refuses(&home, "secrets/a/one.toml: the mac is wrong");

    let home = make();
    let (one, two) = (
        home.vault().join("secrets/a"),
        home.vault().join("secrets/b"),
    );
    let (one, two) = (only(&one), only(&two));
    let kept = std::fs::read(&one).unwrap();
    std::fs::copy(&two, &one).unwrap();
    std::fs::write(&two, kept).unwrap();
    reader.refuses(&home, "its hash is not the one in its name");

    // The same under names whose hashes fit: only the container tells.
    let home = make();
    let (one, two) = (
        home.vault().join("secrets/a"),
        home.vault().join("secrets/b"),
    );
    let (one, two) = (only(&one), only(&two));
    let ct8 = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.rsplit('.').nth(1).unwrap().to_owned()
    };
    let moved = one.to_str().unwrap().replace(&ct8(&one), &ct8(&two));
    std::fs::rename(&two, moved).unwrap();
    std::fs::remove_file(&one).unwrap();
    reader.refuses(&home, "a value of another secret");

    let home = make();
    let one = only(&home.vault().join("secrets/a"));
    let bytes = std::fs::read(&one).unwrap();
    std::fs::write(&one, &bytes[..bytes.len() - 1]).unwrap();
    reader.refuses(&home, "its hash is not the one in its name");

    let home = make();
    std::fs::remove_file(only(&home.vault().join("secrets/b"))).unwrap();
    reader.refuses(&home, "b/two: no value file of version");

    let home = make();
    let secrets = home.vault().join("secrets");
    std::fs::rename(secrets.join("a/one.toml"), secrets.join("a/other.toml")).unwrap();
    reader.refuses(&home, "lies at another path");

    let home = make();
    replace(
        &home.vault().join("strongroom.toml"),
        "count = 10",
        "count = 99",
    );
    reader.refuses(&home, "strongroom.toml: the mac is wrong");

    let home = make();
    replace(
        &home.vault().join("keys/default.toml"),
        "epoch = 1",
        "epoch = 2",
    );
    reader.refuses(&home, "keys/default.toml: the mac is wrong");
}

/// A vault of the third epoch, with a removed member, one who stays, and an ssh key.
fn third_epoch() -> Home {
    let home = unsealed();
    home.ok(&["put", "prod/db", "--binary"], b"\x00gr\xfcn\n");
    home.ok(&["put", "prod/db", "--binary"], b"\x01newer\n");
    home.ok(&["put", "dev/db"], b"of the first epoch");
    let bob = strongroom::crypto::Identity::generate()
        .recipient()
        .to_string();
    home.ok(&["members", "add", "bob \"x\"", &bob, "--yes"], b"");
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICT4N9nVej0l+P2tcsYCrdY0tAkgLqs6QvYieX1NkRJK";
    home.ok(&["members", "add", "carol", ssh, "--yes"], b"");
    home.ok(&["members", "rm", "bob \"x\"", "--yes"], b"");
    home.ok(&["rekey"], b"");
    home
}

#[test]
fn the_reader_follows_the_epochs() {
    let Some(reader) = Reader::find() else { return };
    let home = third_epoch();
    let done = reader.verify(&home, None);
    assert!(done.status.success(), "{}", said(&done));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(
        text.starts_with("ok: 2 secrets, 3 versions, 3 value files\nkey: "),
        "{text}"
    );
    assert_eq!(reader.get(&home, &["dev/db"], None), b"of the first epoch");

    let keys = home.vault().join("keys");
    let list = std::fs::read_to_string(keys.join("default.toml")).unwrap();
    let ledger = keys.join("default.2.removed.toml");
    replace(&ledger, "name = \"dev/db\"", "name = \"dev/dc\"");
    reader.refuses(&home, "keys/default.2.removed.toml: the mac is wrong");
    replace(&ledger, "name = \"dev/dc\"", "name = \"dev/db\"");
    let first = std::fs::read(keys.join("default.1.age")).unwrap();
    std::fs::copy(keys.join("default.2.age"), keys.join("default.1.age")).unwrap();
    assert!(!reader.verify(&home, None).status.success());
    std::fs::write(keys.join("default.1.age"), first).unwrap();
    assert!(reader.verify(&home, None).status.success());
    assert!(list.contains("removed = [\"bob \\\"x\\\"\"]"), "{list}");
}

#[test]
fn stock_age_opens_a_secret_of_a_later_epoch_in_two_steps() {
    if Command::new("age").arg("--version").output().is_err() {
        eprintln!("skipped: no age; Debian has it as the package age");
        return;
    }
    let home = third_epoch();
    let decrypt = |identity: &Path, file: &Path| {
        let mut command = Command::new("age");
        command.arg("-d").arg("-i").arg(identity).arg(file);
        let done = output(command, b"");
        assert!(done.status.success(), "{}", said(&done));
        done.stdout
    };
    let key = home.path().join("k");
    let keyring = decrypt(&home.identity(), &home.vault().join("keys/default.age"));
    std::fs::write(&key, keyring).unwrap();
    let text = decrypt(&key, &only(&home.vault().join("secrets/dev")));
    assert!(text.windows(18).any(|w| w == b"of the first epoch"));
    // And so do the former epochs, one step each.
    for epoch in [2, 1] {
        let past = decrypt(
            &key,
            &home.vault().join(format!("keys/default.{epoch}.age")),
        );
        assert!(past.starts_with(b"# created: "));
        std::fs::write(&key, past).unwrap();
    }
}

#[test]
fn the_reader_checks_a_bundle_from_its_page_alone() {
    let Some(reader) = Reader::find() else { return };
    let home = unsealed();
    home.ok(
        &["put", "prod/db", "--description", "d \u{202e}\""],
        b"first",
    );
    home.ok(&["put", "prod/db"], b"second");
    home.ok(&["put", "Prod/DB", "--binary"], b"\x00\xff");
    let file = home.path().join("b");
    let path = file.to_str().unwrap();
    let from = "site \"a\" \u{1f511}";
    home.ok(&["bundle", "create", "-o", path, "--from", from], b"");
    let vault = home.vault();
    let check = |file: &Path, passphrase: Option<&str>| {
        let args = ["bundle", vault.to_str().unwrap(), file.to_str().unwrap()];
        reader.run(&home, &args, passphrase)
    };
    let done = check(&file, None);
    assert!(done.status.success(), "{}", said(&done));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(
        text.starts_with("ok: bundle 1, 2 secrets, 3 values\nfingerprint: "),
        "{text}"
    );
    let inspected = home.ok(&["bundle", "inspect", path, "--json"], b"");
    let inspected: serde_json::Value = serde_json::from_slice(&inspected).unwrap();
    let fingerprint = inspected["Fingerprint"].as_str().unwrap();
    assert!(text.contains(fingerprint), "{text} {inspected}");

    let sealed = home.path().join("p");
    let fd = ["--bundle-passphrase-fd", "0"];
    let args = [
        "bundle",
        "create",
        "-o",
        sealed.to_str().unwrap(),
        fd[0],
        fd[1],
        "prod/",
    ];
    home.ok(&args, b"correct horse");
    let done = check(&sealed, Some("correct horse"));
    assert!(done.status.success(), "{}", said(&done));
    assert!(String::from_utf8_lossy(&done.stdout).starts_with("ok: bundle 2, 1 secrets, 2 values"));

    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let done = check(&file, None);
    assert_eq!(done.status.code(), Some(1), "the reader accepts it");
}

#[test]
fn the_reader_checks_bundles_of_other_epochs() {
    let Some(reader) = Reader::find() else { return };
    let home = third_epoch();
    let copy = Home::new();
    super::home::copy(home.path(), copy.path());
    let bundle = |of: &Home, name: &str| {
        let file = home.path().join(name);
        of.ok(&["bundle", "create", "-o", file.to_str().unwrap()], b"");
        file
    };
    let check = |at: &Home, file: &Path| {
        let vault = at.vault();
        let args = ["bundle", vault.to_str().unwrap(), file.to_str().unwrap()];
        reader.run(at, &args, None)
    };
    let holds = |at: &Home, file: &Path, says: &str| {
        let done = check(at, file);
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{}", said(&done));
        assert!(
            text.starts_with("ok: bundle 1, 2 secrets, 3 values\n"),
            "{text}"
        );
        assert!(text.contains(says), "{text}");
    };
    let old = bundle(&home, "old");
    holds(&copy, &old, "fingerprint: ");
    copy.ok(&["rekey"], b"");
    holds(&copy, &old, "\nof a former epoch");
    let newer = bundle(&copy, "newer");
    holds(&home, &newer, "\nnew keys: epoch 4");
    // Another rekey at the same time: neither vouches for the other.
    home.ok(&["rekey"], b"");
    let done = check(&home, &newer);
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("do not vouch"), "{}", said(&done));
}

#[test]
fn the_typescript_age_opens_a_keyring_and_a_secret() {
    let js = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/js");
    if !super::clients_js::package(&js, "age-encryption") {
        return;
    }
    let open = |home: &Home, folder: &str| {
        let mut node = Command::new("node");
        node.arg(js.join("open_vault.mjs"))
            .arg(home.identity())
            .arg(home.vault())
            .arg(only(&home.vault().join("secrets").join(folder)));
        output(node, b"")
    };
    let home = unsealed();
    home.ok(&["put", "prod/db", "--binary"], b"\x00gr\xfcn\n");
    let done = open(&home, "prod");
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(done.stdout, b"\x00gr\xfcn\n");
    // Beside an ssh key's stanza, and of a later epoch.
    let home = third_epoch();
    let done = open(&home, "dev");
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(done.stdout, b"of the first epoch");
    // It does not take what somebody altered.
    let file = only(&home.vault().join("secrets/dev"));
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(!open(&home, "dev").status.success());
}

#[test]
fn stock_age_opens_a_secret_in_two_steps() {
    let found = Command::new("age").arg("--version").output();
    if found.is_err() {
        eprintln!("skipped: no age; Debian has it as the package age");
        return;
    }
    let home = unsealed();
    home.ok(&["put", "prod/db", "--binary"], b"\x00gr\xfcn\n");
    let decrypt = |identity: &Path, file: &Path| {
        let mut command = Command::new("age");
        command.arg("-d").arg("-i").arg(identity).arg(file);
        let done = output(command, b"");
        assert!(done.status.success(), "{}", said(&done));
        done.stdout
    };
    let key = home.path().join("k");
    let keyring = decrypt(&home.identity(), &home.vault().join("keys/default.age"));
    std::fs::write(&key, keyring).unwrap();
    let text = decrypt(&key, &only(&home.vault().join("secrets")));
    let end = text.windows(2).position(|two| two == b"\n\n").unwrap() + 2;
    let header = String::from_utf8(text[..end].to_vec()).unwrap();
    assert!(header.contains("\nname: prod/db\n"), "{header}");
    assert!(header.ends_with("\nsize: 6\n\n"), "{header}");
    assert_eq!(&text[end..end + 6], b"\x00gr\xfcn\n");
    assert!(text[end + 6..].iter().all(|byte| *byte == 0));
}
