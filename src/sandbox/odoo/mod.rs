//! A stand-in for OpenG2P's Odoo: session login as Odoo has it, and the registry's REST API by which tokens are written. It
//! notes everything that came, so that a test can say "exactly once".
//!
//! | path | what |
//! |---|---|
//! | `GET`/`POST /web/session/authenticate` | JSON-RPC login, sets `session_id` |
//! | `GET /web/session/logout` | ends the session |
//! | `PUT …/update_individual` | `[{"updateId": …, "ids": [{"id_type": …, "value": …}]}]`, with a session |
//! | `POST /oauth/token` | a bearer token for the user, for callbacks of that kind |
//! | any `/sink…` | takes whatever comes |
//! | `GET /sandbox/received` | what came, in order |
//! | `GET /sandbox/registry` | the ids of each individual |
//! | `POST /sandbox/fault` | an order to misbehave: `{"kind": "error500", "times": 3}` |
//! | `GET /sandbox/health` | 200 |

mod session;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header::LOCATION};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    ida::IdaAnswer,
    server::{Caller, Handler},
    web::{self, Shelf},
};
use crate::clock::{Clock, Moment};

/// How many requests are noted; the oldest go first.
const NOTED: usize = 4_096;
/// How late a slow answer is.
const SLOW: Duration = Duration::from_secs(3);

/// Who may log in.
#[derive(Clone)]
pub struct OdooConfig {
    /// The database.
    pub database: String,
    /// The user.
    pub login: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for OdooConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OdooConfig")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// The stand-in with a clock, for [`crate::sandbox::server::serve`].
#[derive(Debug)]
pub struct Odoo {
    config: OdooConfig,
    clock: Clock,
    state: Mutex<State>,
}

/// What changes while it runs.
#[derive(Debug, Default)]
struct State {
    sessions: Shelf<bool>,
    bearers: Shelf<()>,
    received: VecDeque<Received>,
    registry: BTreeMap<String, BTreeMap<String, Value>>,
    faults: VecDeque<FaultOrder>,
}

/// A request that came to a place where tokens are written.
#[derive(Clone, Debug, Serialize)]
struct Received {
    method: String,
    path: String,
    content_type: String,
    authorization: &'static str,
    status: u16,
    body: Value,
}

/// An order to misbehave, at the places where tokens are written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOrder {
    /// What.
    pub kind: OdooFault,
    /// For how many answers; 0 takes back every order that waits.
    #[serde(default = "once")]
    pub times: u32,
}

const fn once() -> u32 {
    1
}

/// What to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OdooFault {
    /// HTTP 500; nothing is written.
    Error500,
    /// HTTP 200 with a JSON-RPC error; nothing is written.
    ErrorIn200,
    /// The session has ended.
    SessionLost,
    /// Sends the caller elsewhere.
    Redirect,
    /// It is written, and the answer comes too late.
    Slow,
}

impl Odoo {
    /// An empty registry.
    pub fn new(config: OdooConfig, clock: Clock) -> Self {
        Self {
            config,
            clock,
            state: Mutex::default(),
        }
    }

    /// Orders a fault.
    pub fn misbehave(&self, order: FaultOrder) {
        let mut state = self.lock();
        if order.times == 0 {
            state.faults.clear();
        } else {
            state.faults.push_back(order);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_fault(&self) -> Option<OdooFault> {
        let mut state = self.lock();
        let order = state.faults.front_mut()?;
        let kind = order.kind;
        order.times = order.times.saturating_sub(1);
        if order.times == 0 {
            state.faults.pop_front();
        }
        Some(kind)
    }

    /// A place where tokens are written.
    async fn write(&self, request: &Request<Bytes>, now: Moment) -> IdaAnswer {
        let fault = self.next_fault();
        let answer = match fault {
            Some(OdooFault::Error500) => web::json(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({"error": "Internal Server Error"}),
            ),
            Some(OdooFault::ErrorIn200) => {
                web::json(StatusCode::OK, &session::rpc_error("ordered"))
            }
            Some(OdooFault::SessionLost) => session::lost(),
            Some(OdooFault::Redirect) => web::with_header(
                web::json(StatusCode::TEMPORARY_REDIRECT, &Value::Null),
                LOCATION,
                "/sink/elsewhere",
            ),
            Some(OdooFault::Slow) | None => self.written(request, now),
        };
        self.note(request, &answer);
        if fault == Some(OdooFault::Slow) {
            tokio::time::sleep(SLOW).await;
        }
        answer
    }

    fn written(&self, request: &Request<Bytes>, now: Moment) -> IdaAnswer {
        if request.uri().path().starts_with("/sink") {
            return web::json(StatusCode::OK, &json!({}));
        }
        if request.method() != Method::PUT {
            return web::json(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({"error": "Method Not Allowed"}),
            );
        }
        if !self.admits(request.headers(), now) {
            return session::lost();
        }
        let Ok(updates) = serde_json::from_slice::<Vec<Update>>(request.body()) else {
            return web::json(
                StatusCode::UNPROCESSABLE_ENTITY,
                &json!({"error": "a list of {updateId, ids: [{id_type, value}]} is wanted"}),
            );
        };
        let mut state = self.lock();
        for update in &updates {
            let name = update.update_id.to_string();
            let individual = state.registry.entry(name).or_default();
            for id in &update.ids {
                individual.insert(id.id_type.clone(), id.value.clone());
            }
        }
        let ids: Vec<&Value> = updates.iter().map(|update| &update.update_id).collect();
        web::json(StatusCode::OK, &json!(ids))
    }

    fn note(&self, request: &Request<Bytes>, answer: &IdaAnswer) {
        let body = serde_json::from_slice(request.body())
            .unwrap_or_else(|_| json!(String::from_utf8_lossy(request.body())));
        let mut state = self.lock();
        if state.received.len() >= NOTED {
            state.received.pop_front();
        }
        state.received.push_back(Received {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            content_type: web::media_type(request.headers()),
            authorization: session::kind(request.headers()),
            status: answer.status.as_u16(),
            body,
        });
    }

    fn fault(&self, body: &[u8]) -> IdaAnswer {
        match serde_json::from_slice(body) {
            Ok(order) => {
                self.misbehave(order);
                web::json(StatusCode::OK, &json!({}))
            }
            Err(error) => web::json(
                StatusCode::BAD_REQUEST,
                &json!({"error": error.to_string()}),
            ),
        }
    }
}

/// New ids of an individual.
#[derive(Debug, Deserialize)]
struct Update {
    #[serde(rename = "updateId")]
    update_id: Value,
    ids: Vec<NewId>,
}

/// A member of `ids`; others, such as `expiry_date`, may stand beside.
#[derive(Debug, Deserialize)]
struct NewId {
    id_type: String,
    value: Value,
}

#[async_trait]
impl Handler for Odoo {
    async fn handle(&self, _: &Caller, request: Request<Bytes>) -> IdaAnswer {
        let now = self.clock.now();
        let ok = |value| web::json(StatusCode::OK, &value);
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::POST, "/web/session/authenticate") => {
                self.authenticate(request.body(), now)
            }
            (&Method::GET, "/web/session/logout") => self.log_out(request.headers(), now),
            (&Method::POST, "/oauth/token") => self.bearer(&request, now),
            (&Method::GET, "/sandbox/received") => ok(json!(self.lock().received)),
            (&Method::GET, "/sandbox/registry") => ok(json!(self.lock().registry)),
            (&Method::POST, "/sandbox/fault") => self.fault(request.body()),
            (&Method::GET, "/sandbox/health") => ok(json!({"status": "UP"})),
            (_, path) if path.ends_with("/update_individual") || path.starts_with("/sink") => {
                self.write(&request, now).await
            }
            _ => web::json(StatusCode::NOT_FOUND, &json!({"error": "Not Found"})),
        }
    }
}
