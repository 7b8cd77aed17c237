use std::io;

use memmap2::{Advice, MmapMut};
use zeroize::Zeroize as _;

/// Memory for keys: pages of their own that are not swapped, not in a core file and
/// not in a child (crypto.md section 6). Wiped when dropped.
pub(super) struct KeyMemory {
    pages: MmapMut,
    is_locked: bool,
}

impl KeyMemory {
    /// Takes at least `len` bytes. Where the limit on locked memory is too small it is
    /// still taken, and [`Self::is_locked`] says so.
    pub(super) fn new(len: usize) -> io::Result<Self> {
        let pages = MmapMut::map_anon(len)?;
        // Old kernels may lack one; the process makes no core files anyway.
        let _dump = pages.advise(Advice::DontDump);
        let _fork = pages.advise(Advice::DontFork);
        let is_locked = pages.lock().is_ok();
        Ok(Self { pages, is_locked })
    }

    /// Whether the pages stay out of the swap space.
    pub(super) fn is_locked(&self) -> bool {
        self.is_locked
    }
}

impl AsRef<[u8]> for KeyMemory {
    fn as_ref(&self) -> &[u8] {
        &self.pages
    }
}

impl AsMut<[u8]> for KeyMemory {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.pages
    }
}

impl Drop for KeyMemory {
    fn drop(&mut self) {
        self.pages.as_mut().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags that the kernel keeps for the page that `bytes` lies in.
    fn flags(bytes: &[u8]) -> Vec<String> {
        let address = bytes.as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in maps.lines() {
            let first = line.split(' ').next().unwrap();
            if let Some((from, to)) = first.split_once('-')
                && let (Ok(from), Ok(to)) = (
                    usize::from_str_radix(from, 16),
                    usize::from_str_radix(to, 16),
                )
            {
                inside = (from..to).contains(&address);
            } else if inside && let Some(flags) = line.strip_prefix("VmFlags:") {
                return flags.split_whitespace().map(ToOwned::to_owned).collect();
            }
        }
        panic!("the page is not in the map");
    }

    #[test]
    fn crypto_6_keys_are_locked_and_in_no_core_file() {
        let mut memory = KeyMemory::new(234).unwrap();
        memory.as_mut()[..4].copy_from_slice(b"keys");
        let flags = flags(memory.as_ref());
        let has = |flag: &str| flags.iter().any(|f| f == flag);
        assert!(has("dd"), "{flags:?}");
        assert!(has("dc"), "{flags:?}");
        assert_eq!(has("lo"), memory.is_locked(), "{flags:?}");
    }
}
