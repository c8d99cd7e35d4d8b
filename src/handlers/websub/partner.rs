//! The hub as partners see it: subscribe and unsubscribe, for what a partner's file lists.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use super::{
    FORM, is_form, kind, store,
    subscriber::{Active, Asked, Record, key},
    typed,
};
use crate::{
    exchange::{Gateway, Handling, Reply},
    handlers::form::Fields,
    refusal::{Code, Refusal},
    store::{NewErrand, Put, Revision},
};

/// The lease where a partner names none, and the bounds of one that it names, in seconds.
const LEASE_DEFAULT: u64 = 86_400;
const LEASE_MIN: u64 = 60;
const LEASE_MAX: u64 = 30 * 86_400;

/// Takes a partner's request; its callback is asked afterwards.
pub(super) async fn ask(
    gateway: &Arc<Gateway>,
    handling: Handling,
    body: &Bytes,
) -> Result<Reply, Refusal> {
    let malformed = |why: &str| Refusal::new(Code::SubscriptionForm, why.to_owned());
    if !is_form(handling.headers()) {
        return Err(Refusal::new(Code::MediaType, "not a form"));
    }
    let text = std::str::from_utf8(body).map_err(|_| malformed("not text"))?;
    let fields = Fields::parse(text).ok_or_else(|| malformed("the form cannot be read"))?;
    let need = |name: &str| {
        let value = fields.get(name);
        value.ok_or_else(|| malformed(&format!("{name} is missing")))
    };
    let (mode, topic, callback) = (need("hub.mode")?, need("hub.topic")?, need("hub.callback")?);
    let partner = handling.caller().partner();
    let subscribing = partner
        .subscribing()
        .filter(|allowed| allowed.may(topic))
        .ok_or_else(|| {
            let cause = format!("{} does not list the topic", partner.id());
            Refusal::new(Code::TopicForbidden, cause)
        })?;
    if subscribing.callback(callback).is_none() {
        let cause = format!("{} does not list the callback", partner.id());
        return Err(Refusal::new(Code::CallbackForbidden, cause));
    }
    let asked = match mode {
        "subscribe" => {
            let secret = need("hub.secret")?;
            if !(16..200).contains(&secret.len()) {
                return Err(malformed("hub.secret is no text of 16 to 199 bytes"));
            }
            let lease = match fields.get("hub.lease_seconds") {
                None => LEASE_DEFAULT,
                Some(text) => text.parse().map_err(|_| malformed("hub.lease_seconds"))?,
            };
            Asked::Subscribe(Active {
                callback: callback.to_owned(),
                secret: secret.to_owned(),
                lease_s: lease.clamp(LEASE_MIN, LEASE_MAX),
                until_ms: 0,
            })
        }
        "unsubscribe" => Asked::Unsubscribe(callback.to_owned()),
        _ => return Err(malformed("hub.mode is neither subscribe nor unsubscribe")),
    };
    keep(gateway, &key(partner.id().as_str(), topic), asked).await?;
    tracing::info!(partner = %partner.id(), mode, "a partner asks for a subscription");
    let accepted = Bytes::from_static(b"hub.mode=accepted");
    Ok(handling.answer(StatusCode::ACCEPTED, typed(FORM), accepted))
}

/// Writes down what was asked; what is active stays so until the callback has confirmed.
async fn keep(gateway: &Gateway, key: &str, asked: Asked) -> Result<(), Refusal> {
    let down = |e: crate::store::StoreError| Refusal::new(Code::StoreDown, e.to_string());
    let now = gateway.clock().now();
    let store = store(gateway)?;
    let record = Record {
        asked: Some(asked.clone()),
        active: None,
    };
    let new = NewErrand {
        kind: kind::SUBSCRIBER,
        key: key.to_owned(),
        step: "verify",
        body: record.bytes(),
        due: now,
    };
    if store.put(new, now).await.map_err(down)? == Put::Stored {
        return Ok(());
    }
    let revised = store.revise(kind::SUBSCRIBER, key, now, move |known| {
        let mut record = Record::of(known);
        record.asked = Some(asked);
        let reopen = Revision::Reopen {
            step: "verify".to_owned(),
            body: record.bytes(),
        };
        (reopen, ())
    });
    revised.await.map_err(down)?;
    Ok(())
}
