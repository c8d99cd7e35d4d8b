//! Calls to the services behind the gateway by those who need the whole answer: handlers, and errands that have no exchange
//! around them. Sealed towards the upstream as the caller says, opened and checked on the way back.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

pub use super::evidence::Step;
use super::{
    Gateway, Snapshot,
    evidence::{Outward, Travelled},
    jose, logins,
};
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
    /// Calls an upstream for an exchange, which has its own record, or for the gateway's own needs (keys, documents, logins, time stamps),
    /// which has none. Takes its whole answer; nothing is repeated that may have arrived.
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
        let travelled = &mut Travelled::default();
        self.send(
            snapshot,
            (upstream, envelope),
            call,
            correlation_id,
            travelled,
        )
        .await
    }

    /// The same for the step of an errand, which leaves a record of its own: with the receipt that the peer gave, where it gave one.
    ///
    /// # Errors
    /// As [`Gateway::call`]; `EVD-…` where the record is required and is not on disk. The step is then to be done again, although the
    /// upstream may have done it.
    pub async fn call_for(
        &self,
        step: Step<'_>,
        snapshot: &Snapshot,
        upstream: &str,
        envelope: Envelope,
        call: Call,
    ) -> Result<Answered, Refusal> {
        let to = (upstream, envelope);
        let mut travelled = Travelled::default();
        let Some(record) = Outward::begin(self, snapshot, step)? else {
            return self
                .send(snapshot, to, call, step.correlation_id, &mut travelled)
                .await;
        };
        let method = call.method.clone();
        let mut answered = self
            .send(snapshot, to, call, step.correlation_id, &mut travelled)
            .await;
        if let Ok(answered) = &mut answered {
            travelled.receipt = answered.receipt.take();
        }
        let failed = answered.as_ref().err().map(Refusal::code);
        let recorded = record.end(upstream, &method, &travelled, failed).await;
        let mut answered = answered?;
        recorded?;
        answered.receipt = travelled.receipt;
        Ok(answered)
    }

    async fn send(
        &self,
        snapshot: &Snapshot,
        (upstream, envelope): (&str, Envelope),
        call: Call,
        correlation_id: &str,
        travelled: &mut Travelled,
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
            Envelope::InsecurePlain => self
                .call_plain(snapshot, service, outgoing, body, travelled)
                .await
                .map(|answer| (answer, None)),
            Envelope::Jose => {
                seal_and_call(self.clock(), snapshot, service, outgoing, body, travelled).await
            }
            Envelope::MosipIda | Envelope::AsReceived | Envelope::Opened => {
                let cause = "not an envelope for a call in plain";
                return Err(Refusal::new(Code::Fault, cause));
            }
        };
        travelled.took = began.elapsed();
        service.took(self.metrics(), travelled.took);
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

    async fn call_plain(
        &self,
        snapshot: &Snapshot,
        service: &Upstream,
        outgoing: Outgoing,
        body: Bytes,
        travelled: &mut Travelled,
    ) -> Result<Answer, Refusal> {
        travelled.request = body.clone();
        let answer = logins::call(snapshot, service, outgoing, body, self.metrics()).await;
        travelled.came(&answer);
        answer
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
    outgoing: Outgoing,
    body: Bytes,
) -> Result<(Answer, Option<Receipt>), Refusal> {
    let mut travelled = Travelled::default();
    seal_and_call(clock, snapshot, service, outgoing, body, &mut travelled).await
}

async fn seal_and_call(
    clock: &Clock,
    snapshot: &Snapshot,
    service: &Upstream,
    mut outgoing: Outgoing,
    body: Bytes,
    travelled: &mut Travelled,
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
    travelled.sealed = true;
    travelled.request = sealed.clone();
    let signer = jose::signer(snapshot, now)?;
    let mut down = Refusal::from(Code::UpstreamDown);
    for origin in service.origins() {
        let uri = format!("{origin}{}", outgoing.path_and_query);
        let now = clock.now();
        let value = sign_request(signer, now, outgoing.method.as_str(), &uri, &sealed)?;
        let request = signature_digest(Some(value.as_bytes()));
        let mut outgoing = outgoing.clone();
        let value = jose::header_value(&value)?;
        travelled.signature = Some((value.clone(), signer.fingerprint()));
        outgoing.headers.insert(jose::SIGNATURE, value);
        let answer = service.call_at(&origin, outgoing, sealed.clone()).await;
        travelled.came(&answer);
        match answer {
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
