//! A delivery arrives: the signature over its raw bytes, the store, and only then success.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use super::{kind, quarantine, record, signature, store};
use crate::{
    envelope::sha256,
    exchange::{Gateway, Handling, Reply, subscriptions::Subscription},
    refusal::{Code, Refusal},
    store::{NewErrand, Put},
};

/// What is kept beside the bytes of a delivery.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Arrived {
    /// The subscription.
    pub(super) subscription: String,
    /// When it arrived.
    pub(super) at_ms: i64,
    /// Of the exchange that brought it; empty in what an older version stored.
    #[serde(default)]
    pub(super) correlation_id: String,
    /// What was fetched from the data share, still sealed: a credential that was not in the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) shared: Option<String>,
}

/// Stores a delivery and answers it.
pub(super) async fn take(
    gateway: &Arc<Gateway>,
    room: &quarantine::Room,
    handling: Handling,
    subscription: &Subscription,
    (correlation_id, body): (&str, &Bytes),
) -> Result<Reply, Refusal> {
    let name = subscription.name();
    let count = |outcome: &str| {
        gateway
            .metrics()
            .websub_deliveries
            .with_label_values(&[name, outcome])
            .inc();
    };
    let secret = subscription.secret().expose();
    if let Err(why) = signature::verify(handling.headers(), secret, body) {
        count("unsigned");
        tracing::error!(
            subscription = name,
            signature = why,
            bytes = body.len(),
            "a delivery does not carry the hub's signature; it goes into quarantine and changes nothing"
        );
        quarantine::keep(
            gateway,
            room,
            handling.snapshot(),
            subscription,
            handling.headers(),
            body,
        )
        .await;
        // A failure would tell a forger something, and stop the true hub for good if the secrets had drifted apart.
        return Ok(accepted(handling));
    }
    let put = deliver(gateway, name, correlation_id, body).await?;
    count(match put {
        Put::Stored => "stored",
        Put::Known(_) => "duplicate",
    });
    gateway.heard(name);
    Ok(accepted(handling))
}

/// Puts a signed delivery into the store; the same bytes once.
pub(super) async fn deliver(
    gateway: &Gateway,
    subscription: &str,
    correlation_id: &str,
    body: &[u8],
) -> Result<Put, Refusal> {
    let now = gateway.clock().now();
    let arrived = Arrived {
        subscription: subscription.to_owned(),
        at_ms: now.ms(),
        correlation_id: correlation_id.to_owned(),
        shared: None,
    };
    let bytes = record::write(&arrived, body)
        .ok_or_else(|| Refusal::new(Code::Fault, "a record that cannot be written"))?;
    let new = NewErrand {
        kind: kind::DELIVERY,
        key: key(subscription, body),
        step: "deliver",
        body: bytes,
        due: now,
    };
    store(gateway)?
        .put(new, now)
        .await
        .map_err(|e| Refusal::new(Code::StoreDown, e.to_string()))
}

/// The subscription and the digest of the bytes.
pub(super) fn key(subscription: &str, body: &[u8]) -> String {
    let hex: String = sha256(body).iter().map(|b| format!("{b:02x}")).collect();
    format!("{subscription}:{hex}")
}

fn accepted(handling: Handling) -> Reply {
    handling.answer(StatusCode::ACCEPTED, HeaderMap::new(), Bytes::new())
}
