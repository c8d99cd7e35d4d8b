//! WebSub: subscriptions, deliveries and what is done with them.

use schemars::JsonSchema;
use serde::Deserialize;

/// WebSub: subscriptions, deliveries and what is done with them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebSub {}
