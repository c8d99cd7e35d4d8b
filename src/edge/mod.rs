//! The edge: listeners, mutual TLS, the HTTP gate, answers.
//!
//! pingora runs the workers; the sockets are ours, so that they can be handed to a new process; TLS is a whole rustls configuration taken from the snapshot for each
//! connection; HTTP/1.1 is our own (the gate), HTTP/2 is hyper's. What a request means is the exchange's business: the edge
//! gives it an `Arrival` and writes nothing but a `Recorded`.

mod accept;
mod admin;
mod face;
pub mod gate;
pub mod handover;
mod handshakes;
mod idle;
mod listen;
mod listeners;
mod tls_socket;

pub use listen::{Ended, Host, ListenError, run};
pub use listeners::Listeners;
