//! Deliveries without the hub's signature: kept for a person to look at, up to a bound, and never acted upon.
//!
//! Where the secrets had drifted apart, the operator corrects ours and takes the errand up again
//! (`triseal deliveries retry`): it goes on only if the signature fits then.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{intake, kind, record, signature};
use crate::{
    exchange::{Gateway, Snapshot, errands::Doer, subscriptions::Subscription},
    store::{Errand, NewErrand, Settlement, Store},
};

/// Bytes of a delivery that is kept here; larger ones are only counted.
const KEPT_MAX: usize = 256 << 10;

/// What is kept beside the bytes.
#[derive(Debug, Deserialize, Serialize)]
struct Unsigned {
    subscription: String,
    signature: Option<String>,
}

/// How many are kept. The store counts once a second; what came since is counted here.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<Option<(Instant, usize)>>);

impl Room {
    /// Takes a place among `max`.
    fn take(&self, store: &Store, max: usize) -> bool {
        const OLD: Duration = Duration::from_secs(3);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, number) = match *kept {
            Some((at, number)) if at.elapsed() < OLD => (at, number),
            _ => {
                let counts = store.counts();
                let number: u64 = (counts.iter())
                    .filter(|count| count.kind == kind::QUARANTINE)
                    .map(|count| count.number)
                    .sum();
                (
                    Instant::now(),
                    usize::try_from(number).unwrap_or(usize::MAX),
                )
            }
        };
        let free = number < max;
        *kept = Some((
            at,
            if free {
                number.saturating_add(1)
            } else {
                number
            },
        ));
        free
    }
}

/// Keeps a delivery, if there is room.
pub(super) async fn keep(
    gateway: &Gateway,
    room: &Room,
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
    if !room.take(store, max) {
        return lost("the quarantine is full");
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
    if let Some(given_up) = super::discarded(errand) {
        return given_up;
    }
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
        Ok(()) => match intake::deliver(gateway, subscription.name(), "", body).await {
            Ok(_) => Settlement::Done,
            Err(refusal) => Settlement::Retry {
                reason: refusal.to_string(),
                after: errand.back_off(),
            },
        },
    }
}
