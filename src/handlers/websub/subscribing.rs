//! Our subscriptions at the hub: asked for, renewed, and left when their secret changed. A changed callback is
//! [`super::leaving`]'s.
//!
//! What we are about to ask is in the store before the request goes out, because the hub's question may come before its
//! answer, and must find that we meant it. Every body of the hub is read: MOSIP's answers HTTP 200 to what it denies.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{FORM, kind, leaving, printable, record, watch};
use crate::{
    clock::Moment,
    envelope::sha256,
    exchange::{
        Gateway, Snapshot,
        errands::Doer,
        outward::{Answered, Call, Step},
        subscriptions::{Subscription, Subscriptions},
    },
    handlers::form,
    store::{Errand, NewErrand, Put, Revision, Settlement, Standing, StoreError},
};

/// How MOSIP's hub says that a subscription is alive.
pub(super) const ALREADY: &str = "already registered";

/// The longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Milliseconds between two looks at what is configured.
const LOOK_EVERY_MS: i64 = 5_000;

/// What is known of a subscription of ours.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub(super) struct State {
    /// What we asked last, and until when its question is awaited.
    pub(super) pending: Option<Pending>,
    /// When the hub's question was last answered, or it said that all is well.
    pub(super) verified_ms: Option<i64>,
    /// Digest of the secret that was verified.
    pub(super) secret: Option<String>,
    /// The callback that was verified.
    #[serde(default)]
    pub(super) callback: Option<String>,
    /// Callbacks of before that the hub is still to be told to leave.
    #[serde(default)]
    pub(super) left: Vec<String>,
    /// The last denial.
    pub(super) denied: Option<String>,
}

/// A request of ours whose question is awaited.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub(super) struct Pending {
    /// `subscribe` or `unsubscribe`.
    pub(super) mode: String,
    /// The topic.
    pub(super) topic: String,
    /// Digest of the secret that was sent.
    pub(super) secret: String,
    /// The callback that was named.
    #[serde(default)]
    pub(super) callback: String,
    /// Until when.
    pub(super) until_ms: i64,
}

impl State {
    /// Reads it from an errand.
    pub(super) fn of(errand: &Errand) -> Self {
        record::head(errand.body()).unwrap_or_default()
    }

    /// For the store.
    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The hub has what was asked: the subscription is alive under that secret and callback.
    pub(super) fn verified(&mut self, asked: Pending, now: Moment) {
        self.verified_ms = Some(now.ms());
        self.secret = Some(asked.secret);
        // Records of before this member was have none.
        self.callback = Some(asked.callback).filter(|callback| !callback.is_empty());
        self.denied = None;
    }

    /// Whether a question of the hub is awaited.
    pub(super) fn awaits(&self, mode: &str, topic: &str, now: Moment) -> Option<&Pending> {
        self.pending.as_ref().filter(|pending| {
            pending.mode == mode && pending.topic == topic && now.ms() <= pending.until_ms
        })
    }
}

/// Which secret it is, without saying it.
pub(super) fn digest(subscription: &Subscription) -> String {
    let hex: String = sha256(subscription.secret().expose())
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect();
    hex
}

/// Asks, renews and leaves.
#[derive(Debug, Default)]
pub(super) struct Subscribing {
    looked_ms: AtomicI64,
}

impl Doer for Subscribing {
    fn kind(&self) -> &'static str {
        kind::SUBSCRIPTION
    }

    fn attempt<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        errand: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        Box::pin(attempt(gateway, errand))
    }

    fn tend<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            let now = gateway.clock().now().ms();
            if now.saturating_sub(self.looked_ms.load(Ordering::Relaxed)) >= LOOK_EVERY_MS {
                self.looked_ms.store(now, Ordering::Relaxed);
                ensure(gateway).await;
                watch::look(gateway).await;
            }
        })
    }
}

/// Every configured subscription has its errand.
async fn ensure(gateway: &Gateway) {
    let snapshot = gateway.snapshot();
    let (Some(store), Some(subscriptions)) = (gateway.store(), snapshot.subscriptions()) else {
        return;
    };
    let now = gateway.clock().now();
    for subscription in subscriptions.iter() {
        let new = NewErrand {
            kind: kind::SUBSCRIPTION,
            key: subscription.name().to_owned(),
            step: "ask",
            body: State::default().bytes(),
            due: now,
        };
        let name = subscription.name();
        let kept = match store.put(new, now).await {
            Ok(Put::Stored) => Ok(()),
            Ok(Put::Known(standing)) => match mend(gateway, subscription, standing).await {
                Ok(()) => leaving::ensure(gateway, store, subscription).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            tracing::error!(subscription = name, %error, "a subscription cannot be stored");
        }
    }
}

/// What must not wait for the next renewal: a subscription that is in the configuration again, a new secret, a new callback.
async fn mend(
    gateway: &Gateway,
    subscription: &Subscription,
    standing: Standing,
) -> Result<(), StoreError> {
    let Some(store) = gateway.store() else {
        return Ok(());
    };
    let now = gateway.clock().now();
    let (name, secret) = (subscription.name(), digest(subscription));
    let topic = subscription.topic().to_owned();
    let callback = subscription.callback().to_owned();
    let revised = store.revise(kind::SUBSCRIPTION, name, now, move |errand| {
        let mut state = State::of(errand);
        let moved = state.move_to(&callback);
        let stale = state.secret.as_ref().is_some_and(|old| *old != secret);
        let leaving = state.awaits("unsubscribe", &topic, now).is_some();
        if standing == Standing::Open && !moved && (!stale || leaving) {
            return (Revision::Keep, ());
        }
        let reopen = Revision::Reopen {
            step: "ask".to_owned(),
            body: state.bytes(),
        };
        (reopen, ())
    });
    revised.await.map(|_| ())
}

async fn attempt(gateway: &Gateway, errand: &Errand) -> Settlement {
    if leaving::is(errand) {
        return leaving::attempt(gateway, errand).await;
    }
    let snapshot = gateway.snapshot();
    let configured = snapshot
        .subscriptions()
        .and_then(|all| Some((all, all.named(errand.key())?)));
    let Some((subscriptions, subscription)) = configured else {
        return Settlement::Park {
            reason: "the subscription is not configured any more".to_owned(),
        };
    };
    let now = gateway.clock().now();
    let state = State::of(errand);
    match errand.step() {
        "send" => {
            send(
                gateway,
                &snapshot,
                subscriptions,
                subscription,
                errand,
                state,
            )
            .await
        }
        // The hub has answered; the next request is a renewal.
        "verified" => wait(&state, now, subscriptions.renew()),
        "denied" => wait(&state, now, PAUSE_MAX),
        _ => ask(subscriptions, subscription, state, now),
    }
}

/// Writes down what will be asked.
fn ask(
    subscriptions: &Subscriptions,
    subscription: &Subscription,
    mut state: State,
    now: Moment,
) -> Settlement {
    state.move_to(subscription.callback());
    let secret = digest(subscription);
    // The hub keeps the old secret as long as the subscription lives, so it is left first (reference 1.3).
    let leaves = state.secret.as_ref().is_some_and(|old| *old != secret);
    let mode = if leaves { "unsubscribe" } else { "subscribe" };
    state.pending = Some(Pending {
        mode: mode.to_owned(),
        topic: subscription.topic().to_owned(),
        secret,
        callback: subscription.callback().to_owned(),
        until_ms: later(now, subscriptions.pending()).ms(),
    });
    Settlement::Next {
        step: "send",
        body: Some(state.bytes()),
    }
}

async fn send(
    gateway: &Gateway,
    snapshot: &Snapshot,
    subscriptions: &Subscriptions,
    subscription: &Subscription,
    errand: &Errand,
    mut state: State,
) -> Settlement {
    let now = gateway.clock().now();
    let timely = |p: &Pending| now.ms() < p.until_ms && p.callback == subscription.callback();
    let Some(pending) = state.pending.clone().filter(timely) else {
        return ask(subscriptions, subscription, state, now);
    };
    let again = |reason: String| Settlement::Retry {
        reason,
        after: errand.back_off().min(PAUSE_MAX),
    };
    let asking = Asking {
        upstream: subscription.upstream(),
        mode: &pending.mode,
        topic: subscription.topic(),
        callback: subscription.callback(),
        more: (pending.mode == "subscribe").then_some(subscription),
    };
    let said = match request(gateway, snapshot, subscriptions, errand, asking).await {
        Ok(answer) => read(&answer),
        Err(refusal) => return again(format!("the hub was not reached: {refusal}")),
    };
    let name = subscription.name();
    match said {
        Said::Accepted => {
            tracing::info!(
                subscription = name,
                mode = pending.mode,
                "the hub was asked"
            );
            // A renewal that the hub does not ask about is no failure: it does so for a dead consumer only.
            let pause = match state.verified_ms {
                Some(_) if pending.mode == "subscribe" => subscriptions.renew(),
                _ => subscriptions.pending(),
            };
            wait(&state, now, pause)
        }
        Said::Denied(reason) if reason.contains(ALREADY) && pending.mode == "subscribe" => {
            state.verified(pending, now);
            state.pending = None;
            wait(&state, now, subscriptions.renew())
        }
        Said::Denied(reason) => {
            tracing::error!(
                subscription = name,
                reason,
                "the hub denies the subscription"
            );
            again(format!("the hub denied: {reason}"))
        }
        Said::Other(status) => again(format!("the hub answered {status}")),
    }
}

/// What to ask of the hub.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    /// Where, and so as whom: the hub looks at the client's name.
    pub(super) upstream: &'a str,
    pub(super) mode: &'a str,
    pub(super) topic: &'a str,
    pub(super) callback: &'a str,
    /// To subscribe: whose secret and lease.
    pub(super) more: Option<&'a Subscription>,
}

/// Asks the hub.
pub(super) async fn request(
    gateway: &Gateway,
    snapshot: &Snapshot,
    subscriptions: &Subscriptions,
    errand: &Errand,
    asking: Asking<'_>,
) -> Result<Answered, crate::refusal::Refusal> {
    let more = (asking.more).map(|of| (of.lease().as_secs().to_string(), of.secret()));
    let mut form = vec![
        ("hub.mode", asking.mode),
        ("hub.topic", asking.topic),
        ("hub.callback", asking.callback),
    ];
    if let Some((lease, secret)) = &more {
        form.push(("hub.secret", secret.expose_text().unwrap_or_default()));
        form.push(("hub.lease_seconds", lease));
    }
    let call = Call {
        method: Method::POST,
        path_and_query: subscriptions.path().to_owned(),
        headers: HeaderMap::new(),
        media_type: Some(HeaderValue::from_static(FORM)),
        body: Bytes::from(form::written(&form)),
    };
    let step = Step {
        errand,
        correlation_id: &gateway.new_correlation_id(),
    };
    let (upstream, envelope) = (asking.upstream, subscriptions.envelope());
    gateway
        .call_for(step, snapshot, upstream, envelope, call)
        .await
}

/// What the hub said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Accepted,
    Denied(String),
    Other(u16),
}

/// Reads a hub's answer. The reason is raw text, so it is what stands behind the first `&hub.reason=`.
pub(super) fn read(answer: &Answered) -> Said {
    read_text(answer.status, &String::from_utf8_lossy(&answer.body))
}

fn read_text(status: StatusCode, text: &str) -> Said {
    let (mode, reason) = text
        .trim()
        .split_once("&hub.reason=")
        .unwrap_or_else(|| (text.trim(), ""));
    match mode {
        "hub.mode=denied" => Said::Denied(printable(&reason.replace('+', " "))),
        "hub.mode=accepted" if status.is_success() => Said::Accepted,
        // W3C's hubs may say nothing beside 202.
        _ if status == StatusCode::ACCEPTED => Said::Accepted,
        _ => Said::Other(status.as_u16()),
    }
}

fn wait(state: &State, now: Moment, pause: Duration) -> Settlement {
    Settlement::Wait {
        step: "ask",
        body: Some(state.bytes()),
        until: later(now, pause),
    }
}

/// That long after now.
pub(super) fn later(now: Moment, pause: Duration) -> Moment {
    now.plus_ms(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

/// The states of all subscriptions, by name, and why the last request of each failed, where it did.
pub(super) async fn states(
    gateway: &Gateway,
    names: &[&str],
) -> BTreeMap<String, (State, Option<String>)> {
    let mut states = BTreeMap::new();
    let Some(store) = gateway.store() else {
        return states;
    };
    for name in names {
        if let Ok(Some(errand)) = store.find(kind::SUBSCRIPTION, name).await {
            let failed = errand.reason().map(str::to_owned);
            states.insert((*name).to_owned(), (State::of(&errand), failed));
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_200_with_denied_is_a_failure_and_already_registered_is_none() {
        let ok = StatusCode::OK;
        assert_eq!(read_text(ok, "hub.mode=accepted"), Said::Accepted);
        assert_eq!(
            read_text(StatusCode::ACCEPTED, "hub.mode=accepted"),
            Said::Accepted
        );
        assert_eq!(read_text(StatusCode::ACCEPTED, ""), Said::Accepted);
        assert_eq!(
            read_text(
                ok,
                "hub.mode=denied&hub.reason=Subscriber is not authorized&x=1"
            ),
            Said::Denied("Subscriber is not authorized&x=1".to_owned())
        );
        assert_eq!(
            read_text(StatusCode::ACCEPTED, "hub.mode=denied&hub.reason=no"),
            Said::Denied("no".to_owned())
        );
        assert_eq!(read_text(ok, ""), Said::Other(200));
        assert_eq!(read_text(ok, "<html>"), Said::Other(200));
        assert_eq!(
            read_text(StatusCode::INTERNAL_SERVER_ERROR, "hub.mode=accepted"),
            Said::Other(500)
        );
    }

    #[test]
    fn a_question_is_awaited_for_its_own_mode_topic_and_time() {
        let state = State {
            pending: Some(Pending {
                mode: "subscribe".to_owned(),
                topic: "p/X".to_owned(),
                secret: String::new(),
                callback: String::new(),
                until_ms: 1000,
            }),
            ..State::default()
        };
        let at = Moment::from_ms;
        assert!(state.awaits("subscribe", "p/X", at(1000)).is_some());
        assert!(state.awaits("subscribe", "p/X", at(1001)).is_none());
        assert!(state.awaits("unsubscribe", "p/X", at(1)).is_none());
        assert!(state.awaits("subscribe", "p/Y", at(1)).is_none());
        assert!(State::default().awaits("subscribe", "p/X", at(1)).is_none());
    }
}
