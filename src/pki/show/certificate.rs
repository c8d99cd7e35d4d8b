//! Certificates: who, until when, for what, and what is wrong.

use serde::Serialize;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    x509::X509Version,
};

use super::{
    Company, Finding, What,
    content::Opened,
    date,
    roles::{self, RoleShown, Standing, purposes},
    sha256_hex, span, unreadable,
    words::{is_broken, is_taken_by_mosip, signature_name, usage_words},
};
use crate::{
    clock::Moment,
    pki::{Serial, authority::read_certificate, crl::read_list, csr::host, facts::KeyFacts},
};

/// From how many seconds before its end on a certificate is said to end soon.
const SOON_S: i64 = 30 * 86_400;

/// A certificate.
#[derive(Debug, Serialize)]
pub struct CertificateShown {
    /// For whom.
    pub subject: String,
    /// The organisation by which it is bound to a party (first O).
    pub organisation: Option<String>,
    /// By whom.
    pub issuer: String,
    /// Its serial number, in hexadecimal, with a minus sign when negative.
    pub serial: String,
    /// SHA-256 of the DER, lower-case hexadecimal.
    pub fingerprint: String,
    /// Kind and size of the key.
    pub key: String,
    /// SHA-256 of the public key (`SubjectPublicKeyInfo`).
    pub key_fingerprint: String,
    /// By which algorithm its issuer signed.
    pub signed_with: String,
    /// From when.
    pub not_before: String,
    /// Until when.
    pub not_after: String,
    /// Whole days left; negative when over.
    pub days_left: i64,
    /// How it stands in time, in words.
    pub validity: String,
    /// Whether it says CA:TRUE.
    pub ca: bool,
    /// How many CAs may follow it.
    pub path_length: Option<u32>,
    /// What its key may do; nothing stated when absent.
    pub key_usage: Option<Vec<&'static str>>,
    /// What it is for; nothing stated when absent.
    pub extended_key_usage: Option<Vec<String>>,
    /// The names it stands for.
    pub alternative_names: Vec<String>,
    /// Which roles it fits.
    pub roles: Vec<RoleShown>,
}

pub(super) fn show(der: &[u8], company: &Company<'_>, now: Moment) -> (What, Vec<Finding>) {
    let certificate = match read_certificate(der) {
        Ok(certificate) => certificate,
        Err(error) => return unreadable("CERTIFICATE", &error),
    };
    let key = KeyFacts::from_info(certificate.public_key());
    let shown = describe(der, &certificate, key, now);
    let mut findings = Vec::new();
    findings.extend(time_findings(&certificate, now));
    findings.extend(form_findings(&certificate, key));
    findings.extend(use_findings(&certificate, &shown));
    findings.extend(company_findings(&certificate, company));
    // What is wrong comes first.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    (What::Certificate(Box::new(shown)), findings)
}

/// Whether the certificates of a file are a chain: each but the first issues the one before it.
pub(super) fn chain_findings(file: &Opened) -> Vec<Finding> {
    let certificates: Vec<X509Certificate<'_>> = file
        .certificates()
        .filter_map(|der| read_certificate(der).ok())
        .collect();
    let is_chain = certificates
        .first()
        .is_some_and(|first| Standing::of(first) != Standing::Authority);
    if !is_chain {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (position, pair) in certificates.windows(2).enumerate() {
        let [below, above] = pair else { continue };
        if below.issuer().as_raw() != above.subject().as_raw()
            || below.verify_signature(Some(above.public_key())).is_err()
        {
            let (lower, upper) = (position.saturating_add(1), position.saturating_add(2));
            findings.push(Finding::wrong(format!(
                "certificate {upper} did not issue certificate {lower}: a chain is the leaf, then its issuers in order"
            )));
        }
    }
    if let Some(last) = certificates
        .last()
        .filter(|last| certificates.len() > 1 && last.subject() == last.issuer())
    {
        let text = format!(
            "the root {} is in the chain: it is of no use there, the other side has its own",
            last.subject()
        );
        findings.push(Finding::note(text));
    }
    findings
}

fn describe(
    der: &[u8],
    certificate: &X509Certificate<'_>,
    key: KeyFacts,
    now: Moment,
) -> CertificateShown {
    let validity = certificate.validity();
    let (begin, end) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    let left = end.saturating_sub(now.s());
    let constraints = certificate.basic_constraints().ok().flatten();
    CertificateShown {
        subject: certificate.subject().to_string(),
        organisation: certificate
            .subject()
            .iter_organization()
            .next()
            .and_then(|value| value.as_str().ok())
            .map(str::to_owned),
        issuer: certificate.issuer().to_string(),
        serial: Serial::from_octets(certificate.raw_serial()).to_string(),
        fingerprint: sha256_hex(der),
        key: key.to_string(),
        key_fingerprint: sha256_hex(certificate.public_key().raw),
        signed_with: signature_name(&certificate.signature_algorithm.algorithm),
        not_before: date(begin),
        not_after: date(end),
        days_left: left.div_euclid(86_400),
        validity: if begin > now.s() {
            format!("begins in {}", span(begin.saturating_sub(now.s())))
        } else if left < 0 {
            format!("ended {} ago", span(left))
        } else {
            format!("{} left", span(left))
        },
        ca: certificate.is_ca(),
        path_length: constraints.and_then(|constraints| constraints.value.path_len_constraint),
        key_usage: certificate
            .key_usage()
            .ok()
            .flatten()
            .map(|usage| usage_words(usage.value)),
        extended_key_usage: certificate
            .extended_key_usage()
            .ok()
            .flatten()
            .map(|usage| purposes(usage.value)),
        alternative_names: alternative_names(certificate),
        roles: roles::of(certificate, key),
    }
}

fn time_findings(certificate: &X509Certificate<'_>, now: Moment) -> Option<Finding> {
    let validity = certificate.validity();
    let (begin, end) = (
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    );
    let left = end.saturating_sub(now.s());
    if end < begin {
        Some(Finding::wrong("its validity ends before it begins"))
    } else if left < 0 {
        Some(Finding::wrong(format!("expired {} ago", span(left))))
    } else if begin > now.s() {
        Some(Finding::wrong(format!(
            "not valid for another {}",
            span(begin.saturating_sub(now.s()))
        )))
    } else if left < SOON_S {
        Some(Finding::note(format!(
            "expires in {}: renew it now",
            span(left)
        )))
    } else {
        None
    }
}

/// What is wrong with how it is made.
fn form_findings(certificate: &X509Certificate<'_>, key: KeyFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(objection) = key.objection() {
        findings.push(Finding::wrong(objection));
    }
    if certificate.version() != X509Version::V3 {
        findings.push(Finding::wrong(
            "it is not X.509 version 3 (MOSIP: KER-PCM-007)",
        ));
    }
    let algorithm = &certificate.signature_algorithm.algorithm;
    if is_broken(algorithm) {
        findings.push(Finding::wrong(format!(
            "signed with {}: nobody should believe it",
            signature_name(algorithm)
        )));
    } else if !certificate.is_ca() && !is_taken_by_mosip(algorithm) {
        let text = "signed with {}: MOSIP takes only SHA-224 and SHA-256 at upload (KER-PCM-014)";
        findings.push(Finding::note(
            text.replace("{}", &signature_name(algorithm)),
        ));
    }
    if Serial::from_octets(certificate.raw_serial()).is_negative() {
        findings.push(Finding::note("negative serial number, as MOSIP makes them: strict readers refuse it (RFC 5280 4.1.2.2)"));
    }
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::UnsupportedExtension { .. } if extension.critical => {
                findings.push(Finding::wrong(format!(
                    "it has a critical extension that is not known here: {}",
                    extension.oid
                )));
            }
            ParsedExtension::ParseError { .. } => {
                findings.push(Finding::wrong(format!(
                    "its extension {} is malformed",
                    extension.oid
                )));
            }
            _ => {}
        }
    }
    if certificate.extensions_map().is_err() {
        findings.push(Finding::wrong("it has an extension twice"));
    }
    findings
}

/// What keeps it from being used.
fn use_findings(certificate: &X509Certificate<'_>, shown: &CertificateShown) -> Vec<Finding> {
    let mut findings = Vec::new();
    let fits: Vec<&str> = shown
        .roles
        .iter()
        .filter(|role| role.fits)
        .map(|role| role.role)
        .collect();
    match Standing::of(certificate) {
        Standing::Authority => {
            match certificate.key_usage() {
                Ok(Some(usage)) if usage.value.key_cert_sign() => {}
                Ok(Some(_)) => findings.push(Finding::wrong(
                    "CA:TRUE, but its key usage lacks keyCertSign: it cannot issue",
                )),
                _ => findings.push(Finding::wrong(
                    "a CA without key usage: Python 3.13 and others refuse what it issued",
                )),
            }
            return findings;
        }
        Standing::Resigned => findings.push(Finding::note(resigned(&fits))),
        Standing::Module => findings.push(Finding::note(
            "CA:TRUE with a path length, without the right to sign revocation lists: the form of MOSIP's module keys, a CA \
             such as PMS or the signature key of IDA. It cannot serve for TLS",
        )),
        Standing::Leaf => {}
    }
    if fits.is_empty() {
        findings.push(Finding::wrong("it fits none of the roles"));
    }
    if shown.organisation.is_none() {
        let text = "no organisation (O) in the subject: it cannot be bound to a party, and MOSIP refuses it (KER-PCM-008)";
        findings.push(Finding::wrong(text));
    }
    let has_key_identifier = certificate.iter_extensions().any(|extension| {
        matches!(
            extension.parsed_extension(),
            ParsedExtension::AuthorityKeyIdentifier(_)
        )
    });
    let self_signed = certificate.subject().as_raw() == certificate.issuer().as_raw();
    if self_signed {
        findings.push(Finding::note(
            "self-signed: good only where it is itself an anchor; MOSIP refuses it (KER-PCM-015)",
        ));
    } else if fits.contains(&"tls") && !has_key_identifier {
        findings.push(Finding::note(
            "no authority key identifier: Python 3.13 and later refuse it for TLS",
        ));
    }
    findings
}

fn resigned(fits: &[&str]) -> String {
    let fine = if fits.is_empty() {
        "no role"
    } else {
        &fits.join(" and ")
    };
    format!(
        "CA:TRUE leaf without extended key usage: cannot serve for TLS; fine for {fine}, as MOSIP re-signs them. Its \
         owner could issue certificates below it: never trust it as an anchor"
    )
}

/// What the other files say about it.
fn company_findings(certificate: &X509Certificate<'_>, company: &Company<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let namesakes: Vec<X509Certificate<'_>> = company
        .certificates
        .iter()
        .filter_map(|der| read_certificate(der).ok())
        .filter(|issuer| issuer.subject().as_raw() == certificate.issuer().as_raw())
        .collect();
    let issuers: Vec<&X509Certificate<'_>> = namesakes
        .iter()
        .filter(|issuer| {
            certificate
                .verify_signature(Some(issuer.public_key()))
                .is_ok()
        })
        .collect();
    if !namesakes.is_empty() && issuers.is_empty() {
        let text = format!(
            "its signature does not verify with the key of {}",
            certificate.issuer()
        );
        findings.push(Finding::wrong(text));
    }
    for list in company.lists.iter().filter_map(|der| read_list(der).ok()) {
        if list.issuer().as_raw() != certificate.issuer().as_raw() {
            continue;
        }
        let line = list
            .iter_revoked_certificates()
            .find(|line| line.raw_serial() == certificate.raw_serial());
        let believed = issuers.is_empty()
            || issuers
                .iter()
                .any(|issuer| list.verify_signature(issuer.public_key()).is_ok());
        if let Some(line) = line.filter(|_| believed) {
            findings.push(Finding::wrong(format!(
                "revoked since {}",
                date(line.revocation_date.timestamp())
            )));
        }
    }
    findings
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let text = |name: &GeneralName<'_>| host(name).unwrap_or_else(|| name.to_string());
    names.value.general_names.iter().map(text).collect()
}
