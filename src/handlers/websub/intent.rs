//! The hub's question whether we meant it: answered for a request of ours that is pending, with equal topic and mode.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    kind, printable, store,
    subscribing::{ALREADY, State},
    typed,
};
use crate::{
    clock::Moment,
    exchange::{Gateway, Handling, Reply, subscriptions::Subscription},
    handlers::form::Fields,
    refusal::{Code, Refusal},
    store::Revision,
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
    let fields = Fields::parse(question).ok_or_else(|| unexpected("the parameters' form"))?;
    let topic = subscription.topic();
    if fields.get("hub.topic") != Some(topic) {
        return Err(unexpected("another topic"));
    }
    let mode = fields
        .get("hub.mode")
        .ok_or_else(|| unexpected("no mode"))?;
    let name = subscription.name();
    if mode == "denied" {
        let reason = printable(fields.get("hub.reason").unwrap_or_default());
        denied(gateway, subscription, reason).await?;
        return Ok(handling.answer(StatusCode::OK, HeaderMap::new(), Bytes::new()));
    }
    let challenge = fields
        .get("hub.challenge")
        .filter(|c| c.len() <= CHALLENGE_MAX && c.bytes().all(|b| b.is_ascii_graphic()))
        .ok_or_else(|| unexpected("no challenge of 1 to 256 visible characters"))?;
    let (asked_mode, asked_topic) = (mode.to_owned(), topic.to_owned());
    let meant = revise(gateway, name, move |mut state, now| {
        let pending = state.awaits(&asked_mode, &asked_topic, now).cloned()?;
        // The pending request stays: a hub whose connection broke asks once more.
        if pending.mode == "subscribe" {
            state.verified_ms = Some(now.ms());
            state.secret = Some(pending.secret);
            state.denied = None;
            return Some(("verified", state));
        }
        state.verified_ms = None;
        state.secret = None;
        Some(("ask", state))
    });
    if !meant.await? {
        return Err(unexpected("no request of that mode is pending"));
    }
    gateway.heard(name);
    tracing::info!(subscription = name, mode, "the hub's question is answered");
    let body = Bytes::copy_from_slice(challenge.as_bytes());
    Ok(handling.answer(StatusCode::OK, typed("text/plain"), body))
}

async fn denied(
    gateway: &Gateway,
    subscription: &Subscription,
    reason: String,
) -> Result<(), Refusal> {
    let (name, topic) = (subscription.name(), subscription.topic().to_owned());
    tracing::warn!(subscription = name, reason, "the hub denies");
    let noted = revise(gateway, name, move |mut state, now| {
        // MOSIP's way to say that the subscription is alive; but only if we asked.
        let asked = state.awaits("subscribe", &topic, now).cloned();
        if let Some(pending) = asked
            && reason.contains(ALREADY)
        {
            state.verified_ms = Some(now.ms());
            state.secret = Some(pending.secret);
            state.denied = None;
            return Some(("verified", state));
        }
        state.denied = Some(reason);
        Some(("denied", state))
    });
    noted.await.map(|_| ())
}

/// Changes what is known of a subscription, in one transaction; says whether it was changed.
async fn revise(
    gateway: &Gateway,
    name: &str,
    change: impl FnOnce(State, Moment) -> Option<(&'static str, State)> + Send + 'static,
) -> Result<bool, Refusal> {
    let now = gateway.clock().now();
    let revised =
        store(gateway)?.revise(kind::SUBSCRIPTION, name, now, move |errand| {
            match change(State::of(errand), now) {
                None => (Revision::Keep, false),
                Some((step, state)) => {
                    let reopen = Revision::Reopen {
                        step: step.to_owned(),
                        body: state.bytes(),
                    };
                    (reopen, true)
                }
            }
        });
    revised
        .await
        .map(|changed| changed.unwrap_or(false))
        .map_err(|e| Refusal::new(Code::StoreDown, e.to_string()))
}

fn unexpected(why: &str) -> Refusal {
    Refusal::new(Code::IntentUnexpected, why.to_owned())
}
