use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::context::{Context, new_uuid};
use super::error::CommandError;
use super::exit::Exit;

/// File systems whose files are memory (Linux, magic.h): tmpfs and ramfs.
const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// A directory in memory that only its owner can enter; dropping it removes it with
/// all that is in it.
pub(super) struct MemoryDir(PathBuf);

impl MemoryDir {
    /// Makes one in XDG_RUNTIME_DIR or in /dev/shm, whichever is memory; there is no
    /// falling back to a disk.
    pub(super) fn make(ctx: &Context, what: &str) -> Result<Self, CommandError> {
        let places = ctx.runtime_dir.iter().map(PathBuf::as_path);
        let place = places
            .chain([Path::new("/dev/shm")])
            .find(|place| is_in_memory(place));
        let Some(place) = place else {
            return Err(CommandError::new(
                Exit::Unsupported,
                "there is no directory in memory, and a value is never written to a disk",
            )
            .hint("neither XDG_RUNTIME_DIR nor /dev/shm is a tmpfs"));
        };
        let dir = place.join(format!("strongroom-{what}-{}", new_uuid()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(|e| failed(&dir, &e))?;
        Ok(Self(dir))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Puts a new file into it that only its owner can read.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, CommandError> {
        let path = self.0.join(name);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|e| failed(&path, &e))?;
        Ok(path)
    }
}

impl Drop for MemoryDir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn is_in_memory(place: &Path) -> bool {
    rustix::fs::statfs(place)
        .ok()
        .and_then(|stat| u32::try_from(stat.f_type).ok())
        .is_some_and(|kind| IN_MEMORY.contains(&kind))
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> CommandError {
    CommandError::new(Exit::Unexpected, format!("{}: {error}", path.display()))
}
