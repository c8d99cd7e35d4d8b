//! A public key as it stands in a certificate: its kind, its size, and its two encodings.

use std::fmt;

use x509_parser::{prelude::FromDer, public_key::PublicKey as Parsed, x509::SubjectPublicKeyInfo};

use super::{KeyError, roca::is_roca};

/// The kinds of key that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA.
    Rsa,
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RSA",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// A public key. Reading it does not judge its size; that is a matter of role.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    kind: KeyKind,
    bits: u32,
    spki: Vec<u8>,
    raw: Vec<u8>,
    roca: bool,
}

impl PublicKey {
    /// From the DER of a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not a key of a known kind.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let (rest, spki) = SubjectPublicKeyInfo::from_der(der).map_err(|_| KeyError::Malformed)?;
        if !rest.is_empty() || spki.subject_public_key.unused_bits != 0 {
            return Err(KeyError::Malformed);
        }
        let raw = spki.subject_public_key.data.to_vec();
        let curve = || {
            let parameters = spki.algorithm.parameters.as_ref()?;
            Some(parameters.as_oid().ok()?.to_id_string())
        };
        let mut roca = false;
        let (kind, bits) = match spki.algorithm.algorithm.to_id_string().as_str() {
            "1.2.840.113549.1.1.1" => {
                let Ok(Parsed::RSA(key)) = spki.parsed() else {
                    return Err(KeyError::Malformed);
                };
                roca = is_roca(key.modulus);
                (KeyKind::Rsa, bits(key.modulus))
            }
            "1.2.840.10045.2.1" => match curve().as_deref() {
                // Only the uncompressed form: it is the only one the TLS and JOSE sides agree on.
                Some("1.2.840.10045.3.1.7") if raw.len() == 65 => (KeyKind::P256, 256),
                Some("1.3.132.0.34") if raw.len() == 97 => (KeyKind::P384, 384),
                _ => return Err(KeyError::Malformed),
            },
            "1.3.101.112" if raw.len() == 32 => (KeyKind::Ed25519, 256),
            _ => return Err(KeyError::Malformed),
        };
        Ok(Self {
            kind,
            bits,
            spki: der.to_vec(),
            raw,
            roca,
        })
    }

    /// Its kind.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Its size: the length of an RSA modulus, or of a curve's field.
    pub const fn bits(&self) -> u32 {
        self.bits
    }

    /// Whether it is an RSA key of the faulty library of CVE-2017-15361, so that its private half is no secret.
    pub const fn is_roca(&self) -> bool {
        self.roca
    }

    /// The DER of its SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The content of its bit string: an RSAPublicKey, a point, or the 32 bytes of Ed25519. Two keys are the same key when
    /// kind and this are the same, however their parameters were written.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Whether both are the same key.
    pub fn same_key(&self, other: &Self) -> bool {
        self.kind == other.kind && self.raw == other.raw
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            KeyKind::Rsa => write!(f, "RSA-{}", self.bits),
            KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519 => write!(f, "{}", self.kind),
        }
    }
}

/// The length of a big-endian number in bits.
fn bits(number: &[u8]) -> u32 {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    let Some(first) = number.get(zeros) else {
        return 0;
    };
    let bytes = u32::try_from(number.len().saturating_sub(zeros)).unwrap_or(u32::MAX);
    bytes
        .saturating_mul(8)
        .saturating_sub(first.leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_of_a_number_do_not_count_leading_zeros() {
        assert_eq!(bits(&[0, 0x80, 0]), 16);
        assert_eq!(bits(&[0x7f, 0xff]), 15);
        assert_eq!(bits(&[0, 0]), 0);
    }
}
