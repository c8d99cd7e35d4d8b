//! The durable store: transactions, inbox and outbox.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretRef;

/// The durable store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Where it is: `sqlite:PATH`, relative to the configuration file, for one gateway; or
    /// `postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full` for several, without a password. A Unix socket is
    /// `postgres://USER@/DATABASE?host=/FOLDER`.
    pub url: String,
    /// The keys under which contents are encrypted, the newest first: what is written is encrypted under the first, what was
    /// written under another one is still read. Each is 32 random bytes in base64 (`triseal store key`).
    pub key: Vec<SecretRef>,
    /// How long finished work is kept, in days.
    #[serde(default = "default_retention_days")]
    pub retention_days: u32,
    /// How long a step belongs to the gateway that began it, in seconds. It is prolonged while the step runs; of a gateway
    /// that was killed, another one takes the step over afterwards.
    #[serde(default = "default_lease_seconds")]
    pub lease_seconds: u32,
    /// PostgreSQL: the password of the user.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// PostgreSQL: PEM files with the certificates that the server's must chain to.
    #[serde(default)]
    pub anchors: Vec<PathBuf>,
    /// PostgreSQL: our client certificate, where the server asks for one. PEM, the leaf first.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// PostgreSQL: the private key of the client certificate. PEM, not readable by everybody.
    #[serde(default)]
    pub certificate_key: Option<PathBuf>,
    /// PostgreSQL: allows `sslmode=disable` beyond this machine. Everything is then sent in the clear but the contents.
    #[serde(default)]
    pub insecure_plaintext: bool,
    /// PostgreSQL: connections of this gateway, 1 to 32.
    #[serde(default = "default_connections")]
    pub connections: u32,
    /// PostgreSQL: how long one attempt to connect may take, in milliseconds.
    #[serde(default = "default_connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// PostgreSQL: how long a statement may take, and whoever waits for it, in milliseconds.
    #[serde(default = "default_statement_timeout_ms")]
    pub statement_timeout_ms: u64,
}

const fn default_retention_days() -> u32 {
    90
}

const fn default_lease_seconds() -> u32 {
    30
}

const fn default_connections() -> u32 {
    4
}

const fn default_connect_timeout_ms() -> u64 {
    3_000
}

const fn default_statement_timeout_ms() -> u64 {
    5_000
}
