use super::*;

/// Written by the second implementation, in Python, with the C reference of Argon2
/// and libsodium's XChaCha20-Poly1305; at a cost that is read and never written.
const FIXTURE: &str = include_str!("../testdata/identity.txt");
const PASSPHRASE: &str = "caf\u{e9} correct horse";
const KIT: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

fn kit() -> Identity {
    KIT.parse().unwrap()
}

fn cheap() -> Argon2Cost {
    Argon2Cost::new(19_456, 2, 1).unwrap()
}

fn time() -> Timestamp {
    Timestamp::from_millis(1_523_477_145_729)
}

/// Seals at a cost that the public way refuses.
fn seal_cheaply(identity: &Identity, passphrase: &str) -> SealedIdentity {
    let (salt, nonce) = (
        std::array::from_fn(|n| u8::try_from(n).unwrap()),
        std::array::from_fn(|n| u8::try_from(n).unwrap()),
    );
    let passphrase = Passphrase::new(passphrase);
    seal_with(identity, &passphrase, cheap(), time(), salt, nonce).unwrap()
}

fn parse(text: &str) -> Result<SealedIdentity, SealedIdentityError> {
    SealedIdentity::parse(text.as_bytes())
}

fn open(text: &str, passphrase: &str) -> Result<Identity, UnsealError> {
    parse(text).unwrap().open(&Passphrase::new(passphrase))
}

#[test]
fn these_are_the_bytes_of_format_1() {
    assert_eq!(seal_cheaply(&kit(), PASSPHRASE).as_str(), FIXTURE);
    let sealed = parse(FIXTURE).unwrap();
    assert_eq!(sealed.cost(), cheap());
    assert!(sealed.cost().is_weak());
    assert_eq!(sealed.created(), time());
    assert_eq!(*sealed.public(), kit().recipient());
    assert_eq!(sealed.as_str(), FIXTURE);
    assert!(SealedIdentity::is_sealed(FIXTURE.as_bytes()));
    let opened = sealed.open(&Passphrase::new(PASSPHRASE)).unwrap();
    assert_eq!(opened.canonical().expose_secret(), KIT);
}

#[test]
fn a_decomposed_passphrase_opens_too_and_another_does_not() {
    assert!(open(FIXTURE, "cafe\u{301} correct horse").is_ok());
    for wrong in ["", "cafe correct horse", "caf\u{e9} correct horse "] {
        assert_eq!(
            open(FIXTURE, wrong).err(),
            Some(UnsealError::WrongPassphrase)
        );
    }
}

#[test]
fn the_least_cost_that_is_written_comes_back_and_salts_are_fresh() {
    let passphrase = Passphrase::new("x");
    let seal = || SealedIdentity::seal(&kit(), &passphrase, Argon2Cost::LEAST, time()).unwrap();
    let (a, b) = (seal(), seal());
    assert_ne!(a.salt, b.salt);
    assert_ne!(a.nonce, b.nonce);
    assert_eq!(a.salt.len(), 16);
    let again = parse(a.as_str()).unwrap();
    assert!(!again.cost().is_weak());
    let opened = again.open(&passphrase).unwrap();
    assert_eq!(opened.recipient(), kit().recipient());
}

#[test]
fn weak_files_are_not_written() {
    let seal = |passphrase: &str, cost, time| {
        SealedIdentity::seal(&kit(), &Passphrase::new(passphrase), cost, time).err()
    };
    for (m, t) in [(19_456, 3), (65_535, 3), (65_536, 2), (1_048_576, 1)] {
        let cost = Argon2Cost::new(m, t, 4).unwrap();
        assert_eq!(seal("x", cost, time()), Some(SealError::Weak(cost)));
    }
    let cost = Argon2Cost::DEFAULT;
    assert_eq!(seal("", cost, time()), Some(SealError::EmptyPassphrase));
    let never = Timestamp::from_millis(i64::MAX);
    assert_eq!(seal("x", cost, never), Some(SealError::Created));
}

#[test]
fn every_changed_byte_is_noticed_and_damage_is_told_from_a_wrong_passphrase() {
    let altered = |at: usize| {
        let mut bytes = FIXTURE.as_bytes().to_vec();
        bytes[at] = match bytes[at] {
            b'A' => b'B',
            b'q' => b'p',
            _ if at.is_multiple_of(2) => b'A',
            _ => b'q',
        };
        String::from_utf8(bytes).unwrap()
    };
    let start = |what: &str| FIXTURE.find(what).unwrap();
    let (kdf, aead, body) = (start("kdf: "), start("aead: "), start("---\n") + 4);
    let mut opened = 0;
    for at in (0..FIXTURE.len())
        .step_by(3)
        .chain([body, FIXTURE.len() - 2])
    {
        let text = altered(at);
        assert_ne!(text, FIXTURE);
        let Ok(sealed) = parse(&text) else { continue };
        opened += 1;
        let expected = if (kdf..aead).contains(&at) {
            UnsealError::WrongPassphrase
        } else {
            UnsealError::Damaged
        };
        let result = sealed.open(&Passphrase::new(PASSPHRASE));
        assert_eq!(result.err(), Some(expected), "{at}");
    }
    assert!(opened > 50, "{opened}");
}

#[test]
fn the_whole_header_is_bound() {
    let other_time = FIXTURE.replace("20:05:45", "20:05:46");
    assert_eq!(
        open(&other_time, PASSPHRASE).err(),
        Some(UnsealError::Damaged)
    );
    let stranger = Identity::generate().recipient().to_string();
    let public = kit().recipient().to_string();
    let other_public = FIXTURE.replace(&public, &stranger);
    assert_eq!(
        open(&other_public, PASSPHRASE).err(),
        Some(UnsealError::Damaged)
    );
    let other_nonce = FIXTURE.replace("nonce=AA", "nonce=BA");
    assert_eq!(
        open(&other_nonce, PASSPHRASE).err(),
        Some(UnsealError::Damaged)
    );
    let other_kcv = FIXTURE.replace("kcv: k", "kcv: l");
    assert_eq!(
        open(&other_kcv, PASSPHRASE).err(),
        Some(UnsealError::WrongPassphrase)
    );
    // Base64 of fewer than 16 bytes: no room for a tag.
    let head = FIXTURE.split_inclusive("---\n").next().unwrap();
    assert_eq!(
        open(&format!("{head}AAAA\n"), PASSPHRASE).err(),
        Some(UnsealError::Damaged)
    );
}

#[test]
fn costs_out_of_bounds_are_refused_when_read() {
    for (from, to, error) in [
        ("m=19456", "m=19455", CostError::Memory(19_455).into()),
        (
            "m=19456",
            "m=4294967295",
            CostError::Memory(u32::MAX).into(),
        ),
        ("m=19456", "m=4294967296", SealedIdentityError::Line("kdf")),
        ("t=2", "t=0", CostError::Passes(0).into()),
        ("t=2", "t=17", CostError::Passes(17).into()),
        ("p=1", "p=0", CostError::Lanes(0).into()),
        ("p=1", "p=17", CostError::Lanes(17).into()),
        (
            "m=19456 t=2",
            "m=1048576 t=16",
            CostError::Work {
                memory_kib: 1_048_576,
                passes: 16,
            }
            .into(),
        ),
        ("DA0ODw==", "", SealedIdentityError::Salt(12)),
        ("DA0ODw==", &"A".repeat(28), SealedIdentityError::Salt(33)),
    ] {
        assert_eq!(
            parse(&FIXTURE.replacen(from, to, 1)).err(),
            Some(error),
            "{to}"
        );
    }
    // 32 bytes of salt are read.
    let long = "A".repeat(43) + "=";
    let text = FIXTURE.replacen("AAECAwQFBgcICQoLDA0ODw==", &long, 1);
    assert!(parse(&text).is_ok());
}

#[test]
fn each_line_has_one_spelling() {
    let line = SealedIdentityError::Line;
    for (from, to, error) in [
        ("identity/1", "identity/2", SealedIdentityError::NewerFormat),
        ("identity/1", "identity/", SealedIdentityError::NotSealed),
        (
            "identity/1\n",
            "identity/1\r\n",
            SealedIdentityError::NotSealed,
        ),
        ("argon2id", "argon2i", line("kdf")),
        ("v=19", "v=16", line("kdf")),
        ("m=19456", "m=019456", line("kdf")),
        ("m=19456", "m=+19456", line("kdf")),
        ("t=2 p=1", "p=1 t=2", line("kdf")),
        ("p=1", "p=1 ", line("kdf")),
        ("ODw==", "ODw== x=1", line("kdf")),
        ("ODw==", "ODx==", line("kdf")),
        ("ODw==", "ODw", line("kdf")),
        ("kcv: ", "kcv:", line("kcv")),
        ("Mqk=", "Mqk", line("kcv")),
        ("xchacha20poly1305", "chacha20poly1305", line("aead")),
        ("FRYX", "FRY", line("aead")),
        ("FRYX", "FQ==", line("aead")),
        ("public: age1", "public: AGE1", line("public")),
        ("45.729Z", "45Z", line("created")),
        ("created: 2018", "created: -", line("created")),
        ("---\n", "--- \n", line("---")),
        ("---\n", "note: x\n---\n", line("---")),
        ("pdLA+\n", "pdLA+", SealedIdentityError::Body),
        ("pdLA+\n", "pdLA\n+", SealedIdentityError::Body),
        ("pdLA+\n", "pdLA+\n\n", SealedIdentityError::Body),
        ("---\nvcw4", "---\n\nvcw4", SealedIdentityError::Body),
        ("ZQ6w\n", "ZQ6w", SealedIdentityError::Body),
        ("ZQ6w\n", "ZQ6w\n\n", SealedIdentityError::Body),
        ("ZQ6w\n", "ZQ6\n", SealedIdentityError::Body),
        ("ZQ6w\n", "ZQ6!\n", SealedIdentityError::Body),
    ] {
        assert_eq!(FIXTURE.matches(from).count(), 1, "{from:?}");
        let result = parse(&FIXTURE.replace(from, to));
        assert_eq!(result.err(), Some(error), "{from:?} -> {to:?}");
    }
    let without: String = FIXTURE.split_inclusive('\n').skip(1).collect();
    assert_eq!(parse(&without).err(), Some(SealedIdentityError::NotSealed));
    for end in 0..FIXTURE.len() {
        let cut = parse(&FIXTURE[..end]);
        assert!(
            cut.is_err() || open(&FIXTURE[..end], PASSPHRASE).is_err(),
            "{end}"
        );
    }
}

#[test]
fn other_bytes_are_not_sealed_identities() {
    for (bytes, error) in [
        (Vec::new(), SealedIdentityError::NotSealed),
        (KIT.as_bytes().to_vec(), SealedIdentityError::NotSealed),
        (vec![0xff; 100], SealedIdentityError::NotSealed),
        (vec![b'\n'; 4096], SealedIdentityError::NotSealed),
        (vec![b'\n'; 4097], SealedIdentityError::TooLarge),
    ] {
        assert_eq!(SealedIdentity::parse(&bytes).err(), Some(error));
        assert!(!SealedIdentity::is_sealed(&bytes));
    }
}

#[test]
fn the_second_public_key_in_a_right_file_is_noticed() {
    // Whoever knows the passphrase may write a header that lies about the key.
    let honest = seal_cheaply(&kit(), PASSPHRASE);
    let stranger = Identity::generate().recipient();
    let keys = stretch(&Passphrase::new(PASSPHRASE), &honest.salt, cheap()).unwrap();
    let public = honest.public.to_string();
    let head = &honest.text[..honest.header];
    let lying = head.replace(&public, &stranger.to_string());
    let mut body = KIT.as_bytes().to_vec();
    let tag = keys
        .cipher()
        .encrypt_inout_detached(
            &honest.nonce.into(),
            lying.as_bytes(),
            body.as_mut_slice().into(),
        )
        .unwrap();
    body.extend_from_slice(&tag);
    let base64 = data_encoding::BASE64.encode(&body);
    let (first, second) = base64.split_at(64);
    let text = format!("{lying}{first}\n{second}\n");
    assert_eq!(open(&text, PASSPHRASE).err(), Some(UnsealError::Damaged));
}
