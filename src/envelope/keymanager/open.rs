//! Opening: what everybody can see is checked first, then one decryption with one answer for every failure.

use aes_gcm::{
    AeadInPlace, Aes256Gcm, AesGcm, KeyInit, Nonce, Tag,
    aead::consts::{U12, U16},
    aes::Aes256,
};
use zeroize::Zeroizing;

use super::{Binding, LEGACY_NONCE, Layout, SEED, SPLITTER, TAG, THUMBPRINT, VERSION};
use crate::{envelope::mosip_ida::cipher::ContentKey, keys::DecryptionKey, trust::Fingerprint};

/// Which thumbprints are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thumbprint {
    /// That of one of our certificates.
    #[default]
    Ours,
    /// Ours, or 32 zero bytes: the OpenCRVS mock.
    OursOrZero,
    /// Whatever stands there: the Java mediator of OpenCRVS writes random bytes. The key decides by itself.
    Any,
}

/// What a sender is known to write.
#[derive(Clone, Copy, Debug)]
pub struct Contract<'c> {
    /// The layouts that are taken.
    pub layouts: &'c [Layout],
    /// The thumbprints that are taken.
    pub thumbprint: Thumbprint,
}

impl Contract<'static> {
    /// What MOSIP 1.2.0 and later write: `VER_R2` to our certificate.
    pub const STRICT: Self = Self {
        layouts: &[Layout::R2],
        thumbprint: Thumbprint::Ours,
    };
}

/// One of our encryption keys with its certificate.
#[derive(Clone, Copy, Debug)]
pub struct RecipientKey<'k> {
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// Its private key.
    pub key: &'k DecryptionKey,
}

/// Why a value was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is in no layout of the contract. Anybody can see that without a key.
    #[error("the value is in no layout that is taken from this sender")]
    Layout,
    /// It names a certificate that is none of ours.
    #[error("the value is encrypted to a certificate that is not ours")]
    NotOurs,
    /// Unwrapping or decrypting failed. One error for every cause.
    #[error("the value cannot be decrypted")]
    Failed,
}

/// The text behind an encrypted value.
///
/// `keys` are tried by thumbprint; where the contract lets a thumbprint say nothing, by turns.
///
/// # Errors
/// See [`OpenError`].
pub fn open(
    sealed: &[u8],
    keys: &[RecipientKey<'_>],
    contract: Contract<'_>,
    binding: Binding<'_>,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut seen = OpenError::Layout;
    for key in keys {
        let Some(parts) = Parts::cut(sealed, key.key.modulus_len(), contract.layouts, &binding)
        else {
            continue;
        };
        if !takes(contract.thumbprint, parts.thumbprint, key.fingerprint) {
            if seen == OpenError::Layout {
                seen = OpenError::NotOurs;
            }
            continue;
        }
        match parts.decrypt(key.key, &binding) {
            Ok(text) => return Ok(text),
            Err(failed) => seen = failed,
        }
    }
    Err(seen)
}

fn takes(rule: Thumbprint, written: Option<&[u8]>, ours: Fingerprint) -> bool {
    let Some(written) = written else {
        return true;
    };
    written == ours.as_bytes()
        || match rule {
            Thumbprint::Ours => false,
            Thumbprint::OursOrZero => written.iter().all(|byte| *byte == 0),
            Thumbprint::Any => true,
        }
}

/// The parts of a value, as the size of the recipient's key puts them.
struct Parts<'s> {
    layout: Layout,
    thumbprint: Option<&'s [u8]>,
    wrapped: &'s [u8],
    content: &'s [u8],
}

impl<'s> Parts<'s> {
    fn cut(
        sealed: &'s [u8],
        modulus: usize,
        layouts: &[Layout],
        binding: &Binding<'_>,
    ) -> Option<Self> {
        let (r2, body) = match sealed.strip_prefix(VERSION) {
            Some(body) => (true, body),
            None => (false, sealed),
        };
        layouts
            .iter()
            .filter(|layout| layout.is_r2() == r2 && (!r2 || binding.is_empty()))
            .find_map(|layout| {
                let (thumbprint, rest) = if layout.has_key_id() {
                    let (thumbprint, rest) = body.split_at_checked(THUMBPRINT)?;
                    (Some(thumbprint), rest)
                } else {
                    (None, body)
                };
                let (wrapped, rest) = rest.split_at_checked(modulus)?;
                let content = rest.strip_prefix(SPLITTER)?;
                let least = match (r2, binding.salt) {
                    (true, _) => SEED.checked_add(TAG)?,
                    (false, Some(_)) => TAG,
                    (false, None) => TAG.checked_add(LEGACY_NONCE)?,
                };
                (content.len() >= least).then_some(Self {
                    layout: *layout,
                    thumbprint,
                    wrapped,
                    content,
                })
            })
    }

    fn decrypt(
        &self,
        key: &DecryptionKey,
        binding: &Binding<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let key = ContentKey::unwrap(key, self.wrapped).map_err(|_| OpenError::Failed)?;
        self.content(&key, binding).ok_or(OpenError::Failed)
    }

    fn content(&self, key: &ContentKey, binding: &Binding<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let short = |nonce: &[u8; 12], additional: &[u8], sealed: &[u8]| {
            let (text, tag) = sealed.split_last_chunk::<TAG>()?;
            let mut text = Zeroizing::new(text.to_vec());
            let cipher = Aes256Gcm::new(key.expose().into());
            let nonce: Nonce<U12> = (*nonce).into();
            cipher
                .decrypt_in_place_detached(&nonce, additional, &mut text, &Tag::from(*tag))
                .ok()?;
            Some(text)
        };
        if self.layout.is_r2() {
            let (seed, sealed) = self.content.split_first_chunk::<SEED>()?;
            return short(seed.first_chunk::<12>()?, seed, sealed);
        }
        if let Some(salt) = binding.salt {
            return short(salt, binding.additional, self.content);
        }
        let (sealed, nonce) = self.content.split_last_chunk::<LEGACY_NONCE>()?;
        let (text, tag) = sealed.split_last_chunk::<TAG>()?;
        let mut text = Zeroizing::new(text.to_vec());
        let cipher: AesGcm<Aes256, U16> = AesGcm::new(key.expose().into());
        let nonce: Nonce<U16> = (*nonce).into();
        cipher
            .decrypt_in_place_detached(&nonce, binding.additional, &mut text, &Tag::from(*tag))
            .ok()?;
        Some(text)
    }
}
