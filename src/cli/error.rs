use std::error::Error;
use std::fmt;

use super::exit::Exit;
use crate::agent::{BindError, ClientError, PlaceError};
use crate::config::BadValue;
use crate::crypto::PluginError;
use crate::migrate::{JournalError, MigrateError, PlanError, RuleError};
use crate::model::{
    AttributeError, Invalid, LabelError, NameError, RemoteNameError, SelectError, SelectorError,
    ValueError, VersionIdError,
};
use crate::plan::{Halt, ResolveError};
use crate::store::StoreError;
use crate::sync::SyncError;
use crate::vault::{MemberError, MetaError, VaultError};

/// Why a command failed: what happened, what a person can do about it, and the exit
/// code that scripts see.
#[derive(Debug)]
pub struct CommandError {
    /// The exit code.
    pub exit: Exit,
    /// What happened.
    pub error: Box<dyn Error + Send + Sync>,
    /// What to do about it, in the user's words.
    pub hints: Vec<String>,
}

/// What a command gives back.
pub type CommandResult = Result<Exit, CommandError>;

impl CommandError {
    /// An error in words.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            error: message.into().into(),
            hints: Vec::new(),
        }
    }

    /// An error with its causes.
    pub fn from_error(exit: Exit, error: impl Error + Send + Sync + 'static) -> Self {
        Self {
            exit,
            error: Box::new(error),
            hints: Vec::new(),
        }
    }

    /// Wrong words on the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Something named is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for CommandError {
    /// `error:`, then each cause, then each hint, a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.error)?;
        let mut cause = self.error.source();
        let mut above = self.error.to_string();
        while let Some(error) = cause {
            let text = error.to_string();
            // A transparent error says again what was just said.
            if text != above {
                writeln!(f, "caused by: {text}")?;
            }
            above = text;
            cause = error.source();
        }
        for hint in &self.hints {
            writeln!(f, "hint: {hint}")?;
        }
        Ok(())
    }
}

macro_rules! usage_errors {
    ($($kind:ty),*) => {$(
        impl From<$kind> for CommandError {
            fn from(error: $kind) -> Self {
                Self::from_error(Exit::Usage, error)
            }
        }
    )*};
}
usage_errors!(
    AttributeError,
    LabelError,
    NameError,
    RemoteNameError,
    SelectorError,
    VersionIdError,
    RuleError,
    BadValue
);

impl From<ValueError> for CommandError {
    fn from(error: ValueError) -> Self {
        let this = Self::from_error(Exit::Usage, error);
        match error {
            ValueError::NotText(_) => this.hint("use --binary to store bytes as a SecretBinary"),
            ValueError::TooLarge(_) => this,
        }
    }
}

impl From<SelectError> for CommandError {
    fn from(error: SelectError) -> Self {
        let hint = match &error {
            SelectError::Ambiguous { .. } => "give more characters of the id",
            _ => "see the versions and labels with: strongroom show NAME",
        };
        let exit = match &error {
            SelectError::Ambiguous { .. } => Exit::Usage,
            _ => Exit::NotFound,
        };
        Self::from_error(exit, error).hint(hint)
    }
}

impl From<Invalid> for CommandError {
    fn from(error: Invalid) -> Self {
        let exit = match &error {
            Invalid::NoSecret | Invalid::NoVersion(_) | Invalid::NoValue(_) | Invalid::Deleted => {
                Exit::NotFound
            }
            Invalid::VersionExists(_) => Exit::Integrity,
            _ => Exit::Guard,
        };
        let this = Self::from_error(exit, error.clone());
        match error {
            Invalid::Scheduled => this.hint("bring it back with: strongroom restore NAME"),
            Invalid::Deleted => {
                this.hint("its versions are kept; bring it back with: strongroom restore NAME")
            }
            Invalid::CurrentMustStay => this
                .hint("move it to another version: strongroom label NAME AWSCURRENT --to VERSION"),
            _ => this,
        }
    }
}

/// What to do about what git has not merged.
const MERGE: &str = "merge both sides with: strongroom merge";

impl From<PluginError> for CommandError {
    fn from(error: PluginError) -> Self {
        let hint = match &error {
            PluginError::NotAllowed(name) => Some(format!(
                "if you trust the program {}, allow it in your own settings, $XDG_CONFIG_HOME/strongroom/config.toml: plugins = [\"{name}\"]",
                name.program()
            )),
            PluginError::Missing(name) => Some(format!(
                "install {}, or have a member do this who has it",
                name.program()
            )),
            _ => None,
        };
        let this = Self::from_error(Exit::NoIdentity, error);
        match hint {
            Some(hint) => this.hint(hint),
            None => this,
        }
    }
}

impl From<VaultError> for CommandError {
    fn from(error: VaultError) -> Self {
        if let Some(error) = error.plugin() {
            return error.clone().into();
        }
        let exit = match &error {
            e if e.is_newer() => Exit::Unsupported,
            e if e.is_integrity() => Exit::Integrity,
            e if e.is_busy() => Exit::Busy,
            e if e.is_locked() => Exit::Locked,
            VaultError::NoIdentity { .. }
            | VaultError::NoMemberNow { .. }
            | VaultError::NoAccess { .. }
            | VaultError::KeyringClosed(_) => Exit::NoIdentity,
            VaultError::NoKeyring(_) => Exit::NotFound,
            VaultError::KeyringTaken(_) => Exit::Guard,
            VaultError::RekeyUnderWay { .. } => Exit::Partial,
            VaultError::NewEpoch { .. } | VaultError::Member(MemberError::Held) => Exit::Locked,
            VaultError::GitBusy(_)
            | VaultError::Member(
                MemberError::NameTaken(_)
                | MemberError::KeyTaken(_)
                | MemberError::Last
                | MemberError::LocksOut,
            ) => Exit::Guard,
            VaultError::Member(MemberError::Name | MemberError::NotYours) => Exit::Usage,
            VaultError::NotAVault { .. }
            | VaultError::NoValue { .. }
            | VaultError::Member(MemberError::NotAMember(_)) => Exit::NotFound,
            VaultError::AlreadyAVault { .. }
            | VaultError::Exposed { .. }
            | VaultError::Audit(_) => Exit::Guard,
            VaultError::Config { .. } | VaultError::Setting(_) => Exit::Usage,
            _ => Exit::Unexpected,
        };
        let hint = match &error {
            e if e.is_newer() => Some("a newer strongroom wrote this; upgrade to read it"),
            e if e.is_locked() => Some("unlock it for a while with: strongroom unlock"),
            e if e.is_busy() => Some("wait for it to finish, then run this again"),
            VaultError::OtherKeyring { .. } => Some(
                "ask a member for the fingerprint; if it is the one found: strongroom trust --fingerprint FINGERPRINT",
            ),
            VaultError::OldEpoch { .. } | VaultError::OldMembers { .. } => Some(
                "someone put an old state back, or this is an old commit; get the newest with: git pull",
            ),
            VaultError::GoneBack { .. } | VaultError::OldSettings { .. } => Some(
                "someone put an old state back, or this is an old commit; if it is meant to be: strongroom trust --rollback",
            ),
            VaultError::DamagedMark { .. } => Some(
                "see by git log that nothing old was put back, then begin it anew with: strongroom trust --rollback",
            ),
            VaultError::OtherFingerprint { .. } => {
                Some("do not use this vault before you know why; ask a member")
            }
            VaultError::RekeyUnderWay { .. } => {
                Some("if no other process is at it, finish it with: strongroom rekey")
            }
            VaultError::NewEpoch { .. } => {
                Some("unlock it anew, with: strongroom unlock; restart what serves it")
            }
            VaultError::Member(MemberError::LocksOut) => Some("ask a member who stays to do it"),
            VaultError::Unsound { .. } => Some("see what is wrong with: strongroom fsck"),
            VaultError::GitBusy(_) => Some("finish that first; see: git status"),
            VaultError::Ledger { .. } => {
                Some("git has the file: git log --all -- keys; git checkout COMMIT -- FILE")
            }
            VaultError::NotAVault { .. } => {
                Some("make one with: strongroom init DIR; or name one with -C DIR")
            }
            VaultError::NoIdentity { .. } => Some(
                "this identity is not a member of the vault; name another with STRONGROOM_IDENTITY_FILE",
            ),
            VaultError::NoMemberNow { .. } => Some(
                "ask a member whether you were removed; what you need to be let in again: strongroom join",
            ),
            VaultError::NoKeyring(_) => Some("see which there are with: strongroom keyring ls"),
            VaultError::KeyringLost { .. } => Some(
                "git log -- keys strongroom.toml shows who changed it; if it is meant to be, give the fingerprint by which it is trusted here: strongroom trust --fingerprint FINGERPRINT",
            ),
            VaultError::NoAccess { .. } | VaultError::KeyringClosed(_) => Some(
                "ask a member of that keyring to add you: strongroom members add --keyring KEYRING",
            ),
            VaultError::Metadata {
                source: MetaError::ConflictMarkers { .. } | MetaError::Unmerged,
                ..
            } => Some(MERGE),
            VaultError::Metadata { .. } | VaultError::Mac { .. } => Some(
                "see what else is wrong with: strongroom fsck; git log shows who changed the file",
            ),
            VaultError::ConflictMarkers { .. } => Some(MERGE),
            VaultError::Audit(_) => Some(
                "see what is wrong with: strongroom audit verify; the setting audit = \"on\" makes this a warning",
            ),
            VaultError::Value { .. }
            | VaultError::OtherValue { .. }
            | VaultError::ValueMissing { .. } => {
                Some("git may have the file as it was: git log -- FILE; see also: strongroom fsck")
            }
            _ => None,
        };
        let this = Self::from_error(exit, error);
        match hint {
            Some(hint) => this.hint(hint),
            None => this,
        }
    }
}

impl From<PlaceError> for CommandError {
    fn from(error: PlaceError) -> Self {
        let (exit, hint) = match &error {
            PlaceError::Io { .. } => (Exit::Unexpected, None),
            PlaceError::NotAbsolute { .. } | PlaceError::TooLong { .. } => (
                Exit::Usage,
                Some("name another socket with STRONGROOM_AGENT_SOCK"),
            ),
            PlaceError::Open { .. } => (
                Exit::Guard,
                Some(
                    "take the others' rights away: chmod 700 DIR; or name another socket with STRONGROOM_AGENT_SOCK",
                ),
            ),
            PlaceError::NotADirectory { .. } | PlaceError::Foreign { .. } => (
                Exit::Guard,
                Some("name a socket in a directory of your own with STRONGROOM_AGENT_SOCK"),
            ),
        };
        let this = Self::from_error(exit, error);
        match hint {
            Some(hint) => this.hint(hint),
            None => this,
        }
    }
}

impl From<BindError> for CommandError {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Place(error) => error.into(),
            BindError::AlreadyRunning { .. } => Self::from_error(Exit::Busy, error)
                .hint("end it with: strongroom lock; or hand it the keys: strongroom unlock"),
            BindError::InTheWay { .. } => Self::from_error(Exit::Guard, error)
                .hint("remove it, or name another socket with STRONGROOM_AGENT_SOCK"),
            BindError::Io { .. } => Self::from_error(Exit::Unexpected, error),
        }
    }
}

impl From<ClientError> for CommandError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Place(error) => error.into(),
            ClientError::Foreign { .. } => Self::from_error(Exit::Guard, error)
                .hint("name a socket of your own with STRONGROOM_AGENT_SOCK"),
            ClientError::Locked => Self::from_error(Exit::Locked, error)
                .hint("unlock it for a while with: strongroom unlock"),
            ClientError::OtherVersion => Self::from_error(Exit::Unsupported, error)
                .hint("end it with: kill PID; its process is in the file beside its socket, agent.sock.lock"),
            ClientError::Refused
            | ClientError::NoAnswer
            | ClientError::TooLarge(_)
            | ClientError::Encrypt(_)
            | ClientError::Io { .. } => Self::from_error(Exit::Unexpected, error),
        }
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let (exit, hint) = match &error {
            StoreError::NotFound | StoreError::NoValue(_) => (Exit::NotFound, None),
            StoreError::Unreachable { .. } => (
                Exit::Unreachable,
                Some("the vault itself works without a network; try again when you are back"),
            ),
            StoreError::Throttled { .. } => (
                Exit::Unreachable,
                Some("run it again later; it goes on where it was"),
            ),
            StoreError::Credentials { .. } => (
                Exit::Denied,
                Some("log in again (for example: aws sso login), then run this again"),
            ),
            StoreError::Denied { .. } | StoreError::Refused { .. } => (Exit::Denied, None),
            StoreError::WrongAccount { .. } => (
                Exit::Guard,
                Some("check the remote's profile and Region with: strongroom remote ls"),
            ),
            StoreError::Itself => (
                Exit::Guard,
                Some("a remote is an AWS account; look at its endpoint with: strongroom remote ls"),
            ),
            StoreError::VersionMismatch(_) | StoreError::Corrupt(_) => (Exit::Integrity, None),
            StoreError::Changed(_) => (Exit::Partial, Some("run it again to plan anew")),
        };
        let this = Self::from_error(exit, error);
        match hint {
            Some(hint) => this.hint(hint),
            None => this,
        }
    }
}

impl From<Halt> for CommandError {
    fn from(error: Halt) -> Self {
        if matches!(error, Halt::Conflicted { .. }) {
            return Self::from_error(Exit::Conflict, error).hint(
                "see them with: strongroom plan; the strategy for them is fail, so nothing was done",
            );
        }
        let hint = match &error {
            Halt::EmptyListing { .. } | Halt::EmptyMirror { .. } => {
                "a wrong profile, account or Region looks like this; check with: strongroom remote test"
            }
            Halt::EmptyVault { .. } => {
                "is this the right vault? To delete everything there, delete it here with: strongroom rm"
            }
            Halt::TwoMirrors { .. } => "sync them one at a time: name the remote",
            _ => {
                "look at the plan with: strongroom plan; if it is right, allow it with --max-delete N"
            }
        };
        Self::from_error(Exit::Guard, error).hint(hint)
    }
}

impl From<SyncError> for CommandError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Vault(error) => error.into(),
            SyncError::Halted(halt) => halt.into(),
            SyncError::Remote { remote, source } => {
                let inner = Self::from(source.clone());
                Self {
                    exit: inner.exit,
                    error: Box::new(SyncError::Remote { remote, source }),
                    hints: inner.hints,
                }
            }
        }
    }
}

impl From<MigrateError> for CommandError {
    fn from(error: MigrateError) -> Self {
        let (exit, hints) = match &error {
            MigrateError::From(source) | MigrateError::To(source) => {
                let inner = Self::from(source.clone());
                (inner.exit, inner.hints)
            }
            MigrateError::Keys(_) => (Exit::Locked, Vec::new()),
            MigrateError::Journal(_) => (Exit::Unexpected, Vec::new()),
            MigrateError::SamePlace => (
                Exit::Guard,
                vec!["to rename secrets within an account, use: strongroom mv, then push".into()],
            ),
            MigrateError::NotQuiet(_) => (
                Exit::Guard,
                vec![
                    "bring them up to date with: strongroom migrate apply FILE --delta; then: strongroom migrate verify FILE".into(),
                ],
            ),
        };
        let mut this = Self::from_error(exit, error);
        this.hints = hints;
        this
    }
}

impl From<JournalError> for CommandError {
    fn from(error: JournalError) -> Self {
        Self::from_error(Exit::Unexpected, error)
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        let exit = match &error {
            PlanError::Mac(_) | PlanError::Malformed(_) => Exit::Integrity,
            PlanError::Keys(_) => Exit::Locked,
            PlanError::NewerFormat(_) => Exit::Unsupported,
            PlanError::OtherVault => Exit::Guard,
        };
        let this = Self::from_error(exit, error);
        match exit {
            Exit::Integrity => this.hint(
                "it was altered, is for another vault, or is no plan that migrate plan made; make a new one",
            ),
            _ => this,
        }
    }
}

impl From<ResolveError> for CommandError {
    fn from(error: ResolveError) -> Self {
        let (exit, hint) = match &error {
            ResolveError::Stale | ResolveError::NotFetched(_) => {
                (Exit::StalePlan, "find it anew with: strongroom sync")
            }
            ResolveError::NoLabel(_) => (Exit::Usage, "use --ours or --theirs"),
            ResolveError::NoneHere => (Exit::Guard, "use --theirs, or --to VERSION"),
            ResolveError::Integrity => (
                Exit::Usage,
                "look at both with: strongroom get NAME#VERSION; then use --ours or --theirs",
            ),
            ResolveError::NoCopy(_) => (Exit::Unexpected, "use: strongroom resolve NAME --ours"),
            ResolveError::Invalid(_) => {
                (Exit::Guard, "see the versions with: strongroom show NAME")
            }
        };
        Self::from_error(exit, error).hint(hint)
    }
}
