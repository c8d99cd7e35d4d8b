//! MOSIP's hybrid encryption: RSA-OAEP (SHA-256, MGF1-SHA-256) of a fresh AES-256 key, and AES-256-GCM with a **16-byte**
//! nonce, written as `ciphertext ‖ tag ‖ nonce`, without additional data.
//!
//! Do not use it for `VER_R2` or JWE: their nonces are 12 bytes.

use aes_gcm::{AeadInPlace, AesGcm, KeyInit, Nonce, Tag, aead::consts::U16, aes::Aes256};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::{
    keys::{DecryptionKey, WrappingKey},
    trust::Fingerprint,
};

/// Bytes of tag and nonce, each.
const TAG: usize = 16;
const NONCE: usize = 16;

/// What encryption adds to a text.
pub(in crate::envelope) const OVERHEAD: usize = TAG + NONCE;

/// Why an operation failed. There is no detail on purpose: every cause of a failed decryption looks the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::envelope) struct Failed;

/// Whom a message is sealed to: an encryption certificate with its key.
pub struct Recipient<'k> {
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// The certificate's key.
    pub wrapping: &'k WrappingKey,
}

/// The key of one message.
pub(in crate::envelope) struct ContentKey(Zeroizing<[u8; 32]>);

impl ContentKey {
    pub(in crate::envelope) fn random() -> Result<Self, Failed> {
        let mut key = Zeroizing::new([0; 32]);
        fill(key.as_mut())?;
        Ok(Self(key))
    }

    /// Unwraps a content key. Where that fails the answer is a random key, so that what follows takes the same road and
    /// fails there (RFC 7516 section 11.5). Only a wrapped key whose length is not the modulus', which everybody can see, is
    /// not worth an RSA operation.
    pub(in crate::envelope) fn unwrap(key: &DecryptionKey, wrapped: &[u8]) -> Result<Self, Failed> {
        let mut random = Self::random()?;
        if let Ok(unwrapped) = key.unwrap(wrapped)
            && let Ok(bytes) = <&[u8; 32]>::try_from(unwrapped.as_slice())
        {
            random.0.copy_from_slice(bytes);
        }
        Ok(random)
    }

    pub(in crate::envelope) fn wrap(&self, key: &WrappingKey) -> Result<Vec<u8>, Failed> {
        key.wrap(&self.0).map_err(|_| Failed)
    }

    /// The key's bytes, for the other layouts of MOSIP's hybrid encryption.
    pub(in crate::envelope) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// `ciphertext ‖ tag ‖ nonce` of a text, with a fresh nonce.
    pub(in crate::envelope) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Failed> {
        let mut nonce = [0; NONCE];
        fill(&mut nonce)?;
        let mut out = Vec::with_capacity(plain.len().saturating_add(OVERHEAD));
        out.extend_from_slice(plain);
        let tag = self
            .cipher()
            .encrypt_in_place_detached(&Nonce::from(nonce), &[], &mut out)
            .map_err(|_| Failed)?;
        out.extend_from_slice(&tag);
        out.extend_from_slice(&nonce);
        Ok(out)
    }

    /// The text behind `ciphertext ‖ tag ‖ nonce`, decrypted where it stands.
    pub(in crate::envelope) fn open(
        &self,
        mut sealed: Zeroizing<Vec<u8>>,
    ) -> Result<Zeroizing<Vec<u8>>, Failed> {
        let at = sealed.len().checked_sub(OVERHEAD).ok_or(Failed)?;
        let (text, rest) = sealed.split_at_mut_checked(at).ok_or(Failed)?;
        let (tag, nonce) = rest.split_first_chunk::<TAG>().ok_or(Failed)?;
        let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| Failed)?;
        self.cipher()
            .decrypt_in_place_detached(&Nonce::from(nonce), &[], text, &Tag::from(*tag))
            .map_err(|_| Failed)?;
        sealed.truncate(at);
        Ok(sealed)
    }

    fn cipher(&self) -> AesGcm<Aes256, U16> {
        AesGcm::new((&*self.0).into())
    }
}

pub(in crate::envelope) fn fill(bytes: &mut [u8]) -> Result<(), Failed> {
    SystemRandom::new().fill(bytes).map_err(|_| Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed() -> ContentKey {
        ContentKey(Zeroizing::new([7; 32]))
    }

    #[test]
    fn what_is_sealed_opens_and_has_the_contracted_layout() {
        let sealed = fixed().seal(b"plain").unwrap();
        assert_eq!(sealed.len(), 5 + 32);
        let opened = fixed().open(Zeroizing::new(sealed)).unwrap();
        assert_eq!(opened.as_slice(), b"plain");
    }

    /// Made with Python's `cryptography` (OpenSSL): `ct + tag + nonce` of a fixed key and nonce.
    #[test]
    fn what_openssl_sealed_opens() {
        let key = ContentKey(Zeroizing::new(std::array::from_fn(|n| {
            u8::try_from(n).unwrap()
        })));
        let sealed = crate::envelope::forms::unhex(
            "4ea079afec7d6d29a83a52c4af5dc4df264cd6798ad9bb26d3fdd60d463fdc76404142434445464748494a4b4c4d4e4f",
        )
        .unwrap();
        let opened = key.open(Zeroizing::new(sealed)).unwrap();
        assert_eq!(opened.as_slice(), br#"{"otp":"111111"}"#);
    }

    #[test]
    fn every_bit_is_under_the_tag() {
        let sealed = fixed().seal(b"plain").unwrap();
        for at in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[at / 8] ^= 1 << (at % 8);
            assert!(fixed().open(Zeroizing::new(altered)).is_err(), "bit {at}");
        }
    }

    #[test]
    fn short_tags_and_nonces_are_refused() {
        let sealed = fixed().seal(b"plain").unwrap();
        for cut in 0..sealed.len() {
            assert!(
                fixed()
                    .open(Zeroizing::new(sealed[..cut].to_vec()))
                    .is_err()
            );
            assert!(
                fixed()
                    .open(Zeroizing::new(sealed[cut + 1..].to_vec()))
                    .is_err()
            );
        }
        // A tag of 15 bytes, then the whole nonce.
        let mut short = sealed.clone();
        short.remove(5 + 15);
        assert!(fixed().open(Zeroizing::new(short)).is_err());
    }

    #[test]
    fn nonces_are_fresh() {
        let (one, two) = (fixed().seal(b"x").unwrap(), fixed().seal(b"x").unwrap());
        assert_ne!(one[one.len() - 16..], two[two.len() - 16..]);
    }
}
