use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use clap::Args;

use super::DONE;
use crate::cli::context::{Context, Own, new_uuid, now};
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::crypto::{Argon2Cost, SealedIdentity};

/// Change the passphrase of your identity
///
/// The key stays the same, so nothing in any vault changes. Other copies of the
/// identity file, backups among them, still open with the old passphrase.
#[derive(Debug, Args)]
pub struct Passwd {
    /// Take the passphrase away: whoever reads the file then opens your vaults
    #[arg(long, conflicts_with = "new_passphrase_fd")]
    no_passphrase: bool,
    /// Read the new passphrase from this inherited file descriptor
    #[arg(long, value_name = "N")]
    new_passphrase_fd: Option<u32>,
}

impl Passwd {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        if ctx.globals.identity_fd.is_some() || ctx.identity_is_in_env() {
            return Err(CommandError::usage(
                "the identity comes from a descriptor or the environment, where it cannot be changed",
            )
            .hint("name its file with STRONGROOM_IDENTITY_FILE"));
        }
        let path = ctx.identity_path()?;
        let identity = match ctx.identity()? {
            Own::Age(identity) => identity,
            Own::Ssh(_) => {
                return Err(CommandError::usage(format!(
                    "{}: an ssh key; change its passphrase with: ssh-keygen -p",
                    path.display()
                )));
            }
            Own::Plugin(key) => {
                return Err(CommandError::usage(format!(
                    "{}: a key of {}, which guards it itself",
                    path.display(),
                    key.plugin().program()
                )));
            }
        };
        // A link stays a link; what it points to is replaced.
        let real = path.canonicalize().map_err(|e| failed(&path, &e))?;
        if self.no_passphrase {
            ctx.ui.confirm(&format!(
                "Leave {} without a passphrase, so that whoever reads it opens your vaults?",
                path.display()
            ))?;
            replace(&real, &identity.to_file(now()))?;
            ctx.ui
                .status(&format!("{} has no passphrase now", path.display()));
            return DONE;
        }
        let passphrase = match self.new_passphrase_fd {
            Some(fd) => Context::passphrase_from(fd)?,
            None => ctx.ui.new_passphrase().map_err(|e| match e.exit {
                Exit::Locked => e.hint("give the new one with --new-passphrase-fd N"),
                _ => e,
            })?,
        };
        if passphrase.is_empty() {
            return Err(CommandError::usage("the passphrase is empty")
                .hint("to do without one, use --no-passphrase"));
        }
        let sealed = SealedIdentity::seal(&identity, &passphrase, Argon2Cost::DEFAULT, now())
            .map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
        replace(&real, sealed.as_str().as_bytes())?;
        ctx.ui
            .status(&format!("{} has a new passphrase", path.display()));
        ctx.ui
            .hint("back it up again; old copies still open with the old passphrase");
        DONE
    }
}

/// Puts new content in the place of a file that only its owner reads: all of it or
/// nothing, durably.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let temp = dir.join(format!(".strongroom-identity-{}", new_uuid()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temp)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&temp, path))
        .and_then(|()| File::open(dir)?.sync_all());
    written.map_err(|e| {
        drop(std::fs::remove_file(&temp));
        failed(path, &e)
    })
}

fn failed(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::new(Exit::Unexpected, format!("{}: {error}", path.display()))
}
