//! JWTs: compact JWS (RFC 7515, RFC 7519) behind a strict splitter, for E-Signet, for its clients and for OpenCRVS' tokens.
//!
//! Claims come out of a verification alone. What is read before it is what selects the key: the algorithm, which must be the
//! agreed one, the `kid`, and whom the token claims to be from.

use serde_json::{Map, Value};

use super::{forms, json, jws};
use crate::{
    config::Algorithm,
    keys::{SigningKey, VerifyingKey},
};

/// Bytes of a `kid`.
const KID_MAX: usize = 256;
/// Bytes of a signature: RSA-8192.
const SIGNATURE_MAX: usize = 1024;

/// Why a JWT is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtProblem {
    /// It is not of the exact form.
    #[error("the JWT: {0}")]
    Form(&'static str),
    /// Its algorithm is none of ours, or not the agreed one.
    #[error("the algorithm of the JWT is not the agreed one")]
    Algorithm,
    /// The signature does not fit.
    #[error("the signature of the JWT does not fit")]
    Signature,
}

/// What may stand in a header beside `alg`, `typ` and `kid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// Nothing.
    Nothing,
    /// A content type, and certificates, which are not looked at: keys come from the key set alone.
    Certificates,
}

/// A JWT of the right form, believed by nobody yet.
pub struct Jwt {
    algorithm: Algorithm,
    kid: Option<String>,
    signed: String,
    claims: Map<String, Value>,
    signature: Vec<u8>,
}

impl Jwt {
    /// Splits `header.payload.signature`, at most `max` bytes.
    ///
    /// # Errors
    /// [`JwtProblem::Form`] when a part is not canonical unpadded base64url, header or payload are no strict JSON objects, or the
    /// header has a member that changes what is verified (`crit`, `b64`, `jku`, `jwk`, `x5u`, `zip` and whatever is not
    /// known); [`JwtProblem::Algorithm`] when `alg` is none of ours.
    pub fn parse(text: &str, max: usize) -> Result<Self, JwtProblem> {
        Self::read(text, max, Beside::Certificates)
    }

    /// The same with nothing in its header but `alg`, `typ` and `kid`.
    ///
    /// # Errors
    /// As [`Jwt::parse`].
    pub fn parse_bare(text: &str, max: usize) -> Result<Self, JwtProblem> {
        Self::read(text, max, Beside::Nothing)
    }

    fn read(text: &str, max: usize, beside: Beside) -> Result<Self, JwtProblem> {
        if text.len() > max {
            return Err(JwtProblem::Form("too long"));
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtProblem::Form("not header.payload.signature"));
        };
        let decoded =
            |part: &str| forms::base64url(part).ok_or(JwtProblem::Form("not canonical base64url"));
        let object = |bytes: &[u8]| {
            json::object(bytes, max).map_err(|_| JwtProblem::Form("not strict JSON"))
        };
        let signature_bytes = decoded(signature)?;
        let header_members = object(&decoded(header)?)?;
        let (algorithm, kid) = header_of(&header_members, beside)?;
        if signature_bytes.is_empty() || signature_bytes.len() > SIGNATURE_MAX {
            return Err(JwtProblem::Form("no signature, or one too long"));
        }
        Ok(Self {
            algorithm,
            kid,
            signed: format!("{header}.{payload}"),
            claims: object(&decoded(payload)?)?,
            signature: signature_bytes,
        })
    }

    /// The algorithm that the header names.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key that the header names: to look one up with, exactly, and for nothing else.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whom it claims to be from: to select the key of that party, and for nothing else.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The claims, when the key signed them with its one algorithm.
    ///
    /// # Errors
    /// [`JwtProblem::Algorithm`] before any cryptography, [`JwtProblem::Signature`] after.
    pub fn verify(self, key: &VerifyingKey) -> Result<Map<String, Value>, JwtProblem> {
        if key.algorithm() != self.algorithm {
            return Err(JwtProblem::Algorithm);
        }
        self.verify_by_any([key])
    }

    /// The claims, when one of the keys signed them with its one algorithm: for an issuer whose tokens need not name their key.
    ///
    /// # Errors
    /// [`JwtProblem::Signature`].
    pub fn verify_by_any<'k>(
        self,
        keys: impl IntoIterator<Item = &'k VerifyingKey>,
    ) -> Result<Map<String, Value>, JwtProblem> {
        let fits = |key: &VerifyingKey| {
            key.algorithm() == self.algorithm
                && key.verify(self.signed.as_bytes(), &self.signature).is_ok()
        };
        if keys.into_iter().any(fits) {
            Ok(self.claims)
        } else {
            Err(JwtProblem::Signature)
        }
    }
}

impl std::fmt::Debug for Jwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwt")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

fn header_of(
    header: &Map<String, Value>,
    beside: Beside,
) -> Result<(Algorithm, Option<String>), JwtProblem> {
    let mut kid = None;
    for (name, value) in header {
        match (name.as_str(), value) {
            ("alg", _) => {}
            ("x5c" | "x5t" | "x5t#S256" | "cty", _) if beside == Beside::Certificates => {}
            ("typ", Value::String(typ)) if typ.eq_ignore_ascii_case("JWT") => {}
            ("typ", _) => return Err(JwtProblem::Form("`typ` is not JWT")),
            ("kid", Value::String(text)) if !text.is_empty() && text.len() <= KID_MAX => {
                kid = Some(text.clone());
            }
            ("kid", _) => return Err(JwtProblem::Form("`kid` is no short string")),
            _ => return Err(JwtProblem::Form("a header member that is not taken")),
        }
    }
    let named = header.get("alg").and_then(Value::as_str);
    let algorithm = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256]
        .into_iter()
        .find(|algorithm| Some(jws::name(*algorithm)) == named)
        .ok_or(JwtProblem::Algorithm)?;
    Ok((algorithm, kid))
}

/// Makes a JWT.
///
/// # Errors
/// When the key cannot sign with that algorithm.
pub fn sign(
    key: &SigningKey,
    algorithm: Algorithm,
    kid: Option<&str>,
    claims: &Value,
) -> Result<String, crate::keys::KeyError> {
    let mut header = serde_json::json!({"alg": jws::name(algorithm), "typ": "JWT"});
    if let (Some(kid), Some(members)) = (kid, header.as_object_mut()) {
        members.insert("kid".to_owned(), Value::String(kid.to_owned()));
    }
    let mut text = forms::to_base64url(header.to_string().as_bytes());
    text.push('.');
    text.push_str(&forms::to_base64url(claims.to_string().as_bytes()));
    let signature = key.sign(algorithm, text.as_bytes())?;
    text.push('.');
    text.push_str(&forms::to_base64url(&signature));
    Ok(text)
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests {
    use josekit::{
        jwk::alg::rsa::RsaKeyPair,
        jws::{self as jose, HS256, JwsHeader, PS256, RS256},
    };
    use serde_json::json;

    use super::*;
    use crate::keys::{PublicKey, Secret};

    fn pair() -> (RsaKeyPair, PublicKey) {
        let pair = RsaKeyPair::generate(2048).unwrap();
        let public = PublicKey::from_file_bytes(&pair.to_pem_public_key()).unwrap();
        (pair, public)
    }

    fn theirs(pair: &RsaKeyPair, header: &JwsHeader) -> String {
        let signer = RS256.signer_from_pem(pair.to_pem_private_key()).unwrap();
        jose::serialize_compact(br#"{"iss":"me","n":1}"#, header, &signer).unwrap()
    }

    #[test]
    fn josekit_signs_and_we_verify_and_the_other_way_round() {
        let (pair, public) = pair();
        let mut header = JwsHeader::new();
        header.set_token_type("JWT");
        header.set_key_id("k1");
        let jwt = Jwt::parse(&theirs(&pair, &header), 4096).unwrap();
        assert_eq!((jwt.kid(), jwt.claimed_issuer()), (Some("k1"), Some("me")));
        let key = VerifyingKey::new(&public, Algorithm::RS256).unwrap();
        assert_eq!(jwt.verify(&key).unwrap()["n"], 1);

        let own = SigningKey::from_secret(&Secret::new(pair.to_pem_private_key())).unwrap();
        let ours = sign(&own, Algorithm::PS256, Some("k2"), &json!({"iss": "us"})).unwrap();
        let mut jwk = pair.to_jwk_public_key();
        jwk.set_algorithm("PS256");
        let verifier = PS256.verifier_from_jwk(&jwk).unwrap();
        let (payload, header) = jose::deserialize_compact(&ours, &verifier).unwrap();
        assert_eq!(payload, br#"{"iss":"us"}"#);
        assert_eq!(header.key_id(), Some("k2"));
    }

    #[test]
    fn another_algorithm_another_key_and_one_changed_byte_are_refused() {
        let (pair, public) = pair();
        let text = theirs(&pair, &JwsHeader::new());
        let parsed = || Jwt::parse(&text, 4096).unwrap();
        let pss = VerifyingKey::new(&public, Algorithm::PS256).unwrap();
        assert_eq!(parsed().verify(&pss).unwrap_err(), JwtProblem::Algorithm);
        let (_, stranger) = self::pair();
        let stranger = VerifyingKey::new(&stranger, Algorithm::RS256).unwrap();
        assert_eq!(
            parsed().verify(&stranger).unwrap_err(),
            JwtProblem::Signature
        );
        let payload = forms::to_base64url(br#"{"iss":"me","n":2}"#);
        let mut parts: Vec<&str> = text.split('.').collect();
        parts[1] = &payload;
        let changed = Jwt::parse(&parts.join("."), 4096).unwrap();
        let key = VerifyingKey::new(&public, Algorithm::RS256).unwrap();
        assert_eq!(changed.verify(&key).unwrap_err(), JwtProblem::Signature);
        // The public key as the secret of an HMAC: no such algorithm here.
        let hmac = HS256.signer_from_bytes(pair.to_pem_public_key()).unwrap();
        let confused = jose::serialize_compact(b"{}", &JwsHeader::new(), &hmac).unwrap();
        assert_eq!(
            Jwt::parse(&confused, 4096).unwrap_err(),
            JwtProblem::Algorithm
        );
    }

    #[test]
    fn one_of_several_keys_is_enough_and_none_is_not() {
        let (pair, public) = pair();
        let (_, stranger) = self::pair();
        let key = |public, algorithm| VerifyingKey::new(public, algorithm).unwrap();
        let theirs = theirs(&pair, &JwsHeader::new());
        let verified = |keys: &[VerifyingKey]| {
            let jwt = Jwt::parse_bare(&theirs, 4096).unwrap();
            jwt.verify_by_any(keys).map(|claims| claims["n"] == 1)
        };
        let right = || key(&public, Algorithm::RS256);
        let wrong = || key(&stranger, Algorithm::RS256);
        assert_eq!(verified(&[wrong(), right()]), Ok(true));
        for keys in [
            vec![],
            vec![wrong()],
            vec![wrong(), key(&public, Algorithm::PS256)],
        ] {
            assert_eq!(verified(&keys), Err(JwtProblem::Signature));
        }
    }

    #[test]
    fn a_bare_header_has_nothing_beside() {
        let text = |header: &str| {
            let part = |text: &str| forms::to_base64url(text.as_bytes());
            format!("{}.{}.AAAA", part(header), part("{}"))
        };
        for (header, bare) in [
            (r#"{"alg":"RS256","typ":"JWT","kid":"k"}"#, true),
            (r#"{"alg":"RS256","x5c":["AAAA"]}"#, false),
            (r#"{"alg":"RS256","x5t":"AAAA"}"#, false),
            (r#"{"alg":"RS256","x5t#S256":"AAAA"}"#, false),
            (r#"{"alg":"RS256","cty":"JWT"}"#, false),
        ] {
            assert!(Jwt::parse(&text(header), 4096).is_ok(), "{header}");
            let read = Jwt::parse_bare(&text(header), 4096);
            assert_eq!(read.is_ok(), bare, "{header}");
        }
    }

    #[test]
    fn every_form_but_the_one_is_refused() {
        let part = |text: &str| forms::to_base64url(text.as_bytes());
        let of = |header: &str, payload: &str, signature: &str| {
            Jwt::parse(
                &format!("{}.{}.{signature}", part(header), part(payload)),
                4096,
            )
            .err()
        };
        let form = |header: &str, payload: &str, signature: &str| {
            matches!(of(header, payload, signature), Some(JwtProblem::Form(_)))
        };
        assert_eq!(of(r#"{"alg":"RS256"}"#, "{}", "AAAA"), None);
        assert_eq!(
            of(r#"{"alg":"none"}"#, "{}", "AAAA"),
            Some(JwtProblem::Algorithm)
        );
        assert_eq!(
            of(r#"{"alg":"EdDSA"}"#, "{}", "AAAA"),
            Some(JwtProblem::Algorithm)
        );
        assert!(form(r#"{"alg":"RS256"}"#, "{}", ""));
        assert!(form(r#"{"alg":"RS256"}"#, "{}", "AAA="));
        assert!(form(r#"{"alg":"RS256"}"#, "{}", "AAB"), "stray bits");
        assert!(form(r#"{"alg":"RS256"}"#, "[]", "AAAA"));
        assert!(form(r#"{"alg":"RS256"}"#, r#"{"a":1,"a":2}"#, "AAAA"));
        for member in [
            r#""crit":["exp"]"#,
            r#""b64":false"#,
            r#""jku":"https://x""#,
            r#""jwk":{}"#,
            r#""x5u":"https://x""#,
            r#""zip":"DEF""#,
            r#""typ":"dpop+jwt""#,
            r#""kid":1"#,
            r#""alg":"RS256""#,
            r#""new":1"#,
        ] {
            assert!(
                form(&format!(r#"{{"alg":"RS256",{member}}}"#), "{}", "AAAA"),
                "{member}"
            );
        }
        assert!(Jwt::parse("a.b", 10).is_err());
        assert!(Jwt::parse("a.b.c.d", 10).is_err());
        assert_eq!(
            Jwt::parse("AAAA.AAAA.AAAA", 10).unwrap_err(),
            JwtProblem::Form("too long")
        );
    }
}
