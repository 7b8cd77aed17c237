//! The row "hostile bundle on a stick" of the threat table: each bad bundle has its named
//! error and exit code, and the vault is as it was, byte for byte.

use std::time::{Duration, Instant};

use strongroom::cli::Exit;

use super::{Stick, apply, create, two_sites};
use crate::cli::{Home, Said};

/// Applying the file must fail so, and change nothing: no file, no commit, no receipt.
#[track_caller]
fn refused(home: &Home, stick: &Stick, file: &str, exit: Exit, said: &str) -> Said {
    let receipt = || std::fs::read(stick.path(&format!("{file}.have"))).ok();
    let before = (home.files(), head(home), receipt());
    let answer = apply(home, stick, file).ends(exit).has(said).has("hint: ");
    let after = (home.files(), head(home), receipt());
    assert!(after == before, "the vault was changed");
    let staging = home.path("state");
    let left: Vec<_> = walk(&staging)
        .into_iter()
        .filter(|path| path.to_string_lossy().contains("/staging/"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    answer
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(walk(&path));
        } else {
            all.push(path);
        }
    }
    all
}

fn head(home: &Home) -> String {
    let mut git = std::process::Command::new("git");
    git.args(["rev-parse", "HEAD"]).current_dir(home.vault());
    String::from_utf8(git.output().unwrap().stdout).unwrap()
}

#[test]
fn threat_hostile_bundle_on_a_stick() {
    let stick = Stick::new();
    let (a, b) = two_sites(&stick, &[("db", "one"), ("large", &"x".repeat(60_000))]);
    a.put("db", "two");
    for n in 0..4 {
        a.put("large", &n.to_string().repeat(60_000));
    }
    create(&a, &stick, "good", &[]);
    let good = std::fs::read(stick.path("good")).unwrap();
    assert!(good.len() > 200_000);
    let put = |name: &str, bytes: &[u8]| std::fs::write(stick.path(name), bytes).unwrap();
    let no = |name: &str, said: &str| {
        refused(&b, &stick, name, Exit::Integrity, said);
    };

    for at in [0, 30, 150, 400, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        put("flipped", &bytes);
        let said = apply(&b, &stick, "flipped");
        // A flip in the stanza of the receiver's key makes it somebody else's.
        assert!([6, 7].contains(&said.code), "{at}: {said:?}");
    }
    let mut bytes = good.clone();
    bytes[good.len() / 2] ^= 1;
    put("flipped", &bytes);
    no("flipped", "damaged: altered or cut short");
    put("cut", &good[..good.len() - 1000]);
    no("cut", "damaged: altered or cut short");
    put("longer", &[good.as_slice(), b"x"].concat());
    no("longer", "damaged");
    put("empty", b"");
    no("empty", "not a bundle");
    put("text", b"dear all,\n");
    no("text", "not a bundle");
    let stanza = format!("-> X25519 {}\n{}\n", "A".repeat(43), "A".repeat(43));
    put(
        "bomb",
        format!("age-encryption.org/v1\n{}", stanza.repeat(100_000)).as_bytes(),
    );
    no("bomb", "the age header is larger");
    put(
        "scrypt",
        b"age-encryption.org/v1\n-> scrypt AAAA 22\nAAAA\n--- AAAA\n",
    );
    no("scrypt", "not a bundle");
    let started = Instant::now();
    put(
        "kdf",
        b"strongroom-bundle-passphrase/1\nstrongroom-identity/1\nkdf: argon2id v=19 m=4294967295 t=16 p=16 salt=AAECAwQFBgcICQoLDA0ODw==\nkcv: k2CQUCiLcG8yT0C0HUSZ2DAEBcuy62nGiwr5QrlAMqk=\naead: xchacha20poly1305 nonce=AAECAwQFBgcICQoLDA0ODxAREhMUFRYX\npublic: age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef\ncreated: 2018-04-11T20:05:45.729Z\n---\nAAAA\n\nage-encryption.org/v1\n",
    );
    let before = b.files();
    let file = stick.at("kdf");
    b.run_with(
        b"x\n",
        ["bundle", "apply", &file, "--bundle-passphrase-fd", "0"],
    )
    .ends(Exit::Integrity)
    .has("cost is refused");
    assert!(b.files() == before);
    assert!(started.elapsed() < Duration::from_secs(20));
    std::fs::create_dir(stick.path("directory")).unwrap();
    refused(
        &b,
        &stick,
        "directory",
        Exit::Unexpected,
        "not a regular file",
    );

    // Whole and genuine, and not for this clone.
    let key = "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef";
    create(&a, &stick, "theirs", &["--to", key]);
    refused(&b, &stick, "theirs", Exit::NoIdentity, "for someone else");
    let stranger = super::other_home(&a);
    stranger
        .run(["init", stranger.vault().to_str().unwrap()])
        .ok();
    stranger.put("db", "of another vault");
    create(&stranger, &stick, "stranger", &[]);
    no("stranger", "of another vault");

    // In the end the good one is still good.
    apply(&b, &stick, "good").ok();
    assert_eq!(b.value("db"), "two");
    refused(&b, &stick, "first", Exit::Integrity, "older than number");
    refused(
        &a,
        &stick,
        "good",
        Exit::Integrity,
        "made the bundle itself",
    );
}

#[test]
fn a_delta_for_somebody_else_is_refused() {
    let stick = Stick::new();
    let (a, b) = two_sites(&stick, &[("db", "one")]);
    a.put("db", "two");
    // It takes version two for known, since the sender itself has it.
    a.run(["bundle", "have", "-o", &stick.at("mine.have")]).ok();
    a.put("db", "three");
    create(&a, &stick, "delta", &["--have", &stick.at("mine.have")]).has("1 secret and 1 value");
    refused(&b, &stick, "delta", Exit::Integrity, "takes version");

    let text = std::fs::read_to_string(stick.path("mine.have")).unwrap();
    std::fs::write(
        stick.path("bad.have"),
        text.replacen("values: 2", "values: 3", 1),
    )
    .unwrap();
    let args = [
        "bundle",
        "create",
        "-o",
        &stick.at("x"),
        "--have",
        &stick.at("bad.have"),
    ];
    a.run(args)
        .ends(Exit::Integrity)
        .has("the mac does not match");
    let stranger = Home::new();
    stranger
        .run(["bundle", "have", "-o", &stick.at("other.have")])
        .ok();
    let args = [
        "bundle",
        "create",
        "-o",
        &stick.at("x"),
        "--have",
        &stick.at("other.have"),
    ];
    a.run(args).ends(Exit::Integrity);
    assert!(!stick.path("x").exists());
}
