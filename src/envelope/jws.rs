//! The header `signature`: a detached compact JWS (RFC 7515 appendix F) over the body octets.
//!
//! A strict splitter in front, then one verification with a key that the caller took from a binding. The certificate in
//! `x5c` only selects among the sender's bindings by its fingerprint; it is never believed. `x5t#S256`, when present, must
//! name that same certificate (keymanager 1.3.0 does not hold the two against each other).

use super::{
    forms::{self, Forms},
    json::{self, Object, Value},
};
use crate::{
    config::Algorithm,
    keys::VerifyingKey,
    refusal::{Code, Refusal},
    trust::Fingerprint,
};

/// Bytes of a signature header.
const VALUE_MAX: usize = 14 << 10;

/// Bytes of a signature: RSA-8192.
const SIGNATURE_MAX: usize = 1024;

/// Certificates in `x5c`; only the first is looked at.
const X5C_MAX: usize = 6;

/// Bytes of a `kid`, which is not looked at.
const KID_MAX: usize = 256;

/// A detached JWS in a form the sender's contract lists. Nothing is verified yet.
#[derive(Clone, Debug)]
pub struct DetachedJws {
    protected: String,
    algorithm: Algorithm,
    leaf: Vec<u8>,
    fingerprint: Fingerprint,
    signature: Vec<u8>,
    /// The leaf of the sender's evidence log that an answer names.
    receipt: Option<[u8; 32]>,
}

impl DetachedJws {
    /// Reads the value of a signature header.
    ///
    /// # Errors
    /// `SIG-002` when it is not exactly `header..signature` in canonical base64url with a protected header of `alg`, `x5c` and
    /// at most `kid` and `x5t#S256`, once each; `SIG-003` when `alg` is none of ours.
    pub fn parse(value: &str, forms: &Forms) -> Result<Self, Refusal> {
        Self::read(value, forms, false)
    }

    /// Reads the signature of an answer, which may name a leaf of its gateway's evidence log (docs/evidence.md).
    ///
    /// # Errors
    /// As [`DetachedJws::parse`]; `SIG-002` when `leaf` is not 32 bytes in base64url.
    pub fn parse_answer(value: &str, forms: &Forms) -> Result<Self, Refusal> {
        Self::read(value, forms, true)
    }

    fn read(value: &str, forms: &Forms, answer: bool) -> Result<Self, Refusal> {
        if value.len() > VALUE_MAX {
            return Err(form(format!("{} bytes", value.len())));
        }
        let mut parts = value.split('.');
        let (Some(protected), Some(""), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(form("not header..signature"));
        };
        let header = forms::base64url(protected)
            .ok_or_else(|| form("the protected header is not canonical unpadded base64url"))?;
        let signature = forms::base64url(signature)
            .filter(|bytes| !bytes.is_empty() && bytes.len() <= SIGNATURE_MAX)
            .ok_or_else(|| form("the signature is not canonical unpadded base64url"))?;
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
            receipt,
            protected: protected.to_owned(),
            algorithm,
            leaf,
            fingerprint,
            signature,
        })
    }

    /// The algorithm that the header names. Only [`DetachedJws::verify`] says whether it is the agreed one.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The DER of the first certificate in `x5c`: the claimed signer, not believed.
    pub fn leaf(&self) -> &[u8] {
        &self.leaf
    }

    /// SHA-256 of [`DetachedJws::leaf`]: selects the binding.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The leaf of the sender's evidence log that it names.
    pub const fn receipt(&self) -> Option<&[u8; 32]> {
        self.receipt.as_ref()
    }

    /// The signature's bytes.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The protected header as it travelled, for evidence.
    pub fn protected(&self) -> &str {
        &self.protected
    }

    /// Verifies over the body octets as received, with the key of the binding that [`DetachedJws::fingerprint`] selected.
    ///
    /// # Errors
    /// `SIG-003` when the header's algorithm is not the one bound to the key, before any cryptography; `SIG-008` when the
    /// signature does not fit.
    pub fn verify(&self, key: &VerifyingKey, body: &[u8]) -> Result<(), Refusal> {
        if key.algorithm() != self.algorithm {
            let cause = format!("{:?} where {:?} is bound", self.algorithm, key.algorithm());
            return Err(Refusal::new(Code::SignatureAlgorithm, cause).naming("signature"));
        }
        key.verify(&signing_input(&self.protected, body), &self.signature)
            .map_err(|_| {
                Refusal::new(Code::SignatureWrong, "the signature does not verify")
                    .naming("signature")
            })
    }
}

/// `protected.base64url(body)`.
pub(super) fn signing_input(protected: &str, body: &[u8]) -> Vec<u8> {
    let encoded = body.len().div_ceil(3).saturating_mul(4);
    let mut input = Vec::with_capacity(protected.len().saturating_add(encoded).saturating_add(1));
    input.extend_from_slice(protected.as_bytes());
    input.push(b'.');
    forms::append_base64url(&mut input, body);
    input
}

/// The name of an algorithm (RFC 7518, RFC 8037).
pub(super) const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::PS256 => "PS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
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

fn form(cause: impl Into<String>) -> Refusal {
    Refusal::new(Code::SignatureForm, cause).naming("signature")
}

#[cfg(test)]
mod tests;
