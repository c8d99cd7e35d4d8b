//! E-Signet: clients, keys and pinned signers.

use schemars::JsonSchema;
use serde::Deserialize;

/// E-Signet: clients, keys and pinned signers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Esignet {}
