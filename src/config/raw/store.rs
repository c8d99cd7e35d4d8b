//! The durable store: transactions, inbox and outbox.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretRef;

/// The durable store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Where it is: `sqlite:PATH`, relative to the configuration file.
    pub url: String,
    /// The keys under which contents are encrypted, the newest first: what is written is encrypted under the first, what was
    /// written under another one is still read. Each is 32 random bytes in base64 (`triseal store key`).
    pub key: Vec<SecretRef>,
    /// How long finished work is kept, in days.
    #[serde(default = "default_retention_days")]
    pub retention_days: u32,
}

const fn default_retention_days() -> u32 {
    90
}
