//! Our keys behind josekit's encrypter and decrypter: wrapping and unwrapping the content key of one message.
//!
//! Both live for one message and hold its content key, so that josekit only borrows it and it is wiped at the end.

use std::{borrow::Cow, sync::OnceLock};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use josekit::{
    JoseError,
    jwe::{
        ECDH_ES_A256KW, JweAlgorithm, JweContentEncryption, JweDecrypter, JweEncrypter, JweHeader,
        RSA_OAEP_256,
    },
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{content::failed, header::EphemeralKey};
use crate::{
    envelope::forms,
    keys::{ContentUnwrapKey, ContentWrapKey, KeyError},
};

type ContentKey = Zeroizing<[u8; 32]>;

/// Wraps the content key of one message.
#[derive(Clone)]
pub(super) struct Encrypter {
    key: ContentWrapKey,
    content_key: ContentKey,
}

impl Encrypter {
    pub(super) fn new(key: ContentWrapKey) -> Result<Self, KeyError> {
        let content_key = random()?;
        Ok(Self { key, content_key })
    }
}

impl JweEncrypter for Encrypter {
    fn algorithm(&self) -> &dyn JweAlgorithm {
        match self.key {
            ContentWrapKey::Rsa(_) => &RSA_OAEP_256,
            ContentWrapKey::Curve(_) => &ECDH_ES_A256KW,
        }
    }

    fn key_id(&self) -> Option<&str> {
        None
    }

    fn compute_content_encryption_key(
        &self,
        _: &dyn JweContentEncryption,
        _: &JweHeader,
        _: &mut JweHeader,
    ) -> Result<Option<Cow<'_, [u8]>>, JoseError> {
        Ok(Some(Cow::Borrowed(self.content_key.as_slice())))
    }

    fn encrypt(
        &self,
        _: &[u8],
        _: &JweHeader,
        out_header: &mut JweHeader,
    ) -> Result<Option<Vec<u8>>, JoseError> {
        match &self.key {
            ContentWrapKey::Rsa(key) => key.wrap(&self.content_key).map(Some).map_err(failed),
            ContentWrapKey::Curve(key) => {
                let (point, wrapped) = key.wrap(&self.content_key).map_err(failed)?;
                out_header.set_claim("epk", Some(epk(&point)))?;
                Ok(Some(wrapped.to_vec()))
            }
        }
    }

    fn box_clone(&self) -> Box<dyn JweEncrypter> {
        Box::new(self.clone())
    }
}

impl std::fmt::Debug for Encrypter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Encrypter").field(&self.key).finish()
    }
}

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

    /// Where unwrapping fails the answer is a random key, so that what follows takes the same road and fails there
    /// (RFC 7516 section 11.5).
    fn decrypt(
        &self,
        encrypted_key: Option<&[u8]>,
        _: &dyn JweContentEncryption,
        _: &JweHeader,
    ) -> Result<Cow<'_, [u8]>, JoseError> {
        let random = random().map_err(failed)?;
        let content_key = self.content_key.get_or_init(|| {
            self.unwrap(encrypted_key.unwrap_or_default())
                .unwrap_or(random)
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

/// The sender's point as a JWK: nothing but the four members.
fn epk(point: &[u8]) -> Value {
    let (_, xy) = point.split_at_checked(1).unwrap_or_default();
    let (x, y) = xy.split_at_checked(xy.len() / 2).unwrap_or_default();
    let curve = if x.len() == 32 { "P-256" } else { "P-384" };
    json!({
        "kty": "EC",
        "crv": curve,
        "x": forms::to_base64url(x),
        "y": forms::to_base64url(y),
    })
}

fn random() -> Result<ContentKey, KeyError> {
    let mut key = Zeroizing::new([0; 32]);
    SystemRandom::new()
        .fill(key.as_mut())
        .map_err(|_| KeyError::Wrapping)?;
    Ok(key)
}
