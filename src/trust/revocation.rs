//! Revocation lists: reading them, and what they say of a certificate.
//!
//! A list counts when it bears the signature of one of its anchor's certificates and covers all that this issuer issues.
//! Delta lists, indirect lists, lists of a part (any issuing distribution point), lists without `nextUpdate` and lists with
//! critical extensions that are not understood are refused when they are loaded. Of several lists of one issuer the newest that
//! has begun counts.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use rustls_pki_types::{CertificateRevocationListDer, pem::PemObject};
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};

use super::{
    Certificate, CertificateError, after,
    certificate::{least, moment, read_bounded, shown},
    der, over, signed,
};
use crate::{clock::Moment, keys::PublicKey};

/// The largest file of revocation lists that is read, in bytes.
const FILE_MAX_BYTES: u64 = 64 << 20;

/// The revocation state of a certificate, or of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The anchor is configured as `insecure_none`.
    Unchecked,
    /// A current list covers it and does not name it.
    Good,
    /// The list that covers it is past its `nextUpdate`.
    Stale,
    /// No list covers it.
    Unknown,
    /// A list names it.
    Revoked,
}

impl Standing {
    /// The word for logs, metrics and evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Good => "good",
            Self::Stale => "stale",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
        }
    }
}

/// A revocation state with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationView {
    /// The state.
    pub standing: Standing,
    /// The file of the list.
    pub source: Option<PathBuf>,
    /// How old the list is, in seconds.
    pub age_s: Option<i64>,
    /// How long the list can still be used, grace included, in seconds; negative when that is over.
    pub left_s: Option<i64>,
    /// Whose list it is and its dates.
    pub list: Option<ListDates>,
}

/// Whose list says so, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListDates {
    /// Its issuer.
    pub issuer: String,
    /// When it was made.
    pub this_update: Moment,
    /// When the next one was promised.
    pub next_update: Moment,
}

/// One list, for metrics and health pages.
#[derive(Clone, Copy, Debug)]
pub struct ListView<'a> {
    /// The anchor it belongs to.
    pub anchor: &'a str,
    /// Its issuer.
    pub issuer: &'a str,
    /// Its file.
    pub source: &'a Path,
    /// When it was made.
    pub this_update: Moment,
    /// When the next one was promised.
    pub next_update: Moment,
    /// Until when it is used: `next_update` and the grace.
    pub deadline: Moment,
}

impl ListView<'_> {
    /// How long it can still be used, in seconds; negative when that is over.
    pub const fn left_s(&self, now: Moment) -> i64 {
        self.deadline.s().saturating_sub(now.s())
    }
}

/// A revocation list whose signature was checked.
pub(super) struct RevocationList {
    source: PathBuf,
    issuer: String,
    issuer_der: Vec<u8>,
    signer: PublicKey,
    this_update: Moment,
    next_update: Moment,
    deadline: Moment,
    revoked: HashSet<Vec<u8>>,
}

impl RevocationList {
    /// Reads a list and checks that one of `issuers` signed it. The error says what is wrong with it.
    pub(super) fn read<'c>(
        list_der: &[u8],
        source: &Path,
        issuers: impl Iterator<Item = &'c Certificate>,
        grace_s: u64,
    ) -> Result<Self, String> {
        let (rest, read) = CertificateRevocationList::from_der(list_der)
            .map_err(|_| "it is not an X.509 revocation list".to_owned())?;
        let inner = &read.tbs_cert_list;
        if !rest.is_empty()
            || inner.signature != read.signature_algorithm
            || der::split_signed(list_der).is_none()
        {
            return Err("it is not a well-formed X.509 revocation list".to_owned());
        }
        let issuer = shown(&inner.issuer);
        let signer = signer(list_der, inner.issuer.as_raw(), issuers)
            .map_err(|why| format!("the list of `{issuer}` {why}"))?;
        extensions(&read).map_err(|why| format!("the list of `{issuer}` {why}"))?;
        let Some(next_update) = inner.next_update else {
            return Err(format!(
                "the list of `{issuer}` does not say when the next one comes"
            ));
        };
        let next_update = moment(next_update);
        let grace_ms = i64::try_from(grace_s)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        Ok(Self {
            source: source.to_path_buf(),
            issuer,
            issuer_der: inner.issuer.as_raw().to_vec(),
            signer,
            this_update: moment(inner.this_update),
            next_update,
            deadline: next_update.plus_ms(grace_ms),
            revoked: inner
                .revoked_certificates
                .iter()
                .map(|r| least(r.raw_serial()).to_vec())
                .collect(),
        })
    }

    /// For metrics.
    pub(super) fn view<'a>(&'a self, anchor: &'a str) -> ListView<'a> {
        ListView {
            anchor,
            issuer: &self.issuer,
            source: &self.source,
            this_update: self.this_update,
            next_update: self.next_update,
            deadline: self.deadline,
        }
    }

    /// Whether it is the list of that issuer.
    pub(super) fn is_of(&self, issuer: &Certificate) -> bool {
        self.issuer_der == issuer.subject_der() && self.signer.same_key(issuer.key())
    }

    /// The moments at which what it says can change.
    pub(super) fn changes(&self) -> [Moment; 3] {
        [
            self.this_update,
            after(self.next_update),
            after(self.deadline),
        ]
    }

    fn says(&self, certificate: &Certificate, now: Moment) -> RevocationView {
        let standing = if self.revoked.contains(certificate.serial()) {
            Standing::Revoked
        } else if over(self.next_update, now) {
            Standing::Stale
        } else {
            Standing::Good
        };
        RevocationView {
            standing,
            source: Some(self.source.clone()),
            age_s: Some(now.s().saturating_sub(self.this_update.s())),
            left_s: Some(self.deadline.s().saturating_sub(now.s())),
            list: Some(ListDates {
                issuer: self.issuer.clone(),
                this_update: self.this_update,
                next_update: self.next_update,
            }),
        }
    }
}

/// What the lists say of a certificate that `issuer` issued.
pub(super) fn standing(
    lists: &[RevocationList],
    certificate: &Certificate,
    issuer: &Certificate,
    now: Moment,
) -> RevocationView {
    lists
        .iter()
        .filter(|l| l.is_of(issuer) && l.this_update <= now)
        .max_by_key(|l| (l.this_update, l.next_update))
        .map_or(
            RevocationView {
                standing: Standing::Unknown,
                source: None,
                age_s: None,
                left_s: None,
                list: None,
            },
            |l| l.says(certificate, now),
        )
}

/// The lists of a file, in PEM or DER; their signatures are not looked at.
///
/// # Errors
/// When the file cannot be read, or holds none.
pub fn lists_from_file(path: &Path) -> Result<Vec<Vec<u8>>, CertificateError> {
    let bytes = read_bounded(path, FILE_MAX_BYTES)?;
    if der::split_signed(&bytes).is_some() {
        return Ok(vec![bytes]);
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(&bytes)
        .map(|l| {
            l.map(|der| der.to_vec())
                .map_err(|_| CertificateError::Form)
        })
        .collect::<Result<Vec<_>, _>>()?;
    if lists.is_empty() {
        return Err(CertificateError::None);
    }
    Ok(lists)
}

fn signer<'c>(
    list_der: &[u8],
    issuer_der: &[u8],
    issuers: impl Iterator<Item = &'c Certificate>,
) -> Result<PublicKey, &'static str> {
    let mut why = "was issued by none of the anchor's certificates";
    for issuer in issuers.filter(|c| c.subject_der() == issuer_der) {
        if issuer.key_usage().is_some_and(|u| !u.crl_sign()) || !issuer.is_ca() {
            why = "was issued by a certificate that may not sign lists";
            continue;
        }
        match signed::verify(list_der, issuer.key()) {
            Ok(()) => return Ok(issuer.key().clone()),
            Err(signed::SignatureProblem::Algorithm) => {
                why = "is signed with an algorithm that is not taken";
            }
            Err(signed::SignatureProblem::Wrong) => why = "does not bear its issuer's signature",
        }
    }
    Err(why)
}

fn extensions(list: &CertificateRevocationList<'_>) -> Result<(), String> {
    for extension in list.extensions() {
        let id = extension.oid.to_id_string();
        match id.as_str() {
            "2.5.29.27" => return Err("is a delta list, which is not read".to_owned()),
            "2.5.29.28" => {
                return Err(
                    "has an issuing distribution point: lists of a part are not read".to_owned(),
                );
            }
            "2.5.29.35" | "2.5.29.20" => {}
            _ if extension.critical => {
                return Err(format!("has the unknown critical extension {id}"));
            }
            _ => {}
        }
    }
    for entry in list.iter_revoked_certificates() {
        for extension in entry.extensions() {
            let id = extension.oid.to_id_string();
            match id.as_str() {
                "2.5.29.29" => return Err("is an indirect list, which is not read".to_owned()),
                "2.5.29.21" | "2.5.29.24" => {}
                _ if extension.critical => {
                    return Err(format!(
                        "has an entry with the unknown critical extension {id}"
                    ));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
