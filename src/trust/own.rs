//! Our own party: bindings like anybody's, each with its private key, ready for use.

use super::{
    Anchors, Binding, Certificate, Fingerprint, PartyCertificates,
    party::{Terms, binding, unknown_names},
};
use crate::{
    clock::Moment,
    config::{self, Report, Role},
    keys::{self, DecryptionKey, KeyEntry, SigningKey},
};

/// A private key of ours, in the form its role needs.
#[derive(Debug)]
pub enum OwnKey {
    /// Key and chain for TLS.
    Tls(KeyEntry),
    /// The key that content keys are unwrapped with.
    Encryption(DecryptionKey),
    /// The key that messages are signed with.
    Signature(SigningKey),
}

/// Our bindings and keys.
#[derive(Debug)]
pub struct OwnCertificates {
    certificates: PartyCertificates,
    keys: Vec<(Role, Fingerprint, OwnKey)>,
}

impl OwnCertificates {
    /// Reads our certificates and keys; `report` stands at `party`.
    pub fn build(
        own: &config::Own,
        anchors: &Anchors,
        report: &mut Report<'_>,
        now: Moment,
    ) -> Self {
        let mut made = Vec::new();
        let mut keys = Vec::new();
        for (i, raw) in own.certificate.iter().enumerate() {
            let mut report = report.within(format!("certificate[{i}]"));
            if let Some((binding, key)) = read_one(own, raw, anchors, &mut report) {
                keys.push((raw.role, binding.fingerprint(), key));
                made.push((i, binding));
            }
        }
        let certificates = PartyCertificates::from_bindings(
            &own.id,
            &own.organisation,
            made,
            own.insecure_shared_keys,
            anchors,
            report,
            now,
        );
        Self { certificates, keys }
    }

    /// Our bindings.
    pub const fn certificates(&self) -> &PartyCertificates {
        &self.certificates
    }

    /// The private key of a binding of ours.
    pub fn key_of(&self, binding: &Binding) -> Option<&OwnKey> {
        self.keys
            .iter()
            .find(|(role, f, _)| *role == binding.role() && *f == binding.fingerprint())
            .map(|(.., key)| key)
    }

    /// Keys and chains of the usable TLS certificates, the newest first.
    pub fn tls<'a>(
        &'a self,
        anchors: &'a Anchors,
        now: Moment,
    ) -> impl Iterator<Item = (&'a Binding, &'a KeyEntry)> {
        self.certificates
            .usable(Role::Tls, anchors, now)
            .filter_map(|b| match self.key_of(b) {
                Some(OwnKey::Tls(key)) => Some((b, key)),
                _ => None,
            })
    }

    /// Usable keys that unwrap, the newest first.
    pub fn encryption<'a>(
        &'a self,
        anchors: &'a Anchors,
        now: Moment,
    ) -> impl Iterator<Item = (&'a Binding, &'a DecryptionKey)> {
        self.certificates
            .usable(Role::Encryption, anchors, now)
            .filter_map(|b| match self.key_of(b) {
                Some(OwnKey::Encryption(key)) => Some((b, key)),
                _ => None,
            })
    }

    /// Usable keys that sign, the newest first: that one produces.
    pub fn signature<'a>(
        &'a self,
        anchors: &'a Anchors,
        now: Moment,
    ) -> impl Iterator<Item = (&'a Binding, &'a SigningKey)> {
        self.certificates
            .usable(Role::Signature, anchors, now)
            .filter_map(|b| match self.key_of(b) {
                Some(OwnKey::Signature(key)) => Some((b, key)),
                _ => None,
            })
    }
}

fn read_one(
    own: &config::Own,
    raw: &config::OwnCertificate,
    anchors: &Anchors,
    report: &mut Report<'_>,
) -> Option<(Binding, OwnKey)> {
    unknown_names(&raw.anchors, "anchors", anchors, report);
    let entry = keys::load(raw, report)?;
    let certificates = entry
        .chain
        .iter()
        .map(|der| Certificate::from_der(der.clone()))
        .collect::<Result<Vec<_>, _>>();
    let certificates = match certificates {
        Ok(certificates) => certificates,
        Err(e) => {
            report.error(
                "",
                format!("a certificate of the chain: {e}"),
                "Replace it.",
            );
            return None;
        }
    };
    let every = anchors.names();
    let terms = Terms {
        role: raw.role,
        algorithm: raw.algorithm,
        anchors: if raw.anchors.is_empty() {
            &every
        } else {
            &raw.anchors
        },
        organisation: &own.organisation,
        valid_from: None,
        valid_until: None,
    };
    let binding = binding(certificates, &terms, report)?;
    let key = match raw.role {
        Role::Tls => Ok(OwnKey::Tls(entry)),
        Role::Encryption => entry.decryption_key().map(OwnKey::Encryption),
        Role::Signature => entry.signing_key().map(OwnKey::Signature),
    };
    match key {
        Ok(key) => Some((binding, key)),
        Err(e) => {
            report.error(
                "",
                e.to_string(),
                "Use RSA for encryption; RSA, P-256 or Ed25519 for signatures.",
            );
            None
        }
    }
}
