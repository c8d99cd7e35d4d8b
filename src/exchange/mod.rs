//! The road of one exchange.

pub mod canonical;
