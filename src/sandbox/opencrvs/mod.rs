//! A stand-in for OpenCRVS core, for the part that national ID systems meet: it says its public key, makes single-record
//! tokens, registers events through the middleware's API as country configuration does, and takes confirmations with real
//! checks (WebSub reference, 5.1 to 5.3).

mod control;
mod token;
mod trpc;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::{self, Arguments},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use openssl::{
    error::ErrorStack,
    pkey::{PKey, Private},
};
use serde::Serialize;
use serde_json::Value;

use super::{
    ida::IdaAnswer,
    mosip::fresh_key,
    server::{Caller, Handler},
    wire,
};
use crate::clock::{Clock, Moment};

/// The most actions that are remembered.
const MOST: usize = 50_000;

/// The stand-in; clones are the same one.
#[derive(Clone)]
pub struct Core(Arc<Inner>);

/// What it is told at the start.
#[derive(Clone)]
pub struct CoreConfig {
    key: PKey<Private>,
    /// Where the middleware's API is.
    middleware: String,
}

impl fmt::Debug for CoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoreConfig").finish_non_exhaustive()
    }
}

/// Where log lines go.
type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

struct Inner {
    config: CoreConfig,
    clock: Clock,
    state: Mutex<State>,
    log: Option<LogSink>,
}

#[derive(Default)]
struct State {
    /// By action id.
    actions: BTreeMap<String, Action>,
    /// How confirmations are to be answered wrongly, in order.
    faults: VecDeque<control::CoreFault>,
}

/// A registration that waits for its confirmation, or has it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    event_id: String,
    action_id: String,
    kind: String,
    status: Status,
    /// How often its status was changed: 1 at the most, whatever is sent.
    applied: u32,
    /// How often a right confirmation or rejection came.
    calls: u32,
    transaction_id: Option<String>,
    registration_number: Option<String>,
    declaration: Value,
    /// The tracking id that country configuration sent along.
    tracking_id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Status {
    Requested,
    Accepted,
    Rejected,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

impl CoreConfig {
    /// Fresh keys; the country configuration calls the middleware's API at this origin.
    ///
    /// # Errors
    /// When OpenSSL makes no key.
    pub fn new(middleware: String) -> Result<Self, ErrorStack> {
        Ok(Self {
            key: fresh_key()?,
            middleware,
        })
    }

    /// The public key, PEM, as `/.well-known` says it.
    ///
    /// # Errors
    /// When OpenSSL cannot write it.
    pub fn public_key(&self) -> Result<Vec<u8>, ErrorStack> {
        self.key.public_key_to_pem()
    }
}

impl Core {
    /// Puts it together; `log` gets a line for each thing that happens.
    pub fn new(
        config: CoreConfig,
        clock: Clock,
        log: Option<impl Fn(&str) + Send + Sync + 'static>,
    ) -> Self {
        Self(Arc::new(Inner {
            config,
            clock,
            state: Mutex::default(),
            log: log.map(|sink| Arc::new(sink) as LogSink),
        }))
    }

    fn config(&self) -> &CoreConfig {
        &self.0.config
    }

    fn now(&self) -> Moment {
        self.0.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, line: Arguments<'_>) {
        if let Some(sink) = &self.0.log {
            sink(&format!("core {line}"));
        }
    }

    /// How long country configuration waits for the middleware.
    const fn patience() -> Duration {
        Duration::from_secs(15)
    }
}

#[async_trait]
impl Handler for Core {
    async fn handle(&self, caller: &Caller, request: Request<Bytes>) -> IdaAnswer {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        if let Some(rest) = path.strip_prefix("/sandbox/") {
            return self.only_here(caller, &parts.method, rest, &body).await;
        }
        match (&parts.method, path) {
            (&Method::GET, "/.well-known") => match self.config().public_key() {
                Ok(pem) => wire::answer(StatusCode::OK, "text/plain", pem),
                Err(_) => wire::text(StatusCode::INTERNAL_SERVER_ERROR, "no key"),
            },
            (&Method::POST, path) => match path.strip_prefix("/events/") {
                Some(procedures) => self.batch(procedures, &parts, &body).await,
                None => wire::text(StatusCode::NOT_FOUND, "Not Found"),
            },
            _ => wire::text(StatusCode::NOT_FOUND, "Not Found"),
        }
    }
}
