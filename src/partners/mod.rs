//! Who they are: the directory of partners and services, their states, keys and licences.
//!
//! A partner is a file in a folder. [`Directory::load`] reads and checks all of them; the rest of this room answers one
//! question each: who is on this connection ([`identify`]), is it registered now ([`registration`]), which API key and
//! licence is this ([`keys`]). What a partner may do with that is the business of `policy`; whether a certificate is any
//! good is that of `trust`.

mod beside;
mod changed;
pub mod changes;
pub mod directory;
pub mod id;
pub mod identify;
pub mod kept;
pub mod keys;
pub mod load;
pub mod network;
pub mod oidc_client;
pub mod partner;
pub mod registration;
pub mod secrets;
#[cfg(test)]
pub(crate) mod testing;
pub mod websub;

pub use beside::Beside;
pub use changes::{Change, Changes, Fact, LeftOut, Term};
pub use directory::{Directory, Known};
pub use id::PartnerId;
pub use identify::{Caller, How};
pub use kept::{Kept, KeptReplacement};
pub use keys::{ApiKey, LicenceKey};
pub use network::Network;
pub use oidc_client::{OidcClient, Redirects};
pub use partner::{Partner, UnderWay};
pub use registration::{Registered, Registration};
pub use secrets::{HashedSecret, Pepper, SecretKind};
pub use websub::{Subscribing, callback_path, is_topic};
