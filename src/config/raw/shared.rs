//! What several gateways share for a short while, and quotas.

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretRef;

/// Short-lived state that several gateways share: messages taken, quotas, MOSIP's tokens.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    /// Where it is: `memory:` for one gateway alone, `rediss://HOST:PORT/DB` or, on loopback, `redis://HOST:PORT/DB`,
    /// or `redis+unix:///PATH`. User and password do not stand here.
    pub url: String,
    /// Anchors for the server's certificate (`rediss:`).
    #[serde(default)]
    pub anchors: Vec<String>,
    /// Whether to show our own TLS certificate (`rediss:`).
    #[serde(default)]
    pub client_certificate: bool,
    /// The user. Default: the server's own default user.
    #[serde(default)]
    pub user: Option<String>,
    /// The password.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// The keys under which MOSIP's tokens are encrypted there, the newest first (`triseal store key`). Without one, each
    /// gateway fetches its own tokens.
    #[serde(default)]
    pub key: Vec<SecretRef>,
    /// What every name there begins with. Default: `triseal:{ID}:` with our party's id. Gateways that shall act as one
    /// have the same.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Time for an answer, in milliseconds.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// Time for a connection, TLS and password included, in milliseconds.
    #[serde(default = "default_connect_ms")]
    pub connect_timeout_ms: u64,
    /// How far our clock and the server's may differ, in milliseconds; beyond that the server is not used.
    #[serde(default = "default_skew_ms")]
    pub clock_skew_max_ms: u64,
    /// What to do while the server is away.
    #[serde(default)]
    pub when_gone: WhenGone,
    /// `when_gone = "local"`: for how long at most, in seconds.
    #[serde(default = "default_local_s")]
    pub local_deadline_s: u64,
    /// Allows `redis:` beyond loopback: everybody on the way reads and changes what is shared.
    #[serde(default)]
    pub insecure_plaintext: bool,
}

const fn default_timeout_ms() -> u64 {
    500
}
const fn default_connect_ms() -> u64 {
    3_000
}
const fn default_skew_ms() -> u64 {
    5_000
}
const fn default_local_s() -> u64 {
    300
}

/// What to do while the shared state is away.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum WhenGone {
    /// Refuse what needs it.
    #[default]
    Refuse,
    /// Each gateway goes on by what it knows itself, until the deadline: a message can be taken once by each gateway, and
    /// each gateway grants a whole quota.
    Local,
}

/// How much of a route a partner may use. At least one of `per_minute` and `per_day`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Requests a minute, evenly spread.
    #[serde(default)]
    pub per_minute: Option<u32>,
    /// Requests that may come at once. Default: what `per_minute` gives in ten seconds, at least one.
    #[serde(default)]
    pub burst: Option<u32>,
    /// Requests a day (UTC).
    #[serde(default)]
    pub per_day: Option<u64>,
}
