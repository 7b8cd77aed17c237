/// How a command ended, as scripts see it. The numbers are a promise: they are never
/// changed or used anew (book, "Exit codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something that should not happen: a full disk, a bug.
    Unexpected = 1,
    /// The words on the command line.
    Usage = 2,
    /// No such vault, secret, version, label or remote.
    NotFound = 3,
    /// A conflict needs a person.
    Conflict = 4,
    /// The vault is locked and nobody can be asked.
    Locked = 5,
    /// No identity at hand opens the vault, or the passphrase is wrong.
    NoIdentity = 6,
    /// Something is damaged, forged or not what it should be.
    Integrity = 7,
    /// A remote cannot be reached, or `--offline` was given.
    Unreachable = 8,
    /// A remote refused.
    Denied = 9,
    /// A safety guard stopped it.
    Guard = 10,
    /// Done in part; running it again goes on.
    Partial = 11,
    /// A check found something.
    Findings = 12,
    /// Another process is using the vault.
    Busy = 13,
    /// A saved plan is no longer true.
    StalePlan = 14,
    /// A person said no.
    Aborted = 15,
    /// A newer format, or something this build or system cannot do.
    Unsupported = 16,
}

impl Exit {
    /// Every code, in order.
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
        self as u8
    }
}
