//! The usual words for usages and signature algorithms, and which algorithms nobody, or not MOSIP, takes.

use x509_parser::{
    extensions::KeyUsage,
    oid_registry::{
        OID_HASH_SHA1, OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA1WITHRSA,
        OID_PKCS1_SHA224WITHRSA, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA224, OID_SIG_ECDSA_WITH_SHA256,
        OID_SIG_ECDSA_WITH_SHA384, OID_SIG_ECDSA_WITH_SHA512, OID_SIG_ED25519, Oid,
    },
};

pub(super) fn usage_words(usage: &KeyUsage) -> Vec<&'static str> {
    [
        (usage.digital_signature(), "digitalSignature"),
        (usage.non_repudiation(), "nonRepudiation"),
        (usage.key_encipherment(), "keyEncipherment"),
        (usage.data_encipherment(), "dataEncipherment"),
        (usage.key_agreement(), "keyAgreement"),
        (usage.key_cert_sign(), "keyCertSign"),
        (usage.crl_sign(), "cRLSign"),
    ]
    .into_iter()
    .filter(|(named, _)| *named)
    .map(|(_, word)| word)
    .collect()
}

pub(super) fn is_broken(algorithm: &Oid<'_>) -> bool {
    [
        OID_PKCS1_MD5WITHRSAENC,
        OID_PKCS1_SHA1WITHRSA,
        OID_HASH_SHA1,
        ECDSA_WITH_SHA1,
    ]
    .contains(algorithm)
}

pub(super) fn is_taken_by_mosip(algorithm: &Oid<'_>) -> bool {
    [
        OID_PKCS1_SHA224WITHRSA,
        OID_PKCS1_SHA256WITHRSA,
        OID_SIG_ECDSA_WITH_SHA224,
        OID_SIG_ECDSA_WITH_SHA256,
    ]
    .contains(algorithm)
}

const ECDSA_WITH_SHA1: Oid<'static> = x509_parser::der_parser::oid!(1.2.840.10045.4.1);

/// The usual name of a signature algorithm.
pub(super) fn signature_name(algorithm: &Oid<'_>) -> String {
    let names = [
        (OID_PKCS1_MD5WITHRSAENC, "MD5 with RSA"),
        (OID_PKCS1_SHA1WITHRSA, "SHA-1 with RSA"),
        (OID_PKCS1_SHA224WITHRSA, "SHA-224 with RSA"),
        (OID_PKCS1_SHA256WITHRSA, "SHA-256 with RSA"),
        (OID_PKCS1_SHA384WITHRSA, "SHA-384 with RSA"),
        (OID_PKCS1_SHA512WITHRSA, "SHA-512 with RSA"),
        (OID_PKCS1_RSASSAPSS, "RSASSA-PSS"),
        (ECDSA_WITH_SHA1, "SHA-1 with ECDSA"),
        (OID_SIG_ECDSA_WITH_SHA224, "SHA-224 with ECDSA"),
        (OID_SIG_ECDSA_WITH_SHA256, "SHA-256 with ECDSA"),
        (OID_SIG_ECDSA_WITH_SHA384, "SHA-384 with ECDSA"),
        (OID_SIG_ECDSA_WITH_SHA512, "SHA-512 with ECDSA"),
        (OID_SIG_ED25519, "Ed25519"),
    ];
    names
        .into_iter()
        .find(|(known, _)| known == algorithm)
        .map_or_else(|| algorithm.to_string(), |(_, name)| name.to_owned())
}
