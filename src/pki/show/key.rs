//! Keys: kind, size and whose certificate they belong to. Of a private key only the public half is ever shown.

use serde::Serialize;

use super::{Company, Finding, What, sha256_hex, unreadable};
use crate::pki::{Key, PkiError, authority::read_certificate, facts::KeyFacts};

/// A key.
#[derive(Debug, Serialize)]
pub struct KeyShown {
    /// Kind and size.
    pub key: String,
    /// SHA-256 of the public key (`SubjectPublicKeyInfo`): the same in its certificate.
    pub key_fingerprint: String,
    /// The subjects of the certificates, among the files, that it belongs to.
    pub belongs_to: Vec<String>,
}

pub(super) fn show_private(der: &[u8], company: &Company<'_>) -> (What, Vec<Finding>) {
    let spki = match Key::from_der(der) {
        Ok(key) => key.spki_der(),
        Err(error) => return unreadable("PRIVATE KEY", &error),
    };
    let belongs_to: Vec<String> = company
        .certificates
        .iter()
        .filter_map(|der| read_certificate(der).ok())
        .filter(|certificate| certificate.public_key().raw == spki)
        .map(|certificate| certificate.subject().to_string())
        .collect();
    let mut findings = Vec::new();
    if belongs_to.is_empty() && !company.certificates.is_empty() {
        findings.push(Finding::note(
            "none of the certificates shown here belongs to this key",
        ));
    }
    match shown(&spki, belongs_to) {
        Ok(shown) => (What::PrivateKey(shown), findings),
        Err(error) => unreadable("PRIVATE KEY", &error),
    }
}

pub(super) fn show_public(der: &[u8]) -> (What, Vec<Finding>) {
    match shown(der, Vec::new()) {
        Ok(shown) => {
            let objection = KeyFacts::of(der).ok().and_then(KeyFacts::objection);
            (
                What::PublicKey(shown),
                objection.map(Finding::wrong).into_iter().collect(),
            )
        }
        Err(error) => unreadable("PUBLIC KEY", &error),
    }
}

fn shown(spki: &[u8], belongs_to: Vec<String>) -> Result<KeyShown, PkiError> {
    let facts = KeyFacts::of(spki)?;
    Ok(KeyShown {
        key: facts.to_string(),
        key_fingerprint: sha256_hex(spki),
        belongs_to,
    })
}
