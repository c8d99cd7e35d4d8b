//! Evidence: what happened, provable offline to someone who trusts neither side.

pub mod bundle;
mod der;
mod jws;
pub mod merkle;
pub mod timestamp;
pub mod verify;

#[cfg(test)]
mod testing;
