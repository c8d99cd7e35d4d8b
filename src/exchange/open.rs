//! Step 4, open: the signature over the received bytes, the signer's standing, freshness, replay, decryption, integrity.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::body::Body as _;

use super::{Admitted, Gateway, Near, Snapshot, Target, Trail, admit::Held, jose, replay};
use crate::{
    clock::Moment,
    config::{Envelope, HandlerKind, PartnerKind, Role},
    envelope::{DetachedJws, mosip_ida},
    partners::Caller,
    policy::{AuthPolicy, Route},
    refusal::{Code, Refusal, violation},
    trust::Fingerprint,
    upstream::CallerBody,
};

/// An exchange whose content is proven to be the caller's. Only [`open`] makes one.
#[derive(Debug)]
pub struct Opened {
    held: Box<Held>,
    content: Content,
}

/// What was in the envelope.
#[derive(Debug)]
pub enum Content {
    /// The whole body, opened where the route says that it is sealed.
    Whole(Bytes),
    /// Nothing was sealed: the body, not yet read, of at most so many bytes.
    Plain(CallerBody, u64),
    /// A MOSIP IDA message.
    Ida(Box<IdaMessage>),
    /// A handler has it.
    Taken,
}

/// A MOSIP IDA message whose signature, time and uniqueness hold.
#[derive(Debug)]
pub struct IdaMessage {
    request: mosip_ida::Request,
    opened: Option<mosip_ida::Opened>,
    signature: http::HeaderValue,
}

impl IdaMessage {
    /// The outer message, with the exact bytes received.
    pub const fn request(&self) -> &mosip_ida::Request {
        &self.request
    }

    /// The decrypted block, where the route lets us hold the key and the operation has one.
    pub const fn opened(&self) -> Option<&mosip_ida::Opened> {
        self.opened.as_ref()
    }

    /// The header `signature` as received.
    pub const fn signature(&self) -> &http::HeaderValue {
        &self.signature
    }
}

impl Opened {
    /// Who is calling.
    pub const fn caller(&self) -> &Caller {
        &self.held.caller
    }

    /// The route.
    pub const fn route(&self) -> &Arc<Route> {
        &self.held.route
    }

    /// Where it goes.
    pub const fn target(&self) -> &Target {
        &self.held.target
    }

    /// What the API key's policy grants, on routes that have one.
    pub const fn grant(&self) -> Option<&Arc<AuthPolicy>> {
        self.held.grant.as_ref()
    }

    /// The method.
    pub const fn method(&self) -> &http::Method {
        &self.held.parts.method
    }

    /// The headers as received.
    pub const fn headers(&self) -> &HeaderMap {
        &self.held.parts.headers
    }

    /// The headers as received; none after that.
    pub(super) fn take_headers(&mut self) -> HeaderMap {
        std::mem::take(&mut self.held.parts.headers)
    }

    /// What the request's target said.
    pub const fn near(&self) -> &Near {
        &self.held.near
    }

    /// What was in the envelope.
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The content taken out, and the rest.
    pub(super) fn take_content(mut self) -> (Content, Self) {
        let content = std::mem::replace(&mut self.content, Content::Taken);
        (content, self)
    }

    /// What it holds, for the answer.
    pub(super) fn into_held(self) -> Box<Held> {
        self.held
    }
}

/// Opens what the route says must be sealed. Nothing is detected from the message: the route names the envelope.
pub(super) async fn open(
    gateway: &Gateway,
    admitted: Admitted,
    trail: &mut Trail,
) -> Result<Opened, Refusal> {
    let snapshot = Arc::clone(&trail.snapshot);
    let envelope = admitted.envelope();
    let Admitted { mut held } = admitted;
    let Held {
        caller,
        route,
        parts,
        uri,
        ..
    } = &mut *held;
    let body_max = route
        .body_max_bytes()
        .unwrap_or(snapshot.limits().body_max_bytes);
    let limit = snapshot.limits().body_timeout;
    let body = trail
        .unread
        .take()
        .ok_or_else(|| Refusal::new(Code::Fault, "the body was taken before"))?;
    let content = match envelope {
        // Streamed, where nothing has to be sealed on either side.
        Envelope::InsecurePlain
            if route.handler() == HandlerKind::Relay && route.to() == Envelope::InsecurePlain =>
        {
            Content::Plain(body, u64::try_from(body_max).unwrap_or(u64::MAX))
        }
        Envelope::InsecurePlain => Content::Whole(whole(body, body_max, limit, trail).await?),
        Envelope::Jose => {
            let body = whole(body, body_max, limit, trail).await?;
            let began = Instant::now();
            let target = jose::Aim {
                method: &parts.method,
                uri: uri.as_deref().unwrap_or_default(),
            };
            let content = jose::open_request(
                gateway,
                &snapshot,
                caller,
                target,
                &mut parts.headers,
                body,
                trail,
            )
            .await?;
            gateway
                .metrics()
                .crypto_seconds
                .open
                .observe(began.elapsed().as_secs_f64());
            Content::Whole(content)
        }
        Envelope::MosipIda => {
            let body = whole(body, body_max, limit, trail).await?;
            let began = Instant::now();
            let received = body.clone();
            let message = open_ida(
                gateway,
                &snapshot,
                caller,
                route,
                &parts.headers,
                body,
                trail,
            )
            .await
            .inspect_err(|_| {
                // MOSIP's refusals name the transaction too, whatever else is wrong with the message.
                if trail.transaction_id.is_none() {
                    trail.transaction_id = mosip_ida::stated_transaction(&received);
                }
            })?;
            gateway
                .metrics()
                .crypto_seconds
                .open
                .observe(began.elapsed().as_secs_f64());
            Content::Ida(Box::new(message))
        }
        // The route table refuses these as the near side.
        Envelope::AsReceived | Envelope::Opened => {
            return Err(Refusal::new(Code::Fault, "not an envelope to come in"));
        }
    };
    Ok(Opened { held, content })
}

/// Reads the whole body. What could not be read is left to the trail, for a lingering close.
async fn whole(
    mut body: CallerBody,
    max: usize,
    limit: Duration,
    trail: &mut Trail,
) -> Result<Bytes, Refusal> {
    trail.body_begun = true;
    match read(&mut body, max, limit).await {
        Ok(whole) => {
            trail.body_read = true;
            trail.bytes_in = u64::try_from(whole.len()).unwrap_or(u64::MAX);
            super::evidence::body_read(trail, &whole);
            Ok(whole)
        }
        Err(refusal) => {
            trail.unread = Some(body);
            Err(refusal)
        }
    }
}

/// How long the body of a refused request is waited for.
const REFUSED_BODY_TIME: Duration = Duration::from_secs(1);

/// MOSIP's refusals name the transaction, and whoever asked believes no answer of another one: also what a known caller is refused
/// before its body is read (a partner or key that is switched off) must say it. Where it does not come soon, the refusal goes without.
pub(super) async fn read_for_its_transaction(trail: &mut Trail) {
    let Some(route) = trail.route.clone() else {
        return;
    };
    // What was refused for its body is not read a second time.
    if route.handler() != HandlerKind::Ida || trail.caller.is_none() || trail.body_begun {
        return;
    }
    let limits = Arc::clone(trail.snapshot.limits());
    let max = route.body_max_bytes().unwrap_or(limits.body_max_bytes);
    let small = |body: &CallerBody| {
        let announced = body.size_hint().exact().unwrap_or_default();
        announced <= u64::try_from(max).unwrap_or(u64::MAX)
    };
    let Some(body) = trail.unread.take_if(|body| small(body)) else {
        return;
    };
    let limit = limits.body_timeout.min(REFUSED_BODY_TIME);
    if let Ok(body) = whole(body, max, limit, trail).await {
        trail.transaction_id = mosip_ida::stated_transaction(&body);
    }
}

async fn open_ida(
    gateway: &Gateway,
    snapshot: &Snapshot,
    caller: &Caller,
    route: &Route,
    headers: &HeaderMap,
    body: Bytes,
    trail: &mut Trail,
) -> Result<IdaMessage, Refusal> {
    let operation = route
        .operation()
        .ok_or_else(|| Refusal::new(Code::Fault, "an ida route without an operation"))?;
    let signature = one_signature(headers)?;
    let forms = snapshot.forms(caller.partner());
    let known = &trail.connection.signature_header;
    let jws = DetachedJws::parse_known(
        signature
            .to_str()
            .map_err(|_| Refusal::new(Code::SignatureForm, "not visible ASCII"))?,
        &forms,
        known,
    )?;
    let now = gateway.clock().now();
    let key = signer(snapshot, caller, &jws.fingerprint(), now)?;
    jws.verify(key, &body)?;
    known.keep(&jws, &forms);
    trail.signed_by = Some(jws.fingerprint());
    let authorization = headers.get(http::header::AUTHORIZATION);
    if authorization.is_none_or(|v| v.is_empty()) {
        return Err(
            Refusal::new(Code::MemberMissing, "Authorization is missing or empty")
                .naming("Authorization - header"),
        );
    }
    let request = mosip_ida::Request::parse(operation, body, &forms)?;
    trail.transaction_id = Some(request.transaction_id().to_owned());
    snapshot.window().check(request.request_time(), now)?;
    let digest = sha256(request.body());
    let party = caller.partner().id().as_str();
    replay::take_once(gateway, party, &digest, request.request_time(), now).await?;
    let opened = if operation.encrypted() {
        match route.to() {
            Envelope::AsReceived => {
                sealed_to_upstream(snapshot, route, &request, now)?;
                None
            }
            Envelope::Opened | Envelope::MosipIda | Envelope::Jose | Envelope::InsecurePlain => {
                let opened = request.decrypt(&snapshot.own().decryption_keys(now))?;
                // The time inside is the caller's as much as the one outside (IDA reference 1.4).
                snapshot.window().check(opened.timestamp(), now)?;
                Some(opened)
            }
        }
    } else {
        None
    };
    Ok(IdaMessage {
        request,
        opened,
        signature,
    })
}

/// Exactly one header `signature`.
pub(super) fn one_signature(headers: &HeaderMap) -> Result<http::HeaderValue, Refusal> {
    let mut values = headers.get_all("signature").iter();
    match (values.next(), values.next()) {
        (Some(one), None) if !one.is_empty() => Ok(one.clone()),
        (None, _) | (Some(_), None) => Err(Refusal::new(
            Code::SignatureMissing,
            "no header `signature`",
        )
        .naming("signature header")),
        (Some(_), Some(_)) => Err(Refusal::new(
            Code::SignatureForm,
            "several headers `signature`",
        )),
    }
}

/// The key that must have signed: the certificate in the message only selects among the caller's own bindings.
pub(super) fn signer<'s>(
    snapshot: &'s Snapshot,
    caller: &'s Caller,
    fingerprint: &Fingerprint,
    now: Moment,
) -> Result<&'s crate::keys::VerifyingKey, Refusal> {
    let certificates = caller.partner().certificates();
    let found = certificates
        .find_in(Role::Signature, fingerprint)
        .or_else(|| {
            // A service of ours may still hold our own key: on the way to keeping keys out of services.
            (caller.partner().kind() == PartnerKind::Service)
                .then(|| {
                    snapshot
                        .own()
                        .certificates()
                        .find_in(Role::Signature, fingerprint)
                })
                .flatten()
        });
    let Some(binding) = found else {
        if certificates.find(fingerprint).is_some() {
            let cause = "the signer's certificate is bound in another role";
            return Err(Refusal::new(Code::SignerRole, cause));
        }
        return Err(match snapshot.directory().by_leaf(fingerprint) {
            Some(_) => Refusal::new(
                Code::SignerForeign,
                "the signer is bound to another partner",
            ),
            None => Refusal::new(Code::SignerUnbound, "the signer is bound to nobody"),
        });
    };
    snapshot
        .judge(binding, now)
        .map_err(|why| Refusal::new(Code::SignerUnusable, why.to_string()))?;
    binding
        .verifying_key()
        .ok_or_else(|| Refusal::new(Code::Fault, "no verifying key for a signature binding"))
}

/// `as-received`: we cannot open it, but we can see that it is meant for a certificate of the upstream's party.
fn sealed_to_upstream(
    snapshot: &Snapshot,
    route: &Route,
    request: &mosip_ida::Request,
    now: Moment,
) -> Result<(), Refusal> {
    let thumbprint = request
        .thumbprint()
        .ok_or_else(|| Refusal::new(Code::MemberMissing, "no thumbprint").naming("thumbprint"))?;
    let peer = snapshot
        .peer_of(route.upstream().unwrap_or_default())
        .ok_or_else(|| Refusal::new(Code::Fault, "the upstream has no party"))?;
    if peer.bindings().iter().any(|b| {
        b.role() == Role::Encryption
            && b.fingerprint() == thumbprint
            && snapshot.judge(b, now).is_ok()
    }) {
        Ok(())
    } else {
        Err(Refusal::new(
            Code::RecipientUnknown,
            "the thumbprint is no certificate of the upstream's party",
        ))
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    digest
}

/// The whole body, bounded in bytes and in time.
async fn read(body: &mut CallerBody, max: usize, limit: Duration) -> Result<Bytes, Refusal> {
    let whole = async {
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| body_error(&e))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let so_far = first
                .as_ref()
                .map_or(0, Bytes::len)
                .saturating_add(more.len());
            if so_far.saturating_add(data.len()) > max {
                return Err(Refusal::new(
                    Code::HttpBodySize,
                    "more bytes than the route's limit",
                ));
            }
            match first {
                None => first = Some(data),
                Some(_) => more.extend_from_slice(&data),
            }
        }
        Ok(match first {
            None => Bytes::new(),
            Some(one) if more.is_empty() => one,
            Some(one) => {
                let mut all = BytesMut::with_capacity(one.len().saturating_add(more.len()));
                all.extend_from_slice(&one);
                all.extend_from_slice(&more);
                all.freeze()
            }
        })
    };
    tokio::time::timeout(limit, whole)
        .await
        .map_err(|_| Refusal::new(Code::HttpSlow, "the body took too long"))?
}

/// What went wrong with a body: the gate says it where it knows; else the connection ended early.
fn body_error(error: &std::io::Error) -> Refusal {
    let code = violation(error).unwrap_or(Code::HttpBodyCut);
    Refusal::new(code, "the body broke its framing or ended early")
}
