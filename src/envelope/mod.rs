//! Opening and sealing what travels: the signature header, the encrypted members, freshness and replay.
//!
//! Bytes, not meaning: signatures are checked and made over the octets that travelled. Everything here is a pure
//! function of its arguments but [`ReplayGuard`], which remembers. Whose key it is and whether its certificate may be used
//! is decided by `trust` and `partners`: a message only ever *names* a certificate, by its fingerprint.

pub mod bearer;
pub(crate) mod fields;
pub(crate) mod forms;
mod freshness;
pub mod jose;
pub mod json;
mod jws;
pub mod jwt;
pub mod key_set;
pub mod keymanager;
mod mark;
pub mod mosip_ida;
pub mod possession;
mod replay;
mod signer;
#[cfg(test)]
mod testing;
pub mod time;
pub mod userinfo;

pub use forms::Forms;
#[cfg(test)]
pub(crate) use forms::to_base64url;
pub(crate) use forms::{base64url, sha256};
pub use freshness::Window;
pub use jws::{DetachedJws, KnownHeader};
pub use replay::{Handed, ReplayGuard};
pub use signer::{DetachedSigner, sign_detached};
