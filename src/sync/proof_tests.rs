//! The part of the proof that needs seams: seeded bugs, and processes that die while
//! they write (sync.md section 3.2 points 6 and 7). The world and the state machine are
//! those of the integration tests.

#[path = "crash_tests.rs"]
mod crash;
#[path = "../../tests/it/proof/machine/mod.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod machine;
#[path = "seeded_tests.rs"]
mod seeded;
#[path = "../../tests/it/sync_memory/world.rs"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod world;

/// How many are asked for with `STRONGROOM_TEST_CASES`.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a test runs is nothing the program knows of"
)]
fn asked_for() -> Option<u64> {
    let told = std::env::var("STRONGROOM_TEST_CASES").ok()?;
    told.parse().ok()
}
