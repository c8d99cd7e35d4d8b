//! The certificates of the bench: one CA with its CRL, three certificates for the gateway, three for the partner.
//!
//! Everything lies in files, because the peers, the gateway and the bare-cryptography process read it from there.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RevocationReason, RevokedCertParams, SerialNumber,
    SignatureAlgorithm,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use time::{Duration, OffsetDateTime};

/// Subject O of the gateway's certificates.
pub const GATEWAY_ORGANISATION: &str = "Bench Gateway";
/// Subject O of the partner's certificates.
pub const PARTNER_ORGANISATION: &str = "Bench Partner";

/// The names of the leaves, as their files are called.
pub const GATEWAY_TLS: &str = "gateway-tls";
pub const GATEWAY_ENCRYPTION: &str = "gateway-encryption";
pub const GATEWAY_SIGNATURE: &str = "gateway-signature";
pub const PARTNER_TLS: &str = "partner-tls";
pub const PARTNER_ENCRYPTION: &str = "partner-encryption";
pub const PARTNER_SIGNATURE: &str = "partner-signature";

/// The four that are not for TLS once more, with P-256 keys.
pub const GATEWAY_ENCRYPTION_P256: &str = "gateway-encryption-p256";
pub const GATEWAY_SIGNATURE_P256: &str = "gateway-signature-p256";
pub const PARTNER_ENCRYPTION_P256: &str = "partner-encryption-p256";
pub const PARTNER_SIGNATURE_P256: &str = "partner-signature-p256";

/// A folder with everything in it.
#[derive(Clone, Debug)]
pub struct Pki(PathBuf);

impl Pki {
    /// The folder as an earlier [`Pki::make`] left it.
    pub fn at(folder: &Path) -> Self {
        Self(folder.to_path_buf())
    }

    /// Makes everything anew.
    pub fn make(folder: &Path, now: OffsetDateTime) -> Self {
        fs::create_dir_all(folder).unwrap();
        let pki = Self::at(folder);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut ca = dated(CertificateParams::default(), now);
        ca.distinguished_name.push(DnType::CommonName, "Bench CA");
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        pki.write("ca.pem", &ca.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(ca, key);
        pki.write("crl.pem", &revocation_list(&issuer, now));
        for (name, organisation) in [
            (GATEWAY_TLS, GATEWAY_ORGANISATION),
            (GATEWAY_ENCRYPTION, GATEWAY_ORGANISATION),
            (GATEWAY_SIGNATURE, GATEWAY_ORGANISATION),
            (PARTNER_TLS, PARTNER_ORGANISATION),
            (PARTNER_ENCRYPTION, PARTNER_ORGANISATION),
            (PARTNER_SIGNATURE, PARTNER_ORGANISATION),
            (GATEWAY_ENCRYPTION_P256, GATEWAY_ORGANISATION),
            (GATEWAY_SIGNATURE_P256, GATEWAY_ORGANISATION),
            (PARTNER_ENCRYPTION_P256, PARTNER_ORGANISATION),
            (PARTNER_SIGNATURE_P256, PARTNER_ORGANISATION),
        ] {
            pki.leaf(&issuer, name, organisation, now);
        }
        let both = [pki.certificate_file(GATEWAY_TLS), pki.key_file(GATEWAY_TLS)]
            .map(|file| fs::read_to_string(file).unwrap())
            .concat();
        pki.write("haproxy.pem", &both);
        pki
    }

    fn leaf(
        &self,
        issuer: &Issuer<'_, KeyPair>,
        name: &str,
        organisation: &str,
        now: OffsetDateTime,
    ) {
        let (algorithm, usage, extended): (&SignatureAlgorithm, _, _) = match name {
            GATEWAY_TLS => (
                &PKCS_ECDSA_P256_SHA256,
                KeyUsagePurpose::DigitalSignature,
                Some(ExtendedKeyUsagePurpose::ServerAuth),
            ),
            PARTNER_TLS => (
                &PKCS_ECDSA_P256_SHA256,
                KeyUsagePurpose::DigitalSignature,
                Some(ExtendedKeyUsagePurpose::ClientAuth),
            ),
            GATEWAY_ENCRYPTION | PARTNER_ENCRYPTION => {
                (&PKCS_RSA_SHA256, KeyUsagePurpose::KeyEncipherment, None)
            }
            GATEWAY_ENCRYPTION_P256 | PARTNER_ENCRYPTION_P256 => {
                (&PKCS_ECDSA_P256_SHA256, KeyUsagePurpose::KeyAgreement, None)
            }
            GATEWAY_SIGNATURE_P256 | PARTNER_SIGNATURE_P256 => (
                &PKCS_ECDSA_P256_SHA256,
                KeyUsagePurpose::DigitalSignature,
                None,
            ),
            _ => (&PKCS_RSA_SHA256, KeyUsagePurpose::DigitalSignature, None),
        };
        // rcgen makes RSA keys of 2,048 bits here
        let key = KeyPair::generate_for(algorithm).unwrap();
        let names = match name {
            GATEWAY_TLS => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            _ => Vec::new(),
        };
        let mut params = dated(CertificateParams::new(names).unwrap(), now);
        params.distinguished_name.push(DnType::CommonName, name);
        params
            .distinguished_name
            .push(DnType::OrganizationName, organisation);
        params.key_usages = vec![usage];
        params.extended_key_usages.extend(extended);
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, issuer).unwrap();
        self.write(&format!("{name}.pem"), &certificate.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    pub fn certificate_file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.pem"))
    }

    pub fn key_file(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.key"))
    }

    /// The CA.
    pub fn ca_file(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// Its revocation list.
    pub fn crl_file(&self) -> PathBuf {
        self.0.join("crl.pem")
    }

    /// The gateway's TLS certificate and key in one file, as HAProxy wants them.
    pub fn haproxy_file(&self) -> PathBuf {
        self.0.join("haproxy.pem")
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    pub fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.certificate_file(name)).unwrap()
    }

    pub fn ca(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.ca_file()).unwrap()
    }

    pub fn key(&self, name: &str) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(self.key_file(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        write_private(&self.0.join(name), text);
    }
}

/// Writes a file that only its owner can read: the gateway refuses any other key file.
pub fn write_private(file: &Path, text: &str) {
    let _ = fs::remove_file(file);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut f| f.write_all(text.as_bytes()))
        .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
}

fn dated(mut params: CertificateParams, now: OffsetDateTime) -> CertificateParams {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(30);
    params
}

/// A list with a few entries, so that every server really looks something up.
fn revocation_list(issuer: &Issuer<'_, KeyPair>, now: OffsetDateTime) -> String {
    let revoked = |serial: u8| RevokedCertParams {
        serial_number: SerialNumber::from_slice(&[1, serial]),
        revocation_time: now - Duration::hours(1),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    };
    CertificateRevocationListParams {
        this_update: now - Duration::hours(1),
        next_update: now + Duration::days(7),
        crl_number: SerialNumber::from_slice(&[1]),
        issuing_distribution_point: None,
        revoked_certs: (1..=16).map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
    .signed_by(issuer)
    .unwrap()
    .pem()
    .unwrap()
}
