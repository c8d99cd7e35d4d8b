//! MOSIP's registration side, played properly: authmanager, packet manager, workflow manager, credential issuance and the
//! WebSub hub. It verifies what MOSIP verifies and fails as MOSIP fails; what it leaves out is what needs biometrics or
//! people at desks.
//!
//! It is written from the wire reference (`websub-esignet-packet-mts.md`, sections 1 to 3) over OpenSSL and josekit, with
//! no line in common with the gateway's envelopes and credentials. [`process`] is the worker behind the workflow manager.

mod control;
mod credential;
mod documents;
mod envelope;
mod hub;
mod hybrid;
mod login;
mod management;
mod misbehave;
mod packet;
mod process;
mod workflow;

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    fmt::{self, Arguments},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use openssl::{
    error::ErrorStack,
    pkey::{PKey, Private},
    rsa::Rsa,
};
use serde_json::Value;

pub use documents::{context, controller, public_key};
pub use hub::HubPace;
pub use login::ClientRecord;
pub(in crate::sandbox) use login::sign;
pub(in crate::sandbox) use management::TOPICS;
pub use misbehave::{Fault, FaultOrder};

use super::{
    ida::{Ida, IdaAnswer},
    register::Register,
    server::{Caller, Handler},
    wire,
};
use crate::clock::{Clock, Moment};

/// The partner that credentials are issued to.
#[derive(Clone, Debug)]
pub struct CredentialPartner {
    /// Its id: the first part of its topics, and its client id at the login.
    pub id: String,
    /// Its encryption certificate (DER).
    pub certificate: Vec<u8>,
}

/// How fast things go.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From the start of a workflow to the credential.
    pub processing: Duration,
    /// The hub.
    pub hub: HubPace,
}

/// Everything it is told at the start.
#[derive(Clone)]
pub struct MosipConfig {
    /// The public host that credentials name.
    pub host: String,
    /// The hub's own address, as its deliveries name it.
    pub hub_url: String,
    /// Who can log in.
    pub clients: Vec<ClientRecord>,
    /// Whose tokens packet and workflow manager take (`auth.server.admin.allowed.audience`).
    pub allowed_audience: Vec<String>,
    /// Whose packets can be encrypted: `{center}_{machine}`.
    pub machines: Vec<String>,
    /// Who gets credentials.
    pub partner: CredentialPartner,
    /// How long tokens live.
    pub token_life_s: i64,
    /// How fast things go.
    pub pace: Pace,
    /// Who lives.
    pub register: Register,
    login_key: PKey<Private>,
    credential_key: PKey<Private>,
}

impl fmt::Debug for MosipConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MosipConfig")
            .field("host", &self.host)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}

impl MosipConfig {
    /// Fresh keys, MOSIP's paces but for a quick registration, nobody who could log in.
    ///
    /// # Errors
    /// When OpenSSL makes no keys.
    pub fn new(partner: CredentialPartner, register: Register) -> Result<Self, ErrorStack> {
        Ok(Self {
            host: "mosip.sandbox.example.org".to_owned(),
            hub_url: "http://localhost/hub".to_owned(),
            clients: Vec::new(),
            allowed_audience: Vec::new(),
            machines: vec!["10001_10004".to_owned()],
            partner,
            token_life_s: 3_600,
            pace: Pace {
                processing: Duration::from_millis(300),
                hub: HubPace::default(),
            },
            register,
            login_key: fresh_key()?,
            credential_key: fresh_key()?,
        })
    }
}

/// Where log lines go.
type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

/// The service; clones are the same one.
#[derive(Clone)]
pub struct Mosip(Arc<Inner>);

struct Inner {
    config: MosipConfig,
    /// Hears of what partner management decides.
    ida: Arc<Ida>,
    clock: Clock,
    state: Mutex<State>,
    hub: hub::Hub,
    log: Option<LogSink>,
}

/// What changes while it runs.
#[derive(Default)]
struct State {
    packets: HashMap<String, packet::Packet>,
    workflows: HashMap<String, workflow::Workflow>,
    issued: VecDeque<Value>,
    faults: misbehave::Switchboard,
}

impl fmt::Debug for Mosip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mosip").finish_non_exhaustive()
    }
}

impl Mosip {
    /// Puts it together, beside an IDA; `log` gets a line for each thing that happens.
    pub fn new(
        config: MosipConfig,
        ida: Arc<Ida>,
        clock: Clock,
        log: Option<impl Fn(&str) + Send + Sync + 'static>,
    ) -> Self {
        Self(Arc::new(Inner {
            config,
            ida,
            clock,
            state: Mutex::default(),
            hub: hub::Hub::default(),
            log: log.map(|sink| Arc::new(sink) as LogSink),
        }))
    }

    /// Orders a fault.
    pub fn misbehave(&self, order: FaultOrder) {
        self.state().faults.order(order);
    }

    fn config(&self) -> &MosipConfig {
        &self.0.config
    }

    fn hub(&self) -> &hub::Hub {
        &self.0.hub
    }

    fn now(&self) -> Moment {
        self.0.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strikes(&self, fault: Fault) -> Option<Duration> {
        self.state().faults.strikes(fault)
    }

    fn waits(&self, fault: Fault) -> bool {
        self.state().faults.waits(fault)
    }

    fn say(&self, line: Arguments<'_>) {
        if let Some(sink) = &self.0.log {
            sink(&format!("mosip {line}"));
        }
    }

    fn document(&self, name: &str) -> IdaAnswer {
        let document = match name {
            "public-key.json" => public_key(self.config()).ok(),
            "controller.json" => Some(controller(self.config())),
            "mosip-context.json" => Some(context(self.config())),
            _ => None,
        };
        document.map_or_else(
            || wire::text(StatusCode::NOT_FOUND, "Not Found"),
            |document| wire::json(StatusCode::OK, &document),
        )
    }
}

#[async_trait]
impl Handler for Mosip {
    async fn handle(&self, caller: &Caller, request: Request<Bytes>) -> IdaAnswer {
        let now = self.now();
        let (parts, body) = request.into_parts();
        let (path, headers) = (parts.uri.path(), &parts.headers);
        if let Some(rest) = path.strip_prefix("/sandbox/") {
            return self.only_here(caller, &parts.method, rest, &body);
        }
        match (&parts.method, path) {
            (&Method::POST, "/v1/authmanager/authenticate/clientidsecretkey") => {
                self.log_in(&body, now).await
            }
            (&Method::GET, "/v1/authmanager/authorize/admin/validateToken") => {
                self.validate(headers, now)
            }
            (&Method::PUT, "/commons/v1/packetmanager/createPacket") => {
                self.create_packet(headers, &body, now).await
            }
            (&Method::POST, "/registrationprocessor/v1/workflowmanager/workflowinstance") => {
                self.start_workflow(headers, &body, now)
            }
            (&Method::POST, "/hub" | "/hub/" | "/websub/hub" | "/websub/hub/") => {
                self.ask_hub(headers, parts.uri.query().unwrap_or_default(), &body, now)
            }
            (&Method::GET, "/hub/actuator/health" | "/websub/hub/actuator/health") => {
                let body = serde_json::json!({"status": "UP", "details": {}});
                wire::json(StatusCode::OK, &body)
            }
            (&Method::GET, path) => path.strip_prefix("/.well-known/").map_or_else(
                || wire::text(StatusCode::NOT_FOUND, "Not Found"),
                |name| self.document(name),
            ),
            _ => wire::text(StatusCode::NOT_FOUND, "Not Found"),
        }
    }
}

/// A new RSA key.
pub(in crate::sandbox) fn fresh_key() -> Result<PKey<Private>, ErrorStack> {
    Rsa::generate(2048).and_then(PKey::from_rsa)
}

/// Base64url without padding, as MOSIP writes it.
pub(in crate::sandbox) fn base64_url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
