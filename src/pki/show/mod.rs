//! `pki show`: what certificate files hold, for whom, in which role, until when, and what is wrong with it.
//!
//! Files are read together, so that a certificate is checked against its issuer, a revocation list and a key that stand
//! in other files of the same call. It describes and warns; whether the gateway accepts a certificate from a partner is
//! for `trust` to say. Never shows a private key.

mod certificate;
mod content;
mod key;
mod list;
mod request;
mod roles;
mod words;

use std::path::Path;

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub use certificate::CertificateShown;
pub use content::Form;
use content::{Content, Opened};
pub use key::KeyShown;
pub use list::{ListShown, RevokedShown};
pub use request::RequestShown;
pub use roles::RoleShown;

use super::PkiError;
use crate::clock::Moment;

/// One file.
#[derive(Debug, Serialize)]
pub struct FileShown {
    /// Its path, as given.
    pub file: String,
    /// How it is written.
    pub form: Form,
    /// What concerns the file as a whole.
    pub findings: Vec<Finding>,
    /// What it holds, in its order.
    pub items: Vec<ItemShown>,
}

/// One thing in a file.
#[derive(Debug, Serialize)]
pub struct ItemShown {
    /// Its name in a key store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
    /// What is wrong or notable.
    pub findings: Vec<Finding>,
}

/// What a thing is.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// A certificate.
    Certificate(Box<CertificateShown>),
    /// A revocation list.
    RevocationList(ListShown),
    /// A request for a certificate.
    Request(RequestShown),
    /// A private key; only its public half is shown.
    PrivateKey(KeyShown),
    /// A public key.
    PublicKey(KeyShown),
    /// A private key or key store that cannot be opened.
    Locked,
    /// Anything else.
    Unknown {
        /// The label of its PEM block.
        label: String,
    },
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Somebody will refuse it.
    Wrong,
}

/// Something wrong or notable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// In words.
    pub text: String,
}

impl Finding {
    fn wrong(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Wrong,
            text: text.into(),
        }
    }

    fn note(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Note,
            text: text.into(),
        }
    }
}

impl FileShown {
    /// Whether something in it is wrong.
    pub fn is_wrong(&self) -> bool {
        self.findings
            .iter()
            .chain(self.items.iter().flat_map(|item| &item.findings))
            .any(|finding| finding.severity == Severity::Wrong)
    }
}

/// Reads and judges files as of a moment. `password` opens key stores.
///
/// # Errors
/// When a file cannot be read at all; what it holds is never an error but a finding.
pub fn show(
    files: &[impl AsRef<Path>],
    password: Option<&str>,
    now: Moment,
) -> Result<Vec<FileShown>, PkiError> {
    let opened: Vec<Opened> = files
        .iter()
        .map(|path| Opened::read(path.as_ref(), password))
        .collect::<Result<_, _>>()?;
    let company = Company::of(&opened);
    Ok(opened
        .iter()
        .map(|file| show_file(file, &company, now))
        .collect())
}

/// Everything in all files of one call, for checks of one against the other.
struct Company<'a> {
    certificates: Vec<&'a [u8]>,
    lists: Vec<&'a [u8]>,
}

impl<'a> Company<'a> {
    fn of(files: &'a [Opened]) -> Self {
        let mut company = Self {
            certificates: Vec::new(),
            lists: Vec::new(),
        };
        for item in files.iter().flat_map(|file| &file.items) {
            match &item.content {
                Content::Certificate(der) => company.certificates.push(der),
                Content::List(der) => company.lists.push(der),
                Content::Request(_)
                | Content::PrivateKey(_)
                | Content::PublicKey(_)
                | Content::Locked(_)
                | Content::Unknown(_) => {}
            }
        }
        company
    }
}

fn show_file(file: &Opened, company: &Company<'_>, now: Moment) -> FileShown {
    let mut findings = file.findings.clone();
    findings.extend(certificate::chain_findings(file));
    let items = file
        .items
        .iter()
        .map(|item| {
            let (what, findings) = match &item.content {
                Content::Certificate(der) => certificate::show(der, company, now),
                Content::List(der) => list::show(der, company, now),
                Content::Request(der) => request::show(der),
                Content::PrivateKey(der) => key::show_private(der, company),
                Content::PublicKey(der) => key::show_public(der),
                Content::Locked(why) => (What::Locked, vec![Finding::wrong(why)]),
                Content::Unknown(label) => {
                    let text =
                        "it is not a certificate, revocation list, request, key or key store";
                    (
                        What::Unknown {
                            label: label.clone(),
                        },
                        vec![Finding::wrong(text)],
                    )
                }
            };
            ItemShown {
                alias: item.alias.clone(),
                what,
                findings,
            }
        })
        .collect();
    FileShown {
        file: file.path.clone(),
        form: file.form,
        findings,
        items,
    }
}

/// What could not be read although it says what it is.
fn unreadable(label: &str, error: &PkiError) -> (What, Vec<Finding>) {
    (
        What::Unknown {
            label: label.to_owned(),
        },
        vec![Finding::wrong(error.to_string())],
    )
}

/// A moment in RFC 3339, UTC, whole seconds.
fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "beyond the calendar".to_owned())
}

/// A length of time in the two largest fitting words: "3 days", "5 hours", "40 seconds".
fn span(seconds: i64) -> String {
    let seconds = seconds.saturating_abs();
    for (unit, name) in [(86_400, "day"), (3_600, "hour"), (60, "minute")] {
        let count = seconds.checked_div(unit).unwrap_or(0);
        if count > 0 {
            return format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        }
    }
    format!("{seconds} second{}", if seconds == 1 { "" } else { "s" })
}

/// Lower-case hex of a SHA-256 digest.
fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests;
