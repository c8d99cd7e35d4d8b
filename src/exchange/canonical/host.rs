//! Which host a request is for: Host, `:authority`, the TLS server name and the configured names have to agree.

use crate::refusal::{Code, Refusal};
use http::{HeaderMap, header::HOST, request::Parts};
use std::sync::Arc;

/// By which names a face may be addressed.
#[derive(Clone, Debug)]
pub struct HostRules(Rules);

#[derive(Clone, Debug)]
enum Rules {
    Any,
    Names(Vec<Arc<str>>),
}

impl HostRules {
    /// Any name: for a service face on loopback that names none.
    pub const fn any() -> Self {
        Self(Rules::Any)
    }

    /// These names and no other. IP literals are written as in a URI (`[::1]`).
    pub fn names<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        let lower = |name: N| Arc::from(name.as_ref().to_ascii_lowercase());
        Self(Rules::Names(names.into_iter().map(lower).collect()))
    }

    /// What is stated, where it is a configured name letter for letter, and the TLS server name is the same: nearly every
    /// request, and quickly seen.
    fn exactly(&self, stated: &str, sni: Option<&str>) -> Option<(Arc<str>, Option<u16>)> {
        let Rules::Names(names) = &self.0 else {
            return None;
        };
        names.iter().find_map(|name| {
            let port = port(stated.strip_prefix(&**name)?)?;
            let same = sni.is_none_or(|sni| *sni == **name);
            same.then(|| (Arc::clone(name), port))
        })
    }

    fn find(&self, host: &str) -> Option<Arc<str>> {
        match &self.0 {
            Rules::Any => Some(Arc::from(host.to_ascii_lowercase())),
            Rules::Names(names) => names
                .iter()
                .find(|name| name.eq_ignore_ascii_case(host))
                .cloned(),
        }
    }
}

/// Reads the host, in lower case and without port, and the port where one was stated.
pub(super) fn read(
    parts: &Parts,
    http2: bool,
    rules: &HostRules,
    sni: Option<&str>,
) -> Result<(Arc<str>, Option<u16>), Refusal> {
    let wrong = |cause| Refusal::new(Code::HttpHost, cause);
    let header = single_host(&parts.headers)?;
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let stated = match (http2, authority, header) {
        (true, Some(authority), None) => authority,
        (true, Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => authority,
        (true, Some(_), Some(_)) => return Err(wrong(":authority and Host differ")),
        (true, None, _) => return Err(wrong("no :authority")),
        (false, None, Some(host)) => host,
        (false, None, None) => return Err(wrong("no Host")),
        (false, Some(_), _) => return Err(Refusal::new(Code::HttpPath, "absolute target")),
    };
    if let Some(found) = rules.exactly(stated, sni) {
        return Ok(found);
    }
    let (host, port) = apart(stated).ok_or_else(|| wrong("Host is not well-formed"))?;
    if sni.is_some_and(|sni| !sni.eq_ignore_ascii_case(host)) {
        return Err(wrong("Host is not the TLS server name"));
    }
    rules
        .find(host)
        .map(|host| (host, port))
        .ok_or_else(|| wrong("Host is not a name of this face"))
}

fn single_host(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(HOST).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::new(Code::HttpHost, "more than one Host"));
    }
    first
        .map(|value| value.to_str())
        .transpose()
        .map_err(|_| Refusal::new(Code::HttpHost, "Host is not ASCII"))
}

/// The name or bracketed address, and what follows: nothing or one port.
fn apart(stated: &str) -> Option<(&str, Option<u16>)> {
    let end = if stated.starts_with('[') {
        stated.find(']')?.saturating_add(1)
    } else {
        stated.find(':').unwrap_or(stated.len())
    };
    let (host, port) = stated.split_at_checked(end)?;
    let port = self::port(port)?;
    let name = |b: u8| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let host_is_well_formed = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => (1..=255).contains(&host.len()) && host.bytes().all(name),
    };
    host_is_well_formed.then_some((host, port))
}

/// Nothing, or a colon and a port.
fn port(after_host: &str) -> Option<Option<u16>> {
    match after_host.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse::<u16>().ok().map(Some)
        }
        None if after_host.is_empty() => Some(None),
        Some(_) | None => None,
    }
}
