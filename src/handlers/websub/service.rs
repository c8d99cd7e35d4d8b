//! Handing a delivery to a service: one POST of JSON that keeps apart what is proven and what is not.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::delivery::{Delivered, Taken};
use crate::{
    config::Envelope,
    exchange::{
        Gateway, Snapshot,
        outward::{Call, Step},
    },
};

/// Posts a delivery. The service is to answer with success when it has kept it; it may get the same one again.
pub(super) async fn hand_on(
    gateway: &Arc<Gateway>,
    snapshot: &Snapshot,
    step: Step<'_>,
    (upstream, envelope, path): (&str, Envelope, &str),
    delivered: &Delivered,
) -> Taken {
    let mut headers = HeaderMap::new();
    if let Ok(key) = HeaderValue::from_str(delivered.key()) {
        headers.insert("idempotency-key", key);
    }
    let call = Call {
        method: Method::POST,
        path_and_query: path.to_owned(),
        headers,
        media_type: Some(HeaderValue::from_static("application/json")),
        body: Bytes::from(content(delivered).to_string()),
    };
    match gateway
        .call_for(step, snapshot, upstream, envelope, call)
        .await
    {
        Ok(answer) if answer.status.is_success() => Taken::Done,
        Ok(answer) => Taken::Later(format!("the service answered {}", answer.status.as_u16())),
        Err(refusal) => Taken::Later(format!("the service: {refusal}")),
    }
}

fn content(delivered: &Delivered) -> Value {
    let credential = delivered.credential().map(|credential| {
        json!({
            "issuer": credential.issuer(),
            "verificationMethod": credential.verification_method(),
            "proven": credential.proven(),
            "unproven": credential.unproven(),
        })
    });
    let mut event = delivered.event().clone();
    let mut inner = event.get_mut("event").and_then(Value::as_object_mut);
    if credential.is_some()
        && let Some(inner) = &mut inner
    {
        // Who has the address could fetch it, too.
        inner.remove("dataShareUri");
    }
    if credential.is_some()
        && let Some(data) = inner
            .and_then(|inner| inner.get_mut("data"))
            .and_then(Value::as_object_mut)
    {
        // It stands beside, opened; and the key that protected it is nobody's business any more.
        for member in ["credential", "proof", "protectionKey"] {
            data.remove(member);
        }
    }
    json!({
        "subscription": delivered.subscription(),
        "topic": delivered.topic(),
        "event": event,
        "credential": credential,
    })
}
