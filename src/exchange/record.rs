//! Step 8, record: the access log line and the metrics. Nothing is answered that is not recorded.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use http::Response;

use super::{Committed, Gateway, Trail, arrive::Counters};
use crate::{clock::Moment, observe::Line, refusal::Code, upstream::AnswerBody};

/// An answer that may leave. The edge writes nothing else; only [`record`] makes one.
#[derive(Debug)]
pub struct Recorded {
    response: Box<Response<AnswerBody>>,
}

impl Recorded {
    /// The answer, for the wire.
    pub fn into_response(self) -> Box<Response<AnswerBody>> {
        self.response
    }
}

/// Writes the exchange down and lets its answer go.
pub(super) fn record(gateway: &Gateway, committed: Committed, trail: &Trail) -> Recorded {
    let sealed = committed.into_sealed();
    let took = trail.started.elapsed();
    let metrics = gateway.metrics();
    let route = trail.route.as_ref().map(|r| r.name());
    let partner = trail.caller.as_ref().map(|c| c.partner().id().as_str());
    let code = trail.refused.as_ref().map(|(code, _)| *code);
    if let Some(code) = code {
        metrics.refused(&trail.connection.face, code);
    }
    count(gateway, trail, code, took);
    let signed_by = trail.signed_by.map(|f| f.to_string());
    gateway.access().write(&Line {
        time: trail.at,
        gateway: gateway.name(),
        correlation_id: &trail.correlation_id,
        face: &trail.connection.face,
        from: &trail.connection.peer_text,
        http: trail.http,
        method: trail.method.as_str(),
        route,
        partner,
        tls_certificate: trail.connection.leaf_fingerprint(),
        signed_by: signed_by.as_deref(),
        outcome: if code.is_some() {
            "refused"
        } else {
            "answered"
        },
        code: code.map(Code::as_str),
        cause: trail
            .refused
            .as_ref()
            .map(|(_, cause)| cause.as_str())
            .filter(|c| !c.is_empty()),
        status: sealed.response.status().as_u16(),
        bytes_in: trail.bytes_in,
        bytes_out: sealed.bytes_out,
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        upstream_us: trail.upstream_us(),
        upstream_status: trail.upstream_status(),
    });
    Recorded {
        response: sealed.response,
    }
}

/// Counts an exchange of an identified caller on a known route.
fn count(gateway: &Gateway, trail: &Trail, code: Option<Code>, took: Duration) {
    let (Some(route), Some(caller)) = (&trail.route, &trail.caller) else {
        return;
    };
    let metrics = gateway.metrics();
    let partner = caller.partner().id();
    let mut held = trail
        .connection
        .counters
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let counters = match &mut *held {
        Some(known) if Arc::ptr_eq(&known.route, route) && known.partner == *partner => known,
        other => other.insert(Counters {
            route: Arc::clone(route),
            partner: partner.clone(),
            answered: metrics.exchanges.with_label_values(&[
                route.name(),
                partner.as_str(),
                "answered",
            ]),
            seconds: metrics.exchange_seconds.with_label_values(&[route.name()]),
        }),
    };
    counters.seconds.observe(took.as_secs_f64());
    match code {
        None => counters.answered.inc(),
        Some(code) => metrics
            .exchanges
            .with_label_values(&[route.name(), partner.as_str(), code.as_str()])
            .inc(),
    }
}

/// RFC 3339 with milliseconds, in UTC.
pub fn rfc3339(at: Moment) -> String {
    crate::envelope::time::format(at)
}
