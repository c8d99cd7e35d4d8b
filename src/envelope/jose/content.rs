//! The one content encryption, A256GCM on aws-lc-rs, in the form josekit calls it. It takes nothing but a 12-byte IV and a
//! 16-byte tag, where josekit's own takes what it gets.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use josekit::{JoseError, jwe::JweContentEncryption};

use super::header::CONTENT_ENCRYPTION;
use crate::keys::KeyError;

/// Bytes of the initialisation vector.
pub(super) const IV: usize = 12;
/// Bytes of the authentication tag.
pub(super) const TAG: usize = 16;

/// AES-256-GCM.
#[derive(Clone, Debug)]
pub(super) struct Aes256Gcm;

impl JweContentEncryption for Aes256Gcm {
    fn name(&self) -> &str {
        CONTENT_ENCRYPTION
    }

    fn key_len(&self) -> usize {
        32
    }

    fn iv_len(&self) -> usize {
        IV
    }

    fn encrypt(
        &self,
        key: &[u8],
        iv: Option<&[u8]>,
        message: &[u8],
        aad: &[u8],
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), JoseError> {
        let mut text = message.to_vec();
        let tag = seal(key, iv.unwrap_or_default(), aad, &mut text).map_err(failed)?;
        Ok((text, Some(tag.to_vec())))
    }

    fn decrypt(
        &self,
        key: &[u8],
        iv: Option<&[u8]>,
        encrypted_message: &[u8],
        aad: &[u8],
        tag: Option<&[u8]>,
    ) -> Result<Vec<u8>, JoseError> {
        let (key, nonce) = ready(key, iv.unwrap_or_default()).map_err(failed)?;
        let tag = tag
            .filter(|tag| tag.len() == TAG)
            .ok_or_else(|| failed(KeyError::Unwrapping))?;
        let mut plain = vec![0; encrypted_message.len()];
        key.open_separate_gather(nonce, Aad::from(aad), encrypted_message, tag, &mut plain)
            .map_err(|_| failed(KeyError::Unwrapping))?;
        Ok(plain)
    }

    fn box_clone(&self) -> Box<dyn JweContentEncryption> {
        Box::new(self.clone())
    }
}

/// Encrypts in place: the tag.
pub(super) fn seal(
    key: &[u8],
    iv: &[u8],
    aad: &[u8],
    text: &mut [u8],
) -> Result<[u8; TAG], KeyError> {
    let (key, nonce) = ready(key, iv)?;
    key.seal_in_place_separate_tag(nonce, Aad::from(aad), text)
        .ok()
        .and_then(|tag| tag.as_ref().try_into().ok())
        .ok_or(KeyError::Wrapping)
}

fn ready(key: &[u8], iv: &[u8]) -> Result<(LessSafeKey, Nonce), KeyError> {
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| KeyError::Unwrapping)?;
    let nonce = Nonce::try_assume_unique_for_key(iv).map_err(|_| KeyError::Unwrapping)?;
    Ok((LessSafeKey::new(key), nonce))
}

/// josekit's error around ours. It goes no further than the caller of josekit, who drops it.
pub(super) fn failed(error: KeyError) -> JoseError {
    JoseError::InvalidKeyFormat(error.into())
}
