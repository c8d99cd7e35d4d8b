//! A client of its own, over OpenSSL only, against the sandbox's IDA.

mod order;
mod signatures;
mod verdicts;
mod wire;
mod world;

pub(in crate::sandbox) use world::{bare_ida, ida};
