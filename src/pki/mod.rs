//! Certificates for development and tests: a hierarchy like MOSIP's, three certificates for each party, revocation lists,
//! key stores, wrong twins; and `show`, which says what a file holds and what is wrong with it.
//!
//! In memory: [`build`] makes all that a [`Plan`] names, [`Hierarchy::issue_party`] one party more, [`Authority`] single
//! certificates. On disk: [`make`] writes the same as files, never over others unless told ([`Overwrite`]).
//!
//! Left to others: whether the gateway accepts a certificate (`trust` judges), loading its own keys (`keys`). Production
//! certificates come from real CAs; this room's requests ([`Request`]) and re-signing help to get along with them.

mod algorithm;
mod authority;
mod crl;
mod csr;
mod der;
mod error;
mod facts;
mod files;
mod hierarchy;
mod key;
mod make;
mod mosip;
mod name;
mod p12;
mod pem;
mod plan;
mod serial;
pub mod show;
mod twins;

pub use algorithm::Algorithm;
pub use authority::{Authority, Issued, LeafRequest, Validity};
pub use crl::{Reason, RevocationList, Revoked};
pub use csr::Request;
pub use error::PkiError;
pub use files::{NewFile, Overwrite, Readers, folder, refuse_existing, write_all};
pub use hierarchy::{AuthorityName, Hierarchy, Party, Password, ROLES};
pub use key::Key;
pub use make::{
    Built, Made, add_party, authority_paths, build, list_path, load_authority, load_hierarchy, make,
};
pub use mosip::{MosipForm, SerialSign};
pub use name::Name;
pub use p12::{KeyStoreContents, read_p12, write_p12};
pub use plan::{Algorithms, PartyKind, PartyPlan, Plan, TwinKind};
pub use serial::Serial;
pub use twins::Twin;

/// All certificates of a PEM text, as DER, in their order.
///
/// # Errors
/// When a block is cut or not base64.
pub fn certificates_of_pem(text: &[u8]) -> Result<Vec<Vec<u8>>, PkiError> {
    pem::certificates(text)
}

/// A certificate as PEM.
pub fn certificate_pem(der: &[u8]) -> String {
    pem::public("CERTIFICATE", der)
}

#[cfg(test)]
mod tests;
