//! The HTTP gate: our own HTTP/1.1 server, which reads strictly and writes plainly.
//!
//! One loop for a connection ([`serve`]): a head is read and judged ([`Framing`]) and becomes a request without a second
//! parse, the exchange makes its answer, and that is written. HTTP/2 does not come here; path, host and headers are judged
//! by `exchange::canonical`, body sizes and body times by the exchange.
//!
//! What holds, and what it rests on:
//! - A head is handed on whole or not at all. A bad one is answered by the gate itself, behind the whole answers to the
//!   requests before it, and ends the connection.
//! - Nothing is read ahead of what is asked for: the next head when the answer before it is written, a body when the
//!   exchange asks. A client that sends without reading is held back by its own socket. An exchange that has begun is
//!   finished and recorded even if the client leaves.
//! - A bad body gives its reader an error that carries the code ([`crate::refusal::violation`]): the exchange's refusal is
//!   the answer, and the connection ends. A body that nobody read to its end ends the connection too.
//! - A body handle reads its own request's body and no other's: it carries the number of its request.
//! - An answer whose body breaks off is cut off, so that it never looks whole.
//! - Time is bounded for a head, between two requests, and for a write that makes no progress.
//! - A connection that waits holds no buffer.

mod answer;
mod date;
mod framing;
mod head;
mod respond;
mod serve;
#[cfg(test)]
mod tests;
mod timer;
mod wire;

use crate::refusal::Code;
use std::time::Duration;

pub use framing::{Framing, Stage, Step};
pub use serve::{Going, http2, serve};

/// The bounds of a gate.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// Bytes of a request head.
    pub head_max_bytes: usize,
    /// Fields in a request head.
    pub headers_max: usize,
    /// Time from the first byte of a head to its last.
    pub head_timeout: Duration,
    /// Time without a byte between two requests, and time for which a write may make no progress.
    pub idle_timeout: Duration,
    /// More fields of the refusals that the gate itself writes, each a line with its end.
    pub refusal_fields: &'static str,
}

/// How a connection ended, for the log and the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why the gate refused something, if it did.
    pub refused: Option<Code>,
    /// Whether the gate itself wrote the refusal. If not, the exchange did, or nobody could.
    pub answered: bool,
}
