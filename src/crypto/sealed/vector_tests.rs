//! Vectors of others through the functions that seal and open an identity.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    match text {
        "-" => Vec::new(),
        text => data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap(),
    }
}

fn keys(key: &[u8]) -> Stretched {
    Stretched {
        key: Zeroizing::new(key.try_into().unwrap()),
        check: Zeroizing::new([0; 32]),
    }
}

/// Seals in place as `seal_with` does.
fn seal(key: &[u8], nonce: &[u8], head: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; 24] = nonce.try_into().unwrap();
    let mut buffer = plain.to_vec();
    let cipher = keys(key).cipher();
    let tag = cipher.encrypt_inout_detached(&nonce.into(), head, buffer.as_mut_slice().into());
    buffer.extend_from_slice(&tag.unwrap());
    buffer
}

/// Opens in place as `SealedIdentity::open` does.
fn open(key: &[u8], nonce: &[u8], head: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let nonce: [u8; 24] = nonce.try_into().unwrap();
    let (text, tag) = sealed.split_at(sealed.len().checked_sub(TAG)?);
    let tag: [u8; TAG] = tag.try_into().unwrap();
    let mut buffer = text.to_vec();
    let cipher = keys(key).cipher();
    let opened = cipher.decrypt_inout_detached(
        &nonce.into(),
        head,
        buffer.as_mut_slice().into(),
        &tag.into(),
    );
    opened.ok().map(|()| buffer)
}

#[test]
fn wycheproof_xchacha20_poly1305() {
    let all = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/wycheproof/xchacha20poly1305.txt"
    ));
    let (mut pass, mut fail) = (0, 0);
    for (number, line) in all.lines().enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, key, nonce, head, plain, sealed] = words.as_slice() else {
            panic!("line {number}");
        };
        let (key, nonce, head) = (hex(key), hex(nonce), hex(head));
        let (plain, sealed) = (hex(plain), hex(sealed));
        let opened = open(&key, &nonce, &head, &sealed);
        match *kind {
            "pass" => {
                assert_eq!(opened.as_ref(), Some(&plain), "line {number}");
                assert_eq!(seal(&key, &nonce, &head, &plain), sealed, "line {number}");
                pass += 1;
            }
            "fail" => {
                assert_eq!(opened, None, "line {number}");
                fail += 1;
            }
            other => panic!("line {number}: {other}"),
        }
    }
    assert_eq!((pass, fail), (220, 60));
}

#[test]
fn draft_irtf_cfrg_xchacha_03_appendix_a_3_1() {
    let key: Vec<u8> = (0x80..0xa0).collect();
    let nonce: Vec<u8> = (0x40..0x58).collect();
    let head = hex("50515253c0c1c2c3c4c5c6c7");
    let plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
    let sealed = seal(&key, &nonce, &head, plain);
    let tag = hex("c0875924c1c7987947deafd8780acf49");
    assert!(sealed.starts_with(&hex(
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
    )));
    assert!(sealed.ends_with(&tag));
    assert_eq!(
        open(&key, &nonce, &head, &sealed).as_deref(),
        Some(&plain[..])
    );
}

/// RFC 9106's own vectors have a secret and associated data, which an identity does not
/// use; these are of the C reference (argon2-cffi 25.1.0) at our output's length.
#[test]
fn argon2id_is_that_of_the_c_reference() {
    let salt: Vec<u8> = (0..16).collect();
    let passphrase = Passphrase::new("caf\u{e9} passphrase");
    for (passes, lanes, expected) in [
        (
            2,
            1,
            "661c4b3192158d94d927aca8fcd21e38f8fab42855b09b244d4ff76f50fc0a4423dc3cb524fd4d0603bf10909e1e9eee81a7298c58c96fdfe156303a93974739",
        ),
        (
            3,
            4,
            "c05ca6490bd6cda4c64fb0cfe88865f98d54b6ec318f3f984e4dab17b80a3ddcae1b7a5dc0de2037678a7e252b1a10a293e2fa97454694e9f910832a5709d64f",
        ),
    ] {
        let cost = Argon2Cost::new(19_456, passes, lanes).unwrap();
        let keys = stretch(&passphrase, &salt, cost).unwrap();
        let expected = hex(expected);
        assert_eq!(&keys.key[..], &expected[..32]);
        assert_eq!(&keys.check()[..], &expected[32..]);
    }
}
