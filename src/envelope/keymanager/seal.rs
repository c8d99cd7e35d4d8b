//! Sealing to one certificate.

use aes_gcm::{
    AeadInPlace, Aes256Gcm, AesGcm, KeyInit, Nonce,
    aead::consts::{U12, U16},
    aes::Aes256,
};

use super::{Binding, LEGACY_NONCE, Layout, OVERHEAD, SEED, SPLITTER, VERSION};
use crate::envelope::mosip_ida::{
    Recipient,
    cipher::{ContentKey, fill},
};

/// Why a value was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// `VER_R2` has room neither for a salt nor for additional data of the caller's.
    #[error("the layout takes neither a salt nor additional data")]
    Binding,
    /// The library failed.
    #[error("encrypting failed")]
    Failed,
}

/// The bytes of an encrypted value for one recipient, under a fresh key and nonce.
///
/// # Errors
/// See [`SealError`].
pub fn seal(
    plain: &[u8],
    recipient: &Recipient<'_>,
    layout: Layout,
    binding: Binding<'_>,
) -> Result<Vec<u8>, SealError> {
    if layout.is_r2() && !binding.is_empty() {
        return Err(SealError::Binding);
    }
    let key = ContentKey::random().map_err(|_| SealError::Failed)?;
    let wrapped = key
        .wrap(recipient.wrapping)
        .map_err(|_| SealError::Failed)?;
    let mut out = Vec::with_capacity(
        plain
            .len()
            .saturating_add(wrapped.len())
            .saturating_add(OVERHEAD),
    );
    if layout.is_r2() {
        out.extend_from_slice(VERSION);
    }
    if layout.has_key_id() {
        out.extend_from_slice(recipient.fingerprint.as_bytes());
    }
    out.extend_from_slice(&wrapped);
    out.extend_from_slice(SPLITTER);
    content(&mut out, plain, &key, layout, &binding).ok_or(SealError::Failed)?;
    Ok(out)
}

fn content(
    out: &mut Vec<u8>,
    plain: &[u8],
    key: &ContentKey,
    layout: Layout,
    binding: &Binding<'_>,
) -> Option<()> {
    let mut text = plain.to_vec();
    if layout.is_r2() || binding.salt.is_some() {
        let mut seed = [0; SEED];
        fill(&mut seed).ok()?;
        let (nonce, additional) = match binding.salt {
            Some(salt) => (salt, binding.additional),
            None => {
                out.extend_from_slice(&seed);
                (seed.first_chunk::<12>()?, seed.as_slice())
            }
        };
        let nonce: Nonce<U12> = (*nonce).into();
        let tag = Aes256Gcm::new(key.expose().into())
            .encrypt_in_place_detached(&nonce, additional, &mut text)
            .ok()?;
        out.extend_from_slice(&text);
        out.extend_from_slice(&tag);
        return Some(());
    }
    let mut nonce = [0; LEGACY_NONCE];
    fill(&mut nonce).ok()?;
    let cipher: AesGcm<Aes256, U16> = AesGcm::new(key.expose().into());
    let tag = cipher
        .encrypt_in_place_detached(&Nonce::from(nonce), binding.additional, &mut text)
        .ok()?;
    out.extend_from_slice(&text);
    out.extend_from_slice(&tag);
    out.extend_from_slice(&nonce);
    Some(())
}
