use std::fmt;

use super::Held;
use crate::model::{RemoteName, SecretName};

/// Why nothing is done for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The agent that holds the vault's keys is locked.
    Locked,
    /// git is in the middle of something in the work tree.
    Git(&'static str),
    /// A guard has hit: a person must look. In words.
    Guard(String),
    /// Another process is changing the vault. In words.
    Busy(String),
    /// The vault cannot be read or written. In words.
    Vault(String),
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("the vault is locked; unlock it with: strongroom unlock"),
            Self::Git(what) => write!(f, "git is in the middle of {what}"),
            Self::Guard(why) => write!(f, "{why}; look at it with: strongroom plan"),
            Self::Busy(why) => write!(f, "the vault is {why}"),
            Self::Vault(why) => f.write_str(why),
        }
    }
}

/// What happens, for people and for logs. Never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Both sides were brought into step.
    Synced {
        /// How many secrets.
        secrets: usize,
        /// How many versions were copied into the vault.
        copied: usize,
        /// Steps taken in the vault beside that.
        here: usize,
        /// Steps taken on remotes.
        there: usize,
    },
    /// A secret was not brought into step, and why.
    Failed(SecretName, String),
    /// A secret is left alone, and why.
    Held(SecretName, Held),
    /// A conflict waits for a person. In words.
    Conflict(SecretName, String),
    /// A remote does not answer. In words.
    Trouble(RemoteName, String),
    /// A remote answers again.
    Answers(RemoteName),
    /// A remote that was never synced with: a person does that first.
    Unmet(RemoteName),
    /// Nothing is done for now.
    Paused(Pause),
    /// Things go on.
    Resumed,
    /// HEAD moved while a plan was made; it is made anew.
    Dropped,
    /// The machine was suspended; everything is looked at.
    Slept,
    /// Something was written and not committed to git. In words.
    Uncommitted(String),
}

impl Event {
    /// One word for programs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Synced { .. } => "synced",
            Self::Failed(..) => "failed",
            Self::Held(..) => "held",
            Self::Conflict(..) => "conflict",
            Self::Trouble(..) => "trouble",
            Self::Answers(_) => "answers",
            Self::Unmet(_) => "unmet",
            Self::Paused(_) => "paused",
            Self::Resumed => "resumed",
            Self::Dropped => "dropped",
            Self::Slept => "slept",
            Self::Uncommitted(_) => "uncommitted",
        }
    }

    /// Whether a person may have to do something.
    pub const fn is_warning(&self) -> bool {
        matches!(
            self,
            Self::Failed(..)
                | Self::Conflict(..)
                | Self::Trouble(..)
                | Self::Unmet(_)
                | Self::Paused(_)
                | Self::Uncommitted(_)
        ) || matches!(self, Self::Held(_, held) if !matches!(held, Held::Spaced(_)))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Synced {
                secrets,
                copied,
                here,
                there,
            } => write!(
                f,
                "Synced {secrets} secret{}: {copied} copied, {here} here, {there} there",
                if *secrets == 1 { "" } else { "s" }
            ),
            Self::Failed(name, why) => write!(f, "{name}: {why}"),
            Self::Held(name, held @ Held::Spaced(_)) => write!(f, "{name}: {held}"),
            Self::Held(name, held) => write!(f, "{name}: {held}; left to: strongroom sync"),
            Self::Conflict(name, what) => {
                write!(f, "{name}: {what}; decide with: strongroom resolve")
            }
            Self::Trouble(remote, why) => write!(f, "{remote}: {why}"),
            Self::Answers(remote) => write!(f, "{remote}: answers again"),
            Self::Unmet(remote) => write!(
                f,
                "{remote}: not synced with yet; do that once with: strongroom sync {remote}"
            ),
            Self::Paused(why) => write!(f, "paused: {why}"),
            Self::Resumed => f.write_str("Going on"),
            Self::Dropped => f.write_str("HEAD moved; looking anew"),
            Self::Slept => f.write_str("The machine was suspended; looking at everything"),
            Self::Uncommitted(why) => write!(f, "written, but not committed to git: {why}"),
        }
    }
}
