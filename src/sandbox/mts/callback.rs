//! The delivery of a result (reference 6.3), with its faults: the status of the reply is not looked at, nothing is tried
//! again, and only what ends in no reply at all counts as an error.

use std::{collections::BTreeMap, io, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE},
};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{
    multipart,
    properties::{Callback, Login, Oauth, Odoo},
    request::Output,
};
use crate::sandbox::{
    outgoing,
    web::{encode, random_text},
};

/// How long a login may take: the time of the request is that of the callback alone.
const LOGIN: Duration = Duration::from_secs(60);

/// Delivers outputs one by one, or as a whole.
pub(super) async fn deliver(
    callback: &Callback,
    output: Output,
    outputs: &[Value],
    whole: &[u8],
) -> io::Result<()> {
    let shown = log_in(&callback.login).await?;
    match output {
        Output::Json if callback.bulk => {
            send(callback, &shown, "application/json", whole.to_vec()).await?;
        }
        Output::Json => {
            for output in outputs {
                let body = output.to_string().into_bytes();
                send(callback, &shown, "application/json", body).await?;
            }
        }
        Output::Csv => {
            let boundary = random_text(24).ok_or_else(|| io::Error::other("no random bytes"))?;
            let body = multipart::one_file(&boundary, &callback.file_name, whole);
            let media = format!("multipart/form-data; boundary={boundary}");
            send(callback, &shown, &media, body).await?;
        }
    }
    if let Login::Odoo(odoo) = &callback.login {
        let address = sibling(&odoo.auth_url, "logout");
        let request = request(Method::GET, &address, &odoo.extra_headers, &shown)?;
        outgoing::call(
            request.body(Full::default()).map_err(io::Error::other)?,
            LOGIN,
        )
        .await?;
    }
    Ok(())
}

async fn send(
    callback: &Callback,
    shown: &HeaderMap,
    media: &str,
    body: Vec<u8>,
) -> io::Result<()> {
    let request = request(
        callback.method.clone(),
        &callback.url,
        &callback.headers,
        shown,
    )?
    .header(CONTENT_TYPE, media)
    .body(Full::new(Bytes::from(body)))
    .map_err(io::Error::other)?;
    // Whatever it says is fine.
    outgoing::call(request, callback.limit).await.map(drop)
}

/// What every callback carries afterwards.
async fn log_in(login: &Login) -> io::Result<HeaderMap> {
    match login {
        Login::None => Ok(HeaderMap::new()),
        Login::Bearer(token) => header(AUTHORIZATION.as_str(), &format!("Bearer {token}")),
        Login::Odoo(odoo) => session(odoo).await,
        Login::Oauth(oauth) => bearer(oauth).await,
    }
}

async fn session(odoo: &Odoo) -> io::Result<HeaderMap> {
    let body = json!({"jsonrpc": "2.0", "params": {
        "db": odoo.database, "login": odoo.username, "password": odoo.password,
    }});
    let request = request(
        Method::GET,
        &odoo.auth_url,
        &odoo.extra_headers,
        &HeaderMap::new(),
    )?
    .header(CONTENT_TYPE, "application/json")
    .body(Full::new(Bytes::from(body.to_string())))
    .map_err(io::Error::other)?;
    let answer = outgoing::call(request, LOGIN).await?;
    let cookies = cookies(&answer);
    if cookies.is_empty() {
        return Ok(HeaderMap::new());
    }
    header(COOKIE.as_str(), &cookies)
}

fn cookies(answer: &Response<Bytes>) -> String {
    answer
        .headers()
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter_map(|value| value.split(';').next())
        .collect::<Vec<_>>()
        .join("; ")
}

async fn bearer(oauth: &Oauth) -> io::Result<HeaderMap> {
    let fields = if oauth.username.is_empty() {
        vec![
            ("grant_type", "client_credentials"),
            ("client_id", &oauth.client_id),
            ("client_secret", &oauth.client_secret),
        ]
    } else {
        vec![
            ("grant_type", "password"),
            ("username", &oauth.username),
            ("password", &oauth.password),
            ("client_id", &oauth.client_id),
            ("client_secret", &oauth.client_secret),
        ]
    };
    let form: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    let request = request(
        Method::POST,
        &oauth.auth_url,
        &oauth.extra_headers,
        &HeaderMap::new(),
    )?
    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
    .body(Full::new(Bytes::from(form.join("&"))))
    .map_err(io::Error::other)?;
    let answer = outgoing::call(request, LOGIN).await?;
    let said: Value = serde_json::from_slice(answer.body())?;
    let token = said
        .get("access_token")
        .and_then(Value::as_str)
        .ok_or_else(|| io::Error::other("no access_token"))?;
    header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
}

fn request(
    method: Method,
    address: &str,
    extra: &BTreeMap<String, String>,
    shown: &HeaderMap,
) -> io::Result<http::request::Builder> {
    let mut builder = Request::builder().method(method).uri(address);
    for (name, value) in extra {
        builder = builder.header(name, value);
    }
    for (name, value) in shown {
        builder = builder.header(name, value);
    }
    // The builder keeps a mistake until the body comes; here it is told at once.
    match builder.headers_ref() {
        Some(_) => Ok(builder),
        None => Err(io::Error::other("not an address, or not a header")),
    }
}

fn header(name: &str, value: &str) -> io::Result<HeaderMap> {
    let request = Request::builder()
        .header(name, value)
        .body(())
        .map_err(io::Error::other)?;
    Ok(request.headers().clone())
}

/// An address with another last segment.
fn sibling(address: &str, name: &str) -> String {
    let parent = address.rsplit_once('/').map_or("", |(parent, _)| parent);
    format!("{parent}/{name}")
}
