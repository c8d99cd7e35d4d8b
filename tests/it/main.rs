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

// Part A, one module a room.
mod certificates;
mod config_check;
mod deploy;
mod edge;
mod health;
mod identity;
mod import;
mod jose;
mod limits;
mod packet;
mod partner_events;
mod partners_states;
mod pki_tools;
mod reload;
mod replicas_shared;
mod rules;
mod sandbox_partner_management;
mod sandbox_registration;
mod service_face;
mod stops;
mod trust_changes;
mod upgrade;

// Part B, the independent and the hostile side; `python` and `forge` are what it stands on.
mod abandoned;
mod attacks;
mod canaries;
mod credential;
mod encodings;
mod envelopes;
mod esignet;
mod esignet_page;
mod evidence;
mod evidence_disk;
mod evidence_outward;
mod evidence_proof;
mod forge;
mod ida_refusals;
mod mutations;
mod openapi;
mod opencrvs;
mod python;
mod replicas_store;
mod scripted;
mod sdk;
mod skipped_steps;
mod store;
mod store_engines;
mod store_postgres;
mod token_seeder;
mod upstream_faults;
mod websub;
