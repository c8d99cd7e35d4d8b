//! Our own certificates with their private keys, from PEM files or a PKCS#12 key store.

use std::{fmt, path::Path};

use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};
use zeroize::Zeroizing;

use super::{
    DecryptionKey, KeyError, KeyKind, PublicKey, SigningKey,
    pkcs12::{self, StoreProblem},
    private::PrivateKey,
    read_secret,
    secret::read_private_file,
};
use crate::config::{OwnCertificate, Report};

/// A private key with its chain.
pub struct KeyEntry {
    /// The certificates in DER, the leaf first, then its issuers.
    pub chain: Vec<Vec<u8>>,
    /// The private key in PKCS#8.
    pub private_pkcs8: Zeroizing<Vec<u8>>,
    /// The kind of the key.
    pub kind: KeyKind,
}

impl KeyEntry {
    /// The key as one that signs.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it cannot sign with a listed algorithm (P-384).
    pub fn signing_key(&self) -> Result<SigningKey, KeyError> {
        SigningKey::from_pkcs8_der(&self.private_pkcs8)
    }

    /// The key as one that unwraps.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is not RSA.
    pub fn decryption_key(&self) -> Result<DecryptionKey, KeyError> {
        DecryptionKey::from_pkcs8_der(&self.private_pkcs8)
    }
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeyEntry({} with {} certificates)",
            self.kind,
            self.chain.len()
        )
    }
}

/// Reads one certificate of ours with its key; `report` stands at its table.
pub fn load(raw: &OwnCertificate, report: &mut Report<'_>) -> Option<KeyEntry> {
    match (&raw.certificate, &raw.key, &raw.keystore) {
        (Some(certificate), Some(key), None) => {
            if raw.alias.is_some() {
                report.error(
                    "alias",
                    "PEM files have no aliases",
                    "Remove it, or use `keystore`.",
                );
            }
            let certificate = report.resolve(certificate);
            let key = report.resolve(key);
            from_pem(&certificate, &key, report)
        }
        (None, None, Some(keystore)) => {
            let keystore = report.resolve(keystore);
            from_store(raw, &keystore, report)
        }
        _ => {
            report.error(
                "",
                "a certificate of ours comes either as `certificate` with `key`, or as `keystore`",
                "Give the two PEM files, or the one key store.",
            );
            None
        }
    }
}

/// The certificates in a PEM file, in DER; at least one.
///
/// # Errors
/// Why there is none, in words for an operator.
pub fn certificates_in(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let all: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_file_iter(path)
        .and_then(|all| all.map(|c| c.map(|der| der.to_vec())).collect());
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(format!("{} holds no certificate in PEM", path.display())),
        Err(e) => Err(format!("{} cannot be read: {e}", path.display())),
    }
}

fn from_pem(certificate: &Path, key: &Path, report: &mut Report<'_>) -> Option<KeyEntry> {
    let chain = chain_from_pem(certificate, report);
    let key = key_from_pem(key, report);
    let (chain, key) = (chain?, key?);
    let place = chain.iter().position(|der| belongs(&key, der));
    if place == Some(0) {
        return Some(KeyEntry {
            chain,
            kind: key.kind(),
            private_pkcs8: key.into_pkcs8(),
        });
    }
    let what = match place {
        Some(n) => format!(
            "the key belongs to certificate {} of {}, not to the first",
            n.saturating_add(1),
            certificate.display()
        ),
        None => format!(
            "the key does not belong to any certificate in {}",
            certificate.display()
        ),
    };
    report.error(
        "key",
        what,
        "Put the leaf that was issued for this key first, then its issuers.",
    );
    None
}

fn chain_from_pem(path: &Path, report: &mut Report<'_>) -> Option<Vec<Vec<u8>>> {
    certificates_in(path)
        .map_err(|why| {
            report.error(
                "certificate",
                why,
                "Name the PEM file with the leaf and its issuers.",
            );
        })
        .ok()
}

fn key_from_pem(path: &Path, report: &mut Report<'_>) -> Option<PrivateKey> {
    let pem = match read_private_file(path) {
        Ok(pem) => pem,
        Err(problem) => {
            report.error("key", problem.what(path), problem.remedy(path));
            return None;
        }
    };
    let has = |needle: &[u8]| pem.windows(needle.len()).any(|w| w == needle);
    if has(b"ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        report.error(
            "key",
            format!("{} is an encrypted PEM key, which is not read", path.display()),
            "Put key and certificates into a PKCS#12 key store (`openssl pkcs12 -export`) and use `keystore` with `password`, or decrypt the key.",
        );
        return None;
    }
    match PrivateKey::all_from_pem(&pem) {
        Ok(keys) if keys.len() == 1 => keys.into_iter().next(),
        Ok(keys) => {
            report.error(
                "key",
                format!("{} holds {} private keys", path.display(), keys.len()),
                "Name a PEM file with exactly one (PKCS#8, PKCS#1 or SEC1).",
            );
            None
        }
        Err(e) => {
            report.error(
                "key",
                format!("{}: {e}", path.display()),
                "Use an RSA key of 2048 to 8192 bits, or a P-256, P-384 or Ed25519 key, in PKCS#8, PKCS#1 or SEC1.",
            );
            None
        }
    }
}

fn from_store(raw: &OwnCertificate, path: &Path, report: &mut Report<'_>) -> Option<KeyEntry> {
    let Some(password) = &raw.password else {
        report.error(
            "keystore",
            "a key store needs its password",
            "Add `password = { file = \"..\" }` or `{ env = \"..\" }`.",
        );
        return None;
    };
    let password = read_secret(password, &mut report.within("password"))?;
    let Some(password) = password.expose_text() else {
        report.error("password", "the password is not UTF-8 text", "Correct it.");
        return None;
    };
    let store = match read_private_file(path) {
        Ok(store) => store,
        Err(problem) => {
            report.error("keystore", problem.what(path), problem.remedy(path));
            return None;
        }
    };
    match pkcs12::open(&store, password, raw.alias.as_deref()) {
        Ok((key, chain)) => Some(KeyEntry {
            chain,
            kind: key.kind(),
            private_pkcs8: key.into_pkcs8(),
        }),
        Err(problem) => {
            let (field, what, remedy) = explain(&problem);
            report.error(field, format!("{}: {what}", path.display()), remedy);
            None
        }
    }
}

fn explain(problem: &StoreProblem) -> (&'static str, String, String) {
    match problem {
        StoreProblem::Unreadable => (
            "keystore",
            "the password is wrong, or this is not a PKCS#12 key store that can be read".to_owned(),
            "Check the password. An MD5-based or JKS store must be converted: `keytool -importkeystore -deststoretype pkcs12`.".to_owned(),
        ),
        StoreProblem::NoKey => (
            "keystore",
            "the key store holds no private key".to_owned(),
            "Name the key store, not the trust store.".to_owned(),
        ),
        StoreProblem::NoSuchAlias(names) => (
            "alias",
            "no entry has this alias".to_owned(),
            format!("Use one of: {}.", names.join(", ")),
        ),
        StoreProblem::Several(names) => (
            "alias",
            "the key store holds several entries".to_owned(),
            format!("Set `alias` to one of: {}.", names.join(", ")),
        ),
        StoreProblem::Key => (
            "keystore",
            KeyError::Malformed.to_string(),
            "Use a key of one of these kinds.".to_owned(),
        ),
        StoreProblem::NoCertificate => (
            "keystore",
            "no certificate in the key store belongs to the key".to_owned(),
            "Import the certificate that was issued for this key.".to_owned(),
        ),
        StoreProblem::SeveralCertificates(names) => (
            "keystore",
            format!("several certificates belong to the key: {}", names.join("; ")),
            "Keep one of them, or set `alias` to the friendly name of one.".to_owned(),
        ),
    }
}

fn belongs(key: &PrivateKey, certificate: &[u8]) -> bool {
    X509Certificate::from_der(certificate)
        .ok()
        .and_then(|(_, c)| PublicKey::from_spki(c.public_key().raw).ok())
        .is_some_and(|public| key.belongs_to(&public))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    use aws_lc_rs::{
        encoding::AsDer,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
    };
    use base64::{Engine, engine::general_purpose::STANDARD};
    use p12_keystore::{
        Certificate as StoreCertificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry,
        PrivateKey as StoreKey, PrivateKeyChain,
    };
    use rcgen::{CertificateParams, Issuer, KeyPair};

    use super::*;
    use crate::config::{Document, Mistakes, Role, SecretRef};

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        }

        fn pem(&self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> OwnCertificate {
            let mut raw = raw();
            raw.certificate = Some(self.file("cert.pem", certificate));
            raw.key = Some(self.file("key.pem", key));
            raw
        }

        fn store(&self, store: &KeyStore, old: bool) -> OwnCertificate {
            let mut writer = store.writer("geheim");
            if old {
                writer =
                    writer.encryption_algorithm(EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc);
            }
            let mut raw = raw();
            raw.keystore = Some(self.file("store.p12", writer.write().unwrap()));
            raw.password = Some(SecretRef {
                file: Some(self.file("password", "geheim\n")),
                env: None,
            });
            raw
        }
    }

    fn raw() -> OwnCertificate {
        OwnCertificate {
            role: Role::Signature,
            certificate: None,
            key: None,
            keystore: None,
            password: None,
            alias: None,
            anchors: Vec::new(),
            algorithm: None,
        }
    }

    fn read(raw: &OwnCertificate) -> (Option<KeyEntry>, Mistakes) {
        let document = Document::from_text(Path::new("t.toml"), String::new());
        let mut mistakes = Mistakes::default();
        let entry = load(raw, &mut Report::new(&document, &mut mistakes));
        assert_eq!(entry.is_none(), mistakes.refuse(), "{mistakes}");
        (entry, mistakes)
    }

    fn refused(raw: &OwnCertificate, why: &str) {
        let (entry, mistakes) = read(raw);
        assert!(entry.is_none());
        let told = mistakes.to_string();
        assert!(told.contains(why), "{told}");
        assert!(!told.contains("geheim"), "{told}");
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    /// A CA and a leaf below it with its key.
    fn chain() -> (rcgen::Certificate, rcgen::Certificate, KeyPair) {
        let named = |name: &str| {
            let mut params = CertificateParams::default();
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            params
        };
        let ca_key = KeyPair::generate().unwrap();
        let ca = named("ca").self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(named("ca"), ca_key);
        let key = KeyPair::generate().unwrap();
        let leaf = named("leaf").signed_by(&key, &issuer).unwrap();
        (ca, leaf, key)
    }

    fn entry(key: &KeyPair, certificates: &[&rcgen::Certificate]) -> KeyStoreEntry {
        KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(
            "1",
            StoreKey::from_der(key.serialized_der()).unwrap(),
            certificates
                .iter()
                .map(|c| StoreCertificate::from_der(c.der()).unwrap()),
        ))
    }

    #[test]
    fn the_three_pem_forms_of_a_key_are_one_key() {
        let folder = Folder::new();
        let (ca, leaf, key) = chain();
        let certificates = leaf.pem() + &ca.pem();
        let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialized_der())
            .unwrap();
        let sec1 = ec.private_key().as_der().unwrap();
        for text in [key.serialize_pem(), pem("EC PRIVATE KEY", sec1.as_ref())] {
            let (entry, _) = read(&folder.pem(&certificates, text));
            let entry = entry.unwrap();
            assert_eq!(entry.chain, [leaf.der().to_vec(), ca.der().to_vec()]);
            assert!(entry.signing_key().is_ok());
            assert!(entry.decryption_key().is_err());
        }

        let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let own = CertificateParams::default().self_signed(&key).unwrap();
        // PKCS#8 of an RSA-2048 key is 26 bytes around the PKCS#1 form.
        let pkcs1 = &key.serialized_der()[26..];
        let (entry, _) = read(&folder.pem(own.pem(), pem("RSA PRIVATE KEY", pkcs1)));
        let entry = entry.unwrap();
        assert_eq!(entry.kind, KeyKind::Rsa);
        assert!(entry.decryption_key().is_ok());
        assert_eq!(format!("{entry:?}"), "KeyEntry(RSA with 1 certificates)");
    }

    #[test]
    fn a_key_that_does_not_belong_to_the_first_certificate_is_refused() {
        let folder = Folder::new();
        let (ca, leaf, key) = chain();
        let other = KeyPair::generate().unwrap();
        refused(
            &folder.pem(leaf.pem(), other.serialize_pem()),
            "does not belong to any certificate",
        );
        refused(
            &folder.pem(ca.pem() + &leaf.pem(), key.serialize_pem()),
            "belongs to certificate 2",
        );
    }

    #[test]
    fn a_key_file_that_everybody_may_read_is_refused_with_the_remedy() {
        let folder = Folder::new();
        let (_, leaf, key) = chain();
        let raw = folder.pem(leaf.pem(), key.serialize_pem());
        let path = raw.key.clone().unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        refused(&raw, "chmod");
    }

    #[test]
    fn an_encrypted_pem_key_is_refused_with_the_remedy() {
        let folder = Folder::new();
        let (_, leaf, _) = chain();
        let pkcs8 = pem("ENCRYPTED PRIVATE KEY", b"x");
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END RSA PRIVATE KEY-----\n";
        for text in [pkcs8.as_str(), old] {
            refused(&folder.pem(leaf.pem(), text), "openssl pkcs12 -export");
        }
    }

    #[test]
    fn no_key_two_keys_and_small_keys_are_refused() {
        let folder = Folder::new();
        let (_, leaf, key) = chain();
        let two = key.serialize_pem() + &key.serialize_pem();
        refused(&folder.pem(leaf.pem(), leaf.pem()), "holds 0 private keys");
        refused(&folder.pem(leaf.pem(), two), "holds 2 private keys");
        refused(
            &folder.pem("", key.serialize_pem()),
            "no certificate in PEM",
        );
        refused(
            &folder.pem(leaf.pem(), pem("PRIVATE KEY", b"nonsense")),
            "the key cannot be read",
        );
    }

    #[test]
    fn the_leaf_of_a_key_store_is_the_one_that_belongs_to_the_key() {
        let folder = Folder::new();
        let (ca, leaf, key) = chain();
        let own = CertificateParams::default().self_signed(&key).unwrap();
        for order in [[&leaf, &ca, &own], [&ca, &own, &leaf], [&own, &leaf, &ca]] {
            for old in [false, true] {
                let mut store = KeyStore::new();
                store.add_entry("one", entry(&key, &order));
                let (entry, _) = read(&folder.store(&store, old));
                assert_eq!(
                    entry.unwrap().chain,
                    [leaf.der().to_vec(), ca.der().to_vec()]
                );
            }
        }
    }

    #[test]
    fn several_entries_need_an_alias_and_the_mistake_lists_them() {
        let folder = Folder::new();
        let ((_, one, key), (_, two, other)) = (chain(), chain());
        let mut store = KeyStore::new();
        store.add_entry("one", entry(&key, &[&one]));
        store.add_entry("two", entry(&other, &[&two]));
        let mut raw = folder.store(&store, false);
        refused(&raw, "Set `alias` to one of: one, two.");
        raw.alias = Some("three".to_owned());
        refused(&raw, "Use one of: one, two.");
        raw.alias = Some("TWO".to_owned());
        assert_eq!(read(&raw).0.unwrap().chain, [two.der().to_vec()]);
    }

    #[test]
    fn a_key_store_needs_its_right_password_and_a_certificate_of_its_key() {
        let folder = Folder::new();
        let (ca, leaf, key) = chain();
        let mut store = KeyStore::new();
        store.add_entry("one", entry(&key, &[&leaf]));
        let mut raw = folder.store(&store, false);
        folder.file("password", "geheim2");
        refused(&raw, "the password is wrong");
        raw.password = None;
        refused(&raw, "needs its password");
        let mut store = KeyStore::new();
        store.add_entry("one", entry(&key, &[&ca]));
        refused(
            &folder.store(&store, false),
            "no certificate in the key store",
        );
    }

    #[test]
    fn a_certificate_of_ours_has_one_source() {
        let folder = Folder::new();
        let (_, leaf, key) = chain();
        let mut both = folder.pem(leaf.pem(), key.serialize_pem());
        both.keystore = Some("store.p12".into());
        refused(&both, "either as");
        both.keystore = None;
        both.key = None;
        refused(&both, "either as");
        refused(&raw(), "either as");
    }
}
