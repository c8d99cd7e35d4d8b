//! Keymanager's hybrid encryption, as credentials and data shares carry it: `VER_R2` and the layouts before it.
//!
//! | layout | bytes | AES part |
//! |---|---|---|
//! | [`Layout::R2`] | `"VER_R2" ‖ thumbprint ‖ wrapped key ‖ splitter ‖ A ‖ ciphertext ‖ tag` | A: 32 random bytes; additional data = A, nonce = its first 12 |
//! | [`Layout::R2NoKeyId`] | the same without thumbprint | the same |
//! | [`Layout::Legacy`] | `thumbprint ‖ wrapped key ‖ splitter ‖ ciphertext ‖ tag ‖ nonce` | nonce of 16 bytes, additional data the caller's |
//! | [`Layout::LegacyNoKeyId`] | the same without thumbprint | the same |
//!
//! Where a caller brings a salt, [`Binding::salt`] is the nonce of a legacy layout and does not travel. MOSIP looks for the
//! splitter anywhere; here it has to stand where the size of the recipient's key puts it.
//!
//! Being able to encrypt to a public key proves nothing about who did: what is opened here is for the proof's reader.

mod layout;
mod open;
#[cfg(test)]
#[cfg(feature = "sandbox")]
mod openssl_tests;
mod seal;
#[cfg(test)]
mod tests;
mod text;

pub use layout::{Binding, Layout};
pub use open::{Contract, OpenError, RecipientKey, Thumbprint, open};
pub use seal::{SealError, seal};
pub use text::{decode, encode};

/// Between the key part and the AES part.
const SPLITTER: &[u8; 14] = b"#KEY_SPLITTER#";
/// The first bytes of the layouts since 1.2.0.
const VERSION: &[u8; 6] = b"VER_R2";
/// Bytes of a thumbprint.
const THUMBPRINT: usize = 32;
/// Bytes of `A`.
const SEED: usize = 32;
/// Bytes of a GCM tag.
const TAG: usize = 16;
/// More than any layout adds to text and wrapped key.
const OVERHEAD: usize = 128;
/// Bytes of the nonce that the legacy layouts append.
const LEGACY_NONCE: usize = 16;
