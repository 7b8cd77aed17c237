use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rand::seq::IndexedRandom as _;
use zeroize::Zeroizing;

use super::RandomError;

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &[u8] = b"0123456789";
const PUNCTUATION: &[u8] = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// What a random password is made of: the options of GetRandomPassword (aws.md
/// section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRules {
    /// How many characters, at most [`PasswordRules::MAX`].
    pub length: u16,
    /// Characters that are not used.
    pub exclude_characters: String,
    /// No digits.
    pub exclude_numbers: bool,
    /// No punctuation.
    pub exclude_punctuation: bool,
    /// No upper-case letters.
    pub exclude_uppercase: bool,
    /// No lower-case letters.
    pub exclude_lowercase: bool,
    /// The space too.
    pub include_space: bool,
    /// Whether every kind of character that takes part occurs at least once. The
    /// space is of no kind.
    pub require_each: bool,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self {
            length: 32,
            exclude_characters: String::new(),
            exclude_numbers: false,
            exclude_punctuation: false,
            exclude_uppercase: false,
            exclude_lowercase: false,
            include_space: false,
            require_each: true,
        }
    }
}

/// Why no password can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// No character is left.
    #[error("every character is excluded; there is nothing to choose from")]
    Nothing,
    /// One character of each kind does not fit.
    #[error("a length of {length} is too short for one character of each of {kinds} kinds")]
    TooShort {
        /// The length asked for.
        length: u16,
        /// How many kinds take part.
        kinds: usize,
    },
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl PasswordRules {
    /// The greatest length, in characters.
    pub const MAX: u16 = 4096;

    /// A password of ASCII characters, every allowed one as likely as every other.
    pub fn make(&self) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
        let kinds = self.kinds();
        let mut all: Vec<u8> = kinds.concat();
        if self.include_space && !self.excludes(b' ') {
            all.push(b' ');
        }
        if all.is_empty() {
            return Err(PasswordError::Nothing);
        }
        let length = usize::from(self.length);
        if self.require_each && length < kinds.len() {
            return Err(PasswordError::TooShort {
                length: self.length,
                kinds: kinds.len(),
            });
        }
        // The source below has no way to report a failure; this one has.
        super::random::bytes::<1>()?;
        let mut random = UnwrapErr(SysRng);
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        // Whole passwords are drawn until one has every kind: putting the missing
        // ones in by hand would make some passwords likelier than others.
        loop {
            bytes.clear();
            while bytes.len() < length {
                bytes.extend(all.choose(&mut random));
            }
            let has = |kind: &Vec<u8>| bytes.iter().any(|b| kind.contains(b));
            if !self.require_each || kinds.iter().all(has) {
                return Ok(bytes);
            }
        }
    }

    /// The kinds of characters that take part, each with what is left of it. The
    /// space is of no kind: AWS does not require one.
    fn kinds(&self) -> Vec<Vec<u8>> {
        let kinds = [
            (self.exclude_lowercase, LOWER),
            (self.exclude_uppercase, UPPER),
            (self.exclude_numbers, DIGITS),
            (self.exclude_punctuation, PUNCTUATION),
        ];
        kinds
            .into_iter()
            .filter(|(excluded, _)| !excluded)
            .map(|(_, kind)| {
                let kind = kind.iter().copied();
                kind.filter(|b| !self.excludes(*b)).collect::<Vec<u8>>()
            })
            .filter(|kind| !kind.is_empty())
            .collect()
    }

    fn excludes(&self, byte: u8) -> bool {
        self.exclude_characters.contains(char::from(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(rules: &PasswordRules) -> Vec<u8> {
        rules.make().unwrap().to_vec()
    }

    #[test]
    fn aws_4_every_kind_occurs_even_at_the_least_length() {
        let rules = PasswordRules {
            length: 4,
            ..PasswordRules::default()
        };
        for _ in 0..200 {
            let bytes = made(&rules);
            assert_eq!(bytes.len(), 4);
            for kind in [LOWER, UPPER, DIGITS, PUNCTUATION] {
                assert!(bytes.iter().any(|b| kind.contains(b)));
            }
        }
    }

    #[test]
    fn aws_4_what_is_excluded_does_not_occur_and_the_space_only_when_asked_for() {
        let rules = PasswordRules {
            length: 4096,
            exclude_characters: "abcXYZ019!".to_owned(),
            ..PasswordRules::default()
        };
        let bytes = made(&rules);
        assert!(bytes.iter().all(|b| !b"abcXYZ019! ".contains(b)));
        let rules = PasswordRules {
            length: 4096,
            exclude_punctuation: true,
            exclude_uppercase: true,
            exclude_lowercase: true,
            include_space: true,
            ..PasswordRules::default()
        };
        let bytes = made(&rules);
        assert!(bytes.iter().all(|b| b"0123456789 ".contains(b)));
        assert!(bytes.contains(&b' '));
    }

    #[test]
    fn aws_4_too_short_for_the_kinds_is_refused() {
        let mut rules = PasswordRules {
            length: 3,
            ..PasswordRules::default()
        };
        assert_eq!(
            rules.make().unwrap_err(),
            PasswordError::TooShort {
                length: 3,
                kinds: 4
            }
        );
        rules.require_each = false;
        assert_eq!(made(&rules).len(), 3);
        rules.exclude_characters = (0_u8..128).map(char::from).collect();
        assert_eq!(rules.make().unwrap_err(), PasswordError::Nothing);
    }

    #[test]
    fn every_character_is_about_as_likely_as_every_other() {
        let rules = PasswordRules {
            length: 4096,
            ..PasswordRules::default()
        };
        let mut counts = [0_u32; 128];
        for _ in 0..50 {
            for byte in made(&rules) {
                counts[usize::from(byte)] += 1;
            }
        }
        // 204,800 draws from 94 characters: 2179 each, standard deviation 46.
        for byte in [LOWER, UPPER, DIGITS, PUNCTUATION].concat() {
            let count = counts[usize::from(byte)];
            assert!((1850..2500).contains(&count), "{byte}: {count}");
        }
    }
}
