//! Handler `websub`: subscriptions at MOSIP's hub and what the hub delivers, at a partner and at the MISP.
//!
//! Two kinds of path end here:
//!
//! * **A callback of ours** (the path of a `[[websub.subscription]]`): the hub's question whether we meant to subscribe, and
//!   its deliveries. A question is answered for a request of ours that is pending, and for nothing else. A delivery is in the
//!   store before it is answered, and it is always answered with success: the hub stops for good at the first failure.
//!   One without the hub's signature goes into quarantine and changes nothing.
//! * **The hub as partners see it** (any other path): a partner's subscribe and unsubscribe, for the topics and callbacks in
//!   its file. It becomes active when its callback has confirmed it.
//!
//! Behind it stand errands ([`doers`]): [`subscribing`] asks and renews, [`leaving`] leaves callbacks of before, [`delivery`]
//! opens, verifies and hands on ([`share`] fetches a credential that is not in its event),
//! [`subscriber`] asks partners' callbacks, [`outbound`] delivers to them.
//!
//! Between two gateways a question travels as a sealed form in place of a query, which no signature would cover.

mod delivery;
mod event;
mod intake;
mod intent;
mod leaving;
mod outbound;
mod partner;
mod quarantine;
mod record;
mod registry;
mod seen;
mod service;
mod share;
mod signature;
mod subscriber;
mod subscribing;
mod watch;

pub use delivery::{Delivered, Taken, Takes};

use std::{future::Future, pin::Pin, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, header};

use crate::{
    config::Envelope,
    exchange::{
        Content, Gateway, Handler, Handling, Permitted, RefusalAnswer, Reply, Trail, errands::Doer,
        plain_refusal,
    },
    refusal::{Code, Refusal},
};

/// The kinds of errands.
pub mod kind {
    /// A subscription of ours at the hub.
    pub const SUBSCRIPTION: &str = "websub-subscription";
    /// A delivery of the hub.
    pub const DELIVERY: &str = "websub-delivery";
    /// A delivery to a partner.
    pub const OUTBOUND: &str = "websub-outbound";
    /// A partner's subscription.
    pub const SUBSCRIBER: &str = "websub-subscriber";
    /// A delivery without the hub's signature.
    pub const QUARANTINE: &str = "websub-quarantine";
    /// An event or transaction that was handed on.
    pub const SEEN: &str = "websub-seen";
}

/// The step of a delivery that a person gave up: its content is forgotten.
pub const DISCARD: &str = "discard";

/// Bytes of a challenge.
const CHALLENGE_MAX: usize = 256;

/// The media type of forms.
const FORM: &str = "application/x-www-form-urlencoded";

/// WebSub.
#[derive(Debug)]
pub struct WebSub {
    gateway: Arc<Gateway>,
    quarantine: quarantine::Room,
}

impl WebSub {
    /// A handler for this gateway.
    pub fn new(gateway: Arc<Gateway>) -> Self {
        Self {
            gateway,
            quarantine: quarantine::Room::default(),
        }
    }

    async fn serve(&self, permitted: Permitted, trail: &mut Trail) -> Result<Reply, Refusal> {
        let (content, handling) = permitted.begin(trail);
        let Content::Whole(body) = content else {
            return Err(Refusal::new(Code::Fault, "a websub route without its body"));
        };
        let snapshot = Arc::clone(handling.snapshot());
        let subscriptions = snapshot
            .subscriptions()
            .ok_or_else(|| Refusal::new(Code::Fault, "a websub route without [websub]"))?;
        let refused = || Refusal::new(Code::MethodNotAllowed, "not a method of WebSub");
        let path = handling.near().path();
        let mut here = subscriptions.at(path);
        if here.is_none() && handling.method() == Method::POST && !is_form(handling.headers()) {
            // What the hub still brings to an address of before.
            here = (leaving::whose(&self.gateway, subscriptions, path).await)
                .map_err(|e| Refusal::new(Code::StoreDown, e.to_string()))?;
        }
        match (here, handling.method().clone()) {
            (Some(subscription), Method::GET) => {
                let question = handling.near().query().unwrap_or_default().to_owned();
                intent::answer(&self.gateway, handling, subscription, &question).await
            }
            (Some(subscription), Method::POST) if sealed_form(&handling) => {
                let question = String::from_utf8_lossy(&body).into_owned();
                intent::answer(&self.gateway, handling, subscription, &question).await
            }
            (Some(subscription), Method::POST) => {
                intake::take(
                    &self.gateway,
                    &self.quarantine,
                    handling,
                    subscription,
                    (trail.correlation_id(), &body),
                )
                .await
            }
            // An address of before, which the hub is being told to leave.
            (None, Method::GET) => {
                let question = handling.near().query().unwrap_or_default().to_owned();
                intent::answer_elsewhere(&self.gateway, handling, &question).await
            }
            (None, Method::POST) if sealed_form(&handling) && is_question(&body) => {
                let question = String::from_utf8_lossy(&body).into_owned();
                intent::answer_elsewhere(&self.gateway, handling, &question).await
            }
            (None, Method::POST) => partner::ask(&self.gateway, handling, &body).await,
            _ => Err(refused()),
        }
    }
}

impl Handler for WebSub {
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        Box::pin(self.serve(permitted, trail))
    }

    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        plain_refusal(refusal, trail)
    }
}

/// What does WebSub's errands. `opencrvs` takes the deliveries of subscriptions that say `hand_on.opencrvs`.
pub fn doers(opencrvs: Option<Arc<dyn Takes>>) -> Vec<Box<dyn Doer>> {
    vec![
        Box::new(subscribing::Subscribing::default()),
        Box::new(delivery::Deliveries::new(opencrvs)),
        Box::new(outbound::Outbound),
        Box::new(subscriber::Subscribers),
        Box::new(quarantine::Quarantine),
        Box::new(seen::Seen),
    ]
}

/// A question from a gateway: sealed, as a form.
fn sealed_form(handling: &Handling) -> bool {
    handling.route().from() == Envelope::Jose && is_form(handling.headers())
}

fn is_form(headers: &HeaderMap) -> bool {
    let text = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok());
    text.is_some_and(|text| {
        let media = text.split(';').next().unwrap_or_default().trim();
        media.eq_ignore_ascii_case(FORM)
    })
}

/// A form that asks us, in place of one that wants to subscribe here.
fn is_question(form: &[u8]) -> bool {
    let text = String::from_utf8_lossy(form);
    crate::handlers::form::Fields::parse(&text).is_some_and(|fields| {
        fields.get("hub.callback").is_none()
            && (fields.get("hub.challenge").is_some() || fields.get("hub.mode") == Some("denied"))
    })
}

/// A challenge that may be said back: short and visible.
fn challenge(text: &str) -> Option<String> {
    (1..=CHALLENGE_MAX)
        .contains(&text.len())
        .then_some(text)
        .filter(|text| text.bytes().all(|b| b.is_ascii_graphic()))
        .map(str::to_owned)
}

fn typed(media_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers
}

/// What becomes of an errand in the step [`DISCARD`].
fn discarded(errand: &crate::store::Errand) -> Option<crate::store::Settlement> {
    (errand.step() == DISCARD).then(|| crate::store::Settlement::Finish {
        step: DISCARD,
        body: Vec::new(),
    })
}

/// The store, without which the configuration is refused.
fn store(gateway: &Gateway) -> Result<&crate::store::Store, Refusal> {
    gateway
        .store()
        .ok_or_else(|| Refusal::new(Code::StoreDown, "there is no store"))
}

/// What of a hub's or partner's text may stand in a reason: short and printable.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(120)
        .collect()
}
