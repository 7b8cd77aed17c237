use clap::Args;
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rand::seq::IndexedRandom as _;
use serde_json::json;
use zeroize::Zeroizing;

use super::put::{Made, NewVersion, parse_tags, stored};
use super::{DONE, begin, commit};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::model::{SecretName, SecretValue, StagingLabel};

/// Make a random value and store it
///
/// The alphabet and the options are those of AWS's GetRandomPassword. The value is
/// not printed unless you ask for it.
///
/// Example: strongroom generate prod/db --length 24 --exclude-punctuation
#[derive(Debug, Args)]
pub struct Generate {
    /// The secret's name
    name: SecretName,
    /// Values do not belong on the command line; this catches one that does
    #[arg(hide = true, num_args = 0.., value_name = "VALUE")]
    argv: Vec<std::ffi::OsString>,
    #[command(flatten)]
    alphabet: Alphabet,
    /// Print the value too, to a pipe or a file
    #[arg(short, long)]
    print: bool,
    /// Print the value too, even to the terminal
    #[arg(long)]
    show: bool,
    /// Put this label on the new version instead of AWSCURRENT (can be repeated)
    #[arg(long, value_name = "LABEL")]
    label: Vec<StagingLabel>,
    /// Set the description
    #[arg(short, long, value_name = "TEXT")]
    description: Option<String>,
    /// Set a tag (can be repeated)
    #[arg(short, long, value_name = "KEY=VALUE")]
    tag: Vec<String>,
}

/// GetRandomPassword's options (aws.md section 4).
#[derive(Debug, Args)]
pub(super) struct Alphabet {
    /// How many characters, 1 to 4096
    #[arg(short, long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(super) length: u16,
    /// Use none of these characters
    #[arg(long, value_name = "CHARS")]
    pub(super) exclude_characters: Option<String>,
    /// Use no digits
    #[arg(long)]
    pub(super) exclude_numbers: bool,
    /// Use no punctuation
    #[arg(long)]
    pub(super) exclude_punctuation: bool,
    /// Use no upper-case letters
    #[arg(long)]
    pub(super) exclude_uppercase: bool,
    /// Use no lower-case letters
    #[arg(long)]
    pub(super) exclude_lowercase: bool,
    /// Use the space too
    #[arg(long)]
    pub(super) include_space: bool,
    /// Do without the rule that every kind of character occurs at least once
    #[arg(long)]
    pub(super) no_require_each: bool,
}

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &[u8] = b"0123456789";
const PUNCTUATION: &[u8] = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

impl Generate {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        if !self.argv.is_empty() {
            return Err(super::put::value_in_argv(&self.name));
        }
        let print = self.print || self.show;
        if print && !self.show && ctx.ui.stdout_is_terminal() {
            return Err(
                CommandError::usage("the value would be shown on the terminal")
                    .hint("use --show for that, or pipe it on"),
            );
        }
        let vault = ctx.unlocked()?;
        let value = self.alphabet.make()?;
        let stamp = ctx.stamp()?;
        let mut tx = begin(ctx, &vault, "generate")?;
        let new = NewVersion {
            name: &self.name,
            value: &value,
            labels: &self.label,
            description: self.description.as_deref(),
            tags: &parse_tags(&self.tag)?,
            stamp: &stamp,
        };
        let (record, made) = new.store(&vault, &mut tx)?;
        let short = stamp.id.short();
        commit(ctx, tx, &format!("generate {}: version {short}", self.name))?;
        let what = match made {
            Made::Secret => "Stored",
            Made::Version | Made::Attributes | Made::Nothing => "Stored a new version of",
        };
        ctx.ui
            .status(&format!("{what} {} as version {short}", self.name));
        if ctx.ui.json() {
            let mut answer = stored(&record, &stamp.id);
            if print && let Some(object) = answer.as_object_mut() {
                let text = String::from_utf8_lossy(value.expose_secret());
                object.insert("RandomPassword".to_owned(), json!(text));
            }
            ctx.ui.json_data(&answer)?;
        } else if print {
            ctx.ui.data(value.expose_secret())?;
        }
        DONE
    }
}

impl Alphabet {
    /// A password, every allowed one as likely as every other.
    pub(super) fn make(&self) -> Result<SecretValue, CommandError> {
        let kinds = self.kinds();
        let mut all: Vec<u8> = kinds.concat();
        if self.include_space && !self.excludes(b' ') {
            all.push(b' ');
        }
        if all.is_empty() {
            return Err(CommandError::usage(
                "every character is excluded; there is nothing to choose from",
            ));
        }
        let length = usize::from(self.length);
        if !self.no_require_each && length < kinds.len() {
            return Err(CommandError::usage(format!(
                "a length of {length} is too short for one character of each of {} kinds",
                kinds.len()
            ))
            .hint("make it longer, exclude kinds, or add --no-require-each"));
        }
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
            if self.no_require_each || kinds.iter().all(has) {
                return Ok(SecretValue::string(bytes)?);
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
        self.exclude_characters
            .as_ref()
            .is_some_and(|out| out.contains(char::from(byte)))
    }
}

impl Default for Alphabet {
    /// What `generate NAME` alone means.
    fn default() -> Self {
        Self {
            length: 32,
            exclude_characters: None,
            exclude_numbers: false,
            exclude_punctuation: false,
            exclude_uppercase: false,
            exclude_lowercase: false,
            include_space: false,
            no_require_each: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(alphabet: &Alphabet) -> Vec<u8> {
        alphabet.make().unwrap().expose_secret().to_vec()
    }

    #[test]
    fn aws_4_every_kind_occurs_even_at_the_least_length() {
        let alphabet = Alphabet {
            length: 4,
            ..Alphabet::default()
        };
        for _ in 0..200 {
            let bytes = made(&alphabet);
            assert_eq!(bytes.len(), 4);
            for kind in [LOWER, UPPER, DIGITS, PUNCTUATION] {
                assert!(bytes.iter().any(|b| kind.contains(b)));
            }
        }
    }

    #[test]
    fn aws_4_what_is_excluded_does_not_occur_and_the_space_only_when_asked_for() {
        let alphabet = Alphabet {
            length: 4096,
            exclude_characters: Some("abcXYZ019!".to_owned()),
            ..Alphabet::default()
        };
        let bytes = made(&alphabet);
        assert!(bytes.iter().all(|b| !b"abcXYZ019! ".contains(b)));
        let alphabet = Alphabet {
            length: 4096,
            exclude_punctuation: true,
            exclude_uppercase: true,
            exclude_lowercase: true,
            include_space: true,
            ..Alphabet::default()
        };
        let bytes = made(&alphabet);
        assert!(bytes.iter().all(|b| b"0123456789 ".contains(b)));
        assert!(bytes.contains(&b' '));
    }

    #[test]
    fn aws_4_too_short_for_the_kinds_is_refused() {
        let mut alphabet = Alphabet {
            length: 3,
            ..Alphabet::default()
        };
        assert!(alphabet.make().is_err());
        alphabet.no_require_each = true;
        assert_eq!(made(&alphabet).len(), 3);
        alphabet.exclude_characters = Some((0_u8..128).map(char::from).collect());
        assert!(alphabet.make().is_err());
    }

    #[test]
    fn every_character_is_about_as_likely_as_every_other() {
        let alphabet = Alphabet {
            length: 4096,
            ..Alphabet::default()
        };
        let mut counts = [0_u32; 128];
        for _ in 0..50 {
            for byte in made(&alphabet) {
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
