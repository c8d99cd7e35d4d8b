//! Stand-in for the key types of `keys` and `trust` until those rooms are merged; replaced by a re-export then.

use std::fmt;

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    rsa::{
        OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
        PrivateDecryptingKey, PublicEncryptingKey,
    },
    signature::{self as sig, KeyPair},
};
use zeroize::Zeroizing;

use crate::config::Algorithm;

/// SHA-256 of a DER certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a DER certificate.
    pub fn of(der: &[u8]) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
        Self(out)
    }

    /// The fingerprint itself.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key operation failed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("key operation failed")]
pub struct KeyError;

/// RSA signing key.
pub struct SigningKey(sig::RsaKeyPair);

impl SigningKey {
    /// From PKCS#8.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        sig::RsaKeyPair::from_pkcs8(der)
            .map(Self)
            .map_err(|_| KeyError)
    }

    /// Signs.
    ///
    /// # Errors
    /// When the key does not fit the algorithm.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let encoding: &'static dyn sig::RsaEncoding = match algorithm {
            Algorithm::RS256 => &sig::RSA_PKCS1_SHA256,
            Algorithm::PS256 => &sig::RSA_PSS_SHA256,
            Algorithm::ES256 | Algorithm::EdDSA => return Err(KeyError),
        };
        let mut out = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(encoding, &SystemRandom::new(), message, &mut out)
            .map_err(|_| KeyError)?;
        Ok(out)
    }

    /// The public half, PKCS#1.
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }
}

/// A public key with its one algorithm.
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: Vec<u8>,
}

impl VerifyingKey {
    /// From the public key and the algorithm bound to it.
    pub fn new(algorithm: Algorithm, key: &[u8]) -> Self {
        Self {
            algorithm,
            key: key.to_vec(),
        }
    }

    /// The one algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Verifies.
    ///
    /// # Errors
    /// When the signature does not fit.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let algorithm: &'static dyn sig::VerificationAlgorithm = match self.algorithm {
            Algorithm::RS256 => &sig::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::PS256 => &sig::RSA_PSS_2048_8192_SHA256,
            Algorithm::ES256 => &sig::ECDSA_P256_SHA256_FIXED,
            Algorithm::EdDSA => &sig::ED25519,
        };
        sig::UnparsedPublicKey::new(algorithm, &self.key)
            .verify(message, signature)
            .map_err(|_| KeyError)
    }
}

/// RSA key that unwraps content keys.
pub struct DecryptionKey(OaepPrivateDecryptingKey);

impl DecryptionKey {
    /// From PKCS#8.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| KeyError)?;
        OaepPrivateDecryptingKey::new(key)
            .map(Self)
            .map_err(|_| KeyError)
    }

    /// Unwraps.
    ///
    /// # Errors
    /// When it does not unwrap.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let mut out = Zeroizing::new(vec![0; self.0.min_output_size()]);
        let n = self
            .0
            .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut out, None)
            .map_err(|_| KeyError)?
            .len();
        out.truncate(n);
        Ok(out)
    }
}

/// RSA public key that wraps content keys.
pub struct WrappingKey(OaepPublicEncryptingKey);

impl WrappingKey {
    /// From an RSA public key (SPKI).
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = PublicEncryptingKey::from_der(der).map_err(|_| KeyError)?;
        OaepPublicEncryptingKey::new(key)
            .map(Self)
            .map_err(|_| KeyError)
    }

    /// Wraps.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn wrap(&self, key: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        let mut out = vec![0; self.0.ciphertext_size()];
        let n = self
            .0
            .encrypt(&OAEP_SHA256_MGF1SHA256, key, &mut out, None)
            .map_err(|_| KeyError)?
            .len();
        out.truncate(n);
        Ok(out)
    }
}
