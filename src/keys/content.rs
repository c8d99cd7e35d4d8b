//! Whatever kind of key stands in an encryption certificate: one type for each half, shared and cheap to clone.

use std::sync::Arc;

use super::{
    AgreementKey, AgreementPoint, DecryptionKey, KeyEntry, KeyError, KeyKind, PublicKey,
    WrappingKey,
};

/// A public key that content keys are wrapped to.
#[derive(Clone, Debug)]
pub enum ContentWrapKey {
    /// `RSA-OAEP-256`.
    Rsa(Arc<WrappingKey>),
    /// `ECDH-ES+A256KW`.
    Curve(Arc<AgreementPoint>),
}

impl ContentWrapKey {
    /// From a public key.
    ///
    /// # Errors
    /// [`KeyError::Unfit`] for Ed25519, [`KeyError::Malformed`] when the library does not take it.
    pub fn new(key: &PublicKey) -> Result<Self, KeyError> {
        match key.kind() {
            KeyKind::Rsa => WrappingKey::new(key).map(|k| Self::Rsa(Arc::new(k))),
            KeyKind::P256 | KeyKind::P384 => {
                AgreementPoint::new(key).map(|k| Self::Curve(Arc::new(k)))
            }
            KeyKind::Ed25519 => Err(KeyError::Unfit),
        }
    }

    /// The RSA key, where it is one: MOSIP's own formats take nothing else.
    pub fn rsa(&self) -> Option<&WrappingKey> {
        match self {
            Self::Rsa(key) => Some(key),
            Self::Curve(_) => None,
        }
    }
}

/// A private key that content keys are unwrapped with.
#[derive(Clone, Debug)]
pub enum ContentUnwrapKey {
    /// `RSA-OAEP-256`.
    Rsa(Arc<DecryptionKey>),
    /// `ECDH-ES+A256KW`.
    Curve(Arc<AgreementKey>),
}

impl ContentUnwrapKey {
    /// From PKCS#8 of a known kind.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is no key of that kind that can unwrap.
    pub fn from_pkcs8_der(kind: KeyKind, der: &[u8]) -> Result<Self, KeyError> {
        match kind {
            KeyKind::Rsa => DecryptionKey::from_pkcs8_der(der).map(|k| Self::Rsa(Arc::new(k))),
            KeyKind::P256 | KeyKind::P384 => {
                AgreementKey::from_pkcs8_der(der).map(|k| Self::Curve(Arc::new(k)))
            }
            KeyKind::Ed25519 => Err(KeyError::Malformed),
        }
    }

    /// The RSA key, where it is one: MOSIP's own formats take nothing else.
    pub fn rsa(&self) -> Option<&DecryptionKey> {
        match self {
            Self::Rsa(key) => Some(key),
            Self::Curve(_) => None,
        }
    }
}

impl KeyEntry {
    /// The key as one that unwraps, of whatever kind.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is an Ed25519 key.
    pub fn content_key(&self) -> Result<ContentUnwrapKey, KeyError> {
        ContentUnwrapKey::from_pkcs8_der(self.kind, &self.private_pkcs8)
    }
}
