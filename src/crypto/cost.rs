use std::fmt;

/// What one guess of a passphrase costs: the parameters of Argon2id version 19
/// (RFC 9106), read from the file they protect.
///
/// A value of this type is always inside the bounds that are checked before any
/// memory is asked for (crypto.md section 3): a file from elsewhere must not be
/// able to call the kernel's out-of-memory killer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The bound that Argon2 parameters break (crypto.md section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    /// Memory outside 19,456 to 1,048,576 KiB.
    #[error("argon2 memory m={0} is outside 19456 to 1048576 KiB")]
    Memory(u32),
    /// Passes outside 1 to 16.
    #[error("argon2 passes t={0} are outside 1 to 16")]
    Passes(u32),
    /// Lanes outside 1 to 16.
    #[error("argon2 lanes p={0} are outside 1 to 16")]
    Lanes(u32),
    /// Memory times passes over 4 GiB.
    #[error("argon2 work m={memory_kib} t={passes} is over 4 GiB-passes")]
    Work {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over it.
        passes: u32,
    },
}

impl Argon2Cost {
    /// What new identity files get: 256 MiB, 3 passes, 4 lanes; about a second.
    pub const DEFAULT: Self = Self {
        memory_kib: 262_144,
        passes: 3,
        lanes: 4,
    };

    /// The least that is ever written: 64 MiB, 3 passes, 4 lanes.
    pub const LEAST: Self = Self {
        memory_kib: 65_536,
        passes: 3,
        lanes: 4,
    };

    /// The cost of `memory_kib` KiB, `passes` passes and `lanes` lanes.
    ///
    /// Fails when one of them, or memory times passes, is out of bounds.
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, CostError> {
        if memory_kib < 19_456 || memory_kib > 1_048_576 {
            return Err(CostError::Memory(memory_kib));
        }
        if passes < 1 || passes > 16 {
            return Err(CostError::Passes(passes));
        }
        if lanes < 1 || lanes > 16 {
            return Err(CostError::Lanes(lanes));
        }
        // At most 2^24, so the product of two bounded numbers cannot overflow.
        if memory_kib * passes > 4 * 1_048_576 {
            return Err(CostError::Work { memory_kib, passes });
        }
        Ok(Self {
            memory_kib,
            passes,
            lanes,
        })
    }

    /// Memory, in KiB.
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over that memory.
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    /// Whether this is below 64 MiB or 3 passes: a file with it is read with a
    /// warning, and never written.
    pub const fn is_weak(self) -> bool {
        self.memory_kib < Self::LEAST.memory_kib || self.passes < Self::LEAST.passes
    }
}

impl fmt::Display for Argon2Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "m={} t={} p={}",
            self.memory_kib, self.passes, self.lanes
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crypto_3_bounds() {
        for (m, t, p) in [
            (19_456, 1, 1),
            (19_456, 16, 16),
            (1_048_576, 4, 16),
            (1_048_576, 1, 1),
            (262_144, 16, 1),
        ] {
            assert!(Argon2Cost::new(m, t, p).is_ok(), "{m} {t} {p}");
        }
        for (m, t, p, error) in [
            (19_455, 1, 1, CostError::Memory(19_455)),
            (1_048_577, 1, 1, CostError::Memory(1_048_577)),
            (u32::MAX, u32::MAX, 1, CostError::Memory(u32::MAX)),
            (19_456, 0, 1, CostError::Passes(0)),
            (19_456, 17, 1, CostError::Passes(17)),
            (19_456, 1, 0, CostError::Lanes(0)),
            (19_456, 1, 17, CostError::Lanes(17)),
            (
                262_145,
                16,
                1,
                CostError::Work {
                    memory_kib: 262_145,
                    passes: 16,
                },
            ),
            (
                1_048_576,
                5,
                1,
                CostError::Work {
                    memory_kib: 1_048_576,
                    passes: 5,
                },
            ),
        ] {
            assert_eq!(Argon2Cost::new(m, t, p), Err(error));
        }
    }

    #[test]
    fn weak_means_below_64_mib_or_3_passes() {
        assert!(!Argon2Cost::DEFAULT.is_weak());
        assert!(!Argon2Cost::LEAST.is_weak());
        assert!(!Argon2Cost::new(65_536, 3, 1).unwrap().is_weak());
        assert!(Argon2Cost::new(65_535, 3, 4).unwrap().is_weak());
        assert!(Argon2Cost::new(65_536, 2, 4).unwrap().is_weak());
    }
}
