//! What a stick may hold: each bundle that is none has an error of its own, and nothing
//! is left behind.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::frame::{Kind, MAX_FRAME, PREFIX};
use super::*;
use crate::crypto::{Argon2Cost, Domain, Identity, KeyringKeys, Passphrase};
use crate::model::{Timestamp, VersionId};

const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";
const OTHER: &str = "0b7c3a52-5d1e-4b7a-8f4e-2f0a3c5d7e91";
const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

struct Desk {
    dir: tempfile::TempDir,
    me: Identity,
    keys: KeyringKeys,
}

impl Desk {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            me: Identity::generate(),
            keys: KeyringKeys::new(Identity::generate(), VAULT),
        }
    }

    fn header(&self, counts: Counts) -> Header {
        Header {
            vault: VAULT.into(),
            bundle: OTHER.into(),
            sender: OTHER.into(),
            name: "ann \"x\"".into(),
            sequence: 3,
            created: NOW,
            holder: Holder::Vault,
            keyring: self.keys.commitment(),
            prefixes: vec!["a".into(), "b\u{1b}".into()],
            base: Some([7; 32]),
            head: [9; 32],
            seen: vec![Seen {
                sender: VAULT.into(),
                sequence: 1,
                bundle: OTHER.into(),
            }],
            counts,
        }
    }

    fn put(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join("b");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn staging(&self) -> PathBuf {
        self.dir.path().join("staging")
    }

    /// Reads and proves; staging must be empty afterwards.
    fn open(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, BundleError> {
        let path = self.put(bytes);
        let opened = self.open_at(&path);
        let left = std::fs::read_dir(self.staging()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "something is left in the staging directory");
        opened
    }

    fn open_at(&self, path: &std::path::Path) -> Result<Vec<Vec<u8>>, BundleError> {
        let unproved = read(path, &Key::Identity(&self.me), &self.staging())?;
        let bundle = unproved.prove(&self.keys)?;
        let mut all = Vec::new();
        for n in 0..bundle.len() {
            all.push(bundle.metadata(n)?);
            for (id, span) in bundle.values(n) {
                all.push([id.as_str().as_bytes(), &bundle.value(*span)?].concat());
            }
        }
        Ok(all)
    }

    /// A bundle of raw frames between an honest header and an honest trailer.
    fn forge(&self, counts: Counts, frames: &[u8]) -> Vec<u8> {
        self.forge_with(&self.header(counts), frames, |trailer| trailer)
    }

    fn forge_with(
        &self,
        header: &Header,
        frames: &[u8],
        trailer: impl FnOnce(Vec<u8>) -> Vec<u8>,
    ) -> Vec<u8> {
        let lock = [self.me.recipient().into()];
        let path = self.dir.path().join("out");
        let mut writer = Writer::begin(&Lock::To(&lock), header, Vec::new(), &path).unwrap();
        writer.raw(frames);
        let hash = writer.hash();
        let mac = self.keys.mac(Domain::Bundle, &hash).unwrap();
        let honest = frame(b'T', &[hash, *mac.as_bytes()].concat());
        writer.raw(&trailer(honest));
        writer.abandon()
    }
}

/// What something comes to, and its time where nothing else had the processor.
fn quickest<T>(mut run: impl FnMut() -> T) -> (T, Duration) {
    let mut timed = || {
        let started = Instant::now();
        let done = run();
        (done, started.elapsed())
    };
    let mut best = timed();
    for _ in 0..20 {
        let again = timed();
        if again.1 < best.1 {
            best = again;
        }
    }
    best
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out
}

fn id(n: u8) -> VersionId {
    format!("{n:032}").parse().unwrap()
}

fn value(n: u8, file: &[u8]) -> Vec<u8> {
    let id = id(n);
    let id = id.as_str().as_bytes();
    let length = (id.len() as u16).to_be_bytes();
    frame(b'V', &[&length, id, file].concat())
}

/// The three frames that every bundle for members begins with.
fn base() -> Vec<u8> {
    [frame(b'S', b"s"), frame(b'L', b"l"), frame(b'A', b"a")].concat()
}

/// Honest counts for `secrets` and `values` in `frames` frames of these bytes.
fn counts(secrets: u64, values: u64, bytes: &[u8]) -> Counts {
    Counts {
        secrets,
        values,
        frames: 3 + secrets + values,
        bytes: bytes.len() as u64,
    }
}

fn sound() -> (Counts, Vec<u8>) {
    let frames = [
        base(),
        frame(b'M', b"one"),
        value(1, b"v1"),
        value(2, b"v2"),
    ]
    .concat();
    (counts(1, 2, &frames), frames)
}

#[test]
fn a_sound_bundle_is_read() {
    let desk = Desk::new();
    let (counts, frames) = sound();
    let all = desk.open(&desk.forge(counts, &frames)).unwrap();
    let with = |n: u8, file: &str| [id(n).as_str(), file].concat().into_bytes();
    assert_eq!(all, [b"one".to_vec(), with(1, "v1"), with(2, "v2")]);
}

#[test]
fn crypto_7_each_broken_rule_has_its_own_error() {
    // Said at once, before what is too much is read.
    const MORE: &str = "more than it says";
    use BundleError as E;
    type Right = fn(&BundleError) -> bool;
    let desk = Desk::new();
    let (good, frames) = sound();
    let of = |secrets, values, parts: &[Vec<u8>]| {
        let frames = [base(), parts.concat()].concat();
        desk.forge(counts(secrets, values, &frames), &frames)
    };
    let meta = |text: &str| frame(b'M', text.as_bytes());
    let mut oversize = vec![b'M'];
    oversize.extend_from_slice(&(MAX_FRAME as u32 + 1).to_be_bytes());
    let mut huge = vec![b'M'];
    huge.extend_from_slice(&u32::MAX.to_be_bytes());
    let more = |change: fn(&mut Counts)| {
        let mut counts = good;
        change(&mut counts);
        desk.forge(counts, &frames)
    };
    let trailer =
        |change: fn(Vec<u8>) -> Vec<u8>| desk.forge_with(&desk.header(good), &frames, change);
    let stranger = Desk {
        dir: tempfile::tempdir().unwrap(),
        me: "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"
            .parse()
            .unwrap(),
        keys: KeyringKeys::new(Identity::generate(), VAULT),
    };
    let outsider = {
        let lock = [desk.me.recipient().into()];
        let path = desk.dir.path().join("out");
        let header = desk.header(good);
        let mut writer = Writer::begin(&Lock::To(&lock), &header, Vec::new(), &path).unwrap();
        writer.raw(&frames);
        let hash = writer.hash();
        let mac = stranger.keys.mac(Domain::Bundle, &hash).unwrap();
        writer.raw(&frame(b'T', &[hash, *mac.as_bytes()].concat()));
        writer.abandon()
    };
    let plain = |text: &[u8]| {
        let mut out = crate::crypto::seal_stream(&[desk.me.recipient()], Vec::new()).unwrap();
        std::io::Write::write_all(&mut out, text).unwrap();
        out.finish().unwrap()
    };
    let header = |from: &str, to: &str| {
        let text = desk.header(good).emit();
        assert!(text.contains(from), "{text}");
        plain(&frame(b'H', text.replacen(from, to, 1).as_bytes()))
    };
    let whole = desk.forge(good, &frames);
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases: Vec<(&str, Vec<u8>, Right)> = vec![
        ("nothing", Vec::new(), |e| matches!(e, E::NotABundle(_))),
        ("text", b"hello".to_vec(), |e| matches!(e, E::NotABundle(_))),
        ("other age file", plain(b"hello there"), |e| {
            matches!(e, E::NoHeader)
        }),
        ("empty age file", plain(b""), |e| matches!(e, E::NoHeader)),
        ("newer", header("bundle/1", "bundle/2"), |e| {
            matches!(e, E::NewerFormat(_))
        }),
        ("not a uuid", header(VAULT, "x"), |e| {
            matches!(e, E::Header(HeaderError::Line("vault")))
        }),
        ("two spaces", header("sequence: 3", "sequence:  3"), |e| {
            matches!(e, E::Header(HeaderError::Line("sequence")))
        }),
        ("number nought", header("sequence: 3", "sequence: 0"), |e| {
            matches!(e, E::Header(HeaderError::Line("sequence")))
        }),
        ("unsorted", header("prefix: \"a\"", "prefix: \"c\""), |e| {
            matches!(e, E::Header(HeaderError::Line("prefix")))
        }),
        (
            "absurd bytes",
            header(
                &format!("bytes: {}", good.bytes),
                "bytes: 18446744073709551615",
            ),
            |e| matches!(e, E::TooLarge(_)),
        ),
        (
            "absurd frames",
            header("frames: 6", "frames: 1000001"),
            |e| matches!(e, E::WrongTotals { .. }),
        ),
        ("for someone else", stranger.forge(good, &frames), |e| {
            matches!(e, E::ForSomeoneElse)
        }),
        ("cut in the chunk", whole[..whole.len() - 1].to_vec(), |e| {
            matches!(e, E::Damaged)
        }),
        ("cut in the header", whole[..100].to_vec(), |e| {
            matches!(e, E::Damaged)
        }),
        ("flipped", flipped(whole.len() - 40), |e| {
            matches!(e, E::Damaged)
        }),
        ("lengthened", [whole.clone(), vec![0]].concat(), |e| {
            matches!(e, E::Damaged)
        }),
        ("no trailer", trailer(|_| Vec::new()), |e| {
            matches!(e, E::Truncated)
        }),
        ("half a trailer", trailer(|t| t[..30].to_vec()), |e| {
            matches!(e, E::Truncated)
        }),
        ("two trailers", trailer(|t| t.repeat(2)), |e| {
            matches!(e, E::Trailing)
        }),
        ("short trailer", trailer(|_| frame(b'T', b"x")), |e| {
            matches!(e, E::Misplaced { .. })
        }),
        (
            "wrong hash",
            trailer(|mut t| {
                t[PREFIX] ^= 1;
                t
            }),
            |e| matches!(e, E::WrongHash),
        ),
        (
            "wrong mac",
            trailer(|mut t| {
                t[PREFIX + 40] ^= 1;
                t
            }),
            |e| matches!(e, E::WrongMac),
        ),
        ("an outsider's", outsider, |e| matches!(e, E::WrongMac)),
        ("unknown kind", of(1, 0, &[frame(b'X', b"m")]), |e| {
            matches!(e, E::UnknownFrame { kind: b'X', at: 4 })
        }),
        ("oversize", of(1, 0, &[oversize]), |e| {
            matches!(
                e,
                E::Oversize {
                    length: 262_145,
                    ..
                }
            )
        }),
        ("four gigabytes", of(1, 0, &[huge]), |e| {
            matches!(e, E::Oversize { .. })
        }),
        ("a second header", of(1, 0, &[frame(b'H', b"m")]), |e| {
            matches!(e, E::Misplaced { .. })
        }),
        ("a key for members", of(1, 0, &[frame(b'K', b"m")]), |e| {
            matches!(e, E::Misplaced { .. })
        }),
        (
            "settings late",
            of(1, 1, &[meta("m"), frame(b'S', b"s")]),
            |e| matches!(e, E::Misplaced { .. }),
        ),
        ("a value first", of(0, 1, &[value(1, b"v")]), |e| {
            matches!(e, E::Misplaced { .. })
        }),
        (
            "no foundation",
            desk.forge(counts(1, 0, &meta("m")), &meta("m")),
            |e| matches!(e, E::Misplaced { at: 1, .. }),
        ),
        (
            "a version twice",
            of(1, 2, &[meta("m"), value(1, b"v"), value(1, b"w")]),
            |e| matches!(e, E::Duplicate { at: 6 }),
        ),
        (
            "a value without an id",
            of(1, 1, &[meta("m"), frame(b'V', b"\xff\xff")]),
            |e| matches!(e, E::BadValue { .. }),
        ),
        (
            "an id too short",
            of(1, 1, &[meta("m"), frame(b'V', b"\0\x01ab")]),
            |e| matches!(e, E::BadValue { .. }),
        ),
        ("a frame less", more(|c| c.frames += 1), |e| {
            matches!(e, E::WrongTotals { what: "frames" })
        }),
        ("a secret less", more(|c| c.secrets += 1), |e| {
            matches!(e, E::WrongTotals { what: "secrets" })
        }),
        ("a value less", more(|c| c.values += 1), |e| {
            matches!(e, E::WrongTotals { what: "values" })
        }),
        ("a byte less", more(|c| c.bytes += 1), |e| {
            matches!(e, E::WrongTotals { what: "bytes" })
        }),
        ("a frame more", more(|c| c.frames -= 1), |e| {
            matches!(e, E::WrongTotals { what: MORE })
        }),
        ("a byte more", more(|c| c.bytes -= 1), |e| {
            matches!(e, E::WrongTotals { what: MORE })
        }),
    ];
    for (name, bytes, right) in cases {
        match desk.open(&bytes) {
            Ok(_) => panic!("{name}: accepted"),
            Err(error) => assert!(right(&error), "{name}: {error:?}"),
        }
    }
    let pipe = desk.dir.path().join("directory");
    std::fs::create_dir(&pipe).unwrap();
    assert!(matches!(desk.open_at(&pipe), Err(E::NotAFile { .. })));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let desk = Desk::new();
    let (counts, frames) = sound();
    let whole = desk.forge(counts, &frames);
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(desk.open(&bytes).is_err(), "flipped at {at}");
        assert!(desk.open(&whole[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_long_bundle_that_ends_between_chunks_is_called_cut_short() {
    let desk = Desk::new();
    let many: Vec<Vec<u8>> = (0..40).map(|n| frame(b'M', &vec![n; 5000])).collect();
    let frames = [base(), many.concat()].concat();
    let whole = desk.forge(counts(40, 0, &frames), &frames);
    let header = whole.len() - {
        let plain = PREFIX + desk.header(counts(40, 0, &frames)).emit().len() + frames.len() + 69;
        plain + plain.div_ceil(65_536) * 16
    };
    assert!(desk.open(&whole).is_ok());
    let cut = &whole[..header + 2 * 65_552];
    assert!(matches!(desk.open(cut), Err(BundleError::Truncated)));
}

#[test]
fn a_bundle_opens_with_its_passphrase_alone() {
    let desk = Desk::new();
    let path = desk.dir.path().join("p");
    let passphrase = Passphrase::new("caf\u{e9} ole");
    let lock = Lock::Passphrase {
        passphrase: &passphrase,
        cost: Argon2Cost::LEAST,
        now: NOW,
    };
    let header = desk.header(Counts::default());
    let writer = Writer::begin(&lock, &header, Vec::new(), &path).unwrap();
    let (bytes, fingerprint) = writer.finish(&desk.keys).unwrap();
    assert!(is_under_passphrase(&bytes));
    let path = desk.put(&bytes);
    let open = |text: &str| {
        let passphrase = Passphrase::new(text);
        read(&path, &Key::Passphrase(&passphrase), &desk.staging())
    };
    let bundle = open("cafe\u{301} ole").unwrap().prove(&desk.keys).unwrap();
    assert_eq!(bundle.fingerprint(), fingerprint);
    assert_eq!(*bundle.header(), header);
    assert!(matches!(
        open("cafe ole").err(),
        Some(BundleError::Unseal(_))
    ));
    let with_key = read(&path, &Key::Identity(&desk.me), &desk.staging());
    assert!(matches!(with_key.err(), Some(BundleError::ForSomeoneElse)));
}

#[test]
fn crypto_3_absurd_costs_are_refused_in_under_a_millisecond() {
    let desk = Desk::new();
    let sealed = |m: &str, t: &str| {
        format!(
            "strongroom-bundle-passphrase/1\nstrongroom-identity/1\nkdf: argon2id v=19 m={m} t={t} p=1 salt=AAECAwQFBgcICQoLDA0ODw==\nkcv: k2CQUCiLcG8yT0C0HUSZ2DAEBcuy62nGiwr5QrlAMqk=\naead: xchacha20poly1305 nonce=AAECAwQFBgcICQoLDA0ODxAREhMUFRYX\npublic: age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef\ncreated: 2018-04-11T20:05:45.729Z\n---\nAAAA\n\nage-encryption.org/v1\n"
        )
    };
    for (m, t) in [
        ("4294967295", "1"),
        ("1048577", "1"),
        ("19455", "2"),
        ("262144", "4294967295"),
        ("1048576", "16"),
    ] {
        let path = desk.put(sealed(m, t).as_bytes());
        let passphrase = Passphrase::new("x");
        let refuse = || read(&path, &Key::Passphrase(&passphrase), &desk.staging());
        let (refused, took) = quickest(refuse);
        assert!(took < Duration::from_millis(1), "{m} {t}: {took:?}");
        assert!(
            matches!(
                refused.err(),
                Some(BundleError::Sealed(
                    crate::crypto::SealedIdentityError::Cost(_)
                ))
            ),
            "{m} {t}"
        );
    }
}

#[test]
fn crypto_9_a_header_bomb_is_refused_in_under_10_ms() {
    let desk = Desk::new();
    let stanza = format!("-> X25519 {}\n{}\n", "A".repeat(43), "A".repeat(43));
    let bomb = format!("age-encryption.org/v1\n{}", stanza.repeat(20_000));
    let path = desk.put(bomb.as_bytes());
    let (refused, took) = quickest(|| desk.open_at(&path));
    assert!(took < Duration::from_millis(10), "{took:?}");
    assert!(matches!(refused, Err(BundleError::HeaderBomb)));
}

#[test]
fn the_writer_keeps_the_bounds_that_the_reader_checks() {
    let desk = Desk::new();
    let lock = [desk.me.recipient().into()];
    let path = desk.dir.path().join("out");
    let begin = |counts| Writer::begin(&Lock::To(&lock), &desk.header(counts), Vec::new(), &path);
    let mut counts = Counts::default();
    counts.add_metadata(MAX_FRAME + 1);
    let mut writer = begin(counts).unwrap();
    let long = writer.metadata(&vec![0; MAX_FRAME + 1]);
    assert!(matches!(long, Err(BundleError::Oversize { .. })));
    let less = begin(counts).unwrap().finish(&desk.keys);
    assert!(matches!(less.err(), Some(BundleError::WrongTotals { .. })));
    let large = Counts {
        bytes: MAX_BYTES + 1,
        ..Counts::default()
    };
    assert!(matches!(begin(large).err(), Some(BundleError::TooLarge(_))));
}

#[test]
fn a_target_is_complete_or_not_there_and_never_over_another() {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.bundle");
    let mut target = Target::create(&path).unwrap();
    target.write_all(b"half").unwrap();
    drop(target);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let mut target = Target::create(&path).unwrap();
    target.write_all(b"whole").unwrap();
    assert!(!path.exists());
    target.settle().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Target::create(&path);
    assert!(matches!(again.err(), Some(BundleError::Exists { .. })));

    // A medium that gives back something else.
    let bad = dir.path().join("y.bundle");
    let mut target = Target::create(&bad).unwrap();
    target.write_all(b"whole").unwrap();
    std::fs::write(dir.path().join("y.bundle.part"), b"whale").unwrap();
    assert!(matches!(
        target.settle(),
        Err(BundleError::Unreliable { .. })
    ));
    assert!(!bad.exists());
}

#[test]
fn a_have_file_comes_back_and_has_one_spelling() {
    let desk = Desk::new();
    let name = "prod/db".parse().unwrap();
    let digest = crate::model::Digest([3; 32]);
    for count in [0u8, 1, 9, 60] {
        let have = Have {
            vault: VAULT.into(),
            clone: OTHER.into(),
            name: "site b".into(),
            created: NOW,
            keyring: desk.keys.commitment(),
            state: [1; 32],
            seen: desk.header(Counts::default()).seen,
            metadata: (0..count / 2).map(|n| Mark::of_metadata(&[n])).collect(),
            values: (0..count)
                .map(|n| Mark::of_value(&name, &id(n), &digest))
                .collect(),
        };
        let text = have.seal(&desk.keys).unwrap();
        assert_eq!(Have::open(text.as_bytes(), &desk.keys), Ok(have));
        for at in (0..text.len()).step_by(5) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(Have::open(&bytes, &desk.keys).is_err(), "{at}");
        }
    }
    let stranger = KeyringKeys::new(Identity::generate(), VAULT);
    assert!(matches!(
        Have::open(b"strongroom-have/2\n", &stranger),
        Err(HaveError::Format(HeaderError::Newer(_)))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_written_is_read(
        secrets in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..3000),
             prop::collection::btree_map(0u8..200, prop::collection::vec(any::<u8>(), 0..9000), 0..5)),
            0..12),
    ) {
        let desk = Desk::new();
        let foundation = Foundation { settings: b"s".to_vec(), members: Vec::new(), keyring: vec![0; 99], past: vec![b"one".to_vec(), Vec::new()], ledgers: BTreeMap::from([(2, vec![7; MAX_FRAME + 9]), (5, b"x".to_vec())]) };
        let mut counts = Counts::default();
        counts.add_foundation(&foundation);
        // A ledger that is longer than a frame goes in two.
        prop_assert_eq!(counts.frames, 8);
        for (text, values) in &secrets {
            counts.add_metadata(text.len());
            for (n, file) in values {
                counts.add_value(&id(*n), file.len());
            }
        }
        let lock = [Identity::generate().recipient(), desk.me.recipient()].map(Into::into);
        let path = desk.dir.path().join("b");
        let file = std::fs::File::create(&path).unwrap();
        let header = desk.header(counts);
        let mut writer = Writer::begin(&Lock::To(&lock), &header, file, &path).unwrap();
        writer.foundation(&foundation).unwrap();
        let mut expected = Vec::new();
        for (text, values) in &secrets {
            writer.metadata(text).unwrap();
            expected.push(text.clone());
            for (n, file) in values {
                writer.value(&id(*n), file).unwrap();
                expected.push([id(*n).as_str().as_bytes(), file].concat());
            }
        }
        writer.finish(&desk.keys).unwrap();
        prop_assert_eq!(desk.open_at(&path).unwrap(), expected);
        let again = read(&path, &Key::Identity(&desk.me), &desk.staging()).unwrap();
        prop_assert_eq!(again.header(), &header);
        prop_assert_eq!(again.foundation(), Some(&foundation));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_stands_inside_the_reader_answers(
        parts in prop::collection::vec(
            (prop::sample::select(b"HSLAERKMVTx".to_vec()), prop::collection::vec(any::<u8>(), 0..80), any::<bool>()),
            0..8),
        (secrets, values, total, bytes) in (0u64..5, 0u64..5, 0u64..9, 0u64..600),
    ) {
        let desk = Desk::new();
        let mut frames = Vec::new();
        for (kind, payload, is_whole) in parts {
            let whole = frame(kind, &payload);
            let cut = if is_whole { whole.len() } else { whole.len() / 2 };
            frames.extend_from_slice(&whole[..cut]);
        }
        let counts = Counts { secrets, values, frames: total, bytes };
        // Only an honest trailer after sound frames is accepted, and that is not made here.
        prop_assert!(desk.open(&desk.forge_with(&desk.header(counts), &frames, |_| Vec::new())).is_err());
        drop(desk.open(&desk.forge(counts, &frames)));
    }

    #[test]
    fn whatever_a_header_says_it_is_read_or_refused(text in "(strongroom-bundle/1\n)?[ -~\n]{0,300}") {
        prop_assert!(Header::parse(&text).is_err());
    }
}

#[test]
fn kinds_are_told_apart_by_their_bytes() {
    for byte in 0..=255 {
        if let Some(kind) = Kind::of(byte) {
            assert_eq!(kind.byte(), byte);
            assert!(!kind.word().is_empty());
        }
    }
    let known = (0..=255).filter(|b| Kind::of(*b).is_some()).count();
    assert_eq!(known, 10);
}
