//! A stored delivery on its way: read, opened, verified, cross-checked, and handed on once.
//!
//! Every step can be done again, so a crash in between costs nothing but the time. What cannot succeed by itself is parked
//! with its reason; a person takes it up again with `triseal deliveries retry`.

use std::{future::Future, pin::Pin, sync::Arc};

use serde_json::{Map, Value};

use super::{
    event::{Event, Problem, Sealed},
    intake::Arrived,
    kind, outbound, record, registry,
    seen::{self, Claim},
    service,
    share::{self, NotFetched},
};
use crate::{
    credential::{CREDENTIAL_MAX, Verified},
    envelope::keymanager::{self, Binding, Contract, RecipientKey},
    exchange::{
        Gateway, Snapshot,
        errands::Doer,
        outward::Step,
        subscriptions::{Subscription, Taker},
    },
    store::{Errand, Settlement, Store},
};

/// A delivery that the hub signed; its credential, where it carries one, is opened, proven and about the same registration.
#[derive(Debug)]
pub struct Delivered {
    subscription: String,
    topic: String,
    key: String,
    correlation_id: String,
    event: Event,
    credential: Option<Verified>,
}

impl Delivered {
    /// The subscription's name.
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What makes this delivery one and the same, across retries and restarts.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The correlation id of the exchange that brought it.
    pub fn correlation_id(&self) -> &str {
        &self.correlation_id
    }

    /// `event.id`.
    pub fn event_id(&self) -> Option<&str> {
        self.event.id.as_deref()
    }

    /// `event.transactionId`: of a credential, the id of MOSIP's request for it.
    pub fn transaction_id(&self) -> Option<&str> {
        self.event.transaction.as_deref()
    }

    /// The whole event as the hub signed it. The credential in it is encrypted.
    pub const fn event(&self) -> &Map<String, Value> {
        &self.event.message
    }

    /// The credential, where the subscription says that there is one.
    pub const fn credential(&self) -> Option<&Verified> {
        self.credential.as_ref()
    }
}

/// What became of a delivery that was handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is taken, durably.
    Done,
    /// Not now; words for an operator, no secrets.
    Later(String),
    /// Never by itself; words for an operator, no secrets.
    Never(String),
}

/// Takes deliveries inside this gateway. It may be handed the same one again.
pub trait Takes: Send + Sync + std::fmt::Debug {
    /// Takes one.
    fn take<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        delivered: &'a Delivered,
    ) -> Pin<Box<dyn Future<Output = Taken> + Send + 'a>>;
}

/// Opens, verifies and hands on.
#[derive(Debug)]
pub(super) struct Deliveries {
    opencrvs: Option<Arc<dyn Takes>>,
}

impl Deliveries {
    pub(super) const fn new(opencrvs: Option<Arc<dyn Takes>>) -> Self {
        Self { opencrvs }
    }
}

impl Doer for Deliveries {
    fn kind(&self) -> &'static str {
        kind::DELIVERY
    }

    fn attempt<'a>(
        &'a self,
        gateway: &'a Arc<Gateway>,
        errand: &'a Errand,
    ) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        Box::pin(async move {
            let settlement = self.deliver(gateway, errand).await;
            report(gateway, errand, &settlement);
            settlement
        })
    }
}

impl Deliveries {
    async fn deliver(&self, gateway: &Arc<Gateway>, errand: &Errand) -> Settlement {
        if let Some(given_up) = super::discarded(errand) {
            return given_up;
        }
        let Some((arrived, body)) = record::read::<Arrived>(errand.body()) else {
            return park("the record cannot be read");
        };
        let snapshot = gateway.snapshot();
        let Some(store) = gateway.store() else {
            return park("there is no store");
        };
        let subscriptions = snapshot.subscriptions();
        let Some((all, subscription)) =
            subscriptions.and_then(|all| Some((all, all.named(&arrived.subscription)?)))
        else {
            return park("its subscription is not configured any more");
        };
        let limit = all.attempts_max();
        if *subscription.taker() == Taker::Partners {
            let topic = subscription.topic();
            let brought = (&*arrived.correlation_id, body);
            return match outbound::fan_out(gateway, store, topic, errand.key(), brought).await {
                Ok(0) => park("no partner is subscribed to the topic"),
                Ok(_) => Settlement::Done,
                Err(error) => again(errand, limit, error.to_string()),
            };
        }
        if arrived.shared.is_none() && subscription.credential().is_some() {
            let correlation_id = gateway.known_or_new(arrived.correlation_id.clone());
            let step = Step {
                errand,
                correlation_id: &correlation_id,
            };
            match shared(gateway, &snapshot, subscription, step, body).await {
                Ok(None) => {}
                Ok(Some(text)) => return fetched(arrived, text, body),
                Err(NotFetched::Later(why)) => return again(errand, limit, why),
                Err(NotFetched::Never(Problem(word, why))) => {
                    return park(&format!("{word}: {why}"));
                }
            }
        }
        let correlation_id = gateway.known_or_new(arrived.correlation_id);
        let (key, fetched) = (errand.key(), arrived.shared);
        let delivered = match read(gateway, &snapshot, subscription, key, body, fetched).await {
            Ok(delivered) => Delivered {
                correlation_id,
                ..delivered
            },
            Err(Problem(word, why)) => return park(&format!("{word}: {why}")),
        };
        match claimed(gateway, store, &delivered).await {
            Ok(Claim::Ours) => {}
            Ok(Claim::Duplicate) => {
                tracing::info!(subscription = subscription.name(), "a duplicate is dropped");
                return Settlement::Done;
            }
            Ok(Claim::Parked) => {
                return park(
                    "another delivery of the same event or transaction is parked: see to that one first",
                );
            }
            Ok(Claim::UnderWay) => {
                let why = "another delivery of the same event or transaction is under way";
                return again(errand, u32::MAX, why.to_owned());
            }
            Err(error) => return again(errand, limit, error.to_string()),
        }
        let taken = match (subscription.taker(), &self.opencrvs) {
            (Taker::OpenCrvs, Some(opencrvs)) => opencrvs.take(gateway, &delivered).await,
            (
                Taker::Service {
                    upstream,
                    envelope,
                    path,
                },
                _,
            ) => {
                let step = Step {
                    errand,
                    correlation_id: delivered.correlation_id(),
                };
                let to = (&**upstream, *envelope, &**path);
                service::hand_on(gateway, &snapshot, step, to, &delivered).await
            }
            (Taker::Registry, _) => registry::take(gateway, &delivered).await,
            (Taker::OpenCrvs, None) | (Taker::Partners, _) => {
                Taken::Never("this binary has nobody who takes it".to_owned())
            }
        };
        match taken {
            Taken::Done => Settlement::Done,
            Taken::Later(why) => again(errand, limit, why),
            Taken::Never(why) => park(&why),
        }
    }
}

/// The credential that is not in its event, fetched; `None` when there is nothing to fetch.
async fn shared(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    subscription: &Subscription,
    step: Step<'_>,
    body: &[u8],
) -> Result<Option<String>, NotFetched> {
    let event = Event::read(body, subscription).map_err(NotFetched::Never)?;
    match event.credential().map_err(NotFetched::Never)? {
        Sealed::Here(_) => Ok(None),
        Sealed::Shared(address) => share::fetch(gateway, snapshot, step, address)
            .await
            .map(Some),
    }
}

/// What was fetched is kept with the delivery.
fn fetched(arrived: Arrived, text: String, body: &[u8]) -> Settlement {
    let arrived = Arrived {
        shared: Some(text),
        ..arrived
    };
    match record::write(&arrived, body) {
        Some(body) => Settlement::Next {
            step: "fetched",
            body: Some(body),
        },
        None => park("a record that cannot be written"),
    }
}

/// Reads, opens and verifies.
async fn read(
    gateway: &Gateway,
    snapshot: &Arc<Snapshot>,
    subscription: &Subscription,
    key: &str,
    body: &[u8],
    fetched: Option<String>,
) -> Result<Delivered, Problem> {
    let event = Event::read(body, subscription)?;
    let credential = match subscription.credential() {
        None => None,
        Some(_) => {
            let sealed = match (event.credential()?, fetched) {
                (Sealed::Here(sealed), _) => sealed.to_owned(),
                (Sealed::Shared(_), Some(fetched)) => fetched,
                (Sealed::Shared(_), None) => {
                    let why = "the credential was not fetched".to_owned();
                    return Err(Problem("credential-fault", why));
                }
            };
            let now = gateway.clock().now();
            let (snapshot, name) = (Arc::clone(snapshot), subscription.name().to_owned());
            let (whole, named) = (Arc::clone(&snapshot), name.clone());
            // A large one takes a while, and others are waiting on this thread.
            let work = tokio::task::spawn_blocking(move || open(&whole, &named, &sealed, now));
            let fault = || Problem("credential-fault", "the check did not end".to_owned());
            let credential = work.await.map_err(|_| fault())??;
            event.agrees(&credential)?;
            Some(shared_part(gateway, &snapshot, &name, credential)?)
        }
    };
    Ok(Delivered {
        subscription: subscription.name().to_owned(),
        topic: subscription.topic().to_owned(),
        key: key.to_owned(),
        correlation_id: String::new(),
        event,
        credential,
    })
}

/// The credential without what the subscription's data share policy does not name. What it proves was proven with all of it.
fn shared_part(
    gateway: &Gateway,
    snapshot: &Snapshot,
    subscription: &str,
    mut credential: Verified,
) -> Result<Verified, Problem> {
    let websub = snapshot.config().websub.as_ref();
    let id = websub
        .and_then(|websub| {
            websub
                .subscription
                .iter()
                .find(|one| one.name == subscription)
        })
        .and_then(|one| one.data_share.as_deref());
    if let Some(id) = id {
        let policy = (snapshot.policies().data_share(id, gateway.clock().now()))
            .map_err(|refusal| Problem("credential-policy", refusal.to_string()))?;
        let gone = credential.narrow(|members| policy.narrow(members));
        if gone > 0 {
            tracing::warn!(
                subscription,
                policy = id,
                gone,
                "a credential had more attributes than its policy shares"
            );
        }
    }
    Ok(credential)
}

fn open(
    snapshot: &Snapshot,
    subscription: &str,
    sealed: &str,
    now: crate::clock::Moment,
) -> Result<Verified, Problem> {
    let problem = |word, why: &dyn std::fmt::Display| Problem(word, why.to_string());
    let all = snapshot.subscriptions();
    let (all, form) = all
        .and_then(|all| Some((all, all.named(subscription)?.credential()?)))
        .ok_or_else(|| problem("credential-fault", &"the subscription is gone"))?;
    // What encryption adds is under 2 KiB for the largest key.
    let bytes =
        keymanager::decode(sealed, CREDENTIAL_MAX.saturating_add(2 << 10)).ok_or_else(|| {
            problem(
                "credential-base64",
                &"the credential is no base64 of one kind, or too large",
            )
        })?;
    let keys: Vec<RecipientKey<'_>> = snapshot
        .own()
        .decryption_keys(now)
        .into_iter()
        .map(|(fingerprint, key)| RecipientKey { fingerprint, key })
        .collect();
    let contract = Contract {
        layouts: &form.layouts,
        thumbprint: form.thumbprint,
    };
    let plain = keymanager::open(&bytes, &keys, contract, Binding::default())
        .map_err(|e| problem("credential-sealed", &e))?;
    all.verifier()
        .verify(&plain, now)
        .map_err(|e| problem(e.reason(), &e))
}

/// Claims the event's id, then topic and transaction.
async fn claimed(
    gateway: &Gateway,
    store: &Store,
    delivered: &Delivered,
) -> Result<Claim, crate::store::StoreError> {
    let marks = [
        delivered
            .event_id()
            .map(|id| format!("event:{}:{id}", delivered.subscription)),
        delivered
            .transaction_id()
            .map(|id| format!("transaction:{}:{id}", delivered.topic)),
    ];
    for mark in marks.into_iter().flatten() {
        let claim = seen::claim(gateway, store, &mark, &delivered.key).await?;
        if claim != Claim::Ours {
            return Ok(claim);
        }
    }
    Ok(Claim::Ours)
}

fn park(why: &str) -> Settlement {
    Settlement::Park {
        reason: why.to_owned(),
    }
}

fn again(errand: &Errand, limit: u32, reason: String) -> Settlement {
    if errand.attempts().saturating_add(1) >= limit {
        return Settlement::Park { reason };
    }
    Settlement::Retry {
        reason,
        after: errand.back_off(),
    }
}

fn report(gateway: &Gateway, errand: &Errand, settlement: &Settlement) {
    let name = errand.key().split(':').next().unwrap_or_default();
    let outcome = match settlement {
        Settlement::Finish { .. } => "discarded",
        Settlement::Done => "handed-on",
        Settlement::Park { reason } => {
            tracing::error!(
                delivery = errand.id(),
                subscription = name,
                reason,
                "a delivery is parked"
            );
            "parked"
        }
        Settlement::Retry { reason, .. } => {
            tracing::warn!(
                delivery = errand.id(),
                subscription = name,
                reason,
                "a delivery is tried again later"
            );
            "retried"
        }
        Settlement::Next { .. } | Settlement::Wait { .. } => return,
    };
    gateway
        .metrics()
        .websub_deliveries
        .with_label_values(&[name, outcome])
        .inc();
}
