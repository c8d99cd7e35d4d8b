//! Keys: E-Signet's own, the identity authority's, and that of a stranger for tests; what they sign, the published key set,
//! and the nesting of a JWS in a JWE.

use std::sync::OnceLock;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use josekit::{
    JoseError,
    jwe::{self, JweHeader},
    jws::{self, JwsHeader, RS256, alg::rsassa::RsassaJwsSigner},
};
use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, BigNumContext, BigNumRef},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{Id, PKey, PKeyRef, Private},
    rsa::Rsa,
    sha::sha256,
    x509::{X509, X509Builder, X509Name},
};
use serde_json::{Value, json};

use crate::sandbox::ida::OwnKey;

/// How long the certificate of our own key is good for.
const DAYS: u32 = 365;

/// What is wrong with a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// OpenSSL says so.
    #[error("OpenSSL refuses a key of the sandbox's E-Signet: {0}")]
    OpenSsl(#[from] ErrorStack),
    /// josekit says so.
    #[error("josekit refuses a key of the sandbox's E-Signet: {0}")]
    Jose(#[from] JoseError),
    /// Neither RSA nor P-256.
    #[error("the key of a certificate is neither RSA nor P-256")]
    Kind,
}

/// The three.
pub(super) struct Keys {
    /// `OIDC_SERVICE`: signs tokens.
    pub(super) own: Key,
    /// Signs userinfo.
    pub(super) authority: Key,
    stranger: OnceLock<Option<Key>>,
}

impl Keys {
    pub(super) fn new(authority: &OwnKey) -> Result<Self, KeyError> {
        let key = PKey::private_key_from_pem(&authority.key)
            .or_else(|_| PKey::private_key_from_der(&authority.key))?;
        Ok(Self {
            own: Key::generate("OIDC_SERVICE")?,
            authority: Key::new(&key, read(&authority.certificate)?)?,
            stranger: OnceLock::new(),
        })
    }

    /// A key that nobody knows.
    pub(super) fn stranger(&self) -> Option<&Key> {
        self.stranger
            .get_or_init(|| Key::generate("STRANGER").ok())
            .as_ref()
    }

    /// The published key set: E-Signet's own key and the authority's.
    pub(super) fn published(&self) -> Value {
        let keys: Vec<Value> = [&self.own, &self.authority]
            .into_iter()
            .filter_map(Key::published)
            .collect();
        json!({"keys": keys})
    }
}

/// A signature key with its certificate.
pub(super) struct Key {
    signer: RsassaJwsSigner,
    certificate: X509,
    /// Its name in the key set.
    pub(super) kid: String,
}

impl Key {
    fn new(key: &PKeyRef<Private>, certificate: X509) -> Result<Self, KeyError> {
        Ok(Self {
            signer: RS256.signer_from_der(key.private_key_to_pkcs8()?)?,
            kid: URL_SAFE_NO_PAD.encode(sha256(&certificate.public_key()?.public_key_to_der()?)),
            certificate,
        })
    }

    fn generate(name: &str) -> Result<Self, KeyError> {
        let (key, certificate) = certified(name)?;
        Self::new(&key, certificate)
    }

    /// A signed JWT with this `kid`, or with another one's.
    pub(super) fn token(&self, payload: &Value, kid: &str) -> Result<String, JoseError> {
        let mut header = JwsHeader::new();
        header.set_token_type("JWT");
        header.set_key_id(kid);
        jws::serialize_compact(payload.to_string().as_bytes(), &header, &self.signer)
    }

    fn published(&self) -> Option<Value> {
        let der = self.certificate.to_der().ok()?;
        let mut entry = public_jwk(&der).ok()?;
        let members = entry.as_object_mut()?;
        let end = Asn1Time::from_unix(0)
            .ok()?
            .diff(self.certificate.not_after())
            .ok()?;
        let seconds = i64::from(end.days)
            .saturating_mul(86_400)
            .saturating_add(i64::from(end.secs));
        members.insert("kid".to_owned(), json!(self.kid));
        members.insert("use".to_owned(), json!("sig"));
        members.insert("x5c".to_owned(), json!([STANDARD.encode(&der)]));
        members.insert(
            "x5t#S256".to_owned(),
            json!(URL_SAFE_NO_PAD.encode(sha256(&der))),
        );
        members.insert("exp".to_owned(), json!(seconds));
        Some(entry)
    }
}

/// A new RSA key with a certificate of its own.
fn certified(name: &str) -> Result<(PKey<Private>, X509), ErrorStack> {
    let key = PKey::from_rsa(Rsa::generate(2048)?)?;
    let mut subject = X509Name::builder()?;
    subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
    let subject = subject.build();
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(&subject)?;
    let serial = BigNum::from_u32(1)?.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    let (from, until) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(DAYS)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    builder.set_pubkey(&key)?;
    builder.sign(&key, MessageDigest::sha256())?;
    Ok((key, builder.build()))
}

/// The public key of a certificate (DER or PEM) as a JWK, as clients are registered with it.
///
/// # Errors
/// When the certificate cannot be read or its key is neither RSA nor P-256.
pub fn public_jwk(certificate: &[u8]) -> Result<Value, KeyError> {
    let key = read(certificate)?.public_key()?;
    if let Ok(rsa) = key.rsa() {
        return Ok(json!({"kty": "RSA", "n": url(rsa.n()), "e": url(rsa.e())}));
    }
    let elliptic = key.ec_key().map_err(|_| KeyError::Kind)?;
    if key.id() != Id::EC || elliptic.group().curve_name() != Some(Nid::X9_62_PRIME256V1) {
        return Err(KeyError::Kind);
    }
    let (mut x, mut y, mut context) = (BigNum::new()?, BigNum::new()?, BigNumContext::new()?);
    elliptic
        .public_key()
        .affine_coordinates(elliptic.group(), &mut x, &mut y, &mut context)?;
    Ok(json!({
        "kty": "EC", "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode(x.to_vec_padded(32)?),
        "y": URL_SAFE_NO_PAD.encode(y.to_vec_padded(32)?),
    }))
}

/// A JWS nested in a JWE to a certificate: RSA-OAEP-256, A256GCM. Compressed with `x5t#S256` where the identity authority
/// does it.
pub(super) fn nest(token: &str, recipient: &[u8], compressed: bool) -> Result<String, KeyError> {
    let certificate = read(recipient)?;
    let der = certificate.to_der()?;
    let mut header = JweHeader::new();
    header.set_content_encryption("A256GCM");
    header.set_token_type("JWT");
    header.set_content_type("JWT");
    header.set_key_id(URL_SAFE_NO_PAD.encode(sha256(&der)));
    if compressed {
        header.set_compression("DEF");
        header.set_x509_certificate_sha256_thumbprint(sha256(&der));
    }
    let key = certificate.public_key()?.public_key_to_der()?;
    let encrypter = jwe::RSA_OAEP_256.encrypter_from_der(key)?;
    Ok(jwe::serialize_compact(
        token.as_bytes(),
        &header,
        &encrypter,
    )?)
}

fn read(certificate: &[u8]) -> Result<X509, ErrorStack> {
    X509::from_der(certificate).or_else(|_| X509::from_pem(certificate))
}

fn url(number: &BigNumRef) -> String {
    URL_SAFE_NO_PAD.encode(number.to_vec())
}

#[cfg(test)]
pub(super) mod testing {
    use openssl::pkey::{PKey, Private};

    /// A key and its certificate (DER).
    pub(in super::super) fn certified(name: &str) -> (PKey<Private>, Vec<u8>) {
        let (key, certificate) = super::certified(name).unwrap();
        (key, certificate.to_der().unwrap())
    }
}
