//! Where requests arrive: the HTTP gate.

pub mod gate;
