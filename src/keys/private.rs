//! A private key of whatever form, brought to PKCS#8, with its public half to compare with a certificate.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer,
    rsa::KeyPair as RsaKeyPair,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair,
    },
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use zeroize::Zeroizing;

use super::{KeyError, KeyKind, PublicKey};

/// A private key in PKCS#8.
pub(crate) struct PrivateKey {
    kind: KeyKind,
    pkcs8: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

impl PrivateKey {
    /// From PKCS#8.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let (kind, public) = if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
            (KeyKind::Rsa, key.public_key().as_ref().to_vec())
        } else if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            (KeyKind::P256, key.public_key().as_ref().to_vec())
        } else if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der) {
            (KeyKind::P384, key.public_key().as_ref().to_vec())
        } else if let Ok(key) = Ed25519KeyPair::from_pkcs8(der) {
            (KeyKind::Ed25519, key.public_key().as_ref().to_vec())
        } else {
            return Err(KeyError::Malformed);
        };
        Ok(Self {
            kind,
            pkcs8: Zeroizing::new(der.to_vec()),
            public,
        })
    }

    /// From PKCS#1 (RSA).
    pub(super) fn from_pkcs1(der: &[u8]) -> Result<Self, KeyError> {
        let key = RsaKeyPair::from_der(der).map_err(|_| KeyError::Malformed)?;
        let pkcs8 = key.as_der().map_err(|_| KeyError::Malformed)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// From SEC1 (elliptic curves).
    pub(super) fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .or_else(|_| EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_FIXED_SIGNING, der))
            .map_err(|_| KeyError::Malformed)?;
        let pkcs8 = key.to_pkcs8v1().map_err(|_| KeyError::Malformed)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// Every private key in a PEM text, in whatever of the three forms.
    pub(crate) fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, KeyError> {
        PrivateKeyDer::pem_slice_iter(pem)
            .map(|key| match key.map_err(|_| KeyError::Malformed)? {
                PrivateKeyDer::Pkcs8(mut der) => {
                    let key = Self::from_pkcs8(der.secret_pkcs8_der());
                    zeroize::Zeroize::zeroize(&mut der);
                    key
                }
                PrivateKeyDer::Pkcs1(der) => Self::from_pkcs1(der.secret_pkcs1_der()),
                PrivateKeyDer::Sec1(der) => Self::from_sec1(der.secret_sec1_der()),
                _ => Err(KeyError::Malformed),
            })
            .collect()
    }

    /// The PKCS#8 form, taken out.
    pub(crate) fn into_pkcs8(self) -> Zeroizing<Vec<u8>> {
        self.pkcs8
    }

    /// Its kind.
    pub(crate) const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether `public` is its public half.
    pub(crate) fn belongs_to(&self, public: &PublicKey) -> bool {
        public.kind() == self.kind && public.raw() == self.public
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.kind)
    }
}
