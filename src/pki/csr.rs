//! Requests for certificates (PKCS#10): made for a party's own key, read before a CA signs.
//!
//! Of a request only subject, public key and (for TLS) alternative names are taken over; what it asks to be allowed is
//! not.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyUsagePurpose, SubjectPublicKeyInfo};
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

use super::{
    Algorithm, Authority, Key, LeafRequest, Name, PkiError, Validity, authority::alternative_name,
    pem,
};
use crate::config::Role;

/// A request that was read and whose signature verifies: its sender has the private key.
#[derive(Debug)]
pub struct Request {
    /// For whom.
    pub name: Name,
    /// The DNS names and IP addresses it asks for.
    pub alternative_names: Vec<String>,
    /// The kind of its key.
    pub algorithm: Algorithm,
    spki: SubjectPublicKeyInfo,
}

impl Request {
    /// Makes a request in a role: DER.
    ///
    /// # Errors
    /// When a name cannot be used or signing fails.
    pub fn make(
        key: &Key,
        name: &Name,
        role: Role,
        alternative_names: &[String],
    ) -> Result<Vec<u8>, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name.to_rcgen()?;
        match role {
            Role::Tls => {
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                params.extended_key_usages = vec![
                    ExtendedKeyUsagePurpose::ServerAuth,
                    ExtendedKeyUsagePurpose::ClientAuth,
                ];
                for name in alternative_names {
                    params.subject_alt_names.push(alternative_name(name)?);
                }
            }
            Role::Encryption => {
                params.key_usages = vec![super::authority::encryption_usage(key.algorithm())?]
            }
            Role::Signature => params.key_usages = vec![KeyUsagePurpose::DigitalSignature],
        }
        Ok(params.serialize_request(key)?.der().to_vec())
    }

    /// As [`Request::make`], as PEM.
    ///
    /// # Errors
    /// As [`Request::make`].
    pub fn make_pem(
        key: &Key,
        name: &Name,
        role: Role,
        alternative_names: &[String],
    ) -> Result<String, PkiError> {
        Ok(pem::public(
            "CERTIFICATE REQUEST",
            &Self::make(key, name, role, alternative_names)?,
        ))
    }

    /// Reads a request (PEM or DER) and verifies its signature.
    ///
    /// # Errors
    /// When it is not a request, its signature does not verify, or its key is not issued for here.
    pub fn read(bytes: &[u8]) -> Result<Self, PkiError> {
        let der = if pem::looks_like(bytes) {
            let blocks = pem::blocks(bytes)?;
            let request = blocks
                .into_iter()
                .find(|block| block.label.ends_with("CERTIFICATE REQUEST"));
            request
                .map(|block| block.der.to_vec())
                .ok_or_else(|| PkiError::malformed("request", "no CERTIFICATE REQUEST"))?
        } else {
            bytes.to_vec()
        };
        let request = match X509CertificationRequest::from_der(&der) {
            Ok(([], request)) => request,
            Ok(_) => return Err(PkiError::malformed("request", "bytes follow it")),
            Err(error) => return Err(PkiError::malformed("request", error)),
        };
        let info = &request.certification_request_info;
        let subject = info.subject.to_string();
        request
            .verify_signature()
            .map_err(|_| PkiError::Signature(format!("the request of {subject}")))?;
        let algorithm = key_kind(info.subject_pki.raw)?;
        let mut alternative_names = Vec::new();
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                alternative_names.extend(names.general_names.iter().filter_map(host));
            }
        }
        Ok(Self {
            name: Name::from_x509(&info.subject),
            alternative_names,
            algorithm,
            spki: SubjectPublicKeyInfo::from_der(info.subject_pki.raw)?,
        })
    }
}

impl Authority {
    /// Signs a request in a role.
    ///
    /// # Errors
    /// When the subject or the validity cannot be used.
    pub fn certify_request(
        &self,
        request: &Request,
        role: Role,
        validity: Validity,
    ) -> Result<Vec<u8>, PkiError> {
        let leaf = LeafRequest {
            name: request.name.clone(),
            role,
            algorithm: request.algorithm,
            validity,
            alternative_names: if role == Role::Tls {
                request.alternative_names.clone()
            } else {
                Vec::new()
            },
        };
        self.certify(&leaf, &request.spki)
    }
}

/// The text of a name that a TLS certificate can stand for.
pub(super) fn host(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets)
                .ok()
                .map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
            16 => <[u8; 16]>::try_from(*octets)
                .ok()
                .map(|octets| std::net::Ipv6Addr::from(octets).to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// Which of the kinds of key issued for here a public key is.
fn key_kind(spki: &[u8]) -> Result<Algorithm, PkiError> {
    use super::facts::{KeyFacts, KeyKind};
    let facts = KeyFacts::of(spki)?;
    match (facts.kind, facts.bits) {
        (KeyKind::Rsa, 2048) => Ok(Algorithm::Rsa2048),
        (KeyKind::Rsa, 3072) => Ok(Algorithm::Rsa3072),
        (KeyKind::Rsa, 4096) => Ok(Algorithm::Rsa4096),
        (KeyKind::P256, _) => Ok(Algorithm::P256),
        (KeyKind::P384, _) => Ok(Algorithm::P384),
        (KeyKind::Ed25519, _) => Ok(Algorithm::Ed25519),
        _ => Err(PkiError::Key(
            "the request's key is not RSA of 2048, 3072 or 4096 bits, P-256, P-384 or Ed25519",
        )),
    }
}
