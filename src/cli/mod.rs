//! The command line: one file a command.

pub mod check;
pub mod partners;
pub mod pki;
pub mod run;
#[cfg(feature = "sandbox")]
pub mod sandbox;
