//! Handler `token_seeder`: MOSIP's token seeder behind authentication and policy, on both faces.
//!
//! Requests go on byte for byte, but for `callbackProperties`: jq programs and callback targets are compared with the lists
//! of the configuration ([`crate::policy::SeederPolicy`]), credentials are taken out and stay in our store, and the
//! address becomes ours. A callback that comes in is stored before it is answered, and delivered by an errand with retries.
//!
//! A route with `to` takes requests; a route without takes callbacks, by the last one or two segments of its path:
//! `…/{callback}` from the token seeder itself, `…/{callback}/{delivery}` from a gateway, which may deliver twice.

mod answers;
mod deliver;
mod form;
mod incoming;
mod login;
mod records;
mod request;

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use serde_json::Value;

pub(super) use deliver::Deliveries;
pub use records::KIND;

use super::relay::{final_status, identity_headers};
use crate::{
    config::FaceKind,
    exchange::{
        Content, Gateway, Handler, Handling, Permitted, RefusalAnswer, Reply, Trail,
        outward::{Answered, Call},
    },
    policy::SeederPolicy,
    refusal::{Code, Refusal},
    store::Store,
};
use records::Expected;

/// The longest identifier of a request, callback or delivery.
const IDENTIFIER_MAX: usize = 64;

/// Requests to the token seeder and callbacks from it.
#[derive(Debug)]
pub struct TokenSeeder;

impl Handler for TokenSeeder {
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        Box::pin(async move {
            let (content, handling) = permitted.begin(trail);
            let Content::Whole(body) = content else {
                return Err(Refusal::new(
                    Code::Fault,
                    "a token seeder route without a whole body",
                ));
            };
            if handling.route().upstream().is_none() {
                return incoming::take(handling, &body, trail).await;
            }
            match Place::of(&handling)? {
                Place::Json => {
                    let found = request::in_json(&body)?;
                    ask(handling, body.clone(), found, trail).await
                }
                Place::Csv => {
                    let found = form::in_form(handling.headers().get(CONTENT_TYPE), &body)?;
                    ask(handling, body.clone(), found, trail).await
                }
                Place::Request(identifier) => {
                    own(&handling, &identifier, trail).await?;
                    pass(handling, body, trail).await
                }
                Place::Open => pass(handling, body, trail).await,
            }
        })
    }

    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        answers::refusal(refusal, trail)
    }
}

/// What a path asks for.
enum Place {
    /// A request in JSON; for ODK forms too.
    Json,
    /// A request beside a file.
    Csv,
    /// Something about an earlier request.
    Request(String),
    /// Something that is the same for everybody.
    Open,
}

impl Place {
    fn of(handling: &Handling) -> Result<Self, Refusal> {
        let path = handling.near().path();
        let mut last = path.rsplit('/');
        let (name, before) = (
            last.next().unwrap_or_default(),
            last.next().unwrap_or_default(),
        );
        let (place, method) = match (before, name) {
            ("authtoken", "json" | "odk") => (Self::Json, Method::POST),
            ("authtoken", "csv") => (Self::Csv, Method::POST),
            ("authtoken", "authfields") | (_, "ping") => (Self::Open, Method::GET),
            ("status" | "file", id) if is_identifier(id) => {
                (Self::Request(id.to_owned()), Method::GET)
            }
            _ => {
                return Err(Refusal::new(
                    Code::SeederUnknown,
                    "no path of the token seeder",
                ));
            }
        };
        if *handling.method() != method {
            let cause = "not the method of this path";
            return Err(Refusal::new(Code::MethodNotAllowed, cause));
        }
        Ok(place)
    }
}

/// Checks a request, and passes it on with an address of ours in the place of the caller's.
async fn ask(
    handling: Handling,
    body: Bytes,
    found: request::Found,
    trail: &mut Trail,
) -> Result<Reply, Refusal> {
    let gateway = Arc::clone(trail.gateway());
    let snapshot = Arc::clone(handling.snapshot());
    let policy = policy_of(&snapshot)?;
    let partner = handling.caller().partner().id().as_str().to_owned();
    request::permit(&found, policy)?;
    let store = store_of(&gateway)?;
    let now = gateway.clock().now();
    let until = now.plus_ms(policy.keep_ms());
    let (body, callback) = match &found.callback {
        None => (body, None),
        Some(callback) => {
            let upstream = handling.route().upstream().unwrap_or_default();
            let (expected, ours) = request::redirect(callback, policy, &partner, upstream)?;
            let (id, replaced) = request::replace(&body, callback, &ours, policy)?;
            expected.put(store, &id, until, now).await?;
            (replaced, Some(id))
        }
    };
    let answered = call(&gateway, &handling, body, trail).await;
    let identifier = answered.as_ref().ok().and_then(identifier);
    // When nobody can have taken it, no callback will come.
    let lost = match &answered {
        Ok(_) => identifier.is_none(),
        Err(refusal) => refusal.code() == Code::UpstreamDown,
    };
    if let (Some(id), true) = (&callback, lost) {
        records::forget(store, id, now).await?;
    }
    if let Some(identifier) = identifier {
        records::remember(store, &identifier, &partner, until, now).await?;
    }
    reply(handling, answered?)
}

/// Passes a request on as it is.
async fn pass(handling: Handling, body: Bytes, trail: &mut Trail) -> Result<Reply, Refusal> {
    let gateway = Arc::clone(trail.gateway());
    let answered = call(&gateway, &handling, body, trail).await?;
    reply(handling, answered)
}

async fn call(
    gateway: &Gateway,
    handling: &Handling,
    body: Bytes,
    trail: &mut Trail,
) -> Result<Answered, Refusal> {
    let route = handling.route();
    let mut headers = HeaderMap::new();
    if trail.face_kind() == FaceKind::Partner {
        let partner = handling.caller().partner().id();
        identity_headers(&mut headers, partner.as_str(), trail);
    }
    let call = Call {
        method: handling.method().clone(),
        path_and_query: handling.target().expose().to_owned(),
        headers,
        media_type: handling.headers().get(CONTENT_TYPE).cloned(),
        body,
    };
    let began = Instant::now();
    let answered = gateway
        .call(
            handling.snapshot(),
            route.upstream().unwrap_or_default(),
            route.to(),
            call,
            trail.correlation_id(),
        )
        .await;
    trail.called_upstream(
        began.elapsed(),
        answered.as_ref().ok().map(|a| a.status.as_u16()),
    );
    trail.received(answered.as_ref().ok().and_then(|a| a.receipt.clone()));
    answered
}

/// The token seeder's answer, with nothing of its headers but the type of the body.
fn reply(handling: Handling, answered: Answered) -> Result<Reply, Refusal> {
    let status = final_status(answered.status)?;
    let mut headers = HeaderMap::new();
    let media_type = answered.headers.get(CONTENT_TYPE).cloned();
    headers.insert(
        CONTENT_TYPE,
        media_type.unwrap_or_else(|| HeaderValue::from_static("application/json")),
    );
    Ok(handling.answer(status, headers, answered.body))
}

/// Whether the request was the caller's own.
async fn own(handling: &Handling, identifier: &str, trail: &Trail) -> Result<(), Refusal> {
    let partner = handling.caller().partner().id().as_str();
    let store = store_of(trail.gateway())?;
    if records::is_of(store, identifier, partner).await? {
        return Ok(());
    }
    Err(Refusal::new(
        Code::SeederUnknown,
        "not a request of this caller",
    ))
}

/// The identifier under which the token seeder took a request on.
fn identifier(answered: &Answered) -> Option<String> {
    let said: Value = serde_json::from_slice(&answered.body).ok()?;
    let identifier = said.get("response")?.get("request_identifier")?.as_str()?;
    (answered.status.is_success() && is_identifier(identifier)).then(|| identifier.to_owned())
}

fn is_identifier(text: &str) -> bool {
    (1..=IDENTIFIER_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn policy_of(snapshot: &crate::exchange::Snapshot) -> Result<&SeederPolicy, Refusal> {
    snapshot
        .seeder()
        .ok_or_else(|| Refusal::new(Code::Fault, "a token seeder route without [token_seeder]"))
}

fn store_of(gateway: &Gateway) -> Result<&Store, Refusal> {
    gateway
        .store()
        .ok_or_else(|| Refusal::new(Code::StoreDown, "a token seeder route without [store]"))
}

impl Expected {
    /// The key of a callback in the store.
    fn key(id: &str) -> String {
        format!("callback/{id}")
    }
}
