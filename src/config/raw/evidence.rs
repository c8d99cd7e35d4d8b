//! Evidence: what is recorded, and what happens when it cannot be.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// Evidence: one record for each exchange of an identified partner, in a log that can only grow (docs/evidence.md).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// What holds where a route does not say otherwise.
    #[serde(default)]
    pub level: EvidenceLevel,
    /// Which bodies are kept where a route does not say otherwise. Kept bodies need a `[store]`, for its key.
    #[serde(default)]
    pub bodies: EvidenceBodies,
    /// The folder of the log, relative to the configuration file. Default: `evidence` in the state folder.
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Records that may wait for the disk at once.
    #[serde(default = "default_queue_max")]
    pub queue_max: usize,
    /// How long an answer waits for its record to be on disk, in milliseconds; beyond that it is refused (`required`).
    #[serde(default = "default_commit_timeout_ms")]
    pub commit_timeout_ms: u64,
    /// An authority that puts time stamps (RFC 3161) on tree heads. No exchange waits for one.
    #[serde(default)]
    pub time_stamping: Option<TimeStamping>,
    /// Room that is left free on the disk, in MiB. With less, `required` refuses before anything goes upstream.
    #[serde(default = "default_reserve_mib")]
    pub reserve_mib: u64,
}

/// A time-stamping authority.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeStamping {
    /// The `[[upstream]]` where it is; HTTP or HTTPS.
    pub upstream: String,
    /// The path that takes requests.
    #[serde(default = "default_stamp_path")]
    pub path: String,
    /// The `[[anchor]]`s that its certificate may chain to.
    pub anchors: Vec<String>,
    /// How often a head is stamped, in seconds, as long as the log grows.
    #[serde(default = "default_stamp_every_s")]
    pub every_s: u64,
}

fn default_stamp_path() -> String {
    "/".to_owned()
}

const fn default_stamp_every_s() -> u64 {
    3600
}

/// What happens when a record cannot be written.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceLevel {
    /// Nothing is recorded.
    #[default]
    Off,
    /// The exchange goes on; the loss is counted and reported.
    BestEffort,
    /// Nothing is answered without its record on disk.
    Required,
}

/// Which bodies are kept beside the records, sealed and erasable.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceBodies {
    /// None.
    #[default]
    None,
    /// The request, as it travelled.
    Request,
    /// The answer, as it travelled.
    Answer,
    /// Both.
    Both,
}

impl EvidenceBodies {
    /// Whether requests are kept.
    pub const fn request(self) -> bool {
        matches!(self, Self::Request | Self::Both)
    }

    /// Whether answers are kept.
    pub const fn answer(self) -> bool {
        matches!(self, Self::Answer | Self::Both)
    }
}

/// What a route says otherwise.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteEvidence {
    /// In place of `evidence.level`.
    #[serde(default)]
    pub level: Option<EvidenceLevel>,
    /// In place of `evidence.bodies`.
    #[serde(default)]
    pub bodies: Option<EvidenceBodies>,
}

const fn default_queue_max() -> usize {
    4096
}

const fn default_commit_timeout_ms() -> u64 {
    5_000
}

const fn default_reserve_mib() -> u64 {
    64
}
