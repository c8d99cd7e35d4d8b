//! Files to checked structs: reading, locating and explaining mistakes, and the schema for editors.
//!
//! This is the lowest room. What a section means is checked by the room it belongs to, which is handed the raw struct and
//! a [`Report`] to name its mistakes in.

mod document;
mod raw;
mod report;
mod shape;
pub mod spelling;

pub use document::{Document, ReadError, watching};
pub use raw::*;
pub use report::{Mistake, Mistakes, Report, Severity};
pub use shape::{config_schema, partner_schema};
