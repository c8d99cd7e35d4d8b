//! Header fields: which are refused, which end here, and which go on.

use crate::refusal::{Code, Refusal};
use http::{
    HeaderMap, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, HeaderName, TE},
};

/// What is done with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Goes on upstream.
    Keep,
    /// Ends here, in silence.
    Strip,
    /// Ends the exchange.
    Refuse(Code),
}

/// Fields of one connection (RFC 9110 section 7.6.1), which never go on.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that the next hop has of its own: framing, host, expectations, and our correlation id.
const OURS_TO_WRITE: [&str; 4] = ["content-length", "expect", "host", "x-correlation-id"];

/// Where the client says it comes from. Proxies before us add these in good faith; we know the address ourselves.
const ADDRESS: [&str; 7] = [
    "cf-connecting-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-real-ip",
];

/// Fields by which services behind proxies are told who is calling or what is asked for. No honest client sends one.
const IDENTITY: [&str; 12] = [
    "client-cert",
    "client-cert-chain",
    "remote-user",
    "x-forwarded-client-cert",
    "x-forwarded-email",
    "x-forwarded-user",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-remote-user",
    "x-rewrite-url",
];
const IDENTITY_PREFIXES: [&str; 7] = [
    "ssl-client-",
    "x-auth-request-",
    "x-authenticated-",
    "x-client-cert",
    "x-partner",
    "x-ssl-",
    "x-triseal-",
];

/// What the names above begin with; a test holds it.
const LISTED_INITIALS: [char; 12] = ['c', 'e', 'f', 'h', 'k', 'p', 'r', 's', 't', 'u', 'v', 'x'];

/// Fields that decide about the exchange: of two, two servers might take different ones.
const SINGLE: [&str; 4] = [
    "authorization",
    "content-type",
    "signature",
    "x-correlation-id",
];

/// What was read from the fields.
pub(super) struct Read {
    pub(super) correlation_id: Option<HeaderValue>,
    pub(super) content_length: Option<u64>,
}

/// Checks every field.
pub(super) fn read(headers: &HeaderMap, http2: bool) -> Result<Read, Refusal> {
    for (name, value) in headers {
        if !is_name(name.as_str()) {
            return Err(refused(Code::HttpHeader, "name not allowed:", name));
        }
        if let Fate::Refuse(code) = fate(name.as_str(), http2) {
            return Err(refused(code, "not taken from a caller:", name));
        }
        if !is_value(value.as_bytes()) {
            return Err(refused(Code::HttpHeader, "value not allowed in", name));
        }
    }
    // Most requests repeat no field at all, and that is quickly seen.
    let repeats = headers.len() != headers.keys_len();
    for name in SINGLE.into_iter().filter(|_| repeats) {
        if headers.get_all(name).iter().nth(1).is_some() {
            let cause = format!("repeated header {name}");
            return Err(Refusal::new(Code::HttpHeader, cause).naming(name));
        }
    }
    for token in connection_tokens(headers) {
        connection_token(token)?;
    }
    if http2 && headers.get_all(TE).iter().any(|te| te != "trailers") {
        return Err(refused(Code::HttpHeader, "not allowed on HTTP/2:", &TE));
    }
    Ok(Read {
        correlation_id: correlation_id(headers)?,
        content_length: content_length(headers)?,
    })
}

/// The fields that end at this hop: the fixed ones and those the caller named in `Connection`.
pub fn hop_by_hop(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    HOP_BY_HOP.into_iter().chain(connection_tokens(headers))
}

/// What may go upstream of a request's fields. Identity is added after this, so that no caller can name it away.
pub fn end_to_end_headers(mut headers: HeaderMap) -> HeaderMap {
    let named: Vec<String> = if headers.contains_key(CONNECTION) {
        connection_tokens(&headers)
            .map(str::to_ascii_lowercase)
            .collect()
    } else {
        Vec::new()
    };
    let ends_here = |name: &&HeaderName| {
        let name = name.as_str();
        fate(name, false) != Fate::Keep || !is_name(name) || named.iter().any(|n| n == name)
    };
    // Taken out of the map there is: a second one would cost more than the few that end here.
    let ending: Vec<HeaderName> = headers.keys().filter(ends_here).cloned().collect();
    for name in ending {
        headers.remove(name);
    }
    headers
}

/// `name` is in lower case, as `http` holds it.
fn fate(name: &str, http2: bool) -> Fate {
    // Every request comes here twice for every field: most honest ones begin with another letter than all that are listed.
    if !name.starts_with(LISTED_INITIALS) {
        return Fate::Keep;
    }
    if name == "upgrade" || name == "http2-settings" {
        return Fate::Refuse(Code::HttpUpgrade);
    }
    if name == "trailer" {
        return Fate::Refuse(Code::HttpChunked);
    }
    if HOP_BY_HOP.contains(&name) {
        // RFC 9113 section 8.2.2: HTTP/2 has none of them but `te`, and a request with one is malformed.
        let malformed = http2 && !matches!(name, "te" | "proxy-authorization");
        return if malformed {
            Fate::Refuse(Code::HttpHeader)
        } else {
            Fate::Strip
        };
    }
    if IDENTITY.contains(&name)
        || IDENTITY_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
    {
        return Fate::Refuse(Code::HttpSpoofed);
    }
    if OURS_TO_WRITE.contains(&name) || ADDRESS.contains(&name) || name.starts_with("x-forwarded-")
    {
        return Fate::Strip;
    }
    Fate::Keep
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|token| token.trim_matches([' ', '\t']))
        .filter(|token| !token.is_empty())
}

/// A caller may name fields of its own, but none on which a verdict rests: taken away after it was checked, or before.
fn connection_token(token: &str) -> Result<(), Refusal> {
    const PROTECTED: [&str; 6] = [
        "authorization",
        "date",
        "host",
        "response-signature",
        "signature",
        "x-correlation-id",
    ];
    let token = token.to_ascii_lowercase();
    if token == "upgrade" || token == "http2-settings" {
        return Err(Refusal::new(
            Code::HttpUpgrade,
            "Connection asks for an upgrade",
        ));
    }
    if !is_name(&token) || PROTECTED.contains(&token.as_str()) || token.starts_with("content-") {
        return Err(Refusal::new(
            Code::HttpHeader,
            "Connection names a field it may not",
        ));
    }
    if let Fate::Refuse(code) = fate(&token, false) {
        return Err(Refusal::new(
            code,
            "Connection names a field of the gateway's",
        ));
    }
    Ok(())
}

fn correlation_id(headers: &HeaderMap) -> Result<Option<HeaderValue>, Refusal> {
    const NAME: HeaderName = HeaderName::from_static("x-correlation-id");
    let Some(value) = headers.get(NAME) else {
        return Ok(None);
    };
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
    if (8..=64).contains(&value.len()) && value.as_bytes().iter().all(plain) {
        Ok(Some(value.clone()))
    } else {
        let cause = "correlation id is not 8 to 64 letters, digits and hyphens";
        Err(Refusal::new(Code::HttpHeader, cause).naming("x-correlation-id"))
    }
}

/// As strict as the gate, for HTTP/2, where the library only compares it with the body.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let wrong = || Refusal::new(Code::HttpLength, "Content-Length is not one plain number");
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(wrong());
    }
    let text = value.to_str().map_err(|_| wrong())?;
    let plain = (1..=19).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    if !plain {
        return Err(wrong());
    }
    text.parse().map(Some).map_err(|_| wrong())
}

/// As in the gate: no `_` nor any other mark that servers fold into one.
fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// Visible ASCII, space and tab, without white space around (RFC 9113 section 8.2.1).
fn is_value(value: &[u8]) -> bool {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    !blank(value.first())
        && !blank(value.last())
        && value.iter().fold(true, |plain, b| {
            plain & ((b.wrapping_sub(0x20) < 0x5f) | (*b == b'\t'))
        })
}

fn refused(code: Code, what: &str, name: &HeaderName) -> Refusal {
    Refusal::new(code, format!("{what} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_begins_with_a_listed_initial() {
        let single = ["upgrade", "http2-settings", "trailer", "x-forwarded-"];
        for name in [
            HOP_BY_HOP.as_slice(),
            &OURS_TO_WRITE,
            &ADDRESS,
            &IDENTITY,
            &IDENTITY_PREFIXES,
            &single,
        ]
        .concat()
        {
            assert!(name.starts_with(LISTED_INITIALS), "{name}");
            assert_ne!(fate(name, false), Fate::Keep, "{name}");
        }
    }
}
