//! The gate's tests: its machine by itself, the whole of it in front of a real hyper, and both under random changes.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod behind_hyper;
mod framing;
mod http2;
mod mutations;

use super::{Framing, Stage};
use crate::refusal::Code;

const HEAD_MAX: usize = 1024;
const HEADERS_MAX: usize = 10;

/// What the machine made of a connection's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// What was handed on.
    passed: Vec<u8>,
    heads: usize,
    refused: Option<Code>,
}

/// Feeds the parts one after the other, as the gate does.
fn feed<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> (Outcome, Stage) {
    let mut machine = Framing::new(HEAD_MAX, HEADERS_MAX);
    let mut outcome = Outcome::default();
    let mut held = Vec::new();
    for part in parts {
        held.extend_from_slice(part);
        let passed = machine.push(&held);
        outcome.passed.extend(held.drain(..passed.bytes));
        outcome.heads += passed.heads;
        if passed.refused.is_some() {
            outcome.refused = passed.refused;
            break;
        }
    }
    (outcome, machine.stage())
}

/// A request head with `Host` and one further line.
fn with(line: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: gate.example\r\n{line}\r\n\r\n")
}
