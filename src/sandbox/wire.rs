//! What the sandbox's plain HTTP services have in common: answers, cookies, forms, times, and a client for the calls that
//! they make themselves.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, COOKIE, HOST},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use openssl::{error::ErrorStack, rand::rand_bytes};
use serde_json::Value;
use time::{OffsetDateTime, macros::format_description};
use tokio::{net::TcpStream, time::timeout};

use super::ida::IdaAnswer;
use crate::clock::Moment;

/// The most of an answer that is read.
const LARGEST_ANSWER: usize = 1024 * 1024;
/// The most fields of a form.
const MOST_FIELDS: usize = 64;

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &Value) -> IdaAnswer {
    answer(status, "application/json", body.to_string().into_bytes())
}

/// A plain text answer.
pub(super) fn text(status: StatusCode, body: &str) -> IdaAnswer {
    answer(status, "text/plain", body.as_bytes().to_vec())
}

/// An answer of any type.
pub(super) fn answer(status: StatusCode, kind: &'static str, body: Vec<u8>) -> IdaAnswer {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    IdaAnswer {
        status,
        headers,
        body,
        cut_at: None,
    }
}

/// The cookies of a request: name and value of each, cut at the first `=`.
pub(super) fn cookies(headers: &HeaderMap) -> Option<Vec<(String, String)>> {
    let mut found = None::<Vec<_>>;
    for field in headers.get_all(COOKIE) {
        let list = found.get_or_insert_default();
        for entry in field.to_str().unwrap_or_default().split(';') {
            if let Some((name, value)) = entry.trim().split_once('=') {
                list.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    found
}

/// The fields of an `application/x-www-form-urlencoded` text; nothing when it is none.
pub(super) fn form(body: &[u8]) -> Option<BTreeMap<String, String>> {
    let body = std::str::from_utf8(body).ok()?;
    let mut fields = BTreeMap::new();
    for pair in body.split('&').filter(|pair| !pair.is_empty()) {
        if fields.len() >= MOST_FIELDS {
            return None;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.insert(decoded(name)?, decoded(value)?);
    }
    Some(fields)
}

/// Text without percent signs and with spaces for `+`.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let pair = [bytes.next()?, bytes.next()?];
                let digits = std::str::from_utf8(&pair).ok()?;
                u8::from_str_radix(digits, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// `2025-01-01T00:00:00.000Z`.
pub(super) fn iso(now: Moment) -> String {
    let form =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    moment(now).format(&form).unwrap_or_default()
}

/// `2025-01-01T00:00:00Z`.
pub(super) fn iso_s(now: Moment) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    moment(now).format(&form).unwrap_or_default()
}

fn moment(now: Moment) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(now.ms()).saturating_mul(1_000_000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// A random UUID (version 4).
pub(super) fn uuid() -> Result<String, ErrorStack> {
    let mut bytes = [0_u8; 16];
    rand_bytes(&mut bytes)?;
    let number = u128::from_be_bytes(bytes);
    let number = (number & !(0xF000_u128 << 64)) | (0x4000_u128 << 64);
    let number = (number & !(0xC000_u128 << 48)) | (0x8000_u128 << 48);
    let hex = format!("{number:032x}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    Ok(format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    ))
}

/// Why a call of ours came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The address is not one we call.
    #[error("the address must be http://host:port/…")]
    Address,
    /// No connection, or it broke, or it took too long.
    #[error("no answer: {0}")]
    Connection(String),
}

/// Makes one call over a connection of its own, in plain HTTP/1.1.
pub(super) async fn call(
    method: Method,
    address: &str,
    headers: &[(HeaderName, String)],
    body: Vec<u8>,
    patience: Duration,
) -> Result<(StatusCode, Bytes), CallError> {
    match timeout(patience, call_unbounded(method, address, headers, body)).await {
        Ok(done) => done,
        Err(_) => Err(CallError::Connection("too late".to_owned())),
    }
}

async fn call_unbounded(
    method: Method,
    address: &str,
    headers: &[(HeaderName, String)],
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), CallError> {
    let broken = |error: &dyn std::fmt::Display| CallError::Connection(error.to_string());
    let uri: Uri = address.parse().map_err(|_| CallError::Address)?;
    if uri.scheme_str() != Some("http") {
        return Err(CallError::Address);
    }
    let authority = uri.authority().ok_or(CallError::Address)?;
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((authority.host(), port))
        .await
        .map_err(|e| broken(&e))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|e| broken(&e))?;
    let driver = tokio::spawn(connection);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let mut request = Request::builder().method(method).uri(target);
    request = request.header(HOST, authority.as_str());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| CallError::Address)?;
    let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER)
        .collect()
        .await
        .map_err(|e| broken(&e))?
        .to_bytes();
    driver.abort();
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let fields = form(b"hub.mode=subscribe&hub.topic=crvs%2FX&a=b+c&empty=").unwrap();
        assert_eq!(fields["hub.topic"], "crvs/X");
        assert_eq!(fields["a"], "b c");
        assert_eq!(fields["empty"], "");
        assert!(form(b"a=%").is_none());
        assert!(form(b"a=%zz").is_none());
        assert!(form(b"a=%ff").is_none());
    }

    #[test]
    fn a_uuid_says_that_it_is_random() {
        let id = uuid().unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]), "{id}");
    }

    #[test]
    fn times_are_written_as_mosip_does() {
        let at = Moment::from_ms(1_735_689_600_007);
        assert_eq!(iso(at), "2025-01-01T00:00:00.007Z");
        assert_eq!(iso_s(at), "2025-01-01T00:00:00Z");
    }
}
