use std::fmt;
use std::str::FromStr;

use age::secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::model::Timestamp;

const SECRET_PREFIX: &str = "AGE-SECRET-KEY-1";

/// A text that is no age X25519 key. The text is not in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `AGE-SECRET-KEY-1...` in its canonical form.
    #[error("not an age X25519 identity (AGE-SECRET-KEY-1...)")]
    Identity,
    /// Not `age1...` in its canonical form.
    #[error("not an age X25519 recipient (age1...)")]
    Recipient,
    /// A recipient of small order (RFC 7748 section 6.1): anyone could read what is
    /// encrypted to it.
    #[error("an age recipient of small order; nothing may be encrypted to it")]
    SmallOrder,
}

/// A public key that values are encrypted to: an age X25519 recipient, `age1...`
/// (C2SP age, "The X25519 recipient type").
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Recipient(age::x25519::Recipient);

/// The u-coordinates of small order on Curve25519 and their unreduced forms, with
/// the top bit clear, least significant byte first (RFC 7748 section 5 ignores the
/// top bit; the list is that of <https://cr.yp.to/ecdh.html#validate>).
const SMALL_ORDER: [[u8; 32]; 7] = {
    const fn near_p(lowest: u8) -> [u8; 32] {
        let mut u = [0xff; 32];
        u[0] = lowest;
        u[31] = 0x7f;
        u
    }
    let mut one = [0; 32];
    one[0] = 1;
    [
        [0; 32],
        one,
        [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f,
            0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16,
            0x5f, 0x49, 0xb8, 0x00,
        ],
        [
            0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83,
            0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd,
            0xd0, 0x9f, 0x11, 0x57,
        ],
        near_p(0xec),
        near_p(0xed),
        near_p(0xee),
    ]
};

/// Reads the point out of canonical recipient text, whose checksum is checked already.
fn point(text: &str) -> Option<[u8; 32]> {
    let mut spec = data_encoding::Specification::new();
    spec.symbols.push_str("qpzry9x8gf2tvdw0s3jn54khce6mua7l");
    let data = text.strip_prefix("age1")?.as_bytes();
    let data = data.get(..data.len().checked_sub(6)?)?;
    spec.encoding().ok()?.decode(data).ok()?.try_into().ok()
}

impl Recipient {
    pub(super) fn as_age(&self) -> &age::x25519::Recipient {
        &self.0
    }
}

impl FromStr for Recipient {
    type Err = KeyError;

    /// Reads `age1...`, in lower case and canonical only. A point of small order is
    /// refused here, since age panics when it is asked to encrypt to one.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let recipient: age::x25519::Recipient = text.parse().map_err(|_| KeyError::Recipient)?;
        if recipient.to_string() != text {
            return Err(KeyError::Recipient);
        }
        let mut point = point(text).ok_or(KeyError::Recipient)?;
        point[31] &= 0x7f;
        if SMALL_ORDER.contains(&point) {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self(recipient))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient({self})")
    }
}

/// A private key: an age X25519 identity, `AGE-SECRET-KEY-1...` (C2SP age). It is a
/// member's, or a keyring's own.
///
/// ```compile_fail
/// fn shows<T: std::fmt::Debug>(_: T) {}
/// shows(strongroom::crypto::Identity::generate());
/// ```
/// ```compile_fail
/// fn shows<T: std::fmt::Display>(_: T) {}
/// shows(strongroom::crypto::Identity::generate());
/// ```
/// ```compile_fail
/// fn copies<T: Clone>(_: T) {}
/// copies(strongroom::crypto::Identity::generate());
/// ```
pub struct Identity(age::x25519::Identity);

/// A plain identity file that cannot be read. Its text is not in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFileError {
    /// Bytes that are not UTF-8.
    #[error("the identity file is not text")]
    NotText,
    /// Comments only.
    #[error("the identity file has no key")]
    NoKey,
    /// A second key.
    #[error("the identity file has more than one key (line {line})")]
    ManyKeys {
        /// The line of the second key, counted from 1.
        line: usize,
    },
    /// A line that is neither a comment nor an age X25519 identity.
    #[error("line {line} of the identity file is neither a comment nor an age X25519 identity")]
    Line {
        /// The line, counted from 1.
        line: usize,
    },
}

impl Identity {
    /// Makes a new key from the operating system's randomness.
    pub fn generate() -> Self {
        Self(age::x25519::Identity::generate())
    }

    /// The public half.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    /// Reads a plain identity file, as `age-keygen` writes it: lines that are empty
    /// or begin with `#`, and exactly one key. A carriage return at a line's end is
    /// forgiven.
    pub fn from_file(bytes: &[u8]) -> Result<Self, IdentityFileError> {
        let text = std::str::from_utf8(bytes).map_err(|_| IdentityFileError::NotText)?;
        let mut found = None;
        for (at, content) in text.lines().enumerate() {
            let line = at + 1;
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if found.is_some() {
                return Err(IdentityFileError::ManyKeys { line });
            }
            let key = content.parse();
            found = Some(key.map_err(|_| IdentityFileError::Line { line })?);
        }
        found.ok_or(IdentityFileError::NoKey)
    }

    /// Writes a plain identity file, the one `age -i` reads: when it was made, the
    /// public key, the key. This is also what a keyring file holds.
    pub fn to_file(&self, created: Timestamp) -> Zeroizing<Vec<u8>> {
        let head = format!("# created: {created}\n# public key: {}\n", self.recipient());
        let key = self.canonical();
        let key = key.expose_secret().as_bytes();
        let mut file = Zeroizing::new(Vec::with_capacity(head.len() + key.len() + 1));
        file.extend_from_slice(head.as_bytes());
        file.extend_from_slice(key);
        file.push(b'\n');
        file
    }

    /// The canonical text, upper case and without a line end.
    pub(super) fn canonical(&self) -> SecretString {
        self.0.to_string()
    }

    /// Reads what [`Identity::canonical`] wrote, without checking its spelling.
    pub(super) fn from_trusted(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    pub(super) fn as_age(&self) -> &age::x25519::Identity {
        &self.0
    }
}

impl FromStr for Identity {
    type Err = KeyError;

    /// Reads `AGE-SECRET-KEY-1...`, in upper case and canonical only.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if !text.starts_with(SECRET_PREFIX) {
            return Err(KeyError::Identity);
        }
        let identity = Self(text.parse().map_err(|_| KeyError::Identity)?);
        let canonical = identity.canonical();
        if bool::from(canonical.expose_secret().as_bytes().ct_eq(text.as_bytes())) {
            Ok(identity)
        } else {
            Err(KeyError::Identity)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the age test kit, file `x25519` (C2SP CCTV).
    const KIT: &str = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0";

    #[test]
    fn a_key_comes_back_from_its_file() {
        let identity: Identity = KIT.parse().unwrap();
        let file = identity.to_file(Timestamp::from_secs(0));
        let text = std::str::from_utf8(&file).unwrap();
        assert_eq!(
            text,
            format!(
                "# created: 1970-01-01T00:00:00.000Z\n# public key: {}\n{KIT}\n",
                identity.recipient()
            )
        );
        let again = Identity::from_file(&file).unwrap();
        assert_eq!(again.recipient(), identity.recipient());
        assert_eq!(again.canonical().expose_secret(), KIT);
    }

    #[test]
    fn an_identity_file_has_comments_and_exactly_one_key() {
        for good in [
            KIT.to_owned(),
            format!("{KIT}\n"),
            format!("# a\r\n\r\n{KIT}\r\n# b\r\n"),
        ] {
            assert!(Identity::from_file(good.as_bytes()).is_ok(), "{good:?}");
        }
        let error = |text: &str| Identity::from_file(text.as_bytes()).err();
        assert_eq!(error(""), Some(IdentityFileError::NoKey));
        assert_eq!(error("# only\n\n"), Some(IdentityFileError::NoKey));
        assert_eq!(
            error(&format!("{KIT}\n{KIT}\n")),
            Some(IdentityFileError::ManyKeys { line: 2 })
        );
        for bad in [
            format!("#\n {KIT}\n"),
            format!("#\n{KIT} \n"),
            format!("#\n{}\n", KIT.to_lowercase()),
            format!("#\n{}\n", &KIT[..KIT.len() - 1]),
            "#\nAGE-PLUGIN-YUBIKEY-1QQQ\n".to_owned(),
            format!("#\n\u{feff}{KIT}\n"),
        ] {
            assert_eq!(
                error(&bad),
                Some(IdentityFileError::Line { line: 2 }),
                "{bad:?}"
            );
        }
        assert_eq!(
            Identity::from_file(b"#\xff\n").err(),
            Some(IdentityFileError::NotText)
        );
    }

    #[test]
    fn every_changed_character_of_a_key_is_refused() {
        let public = KIT.parse::<Identity>().unwrap().recipient().to_string();
        for (text, is_secret) in [(KIT, true), (public.as_str(), false)] {
            for at in 0..text.len() {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] ^= 1;
                let changed = String::from_utf8(bytes).unwrap();
                if is_secret {
                    assert!(changed.parse::<Identity>().is_err(), "{at}");
                } else {
                    assert!(changed.parse::<Recipient>().is_err(), "{at}");
                }
            }
        }
        assert!(public.to_uppercase().parse::<Recipient>().is_err());
        assert!(format!("{public} ").parse::<Recipient>().is_err());
    }

    #[test]
    fn a_recipient_of_small_order_is_refused() {
        // Encoded by an independent Bech32 (BIP 173) from the points, each also with
        // its top bit set.
        for text in include_str!("testdata/small_order_recipients.txt").lines() {
            assert_eq!(
                text.parse::<Recipient>(),
                Err(KeyError::SmallOrder),
                "{text}"
            );
        }
    }

    #[test]
    fn a_key_error_does_not_repeat_the_key() {
        let bad = format!("{KIT}x");
        let error = bad.parse::<Identity>().err().unwrap();
        assert!(!error.to_string().contains("EGTZ"));
    }
}
