//! Which key a certificate is made for, and which signature such a key makes.

use std::{fmt, str::FromStr};

use aws_lc_rs::rsa::KeySize;

use super::PkiError;

/// A kind and size of key. An issuer signs with the digest its key calls for: SHA-256, or SHA-384 on P-384.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSA with 2048 bits: what MOSIP itself uses.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384. MOSIP's upload refuses its signatures (KER-PCM-014): not for CAs of partners.
    P384,
    /// Ed25519. MOSIP's upload refuses its signatures (KER-PCM-014): not for CAs of partners.
    Ed25519,
}

impl Algorithm {
    /// All of them, for help texts and tests.
    pub const ALL: [Self; 6] = [
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::P256,
        Self::P384,
        Self::Ed25519,
    ];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The RSA size, for RSA keys.
    pub(super) const fn rsa_size(self) -> Option<KeySize> {
        match self {
            Self::Rsa2048 => Some(KeySize::Rsa2048),
            Self::Rsa3072 => Some(KeySize::Rsa3072),
            Self::Rsa4096 => Some(KeySize::Rsa4096),
            Self::P256 | Self::P384 | Self::Ed25519 => None,
        }
    }

    /// rcgen's word for the signatures of such a key.
    pub(super) const fn rcgen(self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &rcgen::PKCS_RSA_SHA256,
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }

    /// The `AlgorithmIdentifier` of the signatures of such a key, in DER (RFC 3279, 5758, 8410).
    pub(super) const fn signature_identifier(self) -> &'static [u8] {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => &[
                0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05,
                0x00,
            ],
            Self::P256 => &[
                0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02,
            ],
            Self::P384 => &[
                0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03,
            ],
            Self::Ed25519 => &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70],
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let plain = text.to_ascii_lowercase().replace(['-', '_'], "");
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == plain)
            .ok_or_else(|| PkiError::Name {
                what: "algorithm",
                value: text.to_owned(),
                why: "it is one of rsa2048, rsa3072, rsa4096, p256, p384, ed25519",
            })
    }
}
