use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;
use crate::model::Kind;

const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";
/// From the age test kit, file `x25519` (C2SP CCTV).
const KIT: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

fn kit() -> KeyringKeys {
    KeyringKeys::new(KIT.parse().unwrap(), VAULT)
}

#[test]
fn these_are_the_keys_of_format_1() {
    // Computed by the second implementation, in Python.
    let keys = kit();
    assert_eq!(
        keys.commitment().to_string(),
        "f2fa3e5d1bcd3df42a30b6c1bf6339f5cfd874c76ea6a56cbdb4075f5af526c4"
    );
    assert_eq!(keys.commitment().fingerprint(), "f2fa-3e5d-1bcd-3df4-2a30");
    assert_eq!(
        keys.mac(Domain::Secret, b"a = 1\n").unwrap().to_string(),
        "1f07b9bc906b40c558003b32c7c3072976b96636ea31a307b4a724d14897a7cf"
    );
    let digest = |value: Result<SecretValue, _>| keys.digest(&value.unwrap()).unwrap().to_string();
    assert_eq!(
        digest(SecretValue::string(b"a".to_vec())),
        "b73aa846b85db835afafd323d37ca5a3996fa27d4a5558bbbbb79ee26b96cf0b"
    );
    assert_eq!(
        digest(SecretValue::binary(b"a".to_vec())),
        "0a185201155912acd316b6dedf4d29187f31c74e1888031870df85fdcbf9babe"
    );
}

#[test]
fn rfc_5869_and_rfc_4231_hold_underneath() {
    // RFC 5869 A.1 and RFC 4231 section 4.3.
    let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
    let hkdf = Hkdf::<Sha256>::new(Some(&hex("000102030405060708090a0b0c")), &[0x0b; 22]);
    let mut okm = [0; 42];
    hkdf.expand(&hex("f0f1f2f3f4f5f6f7f8f9"), &mut okm).unwrap();
    assert_eq!(
        okm.to_vec(),
        hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
    mac.update(b"what do ya want for nothing?");
    assert_eq!(
        mac.finalize().into_bytes().to_vec(),
        hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
}

#[test]
fn another_vault_or_identity_has_other_keys() {
    let keys = kit();
    let elsewhere = KeyringKeys::new(KIT.parse().unwrap(), "00000000-9d1e-4b7a-8f4e-2f0a3c5d7e90");
    let stranger = KeyringKeys::new(Identity::generate(), VAULT);
    let value = SecretValue::string(b"a".to_vec()).unwrap();
    for other in [&elsewhere, &stranger] {
        assert_ne!(keys.commitment(), other.commitment());
        assert_ne!(keys.digest(&value), other.digest(&value));
        assert_ne!(keys.mac(Domain::Vault, b""), other.mac(Domain::Vault, b""));
    }
}

#[test]
fn kind_and_content_do_not_run_together() {
    let keys = LocalKeys::ordinary(&KIT.parse().unwrap(), VAULT);
    assert_ne!(
        keys.digest_of(Kind::String, b"\0a"),
        keys.digest_of(Kind::String, b"a")
    );
    assert_ne!(
        keys.digest_of(Kind::String, b"a"),
        keys.digest_of(Kind::Binary, b"a")
    );
}

#[test]
fn a_commitment_comes_back_from_its_text() {
    let text = kit().commitment().to_string();
    assert_eq!(text.parse(), Ok(kit().commitment()));
    for bad in [&text[1..], &text.to_uppercase(), &format!("{text}00"), ""] {
        assert_eq!(bad.parse::<Commitment>(), Err(CommitmentError));
    }
}

#[test]
fn every_member_opens_the_keyring_and_nobody_else() {
    let members: Vec<Identity> = (0..3).map(|_| Identity::generate()).collect();
    let to: Vec<Recipient> = members.iter().map(Identity::recipient).collect();
    let keyring = Identity::generate();
    let file = encrypt_keyring(&keyring, Timestamp::from_secs(0), &to).unwrap();
    for member in &members {
        let opened = open_keyring(file.as_bytes(), member).unwrap();
        assert_eq!(opened.recipient(), keyring.recipient());
    }
    assert_eq!(
        open_keyring(file.as_bytes(), &Identity::generate()).err(),
        Some(OpenError::NoIdentityMatches)
    );
}

#[test]
fn a_keyring_of_the_second_implementation_opens() {
    let file = include_bytes!("../testdata/keyring.age");
    let member: Identity = KIT.parse().unwrap();
    let opened = open_keyring(file, &member).unwrap();
    assert_eq!(opened.recipient(), member.recipient());
}

#[test]
fn a_keyring_that_holds_no_key_is_refused() {
    let member = Identity::generate();
    let open = |plain: &[u8]| {
        let file = envelope::encrypt(plain, &[member.recipient()]).unwrap();
        open_keyring(file.as_bytes(), &member).err()
    };
    let error = crate::crypto::IdentityFileError::NoKey;
    assert_eq!(open(b"# nothing\n"), Some(OpenError::BadKeyring(error)));
    assert_eq!(open(&[b'#'; 4096]), Some(OpenError::BadKeyring(error)));
    assert_eq!(open(&[b'#'; 4097]), Some(OpenError::TooLarge));
}

#[test]
fn a_time_that_cannot_be_read_back_is_not_written() {
    let one = Identity::generate();
    let never = Timestamp::from_millis(i64::MAX);
    let result = encrypt_keyring(&one, never, &[one.recipient()]);
    assert_eq!(result.err(), Some(EncryptError::Created));
}

#[test]
fn keys_in_a_given_place_are_the_same_keys() {
    let identity: Identity = KIT.parse().unwrap();
    let size = LocalKeys::<Vec<u8>>::SIZE;
    assert!(LocalKeys::new(&identity, VAULT, vec![0; size - 1]).is_none());
    let placed = LocalKeys::new(&identity, VAULT, vec![0; size]).unwrap();
    let (placed, keys) = (KeyringKeys::held(Box::new(placed)), kit());
    assert_eq!(placed.commitment(), keys.commitment());
    assert_eq!(placed.recipient(), keys.recipient());
    let mac = |keys: &KeyringKeys| keys.mac(Domain::Plan, b"x").unwrap();
    assert_eq!(mac(&placed), mac(&keys));
    let value = SecretValue::string(b"a".to_vec()).unwrap();
    assert_eq!(placed.digest(&value), keys.digest(&value));
    let identity = placed.identity().unwrap();
    assert_eq!(identity.recipient(), keys.recipient());
}
