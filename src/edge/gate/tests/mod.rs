//! The gate's tests: its machine by itself, the whole of it as a server, and both under random changes.

#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

mod framing;
mod http2;
mod mutations;
mod served;

use super::{Framing, Stage, Step};
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
        loop {
            let length = match machine.step(&held) {
                Ok(Step::More) => break,
                Ok(Step::Head(length)) => {
                    outcome.heads += 1;
                    length
                }
                Ok(Step::Content(length) | Step::Mark(length)) => length,
                Err(code) => {
                    outcome.refused = Some(code);
                    return (outcome, machine.stage());
                }
            };
            outcome.passed.extend(held.drain(..length));
        }
    }
    (outcome, machine.stage())
}

/// A request head with `Host` and one further line.
fn with(line: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: gate.example\r\n{line}\r\n\r\n")
}
