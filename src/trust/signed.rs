//! Whether a signed object (certificate or revocation list) bears the signature of a key, and with which algorithms.
//!
//! RSA PKCS#1 with SHA-256, 384 or 512, RSA-PSS with the same, ECDSA on P-256 and P-384 with SHA-256 or 384, Ed25519; RSA
//! keys from 2048 to 8192 bits. Everything else, MD5 and SHA-1 first of all, is refused by not being in the list.

use rustls_pki_types::{AlgorithmIdentifier, SignatureVerificationAlgorithm, alg_id};
use webpki::aws_lc_rs as algorithms;

use super::der;
use crate::keys::{KeyKind, PublicKey};

/// The signature algorithms of certificates and lists.
pub(super) static ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P256_SHA384,
    algorithms::ECDSA_P384_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::ED25519,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
    algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// Why a signature was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignatureProblem {
    /// The algorithm is not listed, or does not go with the key.
    Algorithm,
    /// It does not fit.
    Wrong,
}

/// Whether the signed object `der` bears the signature of `key`.
pub(super) fn verify(der: &[u8], key: &PublicKey) -> Result<(), SignatureProblem> {
    let (signed, algorithm, signature) = der::split_signed(der).ok_or(SignatureProblem::Wrong)?;
    let of_key = key_algorithm(key.kind());
    let algorithm = ALGORITHMS
        .iter()
        .find(|a| {
            a.signature_alg_id().as_ref() == algorithm
                && a.public_key_alg_id().as_ref() == of_key.as_ref()
        })
        .ok_or(SignatureProblem::Algorithm)?;
    algorithm
        .verify_signature(key.raw(), signed, signature)
        .map_err(|_| SignatureProblem::Wrong)
}

const fn key_algorithm(kind: KeyKind) -> AlgorithmIdentifier {
    match kind {
        KeyKind::Rsa => alg_id::RSA_ENCRYPTION,
        KeyKind::P256 => alg_id::ECDSA_P256,
        KeyKind::P384 => alg_id::ECDSA_P384,
        KeyKind::Ed25519 => alg_id::ED25519,
    }
}
