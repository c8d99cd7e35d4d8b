//! The three-certificate model (design section 4): who may be believed in which role.
//!
//! [`Anchors`] hold the certificates in which trust starts, with their revocation lists. A [`Binding`] ties one certificate,
//! by the SHA-256 of its DER, to a party and a role, and [`Binding::judge`] says whether it may be used now.
//! [`PartyCertificates`] are all bindings of one party. [`client_verifier`] and [`server_verifier`] are the same rules for
//! TLS handshakes. Keys come from bindings, never from a message: what a message names only selects among bindings.
//!
//! Who the parties are is the room `partners`' business; what keys can do is [`crate::keys`]'.

mod anchor;
mod binding;
mod certificate;
pub(crate) mod der;
mod fingerprint;
mod offline;
mod own;
mod party;
mod path;
mod replacement;
mod revocation;
mod role;
mod signed;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests on small numbers")]
mod testing;
#[cfg(test)]
mod tests;
mod tls;
mod unusable;

pub use crate::keys::{KeyKind, PublicKey};
pub use anchor::{Anchor, Anchors};
pub use binding::Binding;
pub use certificate::{
    Certificate, CertificateError, ExtendedKeyUsage, certificates_from_bytes,
    certificates_from_file,
};
pub use fingerprint::Fingerprint;
pub use offline::Listed;
pub use own::{OwnCertificates, OwnKey};
pub use party::{PartyCertificates, PartySpec, shared_between_parties};
pub use replacement::{Candidate, Replacement, Unfit};
pub use revocation::{ListDates, ListView, RevocationView, Standing, lists_from_file};
pub use tls::{client_verifier, server_verifier};
pub use unusable::Unusable;
pub use x509_parser::extensions::KeyUsage;

use crate::clock::Moment;

/// Whether `end` is over. Ends are written in whole seconds and the last second still belongs (RFC 5280 section 4.1.2.5).
const fn over(end: Moment, now: Moment) -> bool {
    now.s() > end.s()
}

/// The first moment at which [`over`] is true.
const fn after(end: Moment) -> Moment {
    Moment::from_s(end.s().saturating_add(1))
}
