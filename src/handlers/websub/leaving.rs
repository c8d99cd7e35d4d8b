//! Addresses of ours that the hub still knows: left with `hub.mode=unsubscribe` once a subscription has another callback.
//!
//! For the hub, topic and callback together are the subscription (reference 1.3). So the new one is asked for at once, and the
//! old one is left beside it, in an errand of its own: nobody who gets the old name or path later gets our deliveries.
//! While both are alive the same event may come twice; it is handed on once. What still comes to the old path, where its route
//! was kept, is taken until the hub has asked whether to leave it.

use serde::{Deserialize, Serialize};

use super::{
    kind, record,
    subscribing::{self, Asking, Said, State},
};
use crate::{
    envelope::sha256,
    exchange::{
        Gateway,
        subscriptions::{Subscription, Subscriptions},
    },
    handlers::form::Fields,
    partners::callback_path,
    store::{Errand, NewErrand, Put, Revision, Settlement, Standing, Store, StoreError},
};

/// How often the hub is asked to ask; after that a person has to see to it.
const ASKS_MAX: u32 = 5;
/// Old addresses that are remembered for one subscription.
const LEFT_MAX: usize = 8;
/// How MOSIP's hub says that it has no such subscription.
const NOT_THERE: &str = "not been registered";
/// The step in which the hub's question was answered.
const ANSWERED: &str = "left";

/// An old address.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Left {
    subscription: String,
    topic: String,
    callback: String,
    /// How often the hub was asked.
    asked: u32,
    /// Until when its question is awaited.
    until_ms: i64,
}

impl Left {
    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl State {
    /// Takes note that the subscription has another callback now: the old one is to be left, and the new one is unknown to the
    /// hub. Says whether that is so.
    pub(super) fn move_to(&mut self, callback: &str) -> bool {
        // Back at an address that was being left: it is ours again.
        self.left.retain(|old| old != callback);
        match self.callback.take() {
            Some(old) if old != callback => {
                if self.left.len() < LEFT_MAX {
                    self.left.push(old);
                } else {
                    tracing::error!(
                        "a subscription has had too many callbacks: the hub is not told about the last one"
                    );
                }
                self.pending = None;
                self.verified_ms = None;
                self.secret = None;
                self.denied = None;
                true
            }
            kept => {
                self.callback = kept;
                false
            }
        }
    }
}

/// Whether an errand is one of these.
pub(super) fn is(errand: &Errand) -> bool {
    errand.key().contains('#')
}

/// A subscription's name has no `#` in it.
fn key(subscription: &str, callback: &str) -> String {
    let hex: String = (sha256(callback.as_bytes()).iter().take(8))
        .map(|b| format!("{b:02x}"))
        .collect();
    format!("{subscription}#{hex}")
}

/// Every address that is to be left has its errand.
pub(super) async fn ensure(
    gateway: &Gateway,
    store: &Store,
    subscription: &Subscription,
) -> Result<(), StoreError> {
    let name = subscription.name();
    let Some(errand) = store.find(kind::SUBSCRIPTION, name).await? else {
        return Ok(());
    };
    let now = gateway.clock().now();
    for callback in State::of(&errand).left {
        let left = Left {
            subscription: name.to_owned(),
            topic: subscription.topic().to_owned(),
            callback,
            asked: 0,
            until_ms: 0,
        };
        let key = key(name, &left.callback);
        let new = NewErrand {
            kind: kind::SUBSCRIPTION,
            key: key.clone(),
            step: "ask",
            body: left.bytes(),
            due: now,
        };
        if store.put(new, now).await? == Put::Known(Standing::Done) {
            // It was left once before, and came back in between.
            let reopen = Revision::Reopen {
                step: "ask".to_owned(),
                body: left.bytes(),
            };
            store
                .revise(kind::SUBSCRIPTION, &key, now, move |_| (reopen, ()))
                .await?;
        }
    }
    Ok(())
}

/// One attempt at leaving.
pub(super) async fn attempt(gateway: &Gateway, errand: &Errand) -> Settlement {
    let park = |reason: &str| Settlement::Park {
        reason: reason.to_owned(),
    };
    let Some(mut left) = record::head::<Left>(errand.body()) else {
        return park("the record cannot be read");
    };
    let snapshot = gateway.snapshot();
    let configured =
        (snapshot.subscriptions()).and_then(|all| Some((all, all.named(&left.subscription)?)));
    let Some((all, subscription)) = configured else {
        return park("the subscription is not configured any more");
    };
    if subscription.callback() == left.callback || errand.step() == ANSWERED {
        return forget(gateway, errand, &left).await;
    }
    let now = gateway.clock().now();
    if errand.step() != "send" {
        if left.asked >= ASKS_MAX {
            return park(
                "the hub never asked at the old callback whether it is to be left: unsubscribe there by hand",
            );
        }
        // Written down before it is asked: the hub's question may come before its answer.
        left.asked = left.asked.saturating_add(1);
        left.until_ms = subscribing::later(now, all.pending()).ms();
        return Settlement::Next {
            step: "send",
            body: Some(left.bytes()),
        };
    }
    let asking = Asking {
        upstream: subscription.upstream(),
        mode: "unsubscribe",
        topic: &left.topic,
        callback: &left.callback,
        more: None,
    };
    let reason = match subscribing::request(gateway, &snapshot, all, errand, asking).await {
        Ok(answer) => match subscribing::read(&answer) {
            Said::Accepted => {
                tracing::info!(
                    subscription = left.subscription,
                    "the hub was asked to leave an old callback"
                );
                return Settlement::Wait {
                    step: "ask",
                    body: None,
                    until: subscribing::later(now, all.pending()),
                };
            }
            Said::Denied(reason) if reason.contains(NOT_THERE) => {
                return forget(gateway, errand, &left).await;
            }
            Said::Denied(reason) => format!("the hub denied: {reason}"),
            Said::Other(status) => format!("the hub answered {status}"),
        },
        Err(refusal) => format!("the hub was not reached: {refusal}"),
    };
    if errand.attempts() >= all.attempts_max() {
        return park(&reason);
    }
    Settlement::Retry {
        reason,
        after: errand.back_off(),
    }
}

/// The address is left: the subscription forgets it, and asks anew, should the hub have meant the new one.
async fn forget(gateway: &Gateway, errand: &Errand, left: &Left) -> Settlement {
    let Some(store) = gateway.store() else {
        return Settlement::Park {
            reason: "there is no store".to_owned(),
        };
    };
    let now = gateway.clock().now();
    let callback = left.callback.clone();
    let revised = store.revise(kind::SUBSCRIPTION, &left.subscription, now, move |errand| {
        let mut state = State::of(errand);
        state.left.retain(|old| *old != callback);
        let reopen = Revision::Reopen {
            step: "ask".to_owned(),
            body: state.bytes(),
        };
        (reopen, ())
    });
    match revised.await {
        Ok(_) => {
            tracing::info!(
                subscription = left.subscription,
                "an old callback of a subscription is left"
            );
            Settlement::Done
        }
        Err(error) => Settlement::Retry {
            reason: error.to_string(),
            after: errand.back_off(),
        },
    }
}

/// The subscription that had this path before, while the hub is not yet known to have left it: what was published before the
/// new address was verified comes here and nowhere else.
pub(super) async fn whose<'s>(
    gateway: &Gateway,
    subscriptions: &'s Subscriptions,
    path: &str,
) -> Result<Option<&'s Subscription>, StoreError> {
    let Some(store) = gateway.store() else {
        return Ok(None);
    };
    for subscription in subscriptions.iter() {
        let known = store.find(kind::SUBSCRIPTION, subscription.name()).await?;
        let left = known.map(|errand| State::of(&errand).left);
        let had = |callback: &String| callback_path(callback) == Some(path);
        if left.unwrap_or_default().iter().any(had) {
            return Ok(Some(subscription));
        }
    }
    Ok(None)
}

/// What to answer to a question about an address that we asked the hub to leave: its challenge, or nothing to a notice that
/// there is nothing to leave. `None` when it is about no such address.
pub(super) async fn answer(
    gateway: &Gateway,
    subscriptions: &Subscriptions,
    path: &str,
    question: &str,
) -> Result<Option<String>, StoreError> {
    let (Some(fields), Some(store)) = (Fields::parse(question), gateway.store()) else {
        return Ok(None);
    };
    let Some(subscription) = fields.get("hub.topic").and_then(|t| subscriptions.to(t)) else {
        return Ok(None);
    };
    let denied = match fields.get("hub.mode") {
        Some("unsubscribe") => false,
        Some("denied")
            if (fields.get("hub.reason")).is_some_and(|reason| reason.contains(NOT_THERE)) =>
        {
            true
        }
        _ => return Ok(None),
    };
    let words = if denied {
        Some(String::new())
    } else {
        fields.get("hub.challenge").and_then(super::challenge)
    };
    // What cannot be answered must not count as answered.
    let Some(words) = words else {
        return Ok(None);
    };
    let name = subscription.name();
    let Some(errand) = store.find(kind::SUBSCRIPTION, name).await? else {
        return Ok(None);
    };
    let now = gateway.clock().now();
    for callback in State::of(&errand).left {
        if callback_path(&callback) != Some(path) || callback == subscription.callback() {
            continue;
        }
        let awaited = store
            .revise(
                kind::SUBSCRIPTION,
                &key(name, &callback),
                now,
                move |errand| {
                    let left = record::head::<Left>(errand.body());
                    let Some(left) = left.filter(|left| now.ms() <= left.until_ms) else {
                        return (Revision::Keep, false);
                    };
                    if denied {
                        return (Revision::Keep, true);
                    }
                    let reopen = Revision::Reopen {
                        step: ANSWERED.to_owned(),
                        body: left.bytes(),
                    };
                    (reopen, true)
                },
            )
            .await?;
        if awaited == Some(true) {
            return Ok(Some(words));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(callback: &str) -> State {
        State {
            callback: Some(callback.to_owned()),
            secret: Some("s".to_owned()),
            verified_ms: Some(1),
            ..State::default()
        }
    }

    #[test]
    fn another_callback_is_unknown_to_the_hub_and_the_old_one_is_to_be_left() {
        let mut state = state("https://a.example/cb");
        assert!(!state.move_to("https://a.example/cb"));
        assert_eq!(state.secret.as_deref(), Some("s"));
        assert!(state.move_to("https://b.example/cb"));
        assert_eq!(state.left, ["https://a.example/cb"]);
        assert_eq!((state.secret, state.verified_ms), (None, None));
    }

    #[test]
    fn back_at_the_old_callback_it_is_not_left_any_more() {
        let mut state = state("https://a.example/cb");
        state.move_to("https://b.example/cb");
        state.callback = Some("https://b.example/cb".to_owned());
        state.move_to("https://a.example/cb");
        assert_eq!(state.left, ["https://b.example/cb"]);
    }

    #[test]
    fn what_is_remembered_of_old_callbacks_is_bounded() {
        let mut state = state("https://0.example/cb");
        for n in 1..20 {
            let next = format!("https://{n}.example/cb");
            state.move_to(&next);
            state.callback = Some(next);
        }
        assert_eq!(state.left.len(), LEFT_MAX);
    }
}
