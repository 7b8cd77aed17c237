use std::fmt;
use std::str::FromStr;

/// The name of a secret, as AWS accepts it from customers.
///
/// ASCII letters, digits and `/_+=.@-`, 1 to 512 characters, case-sensitive; it
/// never changes during a secret's life (aws.md section 2). Names that only
/// services may make (they carry a `!`) are not `SecretName`s: the remote room
/// reports them and leaves them alone.
///
/// ```compile_fail
/// use strongroom::model::{SecretName, VersionId};
/// fn takes_version(_: &VersionId) {}
/// let name: SecretName = "prod/db".parse().unwrap();
/// takes_version(&name);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretName(String);

/// The rule of AWS that a name breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No characters at all.
    #[error("a secret name needs at least 1 character")]
    Empty,
    /// More than 512 characters.
    #[error("a secret name has at most 512 characters, this one has {0}")]
    TooLong(usize),
    /// A character outside the alphabet; the character is shown escaped.
    #[error(
        "invalid name: character {character} at position {position}; valid are letters, digits and -/_+=.@"
    )]
    Character {
        /// The character, escaped for a terminal.
        character: String,
        /// Its place, counted from 1.
        position: usize,
    },
}

impl SecretName {
    /// The longest name that CreateSecret accepts, in characters.
    pub const MAX: usize = 512;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        for (at, c) in text.chars().enumerate() {
            if !(c.is_ascii_alphanumeric() || "/_+=.@-".contains(c)) {
                return Err(NameError::Character {
                    character: format!("{c:?}"),
                    position: at + 1,
                });
            }
        }
        if text.len() > Self::MAX {
            return Err(NameError::TooLong(text.len()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name a vault gives to one AWS account and Region, such as `prod`.
///
/// Lower-case letters, digits, `-` and `_`, beginning with a letter, at most 64:
/// it is a table key in metadata, a file name in local state, and a word on the
/// command line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteName(String);

/// A text that cannot name a remote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid remote name {0:?}: use a lower-case letter, then lower-case letters, digits, - or _, at most 64"
)]
pub struct RemoteNameError(String);

impl RemoteName {
    /// What stands in a conflict's place of a remote where the other side is another
    /// clone of the vault, met by git.
    pub fn other_clone() -> Self {
        Self("git".to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RemoteName {
    type Err = RemoteNameError;

    fn from_str(text: &str) -> Result<Self, RemoteNameError> {
        let first = text.starts_with(|c: char| c.is_ascii_lowercase());
        let rest = text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        // "local" is how plans name the vault's own side.
        if first && rest && text.len() <= 64 && text != "local" {
            Ok(Self(text.to_owned()))
        } else {
            Err(RemoteNameError(text.to_owned()))
        }
    }
}

impl fmt::Display for RemoteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_2_name_alphabet() {
        for good in ["a", "prod/db", "/a//b/", "A_b+c=d.e@f-g", ".", "a/.git/b"] {
            assert_eq!(good.parse::<SecretName>().unwrap().as_str(), good);
        }
        for bad in [
            "a b", "a*", "a?", "a!", "a]", "a\\b", "a#b", "a:b", "a~1", "é", "a\n", "a,b",
        ] {
            assert!(
                matches!(bad.parse::<SecretName>(), Err(NameError::Character { .. })),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn aws_2_name_length() {
        assert_eq!("".parse::<SecretName>(), Err(NameError::Empty));
        assert!("x".repeat(512).parse::<SecretName>().is_ok());
        assert_eq!(
            "x".repeat(513).parse::<SecretName>(),
            Err(NameError::TooLong(513))
        );
    }

    #[test]
    fn a_control_character_in_a_refused_name_is_escaped_in_the_message() {
        let error = "a\u{1b}[2J".parse::<SecretName>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }

    #[test]
    fn remote_names_are_words() {
        assert!("prod-eu_1".parse::<RemoteName>().is_ok());
        for bad in ["", "Prod", "1a", "a b", "a/b", "-a", "local", "a.b"] {
            assert!(bad.parse::<RemoteName>().is_err(), "{bad:?}");
        }
    }
}
