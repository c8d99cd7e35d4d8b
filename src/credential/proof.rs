//! The detached JWS of a proof (RFC 7797) and the bytes under it.

use serde_json::{Map, Value, json};

use super::{
    Contexts, CredentialError, SECURITY_V2,
    form::Form,
    issuer::{Issuer, Recipe},
    jcs, rdf,
};
use crate::envelope::{base64url, json as strict, sha256};

/// Bytes of a proof's `jws`.
const JWS_MAX: usize = 4 << 10;

/// Bytes of a `kid`, which is not looked at.
const KID_MAX: usize = 512;

/// Whether the issuer's key signed this credential.
pub(super) fn verify(
    form: &Form,
    issuer: &Issuer,
    contexts: &Contexts,
) -> Result<(), CredentialError> {
    let (protected, signature) = split(&form.jws)?;
    let mut signed = protected.as_bytes().to_vec();
    signed.push(b'.');
    match issuer.recipe {
        Recipe::Mosip => {
            signed.extend_from_slice(&options_hash(form, contexts)?);
            signed.extend_from_slice(&document_hash(&form.document, contexts)?);
        }
        Recipe::InsecureJcs => signed.extend_from_slice(&jcs::canonical(&form.document)),
    }
    issuer
        .key
        .verify(&signed, &signature)
        .map_err(|_| CredentialError::Signature)
}

/// SHA-256 of the canonical N-Quads of a document.
pub(super) fn document_hash(
    document: &Map<String, Value>,
    contexts: &Contexts,
) -> Result<[u8; 32], CredentialError> {
    let text =
        serde_json::to_vec(document).map_err(|_| CredentialError::Form("it cannot be written"))?;
    Ok(sha256(rdf::canonical_n_quads(&text, contexts)?.as_bytes()))
}

fn options_hash(form: &Form, contexts: &Contexts) -> Result<[u8; 32], CredentialError> {
    let options = json!({
        "@context": SECURITY_V2,
        "type": "RsaSignature2018",
        "created": form.created,
        "proofPurpose": "assertionMethod",
        "verificationMethod": form.verification_method,
    });
    let quads = rdf::canonical_n_quads(options.to_string().as_bytes(), contexts)?;
    Ok(sha256(quads.as_bytes()))
}

/// `header..signature` with MOSIP's protected header: `alg` PS256, `b64` false, `crit` naming `b64`, perhaps a `kid`.
fn split(jws: &str) -> Result<(&str, Vec<u8>), CredentialError> {
    let bad = CredentialError::Proof;
    if jws.len() > JWS_MAX {
        return Err(bad("`proof.jws` is too long"));
    }
    let mut parts = jws.split('.');
    let (Some(protected), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad("`proof.jws` is not header..signature"));
    };
    if !payload.is_empty() {
        return Err(bad(
            "`proof.jws` carries a payload; only a detached one is taken",
        ));
    }
    let header =
        base64url(protected).ok_or_else(|| bad("the header of `proof.jws` is not base64url"))?;
    let signature =
        base64url(signature).ok_or_else(|| bad("the signature of `proof.jws` is not base64url"))?;
    let header = strict::object(&header, JWS_MAX)
        .map_err(|_| bad("the header of `proof.jws` is not strict JSON"))?;
    for (name, value) in &header {
        match (name.as_str(), value) {
            ("alg", Value::String(alg)) if alg == "PS256" => {}
            ("alg", _) => return Err(CredentialError::Algorithm),
            ("b64", Value::Bool(false)) => {}
            ("crit", Value::Array(names))
                if names.len() == 1 && names.first().is_some_and(|n| n == "b64") => {}
            ("kid", Value::String(kid)) if kid.len() <= KID_MAX => {}
            _ => {
                return Err(bad(
                    "the header of `proof.jws` has a member or value that is not taken",
                ));
            }
        }
    }
    if !["alg", "b64", "crit"]
        .iter()
        .all(|name| header.contains_key(*name))
    {
        return Err(bad(
            "the header of `proof.jws` lacks `alg`, `b64` or `crit`",
        ));
    }
    Ok((protected, signature))
}
