//! The token seeder: allowed callbacks and programs.

use schemars::JsonSchema;
use serde::Deserialize;

/// The token seeder: allowed callbacks and programs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSeeder {}
