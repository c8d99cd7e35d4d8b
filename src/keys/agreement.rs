//! Content keys on their way to an elliptic key: `ECDH-ES+A256KW` (RFC 7518 section 4.6) on P-256 and P-384, without `apu`
//! and `apv`.

use std::fmt;

use aws_lc_rs::{
    agreement::{self, ECDH_P256, ECDH_P384, ParsedPublicKey, UnparsedPublicKey},
    digest::{SHA256, digest},
    key_wrap::{AES_256, AesKek, KeyWrap},
};
use zeroize::Zeroizing;

use super::{KeyError, KeyKind, PublicKey};

/// Bytes of a content key wrapped with AES key wrap (RFC 3394).
pub const WRAPPED_LEN: usize = 40;

/// The first octet of an uncompressed point (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A private P-256 or P-384 key that unwraps.
pub struct AgreementKey {
    kind: KeyKind,
    key: agreement::PrivateKey,
}

impl AgreementKey {
    /// From PKCS#8.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not a P-256 or P-384 key.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, KeyError> {
        [KeyKind::P256, KeyKind::P384]
            .into_iter()
            .find_map(|kind| {
                let key = agreement::PrivateKey::from_private_key_der(curve(kind)?, der).ok()?;
                Some(Self { kind, key })
            })
            .ok_or(KeyError::Malformed)
    }

    /// Its curve.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Takes the content key out. `ephemeral` is the sender's uncompressed point.
    ///
    /// # Errors
    /// [`KeyError::Unwrapping`], whatever the cause: a point off the curve too.
    pub fn unwrap(
        &self,
        ephemeral: &[u8],
        wrapped: &[u8],
    ) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let point = point(self.kind, ephemeral).map_err(|_| KeyError::Unwrapping)?;
        let failed = KeyError::Unwrapping;
        let key_encryption_key = agreement::agree(&self.key, point, failed, |z| Ok(derive(z)))?;
        if wrapped.len() != WRAPPED_LEN {
            return Err(failed);
        }
        let mut room = Zeroizing::new([0; WRAPPED_LEN]);
        let plain = AesKek::new(&AES_256, key_encryption_key.as_slice())
            .and_then(|kek| kek.unwrap(wrapped, room.as_mut()))
            .map_err(|_| failed)?;
        <[u8; 32]>::try_from(&*plain)
            .map(Zeroizing::new)
            .map_err(|_| failed)
    }
}

impl fmt::Debug for AgreementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgreementKey({})", self.kind)
    }
}

/// A public P-256 or P-384 key that content keys are wrapped to.
pub struct AgreementPoint {
    kind: KeyKind,
    point: ParsedPublicKey,
}

impl AgreementPoint {
    /// From a public key.
    ///
    /// # Errors
    /// [`KeyError::Unfit`] when it is on neither curve, [`KeyError::Malformed`] when it is no point.
    pub fn new(key: &PublicKey) -> Result<Self, KeyError> {
        let kind = key.kind();
        let point = point(kind, key.raw())?;
        Ok(Self { kind, point })
    }

    /// Its curve.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Wraps a content key: the fresh ephemeral point, uncompressed, and the wrapped key.
    ///
    /// # Errors
    /// [`KeyError::Wrapping`] when the library fails.
    pub fn wrap(&self, content_key: &[u8; 32]) -> Result<(Vec<u8>, [u8; WRAPPED_LEN]), KeyError> {
        let failed = KeyError::Wrapping;
        let ephemeral = agreement::PrivateKey::generate(curve(self.kind).ok_or(KeyError::Unfit)?)
            .map_err(|_| failed)?;
        let public = ephemeral.compute_public_key().map_err(|_| failed)?;
        let key_encryption_key =
            agreement::agree(&ephemeral, self.point.clone(), failed, |z| Ok(derive(z)))?;
        let mut wrapped = [0; WRAPPED_LEN];
        AesKek::new(&AES_256, key_encryption_key.as_slice())
            .and_then(|kek| kek.wrap(content_key, &mut wrapped).map(|_| ()))
            .map_err(|_| failed)?;
        Ok((public.as_ref().to_vec(), wrapped))
    }
}

impl fmt::Debug for AgreementPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgreementPoint({})", self.kind)
    }
}

const fn curve(kind: KeyKind) -> Option<&'static agreement::Algorithm> {
    match kind {
        KeyKind::P256 => Some(&ECDH_P256),
        KeyKind::P384 => Some(&ECDH_P384),
        KeyKind::Rsa | KeyKind::Ed25519 => None,
    }
}

/// A point on the curve, from its uncompressed form alone: the library would also read other forms.
fn point(kind: KeyKind, bytes: &[u8]) -> Result<ParsedPublicKey, KeyError> {
    let curve = curve(kind).ok_or(KeyError::Unfit)?;
    let length = match kind {
        KeyKind::P384 => 97,
        _ => 65,
    };
    if bytes.len() != length || bytes.first() != Some(&UNCOMPRESSED) {
        return Err(KeyError::Malformed);
    }
    ParsedPublicKey::try_from(UnparsedPublicKey::new(curve, bytes)).map_err(|_| KeyError::Malformed)
}

/// The Concat KDF of RFC 7518 section 4.6.2 for `ECDH-ES+A256KW`: one round of SHA-256, since 256 bits are wanted.
fn derive(z: &[u8]) -> Zeroizing<[u8; 32]> {
    const ALGORITHM: &[u8] = b"ECDH-ES+A256KW";
    let mut input = Zeroizing::new(Vec::with_capacity(96));
    input.extend_from_slice(&1u32.to_be_bytes());
    input.extend_from_slice(z);
    input.extend_from_slice(&14u32.to_be_bytes());
    input.extend_from_slice(ALGORITHM);
    // PartyUInfo and PartyVInfo are empty, SuppPubInfo is the number of bits.
    for number in [0u32, 0, 256] {
        input.extend_from_slice(&number.to_be_bytes());
    }
    let mut out = Zeroizing::new([0; 32]);
    out.copy_from_slice(digest(&SHA256, &input).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (AgreementKey, AgreementPoint) {
        let made = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let spki = rcgen::PublicKeyData::subject_public_key_info(&made);
        (
            AgreementKey::from_pkcs8_der(made.serialized_der()).unwrap(),
            AgreementPoint::new(&PublicKey::from_spki(&spki).unwrap()).unwrap(),
        )
    }

    #[test]
    fn a_wrapped_key_comes_out_again_on_both_curves() {
        for (algorithm, kind, length) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, KeyKind::P256, 65),
            (&rcgen::PKCS_ECDSA_P384_SHA384, KeyKind::P384, 97),
        ] {
            let (key, point) = pair(algorithm);
            assert_eq!((key.kind(), point.kind()), (kind, kind));
            let (ephemeral, wrapped) = point.wrap(&[7; 32]).unwrap();
            assert_eq!(ephemeral.len(), length);
            assert_eq!(*key.unwrap(&ephemeral, &wrapped).unwrap(), [7; 32]);
            let (again, _) = point.wrap(&[7; 32]).unwrap();
            assert_ne!(again, ephemeral);
        }
    }

    #[test]
    fn every_failure_to_unwrap_looks_the_same() {
        let (key, point) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        let (ephemeral, wrapped) = point.wrap(&[7; 32]).unwrap();
        let (stranger, _) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(
            stranger.unwrap(&ephemeral, &wrapped).unwrap_err(),
            KeyError::Unwrapping
        );
        let (_, on_other_curve) = pair(&rcgen::PKCS_ECDSA_P384_SHA384);
        let foreign = on_other_curve.wrap(&[7; 32]).unwrap().0;
        let mut off_curve = ephemeral.clone();
        off_curve[40] ^= 1;
        let mut compressed = ephemeral[..33].to_vec();
        compressed[0] = 2;
        let mut hybrid = ephemeral.clone();
        hybrid[0] = 6;
        for bad in [
            &foreign[..],
            &off_curve,
            &compressed,
            &hybrid,
            &[],
            &[0],
            &[4; 65],
        ] {
            assert_eq!(key.unwrap(bad, &wrapped).unwrap_err(), KeyError::Unwrapping);
        }
        let mut altered = wrapped;
        altered[39] ^= 1;
        for bad in [&altered[..], &wrapped[..39], &wrapped[..24], &[]] {
            assert_eq!(
                key.unwrap(&ephemeral, bad).unwrap_err(),
                KeyError::Unwrapping
            );
        }
    }

    #[test]
    fn only_the_two_curves_agree() {
        let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert!(AgreementKey::from_pkcs8_der(made.serialized_der()).is_err());
        let spki = rcgen::PublicKeyData::subject_public_key_info(&made);
        let public = PublicKey::from_spki(&spki).unwrap();
        assert_eq!(AgreementPoint::new(&public).unwrap_err(), KeyError::Unfit);
    }

    /// RFC 7518 appendix C derives 128 bits for another algorithm; this is the same shared secret with ours, computed with
    /// Python's `cryptography`.
    #[test]
    fn the_derived_key_is_that_of_another_implementation() {
        let z = [
            158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49,
            110, 163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
        ];
        let hex: String = derive(&z).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "89ab838633757805bd678cb164f2427776824e8f784152f23747096449921f46"
        );
    }
}
