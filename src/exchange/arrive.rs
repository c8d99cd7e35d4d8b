//! Step 1, arrive: one canonical request, from whatever connection it came by.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use prometheus::{Histogram, IntCounter};
use rustls_pki_types::CertificateDer;

use super::{Snapshot, Trail, browser, canonical::CanonicalRequest};
use crate::{
    clock::Moment,
    config::FaceKind,
    envelope::KnownHeader,
    partners::{Caller, PartnerId},
    patience::Patience,
    policy::Route,
    refusal::{Code, Refusal},
    trust::Fingerprint,
    upstream::CallerBody,
};

/// Counters found once and used for every exchange of the same kind.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    pub(super) route: Arc<Route>,
    pub(super) partner: PartnerId,
    pub(super) answered: IntCounter,
    pub(super) seconds: Histogram,
}

/// A connection that requests come by.
#[derive(Debug)]
pub struct Connection {
    pub(super) face: Arc<str>,
    pub(super) kind: FaceKind,
    pub(super) peer: SocketAddr,
    pub(super) peer_text: String,
    pub(super) leaf: Option<CertificateDer<'static>>,
    pub(super) leaf_fingerprint: Option<String>,
    pub(super) sni: Option<String>,
    /// The version of TLS, where there is any.
    pub(super) tls: Option<&'static str>,
    /// The counters of the route and caller that this connection asked for last.
    pub(super) counters: Mutex<Option<Counters>>,
    /// The header of its messages' signatures.
    pub(super) signature_header: KnownHeader,
    /// The timer of its exchanges, where there is one at a time.
    pub(super) patience: Patience,
    /// Who it is, as found by the snapshot of that generation, and until when that holds.
    pub(super) identity: RwLock<Option<(u64, Moment, Caller)>>,
}

impl Connection {
    /// A connection of `face` from `peer`, with what the TLS handshake showed: the client's leaf certificate, verified
    /// against the face's anchors, and the server name asked for.
    pub fn new(
        face: Arc<str>,
        kind: FaceKind,
        peer: SocketAddr,
        leaf: Option<CertificateDer<'static>>,
        sni: Option<String>,
    ) -> Self {
        Self {
            face,
            kind,
            peer,
            peer_text: peer.ip().to_string(),
            leaf_fingerprint: leaf.as_deref().map(|der| Fingerprint::of(der).to_string()),
            leaf,
            sni,
            tls: None,
            counters: Mutex::new(None),
            signature_header: KnownHeader::default(),
            patience: Patience::default(),
            identity: RwLock::new(None),
        }
    }

    /// The same, by this version of TLS.
    #[must_use]
    pub const fn over_tls(mut self, version: &'static str) -> Self {
        self.tls = Some(version);
        self
    }

    /// Fields that a refusal of the gate has on it.
    pub fn browser_fields(&self) -> &'static str {
        browser::refusal_fields(self.kind, self.tls.is_some())
    }

    /// The address it comes from.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The fingerprint of the certificate shown.
    pub(super) fn leaf_fingerprint(&self) -> Option<&str> {
        self.leaf_fingerprint.as_deref()
    }

    pub(super) fn known(&self, generation: u64, now: Moment) -> Option<Caller> {
        let held = self.identity.read().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some((of, until, caller)) if *of == generation && now < *until => Some(caller.clone()),
            _ => None,
        }
    }

    pub(super) fn remember(&self, generation: u64, until: Moment, caller: &Caller) {
        *self
            .identity
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some((generation, until, caller.clone()));
    }
}

/// A request as the HTTP library gave it, before anything of ours looked at it.
pub struct Arrival {
    /// The head, in a box until its exchange ends: each step hands it on.
    pub parts: Box<http::request::Parts>,
    /// The body, not yet read.
    pub body: CallerBody,
    /// The connection.
    pub connection: Arc<Connection>,
    /// The snapshot in force when it arrived.
    pub snapshot: Arc<Snapshot>,
}

impl std::fmt::Debug for Arrival {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Paths and headers hold licence and API keys and tokens.
        f.debug_struct("Arrival").finish_non_exhaustive()
    }
}

/// A request in canonical form. Only [`arrive`] makes one.
pub struct Arrived {
    pub(super) request: Box<CanonicalRequest>,
    /// The head as it came.
    pub(super) parts: Box<http::request::Parts>,
}

impl std::fmt::Debug for Arrived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrived")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// Checks form and size; nothing here needs to know who is calling.
pub(super) fn arrive(arrival: Arrival, trail: &mut Trail) -> Result<Arrived, Refusal> {
    let Arrival {
        parts,
        body,
        connection,
        snapshot,
    } = arrival;
    let face = snapshot
        .face(&connection.face)
        .ok_or_else(|| Refusal::new(Code::Fault, "the face is gone from the configuration"))?;
    // It waits there until the open step asks for it: a refusal before that must not cut the client off.
    trail.unread = Some(body);
    let request =
        CanonicalRequest::from_parts(&parts, face.host_rules(), connection.sni.as_deref())?;
    if let Some(given) = request.correlation_id() {
        given.clone_into(&mut trail.correlation_id);
    }
    trail.signature = parts.headers.get("signature").cloned();
    Ok(Arrived {
        request: Box::new(request),
        parts,
    })
}
