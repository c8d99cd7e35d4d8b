//! A certification authority: it issues CAs below it and the leaves of the three roles.
//!
//! What a leaf looks like is decided by its [`Role`] alone, never by what a request asks for. Certificates in MOSIP's own
//! form are made in `mosip`, revocation lists in `crl`.

use std::net::IpAddr;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyUsagePurpose,
    PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, DnsName};
use x509_parser::certificate::X509Certificate;
use zeroize::Zeroizing;

use super::{Algorithm, Key, Name, PkiError, der, pem};
use crate::{clock::Moment, config::Role};

const DAY_MS: i64 = 86_400_000;

/// From when to when, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: Moment,
    /// The last moment.
    pub not_after: Moment,
}

impl Validity {
    /// So many days from a moment on.
    pub fn days(not_before: Moment, days: u32) -> Self {
        let length_ms = i64::from(days).saturating_mul(DAY_MS);
        Self {
            not_before,
            not_after: not_before.plus_ms(length_ms),
        }
    }

    fn check(self) -> Result<Self, PkiError> {
        if self.not_after < self.not_before {
            return Err(PkiError::Validity("it ends before it begins"));
        }
        Ok(self)
    }
}

/// What to issue to a party.
#[derive(Clone, Debug)]
pub struct LeafRequest {
    /// For whom.
    pub name: Name,
    /// What it is for: it decides key usage and extended key usage.
    pub role: Role,
    /// The key to make; in the role encryption it also decides between keyEncipherment and keyAgreement.
    pub algorithm: Algorithm,
    /// From when to when.
    pub validity: Validity,
    /// DNS names and IP addresses; only the role `tls` has a use for them.
    pub alternative_names: Vec<String>,
}

/// A CA with its key.
#[derive(Debug)]
pub struct Authority {
    key: Key,
    /// Its own certificate first, then its issuers; the root itself is in it only when this is the root.
    chain: Vec<Vec<u8>>,
}

/// A certificate with its key, as a party gets them.
#[derive(Debug)]
pub struct Issued {
    /// The leaf.
    pub certificate_der: Vec<u8>,
    /// The leaf, then its issuers without the root.
    pub chain_der: Vec<Vec<u8>>,
    /// The key; wiped when dropped.
    pub key: Key,
}

impl Authority {
    /// A root: path length 2, like MOSIP's.
    ///
    /// # Errors
    /// When the name or validity cannot be used, or making the key fails.
    pub fn root(name: &Name, algorithm: Algorithm, validity: Validity) -> Result<Self, PkiError> {
        Self::root_with(name, Key::generate(algorithm)?, validity)
    }

    /// As [`Authority::root`], with a key made before.
    ///
    /// # Errors
    /// As [`Authority::root`].
    pub fn root_with(name: &Name, key: Key, validity: Validity) -> Result<Self, PkiError> {
        let certificate = authority_params(name, validity, 2)?.self_signed(&key)?;
        Ok(Self {
            key,
            chain: vec![certificate.der().to_vec()],
        })
    }

    /// An issuing CA below this one; `path_length` is how many CAs may follow it.
    ///
    /// # Errors
    /// As [`Authority::root`].
    pub fn subordinate(
        &self,
        name: &Name,
        algorithm: Algorithm,
        validity: Validity,
        path_length: u8,
    ) -> Result<Self, PkiError> {
        self.subordinate_with(name, Key::generate(algorithm)?, validity, path_length)
    }

    /// As [`Authority::subordinate`], with a key made before.
    ///
    /// # Errors
    /// As [`Authority::root`].
    pub fn subordinate_with(
        &self,
        name: &Name,
        key: Key,
        validity: Validity,
        path_length: u8,
    ) -> Result<Self, PkiError> {
        let params = authority_params(name, validity, path_length)?;
        let certificate = params.signed_by(&key, &self.issuer()?)?;
        let chain = self.chain_below(certificate.der().to_vec())?;
        Ok(Self { key, chain })
    }

    /// A CA that was made before: its certificate first, then its issuers up to, or with, the root.
    ///
    /// # Errors
    /// When the certificate is not a CA's or the key is not its.
    pub fn load(chain: Vec<Vec<u8>>, key: Key) -> Result<Self, PkiError> {
        let first = chain
            .first()
            .ok_or_else(|| PkiError::malformed("CA", "there is no certificate"))?;
        let certificate = read_certificate(first)?;
        let subject = certificate.subject().to_string();
        if certificate.public_key().raw != key.spki_der() {
            return Err(PkiError::KeyMismatch(subject));
        }
        if !certificate.is_ca() {
            return Err(PkiError::NotAnAuthority {
                subject,
                why: "its basic constraints do not say CA:TRUE",
            });
        }
        match certificate.key_usage() {
            Ok(Some(usage)) if !usage.value.key_cert_sign() => {
                return Err(PkiError::NotAnAuthority {
                    subject,
                    why: "its key usage lacks keyCertSign",
                });
            }
            _ => {}
        }
        Ok(Self { key, chain })
    }

    /// Makes a key and issues a leaf for it.
    ///
    /// # Errors
    /// When a name or the validity cannot be used, or making the key fails.
    pub fn issue(&self, request: &LeafRequest) -> Result<Issued, PkiError> {
        self.issue_with(request, Key::generate(request.algorithm)?)
    }

    /// As [`Authority::issue`], with a key made before, of the kind that `request.algorithm` says.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_with(&self, request: &LeafRequest, key: Key) -> Result<Issued, PkiError> {
        let certificate_der = self.certify(request, &key)?;
        self.hand_out(certificate_der, key)
    }

    /// Issues a leaf for a public key that others hold the private key of.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn certify(
        &self,
        request: &LeafRequest,
        key: &impl PublicKeyData,
    ) -> Result<Vec<u8>, PkiError> {
        let params = leaf_params(request)?;
        Ok(params.signed_by(key, &self.issuer()?)?.der().to_vec())
    }

    /// Checks that a certificate is one of this CA's.
    ///
    /// # Errors
    /// When it is not a certificate, names another issuer, or its signature does not verify.
    pub fn issued(&self, certificate_der: &[u8]) -> Result<(), PkiError> {
        let certificate = read_certificate(certificate_der)?;
        let own = read_certificate(self.certificate_der())?;
        let name = || format!("{}, by {},", certificate.subject(), own.subject());
        if certificate.issuer().as_raw() != own.subject().as_raw() {
            return Err(PkiError::Signature(name()));
        }
        certificate
            .verify_signature(Some(own.public_key()))
            .map_err(|_| PkiError::Signature(name()))
    }

    /// Its own certificate.
    pub fn certificate_der(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    /// Its own certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        pem::public("CERTIFICATE", self.certificate_der())
    }

    /// Its key.
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// A leaf of this CA with its chain and key.
    pub(super) fn hand_out(&self, certificate_der: Vec<u8>, key: Key) -> Result<Issued, PkiError> {
        let chain_der = self.chain_below(certificate_der.clone())?;
        Ok(Issued {
            certificate_der,
            chain_der,
            key,
        })
    }

    /// A certificate of this CA, then the CAs above it, without the root.
    ///
    /// # Errors
    /// When a certificate of the chain cannot be read.
    pub fn chain_below(&self, certificate_der: Vec<u8>) -> Result<Vec<Vec<u8>>, PkiError> {
        let mut chain = vec![certificate_der];
        for der in &self.chain {
            let issuer = read_certificate(der)?;
            if issuer.subject() != issuer.issuer() {
                chain.push(der.clone());
            }
        }
        Ok(chain)
    }

    fn issuer(&self) -> Result<Issuer<'_, &Key>, PkiError> {
        let der = CertificateDer::from(self.certificate_der());
        Ok(Issuer::from_ca_cert_der(&der, &self.key)?)
    }
}

impl Issued {
    /// The leaf, then its issuers without the root, as PEM.
    pub fn chain_pem(&self) -> String {
        self.chain_der
            .iter()
            .map(|der| pem::public("CERTIFICATE", der))
            .collect()
    }

    /// The private key as PKCS#8 PEM.
    pub fn key_pem(&self) -> Zeroizing<String> {
        self.key.expose_pem()
    }

    /// The private key as PKCS#8 DER.
    pub fn key_pkcs8_der(&self) -> &[u8] {
        self.key.expose_pkcs8_der()
    }
}

/// Reads a certificate that must fill all of `der`.
pub(super) fn read_certificate(der: &[u8]) -> Result<X509Certificate<'_>, PkiError> {
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(PkiError::malformed("certificate", "bytes follow it")),
        Err(error) => Err(PkiError::malformed("certificate", error)),
    }
}

/// Sorts alternative names into IP addresses and DNS names.
pub(super) fn alternative_name(text: &str) -> Result<SanType, PkiError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let plain = text.strip_prefix("*.").unwrap_or(text);
    if DnsName::try_from(plain).is_err() {
        return Err(PkiError::Name {
            what: "alternative name",
            value: text.to_owned(),
            why: "it is neither a DNS name nor an IP address",
        });
    }
    Ok(SanType::DnsName(text.try_into()?))
}

fn authority_params(
    name: &Name,
    validity: Validity,
    path_length: u8,
) -> Result<CertificateParams, PkiError> {
    let mut params = common_params(name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    // Python 3.13 and later refuse a CA without key usage.
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
    ];
    Ok(params)
}

fn leaf_params(request: &LeafRequest) -> Result<CertificateParams, PkiError> {
    let mut params = common_params(&request.name, request.validity)?;
    params.is_ca = IsCa::ExplicitNoCa;
    for name in &request.alternative_names {
        params.subject_alt_names.push(alternative_name(name)?);
    }
    match request.role {
        Role::Tls => {
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ];
        }
        Role::Encryption => params.key_usages = vec![encryption_usage(request.algorithm)?],
        Role::Signature => params.key_usages = vec![KeyUsagePurpose::DigitalSignature],
    }
    Ok(params)
}

/// RSA keys wrap a content key, EC keys agree on one (RFC 5480 section 3).
pub(super) const fn encryption_usage(algorithm: Algorithm) -> Result<KeyUsagePurpose, PkiError> {
    match algorithm {
        Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
            Ok(KeyUsagePurpose::KeyEncipherment)
        }
        Algorithm::P256 | Algorithm::P384 => Ok(KeyUsagePurpose::KeyAgreement),
        Algorithm::Ed25519 => Err(PkiError::Key(
            "Ed25519 only signs; it has no use in the role encryption",
        )),
    }
}

fn common_params(name: &Name, validity: Validity) -> Result<CertificateParams, PkiError> {
    let validity = validity.check()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name.to_rcgen()?;
    params.not_before = der::offset_date_time(validity.not_before)?;
    params.not_after = der::offset_date_time(validity.not_after)?;
    params.serial_number = Some(SerialNumber::from(random_serial()?.to_vec()));
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// 126 random bits, positive and of constant length.
fn random_serial() -> Result<[u8; 16], PkiError> {
    let mut serial = [0; 16];
    SystemRandom::new()
        .fill(&mut serial)
        .map_err(|_| PkiError::Crypto("drawing a serial number"))?;
    let [first, ..] = &mut serial;
    *first = (*first & 0x7f) | 0x40;
    Ok(serial)
}
