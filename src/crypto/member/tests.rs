use std::time::Instant;

use super::*;
use crate::crypto::encrypt_keyring;
use crate::model::Timestamp;

const PUBLIC: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICT4N9nVej0l+P2tcsYCrdY0tAkgLqs6QvYieX1NkRJK";
const PLAIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAk+DfZ1Xo9Jfj9rXLGAq3WNLQJIC6rOkL2Inl9TZESSgAAAJhs9l5DbPZe
QwAAAAtzc2gtZWQyNTUxOQAAACAk+DfZ1Xo9Jfj9rXLGAq3WNLQJIC6rOkL2Inl9TZESSg
AAAEAQfsaOGNHbqkpMtQjq/YH7xRha41mxB55/MBTQerO19iT4N9nVej0l+P2tcsYCrdY0
tAkgLqs6QvYieX1NkRJKAAAAD2FubkBleGFtcGxlLm9yZwECAwQFBg==
-----END OPENSSH PRIVATE KEY-----
";
/// Under the passphrase `sesame`.
const SEALED_PUBLIC: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHQVhiLE+mAdYTHEo7bw5lKL9XhmPMEGKI0If/oQsdDm";
const SEALED: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABCQEDpyBg
3ujL2RKNMhi7hDAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIHQVhiLE+mAdYTHE
o7bw5lKL9XhmPMEGKI0If/oQsdDmAAAAkPGFshmSFGR82Awohq3xBBURZjqZPtsvHxDg1m
lv3Fz2vq63E0GHzNXkhlO+ochBV3ANAIQsPfFcrc89Egu78JInGMBFJQ1hczqI/K8Hok6y
yYyLq23pAqTeSFl00LbJ0OZa3kwihJGaXL8XUD8G7k53YlE0AQ6/hlpqdVlRUi74iUqEci
NSAY9qPlaF0f+89g==
-----END OPENSSH PRIVATE KEY-----
";
/// The same, with 4,294,967,295 rounds of bcrypt.
const BOMB: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABCQEDpyBg
3ujL2RKNMhi7hD/////wAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIHQVhiLE+mAdYTHE
o7bw5lKL9XhmPMEGKI0If/oQsdDmAAAAkPGFshmSFGR82Awohq3xBBURZjqZPtsvHxDg1m
lv3Fz2vq63E0GHzNXkhlO+ochBV3ANAIQsPfFcrc89Egu78JInGMBFJQ1hczqI/K8Hok6y
yYyLq23pAqTeSFl00LbJ0OZa3kwihJGaXL8XUD8G7k53YlE0AQ6/hlpqdVlRUi74iUqEci
NSAY9qPlaF0f+89g==
-----END OPENSSH PRIVATE KEY-----
";
const RSA_PUBLIC: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCgsnAnx8V3BoAX2MLQ3YmUsFOReYCxU6TqStQBgVpZvUtEfU0J40tZXBgz3dmkiM4tXyz3NHdikyhzsObUIiL3PB2ZnAqx59Ap5XIZYnIhl+PN1Z755lnWSH4RVWzHQwU14DroYWys0zMAeUBjjskIljdGjErFmde1H6FrvjbsG1NWxbZ8KZTvx+NfPLbSzNKWleyvFMOx2eAXwov1N8ed72V3M0dR8/cIiwSJovYCdN2LIj08G831J4jm5cYzjVdNaomDSsrQtC05lTwdIAWSNN1BloLnZ/dXduKLAtOX0byPyWEWAnOufdFt2fzWcabM6ao231nj9IA4fCNMRiWT";

fn open_key(text: &str, passphrase: Option<&str>) -> Result<SshIdentity, SshKeyError> {
    let passphrase = passphrase.map(Passphrase::new);
    SshKeyFile::parse(text.as_bytes())?.open(passphrase.as_ref())
}

#[test]
fn an_ssh_key_and_an_age_key_open_one_keyring() {
    let ann = Identity::generate();
    let keyring = Identity::generate();
    let plain = open_key(PLAIN, None).ok().unwrap();
    let sealed = open_key(SEALED, Some("sesame")).ok().unwrap();
    assert_eq!(plain.member_key().to_string(), PUBLIC);
    assert_eq!(sealed.member_key().to_string(), SEALED_PUBLIC);
    let keys = [
        ann.member_key(),
        PUBLIC.parse().unwrap(),
        sealed.member_key(),
    ];
    let file = encrypt_keyring(&keyring, Timestamp::from_secs(0), &keys).unwrap();
    let members: [&dyn Member; 3] = [&ann, &plain, &sealed];
    for member in members {
        let opened = member.open_keyring(file.as_bytes()).unwrap();
        assert_eq!(opened.recipient(), keyring.recipient());
    }
    let file = encrypt_keyring(&keyring, Timestamp::from_secs(0), &keys[..2]).unwrap();
    assert_eq!(
        sealed.open_keyring(file.as_bytes()).err(),
        Some(OpenError::NoIdentityMatches)
    );
}

#[test]
fn a_wrong_passphrase_of_an_ssh_key_is_told() {
    let file = SshKeyFile::parse(SEALED.as_bytes()).ok().unwrap();
    assert!(file.is_sealed());
    for passphrase in [None, Some("open"), Some("")] {
        assert_eq!(
            open_key(SEALED, passphrase).err(),
            Some(SshKeyError::WrongPassphrase)
        );
    }
}

#[test]
fn absurd_rounds_of_an_ssh_key_are_refused_before_one_is_run() {
    let before = Instant::now();
    let error = open_key(BOMB, Some("sesame")).err();
    assert_eq!(error, Some(SshKeyError::Rounds(u32::MAX)));
    assert!(before.elapsed().as_millis() < 100);
}

#[test]
fn other_keys_are_refused_by_name() {
    let parse = |text: &str| MemberKey::from_person(text).err();
    assert_eq!(parse(RSA_PUBLIC), Some(MemberKeyError::Rsa));
    assert_eq!(parse("ssh-rsa AAAA x"), Some(MemberKeyError::Rsa));
    assert_eq!(
        parse("age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3q"),
        Some(MemberKeyError::Plugin)
    );
    for text in [
        "",
        "age1",
        "bob",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ecdsa-sha2-nistp256 AAAA",
        "sk-ssh-ed25519@openssh.com AAAA",
    ] {
        assert_eq!(parse(text), Some(MemberKeyError::Unknown), "{text}");
    }
    // The identity of the group, whose order is 1 (RFC 8032 section 5.1).
    let mut key = b"\0\0\0\x0bssh-ed25519\0\0\0\x20\x01".to_vec();
    key.extend([0; 31]);
    let key = format!("ssh-ed25519 {}", data_encoding::BASE64.encode(&key));
    assert_eq!(parse(&key), Some(MemberKeyError::SmallOrder));
    let begin = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(
        open_key(begin, None).err(),
        Some(SshKeyError::Kind("ssh-rsa"))
    );
    let cut = &PLAIN[..PLAIN.len() / 2];
    assert_eq!(open_key(cut, None).err(), Some(SshKeyError::Malformed));
}

#[test]
fn a_public_key_has_one_spelling_and_a_fingerprint() {
    let commented = format!("{PUBLIC} ann@example.org\n");
    assert!(commented.parse::<MemberKey>().is_err());
    let key = MemberKey::from_person(&commented).unwrap();
    assert_eq!(key.to_string(), PUBLIC);
    assert_eq!(key.to_string().parse(), Ok(key.clone()));
    assert_eq!(key.fingerprint().len(), 24);
    let other = MemberKey::from_person(SEALED_PUBLIC).unwrap();
    assert_ne!(key.fingerprint(), other.fingerprint());
    let age = Identity::generate().member_key();
    assert_eq!(MemberKey::from_person(&age.to_string()), Ok(age));
}
