//! Whether somebody holds the private half of a key: a signature in the one algorithm of the key's kind, or in one agreed for it.
//!
//! P-384 is here although no message is signed with it: keys of TLS may be on that curve, and they prove themselves too.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, ParsedPublicKey,
    },
};

use super::{KeyEntry, KeyError, KeyKind, PublicKey, VerifyingKey, default_algorithm};
use crate::config::Algorithm;

/// The name of the algorithm on P-384 (RFC 7518 section 3.4).
const ES384: &str = "ES384";

/// The name in JOSE of the algorithm in which a key of that kind proves itself; `agreed` where another than the kind's own is.
pub fn proof_algorithm(kind: KeyKind, agreed: Option<Algorithm>) -> &'static str {
    match agreed.or_else(|| default_algorithm(kind)) {
        Some(Algorithm::RS256) => "RS256",
        Some(Algorithm::PS256) => "PS256",
        Some(Algorithm::ES256) => "ES256",
        Some(Algorithm::EdDSA) => "EdDSA",
        None => ES384,
    }
}

/// Whether the holder of the key made the signature.
///
/// # Errors
/// [`KeyError::Signature`] when not; [`KeyError::Unfit`] when the key has no such algorithm.
pub fn verify_possession(
    key: &PublicKey,
    agreed: Option<Algorithm>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), KeyError> {
    match agreed.or_else(|| default_algorithm(key.kind())) {
        Some(algorithm) => VerifyingKey::new(key, algorithm)?.verify(message, signature),
        None => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key.raw())
            .map_err(|_| KeyError::Malformed)?
            .verify_sig(message, signature)
            .map_err(|_| KeyError::Signature),
    }
}

impl KeyEntry {
    /// Proves that we hold the key.
    ///
    /// # Errors
    /// [`KeyError::Unfit`] when the key has no such algorithm, [`KeyError::Signing`] when the library fails.
    pub fn prove_possession(
        &self,
        agreed: Option<Algorithm>,
        message: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        match agreed.or_else(|| default_algorithm(self.kind)) {
            Some(algorithm) => self.signing_key()?.sign(algorithm, message),
            None => EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &self.private_pkcs8)
                .map_err(|_| KeyError::Malformed)?
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| KeyError::Signing),
        }
    }
}

/// A new key, and its public half.
#[cfg(test)]
pub(crate) fn made_entry(algorithm: &'static rcgen::SignatureAlgorithm) -> (KeyEntry, PublicKey) {
    let made = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&made);
    let public = PublicKey::from_spki(&spki).unwrap();
    let entry = KeyEntry {
        chain: Vec::new(),
        private_pkcs8: made.serialized_der().to_vec().into(),
        kind: public.kind(),
    };
    (entry, public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_proves_itself_and_no_other() {
        for (algorithm, name) in [
            (&rcgen::PKCS_RSA_SHA256, "RS256"),
            (&rcgen::PKCS_ECDSA_P256_SHA256, "ES256"),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "ES384"),
            (&rcgen::PKCS_ED25519, "EdDSA"),
        ] {
            let (own, public) = made_entry(algorithm);
            let (_, other) = made_entry(algorithm);
            assert_eq!(proof_algorithm(public.kind(), None), name);
            let proof = own.prove_possession(None, b"it is me").unwrap();
            verify_possession(&public, None, b"it is me", &proof).unwrap();
            assert!(verify_possession(&public, None, b"it is mE", &proof).is_err());
            assert!(verify_possession(&other, None, b"it is me", &proof).is_err());
        }
    }

    #[test]
    fn an_agreed_algorithm_is_the_only_one() {
        let (own, public) = made_entry(&rcgen::PKCS_RSA_SHA256);
        let pss = Some(Algorithm::PS256);
        let proof = own.prove_possession(pss, b"m").unwrap();
        verify_possession(&public, pss, b"m", &proof).unwrap();
        assert!(verify_possession(&public, None, b"m", &proof).is_err());
        let curve = Some(Algorithm::ES256);
        assert_eq!(
            verify_possession(&public, curve, b"m", &proof),
            Err(KeyError::Unfit)
        );
    }
}
