//! The hub's question whether we meant it: answered for a request of ours that is pending, with equal topic and mode.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    fields::Fields,
    kind, printable, store,
    subscribing::{ALREADY, State},
    typed,
};
use crate::{
    exchange::{Gateway, Handling, Reply, subscriptions::Subscription},
    refusal::{Code, Refusal},
};

/// Bytes of a challenge.
const CHALLENGE_MAX: usize = 256;

/// Answers a question, or takes note of a denial.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    handling: Handling,
    subscription: &Subscription,
    question: &str,
) -> Result<Reply, Refusal> {
    let unexpected = |why: &str| Refusal::new(Code::IntentUnexpected, why.to_owned());
    let fields = Fields::parse(question).ok_or_else(|| unexpected("the parameters' form"))?;
    if fields.get("hub.topic") != Some(subscription.topic()) {
        return Err(unexpected("another topic"));
    }
    let mode = fields
        .get("hub.mode")
        .ok_or_else(|| unexpected("no mode"))?;
    let errand = store(gateway)?
        .find(kind::SUBSCRIPTION, subscription.name())
        .await
        .map_err(|e| Refusal::new(Code::StoreDown, e.to_string()))?
        .ok_or_else(|| unexpected("nothing was asked yet"))?;
    let state = State::of(&errand);
    if mode == "denied" {
        let reason = printable(fields.get("hub.reason").unwrap_or_default());
        denied(gateway, subscription, state, reason).await?;
        return Ok(handling.answer(StatusCode::OK, HeaderMap::new(), Bytes::new()));
    }
    let now = gateway.clock().now();
    let pending = state
        .awaits(mode, subscription.topic(), now)
        .ok_or_else(|| unexpected("no request of that mode is pending"))?;
    let challenge = fields
        .get("hub.challenge")
        .filter(|c| c.len() <= CHALLENGE_MAX && c.bytes().all(|b| b.is_ascii_graphic()))
        .ok_or_else(|| unexpected("no challenge of 1 to 256 visible characters"))?;
    let mut next = state.clone();
    let step = if pending.mode == "subscribe" {
        next.verified_ms = Some(now.ms());
        next.secret = Some(pending.secret.clone());
        next.denied = None;
        "verified"
    } else {
        next.verified_ms = None;
        next.secret = None;
        "ask"
    };
    let name = subscription.name();
    // The pending request stays: a hub whose connection broke asks once more.
    resume(gateway, name, step, &next).await?;
    gateway.heard(name);
    tracing::info!(subscription = name, mode, "the hub's question is answered");
    let body = Bytes::copy_from_slice(challenge.as_bytes());
    Ok(handling.answer(StatusCode::OK, typed("text/plain"), body))
}

async fn denied(
    gateway: &Gateway,
    subscription: &Subscription,
    mut state: State,
    reason: String,
) -> Result<(), Refusal> {
    let now = gateway.clock().now();
    let name = subscription.name();
    // MOSIP's way to say that the subscription is alive; but only if we asked.
    let alive = reason.contains(ALREADY);
    let asked = state
        .awaits("subscribe", subscription.topic(), now)
        .cloned();
    if let (true, Some(pending)) = (alive, asked) {
        state.verified_ms = Some(now.ms());
        state.secret = Some(pending.secret);
        state.denied = None;
        gateway.heard(name);
        return resume(gateway, name, "verified", &state).await;
    }
    tracing::error!(
        subscription = name,
        reason,
        "the hub denies the subscription"
    );
    state.denied = Some(reason);
    resume(gateway, name, "denied", &state).await
}

async fn resume(gateway: &Gateway, name: &str, step: &str, state: &State) -> Result<(), Refusal> {
    let now = gateway.clock().now();
    store(gateway)?
        .resume(
            kind::SUBSCRIPTION,
            name,
            Some(step.to_owned()),
            Some(state.bytes()),
            now,
        )
        .await
        .map(|_| ())
        .map_err(|e| Refusal::new(Code::StoreDown, e.to_string()))
}
