//! The words of MOSIP's ID authentication that every room shares: what is asked, and what a person is authenticated with.

mod factor;
mod operation;

pub use factor::{Bio, Factor, UnknownFactor};
pub use operation::Operation;
