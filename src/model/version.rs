use std::fmt;
use std::str::FromStr;

use super::{Digest, Kind, RemoteName, Timestamp};

/// The id of one version of a secret: AWS's VersionId, which is the
/// ClientRequestToken of the call that made it (aws.md section 3).
///
/// 32 to 64 characters of any kind, compared as they are (aws.md section 2), so it
/// is never used as a part of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId(String);

/// A text that cannot be a version id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a version id has 32 to 64 characters, this one has {0}")]
pub struct VersionIdError(usize);

impl VersionId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id under which another content that was found under this one is kept
    /// (sync.md section 1.9). Made from both alone, so that all clones of a vault make
    /// the same one: a UUID of version 8, the kind for ids of one's own making.
    pub fn twin(&self, digest: &Digest) -> Self {
        use sha2::Digest as _;
        let mut hasher = sha2::Sha256::new();
        hasher.update(b"strongroom twin\n");
        hasher.update(digest.0);
        hasher.update(self.0.as_bytes());
        let mut bytes: [u8; 16] = [0; 16];
        for (byte, hashed) in bytes.iter_mut().zip(hasher.finalize()) {
            *byte = hashed;
        }
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        let groups = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        Self(groups.join("-"))
    }

    /// The first eight characters, for people.
    pub fn short(&self) -> String {
        super::escape::Escaped(&self.0.chars().take(8).collect::<String>()).to_string()
    }
}

impl FromStr for VersionId {
    type Err = VersionIdError;

    fn from_str(text: &str) -> Result<Self, VersionIdError> {
        match text.chars().count() {
            32..=64 => Ok(Self(text.to_owned())),
            n => Err(VersionIdError(n)),
        }
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::escape::write_escaped(f, &self.0)
    }
}

/// What a version is known to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A value of this kind with this keyed digest; the vault has its file.
    Value {
        /// String or binary.
        kind: Kind,
        /// The keyed digest of kind and content.
        digest: Digest,
    },
    /// Registered by a rotation before a value exists (sync.md section 1.1).
    Placeholder,
    /// There, but not read: how a remote's listing shows every version.
    Unread,
}

/// Who made a version, as far as this vault knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Put in this vault.
    Local,
    /// First seen on this remote.
    Remote(RemoteName),
}

/// What a vault records of one version, beside its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionMeta {
    /// When it was made, by the clock of whoever made it. Orders history for
    /// people; decides nothing.
    pub created: Option<Timestamp>,
    /// What it holds.
    pub content: Content,
    /// The version it was made on top of: the holder of AWSCURRENT at that moment.
    pub parent: Option<VersionId>,
    /// Where it came from.
    pub origin: Origin,
}

impl VersionMeta {
    /// A version of which only the id is known.
    pub fn unread(origin: Origin) -> Self {
        Self {
            created: None,
            content: Content::Unread,
            parent: None,
            origin,
        }
    }

    /// Whether the value itself is at hand.
    pub fn has_value(&self) -> bool {
        matches!(self.content, Content::Value { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_2_version_id_length_and_any_characters() {
        assert!("x".repeat(31).parse::<VersionId>().is_err());
        assert!("x".repeat(65).parse::<VersionId>().is_err());
        let odd = "../../../../etc/passwd\u{1b}[31m 012345";
        assert_eq!(odd.parse::<VersionId>().unwrap().as_str(), odd);
    }

    #[test]
    fn a_twin_is_made_of_both_and_fits_where_a_token_does() {
        let id: VersionId = "x".repeat(64).parse().unwrap();
        let twin = id.twin(&Digest([1; 32]));
        assert_eq!(twin, id.twin(&Digest([1; 32])));
        assert_ne!(twin, id.twin(&Digest([2; 32])));
        assert_ne!(twin, twin.twin(&Digest([1; 32])));
        assert!(uuid::Uuid::parse_str(twin.as_str()).is_ok_and(|u| u.get_version_num() == 8));
        assert_eq!(twin.as_str().parse::<VersionId>(), Ok(twin));
    }

    #[test]
    fn a_hostile_id_prints_escaped() {
        let id: VersionId = "\u{1b}[31mxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            .parse()
            .unwrap();
        assert!(!id.to_string().contains('\u{1b}'));
        assert!(!id.short().contains('\u{1b}'));
    }
}
