//! Deliveries without the hub's signature: kept for a person to look at, up to a bound, and never acted upon.
//!
//! Where the secrets had drifted apart, the operator corrects ours and takes the errand up again
//! (`triseal deliveries retry`): it goes on only if the signature fits then.

use std::{future::Future, pin::Pin, sync::Arc};

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{intake, kind, record, signature};
use crate::{
    exchange::{Gateway, Snapshot, errands::Doer, subscriptions::Subscription},
    store::{Errand, NewErrand, Settlement},
};

/// Bytes of a delivery that is kept here; larger ones are only counted.
const KEPT_MAX: usize = 256 << 10;

/// What is kept beside the bytes.
#[derive(Debug, Deserialize, Serialize)]
struct Unsigned {
    subscription: String,
    signature: Option<String>,
}

/// Keeps a delivery, if there is room.
pub(super) async fn keep(
    gateway: &Gateway,
    snapshot: &Snapshot,
    subscription: &Subscription,
    headers: &HeaderMap,
    body: &[u8],
) {
    let Some(store) = gateway.store() else {
        return;
    };
    let max = snapshot
        .subscriptions()
        .map_or(0, |all| all.quarantine_max());
    let lost = |why: &str| {
        tracing::error!(subscription = subscription.name(), "not kept: {why}");
        gateway
            .metrics()
            .websub_deliveries
            .with_label_values(&[subscription.name(), "unsigned-lost"])
            .inc();
    };
    if body.len() > KEPT_MAX {
        return lost("it is too large for the quarantine");
    }
    match store.count(kind::QUARANTINE, None).await {
        Ok(kept) if kept < max => {}
        Ok(_) => return lost("the quarantine is full"),
        Err(error) => return lost(&error.to_string()),
    }
    let unsigned = Unsigned {
        subscription: subscription.name().to_owned(),
        signature: headers
            .get(signature::HEADER)
            .and_then(|value| value.to_str().ok())
            .map(|text| text.chars().take(200).collect()),
    };
    let now = gateway.clock().now();
    let Some(bytes) = record::write(&unsigned, body) else {
        return lost("it cannot be written");
    };
    let new = NewErrand {
        kind: kind::QUARANTINE,
        key: intake::key(subscription.name(), body),
        step: "check",
        body: bytes,
        due: now,
    };
    if let Err(error) = store.put(new, now).await {
        lost(&error.to_string());
    }
}

/// Parks what has no signature that fits.
#[derive(Debug)]
pub(super) struct Quarantine;

impl Doer for Quarantine {
    fn kind(&self) -> &'static str {
        kind::QUARANTINE
    }

    fn attempt<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        errand: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        Box::pin(check(gateway, errand))
    }
}

async fn check(gateway: &Gateway, errand: &Errand) -> Settlement {
    let park = |why: &str| Settlement::Park {
        reason: format!("not delivered: {why}"),
    };
    let Some((unsigned, body)) = record::read::<Unsigned>(errand.body()) else {
        return park("the record cannot be read");
    };
    let snapshot = gateway.snapshot();
    let subscriptions = snapshot.subscriptions();
    let Some(subscription) = subscriptions.and_then(|all| all.named(&unsigned.subscription)) else {
        return park("its subscription is not configured any more");
    };
    let value = unsigned.signature.as_deref().unwrap_or_default();
    match signature::verify_value(value, subscription.secret().expose(), body) {
        Err(why) => park(&format!("the hub's signature is {why}")),
        Ok(()) => match intake::deliver(gateway, subscription.name(), body).await {
            Ok(_) => Settlement::Done,
            Err(refusal) => Settlement::Retry {
                reason: refusal.to_string(),
                after: errand.back_off(),
            },
        },
    }
}
