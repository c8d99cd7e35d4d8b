//! Forms and queries, read as every room reads them.

pub(in crate::handlers) use crate::envelope::fields::{Fields, decoded, encoded, written};
