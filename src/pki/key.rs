//! A key pair: made, loaded, written, and used to sign what the room issues.
//!
//! It is not the gateway's signing key (`keys` has that); it knows only what issuing needs. Key material is wiped.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    },
};
use zeroize::Zeroizing;

use super::{Algorithm, PkiError, pem};

/// A private key with its public key.
pub struct Key {
    algorithm: Algorithm,
    pair: Pair,
    public: Vec<u8>,
    pkcs8: Zeroizing<Vec<u8>>,
}

/// rsaEncryption, as PKCS#8 names it.
const RSA_OID: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

enum Pair {
    Rsa(rsa::KeyPair),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    /// Makes a fresh key.
    ///
    /// # Errors
    /// When the random source or the library fails.
    pub fn generate(algorithm: Algorithm) -> Result<Self, PkiError> {
        let failed = |_| PkiError::Crypto("making a key");
        let pair = match algorithm {
            Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
                let size = algorithm
                    .rsa_size()
                    .ok_or(PkiError::Key("it has no RSA size"))?;
                Pair::Rsa(rsa::KeyPair::generate(size).map_err(failed)?)
            }
            Algorithm::P256 => {
                Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(failed)?)
            }
            Algorithm::P384 => {
                Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map_err(failed)?)
            }
            Algorithm::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
        };
        Self::wrap(algorithm, pair)
    }

    /// Makes several keys, on all cores; RSA keys take their time.
    ///
    /// # Errors
    /// As [`Key::generate`].
    pub fn generate_all(algorithms: &[Algorithm]) -> Result<Vec<Self>, PkiError> {
        let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().min(8));
        let share = algorithms.len().div_ceil(workers).max(1);
        let halves: Vec<Result<Vec<Self>, PkiError>> = std::thread::scope(|scope| {
            let running: Vec<_> = algorithms
                .chunks(share)
                .map(|part| scope.spawn(|| part.iter().map(|one| Self::generate(*one)).collect()))
                .collect();
            running
                .into_iter()
                .map(|worker| {
                    worker
                        .join()
                        .unwrap_or(Err(PkiError::Crypto("making a key")))
                })
                .collect()
        });
        let mut keys = Vec::with_capacity(algorithms.len());
        for half in halves {
            keys.extend(half?);
        }
        Ok(keys)
    }

    /// Loads a private key from DER: PKCS#8, PKCS#1 (RSA) or SEC1 (EC).
    ///
    /// # Errors
    /// When it is none of these, or a kind or size that is not issued here.
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        if let Ok(pair) = rsa::KeyPair::from_pkcs8(der).or_else(|_| rsa::KeyPair::from_der(der)) {
            let algorithm = match pair.public_modulus_len() {
                256 => Algorithm::Rsa2048,
                384 => Algorithm::Rsa3072,
                512 => Algorithm::Rsa4096,
                _ => return Err(PkiError::Key("RSA keys have 2048, 3072 or 4096 bits here")),
            };
            return Self::wrap(algorithm, Pair::Rsa(pair));
        }
        for (algorithm, signing) in [
            (Algorithm::P256, &ECDSA_P256_SHA256_ASN1_SIGNING),
            (Algorithm::P384, &ECDSA_P384_SHA384_ASN1_SIGNING),
        ] {
            let pair = EcdsaKeyPair::from_pkcs8(signing, der)
                .or_else(|_| EcdsaKeyPair::from_private_key_der(signing, der));
            if let Ok(pair) = pair {
                return Self::wrap(algorithm, Pair::Ec(pair));
            }
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| {
            PkiError::Key(
                if der.windows(RSA_OID.len()).any(|window| window == RSA_OID) {
                    "it is an RSA key with fewer than 2048 bits, or a damaged one"
                } else {
                    "it is not an RSA, P-256, P-384 or Ed25519 key in PKCS#8, PKCS#1 or SEC1"
                },
            )
        })?;
        Self::wrap(Algorithm::Ed25519, Pair::Ed25519(pair))
    }

    /// Loads the first private key of a PEM text.
    ///
    /// # Errors
    /// When there is none, it is encrypted, or as [`Key::from_der`].
    pub fn from_pem(text: &[u8]) -> Result<Self, PkiError> {
        for block in pem::blocks(text)? {
            match block.label.as_str() {
                "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
                    return Self::from_der(&block.der);
                }
                "ENCRYPTED PRIVATE KEY" => {
                    return Err(PkiError::Key(
                        "it is encrypted; decrypt it, or use a PKCS#12 file",
                    ));
                }
                _ => {}
            }
        }
        Err(PkiError::malformed(
            "private key",
            "the file holds no PEM block of a private key",
        ))
    }

    /// Its kind and size.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The private key as PKCS#8 DER.
    pub fn expose_pkcs8_der(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The private key as PKCS#8 PEM.
    pub fn expose_pem(&self) -> Zeroizing<String> {
        pem::private("PRIVATE KEY", &self.pkcs8)
    }

    /// The public key as `SubjectPublicKeyInfo` DER.
    pub fn spki_der(&self) -> Vec<u8> {
        rcgen::PublicKeyData::subject_public_key_info(self)
    }

    /// Signs with the digest that belongs to the key, as certificates carry signatures.
    pub(super) fn signature(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let failed = |_| PkiError::Crypto("signing");
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Pair::Ec(pair) => Ok(pair
                .sign(&random, message)
                .map_err(failed)?
                .as_ref()
                .to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    fn wrap(algorithm: Algorithm, pair: Pair) -> Result<Self, PkiError> {
        let failed = |_| PkiError::Crypto("writing a key");
        let (public, pkcs8) = match &pair {
            Pair::Rsa(rsa) => (
                rsa.public_key().as_ref().to_vec(),
                AsDer::as_der(rsa).map_err(failed)?.as_ref().to_vec(),
            ),
            Pair::Ec(ec) => (
                ec.public_key().as_ref().to_vec(),
                ec.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            ),
            // Version 1: OpenSSL 3.0 and Java refuse the version 2 form with the public key inside.
            Pair::Ed25519(ed) => (
                ed.public_key().as_ref().to_vec(),
                ed.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            ),
        };
        Ok(Self {
            algorithm,
            pair,
            public,
            pkcs8: Zeroizing::new(pkcs8),
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm.rcgen()
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signature(message)
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_survives_pkcs8_and_pem() {
        for algorithm in [
            Algorithm::Rsa2048,
            Algorithm::P256,
            Algorithm::P384,
            Algorithm::Ed25519,
        ] {
            let key = Key::generate(algorithm).unwrap();
            let again = Key::from_pem(key.expose_pem().as_bytes()).unwrap();
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(again.spki_der(), key.spki_der());
            assert_eq!(again.expose_pkcs8_der(), key.expose_pkcs8_der());
        }
    }

    #[test]
    fn debug_shows_no_key_material() {
        let shown = format!("{:?}", Key::generate(Algorithm::Ed25519).unwrap());
        assert_eq!(shown, "Key { algorithm: Ed25519, .. }");
    }

    #[test]
    fn a_certificate_is_not_a_key() {
        assert!(Key::from_der(&[0x30, 0x03, 0x02, 0x01, 0x00]).is_err());
        assert!(
            Key::from_pem(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
                .is_err()
        );
    }
}
