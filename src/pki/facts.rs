//! What a public key is: kind and size, read from its `SubjectPublicKeyInfo`.

use std::fmt;

use x509_parser::{
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
        OID_SIG_ED25519,
    },
    prelude::FromDer,
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

use super::PkiError;

/// The kind of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
    /// One that the gateway has no use for.
    Other,
}

/// Kind and size of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyFacts {
    pub(super) kind: KeyKind,
    pub(super) bits: usize,
}

impl KeyFacts {
    pub(super) fn of(spki: &[u8]) -> Result<Self, PkiError> {
        let (_, info) = SubjectPublicKeyInfo::from_der(spki)
            .map_err(|error| PkiError::malformed("public key", error))?;
        Ok(Self::from_info(&info))
    }

    pub(super) fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Self {
        let algorithm = &info.algorithm.algorithm;
        if *algorithm == OID_PKCS1_RSAENCRYPTION {
            let bits = match info.parsed() {
                Ok(PublicKey::RSA(key)) => bit_length(key.modulus),
                _ => 0,
            };
            return Self {
                kind: KeyKind::Rsa,
                bits,
            };
        }
        if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
            let curve = info
                .algorithm
                .parameters
                .as_ref()
                .and_then(|any| any.as_oid().ok());
            return match curve {
                Some(curve) if curve == OID_EC_P256 => Self {
                    kind: KeyKind::P256,
                    bits: 256,
                },
                Some(curve) if curve == OID_NIST_EC_P384 => Self {
                    kind: KeyKind::P384,
                    bits: 384,
                },
                _ => Self {
                    kind: KeyKind::Other,
                    bits: 0,
                },
            };
        }
        if *algorithm == OID_SIG_ED25519 {
            return Self {
                kind: KeyKind::Ed25519,
                bits: 256,
            };
        }
        Self {
            kind: KeyKind::Other,
            bits: 0,
        }
    }

    /// Why the gateway does not accept such a key, if it does not.
    pub(super) fn objection(self) -> Option<String> {
        match self.kind {
            KeyKind::Rsa if self.bits < 2048 => Some(format!(
                "RSA with {} bits is too small: 2048 is the least",
                self.bits
            )),
            KeyKind::Other => Some(
                "the kind of key is not supported: RSA, P-256, P-384 and Ed25519 are".to_owned(),
            ),
            KeyKind::Rsa | KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519 => None,
        }
    }
}

impl fmt::Display for KeyFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            KeyKind::Rsa => write!(f, "RSA, {} bits", self.bits),
            KeyKind::P256 => f.write_str("EC, P-256"),
            KeyKind::P384 => f.write_str("EC, P-384"),
            KeyKind::Ed25519 => f.write_str("Ed25519"),
            KeyKind::Other => f.write_str("another kind"),
        }
    }
}

fn bit_length(number: &[u8]) -> usize {
    let mut digits = number.iter().skip_while(|byte| **byte == 0);
    let Some(first) = digits.next() else { return 0 };
    let first_bits = usize::try_from(u8::BITS.saturating_sub(first.leading_zeros())).unwrap_or(8);
    digits.count().saturating_mul(8).saturating_add(first_bits)
}
