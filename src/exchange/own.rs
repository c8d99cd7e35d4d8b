//! Us: our certificates, each with its private key ready for its role. Every live key is accepted, the newest produces.

use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::standing::Standings;
use crate::{
    clock::Moment,
    config::{self, Algorithm, Report, Role},
    envelope::DetachedSigner,
    keys::{ContentUnwrapKey, DecryptionKey, KeyEntry},
    tls,
    trust::{Anchors, Fingerprint, OwnCertificates, OwnKey, PartyCertificates},
};

/// Our party id and what we hold keys for.
#[derive(Debug)]
pub struct Own {
    id: String,
    certificates: OwnCertificates,
    signers: Vec<(Fingerprint, DetachedSigner)>,
    tls: Vec<(Fingerprint, Arc<CertifiedKey>)>,
    anchors: Arc<Anchors>,
    standings: Arc<Standings>,
}

impl Own {
    /// Loads every certificate and key of ours; mistakes are reported.
    pub(super) fn build(
        raw: &config::Own,
        anchors: &Arc<Anchors>,
        standings: &Arc<Standings>,
        report: &mut Report<'_>,
        now: Moment,
    ) -> Self {
        let mut report = report.within("party");
        let certificates = OwnCertificates::build(raw, anchors, &mut report, now);
        let (mut signers, mut tls_keys) = (Vec::new(), Vec::new());
        for binding in certificates.certificates().bindings() {
            let fingerprint = binding.fingerprint();
            match certificates.key_of(binding) {
                Some(OwnKey::Signature(key)) => {
                    let algorithm = binding.algorithm().unwrap_or(Algorithm::RS256);
                    let leaf = binding.certificate().der();
                    signers.push((
                        fingerprint,
                        DetachedSigner::new(Arc::clone(key), algorithm, leaf),
                    ));
                }
                Some(OwnKey::Tls(entry)) => match certified(entry) {
                    Ok(key) => tls_keys.push((fingerprint, Arc::new(key))),
                    Err(e) => report.error(
                        "certificate",
                        format!("the TLS key cannot be used: {e}"),
                        "Use an RSA, P-256, P-384 or Ed25519 key.",
                    ),
                },
                Some(OwnKey::Encryption(_)) | None => {}
            }
        }
        Self {
            id: raw.id.clone(),
            certificates,
            signers,
            tls: tls_keys,
            anchors: Arc::clone(anchors),
            standings: Arc::clone(standings),
        }
    }

    /// Our party id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Our certificates.
    pub const fn certificates(&self) -> &PartyCertificates {
        self.certificates.certificates()
    }

    /// The newest usable signer.
    pub fn signer(&self, now: Moment) -> Option<&DetachedSigner> {
        let newest = self
            .standings
            .newest(self.certificates(), Role::Signature, &self.anchors, now)?
            .fingerprint();
        self.signers
            .iter()
            .find(|(f, _)| *f == newest)
            .map(|(_, s)| s)
    }

    /// Every usable RSA decryption key, with the fingerprint that messages in MOSIP's formats select it by.
    pub fn decryption_keys(&self, now: Moment) -> Vec<(Fingerprint, &DecryptionKey)> {
        self.content_keys(now)
            .filter_map(|(fingerprint, key)| Some((fingerprint, key.rsa()?)))
            .collect()
    }

    /// The usable decryption key of that certificate, of whatever kind.
    pub fn content_key(&self, fingerprint: &Fingerprint, now: Moment) -> Option<&ContentUnwrapKey> {
        self.content_keys(now)
            .find(|(f, _)| f == fingerprint)
            .map(|(_, key)| key)
    }

    fn content_keys(&self, now: Moment) -> impl Iterator<Item = (Fingerprint, &ContentUnwrapKey)> {
        self.certificates()
            .bindings()
            .iter()
            .filter_map(|b| match self.certificates.key_of(b) {
                Some(OwnKey::Encryption(key)) => Some((b, key)),
                _ => None,
            })
            .filter(move |(b, _)| self.standings.judge(b, &self.anchors, now).is_ok())
            .map(|(b, key)| (b.fingerprint(), key))
    }

    /// The newest usable TLS key.
    pub(super) fn tls_key(&self, now: Moment) -> Option<Arc<CertifiedKey>> {
        let newest = self
            .standings
            .newest(self.certificates(), Role::Tls, &self.anchors, now)?
            .fingerprint();
        self.tls
            .iter()
            .find(|(f, _)| *f == newest)
            .map(|(_, k)| Arc::clone(k))
    }
}

fn certified(entry: &KeyEntry) -> Result<CertifiedKey, rustls::Error> {
    let chain = entry
        .chain
        .iter()
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(entry.private_pkcs8.to_vec()));
    CertifiedKey::from_der(chain, key, &tls::provider())
}
