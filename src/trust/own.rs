//! Our own party: bindings like anybody's, each with its private key, ready for use.

use std::sync::Arc;

use super::{
    Anchors, Binding, Certificate, Fingerprint, PartyCertificates,
    party::{Terms, binding, unknown_names},
};
use crate::{
    clock::Moment,
    config::{self, Report, Role},
    keys::{self, ContentUnwrapKey, KeyEntry, SigningKey},
};

/// A private key of ours, in the form its role needs.
#[derive(Debug)]
pub enum OwnKey {
    /// Key and chain for TLS.
    Tls(KeyEntry),
    /// The key that content keys are unwrapped with.
    Encryption(ContentUnwrapKey),
    /// The key that messages are signed with.
    Signature(Arc<SigningKey>),
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
    ) -> impl Iterator<Item = (&'a Binding, &'a ContentUnwrapKey)> {
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
    ) -> impl Iterator<Item = (&'a Binding, &'a Arc<SigningKey>)> {
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
        Role::Encryption => entry.content_key().map(OwnKey::Encryption),
        Role::Signature => entry.signing_key().map(|k| OwnKey::Signature(Arc::new(k))),
    };
    match key {
        Ok(key) => Some((binding, key)),
        Err(e) => {
            report.error(
                "",
                e.to_string(),
                "Use RSA, P-256 or P-384 for encryption; RSA, P-256 or Ed25519 for signatures.",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::{
        config::{Mistakes, OwnCertificate},
        trust::testing::{Ca, Leaf, NOW, ORGANISATION, World, report, rsa_key},
    };

    fn own(
        world: &mut World,
        anchors: &Anchors,
        leaves: &[(Role, Leaf)],
        ca: &Ca,
    ) -> (OwnCertificates, Mistakes) {
        let certificate = leaves
            .iter()
            .map(|(role, leaf)| {
                let key = world.file(leaf.key.serialize_pem().as_bytes());
                fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
                let pem = crate::trust::testing::pem(&ca.issue(leaf));
                OwnCertificate {
                    role: *role,
                    certificate: Some(world.file(pem.as_bytes())),
                    key: Some(key),
                    keystore: None,
                    password: None,
                    alias: None,
                    anchors: Vec::new(),
                    algorithm: None,
                }
            })
            .collect();
        let raw = config::Own {
            id: "we".to_owned(),
            organisation: ORGANISATION.to_owned(),
            certificate,
            insecure_shared_keys: false,
        };
        report(|report| OwnCertificates::build(&raw, anchors, report, NOW))
    }

    #[test]
    fn each_of_our_roles_has_its_key_ready() {
        let ca = Ca::root("root");
        let mut world = World::of(&ca);
        let anchors = world.anchors();
        let mut encryption = Leaf::mosip();
        encryption.key = rsa_key();
        let leaves = [
            (Role::Tls, Leaf::tls()),
            (Role::Encryption, encryption),
            (Role::Signature, Leaf::signature()),
        ];
        let (own, mistakes) = own(&mut world, &anchors, &leaves, &ca);
        assert!(mistakes.0.is_empty(), "{mistakes}");
        assert_eq!(own.tls(&anchors, NOW).count(), 1);
        let (binding, key) = own.encryption(&anchors, NOW).next().unwrap();
        let wrapped = binding.wrapping_key().unwrap().wrap(&[3; 32]).unwrap();
        let key = key.rsa().unwrap();
        assert_eq!(key.unwrap(&wrapped).unwrap().as_slice(), &[3; 32]);
        let (binding, key) = own.signature(&anchors, NOW).next().unwrap();
        let signature = key.sign(binding.algorithm().unwrap(), b"m").unwrap();
        let verifying = binding.verifying_key().unwrap();
        assert_eq!(verifying.verify(b"m", &signature), Ok(()));
    }

    #[test]
    fn an_elliptic_key_of_ours_unwraps_but_an_edwards_key_cannot() {
        let ca = Ca::root("root");
        let mut world = World::of(&ca);
        let anchors = world.anchors();
        let leaves = [(Role::Encryption, Leaf::encryption())];
        let (ours, mistakes) = own(&mut world, &anchors, &leaves, &ca);
        assert!(!mistakes.refuse(), "{mistakes}");
        let (_, key) = ours.encryption(&anchors, NOW).next().unwrap();
        assert!(matches!(key, ContentUnwrapKey::Curve(_)));

        let mut edwards = Leaf::encryption();
        edwards.key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let leaves = [(Role::Encryption, edwards)];
        let (_, mistakes) = own(&mut world, &anchors, &leaves, &ca);
        assert!(mistakes.refuse());
        let told = mistakes.to_string();
        assert!(told.contains("P-384 for encryption"), "{told}");
    }
}
