//! Whose word is taken: an issuer, the URL its proofs name, the key behind it, and the contexts its credentials have.

use crate::{
    config::Algorithm,
    keys::{KeyError, PublicKey, VerifyingKey},
};

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// As MOSIP signs: two hashes of canonical N-Quads.
    Mosip,
    /// As the OpenCRVS mock signs: the credential's canonical JSON. For development only; configuration names it
    /// `insecure_…`.
    InsecureJcs,
}

/// A pinned issuer.
#[derive(Clone, Debug)]
pub struct Issuer {
    pub(super) issuer: String,
    pub(super) verification_method: String,
    pub(super) contexts: Vec<String>,
    pub(super) recipe: Recipe,
    pub(super) key: VerifyingKey,
}

impl Issuer {
    /// Pins a key to an issuer and a verification method. `contexts` stand in the credential between `credentials/v1` and
    /// `{"sec": …}`, in that order.
    ///
    /// # Errors
    /// [`KeyError::Unfit`] when the key is not RSA: MOSIP signs with PS256.
    pub fn new(
        issuer: &str,
        verification_method: &str,
        contexts: Vec<String>,
        recipe: Recipe,
        key: &PublicKey,
    ) -> Result<Self, KeyError> {
        Ok(Self {
            issuer: issuer.to_owned(),
            verification_method: verification_method.to_owned(),
            contexts,
            recipe,
            key: VerifyingKey::new(key, Algorithm::PS256)?,
        })
    }
}
