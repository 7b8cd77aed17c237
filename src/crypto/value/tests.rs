use super::*;
use crate::crypto::Identity;
use crate::crypto::envelope::Readers;
use crate::model::Kind;

const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";
const OTHER_VAULT: &str = "00000000-9d1e-4b7a-8f4e-2f0a3c5d7e90";
const KIT: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";
const ODD: &str = "odd \"id\"\\\n\t\u{1}\u{7f} é/ \u{2028} 0123456789abcdef";

struct Place {
    name: SecretName,
    version: VersionId,
}

impl Place {
    fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.parse().unwrap(),
            version: version.parse().unwrap(),
        }
    }

    fn in_vault<'a>(&'a self, vault: &'a str) -> Binding<'a> {
        Binding {
            vault,
            name: &self.name,
            version: &self.version,
        }
    }
}

fn place() -> Place {
    Place::new("Prod/db", ODD)
}

fn keys() -> KeyringKeys {
    KeyringKeys::new(Identity::generate(), VAULT)
}

fn value() -> SecretValue {
    SecretValue::string(b"word".to_vec()).unwrap()
}

fn error(result: Result<Opened, OpenError>) -> OpenError {
    result.err().unwrap()
}

#[test]
fn a_value_comes_back_with_kind_and_time() {
    let (keys, place) = (keys(), place());
    let time = Some(Timestamp::from_millis(1_523_477_145_729));
    for (value, created) in [
        (SecretValue::string("ü".as_bytes().to_vec()).unwrap(), time),
        (SecretValue::string(Vec::new()).unwrap(), None),
        (SecretValue::binary(vec![0; 65_536]).unwrap(), time),
        (SecretValue::binary(vec![0xff, b'\n']).unwrap(), None),
    ] {
        let binding = place.in_vault(VAULT);
        let file = seal_value(&value, &binding, created, &keys.recipient()).unwrap();
        let opened = open_value(file.as_bytes(), &binding, &keys).unwrap();
        assert!(opened.value.same_as(&value));
        assert_eq!(opened.created, created);
    }
}

#[test]
fn a_file_of_the_second_implementation_opens() {
    let keys = KeyringKeys::new(KIT.parse().unwrap(), VAULT);
    let place = place();
    let file = include_bytes!("../testdata/value.age");
    let opened = open_value(file, &place.in_vault(VAULT), &keys).unwrap();
    assert_eq!(opened.value.kind(), Kind::String);
    assert_eq!(opened.value.expose_secret(), "pässword".as_bytes());
    assert_eq!(opened.created.unwrap().millis(), 1_523_477_145_729);
}

#[test]
fn a_file_from_elsewhere_is_in_the_wrong_place() {
    let (keys, place) = (keys(), place());
    let to = keys.recipient();
    let file = seal_value(&value(), &place.in_vault(VAULT), None, &to).unwrap();
    let other_name = Place::new("Prod/dc", ODD);
    let other_case = Place::new("prod/db", ODD);
    let other_version = Place::new("Prod/db", &ODD.replace('0', "1"));
    for (binding, field) in [
        (place.in_vault(OTHER_VAULT), BoundField::Vault),
        (other_name.in_vault(VAULT), BoundField::Name),
        (other_case.in_vault(VAULT), BoundField::Name),
        (other_version.in_vault(VAULT), BoundField::Version),
    ] {
        assert_eq!(
            error(open_value(file.as_bytes(), &binding, &keys)),
            OpenError::WrongPlace { field }
        );
    }
}

#[test]
fn every_flipped_byte_of_a_value_is_noticed() {
    let (keys, place) = (keys(), place());
    let binding = place.in_vault(VAULT);
    let file = seal_value(&value(), &binding, None, &keys.recipient()).unwrap();
    for at in 0..file.as_bytes().len() {
        let mut bytes = file.as_bytes().to_vec();
        bytes[at] ^= 1;
        assert!(open_value(&bytes, &binding, &keys).is_err(), "{at}");
    }
}

#[test]
fn an_outsider_can_only_make_what_is_not_a_value() {
    let (keys, place) = (keys(), place());
    let binding = place.in_vault(VAULT);
    let container = contain(&value(), &binding, None, [0; 16]).unwrap();
    let broken = String::from_utf8(container.to_vec()).unwrap();
    let reopen = |plain: &[u8]| {
        let file = envelope::encrypt(plain, &[keys.recipient()]).unwrap();
        error(open_value(file.as_bytes(), &binding, &keys))
    };
    assert_eq!(
        reopen(b"word"),
        OpenError::BadContainer(BadContainer::NotContainer)
    );
    assert_eq!(
        reopen(broken.replace("value/1", "value/2").as_bytes()),
        OpenError::NewerFormat
    );
    let mut bytes = container.to_vec();
    let at = broken.find("word").unwrap();
    bytes[at] = 0xff;
    assert_eq!(
        reopen(&bytes),
        OpenError::BadContainer(BadContainer::NotText)
    );
}

#[test]
fn two_encryptions_of_one_version_differ_inside_and_out() {
    let (keys, place) = (keys(), place());
    let binding = place.in_vault(VAULT);
    let seal = || seal_value(&value(), &binding, None, &keys.recipient()).unwrap();
    let (a, b) = (seal(), seal());
    assert_ne!(a.ct8(), b.ct8());
    let inside = |file: &Ciphertext| {
        let plain = envelope::decrypt(
            file.as_bytes(),
            &keys.identity().unwrap(),
            Readers::One,
            600,
        );
        plain.unwrap().to_vec()
    };
    assert_ne!(inside(&a), inside(&b));
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let (keys, place) = (keys(), place());
    for vault in ["", "x\nname: y", &VAULT.to_uppercase()] {
        let result = seal_value(&value(), &place.in_vault(vault), None, &keys.recipient());
        assert_eq!(result.err(), Some(EncryptError::VaultId), "{vault}");
    }
    let never = Some(Timestamp::from_millis(i64::MAX));
    let result = seal_value(&value(), &place.in_vault(VAULT), never, &keys.recipient());
    assert_eq!(result.err(), Some(EncryptError::Created));
}

#[test]
fn errors_do_not_repeat_what_is_inside() {
    let (keys, place) = (keys(), Place::new("canary-name", ODD));
    let binding = place.in_vault(VAULT);
    let canary = SecretValue::string(b"canary-value".to_vec()).unwrap();
    let file = seal_value(&canary, &binding, None, &keys.recipient()).unwrap();
    let elsewhere = self::place();
    let error = error(open_value(
        file.as_bytes(),
        &elsewhere.in_vault(VAULT),
        &keys,
    ));
    assert!(!format!("{error} {error:?}").contains("canary"));
}
