//! Step 2, identify: from the connection to a partner in an active state, or to a service of ours.

use http::header;

use super::{Arrived, Connection, Snapshot, Trail};
use crate::{
    clock::Moment,
    config::{FaceKind, HandlerKind},
    partners::Caller,
    refusal::{Code, Refusal},
};

/// A request whose sender is known. Only [`identify`] makes one.
#[derive(Debug)]
pub struct Identified {
    pub(super) arrived: Arrived,
    pub(super) caller: Caller,
}

/// Finds the caller. The TLS handshake has verified the chain; here the leaf must be bound, in the right role, to somebody
/// who may come at this moment.
pub(super) fn identify(arrived: Arrived, trail: &mut Trail) -> Result<Identified, Refusal> {
    let connection = std::sync::Arc::clone(&trail.connection);
    let snapshot = std::sync::Arc::clone(&trail.snapshot);
    // The moment of arrival, as every cheap step takes it.
    let now = trail.at;
    let caller = match connection.kind {
        FaceKind::Partner => partner(&snapshot, &connection, now).inspect_err(|refusal| {
            // A partner that is switched off is still known: its refusal is signed to it like any answer.
            if refusal.code() != Code::CertificateUnusable {
                trail.caller = connection
                    .leaf
                    .as_deref()
                    .and_then(|leaf| snapshot.directory().known(leaf));
            }
            // And in the words of the protocol that it speaks.
            if trail.caller.is_some() {
                let segments: Vec<&str> = arrived.request.path().segments().collect();
                let found = snapshot.routes().find(connection.kind, &segments);
                trail.route = found.map(|found| std::sync::Arc::clone(found.route()));
            }
        }),
        FaceKind::Service => {
            let bearer = bearer(&arrived)?;
            let known = |bearer| {
                snapshot.directory().identify_service(
                    connection.peer.ip(),
                    bearer,
                    connection.leaf.as_deref(),
                    snapshot.anchors(),
                    now,
                )
            };
            match bearer.map(|_| whose(&snapshot, &arrived)) {
                None | Some(Bearing::Protocol) => known(None),
                Some(Bearing::Service) => known(bearer),
                // It is answered that there is no such route, to everybody whom one of the two would admit.
                Some(Bearing::Nothing) => known(bearer).or_else(|_| known(None)),
            }
        }
    }?;
    trail.caller = Some(caller.clone());
    trail.under_way = Some(
        caller
            .partner()
            .begin(snapshot.limits().exchanges_per_partner_max)?,
    );
    Ok(Identified { arrived, caller })
}

/// The partner behind a connection, from memory where the snapshot is still the same and nothing has run out.
fn partner(snapshot: &Snapshot, connection: &Connection, now: Moment) -> Result<Caller, Refusal> {
    if let Some(caller) = connection.known(snapshot.generation(), now) {
        return Ok(caller);
    }
    let leaf = connection.leaf.as_deref().ok_or_else(|| {
        Refusal::new(
            Code::CertificateUnbound,
            "no client certificate on a partner face",
        )
    })?;
    let caller = snapshot
        .directory()
        .identify_tls(leaf, snapshot.anchors(), now)?;
    let until = snapshot.next_change().unwrap_or(Moment::from_ms(i64::MAX));
    connection.remember(snapshot.generation(), until, &caller);
    Ok(caller)
}

/// Who is behind a connection by its certificate, welcome or not; for records of what never became a request.
pub(super) fn behind(snapshot: &Snapshot, connection: &Connection, now: Moment) -> Option<Caller> {
    let leaf = connection.leaf.as_deref()?;
    match connection.kind {
        FaceKind::Partner => partner(snapshot, connection, now)
            .ok()
            .or_else(|| snapshot.directory().known(leaf)),
        FaceKind::Service => snapshot
            .directory()
            .identify_service(
                connection.peer.ip(),
                None,
                Some(leaf),
                snapshot.anchors(),
                now,
            )
            .ok(),
    }
}

/// Whether a connection may stay open under `snapshot`: its certificate still leads to an active partner.
pub(super) fn still_admitted(
    snapshot: &Snapshot,
    connection: &Connection,
    now: Moment,
) -> Result<(), Refusal> {
    match connection.kind {
        FaceKind::Partner => partner(snapshot, connection, now).map(drop),
        FaceKind::Service => match connection.leaf.as_deref() {
            None => Ok(()),
            Some(leaf) => snapshot
                .directory()
                .identify_service(
                    connection.peer.ip(),
                    None,
                    Some(leaf),
                    snapshot.anchors(),
                    now,
                )
                .map(drop),
        },
    }
}

/// Whose a bearer token on this path is.
enum Bearing {
    /// It says which service is calling.
    Service,
    /// The protocol's: the access token of a userinfo request, the token of OpenCRVS. Its handler judges it; the service is
    /// known by its network or certificate.
    Protocol,
    /// Nobody's: there is no such route.
    Nothing,
}

fn whose(snapshot: &Snapshot, arrived: &Arrived) -> Bearing {
    let segments: Vec<&str> = arrived.request.path().segments().collect();
    match snapshot.routes().find(FaceKind::Service, &segments) {
        None => Bearing::Nothing,
        Some(found) => match found.route().handler() {
            HandlerKind::Esignet | HandlerKind::OpenCrvs => Bearing::Protocol,
            _ => Bearing::Service,
        },
    }
}

/// A bearer token, when the request carries exactly one in the form `Bearer token` (RFC 6750 section 2.1). MOSIP's clients
/// send a constant word as `Authorization`; that is no token.
fn bearer(arrived: &Arrived) -> Result<Option<&str>, Refusal> {
    let mut values = arrived.parts.headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Refusal::new(Code::HttpHeader, "two Authorization headers"));
    }
    let Some(text) = first.and_then(|v| v.to_str().ok()) else {
        return Ok(None);
    };
    // The word alone, or with a tab, is a token gone wrong and must not pass for none.
    let (scheme, token) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    Ok(scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()))
}
