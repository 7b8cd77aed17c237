//! The proof that the sync does not lose (sync.md section 3): random histories of two
//! clones and two accounts, a bad network before moto, and a kernel that kills and
//! refuses.

mod histories;
#[expect(dead_code, reason = "the unit tests of the sync use the rest")]
mod machine;
mod network;
mod syscalls;

pub(crate) use crate::sync_memory::world;

/// How many are asked for with `STRONGROOM_TEST_CASES`; none in the bounded run.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a test runs is nothing the program knows of"
)]
fn asked_for() -> Option<u64> {
    let told = std::env::var("STRONGROOM_TEST_CASES").ok()?;
    told.parse().ok()
}
