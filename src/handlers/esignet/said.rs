//! What E-Signet answers (reference 4.3, 4.5, 4.6), judged by its content.

use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use crate::{
    clock::Moment,
    config::UserinfoForm,
    envelope::{
        base64url, json,
        jwt::Jwt,
        sha256,
        userinfo::{self, Userinfo, UserinfoProblem},
    },
    exchange::{Snapshot, esignet::Esignet, outward::Answered},
    handlers::relay::stated_code,
    refusal::{Code, Refusal},
};

/// Bytes of a token.
pub(super) const TOKEN_MAX: usize = 16 << 10;
/// Bytes of a token answer.
const ANSWER_MAX: usize = 64 << 10;
/// How far clocks may differ, in seconds.
const LEEWAY_S: i64 = 5;
/// The longest subject.
const SUBJECT_MAX: usize = 256;

/// What the token endpoint said.
pub(super) enum TokenSaid {
    /// Tokens.
    Granted(Granted),
    /// Its own refusal, such as `invalid_grant`.
    Refused(String),
}

/// Tokens for a code.
pub(super) struct Granted {
    pub(super) access_token: String,
    pub(super) id_token: Option<String>,
    pub(super) life_ms: i64,
}

/// Reads a token answer: tokens, an error of OAuth's form, or nothing that can be passed on.
pub(super) fn token(answer: &Answered) -> Result<TokenSaid, Refusal> {
    let body = json::object(&answer.body, ANSWER_MAX).ok();
    if answer.status == StatusCode::OK {
        let body = body.ok_or_else(|| wrong("HTTP 200 without a JSON object"))?;
        return granted(&body).map(TokenSaid::Granted);
    }
    let status = answer.status.as_u16();
    if let Some(code) = stated_code(&answer.headers) {
        let cause = format!("the gateway behind answered HTTP {status}");
        return Err(Refusal::new(code, cause));
    }
    let word = |body: Map<String, Value>| {
        let error = body.get("error")?.as_str()?;
        let letters = |b: u8| b.is_ascii_lowercase() || b == b'_';
        let fits = !error.is_empty() && error.len() <= 64 && error.bytes().all(letters);
        fits.then(|| error.to_owned())
    };
    match body.and_then(word) {
        Some(error) if matches!(status, 400 | 401 | 413) => Ok(TokenSaid::Refused(error)),
        _ => Err(Refusal::new(Code::UpstreamForm, format!("HTTP {status}"))),
    }
}

fn granted(body: &Map<String, Value>) -> Result<Granted, Refusal> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let visible =
        |t: &&str| !t.is_empty() && t.len() <= TOKEN_MAX && t.bytes().all(|b| b.is_ascii_graphic());
    let access = text("access_token").filter(visible);
    let kind = text("token_type").unwrap_or_default();
    if !kind.eq_ignore_ascii_case("Bearer") && !kind.eq_ignore_ascii_case("DPoP") {
        return Err(wrong("`token_type` is neither Bearer nor DPoP"));
    }
    let seconds = (body.get("expires_in").and_then(Value::as_i64)).filter(|s| *s > 0);
    Ok(Granted {
        access_token: access.ok_or_else(|| wrong("no `access_token`"))?.to_owned(),
        id_token: text("id_token").filter(visible).map(str::to_owned),
        life_ms: seconds
            .ok_or_else(|| wrong("`expires_in` is no number above 0"))?
            .saturating_mul(1000),
    })
}

/// Whom an id token is about: signed by E-Signet, for this client, of now, and for this access token.
pub(super) fn subject(
    esignet: &Esignet,
    client: &str,
    granted: &Granted,
    now: Moment,
) -> Result<String, Refusal> {
    let keys = esignet.keys(now)?;
    let text = (granted.id_token.as_deref()).ok_or_else(|| wrong("no `id_token`"))?;
    let jwt = Jwt::parse(text, TOKEN_MAX).map_err(|why| wrong(&format!("id_token: {why}")))?;
    let key = (jwt.kid())
        .and_then(|kid| keys.key(kid, esignet.id_token_algorithm(), now))
        .ok_or_else(|| wrong("id_token: `kid` is no key of E-Signet"))?;
    let claims = jwt
        .verify(&key)
        .map_err(|why| wrong(&format!("id_token: {why}")))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(esignet.issuer()) {
        return Err(wrong("id_token: another issuer"));
    }
    let for_client = match claims.get("aud") {
        Some(Value::Array(list)) => matches!(list.as_slice(), [one] if one == client),
        Some(one) => one == client,
        None => false,
    };
    if !for_client {
        return Err(wrong("id_token: for another client"));
    }
    let seconds = |name: &str| claims.get(name).and_then(Value::as_i64);
    let ended = |end: i64| end.saturating_add(LEEWAY_S) <= now.s();
    if seconds("exp").is_none_or(ended) {
        return Err(wrong("id_token: `exp` is missing or over"));
    }
    // The left half of the digest (OpenID Connect Core 3.1.3.6).
    let digest = sha256(granted.access_token.as_bytes());
    let half = digest.first_chunk::<16>();
    let hash = claims
        .get("at_hash")
        .map(|h| h.as_str().and_then(base64url));
    if hash.is_some_and(|hash| hash.as_deref() != half.map(<[u8; 16]>::as_slice)) {
        return Err(wrong("id_token: `at_hash` is of another access token"));
    }
    text("sub")
        .filter(|s| !s.is_empty() && s.len() <= SUBJECT_MAX)
        .map(str::to_owned)
        .ok_or_else(|| wrong("id_token: no `sub`"))
}

/// A userinfo of the client's form, signed by E-Signet and about this subject.
pub(super) fn userinfo(
    snapshot: &Snapshot,
    esignet: &Esignet,
    form: UserinfoForm,
    subject: &str,
    answer: &Answered,
    now: Moment,
) -> Result<Userinfo, Refusal> {
    is_jwt(answer)?;
    let keys = esignet.keys(now)?;
    let own = snapshot.own().decryption_keys(now);
    let algorithm = esignet.userinfo_algorithm();
    let opened =
        userinfo::open(&answer.body, form, &own, &keys, algorithm, now).map_err(refused)?;
    if opened.claims.get("sub").and_then(Value::as_str) != Some(subject) {
        let cause = "`sub` is not that of the id token";
        return Err(Refusal::new(Code::UserinfoSubject, cause));
    }
    Ok(opened)
}

/// A userinfo that is passed on: where it is not encrypted, E-Signet must have signed it.
pub(super) fn userinfo_in_passing(
    esignet: &Esignet,
    answer: &Answered,
    now: Moment,
) -> Result<(), Refusal> {
    is_jwt(answer)?;
    let form = |cause| Refusal::new(Code::UserinfoForm, cause);
    let text = std::str::from_utf8(&answer.body).map_err(|_| form("not text"))?;
    let letters = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    match text.split('.').count() {
        3 => {
            let keys = esignet.keys(now)?;
            let algorithm = esignet.userinfo_algorithm();
            userinfo::verify(text, &keys, algorithm, now).map_err(refused)?;
            Ok(())
        }
        5 if text.bytes().all(letters) => Ok(()),
        _ => Err(form("neither a JWS nor a JWE")),
    }
}

/// HTTP 200 and `application/jwt`: an error text is no userinfo, whatever its status.
fn is_jwt(answer: &Answered) -> Result<(), Refusal> {
    let status = answer.status.as_u16();
    if answer.status != StatusCode::OK {
        let code = stated_code(&answer.headers).unwrap_or(Code::UpstreamForm);
        return Err(Refusal::new(code, format!("userinfo: HTTP {status}")));
    }
    if media_type(&answer.headers) != "application/jwt" {
        let cause = "the userinfo is not application/jwt";
        return Err(Refusal::new(Code::UserinfoForm, cause));
    }
    Ok(())
}

/// The media type without parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let text = (headers.get(header::CONTENT_TYPE)).and_then(|v| v.to_str().ok());
    let media = text.and_then(|t| t.split(';').next()).unwrap_or_default();
    media.trim().to_ascii_lowercase()
}

fn refused(problem: UserinfoProblem) -> Refusal {
    let code = match problem {
        UserinfoProblem::Form(_) => Code::UserinfoForm,
        UserinfoProblem::Undecryptable => Code::UpstreamUndecryptable,
        UserinfoProblem::Signature => Code::UserinfoSignature,
    };
    Refusal::new(code, problem.to_string())
}

fn wrong(cause: &str) -> Refusal {
    Refusal::new(Code::TokenAnswer, cause)
}
