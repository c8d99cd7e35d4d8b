//! The edge: listeners, mutual TLS, the HTTP gate, answers.
//!
//! pingora accepts connections and runs the workers; TLS is a whole rustls configuration taken from the snapshot for each
//! connection; HTTP/1.1 is our own (the gate), HTTP/2 is hyper's. What a request means is the exchange's business: the edge
//! gives it an `Arrival` and writes nothing but a `Recorded`.

mod admin;
mod face;
pub mod gate;
mod handshakes;
mod idle;
mod listen;
mod plain_write;

pub use listen::{ListenError, run};
