//! Logins at targets: a session of Odoo's, a token endpoint, a token as it is.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method,
    header::{AUTHORIZATION, COOKIE, SET_COOKIE},
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    deliver::{Failure, Outward},
    records::Shown,
};
use crate::{
    exchange::outward::{Answered, Call},
    handlers::form::encoded,
};

/// The longest line of cookies.
const COOKIES_MAX: usize = 4_096;

/// What is shown with the callback.
pub(super) async fn log_in(outward: &Outward<'_>, shown: &Shown) -> Result<HeaderMap, Failure> {
    match shown {
        Shown::None => Ok(HeaderMap::new()),
        Shown::StaticBearer { token } => bearer(token),
        Shown::Odoo {
            database,
            username,
            password,
        } => session(outward, database, username, password).await,
        Shown::Oauth {
            username,
            password,
            client_id,
            client_secret,
        } => {
            let fields = [
                ("username", username),
                ("password", password),
                ("client_id", client_id),
                ("client_secret", client_secret),
            ];
            token(outward, &fields).await
        }
    }
}

/// Ends a session. If it does not, Odoo will.
pub(super) async fn log_out(outward: &Outward<'_>, headers: HeaderMap) {
    let path = outward.target.login_path();
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let call = Call {
        method: Method::GET,
        path_and_query: format!("{parent}/logout"),
        headers,
        media_type: None,
        body: Bytes::new(),
    };
    let _ = outward.call(call).await;
}

async fn session(
    outward: &Outward<'_>,
    database: &str,
    username: &str,
    password: &str,
) -> Result<HeaderMap, Failure> {
    let params = json!({"db": database, "login": username, "password": password});
    let body = json!({"jsonrpc": "2.0", "method": "call", "params": params}).to_string();
    let answered = post(outward, "application/json", body).await?;
    let name = outward.target.name();
    if !answered.status.is_success() {
        let status = answered.status.as_u16();
        return Err(Failure::Later(format!(
            "the login at {name} answered {status}"
        )));
    }
    let said: Value = serde_json::from_slice(&answered.body)
        .map_err(|_| Failure::Later(format!("the login at {name} is no JSON")))?;
    // A cookie is set whether or not the login was right; only this says that it was.
    let uid = said.get("result").and_then(|result| result.get("uid"));
    if !uid.is_some_and(Value::is_u64) {
        return Err(Failure::Never(format!("{name} refuses the login")));
    }
    let cookies = cookies(&answered.headers);
    let cookies = HeaderValue::try_from(cookies.as_str())
        .ok()
        .filter(|value| !value.is_empty() && value.len() <= COOKIES_MAX)
        .ok_or_else(|| Failure::Later(format!("{name} gives no session")))?;
    Ok(HeaderMap::from_iter([(COOKIE, secret(cookies))]))
}

fn cookies(headers: &HeaderMap) -> String {
    headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter_map(|value| value.split(';').next())
        .collect::<Vec<_>>()
        .join("; ")
}

async fn token(
    outward: &Outward<'_>,
    fields: &[(&str, &Zeroizing<String>)],
) -> Result<HeaderMap, Failure> {
    let named = fields
        .iter()
        .any(|(name, value)| *name == "username" && !value.is_empty());
    let kind = if named {
        "password"
    } else {
        "client_credentials"
    };
    let mut form = format!("grant_type={kind}");
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        form.push_str(&format!("&{name}={}", encoded(value)));
    }
    let answered = post(outward, "application/x-www-form-urlencoded", form).await?;
    let name = outward.target.name();
    match answered.status.as_u16() {
        200..=299 => {}
        400 | 401 | 403 => return Err(Failure::Never(format!("{name} refuses the login"))),
        status => {
            return Err(Failure::Later(format!(
                "the login at {name} answered {status}"
            )));
        }
    }
    let said: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
    let token = said.get("access_token").and_then(Value::as_str);
    bearer(token.ok_or_else(|| Failure::Later(format!("{name} gives no token")))?)
}

async fn post(
    outward: &Outward<'_>,
    media_type: &'static str,
    body: String,
) -> Result<Answered, Failure> {
    let call = Call {
        method: Method::POST,
        path_and_query: outward.target.login_path().to_owned(),
        headers: HeaderMap::new(),
        media_type: Some(HeaderValue::from_static(media_type)),
        body: Bytes::from(body),
    };
    outward.call(call).await
}

fn bearer(token: &str) -> Result<HeaderMap, Failure> {
    let value = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Failure::Never("the token does not fit into a header".to_owned()))?;
    Ok(HeaderMap::from_iter([(AUTHORIZATION, secret(value))]))
}

fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
