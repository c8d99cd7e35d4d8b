//! The protected header of a detached JWS, and the memory of the one that a connection's messages have in common.

use std::sync::{Arc, Mutex, PoisonError};

use super::{VALUE_MAX, form, name};
use crate::{
    config::Algorithm,
    envelope::{
        forms::{self, Forms},
        json::{self, Object, Value},
    },
    refusal::{Code, Refusal},
    trust::Fingerprint,
};

/// Certificates in `x5c`; only the first is looked at.
pub(super) const X5C_MAX: usize = 6;

/// Bytes of a `kid`, which is not looked at.
pub(super) const KID_MAX: usize = 256;

/// Bytes of a header that is kept: one with a certificate has less than half of it.
const KEPT_MAX: usize = 4 << 10;

/// A protected header in a listed form, and what it says. Nothing of it is believed.
#[derive(Debug)]
pub(super) struct Protected {
    pub(super) text: String,
    pub(super) algorithm: Algorithm,
    pub(super) leaf: Vec<u8>,
    pub(super) fingerprint: Fingerprint,
    pub(super) receipt: Option<[u8; 32]>,
}

impl Protected {
    /// Reads it from base64url. An answer's may have a `leaf`.
    pub(super) fn read(text: &str, forms: &Forms, answer: bool) -> Result<Self, Refusal> {
        let header = forms::base64url(text)
            .ok_or_else(|| form("the protected header is not canonical unpadded base64url"))?;
        let header = json::read(&header, VALUE_MAX)
            .map_err(|e| form(format!("the protected header: {e}")))?;
        for (name, value) in header.iter() {
            match (name, value) {
                ("alg" | "x5c" | "x5t#S256", _) => {}
                ("leaf", _) if answer => {}
                ("kid", Value::String(kid)) if kid.len() <= KID_MAX => {}
                ("kid", _) => return Err(form("`kid` is not a short string")),
                // crit, b64, jku, jwk, x5u, typ and whatever else: none of the published clients sends it.
                _ => return Err(form("the protected header has a member that is not taken")),
            }
        }
        let algorithm = algorithm(&header)?;
        let leaf = leaf(&header, forms)?;
        let fingerprint = Fingerprint::of(&leaf);
        if let Some(named) = header.get("x5t#S256") {
            let named = named.as_str().and_then(forms::base64url);
            if named.as_deref() != Some(fingerprint.as_bytes().as_slice()) {
                return Err(form(
                    "`x5t#S256` is not the SHA-256 of the certificate in `x5c`",
                ));
            }
        }
        let receipt = (header.get("leaf"))
            .map(|leaf| {
                (leaf.as_str().and_then(forms::base64url))
                    .and_then(|bytes| bytes.try_into().ok())
                    .ok_or_else(|| form("`leaf` is not 32 bytes in base64url"))
            })
            .transpose()?;
        Ok(Self {
            text: text.to_owned(),
            algorithm,
            leaf,
            fingerprint,
            receipt,
        })
    }
}

/// The protected header of the last request of a connection whose signature was right. A client writes the same one each time,
/// and reading it (a certificate in base64 in JSON in base64) is most of the work that a signature takes besides the key.
///
/// It is what reading the same text in the same forms would give again, and nothing more: who may sign, and whether the signature is
/// right, is judged for each message.
#[derive(Debug, Default)]
pub struct KnownHeader(Mutex<Option<(Forms, Arc<Protected>)>>);

impl KnownHeader {
    /// Keeps the header of a request whose signature is right.
    pub fn keep(&self, jws: &super::DetachedJws, forms: &Forms) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = &jws.protected;
        let same = matches!(&*known, Some((of, held)) if of == forms && Arc::ptr_eq(held, new));
        if !same && new.text.len() <= KEPT_MAX && new.receipt.is_none() {
            *known = Some((*forms, Arc::clone(new)));
        }
    }

    pub(super) fn get(&self, text: &str, forms: &Forms) -> Option<Arc<Protected>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((of, held)) if of == forms && held.text == text => Some(Arc::clone(held)),
            _ => None,
        }
    }
}

fn algorithm(header: &Object<'_>) -> Result<Algorithm, Refusal> {
    let named = header
        .get("alg")
        .and_then(Value::as_str)
        .ok_or_else(|| form("`alg` is missing or not a string"))?;
    [
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ES256,
        Algorithm::EdDSA,
    ]
    .into_iter()
    .find(|algorithm| name(*algorithm) == named)
    .ok_or_else(|| {
        Refusal::new(
            Code::SignatureAlgorithm,
            "`alg` is none of RS256, PS256, ES256, EdDSA",
        )
        .naming("signature")
    })
}

fn leaf(header: &Object<'_>, forms: &Forms) -> Result<Vec<u8>, Refusal> {
    let chain = header
        .get("x5c")
        .and_then(Value::as_array)
        .ok_or_else(|| form("`x5c` is missing or not an array"))?;
    if chain.len() > X5C_MAX {
        return Err(form(format!("{} certificates in `x5c`", chain.len())));
    }
    if !chain.iter().all(Value::is_string) {
        return Err(form("`x5c` holds something other than strings"));
    }
    chain
        .first()
        .and_then(Value::as_str)
        .and_then(|text| forms.certificate(text))
        .ok_or_else(|| form("the first of `x5c` is in no form of the partner's contract"))
}
