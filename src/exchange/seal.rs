//! Step 7, seal: encrypted to the caller, signed by us.

use std::time::Instant;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::{
    Gateway, Handlers, Reply, Trail, browser, evidence, jose, quota,
    reply::{IdaBody, RefusalAnswer, ReplyBody},
};
use crate::{
    config::{Envelope, HandlerKind, Role},
    envelope::mosip_ida,
    evidence::Noted,
    refusal::{Code, Refusal},
    upstream::{AnswerBody, keep_end_to_end},
};

/// MOSIP's header for the signature of an answer (IDA reference 3.4).
pub(super) const RESPONSE_SIGNATURE: HeaderName = HeaderName::from_static("response-signature");
/// The header with our stable code.
pub(super) const CODE: HeaderName = HeaderName::from_static("x-triseal-code");
/// The header that ties both gateways' logs together.
pub(super) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// An answer that may leave as far as its content goes. Only this step makes one.
#[derive(Debug)]
pub struct Sealed {
    pub(super) response: Box<Response<AnswerBody>>,
    pub(super) bytes_out: u64,
    /// Its place in the evidence log.
    pub(super) noted: Noted,
}

/// Seals a handler's answer.
pub(super) fn seal(gateway: &Gateway, reply: Reply, trail: &mut Trail) -> Result<Sealed, Refusal> {
    match reply.body {
        ReplyBody::Plain(mut response) => {
            let bytes_out = response.body().left().unwrap_or(0);
            keep_end_to_end(response.headers_mut());
            // Our codes are ours to state.
            response.headers_mut().remove(CODE);
            let noted = evidence::note(gateway, trail, response.status(), None)?;
            Ok(finish(response, bytes_out, noted, trail))
        }
        ReplyBody::Whole(response) => {
            let (mut head, body) = response.into_parts();
            let envelope = (trail.route()).map_or(Envelope::InsecurePlain, |route| route.from());
            if envelope == Envelope::Jose {
                let began = Instant::now();
                let (response, noted) =
                    jose::seal_answer(gateway, head.status, head.headers, &body, trail)?;
                gateway
                    .metrics()
                    .crypto_seconds
                    .seal
                    .observe(began.elapsed().as_secs_f64());
                return Ok(sent_whole(response, noted, trail));
            }
            let noted = evidence::note(gateway, trail, head.status, Some(&body))?;
            let bytes_out = u64::try_from(body.len()).unwrap_or(u64::MAX);
            keep_end_to_end(&mut head.headers);
            head.headers.remove(CODE);
            let no_store = HeaderValue::from_static("no-store");
            head.headers
                .entry(header::CACHE_CONTROL)
                .or_insert(no_store);
            let response = Box::new(Response::from_parts(head, AnswerBody::whole(body)));
            Ok(finish(response, bytes_out, noted, trail))
        }
        ReplyBody::Ida(status, body) => {
            let began = Instant::now();
            let body = match body {
                IdaBody::AsItIs(body) => body,
                IdaBody::PlainIdentity(answer) => {
                    let now = gateway.clock().now();
                    let recipient = trail
                        .snapshot()
                        .recipient(reply.held.caller.partner().certificates(), now)
                        .ok_or_else(|| {
                            Refusal::new(
                                Code::NoRecipient,
                                "the caller has no usable encryption certificate",
                            )
                        })?;
                    mosip_ida::seal_identity(&answer, &recipient)?
                }
            };
            let noted = evidence::note(gateway, trail, status, Some(&body))?;
            let mut sealed = signed_json(gateway, status, body, noted, trail)?;
            if let Some(code) = reply.code {
                let value = HeaderValue::from_static(code.as_str());
                sealed.response.headers_mut().insert(CODE, value);
            }
            gateway
                .metrics()
                .crypto_seconds
                .seal
                .observe(began.elapsed().as_secs_f64());
            Ok(sealed)
        }
    }
}

/// Answers a refusal in the words of the route's protocol, signed when the caller is known and the protocol signs. What cannot be
/// recorded where it must be is refused as that.
pub(super) fn seal_refusal(
    gateway: &Gateway,
    handlers: &Handlers,
    refusal: &Refusal,
    trail: &mut Trail,
) -> Sealed {
    if evidence::is_loss(refusal.code()) {
        return seal_unrecorded(gateway, handlers, refusal, trail);
    }
    let note =
        |trail: &Trail, status, body: &[u8]| evidence::note(gateway, trail, status, Some(body));
    match refused(gateway, handlers, refusal, trail, &note) {
        Ok(sealed) => sealed,
        Err(loss) => seal_unrecorded(gateway, handlers, &loss, trail),
    }
}

/// Answers that the exchange could not be recorded: the one thing that leaves without a record where one is required.
pub(super) fn seal_unrecorded(
    gateway: &Gateway,
    handlers: &Handlers,
    loss: &Refusal,
    trail: &mut Trail,
) -> Sealed {
    let note = |_: &Trail, _, _: &[u8]| Ok(Noted::nothing());
    let mut sealed = refused(gateway, handlers, loss, trail, &note).unwrap_or_else(|_| {
        let answer = plain_refusal(loss, trail);
        unsigned(answer, Noted::nothing(), trail)
    });
    let after = HeaderValue::from_static("1");
    let headers = sealed.response.headers_mut();
    headers.insert(header::RETRY_AFTER, after);
    sealed
}

/// How the record of a refusal is made.
pub(super) type Note<'n> = &'n dyn Fn(&Trail, StatusCode, &[u8]) -> Result<Noted, Refusal>;

fn refused(
    gateway: &Gateway,
    handlers: &Handlers,
    refusal: &Refusal,
    trail: &mut Trail,
    note: Note<'_>,
) -> Result<Sealed, Refusal> {
    trail.refused = Some((refusal.code(), refusal.cause().to_owned()));
    let answer = match trail.route() {
        Some(route) => handlers.of(route.handler()).refusal(refusal, trail),
        None => plain_refusal(refusal, trail),
    };
    let jose = trail.caller.is_some()
        && (trail.route()).is_some_and(|route| route.from() == Envelope::Jose);
    // A stranger gets no signature: it costs a private-key operation.
    let signs = answer.signed && trail.caller.is_some() && can_sign(gateway, trail);
    let mut sealed = if jose {
        match jose::seal_refusal(gateway, &answer, trail, note) {
            Ok((response, noted)) => sent_whole(response, noted, trail),
            Err(why) if evidence::is_loss(why.code()) => return Err(why),
            Err(why) => {
                tracing::error!(%why, "a refusal leaves unsealed");
                let noted = note(trail, answer.status, &answer.body)?;
                unsigned(answer, noted, trail)
            }
        }
    } else if signs {
        let noted = note(trail, answer.status, &answer.body)?;
        match signed_json(gateway, answer.status, answer.body.clone(), noted, trail) {
            Ok(sealed) => sealed,
            Err(why) => {
                tracing::error!(%why, "a refusal leaves unsigned");
                let noted = note(trail, answer.status, &answer.body)?;
                unsigned(answer, noted, trail)
            }
        }
    } else {
        let noted = note(trail, answer.status, &answer.body)?;
        unsigned(answer, noted, trail)
    };
    let code = HeaderValue::from_static(outward(refusal.code()).as_str());
    let headers = sealed.response.headers_mut();
    headers.insert(CODE, code);
    if let Some(seconds) = refusal.retry_after_s() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if trail.body_unread() && trail.http == "1.1" {
        // The rest of the body would be taken for the next request.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(sealed)
}

/// A gateway whose routes sign nothing needs no signature certificate.
fn can_sign(gateway: &Gateway, trail: &Trail) -> bool {
    trail
        .snapshot()
        .own()
        .signer(gateway.clock().now())
        .is_some()
}

/// The answer where no protocol is known: the code, what to change, the correlation id.
pub fn plain_refusal(refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
    let code = outward(refusal.code());
    let body = serde_json::json!({
        "code": code.as_str(),
        "side": code.side().as_str(),
        "message": code.remedy(),
        "correlationId": trail.correlation_id(),
    });
    RefusalAnswer {
        status: StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        content_type: "application/json",
        body: Bytes::from(body.to_string()),
        signed: true,
    }
}

/// What a stranger may know: the same for every cause (field guide rule 11). The operator's log has the exact code.
const fn outward(code: Code) -> Code {
    match code {
        Code::CertificateRole | Code::CertificateUnusable => Code::CertificateUnbound,
        other => other,
    }
}

fn signed_json(
    gateway: &Gateway,
    status: StatusCode,
    body: Bytes,
    noted: Noted,
    trail: &Trail,
) -> Result<Sealed, Refusal> {
    let snapshot = trail.snapshot();
    let signer = snapshot
        .own()
        .signer(gateway.clock().now())
        .ok_or_else(|| {
            Refusal::new(
                Code::NoSigner,
                format!(
                    "no usable certificate of ours in role {:?}",
                    Role::Signature
                ),
            )
        })?;
    let signature = signer.sign_with_leaf(&body, noted.leaf())?;
    let signature = HeaderValue::try_from(signature)
        .map_err(|_| Refusal::new(Code::Fault, "the signature is no header value"))?;
    let bytes_out = u64::try_from(body.len()).unwrap_or(u64::MAX);
    let mut response = Box::new(Response::new(AnswerBody::whole(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(RESPONSE_SIGNATURE, signature);
    Ok(finish(response, bytes_out, noted, trail))
}

/// An answer with a whole body.
fn sent_whole(response: Response<Bytes>, noted: Noted, trail: &Trail) -> Sealed {
    let bytes_out = u64::try_from(response.body().len()).unwrap_or(u64::MAX);
    let response = Box::new(response.map(AnswerBody::whole));
    finish(response, bytes_out, noted, trail)
}

fn unsigned(answer: RefusalAnswer, noted: Noted, trail: &Trail) -> Sealed {
    let bytes_out = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
    let mut response = Box::new(Response::new(AnswerBody::whole(answer.body)));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(answer.content_type),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    finish(response, bytes_out, noted, trail)
}

fn finish(
    mut response: Box<Response<AnswerBody>>,
    bytes_out: u64,
    noted: Noted,
    trail: &Trail,
) -> Sealed {
    if let Ok(id) = HeaderValue::from_str(trail.correlation_id()) {
        response.headers_mut().insert(CORRELATION_ID, id);
    }
    if let Some(counted) = &trail.counted {
        quota::headers(counted, response.headers_mut());
    }
    let relayed = trail.refused.is_none()
        && trail
            .route()
            .is_some_and(|route| route.handler() == HandlerKind::Relay);
    browser::headers(response.headers_mut(), !relayed, trail);
    Sealed {
        response,
        bytes_out,
        noted,
    }
}
