//! Which packets may be made.

use schemars::JsonSchema;
use serde::Deserialize;

/// Which packets may be made. An empty list of `id_prefixes` or `ref_ids` allows all; on a partner, any empty list does.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PacketRules {
    /// Processes of MOSIP, such as `CRVS_NEW` and `CRVS_DEATH`.
    #[serde(default)]
    pub processes: Vec<String>,
    /// Sources, such as `OPENCRVS`.
    #[serde(default)]
    pub sources: Vec<String>,
    /// What registration ids begin with. A packet overwrites one of the same id, so partners should not share a prefix.
    #[serde(default)]
    pub id_prefixes: Vec<String>,
    /// Centre and machine, such as `10001_10001`: they select the key that MOSIP encrypts the packet with.
    #[serde(default)]
    pub ref_ids: Vec<String>,
}
