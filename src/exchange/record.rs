//! Step 8, record: the access log line and the metrics. Nothing is answered that is not recorded.

use http::Response;

use super::{Gateway, Sealed, Trail};
use crate::{clock::Moment, observe::Line, upstream::AnswerBody};

/// An answer that may leave. The edge writes nothing else; only [`record`] makes one.
#[derive(Debug)]
pub struct Recorded {
    response: Response<AnswerBody>,
}

impl Recorded {
    /// The answer, for the wire.
    pub fn into_response(self) -> Response<AnswerBody> {
        self.response
    }
}

/// Writes the exchange down and lets its answer go.
pub(super) fn record(gateway: &Gateway, sealed: Sealed, trail: &Trail) -> Recorded {
    let took = trail.started.elapsed();
    let metrics = gateway.metrics();
    let route = trail.route.as_ref().map(|r| r.name().to_owned());
    let partner = trail
        .caller
        .as_ref()
        .map(|c| c.partner().id().as_str().to_owned());
    let code = trail.refused.as_ref().map(|(code, _)| *code);
    if let Some(code) = code {
        metrics.refused(&trail.connection.face, code);
    }
    if let (Some(route), Some(partner)) = (&route, &partner) {
        let outcome = code.map_or("answered", crate::refusal::Code::as_str);
        metrics
            .exchanges
            .with_label_values(&[route.as_str(), partner.as_str(), outcome])
            .inc();
        metrics
            .exchange_seconds
            .with_label_values(&[route.as_str()])
            .observe(took.as_secs_f64());
    }
    let time = rfc3339(trail.at);
    let certificate = trail.connection.leaf_fingerprint().map(|f| f.to_string());
    let signed_by = trail.signed_by.map(|f| f.to_string());
    gateway.access().write(&Line {
        time: &time,
        gateway: gateway.name(),
        correlation_id: &trail.correlation_id,
        face: &trail.connection.face,
        from: &trail.connection.peer_text,
        http: trail.http,
        method: trail.method.as_str(),
        route: route.as_deref(),
        partner: partner.as_deref(),
        tls_certificate: certificate.as_deref(),
        signed_by: signed_by.as_deref(),
        outcome: if code.is_some() {
            "refused"
        } else {
            "answered"
        },
        code: code.map(crate::refusal::Code::as_str),
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

/// RFC 3339 with milliseconds, in UTC.
pub fn rfc3339(at: Moment) -> String {
    crate::envelope::time::format(at)
}
