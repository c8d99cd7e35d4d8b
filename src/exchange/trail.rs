//! What is known about an exchange so far: enough to answer and to record it, wherever it ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::body::Body;

use super::{Arrival, Connection, Gateway, Snapshot};
use crate::{
    clock::Moment,
    evidence::Receipt,
    partners::{Caller, UnderWay},
    patience::Patience,
    policy::{Facts, Route, rules::Decision},
    refusal::Code,
    trust::Fingerprint,
    upstream::CallerBody,
};

/// Filled in by the steps as they pass; never decides anything.
#[derive(Debug)]
pub struct Trail {
    gateway: Arc<Gateway>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) connection: Arc<Connection>,
    /// Of this exchange alone, on a connection that has several at once.
    patience: Option<Arc<Patience>>,
    pub(super) at: Moment,
    pub(super) started: Instant,
    pub(super) correlation_id: String,
    pub(super) method: http::Method,
    pub(super) http: &'static str,
    pub(super) caller: Option<Caller>,
    pub(super) route: Option<Arc<Route>>,
    pub(super) signed_by: Option<Fingerprint>,
    /// The request's header `signature`, which a sealed answer names.
    pub(super) signature: Option<http::HeaderValue>,
    pub(super) transaction_id: Option<String>,
    pub(super) bytes_in: u64,
    /// What came of counting it against a quota.
    pub(super) counted: Option<crate::shared::Counted>,
    /// The caller's place, kept for as long as the exchange.
    pub(super) under_way: Option<UnderWay>,
    /// The body, until the open step takes it.
    pub(super) unread: Option<CallerBody>,
    has_body: bool,
    /// Some of it was asked for.
    pub(super) body_begun: bool,
    pub(super) body_read: bool,
    pub(super) refused: Option<(Code, String)>,
    /// Where somebody asks for them: see [`super::rules`].
    pub(super) seen: Option<Box<Facts>>,
    pub(super) decision: Option<Box<Decision>>,
    /// For evidence: the digest of the request's body, and the body itself where it is kept.
    pub(super) request_digest: Option<[u8; 32]>,
    pub(super) kept_request: Option<bytes::Bytes>,
    /// The policy of the API key.
    pub(super) policy: Option<String>,
    /// The receipt in the upstream's answer.
    pub(super) receipt: Option<Receipt>,
    upstream_us: u64,
    upstream_status: Option<u16>,
}

/// Where an exchange's timer is.
#[derive(Debug)]
pub(super) enum Waits {
    Own(Arc<Patience>),
    Shared(Arc<Connection>),
}

impl std::ops::Deref for Waits {
    type Target = Patience;

    fn deref(&self) -> &Patience {
        match self {
            Self::Own(own) => own,
            Self::Shared(connection) => &connection.patience,
        }
    }
}

impl Trail {
    pub(super) fn begin(gateway: &Arc<Gateway>, arrival: &Arrival) -> Self {
        let http2 = arrival.parts.version == http::Version::HTTP_2;
        Self {
            gateway: Arc::clone(gateway),
            snapshot: Arc::clone(&arrival.snapshot),
            connection: Arc::clone(&arrival.connection),
            patience: http2.then(Arc::default),
            at: gateway.clock().now(),
            started: Instant::now(),
            correlation_id: gateway.new_correlation_id(),
            method: arrival.parts.method.clone(),
            http: if http2 { "2" } else { "1.1" },
            caller: None,
            route: None,
            signed_by: None,
            signature: None,
            transaction_id: None,
            bytes_in: 0,
            counted: None,
            under_way: None,
            unread: None,
            has_body: !arrival.body.is_end_stream(),
            body_begun: false,
            body_read: false,
            refused: None,
            seen: None,
            decision: None,
            request_digest: None,
            kept_request: None,
            policy: None,
            receipt: None,
            upstream_us: 0,
            upstream_status: None,
        }
    }

    /// The gateway, for calls outward.
    pub const fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// The snapshot that this exchange sees from start to end.
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The fingerprint of the client's certificate, as logs write it.
    pub fn leaf_fingerprint(&self) -> Option<&str> {
        self.connection.leaf_fingerprint()
    }

    /// The certificate whose key signed the request.
    pub const fn signed_by(&self) -> Option<Fingerprint> {
        self.signed_by
    }

    /// The timer of this exchange's deadlines, for its own task.
    pub(super) fn patience(&self) -> Waits {
        match &self.patience {
            Some(own) => Waits::Own(Arc::clone(own)),
            None => Waits::Shared(Arc::clone(&self.connection)),
        }
    }

    /// When the request arrived.
    pub const fn at(&self) -> Moment {
        self.at
    }

    /// The correlation id.
    pub fn correlation_id(&self) -> &str {
        &self.correlation_id
    }

    /// The kind of face it came by.
    pub fn face_kind(&self) -> crate::config::FaceKind {
        self.connection.kind
    }

    /// Whether the caller is known by now.
    pub const fn caller_is_known(&self) -> bool {
        self.caller.is_some()
    }

    /// MOSIP's transaction id, once the message was read.
    pub fn transaction_id(&self) -> Option<&str> {
        self.transaction_id.as_deref()
    }

    /// The route, once found.
    pub const fn route(&self) -> Option<&Arc<Route>> {
        self.route.as_ref()
    }

    /// What the operator's rules decided, and by which policies; none where there are no rules, or the road ended before.
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_deref()
    }

    /// The facts, as far as the road has come; none where nobody asks for them.
    pub fn facts(&self) -> Option<&Facts> {
        self.seen.as_deref()
    }

    /// Whether there is a body of which not all was read.
    pub(super) const fn body_unread(&self) -> bool {
        self.has_body && !self.body_read
    }

    /// Notes the receipt that came with the upstream's answer.
    pub fn received(&mut self, receipt: Option<Receipt>) {
        self.receipt = receipt;
    }

    /// Notes a call to the upstream.
    pub fn called_upstream(&mut self, took: Duration, status: Option<u16>) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.upstream_us = self.upstream_us.saturating_add(took);
        self.upstream_status = status.or(self.upstream_status);
    }

    pub(super) const fn upstream_us(&self) -> u64 {
        self.upstream_us
    }

    pub(super) const fn upstream_status(&self) -> Option<u16> {
        self.upstream_status
    }
}
