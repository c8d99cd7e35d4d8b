//! Whether a certificate fits a role: what it says it may be used for, and whether its key is strong enough.
//!
//! A certificate that says nothing (no key usage, no extended key usage) fits: MOSIP's re-signed leaves have no extended key
//! usage, and many older ones have neither.

use super::{Certificate, Unusable};
use crate::{config::Role, keys::KeyKind};

/// Smallest and largest RSA keys, in bits.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

/// Whether key usage and extended key usage let the certificate stand in the role.
pub(super) fn usage(certificate: &Certificate, role: Role) -> Result<(), Unusable> {
    let refuse = |what: &str| Err(Unusable::Usage(what.to_owned()));
    if let Some(usage) = certificate.key_usage() {
        match role {
            Role::Tls if !usage.digital_signature() => {
                return refuse("its key usage lacks digitalSignature, which TLS needs");
            }
            Role::Signature if !usage.digital_signature() && !usage.non_repudiation() => {
                return refuse("its key usage has neither digitalSignature nor nonRepudiation");
            }
            Role::Encryption => {
                let on_curve = certificate.key().kind() != KeyKind::Rsa;
                let fits = usage.key_encipherment()
                    || usage.data_encipherment()
                    || (on_curve && usage.key_agreement());
                if !fits {
                    return refuse(
                        "its key usage has neither keyEncipherment nor dataEncipherment (nor keyAgreement on a curve)",
                    );
                }
            }
            Role::Tls | Role::Signature => {}
        }
    }
    if let Some(purpose) = certificate.extended_key_usage() {
        let fits = match role {
            Role::Tls => purpose.client_auth || purpose.server_auth,
            // A purpose of its own, or mail (which signs and encrypts). A certificate for TLS or code only is not for messages.
            Role::Signature | Role::Encryption => {
                purpose.any || purpose.email_protection || !purpose.others.is_empty()
            }
        };
        if !fits {
            return refuse("its extended key usage is for something else than the role");
        }
    }
    Ok(())
}

/// Whether the key is of a kind and size for the role.
pub(super) fn key_size(certificate: &Certificate, role: Role) -> Result<(), Unusable> {
    let key = certificate.key();
    let refuse = |what: String| Err(Unusable::KeySize(what));
    match (key.kind(), role) {
        (KeyKind::Rsa, _) if !RSA_BITS.contains(&key.bits()) => refuse(format!(
            "its RSA key has {} bits; {} to {} are taken",
            key.bits(),
            RSA_BITS.start(),
            RSA_BITS.end()
        )),
        (KeyKind::Rsa, _) if key.is_roca() => refuse(
            "its RSA key was made by a faulty library (CVE-2017-15361), so that everybody can compute its private half"
                .to_owned(),
        ),
        (KeyKind::Ed25519, Role::Encryption) => {
            refuse("an Ed25519 key signs, it cannot be encrypted to".to_owned())
        }
        (KeyKind::P384, Role::Signature) => {
            refuse("no signature algorithm is listed for P-384 keys".to_owned())
        }
        (KeyKind::Rsa | KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519, _) => Ok(()),
    }
}
