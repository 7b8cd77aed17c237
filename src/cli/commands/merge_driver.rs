use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::DONE;
use crate::cli::context::Context;
use crate::cli::error::{CommandError, CommandResult};
use crate::cli::exit::Exit;
use crate::vault::{Vault, meta};

/// Merge one file, for git
///
/// git runs it, in the work tree, for the files that .gitattributes names. It asks
/// nothing: where the vault is locked it fails, and git leaves the file unmerged.
#[derive(Debug, Args)]
pub struct MergeDriver {
    /// The common ancestor
    base: PathBuf,
    /// This side, and where the result goes
    ours: PathBuf,
    /// The other side
    theirs: PathBuf,
    /// The file's path in the repository
    path: PathBuf,
}

impl MergeDriver {
    pub(super) fn run(self, ctx: &Context) -> CommandResult {
        let later = |error: CommandError| error.hint("merge it later with: strongroom merge");
        self.merge(ctx).map_err(later)
    }

    fn merge(&self, ctx: &Context) -> CommandResult {
        let here = std::env::current_dir().and_then(|dir| dir.canonicalize());
        let here = here.map_err(|e| CommandError::from_error(Exit::Unexpected, e))?;
        let file = here.join(&self.path);
        let dir = file.parent().and_then(Vault::find).ok_or_else(|| {
            CommandError::not_found(format!("{}: in no vault", self.path.display()))
        })?;
        let mut vault = Vault::open(&dir, ctx.state_home()?)?;
        ctx.unlock_quietly(&mut vault)?;
        let path = file.strip_prefix(vault.root()).ok().and_then(Path::to_str);
        let path = path.unwrap_or_default();
        let [base, ours, theirs] = [&self.base, &self.ours, &self.theirs].map(|path| read(path));
        let merged = vault
            .merge_texts(path, &base?, &ours?, &theirs?)
            .map_err(|why| {
                CommandError::new(Exit::Integrity, format!("{}: {why}", self.path.display()))
            })?;
        std::fs::write(&self.ours, merged).map_err(|e| failed(&self.ours, &e))?;
        DONE
    }
}

fn failed(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::new(Exit::Unexpected, format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, CommandError> {
    let cap = u64::try_from(meta::MAX).unwrap_or(u64::MAX) + 1;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| failed(path, &e))?;
    let mut file = file.take(cap);
    file.read_to_end(&mut bytes).map_err(|e| failed(path, &e))?;
    Ok(bytes)
}

/// This program, as git is to run it.
pub(super) fn program() -> Result<PathBuf, CommandError> {
    std::env::current_exe().map_err(|e| CommandError::from_error(Exit::Unexpected, e))
}
