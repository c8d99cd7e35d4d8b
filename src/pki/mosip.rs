//! Certificates in the form MOSIP's key manager gives them (reference IDA 5.3 and 5.4), which rcgen cannot write: the
//! serial number is 64 random bits taken as signed, so that every other one is negative.
//!
//! A partner uploads a certificate; MOSIP signs its public key and subject anew and hands that back. MOSIP's own
//! encryption and signature certificates come from the same code, with other constraints. All of them: no authority key
//! identifier, no extended key usage, no alternative names, subject key identifier by SHA-1.

use aws_lc_rs::{
    digest::{SHA1_FOR_LEGACY_USE_ONLY, digest},
    rand::{SecureRandom, SystemRandom},
};

use super::{
    Authority, Name, PkiError, Validity,
    authority::read_certificate,
    der::{self, Critical},
};

const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];

const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_ENCIPHERMENT: u8 = 0x20;
const KEY_CERT_SIGN: u8 = 0x04;

/// Which of MOSIP's certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MosipForm {
    /// A partner of the domain `AUTH`: CA:TRUE; digitalSignature, keyCertSign, keyEncipherment.
    AuthPartner,
    /// A partner of another domain: CA:TRUE; digitalSignature, keyCertSign.
    OtherPartner,
    /// MOSIP's own signature keys (`IDA` / `SIGN`): CA:TRUE with path length 1; digitalSignature, keyCertSign.
    OwnSignature,
    /// MOSIP's own encryption keys (`IDA` / `PARTNER`): CA:FALSE; keyEncipherment.
    OwnEncryption,
}

/// The sign of the serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialSign {
    /// As it falls, like MOSIP.
    Random,
    /// Negative, to have one for certain.
    Negative,
    /// Positive, to have one for certain.
    Positive,
}

impl Authority {
    /// Signs a certificate's public key and subject anew, the way MOSIP does after an upload. The issuer of the
    /// certificate is not looked at, its validity neither.
    ///
    /// # Errors
    /// When `certificate_der` is not a certificate, or signing fails.
    pub fn resign_like_mosip(
        &self,
        certificate_der: &[u8],
        form: MosipForm,
        validity: Validity,
        sign: SerialSign,
    ) -> Result<Vec<u8>, PkiError> {
        let original = read_certificate(certificate_der)?;
        let issuer = read_certificate(self.certificate_der())?;
        if validity.not_after < validity.not_before {
            return Err(PkiError::Validity("it ends before it begins"));
        }
        let algorithm = self.key().algorithm().signature_identifier();
        let key_bits = &original.public_key().subject_public_key.data;
        let to_be_signed = der::sequence(&[
            &der::context(0, &der::integer(&[2])),
            &der::integer(&serial(sign)?),
            algorithm,
            issuer.subject().as_raw(),
            &der::sequence(&[
                &der::time(validity.not_before)?,
                &der::time(validity.not_after)?,
            ]),
            &Name::from_x509(original.subject()).to_der()?,
            original.public_key().raw,
            &der::context(3, &extensions(form, key_bits)),
        ]);
        let signature = self.key().signature(&to_be_signed)?;
        Ok(der::sequence(&[
            &to_be_signed,
            algorithm,
            &der::bit_string(&signature),
        ]))
    }
}

fn extensions(form: MosipForm, key_bits: &[u8]) -> Vec<u8> {
    let is_true = der::element(0x01, &[0xff]);
    let (constraints, usage) = match form {
        MosipForm::AuthPartner => (
            der::sequence(&[&is_true]),
            DIGITAL_SIGNATURE | KEY_CERT_SIGN | KEY_ENCIPHERMENT,
        ),
        MosipForm::OtherPartner => (
            der::sequence(&[&is_true]),
            DIGITAL_SIGNATURE | KEY_CERT_SIGN,
        ),
        MosipForm::OwnSignature => (
            der::sequence(&[&is_true, &der::integer(&[1])]),
            DIGITAL_SIGNATURE | KEY_CERT_SIGN,
        ),
        MosipForm::OwnEncryption => (der::sequence(&[]), KEY_ENCIPHERMENT),
    };
    let identifier = digest(&SHA1_FOR_LEGACY_USE_ONLY, key_bits);
    der::sequence(&[
        &der::extension(BASIC_CONSTRAINTS, Critical::Yes, &constraints),
        &der::extension(
            SUBJECT_KEY_IDENTIFIER,
            Critical::No,
            &der::octet_string(identifier.as_ref()),
        ),
        &der::extension(KEY_USAGE, Critical::Yes, &der::named_bits(usage)),
    ])
}

/// 64 random bits, taken as signed; zero, which MOSIP could draw, is not.
fn serial(sign: SerialSign) -> Result<Vec<u8>, PkiError> {
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| PkiError::Crypto("drawing a serial number"))?;
    let drawn = i64::from_be_bytes(bytes);
    let value = match sign {
        SerialSign::Random if drawn == 0 => 1,
        SerialSign::Random => drawn,
        SerialSign::Negative => drawn | i64::MIN,
        SerialSign::Positive => (drawn & i64::MAX) | 1,
    };
    Ok(der::signed_octets(value))
}
