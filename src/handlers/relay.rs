//! Handler `relay`: any other declared service, with the same identity, policy and limits. Streamed both ways where nothing is
//! sealed; whole where one side is.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use http::{HeaderName, HeaderValue, StatusCode};

use crate::{
    config::FaceKind,
    exchange::{
        Content, Handler, Handling, Permitted, RefusalAnswer, Reply, Trail,
        canonical::end_to_end_headers, logins, outward::Call, plain_refusal,
    },
    observe::Metrics,
    refusal::{Code, Refusal},
    upstream::{Outgoing, RequestBody, Upstream},
};

/// Passes requests on as they come.
#[derive(Debug)]
pub struct Relay {
    metrics: Metrics,
}

impl Relay {
    /// A relay that counts in `metrics`.
    pub const fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl Handler for Relay {
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        Box::pin(async move {
            let (content, mut handling) = permitted.begin(trail);
            let snapshot = std::sync::Arc::clone(handling.snapshot());
            let upstream = snapshot.upstream_of(handling.route())?;
            let mut headers = end_to_end_headers(handling.take_headers());
            // Last, so that nothing the caller named in `Connection` can take it away again. Inward only: beyond a service
            // face stands somebody else's edge, which believes certificates and not headers.
            if trail.face_kind() == FaceKind::Partner {
                let partner = handling.caller().partner().id();
                identity_headers(&mut headers, partner.as_str(), trail);
            } else {
                correlation_header(&mut headers, trail);
            }
            let (body, max) = match content {
                Content::Plain(body, max) => (body, max),
                // In a box: the room it needs is not the room of a stream.
                Content::Whole(body) => {
                    return Box::pin(whole(handling, headers, body, trail)).await;
                }
                Content::Ida(_) | Content::Taken => {
                    return Err(Refusal::new(
                        Code::Fault,
                        "a relay route with an ida envelope",
                    ));
                }
            };
            let outgoing = Box::new(Outgoing {
                method: handling.method().clone(),
                path_and_query: handling.target().expose().to_owned(),
                headers,
            });
            let began = Instant::now();
            let body = RequestBody::streamed(body, max);
            let answer = logins::stream(&snapshot, upstream, outgoing, body, trail, began).await;
            let took = began.elapsed();
            let status = (answer.as_ref().ok()).map(|answer| answer.status().as_u16());
            trail.called_upstream(took, status);
            count(&self.metrics, upstream, took, answer.as_ref().err());
            Ok(handling.answer_plain(answer?))
        })
    }

    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        plain_refusal(refusal, trail)
    }
}

/// Passes on a message that is sealed on at least one side.
async fn whole(
    handling: Handling,
    headers: http::HeaderMap,
    body: bytes::Bytes,
    trail: &mut Trail,
) -> Result<Reply, Refusal> {
    let route = std::sync::Arc::clone(handling.route());
    let call = Call {
        method: handling.method().clone(),
        path_and_query: handling.target().expose().to_owned(),
        headers,
        media_type: None,
        body,
    };
    let gateway = std::sync::Arc::clone(trail.gateway());
    let began = Instant::now();
    let answer = gateway
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
        answer.as_ref().ok().map(|a| a.status.as_u16()),
    );
    let mut answer = answer?;
    trail.received(answer.receipt.take());
    // The body may be another now: opened, or sealed next.
    answer.headers.remove(http::header::CONTENT_LENGTH);
    let status = final_status(answer.status)?;
    Ok(handling.answer(status, answer.headers, answer.body))
}

const PARTNER: HeaderName = HeaderName::from_static("x-triseal-partner");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Tells the upstream who the verified partner is, and which exchange this is.
pub(super) fn identity_headers(headers: &mut http::HeaderMap, partner: &str, trail: &Trail) {
    if let Ok(value) = HeaderValue::from_str(partner) {
        headers.insert(PARTNER, value);
    }
    correlation_header(headers, trail);
}

/// Which exchange this is, for the logs of whoever comes next.
pub(super) fn correlation_header(headers: &mut http::HeaderMap, trail: &Trail) {
    if let Ok(value) = HeaderValue::from_str(trail.correlation_id()) {
        headers.insert(CORRELATION_ID, value);
    }
}

/// Counts a call to an upstream.
pub(super) fn count(
    metrics: &Metrics,
    upstream: &Upstream,
    took: Duration,
    failure: Option<&Refusal>,
) {
    upstream.took(metrics, took);
    if let Some(refusal) = failure {
        metrics
            .upstream_failures
            .with_label_values(&[upstream.name(), refusal.code().as_str()])
            .inc();
    }
}

/// A status that an upstream may answer with. Informational ones and switches of protocol never reach a caller.
pub(super) fn final_status(status: StatusCode) -> Result<StatusCode, Refusal> {
    if status.is_informational() {
        return Err(Refusal::new(
            Code::UpstreamForm,
            "an informational status as the answer",
        ));
    }
    Ok(status)
}

/// The refusal that a gateway behind us states beside its answer; believed only when it is one of ours.
pub(super) fn stated_code(headers: &http::HeaderMap) -> Option<Code> {
    let text = headers.get("x-triseal-code")?.to_str().ok()?;
    Code::ALL.iter().copied().find(|code| code.as_str() == text)
}
