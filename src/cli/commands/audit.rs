mod offboard;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::DONE;
use crate::cli::context::{Context, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::config::Span;
use crate::model::{Escaped, SecretName, Timestamp};
use crate::vault::{AuditError, Audited};
use offboard::Offboard;

/// See who read and wrote which secret on this machine, and check the log
///
/// Each clone keeps a log of what is done with its values, in its local state and in no
/// git: who asked, through which door, for which version, and what came of it. A value
/// is never in it.
#[derive(Debug, Subcommand)]
pub enum Audit {
    Log(AuditLog),
    Offboard(Offboard),
    Verify(Verify),
}

impl Audit {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        match self {
            Self::Log(c) => c.run(ctx),
            Self::Offboard(c) => c.run(ctx),
            Self::Verify(c) => c.run(ctx),
        }
    }
}

/// Print the log, oldest event first
///
/// With --json each event is one line, with the field names of AWS CloudTrail, exactly
/// as it is in the log.
///
/// Example: strongroom audit log prod/db --since 24h
#[derive(Debug, Args)]
pub struct AuditLog {
    /// Only what was asked of this secret
    name: Option<SecretName>,
    /// Only since then: a number of minutes, hours or days as in 24h, or a moment as in
    /// 2026-11-23T10:00:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
}

/// From when on.
#[derive(Clone, Copy, Debug)]
enum Since {
    Ago(Span),
    At(Timestamp),
}

impl std::str::FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let day = |text: &str| format!("{text}T00:00:00Z").parse();
        match text.parse() {
            Ok(span) => Ok(Self::Ago(span)),
            Err(_) => (text.parse().or_else(|_| day(text)))
                .map(Self::At)
                .map_err(|_| "neither a time such as 24h, nor a date, nor an RFC 3339 moment"),
        }
    }
}

impl AuditLog {
    fn run(self, ctx: &Context) -> CommandResult {
        let vault = ctx.open()?;
        let since = self.since.map(|since| match since {
            Since::At(at) => at,
            Since::Ago(span) => {
                let ago = i64::try_from(span.duration().as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now().millis().saturating_sub(ago))
            }
        });
        let mut said = Ok(());
        let found = vault.audited(&mut |line, event| {
            let at = text(event, &["eventTime"]).and_then(|t| t.parse::<Timestamp>().ok());
            let early = since.is_some_and(|since| at.is_none_or(|at| at < since));
            let name = text(event, &["requestParameters", "secretId"]);
            let other = (self.name.as_ref()).is_some_and(|n| name != Some(n.as_str()));
            if said.is_err() || early || other {
                return;
            }
            said = match ctx.ui.json() {
                true => ctx.ui.line(line),
                false => ctx.ui.line(&sentence(event)),
            };
        });
        let found = found.map_err(unreadable)?;
        said?;
        match &found.broken {
            Some(_) => Err(broken(&found)),
            None => DONE,
        }
    }
}

/// Check that the log is what was written
///
/// Each line is chained to the one before by a hash; while the vault is unlocked, seals
/// under the vault's key are added from time to time. A line that was altered, removed,
/// moved or added is named. What a chain proves, and what it cannot, is said in the
/// book. Seals are checked if the agent is unlocked, or with --unlock.
///
/// Example: strongroom audit verify --unlock
#[derive(Debug, Args)]
pub struct Verify {
    /// Unlock the vault to check the seals
    #[arg(long)]
    unlock: bool,
    /// A line number and hash that an earlier check printed and you noted elsewhere: the
    /// log must still have them
    #[arg(long, value_name = "NUMBER:HASH")]
    expect: Option<String>,
}

impl Verify {
    fn run(self, ctx: &Context) -> CommandResult {
        let expected = self.expect.as_deref().map(head).transpose()?;
        let mut vault = ctx.open()?;
        if self.unlock {
            ctx.unlock(&mut vault)?;
        } else {
            ctx.unlock_by_agent(&mut vault)?;
        }
        let mut has_it = expected.is_none();
        let mut before = String::new();
        let found = vault.audited(&mut |_, event| {
            // The hash of a line is what the next one names.
            let number = event.pointer("/chain/sequence").and_then(Value::as_u64);
            before = text(event, &["chain", "previous"])
                .unwrap_or_default()
                .to_owned();
            has_it |= expected.is_some_and(|(n, hash)| number == Some(n + 1) && before == hash);
        });
        let found = found.map_err(unreadable)?;
        has_it |= expected.is_some_and(|(n, hash)| found.last == n && found.head == hash);
        if ctx.ui.json() {
            ctx.ui.json_data(&json!({
                "Lines": found.lines,
                "First": found.first,
                "Last": found.last,
                "Head": format!("{}:{}", found.last, found.head),
                "Seals": found.seals,
                "SealsNotChecked": found.unchecked,
                "SealedTo": found.sealed,
                "Broken": found.broken.as_ref().map(|b| json!({
                    "File": b.path.display().to_string(),
                    "Line": b.line,
                    "Why": b.why,
                })),
                "HasExpected": self.expect.is_some().then_some(has_it),
            }))?;
        } else {
            say(ctx, &found)?;
        }
        if found.broken.is_some() {
            return Err(broken(&found));
        }
        if !has_it {
            return Err(CommandError::new(
                Exit::Integrity,
                "the log does not have the expected line: it was cut off or written anew",
            ));
        }
        DONE
    }
}

fn say(ctx: &Context, found: &Audited) -> Result<(), CommandError> {
    if found.last == 0 {
        return match found.broken {
            Some(_) => Ok(()),
            None => ctx.ui.line("the log is empty"),
        };
    }
    let (first, last) = (found.first, found.last);
    ctx.ui
        .line(&format!("lines {first} to {last} follow from one another"))?;
    if first > 1 {
        ctx.ui.line(&format!(
            "lines 1 to {} are not there: their files were removed",
            first - 1
        ))?;
    }
    match (found.seals, found.unchecked) {
        (0, 0) => ctx.ui.line("no seal yet: only the chain speaks for it")?,
        (0, n) => ctx.ui.line(&format!("{n} seals were not checked"))?,
        (seals, n) => {
            ctx.ui.line(&format!(
                "{seals} seals are right, the last at line {}",
                found.sealed
            ))?;
            if n > 0 {
                ctx.ui
                    .line(&format!("{n} seals of other keys were not checked"))?;
            }
        }
    }
    ctx.ui.line(&format!("head: {last}:{}", found.head))
}

/// One event as a line for a person.
fn sentence(event: &Value) -> String {
    let of = |path: &[&str]| text(event, path);
    let mut line = String::new();
    let mut add = |word: &str| {
        if !line.is_empty() {
            line.push_str("  ");
        }
        line.push_str(&Escaped(word).to_string());
    };
    add(of(&["eventTime"]).unwrap_or_default());
    add(of(&["eventName"]).unwrap_or_default());
    if let Some(name) = of(&["requestParameters", "secretId"]) {
        let version = of(&["requestParameters", "versionId"])
            .or_else(|| of(&["requestParameters", "moveToVersionId"]));
        let short = version.map(|v| v.chars().take(8).collect::<String>());
        add(&short.map_or_else(|| name.to_owned(), |v| format!("{name}#{v}")));
    }
    if let Some(label) = of(&["requestParameters", "versionStage"]) {
        add(label);
    }
    let agent = of(&["userAgent"]).unwrap_or_default();
    let verb = agent.rsplit(' ').next().unwrap_or_default();
    let door = of(&["additionalEventData", "door"]).unwrap_or_default();
    add(&format!("{door} {verb}"));
    let user = of(&["userIdentity", "principalId"]).unwrap_or_default();
    let by =
        of(&["userIdentity", "accessKeyId"]).or_else(|| of(&["additionalEventData", "program"]));
    add(&format!("uid {user} {}", by.unwrap_or_default()));
    add(of(&["errorCode"]).unwrap_or("ok"));
    line
}

fn text<'v>(event: &'v Value, path: &[&str]) -> Option<&'v str> {
    let mut at = event;
    for key in path {
        at = at.get(key)?;
    }
    at.as_str()
}

/// A noted head: its number and its hash.
fn head(noted: &str) -> Result<(u64, &str), CommandError> {
    let parts = noted.split_once(':');
    parts
        .and_then(|(number, hash)| Some((number.parse().ok()?, hash)))
        .ok_or_else(|| {
            CommandError::usage("--expect takes what an earlier check printed after head:")
        })
}

fn broken(found: &Audited) -> CommandError {
    let text = match &found.broken {
        Some(b) => format!("{}: line {}: {}", b.path.display(), b.line, b.why),
        None => String::new(),
    };
    CommandError::new(Exit::Integrity, text)
        .hint("what follows that line proves nothing; keep the files, and begin a new log by moving their directory away")
}

fn unreadable(error: AuditError) -> CommandError {
    let exit = match &error {
        AuditError::Damaged { .. } => Exit::Integrity,
        AuditError::Busy { .. } => Exit::Busy,
        AuditError::Disk(_) => Exit::Unexpected,
    };
    CommandError::from_error(exit, error)
}
