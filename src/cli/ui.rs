//! The terminal: stdout is data, stderr is talk, the terminal itself is for prompts.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::error::{CommandError, CommandResult};
use super::exit::Exit;
use crate::crypto::Passphrase;
use crate::store::Progress;

/// How progress is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ProgressMode {
    /// A bar on a terminal, nothing elsewhere.
    #[default]
    Auto,
    /// One JSON object a line on stderr.
    Json,
    /// Nothing.
    None,
}

/// What a command says and asks.
#[derive(Clone)]
pub struct Ui {
    quiet: bool,
    json: bool,
    yes: bool,
    progress: ProgressMode,
    color: bool,
}

impl Ui {
    /// Reads the terminal's state once. `color` is false where `NO_COLOR` is set.
    pub fn new(quiet: bool, json: bool, yes: bool, progress: ProgressMode, color: bool) -> Self {
        Self {
            quiet,
            json,
            yes,
            progress,
            color: color && io::stderr().is_terminal(),
        }
    }

    /// Whether `--json` was given.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether stdout is a terminal, where a value would be seen.
    pub fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether stdin is a terminal.
    pub fn stdin_is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// Writes data: exactly these bytes.
    pub fn data(&self, bytes: &[u8]) -> Result<(), CommandError> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(broken_pipe)
    }

    /// Writes a line of data.
    pub fn line(&self, text: &str) -> Result<(), CommandError> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}").map_err(broken_pipe)
    }

    /// Writes a JSON document.
    pub fn json_data(&self, value: &serde_json::Value) -> Result<(), CommandError> {
        self.line(&format!("{value:#}"))
    }

    /// Says what was done; `--quiet` silences it.
    pub fn status(&self, text: &str) {
        if !self.quiet {
            self.talk(text);
        }
    }

    /// Warns; `--quiet` does not silence it.
    pub fn warn(&self, text: &str) {
        let head = self.paint("33", "warning:");
        self.talk(&format!("{head} {text}"));
    }

    /// Offers help.
    pub fn hint(&self, text: &str) {
        if !self.quiet {
            let head = self.paint("36", "hint:");
            self.talk(&format!("{head} {text}"));
        }
    }

    /// Shows an error with its causes and hints.
    pub fn error(&self, error: &CommandError) {
        let text = error.to_string();
        let text = text.trim_end();
        let text = match text.strip_prefix("error:") {
            Some(rest) => format!("{}{rest}", self.paint("31", "error:")),
            None => text.to_owned(),
        };
        self.talk(&text);
    }

    fn talk(&self, text: &str) {
        // A closed stderr is no reason to fail.
        drop(writeln!(io::stderr(), "{text}"));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color {
            format!("\u{1b}[1;{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// Asks for a passphrase on the terminal, without echo.
    pub fn passphrase(&self, prompt: &str) -> Result<Passphrase, CommandError> {
        let text = self.hidden(prompt)?;
        Ok(Passphrase::new(&text))
    }

    /// Asks for a new passphrase, twice.
    pub fn new_passphrase(&self) -> Result<Passphrase, CommandError> {
        let first = self.hidden("New passphrase: ")?;
        if first.is_empty() {
            return Err(CommandError::usage("the passphrase is empty")
                .hint("for a machine without a person, use --no-passphrase"));
        }
        let second = self.hidden("The same again: ")?;
        if *first != *second {
            return Err(CommandError::usage("the two passphrases differ"));
        }
        Ok(Passphrase::new(&first))
    }

    /// Asks for a value on the terminal, without echo.
    pub fn hidden(&self, prompt: &str) -> Result<zeroize::Zeroizing<String>, CommandError> {
        match rpassword::prompt_password(prompt) {
            Ok(text) => Ok(zeroize::Zeroizing::new(text)),
            Err(_) => Err(CommandError::new(
                Exit::Locked,
                "there is no terminal to ask on",
            )),
        }
    }

    /// Asks yes or no. `--yes` answers; without a terminal the answer is no, and the
    /// error names the flag.
    pub fn confirm(&self, question: &str) -> Result<(), CommandError> {
        if self.yes {
            return Ok(());
        }
        let aborted = || CommandError::new(Exit::Aborted, "not confirmed");
        if !self.can_ask() {
            return Err(aborted().hint("add --yes to confirm without being asked"));
        }
        match self.ask(&format!("{question} [y/N]"))?.as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(aborted()),
        }
    }

    /// Whether there is a person to ask.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks on the terminal; the answer in lower case, without space around it.
    pub fn ask(&self, question: &str) -> Result<String, CommandError> {
        Ok(self.ask_exactly(question)?.to_lowercase())
    }

    /// Asks on the terminal; the answer without space around it.
    pub fn ask_exactly(&self, question: &str) -> Result<String, CommandError> {
        let mut err = io::stderr();
        drop(write!(err, "{question} ").and_then(|()| err.flush()));
        let mut answer = String::new();
        io::stdin()
            .read_line(&mut answer)
            .map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
        Ok(answer.trim().to_owned())
    }

    /// Something that draws progress.
    pub fn progress(&self) -> Box<dyn Progress> {
        match self.progress {
            ProgressMode::Json => Box::new(Ndjson::default()),
            ProgressMode::Auto if !self.quiet && io::stderr().is_terminal() => {
                Box::new(Bars::default())
            }
            _ => Box::new(crate::store::Silent),
        }
    }
}

/// A reader that went away (`| head`) is not an error worth a message; the run ends.
fn broken_pipe(error: io::Error) -> CommandError {
    CommandError::from_error(Exit::Unexpected, error)
}

/// Whether an error is nothing but a closed pipe on stdout.
pub(super) fn is_broken_pipe(result: &CommandResult) -> bool {
    let Err(error) = result else {
        return false;
    };
    error
        .error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

#[derive(Default)]
struct Bars(Mutex<Option<ProgressBar>>);

impl Bars {
    fn with(&self, act: impl FnOnce(&ProgressBar)) {
        if let Ok(guard) = self.0.lock()
            && let Some(bar) = guard.as_ref()
        {
            act(bar);
        }
    }
}

impl Progress for Bars {
    fn begin(&self, what: &str, total: Option<usize>) {
        let bar = match total {
            Some(total) => {
                let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}");
                let bar = ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX));
                match style {
                    Ok(style) => bar.with_style(style.progress_chars("=> ")),
                    Err(_) => bar,
                }
            }
            None => {
                let style = ProgressStyle::with_template("{msg} {pos}");
                let bar = ProgressBar::new_spinner();
                match style {
                    Ok(style) => bar.with_style(style),
                    Err(_) => bar,
                }
            }
        };
        // What is done within half a second needs no bar.
        let bar = bar.with_message(what.to_owned());
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr_with_hz(4));
        bar.enable_steady_tick(Duration::from_millis(500));
        if let Ok(mut guard) = self.0.lock() {
            *guard = Some(bar);
        }
    }

    fn advance(&self, n: usize) {
        self.with(|bar| bar.inc(u64::try_from(n).unwrap_or(0)));
    }

    fn finish(&self) {
        self.with(ProgressBar::finish_and_clear);
    }
}

#[derive(Default)]
struct Ndjson(Mutex<(String, usize, Option<usize>)>);

impl Ndjson {
    fn say(&self, event: &str) {
        if let Ok(guard) = self.0.lock() {
            let (what, done, total) = &*guard;
            let line = serde_json::json!({
                "event": event, "phase": what, "done": done, "total": total,
            });
            drop(writeln!(io::stderr(), "{line}"));
        }
    }
}

impl Progress for Ndjson {
    fn begin(&self, what: &str, total: Option<usize>) {
        if let Ok(mut guard) = self.0.lock() {
            *guard = (what.to_owned(), 0, total);
        }
        self.say("begin");
    }

    fn advance(&self, n: usize) {
        if let Ok(mut guard) = self.0.lock() {
            guard.1 += n;
        }
        self.say("progress");
    }

    fn finish(&self) {
        self.say("end");
    }
}
