//! The integration tests: one binary, one module for each subject.
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the helpers of tests are tests; clippy knows only the functions marked as such"
)]

mod aws_changes;
mod aws_faults;
mod aws_store;
mod canned;
mod layers;
mod moto;
mod proxy;
mod sync_memory;
mod sync_moto;
