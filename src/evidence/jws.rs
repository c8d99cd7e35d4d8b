//! Signatures as evidence holds them: tree heads (compact JWS) and the detached signatures of requests and answers. Read for
//! checking long after, with certificates that come along; on the road `crate::envelope` reads them.

use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::{
    config::Algorithm,
    keys::VerifyingKey,
    trust::{Certificate, Fingerprint},
};

/// The longest text of a signature: header values and heads are far below.
const TEXT_MAX: usize = 64 << 10;

/// A JWS in compact form, believed by nobody yet.
pub(super) struct Jws {
    header: Map<String, Value>,
    protected: String,
    payload: String,
    signature: Vec<u8>,
}

impl Jws {
    /// Splits `protected.payload.signature`; the payload may be empty (detached). `None` when a part is not canonical base64url or the
    /// header is no JSON object.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let mut parts = text.split('.');
        let (protected, payload, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        URL_SAFE_NO_PAD.decode(payload).ok()?;
        Some(Self {
            header: serde_json::from_slice(&URL_SAFE_NO_PAD.decode(protected).ok()?).ok()?,
            protected: protected.to_owned(),
            payload: payload.to_owned(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// The protected header.
    pub(super) const fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// A text of the protected header.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// The payload that travels in it.
    pub(super) fn payload(&self) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(&self.payload).unwrap_or_default()
    }

    /// Whether the payload travels elsewhere.
    pub(super) const fn is_detached(&self) -> bool {
        self.payload.is_empty()
    }

    /// The certificate that the header names: by `x5t#S256`, else the first of `x5c`.
    pub(super) fn signer(&self) -> Option<Fingerprint> {
        let by_name = self.text("x5t#S256").and_then(|text| {
            let bytes: [u8; 32] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
            Some(Fingerprint::from_bytes(bytes))
        });
        by_name.or_else(|| {
            let first = self.header.get("x5c")?.as_array()?.first()?.as_str()?;
            Some(Fingerprint::of(&STANDARD.decode(first).ok()?))
        })
    }

    /// Whether it is the certificate's signature over the payload that travels in it.
    pub(super) fn is_by(&self, certificate: &Certificate) -> bool {
        let signed = format!("{}.{}", self.protected, self.payload);
        self.fits(certificate, signed.as_bytes())
    }

    /// Whether it is the certificate's signature over that body (RFC 7515 appendix F; RFC 7797 where the header says `b64:false`).
    pub(super) fn is_over(&self, certificate: &Certificate, body: &[u8]) -> bool {
        let mut signed = self.protected.clone().into_bytes();
        signed.push(b'.');
        if self.header.get("b64") == Some(&Value::Bool(false)) {
            signed.extend_from_slice(body);
        } else {
            signed.extend(URL_SAFE_NO_PAD.encode(body).into_bytes());
        }
        self.is_detached() && self.fits(certificate, &signed)
    }

    fn fits(&self, certificate: &Certificate, signed: &[u8]) -> bool {
        let algorithm = match self.text("alg") {
            Some("RS256") => Algorithm::RS256,
            Some("PS256") => Algorithm::PS256,
            Some("ES256") => Algorithm::ES256,
            Some("EdDSA") => Algorithm::EdDSA,
            _ => return false,
        };
        VerifyingKey::new(certificate.key(), algorithm)
            .is_ok_and(|key| key.verify(signed, &self.signature).is_ok())
    }
}
