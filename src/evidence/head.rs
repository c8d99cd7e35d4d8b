//! Tree heads: the gateway's signed word on how many records its log has and what they hash to.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::tree::Hash;
use crate::{
    clock::Moment,
    config::Algorithm,
    keys::{KeyError, SigningKey},
    trust::Fingerprint,
};

/// The type in the protected header.
pub const TYPE: &str = "triseal-tree-head";

/// What signs heads: a key with its one algorithm and its certificate's name.
#[derive(Clone, Debug)]
pub struct HeadSigner {
    /// The key.
    pub key: Arc<SigningKey>,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its certificate.
    pub certificate: Fingerprint,
}

/// What a head says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which log.
    pub log: String,
    /// Leaves.
    pub size: u64,
    /// The tree's hash.
    pub root: Hash,
}

impl Head {
    /// Reads the payload of a head. Its signature is not looked at.
    pub fn parse(jws: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Payload {
            log: String,
            size: u64,
            root: String,
        }
        let payload = jws.split('.').nth(1)?;
        let payload: Payload =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        Some(Self {
            log: payload.log,
            size: payload.size,
            root: URL_SAFE_NO_PAD.decode(payload.root).ok()?.try_into().ok()?,
        })
    }
}

/// Signs a head: a compact JWS.
pub(super) fn sign(signer: &HeadSigner, head: &Head, now: Moment) -> Result<String, KeyError> {
    let header = serde_json::json!({
        "alg": name(signer.algorithm),
        "x5t#S256": URL_SAFE_NO_PAD.encode(signer.certificate.as_bytes()),
        "typ": TYPE,
    });
    let mut time = Vec::new();
    now.push_rfc3339(&mut time);
    let payload = serde_json::json!({
        "log": head.log,
        "size": head.size,
        "root": URL_SAFE_NO_PAD.encode(head.root),
        "time": String::from_utf8_lossy(&time),
    });
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(payload.to_string())
    );
    let signature = signer.key.sign(signer.algorithm, input.as_bytes())?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

const fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RS256 => "RS256",
        Algorithm::PS256 => "PS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
    }
}
