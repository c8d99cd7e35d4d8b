//! Content keys on their way: RSA-OAEP with SHA-256 in both places and an empty label, as MOSIP and `RSA-OAEP-256` have it.

use std::fmt;

use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use zeroize::Zeroizing;

use super::{KeyError, KeyKind, PublicKey};

/// A private RSA key that unwraps.
pub struct DecryptionKey(OaepPrivateDecryptingKey);

impl DecryptionKey {
    /// From PKCS#8.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not an RSA key of 2048 to 8192 bits.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        let key = PrivateDecryptingKey::from_pkcs8(der).map_err(|_| KeyError::Malformed)?;
        if !(2048..=8192).contains(&key.key_size_bits()) {
            return Err(KeyError::Malformed);
        }
        OaepPrivateDecryptingKey::new(key)
            .map(Self)
            .map_err(|_| KeyError::Malformed)
    }

    /// Length of the modulus, and so of everything wrapped to this key, in bytes.
    pub fn modulus_len(&self) -> usize {
        self.0.key_size_bytes()
    }

    /// Takes the content key out.
    ///
    /// # Errors
    /// [`KeyError::Unwrapping`], whatever the cause.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        if wrapped.len() != self.modulus_len() {
            return Err(KeyError::Unwrapping);
        }
        let mut room = Zeroizing::new(vec![0; self.0.min_output_size()]);
        let plain = self
            .0
            .decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut room, None)
            .map_err(|_| KeyError::Unwrapping)?;
        Ok(Zeroizing::new(plain.to_vec()))
    }
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecryptionKey(RSA-{})", self.0.key_size_bits())
    }
}

/// A public RSA key that wraps.
pub struct WrappingKey(OaepPublicEncryptingKey);

impl WrappingKey {
    /// From a public key.
    ///
    /// # Errors
    /// [`KeyError::Unfit`] when it is not RSA, [`KeyError::Malformed`] when the library does not take it.
    pub fn new(key: &PublicKey) -> Result<Self, KeyError> {
        if key.kind() != KeyKind::Rsa || key.is_roca() {
            return Err(KeyError::Unfit);
        }
        if !(2048..=8192).contains(&key.bits()) {
            return Err(KeyError::Malformed);
        }
        let key = PublicEncryptingKey::from_der(key.spki_der()).map_err(|_| KeyError::Malformed)?;
        OaepPublicEncryptingKey::new(key)
            .map(Self)
            .map_err(|_| KeyError::Malformed)
    }

    /// Length of what [`WrappingKey::wrap`] gives, in bytes.
    pub fn modulus_len(&self) -> usize {
        self.0.key_size_bytes()
    }

    /// Wraps a content key.
    ///
    /// # Errors
    /// [`KeyError::Wrapping`] when the library fails.
    pub fn wrap(&self, content_key: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
        let mut wrapped = vec![0; self.0.ciphertext_size()];
        let length = self
            .0
            .encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut wrapped, None)
            .map_err(|_| KeyError::Wrapping)?
            .len();
        wrapped.truncate(length);
        Ok(wrapped)
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappingKey(RSA-{})", self.0.key_size_bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_comes_out_again_and_every_failure_looks_the_same() {
        let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&made);
        let wrapping = WrappingKey::new(&PublicKey::from_spki(&spki).unwrap()).unwrap();
        let key = DecryptionKey::from_pkcs8_der(made.serialized_der()).unwrap();
        let wrapped = wrapping.wrap(&[7; 32]).unwrap();
        assert_eq!(wrapped.len(), key.modulus_len());
        assert_eq!(key.unwrap(&wrapped).unwrap().as_slice(), &[7; 32]);

        let mut altered = wrapped.clone();
        altered[100] ^= 1;
        for bad in [&altered[..], &wrapped[1..], &[], &[0xff; 256]] {
            assert_eq!(key.unwrap(bad).unwrap_err(), KeyError::Unwrapping);
        }
    }

    #[test]
    fn debug_of_a_private_key_shows_its_size_only() {
        let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let key = DecryptionKey::from_pkcs8_der(made.serialized_der()).unwrap();
        assert_eq!(format!("{key:?}"), "DecryptionKey(RSA-2048)");
    }
}
