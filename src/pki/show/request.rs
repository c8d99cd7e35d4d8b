//! Requests for certificates: for whom, with which key, and whether the sender has it.

use serde::Serialize;
use x509_parser::{
    certification_request::X509CertificationRequest, extensions::ParsedExtension, prelude::FromDer,
};

use super::{Finding, What, sha256_hex, unreadable};
use crate::pki::{PkiError, csr::host, facts::KeyFacts};

/// A request.
#[derive(Debug, Serialize)]
pub struct RequestShown {
    /// For whom.
    pub subject: String,
    /// Kind and size of the key.
    pub key: String,
    /// SHA-256 of the public key (`SubjectPublicKeyInfo`).
    pub key_fingerprint: String,
    /// The names it asks for.
    pub alternative_names: Vec<String>,
}

pub(super) fn show(der: &[u8]) -> (What, Vec<Finding>) {
    let request = match X509CertificationRequest::from_der(der) {
        Ok((_, request)) => request,
        Err(error) => {
            return unreadable(
                "CERTIFICATE REQUEST",
                &PkiError::malformed("request", error),
            );
        }
    };
    let info = &request.certification_request_info;
    let key = KeyFacts::from_info(&info.subject_pki);
    let mut findings = Vec::new();
    if request.verify_signature().is_err() {
        findings.push(Finding::wrong(
            "its signature does not verify: the sender does not show that it has the key",
        ));
    }
    if let Some(objection) = key.objection() {
        findings.push(Finding::wrong(objection));
    }
    if info.subject.iter_organization().next().is_none() {
        findings.push(Finding::wrong(
            "no organisation (O) in the subject: the certificate could not be bound to a party",
        ));
    }
    let mut alternative_names = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(names) = extension {
            alternative_names.extend(names.general_names.iter().filter_map(host));
        }
    }
    let shown = RequestShown {
        subject: info.subject.to_string(),
        key: key.to_string(),
        key_fingerprint: sha256_hex(info.subject_pki.raw),
        alternative_names,
    };
    (What::Request(shown), findings)
}
