//! Making the detached JWS of a message, in the form of keymanager: `x5c` with one certificate, `x5t#S256`, `alg`.

use std::{fmt, sync::Arc};

use super::{
    forms,
    jws::{name, signing_input},
};
use crate::{
    config::Algorithm,
    keys::SigningKey,
    refusal::{Code, Refusal},
    trust::Fingerprint,
};

/// A signature key with its certificate and algorithm; the protected header is made once.
#[derive(Clone)]
pub struct DetachedSigner {
    key: Arc<SigningKey>,
    algorithm: Algorithm,
    fingerprint: Fingerprint,
    header: String,
    protected: String,
}

impl DetachedSigner {
    /// Binds key, algorithm and certificate. That they fit together was checked when the key was loaded.
    pub fn new(key: Arc<SigningKey>, algorithm: Algorithm, leaf_der: &[u8]) -> Self {
        let fingerprint = Fingerprint::of(leaf_der);
        let header = format!(
            r#"{{"x5c":["{}"],"x5t#S256":"{}","alg":"{}"}}"#,
            forms::to_base64(leaf_der),
            forms::to_base64url(fingerprint.as_bytes()),
            name(algorithm)
        );
        Self {
            key,
            algorithm,
            fingerprint,
            protected: forms::to_base64url(header.as_bytes()),
            header,
        }
    }

    /// The value of the signature header for a body.
    ///
    /// # Errors
    /// `GW-003` when the key cannot sign with its algorithm.
    pub fn sign(&self, body: &[u8]) -> Result<String, Refusal> {
        self.sign_under(&self.protected, body)
    }

    /// The same for an answer whose record is that leaf of our evidence log.
    ///
    /// # Errors
    /// `GW-003` when the key cannot sign with its algorithm.
    pub fn sign_with_leaf(&self, body: &[u8], leaf: Option<&[u8; 32]>) -> Result<String, Refusal> {
        let Some(leaf) = leaf else {
            return self.sign(body);
        };
        let members = self.header.strip_suffix('}').unwrap_or(&self.header);
        let header = format!(r#"{members},"leaf":"{}"}}"#, forms::to_base64url(leaf));
        self.sign_under(&forms::to_base64url(header.as_bytes()), body)
    }

    fn sign_under(&self, protected: &str, body: &[u8]) -> Result<String, Refusal> {
        let signature = self
            .key
            .sign(self.algorithm, &signing_input(protected, body))
            .map_err(|e| Refusal::new(Code::NoSigner, e.to_string()))?;
        Ok(format!("{protected}..{}", forms::to_base64url(&signature)))
    }

    /// The key, for the envelope `jose` and for tree heads, whose protected headers are others.
    pub const fn key(&self) -> &Arc<SigningKey> {
        &self.key
    }

    /// The certificate that signs.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Debug for DetachedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DetachedSigner")
            .field("algorithm", &self.algorithm)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// Signs one body. Whoever signs more than one keeps a [`DetachedSigner`].
///
/// # Errors
/// `GW-003` when the key cannot sign with its algorithm.
pub fn sign_detached(
    key: &Arc<SigningKey>,
    algorithm: Algorithm,
    leaf_der: &[u8],
    body: &[u8],
) -> Result<String, Refusal> {
    DetachedSigner::new(Arc::clone(key), algorithm, leaf_der).sign(body)
}
