//! Partners replace their own certificates: with the published example (no code of ours) and with our own command, over real processes;
//! and every near miss, after which nothing is changed.

mod refusals;
mod replaced;
pub mod setup;
