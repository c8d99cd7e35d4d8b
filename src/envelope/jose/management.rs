//! Our keys behind josekit's decrypter: unwrapping the content key of one message.
//!
//! It lives for one message and holds its content key, so that josekit only borrows it and it is wiped at the end.

use std::{
    borrow::Cow,
    sync::{LazyLock, OnceLock},
};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use josekit::{
    JoseError,
    jwe::{
        ECDH_ES_A256KW, JweAlgorithm, JweContentEncryption, JweDecrypter, JweHeader, RSA_OAEP_256,
    },
};
use zeroize::Zeroizing;

use super::{content::failed, header::EphemeralKey};
use crate::keys::{ContentUnwrapKey, KeyError};

type ContentKey = Zeroizing<[u8; 32]>;

/// Unwraps the content key of one message.
#[derive(Clone)]
pub(super) struct Decrypter {
    key: ContentUnwrapKey,
    ephemeral: Option<EphemeralKey>,
    content_key: OnceLock<ContentKey>,
}

impl Decrypter {
    pub(super) const fn new(key: ContentUnwrapKey, ephemeral: Option<EphemeralKey>) -> Self {
        Self {
            key,
            ephemeral,
            content_key: OnceLock::new(),
        }
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<ContentKey, KeyError> {
        match (&self.key, &self.ephemeral) {
            (ContentUnwrapKey::Rsa(key), None) => {
                let unwrapped = key.unwrap(wrapped)?;
                <[u8; 32]>::try_from(unwrapped.as_slice())
                    .map(Zeroizing::new)
                    .map_err(|_| KeyError::Unwrapping)
            }
            (ContentUnwrapKey::Curve(key), Some(ephemeral)) => {
                key.unwrap(ephemeral.point(), wrapped)
            }
            _ => Err(KeyError::Unwrapping),
        }
    }
}

impl JweDecrypter for Decrypter {
    fn algorithm(&self) -> &dyn JweAlgorithm {
        match self.key {
            ContentUnwrapKey::Rsa(_) => &RSA_OAEP_256,
            ContentUnwrapKey::Curve(_) => &ECDH_ES_A256KW,
        }
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    /// Where unwrapping fails the answer is a key that nobody knows, so that what follows takes the same road and fails there
    /// (RFC 7516 section 11.5).
    fn decrypt(
        &self,
        encrypted_key: Option<&[u8]>,
        _: &dyn JweContentEncryption,
        _: &JweHeader,
    ) -> Result<Cow<'_, [u8]>, JoseError> {
        let instead = NOBODYS
            .as_ref()
            .ok_or_else(|| failed(KeyError::Unwrapping))?;
        let content_key = self.content_key.get_or_init(|| {
            self.unwrap(encrypted_key.unwrap_or_default())
                .unwrap_or_else(|_| instead.clone())
        });
        Ok(Cow::Borrowed(content_key.as_slice()))
    }

    fn box_clone(&self) -> Box<dyn JweDecrypter> {
        Box::new(self.clone())
    }
}

impl std::fmt::Debug for Decrypter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Decrypter").field(&self.key).finish()
    }
}

/// What stands in for a content key that does not unwrap: nobody knows it, and nothing was sealed with it.
static NOBODYS: LazyLock<Option<ContentKey>> = LazyLock::new(|| {
    let mut key = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(key.as_mut()).ok()?;
    Some(key)
});
