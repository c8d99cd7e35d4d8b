//! A registration on its way: what the store keeps of it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{exchange::outward::Step, store::Errand};

/// The steps, in their order. The first call is made in `received`; MOSIP works in `workflow-started`.
pub(super) const RECEIVED: &str = "received";
pub(super) const PACKET_CREATED: &str = "packet-created";
pub(super) const WORKFLOW_STARTED: &str = crate::exchange::registrations::WAITING;
pub(super) const CREDENTIAL_RECEIVED: &str = "credential-received";
pub(super) const CONFIRMED: &str = "confirmed";

/// A birth or a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Birth,
    Death,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Birth => "birth",
            Self::Death => "death",
        }
    }
}

/// A registration. Never shown but by [`summary`]: it holds a token and a person.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Transaction {
    pub(super) kind: Kind,
    pub(super) tracking_id: String,
    pub(super) registration_number: String,
    /// MOSIP's registration id.
    pub(super) transaction_id: String,
    /// What core is told as the transaction id.
    pub(super) confirmation_id: String,
    pub(super) event_id: String,
    pub(super) action_id: String,
    /// Gone when the registration is confirmed.
    pub(super) token: Option<String>,
    pub(super) token_expires_s: i64,
    pub(super) correlation_id: String,
    /// What was asked, as a digest: the same again is no news.
    pub(super) digest: String,
    /// What stands in `request` of createPacket; gone when the registration is confirmed.
    pub(super) packet: Option<Value>,
    /// What stands in `request` of workflowinstance; gone when the registration is confirmed.
    pub(super) workflow: Option<Value>,
    pub(super) credential: Option<Credential>,
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Credential {
    /// The national id of a birth.
    pub(super) number: Option<String>,
    pub(super) received_ms: i64,
}

impl Transaction {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub(super) fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What the records of a step are kept under: the exchange that brought the registration.
    pub(super) fn step<'a>(&'a self, errand: &'a Errand) -> Step<'a> {
        Step {
            errand,
            correlation_id: &self.correlation_id,
        }
    }

    /// The same without what is needed no more.
    pub(super) fn finished(mut self) -> Self {
        self.token = None;
        self.packet = None;
        self.workflow = None;
        self
    }
}

/// What an operator may see of a registration: neither token nor person.
pub fn summary(errand: &Errand) -> Option<Value> {
    let t = Transaction::read(errand.body())?;
    Some(json!({
        "event": t.kind.as_str(),
        "trackingId": t.tracking_id,
        "registrationNumber": t.registration_number,
        "transactionId": t.transaction_id,
        "confirmationId": t.confirmation_id,
        "eventId": t.event_id,
        "actionId": t.action_id,
        "correlationId": t.correlation_id,
        "tokenExpires": crate::exchange::rfc3339(crate::clock::Moment::from_s(t.token_expires_s)),
        "credentialReceived": t.credential.map(|c| crate::exchange::rfc3339(crate::clock::Moment::from_ms(c.received_ms))),
    }))
}
