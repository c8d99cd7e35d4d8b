//! The envelope `jose` around an exchange: whose signature it must be, what it must be bound to, whose key opens and seals.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::{Gateway, RefusalAnswer, Snapshot, Trail, evidence, open, replay, seal};
use crate::{
    clock::Moment,
    config::Role,
    envelope::{
        DetachedSigner,
        jose::{self, AnswerSignature, AnswerTo, MEDIA_TYPE, RequestSignature, SealedBody, signature_digest},
    },
    evidence::{Noted, Receipt},
    partners::Caller,
    refusal::{Code, Refusal},
    trust::PartyCertificates,
    upstream::{Answer, keep_end_to_end},
};

/// The header with the signature of a request.
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// The media type of content whose sender named none (RFC 9110 section 8.3).
const UNNAMED: &str = "application/octet-stream";

/// What a request's signature must have been made for.
#[derive(Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a str,
}

/// Opens a request: the plain content. Afterwards the headers are as if it had come plain.
pub(super) async fn open_request(
    gateway: &Gateway,
    snapshot: &Snapshot,
    caller: &Caller,
    aim: Aim<'_>,
    headers: &mut HeaderMap,
    body: Bytes,
    trail: &mut Trail,
) -> Result<Bytes, Refusal> {
    let value = open::one_signature(headers)?;
    let text = value
        .to_str()
        .map_err(|_| Refusal::new(Code::SignatureForm, "not visible ASCII"))?;
    let signature = RequestSignature::parse(text).map_err(jose::SignatureProblem::of_request)?;
    let now = gateway.clock().now();
    let key = open::signer(snapshot, caller, &signature.signer(), now)?;
    signature
        .verify(key, &body)
        .map_err(jose::SignatureProblem::of_request)?;
    trail.signed_by = Some(signature.signer());
    if !signature.is_for(aim.method.as_str(), aim.uri) {
        // The URI may hold keys: it is not for the log.
        let cause = "`htm` and `htu` are not the method and the URI of the request";
        return Err(Refusal::new(Code::SignatureTarget, cause).naming("signature"));
    }
    snapshot.window().check(signature.issued_at(), now)?;
    let party = caller.partner().id().as_str();
    let identity = signature.identity();
    replay::take_once(gateway, party, &identity, signature.issued_at(), now).await?;
    headers.remove(SIGNATURE);
    headers.remove(header::CONTENT_LENGTH);
    // What is sealed is not compressed: its length would tell of its content.
    headers.remove(header::ACCEPT_ENCODING);
    if body.is_empty() {
        headers.remove(header::CONTENT_TYPE);
        return Ok(body);
    }
    if !is_sealed(headers) {
        let cause = "a sealed body is application/jose, without a content encoding";
        return Err(Refusal::new(Code::MediaType, cause));
    }
    let sealed = SealedBody::parse(body).map_err(jose::BodyProblem::of_request)?;
    let key = snapshot
        .own()
        .content_key(&sealed.recipient(), now)
        .ok_or_else(|| {
            let cause = "`kid` is no usable encryption certificate of ours";
            Refusal::new(Code::RecipientUnknown, cause).naming("kid")
        })?;
    let plain = sealed.open(key).map_err(jose::BodyProblem::of_request)?;
    headers.insert(header::CONTENT_TYPE, media_type(&plain.media_type)?);
    Ok(plain.content)
}

/// Seals an answer to the caller and signs it for the caller's request.
pub(super) fn seal_answer(
    gateway: &Gateway,
    status: StatusCode,
    headers: HeaderMap,
    body: &Bytes,
    trail: &Trail,
) -> Result<(Response<Bytes>, Noted), Refusal> {
    let note = |trail: &Trail, status, body: &[u8]| evidence::note(gateway, trail, status, Some(body));
    seal_noted(gateway, status, headers, body, trail, &note)
}

fn seal_noted(
    gateway: &Gateway,
    status: StatusCode,
    mut headers: HeaderMap,
    body: &Bytes,
    trail: &Trail,
    note: seal::Note<'_>,
) -> Result<(Response<Bytes>, Noted), Refusal> {
    let caller = trail
        .caller
        .as_ref()
        .ok_or_else(|| Refusal::new(Code::Fault, "an answer to nobody"))?;
    let snapshot = trail.snapshot();
    let now = gateway.clock().now();
    // What answers a HEAD has no body on its way, whatever it would have been.
    let body = if trail.method == Method::HEAD {
        &Bytes::new()
    } else {
        body
    };
    let content_type = headers.remove(header::CONTENT_TYPE);
    headers.remove(header::CONTENT_LENGTH);
    if headers.contains_key(header::CONTENT_ENCODING) {
        let cause = "the service compressed an answer that is to be sealed, unasked";
        return Err(Refusal::new(Code::UpstreamForm, cause));
    }
    let sealed = sealed(
        snapshot,
        caller.partner().certificates(),
        body,
        content_type.as_ref(),
        now,
    )?;
    let request = signature_digest(trail.signature.as_ref().map(HeaderValue::as_bytes));
    let signer = signer(snapshot, now)?;
    let noted = note(trail, status, &sealed)?;
    let bound = AnswerTo {
        status: status.as_u16(),
        request: &request,
        leaf: noted.leaf(),
    };
    let value = jose::sign_answer(signer, now, &bound, &sealed)?;
    keep_end_to_end(&mut headers);
    headers.remove(seal::CODE);
    if !sealed.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(seal::RESPONSE_SIGNATURE, header_value(&value)?);
    let mut response = Response::new(sealed);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok((response, noted))
}

/// Seals and signs a refusal like any answer.
pub(super) fn seal_refusal(
    gateway: &Gateway,
    answer: &RefusalAnswer,
    trail: &Trail,
    note: seal::Note<'_>,
) -> Result<(Response<Bytes>, Noted), Refusal> {
    let mut headers = HeaderMap::new();
    let content_type = HeaderValue::from_static(answer.content_type);
    headers.insert(header::CONTENT_TYPE, content_type);
    seal_noted(gateway, answer.status, headers, &answer.body, trail, note)
}

/// A body sealed to a party's newest encryption certificate. An empty one stays empty.
pub(super) fn sealed(
    snapshot: &Snapshot,
    party: &PartyCertificates,
    body: &Bytes,
    content_type: Option<&HeaderValue>,
    now: Moment,
) -> Result<Bytes, Refusal> {
    if body.is_empty() {
        return Ok(Bytes::new());
    }
    let media_type = match content_type {
        None => UNNAMED,
        Some(value) => value
            .to_str()
            .ok()
            .filter(|text| jose::is_media_type(text))
            .ok_or_else(|| Refusal::new(Code::MediaType, "the content type is no media type"))?,
    };
    let (recipient, key) = snapshot.sealed_to(party, now)?;
    jose::seal(body, media_type, recipient, key)
        .map_err(|e| Refusal::new(Code::NoRecipient, e.to_string()))
}

/// Our newest usable signer.
pub(super) fn signer(snapshot: &Snapshot, now: Moment) -> Result<&DetachedSigner, Refusal> {
    snapshot.own().signer(now).ok_or_else(|| {
        let cause = "no usable certificate of ours in role signature";
        Refusal::new(Code::NoSigner, cause)
    })
}

/// Opens an upstream's answer to the request whose signature value has this digest. Afterwards its headers are as if it had
/// come plain.
pub(super) fn open_answer(
    snapshot: &Snapshot,
    party: &PartyCertificates,
    request: &[u8; 32],
    mut answer: Answer,
    now: Moment,
) -> Result<(Answer, Option<Receipt>), Refusal> {
    let signature = answer_signature(&answer)?;
    let unsigned = |cause: String| Refusal::new(Code::UpstreamSignature, cause);
    let binding = party
        .find_in(Role::Signature, &signature.signer())
        .ok_or_else(|| unsigned("the signer is no signature certificate of the party".into()))?;
    snapshot
        .judge(binding, now)
        .map_err(|why| unsigned(format!("the signer's certificate: {why}")))?;
    let key = binding
        .verifying_key()
        .ok_or_else(|| Refusal::new(Code::Fault, "no verifying key for a signature binding"))?;
    signature
        .verify(key, &answer.body)
        .map_err(jose::SignatureProblem::of_answer)?;
    let other = |cause: &str| Refusal::new(Code::UpstreamForm, cause);
    if !signature.answers(request) {
        return Err(other("the answer was signed for another request"));
    }
    if signature.status() != answer.status.as_u16() {
        return Err(other("the answer was signed with another status"));
    }
    snapshot
        .window()
        .check(signature.issued_at(), now)
        .map_err(|why| other(why.cause()))?;
    let value = answer.headers.remove(seal::RESPONSE_SIGNATURE);
    let receipt = (signature.leaf().copied().zip(value))
        .map(|(leaf, signature)| Receipt { leaf, signature });
    answer.headers.remove(header::CONTENT_LENGTH);
    if answer.body.is_empty() {
        answer.headers.remove(header::CONTENT_TYPE);
        return Ok((answer, receipt));
    }
    if !is_sealed(&answer.headers) {
        return Err(other("the answer's body is not application/jose"));
    }
    let sealed = SealedBody::parse(answer.body).map_err(jose::BodyProblem::of_answer)?;
    let key = snapshot
        .own()
        .content_key(&sealed.recipient(), now)
        .ok_or_else(|| {
            let cause = "the answer's `kid` is no usable encryption certificate of ours";
            Refusal::new(Code::UpstreamUndecryptable, cause)
        })?;
    let plain = sealed.open(key).map_err(jose::BodyProblem::of_answer)?;
    let media_type = media_type(&plain.media_type)?;
    answer.headers.insert(header::CONTENT_TYPE, media_type);
    answer.body = plain.content;
    Ok((answer, receipt))
}

fn answer_signature(answer: &Answer) -> Result<AnswerSignature, Refusal> {
    let mut values = answer.headers.get_all(seal::RESPONSE_SIGNATURE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        // Another gateway says in a header why it refuses a stranger, and strangers get no signature.
        let code = (answer.headers.get(seal::CODE))
            .and_then(|value| Code::ALL.iter().find(|code| value == code.as_str()))
            .map(|code| format!(", code {code}"))
            .unwrap_or_default();
        let status = answer.status.as_u16();
        let cause = format!("not exactly one response-signature; status {status}{code}");
        return Err(Refusal::new(Code::UpstreamSignature, cause));
    };
    let text = value
        .to_str()
        .map_err(|_| Refusal::new(Code::UpstreamSignature, "not visible ASCII"))?;
    AnswerSignature::parse(text).map_err(jose::SignatureProblem::of_answer)
}

/// Whether the headers say that the body is sealed, and nothing else about it.
fn is_sealed(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (first, second) = (types.next(), types.next());
    second.is_none()
        && !headers.contains_key(header::CONTENT_ENCODING)
        && first.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(MEDIA_TYPE.as_bytes()))
}

fn media_type(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text)
        .map_err(|_| Refusal::new(Code::Fault, "a media type that is no header value"))
}

pub(super) fn header_value(text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_str(text)
        .map_err(|_| Refusal::new(Code::Fault, "the signature is no header value"))
}
