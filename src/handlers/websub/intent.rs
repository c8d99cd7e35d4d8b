//! The hub's question whether we meant it: answered for a request of ours that is pending, with equal topic and mode.
//! Questions about an address that a subscription had before are [`super::leaving`]'s.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    challenge, kind, leaving, printable, store,
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
    if let Some(reply) = of_before(gateway, &handling, question).await? {
        let headers = typed("text/plain");
        return Ok(handling.answer(StatusCode::OK, headers, Bytes::from(reply)));
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
        .and_then(challenge)
        .ok_or_else(|| unexpected("no challenge of 1 to 256 visible characters"))?;
    let (asked_mode, asked_topic) = (mode.to_owned(), topic.to_owned());
    let meant = revise(gateway, name, move |mut state, now| {
        let pending = state.awaits(&asked_mode, &asked_topic, now).cloned()?;
        // The pending request stays: a hub whose connection broke asks once more.
        if pending.mode == "subscribe" {
            state.verified(pending, now);
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
    let body = Bytes::from(challenge);
    Ok(handling.answer(StatusCode::OK, typed("text/plain"), body))
}

/// Answers a question that comes to a path which no subscription has any more.
pub(super) async fn answer_elsewhere(
    gateway: &Arc<Gateway>,
    handling: Handling,
    question: &str,
) -> Result<Reply, Refusal> {
    match of_before(gateway, &handling, question).await? {
        Some(reply) => {
            let headers = typed("text/plain");
            Ok(handling.answer(StatusCode::OK, headers, Bytes::from(reply)))
        }
        None => Err(unexpected("no subscription has or had this callback")),
    }
}

/// The answer to a question about an address of before.
async fn of_before(
    gateway: &Gateway,
    handling: &Handling,
    question: &str,
) -> Result<Option<String>, Refusal> {
    let Some(subscriptions) = handling.snapshot().subscriptions() else {
        return Ok(None);
    };
    let path = handling.near().path();
    (leaving::answer(gateway, subscriptions, path, question).await)
        .map_err(|e| Refusal::new(Code::StoreDown, e.to_string()))
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
            state.verified(pending, now);
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
