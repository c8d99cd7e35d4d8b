//! OpenCRVS: its tokens, and how its registrations travel.

use schemars::JsonSchema;
use serde::Deserialize;

/// OpenCRVS: its tokens, and how its registrations travel.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenCrvs {}
