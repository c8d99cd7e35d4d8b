//! A delivery to a partner: the hub's bytes, signed with the partner's own secret, to the gateway in the partner's file.

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    kind, record, signature,
    subscriber::{self, Record},
};
use crate::{
    exchange::{
        Gateway,
        errands::Doer,
        outward::{Call, Step},
    },
    store::{Errand, NewErrand, Settlement, Store, StoreError},
};

/// To whom.
#[derive(Debug, Deserialize, Serialize)]
struct Addressed {
    partner: String,
    topic: String,
    /// Of the exchange that brought it; empty in what an older version stored.
    #[serde(default)]
    correlation_id: String,
}

/// Puts one delivery in the outbox for each partner that has subscribed; says to how many.
///
/// # Errors
/// When the store fails.
pub(super) async fn fan_out(
    gateway: &Gateway,
    store: &Store,
    topic: &str,
    delivery: &str,
    (correlation_id, body): (&str, &[u8]),
) -> Result<usize, StoreError> {
    let now = gateway.clock().now();
    let snapshot = gateway.snapshot();
    let mut to = 0_usize;
    for partner in snapshot.directory().iter() {
        if partner
            .subscribing()
            .is_none_or(|allowed| !allowed.may(topic))
        {
            continue;
        }
        let id = partner.id().as_str();
        let known = store
            .find(kind::SUBSCRIBER, &subscriber::key(id, topic))
            .await?;
        let record = known.as_ref().map(Record::of).unwrap_or_default();
        if record.in_force(now).is_none() {
            continue;
        }
        let addressed = Addressed {
            partner: id.to_owned(),
            topic: topic.to_owned(),
            correlation_id: correlation_id.to_owned(),
        };
        let Some(bytes) = record::write(&addressed, body) else {
            continue;
        };
        store
            .put(
                NewErrand {
                    kind: kind::OUTBOUND,
                    key: format!("{id}:{delivery}"),
                    step: "deliver",
                    body: bytes,
                    due: now,
                },
                now,
            )
            .await?;
        to = to.saturating_add(1);
    }
    Ok(to)
}

/// Delivers to partners.
#[derive(Debug)]
pub(super) struct Outbound;

impl Doer for Outbound {
    fn kind(&self) -> &'static str {
        kind::OUTBOUND
    }

    fn attempt<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        errand: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        Box::pin(attempt(gateway, errand))
    }
}

async fn attempt(gateway: &Gateway, errand: &Errand) -> Settlement {
    if let Some(given_up) = super::discarded(errand) {
        return given_up;
    }
    let park = |why: &str| Settlement::Park {
        reason: why.to_owned(),
    };
    let Some((to, body)) = record::read::<Addressed>(errand.body()) else {
        return park("the record cannot be read");
    };
    let now = gateway.clock().now();
    let snapshot = gateway.snapshot();
    let limit = snapshot.subscriptions().map_or(1, |all| all.attempts_max());
    let again = |reason: String| {
        if errand.attempts().saturating_add(1) >= limit {
            Settlement::Park { reason }
        } else {
            Settlement::Retry {
                reason,
                after: errand.back_off(),
            }
        }
    };
    let partner = snapshot.directory().partner(&to.partner);
    let Some(partner) = partner.filter(|p| p.standing(now).is_ok()) else {
        return again("the partner is not active".to_owned());
    };
    let Some(subscribing) = partner
        .subscribing()
        .filter(|allowed| allowed.may(&to.topic))
    else {
        return park("the partner may not have this topic any more");
    };
    let Some(store) = gateway.store() else {
        return again("there is no store".to_owned());
    };
    let key = subscriber::key(&to.partner, &to.topic);
    let record = match store.find(kind::SUBSCRIBER, &key).await {
        Ok(known) => known.as_ref().map(Record::of).unwrap_or_default(),
        Err(error) => return again(error.to_string()),
    };
    let Some(active) = record.in_force(now) else {
        return park("the partner's subscription has ended");
    };
    let Some(path) = subscribing.callback(&active.callback) else {
        return park("the partner may not use this callback any more");
    };
    let mut headers = HeaderMap::new();
    let value = signature::made(active.secret.as_bytes(), body);
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(signature::HEADER, value);
    }
    if let Ok(link) = HeaderValue::try_from(format!("<{}>; rel=\"self\"", to.topic)) {
        headers.insert(http::header::LINK, link);
    }
    let call = Call {
        method: Method::POST,
        path_and_query: path.to_owned(),
        headers,
        media_type: Some(HeaderValue::from_static("application/json")),
        body: Bytes::copy_from_slice(body),
    };
    let step = Step {
        errand,
        correlation_id: &gateway.known_or_new(to.correlation_id),
    };
    let (upstream, envelope) = (subscribing.upstream(), subscribing.envelope());
    match gateway
        .call_for(step, &snapshot, upstream, envelope, call)
        .await
    {
        Ok(answer) if answer.status.is_success() => Settlement::Done,
        Ok(answer) if answer.status == StatusCode::GONE => {
            park("the partner's gateway says that the subscription is gone")
        }
        Ok(answer) => again(format!(
            "the partner's gateway answered {}",
            answer.status.as_u16()
        )),
        Err(refusal) => again(format!("the partner's gateway: {refusal}")),
    }
}
