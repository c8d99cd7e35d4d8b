//! Revocation lists: whose, until when, whom they name.

use serde::Serialize;
use x509_parser::{extensions::ParsedExtension, revocation_list::CertificateRevocationList};

use super::{Company, Finding, What, date, span, unreadable, words::signature_name};
use crate::{
    clock::Moment,
    pki::{Serial, authority::read_certificate, crl::read_list},
};

/// From how many seconds before its end on a list is said to end soon.
const SOON_S: i64 = 3 * 86_400;

/// A revocation list.
#[derive(Debug, Serialize)]
pub struct ListShown {
    /// Whose.
    pub issuer: String,
    /// Its number.
    pub number: Option<String>,
    /// By which algorithm it is signed.
    pub signed_with: String,
    /// From when.
    pub this_update: String,
    /// When the next one is due.
    pub next_update: Option<String>,
    /// How it stands in time, in words.
    pub validity: String,
    /// The certificates it names.
    pub revoked: Vec<RevokedShown>,
}

/// A certificate that a list names.
#[derive(Debug, Serialize)]
pub struct RevokedShown {
    /// Its serial number.
    pub serial: String,
    /// Since when.
    pub since: String,
    /// Why.
    pub reason: Option<String>,
}

pub(super) fn show(der: &[u8], company: &Company<'_>, now: Moment) -> (What, Vec<Finding>) {
    let list = match read_list(der) {
        Ok(list) => list,
        Err(error) => return unreadable("X509 CRL", &error),
    };
    let next = list.next_update().map(|at| at.timestamp());
    let left = next.map(|at| at.saturating_sub(now.s()));
    let shown = ListShown {
        issuer: list.issuer().to_string(),
        number: list.crl_number().map(ToString::to_string),
        signed_with: signature_name(&list.signature_algorithm.algorithm),
        this_update: date(list.last_update().timestamp()),
        next_update: next.map(date),
        validity: match left {
            Some(left) if left < 0 => format!("due {} ago", span(left)),
            Some(left) => format!("{} left", span(left)),
            None => "no end stated".to_owned(),
        },
        revoked: list
            .iter_revoked_certificates()
            .map(|line| RevokedShown {
                serial: Serial::from_octets(line.raw_serial()).to_string(),
                since: date(line.revocation_date.timestamp()),
                reason: line.reason_code().map(|(_, code)| code.to_string()),
            })
            .collect(),
    };
    let mut findings = time_findings(&list, left, now);
    findings.extend(form_findings(&list));
    findings.extend(issuer_finding(&list, company));
    (What::RevocationList(shown), findings)
}

fn time_findings(
    list: &CertificateRevocationList<'_>,
    left: Option<i64>,
    now: Moment,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match left {
        Some(left) if left < 0 => {
            findings.push(Finding::wrong(format!(
                "stale: a new list was due {} ago",
                span(left)
            )));
        }
        Some(left) if left < SOON_S => {
            findings.push(Finding::note(format!(
                "a new list is due in {}",
                span(left)
            )));
        }
        Some(_) => {}
        None => findings.push(Finding::wrong(
            "it does not say when the next list is due (RFC 5280 5.1.2.5)",
        )),
    }
    let ahead = list.last_update().timestamp().saturating_sub(now.s());
    if ahead > 0 {
        findings.push(Finding::wrong(format!("it counts only in {}", span(ahead))));
    }
    findings
}

fn form_findings(list: &CertificateRevocationList<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if list.crl_number().is_none() {
        findings.push(Finding::note(
            "no number: an older list cannot be told from a newer one",
        ));
    }
    for extension in list
        .extensions()
        .iter()
        .filter(|extension| extension.critical)
    {
        if !matches!(
            extension.parsed_extension(),
            ParsedExtension::IssuingDistributionPoint(_)
        ) {
            let text = format!(
                "it has a critical extension that is not known here: {}",
                extension.oid
            );
            findings.push(Finding::wrong(text));
        }
    }
    findings
}

fn issuer_finding(list: &CertificateRevocationList<'_>, company: &Company<'_>) -> Option<Finding> {
    let issuers: Vec<_> = company
        .certificates
        .iter()
        .filter_map(|der| read_certificate(der).ok())
        .filter(|issuer| issuer.subject().as_raw() == list.issuer().as_raw())
        .collect();
    if issuers.is_empty() {
        return Some(Finding::note(
            "its signature was not checked: name the file with its issuer's certificate too",
        ));
    }
    let Some(issuer) = issuers
        .iter()
        .find(|issuer| list.verify_signature(issuer.public_key()).is_ok())
    else {
        return Some(Finding::wrong(format!(
            "its signature does not verify with the key of {}",
            list.issuer()
        )));
    };
    match issuer.key_usage() {
        Ok(Some(usage)) if !usage.value.crl_sign() => Some(Finding::wrong(
            "its issuer's key usage lacks cRLSign: verifiers refuse the list",
        )),
        _ => None,
    }
}
