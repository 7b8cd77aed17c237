use super::*;
use crate::crypto::Identity;

const CAP: usize = 70_000;

fn open(file: &[u8], identity: &Identity) -> Result<Vec<u8>, OpenError> {
    decrypt(file, identity, Readers::One, CAP).map(|plain| plain.to_vec())
}

/// A header of the given lines, and its last line.
fn header(lines: &[String]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    for line in lines {
        file.extend_from_slice(line.as_bytes());
        file.push(b'\n');
    }
    file.extend_from_slice(b"--- ");
    file.extend_from_slice("A".repeat(43).as_bytes());
    file.push(b'\n');
    file
}

#[test]
fn every_size_comes_back() {
    let identity = Identity::generate();
    for size in [0, 1, 511, 65_535, 65_536, 65_537, CAP] {
        let plain: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let file = encrypt(&plain, &[identity.recipient()]).unwrap();
        assert!(open(file.as_bytes(), &identity).unwrap() == plain, "{size}");
    }
}

#[test]
fn more_plaintext_than_the_cap_is_refused() {
    let identity = Identity::generate();
    let to = [identity.recipient()];
    for (size, cap) in [(CAP + 1, CAP), (90_000, CAP), (1, 0), (4097, 4096)] {
        let file = encrypt(&vec![7; size], &to).unwrap();
        assert_eq!(
            decrypt(file.as_bytes(), &identity, Readers::One, cap).err(),
            Some(OpenError::TooLarge),
            "{size}"
        );
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let identity = Identity::generate();
    let file = encrypt(b"a value", &[identity.recipient()]).unwrap();
    for at in 0..file.as_bytes().len() {
        for mask in [1, 0x80, 0xff] {
            let mut bytes = file.as_bytes().to_vec();
            bytes[at] ^= mask;
            let error = open(&bytes, &identity).expect_err("a changed file opened");
            let known = [
                OpenError::NotAge,
                OpenError::NoIdentityMatches,
                OpenError::Damaged,
            ];
            assert!(known.contains(&error), "{at}: {error}");
        }
    }
}

#[test]
fn every_cut_and_every_extension_is_noticed() {
    let identity = Identity::generate();
    let file = encrypt(b"a value", &[identity.recipient()]).unwrap();
    let bytes = file.as_bytes();
    assert_eq!(open(b"", &identity), Err(OpenError::NotAge));
    for end in 1..bytes.len() {
        assert_eq!(
            open(&bytes[..end], &identity),
            Err(OpenError::Damaged),
            "{end}"
        );
    }
    for tail in [vec![0], vec![b'\n'], vec![0; 70_000]] {
        let longer = [bytes, &tail].concat();
        assert_eq!(open(&longer, &identity), Err(OpenError::Damaged));
    }
}

#[test]
fn a_stranger_is_told_so() {
    let file = encrypt(b"x", &[Identity::generate().recipient()]).unwrap();
    assert_eq!(
        open(file.as_bytes(), &Identity::generate()),
        Err(OpenError::NoIdentityMatches)
    );
}

#[test]
fn every_member_opens_a_file_for_many_and_a_value_is_for_one() {
    let members: Vec<Identity> = (0..3).map(|_| Identity::generate()).collect();
    let to: Vec<Recipient> = members.iter().map(Identity::recipient).collect();
    let file = encrypt(b"x", &to).unwrap();
    for member in &members {
        let plain = decrypt(file.as_bytes(), member, Readers::Many, CAP).unwrap();
        assert_eq!(*plain, b"x");
        assert_eq!(open(file.as_bytes(), member), Err(OpenError::Recipients(3)));
    }
}

#[test]
fn the_number_of_recipients_is_what_a_reader_accepts() {
    let one = Identity::generate();
    let to = vec![one.recipient(); 256];
    assert_eq!(encrypt(b"x", &[]).err(), Some(EncryptError::NoRecipients));
    assert_eq!(
        encrypt(b"x", &to).err(),
        Some(EncryptError::TooManyRecipients(256))
    );
    let file = encrypt(b"x", &to[..255]).unwrap();
    assert!(decrypt(file.as_bytes(), &one, Readers::Many, CAP).is_ok());
}

#[test]
fn other_kinds_of_file_are_refused_by_name() {
    let identity = Identity::generate();
    let kdf = [
        "-> scrypt c2FsdHNhbHRzYWx0c2FsdA 18".to_owned(),
        "A".repeat(43),
    ];
    let mut mixed = kdf.to_vec();
    mixed.insert(0, "-> X25519 x".to_owned());
    for (file, error) in [
        (
            b"-----BEGIN AGE ENCRYPTED FILE-----\nYWdl".to_vec(),
            OpenError::Armored,
        ),
        (header(&kdf), OpenError::PassphraseFile),
        (header(&mixed), OpenError::PassphraseFile),
        (b"age-encryption.org/v2\n".to_vec(), OpenError::NotAge),
        (b"age-encryption.org/v1\r\n".to_vec(), OpenError::NotAge),
        (b"AGE-SECRET-KEY-1".to_vec(), OpenError::NotAge),
        (vec![0; 100], OpenError::NotAge),
        (vec![b'a'; MAX_FILE], OpenError::NotAge),
        (vec![b'a'; MAX_FILE + 1], OpenError::TooLarge),
    ] {
        assert_eq!(open(&file, &identity), Err(error));
    }
}

#[test]
fn hostile_headers_are_refused_before_they_are_parsed() {
    let stanza = |n: usize| vec!["-> a\n".to_owned(); n];
    let body = |n: usize| [vec!["-> a".to_owned()], vec!["A".repeat(64); n]].concat();
    let mut endless = MAGIC.to_vec();
    endless.resize(MAX_FILE, b'A');
    for (file, readers, error) in [
        (header(&stanza(257)), Readers::Many, OpenError::HeaderBomb),
        (header(&body(1100)), Readers::Many, OpenError::HeaderBomb),
        (header(&body(70)), Readers::One, OpenError::HeaderBomb),
        (endless.clone(), Readers::Many, OpenError::HeaderBomb),
        (
            endless[..MAX_HEADER].to_vec(),
            Readers::Many,
            OpenError::Damaged,
        ),
        (
            endless[..MAX_HEADER].to_vec(),
            Readers::One,
            OpenError::HeaderBomb,
        ),
        (
            endless[..MAX_VALUE_HEADER].to_vec(),
            Readers::One,
            OpenError::Damaged,
        ),
        (header(&["A".repeat(65)]), Readers::One, OpenError::Damaged),
        (
            header(&["-> a".to_owned(), "A!".to_owned()]),
            Readers::One,
            OpenError::Damaged,
        ),
    ] {
        assert_eq!(scan(&file, readers), Err(error.clone()));
        let opened = decrypt(&file, &Identity::generate(), readers, CAP);
        assert_eq!(opened.err(), Some(error));
    }
    assert_eq!(scan(&header(&stanza(256)), Readers::Many), Ok(0));
    assert_eq!(scan(&header(&body(60)), Readers::One), Ok(0));
}

#[test]
fn ct8_is_the_start_of_sha256() {
    // FIPS 180-4's example "abc".
    let ct8 = Ct8::of(b"abc");
    assert_eq!(ct8.to_string(), "ba7816bf");
    assert_eq!("ba7816bf".parse(), Ok(ct8));
    for bad in ["", "ba7816b", "ba7816bf0", "BA7816BF", "ba7816bg"] {
        assert_eq!(bad.parse::<Ct8>(), Err(Ct8Error), "{bad}");
    }
}
