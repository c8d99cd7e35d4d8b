//! A TimeStampToken taken apart: CMS SignedData around a TSTInfo (RFC 5652, RFC 3161 section 2.4.2), and whether its parts fit one another.

use aws_lc_rs::{
    digest::{self, SHA256},
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P384_SHA256_ASN1,
        ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
        RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer};

use super::{REPLY_MAX, StampProblem};
use crate::{
    clock::Moment,
    evidence::merkle::Hash,
    keys::{KeyKind, PublicKey},
    trust::{
        Certificate,
        der::{self, Element, INTEGER, OCTET_STRING, OID, Reader, SEQUENCE, SET},
    },
};

/// Certificates in one stamp.
const CERTIFICATES_MAX: usize = 16;

pub(super) const ID_SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const ID_SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const ID_SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];
const ID_SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const ID_TST_INFO: &[u8] = &[
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04,
];
const ID_CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const ID_MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const ID_SIGNING_CERTIFICATE: &[u8] = &[
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x0c,
];
const ID_SIGNING_CERTIFICATE_V2: &[u8] = &[
    0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f,
];
const ID_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// sha256, 384 and 512WithRSAEncryption end in 11, 12 and 13.
const ID_PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// ecdsa-with-SHA256 and 384 end in 2 and 3.
const ID_ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
const ID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// What a TimeStampToken holds, before anything is believed.
pub(super) struct Parts<'a> {
    pub(super) content: &'a [u8],
    certificates: Vec<&'a [u8]>,
    digest: &'static digest::Algorithm,
    attributes: Element<'a>,
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn read(token: &'a [u8]) -> Result<Self, StampProblem> {
        let form = |what| move || StampProblem::Form(what);
        let outer = form("it is no CMS SignedData");
        if token.len() > REPLY_MAX {
            return Err(StampProblem::Form("it is too large"));
        }
        let mut info = der::only(token, SEQUENCE).ok_or_else(outer)?;
        let kind = info.take(OID).ok_or_else(outer)?;
        let mut wrapped = info.enter(0xa0).ok_or_else(outer)?;
        let mut signed = wrapped.enter(SEQUENCE).ok_or_else(outer)?;
        if kind.content != ID_SIGNED_DATA || !info.is_empty() || !wrapped.is_empty() {
            return Err(outer());
        }
        signed.take(INTEGER).ok_or_else(outer)?;
        signed.take(SET).ok_or_else(outer)?;
        let inner = form("its content is no TSTInfo");
        let mut content = signed.enter(SEQUENCE).ok_or_else(inner)?;
        if content.take(OID).map(|e| e.content) != Some(ID_TST_INFO) {
            return Err(inner());
        }
        let mut octets = content.enter(0xa0).ok_or_else(inner)?;
        let text = octets.take(OCTET_STRING).ok_or_else(inner)?.content;
        if !octets.is_empty() || !content.is_empty() {
            return Err(inner());
        }
        let mut certificates = Vec::new();
        if let Some(mut set) = signed.enter(0xa0) {
            while !set.is_empty() {
                let one = set
                    .take(SEQUENCE)
                    .ok_or_else(form("a certificate of it is none"))?;
                if certificates.len() >= CERTIFICATES_MAX {
                    return Err(StampProblem::Form("it has too many certificates"));
                }
                certificates.push(one.whole);
            }
        }
        signed.take(0xa1);
        let signer = form("it has not exactly one signer");
        let mut signers = signed.enter(SET).ok_or_else(signer)?;
        let mut one = signers.enter(SEQUENCE).ok_or_else(signer)?;
        if !signed.is_empty() || !signers.is_empty() {
            return Err(signer());
        }
        let signer = form("its signer's part is malformed");
        one.take(INTEGER).ok_or_else(signer)?;
        // Issuer and serial, or a key identifier. Which certificate it is, the signed attributes say.
        one.any().ok_or_else(signer)?;
        let digest = one.enter(SEQUENCE).and_then(digest_of).ok_or_else(signer)?;
        let attributes = one.take(0xa0).ok_or_else(signer)?;
        let mut algorithm = one.enter(SEQUENCE).ok_or_else(signer)?;
        let algorithm = algorithm.take(OID).ok_or_else(signer)?.content;
        let signature = one.take(OCTET_STRING).ok_or_else(signer)?.content;
        one.take(0xa1);
        if !one.is_empty() {
            return Err(signer());
        }
        Ok(Self {
            content: text,
            certificates,
            digest,
            attributes,
            algorithm,
            signature,
        })
    }

    /// Checks the signed attributes and the signature over them; gives the signer's certificate.
    pub(super) fn check_signature(&self) -> Result<Certificate, StampProblem> {
        let (mut kind, mut message, mut named) = (None, None, None);
        let mut attributes = Reader::new(self.attributes.content);
        while !attributes.is_empty() {
            let form = || StampProblem::Form("a signed attribute is malformed");
            let mut attribute = attributes.enter(SEQUENCE).ok_or_else(form)?;
            let id = attribute.take(OID).ok_or_else(form)?.content;
            let mut values = attribute.enter(SET).ok_or_else(form)?;
            let value = values.any().ok_or_else(form)?;
            let place = match id {
                ID_CONTENT_TYPE => &mut kind,
                ID_MESSAGE_DIGEST => &mut message,
                ID_SIGNING_CERTIFICATE | ID_SIGNING_CERTIFICATE_V2 => &mut named,
                _ => continue,
            };
            // The older attribute may stand beside the newer one; each names the same certificate by another digest.
            let is_name = id == ID_SIGNING_CERTIFICATE || id == ID_SIGNING_CERTIFICATE_V2;
            if !values.is_empty() || (place.is_some() && !is_name) {
                return Err(form());
            }
            if place.is_none() || id == ID_SIGNING_CERTIFICATE_V2 {
                *place = Some((id, value));
            }
        }
        if kind.map(|(_, v)| (v.tag, v.content)) != Some((OID, ID_TST_INFO)) {
            return Err(StampProblem::Attributes("the type of the content"));
        }
        let expected = digest::digest(self.digest, self.content);
        if message.map(|(_, v)| (v.tag, v.content)) != Some((OCTET_STRING, expected.as_ref())) {
            return Err(StampProblem::Attributes("the digest of the content"));
        }
        let certificate = named
            .and_then(|(id, value)| self.certificate_named(id, value))
            .ok_or(StampProblem::Attributes("the authority's certificate"))?;
        let certificate = Certificate::from_der(certificate.to_vec())
            .map_err(|_| StampProblem::Form("the authority's certificate cannot be read"))?;
        // What is signed is the SET, not the implicit tag it travels with (RFC 5652 section 5.4).
        let mut signed = self.attributes.whole.to_vec();
        if let Some(first) = signed.first_mut() {
            *first = SET;
        }
        let library = library(certificate.key(), self.algorithm, self.digest).ok_or(
            StampProblem::Form("it is signed with an algorithm that is not taken"),
        )?;
        UnparsedPublicKey::new(library, certificate.key().raw())
            .verify(&signed, self.signature)
            .map_err(|_| StampProblem::Signature)?;
        Ok(certificate)
    }

    /// The certificate whose digest stands in the attribute signingCertificate (RFC 2634) or signingCertificateV2 (RFC 5035).
    fn certificate_named(&self, id: &[u8], value: Element<'a>) -> Option<&'a [u8]> {
        let mut outer = der::only(value.whole, SEQUENCE)?;
        let mut all = outer.enter(SEQUENCE)?;
        let mut first = all.enter(SEQUENCE)?;
        let by = if id == ID_SIGNING_CERTIFICATE {
            &digest::SHA1_FOR_LEGACY_USE_ONLY
        } else {
            match first.enter(SEQUENCE) {
                Some(algorithm) => digest_of(algorithm)?,
                None => &SHA256,
            }
        };
        let hash = first.take(OCTET_STRING)?.content;
        (self.certificates.iter().copied()).find(|c| digest::digest(by, c).as_ref() == hash)
    }
}

/// What was stamped, and when.
pub(super) struct Info {
    pub(super) imprint: Hash,
    pub(super) time: Moment,
    pub(super) nonce: Option<Vec<u8>>,
}

impl Info {
    pub(super) fn read(text: &[u8]) -> Result<Self, StampProblem> {
        Self::parse(text).ok_or(StampProblem::Form("its TSTInfo is malformed"))
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let mut info = der::only(text, SEQUENCE)?;
        if small(info.take(INTEGER)?)? != 1 {
            return None;
        }
        info.take(OID)?;
        let mut imprint = info.enter(SEQUENCE)?;
        let algorithm = digest_of(imprint.enter(SEQUENCE)?)?;
        let hash = imprint.take(OCTET_STRING)?.content;
        if algorithm != &SHA256 || !imprint.is_empty() {
            return None;
        }
        info.take(INTEGER)?;
        let time = generalized_time(info.take(der::GENERALIZED_TIME)?.content)?;
        // accuracy, ordering
        info.take(SEQUENCE);
        info.take(0x01);
        let nonce = info.take(INTEGER).map(|e| e.content.to_vec());
        // tsa, extensions
        info.take(0xa0);
        info.take(0xa1);
        info.is_empty().then_some(Self {
            imprint: hash.try_into().ok()?,
            time,
            nonce,
        })
    }
}

/// The digest algorithm of an AlgorithmIdentifier, whose parameters are absent or NULL.
fn digest_of(mut identifier: Reader<'_>) -> Option<&'static digest::Algorithm> {
    let algorithm = match identifier.take(OID)?.content {
        ID_SHA256 => &SHA256,
        ID_SHA384 => &digest::SHA384,
        ID_SHA512 => &digest::SHA512,
        _ => return None,
    };
    if !identifier.is_empty() {
        let parameters = identifier.take(0x05)?;
        if !parameters.content.is_empty() || !identifier.is_empty() {
            return None;
        }
    }
    Some(algorithm)
}

/// How a key of that kind signs with an algorithm and a digest.
fn library(
    key: &PublicKey,
    algorithm: &[u8],
    by: &'static digest::Algorithm,
) -> Option<&'static dyn VerificationAlgorithm> {
    let by = if by == &SHA256 {
        256
    } else if by == &digest::SHA384 {
        384
    } else {
        512
    };
    let last = |base: &[u8]| match algorithm.split_last() {
        Some((last, rest)) if rest == base => Some(*last),
        _ => None,
    };
    let fits_rsa = algorithm == ID_RSA
        || matches!(
            (last(ID_PKCS1), by),
            (Some(11), 256) | (Some(12), 384) | (Some(13), 512)
        );
    let fits_ecdsa = matches!((last(ID_ECDSA), by), (Some(2), 256) | (Some(3), 384));
    Some(match (key.kind(), by) {
        (KeyKind::Rsa, _) if !fits_rsa || key.is_roca() => return None,
        (KeyKind::P256 | KeyKind::P384, _) if !fits_ecdsa => return None,
        (KeyKind::Ed25519, _) if algorithm != ID_ED25519 => return None,
        (KeyKind::Rsa, 256) => &RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa, 384) => &RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa, _) => &RSA_PKCS1_2048_8192_SHA512,
        (KeyKind::P256, 256) => &ECDSA_P256_SHA256_ASN1,
        (KeyKind::P256, _) => &ECDSA_P256_SHA384_ASN1,
        (KeyKind::P384, 256) => &ECDSA_P384_SHA256_ASN1,
        (KeyKind::P384, _) => &ECDSA_P384_SHA384_ASN1,
        (KeyKind::Ed25519, _) => &ED25519,
    })
}

/// Whether the only purpose is timeStamping, and critical (RFC 3161 section 2.3).
pub(super) fn is_for_time_stamping(certificate: &[u8]) -> bool {
    let Ok((_, read)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    read.extensions().iter().any(|extension| {
        extension.critical
            && matches!(extension.parsed_extension(), ParsedExtension::ExtendedKeyUsage(usage)
                if usage.time_stamping
                    && !(usage.any || usage.server_auth || usage.client_auth || usage.code_signing
                        || usage.email_protection || usage.ocsp_signing)
                    && usage.other.is_empty())
    })
}

/// A small non-negative INTEGER.
pub(super) fn small(element: Element<'_>) -> Option<u64> {
    match element.content {
        [] => None,
        [first, ..] if *first >= 0x80 || element.content.len() > 8 => None,
        digits => Some(
            digits
                .iter()
                .fold(0_u64, |n, b| n.wrapping_shl(8) | u64::from(*b)),
        ),
    }
}

/// `YYYYMMDDhhmmss[.f…]Z`.
pub(super) fn generalized_time(content: &[u8]) -> Option<Moment> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if seconds.len() != 14 || fraction.len() > 9 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let form = time::macros::format_description!("[year][month][day][hour][minute][second]");
    let at = time::PrimitiveDateTime::parse(seconds, form).ok()?;
    let mut ms: String = fraction.chars().take(3).collect();
    while ms.len() < 3 {
        ms.push('0');
    }
    Some(Moment::from_s(at.assume_utc().unix_timestamp()).plus_ms(ms.parse().ok()?))
}
