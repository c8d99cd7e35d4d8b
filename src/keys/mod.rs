//! Keys and what is done with them, and nothing about whose they are: reading private keys and secrets from files,
//! signing, verifying, wrapping and unwrapping on aws-lc-rs. Which certificate may be used for what is the room
//! [`crate::trust`]'s business.
//!
//! Every key is parsed once and held; nothing here shows its content in `Debug`, logs or errors.

mod agreement;
mod content;
mod jwk;
mod load;
mod pkcs12;
mod possession;
mod private;
mod public;
mod roca;
mod secret;
mod signing;
mod wrapping;

pub use agreement::{AgreementKey, AgreementPoint, WRAPPED_LEN};
pub use content::{ContentUnwrapKey, ContentWrapKey};
pub use load::{KeyEntry, certificates_in, load};
#[cfg(test)]
pub(crate) use possession::made_entry;
pub use possession::{proof_algorithm, verify_possession};
pub use public::{KeyKind, PublicKey};
pub use secret::{Secret, read_secret};
pub use signing::{SigningKey, VerifyingKey, default_algorithm};
pub use wrapping::{DecryptionKey, WrappingKey};

/// What can go wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not a key that can be read.
    #[error("the key cannot be read, or is none of RSA 2048 to 8192, P-256, P-384 and Ed25519")]
    Malformed,
    /// The key does not fit the algorithm or the use.
    #[error("the key does not fit the algorithm or the use")]
    Unfit,
    /// Signing failed.
    #[error("signing failed")]
    Signing,
    /// The signature does not fit.
    #[error("the signature does not fit")]
    Signature,
    /// Unwrapping failed. One error for every cause: the difference would help an attacker.
    #[error("unwrapping failed")]
    Unwrapping,
    /// Wrapping failed.
    #[error("wrapping failed")]
    Wrapping,
}
