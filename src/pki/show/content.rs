//! Opening a file: PEM, DER or PKCS#12, taken apart into the things in it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde::Serialize;
use x509_parser::{
    certification_request::X509CertificationRequest, prelude::FromDer, x509::SubjectPublicKeyInfo,
};
use zeroize::Zeroizing;

use super::Finding;
use crate::pki::{Key, PkiError, authority::read_certificate, crl::read_list, p12, pem};

/// The largest file that is looked at: a revocation list may be long, a mistyped name of a disk image is longer.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Form {
    /// Text blocks.
    #[serde(rename = "PEM")]
    Pem,
    /// One thing, binary.
    #[serde(rename = "DER")]
    Der,
    /// A key store.
    #[serde(rename = "PKCS#12")]
    Pkcs12,
}

/// A file, taken apart.
pub(super) struct Opened {
    pub(super) path: String,
    pub(super) form: Form,
    pub(super) findings: Vec<Finding>,
    pub(super) items: Vec<Item>,
}

pub(super) struct Item {
    pub(super) alias: Option<String>,
    pub(super) content: Content,
}

/// One thing, not yet looked into but for its kind.
pub(super) enum Content {
    Certificate(Vec<u8>),
    List(Vec<u8>),
    Request(Vec<u8>),
    PrivateKey(Zeroizing<Vec<u8>>),
    PublicKey(Vec<u8>),
    /// Cannot be opened, and why.
    Locked(String),
    /// The label of its PEM block, or what the file is not.
    Unknown(String),
}

impl Opened {
    pub(super) fn read(path: &Path, password: Option<&str>) -> Result<Self, PkiError> {
        let io = |error| PkiError::io(path, error);
        let metadata = fs::metadata(path).map_err(io)?;
        if metadata.len() > FILE_BYTES_MAX {
            return Err(PkiError::malformed(
                "certificate file",
                format!("{} has over 64 MiB", path.display()),
            ));
        }
        let bytes = Zeroizing::new(fs::read(path).map_err(io)?);
        let mut opened = Self {
            path: path.display().to_string(),
            form: Form::Der,
            findings: Vec::new(),
            items: Vec::new(),
        };
        if pem::looks_like(&bytes) {
            opened.form = Form::Pem;
            opened.take_pem(&bytes);
        } else if is_pkcs12(&bytes) {
            opened.form = Form::Pkcs12;
            opened.take_pkcs12(&bytes, password);
        } else {
            opened.items.push(Item {
                alias: None,
                content: guess(&bytes),
            });
        }
        let secret =
            |item: &Item| matches!(item.content, Content::PrivateKey(_) | Content::Locked(_));
        let mode = metadata.permissions().mode() & 0o777;
        if opened.items.iter().any(secret) && mode & 0o077 != 0 {
            let text = format!(
                "others may read or change this private key (mode {mode:04o}): chmod 600 {}",
                opened.path
            );
            opened.findings.push(Finding::wrong(text));
        }
        Ok(opened)
    }

    fn take_pem(&mut self, bytes: &[u8]) {
        match pem::blocks(bytes) {
            Ok(blocks) => self.items.extend(blocks.into_iter().map(|block| {
                let content = match block.label.as_str() {
                    "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => {
                        Content::Certificate(block.der.to_vec())
                    }
                    "X509 CRL" => Content::List(block.der.to_vec()),
                    "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
                        Content::Request(block.der.to_vec())
                    }
                    "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
                        Content::PrivateKey(block.der)
                    }
                    "PUBLIC KEY" => Content::PublicKey(block.der.to_vec()),
                    "ENCRYPTED PRIVATE KEY" => Content::Locked(
                        "the private key is encrypted; only key stores are opened here".to_owned(),
                    ),
                    _ => Content::Unknown(block.label),
                };
                Item {
                    alias: None,
                    content,
                }
            })),
            Err(error) => self.findings.push(Finding::wrong(error.to_string())),
        }
    }

    fn take_pkcs12(&mut self, bytes: &[u8], password: Option<&str>) {
        let Some(password) = password else {
            let text =
                "a key store; say --password-file FILE or --password-env NAME to look inside"
                    .to_owned();
            self.items.push(Item {
                alias: None,
                content: Content::Locked(text),
            });
            return;
        };
        match p12::read_p12(bytes, password) {
            Ok(contents) => {
                self.items
                    .extend(contents.certificates.into_iter().map(|(alias, der)| Item {
                        alias,
                        content: Content::Certificate(der),
                    }));
                self.items
                    .extend(contents.keys.into_iter().map(|(alias, der)| Item {
                        alias,
                        content: Content::PrivateKey(der),
                    }));
            }
            Err(error) => self.items.push(Item {
                alias: None,
                content: Content::Locked(error.to_string()),
            }),
        }
    }

    /// The certificates, in the file's order.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.items.iter().filter_map(|item| match &item.content {
            Content::Certificate(der) => Some(der.as_slice()),
            Content::List(_)
            | Content::Request(_)
            | Content::PrivateKey(_)
            | Content::PublicKey(_)
            | Content::Locked(_)
            | Content::Unknown(_) => None,
        })
    }
}

/// SEQUENCE { INTEGER 3, SEQUENCE { OID of PKCS#7 .. } }: nothing else begins like this (RFC 7292 section 4).
fn is_pkcs12(bytes: &[u8]) -> bool {
    const PKCS7: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];
    let head = bytes.get(..40).unwrap_or(bytes);
    bytes.first() == Some(&0x30)
        && head
            .windows(3)
            .take(8)
            .any(|window| window == [0x02, 0x01, 0x03])
        && head.windows(PKCS7.len()).any(|window| window == PKCS7)
}

fn guess(bytes: &[u8]) -> Content {
    if read_certificate(bytes).is_ok() {
        Content::Certificate(bytes.to_vec())
    } else if read_list(bytes).is_ok() {
        Content::List(bytes.to_vec())
    } else if X509CertificationRequest::from_der(bytes).is_ok_and(|(rest, _)| rest.is_empty()) {
        Content::Request(bytes.to_vec())
    } else if Key::from_der(bytes).is_ok() {
        Content::PrivateKey(Zeroizing::new(bytes.to_vec()))
    } else if SubjectPublicKeyInfo::from_der(bytes).is_ok_and(|(rest, _)| rest.is_empty()) {
        Content::PublicKey(bytes.to_vec())
    } else {
        Content::Unknown("neither PEM nor any known DER".to_owned())
    }
}
