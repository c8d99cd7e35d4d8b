//! What the tests stand on: processes that never outlive the tests, copies of one sandbox, and clients.
//!
//! - [`World`]: one embedded IDA with its PKI, made once for the whole run (`World::shared()`).
//! - [`Site`]: a copy of the world's gateways in a folder and on ports of its own, to change and to start.
//! - [`Tls`], [`curl`], [`h2`]: clients, from lenient to exact to the byte.
//! - [`postgres::Postgres`]: a PostgreSQL of the run's own.
//! - [`Ask`]: an IDA request, signed and sealed, of which every part can be altered.

mod answer;
mod ask;
mod curl;
pub mod h2;
mod http;
pub mod postgres;
mod process;
mod redis;
mod site;
mod tls;
mod wait;
mod world;

pub use answer::Answer;
pub use ask::{Ask, Signer, Wire, der, now};
pub use curl::curl;
pub use http::get;
pub use process::{Output, Process, run, triseal};
pub use redis::Redis;
pub use site::{Reloaded, Site, copy};
pub use tls::{Identity, Tls, TlsClient};
pub use wait::{until, within};
pub use world::{World, free_ports, run_dir};
