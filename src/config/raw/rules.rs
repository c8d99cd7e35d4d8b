//! The operator's rules.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// Rules in Cedar: who may do what. With them, an exchange must be permitted by the rules as well as by the tables.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The folder whose `*.cedar` files are the rules, relative to this file. What none of them permits is refused.
    pub folder: PathBuf,
}
