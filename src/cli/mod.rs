//! The command line.

pub mod partners;
