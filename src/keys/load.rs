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
    let chain: Result<Vec<Vec<u8>>, _> = CertificateDer::pem_file_iter(path)
        .and_then(|all| all.map(|c| c.map(|der| der.to_vec())).collect());
    match chain {
        Ok(chain) if !chain.is_empty() => Some(chain),
        Ok(_) => {
            report.error(
                "certificate",
                format!("{} holds no certificate in PEM", path.display()),
                "Name the PEM file with the leaf and its issuers.",
            );
            None
        }
        Err(e) => {
            report.error(
                "certificate",
                format!("{} cannot be read: {e}", path.display()),
                "Check the path, and that it is a PEM file with certificates.",
            );
            None
        }
    }
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
