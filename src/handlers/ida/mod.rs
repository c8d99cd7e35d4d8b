//! Handler `ida`: MOSIP's ID authentication, on both faces.
//!
//! What it sends upstream is named by the route: the exact bytes received, the plain content for an internal handler, or
//! the content sealed anew with our own three certificates. What comes back is believed only when its signature is that
//! of the upstream's party, it belongs to this transaction, and an identity block in it is sealed to who asked.

mod errors;

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::relay::{correlation_header, count, final_status, identity_headers};
use crate::{
    clock::Moment,
    config::{Envelope, FaceKind, Role},
    envelope::{
        DetachedJws, Forms,
        mosip_ida::{self, AnswerText},
    },
    evidence::Receipt,
    exchange::{
        Content, Handler, Handling, IdaBody, IdaMessage, Permitted, RefusalAnswer, Reply, Snapshot,
        Trail, logins, plain_refusal,
    },
    observe::Metrics,
    refusal::{Code, Refusal},
    upstream::{Answer, Outgoing, Upstream},
};

const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const RESPONSE_SIGNATURE: &str = "response-signature";
/// IDA wants the header to be there and looks at nothing in it (IDA reference 1.2).
const AUTHORIZATION_WORD: &str = "Authorization";

/// MOSIP's ID authentication.
#[derive(Debug)]
pub struct Ida {
    metrics: Metrics,
}

impl Ida {
    /// A handler that counts in `metrics`.
    pub const fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    async fn serve(&self, permitted: Permitted, trail: &mut Trail) -> Result<Reply, Refusal> {
        let (content, handling) = permitted.begin(trail);
        let Content::Ida(message) = content else {
            return Err(Refusal::new(
                Code::Fault,
                "an ida route without an envelope",
            ));
        };
        let snapshot = Arc::clone(handling.snapshot());
        let upstream = snapshot.upstream_of(handling.route())?;
        let (outgoing, body) = self.outgoing(&snapshot, &handling, &message, trail)?;
        let began = Instant::now();
        let answer = logins::call(&snapshot, upstream, outgoing, body, &self.metrics).await;
        let took = began.elapsed();
        trail.called_upstream(took, answer.as_ref().ok().map(|a| a.status.as_u16()));
        count(&self.metrics, upstream, took, answer.as_ref().err());
        let answer = answer?;
        let (status, code) = (answer.status, stated_code(&answer.headers));
        let (body, receipt) =
            self.judge(&snapshot, upstream, &handling, &message, answer, trail)?;
        trail.received(receipt);
        Ok(handling.answer_ida(status, body, code))
    }

    /// The request to the upstream, sealed as the route says.
    fn outgoing(
        &self,
        snapshot: &Snapshot,
        handling: &Handling,
        message: &IdaMessage,
        trail: &Trail,
    ) -> Result<(Outgoing, Bytes), Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_static(AUTHORIZATION_WORD),
        );
        let body = match handling.route().to() {
            Envelope::AsReceived => {
                headers.insert(SIGNATURE, message.signature().clone());
                message.request().body().clone()
            }
            Envelope::MosipIda => {
                let body = self.seal_anew(snapshot, handling, message, trail)?;
                let signer = snapshot.own().signer(trail.at()).ok_or_else(|| {
                    Refusal::new(Code::NoSigner, "no usable signature certificate of ours")
                })?;
                let began = Instant::now();
                let signature = signer.sign(&body)?;
                self.metrics
                    .crypto_seconds
                    .sign_request
                    .observe(began.elapsed().as_secs_f64());
                let value = HeaderValue::try_from(signature)
                    .map_err(|_| Refusal::new(Code::Fault, "the signature is no header value"))?;
                headers.insert(SIGNATURE, value);
                body
            }
            Envelope::Opened => {
                headers.remove(header::AUTHORIZATION);
                match message.opened() {
                    Some(opened) => mosip_ida::plain_form(message.request(), opened)?,
                    None => message.request().body().clone(),
                }
            }
            // The route table takes no such ida route.
            Envelope::Jose | Envelope::InsecurePlain => {
                return Err(Refusal::new(Code::Fault, "an ida route to nowhere"));
            }
        };
        if handling.route().to() == Envelope::Opened {
            // Last, so that nothing the caller named in `Connection` can take it away again.
            identity_headers(
                &mut headers,
                handling.caller().partner().id().as_str(),
                trail,
            );
        }
        correlation_header(&mut headers, trail);
        let outgoing = Outgoing {
            method: handling.method().clone(),
            path_and_query: handling.target().expose().to_owned(),
            headers,
        };
        Ok((outgoing, body))
    }

    fn seal_anew(
        &self,
        snapshot: &Snapshot,
        handling: &Handling,
        message: &IdaMessage,
        trail: &Trail,
    ) -> Result<Bytes, Refusal> {
        let Some(opened) = message.opened() else {
            // Operations without an encrypted block are signed only.
            return Ok(message.request().body().clone());
        };
        let peer = snapshot
            .peer_of(handling.route().upstream().unwrap_or_default())
            .ok_or_else(|| Refusal::new(Code::Fault, "the upstream has no party"))?;
        let recipient = snapshot.recipient(peer, trail.at()).ok_or_else(|| {
            Refusal::new(
                Code::NoRecipient,
                "the upstream's party has no usable encryption certificate",
            )
        })?;
        mosip_ida::seal_request(message.request(), opened.plain(), &recipient)
    }

    /// Believes an answer, or refuses it.
    fn judge(
        &self,
        snapshot: &Snapshot,
        upstream: &Upstream,
        handling: &Handling,
        message: &IdaMessage,
        answer: Answer,
        trail: &Trail,
    ) -> Result<(IdaBody, Option<Receipt>), Refusal> {
        let plain_upstream = handling.route().to() == Envelope::Opened;
        let status = final_status(answer.status)?;
        let mut receipt = None;
        if plain_upstream {
            if status != StatusCode::OK {
                return Err(unexpected(upstream, status));
            }
        } else {
            // What carries the party's signature is its answer, whatever the status; anything else is nobody's.
            let name = handling.route().upstream().unwrap_or_default();
            receipt = verify_answer(snapshot, name, &answer, trail.at()).map_err(|refusal| {
                if status == StatusCode::OK {
                    refusal
                } else {
                    unexpected(upstream, status)
                }
            })?;
        }
        let operation = message.request().operation();
        let parsed = mosip_ida::Answer::parse(
            operation,
            answer.body.clone(),
            message.request().transaction_id(),
        )?;
        if !parsed.has_identity() {
            return Ok((IdaBody::AsItIs(answer.body), receipt));
        }
        if plain_upstream {
            let plain = narrowed(upstream, handling, parsed.text())?;
            return Ok((IdaBody::PlainIdentity(plain), receipt));
        }
        if !parsed.identity_is_sealed() {
            return Err(Refusal::new(
                Code::UpstreamForm,
                "an identity that is not sealed, on a sealed route",
            ));
        }
        let began = Instant::now();
        let sealed_to = parsed
            .identity_thumbprint()
            .ok_or_else(|| Refusal::new(Code::UpstreamForm, "an identity without a thumbprint"))?;
        let callers = handling
            .caller()
            .partner()
            .certificates()
            .find(&sealed_to)
            .is_some();
        let own = snapshot.own().certificates().find(&sealed_to).is_some();
        // A service that sealed with our own keys (as-received) opens with them too.
        let passes = own
            && trail.face_kind() == FaceKind::Service
            && handling.route().to() == Envelope::AsReceived;
        if callers || passes {
            return Ok((IdaBody::AsItIs(answer.body), receipt));
        }
        // On a service face the answer is sealed to us: open it and seal it to the service.
        let keys = snapshot.own().decryption_keys(trail.at());
        if trail.face_kind() == FaceKind::Service && keys.iter().any(|(f, _)| *f == sealed_to) {
            let plain = mosip_ida::open_identity(parsed.text(), &keys)?;
            self.metrics
                .crypto_seconds
                .open_identity
                .observe(began.elapsed().as_secs_f64());
            let plain = narrowed(upstream, handling, &plain)?;
            return Ok((IdaBody::PlainIdentity(plain), receipt));
        }
        Err(Refusal::new(
            Code::UpstreamForm,
            "the identity is sealed to a certificate that is not the caller's",
        ))
    }
}

/// A plain identity without what the policy of the API key does not allow. One that is sealed to the partner cannot be
/// looked into: there MOSIP's own filter stands alone.
fn narrowed(
    upstream: &Upstream,
    handling: &Handling,
    answer: &AnswerText,
) -> Result<AnswerText, Refusal> {
    let Some(policy) = handling.grant() else {
        return Ok(answer.clone());
    };
    let (answer, gone) = mosip_ida::narrow_identity(answer, |member| policy.discloses(member))?;
    if gone > 0 {
        tracing::warn!(
            upstream = upstream.name(),
            policy = policy.id(),
            gone,
            "an identity had more attributes than its policy allows"
        );
    }
    Ok(answer)
}

fn unexpected(upstream: &Upstream, status: StatusCode) -> Refusal {
    let cause = format!(
        "{} answered HTTP {} unsigned",
        upstream.name(),
        status.as_u16()
    );
    Refusal::new(Code::UpstreamForm, cause)
}

/// The refusal that a gateway behind us states beside its answer; passed on only when it is one of ours.
fn stated_code(headers: &HeaderMap) -> Option<Code> {
    let text = headers.get("x-triseal-code")?.to_str().ok()?;
    Code::ALL.iter().copied().find(|code| code.as_str() == text)
}

/// The answer's signature, made by the signature certificate of the upstream's party over the exact bytes; the receipt in it, where its
/// gateway keeps evidence.
pub(super) fn verify_answer(
    snapshot: &Snapshot,
    upstream: &str,
    answer: &Answer,
    at: Moment,
) -> Result<Option<Receipt>, Refusal> {
    let wrong = |why: String| Refusal::new(Code::UpstreamSignature, why);
    let mut values = answer.headers.get_all(RESPONSE_SIGNATURE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(wrong(
            "not exactly one header response-signature".to_owned(),
        ));
    };
    let text = value
        .to_str()
        .map_err(|_| wrong("response-signature is not visible ASCII".to_owned()))?;
    let forms = Forms::of(&[]);
    let jws = DetachedJws::parse_answer(text, &forms).map_err(|why| wrong(why.to_string()))?;
    let peer = snapshot
        .peer_of(upstream)
        .ok_or_else(|| Refusal::new(Code::Fault, "the upstream has no party"))?;
    let fingerprint = jws.fingerprint();
    let binding = peer.find_in(Role::Signature, &fingerprint).ok_or_else(|| {
        wrong(
            "signed by a certificate that is not the upstream party's signature certificate"
                .to_owned(),
        )
    })?;
    snapshot
        .judge(binding, at)
        .map_err(|why| wrong(why.to_string()))?;
    let key = binding
        .verifying_key()
        .ok_or_else(|| Refusal::new(Code::Fault, "no verifying key for a signature binding"))?;
    jws.verify(key, &answer.body)
        .map_err(|why| wrong(why.to_string()))?;
    Ok(jws.receipt().map(|leaf| Receipt {
        leaf: *leaf,
        signature: value.clone(),
    }))
}

impl Handler for Ida {
    fn handle<'a>(
        &'a self,
        permitted: Permitted,
        trail: &'a mut Trail,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send + 'a>> {
        Box::pin(self.serve(permitted, trail))
    }

    fn refusal(&self, refusal: &Refusal, trail: &Trail) -> RefusalAnswer {
        errors::answer(refusal, trail).unwrap_or_else(|| plain_refusal(refusal, trail))
    }
}
