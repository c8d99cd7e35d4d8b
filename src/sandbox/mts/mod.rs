//! MOSIP's token seeder, as it really is: no authentication, jq from whoever asks, requests to wherever it is told, a queue in
//! memory. What stands in front has to see to all of that; here it must be there to be seen to.
//!
//! Written from the wire reference (`websub-esignet-packet-mts.md`, sections 6.1 to 6.3). Records are worked on through the
//! sandbox's IDA, so that the tokens are those that IDA gives the same partner. jq is the `jaq` crates'.
//!
//! | path | what |
//! |---|---|
//! | `POST /authtoken/json`, `/authtoken/csv` | requests |
//! | `POST /authtoken/odk` | refused: there is no ODK Central here |
//! | `GET /authtoken/status/{id}`, `/authtoken/file/{id}` | how far, and the file |
//! | `GET /authtoken/authfields`, `/ping` | |
//! | `GET /sandbox/health` | 200 |
//!
//! What it leaves out: the synchronous mode, and `https` callback addresses (they end as
//! `error_making_callback_request`, as any unreachable one does).

mod callback;
mod file;
mod jq;
mod mapping;
mod multipart;
mod properties;
mod request;
mod service;
mod wire;
mod work;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::mpsc;

pub use service::MtsService;

use super::{ida::Ida, web::Shelf};
use crate::clock::Clock;

/// How many requests can wait.
const QUEUE: usize = 1_024;
/// How long a request is kept, in seconds.
const KEPT_S: i64 = 21_600;

/// What the sandbox's token seeder is told.
#[derive(Clone, Debug)]
pub struct MtsConfig {
    /// As which partner of MOSIP it asks; tokens depend on it.
    pub partner: String,
}

/// The sandbox's token seeder.
pub struct Mts {
    config: MtsConfig,
    ida: Arc<Ida>,
    clock: Clock,
    requests: Mutex<Shelf<work::Job>>,
    queue: mpsc::Sender<String>,
}

impl fmt::Debug for Mts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mts").finish_non_exhaustive()
    }
}

impl Mts {
    /// Starts the worker; it ends with the last handle. Needs a tokio runtime.
    pub fn start(config: MtsConfig, ida: Arc<Ida>, clock: Clock) -> Arc<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let mts = Arc::new(Self {
            config,
            ida,
            clock,
            requests: Mutex::default(),
            queue,
        });
        tokio::spawn(work::worker(Arc::downgrade(&mts), waiting));
        mts
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<work::Job>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
