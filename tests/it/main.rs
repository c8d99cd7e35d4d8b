//! Integration tests: they drive the real binary through its real ports, with clients that are not ours where there is one.
//!
//! `harness` starts and stops things and makes requests; each other module holds one room of issue 2.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests: a failed expectation is a failed test, and no other crate sees these items"
)]

mod harness;

// Part A, one module a room: edge, identity, trust_changes, partners_states, reload, service_face, limits, config_check,
// pki_tools, health.
// Part B (independent code): sdk, envelopes, encodings, ida_refusals, mutations, canaries, skipped_steps, upstream_faults;
// `python` and `forge` are what they stand on.
mod canaries;
mod edge;
mod encodings;
mod envelopes;
mod forge;
mod health;
mod ida_refusals;
mod mutations;
mod python;
mod sdk;
mod skipped_steps;
mod upstream_faults;
