//! IDA's own signatures, made with josekit: `response-signature` on every answer, and the JWT of kyc-exchange (reference,
//! sections 3.3 and 3.4).

use josekit::{
    JoseError,
    jwe::{self, JweHeader},
    jws::{self, JwsHeader, RS256, alg::rsassa::RsassaJwsSigner},
};
use openssl::{
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{PKeyRef, Private},
    sha::sha256,
    x509::X509,
};

use super::encoding;

/// The signature key with what its headers say.
pub(super) struct Signer {
    signer: RsassaJwsSigner,
    certificate: Vec<u8>,
    kid: String,
}

impl Signer {
    pub(super) fn new(key: &PKeyRef<Private>, certificate: &X509) -> Result<Self, SignerError> {
        let der = key.private_key_to_pkcs8()?;
        // The key manager hashes its 20-byte key identifier; the SHA-1 of the public key stands in for it.
        let identifier = openssl::hash::hash(
            MessageDigest::sha1(),
            &certificate.public_key()?.public_key_to_der()?,
        )?;
        Ok(Self {
            signer: RS256.signer_from_der(der)?,
            certificate: certificate.to_der()?,
            kid: encoding::url(&sha256(&identifier)),
        })
    }

    /// The detached JWS of an answer.
    pub(super) fn detached(&self, body: &[u8]) -> Result<String, JoseError> {
        let mut header = JwsHeader::new();
        header.set_x509_certificate_chain(&vec![&self.certificate]);
        header.set_x509_certificate_sha256_thumbprint(sha256(&self.certificate));
        header.set_key_id(&self.kid);
        let whole = jws::serialize_compact(body, &header, &self.signer)?;
        let mut parts = whole.split('.');
        Ok(format!(
            "{}..{}",
            parts.next().unwrap_or_default(),
            parts.next_back().unwrap_or_default()
        ))
    }

    /// A JWT with its payload; no certificate in it, as MOSIP's default is.
    pub(super) fn token(&self, payload: &[u8]) -> Result<String, JoseError> {
        let mut header = JwsHeader::new();
        header.set_key_id(&self.kid);
        jws::serialize_compact(payload, &header, &self.signer)
    }
}

/// A JWS nested in a JWE to the partner: RSA-OAEP-256, A256GCM, compressed. RSA-2048 only, as MOSIP demands.
pub(super) fn nest(token: &str, certificate: &X509) -> Result<String, SignerError> {
    let der = certificate.to_der()?;
    let key = certificate.public_key()?;
    if key.rsa().is_ok_and(|rsa| rsa.size() != 256) {
        return Err(SignerError::KeySize);
    }
    let mut header = JweHeader::new();
    header.set_content_encryption("A256GCM");
    header.set_compression("DEF");
    header.set_token_type("JWT");
    header.set_content_type("JWT");
    header.set_key_id(encoding::url(&sha256(&der)));
    header.set_x509_certificate_sha256_thumbprint(sha256(&der));
    let encrypter = jwe::RSA_OAEP_256.encrypter_from_der(key.public_key_to_der()?)?;
    Ok(jwe::serialize_compact(
        token.as_bytes(),
        &header,
        &encrypter,
    )?)
}

/// What can go wrong with a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignerError {
    #[error("OpenSSL refuses the key: {0}")]
    OpenSsl(#[from] ErrorStack),
    #[error("josekit refuses the key: {0}")]
    Jose(#[from] JoseError),
    #[error("the partner's key is not RSA-2048")]
    KeySize,
}
