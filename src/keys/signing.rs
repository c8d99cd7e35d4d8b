//! Signatures in the forms of JOSE (RFC 7518, RFC 8037): making them, and telling whether they fit.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
        Ed25519KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
        RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, VerificationAlgorithm,
    },
};

use super::{KeyError, KeyKind, PublicKey};
use crate::config::Algorithm;

/// The algorithm a key signs with where the configuration does not say: the one MOSIP uses for that kind. `None` for P-384,
/// for which no algorithm is listed.
pub const fn default_algorithm(kind: KeyKind) -> Option<Algorithm> {
    match kind {
        KeyKind::Rsa => Some(Algorithm::RS256),
        KeyKind::P256 => Some(Algorithm::ES256),
        KeyKind::Ed25519 => Some(Algorithm::EdDSA),
        KeyKind::P384 => None,
    }
}

/// Whether a key of that kind can be used with the algorithm.
pub(crate) const fn fits(kind: KeyKind, algorithm: Algorithm) -> bool {
    matches!(
        (kind, algorithm),
        (KeyKind::Rsa, Algorithm::RS256 | Algorithm::PS256)
            | (KeyKind::P256, Algorithm::ES256)
            | (KeyKind::Ed25519, Algorithm::EdDSA)
    )
}

/// A private key that signs.
pub struct SigningKey(Private);

enum Private {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// From PKCS#8.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not an RSA (2048 to 8192), P-256 or Ed25519 key.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
            return Ok(Self(Private::Rsa(key)));
        }
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(Self(Private::P256(key)));
        }
        Ed25519KeyPair::from_pkcs8(der)
            .map(|key| Self(Private::Ed25519(key)))
            .map_err(|_| KeyError::Malformed)
    }

    /// Its kind.
    pub const fn kind(&self) -> KeyKind {
        match self.0 {
            Private::Rsa(_) => KeyKind::Rsa,
            Private::P256(_) => KeyKind::P256,
            Private::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// Signs `message` with exactly `algorithm`. ECDSA signatures are `r || s`.
    ///
    /// # Errors
    /// [`KeyError::Unfit`] when the key is of another kind, [`KeyError::Signing`] when the library fails.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match (&self.0, algorithm) {
            (Private::Rsa(key), Algorithm::RS256 | Algorithm::PS256) => {
                let padding = if algorithm == Algorithm::RS256 {
                    &RSA_PKCS1_SHA256
                } else {
                    &RSA_PSS_SHA256
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature)
                    .map_err(|_| KeyError::Signing)?;
                Ok(signature)
            }
            (Private::P256(key), Algorithm::ES256) => key
                .sign(&random, message)
                .map(|s| s.as_ref().to_vec())
                .map_err(|_| KeyError::Signing),
            (Private::Ed25519(key), Algorithm::EdDSA) => key
                .try_sign(message)
                .map(|s| s.as_ref().to_vec())
                .map_err(|_| KeyError::Signing),
            _ => Err(KeyError::Unfit),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kind())
    }
}

/// A public key with the one algorithm it is used with.
#[derive(Clone)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// From a public key and its one algorithm.
    ///
    /// # Errors
    /// [`KeyError::Unfit`] when they do not go together, [`KeyError::Malformed`] when the library does not take the key.
    pub fn new(key: &PublicKey, algorithm: Algorithm) -> Result<Self, KeyError> {
        if !fits(key.kind(), algorithm) || key.is_roca() {
            return Err(KeyError::Unfit);
        }
        let library: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::EdDSA => &ED25519,
        };
        let key = ParsedPublicKey::new(library, key.raw()).map_err(|_| KeyError::Malformed)?;
        Ok(Self { algorithm, key })
    }

    /// Its one algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's over `message`.
    ///
    /// # Errors
    /// [`KeyError::Signature`] when it is not.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        self.key
            .verify_sig(message, signature)
            .map_err(|_| KeyError::Signature)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({:?})", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::private::PrivateKey;

    fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (SigningKey, PublicKey) {
        let made = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let key = PrivateKey::from_pkcs8(made.serialized_der()).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&made);
        let public = PublicKey::from_spki(&spki).unwrap();
        assert!(key.belongs_to(&public));
        (
            SigningKey::from_pkcs8_der(&key.into_pkcs8()).unwrap(),
            public,
        )
    }

    #[test]
    fn a_signature_fits_its_own_bytes_and_no_others() {
        for (made, algorithms) in [
            (
                &rcgen::PKCS_RSA_SHA256,
                &[Algorithm::RS256, Algorithm::PS256][..],
            ),
            (&rcgen::PKCS_ECDSA_P256_SHA256, &[Algorithm::ES256]),
            (&rcgen::PKCS_ED25519, &[Algorithm::EdDSA]),
        ] {
            let (signer, public) = pair(made);
            for algorithm in algorithms {
                let signature = signer.sign(*algorithm, b"message").unwrap();
                let verifier = VerifyingKey::new(&public, *algorithm).unwrap();
                assert_eq!(verifier.verify(b"message", &signature), Ok(()));
                assert_eq!(
                    verifier.verify(b"messagf", &signature),
                    Err(KeyError::Signature)
                );
                assert_eq!(verifier.verify(b"message", &[]), Err(KeyError::Signature));
            }
        }
    }

    #[test]
    fn a_signature_made_with_pkcs1_is_not_taken_for_pss() {
        let (signer, public) = pair(&rcgen::PKCS_RSA_SHA256);
        let signature = signer.sign(Algorithm::RS256, b"m").unwrap();
        let verifier = VerifyingKey::new(&public, Algorithm::PS256).unwrap();
        assert_eq!(verifier.verify(b"m", &signature), Err(KeyError::Signature));
    }

    #[test]
    fn a_key_does_not_sign_with_another_kinds_algorithm() {
        let (signer, public) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(signer.sign(Algorithm::RS256, b"m"), Err(KeyError::Unfit));
        assert!(VerifyingKey::new(&public, Algorithm::EdDSA).is_err());
    }

    #[test]
    fn an_es256_signature_is_64_bytes_and_der_is_refused() {
        let (signer, public) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        let signature = signer.sign(Algorithm::ES256, b"m").unwrap();
        assert_eq!(signature.len(), 64);
        let verifier = VerifyingKey::new(&public, Algorithm::ES256).unwrap();
        assert!(verifier.verify(b"m", &[0; 64]).is_err());
        assert!(
            verifier
                .verify(b"m", &[&[0x30, 0x44][..], &signature].concat())
                .is_err()
        );
    }
}
