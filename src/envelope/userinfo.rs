//! E-Signet's userinfo (reference 4.6): a JWS, or that JWS in a JWE to our encryption certificate. Which of them it is says the
//! client's registration, never the bytes.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    forms, json,
    jwt::{Jwt, JwtProblem},
    key_set::KeySet,
};
use crate::{
    clock::Moment,
    config::{Algorithm, UserinfoForm},
    keys::DecryptionKey,
    trust::Fingerprint,
};

/// Bytes of a userinfo, sealed or not: it may hold a picture.
pub const USERINFO_MAX: usize = 1 << 20;
/// Bytes of a protected header.
const HEADER_MAX: usize = 2 << 10;
/// Length of the IV and of the tag: RFC 7518 section 5.3 knows no others.
const IV_LEN: usize = 12;
const TAG_LEN: usize = 16;

/// Why a userinfo is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserinfoProblem {
    /// It is not of the client's form.
    #[error("the userinfo: {0}")]
    Form(&'static str),
    /// It does not decrypt. One word for every cause.
    #[error("the userinfo cannot be decrypted")]
    Undecryptable,
    /// No key of the set, or no right signature by it.
    #[error("the userinfo is not signed by a key of E-Signet's set")]
    Signature,
}

/// A userinfo whose signature holds.
pub struct Userinfo {
    /// The JWS, as it was signed.
    pub jws: String,
    /// What it says.
    pub claims: Map<String, Value>,
}

impl std::fmt::Debug for Userinfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // All of it is about a person.
        f.write_str("Userinfo(..)")
    }
}

/// Opens and verifies a userinfo.
///
/// # Errors
/// See [`UserinfoProblem`].
pub fn open(
    text: &[u8],
    form: UserinfoForm,
    own: &[(Fingerprint, &DecryptionKey)],
    keys: &KeySet,
    algorithm: Algorithm,
    now: Moment,
) -> Result<Userinfo, UserinfoProblem> {
    let text = std::str::from_utf8(text).map_err(|_| UserinfoProblem::Form("not text"))?;
    let jws = match form {
        UserinfoForm::Jws => text.to_owned(),
        UserinfoForm::Jwe => decrypt(text, own, Zip::Refused)?,
        UserinfoForm::JweDeflatedByIda => decrypt(text, own, Zip::Expected)?,
    };
    let claims = verify(&jws, keys, algorithm, now)?;
    Ok(Userinfo { jws, claims })
}

/// Verifies the JWS by the key of the set that it names.
///
/// # Errors
/// See [`UserinfoProblem`].
pub fn verify(
    jws: &str,
    keys: &KeySet,
    algorithm: Algorithm,
    now: Moment,
) -> Result<Map<String, Value>, UserinfoProblem> {
    let of = |problem| match problem {
        JwtProblem::Form(what) => UserinfoProblem::Form(what),
        JwtProblem::Algorithm | JwtProblem::Signature => UserinfoProblem::Signature,
    };
    let jwt = Jwt::parse(jws, USERINFO_MAX).map_err(of)?;
    if jwt.algorithm() != algorithm {
        return Err(UserinfoProblem::Signature);
    }
    let key = (jwt.kid())
        .and_then(|kid| keys.key(kid, algorithm, now))
        .ok_or(UserinfoProblem::Signature)?;
    jwt.verify(&key).map_err(of)
}

/// Whether the content is compressed: MOSIP's identity authority does it, E-Signet does not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Zip {
    Refused,
    Expected,
}

/// Five parts, this one header, `RSA-OAEP-256` and `A256GCM`, an IV of 12 and a tag of 16 bytes: checked before any key is
/// touched.
fn decrypt(
    text: &str,
    own: &[(Fingerprint, &DecryptionKey)],
    zip: Zip,
) -> Result<String, UserinfoProblem> {
    const FORM: UserinfoProblem = UserinfoProblem::Form("not a JWE in five parts");
    if text.len() > USERINFO_MAX {
        return Err(UserinfoProblem::Form("too long"));
    }
    let parts: Vec<&str> = text.splitn(6, '.').collect();
    let [protected, wrapped, iv, sealed, tag] = parts.as_slice() else {
        return Err(FORM);
    };
    let part = |text: &str| forms::base64url(text).ok_or(FORM);
    let named = recipient(&part(protected)?, zip)?;
    let (wrapped, iv, mut sealed, tag) = (part(wrapped)?, part(iv)?, part(sealed)?, part(tag)?);
    if iv.len() != IV_LEN || tag.len() != TAG_LEN {
        return Err(UserinfoProblem::Form("another length of IV or tag"));
    }
    let (_, key) = (own.iter())
        .find(|(fingerprint, _)| *fingerprint == named)
        .ok_or(UserinfoProblem::Form("`kid` is no certificate of ours"))?;
    // On failure go on with a random key: what follows fails in one way for every cause.
    let mut content_key = Zeroizing::new([0_u8; 32]);
    aws_lc_rs::rand::fill(content_key.as_mut_slice())
        .map_err(|_| UserinfoProblem::Undecryptable)?;
    if let Ok(unwrapped) = key.unwrap(&wrapped)
        && unwrapped.len() == content_key.len()
    {
        content_key.copy_from_slice(&unwrapped);
    }
    let plain = open_gcm(&content_key, &iv, protected, &mut sealed, &tag)?;
    let plain = match zip {
        Zip::Refused => plain.to_vec(),
        Zip::Expected => inflate(plain)?,
    };
    String::from_utf8(plain).map_err(|_| UserinfoProblem::Form("the content is not text"))
}

fn open_gcm<'p>(
    key: &[u8; 32],
    iv: &[u8],
    protected: &str,
    sealed: &'p mut Vec<u8>,
    tag: &[u8],
) -> Result<&'p [u8], UserinfoProblem> {
    let failed = |_| UserinfoProblem::Undecryptable;
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(failed)?;
    let nonce = Nonce::try_assume_unique_for_key(iv).map_err(failed)?;
    sealed.extend_from_slice(tag);
    let plain = LessSafeKey::new(key)
        .open_in_place(nonce, Aad::from(protected.as_bytes()), sealed)
        .map_err(failed)?;
    Ok(plain)
}

/// The certificate that the header names, when the header is exactly the form's.
fn recipient(header: &[u8], zip: Zip) -> Result<Fingerprint, UserinfoProblem> {
    const OTHER: UserinfoProblem = UserinfoProblem::Form("a header of another form");
    let header = json::object(header, HEADER_MAX).map_err(|_| OTHER)?;
    let is = |name: &str, value: &str| header.get(name).and_then(Value::as_str) == Some(value);
    if !is("alg", "RSA-OAEP-256") || !is("enc", "A256GCM") || !is("cty", "JWT") {
        return Err(OTHER);
    }
    for (name, value) in &header {
        match (name.as_str(), zip) {
            ("alg" | "enc" | "cty" | "kid", _) => {}
            ("typ", _) if value == "JWT" => {}
            ("zip", Zip::Expected) if value == "DEF" => {}
            ("x5t#S256", Zip::Expected) if Some(value) == header.get("kid") => {}
            _ => return Err(OTHER),
        }
    }
    if zip == Zip::Expected && !header.contains_key("zip") {
        return Err(OTHER);
    }
    let named = (header.get("kid").and_then(Value::as_str)).and_then(forms::base64url);
    (named.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()))
        .map(Fingerprint::from_bytes)
        .ok_or(UserinfoProblem::Form(
            "`kid` is not the SHA-256 of a certificate",
        ))
}

/// Raw DEFLATE, at most as large as any userinfo. It is inflated only after its authenticity was proven.
fn inflate(compressed: &[u8]) -> Result<Vec<u8>, UserinfoProblem> {
    miniz_oxide::inflate::decompress_to_vec_with_limit(compressed, USERINFO_MAX)
        .map_err(|_| UserinfoProblem::Form("the content does not inflate within its bound"))
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
