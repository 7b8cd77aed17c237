use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::bundle::{self, Key, Unproved, is_under_passphrase};
use crate::cli::context::{Context, Own, new_uuid};
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::crypto::Passphrase;
use crate::exchange::{self, Memory, Proved};
use crate::vault::Vault;

/// A bundle, and what opens it.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// The bundle
    file: PathBuf,
    /// Read the bundle's passphrase from this inherited file descriptor
    #[arg(long, value_name = "N")]
    bundle_passphrase_fd: Option<u32>,
}

/// What a person has to open a bundle with.
enum Opener {
    Identity(Own),
    Passphrase(Passphrase),
}

impl Opener {
    fn key(&self) -> Key<'_> {
        match self {
            Self::Identity(own) => Key::Identity(own.member()),
            Self::Passphrase(passphrase) => Key::Passphrase(passphrase),
        }
    }
}

/// What a verb about a bundle works with.
pub(super) struct Opened {
    pub(super) vault: Vault,
    pub(super) proved: Proved,
    pub(super) memory: Memory,
    /// The person's identity, if it was needed.
    pub(super) own: Option<Own>,
}

impl Source {
    pub(super) fn path(&self) -> &Path {
        &self.file
    }

    fn opener(&self, ctx: &Context) -> Result<Opener, CommandError> {
        let mut head = [0; 64];
        let length = std::fs::File::open(&self.file)
            .and_then(|mut file| match file.metadata()?.is_file() {
                true => file.read(&mut head),
                // Reading it says what it is.
                false => Ok(0),
            })
            .map_err(|error| {
                let exit = match error.kind() {
                    std::io::ErrorKind::NotFound => Exit::NotFound,
                    _ => Exit::Unexpected,
                };
                CommandError::new(exit, format!("{}: {error}", self.file.display()))
            })?;
        if !is_under_passphrase(head.get(..length).unwrap_or_default()) {
            return Ok(Opener::Identity(ctx.identity()?));
        }
        let passphrase = match self.bundle_passphrase_fd {
            Some(fd) => Context::passphrase_from(fd)?,
            None => ctx
                .ui
                .passphrase("Passphrase of the bundle: ")
                .map_err(|e| e.hint("give it with --bundle-passphrase-fd N"))?,
        };
        Ok(Opener::Passphrase(passphrase))
    }

    /// The vault, unlocked, and the bundle, proved to be of one of its members.
    pub(super) fn open(&self, ctx: &Context) -> Result<Opened, CommandError> {
        let mut vault = ctx.open()?;
        let opener = self.opener(ctx)?;
        match &opener {
            // One passphrase is enough.
            Opener::Identity(identity) => ctx.unlock_as(&mut vault, identity.member())?,
            Opener::Passphrase(_) => ctx.unlock(&mut vault)?,
        }
        let staging = vault.state_dir().join("staging");
        let unproved = bundle::read(&self.file, &opener.key(), &staging)?;
        let here = vault.keys().map(crate::crypto::KeyringKeys::commitment);
        let own = match opener {
            Opener::Identity(own) => Some(own),
            // Another epoch's keys are opened with the person's own.
            Opener::Passphrase(_) if here != Some(unproved.header().keyring) => {
                let own = ctx.identity()?;
                ctx.unlock_as(&mut vault, own.member())?;
                Some(own)
            }
            Opener::Passphrase(_) => None,
        };
        let proved = exchange::prove(&vault, unproved, own.as_ref().map(Own::member))?;
        let memory = Memory::load(&vault, &new_uuid())?;
        Ok(Opened {
            vault,
            proved,
            memory,
            own,
        })
    }

    /// The bundle alone, of which nobody knows who made it; and the identity that opened
    /// it, if one did.
    pub(super) fn read(&self, ctx: &Context) -> Result<(Unproved, Option<Own>), CommandError> {
        let opener = self.opener(ctx)?;
        let staging = ctx.state_home()?.join("strongroom/staging");
        let unproved = bundle::read(&self.file, &opener.key(), &staging)?;
        Ok(match opener {
            Opener::Identity(identity) => (unproved, Some(identity)),
            Opener::Passphrase(_) => (unproved, None),
        })
    }
}
