//! Decrypting a request: the recipient's key by thumbprint, then everything else in one piece.
//!
//! Whatever goes wrong between the thumbprint and the plain text is one refusal with one text, and takes the same road: a
//! key that does not unwrap is replaced by a random one, and both encrypted members are always decrypted. So neither code,
//! text nor time tells a padding failure from a tag failure.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{
    Request,
    cipher::{ContentKey, Failed},
    factors,
    members::Members,
    request::{BODY_MAX, Sealed, moment},
};
use crate::{
    clock::Moment,
    envelope::{
        forms,
        json::{self, Wiped},
    },
    ida::Factor,
    keys::DecryptionKey,
    refusal::{Code, Refusal},
    trust::Fingerprint,
};

/// A decrypted request: exact plain bytes and what was read from them. Wiped when dropped.
pub struct Opened {
    plain: Zeroizing<Vec<u8>>,
    timestamp: Moment,
    factors: Vec<Factor>,
}

impl Request {
    /// Decrypts with the one of our keys that `thumbprint` names.
    ///
    /// # Errors
    /// `ENC-001` when no key has that fingerprint (or nothing is encrypted); `ENC-002` when anything fails after that;
    /// `ENC-003` when the digest inside does not fit; `MSG-001` to `MSG-003` and `FRS-001` when the plain text is not of its form.
    pub fn decrypt(&self, keys: &[(Fingerprint, &DecryptionKey)]) -> Result<Opened, Refusal> {
        let (sealed, key) = self
            .sealed()
            .and_then(|sealed| {
                let (_, key) = keys.iter().find(|(name, _)| *name == sealed.thumbprint)?;
                Some((sealed, *key))
            })
            .ok_or_else(|| {
                let cause = "no key of ours has that thumbprint";
                Refusal::new(Code::RecipientUnknown, cause).naming("thumbprint")
            })?;
        let (plain, digest) = decrypt(sealed, key).map_err(|Failed| {
            Refusal::new(Code::Undecryptable, "decryption failed").naming("request")
        })?;
        let expected = Zeroizing::new(forms::upper_hex(&forms::sha256(&plain)));
        if !bool::from(expected.as_bytes().ct_eq(&digest)) {
            let cause = "the digest inside is not that of the content";
            return Err(Refusal::new(Code::IntegrityWrong, cause).naming("requestHMAC"));
        }
        Opened::read(plain)
    }
}

impl Opened {
    fn read(plain: Zeroizing<Vec<u8>>) -> Result<Self, Refusal> {
        let value = json::read(&plain, BODY_MAX).map(Wiped).map_err(|e| {
            Refusal::new(Code::MessageForm, format!("the plain text: {e}")).naming("request")
        })?;
        let timestamp = moment(Members(&value.0), "timestamp")?;
        let factors = factors::of(&value.0)?;
        drop(value);
        Ok(Self {
            plain,
            timestamp,
            factors,
        })
    }

    /// The plain bytes, exactly as they were encrypted. Personal.
    pub fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// The inner `timestamp`: the same window holds for it as for `requestTime`.
    pub const fn timestamp(&self) -> Moment {
        self.timestamp
    }

    /// What the request authenticates with, in order and once each; may be empty. Biometric kinds are as the devices' payloads
    /// name them, unverified: that is IDA's to check.
    pub fn factors(&self) -> &[Factor] {
        &self.factors
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("factors", &self.factors)
            .finish_non_exhaustive()
    }
}

type Plain = Zeroizing<Vec<u8>>;

fn decrypt(sealed: &Sealed, key: &DecryptionKey) -> Result<(Plain, Plain), Failed> {
    let content_key = ContentKey::unwrap(key, &sealed.session_key)?;
    let digest = content_key.open(Zeroizing::new(sealed.hmac.clone()));
    let plain = content_key.open(Zeroizing::new(sealed.request.clone()));
    Ok((plain?, digest?))
}

#[cfg(test)]
mod tests;
