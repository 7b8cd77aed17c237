use clap::Args;
use serde_json::json;

use super::put::{Made, NewVersion, parse_tags, stored};
use super::{DONE, begin, commit};
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::crypto::{PasswordError, PasswordRules};
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
        let bytes = self.rules().make().map_err(|error| match error {
            PasswordError::Nothing => CommandError::from_error(Exit::Usage, error),
            PasswordError::TooShort { .. } => CommandError::from_error(Exit::Usage, error)
                .hint("make it longer, exclude kinds, or add --no-require-each"),
            PasswordError::Random(_) => CommandError::from_error(Exit::Unexpected, error),
        })?;
        Ok(SecretValue::string(bytes)?)
    }

    fn rules(&self) -> PasswordRules {
        PasswordRules {
            length: self.length,
            exclude_characters: self.exclude_characters.clone().unwrap_or_default(),
            exclude_numbers: self.exclude_numbers,
            exclude_punctuation: self.exclude_punctuation,
            exclude_uppercase: self.exclude_uppercase,
            exclude_lowercase: self.exclude_lowercase,
            include_space: self.include_space,
            require_each: !self.no_require_each,
        }
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

    #[test]
    fn aws_4_the_options_are_those_of_get_random_password() {
        assert_eq!(Alphabet::default().rules(), PasswordRules::default());
        let mut alphabet = Alphabet {
            length: 3,
            ..Alphabet::default()
        };
        let error = alphabet.make().err().unwrap();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.to_string().contains("too short"), "{error}");
        alphabet.no_require_each = true;
        assert_eq!(alphabet.make().unwrap().len(), 3);
        alphabet.exclude_characters = Some((0_u8..128).map(char::from).collect());
        let error = alphabet.make().err().unwrap();
        assert!(error.to_string().contains("nothing to choose"), "{error}");
    }
}
