//! Building a request anew: sealed to another certificate, or plain for an internal handler.
//!
//! Only the encrypted members change. Every other member keeps its place and the exact text of its value.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    Opened, Recipient, Request,
    cipher::{ContentKey, Failed},
};
use crate::{
    envelope::{
        forms::{sha256, to_base64url, upper_hex},
        json,
    },
    refusal::{Code, Refusal},
};

const SEALED: [&str; 4] = ["request", "requestSessionKey", "requestHMAC", "thumbprint"];

/// Seals `plain` into a copy of the request: new content key, new nonces, the recipient's thumbprint, all unpadded base64url.
/// The old signature does not fit the result; sign it anew.
///
/// # Errors
/// `ENC-004` when the recipient's key cannot wrap.
pub fn seal_request(
    request: &Request,
    plain: &[u8],
    recipient: &Recipient<'_>,
) -> Result<Bytes, Refusal> {
    let sealed = seal(plain, recipient)
        .map_err(|Failed| Refusal::new(Code::NoRecipient, "the recipient's key cannot wrap"))?;
    let texts = sealed.map(|text| format!("\"{text}\"").into_bytes());
    let [content, session_key, hmac, thumbprint] = &texts;
    rewrite(request.body(), |name| match name {
        "request" => Change::Put(content),
        "requestSessionKey" => Change::Put(session_key),
        "requestHMAC" => Change::Put(hmac),
        "thumbprint" => Change::Put(thumbprint),
        _ => Change::Keep,
    })
}

/// A request of our own: `outer` with the encrypted members added.
///
/// # Errors
/// `ENC-004` when the recipient's key cannot wrap.
pub fn new_request(
    mut outer: Map<String, Value>,
    plain: &[u8],
    recipient: &Recipient<'_>,
) -> Result<Bytes, Refusal> {
    let sealed = seal(plain, recipient)
        .map_err(|Failed| Refusal::new(Code::NoRecipient, "the recipient's key cannot wrap"))?;
    for (name, text) in SEALED.into_iter().zip(sealed) {
        outer.insert(name.to_owned(), Value::String(text));
    }
    Ok(Value::Object(outer).to_string().into())
}

/// The request for an internal handler: `request` is the inner object as it was encrypted, the other encrypted members are
/// gone.
///
/// # Errors
/// `GW-002` when the request is not an object; parsing it has excluded that.
pub fn plain_form(request: &Request, opened: &Opened) -> Result<Bytes, Refusal> {
    rewrite(request.body(), |name| match name {
        "request" => Change::Put(opened.plain()),
        "requestSessionKey" | "requestHMAC" | "thumbprint" => Change::Drop,
        _ => Change::Keep,
    })
}

enum Change<'a> {
    Keep,
    Put(&'a [u8]),
    Drop,
}

/// `request`, `requestSessionKey`, `requestHMAC`, `thumbprint`.
fn seal(plain: &[u8], recipient: &Recipient<'_>) -> Result<[String; SEALED.len()], Failed> {
    let key = ContentKey::random()?;
    let digest = upper_hex(&sha256(plain));
    Ok([
        to_base64url(&key.seal(plain)?),
        to_base64url(&key.wrap(recipient.wrapping)?),
        to_base64url(&key.seal(digest.as_bytes())?),
        to_base64url(recipient.fingerprint.as_bytes()),
    ])
}

fn rewrite<'a>(body: &'a [u8], change: impl Fn(&str) -> Change<'a>) -> Result<Bytes, Refusal> {
    let members = json::members(body).map_err(|e| Refusal::new(Code::Fault, e.to_string()))?;
    let kept = members.iter().filter_map(|(name, raw)| match change(name) {
        Change::Keep => Some((name.as_ref(), raw.get().as_bytes())),
        Change::Put(text) => Some((name.as_ref(), text)),
        Change::Drop => None,
    });
    Ok(json::write_object(kept).into())
}

#[cfg(test)]
mod tests;
