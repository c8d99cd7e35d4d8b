//! Our keys behind josekit's signer and verifier, and the making of both signatures.
//!
//! josekit's own context refuses a payload with a dot that is not encoded, as every body here is; what is signed is therefore
//! put together here, from its traits on.

use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use josekit::{
    JoseError,
    jws::{ES256, EdDSA, JwsAlgorithm, JwsSigner, JwsVerifier, PS256, RS256},
};
use serde_json::Value;

use super::signature::{AnswerBinding, Binding, COMMON, JTI, RequestBinding, signing_input};
use crate::{
    clock::Moment,
    config::Algorithm,
    envelope::{DetachedSigner, forms, jws},
    keys::{KeyError, SigningKey, VerifyingKey},
    refusal::{Code, Refusal},
};

/// Signs a request: the value of its header `signature`. `uri` is the target without query and fragment (RFC 9449
/// section 4.2).
///
/// # Errors
/// `GW-003` when the key cannot sign with its algorithm.
pub fn sign_request(
    signer: &DetachedSigner,
    now: Moment,
    method: &str,
    uri: &str,
    body: &[u8],
) -> Result<String, Refusal> {
    let values = [method, uri].map(Value::from);
    sign::<RequestBinding>(signer, now, &values, None, body)
}

/// What the signature of an answer binds.
#[derive(Clone, Copy, Debug)]
pub struct AnswerTo<'a> {
    /// The status.
    pub status: u16,
    /// [`signature_digest`](super::signature_digest) of what it answers.
    pub request: &'a [u8; 32],
    /// The leaf of our evidence log.
    pub leaf: Option<&'a [u8; 32]>,
}

/// Signs an answer: the value of its header `response-signature`.
///
/// # Errors
/// `GW-003` when the key cannot sign with its algorithm.
pub fn sign_answer(
    signer: &DetachedSigner,
    now: Moment,
    to: &AnswerTo<'_>,
    body: &[u8],
) -> Result<String, Refusal> {
    let request = forms::to_base64url(to.request);
    let values = [Value::from(to.status), Value::from(request)];
    sign::<AnswerBinding>(signer, now, &values, to.leaf, body)
}

/// Signs; `values` are those of [`Binding::NAMES`].
fn sign<B: Binding>(
    signer: &DetachedSigner,
    now: Moment,
    values: &[Value; 2],
    leaf: Option<&[u8; 32]>,
    body: &[u8],
) -> Result<String, Refusal> {
    let failed = |e: &dyn std::fmt::Display| Refusal::new(Code::NoSigner, e.to_string());
    let mut jti = [0; JTI];
    SystemRandom::new()
        .fill(&mut jti)
        .map_err(|_| Refusal::new(Code::Fault, "no random numbers"))?;
    // Nothing in it but what is ours, numbers, and the two values, which write themselves as JSON.
    let [first, second] = B::NAMES;
    let [first_value, second_value] = values;
    let leaf = leaf.map_or_else(String::new, |leaf| {
        format!(r#","leaf":"{}""#, forms::to_base64url(leaf))
    });
    let header = format!(
        r#"{{"alg":"{}","x5t#S256":"{}","b64":false,"iat":{},"jti":"{}","{first}":{first_value},"{second}":{second_value},"crit":["{}","{first}","{second}"]{leaf}}}"#,
        jws::name(signer.algorithm()),
        forms::to_base64url(signer.fingerprint().as_bytes()),
        now.s(),
        forms::to_base64url(&jti),
        COMMON.join(r#"",""#),
    );
    let protected = forms::to_base64url(header.as_bytes());
    let signature = Signer {
        algorithm: signer.algorithm(),
        key: Arc::clone(signer.key()),
    }
    .sign(&signing_input(&protected, body))
    .map_err(|e| failed(&e))?;
    Ok(format!("{protected}..{}", forms::to_base64url(&signature)))
}

/// A signing key of ours as josekit takes it.
#[derive(Clone, Debug)]
struct Signer {
    algorithm: Algorithm,
    key: Arc<SigningKey>,
}

impl JwsSigner for Signer {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        library(self.algorithm)
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn signature_len(&self) -> usize {
        match self.algorithm {
            Algorithm::RS256 | Algorithm::PS256 => 256,
            Algorithm::ES256 | Algorithm::EdDSA => 64,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, JoseError> {
        self.key
            .sign(self.algorithm, message)
            .map_err(|e| JoseError::InvalidKeyFormat(e.into()))
    }

    fn box_clone(&self) -> Box<dyn JwsSigner> {
        Box::new(self.clone())
    }
}

/// A verifying key of ours as josekit takes it.
#[derive(Clone, Debug)]
pub(super) struct Verifier(VerifyingKey);

impl Verifier {
    pub(super) fn new(key: &VerifyingKey) -> Self {
        Self(key.clone())
    }
}

impl JwsVerifier for Verifier {
    fn algorithm(&self) -> &dyn JwsAlgorithm {
        library(self.0.algorithm())
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), JoseError> {
        self.0
            .verify(message, signature)
            .map_err(|e: KeyError| JoseError::InvalidSignature(e.into()))
    }

    fn box_clone(&self) -> Box<dyn JwsVerifier> {
        Box::new(self.clone())
    }
}

fn library(algorithm: Algorithm) -> &'static dyn JwsAlgorithm {
    match algorithm {
        Algorithm::RS256 => &RS256,
        Algorithm::PS256 => &PS256,
        Algorithm::ES256 => &ES256,
        Algorithm::EdDSA => &EdDSA,
    }
}
