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

/// The first place that memory is swapped to and that is not known to be encrypted or
/// memory itself.
pub(super) fn plain_swap() -> Option<PathBuf> {
    let listed = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    swaps(&listed).find(|place| !is_safe(place, Path::new("/sys/class/block")))
}

/// The places that /proc/swaps lists (proc(5)): a head line, then one a line.
fn swaps(listed: &str) -> impl Iterator<Item = PathBuf> {
    let lines = listed.lines().skip(1);
    lines.filter_map(|line| line.split_whitespace().next().map(PathBuf::from))
}

/// Whether a swap device is memory (zram) or encrypted by dm-crypt, whose devices say so
/// in their UUID.
fn is_safe(place: &Path, devices: &Path) -> bool {
    let real = place.canonicalize().unwrap_or_else(|_| place.to_owned());
    let Some(name) = real.file_name().and_then(|n| n.to_str()) else {
        return false;
    };
    if name.starts_with("zram") {
        return true;
    }
    let uuid = std::fs::read_to_string(devices.join(name).join("dm/uuid"));
    uuid.is_ok_and(|uuid| uuid.starts_with("CRYPT-"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_safe_in_memory_or_encrypted() {
        let listed = "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1 0 100\n/dev/dm-0 partition 1 0 -2\n/swapfile file 1 0 -3\n";
        let places: Vec<PathBuf> = swaps(listed).collect();
        assert_eq!(places.len(), 3);
        let devices = tempfile::tempdir().unwrap();
        let dm = devices.path().join("dm-0/dm");
        std::fs::create_dir_all(&dm).unwrap();
        std::fs::write(dm.join("uuid"), "CRYPT-PLAIN-swap\n").unwrap();
        let safe = |at: usize| is_safe(&places[at], devices.path());
        assert!(safe(0) && safe(1) && !safe(2));
        std::fs::write(dm.join("uuid"), "LVM-abc\n").unwrap();
        assert!(!safe(1));
    }
}
