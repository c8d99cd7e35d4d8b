//! A MOSIP credential and its proof: what in it is the issuer's word, and what is not.
//!
//! MOSIP signs neither the text nor its JSON but the RDF behind it (PS256 over two SHA-256 of canonical N-Quads), so a member
//! that no context defines is not signed, and a context of the sender's choice could give a signed value another name. Hence:
//!
//! * contexts are pinned ([`Contexts`]), in an order that the issuer's pin fixes; nothing is ever loaded;
//! * keys are pinned for an issuer and a verification method ([`Issuer`]); a URL in a message only selects;
//! * what comes out says which members the proof covers ([`Verified::proven`]) and which it does not ([`Verified::unproven`]).
//!
//! Stands beside [`crate::envelope`], whose strict JSON it reads.

mod contexts;
mod coverage;
mod form;
mod issuer;
mod jcs;
mod mosip;
mod poison;
mod proof;
mod rdf;
#[cfg(test)]
mod tests;
mod verify;

pub use contexts::{CREDENTIALS_V1, ContextError, Contexts, SECURITY_V2};
pub use issuer::{Issuer, Recipe};
pub use mosip::{context_document, context_url};
pub use rdf::{RdfError, canonical_n_quads};
pub use verify::{CredentialError, Verified, Verifier};

/// Bytes of one credential.
pub const CREDENTIAL_MAX: usize = 1 << 20;
