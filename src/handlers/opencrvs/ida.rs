//! Asking IDA ourselves: sealed to the MISP's gateway with our own three certificates, and its answer believed only with its
//! signature.

use std::time::Instant;

use aws_lc_rs::rand;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::{
    config::OpenCrvsVerify,
    envelope::mosip_ida,
    exchange::{Gateway, Snapshot, Trail, registrations::Registrations},
    handlers::ida::verify_answer,
    ida::Operation,
    refusal::{Code, Refusal},
    upstream::Outgoing,
};

/// What to ask.
pub(super) struct Asked<'a> {
    /// The outer members, but those that sealing adds and the transaction.
    pub(super) outer: Value,
    /// The inner block.
    pub(super) plain: &'a [u8],
    /// The caller's transaction, where it names one.
    pub(super) transaction_id: Option<String>,
}

/// One authentication.
pub(super) async fn authenticate(
    gateway: &Gateway,
    snapshot: &Snapshot,
    registrations: &Registrations,
    settings: &OpenCrvsVerify,
    asked: Asked<'_>,
    trail: &mut Trail,
) -> Result<mosip_ida::Answer, Refusal> {
    let fault = |why: &str| Refusal::new(Code::Fault, why);
    let upstream = &registrations.settings().upstream;
    let service = snapshot
        .upstream(upstream)
        .ok_or_else(|| fault("no such upstream"))?;
    let (misp_lk, api_key) = (registrations.ida_keys()).ok_or_else(|| fault("no keys for IDA"))?;
    let now = gateway.clock().now();
    let transaction_id = match asked.transaction_id {
        Some(id) => id,
        None => ten_digits()?,
    };
    let Value::Object(mut outer) = asked.outer else {
        return Err(fault("the outer members are no object"));
    };
    outer.insert(
        "transactionID".to_owned(),
        Value::from(transaction_id.as_str()),
    );
    let peer = (snapshot.peer_of(upstream)).ok_or_else(|| fault("the upstream has no party"))?;
    let recipient = snapshot.recipient(peer, now).ok_or_else(|| {
        let cause = "the upstream's party has no usable encryption certificate";
        Refusal::new(Code::NoRecipient, cause)
    })?;
    let body = mosip_ida::new_request(outer, asked.plain, &recipient)?;
    let signer = (snapshot.own().signer(now))
        .ok_or_else(|| Refusal::new(Code::NoSigner, "no usable signature certificate of ours"))?;
    let mut headers = HeaderMap::new();
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| fault("no header value"));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_static("Authorization"),
    );
    headers.insert("signature", value(&signer.sign(&body)?)?);
    headers.insert("x-correlation-id", value(trail.correlation_id())?);
    let outgoing = Outgoing {
        method: Method::POST,
        path_and_query: format!(
            "{}/{misp_lk}/{}/{api_key}",
            settings.path.trim_end_matches('/'),
            snapshot.own().id()
        ),
        headers,
    };
    let began = Instant::now();
    let answer = service.call(outgoing, body).await;
    trail.called_upstream(
        began.elapsed(),
        answer.as_ref().ok().map(|a| a.status.as_u16()),
    );
    service.took(gateway.metrics(), began.elapsed());
    let answer = answer.inspect_err(|refusal| {
        (gateway.metrics().upstream_failures)
            .with_label_values(&[service.name(), refusal.code().as_str()])
            .inc();
    })?;
    let receipt = verify_answer(snapshot, upstream, &answer, trail.at()).map_err(|refusal| {
        if answer.status == StatusCode::OK {
            refusal
        } else {
            let cause = format!(
                "{upstream} answered HTTP {} unsigned",
                answer.status.as_u16()
            );
            Refusal::new(Code::UpstreamForm, cause)
        }
    })?;
    trail.received(receipt);
    mosip_ida::Answer::parse(Operation::Auth, answer.body, &transaction_id)
}

fn ten_digits() -> Result<String, Refusal> {
    let mut random = [0_u8; 8];
    rand::fill(&mut random)
        .map_err(|_| Refusal::new(Code::Fault, "the system has no randomness"))?;
    Ok(format!(
        "{:010}",
        u64::from_be_bytes(random) % 10_000_000_000
    ))
}
