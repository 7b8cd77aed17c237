/// How a command ended, as scripts see it. The numbers are a promise: they are never
/// changed or used anew (book, "Exit codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Done.
    Ok,
    /// Something that should not happen: a full disk, a bug.
    Unexpected,
    /// The words on the command line.
    Usage,
    /// No such vault, secret, version, label or remote.
    NotFound,
    /// A conflict needs a person.
    Conflict,
    /// The vault is locked and nobody can be asked.
    Locked,
    /// No identity at hand opens the vault, or the passphrase is wrong.
    NoIdentity,
    /// Something is damaged, forged or not what it should be.
    Integrity,
    /// A remote cannot be reached, or `--offline` was given.
    Unreachable,
    /// A remote refused.
    Denied,
    /// A safety guard stopped it.
    Guard,
    /// Done in part; running it again goes on.
    Partial,
    /// A check found something.
    Findings,
    /// Another process is using the vault.
    Busy,
    /// A saved plan is no longer true.
    StalePlan,
    /// A person said no.
    Aborted,
    /// A newer format, or something this build or system cannot do.
    Unsupported,
    /// What a program that was run for somebody ended with; 128 and the signal's number
    /// where one ended it, 127 where it was not found, 126 where it could not be run.
    Child(u8),
}

impl Exit {
    /// Every code of our own, in order.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Unexpected,
        Self::Usage,
        Self::NotFound,
        Self::Conflict,
        Self::Locked,
        Self::NoIdentity,
        Self::Integrity,
        Self::Unreachable,
        Self::Denied,
        Self::Guard,
        Self::Partial,
        Self::Findings,
        Self::Busy,
        Self::StalePlan,
        Self::Aborted,
        Self::Unsupported,
    ];

    /// The number a shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Locked => 5,
            Self::NoIdentity => 6,
            Self::Integrity => 7,
            Self::Unreachable => 8,
            Self::Denied => 9,
            Self::Guard => 10,
            Self::Partial => 11,
            Self::Findings => 12,
            Self::Busy => 13,
            Self::StalePlan => 14,
            Self::Aborted => 15,
            Self::Unsupported => 16,
            Self::Child(status) => status,
        }
    }
}
