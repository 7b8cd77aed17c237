//! Wrong words on a command line that may hold a value: `put NAME --value=...` is a
//! mistake that people make, and an error that says it again puts the value into logs
//! and on screens.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::error::CommandError;
use crate::model::{LabelError, NameError, VersionIdError};

/// The verbs that bring a value into the vault.
const TAKE_VALUES: [&str; 4] = ["put", "set", "generate", "edit"];

/// The error to show instead of clap's, where clap's would repeat what was typed;
/// `None` where clap's own is fine.
pub(super) fn discreet(args: &[OsString], error: &clap::Error) -> Option<CommandError> {
    let words = args.iter().skip(1).filter_map(|arg| arg.to_str());
    let verb = words
        .into_iter()
        .find(|word| TAKE_VALUES.contains(word))?
        .to_owned();
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let shown = match error.kind() {
        // These say nothing but what is missing.
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingSubcommand
        | ErrorKind::MissingRequiredArgument => return None,
        ErrorKind::UnknownArgument => {
            let error =
                CommandError::usage("unexpected argument, not repeated here: it may hold a value");
            // A suggestion is the name of an option of ours.
            match text(ContextKind::SuggestedArg) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error,
            }
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            // The name of the argument is ours; what was given for it is not.
            let argument = text(ContextKind::InvalidArg).unwrap_or_default();
            let rule = rule(error).map(|rule| format!(": {rule}"));
            CommandError::usage(format!(
                "{argument} was given something that it does not take{}",
                rule.unwrap_or_default()
            ))
        }
        _ => CommandError::usage("these arguments do not go together"),
    };
    Some(
        shown
            .hint("values are never given as arguments: pipe them in, or type them at the prompt")
            .hint(format!("see what it takes with: strongroom {verb} --help")),
    )
}

/// The rule that a text breaks, if the error is one of ours: they say which, and never
/// the text.
fn rule(error: &clap::Error) -> Option<String> {
    let source = error.source()?;
    let name = source.downcast_ref::<NameError>().map(ToString::to_string);
    let label = source.downcast_ref::<LabelError>();
    let version = source.downcast_ref::<VersionIdError>();
    name.or_else(|| label.map(ToString::to_string))
        .or_else(|| version.map(ToString::to_string))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn said(words: &[&str]) -> String {
        let args: Vec<OsString> = ["strongroom"]
            .iter()
            .chain(words)
            .map(OsString::from)
            .collect();
        let error = Cli::try_parse_from(&args).unwrap_err();
        match discreet(&args, &error) {
            Some(error) => error.to_string(),
            None => error.to_string(),
        }
    }

    #[test]
    fn nothing_that_may_be_a_value_is_repeated() {
        for words in [
            &["put", "prod/db", "--value=hunter2"][..],
            &["put", "prod/db", "--value", "hunter2"],
            &["put", "prod/db", "-x", "hunter2"],
            &["put", "prod/db", "-zhunter2"],
            &["put", "prod/db hunter2"],
            &["put", "prod/db", "--version-id", "hunter2"],
            &["put", "prod/db", "--binary=hunter2"],
            &["set", "prod/db", "--file", "a", "--file", "hunter2"],
            &["--json=hunter2", "put", "prod/db"],
            &["--progress", "hunter2", "put", "prod/db"],
            &["generate", "prod/db", "--length", "hunter2"],
            &["generate", "prod/db", "--password=hunter2"],
            &["edit", "prod/db", "--to=hunter2"],
        ] {
            let text = said(words);
            assert!(!text.contains("hunter2"), "{words:?}: {text}");
            assert!(text.starts_with("error: "), "{words:?}: {text}");
        }
    }

    #[test]
    fn the_rule_and_the_suggestion_are_still_said() {
        assert!(said(&["put", "a b"]).contains("position 2"));
        assert!(said(&["put", "a", "--labell", "x"]).contains("--label"));
        assert!(said(&["put"]).contains("required"));
    }
}
