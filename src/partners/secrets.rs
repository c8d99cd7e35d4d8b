//! Secrets that are stored as hashes: API keys, licence keys and bearer tokens.
//!
//! An API key of MOSIP is a number below 1,000,000. Whoever reads a plain or salted hash of it tries all numbers in a
//! second, so a salt helps nothing here; the hash must be keyed. The key is the *pepper*: a secret of the gateway that
//! stands outside the partner files. What is stored is
//!
//! ```text
//! hmac-sha256:<base64url of HMAC-SHA256(pepper, kind ‖ 0x00 ‖ secret)>
//! ```
//!
//! There is no salt for each secret, on purpose: the same secret of the same kind always gives the same hash, so looking
//! one up among thousands costs one HMAC and one probe of a map. What a salt would hide is that two entries hold the same
//! secret; for licence keys (50 random characters) and tokens that never happens, and for API keys, which are only unique
//! within one partner, it says nothing of use to somebody who lacks the pepper. The kind is part of the input, so that a
//! hash made for one kind never fits another.
//!
//! Timing: a caller cannot steer a hash without the pepper, so probing a map by hash tells nothing about the secrets in
//! it; where candidates are compared one by one, they all are, in constant time.

use std::fmt;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::{Choice, ConstantTimeEq};

use crate::keys::Secret;

/// The shortest pepper, in bytes.
pub const PEPPER_MIN_BYTES: usize = 16;
/// The longest secret that is looked at, in bytes. Everything longer is unknown.
pub const SECRET_MAX_BYTES: usize = 1024;

const PREFIX: &str = "hmac-sha256:";

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// An API key, or the OIDC client id that stands in its place.
    ApiKey,
    /// A MISP licence key.
    LicenceKey,
    /// A bearer token of a service.
    Token,
}

impl SecretKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::ApiKey, Self::LicenceKey, Self::Token];

    /// The word on the command line and in the input of the hash; never changed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::LicenceKey => "licence-key",
            Self::Token => "token",
        }
    }
}

/// A stored hash. Equality and hashing are for maps and for finding duplicates in files; comparing a caller's secret goes
/// through [`HashedSecret::fits`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HashedSecret([u8; 32]);

/// Text that is not a stored hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// It does not start with `hmac-sha256:`.
    #[error("this is not a hash: it does not start with `{PREFIX}`")]
    Prefix,
    /// What follows is not 32 bytes of base64url without padding.
    #[error("this is not a whole hash: 43 characters of base64url must follow `{PREFIX}`")]
    Digest,
}

impl HashedSecret {
    /// Reads what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// When the text has another form. The error does not repeat the text, which may be a secret put there by mistake.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let digest = text.strip_prefix(PREFIX).ok_or(HashError::Prefix)?;
        URL_SAFE_NO_PAD
            .decode(digest)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(HashError::Digest)
    }

    /// Whether two hashes are the same, in constant time.
    pub fn fits(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for HashedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for HashedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashedSecret(..)")
    }
}

/// The key of the hashes.
pub struct Pepper(hmac::Key);

/// A pepper that protects nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pepper has {0} bytes; it needs {PEPPER_MIN_BYTES} or more")]
pub struct PepperError(usize);

impl Pepper {
    /// A pepper from the secret that `gateway.pepper` points to.
    ///
    /// # Errors
    /// When it is too short.
    pub fn new(secret: &Secret) -> Result<Self, PepperError> {
        Self::from_bytes(secret.expose())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, PepperError> {
        if bytes.len() < PEPPER_MIN_BYTES {
            return Err(PepperError(bytes.len()));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// The hash of a secret; `None` when it is empty or too long to be one.
    pub fn hash(&self, kind: SecretKind, secret: &[u8]) -> Option<HashedSecret> {
        if secret.is_empty() || secret.len() > SECRET_MAX_BYTES {
            return None;
        }
        let mut context = hmac::Context::with_key(&self.0);
        context.update(kind.as_str().as_bytes());
        context.update(&[0]);
        context.update(secret);
        context.sign().as_ref().try_into().ok().map(HashedSecret)
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::from_bytes(b"a pepper for tests only").unwrap()
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_hmac_of_kind_zero_and_secret() {
        // Computed with `printf 'api-key\0%s' 123456 | openssl dgst -sha256 -hmac 'a pepper for tests only'`.
        let hash = Pepper::for_tests()
            .hash(SecretKind::ApiKey, b"123456")
            .unwrap();
        assert_eq!(
            hash.to_string(),
            "hmac-sha256:LAW8jtvViBvVGaJuqarUo8fWkkbYcjs9fiPQH7LEO9Q"
        );
    }

    #[test]
    fn a_hash_reads_back_as_written_and_fits_only_its_secret_and_kind() {
        let pepper = Pepper::for_tests();
        let stored = pepper.hash(SecretKind::ApiKey, b"123456").unwrap();
        let read = HashedSecret::parse(&stored.to_string()).unwrap();
        assert!(bool::from(read.fits(&stored)));
        for (kind, secret) in [
            (SecretKind::ApiKey, &b"123457"[..]),
            (SecretKind::ApiKey, b"0123456"),
            (SecretKind::LicenceKey, b"123456"),
            (SecretKind::Token, b"123456"),
        ] {
            let other = pepper.hash(kind, secret).unwrap();
            assert!(!bool::from(stored.fits(&other)));
        }
    }

    #[test]
    fn another_pepper_gives_another_hash() {
        let other = Pepper::from_bytes(b"a pepper for tests onlY").unwrap();
        let (a, b) = (
            Pepper::for_tests().hash(SecretKind::Token, b"t").unwrap(),
            other.hash(SecretKind::Token, b"t").unwrap(),
        );
        assert!(!bool::from(a.fits(&b)));
    }

    #[test]
    fn text_that_is_nearly_a_hash_is_refused() {
        let good = Pepper::for_tests()
            .hash(SecretKind::Token, b"t")
            .unwrap()
            .to_string();
        let cut = good.get(..good.len() - 1).unwrap();
        for bad in [
            "",
            "123456",
            "sha256:AA",
            PREFIX,
            cut,
            &format!("{good}="),
            &format!("{good}A"),
            &format!(" {good}"),
        ] {
            assert!(HashedSecret::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_pepper_of_fifteen_bytes_is_refused() {
        assert!(Pepper::from_bytes(&[7; 16]).is_ok());
        assert_eq!(Pepper::from_bytes(&[7; 15]).unwrap_err(), PepperError(15));
    }

    #[test]
    fn empty_and_oversized_secrets_have_no_hash() {
        let pepper = Pepper::for_tests();
        assert!(pepper.hash(SecretKind::Token, b"").is_none());
        assert!(
            pepper
                .hash(SecretKind::Token, &[b'x'; SECRET_MAX_BYTES])
                .is_some()
        );
        assert!(
            pepper
                .hash(SecretKind::Token, &[b'x'; SECRET_MAX_BYTES + 1])
                .is_none()
        );
    }

    #[test]
    fn debug_shows_neither_pepper_nor_hash() {
        let pepper = Pepper::for_tests();
        let hash = pepper.hash(SecretKind::Token, b"t").unwrap();
        assert_eq!(
            format!("{pepper:?} {hash:?}"),
            "Pepper(..) HashedSecret(..)"
        );
    }
}
