use std::fmt;
use std::str::FromStr;

use subtle::ConstantTimeEq;

use super::holder::KeysError;
use super::keyring::KeyringKeys;

const TABLE: &str = "[mac]\n";
const KEY: &str = "hmac-sha256 = \"";
const END: &str = "\"\n";
const HEX: usize = 64;
/// The length of the text that a file under a mac ends in, in bytes.
const TAIL: usize = TABLE.len() + KEY.len() + HEX + END.len();

/// What kind of text a mac is over, so that the mac of one is never the mac of
/// another (book, formats/keyring).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// `strongroom.toml`.
    Vault,
    /// A keyring's members.
    Keyring,
    /// A secret's metadata.
    Secret,
    /// A saved plan.
    Plan,
    /// A keyring's next keys, for which its old ones vouch.
    Epoch,
    /// What a removed member could read.
    Ledger,
    /// A seal of the audit log.
    Audit,
    /// The SHA-256 of a bundle, in its trailer.
    Bundle,
    /// What a clone says it holds.
    Have,
}

impl Domain {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::Keyring => "keyring",
            Self::Secret => "secret",
            Self::Plan => "plan",
            Self::Epoch => "epoch",
            Self::Ledger => "ledger",
            Self::Audit => "audit",
            Self::Bundle => "bundle",
            Self::Have => "have",
        }
    }
}

/// An HMAC-SHA-256 (RFC 2104) under the keyring's mac key, 32 bytes, written as 64
/// hex digits in lower case. Compared in constant time.
#[derive(Clone, Copy)]
pub struct Mac(pub(super) [u8; 32]);

impl PartialEq for Mac {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Mac {}

impl Mac {
    /// The mac that another holder of the keys made.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The text whose mac this is, ended in it as [`KeyringKeys::seal_text`] does.
    pub fn end_text(&self, body: &str) -> String {
        format!("{body}{TABLE}{KEY}{self}{END}")
    }

    /// The bytes. A mac is not secret.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

impl FromStr for Mac {
    type Err = MacError;

    /// Reads 64 hex digits in lower case.
    fn from_str(text: &str) -> Result<Self, MacError> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes());
        let bytes = bytes.map_err(|_| MacError::Malformed)?;
        Ok(Self(bytes.try_into().map_err(|_| MacError::Malformed)?))
    }
}

/// Why a text is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// No line `[mac]`.
    #[error("there is no [mac] at the end")]
    Missing,
    /// A last `[mac]` that is not followed by exactly one mac and the end.
    #[error("the [mac] at the end is malformed, or something follows it")]
    Malformed,
    /// Written by someone without the keyring's key, altered, or of another keyring.
    #[error("the mac does not match: the text was altered, or written without the keyring's key")]
    Mismatch,
    /// Whoever holds the keys did not say. Nothing is known about the text then.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

fn split(text: &str) -> Result<(&str, Mac), MacError> {
    let malformed = || {
        let has_table = text
            .split('\n')
            .any(|line| line.trim_end() == TABLE.trim_end());
        if has_table {
            MacError::Malformed
        } else {
            MacError::Missing
        }
    };
    let at = text.len().checked_sub(TAIL).ok_or_else(malformed)?;
    let (body, tail) = text.split_at_checked(at).ok_or_else(malformed)?;
    if !(body.is_empty() || body.ends_with('\n')) {
        return Err(malformed());
    }
    let mac = tail
        .strip_prefix(TABLE)
        .and_then(|t| t.strip_prefix(KEY))
        .and_then(|t| t.strip_suffix(END))
        .ok_or_else(malformed)?;
    Ok((body, mac.parse()?))
}

impl KeyringKeys {
    /// Ends a text in its mac: the text, a line `[mac]`, a line with the mac. A line
    /// end is added first where the text lacks one.
    pub fn seal_text(&self, domain: Domain, mut body: String) -> Result<String, KeysError> {
        if !(body.is_empty() || body.ends_with('\n')) {
            body.push('\n');
        }
        let mac = self.mac(domain, body.as_bytes())?;
        Ok(mac.end_text(&body))
    }

    /// Gives back what a text says before its mac, if the mac is right.
    pub fn verify_text<'a>(&self, domain: Domain, text: &'a str) -> Result<&'a str, MacError> {
        let (body, mac) = split(text)?;
        if self.mac(domain, body.as_bytes())? == mac {
            Ok(body)
        } else {
            Err(MacError::Mismatch)
        }
    }
}

impl Mac {
    /// Splits a text that ends in a mac into what the mac is over, and the mac.
    ///
    /// Checks the form alone, for reading metadata while locked;
    /// [`KeyringKeys::verify_text`] is what believes it.
    pub fn split_text(text: &str) -> Result<(&str, Self), MacError> {
        split(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Identity;

    const VAULT: &str = "6f1c1a52-9d1e-4b7a-8f4e-2f0a3c5d7e90";

    fn keys() -> KeyringKeys {
        KeyringKeys::new(Identity::generate(), VAULT)
    }

    #[test]
    fn a_sealed_text_verifies_and_ends_as_the_format_says() {
        let keys = keys();
        for body in ["", "a = 1\n", "[mac]\nx = 1\n", "a = 1"] {
            let text = keys.seal_text(Domain::Secret, body.to_owned()).unwrap();
            let expected = match body {
                "a = 1" => "a = 1\n",
                other => other,
            };
            let mac = keys.mac(Domain::Secret, expected.as_bytes()).unwrap();
            assert_eq!(text, format!("{expected}[mac]\nhmac-sha256 = \"{mac}\"\n"));
            assert_eq!(keys.verify_text(Domain::Secret, &text), Ok(expected));
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let keys = keys();
        let text = keys
            .seal_text(Domain::Secret, "a = 1\nb = \"x\"\n".to_owned())
            .unwrap();
        for at in 0..text.len() {
            for mask in [1, 2, 4, 8, 16, 32, 64] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= mask;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(
                    keys.verify_text(Domain::Secret, &changed).is_err(),
                    "{at} {mask}"
                );
            }
        }
        for end in 0..text.len() {
            assert!(
                keys.verify_text(Domain::Secret, &text[..end]).is_err(),
                "{end}"
            );
        }
    }

    #[test]
    fn form_errors_are_told_apart() {
        let hex = "0".repeat(64);
        let good = format!("a = 1\n[mac]\nhmac-sha256 = \"{hex}\"\n");
        assert!(split(&good).is_ok());
        for text in ["", "a = 1\n", "a = \"[mac]\"\n"] {
            assert_eq!(split(text).err(), Some(MacError::Missing), "{text:?}");
        }
        for text in [
            format!("{good}\n"),
            format!("{good}b = 1\n"),
            good.trim_end().to_owned(),
            good.replace('\n', "\r\n"),
            good.replace('0', "A"),
            good.replace(" = \"0", "= \"0"),
            format!("[mac]\n{}", good.replace("[mac]", "[max]")),
            format!("x{}", "é".repeat(60)) + "\n[mac]\n",
        ] {
            assert_eq!(split(&text).err(), Some(MacError::Malformed), "{text:?}");
        }
        let joined = good.replace("a = 1\n", "a = 1");
        assert!(split(&joined).is_err());
    }

    #[test]
    fn a_mac_is_bound_to_domain_keyring_and_vault() {
        let keys = keys();
        let text = keys
            .seal_text(Domain::Secret, "a = 1\n".to_owned())
            .unwrap();
        for domain in [
            Domain::Vault,
            Domain::Keyring,
            Domain::Plan,
            Domain::Epoch,
            Domain::Ledger,
            Domain::Audit,
            Domain::Bundle,
            Domain::Have,
        ] {
            assert_eq!(keys.verify_text(domain, &text), Err(MacError::Mismatch));
        }
        assert_eq!(
            self::keys().verify_text(Domain::Secret, &text),
            Err(MacError::Mismatch)
        );
    }
}
