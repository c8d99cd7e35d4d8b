//! Evidence: what happened, provable offline to someone who trusts neither side.

mod der;
pub mod merkle;
pub mod timestamp;
