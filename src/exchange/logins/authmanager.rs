//! authmanager on the wire: `clientidsecretkey` and what it answers (packet reference 2.1 and 2.2).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::{FETCH_TIMEOUT, Token};
use crate::{
    clock::{Clock, Moment},
    config,
    envelope::time,
    keys::Secret,
    refusal::{Code, Refusal},
    upstream::{Answer, Outgoing, Upstream},
};

/// The cookie in which MOSIP's services look for the token.
const COOKIE: &str = "Authorization";
/// Bytes of a token.
const TOKEN_MAX: usize = 12 << 10;

/// Logs in by client id and secret.
pub(super) async fn log_in(
    spec: &config::Login,
    secret: &Secret,
    upstream: &Upstream,
    clock: &Clock,
) -> Result<Token, Refusal> {
    let text = secret
        .expose_text()
        .ok_or_else(|| Refusal::new(Code::LoginRefused, "the secret is not text"))?;
    let body = json!({
        "id": "string",
        "version": "string",
        "requesttime": time::format(clock.now()),
        "metadata": {},
        "request": {"clientId": spec.client_id, "secretKey": text, "appId": spec.app_id},
    });
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json.clone());
    headers.insert(header::ACCEPT, json);
    let outgoing = Outgoing {
        method: Method::POST,
        path_and_query: spec.path.clone(),
        headers,
    };
    let calling = upstream.call(outgoing, Bytes::from(body.to_string()));
    let answer = tokio::time::timeout(FETCH_TIMEOUT, calling)
        .await
        .map_err(|_| Refusal::new(Code::LoginDown, "no answer in time"))?
        .map_err(|why| Refusal::new(Code::LoginDown, why.to_string()))?;
    judge(&answer, clock.now())
}

/// The token in an answer, or why there is none.
fn judge(answer: &Answer, now: Moment) -> Result<Token, Refusal> {
    let status = answer.status;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let code = error_code(&body);
    if let Some(code) = code {
        // A wrong secret is HTTP 500 with the code "500": Keycloak's own 401 is not translated (packet reference 2.2).
        let refused = status == StatusCode::OK || status.is_client_error() || code == "500";
        let code_of_ours = if refused {
            Code::LoginRefused
        } else {
            Code::LoginDown
        };
        let cause = format!("HTTP {}", status.as_u16());
        return Err(Refusal::new(code_of_ours, cause).stating(code));
    }
    match status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let cause = format!("HTTP {}", status.as_u16());
            return Err(Refusal::new(Code::LoginRefused, cause));
        }
        other if other.is_server_error() => {
            let cause = format!("HTTP {}", other.as_u16());
            return Err(Refusal::new(Code::LoginDown, cause));
        }
        other => return Err(form(format!("HTTP {}", other.as_u16()))),
    }
    let text = token_text(&answer.headers)
        .ok_or_else(|| form("neither cookie nor header `Authorization`"))?;
    token(text, now)
}

/// The first error's code, where there are errors.
fn error_code(body: &Value) -> Option<&str> {
    let first = body.get("errors")?.as_array()?.first()?;
    Some((first.get("errorCode").and_then(Value::as_str)).unwrap_or(""))
}

/// The value of the cookie, else of the header.
fn token_text(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::SET_COOKIE).iter();
    let cookie = cookies.filter_map(|v| v.to_str().ok()).find_map(|text| {
        let pair = text.split(';').next()?;
        let (name, value) = pair.split_once('=')?;
        (name.trim() == COOKIE).then_some(value.trim())
    });
    cookie.or_else(|| headers.get(header::AUTHORIZATION)?.to_str().ok())
}

/// A JWT with an end. Its signature is for MOSIP's services to judge: we only carry it.
fn token(text: &str, now: Moment) -> Result<Token, Refusal> {
    if text.is_empty() || text.len() > TOKEN_MAX {
        return Err(form(format!("a token of {} bytes", text.len())));
    }
    // The hub cuts a cookie at the next `=` (websub reference 1.2).
    if text.contains('=') {
        return Err(form("the token has a `=`"));
    }
    let mut parts = text.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(form("the token is no JWT"));
    };
    let expires = URL_SAFE_NO_PAD
        .decode(payload)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .and_then(|claims| claims.get("exp")?.as_i64())
        .map(Moment::from_s)
        .ok_or_else(|| form("the token says no end (`exp`)"))?;
    if expires <= now {
        return Err(form("the token has expired already: compare the clocks"));
    }
    let mut cookie = HeaderValue::try_from(format!("{COOKIE}={text}"))
        .map_err(|_| form("the token does not fit into a header"))?;
    cookie.set_sensitive(true);
    Ok(Token {
        cookie,
        fetched: now,
        expires,
    })
}

fn form(cause: impl Into<String>) -> Refusal {
    Refusal::new(Code::LoginForm, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_ms(1_700_000_000_000);

    fn jwt(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), "c2ln")
    }

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: map,
            body: Bytes::from(body.to_owned()),
        }
    }

    fn code(answer: &Answer) -> Code {
        judge(answer, NOW).unwrap_err().code()
    }

    #[test]
    fn the_token_comes_from_its_cookie_whatever_else_is_set_and_lives_as_long_as_it_says() {
        let jwt = jwt(r#"{"exp":1700000600}"#);
        let cookie = format!("Authorization={jwt}; Max-Age=6000000; HttpOnly; Path=/");
        let good = answer(
            200,
            &[("set-cookie", "JSESSIONID=1"), ("set-cookie", &cookie)],
            r#"{"errors":null,"response":{"status":"Success"}}"#,
        );
        let token = judge(&good, NOW).unwrap();
        assert_eq!(token.cookie, format!("Authorization={jwt}"));
        assert!(token.cookie.is_sensitive());
        assert_eq!(token.expires, Moment::from_s(1_700_000_600));
        let header = answer(200, &[("authorization", &jwt)], "{}");
        assert_eq!(judge(&header, NOW).unwrap().cookie, token.cookie);
    }

    #[test]
    fn a_wrong_secret_and_a_service_that_is_down_are_told_apart() {
        let wrong = r#"{"errors":[{"errorCode":"500","message":"401 Unauthorized"}]}"#;
        assert_eq!(code(&answer(500, &[], wrong)), Code::LoginRefused);
        let field = r#"{"errors":[{"errorCode":"KER-ATH-019","message":"x"}]}"#;
        assert_eq!(code(&answer(200, &[], field)), Code::LoginRefused);
        let refusal = judge(&answer(200, &[], field), NOW).unwrap_err();
        assert_eq!(refusal.stated(), Some("KER-ATH-019"));
        assert_eq!(code(&answer(401, &[], "")), Code::LoginRefused);
        assert_eq!(code(&answer(500, &[], "oops")), Code::LoginDown);
        assert_eq!(code(&answer(503, &[], "")), Code::LoginDown);
        let other = r#"{"errors":[{"errorCode":"KER-ATH-500"}]}"#;
        assert_eq!(code(&answer(500, &[], other)), Code::LoginDown);
    }

    #[test]
    fn what_is_no_jwt_with_an_end_is_no_token() {
        let padded = format!("{}==", jwt(r#"{"exp":1700000600}"#));
        for bad in [
            "some-token",
            "a.b",
            "a.b.c.d",
            &padded,
            &jwt("{}"),
            &jwt(r#"{"exp":"1700000600"}"#),
            &jwt(r#"{"exp":1700000000}"#),
            &format!("{}.{}", jwt(r#"{"exp":1700000600}"#), "x".repeat(TOKEN_MAX)),
        ] {
            let cookie = format!("Authorization={bad}; Path=/");
            assert_eq!(
                code(&answer(200, &[("set-cookie", &cookie)], "{}")),
                Code::LoginForm,
                "{bad}"
            );
        }
        assert_eq!(code(&answer(200, &[], "{}")), Code::LoginForm);
        assert_eq!(code(&answer(302, &[], "{}")), Code::LoginForm);
    }
}
