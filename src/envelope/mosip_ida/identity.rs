//! The identity of an eKYC answer: `identity`, `sessionKey` and `thumbprint` inside `response`.
//!
//! Plain is an object in `identity`; sealed are three strings. What is encrypted is the exact text of the object. Where an
//! answer holds no identity (an error, or a no) it passes unchanged.

use bytes::Bytes;
use zeroize::Zeroizing;

use super::{
    AnswerText, Recipient,
    answer::form,
    cipher::{ContentKey, Failed},
};
use crate::{
    envelope::{
        forms,
        json::{self, RawMembers, Wiped},
    },
    keys::DecryptionKey,
    refusal::{Code, Refusal},
    trust::Fingerprint,
};

/// Seals the plain identity of an answer to a partner.
///
/// # Errors
/// `UP-006` when `identity` is there but is not an object; `ENC-004` when the recipient's key cannot wrap.
pub fn seal_identity(answer: &AnswerText, recipient: &Recipient<'_>) -> Result<Bytes, Refusal> {
    let Some((outer, response)) = with_identity(answer)? else {
        return Ok(answer.0.clone());
    };
    let plain = text(&response, "identity")
        .filter(|text| text.starts_with('{'))
        .ok_or_else(|| form("`identity` is not a plain object"))?;
    put(&outer, &response, plain.as_bytes(), recipient)
}

/// Opens the sealed identity of an answer with the one of our keys that `thumbprint` names.
///
/// # Errors
/// `UP-006` when the members are not of their form or the plain text is not a strict JSON object; `UP-007` when no key of
/// ours is named or it does not decrypt.
pub fn open_identity(
    answer: &AnswerText,
    keys: &[(Fingerprint, &DecryptionKey)],
) -> Result<AnswerText, Refusal> {
    let Some((outer, response)) = with_identity(answer)? else {
        return Ok(answer.clone());
    };
    let plain = decrypt(&response, keys)?;
    json::read(&plain, plain.len())
        .map(Wiped)
        .map_err(|e| form(format!("the identity: {e}")))?;
    let response = json::write_object(response.iter().filter_map(
        |(name, raw)| match name.as_ref() {
            "identity" => Some((name.as_ref(), plain.as_slice())),
            "sessionKey" | "thumbprint" => None,
            _ => Some((name.as_ref(), raw.get().as_bytes())),
        },
    ));
    let opened = with_response(&outer, &Zeroizing::new(response));
    Ok(AnswerText(opened))
}

/// Takes out of a plain identity what may not leave; every other member keeps its exact text. Says how many went.
///
/// # Errors
/// `UP-006` when `identity` is there but is not an object.
pub fn narrow_identity(
    answer: &AnswerText,
    keeps: impl Fn(&str) -> bool,
) -> Result<(AnswerText, usize), Refusal> {
    let Some((outer, response)) = with_identity(answer)? else {
        return Ok((answer.clone(), 0));
    };
    let identity = text(&response, "identity")
        .and_then(|text| json::members(text.as_bytes()).ok())
        .ok_or_else(|| form("`identity` is not a plain object"))?;
    let gone = identity.iter().filter(|(name, _)| !keeps(name)).count();
    if gone == 0 {
        return Ok((answer.clone(), 0));
    }
    let kept = identity.iter().filter(|(name, _)| keeps(name));
    let kept = kept.map(|(name, raw)| (name.as_ref(), raw.get().as_bytes()));
    let kept = Zeroizing::new(json::write_object(kept));
    let response =
        Zeroizing::new(json::write_object(response.iter().map(
            |(name, raw)| match name.as_ref() {
                "identity" => (name.as_ref(), kept.as_slice()),
                _ => (name.as_ref(), raw.get().as_bytes()),
            },
        )));
    Ok((AnswerText(with_response(&outer, &response)), gone))
}

/// The members of the answer and of its `response`, when there is an identity.
fn with_identity(answer: &AnswerText) -> Result<Option<(RawMembers<'_>, RawMembers<'_>)>, Refusal> {
    let outer = json::members(&answer.0).map_err(|e| form(e.to_string()))?;
    let Some(response) =
        text(&outer, "response").and_then(|text| json::members(text.as_bytes()).ok())
    else {
        return Ok(None);
    };
    let there = text(&response, "identity").is_some();
    Ok(there.then_some((outer, response)))
}

fn decrypt(
    response: &RawMembers<'_>,
    keys: &[(Fingerprint, &DecryptionKey)],
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let string = |name| {
        response
            .iter()
            .find(|(member, _)| member == name)
            .and_then(|(_, raw)| json::unquoted(raw))
            .ok_or_else(|| form(format!("`{name}` is missing or not a string")))
    };
    let bytes = |name| {
        forms::base64url(&string(name)?)
            .ok_or_else(|| form(format!("`{name}` is not canonical unpadded base64url")))
    };
    let (identity, wrapped) = (bytes("identity")?, bytes("sessionKey")?);
    let named = string("thumbprint")?;
    let thumbprint = Some(&named)
        .filter(|text| text.len() == 64 && !text.bytes().any(|b| b.is_ascii_lowercase()))
        .and_then(|text| forms::unhex(text))
        .ok_or_else(|| form("`thumbprint` is not upper-case hex"))?;
    let (_, key) = keys
        .iter()
        .find(|(name, _)| name.as_bytes().as_slice() == thumbprint)
        .ok_or_else(|| undecryptable("no key of ours has that thumbprint"))?;
    ContentKey::unwrap(key, &wrapped)
        .and_then(|key| key.open(Zeroizing::new(identity)))
        .map_err(|Failed| undecryptable("decryption failed"))
}

fn put(
    outer: &RawMembers<'_>,
    response: &RawMembers<'_>,
    plain: &[u8],
    recipient: &Recipient<'_>,
) -> Result<Bytes, Refusal> {
    let sealed = || -> Result<(Vec<u8>, Vec<u8>), Failed> {
        let key = ContentKey::random()?;
        Ok((key.seal(plain)?, key.wrap(recipient.wrapping)?))
    };
    let (identity, wrapped) = sealed()
        .map_err(|Failed| Refusal::new(Code::NoRecipient, "the recipient's key cannot wrap"))?;
    let new = [
        ("identity", forms::to_base64url(&identity)),
        ("sessionKey", forms::to_base64url(&wrapped)),
        (
            "thumbprint",
            forms::upper_hex(recipient.fingerprint.as_bytes()),
        ),
    ]
    .map(|(name, text)| (name, format!("\"{text}\"")));
    // In their old places where they had one, else at the end.
    let replaced = response.iter().map(|(name, raw)| {
        let text = new.iter().find(|(member, _)| member == name);
        (
            name.as_ref(),
            text.map_or_else(|| raw.get(), |(_, text)| text).as_bytes(),
        )
    });
    let added = new
        .iter()
        .filter(|(member, _)| !response.iter().any(|(name, _)| name == member))
        .map(|(member, text)| (*member, text.as_bytes()));
    Ok(with_response(
        outer,
        &json::write_object(replaced.chain(added)),
    ))
}

fn with_response(outer: &RawMembers<'_>, response: &[u8]) -> Bytes {
    json::write_object(outer.iter().map(|(name, raw)| match name.as_ref() {
        "response" => (name.as_ref(), response),
        _ => (name.as_ref(), raw.get().as_bytes()),
    }))
    .into()
}

/// The text of a member that is there and not null.
fn text<'a>(members: &RawMembers<'a>, name: &str) -> Option<&'a str> {
    members
        .iter()
        .find(|(member, _)| member == name)
        .map(|(_, raw)| raw.get())
        .filter(|text| *text != "null")
}

fn undecryptable(cause: &str) -> Refusal {
    Refusal::new(Code::UpstreamUndecryptable, cause)
}

#[cfg(test)]
mod tests;
