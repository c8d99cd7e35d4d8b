//! The one reading of a request that policy, handlers and upstreams share, for HTTP/1.1 and HTTP/2 alike.
//!
//! Framing was settled before (`edge::gate`, or the HTTP/2 library); here it is decided which host, method, path, query and
//! headers a request has, and everything that two servers could read differently is refused. What goes on upstream is made
//! from this reading: the canonical path, and [`end_to_end_headers`]. Headers that carry identity are added by the caller
//! after that, last of all.

mod headers;
mod host;
mod path;
#[cfg(test)]
mod tests;

use crate::refusal::{Code, Refusal};
use http::{HeaderValue, Method, Version, request::Parts};
use std::sync::Arc;

pub use headers::{end_to_end_headers, hop_by_hop};
pub use host::HostRules;
pub use path::CanonicalPath;

/// A request in canonical form.
#[derive(Clone)]
pub struct CanonicalRequest {
    method: Method,
    host: Arc<str>,
    port: Option<u16>,
    path: CanonicalPath,
    correlation_id: Option<HeaderValue>,
    content_length: Option<u64>,
}

impl std::fmt::Debug for CanonicalRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Paths hold licence and API keys.
        f.debug_struct("CanonicalRequest")
            .field("method", &self.method)
            .field("host", &self.host)
            .field("content_length", &self.content_length)
            .finish_non_exhaustive()
    }
}

impl CanonicalRequest {
    /// Reads a request's head. `sni` is the TLS server name the client asked for, where there was one.
    ///
    /// # Errors
    /// A [`Refusal`] with one of the `HTTP-` codes when the head has no canonical form, is addressed to another host, or
    /// carries what only the gateway may set.
    pub fn from_parts(
        parts: &Parts,
        rules: &HostRules,
        sni: Option<&str>,
    ) -> Result<Self, Refusal> {
        let http2 = match parts.version {
            Version::HTTP_11 => false,
            Version::HTTP_2 => true,
            _ => return Err(Refusal::new(Code::HttpUpgrade, "HTTP version not spoken")),
        };
        let method = method(&parts.method)?;
        let (host, port) = host::read(parts, http2, rules, sni)?;
        let path = CanonicalPath::read(&parts.uri)?;
        let read = headers::read(&parts.headers, http2)?;
        Ok(Self {
            method,
            host,
            port,
            path,
            correlation_id: read.correlation_id,
            content_length: read.content_length,
        })
    }

    /// The method, one of those the edge speaks.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The host in lower case, without port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The target URI without query, in the normal form of RFC 3986 section 6.2.3: what `htu` of a signature must be. It may
    /// hold licence and API keys: not for logs.
    pub fn target_uri(&self, scheme: &str) -> String {
        let own = if scheme == "https" { 443 } else { 80 };
        let (host, path) = (&self.host, self.path.as_str());
        match self.port {
            Some(port) if port != own => format!("{scheme}://{host}:{port}{path}"),
            Some(_) | None => format!("{scheme}://{host}{path}"),
        }
    }

    /// The path. It may hold licence and API keys: not for logs.
    pub const fn path(&self) -> &CanonicalPath {
        &self.path
    }

    /// The query, apart from the path. It is never logged. An empty one counts as none.
    pub fn query(&self) -> Option<&str> {
        self.path.query()
    }

    /// The correlation id that the caller sent.
    pub fn correlation_id(&self) -> Option<&str> {
        self.correlation_id.as_ref()?.to_str().ok()
    }

    /// The announced length of the body.
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Refuses a body that is announced larger than `body_max_bytes`, before any of it is read.
    ///
    /// # Errors
    /// [`Code::HttpBodySize`].
    pub fn announced_within(&self, body_max_bytes: usize) -> Result<(), Refusal> {
        let max = u64::try_from(body_max_bytes).unwrap_or(u64::MAX);
        match self.content_length {
            Some(length) if length > max => Err(Refusal::new(
                Code::HttpBodySize,
                format!("{length} bytes announced, {max} allowed"),
            )),
            _ => Ok(()),
        }
    }
}

/// An allow-list: extension methods are refused with CONNECT and TRACE.
fn method(method: &Method) -> Result<Method, Refusal> {
    const SPOKEN: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    if SPOKEN.contains(method) {
        Ok(method.clone())
    } else {
        Err(Refusal::new(Code::HttpUpgrade, "method not spoken"))
    }
}
