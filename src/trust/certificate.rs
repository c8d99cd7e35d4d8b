//! A certificate, read once. Reading is not judging: negative serials, CA leaves and small keys are read here so that they can
//! be shown and refused with a reason elsewhere.

use std::{fmt, fs, io, path::Path};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{KeyUsage, ParsedExtension},
    prelude::{FromDer, X509Version},
    time::ASN1Time,
    x509::X509Name,
};

use super::{Fingerprint, der, signed};
use crate::{clock::Moment, keys::PublicKey};

/// The largest certificate file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 4 << 20;

/// Extensions that limit what a certificate is good for: key usage, basic constraints, name constraints, extended key usage.
const LIMITING: [&str; 4] = ["2.5.29.15", "2.5.29.19", "2.5.29.30", "2.5.29.37"];

/// Why something is not taken for a certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The file is too large.
    #[error("it has {0} bytes, more than a file of certificates should")]
    Size(u64),
    /// There is no certificate in the file.
    #[error("it holds no certificate, neither in PEM nor in DER")]
    None,
    /// It is not an X.509 certificate.
    #[error("it is not an X.509 certificate")]
    Form,
    /// An extension is malformed or stands twice.
    #[error("an extension of the certificate is malformed or stands twice")]
    Extension,
    /// A certificate among the anchors may not issue others.
    #[error("`{0}` is not a CA certificate, so it is no anchor")]
    NoCa(String),
    /// No chain can end among the anchors.
    #[error(
        "none of its certificates is self-signed (with an algorithm that is taken), so no chain can end there; add the root"
    )]
    NoRoot,
    /// The public key is of no known kind.
    #[error("the certificate's key is none of RSA, P-256, P-384 and Ed25519")]
    Key,
}

/// What an extended key usage extension allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedKeyUsage {
    /// Anything.
    pub any: bool,
    /// To be a TLS client.
    pub client_auth: bool,
    /// To be a TLS server.
    pub server_auth: bool,
    /// To protect mail.
    pub email_protection: bool,
    /// Code signing, time stamping or OCSP signing.
    pub other_service: bool,
    /// Object identifiers beyond these.
    pub others: Vec<String>,
}

/// Basic constraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Constraints {
    pub(super) ca: bool,
    pub(super) path_length: Option<u32>,
}

/// A certificate and what was read from it.
pub struct Certificate {
    der: Vec<u8>,
    fingerprint: Fingerprint,
    subject: String,
    issuer: String,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    organisation: Option<String>,
    serial: Vec<u8>,
    not_before: Moment,
    not_after: Moment,
    key: PublicKey,
    constraints: Option<Constraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<ExtendedKeyUsage>,
    name_constraints: bool,
    unknown_critical: Option<String>,
    self_signed: bool,
}

impl Certificate {
    /// Reads a certificate from its DER, with nothing left over.
    ///
    /// # Errors
    /// When it is not one, or its key is of no known kind.
    pub fn from_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        der::split_signed(&der).ok_or(CertificateError::Form)?;
        let (rest, read) = X509Certificate::from_der(&der).map_err(|_| CertificateError::Form)?;
        let inner = &read.tbs_certificate;
        if !rest.is_empty() || inner.signature != read.signature_algorithm {
            return Err(CertificateError::Form);
        }
        let key = PublicKey::from_spki(inner.subject_pki.raw).map_err(|_| CertificateError::Key)?;
        let subject_der = inner.subject.as_raw().to_vec();
        let issuer_der = inner.issuer.as_raw().to_vec();
        let extensions = Extensions::read(&read)?;
        let organisation = inner
            .subject
            .iter_organization()
            .next()
            .and_then(|o| o.as_str().ok())
            .map(str::to_owned);
        Ok(Self {
            fingerprint: Fingerprint::of(&der),
            subject: shown(&inner.subject),
            issuer: shown(&inner.issuer),
            organisation,
            serial: least(inner.raw_serial()).to_vec(),
            not_before: moment(inner.validity.not_before),
            not_after: moment(inner.validity.not_after),
            self_signed: subject_der == issuer_der && signed::verify(&der, &key).is_ok(),
            subject_der,
            issuer_der,
            key,
            constraints: extensions.constraints,
            key_usage: extensions.key_usage,
            extended_key_usage: extensions.extended_key_usage,
            name_constraints: extensions.name_constraints,
            unknown_critical: extensions.unknown_critical,
            der,
        })
    }

    /// The certificate itself.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of [`Certificate::der`].
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The first organisation (O) of the subject.
    pub fn organisation(&self) -> Option<&str> {
        self.organisation.as_deref()
    }

    /// The subject as text, to be shown.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The issuer as text, to be shown.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The first moment at which it is valid.
    pub const fn not_before(&self) -> Moment {
        self.not_before
    }

    /// The last second at which it is valid.
    pub const fn not_after(&self) -> Moment {
        self.not_after
    }

    /// The serial number in lower-case hex, with a minus sign where it is negative.
    pub fn serial_hex(&self) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        match self.serial.split_first() {
            Some((first, _)) if *first >= 0x80 => {
                let mut carry = true;
                let mut size: Vec<u8> = self
                    .serial
                    .iter()
                    .rev()
                    .map(|b| {
                        let (sum, over) = (!b).overflowing_add(u8::from(carry));
                        carry = over;
                        sum
                    })
                    .collect();
                size.reverse();
                format!("-{}", hex(&size))
            }
            Some((0, rest)) if !rest.is_empty() => hex(rest),
            _ => hex(&self.serial),
        }
    }

    /// The serial number as DER content in its shortest form.
    pub(super) fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The public key.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The DER of the public key.
    pub fn spki(&self) -> &[u8] {
        self.key.spki_der()
    }

    /// Whether basic constraints say CA:TRUE.
    pub fn is_ca(&self) -> bool {
        self.constraints.is_some_and(|c| c.ca)
    }

    /// The basic constraints.
    pub(super) const fn constraints(&self) -> Option<Constraints> {
        self.constraints
    }

    /// What the key may be used for, where the certificate says.
    pub const fn key_usage(&self) -> Option<&KeyUsage> {
        self.key_usage.as_ref()
    }

    /// For what purpose, where the certificate says.
    pub const fn extended_key_usage(&self) -> Option<&ExtendedKeyUsage> {
        self.extended_key_usage.as_ref()
    }

    /// Whether it bears its own key's signature.
    pub const fn self_signed(&self) -> bool {
        self.self_signed
    }

    /// Whether it constrains names below it.
    pub(super) const fn has_name_constraints(&self) -> bool {
        self.name_constraints
    }

    /// A critical extension that is not understood here.
    pub(super) fn unknown_critical(&self) -> Option<&str> {
        self.unknown_critical.as_deref()
    }

    /// Subject in DER.
    pub(super) fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    /// Issuer in DER.
    pub(super) fn issuer_der(&self) -> &[u8] {
        &self.issuer_der
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} {})", self.subject, self.fingerprint)
    }
}

/// Reads every certificate of a PEM file, or the one of a DER file.
///
/// # Errors
/// When the file cannot be read, holds none, or one of them is not a certificate.
pub fn certificates_from_file(path: &Path) -> Result<Vec<Certificate>, CertificateError> {
    certificates_from_bytes(&read_bounded(path, FILE_MAX_BYTES)?)
}

/// Reads every certificate of a PEM text, or the one of a DER.
///
/// # Errors
/// When there is none, or one of them is not a certificate.
pub fn certificates_from_bytes(bytes: &[u8]) -> Result<Vec<Certificate>, CertificateError> {
    if bytes.first() == Some(&0x30)
        && let Ok(one) = Certificate::from_der(bytes.to_vec())
    {
        return Ok(vec![one]);
    }
    let all = pem_certificates(bytes)?;
    if all.is_empty() {
        // A DER file that was not taken above: say why.
        if bytes.first() == Some(&0x30) {
            return Certificate::from_der(bytes.to_vec()).map(|one| vec![one]);
        }
        return Err(CertificateError::None);
    }
    Ok(all)
}

fn pem_certificates(bytes: &[u8]) -> Result<Vec<Certificate>, CertificateError> {
    CertificateDer::pem_slice_iter(bytes)
        .map(|der| {
            let der = der.map_err(|_| CertificateError::Form)?;
            Certificate::from_der(der.to_vec())
        })
        .collect()
}

/// Reads a file that is not larger than `max_bytes`.
pub(super) fn read_bounded(path: &Path, max_bytes: u64) -> Result<Vec<u8>, CertificateError> {
    let size = fs::metadata(path)?.len();
    if size > max_bytes {
        return Err(CertificateError::Size(size));
    }
    Ok(fs::read(path)?)
}

/// The shortest form of an INTEGER's content.
pub(super) fn least(mut integer: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = integer
        && let Some(second) = rest.first()
        && ((*first == 0 && *second < 0x80) || (*first == 0xff && *second >= 0x80))
    {
        integer = rest;
    }
    integer
}

/// A time of X.509 as a moment.
pub(super) fn moment(time: ASN1Time) -> Moment {
    Moment::from_s(time.timestamp())
}

/// A name as text for messages and logs: nothing in it can break a line.
pub(super) fn shown(name: &X509Name<'_>) -> String {
    name.to_string()
        .chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

struct Extensions {
    constraints: Option<Constraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<ExtendedKeyUsage>,
    name_constraints: bool,
    unknown_critical: Option<String>,
}

impl Extensions {
    fn read(certificate: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let mut all = Self {
            constraints: None,
            key_usage: None,
            extended_key_usage: None,
            name_constraints: false,
            unknown_critical: None,
        };
        // Refuses any extension that stands twice.
        certificate
            .extensions_map()
            .map_err(|_| CertificateError::Extension)?;
        if certificate.version() != X509Version::V3 {
            return Err(CertificateError::Extension);
        }
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::BasicConstraints(c) => {
                    all.constraints = Some(Constraints {
                        ca: c.ca,
                        path_length: c.path_len_constraint,
                    });
                }
                ParsedExtension::KeyUsage(usage) => all.key_usage = Some(*usage),
                ParsedExtension::ExtendedKeyUsage(usage) => {
                    all.extended_key_usage = Some(ExtendedKeyUsage {
                        any: usage.any,
                        client_auth: usage.client_auth,
                        server_auth: usage.server_auth,
                        email_protection: usage.email_protection,
                        other_service: usage.code_signing
                            || usage.time_stamping
                            || usage.ocsp_signing,
                        others: usage.other.iter().map(|o| o.to_id_string()).collect(),
                    });
                }
                ParsedExtension::NameConstraints(_) => all.name_constraints = true,
                // What limits the use must be understood; what only informs may be odd.
                ParsedExtension::ParseError { .. }
                    if extension.critical
                        || LIMITING.contains(&extension.oid.to_id_string().as_str()) =>
                {
                    return Err(CertificateError::Extension);
                }
                // Harmless to us even when critical: they name, they do not limit.
                ParsedExtension::SubjectAlternativeName(_)
                | ParsedExtension::SubjectKeyIdentifier(_)
                | ParsedExtension::AuthorityKeyIdentifier(_)
                | ParsedExtension::CertificatePolicies(_) => {}
                _ if extension.critical => {
                    all.unknown_critical = Some(extension.oid.to_id_string());
                }
                _ => {}
            }
        }
        Ok(all)
    }
}
