//! Calls to the services behind the gateway by those who need the whole answer: handlers, and errands that have no exchange
//! around them. Sealed towards the upstream as the caller says, opened and checked on the way back.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{Gateway, Snapshot, jose, logins};
use crate::{
    clock::Clock,
    config::Envelope,
    envelope::jose::{MEDIA_TYPE, sign_request, signature_digest},
    evidence::Receipt,
    refusal::{Code, Refusal},
    upstream::{Answer, Outgoing, Upstream},
};

/// The header that ties the logs of all gateways on the way together.
const CORRELATION_ID: &str = "x-correlation-id";

/// What to ask of an upstream, in plain.
#[derive(Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// Canonical path and query. Never logged.
    pub path_and_query: String,
    /// End-to-end headers; framing, seals and tokens are added here.
    pub headers: HeaderMap,
    /// The media type of the body, where there is one.
    pub media_type: Option<HeaderValue>,
    /// The plain body.
    pub body: Bytes,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Paths and bodies hold keys and persons.
        f.debug_struct("Call")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// An answer that is whole and, where the envelope says so, proven to be the upstream's and to answer this very call.
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The headers as received.
    pub headers: HeaderMap,
    /// The plain body.
    pub body: Bytes,
    /// The receipt of the other gateway's evidence log.
    pub receipt: Option<Receipt>,
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answered")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Calls an upstream and takes its whole answer. Nothing is repeated that may have arrived.
    ///
    /// # Errors
    /// `UP-…` when there is no whole, proven answer; `GW-002` when the upstream is not in the configuration.
    pub async fn call(
        &self,
        snapshot: &Snapshot,
        upstream: &str,
        envelope: Envelope,
        call: Call,
        correlation_id: &str,
    ) -> Result<Answered, Refusal> {
        let service = snapshot
            .upstream(upstream)
            .ok_or_else(|| Refusal::new(Code::Fault, "no such upstream in the configuration"))?;
        let Call {
            method,
            path_and_query,
            mut headers,
            media_type,
            body,
        } = call;
        if let Some(media_type) = media_type {
            headers.insert(header::CONTENT_TYPE, media_type);
        }
        if let Ok(id) = HeaderValue::from_str(correlation_id) {
            headers.insert(CORRELATION_ID, id);
        }
        let outgoing = Outgoing {
            method,
            path_and_query,
            headers,
        };
        let began = Instant::now();
        let answer = match envelope {
            Envelope::InsecurePlain => {
                (logins::call(snapshot, service, outgoing, body, self.metrics()).await)
                    .map(|answer| (answer, None))
            }
            Envelope::Jose => call_sealed(self.clock(), snapshot, service, outgoing, body).await,
            Envelope::MosipIda | Envelope::AsReceived | Envelope::Opened => {
                let cause = "not an envelope for a call in plain";
                return Err(Refusal::new(Code::Fault, cause));
            }
        };
        service.took(self.metrics(), began.elapsed());
        let (answer, receipt) = answer.inspect_err(|refusal| {
            self.metrics()
                .upstream_failures
                .with_label_values(&[service.name(), refusal.code().as_str()])
                .inc();
        })?;
        Ok(Answered {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
            receipt,
        })
    }
}

/// Seals the body to the upstream's party, signs for the address that is called, and opens the answer to that very request.
///
/// # Errors
/// `UP-…` when there is no whole, proven answer.
pub async fn call_sealed(
    clock: &Clock,
    snapshot: &Snapshot,
    service: &Upstream,
    mut outgoing: Outgoing,
    body: Bytes,
) -> Result<(Answer, Option<Receipt>), Refusal> {
    if outgoing.path_and_query.contains('?') {
        let cause = "a query is not under a signature, so a sealed call has none";
        return Err(Refusal::new(Code::Fault, cause));
    }
    let party = snapshot
        .peer_of(service.name())
        .ok_or_else(|| Refusal::new(Code::Fault, "the upstream has no party"))?;
    if outgoing.headers.contains_key(header::CONTENT_ENCODING) {
        let cause = "a body that is to be sealed is compressed";
        return Err(Refusal::new(Code::MediaType, cause));
    }
    outgoing.headers.remove(header::ACCEPT_ENCODING);
    let content_type = outgoing.headers.remove(header::CONTENT_TYPE);
    let now = clock.now();
    let sealed = jose::sealed(snapshot, party, &body, content_type.as_ref(), now)?;
    if !sealed.is_empty() {
        let sealed_type = HeaderValue::from_static(MEDIA_TYPE);
        outgoing.headers.insert(header::CONTENT_TYPE, sealed_type);
    }
    let signer = jose::signer(snapshot, now)?;
    let mut down = Refusal::from(Code::UpstreamDown);
    for origin in service.origins() {
        let uri = format!("{origin}{}", outgoing.path_and_query);
        let now = clock.now();
        let value = sign_request(signer, now, outgoing.method.as_str(), &uri, &sealed)?;
        let request = signature_digest(Some(value.as_bytes()));
        let mut outgoing = outgoing.clone();
        let value = jose::header_value(&value)?;
        outgoing.headers.insert(jose::SIGNATURE, value);
        match service.call_at(&origin, outgoing, sealed.clone()).await {
            Err(refusal) if refusal.code() == Code::UpstreamDown => down = refusal,
            Err(refusal) => return Err(refusal),
            Ok(answer) => {
                let now = clock.now();
                return jose::open_answer(snapshot, party, &request, answer, now);
            }
        }
    }
    Err(down)
}
