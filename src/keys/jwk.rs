//! JSON Web Keys (RFC 7517, RFC 7518 section 6): public ones as others publish them, private ones as OpenCRVS keeps them.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, pem::PemObject};
use serde_json::{Map, Value};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};
use zeroize::Zeroizing;

use super::{KeyError, PublicKey, Secret, SigningKey, private::PrivateKey};

/// Bytes of one number in a key: RSA-8192.
const NUMBER_MAX: usize = 1024;

// Object identifiers, in DER with tag and length.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const CURVE: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const NULL: &[u8] = b"\x05\x00";

impl PublicKey {
    /// From the public members of a JWK: RSA of 2048 bits and more, or P-256.
    ///
    /// # Errors
    /// [`KeyError::Unfit`] for RSA of another size, [`KeyError::Malformed`] when it is none of these.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let spki = match text(jwk, "kty")? {
            "RSA" => {
                let key = sequence(&[integer(&number(jwk, "n")?), integer(&number(jwk, "e")?)]);
                sequence(&[sequence(&[RSA.to_vec(), NULL.to_vec()]), bits(&key)])
            }
            "EC" => {
                let algorithm = sequence(&[CURVE.to_vec(), P256.to_vec()]);
                sequence(&[algorithm, bits(&point(jwk)?)])
            }
            _ => return Err(KeyError::Malformed),
        };
        let key = Self::from_spki(&spki)?;
        let large = key.kind() != super::KeyKind::Rsa || (2048..=8192).contains(&key.bits());
        if large { Ok(key) } else { Err(KeyError::Unfit) }
    }

    /// From a file that somebody gave us: a JWK in JSON, or PEM with one certificate or public key.
    ///
    /// # Errors
    /// As [`PublicKey::from_jwk`].
    pub fn from_file_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.trim_ascii_start().starts_with(b"{") {
            let jwk: Map<String, Value> =
                serde_json::from_slice(bytes).map_err(|_| KeyError::Malformed)?;
            return Self::from_jwk(&jwk);
        }
        if let Ok(certificate) = CertificateDer::from_pem_slice(bytes) {
            let (_, certificate) =
                X509Certificate::from_der(&certificate).map_err(|_| KeyError::Malformed)?;
            return Self::from_spki(certificate.public_key().raw);
        }
        let spki =
            SubjectPublicKeyInfoDer::from_pem_slice(bytes).map_err(|_| KeyError::Malformed)?;
        Self::from_spki(&spki)
    }
}

impl SigningKey {
    /// From a secret: PEM, a JWK in JSON, or the base64 of such JSON as OpenCRVS has it.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] when it is none of these, or holds no private RSA, P-256 or Ed25519 key.
    pub fn from_secret(secret: &Secret) -> Result<Self, KeyError> {
        let bytes = secret.expose().trim_ascii();
        if bytes.starts_with(b"-----BEGIN") {
            let mut keys = PrivateKey::all_from_pem(bytes)?.into_iter();
            return match (keys.next(), keys.next()) {
                (Some(one), None) => Self::from_pkcs8_der(&one.into_pkcs8()),
                _ => Err(KeyError::Malformed),
            };
        }
        let decoded;
        let json = if bytes.starts_with(b"{") {
            bytes
        } else {
            decoded = Zeroizing::new(STANDARD.decode(bytes).map_err(|_| KeyError::Malformed)?);
            decoded.as_slice()
        };
        let jwk: Map<String, Value> =
            serde_json::from_slice(json).map_err(|_| KeyError::Malformed)?;
        let key = match text(&jwk, "kty")? {
            "RSA" => {
                let mut parts = vec![integer(&[])];
                for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
                    parts.push(integer(&number(&jwk, name)?));
                }
                PrivateKey::from_pkcs1(&Zeroizing::new(sequence(&parts)))?
            }
            "EC" => {
                let d = number(&jwk, "d")?;
                let d = fixed(&d).ok_or(KeyError::Malformed)?;
                let der = Zeroizing::new(sequence(&[
                    integer(&[1]),
                    tagged(0x04, &d),
                    tagged(0xa0, P256),
                    tagged(0xa1, &bits(&point(&jwk)?)),
                ]));
                PrivateKey::from_sec1(&der)?
            }
            _ => return Err(KeyError::Malformed),
        };
        Self::from_pkcs8_der(&key.into_pkcs8())
    }
}

fn text<'j>(jwk: &'j Map<String, Value>, name: &str) -> Result<&'j str, KeyError> {
    (jwk.get(name).and_then(Value::as_str)).ok_or(KeyError::Malformed)
}

fn number(jwk: &Map<String, Value>, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let bytes = URL_SAFE_NO_PAD.decode(text(jwk, name)?);
    let bytes = Zeroizing::new(bytes.map_err(|_| KeyError::Malformed)?);
    if bytes.is_empty() || bytes.len() > NUMBER_MAX {
        return Err(KeyError::Malformed);
    }
    Ok(bytes)
}

/// A point of P-256, uncompressed.
fn point(jwk: &Map<String, Value>) -> Result<Vec<u8>, KeyError> {
    if text(jwk, "crv")? != "P-256" {
        return Err(KeyError::Malformed);
    }
    let mut point = vec![4];
    for name in ["x", "y"] {
        point.extend(fixed(&number(jwk, name)?).ok_or(KeyError::Malformed)?);
    }
    Ok(point)
}

/// A number of P-256 in its full length.
fn fixed(number: &[u8]) -> Option<Vec<u8>> {
    let missing = 32_usize.checked_sub(number.len())?;
    let mut out = vec![0; missing];
    out.extend_from_slice(number);
    Some(out)
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

fn bits(content: &[u8]) -> Vec<u8> {
    tagged(0x03, &[&[0], content].concat())
}

/// A number that is not negative, in the fewest bytes.
fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    let mut content = number.get(zeros..).unwrap_or_default().to_vec();
    if content.first().is_none_or(|b| *b >= 0x80) {
        content.insert(0, 0);
    }
    tagged(0x02, &content)
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let zeros = length.iter().take_while(|b| **b == 0).count();
            let length = length.get(zeros..).unwrap_or_default();
            out.push(0x80 | u8::try_from(length.len()).unwrap_or(0x7f));
            out.extend_from_slice(length);
        }
    }
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests {
    use josekit::jwk::{
        Jwk,
        alg::{ec::EcCurve, ec::EcKeyPair, rsa::RsaKeyPair},
    };

    use super::*;
    use crate::{config::Algorithm, keys::VerifyingKey};

    fn rsa() -> Jwk {
        RsaKeyPair::generate(2048).unwrap().to_jwk_key_pair()
    }

    fn curve() -> Jwk {
        EcKeyPair::generate(EcCurve::P256)
            .unwrap()
            .to_jwk_key_pair()
    }

    fn secret(jwk: &Jwk) -> Secret {
        Secret::new(jwk.to_string().into_bytes())
    }

    #[test]
    fn a_jwk_signs_and_its_public_half_verifies() {
        for (jwk, algorithm) in [
            (rsa(), Algorithm::RS256),
            (rsa(), Algorithm::PS256),
            (curve(), Algorithm::ES256),
        ] {
            let key = SigningKey::from_secret(&secret(&jwk)).unwrap();
            let public = jwk.to_public_key().unwrap();
            let public = PublicKey::from_file_bytes(public.to_string().as_bytes()).unwrap();
            let signature = key.sign(algorithm, b"m").unwrap();
            let verifier = VerifyingKey::new(&public, algorithm).unwrap();
            assert_eq!(verifier.verify(b"m", &signature), Ok(()));
            // In base64 around it, as OpenCRVS keeps it.
            let wrapped = STANDARD.encode(jwk.to_string()).into_bytes();
            assert!(SigningKey::from_secret(&Secret::new(wrapped)).is_ok());
        }
    }

    #[test]
    fn pem_is_read_too() {
        let pair = RsaKeyPair::generate(2048).unwrap();
        let key = Secret::new(pair.to_pem_private_key());
        assert!(SigningKey::from_secret(&key).is_ok());
        assert!(PublicKey::from_file_bytes(&pair.to_pem_public_key()).is_ok());
    }

    #[test]
    fn what_is_no_key_of_ours_is_refused() {
        let public_only = rsa().to_public_key().unwrap();
        assert!(SigningKey::from_secret(&secret(&public_only)).is_err());
        let small = RsaKeyPair::generate(1024).unwrap().to_jwk_public_key();
        assert!(PublicKey::from_file_bytes(small.to_string().as_bytes()).is_err());
        for text in [
            "",
            "{}",
            r#"{"kty":"oct","k":"AAAA"}"#,
            r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#,
            r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA=="}"#,
            r#"{"kty":"RSA","n":"","e":"AQAB"}"#,
        ] {
            assert!(
                PublicKey::from_file_bytes(text.as_bytes()).is_err(),
                "{text}"
            );
        }
        let mut off_curve = serde_json::to_value(curve().to_public_key().unwrap()).unwrap();
        off_curve["x"] = off_curve["y"].clone();
        let key = PublicKey::from_file_bytes(off_curve.to_string().as_bytes());
        assert!(
            key.map(|k| VerifyingKey::new(&k, Algorithm::ES256))
                .is_ok_and(|k| k.is_err())
        );
    }
}
