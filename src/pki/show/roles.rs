//! Which of the three roles a certificate fits, and why (field guide 3.3; reference IDA 5.3 and 5.4).

use serde::Serialize;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{ExtendedKeyUsage, KeyUsage},
};

use crate::{
    config::Role,
    pki::facts::{KeyFacts, KeyKind},
};

/// Whether a certificate fits a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoleShown {
    /// `tls`, `encryption` or `signature`.
    pub role: &'static str,
    /// Whether it fits.
    pub fits: bool,
    /// Why, or why not.
    pub why: String,
}

/// What a CA:TRUE certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// An end entity.
    Leaf,
    /// A CA that issues and revokes.
    Authority,
    /// CA:TRUE without a path length and without the right to sign lists: a leaf that MOSIP re-signed.
    Resigned,
    /// The same with a path length: one of MOSIP's module keys, a CA such as PMS or IDA's signature key.
    Module,
}

impl Standing {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        if !certificate.is_ca() {
            return Self::Leaf;
        }
        let self_issued = certificate.subject().as_raw() == certificate.issuer().as_raw();
        let limited = certificate
            .basic_constraints()
            .is_ok_and(|found| found.is_some_and(|it| it.value.path_len_constraint.is_some()));
        match certificate.key_usage() {
            Ok(Some(usage))
                if usage.value.digital_signature() && !usage.value.crl_sign() && !self_issued =>
            {
                if limited {
                    Self::Module
                } else {
                    Self::Resigned
                }
            }
            _ => Self::Authority,
        }
    }
}

/// All three roles.
pub(super) fn of(certificate: &X509Certificate<'_>, key: KeyFacts) -> Vec<RoleShown> {
    [
        (Role::Tls, tls(certificate)),
        (Role::Encryption, encryption(certificate, key)),
        (Role::Signature, signature(certificate)),
    ]
    .into_iter()
    .map(|(role, verdict)| {
        let (fits, why) = match verdict {
            Ok(why) => (true, why),
            Err(why) => (false, why),
        };
        RoleShown {
            role: role.as_str(),
            fits,
            why,
        }
    })
    .collect()
}

type Verdict = Result<String, String>;

const A_CA: &str = "it is a CA";

fn tls(certificate: &X509Certificate<'_>) -> Verdict {
    match Standing::of(certificate) {
        Standing::Authority => return Err(A_CA.to_owned()),
        Standing::Resigned | Standing::Module => {
            return Err("CA:TRUE: TLS verifiers refuse it as an end entity".to_owned());
        }
        Standing::Leaf => {}
    }
    if let Ok(Some(usage)) = certificate.key_usage()
        && !usage.value.digital_signature()
    {
        return Err("its key usage lacks digitalSignature".to_owned());
    }
    let named = certificate
        .subject_alternative_name()
        .is_ok_and(|names| names.is_some());
    let (server, client, source) = match certificate.extended_key_usage() {
        Ok(Some(usage)) => {
            let usage = usage.value;
            (
                usage.any || usage.server_auth,
                usage.any || usage.client_auth,
                "extended key usage",
            )
        }
        _ => (true, true, "no extended key usage, so any"),
    };
    match (server && named, client) {
        (true, true) => Ok(format!("as server and client ({source})")),
        (true, false) => Ok(format!("as server only ({source})")),
        (false, true) if server => Ok(format!(
            "as client only: no alternative name to be found by ({source})"
        )),
        (false, true) => Ok(format!("as client only ({source})")),
        (false, false) if server => Err("a server needs an alternative name".to_owned()),
        (false, false) => {
            Err("its extended key usage names neither serverAuth nor clientAuth".to_owned())
        }
    }
}

fn encryption(certificate: &X509Certificate<'_>, key: KeyFacts) -> Verdict {
    if Standing::of(certificate) == Standing::Authority {
        return Err(A_CA.to_owned());
    }
    bound_elsewhere(certificate)?;
    let usage = certificate.key_usage().ok().flatten();
    let usage = usage.as_ref().map(|usage| usage.value);
    match (key.kind, usage) {
        (KeyKind::Ed25519, _) => Err("Ed25519 keys only sign".to_owned()),
        (KeyKind::Other, _) => Err("the kind of key is not supported".to_owned()),
        (KeyKind::Rsa, None) => Ok("no key usage, so any".to_owned()),
        (KeyKind::Rsa, Some(usage)) if usage.key_encipherment() => Ok("keyEncipherment".to_owned()),
        (KeyKind::Rsa, Some(_)) => Err("its key usage lacks keyEncipherment".to_owned()),
        (KeyKind::P256 | KeyKind::P384, usage) => elliptic(usage),
    }
}

/// EC keys agree on a content key (RFC 5480 section 3), but MOSIP writes keyEncipherment for keys of every kind.
fn elliptic(usage: Option<&KeyUsage>) -> Verdict {
    let word = match usage {
        None => "no key usage, so any",
        Some(usage) if usage.key_agreement() => "keyAgreement",
        Some(usage) if usage.key_encipherment() => {
            "keyEncipherment, as MOSIP writes for EC keys too"
        }
        Some(_) => return Err("its key usage lacks keyAgreement".to_owned()),
    };
    Ok(format!("{word}; in JWE only, MOSIP's envelope needs RSA"))
}

fn signature(certificate: &X509Certificate<'_>) -> Verdict {
    if Standing::of(certificate) == Standing::Authority {
        return Err(A_CA.to_owned());
    }
    bound_elsewhere(certificate)?;
    match certificate.key_usage() {
        Ok(Some(usage)) if usage.value.digital_signature() => Ok("digitalSignature".to_owned()),
        Ok(Some(usage)) if usage.value.non_repudiation() => Ok("nonRepudiation".to_owned()),
        Ok(Some(_)) => Err("its key usage lacks digitalSignature".to_owned()),
        _ => Ok("no key usage, so any".to_owned()),
    }
}

/// An extended key usage that names only other purposes, such as TLS, rules out encryption and signatures of messages.
fn bound_elsewhere(certificate: &X509Certificate<'_>) -> Result<(), String> {
    match certificate.extended_key_usage() {
        Ok(Some(usage)) if !usage.value.any && names_known_purposes_only(usage.value) => {
            Err(format!(
                "its extended key usage is for {}",
                purposes(usage.value).join(", ")
            ))
        }
        _ => Ok(()),
    }
}

fn names_known_purposes_only(usage: &ExtendedKeyUsage<'_>) -> bool {
    usage.other.is_empty() && !usage.email_protection
}

/// The purposes of an extended key usage, in RFC 5280's words.
pub(super) fn purposes(usage: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let mut words: Vec<String> = [
        (usage.any, "anyExtendedKeyUsage"),
        (usage.server_auth, "serverAuth"),
        (usage.client_auth, "clientAuth"),
        (usage.code_signing, "codeSigning"),
        (usage.email_protection, "emailProtection"),
        (usage.time_stamping, "timeStamping"),
        (usage.ocsp_signing, "OCSPSigning"),
    ]
    .into_iter()
    .filter(|(named, _)| *named)
    .map(|(_, word)| word.to_owned())
    .collect();
    words.extend(usage.other.iter().map(ToString::to_string));
    words
}
