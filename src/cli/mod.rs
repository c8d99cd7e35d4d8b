//! The command line: one file a command.

pub mod check;
pub mod deliveries;
pub mod evidence;
pub mod health;
pub mod import;
mod output;
pub mod partners;
pub mod pki;
pub mod policy;
mod probe;
mod process;
pub mod run;
#[cfg(feature = "sandbox")]
pub mod sandbox;
pub mod store;
mod supervisor;
pub mod transactions;
