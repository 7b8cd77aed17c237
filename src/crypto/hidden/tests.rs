use super::*;
use crate::crypto::Identity;

const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";
const KIT: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

fn kit() -> KeyringKeys {
    KeyringKeys::new(KIT.parse().unwrap(), VAULT)
}

fn at<'a>(place: &'a str, bytes: &'a [u8]) -> Placed<'a> {
    Placed { place, bytes }
}

fn hide(keys: &KeyringKeys, place: &str, text: &[u8]) -> Vec<u8> {
    keys.hide(&[at(place, text)]).unwrap().remove(0)
}

fn reveal(keys: &KeyringKeys, place: &str, sealed: &[u8]) -> Option<Vec<u8>> {
    let found = keys.reveal(&[at(place, sealed)]).unwrap().remove(0);
    found.map(|text| text.to_vec())
}

#[test]
fn a_hidden_text_is_found_again_and_equal_texts_are_equal_bytes() {
    let keys = kit();
    for len in [0, 1, 500, 510, 511, 512, 513, 5000, MAX_HIDDEN] {
        let text = vec![b'a'; len];
        let sealed = hide(&keys, "secrets/x", &text);
        assert_eq!(sealed, hide(&kit(), "secrets/x", &text));
        assert_eq!(sealed.len(), NONCE + padded(len + 1) + TAG);
        assert_eq!(reveal(&keys, "secrets/x", &sealed), Some(text), "{len}");
    }
    let text = [0x80, 0, 0x80, 0, 0];
    let sealed = hide(&keys, "p", &text);
    assert_eq!(reveal(&keys, "p", &sealed), Some(text.to_vec()));
}

#[test]
fn small_changes_of_length_do_not_show() {
    let keys = kit();
    let length = |len: usize| hide(&keys, "p", &vec![b'x'; len]).len();
    assert_eq!(length(10), length(400));
    assert_eq!(length(900), length(905));
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let keys = kit();
    let sealed = hide(&keys, "p", b"name = \"prod/db\"\n");
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut bytes = sealed.clone();
            bytes[at] ^= 1 << bit;
            assert_eq!(reveal(&keys, "p", &bytes), None, "{at} {bit}");
        }
    }
    for end in 0..sealed.len() {
        assert_eq!(reveal(&keys, "p", &sealed[..end]), None, "{end}");
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    assert_eq!(reveal(&keys, "p", &longer), None);
}

#[test]
fn another_place_keyring_or_vault_is_refused() {
    let keys = kit();
    let sealed = hide(&keys, "secrets/,5/aa/b.toml", b"x");
    assert_eq!(reveal(&keys, "secrets/,5/aa/c.toml", &sealed), None);
    let other = KeyringKeys::new(Identity::generate(), VAULT);
    assert_eq!(reveal(&other, "secrets/,5/aa/b.toml", &sealed), None);
    let vault = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e91";
    let other = KeyringKeys::new(KIT.parse().unwrap(), vault);
    assert_eq!(reveal(&other, "secrets/,5/aa/b.toml", &sealed), None);
    // The same text elsewhere shares nothing that tells it is the same.
    let moved = hide(&keys, "secrets/,5/aa/c.toml", b"x");
    assert_ne!(moved[..NONCE], sealed[..NONCE]);
    assert_ne!(moved[NONCE..], sealed[NONCE..]);
}

/// Who has the encryption's key alone could choose any nonce; only the right one is
/// taken (RFC 5297 section 2.7).
#[test]
fn a_nonce_that_is_not_the_texts_own_is_refused() {
    let (key, nonces) = ([1; 32], [2; 32]);
    let mut plain = vec![b'x', END];
    plain.resize(padded(2), 0);
    let own = nonce(&nonces, "p", &plain);
    let seal = |nonce: [u8; NONCE], mut plain: Vec<u8>| {
        let buffer = plain.as_mut_slice();
        let cipher = cipher(&key).unwrap();
        let tag = cipher.encrypt_inout_detached(&nonce.into(), b"p", buffer.into());
        [nonce.as_slice(), &plain, &tag.unwrap()].concat()
    };
    let good = seal(own, plain.clone());
    assert!(super::reveal(&key, &nonces, at("p", &good)).is_some());
    let bad = seal([7; NONCE], plain.clone());
    assert!(super::reveal(&key, &nonces, at("p", &bad)).is_none());
    // Nor a text that is padded otherwise, however well it is sealed.
    plain.resize(padded(2) + 1, 0);
    let long = seal(nonce(&nonces, "p", &plain), plain);
    assert!(super::reveal(&key, &nonces, at("p", &long)).is_none());
}

#[test]
fn names_are_hashed_under_the_key_and_versions_under_their_names() {
    let keys = kit();
    let names: Vec<SecretName> = ["prod/db", "prod/dc"].map(|n| n.parse().unwrap()).into();
    let id: VersionId = "00000001-0000-4000-8000-000000000000".parse().unwrap();
    let two = keys.hide_names(&[&names[0], &names[1]]).unwrap();
    let again = kit().hide_name(&names[0]).unwrap();
    assert_eq!(two[0].place(), again.place());
    assert_eq!(two[0].version(&id), again.version(&id));
    assert_ne!(two[0].place(), two[1].place());
    assert_ne!(two[0].version(&id), two[1].version(&id));
    let other = KeyringKeys::new(Identity::generate(), VAULT);
    let other = other.hide_name(&names[0]).unwrap();
    assert_ne!(other.place(), two[0].place());
    assert_ne!(other.version(&id), two[0].version(&id));
}

#[test]
fn a_text_that_is_too_long_is_neither_hidden_nor_revealed() {
    let keys = kit();
    let long = vec![0; MAX_HIDDEN + 1];
    let refused = keys.hide(&[at("p", &long)]);
    assert_eq!(refused.err(), Some(KeysError::TooLarge(MAX_HIDDEN + 1)));
    let huge = vec![0; MAX_SEALED + 1];
    let good = hide(&keys, "p", b"x");
    let found = keys.reveal(&[at("p", &huge), at("p", &good)]).unwrap();
    assert!(found[0].is_none());
    assert_eq!(
        found[1].as_deref().map(Vec::as_slice),
        Some(b"x".as_slice())
    );
}

/// The values were computed by the second reader (`tests/reader/hidden.py`).
#[test]
fn the_vectors_of_the_book_are_right() {
    let (keys, name) = (kit(), "prod/db".parse().unwrap());
    let hidden = keys.hide_name(&name).unwrap();
    let base32 = |bytes: &[u8]| {
        data_encoding::BASE32_NOPAD
            .encode(bytes)
            .to_ascii_lowercase()
    };
    let h = base32(hidden.place());
    assert_eq!(h, "alaynpvmeghqvzftdjzl6aceffdjogttmotjsxpzgym62uyfgzba");
    let id = "0b7c3a52-5d1e-4b7a-8f4e-2f0a3c5d7e90".parse().unwrap();
    let version = base32(&hidden.version(&id));
    assert_eq!(
        version,
        "zwl5iulzicivhka7cjspotpldwzzq6zoipmpmb6xzgyj75aijscq"
    );
    let place = format!("secrets/,5/{}/{}.toml", &h[..2], &h[2..]);
    let sealed = hide(&keys, &place, b"a = 1\n");
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let nonce = "42a5b6a333258cdbaecd8bd6059af435215df2e0eec57c71";
    assert_eq!(hex(&sealed[..NONCE]), nonce);
    let hash = <sha2::Sha256 as sha2::Digest>::digest(&sealed);
    let sha256 = "4190708a61ff84b1879207862dcbe06d9607a48626326ea049e1daa9ba87e12d";
    assert_eq!(hex(&hash), sha256);
}
