use std::io;
use std::path::PathBuf;

use crate::crypto::{EncryptError, KeysError};

/// Why a directory is no place for the agent's socket.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The path has no directory, or is not absolute.
    #[error("{}: not an absolute path of a socket", .path.display())]
    NotAbsolute {
        /// The socket.
        path: PathBuf,
    },
    /// Longer than the system's address of a socket.
    #[error("{}: too long for a socket's path; at most 107 bytes", .path.display())]
    TooLong {
        /// The socket.
        path: PathBuf,
    },
    /// A symbolic link or a file.
    #[error("{}: not a directory, or a symbolic link to one", .path.display())]
    NotADirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody else's.
    #[error("{}: belongs to user {owner}; an agent there is not ours", .path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The user it belongs to.
        owner: u32,
    },
    /// Others can go in.
    #[error("{}: has mode {mode:o}; the agent's directory must be 700", .path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It cannot be made or looked at.
    #[error("{}", .path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Why no agent could begin to listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The directory is not fit.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// There is one.
    #[error("{}: an agent is running already{}", .path.display(), .pid.map(|p| format!(" (process {p})")).unwrap_or_default())]
    AlreadyRunning {
        /// The socket.
        path: PathBuf,
        /// Its process, if it said.
        pid: Option<u32>,
    },
    /// A file or a directory where the socket should be.
    #[error("{}: something that is no socket of ours is in the way", .path.display())]
    InTheWay {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{}", .path.display())]
    Io {
        /// The socket or the lock file beside it.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Why the agent did not do what a client asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket's directory is not one that only we can write to.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The process at the other end is somebody else's.
    #[error("{}: the agent there runs as user {owner}, not as you", .path.display())]
    Foreign {
        /// The socket.
        path: PathBuf,
        /// The user it runs as.
        owner: u32,
    },
    /// It does not hold that vault's keys, or no longer.
    #[error("the agent does not hold this vault's keys")]
    Locked,
    /// It is of another version of strongroom.
    #[error("the running agent is of another version of strongroom")]
    OtherVersion,
    /// It does not take what it was asked.
    #[error("the agent refused")]
    Refused,
    /// What it said is no answer.
    #[error("the agent's answer cannot be understood")]
    NoAnswer,
    /// More than it takes.
    #[error("a text of {0} bytes is more than the agent takes")]
    TooLarge(usize),
    /// The keyring could not be made ready for it.
    #[error("cannot encrypt the keyring to the agent")]
    Encrypt(#[from] EncryptError),
    /// It went away, or cannot be reached.
    #[error("{}", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl From<ClientError> for KeysError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Locked => Self::Locked,
            ClientError::Io { .. } => Self::Gone,
            ClientError::TooLarge(len) => Self::TooLarge(len),
            _ => Self::NoAnswer,
        }
    }
}
