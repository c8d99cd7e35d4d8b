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
    text::Place,
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
    let Some(place) = answer.place()? else {
        return Ok(answer.bytes().clone());
    };
    let plain = plain(answer, place)?;
    let sealed = || -> Result<(Vec<u8>, Vec<u8>), Failed> {
        let key = ContentKey::random()?;
        Ok((key.seal(plain)?, key.wrap(recipient.wrapping)?))
    };
    let (identity, wrapped) = sealed()
        .map_err(|Failed| Refusal::new(Code::NoRecipient, "the recipient's key cannot wrap"))?;
    let identity = quoted("", &forms::to_base64url(&identity));
    // In their old places where they had one, else at the end.
    let session_key = forms::to_base64url(&wrapped);
    let (session_key_at, session_key) = match &place.session_key {
        Some(old) => (old.clone(), quoted("", &session_key)),
        None => (place.end(), quoted(r#","sessionKey":"#, &session_key)),
    };
    let thumbprint = forms::upper_hex(recipient.fingerprint.as_bytes());
    let (thumbprint_at, thumbprint) = match &place.thumbprint {
        Some(old) => (old.clone(), quoted("", &thumbprint)),
        None => (place.end(), quoted(r#","thumbprint":"#, &thumbprint)),
    };
    let sealed = answer.with([
        (place.identity.clone(), identity.as_bytes()),
        (session_key_at, session_key.as_bytes()),
        (thumbprint_at, thumbprint.as_bytes()),
    ]);
    Ok(sealed.into())
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
    let Some(place) = answer.place()? else {
        return Ok(answer.clone());
    };
    let response = members(answer.at(&place.response))?;
    let plain = decrypt(&response, keys)?;
    json::read(&plain, plain.len())
        .map(Wiped)
        .map_err(|e| form(format!("the identity: {e}")))?;
    let response = Zeroizing::new(json::write_object(response.iter().filter_map(
        |(name, raw)| match name.as_ref() {
            "identity" => Some((name.as_ref(), plain.as_slice())),
            "sessionKey" | "thumbprint" => None,
            _ => Some((name.as_ref(), raw.get().as_bytes())),
        },
    )));
    let opened = answer.with([(place.response.clone(), response.as_slice())]);
    Ok(AnswerText::read(opened.into()))
}

/// Takes out of a plain identity what may not leave; every other member keeps its exact text. Says how many went.
///
/// # Errors
/// `UP-006` when `identity` is there but is not an object.
pub fn narrow_identity(
    answer: &AnswerText,
    keeps: impl Fn(&str) -> bool,
) -> Result<(AnswerText, usize), Refusal> {
    let Some(place) = answer.place()? else {
        return Ok((answer.clone(), 0));
    };
    let identity = members(plain(answer, place)?)?;
    let gone = identity.iter().filter(|(name, _)| !keeps(name)).count();
    if gone == 0 {
        return Ok((answer.clone(), 0));
    }
    let kept = identity.iter().filter(|(name, _)| keeps(name));
    let kept = kept.map(|(name, raw)| (name.as_ref(), raw.get().as_bytes()));
    let kept = Zeroizing::new(json::write_object(kept));
    let narrowed = answer.with([(place.identity.clone(), kept.as_slice())]);
    Ok((AnswerText::read(narrowed.into()), gone))
}

/// The text of a plain identity.
fn plain<'a>(answer: &'a AnswerText, place: &Place) -> Result<&'a [u8], Refusal> {
    let text = answer.at(&place.identity);
    (text.starts_with(b"{").then_some(text)).ok_or_else(|| form("`identity` is not a plain object"))
}

fn members(object: &[u8]) -> Result<RawMembers<'_>, Refusal> {
    json::members(object).map_err(|e| form(e.to_string()))
}

/// A JSON string of characters that need no escapes, behind what comes before it.
fn quoted(before: &str, text: &str) -> String {
    let quotes = 2;
    let length = before.len().saturating_add(text.len());
    let mut out = String::with_capacity(length.saturating_add(quotes));
    out.push_str(before);
    out.push('"');
    out.push_str(text);
    out.push('"');
    out
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

fn undecryptable(cause: &str) -> Refusal {
    Refusal::new(Code::UpstreamUndecryptable, cause)
}

#[cfg(test)]
mod tests;
