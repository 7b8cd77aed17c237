//! The integration tests: one binary, one module for each subject.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "the helpers of tests are tests; clippy knows only the functions marked as such"
)]

mod agent;
mod agent_logind;
mod api;
mod audit;
mod aws_changes;
mod aws_faults;
mod aws_store;
mod bundle;
mod canary;
mod canned;
mod cli;
mod cli_clipboard;
mod cli_faults;
mod cli_policy;
mod clients_cli;
mod clients_js;
mod clients_python;
mod clients_rust;
mod conformance;
mod endpoint_door;
mod endpoint_verbs;
mod frozen;
mod fuzz;
mod git_merge;
mod hidden;
mod home;
mod keyrings;
mod layers;
mod migrate_memory;
mod moto;
mod plugins;
mod proof;
mod proxy;
mod reader;
mod scan;
mod service;
mod ssh_member;
mod sync_memory;
mod sync_moto;
mod tamper;
mod threats;
