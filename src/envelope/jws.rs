//! The header `signature`: a detached compact JWS (RFC 7515 appendix F) over the body octets.
//!
//! A strict splitter in front, then one verification with a key that the caller took from a binding. The certificate in
//! `x5c` only selects among the sender's bindings by its fingerprint; it is never believed. `x5t#S256`, when present, must
//! name that same certificate (keymanager 1.3.0 does not hold the two against each other).

mod protected;

use std::sync::Arc;

use super::forms::{self, Forms};
use crate::{
    config::Algorithm,
    keys::VerifyingKey,
    refusal::{Code, Refusal},
    trust::Fingerprint,
};
use protected::Protected;

pub use protected::KnownHeader;

/// Bytes of a signature header.
const VALUE_MAX: usize = 14 << 10;

/// Bytes of a signature: RSA-8192.
const SIGNATURE_MAX: usize = 1024;

/// A detached JWS in a form the sender's contract lists. Nothing is verified yet.
#[derive(Clone, Debug)]
pub struct DetachedJws {
    protected: Arc<Protected>,
    signature: Vec<u8>,
}

impl DetachedJws {
    /// Reads the value of a signature header.
    ///
    /// # Errors
    /// `SIG-002` when it is not exactly `header..signature` in canonical base64url with a protected header of `alg`, `x5c` and
    /// at most `kid` and `x5t#S256`, once each; `SIG-003` when `alg` is none of ours.
    pub fn parse(value: &str, forms: &Forms) -> Result<Self, Refusal> {
        Self::read(value, |text| {
            Protected::read(text, forms, false).map(Arc::new)
        })
    }

    /// The same, where `known` may have the header already.
    ///
    /// # Errors
    /// As [`DetachedJws::parse`].
    pub fn parse_known(value: &str, forms: &Forms, known: &KnownHeader) -> Result<Self, Refusal> {
        Self::read(value, |text| match known.get(text, forms) {
            Some(protected) => Ok(protected),
            None => Protected::read(text, forms, false).map(Arc::new),
        })
    }

    /// Reads the signature of an answer, which may name a leaf of its gateway's evidence log (docs/evidence.md).
    ///
    /// # Errors
    /// As [`DetachedJws::parse`]; `SIG-002` when `leaf` is not 32 bytes in base64url.
    pub fn parse_answer(value: &str, forms: &Forms) -> Result<Self, Refusal> {
        Self::read(value, |text| {
            Protected::read(text, forms, true).map(Arc::new)
        })
    }

    fn read(
        value: &str,
        protected: impl FnOnce(&str) -> Result<Arc<Protected>, Refusal>,
    ) -> Result<Self, Refusal> {
        if value.len() > VALUE_MAX {
            return Err(form(format!("{} bytes", value.len())));
        }
        let mut parts = value.split('.');
        let (Some(header), Some(""), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(form("not header..signature"));
        };
        let signature = forms::base64url(signature)
            .filter(|bytes| !bytes.is_empty() && bytes.len() <= SIGNATURE_MAX)
            .ok_or_else(|| form("the signature is not canonical unpadded base64url"))?;
        Ok(Self {
            protected: protected(header)?,
            signature,
        })
    }

    /// The algorithm that the header names. Only [`DetachedJws::verify`] says whether it is the agreed one.
    pub fn algorithm(&self) -> Algorithm {
        self.protected.algorithm
    }

    /// The DER of the first certificate in `x5c`: the claimed signer, not believed.
    pub fn leaf(&self) -> &[u8] {
        &self.protected.leaf
    }

    /// SHA-256 of [`DetachedJws::leaf`]: selects the binding.
    pub fn fingerprint(&self) -> Fingerprint {
        self.protected.fingerprint
    }

    /// The leaf of the sender's evidence log that it names.
    pub fn receipt(&self) -> Option<&[u8; 32]> {
        self.protected.receipt.as_ref()
    }

    /// The signature's bytes.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The protected header as it travelled, for evidence.
    pub fn protected(&self) -> &str {
        &self.protected.text
    }

    /// Verifies over the body octets as received, with the key of the binding that [`DetachedJws::fingerprint`] selected.
    ///
    /// # Errors
    /// `SIG-003` when the header's algorithm is not the one bound to the key, before any cryptography; `SIG-008` when the
    /// signature does not fit.
    pub fn verify(&self, key: &VerifyingKey, body: &[u8]) -> Result<(), Refusal> {
        let named = self.algorithm();
        if key.algorithm() != named {
            let cause = format!("{named:?} where {:?} is bound", key.algorithm());
            return Err(Refusal::new(Code::SignatureAlgorithm, cause).naming("signature"));
        }
        key.verify(&signing_input(self.protected(), body), &self.signature)
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

fn form(cause: impl Into<String>) -> Refusal {
    Refusal::new(Code::SignatureForm, cause).naming("signature")
}

#[cfg(test)]
mod tests;
