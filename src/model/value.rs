use std::fmt;

use zeroize::Zeroizing;

/// Whether a value is AWS's SecretString or its SecretBinary. The kind is part of
/// the content: string `a` and binary `a` are two values (aws.md section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SecretString: UTF-8 text.
    String,
    /// SecretBinary: any bytes.
    Binary,
}

impl Kind {
    /// `string` or `binary`, as the formats spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Binary => "binary",
        }
    }
}

/// A secret's value. It is wiped when dropped, and it has no `Debug`, `Display`,
/// `Serialize` or `Clone` that could let it out by accident.
///
/// ```compile_fail
/// fn shows<T: std::fmt::Debug>(_: T) {}
/// shows(strongroom::model::SecretValue::binary(vec![1]).unwrap());
/// ```
/// ```compile_fail
/// fn shows<T: std::fmt::Display>(_: T) {}
/// shows(strongroom::model::SecretValue::binary(vec![1]).unwrap());
/// ```
/// ```compile_fail
/// fn copies<T: Clone>(_: T) {}
/// copies(strongroom::model::SecretValue::binary(vec![1]).unwrap());
/// ```
/// ```compile_fail
/// fn writes<T: serde::Serialize>(_: T) {}
/// writes(strongroom::model::SecretValue::binary(vec![1]).unwrap());
/// ```
pub struct SecretValue {
    kind: Kind,
    bytes: Zeroizing<Vec<u8>>,
}

/// Bytes that cannot be a secret's value. The bytes are not in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Over the limit of AWS.
    #[error("the value has {0} bytes; AWS accepts at most 65536")]
    TooLarge(usize),
    /// A string that is not UTF-8.
    #[error("the value is not UTF-8 text (first bad byte at offset {0})")]
    NotText(usize),
}

impl SecretValue {
    /// The largest value AWS accepts, in bytes (aws.md section 9).
    pub const MAX: usize = 65_536;

    /// A SecretString. The bytes must be UTF-8; they are taken as they are.
    pub fn string(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Result<Self, ValueError> {
        let bytes = bytes.into();
        if let Err(error) = std::str::from_utf8(&bytes) {
            return Err(ValueError::NotText(error.valid_up_to()));
        }
        Self::new(Kind::String, bytes)
    }

    /// A SecretBinary. Any bytes.
    pub fn binary(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Result<Self, ValueError> {
        Self::new(Kind::Binary, bytes.into())
    }

    /// A value of the given kind.
    pub fn new_of(kind: Kind, bytes: Zeroizing<Vec<u8>>) -> Result<Self, ValueError> {
        match kind {
            Kind::String => Self::string(bytes),
            Kind::Binary => Self::binary(bytes),
        }
    }

    fn new(kind: Kind, bytes: Zeroizing<Vec<u8>>) -> Result<Self, ValueError> {
        if bytes.len() > Self::MAX {
            return Err(ValueError::TooLarge(bytes.len()));
        }
        Ok(Self { kind, bytes })
    }

    /// String or binary.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The bytes themselves. Whoever calls this answers for where they go; the
    /// book's threat model lists the callers.
    pub fn expose_secret(&self) -> &[u8] {
        &self.bytes
    }

    /// Size in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            kind: self.kind,
            bytes: Zeroizing::new(self.bytes.to_vec()),
        }
    }

    /// Whether kind and bytes are the same. For tests and the unchanged check of
    /// `edit`, where both values are already in this process.
    pub fn same_as(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.kind == other.kind && bool::from(self.bytes.as_slice().ct_eq(&other.bytes))
    }
}

/// The keyed digest of a value: HMAC-SHA-256 under a key of the keyring, over kind
/// and content (crypto.md section 9). Equal digests prove equal values without
/// showing them; without the key nothing can be guessed from one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl std::str::FromStr for Digest {
    type Err = data_encoding::DecodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes())?;
        let array = bytes.try_into().map_err(|_| data_encoding::DecodeError {
            position: 0,
            kind: data_encoding::DecodeKind::Length,
        })?;
        Ok(Self(array))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_4_value_is_at_most_65536_bytes() {
        assert!(SecretValue::binary(vec![0; 65_536]).is_ok());
        assert!(matches!(
            SecretValue::binary(vec![0; 65_537]),
            Err(ValueError::TooLarge(65_537))
        ));
    }

    #[test]
    fn a_string_is_utf8_and_a_binary_is_anything() {
        assert!(matches!(
            SecretValue::string(b"ab\xff".to_vec()),
            Err(ValueError::NotText(2))
        ));
        let value = SecretValue::binary(b"ab\xff".to_vec()).unwrap();
        assert_eq!(value.expose_secret(), b"ab\xff");
        assert!(SecretValue::string(Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn aws_3_string_and_binary_of_the_same_bytes_differ() {
        let s = SecretValue::string(b"a".to_vec()).unwrap();
        let b = SecretValue::binary(b"a".to_vec()).unwrap();
        assert!(!s.same_as(&b));
        assert!(s.same_as(&s.duplicate()));
    }
}
