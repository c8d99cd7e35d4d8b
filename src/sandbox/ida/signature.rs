//! The `signature` header: the detached JWS of the body, verified as MOSIP's key manager does (reference, section 1.6).
//!
//! Lenient where it is: any algorithm that fits the key, any middle part (it is replaced), PEM in `x5c`, no look at `kid`.

use openssl::{
    bn::BigNum,
    ecdsa::EcdsaSig,
    hash::MessageDigest,
    pkey::{Id, PKey, Public},
    rsa::Padding,
    sign::{RsaPssSaltlen, Verifier},
    x509::X509,
};
use serde::Deserialize;

use super::{encoding, records::KeymanagerVersion, trust};
use crate::clock::Moment;

/// Why a signature is not accepted; MOSIP says the same for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotVerified;

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    x5c: Vec<String>,
    #[serde(default)]
    crit: Vec<String>,
}

/// Verifies the header value over the body and gives the certificate that did it. Its chain is checked elsewhere.
pub(super) fn verify(
    value: &str,
    body: &[u8],
    version: KeymanagerVersion,
    now: Moment,
) -> Result<X509, NotVerified> {
    let parts: Vec<&str> = value.split('.').collect();
    let &[protected, _replaced, signature] = parts.as_slice() else {
        return Err(NotVerified);
    };
    let header: Header = encoding::from_lenient(protected)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(NotVerified)?;
    if header.crit.iter().any(|name| name != "b64") {
        return Err(NotVerified);
    }
    let certificate = header
        .x5c
        .first()
        .and_then(|text| decode(text, version))
        .ok_or(NotVerified)?;
    if !trust::within_dates(&certificate, now) {
        return Err(NotVerified);
    }
    let key = certificate.public_key().map_err(|_| NotVerified)?;
    let signature = encoding::from_lenient(signature).ok_or(NotVerified)?;
    let input = format!("{protected}.{}", encoding::url(body));
    if fits(&header.alg, &key, input.as_bytes(), &signature) == Some(true) {
        Ok(certificate)
    } else {
        Err(NotVerified)
    }
}

/// A certificate from DER or PEM, as Java's certificate factory takes both.
pub(super) fn certificate(bytes: &[u8]) -> Option<X509> {
    if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
        X509::from_pem(bytes).ok()
    } else {
        X509::from_der(bytes).ok()
    }
}

fn decode(text: &str, version: KeymanagerVersion) -> Option<X509> {
    let bytes = match version {
        KeymanagerVersion::Lenient => encoding::from_lenient(text)?,
        KeymanagerVersion::Strict => encoding::from_standard(text)?,
    };
    certificate(&bytes)
}

fn fits(algorithm: &str, key: &PKey<Public>, input: &[u8], signature: &[u8]) -> Option<bool> {
    let (family, bits) = algorithm.split_at_checked(2)?;
    if algorithm == "EdDSA" {
        return Verifier::new_without_digest(key)
            .ok()?
            .verify_oneshot(signature, input)
            .ok();
    }
    let digest = match bits {
        "256" => MessageDigest::sha256(),
        "384" => MessageDigest::sha384(),
        "512" => MessageDigest::sha512(),
        _ => return None,
    };
    let mut verifier = Verifier::new(digest, key).ok()?;
    match (family, key.id()) {
        ("RS", Id::RSA) => verifier.verify_oneshot(signature, input).ok(),
        ("PS", Id::RSA) => {
            verifier.set_rsa_padding(Padding::PKCS1_PSS).ok()?;
            verifier.set_rsa_mgf1_md(digest).ok()?;
            verifier
                .set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)
                .ok()?;
            verifier.verify_oneshot(signature, input).ok()
        }
        ("ES", Id::EC) => {
            let (r, s) = signature.split_at_checked(signature.len() / 2)?;
            let numbers = (BigNum::from_slice(r).ok()?, BigNum::from_slice(s).ok()?);
            let der = EcdsaSig::from_private_components(numbers.0, numbers.1)
                .ok()?
                .to_der()
                .ok()?;
            verifier.verify_oneshot(&der, input).ok()
        }
        _ => None,
    }
}
