//! Headers for those who may be browsers: on service faces only, because partners' machines look at none of them.
//!
//! | header | where |
//! |---|---|
//! | `Strict-Transport-Security` | every answer of a service face with TLS, refusals of the gate too |
//! | `Pragma`, `X-Content-Type-Options`, `X-Robots-Tag` (and `Cache-Control`, which every face has) | answers that are the gateway's own; what a relay brings is the service's |
//! | `Access-Control-…` | routes of handler `opencrvs`, refusals too, for the origin in `opencrvs.client_origin` |
//!
//! They are those that the reference wants of a gateway before OpenCRVS (5.5), and no setting takes them away. `preload` is left
//! out of the first: it speaks for the whole domain, for good, and is its owner's to say.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::Trail;
use crate::config::{FaceKind, HandlerKind};

const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");
const YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// What the gateway's own answers say, and what every answer over TLS says.
const OWN: [(HeaderName, &str); 3] = [
    (header::PRAGMA, "no-cache"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (ROBOTS, "none"),
];

/// The same for refusals that never become an exchange: lines for the gate to write.
pub(super) const fn refusal_fields(kind: FaceKind, tls: bool) -> &'static str {
    match (kind, tls) {
        (FaceKind::Partner, _) => "",
        (FaceKind::Service, false) => {
            "pragma: no-cache\r\nx-content-type-options: nosniff\r\nx-robots-tag: none\r\n"
        }
        (FaceKind::Service, true) => {
            "strict-transport-security: max-age=31536000; includeSubDomains\r\npragma: no-cache\r\nx-content-type-options: nosniff\r\nx-robots-tag: none\r\n"
        }
    }
}

/// Adds them. `own` says whether the answer is the gateway's own.
pub(super) fn headers(headers: &mut HeaderMap, own: bool, trail: &Trail) {
    if trail.face_kind() != FaceKind::Service {
        return;
    }
    let face = trail.snapshot().face(&trail.connection.face);
    if face.is_some_and(|face| face.tls().is_some()) {
        headers
            .entry(header::STRICT_TRANSPORT_SECURITY)
            .or_insert(YEAR);
    }
    if own {
        for (name, value) in OWN {
            headers
                .entry(name)
                .or_insert(HeaderValue::from_static(value));
        }
    }
    let crvs = trail
        .route()
        .is_some_and(|r| r.handler() == HandlerKind::OpenCrvs);
    let origin = (trail.snapshot().registrations())
        .filter(|_| crvs)
        .and_then(|r| r.settings().client_origin.as_deref())
        .and_then(|origin| HeaderValue::from_str(origin).ok());
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if trail.method == Method::OPTIONS {
            let methods = HeaderValue::from_static("GET, POST, OPTIONS");
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            let named = HeaderValue::from_static("Content-Type, Authorization");
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, named);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_at_the_gate_says_what_an_exchange_says() {
        let own: String = OWN
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let sts = format!("strict-transport-security: {}\r\n", YEAR.to_str().unwrap());
        assert_eq!(refusal_fields(FaceKind::Service, false), own);
        assert_eq!(refusal_fields(FaceKind::Service, true), sts + &own);
        assert_eq!(refusal_fields(FaceKind::Partner, true), "");
    }
}
