//! JSON web tokens of an issuer whose keys are known beforehand: RS256 and nothing else, every claim that is demanded.
//!
//! The header only selects: it names the one algorithm there is, and at most a key id. Keys come from a document of the
//! issuer's that was fetched ahead ([`TokenKeys`]), never from a token.

use rustls_pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};
use serde_json::{Map, Value};

use super::{forms::sha256, json, jwt::Jwt};
use crate::{
    clock::Moment,
    config::Algorithm,
    keys::{KeyError, KeyKind, PublicKey, VerifyingKey},
    refusal::{Code, Refusal},
};

/// The longest token.
const TOKEN_MAX: usize = 16 << 10;
/// The longest document with keys.
const DOCUMENT_MAX: usize = 64 << 10;
/// Keys in a document.
const KEYS_MAX: usize = 16;
/// Words of a list in a claim.
const WORDS_MAX: usize = 512;
/// How far the issuer's clock may be from ours, in milliseconds.
const LEEWAY_MS: i64 = 5_000;
/// The least size of a key.
const BITS_MIN: u32 = 2_048;

/// Why a document with keys is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenKeysError {
    /// Neither PEM nor JWKS.
    #[error("it is neither a PEM public key nor a JWKS of RSA keys")]
    Form,
    /// Not RSA, or too small.
    #[error("a key in it is not RSA of at least 2048 bits")]
    Weak,
    /// None of the keys is pinned.
    #[error("a key in it is not one of those that the configuration pins")]
    NotPinned,
}

/// The keys of an issuer.
#[derive(Debug)]
pub struct TokenKeys {
    keys: Vec<TokenKey>,
}

#[derive(Debug)]
struct TokenKey {
    id: Option<String>,
    public: PublicKey,
    verifying: VerifyingKey,
}

impl TokenKeys {
    /// Reads a PEM public key (SubjectPublicKeyInfo) or a JWKS. With `pins` (SHA-256 of the SubjectPublicKeyInfo), every key has
    /// to be pinned.
    ///
    /// # Errors
    /// Why the document is not taken. One bad key spoils it.
    pub fn parse(document: &[u8], pins: &[[u8; 32]]) -> Result<Self, TokenKeysError> {
        if document.len() > DOCUMENT_MAX {
            return Err(TokenKeysError::Form);
        }
        let found = match document.trim_ascii().first() {
            Some(b'{') => of_jwks(document)?,
            _ => of_pem(document)?,
        };
        if found.is_empty() || found.len() > KEYS_MAX {
            return Err(TokenKeysError::Form);
        }
        let mut keys = Vec::new();
        for (id, public) in found {
            if public.kind() != KeyKind::Rsa || public.bits() < BITS_MIN {
                return Err(TokenKeysError::Weak);
            }
            if !pins.is_empty() && !pins.contains(&sha256(public.spki_der())) {
                return Err(TokenKeysError::NotPinned);
            }
            let verifying =
                VerifyingKey::new(&public, Algorithm::RS256).map_err(|_| TokenKeysError::Weak)?;
            keys.push(TokenKey {
                id,
                public,
                verifying,
            });
        }
        Ok(Self { keys })
    }

    /// Whether both hold the same keys.
    pub fn same(&self, other: &Self) -> bool {
        self.keys.len() == other.keys.len()
            && self.keys.iter().all(|key| {
                (other.keys.iter()).any(|o| o.id == key.id && o.public.same_key(&key.public))
            })
    }
}

/// A key id, where there is one, and the key.
type Found = (Option<String>, PublicKey);

fn of_pem(document: &[u8]) -> Result<Vec<Found>, TokenKeysError> {
    SubjectPublicKeyInfoDer::pem_slice_iter(document)
        .map(|key| Some((None, PublicKey::from_spki(&key.ok()?).ok()?)))
        .collect::<Option<_>>()
        .ok_or(TokenKeysError::Form)
}

fn of_jwks(document: &[u8]) -> Result<Vec<Found>, TokenKeysError> {
    let form = TokenKeysError::Form;
    let document = json::object(document, DOCUMENT_MAX).map_err(|_| form)?;
    let keys = document.get("keys").and_then(Value::as_array).ok_or(form)?;
    let mut found = Vec::new();
    for key in keys {
        let key = key.as_object().ok_or(form)?;
        let text = |name| key.get(name).and_then(Value::as_str);
        // Keys for something else may stand beside ours.
        if text("use").is_some_and(|what| what != "sig") {
            continue;
        }
        if text("kty") != Some("RSA") || text("alg").is_some_and(|alg| alg != "RS256") {
            return Err(TokenKeysError::Weak);
        }
        let public = PublicKey::from_jwk(key).map_err(|why| match why {
            KeyError::Unfit => TokenKeysError::Weak,
            _ => form,
        })?;
        found.push((text("kid").map(str::to_owned), public));
    }
    Ok(found)
}

/// What a token has to say.
#[derive(Clone, Copy, Debug)]
pub struct Demands<'d> {
    /// Exactly this issuer.
    pub issuer: &'d str,
    /// One of these audiences.
    pub audiences: &'d [String],
    /// One of these scopes.
    pub scopes: &'d [String],
}

/// What a token says, after everything in it was checked. Its `Debug` shows nothing.
#[derive(Clone)]
pub struct Claims {
    members: Map<String, Value>,
    expires: Moment,
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Claims(..)")
    }
}

impl Claims {
    /// A claim that is text and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        (self.members.get(name).and_then(Value::as_str)).filter(|text| !text.is_empty())
    }

    /// The end of the token.
    pub const fn expires(&self) -> Moment {
        self.expires
    }
}

/// Checks a token: form, signature, issuer, audience, time, scope, in this order.
///
/// # Errors
/// `CRVS-002` the form; `CRVS-003` the signature, which no known key made; `CRVS-004` the issuer; `CRVS-005` the audience;
/// `CRVS-006` the time; `CRVS-007` the scope.
pub fn verify(
    token: &str,
    keys: &TokenKeys,
    demands: Demands<'_>,
    now: Moment,
) -> Result<Claims, Refusal> {
    let form = |why: &str| Refusal::new(Code::BearerForm, why);
    let jwt = Jwt::parse_bare(token, TOKEN_MAX).map_err(|why| form(&why.to_string()))?;
    if jwt.algorithm() != Algorithm::RS256 {
        return Err(form("the algorithm is not RS256"));
    }
    let id = jwt.kid().map(str::to_owned);
    let named = |key: &&TokenKey| id.is_none() || key.id.is_none() || key.id == id;
    let keys = keys.keys.iter().filter(named).map(|key| &key.verifying);
    let members = jwt.verify_by_any(keys).map_err(|_| {
        let why = "no known key of the issuer made the signature";
        Refusal::new(Code::BearerSignature, why)
    })?;
    let expires = judge(&members, demands, now)?;
    Ok(Claims { members, expires })
}

fn judge(
    claims: &Map<String, Value>,
    demands: Demands<'_>,
    now: Moment,
) -> Result<Moment, Refusal> {
    let refuse = |code, why: &str| Err(Refusal::new(code, why));
    if claims.get("iss").and_then(Value::as_str) != Some(demands.issuer) {
        return refuse(Code::BearerIssuer, "made by another issuer");
    }
    if !listed(claims.get("aud"), demands.audiences) {
        return refuse(Code::BearerAudience, "made for another audience");
    }
    let time = |name| match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(s) => Ok(Some(Moment::from_s(s))),
            None => Err(Refusal::new(Code::BearerForm, "a time is no whole number")),
        },
    };
    let Some(expires) = time("exp")? else {
        return refuse(Code::BearerExpired, "it never ends");
    };
    if now.since_ms(expires) >= LEEWAY_MS {
        return refuse(Code::BearerExpired, "it is over");
    }
    for name in ["nbf", "iat"] {
        if time(name)?.is_some_and(|from| from.since_ms(now) > LEEWAY_MS) {
            return refuse(Code::BearerExpired, "it begins in the future");
        }
    }
    if !scoped(claims.get("scope"), demands.scopes) {
        return refuse(Code::BearerScope, "it lacks the scope of the route");
    }
    Ok(expires)
}

/// Whether a claim is, or lists, one of the wanted texts, whole (RFC 7519 section 4.1.3).
fn listed(claim: Option<&Value>, wanted: &[String]) -> bool {
    let is_wanted = |text: &str| wanted.iter().any(|w| w == text);
    match claim {
        Some(Value::String(text)) => is_wanted(text),
        Some(Value::Array(texts)) => {
            (texts.iter().take(WORDS_MAX)).any(|text| text.as_str().is_some_and(is_wanted))
        }
        _ => false,
    }
}

/// The same for scopes, which may also be words in one text (RFC 8693 section 4.2).
fn scoped(claim: Option<&Value>, wanted: &[String]) -> bool {
    match claim.and_then(Value::as_str) {
        Some(text) => (text.split(' ')).any(|word| wanted.iter().any(|w| w == word)),
        None => listed(claim, wanted),
    }
}

#[cfg(test)]
mod tests;
