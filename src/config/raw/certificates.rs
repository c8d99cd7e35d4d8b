//! Partners replace their own certificates: what they may do by themselves, and for how long old and new hold side by side.

use schemars::JsonSchema;
use serde::Deserialize;

/// How partners replace their own certificates, on a route with `handler = "certificates"`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Certificates {
    /// For how many days what is replaced holds beside the new certificate, 1 to 366.
    pub overlap_days: u32,
    /// How many days ahead a partner may say from when the new certificate holds, 0 to 366.
    pub ahead_days: u32,
    /// How many certificates of one role may hold or wait at once, 2 to 16.
    pub live_max: usize,
    /// Whether a new certificate may be for the key that it replaces.
    pub same_key: bool,
}

impl Default for Certificates {
    fn default() -> Self {
        Self {
            overlap_days: 30,
            ahead_days: 30,
            live_max: 3,
            same_key: false,
        }
    }
}
